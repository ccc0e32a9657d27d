//! What the index knows of whole folders: one row each, kept in step with every change below it.
//!
//! A row has the number of the latest change at or below the folder, and how many files with how many bytes lie below it. The numbers are
//! rolled up in the transaction of the change itself, so that an entity tag or a size of a folder costs one look-up.

use std::collections::BTreeMap;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, TableHandle as _, WriteTransaction};

use crate::types::RelPath;
use crate::types::media::is_junk;

use super::{StoreError, changes};

/// Folder -> (latest change, change that told of the folder itself, files, bytes).
const FOLDERS: TableDefinition<&str, Row> = TableDefinition::new("folders");
/// What states before this table had: folder -> latest change.
const EARLIER: TableDefinition<&str, u64> = TableDefinition::new("changes-of-folders");

type Row = (u64, u64, u64, u64);

/// What lies below a folder, at any depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Files in the index.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How a change makes the totals of the folders above it differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Difference {
    pub(super) files: i64,
    pub(super) bytes: i64,
}

/// A folder's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folder {
    /// The number of the latest change at or below it.
    pub changed: u64,
    /// The number of the change that told of it; 0 when none did: the root, and what has a temporary name.
    pub told: u64,
    /// What lies below it.
    pub totals: Totals,
}

impl Folder {
    fn of((changed, told, files, bytes): Row) -> Self {
        Self { changed, told, totals: Totals { files, bytes } }
    }

    fn row(self) -> Row {
        (self.changed, self.told, self.totals.files, self.totals.bytes)
    }
}

/// Makes the table, from what an earlier version kept if need be. The files and the changes must be prepared before.
pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    let exists = |name: &str| Ok::<_, StoreError>(tx.list_tables()?.any(|table| table.name() == name));
    let (new, earlier) = (!exists(FOLDERS.name())?, exists(EARLIER.name())?);
    tx.open_table(FOLDERS)?;
    if new && earlier {
        adopt(tx)?;
    }
    if earlier {
        tx.delete_table(EARLIER)?;
    }
    Ok(())
}

/// Counts what every folder holds, once, and tells of each.
fn adopt(tx: &WriteTransaction) -> Result<(), StoreError> {
    let mut folders: BTreeMap<RelPath, Folder> = BTreeMap::new();
    super::index::each(tx, |path, row| {
        for folder in path.ancestors() {
            let Totals { files, bytes } = &mut folders.entry(folder).or_default().totals;
            (*files, *bytes) = (*files + 1, *bytes + row.size);
        }
    })?;
    for item in tx.open_table(EARLIER)?.iter()? {
        let (folder, changed) = item?;
        let folder = RelPath::parse(folder.value()).map_err(|_| StoreError::Damaged("a folder's path"))?;
        folders.entry(folder).or_default().changed = changed.value();
    }
    let mut table = tx.open_table(FOLDERS)?;
    for (path, mut folder) in folders.into_iter().filter(|(path, folder)| path.is_root() || folder.totals.files > 0) {
        if is_told(&path) {
            folder.told = changes::tell_folder(tx, &path)?;
        }
        table.insert(path.as_str(), folder.row())?;
    }
    Ok(())
}

/// Whether changes tell of a folder of this path.
fn is_told(path: &RelPath) -> bool {
    !path.is_root() && !path.segments().any(is_junk)
}

/// The folders that hold a path, nearest first, are there: those that no change has told of yet are told now, the highest first.
pub(super) fn discover(tx: &WriteTransaction, folders: impl Iterator<Item = RelPath>) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    let mut unknown = Vec::new();
    for folder in folders {
        let known = table.get(folder.as_str())?.map(|row| Folder::of(row.value()));
        if known.is_some_and(|known| known.told > 0) {
            // Those above it were told with it.
            break;
        }
        if is_told(&folder) {
            unknown.push((folder, known.unwrap_or_default()));
        }
    }
    for (path, folder) in unknown.into_iter().rev() {
        let told = changes::tell_folder(tx, &path)?;
        table.insert(path.as_str(), Folder { changed: told, told, ..folder }.row())?;
    }
    Ok(())
}

/// Something changed at or below these folders, by this difference.
pub(super) fn mark(
    tx: &WriteTransaction,
    folders: impl Iterator<Item = RelPath>,
    number: u64,
    difference: Difference,
) -> Result<(), StoreError> {
    let mut table = tx.open_table(FOLDERS)?;
    for path in folders {
        let mut folder = table.get(path.as_str())?.map(|row| Folder::of(row.value())).unwrap_or_default();
        folder.changed = number;
        folder.totals.files = folder.totals.files.saturating_add_signed(difference.files);
        folder.totals.bytes = folder.totals.bytes.saturating_add_signed(difference.bytes);
        table.insert(path.as_str(), folder.row())?;
    }
    Ok(())
}

