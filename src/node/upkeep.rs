//! What a serving node does by itself: it keeps the index in step with what other programs do in the library, and imports what was dropped.
//!
//! Two threads, one for each tree, that mostly sleep. The import waits for the first look at the library, because only a whole index can
//! tell what is there already. Neither does anything while the library's marker is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::events::{Event, Events};
use crate::library::{self, Blind, Importer, LibraryError, Parts, ScanReport, Stat, Tree, Waker, Watch};
use crate::types::{LibraryId, Mtime, RelPath};

use super::Failure;

/// So long nothing more may happen to a file in the library before it is read; so long events are gathered.
const SETTLE: Duration = Duration::from_secs(2);
/// A file that is being written is looked at again after longer and longer, at most this.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a library or import folder that is away is looked for.
const ABSENCE: Duration = Duration::from_secs(30);
/// The import folder is looked at so often even when nothing was noticed.
const IMPORT_LOOK: Duration = Duration::from_secs(600);
/// More folders than this at once are looked at by a look at everything.
const MANY: usize = 20_000;

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
        settings: UpkeepSettings,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::unreachable(format!("the library cannot be watched: {error}"));
        let stop = Arc::<AtomicBool>::default();
        let (watch, waker) = Watch::new().map_err(failed)?;
        let mut upkeep = Self { stop: Arc::clone(&stop), wakers: vec![waker], threads: Vec::new() };
        let mut indexed = None;
        if let (Some(import), Some(quiet)) = (import, settings.import_quiet) {
            let (watch, waker) = Watch::new().map_err(failed)?;
            let gate = Gate { open: Arc::default(), waker: waker.clone() };
            indexed = Some(gate.clone());
            upkeep.wakers.push(waker);
            let importer = Importer::new(import.clone(), originals.clone(), library, events.clone(), quiet, Arc::clone(&stop));
            let keeper = ImportKeeper { tree: import, importer, watch, quiet, stop: Arc::clone(&stop), gate };
            upkeep.spawn("import", move || keeper.run()).map_err(failed)?;
        }
        let keeper = LibraryKeeper {
            tree: originals,
            library,
            events: events.clone(),
            watch,
            interval: settings.scan_interval,
            stop,
            indexed,
            whole,
            state: State::default(),
        };
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

struct LibraryKeeper {
    tree: Tree,
    library: LibraryId,
    events: Events,
    watch: Watch,
    interval: Option<Duration>,
    stop: Arc<AtomicBool>,
    indexed: Option<Gate>,
    /// Whoever waits for the first look is told here.
    whole: watch::Sender<bool>,
    state: State,
}

/// What is to be done, and when.
#[derive(Default)]
struct State {
    parts: Parts,
    parts_at: Option<Instant>,
    patience: Duration,
    everything_at: Option<Instant>,
    /// The library was not there the last time.
    away: bool,
    said: Option<Blind>,
}

impl LibraryKeeper {
    fn run(mut self) {
        self.everything(true);
        while !self.stopped() {
            let next = [self.state.parts_at, self.state.everything_at].into_iter().flatten().min();
            let noticed = self.watch.wait(next.map(|next| next.saturating_duration_since(Instant::now())));
            if self.stopped() {
                return;
            }
            let now = Instant::now();
            if noticed.everything {
                tracing::info!("more changes at once than could be noticed; looking at the whole library");
                self.state.everything_at = Some(now);
            }
            if !noticed.parts.is_empty() {
                self.state.parts.merge(noticed.parts);
                self.state.patience = SETTLE;
                let soon = now + SETTLE;
                self.state.parts_at = Some(self.state.parts_at.map_or(soon, |at| at.min(soon)));
            }
            if self.state.parts.members.len() + self.state.parts.below.len() > MANY {
                self.state.everything_at = Some(now);
            }
            self.say_blind();
            if self.watch.blind() == Some(Blind::Gone) && !self.state.away {
                self.state.everything_at = Some(now);
            }
            if self.state.everything_at.is_some_and(|at| at <= now) {
                self.everything(false);
            } else if self.state.parts_at.is_some_and(|at| at <= now) {
                self.parts();
            }
        }
    }

