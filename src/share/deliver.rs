//! Sending and proving, as a sync does.

use crate::client::Verified;
use crate::services::delivery::{Delivered, DeliveryError, Sending, Upload};
use crate::store::shares::{self, FileState};
use crate::store::traces::Trace;
use crate::types::{ContentHash, Expect, LocalVersion, RelPath, RemoteVersion};

use super::content::Content;
use super::run::{Courier, FileError, blocking};

impl Courier {
    /// Sends a content to a name that nothing has, and proves it; when that goes wrong, by another way.
    pub(super) async fn deliver(&self, local: &RelPath, content: &Content, at: &RelPath) -> Result<Verified, FileError> {
        let Content { source, version, .. } = content;
        let upload = Upload { from: source, local, remote: at, source: version, expect: &Expect::Absent };
        let delivery = &self.delivery;
        let sent = match delivery.deliver(upload).await {
            Ok(Delivered::Proven(proof)) => Ok(proof),
            Ok(Delivered::Unproven(receipt)) => {
                let found = self.client.find(at).await;
                delivery.judge(version, found, Sending { from: source, receipt: &receipt, was_free: true }).await
            }
            Err(error) => Err(error),
        };
        let proven = match sent {
            Err(error) => delivery.repair(upload, error).await,
            proof => proof,
        };
        delivery.forget_settled().await?;
        Ok(proven?)
    }

    /// What became of an upload to a name that was free: proof, when it is there after all; otherwise nothing of it is there any more.
    pub(super) async fn what_became_of_it(&self, local: &RelPath, at: &RelPath, content: &Content) -> Result<Option<Verified>, FileError> {
        let Content { source, version, .. } = content;
        let upload = Upload { from: source, local, remote: at, source: version, expect: &Expect::Absent };
        Ok(self.delivery.what_became_of_it(upload).await?)
    }

    /// Whether the service has a content at a path. Where it tells no checksum it is read back.
    pub(super) async fn holds(&self, at: &RelPath, found: &RemoteVersion, version: &LocalVersion) -> Result<bool, FileError> {
        Ok(self.delivery.holds(at, found, version).await?)
    }

    /// Removes what an earlier run that was killed has left on the service under names of ours. An upload in pieces is left that is going to be
    /// gone on with.
    pub(super) async fn sweep(&self) -> Result<(), FileError> {
        let mut gone = Vec::new();
        for trace in self.delivery.all_traces().await? {
            let removed = match &trace {
                Trace::Copy { at } | Trace::Between { at, .. } => self.delivery.remove_for_certain(at).await,
                Trace::Session { content, .. } if self.is_begun(*content).await? => Ok(false),
                Trace::Session { id, .. } => self.delivery.throw_away(id).await.map(|()| true),
            };
            gone.extend(self.delivery.swept(&trace, removed)?);
        }
        Ok(self.delivery.forget_traces(gone).await?)
    }

    /// Whether something that waits was begun with these bytes.
    async fn is_begun(&self, content: ContentHash) -> Result<bool, FileError> {
        let (store, service) = (self.store.clone(), self.service.id);
        let begun = blocking(move || {
            let tx = store.read()?;
            for place in shares::due(&tx, service, i64::MAX, usize::MAX)? {
                if let Some(file) = shares::file(&tx, place)?
                    && matches!(file.state, FileState::Waiting { .. })
                    && file.begun.is_some_and(|begun| begun.version.digests.content == content)
                {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        Ok(begun.await?)
    }
}

impl From<DeliveryError> for FileError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Client(error) => error.into(),
            DeliveryError::Store(error) => error.into(),
            error => Self::Delivery(error),
        }
    }
}
