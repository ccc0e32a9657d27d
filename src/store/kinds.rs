//! What the first bytes of a service's files told of them, where their names do not: so that nobody asks twice for the same version.

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};

use crate::types::{MediaKind, RelPath, RemoteVersion, ServiceId};

use super::StoreError;
use super::codec::{decode, encode, path_key, service_key, service_range};

/// By service and path: the version whose bytes were looked at, and what it is.
const KINDS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("remote-kinds");

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(KINDS)?;
    Ok(())
}

/// Keeps what a version turned out to be.
pub fn put(tx: &WriteTransaction, service: ServiceId, path: &RelPath, version: &RemoteVersion, kind: MediaKind) -> Result<(), StoreError> {
    let key = service_key(service, &path_key(path));
    tx.open_table(KINDS)?.insert(key.as_slice(), encode(&(version, kind))?.as_slice())?;
    Ok(())
}

/// Forgets what is known of a service's files.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    tx.open_table(KINDS)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    Ok(())
}

/// Reads what is known of one service's files.
pub struct Kinds {
    service: ServiceId,
    kinds: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Kinds {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        Ok(Self { service, kinds: tx.open_table(KINDS)? })
    }

    /// What this version of a file is, if it was looked at.
    pub fn get(&self, path: &RelPath, now: &RemoteVersion) -> Result<Option<MediaKind>, StoreError> {
        let Some(row) = self.kinds.get(service_key(self.service, &path_key(path)).as_slice())? else { return Ok(None) };
        let (then, kind): (RemoteVersion, MediaKind) = decode(row.value())?;
        Ok(now.unchanged_since(&then).then_some(kind))
    }
}
