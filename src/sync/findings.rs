//! What the probe of the connection doctor found with this service, as far as it is still true.

use crate::services::{Reached, doctor};
use crate::store::listed;
use crate::types::RelPath;

use super::Report;
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// Recalls what was found, right before the first upload of a run. What is not true any more is found out anew.
    pub(super) async fn recall_findings(&self) -> Result<(), SyncError> {
        if !self.delivery.recall_findings().await? {
            return Ok(());
        }
        let again = match doctor::probe_again(&self.client, &self.service, &self.store).await {
            Ok(again) => again,
            Err(error) if error.stops_everything() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(service = %self.service.name, %error, "it could not be probed anew");
                None
            }
        };
        let Some(found) = again else { return Ok(()) };
        self.delivery.keep_findings(Some(found.clone()));
        let (store, service, root) = (self.store.clone(), self.service.id, RelPath::root());
        blocking(move || {
            // The folder has changed for this reason, and needs no closer look.
            store.write_soon(move |tx| listed::wrote_in(tx, service, &root))?;
            Ok(found.write(&store, service)?)
        })
        .await
    }

    /// Remembers what the proofs of a run rested on.
    pub(super) async fn remember_evidence(&self, report: &Report) -> Result<(), SyncError> {
        let Some(weakest) = report.evidence.keys().next().copied() else { return Ok(()) };
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(Reached::note(&store, service, weakest)?)).await
    }
}
