//! The database file and its one writer.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use tokio::sync::watch;

use crate::types::Clock;

use super::disk::Disk;
use super::meta::FORMAT;
use super::snapshot::{Shared, Snapshot};
use super::{
    baseline, changes, documents, failures, folders, history, ids, index, kinds, listed, meta, origins, outbox, pictures, properties,
    remote, shares, traces,
};

/// redb's page cache. The default of 1 GiB would be most of a small machine.
const CACHE_BYTES: usize = 48 << 20;
/// How many waiting writes share one transaction.
const BATCH: usize = 512;
/// After so many commits that are not durable one is, so that the file does not grow: redb cannot use the room of replaced pages before.
const OWED: u32 = 16;
/// How long a write from `write_soon` may wait to become durable.
const SOON: Duration = Duration::from_secs(1);

/// What can go wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("{} is in use by another twinlens process that does not answer on its control socket; stop that process, or use another --data folder", .0.display())]
    InUse(PathBuf),
    /// The file cannot be opened or created.
    #[error("cannot open the state {}: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// redb failed, usually because the disk did.
    #[error("the state could not be read or written: {0}")]
    Database(#[from] redb::Error),
    /// A row does not hold what it should.
    #[error("the state is damaged ({0}); restore it from a backup, or move it away to start anew: photos are not touched")]
    Damaged(&'static str),
    /// Written by a later version.
    #[error(
        "the state {} was written by a newer twinlens (its format is {found}, this program knows {FORMAT}); nothing was changed. Use that \
         version or a later one, or another --data folder", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
    },
    /// A row was written by a later version.
    #[error("a part of the state was written by a newer twinlens; please use that version or a later one")]
    NewerRow,
    /// It could not be copied.
    #[error("the state cannot be copied to {}: {reason}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The disk is nearly full. Nothing was written, and everything can be read.
    #[error("the state {} was not written to: there is no room left on its disk; make some", .0.display())]
    Full(PathBuf),
    /// The store is shutting down.
    #[error("the state is closed")]
    Closed,
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}
from_redb!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError, redb::SetDurabilityError);

type Work = Box<dyn FnOnce(&WriteTransaction) -> Result<(), StoreError> + Send>;

/// Told when it is done.
type Done = mpsc::SyncSender<Result<(), StoreError>>;

enum Job {
    /// A part of the next transaction.
    Write { work: Work, durable: bool, done: Done },
    /// A copy of the whole file.
    Copy { to: PathBuf, done: Done },
}

/// The open state. Cheap to clone; the file is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    clock: Clock,
}

