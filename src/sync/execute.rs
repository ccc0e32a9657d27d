//! Carrying out a plan: moves first, then transfers side by side, deletions last.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

use crate::client::{ClientError, NotProven, SourceError};
use crate::events::Event;
use crate::library::LibraryError;
use crate::reconcile::outcome::deduplicates;
use crate::reconcile::{Action, Base, Plan, Step, Why};
use crate::services::delivery::{self, DeliveryError, Watcher};
use crate::store::StoreError;
use crate::types::{ContentHash, RelPath, Side};

use super::Progress;
use super::join::gone_there;
use super::leftovers::Leftovers;
use super::names::explained;
use super::record::Record;
use super::report::{Noted, Reason, Report};
use super::room::Room;
use super::run::{Sync, SyncError};

/// Uploads into one folder that are proven by one look at it.
const UPLOADS_PER_PROOF: usize = 200;

/// Why one step failed. The run goes on with the others.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("{0}")]
    NotProven(NotProven),
    /// It was sent in several ways.
    #[error("{first}{}", delivery::others(*.ways))]
    InVain { first: Box<StepError>, ways: u32 },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Run(#[from] SyncError),
}

impl StepError {
    /// What kind of failure it is, in one word that stays the same.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Client(error) => error.cause(),
            Self::Library(error) => error.cause(),
            Self::NotProven(_) => "not-proven",
            Self::InVain { first, .. } => first.cause(),
            Self::Refused(_) => "refused",
            Self::Run(error) => error.cause(),
        }
    }
}

impl StepError {
    /// The same as an error of a delivery, if another way may help.
    pub(super) fn of_delivery(self) -> Result<DeliveryError, Self> {
        match self {
            Self::Client(error) => Ok(error.into()),
            Self::NotProven(reason) => Ok(DeliveryError::NotProven(reason)),
            other => Err(other),
        }
    }
}

impl From<DeliveryError> for StepError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Client(error) => error.into(),
            DeliveryError::NotProven(reason) => Self::NotProven(reason),
            DeliveryError::InVain { first, ways } => Self::InVain { first: Box::new((*first).into()), ways },
            DeliveryError::Refused(reason) => Self::Refused(reason),
            DeliveryError::Store(error) => error.into(),
            DeliveryError::SourceChanged(path) => LibraryError::Changed(path).into(),
            DeliveryError::Io { path, source } => LibraryError::Io { path, source }.into(),
            DeliveryError::Source(SourceError(error)) => match error.downcast::<LibraryError>() {
                Ok(error) => (*error).into(),
                Err(error) => Self::Refused(error.to_string()),
            },
        }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Library(LibraryError::Store(error))
    }
}

/// What a run does, through all its rounds.
pub(super) struct Execution {
    pub(super) sync: Arc<Sync>,
    pub(super) is_node: bool,
    /// How many files may travel at once.
    pub(super) permits: Semaphore,
    /// One creates folders at a time, so that nobody creates what another one is about to.
    pub(super) creating: tokio::sync::Mutex<()>,
    report: Mutex<Report>,
    /// Contents that downloads of this round found to be on the service, under names whose listing told nothing.
    found: Mutex<HashMap<ContentHash, RelPath>>,
    /// Local paths of the files that are gone from the service, as this round sees it: they may have been renamed there.
    gone_there: Mutex<HashSet<RelPath>>,
    /// Set when going on makes no sense: the service is out of reach, or the state cannot be written.
    fatal: Mutex<Option<Reason>>,
    pub(super) room: Room,
    /// Steps that are over, and bytes that went over the wire.
    done: Amount,
    /// As far as is known, of so many.
    total: Amount,
    /// Bytes of the steps that are over, whether they had to travel or not; and what that will be when all are over.
    over: Over,
}

/// Bytes as they were planned, not as they travelled: what was sent twice, or not needed after all, does not make what is left wrong.
#[derive(Debug, Default)]
struct Over {
    now: AtomicU64,
    in_the_end: AtomicU64,
}