/// The folders at and below a path that changes have told of.
pub(super) fn told(tx: &WriteTransaction, path: &RelPath) -> Result<Vec<RelPath>, StoreError> {
    Ok(rows(tx, path)?.into_iter().filter(|(_, folder)| folder.told > 0).map(|(path, _)| path).collect())
}

/// Forgets a folder that is no more, and those in it; the deepest are told to be gone first.
pub(super) fn forget(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    for (path, folder) in rows(tx, path)?.into_iter().rev() {
        tx.open_table(FOLDERS)?.remove(path.as_str())?;
        if folder.told > 0 {
            changes::bury_folder(tx, &path, folder.told)?;
        }
    }
    Ok(())
}

/// The rows of a folder and of those in it, each after the one that holds it.
fn rows(tx: &WriteTransaction, path: &RelPath) -> Result<Vec<(RelPath, Folder)>, StoreError> {
    let table = tx.open_table(FOLDERS)?;
    let mut found = Vec::new();
    if let Some(row) = table.get(path.as_str())? {
        found.push((path.clone(), Folder::of(row.value())));
    }
    let (start, end) = (format!("{path}/"), format!("{path}0"));
    for item in table.range(start.as_str()..end.as_str())? {
        let (path, row) = item?;
        let path = RelPath::parse(path.value()).map_err(|_| StoreError::Damaged("a folder's path"))?;
        found.push((path, Folder::of(row.value())));
    }
    Ok(found)
}

/// Reads folders.
pub struct Folders {
    table: ReadOnlyTable<&'static str, Row>,
}

