//! What changed, and when: one number for every change, the latest change of every path, and of everything below every folder.
//!
//! A number is never given twice within an epoch. An epoch ends when the state is restored from a backup or was not closed properly: the last
//! changes may be lost then, and their numbers would come again.
//!
//! That something is gone is remembered for [`KEEP_DAYS`] days, but of no more than [`KEEP`] paths; who asks for what changed since an earlier
//! time must be told to look at everything ([`Changes::floor`]).

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};
use uuid::Uuid;

use crate::types::RelPath;

use super::codec::{path_key, path_of};
use super::folders::{self, Difference, Folders};
use super::{StoreError, meta};

/// Change number -> what became of a path, and the path's key. Only the latest change of a path is here.
const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");
/// A path that is gone -> the change number of that.
const GONE: TableDefinition<&[u8], u64> = TableDefinition::new("changes-gone");
/// Day since 1970 -> the latest change at the end of it.
const DAYS: TableDefinition<u64, u64> = TableDefinition::new("changes-by-day");

/// How long it is remembered that something is gone.
pub const KEEP_DAYS: u64 = 180;
/// Of how many paths at the most.
pub const KEEP: u64 = 1_000_000;

const FILE: u8 = b'p';
const FILE_GONE: u8 = b'g';
const FOLDER: u8 = b'd';
const FOLDER_GONE: u8 = b'x';

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(CHANGES)?;
    tx.open_table(GONE)?;
    tx.open_table(DAYS)?;
    Ok(())
}

/// Writes down that the file at a path changed or is gone, and returns the number of that. `last` is its change before, if it had one.
pub(super) fn record(
    tx: &WriteTransaction,
    path: &RelPath,
    last: Option<u64>,
    gone: bool,
    difference: Difference,
) -> Result<u64, StoreError> {
    if !gone {
        folders::discover(tx, path.ancestors())?;
    }
    let number = enter(tx, path, last, if gone { FILE_GONE } else { FILE })?;
    folders::mark(tx, path.ancestors(), number, difference)?;
    Ok(number)
}

/// Writes down that a folder is there.
pub(super) fn tell_folder(tx: &WriteTransaction, path: &RelPath) -> Result<u64, StoreError> {
    enter(tx, path, None, FOLDER)
}

/// Writes down that a folder of which the change `told` has told is gone.
pub(super) fn bury_folder(tx: &WriteTransaction, path: &RelPath, told: u64) -> Result<(), StoreError> {
    let number = enter(tx, path, Some(told), FOLDER_GONE)?;
    folders::mark(tx, path.ancestors(), number, Difference::default())
}

/// The latest change of a path takes the place of the one before.
fn enter(tx: &WriteTransaction, path: &RelPath, last: Option<u64>, what: u8) -> Result<u64, StoreError> {
    let number = meta::next_change(tx)?;
    let key = path_key(path);
    let mut changes = tx.open_table(CHANGES)?;
    let mut graves = tx.open_table(GONE)?;
    let earlier_grave = graves.remove(key.as_slice())?.map(|grave| grave.value());
    for old in last.into_iter().chain(earlier_grave) {
        changes.remove(old)?;
    }
    changes.insert(number, [&[what], &key[..]].concat().as_slice())?;
    if matches!(what, FILE_GONE | FOLDER_GONE) {
        graves.insert(key.as_slice(), number)?;
    }
    Ok(number)
}

/// Writes down that something changed in a folder which is not in the index: a folder made or removed, a temporary file.
pub fn touch(tx: &WriteTransaction, folder: &RelPath) -> Result<(), StoreError> {
    let at_and_above = || std::iter::once(folder.clone()).chain(folder.ancestors());
    folders::discover(tx, at_and_above())?;
    let number = meta::next_change(tx)?;
    folders::mark(tx, at_and_above(), number, Difference::default())
}

/// Folders that were found on disk: those of which nothing was known are new.
pub fn found_folders(tx: &WriteTransaction, folders: &[RelPath]) -> Result<(), StoreError> {
    for folder in folders {
        touch(tx, folder)?;
    }
    Ok(())
}

/// Forgets a folder that is no more, and those in it. The files in it must have been forgotten before.
pub fn forget_folder(tx: &WriteTransaction, folder: &RelPath) -> Result<(), StoreError> {
    folders::forget(tx, folder)
}

/// Lets go of what has been gone for longer than [`KEEP_DAYS`] before `today` (in days since 1970), and of what is more than [`KEEP`].
pub fn compact(tx: &WriteTransaction, today: u64) -> Result<(), StoreError> {
    compact_to(tx, today, KEEP)
}

