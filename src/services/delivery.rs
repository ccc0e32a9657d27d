//! How files get to a service, and the proof that they arrived: ways to send a file, each in a file of its own, and what is done when one of
//! them goes wrong.
//!
//! Some web servers before a Nextcloud lose request bodies, and some proxies cut them. A file that did not arrive as it was sent is sent again
//! by the next way: on a connection of its own, in pieces where that is offered, under a temporary name. What works is remembered for the
//! service. A name that holds a good file is never written to on a foreign server, whatever the way.

mod chunks;
mod error;
mod fresh;
mod names;
mod own;
mod prove;
mod put;
mod recall;
mod remains;
mod samples;
mod temporary;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use http::StatusCode;

use crate::client::{Client, ClientError, NotProven, Receipt, Source, Verified};
use crate::store::Store;
use crate::store::documents::UPLOAD_WAYS;
use crate::store::traces::Traces;
use crate::types::{Expect, LibraryId, LocalVersion, RelPath, RemoteVersion};

use super::{Findings, Service, Way};

use self::error::blocking;
use self::own::Settled;

pub use self::error::DeliveryError;
pub(crate) use self::error::others;
pub(crate) use self::names::oddity;
pub(crate) use self::own::own_path;
pub(crate) use self::put::{WHOLE, read_whole};
pub(crate) use self::samples::{places, read_part};

/// When nothing helped with so many files one after the other, the others are not sent again and again: the service is broken.
const IN_VAIN: u32 = 3;

/// Names longer than this, in bytes, may be refused only while they are being written: Nextcloud adds some 28.
const LONG: usize = 200;

/// Whoever sends: told how far it is, and asked whether it shall go on.
pub trait Watcher: Send + Sync {
    /// So many bytes of a file, by its path in the library, went over the wire.
    fn moved_bytes(&self, of: &RelPath, count: u64);
    /// Nothing more is to be sent.
    fn is_over(&self) -> bool;
    /// Why nothing more can be sent: the service has no room.
    fn no_room(&self) -> Option<String>;
}

/// What the service has, under the name that it lists.
pub(crate) type Listed = (RelPath, RemoteVersion);

/// A file that was sent, as far as it helps to judge what became of it.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    /// The file that was sent.
    pub from: &'a Arc<dyn Source>,
    /// What the service answered.
    pub receipt: &'a Receipt,
    /// Nothing had the name when we wrote to it.
    pub was_free: bool,
}

/// How far a file is that was sent.
pub(crate) enum Delivered {
    /// The service said that it took it; not proven yet.
    Unproven(Receipt),
    /// Proven already.
    Proven(Verified),
}

/// A file on its way to a name.
#[derive(Clone, Copy)]
pub(crate) struct Upload<'a> {
    /// Its bytes.
    pub from: &'a Arc<dyn Source>,
    /// What it is called here.
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
struct Ways {
    known: Mutex<Option<Way>>,
    /// It was asked to compute a checksum, and does not.
    never_recalculates: AtomicBool,
    /// So many files in a row were sent in every way, and none arrived.
    in_vain: AtomicU32,
}

impl Ways {
    fn never_recalculates(&self) -> bool {
        self.never_recalculates.load(Ordering::Relaxed)
    }

    fn recalculates_never(&self) {
        self.never_recalculates.store(true, Ordering::Relaxed);
    }
}

/// Sends files into one folder of a service, by ways that work there, and proves that they arrived.
pub struct Delivery {
    /// Rooted at the folder.
    client: Client,
    /// Rooted at the service's WebDAV root.
    root: Client,
    /// Where the folder is below that.
    folder: RelPath,
    service: Service,
    store: Store,
    library_id: LibraryId,
    /// Where it is written down what may be left on the service.
    traces: Traces,
    /// The service is a node.
    node: AtomicBool,
    /// The service overwrites what a PUT says must not be there.
    overwrites: AtomicBool,
    /// What the probe found was recalled: once, even when it turns out to be wrong.
    recalled: AtomicBool,
    /// What the probe found with this service, as far as it is true.
    findings: Mutex<Option<Findings>>,
    ways: Ways,
    settled: Settled,
    watcher: OnceLock<Weak<dyn Watcher>>,
}

