//! Conflict copies: what there is, and what the owner decides.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::Download;
use crate::library::{LibraryError, Stat, Tree};
use crate::reconcile::Deletes;
use crate::services::Service;
use crate::store::baseline::Baseline;
use crate::store::index::{FileRow, Index};
use crate::store::origins::{self, Source};
use crate::store::remote::RemoteView;
use crate::sync::{Conflict, Version, conflicts};
use crate::types::{Expect, Mtime, RelPath};

use super::blocking::blocking;
use super::care::{NotDone, moment};
use super::{ExitCode, Failure, Kind, Operations};

/// So many names are tried for a copy that is kept.
const NAMES: u32 = 1000;

/// Which version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The one that has the name.
    This,
    /// The copy.
    Other,
    /// Both: the copy gets a plain name.
    Both,
}

/// The side that a version was on when both had changed the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "side", rename_all = "lowercase")]
pub enum CameFrom {
    /// It was in this library.
    Library,
    /// It was on a service.
    Service {
        /// The service's name.
        service: String,
    },
}

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToldVersion {
    /// Bytes, if they are known.
    pub size: Option<u64>,
    /// When it was last modified.
    pub modified: Option<String>,
    /// Of its bytes, in hexadecimal.
    pub blake3: Option<String>,
    /// Of its bytes, in hexadecimal.
    pub sha1: Option<String>,
    /// Where it came from. Missing where this node does not know: it was not there when the copy was made, or made it before it remembered
    /// this, or the version is another one by now. A node whose peer made the copy knows of the copy only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<CameFrom>,
}

/// Two versions of one file, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToldConflict {
    /// The file.
    pub path: RelPath,
    /// The copy, which holds the other version.
    pub copy: RelPath,
    /// The service that the other version came from, as the node calls it that made the copy.
    pub service: String,
    /// When, in the time of the node that made the copy.
    pub when: String,
    /// The copy is in the library; otherwise only on services.
    pub here: bool,
    /// The services that hold the copy.
    pub on: Vec<String>,
    /// The version that has the name.
    pub this: Option<ToldVersion>,
    /// The version of the copy.
    pub other: Option<ToldVersion>,
}

impl ToldConflict {
    /// Whether it arose with this service. A copy of what was here was made by a peer, which calls this node so.
    pub fn is_with(&self, service: &str) -> bool {
        self.service == service && self.other.as_ref().is_none_or(|other| other.from != Some(CameFrom::Library))
    }
}

/// The conflict copies that exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConflictList {
    /// In the order of the copies' paths.
    pub conflicts: Vec<ToldConflict>,
}

/// What became of a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Resolved {
    /// The file.
    pub path: RelPath,
    /// The copy that there was.
    pub copy: RelPath,
    /// Which version was kept.
    pub kept: Keep,
    /// The paths that there are now.
    pub now: Vec<String>,
    /// Services that keep their copy: deletions are not followed there.
    pub stays_on: Vec<String>,
}

/// The version of a file that a service holds, on its way here.
pub struct RemoteCopy {
    /// Where it is, below the service's folder.
    pub path: RelPath,
    /// Bytes, if the service tells.
    pub size: Option<u64>,
    /// Its bytes.
    pub download: Download,
}

impl Operations {
    /// Begins to fetch the version that a service holds of a conflict copy, as it was when it was last listed. Nothing is stored.
    pub async fn fetch_conflict(&self, copy: RelPath, service: String) -> Result<RemoteCopy, Failure> {
        let service = self.service(service).await?;
        let (store, id) = (self.store.clone(), service.id);
        let (path, version) = blocking(move || {
            let held = |conflict: &Conflict| conflict.copy == copy && conflict.services.iter().any(|(service, _)| *service == id);
            if !conflicts(&store, &[id])?.iter().any(held) {
                return Err(Failure::not_found(format!("the service has no conflict copy {copy}; see `twinlens conflicts`")).about("copy"));
            }
            let tx = store.read()?;
            let joined = Baseline::open(&tx, id)?.get(&copy)?;
            let path = joined.as_ref().map_or(&copy, |row| row.remote_path(&copy)).clone();
            let listed = RemoteView::open(&tx, id)?.get(&path)?;
            let version = listed.or_else(|| joined.and_then(|row| row.base().remote));
            let gone = || Failure::not_found(format!("the service has {copy} no more")).about("copy");
            Ok((path, version.ok_or_else(gone)?))
        })
        .await?;
        let client = self.services.client(&service.name)?.at(&service.sync.folder)?;
        let download = client.get(&path, &version).await?;
        Ok(RemoteCopy { path, size: download.length.or(version.size), download })
    }

    /// The conflict copies that exist now, with both versions.
    pub(crate) async fn list_conflicts(&self) -> Result<ConflictList, Failure> {
        let services = self.services().await?;
        let store = self.store.clone();
        blocking(move || {
            let ids: Vec<_> = services.iter().map(|service| service.id).collect();
            let found = conflicts(&store, &ids)?;
            Ok(ConflictList { conflicts: found.iter().map(|conflict| shown(conflict, &services)).collect() })
        })
        .await
    }

