//! The index: path <-> content hash, for every file of the library.

use std::cmp::Ordering;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::media::is_junk;
use crate::types::{ContentHash, Digests, KnownDigests, LocalVersion, Mtime, RelPath, Sha1};

use super::codec::{decode, encode, has_in_name, member_range, path_key, path_of, successor, wanted_rows};
use super::folders::{self, Difference};
use super::{StoreError, changes, ids};

const FILES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("files");
const BY_CONTENT: TableDefinition<&[u8], ()> = TableDefinition::new("files-by-content");
const BY_SHA1: TableDefinition<&[u8], ()> = TableDefinition::new("files-by-sha1");

/// A file of the library as it was when its bytes were last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Bytes.
    pub size: u64,
    /// Modification time then.
    pub mtime: Mtime,
    /// Inode then: a file replaced by rename has another one, even with equal size and time.
    pub inode: u64,
    /// Of its bytes.
    pub digests: Digests,
    /// The change number of the last change to this path.
    pub change: u64,
}

impl FileRow {
    /// The version that sync compares.
    pub fn version(&self) -> LocalVersion {
        LocalVersion { size: self.size, mtime: self.mtime, digests: self.digests }
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(FILES)?;
    tx.open_table(BY_CONTENT)?;
    tx.open_table(BY_SHA1)?;
    Ok(())
}

/// Sets what is at a path; `change` in the row is replaced by the next number. Nothing changes when it is there already: two scans may find
/// the same.
pub fn put(tx: &WriteTransaction, path: &RelPath, row: FileRow) -> Result<(), StoreError> {
    let key = path_key(path);
    let old = match tx.open_table(FILES)?.get(key.as_slice())? {
        Some(old) => Some(decode::<FileRow>(old.value())?),
        None => None,
    };
    if old.is_some_and(|old| old == FileRow { change: old.change, ..row }) {
        return Ok(());
    }
    let difference = Difference {
        files: i64::from(old.is_none()),
        bytes: row.size.cast_signed().wrapping_sub(old.map_or(0, |old| old.size).cast_signed()),
    };
    let row = FileRow { change: changes::record(tx, path, old.map(|old| old.change), false, difference)?, ..row };
    tx.open_table(FILES)?.insert(key.as_slice(), encode(&row)?.as_slice())?;
    let old = old.map(|old| old.digests);
    if old == Some(row.digests) {
        return Ok(());
    }
    let mut by_content = tx.open_table(BY_CONTENT)?;
    let mut by_sha1 = tx.open_table(BY_SHA1)?;
    if let Some(old) = old {
        by_content.remove([&old.content.0[..], &key].concat().as_slice())?;
        by_sha1.remove([&old.sha1.0[..], &key].concat().as_slice())?;
    }
    by_content.insert([&row.digests.content.0[..], &key].concat().as_slice(), ())?;
    by_sha1.insert([&row.digests.sha1.0[..], &key].concat().as_slice(), ())?;
    Ok(())
}

/// Forgets a path; true when it was there.
pub fn remove(tx: &WriteTransaction, path: &RelPath) -> Result<bool, StoreError> {
    let key = path_key(path);
    let old = match tx.open_table(FILES)?.remove(key.as_slice())? {
        Some(old) => decode::<FileRow>(old.value())?,
        None => return Ok(false),
    };
    tx.open_table(BY_CONTENT)?.remove([&old.digests.content.0[..], &key].concat().as_slice())?;
    tx.open_table(BY_SHA1)?.remove([&old.digests.sha1.0[..], &key].concat().as_slice())?;
    let difference = Difference { files: -1, bytes: old.size.cast_signed().wrapping_neg() };
    changes::record(tx, path, Some(old.change), true, difference)?;
    ids::remove(tx, path)?;
    Ok(true)
}

/// Forgets a path and everything below it, folders too.
pub fn remove_all(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    for (path, _) in at_or_below(tx, path)? {
        remove(tx, &path)?;
    }
    changes::forget_folder(tx, path)?;
    ids::clear(tx, path)
}

/// Forgets a folder and everything below it. A file of the same name stays.
pub fn remove_folder(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    for (below, _) in at_or_below(tx, path)?.into_iter().filter(|(below, _)| below != path) {
        remove(tx, &below)?;
    }
    changes::forget_folder(tx, path)?;
    ids::clear(tx, path)
}

/// Everything at or below `from` now lies at or below `to`, where nothing must be known: what a rename on disk does. Under a junk name it is
/// not indexed any more.
pub fn rename(tx: &WriteTransaction, from: &RelPath, to: &RelPath) -> Result<(), StoreError> {
    ids::carry(tx, from, to)?;
    let folders = folders::told(tx, from)?;
    let moved = |path: &RelPath| {
        let to = path.strip_prefix(from).map(|below| to.join_path(&below));
        to.filter(|to| !to.segments().any(is_junk))
    };
    for (path, row) in at_or_below(tx, from)? {
        remove(tx, &path)?;
        if let Some(to) = moved(&path) {
            put(tx, &to, row)?;
        }
    }
    changes::forget_folder(tx, from)?;
    let folders: Vec<_> = folders.iter().filter_map(moved).collect();
    changes::found_folders(tx, &folders)
}

/// The rows of a path and of everything below it.
fn at_or_below(tx: &WriteTransaction, path: &RelPath) -> Result<Vec<(RelPath, FileRow)>, StoreError> {
    let files = tx.open_table(FILES)?;
    let mut found = Vec::new();
    if let Some(row) = files.get(path_key(path).as_slice())? {
        found.push((path.clone(), decode::<FileRow>(row.value())?));
    }
    for (start, end) in subtree_ranges(path) {
        for item in files.range(start.as_slice()..end.as_slice())? {
            let (key, row) = item?;
            found.push((path_of(key.value())?, decode(row.value())?));
        }
    }
    Ok(found)
}

/// Shows every row.
pub(super) fn each(tx: &WriteTransaction, mut show: impl FnMut(RelPath, FileRow)) -> Result<(), StoreError> {
    for item in tx.open_table(FILES)?.iter()? {
        let (key, row) = item?;
        show(path_of(key.value())?, decode(row.value())?);
    }
    Ok(())
}

/// The keys below a folder: its members, and those of the folders in it.
pub(super) fn subtree_ranges(folder: &RelPath) -> [(Vec<u8>, Vec<u8>); 2] {
    let members = member_range(folder, "");
    if folder.is_root() {
        return [(Vec::new(), vec![0xff]), (Vec::new(), Vec::new())];
    }
    let deeper = format!("{folder}/").into_bytes();
    let end = successor(&deeper);
    [members, (deeper, end)]
}

/// Reads the index as it was when the transaction began.
pub struct Index {
    files: ReadOnlyTable<&'static [u8], &'static [u8]>,
    by_content: ReadOnlyTable<&'static [u8], ()>,
    by_sha1: ReadOnlyTable<&'static [u8], ()>,
}

/// A path and its row.
pub type Item = Result<(RelPath, FileRow), StoreError>;

type Guard = redb::AccessGuard<'static, &'static [u8]>;

/// The rows of one folder in the order of their names: cheaper than looking up each.
pub struct Cursor {
    range: redb::Range<'static, &'static [u8], &'static [u8]>,
    next: Option<(Guard, Guard)>,
    /// The length of what stands before the name in a key.
    skip: usize,
}

impl Cursor {
    /// The row of a name, which must come after all that were asked for before.
    pub fn row(&mut self, name: &str) -> Result<Option<FileRow>, StoreError> {
        self.row_after(name, |_| ())
    }