impl Delivery {
    /// Sends into a folder of a service. `root` is rooted at its WebDAV root. Nothing is sent yet.
    pub(crate) fn new(
        (root, folder): (Client, RelPath),
        service: Service,
        (store, traces): (Store, Traces),
        library_id: LibraryId,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            client: root.at(&folder)?,
            root,
            folder,
            service,
            store,
            library_id,
            traces,
            node: AtomicBool::default(),
            overwrites: AtomicBool::default(),
            recalled: AtomicBool::default(),
            findings: Mutex::default(),
            ways: Ways::default(),
            settled: Settled::default(),
            watcher: OnceLock::new(),
        })
    }

    /// From now on this is told how far it is. Once only.
    pub(crate) fn watched_by(&self, watcher: Weak<dyn Watcher>) {
        // A second one would be one too many.
        let _ = self.watcher.set(watcher);
    }

    /// Whether the service is a node, of which more is known than of others.
    pub(crate) fn set_node(&self, is_node: bool) {
        self.node.store(is_node, Ordering::Relaxed);
    }

    fn is_node(&self) -> bool {
        self.node.load(Ordering::Relaxed)
    }

    /// Whether the service overwrites what a PUT says must not be there.
    pub(crate) fn overwrites(&self) -> bool {
        self.overwrites.load(Ordering::Relaxed)
    }

    /// It does, or does not.
    pub(crate) fn set_overwrites(&self, overwrites: bool) {
        self.overwrites.store(overwrites, Ordering::Relaxed);
    }

    fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        self.watcher.get().and_then(Weak::upgrade)
    }

    fn moved_bytes(&self, of: &RelPath, count: u64) {
        if let Some(watcher) = self.watcher() {
            watcher.moved_bytes(of, count);
        }
    }

    fn is_over(&self) -> bool {
        self.watcher().is_some_and(|watcher| watcher.is_over())
    }

    fn check_room(&self) -> Result<(), DeliveryError> {
        match self.watcher().and_then(|watcher| watcher.no_room()) {
            Some(reason) => Err(DeliveryError::Refused(reason)),
            None => Ok(()),
        }
    }

    /// The way that worked last with this service.
    pub(crate) fn way(&self) -> Result<Way, DeliveryError> {
        let mut known = self.ways.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = *known {
            return Ok(way);
        }
        let way = UPLOAD_WAYS.get(&self.store.read()?, &self.service.id.0.to_string())?.unwrap_or_default();
        *known = Some(way);
        Ok(way)
    }

    async fn remember_way(&self, way: Way) -> Result<(), DeliveryError> {
        if self.way()? == way {
            return Ok(());
        }
        *self.ways.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(way);
        tracing::info!(service = %self.service.name, ?way, "uploads to this service go another way from now on");
        let (store, service) = (self.store.clone(), self.service.id.0.to_string());
        blocking(move || Ok(store.write_soon(move |tx| UPLOAD_WAYS.put(tx, &service, &way))?)).await
    }

    /// Sends a file by the way that works with this service: to its name if nothing has it or the service puts it there at once, else to a name of
    /// ours that takes its place.
    pub(crate) async fn deliver(self: &Arc<Self>, upload: Upload<'_>) -> Result<Delivered, DeliveryError> {
        match upload.expect {
            Expect::Absent if self.way()? == Way::TemporaryName => self.replace(upload).await.map(Delivered::Proven),
            // In pieces it is put together aside, and takes the place at once.
            Expect::Version(_) if !self.is_node() && !self.goes_in_chunks(upload.source).await => {
                self.replace(upload).await.map(Delivered::Proven)
            }
            _ => match self.send(upload).await {
                // Some servers add to a name while it is being written, and so refuse to write what they can hold.
                Err(DeliveryError::Client(ClientError::Status { .. })) if upload.remote.name().len() > LONG => {
                    self.replace(upload).await.map(Delivered::Proven)
                }
                sent => sent.map(Delivered::Unproven),
            },
        }
    }

    /// Sends one file by the way that works with this service; returns what the service answered. When it breaks off, the beginning that the
    /// service may have kept under a name that was free is removed.
    pub(crate) async fn send(self: &Arc<Self>, upload: Upload<'_>) -> Result<Receipt, DeliveryError> {
        self.send_by(self.way()?, upload).await
    }

    /// As [`Delivery::send`], in a certain way.
    async fn send_by(self: &Arc<Self>, way: Way, upload: Upload<'_>) -> Result<Receipt, DeliveryError> {
        self.check_room()?;
        if way == Way::Chunks || self.goes_in_chunks(upload.source).await {
            return self.send_in_chunks(upload).await;
        }
        match way {
            Way::FreshConnection => self.put_alone(upload).await,
            _ => self.put(&self.client, upload).await,
        }
    }

    /// An upload went wrong: looks what is there, and tries the other ways, each after a longer wait. `failed` is what is told when none works.
    pub(crate) async fn repair(self: &Arc<Self>, upload: Upload<'_>, failed: DeliveryError) -> Result<Verified, DeliveryError> {
        let Upload { local, remote, source, expect, .. } = upload;
        // A name that many servers do not take is the likelier reason.
        let refused = matches!(&failed, DeliveryError::Client(ClientError::Status { status, .. }) if *status == StatusCode::BAD_REQUEST);
        if !may_go_better(&failed) || self.is_over() || (refused && oddity(remote).is_some()) {
            return Err(failed);
        }
        let wrong = failed.to_string();
        self.findings_are_wrong(&wrong).await?;
        if self.ways.in_vain.load(Ordering::Relaxed) >= IN_VAIN {
            return Err(failed);
        }
        let mut patience = self.client.patience();
        let (mut tried, mut in_pieces) = (0, self.way()? == Way::Chunks || self.goes_in_chunks(source).await);
        for way in [Way::FreshConnection, Way::Chunks, Way::TemporaryName, Way::Put] {
            if way == self.way()? || !self.offers(way, expect).await {
                continue;
            }
            match self.what_became_of_it(upload).await {
                Ok(Some(proof)) => return Ok(proof),
                Ok(None) => {}
                // What is there is not ours.
                Err(_) => return Err(failed),
            }
            let Some(wait) = patience.broken() else { break };
            tokio::time::sleep(wait).await;
            tracing::info!(service = %self.service.name, path = %local, ?way, %wrong, "it is sent another way");
            tried += 1;
            in_pieces |= way == Way::Chunks;
            match self.attempt(way, upload).await {
                Ok(proof) => {
                    self.ways.in_vain.store(0, Ordering::Relaxed);
                    if in_pieces && way != Way::Chunks {
                        self.give_up_pieces(remote).await?;
                    }
                    self.remember_way(way).await?;
                    return Ok(proof);
                }
                Err(error) if may_go_better(&error) || matches!(error, DeliveryError::Client(ClientError::Changed(_))) => {}
                Err(error) => return Err(error),
            }
        }
        if let Ok(Some(proof)) = self.what_became_of_it(upload).await {
            return Ok(proof);
        }
        self.ways.in_vain.fetch_add(1, Ordering::Relaxed);
        Err(DeliveryError::InVain { first: Box::new(failed), ways: tried })
    }

    /// Whether a way can be tried with this service. A way to the name itself is none for a file that is there already.
    async fn offers(&self, way: Way, expect: &Expect<RemoteVersion>) -> bool {
        match way {
            Way::Chunks => self.client.capabilities().await.is_ok_and(|can| can.chunking),
            // That is how it was sent.
            Way::TemporaryName => matches!(expect, Expect::Absent),
            Way::Put | Way::FreshConnection => true,
        }
    }

    /// Sends a file by a way, and proves it.
    async fn attempt(self: &Arc<Self>, way: Way, upload: Upload<'_>) -> Result<Verified, DeliveryError> {
        if way == Way::TemporaryName || !matches!(upload.expect, Expect::Absent) {
            return self.replace_by(way, upload).await;
        }
        let receipt = self.send_by(way, upload).await?;
        let found = self.client.find(upload.remote).await;
        self.judge(upload.source, found, Sending { from: upload.from, receipt: &receipt, was_free: true }).await
    }

    /// Proof, or the reason. What is wrong under a name that was free when we wrote to it is removed, if it is certainly ours.
    pub(crate) async fn judge(
        &self,
        sent: &LocalVersion,
        found: Result<Option<Listed>, ClientError>,
        sending: Sending<'_>,
    ) -> Result<Verified, DeliveryError> {
        let found = found?;
        match self.prove_one(sent, found.clone(), sending).await {
            Err(DeliveryError::NotProven(reason)) => {
                if let Some((path, found)) = found.filter(|_| sending.was_free)
                    && self.is_ours(&path, sent, &found, sending).await
                {
                    self.remove_remains(&path, found).await;
                }
                Err(DeliveryError::NotProven(reason))
            }
            judged => judged,
        }
    }
}

/// Whether another way may help: something was lost or changed on the way, or the server broke off. What the service refuses for a reason
/// of its own it refuses in every way.
fn may_go_better(failed: &DeliveryError) -> bool {
    match failed {
        DeliveryError::NotProven(reason) => *reason != NotProven::NoSize,
        DeliveryError::Client(error) if error.may_have_arrived() => true,
        DeliveryError::Client(ClientError::Corrupt(_) | ClientError::OtherBytes { .. } | ClientError::Malformed(_)) => true,
        DeliveryError::Client(ClientError::Status { status, .. }) => matches!(
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
