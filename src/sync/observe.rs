//! Looking at both sides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::task::JoinSet;

use crate::client::{ClientError, Listing, Member};
use crate::events::Event;
use crate::library::{self, ScanReport};
use crate::reconcile::Coverage;
use crate::store::remote;
use crate::types::{Digests, Hasher, RelPath, RemoteVersion};

use super::Noted;
use super::filter::is_litter;
use super::run::{Sync, SyncError, blocking};

/// What a look at the service found; the files themselves are in the store.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// What could not be seen.
    pub coverage: Coverage,
    /// The folders that are there, with the number of their members.
    pub folders: HashMap<RelPath, usize>,
    /// True when the service is a node: its writes are atomic and its entity tags are content.
    pub is_node: bool,
    /// Files that no library can hold, and why.
    pub unnamable: Vec<Noted>,
}

impl Sync {
    /// Brings the index up to date.
    pub(super) async fn observe_local(&self) -> Result<ScanReport, SyncError> {
        let (tree, events) = (self.tree.clone(), self.events.clone());
        blocking(move || {
            let mut report = library::scan_quiet(&tree, &events, &AtomicBool::new(false))?;
            for path in &report.growing {
                report.coverage.exclude(path.clone(), library::GROWING);
            }
            Ok(report)
        })
        .await
    }

    /// Lists the service's folder and everything below, several folders at a time. An error at the root ends the run; further down it
    /// leaves a gap in the coverage.
    pub(super) async fn observe_remote(self: &Arc<Self>) -> Result<Observed, SyncError> {
        let mut observed = Observed::default();
        let mut waiting = vec![RelPath::root()];
        let mut running = JoinSet::new();
        loop {
            while running.len() < self.options.parallel
                && let Some(folder) = waiting.pop()
            {
                let sync = Arc::clone(self);
                running.spawn(async move {
                    let listed = sync.client.list(&folder).await;
                    (folder, listed)
                });
            }
            let Some(done) = running.join_next().await else { break };
            let (folder, listed) = done.map_err(SyncError::crashed)?;
            match listed {
                Ok(Some(listing)) => {
                    waiting.extend(self.take_listing(&mut observed, folder, listing).await?);
                    let folders = observed.folders.len() as u64;
                    self.events.publish(Event::Listing { service: self.service.name.clone(), folders });
                }
                // The folder does not exist (yet): that is a complete answer. Removed since its parent was listed: look again next time.
                Ok(None) if folder.is_root() => {
                    if !self.policy.upload {
                        return Err(SyncError::NoFolder(self.service.sync.folder.clone()));
                    }
                }
                Ok(None) => observed.coverage.exclude(folder, "it vanished while it was being listed"),
                Err(error) if folder.is_root() || error.stops_everything() => return Err(error.into()),
                Err(error) => observed.coverage.exclude(folder, error.to_string()),
            }
        }
        self.forget_vanished_folders(&observed).await?;
        Ok(observed)
    }

    /// Writes a listing down and returns the folders in it.
    async fn take_listing(&self, observed: &mut Observed, folder: RelPath, listing: Listing) -> Result<Vec<RelPath>, SyncError> {
        if let Some(id) = &listing.library_id {
            if *id == self.library_id.to_string() {
                return Err(SyncError::SameLibrary);
            }
            observed.is_node = true;
        }
        for (path, reason) in listing.unusable {
            observed.coverage.exclude(path, reason);
        }
        observed.unnamable.extend(listing.unnamable.into_iter().map(|(path, reason)| Noted { path, reason }));
        observed.folders.insert(folder.clone(), listing.members.len());
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for member in listing.members {
            match member {
                Member::Folder(path) if !is_litter(&path) => folders.push(path),
                Member::File(path, version) if !is_litter(&path) => files.push((path, version)),
                _ => {}
            }
        }
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(store.write_soon(move |tx| remote::set_folder(tx, service, &folder, &files))?)).await?;
        Ok(folders)
    }

    async fn forget_vanished_folders(&self, observed: &Observed) -> Result<(), SyncError> {
        let listed: std::collections::HashSet<RelPath> = observed.folders.keys().cloned().collect();
        let (store, service, coverage) = (self.store.clone(), self.service.id, observed.coverage.clone());
        blocking(move || {
            let keep = move |folder: &RelPath| listed.contains(folder) || coverage.of(folder).is_err();
            Ok(store.write_soon(move |tx| remote::retain_folders(tx, service, keep))?)
        })
        .await
    }

    /// Keeps a digest that was found by reading a remote file, so that it need not be read again.
    pub(super) async fn learn(&self, path: &RelPath, listed: &RemoteVersion, digests: Digests) -> Result<(), SyncError> {
        let (store, service, path) = (self.store.clone(), self.service.id, path.clone());
        let version = RemoteVersion { digests: digests.into(), ..listed.clone() };
        blocking(move || Ok(store.write_soon(move |tx| remote::put(tx, service, &path, &version))?)).await
    }

    /// The digest of a remote file that the service does not tell: by reading it.
    pub(super) async fn remote_digests(&self, path: &RelPath, listed: &RemoteVersion) -> Result<Digests, ClientError> {
        let mut download = self.client.get(path, listed).await?;
        let mut hasher = Hasher::default();
        let mut size = 0;
        while let Some(bytes) = download.next().await? {
            size += bytes.len() as u64;
            hasher.update(&bytes);
        }
        match download.length.or(listed.size) {
            Some(expected) if expected != size => Err(ClientError::Corrupt(format!("only {size} of {expected} bytes of {path} came"))),
            _ => Ok(hasher.finish()),
        }
    }
}
