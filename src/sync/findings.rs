//! What the probe of the connection doctor found with this service, as far as it is still true.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::services::{Findings, Reached, doctor};
use crate::store::listed;
use crate::types::RelPath;

use super::Report;
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// What is known of the service; nothing when it was never probed, or what was found is not true any more.
    pub(super) fn findings(&self) -> Findings {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Recalls what was found, right before the first upload of a run. What is not true any more is found out anew.
    pub(super) async fn recall_findings(&self) -> Result<(), SyncError> {
        if self.recalled.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let (store, service) = (self.store.clone(), self.service.id);
        let Some(found) = blocking(move || Ok(Findings::read(&store, service)?)).await? else { return Ok(()) };
        let why = match &found.outdated {
            Some(_) => None,
            None => match found.contradicted_by(&self.client).await {
                Some(why) => Some(why),
                None => {
                    self.keep_findings(Some(found));
                    return Ok(());
                }
            },
        };
        if let Some(why) = why {
            self.outdate_findings(why).await?;
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
        self.keep_findings(Some(found.clone()));
        let (store, service, root) = (self.store.clone(), self.service.id, RelPath::root());
        blocking(move || {
            // The folder has changed for this reason, and needs no closer look.
            store.write_soon(move |tx| listed::wrote_in(tx, service, &root))?;
            Ok(found.write(&store, service)?)
        })
        .await
    }

    /// An upload went wrong that should have gone well.
    pub(super) async fn findings_are_wrong(&self, why: &str) -> Result<(), SyncError> {
        let relied_on = self.findings.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match relied_on {
            true => self.outdate_findings(format!("an upload went wrong: {why}")).await,
            false => Ok(()),
        }
    }

    async fn outdate_findings(&self, why: String) -> Result<(), SyncError> {
        tracing::info!(service = %self.service.name, %why, "what `twinlens service test` found is not true any more");
        self.keep_findings(None);
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(Findings::outdate(&store, service, &why)?)).await
    }

    fn keep_findings(&self, found: Option<Findings>) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Remembers what the proofs of a run rested on.
    pub(super) async fn remember_evidence(&self, report: &Report) -> Result<(), SyncError> {
        let Some(weakest) = report.evidence.keys().next().copied() else { return Ok(()) };
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(Reached::note(&store, service, weakest)?)).await
    }
}
