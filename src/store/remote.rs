//! The last look at each service: what it listed, in order. Kept on disk so that a large listing needs no memory.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, TableDefinition, WriteTransaction};

use crate::types::{KnownDigests, RelPath, RemoteVersion, ServiceId};

use super::codec::{
    after_service, decode, encode, has_in_name, member_range, path_key, path_of, service_key, service_range, successor, wanted_rows,
};
use super::index::subtree_ranges;
use super::{StoreError, listed};

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("remote");
/// (service, 'b' and BLAKE3 or 's' and SHA-1, path).
const BY_DIGEST: TableDefinition<&[u8], ()> = TableDefinition::new("remote-by-digest");

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(ROWS)?;
    tx.open_table(BY_DIGEST)?;
    Ok(())
}

fn digest_prefixes(service: ServiceId, digests: &KnownDigests) -> impl Iterator<Item = Vec<u8>> + use<> {
    let content = digests.content.map(|content| service_key(service, &[b"b", &content.0[..]].concat()));
    let sha1 = digests.sha1.map(|sha1| service_key(service, &[b"s", &sha1.0[..]].concat()));
    content.into_iter().chain(sha1)
}

/// Replaces what is known of the files directly in `folder`; true when anything was different. Only differences are written. A digest that was learned by reading the file
/// stays as long as the service tells the same version and no digest of its own.
pub fn set_folder(
    tx: &WriteTransaction,
    service: ServiceId,
    folder: &RelPath,
    files: &[(RelPath, RemoteVersion)],
) -> Result<bool, StoreError> {
    let (start, end) = member_range(folder, "");
    let (start, end) = (service_key(service, &start), service_key(service, &end));
    let mut known = std::collections::HashMap::new();
    {
        let rows = tx.open_table(ROWS)?;
        for item in rows.range(start.as_slice()..end.as_slice())? {
            let (key, row) = item?;
            known.insert(path_in(key.value())?, decode::<RemoteVersion>(row.value())?);
        }
    }
    let mut different = false;
    for (path, version) in files {
        let then = known.remove(path);
        let learned = then.as_ref().map(|then| then.digests).filter(|_| version.digests.is_empty());
        let told_before = then.as_ref().is_some_and(|then| version.unchanged_since(then));
        let version = match learned.filter(|_| told_before) {
            Some(digests) => &RemoteVersion { digests, ..version.clone() },
            None => version,
        };
        if then.as_ref() != Some(version) {
            put(tx, service, path, version)?;
            different = true;
        }
    }
    for path in known.keys() {
        remove(tx, service, path)?;
        different = true;
    }
    Ok(different)
}

/// Whether just this is known of a file.
pub fn is_known(tx: &WriteTransaction, service: ServiceId, path: &RelPath, version: &RemoteVersion) -> Result<bool, StoreError> {
    let row = encode(version)?;
    Ok(tx.open_table(ROWS)?.get(service_key(service, &path_key(path)).as_slice())?.is_some_and(|then| then.value() == row.as_slice()))
}

/// Sets what is known of one file. Only a difference is written.
pub fn put(tx: &WriteTransaction, service: ServiceId, path: &RelPath, version: &RemoteVersion) -> Result<(), StoreError> {
    if is_known(tx, service, path, version)? {
        return Ok(());
    }
    let (key, row) = (path_key(path), encode(version)?);
    remove(tx, service, path)?;
    tx.open_table(ROWS)?.insert(service_key(service, &key).as_slice(), row.as_slice())?;
    let mut by_digest = tx.open_table(BY_DIGEST)?;
    for prefix in digest_prefixes(service, &version.digests) {
        by_digest.insert([&prefix[..], &key].concat().as_slice(), ())?;
    }
    Ok(())
}

/// Adds the digests of a version that was proven earlier, if the file is still that one and the service does not tell them.
pub(super) fn learn(tx: &WriteTransaction, service: ServiceId, path: &RelPath, proven: &RemoteVersion) -> Result<(), StoreError> {
    let now: Option<RemoteVersion> =
        tx.open_table(ROWS)?.get(service_key(service, &path_key(path)).as_slice())?.map(|row| decode(row.value())).transpose()?;
    match now {
        Some(now) if now.digests.is_empty() && now.unchanged_since(proven) => {
            put(tx, service, path, &RemoteVersion { digests: proven.digests, ..now })
        }
        _ => Ok(()),
    }
}

