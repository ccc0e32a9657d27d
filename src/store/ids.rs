//! A number for every file and folder that anybody asked to tell apart by more than its name (Nextcloud's file id).
//!
//! It stays with its file through renames, replaced contents, restarts and scans, and is never given twice. Numbers are given when they are
//! first asked for: whoever never asks pays nothing.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use crate::types::RelPath;

use super::codec::{member_range, path_key, path_of, successor};
use super::{StoreError, meta};

/// A path's key -> its number.
const IDS: TableDefinition<&[u8], u64> = TableDefinition::new("file-ids");
/// User NUL number -> this user's favourite.
const FAVORITES: TableDefinition<&[u8], ()> = TableDefinition::new("favorites");

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(IDS)?;
    tx.open_table(FAVORITES)?;
    Ok(())
}

/// The numbers of these paths; those that have none get one. The caller must wait until that is durable: a number that was told and lost
/// would be given again.
pub fn assign(tx: &WriteTransaction, paths: &[RelPath]) -> Result<Vec<u64>, StoreError> {
    let mut table = tx.open_table(IDS)?;
    let mut numbers = Vec::with_capacity(paths.len());
    let missing = {
        let mut missing = 0;
        for path in paths {
            let number = table.get(path_key(path).as_slice())?.map(|number| number.value());
            missing += u64::from(number.is_none());
            numbers.push(number);
        }
        missing
    };
    let mut next = if missing == 0 { 0 } else { meta::take_file_ids(tx, missing)? };
    let mut assigned = Vec::with_capacity(paths.len());
    for (path, number) in paths.iter().zip(numbers) {
        let number = match number {
            Some(number) => number,
            None => {
                let key = path_key(path);
                // A path may be asked for twice at once.
                let earlier = table.get(key.as_slice())?.map(|number| number.value());
                if earlier.is_none() {
                    table.insert(key.as_slice(), next)?;
                    next += 1;
                }
                earlier.unwrap_or(next - 1)
            }
        };
        assigned.push(number);
    }
    Ok(assigned)
}

/// The numbers of a path and of everything below it go along to another path; those that were there are given up.
pub(super) fn carry(tx: &WriteTransaction, from: &RelPath, to: &RelPath) -> Result<(), StoreError> {
    if from == to || tx.open_table(IDS)?.is_empty()? {
        return Ok(());
    }
    clear(tx, to)?;
    let mut table = tx.open_table(IDS)?;
    let mut found = Vec::new();
    for (start, end) in ranges(from) {
        for item in table.extract_from_if(start.as_slice()..end.as_slice(), |_, _| true)? {
            let (key, number) = item?;
            found.push((path_of(key.value())?, number.value()));
        }
    }
    for (path, number) in found {
        if let Some(below) = path.strip_prefix(from) {
            table.insert(path_key(&to.join_path(&below)).as_slice(), number)?;
        }
    }
    Ok(())
}

/// A path and everything below it is no more: what comes there later is something else.
pub(super) fn clear(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    let mut table = tx.open_table(IDS)?;
    if table.is_empty()? {
        return Ok(());
    }
    for (start, end) in ranges(path) {
        table.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    }
    Ok(())
}

/// One file is no more.
pub(super) fn remove(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    tx.open_table(IDS)?.remove(path_key(path).as_slice())?;
    Ok(())
}

/// The keys of a path and of everything below it.
fn ranges(path: &RelPath) -> [(Vec<u8>, Vec<u8>); 3] {
    let itself = path_key(path);
    let next = [&itself[..], b"\0"].concat();
    let deeper = format!("{path}/").into_bytes();
    let end = successor(&deeper);
    [(itself, next), member_range(path, ""), (deeper, end)]
}

/// Makes something a favourite of a user, or not any more.
pub fn set_favorite(tx: &WriteTransaction, user: &str, number: u64, is: bool) -> Result<(), StoreError> {
    let key = [user.as_bytes(), b"\0", &number.to_be_bytes()].concat();
    let mut table = tx.open_table(FAVORITES)?;
    match is {
        true => table.insert(key.as_slice(), ())?,
        false => table.remove(key.as_slice())?,
    };
    Ok(())
}

/// Forgets the favourites of a user who is no more: another one of the same name inherits nothing.
pub fn forget_user(tx: &WriteTransaction, user: &str) -> Result<(), StoreError> {
    let start = [user.as_bytes(), b"\0"].concat();
    let end = successor(&start);
    Ok(tx.open_table(FAVORITES)?.retain_in(start.as_slice()..end.as_slice(), |_, ()| false)?)
}