    /// Whether the library is there. If not, we look again soon.
    fn is_there(&mut self) -> bool {
        match library::check_marker(self.tree.root(), self.library) {
            Ok(()) if self.tree.is_there() => return true,
            Ok(()) if self.state.away => {}
            Ok(()) => tracing::error!(path = %self.tree.root().display(), "another folder is in the place of the library"),
            Err(_) if self.state.away => {}
            Err(error) => tracing::error!(%error, "the library is away"),
        }
        self.state.away = true;
        self.state.everything_at = Some(Instant::now() + ABSENCE);
        self.state.parts = Parts::default();
        self.state.parts_at = None;
        false
    }

    fn everything(&mut self, first: bool) {
        if !self.is_there() {
            return;
        }
        if first || self.state.away || self.watch.blind() == Some(Blind::Gone) {
            // Before the look, so that nothing falls between both.
            let stop = Arc::clone(&self.stop);
            self.watch.cover(&self.tree, &move || stop.load(Ordering::Relaxed));
            self.say_blind();
        }
        self.state.away = false;
        self.state.parts = Parts::default();
        self.state.parts_at = None;
        // What is there when we begin is wanted at once; the watching notices what grows.
        let look = if first { library::scan_until } else { library::scan_quiet };
        let report = look(&self.tree, &self.events, &self.stop);
        self.state.everything_at = self.interval.map(|interval| Instant::now() + interval);
        let Some(report) = self.told(report) else { return };
        tracing::info!(files = report.files, hashed = report.hashed, removed = report.removed, "the index is up to date");
        self.whole.send_replace(true);
        if let Some(gate) = self.indexed.as_ref().filter(|gate| !gate.open.load(Ordering::Relaxed)) {
            gate.open.store(true, Ordering::Release);
            gate.waker.wake();
        }
    }

    fn parts(&mut self) {
        if !self.is_there() {
            return;
        }
        let parts = std::mem::take(&mut self.state.parts);
        self.state.parts_at = None;
        let watch = &self.watch;
        let unsettled = |path: &RelPath, stat: &Stat| is_young(stat.mtime) || watch.is_being_written(path);
        let report = library::scan_parts(&self.tree, &self.events, &self.stop, &parts, &unsettled);
        if let Some(report) = self.told(report) {
            tracing::debug!(hashed = report.hashed, renamed = report.renamed, removed = report.removed, "changes were noticed");
        }
    }

    /// Tells of what a look found, and sees to it that what was not ready is looked at again.
    fn told(&mut self, report: Result<ScanReport, LibraryError>) -> Option<ScanReport> {
        let mut report = match report {
            Ok(_) if self.stopped() => return None,
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "the library could not be scanned");
                self.state.everything_at = Some(Instant::now() + ABSENCE);
                return None;
            }
        };
        for (path, reason) in report.coverage.gaps() {
            tracing::warn!(%path, %reason, "it could not be read");
        }
        if report.changed() {
            self.events.publish(Event::IndexChanged { changed: report.hashed + report.renamed, removed: report.removed });
        }
        if !report.later.is_empty() {
            self.state.parts.members.append(&mut report.later);
            self.state.patience = self.state.patience.clamp(SETTLE, PATIENCE);
            self.state.parts_at = Some(Instant::now() + self.state.patience);
            self.state.patience *= 2;
        }
        Some(report)
    }

    fn say_blind(&mut self) {
        let blind = self.watch.blind();
        if let Some(reason) = blind.filter(|_| blind != self.state.said) {
            let then = match self.interval {
                Some(interval) => format!("they are found when everything is looked at, every {interval:?}"),
                None => "they are not found: set --scan-interval, or run `twinlens index`".to_owned(),
            };
            tracing::error!("changes by other programs in {} may not be noticed at once: {reason}; {then}", self.tree.root().display());
        }
        self.state.said = blind;
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Whether a file was modified just now, by the clock of this machine. Where the disk has another clock, it only looks old enough at once.
fn is_young(mtime: Mtime) -> bool {
    SystemTime::now().duration_since(mtime.into()).is_ok_and(|age| age < SETTLE)
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