struct Inner {
    path: PathBuf,
    database: Arc<Database>,
    shared: Arc<Shared>,
    latest: watch::Receiver<u64>,
    jobs: Mutex<Option<Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the state file, creating it when it is not there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            other => StoreError::Open { path: path.to_owned(), reason: other.to_string() },
        })?;
        let found = meta::format(&database.begin_read()?)?;
        match found {
            Some(found) if found > FORMAT => return Err(StoreError::Newer { path: path.to_owned(), found }),
            // An older program can go on with it.
            Some(found) if found < FORMAT => {
                let kept = path.with_added_extension(format!("format-{found}"));
                copy(path, &kept)?;
                check_copy(&kept)?;
            }
            _ => {}
        }
        let begin = database.begin_write()?;
        meta::prepare(&begin, found)?;
        changes::prepare(&begin)?;
        index::prepare(&begin)?;
        folders::prepare(&begin)?;
        ids::prepare(&begin)?;
        baseline::prepare(&begin)?;
        origins::prepare(&begin)?;
        remote::prepare(&begin)?;
        listed::prepare(&begin)?;
        kinds::prepare(&begin)?;
        documents::prepare(&begin)?;
        failures::prepare(&begin)?;
        history::prepare(&begin)?;
        properties::prepare(&begin)?;
        shares::prepare(&begin)?;
        pictures::prepare(&begin)?;
        traces::prepare(&begin)?;
        outbox::prepare(&begin)?;
        begin.commit()?;
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::channel();
        let (tell, latest) = watch::channel(0);
        let shared = Arc::<Shared>::default();
        let writer = Writer { path: path.to_owned(), database: Arc::clone(&database), shared: Arc::clone(&shared), tell };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.work(&queue))
            .map_err(|error| StoreError::Open { path: path.to_owned(), reason: error.to_string() })?;
        let inner =
            Inner { path: path.to_owned(), database, shared, latest, jobs: Mutex::new(Some(jobs)), writer: Mutex::new(Some(writer)) };
        Ok(Self { inner: Arc::new(inner), clock: Clock::default() })
    }

    /// The same state, whose dates are of this clock.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// What tells the time to everything that is remembered here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether its disk has room for what is to be remembered of files that people add.
    pub fn has_room(&self) -> bool {
        Disk::of(&self.inner.path).is_none_or(|disk| disk.room() > 0)
    }

    /// One consistent state to read from.
    pub fn read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.inner.database.begin_read()?)
    }

    /// The index, the changes and the properties as they are now.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.inner.shared.get(&self.inner.database)
    }

    /// Tells when the library has changed. What it holds is the number of the latest change since the store was opened; only that it becomes
    /// another one means anything.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.latest.clone()
    }

    /// Runs `work` in a transaction and waits until it is durable. Blocks. `work` must check what it needs before it
    /// changes anything: an error rolls back whatever shares its transaction.
    pub fn write<R, F>(&self, work: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<R, StoreError> + Send + 'static,
    {
        self.submit(work, true)
    }

    /// As [`Store::write`], but returns when the change is visible; it is durable a little later.
    pub fn write_soon<R, F>(&self, work: F) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<R, StoreError> + Send + 'static,
    {
        self.submit(work, false)
    }

    /// Copies the whole state into a new file, as it is at one moment; writers wait for that long. Blocks. The copy is whole and closed.
    pub fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let (done, wait) = mpsc::sync_channel(1);
        let sent = match &*lock(&self.inner.jobs) {
            Some(jobs) => jobs.send(Job::Copy { to: to.to_owned(), done }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(StoreError::Closed);
        }
        wait.recv().map_err(|_| StoreError::Closed)??;
        check_copy(to)
    }

    fn submit<R, F>(&self, work: F, durable: bool) -> Result<R, StoreError>
    where
        R: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<R, StoreError> + Send + 'static,
    {
        let (done, wait) = mpsc::sync_channel(1);
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let work: Work = Box::new(move |transaction| {
            let value = work(transaction)?;
            *lock(&result) = Some(value);
            Ok(())
        });
        let sent = match &*lock(&self.inner.jobs) {
            Some(jobs) => jobs.send(Job::Write { work, durable, done }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(StoreError::Closed);
        }
        wait.recv().map_err(|_| StoreError::Closed)??;
        lock(&slot).take().ok_or(StoreError::Closed)
    }
}

/// Looks whether a state file is whole and of a format that this program knows, and closes it properly. It must not be in use.
pub fn check_copy(path: &Path) -> Result<(), StoreError> {
    let broken = |reason: String| StoreError::Open { path: path.to_owned(), reason };
    let mut database = redb::Builder::new().set_cache_size(CACHE_BYTES).open(path).map_err(|error| broken(error.to_string()))?;
    match meta::format(&database.begin_read()?)? {
        Some(found) if found > FORMAT => return Err(StoreError::Newer { path: path.to_owned(), found }),
        Some(_) => {}
        None => return Err(broken("it is no state of twinlens".into())),
    }
    database.check_integrity().map_err(|error| broken(error.to_string()))?;
    Ok(())
}

/// Copies a state file between two transactions, durably.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let copied = std::fs::copy(from, to).and_then(|_| std::fs::File::open(to)?.sync_all());
    copied.map_err(|error| StoreError::Copy { path: to.to_owned(), reason: error.to_string() })
}

