//! Files that are to be sent to a service, or were and are to be removed again: the queue of `twinlens share`.
//!
//! Rows are JSON, so that a later version can add fields. What is due is found without reading the others.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{Evidence, Expires, Gps, LocalVersion, RelPath, RemoteVersion, ServiceId, Size, Unfit};

use super::StoreError;
use super::codec::{member_range, path_key, path_of};

/// Number -> what was asked for.
const SHARES: TableDefinition<u64, &str> = TableDefinition::new("shares");
/// (share, place in it) -> a file.
const FILES: TableDefinition<(u64, u32), &str> = TableDefinition::new("share-files");
/// (service, second since 1970, share, place in it): then something is to be done.
const DUE: TableDefinition<(u32, i64, u64, u32), ()> = TableDefinition::new("share-due");
/// (service, folder on it): it was made from here.
const FOLDERS: TableDefinition<(u32, &str), ()> = TableDefinition::new("share-folders");

/// The key of a path, NUL, share and place in it: files by their paths.
const PATHS: TableDefinition<&[u8], ()> = TableDefinition::new("share-paths");
/// Of a share and a place in it, in the key of a path.
const PLACE: usize = 12;

/// What was asked for at once. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The service.
    pub service: ServiceId,
    /// When it was asked for.
    pub created: i64,
    /// The folder there, below the service's WebDAV root.
    pub folder: RelPath,
    /// How large pictures are sent.
    pub size: Size,
    /// How long they stay.
    pub expires: Expires,
    /// What becomes of files that cannot be sent in that size.
    pub unfit: Unfit,
    /// Whether the JPEGs that are made tell where a picture was taken.
    pub gps: Gps,
}

/// One file of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedFile {
    /// In the library.
    pub path: RelPath,
    /// What it is to be called there, below the service's WebDAV root; another name may be taken when this one is.
    pub wanted: RelPath,
    /// Where it was begun to be sent to: a name that nothing had then, so that what is there now is ours.
    #[serde(default)]
    pub begun: Option<Begun>,
    /// What became of it.
    pub state: FileState,
}

/// An upload that was begun, perhaps in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Where to.
    pub at: RelPath,
    /// What was sent.
    pub version: LocalVersion,
}

/// Something that failed, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often it failed.
    pub attempts: u32,
    /// Why, the last time.
    pub reason: String,
    /// The kind of reason, in a word that stays the same. Rows of an earlier version have none.
    #[serde(default)]
    pub cause: Option<String>,
    /// Not before this.
    pub next: i64,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum FileState {
    /// It is to be sent.
    Waiting {
        /// It was tried.
        failed: Option<Retry>,
    },
    /// It is there, proven.
    Sent(Box<SentFile>),
    /// The same content was there already, put there by somebody else or for another share.
    There {
        /// Where, below the service's WebDAV root.
        at: RelPath,
        /// When nobody needs it there for this share any more.
        expires: Option<i64>,
    },
    /// It is not sent.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It is not sent any more, because somebody said so.
    Cancelled,
    /// It was sent, and was removed when it expired.
    Removed {
        /// Where it was.
        at: RelPath,
        /// When it was removed.
        when: i64,
    },
    /// It was sent and has expired, and is left.
    Left {
        /// Where it is.
        at: RelPath,
        /// Why.
        reason: String,
    },
}

/// A file that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentFile {
    /// Where it is, below the service's WebDAV root.
    pub at: RelPath,
    /// As it was found there, with the digests of the bytes that were sent.
    pub version: RemoteVersion,
    /// What the proof rests on.
    pub evidence: Evidence,
    /// When it arrived.
    pub arrived: i64,
    /// When it is to be removed.
    pub expires: Option<i64>,
    /// It could not be removed.
    pub failed: Option<Retry>,
}