fn compact_to(tx: &WriteTransaction, today: u64, keep: u64) -> Result<(), StoreError> {
    let latest = meta::latest_change(tx)?;
    let mut days = tx.open_table(DAYS)?;
    days.insert(today, latest)?;
    let old = today.saturating_sub(KEEP_DAYS);
    let mut bound = match days.range(..=old)?.next_back() {
        Some(day) => day?.1.value(),
        None => 0,
    };
    days.retain_in(..old, |_, _| false)?;
    let mut graves = tx.open_table(GONE)?;
    let surplus = graves.len()?.saturating_sub(keep);
    let floor = meta::floor(tx)?;
    let mut changes = tx.open_table(CHANGES)?;
    if surplus > 0 {
        let is_grave = |entry: &[u8]| matches!(entry.first(), Some(&(FILE_GONE | FOLDER_GONE)));
        let mut left = surplus;
        for item in changes.iter()? {
            let (number, entry) = item?;
            left -= u64::from(is_grave(entry.value()));
            if left == 0 {
                bound = bound.max(number.value());
                break;
            }
        }
    }
    if bound <= floor {
        return Ok(());
    }
    let mut removed = 0_u64;
    for item in changes.extract_from_if(..=bound, |_, entry| matches!(entry.first(), Some(&(FILE_GONE | FOLDER_GONE))))? {
        let (_, entry) = item?;
        graves.remove(entry.value().get(1..).unwrap_or_default())?;
        removed += 1;
    }
    // Where nothing was let go earlier positions are as good as before.
    if removed > 0 {
        meta::set_floor(tx, bound)?;
    }
    Ok(())
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u64,
    /// What changed.
    pub path: RelPath,
    /// It is or was a folder.
    pub folder: bool,
    /// It is no more.
    pub gone: bool,
}

/// Reads changes.
pub struct Changes {
    changes: ReadOnlyTable<u64, &'static [u8]>,
    folders: Folders,
    epoch: Uuid,
    latest: u64,
    floor: u64,
}

