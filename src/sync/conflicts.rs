//! The conflict copies that exist now, known by their names: nothing is remembered of them anywhere else.

use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::store::{Store, StoreError};
use crate::types::{KnownDigests, LocalVersion, RelPath, RemoteVersion, ServiceId};

const OPENING: &str = " (conflict ";
const STAMP: &str = "YYYY-MM-DD HHMMSS";

/// What the name of a conflict copy tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyName {
    /// The file that it is another version of. A very long name was cut for the copy.
    pub original: RelPath,
    /// The service that it came from.
    pub service: String,
    /// When, in the time of the node that made it.
    pub when: String,
}

impl CopyName {
    /// Reads `NAME (conflict SERVICE YYYY-MM-DD HHMMSS).EXT`.
    pub fn parse(path: &RelPath) -> Option<Self> {
        let name = path.name();
        let (stem, rest) = name.rsplit_once(OPENING)?;
        let (inner, tail) = rest.rsplit_once(')')?;
        let cut = inner.len().checked_sub(STAMP.len())?;
        let (service, when) = (inner.get(..cut)?.strip_suffix(' ')?, inner.get(cut..)?);
        let as_stamp = |(here, there): (char, char)| if there.is_ascii_alphabetic() { here.is_ascii_digit() } else { here == there };
        let is_stamp = when.chars().zip(STAMP.chars()).all(as_stamp);
        if service.is_empty() || !is_stamp || !(tail.is_empty() || tail.starts_with('.')) {
            return None;
        }
        let original = path.with_name(&format!("{stem}{tail}")).ok()?;
        Some(Self { original, service: service.to_owned(), when: when.to_owned() })
    }
}

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
}

/// Finds all conflict copies, in the library and in what the services last listed.
pub fn conflicts(store: &Store, services: &[ServiceId]) -> Result<Vec<Conflict>, StoreError> {
    let tx = store.read()?;
    let index = Index::open(&tx)?;
    let mut found: Vec<Conflict> = Vec::new();
    for item in index.all()? {
        let (copy, row) = item?;
        let Some(name) = CopyName::parse(&copy) else { continue };
        let this = index.get(&name.original)?.map(|row| row.version());
        found.push(Conflict { name, copy, this, other: Some(row.version()), services: Vec::new() });
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
        for item in view.all()? {
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
                    found.push(Conflict { name, copy, this, other: None, services: vec![(*service, version.into())] });
                }
            }
        }
    }
    found.sort_by(|a, b| a.copy.cmp(&b.copy));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, String, String)> {
        let found = CopyName::parse(&RelPath::parse(text).unwrap())?;
        Some((found.original.to_string(), found.service, found.when))
    }

    #[test]
    fn what_was_made_is_known_again() {
        for (original, service) in [("a/b.jpg", "home"), ("x", "my.cloud"), ("a (1).tar.gz", "a (b) c"), (".hidden", "peer")] {
            let path = RelPath::parse(original).unwrap();
            let copy = path.with_note(&format!("conflict {service} 2026-01-02 030405"));
            assert_eq!(parse(copy.as_str()), Some((original.into(), service.into(), "2026-01-02 030405".into())), "{copy}");
        }
    }

    #[test]
    fn other_names_are_not_taken_for_copies() {
        for name in ["x (conflict).jpg", "x (conflict a 2026-1-2 030405).jpg", "x (conflict 2026-01-02 030405).jpg", "(conflict a).jpg"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