/// Reads numbers.
pub struct Ids {
    ids: ReadOnlyTable<&'static [u8], u64>,
    favorites: ReadOnlyTable<&'static [u8], ()>,
}

impl Ids {
    /// Opens them for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self { ids: tx.open_table(IDS)?, favorites: tx.open_table(FAVORITES)? })
    }

    /// True when nothing has a number.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.ids.is_empty()?)
    }

    /// The number of a path, if it has one.
    pub fn get(&self, path: &RelPath) -> Result<Option<u64>, StoreError> {
        Ok(self.ids.get(path_key(path).as_slice())?.map(|number| number.value()))
    }

    /// The direct members of a folder that have numbers: name and number, by name, beginning with the name `from`.
    pub fn members(
        &self,
        folder: &RelPath,
        from: &str,
    ) -> Result<impl Iterator<Item = Result<(String, u64), StoreError>> + use<>, StoreError> {
        let (start, end) = (member_range(folder, from).0, member_range(folder, "").1);
        let skip = start.len() - from.len();
        Ok(self.ids.range(start.as_slice()..end.as_slice())?.map(move |item| {
            let (key, number) = item?;
            let name = key.value().get(skip..).and_then(|name| str::from_utf8(name).ok());
            Ok((name.ok_or(StoreError::Damaged("a path key"))?.to_owned(), number.value()))
        }))
    }

    /// The numbers of a user's favourites.
    pub fn favorites(&self, user: &str) -> Result<std::collections::HashSet<u64>, StoreError> {
        let start = [user.as_bytes(), b"\0"].concat();
        let end = successor(&start);
        let mut found = std::collections::HashSet::new();
        for item in self.favorites.range(start.as_slice()..end.as_slice())? {
            let (key, _) = item?;
            let number = key.value().get(start.len()..).and_then(|bytes| bytes.try_into().ok());
            found.insert(number.map(u64::from_be_bytes).ok_or(StoreError::Damaged("a favourite"))?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Store, index};
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn ids(store: &Store, paths: &[&str]) -> Vec<u64> {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        store.write(move |tx| assign(tx, &paths)).unwrap()
    }

    fn open() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        (folder, store)
    }

    #[test]
    fn a_number_goes_along_and_is_never_given_again() {
        let (_folder, store) = open();
        let first = ids(&store, &["", "d", "d/a", "d/e/b", "d0", "d-x/c", "d"]);
        assert_eq!(first[1], first[6]);
        assert_eq!(first[..6].iter().collect::<std::collections::BTreeSet<_>>().len(), 6);
        store.write(|tx| index::rename(tx, &path("d"), &path("f/g"))).unwrap();
        assert_eq!(
            ids(&store, &["f/g", "f/g/a", "f/g/e/b", "d0", "d-x/c", ""]),
            [first[1], first[2], first[3], first[4], first[5], first[0]]
        );
        let again = ids(&store, &["d", "d/a"]);
        assert!(again.iter().all(|number| !first.contains(number)), "{again:?} {first:?}");
        store.write(|tx| index::remove_all(tx, &path("f"))).unwrap();
        let new = ids(&store, &["f/g/a"]);
        assert!(new[0] > again[1]);
    }

    #[test]
    fn what_takes_the_place_of_another_keeps_its_own_number() {
        let (_folder, store) = open();
        let before = ids(&store, &["a", "b"]);
        store
            .write(|tx| {
                index::remove_all(tx, &path("b"))?;
                index::rename(tx, &path("a"), &path("b"))
            })
            .unwrap();
        assert_eq!(ids(&store, &["b"]), before[..1]);
    }

    #[test]
    fn favourites_are_each_users_own() {
        let (_folder, store) = open();
        let number = ids(&store, &["a"])[0];
        store.write(move |tx| set_favorite(tx, "anna", number, true)).unwrap();
        let of = |user: &str| Ids::open(&store.read().unwrap()).unwrap().favorites(user).unwrap();
        assert!(of("anna").contains(&number) && of("ann").is_empty() && of("bert").is_empty());
        store.write(|tx| forget_user(tx, "ann")).unwrap();
        assert_eq!(of("anna").len(), 1);
        store.write(|tx| forget_user(tx, "anna")).unwrap();
        assert_eq!(of("anna").len(), 0);
        store.write(move |tx| set_favorite(tx, "anna", number, true)).unwrap();
        store.write(move |tx| set_favorite(tx, "anna", number, false)).unwrap();
        assert!(of("anna").is_empty());
    }
}