impl SharedFile {
    /// When something is to be done with it.
    fn due(&self) -> Option<i64> {
        match &self.state {
            FileState::Waiting { failed } => Some(failed.as_ref().map_or(0, |failed| failed.next)),
            FileState::Sent(sent) => sent.expires.map(|expires| sent.failed.as_ref().map_or(expires, |failed| failed.next)),
            _ => None,
        }
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(SHARES)?;
    tx.open_table(FILES)?;
    tx.open_table(DUE)?;
    tx.open_table(FOLDERS)?;
    let (files, mut paths) = (tx.open_table(FILES)?, tx.open_table(PATHS)?);
    if paths.first()?.is_none() {
        // An earlier version did not keep them.
        for item in files.iter()? {
            let (place, text) = item?;
            paths.insert(place_key(&parse::<SharedFile>(text.value())?.path, place.value()).as_slice(), ())?;
        }
    }
    Ok(())
}

fn place_key(path: &RelPath, (share, place): (u64, u32)) -> Vec<u8> {
    [&path_key(path)[..], b"\0", &share.to_be_bytes(), &place.to_be_bytes()].concat()
}

/// A folder on a service was made from here.
pub fn made_folder(tx: &WriteTransaction, service: ServiceId, folder: &RelPath) -> Result<(), StoreError> {
    tx.open_table(FOLDERS)?.insert((service.0, folder.as_str()), ())?;
    Ok(())
}

/// A folder on a service is not there any more: one of its name would be another.
pub fn folder_is_gone(tx: &WriteTransaction, service: ServiceId, folder: &RelPath) -> Result<(), StoreError> {
    tx.open_table(FOLDERS)?.remove((service.0, folder.as_str()))?;
    Ok(())
}

/// The folders on a service that were made from here.
pub fn folders(tx: &ReadTransaction, service: ServiceId) -> Result<Vec<RelPath>, StoreError> {
    let rows = tx.open_table(FOLDERS)?;
    let of_service = rows.range((service.0, "")..(service.0.saturating_add(1), ""))?;
    of_service.map(|item| RelPath::parse(item?.0.value().1).map_err(|_| StoreError::Damaged("a path"))).collect()
}

/// Adds a share with its files: each the path in the library, and what it is to be called there. Returns its number.
pub fn add(tx: &WriteTransaction, share: &Share, files: Vec<(RelPath, RelPath)>) -> Result<u64, StoreError> {
    let number = {
        let mut shares = tx.open_table(SHARES)?;
        let number = shares.last()?.map_or(0, |(last, _)| last.value()) + 1;
        shares.insert(number, text(share)?.as_str())?;
        number
    };
    for (place, (path, wanted)) in (0..).zip(files) {
        let file = SharedFile { path, wanted, begun: None, state: FileState::Waiting { failed: None } };
        put(tx, share.service, (number, place), &file)?;
    }
    Ok(number)
}

/// Writes down what became of a file.
pub fn put(tx: &WriteTransaction, service: ServiceId, place: (u64, u32), file: &SharedFile) -> Result<(), StoreError> {
    let before = tx.open_table(FILES)?.insert(place, text(file)?.as_str())?.map(|text| parse::<SharedFile>(text.value())).transpose()?;
    tx.open_table(PATHS)?.insert(place_key(&file.path, place).as_slice(), ())?;
    let mut due = tx.open_table(DUE)?;
    if let Some(then) = before.and_then(|before| before.due()) {
        due.remove((service.0, then, place.0, place.1))?;
    }
    if let Some(then) = file.due() {
        due.insert((service.0, then, place.0, place.1), ())?;
    }
    Ok(())
}

/// A file, as a transaction that is going to change it sees it.
pub fn file_to_change(tx: &WriteTransaction, place: (u64, u32)) -> Result<Option<SharedFile>, StoreError> {
    tx.open_table(FILES)?.get(place)?.map(|text| parse(text.value())).transpose()
}

/// Forgets a share. What is on the service stays there.
pub fn remove(tx: &WriteTransaction, number: u64) -> Result<(), StoreError> {
    let Some(share) = tx.open_table(SHARES)?.remove(number)?.map(|text| parse::<Share>(text.value())).transpose()? else { return Ok(()) };
    let mut failed = Ok(());
    let (mut due, mut paths) = (tx.open_table(DUE)?, tx.open_table(PATHS)?);
    tx.open_table(FILES)?.retain_in((number, 0)..=(number, u32::MAX), |place, text| {
        let removed = parse::<SharedFile>(text).and_then(|file| {
            paths.remove(place_key(&file.path, place).as_slice())?;
            match file.due() {
                Some(then) => Ok(due.remove((share.service.0, then, place.0, place.1)).map(drop)?),
                None => Ok(()),
            }
        });
        if let Err(error) = removed {
            failed = Err(error);
        }
        false
    })?;
    failed
}

/// Forgets all shares with a service.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let all: Vec<u64> = {
        let shares = tx.open_table(SHARES)?;
        let mut all = Vec::new();
        for item in shares.iter()? {
            let (number, row) = item?;
            all.extend((parse::<Share>(row.value())?.service == service).then_some(number.value()));
        }
        all
    };
    tx.open_table(FOLDERS)?.retain_in((service.0, "")..(service.0.saturating_add(1), ""), |_, ()| false)?;
    all.into_iter().try_for_each(|number| remove(tx, number))
}

