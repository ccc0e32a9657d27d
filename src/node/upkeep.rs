//! What a serving node does by itself: it keeps the index in step with what other programs do in the library, and imports what was dropped.
//!
//! Two threads, one for each tree, that mostly sleep. The import waits for the first look at the library, because only a whole index can
//! tell what is there already. Neither does anything while the library's marker is missing.

mod library;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::events::Events;
use crate::library::{Blind, Importer, Tree, Waker, Watch};
use crate::operations::{Failure, Live};
use crate::types::LibraryId;

use self::library::LibraryKeeper;

/// So long nothing more may happen to a file in the library before it is read; so long events are gathered.
const SETTLE: Duration = Duration::from_secs(2);
/// How often a library or import folder that is away is looked for.
const ABSENCE: Duration = Duration::from_secs(30);
/// The import folder is looked at so often even when nothing was noticed.
const IMPORT_LOOK: Duration = Duration::from_secs(600);

/// When a serving node imports and looks for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// How long a dropped file must be left in peace before it is imported; none: nothing is imported.
    pub import_quiet: Option<Duration>,
    /// How often the whole library is looked at, besides the watching; none: never.
    pub scan_interval: Option<Duration>,
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self { import_quiet: Some(Duration::from_secs(60)), scan_interval: Some(Duration::from_secs(3600)) }
    }
}

/// The threads.
pub(super) struct Upkeep {
    stop: Arc<AtomicBool>,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<()>>,
}

impl Upkeep {
    /// Begins. Without an import tree nothing is imported.
    pub(super) fn start(
        (originals, library): (Tree, LibraryId),
        import: Option<Tree>,
        events: &Events,
        whole: watch::Sender<bool>,
        (import_quiet, settings): (Option<Duration>, watch::Receiver<Live>),
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::unreachable(format!("the library cannot be watched: {error}"));
        let stop = Arc::<AtomicBool>::default();
        let (watch, waker) = Watch::new().map_err(failed)?;
        let post = originals.keep_watch(waker.clone());
        let (mut changes, ring) = (settings.clone(), waker.clone());
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                ring.wake();
            }
        });
        let mut upkeep = Self { stop: Arc::clone(&stop), wakers: vec![waker], threads: Vec::new() };
        let mut indexed = None;
        if let (Some(import), Some(quiet)) = (import, import_quiet) {
            let (watch, waker) = Watch::new().map_err(failed)?;
            let gate = Gate { open: Arc::default(), waker: waker.clone() };
            indexed = Some(gate.clone());
            upkeep.wakers.push(waker);
            let importer = Importer::new(import.clone(), originals.clone(), library, events.clone(), quiet, Arc::clone(&stop));
            let keeper = ImportKeeper { tree: import, importer, watch, quiet, stop: Arc::clone(&stop), gate };
            upkeep.spawn("import", move || keeper.run()).map_err(failed)?;
        }
        let keeper = LibraryKeeper::new((originals, library), (watch, post), events.clone(), settings, (stop, indexed, whole));
        upkeep.spawn("library", move || keeper.run()).map_err(failed)?;
        Ok(upkeep)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name.into()).spawn(work)?);
        Ok(())
    }

    fn tell(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Ends what goes on at the next file, and waits for that. Blocks.
    pub(super) fn stop(mut self) {
        self.tell();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a part of the upkeep ended unexpectedly");
            }
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Opens when the index is whole for the first time.
#[derive(Clone)]
struct Gate {
    open: Arc<AtomicBool>,
    waker: Waker,
}

struct ImportKeeper {
    tree: Tree,
    importer: Importer,
    watch: Watch,
    quiet: Duration,
    stop: Arc<AtomicBool>,
    gate: Gate,
}

impl ImportKeeper {
    fn run(mut self) {
        while !self.gate.open.load(Ordering::Acquire) {
            self.watch.wait(None);
            if self.stopped() {
                return;
            }
        }
        self.cover();
        let mut said = String::new();
        loop {
            let watch = &self.watch;
            let wait = match self.importer.look(&|path| watch.is_being_written(path)) {
                Ok(report) => {
                    said.clear();
                    let unseen = self.watch.blind().map_or(IMPORT_LOOK, |_| self.quiet.clamp(Duration::from_secs(1), ABSENCE));
                    report.next.map_or(unseen, |next| next.clamp(Duration::from_millis(100), unseen))
                }
                Err(error) => {
                    if said != error.to_string() {
                        said = error.to_string();
                        tracing::error!(%error, "nothing is imported");
                    }
                    ABSENCE
                }
            };
            // Whoever stops us says so first and rings then; a ring that was heard before is not heard again.
            if self.stopped() {
                return;
            }
            let noticed = self.watch.wait(Some(wait));
            if !noticed.parts.is_empty() {
                self.gather();
            }
            if self.watch.blind() == Some(Blind::Gone) && self.tree.is_there() {
                self.cover();
            }
        }
    }

    fn cover(&mut self) {
        let stop = Arc::clone(&self.stop);
        self.watch.cover(&self.tree, &move || stop.load(Ordering::Relaxed));
        if let Some(reason) = self.watch.blind() {
            tracing::error!("what is dropped into {} is looked for from time to time only: {reason}", self.tree.root().display());
        }
    }

    /// Lets a burst of events pass, so that one look answers them all.
    fn gather(&mut self) {
        let until = Instant::now() + (self.quiet / 4).clamp(Duration::from_millis(20), SETTLE);
        while !self.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.watch.wait(Some(left));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
