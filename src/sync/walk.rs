//! Looking at a service folder by folder, several at a time. Where entity tags of folders stand for everything below them, a folder whose tag
//! is the same is passed over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::JoinSet;

use crate::client::{Listing, Member, Root};
use crate::events::Event;
use crate::store::listed::{self, FolderRow, RemoteFolders};
use crate::store::remote;
use crate::types::media::OWN_FOLDER;
use crate::types::{KnownDigests, RelPath, RemoteVersion};

use super::filter::is_litter;
use super::foresight::UNNAMABLE;
use super::marker::Overlap;
use super::observe::Observed;
use super::report::Noted;
use super::run::{Sync, SyncError, blocking};

/// A look at everything, or at what may have changed.
pub(super) struct Walk {
    sync: Arc<Sync>,
    /// Entity tags of folders mean everything below.
    deep_etags: bool,
    /// Nothing is passed over.
    full: bool,
    observed: Observed,
    /// The folders that were listed, with the entity tags that they had then.
    seen: HashMap<RelPath, Option<String>>,
    /// Folders in which something was not seen, and those above them: their entity tags are no proof.
    doubtful: HashSet<RelPath>,
}

/// What is to be looked at after a folder.
#[derive(Default)]
struct Next {
    folders: Vec<RelPath>,
    /// Something in the folder changed, and nothing looks different: these files must be looked at more closely.
    riddle: Vec<(RelPath, RemoteVersion)>,
    changed: bool,
}

impl Walk {
    pub(super) fn new(sync: &Arc<Sync>, root: &Root, full: bool) -> Self {
        let is_node = root.library_id.is_some();
        let observed = Observed { is_node, ..Observed::default() };
        let deep_etags = root.is_cloud && !is_node;
        Self { sync: Arc::clone(sync), deep_etags, full: full || !deep_etags, observed, seen: HashMap::new(), doubtful: HashSet::new() }
    }

    pub(super) async fn run(mut self) -> Result<Observed, SyncError> {
        let mut waiting = vec![RelPath::root()];
        let mut running = JoinSet::new();
        loop {
            while running.len() < self.sync.options.parallel
                && let Some(folder) = waiting.pop()
            {
                let client = self.sync.client.clone();
                running.spawn(async move {
                    let listed = client.list(&folder).await;
                    (folder, listed)
                });
            }
            let Some(done) = running.join_next().await else { break };
            let (folder, listed) = done.map_err(SyncError::crashed)?;
            match listed {
                Ok(Some(listing)) => waiting.extend(self.take(folder, listing).await?),
                // Removed since its parent was listed: look again next time.
                Ok(None) => self.miss(folder, "it vanished while it was being listed".into()),
                Err(error) if folder.is_root() || error.stops_everything() => return Err(error.into()),
                Err(error) => self.miss(folder, error.to_string()),
            }
        }
        self.finish().await
    }

    fn miss(&mut self, path: RelPath, reason: String) {
        self.doubt(&path);
        self.observed.coverage.fail(path, reason);
    }

    fn doubt(&mut self, path: &RelPath) {
        self.doubtful.extend(std::iter::once(path.clone()).chain(path.ancestors()));
    }