/// All shares, the oldest first.
pub fn all(tx: &ReadTransaction) -> Result<Vec<(u64, Share)>, StoreError> {
    let rows = tx.open_table(SHARES)?;
    rows.iter()?
        .map(|item| {
            let (number, row) = item?;
            Ok((number.value(), parse(row.value())?))
        })
        .collect()
}

/// One share.
pub fn get(tx: &ReadTransaction, number: u64) -> Result<Option<Share>, StoreError> {
    tx.open_table(SHARES)?.get(number)?.map(|text| parse(text.value())).transpose()
}

/// The files of a share.
pub fn files(tx: &ReadTransaction, number: u64) -> Result<impl Iterator<Item = Result<(u32, SharedFile), StoreError>> + use<>, StoreError> {
    let rows = tx.open_table(FILES)?;
    Ok(rows.range((number, 0)..=(number, u32::MAX))?.map(|item| {
        let (place, row) = item?;
        Ok((place.value().1, parse(row.value())?))
    }))
}

/// One file.
pub fn file(tx: &ReadTransaction, place: (u64, u32)) -> Result<Option<SharedFile>, StoreError> {
    tx.open_table(FILES)?.get(place)?.map(|text| parse(text.value())).transpose()
}

/// A path in the library, and the number of a share and the place in it at which it is.
pub type PlacedFile = (RelPath, (u64, u32));

/// The files of shares that are directly in a folder of the library, from a name on, in the order of the names.
pub fn members_from(
    tx: &ReadTransaction,
    folder: &RelPath,
    from: &str,
) -> Result<impl Iterator<Item = Result<PlacedFile, StoreError>> + use<>, StoreError> {
    let ((start, _), (_, end)) = (member_range(folder, from), member_range(folder, ""));
    Ok(tx.open_table(PATHS)?.range(start.as_slice()..end.as_slice())?.map(|item| {
        let (key, _) = item?;
        let damaged = || StoreError::Damaged("the path of a share");
        let (path, place) = key.value().split_last_chunk::<PLACE>().ok_or_else(damaged)?;
        let (share, place) = place.split_first_chunk::<8>().ok_or_else(damaged)?;
        let place = place.first_chunk::<4>().ok_or_else(damaged)?;
        Ok((path_of(path.strip_suffix(b"\0").ok_or_else(damaged)?)?, (u64::from_be_bytes(*share), u32::from_be_bytes(*place))))
    }))
}

