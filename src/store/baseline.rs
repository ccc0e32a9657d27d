//! The baseline: per service and path, what both sides agreed on when they were last in step.
//!
//! The key is the local path. Where the remote path differs, the row names it and a second table leads back.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::reconcile::Base;
use crate::types::{ContentHash, Evidence, KnownDigests, LocalVersion, RelPath, RemoteVersion, ServiceId};

use super::codec::{after_service, decode, encode, member_range, path_key, path_of, service_key, service_range, successor};
use super::{StoreError, listed, remote};

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("baseline");
const BY_REMOTE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("baseline-by-remote");
/// Which remote path holds a content that was in step: (service, SHA-1, remote path).
const REMOTE_CONTENT: TableDefinition<&[u8], ()> = TableDefinition::new("baseline-remote-content");

/// What it is known by that the service holds a content which was in step: (service, local path) -> content and level.
const PROOFS: TableDefinition<&[u8], ([u8; 32], u8)> = TableDefinition::new("baseline-proofs");

/// One agreement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseRow {
    /// The path on the service, when it differs from the local one.
    remote_path: Option<RelPath>,
    local: Option<LocalVersion>,
    remote: Option<RemoteVersion>,
}

impl BaseRow {
    /// An agreement about `local` (path) and `remote` (path); a missing half is a tombstone. One without a remote half claims no remote
    /// path: whatever appears there later is a file of its own.
    pub fn new(local_path: &RelPath, remote_path: &RelPath, base: Base) -> Self {
        let remote_path = (local_path != remote_path && base.remote.is_some()).then(|| remote_path.clone());
        Self { remote_path, local: base.local, remote: base.remote }
    }

    /// Where the file is on the service, given where it is here.
    pub fn remote_path<'a>(&'a self, local_path: &'a RelPath) -> &'a RelPath {
        self.remote_path.as_ref().unwrap_or(local_path)
    }

    /// What was agreed.
    pub fn base(&self) -> Base {
        Base { local: self.local, remote: self.remote.clone() }
    }

