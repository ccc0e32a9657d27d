//! Ways to send a file, each in a file of its own, and what is done when one of them goes wrong.
//!
//! Some web servers before a Nextcloud lose request bodies, and some proxies cut them. A file that did not arrive as it was sent is sent again
//! by the next way: on a connection of its own, in pieces where that is offered, under a temporary name. What works is remembered for the
//! service. A name that holds a good file is never written to on a foreign server, whatever the way.

mod bulk;
mod chunks;
mod fresh;
mod put;
mod remains;
mod temporary;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use crate::client::{ClientError, NotProven, Receipt, Verified};
use crate::reconcile::Step;
use crate::store::documents::UPLOAD_WAYS;
use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion};

use super::execute::{Execution, StepError};
use super::names::oddity;
use super::run::blocking;
use super::upload::Sending;

pub(super) use crate::services::Way;

pub(super) use self::put::open_source;

/// When nothing helped with so many files one after the other, the others are not sent again and again: the service is broken.
const IN_VAIN: u32 = 3;

/// A file on its way to a name.
#[derive(Clone, Copy)]
pub(super) struct Upload<'a> {
    /// Where it is here.
    pub local: &'a RelPath,
    /// Where it goes.
    pub remote: &'a RelPath,
    /// What it is.
    pub source: &'a LocalVersion,
    /// What has the name now.
    pub expect: &'a Expect<RemoteVersion>,
}

/// The way that works with this service, once it has been looked up.
#[derive(Debug, Default)]
pub(super) struct Ways {
    known: Mutex<Option<Way>>,
    /// It was asked to compute a checksum, and does not.
    never_recalculates: AtomicBool,
    /// So many files in a row were sent in every way, and none arrived.
    in_vain: AtomicU32,
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
        if self.way()? == way {
            return Ok(());
        }
        *self.ways.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
        tracing::info!(service = %self.sync.service.name, ?way, "uploads to this service go another way from now on");
        let (store, service) = (self.sync.store.clone(), self.sync.service.id.0.to_string());
        Ok(blocking(move || Ok(store.write_soon(move |tx| UPLOAD_WAYS.put(tx, &service, &way))?)).await?)
    }

    /// Sends one file by the way that works with this service; returns what the service answered. When it breaks off, the beginning that the
    /// service may have kept under a name that was free is removed.
    pub(super) async fn send(self: &Arc<Self>, upload: Upload<'_>) -> Result<Receipt, StepError> {
        self.send_by(self.way()?, upload).await
    }

    /// As [`Execution::send`], in a certain way.
    async fn send_by(self: &Arc<Self>, way: Way, upload: Upload<'_>) -> Result<Receipt, StepError> {
        self.check_room()?;
        if way == Way::Chunks || self.goes_in_chunks(upload.source).await {
            return self.send_in_chunks(upload).await;
        }
        match way {
            Way::FreshConnection => self.put_alone(upload).await,
            _ => self.put(&self.sync.client, upload).await,
        }
    }

    /// An upload went wrong: looks what is there, and tries the other ways, each after a longer wait. `failed` is what is told when none works.
    pub(super) async fn repair(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        failed: StepError,
    ) -> Result<Verified, StepError> {
        // A name that many servers do not take is the likelier reason.
        let refused = matches!(&failed, StepError::Client(ClientError::Status { status, .. }) if *status == StatusCode::BAD_REQUEST);
        if !may_go_better(&failed) || self.fatal().is_some() || (refused && oddity(&step.remote).is_some()) {
            return Err(failed);
        }
        let wrong = failed.to_string();
        self.sync.findings_are_wrong(&wrong).await?;
        if self.ways.in_vain.load(Ordering::Relaxed) >= IN_VAIN {
            return Err(failed);
        }
        let mut patience = self.sync.client.patience();
        let (mut tried, mut in_pieces) = (0, self.way()? == Way::Chunks || self.goes_in_chunks(source).await);
        for way in [Way::FreshConnection, Way::Chunks, Way::TemporaryName, Way::Put] {
            if way == self.way()? || !self.offers(way, expect).await {
                continue;
            }
            match self.what_became_of_it(step, source, expect).await {
                Ok(Some(proof)) => return Ok(proof),
                Ok(None) => {}
                // What is there is not ours.
                Err(_) => return Err(failed),
            }
            let Some(wait) = patience.broken() else { break };
            tokio::time::sleep(wait).await;
            tracing::info!(service = %self.sync.service.name, path = %step.local, ?way, %wrong, "it is sent another way");
            tried += 1;
            in_pieces |= way == Way::Chunks;
            match self.attempt(way, step, source, expect).await {
                Ok(proof) => {
                    self.ways.in_vain.store(0, Ordering::Relaxed);
                    if in_pieces && way != Way::Chunks {
                        self.give_up_pieces(&step.remote).await?;
                    }
                    self.remember_way(way).await?;
                    return Ok(proof);
                }
                Err(error) if may_go_better(&error) || matches!(error, StepError::Client(ClientError::Changed(_))) => {}
                Err(error) => return Err(error),
            }
        }
        if let Ok(Some(proof)) = self.what_became_of_it(step, source, expect).await {
            return Ok(proof);
        }
        self.ways.in_vain.fetch_add(1, Ordering::Relaxed);
        Err(StepError::InVain { first: Box::new(failed), ways: tried })
    }

    /// Whether a way can be tried with this service. A way to the name itself is none for a file that is there already.
    async fn offers(&self, way: Way, expect: &Expect<RemoteVersion>) -> bool {
        match way {
            Way::Chunks => self.sync.client.capabilities().await.is_ok_and(|can| can.chunking),
            // That is how it was sent.
            Way::TemporaryName => matches!(expect, Expect::Absent),
            Way::Put | Way::FreshConnection => true,
        }
    }

    /// Sends a file by a way, and proves it.
    async fn attempt(
        self: &Arc<Self>,
        way: Way,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Verified, StepError> {
        if way == Way::TemporaryName || !matches!(expect, Expect::Absent) {
            return self.replace_by(way, step, source, expect).await;
        }
        let receipt = self.send_by(way, Upload { local: &step.local, remote: &step.remote, source, expect }).await?;
        let found = self.sync.client.find(&step.remote).await;
        let sending = Sending { local: &step.local, receipt: &receipt, was_free: true };
        self.judge(source, found, sending).await
    }
}

/// Whether another way may help: something was lost or changed on the way, or the server broke off. What the service refuses for a reason
/// of its own it refuses in every way.
fn may_go_better(failed: &StepError) -> bool {
    match failed {
        StepError::NotProven(reason) => *reason != NotProven::NoSize,
        StepError::Client(error) if error.may_have_arrived() => true,
        StepError::Client(ClientError::Corrupt(_) | ClientError::OtherBytes { .. } | ClientError::Malformed(_)) => true,
        StepError::Client(ClientError::Status { status, .. }) => matches!(
            *status,
            StatusCode::BAD_REQUEST
                | StatusCode::LENGTH_REQUIRED
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::EXPECTATION_FAILED
                | StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::NOT_IMPLEMENTED
        ),
        _ => false,
    }
}
