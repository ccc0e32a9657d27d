//! What is known of a service's listing besides its files: the folders, and how far the last look came.

use std::collections::HashMap;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{RelPath, ServiceId};

use super::StoreError;
use super::codec::{after_service, decode, encode, path_key, path_of, service_key, service_range};
use super::documents::LISTED;
use super::index::subtree_ranges;

const FOLDERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("remote-folders");

/// A folder of the service, as it was when it was last listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRow {
    /// Its entity tag, when everything below was seen at that state or a later one.
    pub etag: Option<String>,
    /// We wrote something below since: another entity tag is no riddle.
    pub ours: bool,
}

/// How far the last looks at a service came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listed {
    /// The token of a node's changes that are all in the listing (RFC 6578).
    pub token: Option<String>,
    /// When everything was looked at for the last time, in seconds since 1970.
    pub full_at: Option<i64>,
    /// What was so when a run left nothing to do; none when the listing or the baseline is another one since.
    pub settled: Option<Settled>,
}

/// What a run depends on besides the listing: as long as it is the same there is nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The number of the library's last change, and the epoch that it belongs to.
    pub library: (Uuid, u64),
    /// The settings.
    pub settings: String,
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(FOLDERS)?;
    Ok(())
}

fn key(service: ServiceId, folder: &RelPath) -> Vec<u8> {
    service_key(service, &path_key(folder))
}

/// Sets what is known of a folder. Only a difference is written.
pub fn put_folder(tx: &WriteTransaction, service: ServiceId, folder: &RelPath, row: &FolderRow) -> Result<(), StoreError> {
    let (key, row) = (key(service, folder), encode(row)?);
    let mut table = tx.open_table(FOLDERS)?;
    if table.get(key.as_slice())?.is_none_or(|then| then.value() != row.as_slice()) {
        table.insert(key.as_slice(), row.as_slice())?;
    }
    Ok(())
}

/// Notes folders that are there; what is known of them stays.
pub fn found_folders(tx: &WriteTransaction, service: ServiceId, folders: &[RelPath]) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    let row = encode(&FolderRow::default())?;
    for folder in folders {
        let key = key(service, folder);
        if table.get(key.as_slice())?.is_none() {
            table.insert(key.as_slice(), row.as_slice())?;
        }
    }
    Ok(())
}

/// We wrote in a folder: its next entity tag, and those of the folders above it, are another one for that reason.
pub fn wrote_in(tx: &WriteTransaction, service: ServiceId, folder: &RelPath) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    for folder in std::iter::once(folder.clone()).chain(folder.ancestors()) {
        let key = key(service, &folder);
        let row: FolderRow = match table.get(key.as_slice())? {
            Some(row) => decode(row.value())?,
            None => FolderRow::default(),
        };
        if !row.ours {
            table.insert(key.as_slice(), encode(&FolderRow { ours: true, ..row })?.as_slice())?;
        }
    }
    Ok(())
}

/// Forgets every folder that `keep` does not want kept.
pub fn retain_folders(tx: &WriteTransaction, service: ServiceId, keep: impl Fn(&RelPath) -> bool) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    let keep = |key: &[u8]| after_service(key).and_then(path_of).is_ok_and(|path| keep(&path));
    tx.open_table(FOLDERS)?.retain_in(start.as_slice()..end.as_slice(), |key, _| keep(key))?;
    Ok(())
}

/// Forgets a folder and everything below it.
pub(super) fn remove_below(tx: &WriteTransaction, service: ServiceId, folder: &RelPath) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    table.remove(key(service, folder).as_slice())?;
    for (start, end) in below(service, folder) {
        table.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    }
    Ok(())
}

/// The ranges of the keys of everything below a folder: its members, and what is in the folders below it.
pub(super) fn below(service: ServiceId, folder: &RelPath) -> Vec<(Vec<u8>, Vec<u8>)> {
    if folder.is_root() {
        return vec![service_range(service)];
    }
    subtree_ranges(folder).into_iter().map(|(start, end)| (service_key(service, &start), service_key(service, &end))).collect()
}

/// Forgets all of a service's folders and looks.
pub(super) fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    tx.open_table(FOLDERS)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    LISTED.remove(tx, &service.0.to_string())?;
    Ok(())
}

/// The listing or the baseline of a service is going to be another one: the next run has to look at everything that is known.
pub fn unsettle(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    match LISTED.get_to_change::<Listed>(tx, &service.0.to_string())? {
        Some(listed) if listed.settled.is_some() => Listed { settled: None, ..listed }.write(tx, service),
        _ => Ok(()),
    }
}

impl Listed {
    /// What was written down last.
    pub fn read(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        Ok(LISTED.get(tx, &service.0.to_string())?.unwrap_or_default())
    }

    /// Writes it down.
    pub fn write(&self, tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
        LISTED.put(tx, &service.0.to_string(), self)
    }
}

/// Reads what is known of one service's folders.
pub struct RemoteFolders {
    service: ServiceId,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl RemoteFolders {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        Ok(Self { service, rows: tx.open_table(FOLDERS)? })
    }

    /// What is known of a folder; none when it is not there.
    pub fn get(&self, folder: &RelPath) -> Result<Option<FolderRow>, StoreError> {
        self.rows.get(key(self.service, folder).as_slice())?.map(|row| decode(row.value())).transpose()
    }

    /// The folders directly in a folder.
    pub fn members(&self, folder: &RelPath) -> Result<HashMap<RelPath, FolderRow>, StoreError> {
        let (start, end) = super::codec::member_range(folder, "");
        let (start, end) = (service_key(self.service, &start), service_key(self.service, &end));
        let mut members = HashMap::new();
        for item in self.rows.range(start.as_slice()..end.as_slice())? {
            let (key, row) = item?;
            let path = path_of(after_service(key.value())?)?;
            if !path.is_root() {
                members.insert(path, decode(row.value())?);
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn a_folder_goes_with_everything_below_it_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let service = ServiceId(7);
        let all = ["a", "a/b", "a/b/c", "a-b", "ab"].map(path);
        let folders: Vec<_> = all.iter().cloned().chain([RelPath::root()]).collect();
        store.write(move |tx| found_folders(tx, service, &folders)).unwrap();
        store.write(move |tx| remove_below(tx, service, &path("a"))).unwrap();
        let left = RemoteFolders::open(&store.read().unwrap(), service).unwrap();
        let there = |folder: &RelPath| left.get(folder).unwrap().is_some();
        assert_eq!(all.iter().map(there).collect::<Vec<_>>(), [false, false, false, true, true]);
        assert!(there(&RelPath::root()));
        assert_eq!(left.members(&RelPath::root()).unwrap().len(), 2);
    }

    #[test]
    fn what_we_wrote_is_noted_all_the_way_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let service = ServiceId(1);
        let row = FolderRow { etag: Some("e".into()), ours: false };
        store.write(move |tx| put_folder(tx, service, &path("a"), &row)).unwrap();
        store.write(move |tx| wrote_in(tx, service, &path("a/b"))).unwrap();
        let folders = RemoteFolders::open(&store.read().unwrap(), service).unwrap();
        assert_eq!(folders.get(&path("a")).unwrap(), Some(FolderRow { etag: Some("e".into()), ours: true }));
        assert!(folders.get(&path("a/b")).unwrap().unwrap().ours && folders.get(&RelPath::root()).unwrap().unwrap().ours);
    }
}
