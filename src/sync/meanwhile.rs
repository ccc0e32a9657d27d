//! What happens to a file while it is on its way: one that changes is read and sent anew; one that came by another way, because the other
//! node was faster, has not failed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::client::{ClientError, verify};
use crate::library::{self, LibraryError, Parts, hash_file_with};
use crate::reconcile::{Action, Step};
use crate::store::index::Index;
use crate::types::{LocalVersion, Side};

use super::execute::{Execution, StepError};
use super::run::{SyncError, blocking};
use super::upload::{Sent, upload_of};

/// How often it is begun anew. One that changes more often is left to the next run.
const RESTARTS: u32 = 3;
/// How long it is left in peace before it is read again.
const PAUSE: Duration = Duration::from_millis(500);

impl Execution {
    /// Sends a file; one that changed meanwhile is sent as it is now, and the step that comes back is the one that was carried out.
    pub(super) async fn upload_as_it_is(self: &Arc<Self>, mut step: Step) -> (Step, Result<Sent, StepError>) {
        for _ in 0..RESTARTS {
            let error = match self.upload(&step).await {
                Ok(sent) => return (step, Ok(sent)),
                Err(error) => error,
            };
            if self.fatal().is_some() {
                return (step, Err(error));
            }
            if self.is_done_by_now(&step, &error).await {
                let at = step.remote.clone();
                return (step, Ok(Sent::Superfluous(at)));
            }
            match self.changed_source(&step).await {
                Ok(Some(now)) => {
                    tracing::debug!(path = %step.local, "it changed while it was being sent; sending it as it is now");
                    if let Action::Upload { source, .. } = &mut step.action {
                        *source = now;
                    }
                }
                Ok(None) => {
                    let Action::Upload { source, expect } = &step.action else { return (step, Err(error)) };
                    let failed = match error.of_delivery() {
                        Ok(failed) => failed,
                        Err(error) => return (step, Err(error)),
                    };
                    let from = self.original(&step.local, source);
                    let repaired = self.sync.delivery.repair(upload_of(&step, &from, source, expect), failed).await;
                    return (step, repaired.map(Sent::Proven).map_err(StepError::from));
                }
                Err(changed) => return (step, Err(changed.into())),
            }
        }
        let sent = self.upload(&step).await;
        (step, sent)
    }

    /// Whether a step failed only because somebody else, the other node perhaps, did the same in the meantime. Of a transfer nothing is
    /// recorded then: the next run looks, and adopts.
    pub(super) async fn is_done_by_now(&self, step: &Step, error: &StepError) -> bool {
        match (&step.action, error) {
            (Action::Upload { source, .. }, StepError::Client(ClientError::Changed(_))) => {
                let found = self.sync.client.look(&step.remote).await;
                found.is_ok_and(|found| verify::verify(&step.remote, source, found).is_ok())
            }
            (Action::Download { source, .. }, StepError::Library(LibraryError::Changed(_) | LibraryError::Exists(_))) => {
                // It may be so new that the index does not know it yet.
                let (tree, path, wanted) = (self.sync.tree.clone(), step.local.clone(), source.digests);
                let here = blocking(move || Ok(hash_file_with(&tree, &path, |_| ())?.1)).await;
                here.is_ok_and(|digests| wanted.agree(&digests.into()) == Some(true))
            }
            (Action::Delete { side: Side::Remote, .. }, StepError::Client(ClientError::Changed(_) | ClientError::NotFound(_))) => {
                self.sync.client.is_gone(&step.remote).await.unwrap_or(false)
            }
            (Action::Delete { side: Side::Local, .. }, StepError::Library(LibraryError::Changed(_) | LibraryError::NotFound(_))) => {
                let (tree, path) = (self.sync.tree.clone(), step.local.clone());
                blocking(move || Ok(tree.stat(&path)?)).await.is_ok_and(|stat| stat.is_none())
            }
            _ => false,
        }
    }

    /// The file as it is now, if it is another one than the plan was made from and the index could be told so.
    async fn changed_source(&self, step: &Step) -> Result<Option<LocalVersion>, SyncError> {
        let Action::Upload { source, .. } = &step.action else { return Ok(None) };
        let (tree, path, then) = (self.sync.tree.clone(), step.local.clone(), *source);
        let looks_other = move || match tree.stat(&path) {
            Ok(Some(now)) => Ok((now.size, now.mtime) != (then.size, then.mtime)),
            // Gone or not to be read: nothing to send anew, and the next run sees it.
            Ok(None) | Err(LibraryError::NotFound(_) | LibraryError::Io { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        };
        if !blocking(looks_other).await? {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
        let (tree, path, events) = (self.sync.tree.clone(), step.local.clone(), self.sync.events.clone());
        let store = self.sync.store.clone();
        blocking(move || {
            let parts = Parts { members: [path.parent().unwrap_or_default()].into(), ..Parts::default() };
            library::scan_parts(&tree, &events, &AtomicBool::new(false), &parts, &|_, _| false)?;
            let now = Index::open(&store.read()?)?.get(&path)?.map(|row| row.version());
            // An emptied file looks like an accident; what to do with it is decided when a run looks at both sides.
            Ok(now.filter(|now| *now != then && now.size > 0))
        })
        .await
    }
}
