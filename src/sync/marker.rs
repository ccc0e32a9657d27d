//! Whose library is behind a service: never this one, and the same as the last time.
//!
//! A library that is synced with itself, with a part of itself or with a folder that holds it, copies itself into itself for ever and deletes
//! what it has just copied. Nothing that a server tells proves that it is another place: a proxy may strip properties, a server may hide names
//! that begin with a dot, links lead anywhere. So, besides what is told, a probe is put on one side and looked for on the other, the first time
//! that a service is about to be changed, and again when anything about the two places is different.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::client::{Client, ClientError, Listing, Payload};
use crate::library::{self, Found, LibraryError, Probe};
use crate::store::baseline::{self, Baseline};
use crate::store::documents::MET;
use crate::store::listed;
use crate::store::traces::Trace;
use crate::store::{Store, StoreError};
use crate::types::media::{OWN_FOLDER, PROBE_PREFIX};
use crate::types::{Digests, Expect, LibraryId, LocalVersion, Mtime, RelPath, RemoteVersion, ServiceId};

use super::observe::Observed;
use super::run::{Sync, SyncError, blocking};

/// A marker is some 200 bytes.
const MARKER_LIMIT: usize = 4 << 10;
const PROBE_TEXT: &str = "Twinlens made this file to find out whether a service leads to its own library. It can be deleted.\n";

/// How the service's folder and the library are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlap {
    /// They are the same.
    Same,
    /// The service's folder is this folder of the library.
    Inside(RelPath),
    /// The service's folder holds the library: under this path, where it is known.
    Around(Option<RelPath>),
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Overlap::Same => f.write_str("this service leads to the very library that is to be synced")?,
            Overlap::Inside(folder) => write!(f, "this service leads to the folder {folder} of the very library that is to be synced")?,
            Overlap::Around(Some(path)) => write!(f, "the service's folder holds the very library that is to be synced, as {path}")?,
            Overlap::Around(None) => f.write_str("the service's folder holds the very library that is to be synced, somewhere below")?,
        }
        f.write_str(
            ", perhaps through another server on the same disk; nothing was changed. Give the service the address of another node, or another \
             folder with `twinlens service sync NAME --folder /F`. --force does not go past this: a library that is synced with itself is \
             copied into itself, and loses files. (If it is a copy of this library's disk, remove the folder .twinlens from the copy first)",
        )
    }
}

/// What is remembered of a service between runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Met {
    /// The library that it was.
    library: Option<LibraryId>,
    /// The two places that were found to be different ones.
    apart: Option<Places>,
    /// The service overwrites what a PUT says must not be there (`If-None-Match: *`).
    overwrites: bool,
}

/// Two places between which a probe was tried, and whether it could be put on the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Places {
    url: String,
    root: String,
    device: u64,
    inode: u64,
    uploads: bool,
}

/// The library that was behind a service's folder in its runs, if it told.
pub fn met(store: &Store, service: ServiceId) -> Result<Option<LibraryId>, StoreError> {
    Ok(MET.get::<Met>(&store.read()?, &service.0.to_string())?.unwrap_or_default().library)
}

/// Whether a folder of a service, which was listed, is the root of this library.
pub async fn leads_to(client: &Client, listing: &Listing, own: LibraryId) -> bool {
    let told = listing.library_id.as_ref().and_then(|id| id.parse().ok());
    told == Some(own) || matches!(marker_in(client, &RelPath::root()).await, Ok(Some(found)) if found == own)
}

/// The library whose marker a folder of a service shows. Servers that do not show it say so in many ways.
async fn marker_in(client: &Client, folder: &RelPath) -> Result<Option<LibraryId>, ClientError> {
    let Ok(path) = folder.join(OWN_FOLDER).and_then(|own| own.join("library.toml")) else { return Ok(None) };
    let mut download = match client.get(&path, &RemoteVersion::default()).await {
        Ok(download) => download,
        Err(error) if error.stops_everything() => return Err(error),
        Err(_) => return Ok(None),
    };
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = download.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MARKER_LIMIT {
            return Ok(None);
        }
    }
    Ok(str::from_utf8(&bytes).ok().and_then(library::marker_of))
}