/// Files of a service with which something is to be done by now: at most so many, those that are due for the longest time first.
pub fn due(tx: &ReadTransaction, service: ServiceId, now: i64, most: usize) -> Result<Vec<(u64, u32)>, StoreError> {
    let rows = tx.open_table(DUE)?;
    let range = rows.range((service.0, i64::MIN, 0, 0)..=(service.0, now, u64::MAX, u32::MAX))?;
    range
        .take(most)
        .map(|item| {
            let (_, _, share, place) = item?.0.value();
            Ok((share, place))
        })
        .collect()
}

/// When something is to be done next with a file of a service.
pub fn next_due(tx: &ReadTransaction, service: ServiceId) -> Result<Option<i64>, StoreError> {
    let rows = tx.open_table(DUE)?;
    let mut range = rows.range((service.0, i64::MIN, 0, 0)..=(service.0, i64::MAX, u64::MAX, u32::MAX))?;
    range.next().map(|item| Ok(item?.0.value().1)).transpose()
}

fn text<T: Serialize>(row: &T) -> Result<String, StoreError> {
    serde_json::to_string(row).map_err(|_| StoreError::Damaged("a share that cannot be written"))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged("a share"))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    fn share(service: u32) -> Share {
        Share {
            service: ServiceId(service),
            created: 5,
            folder: RelPath::root(),
            size: Size::ORIGINAL,
            expires: Expires::NEVER,
            unfit: Unfit::Original,
            gps: Gps::Keep,
        }
    }

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn what_is_due_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("s.redb");
        let store = Store::open(&place).unwrap();
        let files = || vec![(path("a.jpg"), path("S/a.jpg")), (path("b.jpg"), path("S/b.jpg"))];
        let number =
            store.write(move |tx| add(tx, &share(1), files()).and_then(|number| add(tx, &share(2), files()).map(|_| number))).unwrap();
        drop(store);
        let store = Store::open(&place).unwrap();
        let named = |from: &str| {
            let tx = store.read().unwrap();
            let all = members_from(&tx, &RelPath::root(), from).unwrap().map(|item| item.unwrap());
            all.map(|(path, (share, place))| (path.to_string(), share, place)).collect::<Vec<_>>()
        };
        let both = [("a.jpg".to_owned(), number, 0), ("a.jpg".to_owned(), number + 1, 0)];
        assert_eq!((named("").len(), &named("")[..2], named("b").len()), (4, &both[..], 2));
        let due_at = |now| due(&store.read().unwrap(), ServiceId(1), now, 10).unwrap();
        assert_eq!(due_at(0), [(number, 0), (number, 1)]);
        let later = FileState::Waiting { failed: Some(Retry { attempts: 1, reason: "no".into(), cause: None, next: 100 }) };
        let file = SharedFile { path: path("a.jpg"), wanted: path("S/a.jpg"), begun: None, state: later };
        store.write(move |tx| put(tx, ServiceId(1), (number, 0), &file)).unwrap();
        assert_eq!((due_at(99), due_at(100)), (vec![(number, 1)], vec![(number, 1), (number, 0)]));
        let over = SharedFile { path: path("b.jpg"), wanted: path("S/b.jpg"), begun: None, state: FileState::Cancelled };
        store.write(move |tx| put(tx, ServiceId(1), (number, 1), &over)).unwrap();
        assert_eq!(next_due(&store.read().unwrap(), ServiceId(1)).unwrap(), Some(100));
        store.write(move |tx| clear(tx, ServiceId(1))).unwrap();
        assert_eq!(next_due(&store.read().unwrap(), ServiceId(1)).unwrap(), None);
        assert_eq!((files_of(&store, number), named("").len()), (0, 2));
        assert_eq!(due(&store.read().unwrap(), ServiceId(2), 0, 1).unwrap().len(), 1, "those of others stay");
    }

    fn files_of(store: &Store, number: u64) -> usize {
        files(&store.read().unwrap(), number).unwrap().count()
    }
}