    /// Carries out what the owner decided about a file or a copy of it, here. What is given up goes to the trash; the next sync carries it
    /// over.
    pub(crate) async fn resolve_conflict(&self, path: RelPath, keep: Keep) -> Result<Resolved, Failure> {
        let (tree, _) = self.library()?;
        let services = self.services().await?;
        let store = self.store.clone();
        blocking(move || {
            let ids: Vec<_> = services.iter().map(|service| service.id).collect();
            let found = conflicts(&store, &ids)?;
            let mut meant = found.iter().filter(|conflict| conflict.copy == path || conflict.name.original == path);
            let conflict = match (meant.next(), meant.next()) {
                (Some(one), None) => one,
                (Some(_), Some(_)) => {
                    return Err(Failure::wrong_state(format!(
                        "there are several copies of {path}; name the copy that is meant, see `twinlens conflicts`"
                    )));
                }
                _ => return Err(Failure::not_found(format!("there is no conflict copy of {path}; see `twinlens conflicts`"))),
            };
            if conflict.other.is_none() {
                let held: Vec<_> = names(conflict, &services).collect();
                return Err(Failure::wrong_state(format!(
                    "{} is not in the library, only on {}; decide there, or switch downloads on and sync",
                    conflict.copy,
                    held.join(", ")
                )));
            }
            let now = resolve(&tree, &Index::open(&store.read()?)?, conflict, keep)?;
            // A deletion that is not followed leaves the copy there.
            let stays: Vec<_> = services
                .iter()
                .filter(|service| keep != Keep::Both && service.sync.deletes == Deletes::Ignore)
                .filter(|service| conflict.services.iter().any(|(id, _)| *id == service.id))
                .map(|service| service.name.clone())
                .collect();
            let copy = conflict.copy.clone();
            // What stays costs some bytes, and is never taken for anything else.
            if let Err(error) = store.write(move |tx| origins::remove(tx, &copy)) {
                tracing::warn!(%error, "what was remembered of a conflict stays");
            }
            Ok(Resolved { path: conflict.name.original.clone(), copy: conflict.copy.clone(), kept: keep, now, stays_on: stays })
        })
        .await
    }
}

impl Operations {
    /// Keeps both versions of every conflict whose copy is here. Returns how many those were, and which were not resolved and why.
    pub async fn keep_both_everywhere(&self) -> Result<(u64, Vec<NotDone>), Failure> {
        let (mut resolved, mut failed) = (0, Vec::new());
        for conflict in self.list_conflicts().await?.conflicts.into_iter().filter(|conflict| conflict.here) {
            match self.resolve_conflict(conflict.copy.clone(), Keep::Both).await {
                Ok(_) => resolved += 1,
                Err(failure) => failed.push(NotDone::of(&conflict.copy, failure.message)),
            }
        }
        Ok((resolved, failed))
    }
}

/// Returns the paths that there are afterwards.
fn resolve(tree: &Tree, index: &Index, conflict: &Conflict, keep: Keep) -> Result<Vec<String>, Failure> {
    let Conflict { name, copy, .. } = conflict;
    let original = &name.original;
    let copy_row = as_indexed(tree, index, copy)?.ok_or_else(|| LibraryError::NotFound(copy.clone()))?;
    let original_row = as_indexed(tree, index, original)?;
    match keep {
        Keep::This if original_row.is_none() => {
            return Err(Failure::wrong_state(format!("{original} is gone; with --keep this nothing would be left, so use --keep other")));
        }
        Keep::This => tree.remove_file(copy, &Expect::Version(copy_row.version().into()))?,
        Keep::Other => tree.replace(copy, original)?,
        Keep::Both => {
            let mut number = 2;
            let free = loop {
                let free = original.with_note(&number.to_string());
                match tree.rename(copy, &free) {
                    Err(LibraryError::Exists(_)) if number < NAMES => number += 1,
                    other => break other.map(|()| free)?,
                }
            };
            return Ok(original_row.map(|_| original.to_string()).into_iter().chain([free.to_string()]).collect());
        }
    }
    Ok(vec![original.to_string()])
}

/// The row of a path, which must describe what is on disk: nobody decides about what they have not seen.
fn as_indexed(tree: &Tree, index: &Index, path: &RelPath) -> Result<Option<FileRow>, Failure> {
    let (row, stat) = (index.get(path)?, tree.stat(path)?);
    match (&row, &stat) {
        (None, None) => Ok(None),
        (Some(row), Some(stat)) if Stat::matches(stat, row) => Ok(Some(*row)),
        _ => Err(Failure::new(
            ExitCode::Failures,
            Kind::WrongState,
            format!("{path} has changed since the library was last looked at; nothing was done. Run `twinlens index` and look again"),
        )),
    }
}

fn names<'a>(conflict: &'a Conflict, services: &'a [Service]) -> impl Iterator<Item = &'a str> {
    let held = |service: &&Service| conflict.services.iter().any(|(id, _)| *id == service.id);
    services.iter().filter(held).map(|service| service.name.as_str())
}

fn shown(conflict: &Conflict, services: &[Service]) -> ToldConflict {
    let there = conflict.services.first().map(|(_, version)| version.clone());
    let other = conflict.other.map(Version::from).or(there);
    let version_shown = |version: Version| ToldVersion {
        size: version.size,
        modified: version.modified.and_then(|seconds| moment(Mtime::from_seconds(seconds))),
        blake3: version.digests.content.map(|digest| digest.to_string()),
        sha1: version.digests.sha1.map(|digest| digest.to_string()),
        from: conflict.source_of(&version).and_then(|source| came_from(source, services)),
    };
    ToldConflict {
        path: conflict.name.original.clone(),
        copy: conflict.copy.clone(),
        service: conflict.name.service.clone(),
        when: conflict.name.when.clone(),
        here: conflict.other.is_some(),
        on: names(conflict, services).map(str::to_owned).collect(),
        this: conflict.this.map(|version| version_shown(version.into())),
        other: other.map(version_shown),
    }
}

/// None for a service that was removed.
fn came_from(source: Source, services: &[Service]) -> Option<CameFrom> {
    match source {
        Source::Library => Some(CameFrom::Library),
        Source::Service(id) => {
            services.iter().find(|service| service.id == id).map(|service| CameFrom::Service { service: service.name.clone() })
        }
    }
}