    /// Whether it remembers a deletion.
    pub fn is_tombstone(&self) -> bool {
        self.local.is_none() || self.remote.is_none()
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(ROWS)?;
    tx.open_table(BY_REMOTE)?;
    tx.open_table(REMOTE_CONTENT)?;
    tx.open_table(PROOFS)?;
    Ok(())
}

/// The keys that lead to a row from the remote side.
fn remote_keys(service: ServiceId, local_path: &RelPath, row: &BaseRow) -> (Vec<u8>, Option<Vec<u8>>) {
    let remote = path_key(row.remote_path(local_path));
    // The local digest is the one that was proven; a tombstone holds no content anywhere.
    let sha1 = row.local.filter(|_| row.remote.is_some()).map(|local| local.digests.sha1);
    let content = sha1.map(|sha1| service_key(service, &[&sha1.0[..], &remote].concat()));
    (service_key(service, &remote), content)
}

/// Records an agreement. Called only with a receipt in hand (see `sync::record`).
pub fn put(tx: &WriteTransaction, service: ServiceId, local_path: &RelPath, row: &BaseRow) -> Result<(), StoreError> {
    remove(tx, service, local_path)?;
    if let Some(other) = owner(tx, service, row.remote_path(local_path))?.filter(|_| row.remote.is_some()) {
        remove(tx, service, &other)?;
    }
    let key = service_key(service, &path_key(local_path));
    tx.open_table(ROWS)?.insert(key.as_slice(), encode(row)?.as_slice())?;
    let (by_remote, content) = remote_keys(service, local_path, row);
    if row.remote_path.is_some() {
        tx.open_table(BY_REMOTE)?.insert(by_remote.as_slice(), path_key(local_path).as_slice())?;
    }
    if let Some(content) = content {
        tx.open_table(REMOTE_CONTENT)?.insert(content.as_slice(), ())?;
    }
    Ok(())
}

/// Records what the proof rests on that the service holds this content of an agreement.
pub fn prove(
    tx: &WriteTransaction,
    service: ServiceId,
    local_path: &RelPath,
    (content, evidence): (ContentHash, Evidence),
) -> Result<(), StoreError> {
    let level = Evidence::ALL.iter().position(|level| *level == evidence).unwrap_or(0) as u8;
    tx.open_table(PROOFS)?.insert(service_key(service, &path_key(local_path)).as_slice(), (content.0, level))?;
    Ok(())
}

/// What was proven of an agreement, as a transaction that is going to replace it sees it.
pub fn proof_to_change(
    tx: &WriteTransaction,
    service: ServiceId,
    local_path: &RelPath,
) -> Result<Option<(ContentHash, Evidence)>, StoreError> {
    Ok(tx.open_table(PROOFS)?.get(service_key(service, &path_key(local_path)).as_slice())?.and_then(|row| proof_of(row.value())))
}

fn proof_of((content, level): ([u8; 32], u8)) -> Option<(ContentHash, Evidence)> {
    Evidence::ALL.get(usize::from(level)).map(|evidence| (ContentHash(content), *evidence))
}

/// The local path of the agreement that claims a remote path: there is never more than one.
fn owner(tx: &WriteTransaction, service: ServiceId, remote_path: &RelPath) -> Result<Option<RelPath>, StoreError> {
    let key = service_key(service, &path_key(remote_path));
    if let Some(path) = tx.open_table(BY_REMOTE)?.get(key.as_slice())? {
        return path_of(path.value()).map(Some);
    }
    let row = match tx.open_table(ROWS)?.get(key.as_slice())? {
        Some(row) => decode::<BaseRow>(row.value())?,
        None => return Ok(None),
    };
    Ok((row.remote_path.is_none() && row.remote.is_some()).then(|| remote_path.clone()))
}

/// Drops an agreement.
pub fn remove(tx: &WriteTransaction, service: ServiceId, local_path: &RelPath) -> Result<(), StoreError> {
    let key = service_key(service, &path_key(local_path));
    let row: BaseRow = match tx.open_table(ROWS)?.remove(key.as_slice())? {
        Some(row) => decode(row.value())?,
        None => return Ok(()),
    };
    tx.open_table(PROOFS)?.remove(key.as_slice())?;
    let (by_remote, content) = remote_keys(service, local_path, &row);
    if row.remote_path.is_some() {
        tx.open_table(BY_REMOTE)?.remove(by_remote.as_slice())?;
    }
    if let Some(content) = content {
        tx.open_table(REMOTE_CONTENT)?.remove(content.as_slice())?;
    }
    Ok(())
}

/// Drops the agreements about files that both sides had: the library is not the one any more that they were made about. Deletions stay
/// remembered, and so does what the service's files are, where it does not tell by itself.
pub fn distrust(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    let mut dropped = Vec::new();
    for item in tx.open_table(ROWS)?.range(start.as_slice()..end.as_slice())? {
        let (key, row) = item?;
        let row: BaseRow = decode(row.value())?;
        if !row.is_tombstone() {
            dropped.push((path_of(after_service(key.value())?)?, row));
        }
    }
    for (path, row) in dropped {
        if let Some(then) = &row.remote {
            remote::learn(tx, service, row.remote_path(&path), then)?;
        }
        remove(tx, service, &path)?;
    }
    listed::unsettle(tx, service)
}

/// Drops all agreements with a service.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    let range = start.as_slice()..end.as_slice();
    tx.open_table(ROWS)?.retain_in(range.clone(), |_, _| false)?;
    tx.open_table(BY_REMOTE)?.retain_in(range.clone(), |_, _| false)?;
    tx.open_table(PROOFS)?.retain_in(range.clone(), |_, _| false)?;
    tx.open_table(REMOTE_CONTENT)?.retain_in(range, |_, _| false)?;
    Ok(())
}

/// A local path, the content that was proven to be on the service, and how.
pub type Proven = (RelPath, (ContentHash, Evidence));

