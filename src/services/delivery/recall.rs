//! What the probe of the connection doctor found with this service, as far as it is still true.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::super::Findings;
use super::{Delivery, DeliveryError, blocking};

impl Delivery {
    /// What is known of the service; nothing when it was never probed, or what was found is not true any more.
    pub(crate) fn findings(&self) -> Findings {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Recalls what was found, right before the first upload of a run. True when it is not true any more, and could be found out anew.
    pub(crate) async fn recall_findings(&self) -> Result<bool, DeliveryError> {
        if self.recalled.swap(true, Ordering::Relaxed) {
            return Ok(false);
        }
        let (store, service) = (self.store.clone(), self.service.id);
        let Some(found) = blocking(move || Ok(Findings::read(&store, service)?)).await? else { return Ok(false) };
        let why = match &found.outdated {
            Some(_) => None,
            None => match found.contradicted_by(&self.client).await {
                Some(why) => Some(why),
                None => {
                    self.keep_findings(Some(found));
                    return Ok(false);
                }
            },
        };
        if let Some(why) = why {
            self.outdate_findings(why).await?;
        }
        Ok(true)
    }

    /// An upload went wrong that should have gone well.
    pub(crate) async fn findings_are_wrong(&self, why: &str) -> Result<(), DeliveryError> {
        let relied_on = self.findings.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match relied_on {
            true => self.outdate_findings(format!("an upload went wrong: {why}")).await,
            false => Ok(()),
        }
    }

    async fn outdate_findings(&self, why: String) -> Result<(), DeliveryError> {
        tracing::info!(service = %self.service.name, %why, "what `twinlens service test` found is not true any more");
        self.keep_findings(None);
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || Ok(Findings::outdate(&store, service, &why)?)).await
    }

    /// These are true from now on.
    pub(crate) fn keep_findings(&self, found: Option<Findings>) {
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}
