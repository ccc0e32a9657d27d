//! What changed, and when: one number for every change, the latest change of every path, and of everything below every folder.
//!
//! A number is never given twice within an epoch. An epoch ends when the state is restored from a backup or was not closed properly: the last
//! changes may be lost then, and their numbers would come again.

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};
use uuid::Uuid;

use crate::types::RelPath;

use super::codec::{path_key, path_of};
use super::{StoreError, meta};

/// Change number -> 'p' (present) or 'g' (gone), and the path's key. Only the latest change of a path is here.
const CHANGES: TableDefinition<u64, &[u8]> = TableDefinition::new("changes");
/// A path that is gone -> the change number of that.
const GONE: TableDefinition<&[u8], u64> = TableDefinition::new("changes-gone");
/// A folder -> the latest change at or below it.
const FOLDERS: TableDefinition<&str, u64> = TableDefinition::new("changes-of-folders");

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(CHANGES)?;
    tx.open_table(GONE)?;
    tx.open_table(FOLDERS)?;
    Ok(())
}

/// Writes down that the file at a path changed or is gone, and returns the number of that. `last` is its change before, if it had one.
pub(super) fn record(tx: &WriteTransaction, path: &RelPath, last: Option<u64>, gone: bool) -> Result<u64, StoreError> {
    let number = meta::next_change(tx)?;
    let key = path_key(path);
    let mut changes = tx.open_table(CHANGES)?;
    let mut graves = tx.open_table(GONE)?;
    let earlier_grave = graves.remove(key.as_slice())?.map(|grave| grave.value());
    for old in last.into_iter().chain(earlier_grave) {
        changes.remove(old)?;
    }
    let flag: &[u8] = if gone { b"g" } else { b"p" };
    changes.insert(number, [flag, &key].concat().as_slice())?;
    if gone {
        graves.insert(key.as_slice(), number)?;
    }
    mark_folders(tx, path.ancestors(), number)?;
    Ok(number)
}

/// Writes down that something changed in a folder which is not in the index: a folder made or removed, a temporary file.
pub fn touch(tx: &WriteTransaction, folder: &RelPath) -> Result<(), StoreError> {
    let number = meta::next_change(tx)?;
    mark_folders(tx, std::iter::once(folder.clone()).chain(folder.ancestors()), number)
}

fn mark_folders(tx: &WriteTransaction, folders: impl Iterator<Item = RelPath>, number: u64) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    for folder in folders {
        table.insert(folder.as_str(), number)?;
    }
    Ok(())
}

/// Forgets a folder that is no more, and those in it.
pub fn forget_folder(tx: &WriteTransaction, folder: &RelPath) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    table.remove(folder.as_str())?;
    let (start, end) = (format!("{folder}/"), format!("{folder}0"));
    table.retain_in(start.as_str()..end.as_str(), |_, _| false)?;
    Ok(())
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u64,
    /// What changed.
    pub path: RelPath,
    /// The file is no more.
    pub gone: bool,
}

/// Reads changes.
pub struct Changes {
    changes: ReadOnlyTable<u64, &'static [u8]>,
    folders: ReadOnlyTable<&'static str, u64>,
    epoch: Uuid,
    latest: u64,
}

impl Changes {
    /// Opens them for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        let (epoch, latest) = meta::position(tx)?;
        Ok(Self { changes: tx.open_table(CHANGES)?, folders: tx.open_table(FOLDERS)?, epoch, latest })
    }

    /// The epoch that the numbers belong to.
    pub fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// The number of the last change of all.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// The changes after a number, in order; each path once, as it is now.
    pub fn since(&self, number: u64) -> Result<impl Iterator<Item = Result<Change, StoreError>> + use<>, StoreError> {
        Ok(self.changes.range(number.saturating_add(1)..)?.map(|item| {
            let (number, entry) = item?;
            let (flag, key) = entry.value().split_first().ok_or(StoreError::Damaged("a change"))?;
            Ok(Change { number: number.value(), path: path_of(key)?, gone: *flag == b'g' })
        }))
    }

    /// Whether anything was ever written down of a folder, or below it.
    pub fn knows(&self, folder: &RelPath) -> Result<bool, StoreError> {
        Ok(self.folders.get(folder.as_str())?.is_some())
    }

    /// The folders that something was written down of.
    pub fn folders(&self) -> Result<impl Iterator<Item = Result<RelPath, StoreError>> + use<>, StoreError> {
        let all = self.folders.range::<&str>(..)?;
        Ok(all.map(|item| RelPath::parse(item?.0.value()).map_err(|_| StoreError::Damaged("a folder"))))
    }

    /// The opaque part of a folder's entity tag: another one whenever anything at or below the folder has changed.
    pub fn folder_etag(&self, folder: &RelPath) -> Result<String, StoreError> {
        let number = self.folders.get(folder.as_str())?.map_or(0, |number| number.value());
        Ok(format!("{:08x}-{number:x}", self.epoch.as_fields().0))
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
        assert_eq!(since(&store, 0), [("d/b".into(), false), ("d/a".into(), false)]);
        store.write(|tx| index::remove(tx, &path("d/b"))).unwrap();
        assert_eq!(since(&store, before.latest()), [("d/b".into(), true)]);
        put(&store, "d/b", "3");
        assert_eq!(since(&store, before.latest()), [("d/b".into(), false)]);
        assert_eq!(since(&store, Changes::open(&store.read().unwrap()).unwrap().latest()), []);
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
