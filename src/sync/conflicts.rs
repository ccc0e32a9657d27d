//! The conflict copies that exist now, known by their names. All that is remembered of them is which side each version came from.

use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::origins::{Origin, Origins, Source};
use crate::store::remote::RemoteView;
use crate::store::{Store, StoreError};
use crate::types::{CopyName, KnownDigests, LocalVersion, RelPath, RemoteVersion, ServiceId};

/// One version of a file, on whichever side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Bytes, if they are told.
    pub size: Option<u64>,
    /// Last modified, in seconds since 1970.
    pub modified: Option<i64>,
    /// Of its bytes, as far as they are known.
    pub digests: KnownDigests,
}

impl From<LocalVersion> for Version {
    fn from(version: LocalVersion) -> Self {
        Self { size: Some(version.size), modified: Some(version.mtime.seconds()), digests: version.digests.into() }
    }
}

impl From<RemoteVersion> for Version {
    fn from(version: RemoteVersion) -> Self {
        Self { size: version.size, modified: version.modified, digests: version.digests }
    }
}

/// Two versions of one file, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What the name of the copy tells.
    pub name: CopyName,
    /// The copy.
    pub copy: RelPath,
    /// What has the name here now.
    pub this: Option<LocalVersion>,
    /// The copy here; none when it is only on services.
    pub other: Option<LocalVersion>,
    /// The services that hold the copy, with what they said of it when they were last listed.
    pub services: Vec<(ServiceId, Version)>,
    /// Which side the versions came from, if this node was there.
    pub origin: Origin,
}

impl Conflict {
    /// Where a version of it came from; none where that is not known, or where it is none of the two any more.
    pub fn source_of(&self, version: &Version) -> Option<Source> {
        self.origin.source_of(&version.digests)
    }
}

/// Finds all conflict copies, in the library and in what the services last listed.
pub fn conflicts(store: &Store, services: &[ServiceId]) -> Result<Vec<Conflict>, StoreError> {
    let tx = store.read()?;
    let (index, origins) = (Index::open(&tx)?, Origins::open(&tx)?);
    let mut found: Vec<Conflict> = Vec::new();
    for item in index.with_in_name(CopyName::MARK)? {
        let (copy, row) = item?;
        let Some(name) = CopyName::parse(&copy) else { continue };
        let this = index.get(&name.original)?.map(|row| row.version());
        let origin = origins.get(&copy)?;
        found.push(Conflict { name, copy, this, other: Some(row.version()), services: Vec::new(), origin });
    }
    for service in services {
        let (baseline, view) = (Baseline::open(&tx, *service)?, RemoteView::open(&tx, *service)?);
        for conflict in found.iter_mut().filter(|conflict| conflict.other.is_some()) {
            let joined = baseline.get(&conflict.copy)?;
            let path = joined.as_ref().map_or(&conflict.copy, |row| row.remote_path(&conflict.copy));
            // One that the last sync made there has not been listed yet.
            let agreed = joined.as_ref().and_then(|row| row.base().remote);
            conflict.services.extend(view.get(path)?.or(agreed).map(|version| (*service, version.into())));
        }
        for item in view.with_in_name(CopyName::MARK)? {
            let (copy, version) = item?;
            let Some(name) = CopyName::parse(&copy) else { continue };
            // Where it was removed here already, the owner has decided.
            let here = baseline.elsewhere(&copy)?.is_some() || index.get(&copy)?.is_some() || baseline.get(&copy)?.is_some();
            if here {
                continue;
            }
            match found.iter_mut().find(|conflict| conflict.copy == copy) {
                Some(conflict) => conflict.services.push((*service, version.into())),
                None => {
                    let this = index.get(&name.original)?.map(|row| row.version());
                    let origin = origins.get(&copy)?;
                    found.push(Conflict { name, copy, this, other: None, services: vec![(*service, version.into())], origin });
                }
            }
        }
    }
    found.sort_by(|a, b| a.copy.cmp(&b.copy));
    Ok(found)
}