/// A poisoned lock only means that another thread panicked; the data behind these is always whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.jobs).take();
        if let Some(writer) = lock(&self.writer).take() {
            // An error would mean that the writer panicked; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

/// The one thread that writes.
struct Writer {
    path: PathBuf,
    database: Arc<Database>,
    shared: Arc<Shared>,
    tell: watch::Sender<u64>,
}

impl Writer {
    fn work(&self, queue: &Receiver<Job>) {
        // Commits that are not durable yet; whether it was said that they cannot be made so, which is tried again and again.
        let (mut owed, mut is_told) = (0, false);
        loop {
            let first = if owed > 0 { queue.recv_timeout(SOON) } else { queue.recv().map_err(|_| RecvTimeoutError::Disconnected) };
            let closing = matches!(first, Err(RecvTimeoutError::Disconnected));
            let (mut jobs, mut copies) = (Vec::new(), Vec::new());
            for job in first.into_iter().chain(queue.try_iter().take(BATCH)) {
                match job {
                    Job::Write { work, durable, done } => jobs.push((work, durable, done)),
                    Job::Copy { to, done } => copies.push((to, done)),
                }
            }
            if jobs.is_empty() && owed > 0 {
                match self.commit(Vec::new(), true) {
                    Ok(()) => (owed, is_told) = (0, false),
                    Err(error) if !is_told => {
                        tracing::error!(%error, "the state could not be made durable; it is tried again until it can");
                        is_told = true;
                    }
                    Err(_) => {}
                }
            }
            if closing {
                let close: Work = Box::new(meta::set_closed);
                if let Err(error) = self.commit(vec![close], true) {
                    tracing::error!(%error, "the state could not be closed properly");
                }
                return;
            }
            if !jobs.is_empty() {
                let durable = owed >= OWED || !copies.is_empty() || jobs.iter().any(|(_, durable, _)| *durable);
                match self.run(jobs.into_iter().map(|(work, _, done)| (work, done)).collect(), durable) {
                    true if durable => (owed, is_told) = (0, false),
                    true => owed += 1,
                    // What was owed before still is.
                    false => {}
                }
            }
            for (to, done) in copies {
                // Nobody else writes to the file, and nothing waits to be written.
                let _ = done.send(copy(&self.path, &to));
            }
        }
    }

    /// Runs a batch and tells every waiting writer, and whether it was written. They share one fate: an error means that none of them was.
    fn run(&self, jobs: Vec<(Work, Done)>, durable: bool) -> bool {
        let (works, dones): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        match self.commit(works, durable) {
            Ok(()) => {
                dones.into_iter().for_each(|done| drop(done.send(Ok(()))));
                true
            }
            Err(error) => {
                tracing::error!(%error, writes = dones.len(), "a write to the state failed");
                let reason = error.to_string();
                let full = if let StoreError::Full(path) = &error { Some(path.clone()) } else { None };
                let again = || match &full {
                    // Each of them is told what to do about it.
                    Some(path) => StoreError::Full(path.clone()),
                    None => StoreError::Database(redb::Error::Io(std::io::Error::other(reason.clone()))),
                };
                let mut first = Some(error);
                for done in dones {
                    drop(done.send(Err(first.take().unwrap_or_else(again))));
                }
                false
            }
        }
    }

    fn commit(&self, works: Vec<Work>, durable: bool) -> Result<(), StoreError> {
        // When a write of its own fails for want of room, redb does nothing more until it is opened anew, not even read.
        if Disk::of(&self.path).is_some_and(|disk| !disk.takes_state()) {
            return Err(StoreError::Full(self.path.clone()));
        }
        let mut transaction = self.database.begin_write()?;
        if !durable {
            transaction.set_durability(Durability::None)?;
        }
        for work in works {
            work(&transaction)?;
        }
        let latest = meta::latest_change(&transaction)?;
        transaction.commit()?;
        self.shared.committed();
        self.tell.send_if_modified(|told| std::mem::replace(told, latest) != latest);
        Ok(())
    }
}