impl Watcher for Execution {
    fn moved_bytes(&self, of: &RelPath, count: u64) {
        Execution::moved_bytes(self, (Side::Local, of), count);
    }

    fn is_over(&self) -> bool {
        self.fatal().is_some()
    }

    fn no_room(&self) -> Option<String> {
        self.room.reason()
    }
}

/// So many steps and bytes.
#[derive(Debug, Default)]
struct Amount {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Execution {
    pub(super) fn new(sync: Arc<Sync>, is_node: bool, report: Report) -> Arc<Self> {
        let permits = Semaphore::new(sync.options.parallel.max(1));
        sync.delivery.set_node(is_node);
        let execution = Arc::new(Self {
            sync,
            is_node,
            permits,
            creating: tokio::sync::Mutex::default(),
            report: Mutex::new(report),
            found: Mutex::default(),
            gone_there: Mutex::default(),
            fatal: Mutex::default(),
            room: Room::default(),
            done: Amount::default(),
            total: Amount::default(),
            over: Over::default(),
        });
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&execution) as Weak<dyn Watcher>;
        execution.sync.delivery.watched_by(watcher);
        execution
    }

    /// Carries out the plan of a round. `late` goes last, one by one; `to_come` is how many files with how many bytes other rounds will take.
    pub(super) async fn carry_out(self: &Arc<Self>, plan: Plan, late: Vec<Step>, to_come: (u64, u64)) -> Result<(), SyncError> {
        // What a round found is in the store for the next one.
        lock(&self.found).clear();
        *lock(&self.gone_there) = gone_there(&plan);
        let here = || plan.steps.iter().chain(&late);
        self.total.files.store(self.done.files.load(Ordering::Relaxed) + here().count() as u64 + to_come.0, Ordering::Relaxed);
        let bytes = here().map(Step::bytes).sum::<u64>() + to_come.1;
        self.total.bytes.store(self.done.bytes.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
        self.over.in_the_end.store(self.over.now.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
        self.sync.monitor.advance(self.progress());
        let mut records = Vec::new();
        let (mut moves, mut blind, mut downloads, mut conflicts, mut deletes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut copies, mut unnamed) = (Vec::new(), Vec::new());
        let leftovers = Leftovers::of(&plan, self.sync.policy.deletes);
        let mut uploads: HashMap<RelPath, Vec<Step>> = HashMap::new();
        for step in plan.steps {
            match &step.action {
                Action::Adopt { .. } | Action::Tombstone { .. } | Action::Forget => records.extend(self.note(&step)),
                Action::Move { .. } | Action::MoveFolder { .. } | Action::Park { .. } => moves.push(step),
                Action::Copy { .. } => copies.push(step),
                Action::Download { .. } if step.why == Why::New && !self.sync.policy.keep_names => unnamed.push(step),
                // What a server without digests holds is known only once it is here: perhaps it is what we were about to send.
                Action::Download { source, .. } if source.digests.is_empty() => blind.push(step),
                Action::Download { .. } => downloads.push(step),
                Action::Conflict { .. } => conflicts.push(step),
                Action::Upload { .. } => uploads.entry(step.remote.parent().unwrap_or_default()).or_default().push(step),
                Action::Delete { .. } => deletes.push(step),
            }
        }
        self.sync.record(records).await?;
        for step in moves {
            self.one(step, None).await?;
        }
        self.all(copies, Vec::new()).await?;
        self.download_all(blind).await?;
        self.by_date(unnamed).await?;
        let (fetched, sent) = tokio::join!(self.download_all(downloads), self.all(conflicts, uploads.into_values().collect()));
        fetched.and(sent)?;
        self.upload_late(late).await?;
        if !deletes.is_empty() {
            self.sync.check_marker().await?;
        }
        for step in deletes {
            self.one(step, None).await?;
        }
        self.sync.delivery.forget_settled().await?;
        self.remove_leftovers(leftovers).await;
        Ok(())
    }

    /// The run is over.
    pub(super) fn report(&self) -> Report {
        self.tell_room();
        let mut report = std::mem::take(&mut *self.lock_report());
        (report.error, report.cause) = self.fatal().map(|reason| (reason.text, reason.cause.to_owned())).unzip();
        report
    }

    /// The rest of the run cannot be planned or carried out. What was done is done, and is told.
    pub(super) fn break_off(&self, error: &SyncError) {
        self.count(|report| report.refused |= matches!(error, SyncError::Client(ClientError::Unauthorized)));
        lock(&self.fatal).get_or_insert_with(|| Reason { cause: error.cause(), text: error.to_string() });
    }

    /// Runs steps and uploads side by side.
    async fn all(self: &Arc<Self>, steps: Vec<Step>, folders: Vec<Vec<Step>>) -> Result<(), SyncError> {
        let mut running: JoinSet<Result<(), SyncError>> = JoinSet::new();
        let mut steps = steps.into_iter();
        let mut batches = folders.into_iter().flat_map(|mut uploads| {
            let mut batches = Vec::new();
            while !uploads.is_empty() {
                batches.push(uploads.drain(..uploads.len().min(UPLOADS_PER_PROOF)).collect::<Vec<_>>());
            }
            batches
        });
        // A few more tasks than permits, so that no permit waits for a batch to be proven.
        let limit = self.sync.options.parallel * 2;
        loop {
            while running.len() < limit && self.fatal().is_none() {
                let execution = Arc::clone(self);
                if let Some(batch) = batches.next() {
                    running.spawn(async move { execution.upload_batch(batch).await });
                } else if let Some(step) = steps.next() {
                    running.spawn(async move {
                        let permit = execution.permits.acquire().await.ok();
                        execution.one(step, permit).await
                    });
                } else {
                    break;
                }
            }
            match running.join_next().await {
                Some(done) => done.map_err(SyncError::crashed)??,
                None => return Ok(()),
            }
        }
    }

    /// Carries out one step other than a transfer, and records it.
    async fn one(self: &Arc<Self>, step: Step, permit: Option<SemaphorePermit<'_>>) -> Result<(), SyncError> {
        if self.fatal().is_some() {
            return Ok(());
        }
        self.sync.monitor.begins(&step);
        let done = match &step.action {
            Action::Conflict { local, remote, copy } => self.keep_both(&step, local, remote, copy).await,
            Action::Move { .. } | Action::MoveFolder { .. } | Action::Park { .. } | Action::Copy { .. } => match self.carry(&step).await {
                Ok(None) => {
                    // The transfer takes a permit of its own: whoever held on to this one could wait for ever.
                    drop(permit);
                    return self.send_instead(step).await;
                }
                done => done.map(Option::unwrap_or_default),
            },
            Action::Delete { .. } => self.delete(&step).await,
            Action::Upload { .. } | Action::Download { .. } | Action::Adopt { .. } | Action::Tombstone { .. } | Action::Forget => {
                Ok(Vec::new())
            }
        };
        match done {
            Ok(records) => {
                self.sync.record(records).await?;
                self.finished(&step, None);
            }
            Err(error) => self.failed(&step, &error),
        }
        Ok(())
    }

    /// Steps that move nothing.
    fn note(&self, step: &Step) -> Option<Record> {
        let record = match &step.action {
            Action::Adopt { local, remote, base } => {
                let record = Record::adopted(&step.local, *local, &step.remote, remote.clone()).or_else(|| {
                    let renamed = base.is_some();
                    renamed.then(|| Record::carried_over(&step.local, *local, &step.remote, remote.clone()))
                });
                self.count(|report| {
                    report.adopted += 1;
                    if let Why::SameContentAt { .. } = step.why {
                        report.skip(Noted::left(&step.local, &step.why));
                    }
                });
                record.map(|record| record.replacing(base.as_ref()))
            }
            Action::Tombstone { local, remote } => {
                let half = Base { local: *local, remote: remote.clone() };
                Some(Record::tombstone(&step.local, &step.remote, half))
            }
            Action::Forget => Some(Record::forgotten(&step.local)),
            _ => None,
        };
        self.finished(step, None);
        record
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock_report());
    }

    /// A step is over.
    pub(super) fn finished(&self, step: &Step, failure: Option<Reason>) {
        self.done.files.fetch_add(1, Ordering::Relaxed);
        self.over.now.fetch_add(step.bytes(), Ordering::Relaxed);
        let service = self.sync.service.name.clone();
        let (verb, path) = (step.verb().to_owned(), step.local.to_string());
        self.sync.monitor.finished(step, failure.as_ref());
        let failure = failure.map(|reason| reason.text);
        self.sync.events.publish(Event::Step { service, verb, path, failure });
        self.publish_progress();
    }

    /// A step failed; it is in the report, and the next run tries again.
    pub(super) fn failed(&self, step: &Step, error: &StepError) {
        if self.sync.monitor.stopped().is_some() {
            // Broken off on purpose: it did not fail, it was not done.
            return;
        }
        if let StepError::Library(LibraryError::Full(_)) = error {
            return self.left_out_here(step, error);
        }
        if let StepError::Client(ClientError::Unauthorized) = error {
            self.count(|report| report.refused = true);
        }
        let fatal = match error {
            StepError::Client(error) => error.stops_everything(),
            StepError::Library(LibraryError::Store(_)) | StepError::Run(_) => true,
            _ => false,
        };
        self.notice_room(error);
        let reason = Reason { cause: error.cause(), text: explained(step, error) };
        if !fatal {
            self.sync.monitor.failed(step, &reason, self.sync.store.clock().seconds());
        } else {
            lock(&self.fatal).get_or_insert_with(|| reason.clone());
        }
        tracing::warn!(service = %self.sync.service.name, action = step.verb(), path = %step.local, reason = reason.text, "a step failed");
        self.count(|report| {
            *report.causes.entry(reason.cause.to_owned()).or_default() += 1;
            report.failed.push(Noted::new(&step.local, reason.cause, &reason.text));
        });
        self.finished(step, Some(reason));
    }

    /// Bytes of a file, by its path on a side, went over the wire.
    pub(super) fn moved_bytes(&self, of: (Side, &RelPath), count: u64) {
        self.sync.monitor.moved(of, count);
        self.done.bytes.fetch_add(count, Ordering::Relaxed);
        self.publish_progress();
    }

    /// A file of the service turned out to hold this content.
    pub(super) fn found_there(&self, content: ContentHash, at: &RelPath) {
        lock(&self.found).entry(content).or_insert_with(|| at.clone());
    }

    /// Whether the file that was in step at a path of the library is gone from the service.
    pub(super) fn is_gone_there(&self, local: &RelPath) -> bool {
        lock(&self.gone_there).contains(local)
    }

    /// Where an earlier step of this run found the content of a file that was to be sent.
    pub(super) fn found_here(&self, path: &RelPath, content: ContentHash) -> Option<RelPath> {
        lock(&self.found).get(&content).filter(|_| deduplicates(path)).cloned()
    }

    fn progress(&self) -> Progress {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Progress {
            files: read(&self.done.files),
            files_total: read(&self.total.files),
            bytes: read(&self.done.bytes),
            bytes_total: read(&self.total.bytes),
            bytes_left: read(&self.over.in_the_end).saturating_sub(read(&self.over.now)),
        }
    }

    fn publish_progress(&self) {
        let Progress { files, files_total, bytes, bytes_total, bytes_left } = self.sync.monitor.advance(self.progress());
        let service = self.sync.service.name.clone();
        self.sync.events.publish(Event::Progress { service, files, files_total, bytes, bytes_total, bytes_left });
    }

    pub(super) fn fatal(&self) -> Option<Reason> {
        let stopped = || self.sync.monitor.stopped().map(|stop| Reason { cause: stop.cause(), text: stop.text().to_owned() });
        lock(&self.fatal).clone().or_else(stopped)
    }

    fn lock_report(&self) -> MutexGuard<'_, Report> {
        lock(&self.report)
    }
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