impl Sync {
    /// Compares what the service says it is with the library and with the last run.
    pub(super) async fn meet(&self, observed: &Observed) -> Result<(), SyncError> {
        if observed.is_missing && !self.options.force && self.was_in_step()? {
            return Err(SyncError::FolderGone(self.service.sync.folder.clone()));
        }
        let mut now = observed.library;
        for folder in &observed.markers {
            let found = marker_in(&self.client, folder).await?;
            match found {
                Some(id) if id == self.library_id && folder.is_root() => return Err(SyncError::SameLibrary(Overlap::Same)),
                Some(id) if id == self.library_id => return Err(SyncError::SameLibrary(Overlap::Around(Some(folder.clone())))),
                _ if folder.is_root() => now = now.or(found),
                _ => {}
            }
        }
        if now == Some(self.library_id) {
            return Err(SyncError::SameLibrary(Overlap::Same));
        }
        let met = self.met()?;
        match (met.library, now) {
            // Without an id nothing can be said: not every server tells one.
            (_, None) => Ok(()),
            (Some(then), Some(now)) if then == now => Ok(()),
            (Some(then), Some(now)) if !self.options.force || self.options.dry_run => Err(SyncError::OtherLibrary { then, now }),
            _ if self.options.dry_run => Ok(()),
            (then, now) => self.remember(Met { library: now, ..Met::default() }, then.is_some()).await,
        }
    }

    /// Makes sure that the service's folder and the library are different places, before the first change to either.
    pub(super) async fn rule_out_itself(&self, observed: &Observed) -> Result<(), SyncError> {
        let (met, places) = (self.met()?, self.places()?);
        if met.apart.as_ref() == Some(&places) {
            self.delivery.set_overwrites(met.overwrites);
            return Ok(());
        }
        // A node that only tells what changed is who it was.
        let library = observed.library.or(met.library.filter(|_| observed.is_node));
        if let Some(overlap) = self.find_overlap(observed, library).await? {
            return Err(SyncError::SameLibrary(overlap));
        }
        let overwrites = self.delivery.overwrites();
        self.remember(Met { apart: Some(places), overwrites, ..met }, false).await
    }

    async fn find_overlap(&self, observed: &Observed, library: Option<LibraryId>) -> Result<Option<Overlap>, SyncError> {
        let library = match library {
            None if observed.is_missing => self.library_above().await?,
            told => told,
        };
        if let Some(id) = library {
            // Every library has a marker at its root, and ours knows all its folders.
            let tree = self.tree.clone();
            let found = blocking(move || Ok(library::find_marker(&tree, id)?)).await?;
            return Ok(found.filter(|found| !is_above_nothing(found, observed)).map(Overlap::from));
        }
        // A marker may be hidden in listings and still be there.
        let folder = &self.service.sync.folder;
        for above in std::iter::once(folder.clone()).chain(folder.ancestors()) {
            if marker_in(&self.root, &above).await? == Some(self.library_id) {
                let below = folder.strip_prefix(&above).unwrap_or_default();
                return Ok(Some(if below.is_root() { Overlap::Same } else { Overlap::Inside(below) }));
            }
        }
        if self.policy.upload
            && let Some(verdict) = self.probe_there(observed).await?
        {
            return Ok(verdict);
        }
        self.probe_here().await
    }

    /// The library that a node says it is, where the service's folder is not there yet. It need not be tried out with a file, which would end in
    /// its trash.
    async fn library_above(&self) -> Result<Option<LibraryId>, SyncError> {
        for above in self.service.sync.folder.ancestors() {
            if let Some(root) = self.root.at(&above)?.look_at_root().await? {
                return Ok(root.library_id.and_then(|id| id.parse().ok()));
            }
        }
        Ok(None)
    }

