//! Ways to send a file, for services that answer success and store something else: what works is remembered for the service.
//!
//! Some web servers before a Nextcloud lose request bodies, and some proxies cut them. A file that was stored with a wrong size is sent
//! again: on a connection of its own, then in pieces where that is offered, then under a temporary name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::{NotProven, Verified};
use crate::reconcile::Step;
use crate::store::documents::UPLOAD_WAYS;
use crate::types::{Expect, LocalVersion, RemoteVersion};

use super::execute::{Execution, StepError};
use super::run::blocking;
use super::upload::Sending;

pub(super) use crate::services::Way;

/// The way that works with this service, once it has been looked up.
#[derive(Debug, Default)]
pub(super) struct Ways {
    known: Mutex<Option<Way>>,
    /// It was asked to compute a checksum, and does not.
    never_recalculates: AtomicBool,
}

impl Ways {
    pub(super) fn never_recalculates(&self) -> bool {
        self.never_recalculates.load(Ordering::Relaxed)
    }

    pub(super) fn recalculates_never(&self) {
        self.never_recalculates.store(true, Ordering::Relaxed);
    }
}

impl Execution {
    /// The way that worked last with this service.
    pub(super) fn way(&self) -> Result<Way, StepError> {
        let mut known = self.ways.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = *known {
            return Ok(way);
        }
        let way = UPLOAD_WAYS.get(&self.sync.store.read()?, &self.sync.service.id.0.to_string())?.unwrap_or_default();
        *known = Some(way);
        Ok(way)
    }

    async fn remember_way(&self, way: Way) -> Result<(), StepError> {
        *self.ways.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
        tracing::info!(service = %self.sync.service.name, ?way, "uploads to this service go another way from now on");
        let (store, service) = (self.sync.store.clone(), self.sync.service.id.0.to_string());
        Ok(blocking(move || Ok(store.write_soon(move |tx| UPLOAD_WAYS.put(tx, &service, &way))?)).await?)
    }

    /// Tries the other ways with a new file that was stored with a wrong size; `failed` is what is told when none works.
    pub(super) async fn try_other_ways(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        failed: StepError,
    ) -> Result<Verified, StepError> {
        if !matches!((&failed, expect), (StepError::NotProven(NotProven::WrongSize { .. }), Expect::Absent)) {
            return Err(failed);
        }
        let tried = self.way()?;
        self.sync.findings_are_wrong(&failed.to_string()).await?;
        for way in [Way::FreshConnection, Way::Chunks, Way::TemporaryName, Way::Put] {
            let offered = way != Way::Chunks || self.sync.client.capabilities().await.is_ok_and(|can| can.chunking);
            if way == tried || !offered {
                continue;
            }
            let outcome = match way {
                Way::TemporaryName => self.replace(step, source, expect).await,
                _ => self.send_and_prove(way, step, source).await,
            };
            match outcome {
                Ok(proof) => {
                    self.remember_way(way).await?;
                    return Ok(proof);
                }
                // It went wrong the same way; the next one.
                Err(StepError::NotProven(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    async fn send_and_prove(self: &Arc<Self>, way: Way, step: &Step, source: &LocalVersion) -> Result<Verified, StepError> {
        let receipt = self.send_by(way, &step.local, &step.remote, source, &Expect::Absent).await?;
        let found = self.sync.client.find(&step.remote).await;
        let sending = Sending { local: &step.local, receipt: &receipt, was_free: true };
        self.judge(source, found, sending).await
    }
}