/// Reads the agreements with one service.
pub struct Baseline {
    service: ServiceId,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
    by_remote: ReadOnlyTable<&'static [u8], &'static [u8]>,
    remote_content: ReadOnlyTable<&'static [u8], ()>,
    proofs: ReadOnlyTable<&'static [u8], ([u8; 32], u8)>,
}

impl Baseline {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        let (rows, by_remote) = (tx.open_table(ROWS)?, tx.open_table(BY_REMOTE)?);
        Ok(Self { service, rows, by_remote, remote_content: tx.open_table(REMOTE_CONTENT)?, proofs: tx.open_table(PROOFS)? })
    }

    /// The agreement about a local path.
    pub fn get(&self, local_path: &RelPath) -> Result<Option<BaseRow>, StoreError> {
        let key = service_key(self.service, &path_key(local_path));
        self.rows.get(key.as_slice())?.map(|row| decode(row.value())).transpose()
    }

    /// The local path of an agreement about a remote path, where the two differ.
    pub fn elsewhere(&self, remote_path: &RelPath) -> Result<Option<RelPath>, StoreError> {
        let key = service_key(self.service, &path_key(remote_path));
        self.by_remote.get(key.as_slice())?.map(|path| path_of(path.value())).transpose()
    }

    /// All agreements, in order of the local path.
    pub fn all(&self) -> Result<impl Iterator<Item = Result<(RelPath, BaseRow), StoreError>> + use<>, StoreError> {
        let (start, end) = service_range(self.service);
        let range = self.rows.range(start.as_slice()..end.as_slice())?;
        Ok(range.map(|item| {
            let (key, row) = item?;
            Ok((path_of(after_service(key.value())?)?, decode(row.value())?))
        }))
    }

    /// The agreements about files directly in a folder, from a name on, in the order of the names.
    pub fn members_from(
        &self,
        folder: &RelPath,
        from: &str,
    ) -> Result<impl Iterator<Item = Result<(RelPath, BaseRow), StoreError>> + use<>, StoreError> {
        let (start, end) = self.range_from(folder, from);
        Ok(self.rows.range(start.as_slice()..end.as_slice())?.map(|item| {
            let (key, row) = item?;
            Ok((path_of(after_service(key.value())?)?, decode(row.value())?))
        }))
    }

    /// What was proven of them.
    pub fn proofs_from(
        &self,
        folder: &RelPath,
        from: &str,
    ) -> Result<impl Iterator<Item = Result<Proven, StoreError>> + use<>, StoreError> {
        let (start, end) = self.range_from(folder, from);
        Ok(self.proofs.range(start.as_slice()..end.as_slice())?.filter_map(|item| match item {
            Ok((key, row)) => proof_of(row.value()).map(|proof| Ok((path_of(after_service(key.value())?)?, proof))),
            Err(error) => Some(Err(error.into())),
        }))
    }

    fn range_from(&self, folder: &RelPath, from: &str) -> (Vec<u8>, Vec<u8>) {
        let (start, _) = member_range(folder, from);
        let (_, end) = member_range(folder, "");
        (service_key(self.service, &start), service_key(self.service, &end))
    }

    /// The agreements that remember a deletion, in order of the local path.
    pub fn tombstones(&self) -> Result<impl Iterator<Item = Result<(RelPath, BaseRow), StoreError>> + use<>, StoreError> {
        Ok(self.all()?.filter(|item| item.as_ref().map_or(true, |(_, row)| row.is_tombstone())))
    }

    /// The remote paths that were in step with this content.
    pub fn holding(&self, digests: &KnownDigests) -> Result<Vec<RelPath>, StoreError> {
        let Some(sha1) = digests.sha1 else { return Ok(Vec::new()) };
        let start = service_key(self.service, &sha1.0);
        let end = successor(&start);
        let mut paths = Vec::new();
        for item in self.remote_content.range(start.as_slice()..end.as_slice())? {
            paths.push(path_of(item?.0.value().get(start.len()..).unwrap_or_default())?);
        }
        Ok(paths)
    }
}