    /// Puts a file on the service and looks for it on the library's disk. None when the service does not take it.
    async fn probe_there(&self, observed: &Observed) -> Result<Option<Option<Overlap>>, SyncError> {
        let name = probe_name();
        let is_there = !observed.is_missing;
        let folder = &self.service.sync.folder;
        for at in std::iter::once(folder.clone()).chain(folder.ancestors()) {
            let Ok(path) = at.join(&name) else { return Ok(None) };
            self.delivery.leave_trace(Trace::Copy { at: path.clone() }).await?;
            let bytes = Bytes::from_static(PROBE_TEXT.as_bytes());
            let version =
                LocalVersion { size: bytes.len() as u64, mtime: Mtime::from(std::time::SystemTime::now()), digests: Digests::of(&bytes) };
            let put = async || self.root.put(&path, &version, &Expect::Absent, Payload::Whole(bytes.clone())).await;
            let sent = put().await;
            match &sent {
                Err(error) if error.stops_everything() => return Err(SyncError::Client(error.clone())),
                // The folder is not there yet, which nginx answers with 500. Where it will be is decided by those above it.
                Err(ClientError::NotFound(_) | ClientError::Status { .. }) if !is_there => continue,
                _ => {}
            }
            if sent.is_ok() {
                // Now it is there: nginx and rclone take it a second time.
                self.delivery.set_overwrites(put().await.is_ok());
            }
            let tree = self.tree.clone();
            let found = blocking({
                let name = name.clone();
                move || Ok(library::take_probe(&tree, &name)?)
            })
            .await;
            // Folders that have changed for this reason need no closer look.
            if let Some(at) = at.strip_prefix(folder) {
                let (store, service) = (self.store.clone(), self.service.id);
                blocking(move || Ok(store.write_soon(move |tx| listed::wrote_in(tx, service, &at))?)).await?;
            }
            // What was refused may have been kept all the same.
            match self.delivery.remove_for_certain(&path).await {
                Ok(true) => self.delivery.forget_traces(vec![name]).await?,
                Ok(false) => tracing::warn!(service = %self.service.name, %path, "a file of ours will be removed by the next run"),
                Err(error) => tracing::warn!(service = %self.service.name, %path, %error, "a file of ours will be removed by the next run"),
            }
            return match found? {
                Some(found) if is_above_nothing(&found, observed) => Ok(Some(None)),
                Some(found) => Ok(Some(Some(found.into()))),
                None => Ok(sent.is_ok().then_some(None)),
            };
        }
        Ok(None)
    }

    /// Puts a file into the library and looks for it on the service.
    async fn probe_here(&self) -> Result<Option<Overlap>, SyncError> {
        let name = probe_name();
        let Ok(path) = RelPath::parse(&name) else { return Ok(None) };
        let tree = self.tree.clone();
        let probe = blocking(move || Ok(Probe::new(&tree, &name, PROBE_TEXT))).await?;
        let probe = match probe {
            Ok(probe) => probe,
            // A library that cannot be written to is not changed by a sync either.
            Err(error) => {
                tracing::debug!(%error, "no probe could be put into the library");
                return Ok(None);
            }
        };
        let seen = self.client.look(&path).await;
        drop(probe);
        match seen {
            Ok(Some(_)) => Ok(Some(Overlap::Same)),
            Err(error) if error.stops_everything() => Err(error.into()),
            _ => Ok(None),
        }
    }

    fn was_in_step(&self) -> Result<bool, SyncError> {
        for row in Baseline::open(&self.store.read()?, self.service.id)?.all()? {
            if !row?.1.is_tombstone() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn met(&self) -> Result<Met, SyncError> {
        Ok(MET.get(&self.store.read()?, &self.service.id.0.to_string())?.unwrap_or_default())
    }

    fn places(&self) -> Result<Places, SyncError> {
        let root = self.tree.root();
        let metadata = std::fs::metadata(root).map_err(|source| LibraryError::Io { path: root.display().to_string(), source })?;
        Ok(Places {
            url: self.client.url().to_owned(),
            root: root.display().to_string(),
            device: metadata.dev(),
            inode: metadata.ino(),
            uploads: self.policy.upload,
        })
    }

    async fn remember(&self, met: Met, anew: bool) -> Result<(), SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || {
            Ok(store.write(move |tx| {
                if anew {
                    baseline::clear(tx, service)?;
                }
                MET.put(tx, &service.0.to_string(), &met)
            })?)
        })
        .await
    }
}

impl From<Found> for Overlap {
    fn from(found: Found) -> Self {
        match found {
            Found::Inside(folder) if folder.is_root() => Self::Same,
            Found::Inside(folder) => Self::Inside(folder),
            Found::Above(_) => Self::Around(None),
        }
    }
}

/// A folder that is not there cannot hold the library, even if a folder above it does.
fn is_above_nothing(found: &Found, observed: &Observed) -> bool {
    observed.is_missing && matches!(found, Found::Above(_))
}

/// Without a dot at its beginning: some servers refuse or hide such names.
fn probe_name() -> String {
    format!("{PROBE_PREFIX}{}", Uuid::new_v4().simple())
}
