//! Doing what is due with one service.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{OnceCell, Semaphore};

use crate::client::{Client, ClientError, Flow};
use crate::events::{Event, Events};
use crate::library::{LibraryError, Tree};
use crate::services::Service;
use crate::services::delivery::{Delivery, DeliveryError, Watcher};
use crate::store::shares::{self, FileState, Retry, Share, SharedFile};
use crate::store::{Store, StoreError, traces};
use crate::types::backoff::doubling;
use crate::types::{ContentHash, LibraryId, RelPath};

use super::Stop;
use super::expire::Needed;
use super::place::Places;

/// Pictures that are decoded at the same time.
const PICTURES: usize = 2;
/// A file that failed is tried again after this; then after twice as long, and so on.
const FIRST_RETRY: std::time::Duration = std::time::Duration::from_secs(60);
/// It is never left alone for longer.
const LONGEST_RETRY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Why one file failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Delivery(DeliveryError),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was told to stop")]
    Stopped,
}

impl FileError {
    /// What kind of failure it is, in one word that stays the same: for counting.
    fn cause(&self) -> &'static str {
        match self {
            Self::Client(error) => error.cause(),
            Self::Library(error) => error.cause(),
            Self::Delivery(error) => error.cause(),
            Self::Refused(_) => "refused",
            Self::Store(_) => "run",
            Self::Stopped => "stopped",
        }
    }
}

/// Why nothing could be done.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The service.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Why it stopped as a whole, if it did.
    pub error: Option<String>,
    /// The service refused user and password: asking again and again locks people out.
    pub refused: bool,
    /// The service could not be reached.
    pub unreachable: bool,
    /// What was done with files.
    pub tally: Tally,
}

/// What was done with files, for counting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent and proven.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Removed, because they had expired.
    pub removed: u64,
    /// Failed, by kind of reason.
    pub failed: BTreeMap<&'static str, u64>,
}

/// Sends, and removes what has expired: everything that is due with one service.
pub struct Courier {
    pub(super) tree: Tree,
    pub(super) store: Store,
    /// Rooted at the service's WebDAV root.
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) delivery: Arc<Delivery>,
    pub(super) stop: Stop,
    pub(super) pictures: Semaphore,
    pub(super) places: Places,
    /// The same content goes once at a time, so that the next one finds it there.
    pub(super) turns: tokio::sync::Mutex<HashMap<ContentHash, Arc<tokio::sync::Mutex<()>>>>,
    /// One makes folders at a time.
    pub(super) making: tokio::sync::Mutex<()>,
    pub(super) needed: OnceCell<Needed>,
    events: Events,
    parallel: usize,
    ended: Mutex<Ended>,
    /// Why nothing more can be sent: the service has no room.
    full: Mutex<Option<String>>,
    done: Amount,
    /// The file whose bytes were sent last.
    moved: Mutex<Option<RelPath>>,
}

#[derive(Debug, Default)]
struct Amount {
    files: AtomicU64,
    files_total: AtomicU64,
    bytes: AtomicU64,
}