    /// Writes a listing down and returns the folders that are to be looked at.
    async fn take(&mut self, folder: RelPath, listing: Listing) -> Result<Vec<RelPath>, SyncError> {
        if listing.library_id.as_ref().is_some_and(|id| *id == self.sync.library_id.to_string()) {
            return Err(SyncError::SameLibrary(Overlap::Around(Some(folder))));
        }
        for (path, reason) in listing.unusable {
            self.miss(path, reason);
        }
        if !listing.unnamable.is_empty() {
            self.doubt(&folder);
            self.observed.unnamable.extend(listing.unnamable.into_iter().map(|(path, reason)| Noted::new(path, UNNAMABLE, reason)));
        }
        self.seen.insert(folder.clone(), listing.etag.clone());
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        for member in listing.members {
            match member {
                Member::Folder(path, _) if path.name() == OWN_FOLDER => self.observed.markers.push(folder.clone()),
                Member::Folder(path, etag) if !is_litter(&path) => folders.push((path, etag)),
                Member::File(path, version) if !is_litter(&path) => files.push((path, version)),
                _ => {}
            }
        }
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        let (coverage, prune, etag) = (self.observed.coverage.clone(), !self.full, listing.etag);
        let next = blocking(move || {
            let known = RemoteFolders::open(&store.read()?, service)?;
            let then = known.get(&folder)?.unwrap_or_default();
            let mut before = known.members(&folder)?;
            let mut next = Next::default();
            for (path, etag) in folders {
                let known = before.remove(&path);
                next.changed |= known.is_none();
                let same = etag.is_some() && known.is_some_and(|known| known.etag == etag);
                if !(prune && same) {
                    next.folders.push(path);
                }
            }
            let gone: Vec<RelPath> = before.into_keys().filter(|path| coverage.of(path).is_ok()).collect();
            next.changed |= !gone.is_empty();
            let looked_same = prune && !then.ours && then.etag.is_some() && then.etag != etag && next.folders.is_empty() && !next.changed;
            let (differs, files) = store.write_soon(move |tx| {
                gone.iter().try_for_each(|path| remote::remove_all(tx, service, path))?;
                Ok((remote::set_folder(tx, service, &folder, &files)?, files))
            })?;
            if looked_same && !differs {
                next.riddle = files;
            }
            next.changed |= differs;
            Ok(next)
        })
        .await?;
        let solved = self.look_closer(next.riddle).await?;
        self.observed.changed |= next.changed || solved;
        let folders = self.seen.len() as u64;
        self.sync.events.publish(Event::Listing { service: self.sync.service.name.clone(), folders });
        Ok(next.folders)
    }

    /// A file that was written again within the same second, or with the same size and time, keeps its entity tag on a Nextcloud; its folder
    /// does not. The service is asked to read these files anew. True when one is another one.
    async fn look_closer(&self, files: Vec<(RelPath, RemoteVersion)>) -> Result<bool, SyncError> {
        let mut found = stream::iter(files)
            .map(|(path, version)| async move {
                let told = self.sync.client.recalculate(&path).await;
                (path, version, told)
            })
            .buffer_unordered(self.sync.options.parallel);
        let mut different = false;
        while let Some((path, version, told)) = found.next().await {
            let digests = match told {
                Ok(Some(sha1)) => KnownDigests { sha1: Some(sha1), content: None },
                Ok(None) => continue,
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(service = %self.sync.service.name, %path, %error, "it could not be looked at more closely");
                    continue;
                }
            };
            let (store, service) = (self.sync.store.clone(), self.sync.service.id);
            different |= blocking(move || {
                let known = remote::RemoteView::open(&store.read()?, service)?.get(&path)?;
                let same = known.is_some_and(|known| known.digests.agree(&digests) == Some(true));
                if !same {
                    let version = RemoteVersion { digests, ..version };
                    store.write_soon(move |tx| remote::put(tx, service, &path, &version))?;
                }
                Ok(!same)
            })
            .await?;
        }
        Ok(different)
    }

    async fn finish(self) -> Result<Observed, SyncError> {
        let Self { sync, deep_etags, full, observed, seen, doubtful } = self;
        let (store, service, coverage) = (sync.store.clone(), sync.service.id, observed.coverage.clone());
        blocking(move || {
            Ok(store.write_soon(move |tx| {
                if full {
                    let keep = |folder: &RelPath| seen.contains_key(folder) || coverage.of(folder).is_err();
                    remote::retain_folders(tx, service, keep)?;
                    listed::retain_folders(tx, service, keep)?;
                }
                for (path, etag) in seen {
                    let etag = etag.filter(|_| deep_etags && !doubtful.contains(&path));
                    listed::put_folder(tx, service, &path, &FolderRow { etag, ours: false })?;
                }
                Ok(())
            })?)
        })
        .await?;
        Ok(observed)
    }
}
