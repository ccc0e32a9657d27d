//! Which side the two versions of a file came from that both sides had changed: by the conflict copy that was made of one of them.
//!
//! They are known by their contents, so that what was changed or moved since is never taken for one of them. Only a node that was there when
//! the copy was made knows.

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::{ContentHash, KnownDigests, RelPath, ServiceId};

use super::StoreError;
use super::codec::{decode, encode, path_key};

/// By the path of the copy: in the library, or on the service for one that is only there. Programs that do not know this table leave it alone.
const ORIGINS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("conflict-origins");

/// What is known of the two versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The one that was in this library.
    pub here: Option<ContentHash>,
    /// The one that came from a service, as far as its digests are known.
    pub there: Option<(ServiceId, KnownDigests)>,
}

/// Where a version came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It was in this library.
    Library,
    /// From this service.
    Service(ServiceId),
}

impl Origin {
    /// Where a content came from; none where that is not known.
    pub fn source_of(&self, digests: &KnownDigests) -> Option<Source> {
        if self.here.is_some() && self.here == digests.content {
            return Some(Source::Library);
        }
        let (service, there) = self.there?;
        (there.agree(digests) == Some(true)).then_some(Source::Service(service))
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(ORIGINS)?;
    Ok(())
}

/// Remembers it of a copy that was made.
pub fn put(tx: &WriteTransaction, copy: &RelPath, origin: &Origin) -> Result<(), StoreError> {
    tx.open_table(ORIGINS)?.insert(path_key(copy).as_slice(), encode(origin)?.as_slice())?;
    Ok(())
}

/// Forgets a copy that somebody has decided about.
pub fn remove(tx: &WriteTransaction, copy: &RelPath) -> Result<(), StoreError> {
    tx.open_table(ORIGINS)?.remove(path_key(copy).as_slice())?;
    Ok(())
}

/// Reads what is known.
pub struct Origins(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Origins {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self(tx.open_table(ORIGINS)?))
    }

    /// What is known of a copy; perhaps nothing.
    pub fn get(&self, copy: &RelPath) -> Result<Origin, StoreError> {
        let row = self.0.get(path_key(copy).as_slice())?;
        row.map_or_else(|| Ok(Origin::default()), |row| decode(row.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digests;

    #[test]
    fn only_what_is_the_same_content_still_is_told() {
        let [here, there, other] = [b"here", b"them", b"else"].map(|bytes| KnownDigests::from(Digests::of(bytes)));
        let sha1 = |known: KnownDigests| KnownDigests { content: None, ..known };
        let origin = Origin { here: here.content, there: Some((ServiceId(3), sha1(there))) };
        let told = [here, there, sha1(there), other, sha1(here), KnownDigests::default()].map(|known| origin.source_of(&known));
        let service = Some(Source::Service(ServiceId(3)));
        assert_eq!(told, [Some(Source::Library), service, service, None, None, None]);
        let blind = Origin { there: Some((ServiceId(3), KnownDigests::default())), ..Origin::default() };
        assert_eq!([here, KnownDigests::default()].map(|known| blind.source_of(&known)), [None, None]);
    }
}