impl Courier {
    /// Prepares a run. `client` is rooted at the service's WebDAV root. Nothing is sent yet.
    pub fn new(
        (tree, library_id): (Tree, LibraryId),
        store: Store,
        client: Client,
        service: Service,
        (parallel, events, stop): (usize, Events, Stop),
    ) -> Result<Arc<Self>, ClientError> {
        let client = client.with_flow(Flow::new(service.sync.rate, stop.told()));
        let delivery = Delivery::new((client.clone(), RelPath::root()), service.clone(), (store.clone(), traces::SHARE), library_id)?;
        // So that one looks before each upload: who knows whether this service heeds `If-None-Match`.
        delivery.set_overwrites(true);
        let courier = Arc::new(Self {
            tree,
            store,
            client,
            service,
            delivery: Arc::new(delivery),
            stop,
            pictures: Semaphore::new(PICTURES),
            places: Places::default(),
            turns: tokio::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
            needed: OnceCell::new(),
            events,
            parallel,
            ended: Mutex::default(),
            full: Mutex::default(),
            done: Amount::default(),
            moved: Mutex::default(),
        });
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&courier) as Weak<dyn Watcher>;
        courier.delivery.watched_by(watcher);
        Ok(courier)
    }

    /// Does what is due by now. What concerns single files is written down with them.
    pub async fn carry_out(self: &Arc<Self>) -> Result<Ended, ShareError> {
        let (store, id, now) = (self.store.clone(), self.service.id, self.store.clock().seconds());
        let due = blocking(move || shares::due(&store.read()?, id, now, usize::MAX)).await?;
        if due.is_empty() {
            return Ok(Ended::default());
        }
        self.done.files_total.store(due.len() as u64, Ordering::Relaxed);
        self.tell_progress();
        if let Err(error) = self.prepare().await {
            self.end(&error);
        }
        // What is shared anew is still needed there: nothing is removed before that is known.
        let sent = Mutex::new(Vec::new());
        self.all(due, &|place| self.send_one(place, &sent)).await;
        let sent = std::mem::take(&mut *lock(&sent));
        self.all(sent, &|place| self.expire_one(place)).await;
        let removed = lock(&self.ended).tally.removed;
        if removed > 0
            && !self.is_over()
            && let Err(error) = self.tidy().await
        {
            self.end(&error);
        }
        let ended = lock(&self.ended).clone();
        self.events.publish(Event::Shared { service: self.service.name.clone(), failure: ended.error.clone() });
        Ok(ended)
    }

    /// Looks what kind of service it is, and removes what a run that was killed has left there.
    async fn prepare(&self) -> Result<(), FileError> {
        let root = self.client.look_at_root().await?;
        self.delivery.set_node(root.is_some_and(|root| root.library_id.is_some()));
        self.delivery.recall_findings().await?;
        self.sweep().await
    }

    /// Does something with many files, several at a time. An error ends the run.
    async fn all<'a, F>(&'a self, places: Vec<(u64, u32)>, one: &'a (dyn Fn((u64, u32)) -> F + Sync))
    where
        F: Future<Output = Result<bool, FileError>> + 'a,
    {
        let each = |place| async move {
            let over = match self.is_over() {
                true => false,
                false => one(place).await.unwrap_or_else(|error| {
                    self.end(&error);
                    false
                }),
            };
            if over {
                self.done.files.fetch_add(1, Ordering::Relaxed);
                self.tell_progress();
            }
        };
        stream::iter(places).for_each_concurrent(self.parallel.max(1), each).await;
    }

    /// A file and its share, unless it was removed meanwhile.
    async fn row(&self, place: (u64, u32)) -> Result<Option<(Share, SharedFile)>, FileError> {
        let store = self.store.clone();
        let row = blocking(move || {
            let tx = store.read()?;
            Ok(shares::get(&tx, place.0)?.zip(shares::file(&tx, place)?))
        });
        Ok(row.await?)
    }

    /// Sends a file that waits, and writes down what became of it. One that is there already is put aside. True when it is over for now.
    async fn send_one(&self, place: (u64, u32), sent: &Mutex<Vec<(u64, u32)>>) -> Result<bool, FileError> {
        let Some((share, mut file)) = self.row(place).await? else { return Ok(true) };
        let FileState::Waiting { failed } = file.state.clone() else {
            lock(sent).push(place);
            return Ok(false);
        };
        let state = match self.send(&share, &mut file, place).await {
            Ok(state) => state,
            Err(error) if self.ends_the_run(&error) => return Err(error),
            Err(error) => {
                self.count_failure(&error);
                FileState::Waiting { failed: Some(self.again(failed, &error)) }
            }
        };
        if let FileState::Sent(sent) = &state {
            let tally = &mut lock(&self.ended).tally;
            tally.sent += 1;
            tally.bytes += sent.version.size.unwrap_or(0);
        }
        self.write_down(&share, SharedFile { state, ..file }, place).await.map(|()| true)
    }

    /// Removes a file that has expired, and writes down what became of it. True when it is over for now.
    async fn expire_one(&self, place: (u64, u32)) -> Result<bool, FileError> {
        let Some((share, file)) = self.row(place).await? else { return Ok(true) };
        let FileState::Sent(mut sent) = file.state.clone() else { return Ok(true) };
        let state = match self.expire(&share, &sent, place).await {
            Ok(state) => state,
            Err(error) if self.ends_the_run(&error) => return Err(error),
            Err(error) => {
                self.count_failure(&error);
                sent.failed = Some(self.again(sent.failed, &error));
                FileState::Sent(sent)
            }
        };
        lock(&self.ended).tally.removed += u64::from(matches!(state, FileState::Removed { .. }));
        self.write_down(&share, SharedFile { state, ..file }, place).await.map(|()| true)
    }

    fn count_failure(&self, error: &FileError) {
        *lock(&self.ended).tally.failed.entry(error.cause()).or_default() += 1;
    }

    /// Writes down what became of a file, unless its owner has cancelled it meanwhile and it was not sent.
    async fn write_down(&self, share: &Share, file: SharedFile, place: (u64, u32)) -> Result<(), FileError> {
        let (store, service, path) = (self.store.clone(), share.service, file.path.to_string());
        let failure = match &file.state {
            FileState::Waiting { failed: Some(retry) } => Some(retry.reason.clone()),
            FileState::Skipped { reason } | FileState::Left { reason, .. } => Some(reason.clone()),
            FileState::Sent(sent) => sent.failed.as_ref().map(|retry| retry.reason.clone()),
            _ => None,
        };
        if let Some(reason) = &failure {
            tracing::info!(service = %self.service.name, share = place.0, path, %reason, "a shared file was not sent or removed");
        }
        blocking(move || {
            store.write(move |tx| match shares::file_to_change(tx, place)? {
                None => Ok(()),
                Some(SharedFile { state: FileState::Cancelled, .. }) if matches!(file.state, FileState::Waiting { .. }) => Ok(()),
                Some(_) => shares::put(tx, service, place, &file),
            })
        })
        .await?;
        self.events.publish(Event::SharedFile { service: self.service.name.clone(), share: place.0, path, failure });
        Ok(())
    }

    fn again(&self, before: Option<Retry>, error: &FileError) -> Retry {
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        let wait = doubling(FIRST_RETRY, attempts, LONGEST_RETRY).as_secs();
        Retry {
            attempts,
            reason: error.to_string(),
            cause: Some(error.cause().to_owned()),
            next: self.store.clock().seconds().saturating_add_unsigned(wait),
        }
    }

    fn ends_the_run(&self, error: &FileError) -> bool {
        match error {
            FileError::Client(error) => error.stops_everything() || self.stop.is_stopped(),
            FileError::Store(_) | FileError::Stopped => true,
            FileError::Library(LibraryError::Store(_)) => true,
            _ => self.stop.is_stopped(),
        }
    }

    fn end(&self, error: &FileError) {
        if self.stop.is_stopped() {
            return;
        }
        let mut ended = lock(&self.ended);
        ended.refused |= matches!(error, FileError::Client(ClientError::Unauthorized));
        ended.unreachable |= matches!(error, FileError::Client(_));
        ended.error.get_or_insert_with(|| error.to_string());
    }

    fn is_over(&self) -> bool {
        self.stop.is_stopped() || lock(&self.ended).error.is_some()
    }

    /// An error when the service has no room; it need not be tried with every file.
    pub(super) fn check_room(&self) -> Result<(), FileError> {
        match &*lock(&self.full) {
            Some(reason) => Err(FileError::Refused(reason.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn notice_room(&self, error: &FileError) {
        if let FileError::Client(client) = error
            && client.is_full()
        {
            lock(&self.full).get_or_insert_with(|| error.to_string());
        }
    }

    fn tell_progress(&self) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        self.events.publish(Event::Sharing {
            service: self.service.name.clone(),
            files: read(&self.done.files),
            files_total: read(&self.done.files_total),
            bytes: read(&self.done.bytes),
            path: lock(&self.moved).as_ref().map(RelPath::to_string),
        });
    }
}

impl Watcher for Courier {
    fn moved_bytes(&self, of: &RelPath, count: u64) {
        {
            let mut moved = lock(&self.moved);
            if moved.as_ref() != Some(of) {
                *moved = Some(of.clone());
            }
        }
        self.done.bytes.fetch_add(count, Ordering::Relaxed);
        self.tell_progress();
    }

    fn is_over(&self) -> bool {
        Courier::is_over(self)
    }

    fn no_room(&self) -> Option<String> {
        lock(&self.full).clone()
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<R, F>(work: F) -> Result<R, StoreError>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, StoreError> + Send + 'static,
{
    // The work does not panic: when it is not done, the program ends.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed))
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