impl Folders {
    /// Opens them for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { table: tx.open_table(FOLDERS)? })
    }

    /// What is known of a folder; nothing of one in which nothing ever changed.
    pub fn get(&self, path: &RelPath) -> Result<Option<Folder>, StoreError> {
        Ok(self.table.get(path.as_str())?.map(|row| Folder::of(row.value())))
    }

    /// Whether a change has told of a folder.
    pub fn tells_of(&self, path: &RelPath) -> Result<bool, StoreError> {
        Ok(self.get(path)?.is_some_and(|folder| folder.told > 0))
    }

    /// The folders that changes have told of.
    pub fn told(&self) -> Result<impl Iterator<Item = Result<RelPath, StoreError>> + use<>, StoreError> {
        let rows = self.table.range::<&str>(..)?;
        Ok(rows.filter_map(|item| match item {
            Ok((_, row)) if Folder::of(row.value()).told == 0 => None,
            Ok((path, _)) => Some(RelPath::parse(path.value()).map_err(|_| StoreError::Damaged("a folder's path"))),
            Err(error) => Some(Err(error.into())),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Store;
    use super::super::changes::Changes;
    use super::super::index::{self, FileRow, Index};
    use super::*;
    use crate::types::{Digests, Mtime};

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn row(size: u64) -> FileRow {
        FileRow { size, mtime: Mtime(0), inode: 0, digests: Digests::of(&size.to_be_bytes()), change: 0 }
    }

    /// What the rows should say, counted anew from the index.
    fn counted(store: &Store) -> BTreeMap<RelPath, Totals> {
        let mut totals: BTreeMap<RelPath, Totals> = BTreeMap::new();
        for item in Index::open(&store.read().unwrap()).unwrap().all().unwrap() {
            let (path, row) = item.unwrap();
            for folder in path.ancestors() {
                let of = totals.entry(folder).or_default();
                (of.files, of.bytes) = (of.files + 1, of.bytes + row.size);
            }
        }
        totals
    }

    fn kept(store: &Store) -> BTreeMap<RelPath, Totals> {
        let table = store.read().unwrap().open_table(FOLDERS).unwrap();
        let rows = table.iter().unwrap().map(|item| {
            let (path, row) = item.unwrap();
            (path_of_row(path.value()), Folder::of(row.value()).totals)
        });
        rows.filter(|(_, totals)| totals.files > 0).collect()
    }

    fn path_of_row(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(RelPath, u64),
        Remove(RelPath),
        RemoveAll(RelPath),
        Rename(RelPath, RelPath),
        Found(RelPath),
    }

    fn any_path() -> impl Strategy<Value = RelPath> {
        proptest::collection::vec(prop_oneof!["a", "b", "a-b", "a0"], 1..4).prop_map(|names| path(&names.join("/")))
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any_path(), 0_u64..1000).prop_map(|(path, size)| Step::Put(path, size)),
            1 => any_path().prop_map(Step::Remove),
            1 => any_path().prop_map(Step::RemoveAll),
            2 => (any_path(), any_path()).prop_map(|(from, to)| Step::Rename(from, to)),
            1 => any_path().prop_map(Step::Found),
        ]
    }

    fn carry_out(tx: &WriteTransaction, step: &Step) -> Result<(), StoreError> {
        match step {
            Step::Put(path, size) => {
                // A disk has no file above or below a file.
                path.ancestors().filter(|above| !above.is_root()).try_for_each(|above| index::remove(tx, &above).map(drop))?;
                if told(tx, path)?.is_empty() { index::put(tx, path, row(*size)) } else { Ok(()) }
            }
            Step::Remove(path) => index::remove(tx, path).map(drop),
            Step::RemoveAll(path) => index::remove_all(tx, path),
            Step::Rename(from, to) if from.strip_prefix(to).is_none() && to.strip_prefix(from).is_none() => {
                to.ancestors().filter(|above| !above.is_root()).try_for_each(|above| index::remove(tx, &above).map(drop))?;
                index::remove_all(tx, to)?;
                index::rename(tx, from, to)
            }
            Step::Rename(..) => Ok(()),
            Step::Found(folder) => {
                let above = std::iter::once(folder.clone()).chain(folder.ancestors()).filter(|above| !above.is_root());
                above.into_iter().try_for_each(|above| index::remove(tx, &above).map(drop))?;
                changes::found_folders(tx, std::slice::from_ref(folder))
            }
        }
    }

    /// What somebody knows who has listened to every change: files and folders.
    fn listen(store: &Store, known: &mut BTreeMap<RelPath, bool>, since: u64) -> u64 {
        let changes = Changes::open(&store.read().unwrap()).unwrap();
        for change in changes.since(since).unwrap() {
            let change = change.unwrap();
            match change.gone {
                true => drop(known.remove(&change.path)),
                false => drop(known.insert(change.path, change.folder)),
            }
        }
        changes.latest()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn totals_and_changes_keep_up_with_everything(steps in proptest::collection::vec(any_step(), 1..60)) {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("s.redb")).unwrap();
            let (mut known, mut position) = (BTreeMap::new(), 0);
            for (at, step) in steps.into_iter().enumerate() {
                store.write_soon(move |tx| carry_out(tx, &step)).unwrap();
                if at % 7 == 0 {
                    position = listen(&store, &mut known, position);
                }
            }
            prop_assert_eq!(kept(&store), counted(&store));
            listen(&store, &mut known, position);
            let tx = store.read().unwrap();
            let files: Vec<_> = Index::open(&tx).unwrap().all().unwrap().map(|item| item.unwrap().0).collect();
            let mut folders: Vec<_> = Folders::open(&tx).unwrap().told().unwrap().map(Result::unwrap).collect();
            folders.sort();
            let of = |folder: bool| known.iter().filter(move |(_, is)| **is == folder).map(|(path, _)| path.clone()).collect::<Vec<_>>();
            prop_assert_eq!(of(false), files);
            prop_assert_eq!(of(true), folders);
        }
    }

    #[test]
    fn an_earlier_state_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("s.redb");
        let before = {
            let store = Store::open(&place).unwrap();
            store
                .write(|tx| {
                    for (at, size) in [("a/b/c", 5), ("a/d", 7), ("e", 9)] {
                        index::put(tx, &path(at), row(size))?;
                    }
                    let mut earlier = tx.open_table(EARLIER)?;
                    for (at, changed) in [("", 9), ("a", 8), ("a/b", 7)] {
                        earlier.insert(at, changed)?;
                    }
                    tx.delete_table(FOLDERS)?;
                    Ok(())
                })
                .unwrap();
            counted(&store)
        };
        let store = Store::open(&place).unwrap();
        assert_eq!(kept(&store), before);
        let folders = Folders::open(&store.read().unwrap()).unwrap();
        let told: Vec<_> = folders.told().unwrap().map(|path| path.unwrap().to_string()).collect();
        assert_eq!(told, ["a", "a/b"]);
        assert_eq!(folders.get(&path("a")).unwrap().unwrap().totals, Totals { files: 2, bytes: 12 });
    }
}