impl Changes {
    /// Opens them for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        let meta::Position { epoch, latest, floor } = meta::position(tx)?;
        Ok(Self { changes: tx.open_table(CHANGES)?, folders: Folders::open(tx)?, epoch, latest, floor })
    }

    /// The epoch that the numbers belong to.
    pub fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// The number of the last change of all.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Of what was gone up to this number not everything is remembered: only from here on, or from the very beginning, are changes complete.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Whether the changes after a number are all known.
    pub fn reaches_back_to(&self, number: u64) -> bool {
        (self.floor..=self.latest).contains(&number)
    }

    /// What is known of whole folders.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// The changes after a number, in order; each path once, as it is now.
    pub fn since(&self, number: u64) -> Result<impl Iterator<Item = Result<Change, StoreError>> + use<>, StoreError> {
        Ok(self.changes.range(number.saturating_add(1)..)?.map(|item| {
            let (number, entry) = item?;
            let (what, key) = entry.value().split_first().ok_or(StoreError::Damaged("a change"))?;
            let (folder, gone) = (matches!(*what, FOLDER | FOLDER_GONE), matches!(*what, FILE_GONE | FOLDER_GONE));
            Ok(Change { number: number.value(), path: path_of(key)?, folder, gone })
        }))
    }

    /// The number of the latest change at or below a folder; 0 when there was none.
    pub fn of_folder(&self, folder: &RelPath) -> Result<u64, StoreError> {
        Ok(self.folders.get(folder)?.map_or(0, |folder| folder.changed))
    }

    /// The opaque part of a folder's entity tag: another one whenever anything at or below the folder has changed.
    pub fn folder_etag(&self, folder: &RelPath) -> Result<String, StoreError> {
        Ok(format!("{:08x}-{:x}", self.epoch.as_fields().0, self.of_folder(folder)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Store, index};
    use super::*;
    use crate::types::{Digests, Mtime};

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn put(store: &Store, at: &str, content: &str) {
        let row = index::FileRow { size: 1, mtime: Mtime(0), inode: 0, digests: Digests::of(content.as_bytes()), change: 0 };
        let at = path(at);
        store.write(move |tx| index::put(tx, &at, row)).unwrap();
    }

    fn since(store: &Store, number: u64) -> Vec<(String, bool)> {
        let changes = Changes::open(&store.read().unwrap()).unwrap();
        changes.since(number).unwrap().map(|change| change.map(|change| (change.path.to_string(), change.gone)).unwrap()).collect()
    }

    #[test]
    fn each_path_is_told_once_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        put(&store, "d/a", "1");
        put(&store, "d/b", "1");
        put(&store, "d/a", "2");
        let before = Changes::open(&store.read().unwrap()).unwrap();
        assert_eq!(since(&store, 0), [("d".into(), false), ("d/b".into(), false), ("d/a".into(), false)]);
        store.write(|tx| index::remove(tx, &path("d/b"))).unwrap();
        assert_eq!(since(&store, before.latest()), [("d/b".into(), true)]);
        put(&store, "d/b", "3");
        assert_eq!(since(&store, before.latest()), [("d/b".into(), false)]);
        assert_eq!(since(&store, Changes::open(&store.read().unwrap()).unwrap().latest()), []);
    }

    #[test]
    fn what_is_there_already_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        put(&store, "a", "1");
        let before = Changes::open(&store.read().unwrap()).unwrap().latest();
        put(&store, "a", "1");
        assert_eq!(Changes::open(&store.read().unwrap()).unwrap().latest(), before);
    }

    #[test]
    fn folders_are_told_when_they_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let latest = || Changes::open(&store.read().unwrap()).unwrap().latest();
        put(&store, "a/b/c", "1");
        let before = latest();
        store.write(|tx| index::rename(tx, &path("a/b"), &path("x"))).unwrap();
        let told = since(&store, before);
        let gone: Vec<_> = told.iter().filter(|(_, gone)| *gone).map(|(path, _)| path.as_str()).collect();
        assert_eq!(gone, ["a/b/c", "a/b"]);
        let new: Vec<_> = told.iter().filter(|(_, gone)| !*gone).map(|(path, _)| path.as_str()).collect();
        assert_eq!(new, ["x", "x/c"]);
        let before = latest();
        store.write(|tx| touch(tx, &path("empty/junk.part"))).unwrap();
        assert_eq!(since(&store, before), [("empty".into(), false)]);
    }

    #[test]
    fn what_is_gone_is_forgotten_when_it_is_old_or_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let changes = || Changes::open(&store.read().unwrap()).unwrap();
        let lose = |at: &'static str| {
            put(&store, at, "1");
            store.write(move |tx| index::remove(tx, &path(at))).unwrap();
        };
        let compact = |day: u64, keep: u64| store.write(move |tx| compact_to(tx, day, keep)).unwrap();
        put(&store, "stays", "1");
        lose("first");
        compact(1000, 10);
        assert_eq!(changes().floor(), 0);
        let early = changes().latest();
        lose("second");
        compact(1000 + KEEP_DAYS - 1, 10);
        assert!(changes().reaches_back_to(1));
        // The first is too old now; the second is not.
        compact(1000 + KEEP_DAYS, 10);
        assert!(!changes().reaches_back_to(early - 1) && changes().reaches_back_to(early));
        assert_eq!(since(&store, 0), [("stays".into(), false), ("second".into(), true)]);
        // More than are kept: the earliest go.
        lose("third");
        lose("fourth");
        compact(1001 + KEEP_DAYS, 2);
        let left: Vec<_> = since(&store, 0).into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, ["stays", "third", "fourth"]);
        assert!(!changes().reaches_back_to(early) && changes().reaches_back_to(changes().latest()));
        compact(1002 + KEEP_DAYS, 2);
        assert_eq!(since(&store, 0).len(), 3);
    }

    #[test]
    fn a_folder_changes_with_everything_below_it_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        put(&store, "a/b/c", "1");
        put(&store, "x/y", "1");
        let etag = |at: &str| Changes::open(&store.read().unwrap()).unwrap().folder_etag(&path(at)).unwrap();
        let before = [etag(""), etag("a"), etag("a/b"), etag("x")];
        put(&store, "a/b/d", "2");
        let after = [etag(""), etag("a"), etag("a/b"), etag("x")];
        assert!(before[..3].iter().zip(&after).all(|(then, now)| then != now));
        assert_eq!(before[3], after[3]);
    }

    #[test]
    fn a_state_that_was_not_closed_begins_a_new_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("s.redb");
        let epoch = |store: &Store| Changes::open(&store.read().unwrap()).unwrap().epoch();
        let first = {
            let store = Store::open(&place).unwrap();
            epoch(&store)
        };
        let store = Store::open(&place).unwrap();
        assert_eq!(epoch(&store), first);
        // As after a crash: the file as it is while the store is open.
        std::fs::copy(&place, folder.path().join("crashed.redb")).unwrap();
        let crashed = Store::open(&folder.path().join("crashed.redb")).unwrap();
        assert_ne!(epoch(&crashed), first);
    }
}