    /// The same; the names that are passed over are shown.
    pub fn row_after(&mut self, name: &str, mut passed: impl FnMut(&str)) -> Result<Option<FileRow>, StoreError> {
        loop {
            let Some((key, row)) = &self.next else { return Ok(None) };
            let this = key.value().get(self.skip..).unwrap_or_default();
            let found = match this.cmp(name.as_bytes()) {
                Ordering::Less => {
                    passed(str::from_utf8(this).map_err(|_| StoreError::Damaged("a path key"))?);
                    None
                }
                Ordering::Equal => Some(decode(row.value())?),
                Ordering::Greater => return Ok(None),
            };
            self.next = self.range.next().transpose()?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Shows the names that were not asked for at the end.
    pub fn rest(mut self, mut passed: impl FnMut(&str)) -> Result<(), StoreError> {
        while let Some((key, _)) = self.next.take() {
            passed(str::from_utf8(key.value().get(self.skip..).unwrap_or_default()).map_err(|_| StoreError::Damaged("a path key"))?);
            self.next = self.range.next().transpose()?;
        }
        Ok(())
    }
}

impl Index {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { files: tx.open_table(FILES)?, by_content: tx.open_table(BY_CONTENT)?, by_sha1: tx.open_table(BY_SHA1)? })
    }

    /// What is at a path.
    pub fn get(&self, path: &RelPath) -> Result<Option<FileRow>, StoreError> {
        self.files.get(path_key(path).as_slice())?.map(|row| decode(row.value())).transpose()
    }

