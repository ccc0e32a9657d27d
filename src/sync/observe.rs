//! Looking at both sides.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::client::Root;
use crate::library::{self, ScanReport};
use crate::reconcile::Coverage;
use crate::store::listed::Listed;
use crate::store::remote;
use crate::types::{Digests, LibraryId, RelPath, RemoteVersion};

use super::Noted;
use super::run::{Sync, SyncError, blocking};
use super::stream::Whole;
use super::walk::Walk;

/// A full look is due after so many seconds, so that a server that tells nothing of a change cannot hide it for ever.
const FULL_LOOK: i64 = 7 * 24 * 3600;

/// What a look at the service found; the files and folders themselves are in the store.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// What could not be seen.
    pub coverage: Coverage,
    /// True when the service is a node: its writes are atomic and its entity tags are content.
    pub is_node: bool,
    /// The service's folder is not there (yet).
    pub is_missing: bool,
    /// The library that the service says it is.
    pub library: Option<LibraryId>,
    /// Folders that show a folder of Twinlens's own: somebody else serves a library there.
    pub markers: Vec<RelPath>,
    /// Files that no library can hold, and why.
    pub unnamable: Vec<Noted>,
    /// Something is not as it was at the last look.
    pub changed: bool,
}

impl Observed {
    /// Everything was seen.
    pub(super) fn is_whole(&self) -> bool {
        self.coverage.gaps().next().is_none()
    }
}

impl Sync {
    /// Brings the index up to date.
    pub(super) async fn observe_local(&self) -> Result<ScanReport, SyncError> {
        let (tree, events) = (self.tree.clone(), self.events.clone());
        blocking(move || {
            let mut report = library::up_to_date(&tree, &events, &AtomicBool::new(false))?;
            for path in &report.growing {
                report.coverage.exclude(path.clone(), library::GROWING);
            }
            Ok(report)
        })
        .await
    }

    /// Brings the listing of the service's folder up to date, at the least cost that the service allows. An error at the root ends the run;
    /// further down it leaves a gap in the coverage.
    pub(super) async fn observe_remote(self: &Arc<Self>) -> Result<Observed, SyncError> {
        let listed = self.listed().await?;
        let now = self.store.clock().seconds();
        let due = listed.full_at.is_none_or(|at| !(0..FULL_LOOK).contains(&(now - at)));
        if let Some(token) = listed.token.as_ref().filter(|_| !due)
            && let Some((observed, token)) = self.follow_changes(token).await?
        {
            // A gap is told again: with the old token.
            let token = if observed.is_whole() { Some(token) } else { listed.token.clone() };
            return self.looked(observed, Listed { token, ..listed }).await;
        }
        let Some(root) = self.client.look_at_root().await? else { return self.nothing_there().await };
        let observed = match self.look_at_everything(&root, &listed).await? {
            Some(observed) => observed,
            None => Walk::new(self, &root, due).run().await?,
        };
        let library = root.library_id.as_ref().and_then(|id| id.parse().ok());
        let observed = Observed { library, ..observed };
        let whole = observed.is_whole();
        let full_at = if due && whole { Some(now) } else { listed.full_at };
        self.looked(observed, Listed { token: root.sync_token.filter(|_| whole), full_at, ..listed }).await
    }

    /// One request for everything, where that is possible and wise. None otherwise.
    async fn look_at_everything(self: &Arc<Self>, root: &Root, listed: &Listed) -> Result<Option<Observed>, SyncError> {
        let whole = match (&root.library_id, root.is_cloud, listed.full_at) {
            (Some(_), ..) => Whole::of_node(self),
            // At the first time only: what a long answer leaves out must never look like a deletion.
            (None, true, None) => Whole::at_first(self).await?,
            _ => return Ok(None),
        };
        match self.client.list_all().await {
            Ok(Some(members)) => whole.take(members).await,
            Ok(None) => Ok(None),
            Err(error) if error.stops_everything() => Err(error.into()),
            Err(error) => {
                tracing::debug!(service = %self.service.name, %error, "it does not list everything at once");
                Ok(None)
            }
        }
    }

    /// The folder does not exist (yet): that is a complete answer.
    async fn nothing_there(&self) -> Result<Observed, SyncError> {
        if !self.policy.upload {
            return Err(SyncError::NoFolder(self.service.sync.folder.clone()));
        }
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(store.write_soon(move |tx| remote::remove_all(tx, service, &RelPath::root()))?)).await?;
        self.looked(Observed { changed: true, is_missing: true, ..Observed::default() }, Listed::default()).await
    }

    async fn listed(&self) -> Result<Listed, SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(Listed::read(&store.read()?, service)?)).await
    }

    /// Writes down how far a look came.
    async fn looked(&self, observed: Observed, listed: Listed) -> Result<Observed, SyncError> {
        let settled = listed.settled.clone().filter(|_| !observed.changed && observed.is_whole());
        let listed = Listed { settled, ..listed };
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || {
            if Listed::read(&store.read()?, service)? != listed {
                store.write_soon(move |tx| listed.write(tx, service))?;
            }
            Ok(())
        })
        .await?;
        Ok(observed)
    }

    /// Keeps a digest that was found by reading a remote file, so that it need not be read again.
    pub(super) async fn learn(&self, path: &RelPath, listed: &RemoteVersion, digests: Digests) -> Result<(), SyncError> {
        let (store, service, path) = (self.store.clone(), self.service.id, path.clone());
        let version = RemoteVersion { digests: digests.into(), ..listed.clone() };
        blocking(move || Ok(store.write_soon(move |tx| remote::put(tx, service, &path, &version))?)).await
    }
}
