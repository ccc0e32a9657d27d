//! What this node may have left on a service under names of its own: written down before it is made, so that what a run which was killed
//! left there is known for certain by the next one.

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::{ContentHash, RelPath, ServiceId};

use super::StoreError;
use super::codec::{decode, encode, service_key, service_range};

/// A table of traces: each of those who write to a service has its own, and removes what it has left itself.
#[derive(Clone, Copy)]
pub struct Traces(TableDefinition<'static, &'static [u8], &'static [u8]>);

/// What syncs and examinations leave.
pub const SYNC: Traces = Traces(TableDefinition::new("traces"));
/// What sharing leaves.
pub const SHARE: Traces = Traces(TableDefinition::new("share-traces"));

/// One thing of ours on a service. Paths are below its WebDAV root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trace {
    /// A file that is nothing but a copy of one that is here or there.
    Copy {
        /// Where it is.
        at: RelPath,
    },
    /// A file or folder of the owner's on its way from one name to another that some services take for the same.
    Between {
        /// Where it is.
        at: RelPath,
        /// Where it was before.
        from: RelPath,
    },
    /// An upload in pieces.
    Session {
        /// Its name.
        id: String,
        /// The file of the library that it brings.
        local: RelPath,
        /// What that file holds.
        content: ContentHash,
    },
}

impl Trace {
    /// What it is called on the service; no two are called alike.
    pub fn name(&self) -> &str {
        match self {
            Self::Copy { at } | Self::Between { at, .. } => at.name(),
            Self::Session { id, .. } => id,
        }
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(SYNC.0)?;
    tx.open_table(SHARE.0)?;
    Ok(())
}

impl Traces {
    /// Remembers that something of ours is going to be there.
    pub fn put(self, tx: &WriteTransaction, service: ServiceId, trace: &Trace) -> Result<(), StoreError> {
        tx.open_table(self.0)?.insert(service_key(service, trace.name().as_bytes()).as_slice(), encode(trace)?.as_slice())?;
        Ok(())
    }

    /// It is certainly not there any more.
    pub fn remove(self, tx: &WriteTransaction, service: ServiceId, name: &str) -> Result<(), StoreError> {
        tx.open_table(self.0)?.remove(service_key(service, name.as_bytes()).as_slice())?;
        Ok(())
    }

    /// Forgets all of a service.
    pub fn clear(self, tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
        let (start, end) = service_range(service);
        tx.open_table(self.0)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
        Ok(())
    }

    /// Everything of ours that may be on a service.
    pub fn all(self, tx: &ReadTransaction, service: ServiceId) -> Result<Vec<Trace>, StoreError> {
        let (start, end) = service_range(service);
        let rows: ReadOnlyTable<&[u8], &[u8]> = tx.open_table(self.0)?;
        rows.range(start.as_slice()..end.as_slice())?.map(|item| decode(item?.1.value())).collect()
    }

    /// What is written down under a name.
    pub fn get(self, tx: &ReadTransaction, service: ServiceId, name: &str) -> Result<Option<Trace>, StoreError> {
        tx.open_table(self.0)?.get(service_key(service, name.as_bytes()).as_slice())?.map(|row| decode(row.value())).transpose()
    }
}