    /// How many files there are.
    pub fn len(&self) -> Result<u64, StoreError> {
        Ok(self.files.len()?)
    }

    /// True when there is no file.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.files.is_empty()?)
    }

    /// All files, in order.
    pub fn all(&self) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        self.range(Vec::new(), vec![0xff])
    }

    /// The files whose names have this in them, in order. The others are passed over without being read.
    pub fn with_in_name(&self, mark: &'static str) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        Ok(wanted_rows(self.files.range::<&[u8]>(..)?, path_of, move |key| has_in_name(key, mark)))
    }

    /// The files that come after a path, in order; without one all.
    pub fn after(&self, path: Option<&RelPath>) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let start = path.map(|path| [&path_key(path)[..], b"\0"].concat()).unwrap_or_default();
        self.range(start, vec![0xff])
    }

    /// The files directly in a folder whose names begin with `prefix`.
    pub fn members(&self, folder: &RelPath, prefix: &str) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let (start, end) = member_range(folder, prefix);
        self.range(start, end)
    }

    /// The files directly in a folder, from this name on.
    pub fn members_from(&self, folder: &RelPath, from: &str) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        self.range(member_range(folder, from).0, member_range(folder, "").1)
    }

    /// The files directly in a folder, to be asked for by name in ascending order, from this name on.
    pub fn cursor(&self, folder: &RelPath, from: &str) -> Result<Cursor, StoreError> {
        let (start, end) = (member_range(folder, from).0, member_range(folder, "").1);
        let mut range = self.files.range(start.as_slice()..end.as_slice())?;
        let next = range.next().transpose()?;
        Ok(Cursor { range, next, skip: folder.as_str().len() + 1 })
    }

    /// The files at or below a path.
    pub fn subtree(&self, path: &RelPath) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let [members, deeper] = subtree_ranges(path);
        let itself = self.get(path)?.map(|row| Ok((path.clone(), row)));
        Ok(itself.into_iter().chain(self.range(members.0, members.1)?).chain(self.range(deeper.0, deeper.1)?))
    }

    fn range(&self, start: Vec<u8>, end: Vec<u8>) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        Ok(wanted_rows(self.files.range(start.as_slice()..end.as_slice())?, path_of, |_| true))
    }

    /// The folders that directly hold files, in order.
    pub fn folders(&self) -> Result<Vec<RelPath>, StoreError> {
        let mut folders = Vec::new();
        let mut start = Vec::new();
        while let Some(item) = self.files.range(start.as_slice()..)?.next() {
            let folder = path_of(item?.0.value())?.parent().unwrap_or_default();
            start = member_range(&folder, "").1;
            folders.push(folder);
        }
        Ok(folders)
    }

    /// Whether a file at or below a folder has this content.
    pub fn has_content(&self, content: &ContentHash, folder: &RelPath) -> Result<bool, StoreError> {
        holds(&self.by_content, &content.0, folder)
    }

    /// Whether a file at or below a folder has this SHA-1.
    pub fn has_sha1(&self, sha1: &Sha1, folder: &RelPath) -> Result<bool, StoreError> {
        holds(&self.by_sha1, &sha1.0, folder)
    }

    /// A path that holds this content, if there is one.
    pub fn holding(&self, digests: &KnownDigests) -> Result<Option<RelPath>, StoreError> {
        self.holding_where(digests, &|_| true)
    }

    /// The first path that holds this content and is `wanted`.
    pub fn holding_where(&self, digests: &KnownDigests, wanted: &dyn Fn(&RelPath) -> bool) -> Result<Option<RelPath>, StoreError> {
        let first = |table: &ReadOnlyTable<&'static [u8], ()>, digest: &[u8]| {
            for item in table.range(digest..successor(digest).as_slice())? {
                let path = path_of(item?.0.value().get(digest.len()..).unwrap_or_default())?;
                if wanted(&path) {
                    return Ok(Some(path));
                }
            }
            Ok(None)
        };
        match digests {
            KnownDigests { content: Some(content), .. } => first(&self.by_content, &content.0),
            KnownDigests { sha1: Some(sha1), .. } => first(&self.by_sha1, &sha1.0),
            _ => Ok(None),
        }
    }
}

/// Whether a file below a folder has this digest.
fn holds(table: &ReadOnlyTable<&'static [u8], ()>, digest: &[u8], folder: &RelPath) -> Result<bool, StoreError> {
    let within = |(start, end): (Vec<u8>, Vec<u8>)| ([digest, &start].concat(), [digest, &end].concat());
    for (start, end) in subtree_ranges(folder).map(within) {
        if start < end && table.range(start.as_slice()..end.as_slice())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