/// Forgets one file.
pub fn remove(tx: &WriteTransaction, service: ServiceId, path: &RelPath) -> Result<(), StoreError> {
    let key = path_key(path);
    let old: RemoteVersion = match tx.open_table(ROWS)?.remove(service_key(service, &key).as_slice())? {
        Some(old) => decode(old.value())?,
        None => return Ok(()),
    };
    let mut by_digest = tx.open_table(BY_DIGEST)?;
    for prefix in digest_prefixes(service, &old.digests) {
        by_digest.remove([&prefix[..], &key].concat().as_slice())?;
    }
    Ok(())
}

/// Forgets the files of every folder that `keep` does not want kept.
pub fn retain_folders(tx: &WriteTransaction, service: ServiceId, keep: impl Fn(&RelPath) -> bool) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    {
        let rows = tx.open_table(ROWS)?;
        let (start, end) = service_range(service);
        for item in rows.range(start.as_slice()..end.as_slice())? {
            let path = path_in(item?.0.value())?;
            if !keep(&path.parent().unwrap_or_default()) {
                gone.push(path);
            }
        }
    }
    gone.iter().try_for_each(|path| remove(tx, service, path))
}

/// Forgets what is at a path: a file, or a folder with everything below it.
pub fn remove_all(tx: &WriteTransaction, service: ServiceId, path: &RelPath) -> Result<(), StoreError> {
    let mut gone = vec![path.clone()];
    {
        let rows = tx.open_table(ROWS)?;
        for (start, end) in listed::below(service, path) {
            for item in rows.range(start.as_slice()..end.as_slice())? {
                gone.push(path_in(item?.0.value())?);
            }
        }
    }
    gone.iter().try_for_each(|path| remove(tx, service, path))?;
    listed::remove_below(tx, service, path)
}

/// Forgets a service's listing.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    listed::clear(tx, service)?;
    let (start, end) = service_range(service);
    tx.open_table(ROWS)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    tx.open_table(BY_DIGEST)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    Ok(())
}

/// Reads one service's listing.
pub struct RemoteView {
    service: ServiceId,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    by_digest: ReadOnlyTable<&'static [u8], ()>,
}

/// A path and what the service told of it.
pub type Item = Result<(RelPath, RemoteVersion), StoreError>;

impl RemoteView {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        Ok(Self { service, rows: tx.open_table(ROWS)?, by_digest: tx.open_table(BY_DIGEST)? })
    }

    /// What is at a path.
    pub fn get(&self, path: &RelPath) -> Result<Option<RemoteVersion>, StoreError> {
        let key = service_key(self.service, &path_key(path));
        self.rows.get(key.as_slice())?.map(|row| decode(row.value())).transpose()
    }

    /// How many files there are at the most: those of all services.
    pub fn at_most(&self) -> Result<u64, StoreError> {
        Ok(self.rows.len()?)
    }

    /// All files, in order.
    pub fn all(&self) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let (start, end) = service_range(self.service);
        self.range(start, end)
    }

    /// The files whose names have this in them, in order. The others are passed over without being read.
    pub fn with_in_name(&self, mark: &'static str) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let (start, end) = service_range(self.service);
        Ok(wanted_rows(self.rows.range(start.as_slice()..end.as_slice())?, path_in, move |key| has_in_name(key, mark)))
    }

    /// The files directly in a folder whose names begin with `prefix`.
    pub fn members(&self, folder: &RelPath, prefix: &str) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let (start, end) = member_range(folder, prefix);
        self.range(service_key(self.service, &start), service_key(self.service, &end))
    }

    /// The files at or below a path.
    pub fn subtree(&self, path: &RelPath) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        let itself = self.get(path)?.map(|version| Ok((path.clone(), version)));
        let [members, deeper] =
            subtree_ranges(path).map(|(start, end)| (service_key(self.service, &start), service_key(self.service, &end)));
        Ok(itself.into_iter().chain(self.range(members.0, members.1)?).chain(self.range(deeper.0, deeper.1)?))
    }

    fn range(&self, start: Vec<u8>, end: Vec<u8>) -> Result<impl Iterator<Item = Item> + use<>, StoreError> {
        Ok(wanted_rows(self.rows.range(start.as_slice()..end.as_slice())?, path_in, |_| true))
    }

    /// The first path that the service says holds this content, and that is `wanted`.
    pub fn holding_where(&self, digests: &KnownDigests, wanted: &dyn Fn(&RelPath) -> bool) -> Result<Option<RelPath>, StoreError> {
        for prefix in digest_prefixes(self.service, digests) {
            let end = successor(&prefix);
            for item in self.by_digest.range(prefix.as_slice()..end.as_slice())? {
                let path = path_of(item?.0.value().get(prefix.len()..).unwrap_or_default())?;
                if wanted(&path) {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }
}

/// The path in a key of this table.
fn path_in(key: &[u8]) -> Result<RelPath, StoreError> {
    path_of(after_service(key)?)
}
