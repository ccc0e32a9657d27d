//! Keeps the index in step with the library: at once by what is noticed, and from time to time by a look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::events::{Event, Events};
use crate::library::{self, Asked, Blind, LibraryError, Noticed, Parts, Post, ScanReport, Stat, Tree, Watch};
use crate::operations::Live;
use crate::types::{LibraryId, Mtime, RelPath};

use super::{ABSENCE, Gate, SETTLE};

/// A file that is being written is looked at again after longer and longer, at most this.
const PATIENCE: Duration = Duration::from_secs(60);
/// More folders than this at once are looked at by a look at everything.
const MANY: usize = 20_000;

/// Keeps one library's index.
pub(super) struct LibraryKeeper {
    tree: Tree,
    library: LibraryId,
    events: Events,
    watch: Watch,
    post: Post,
    settings: watch::Receiver<Live>,
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
    /// When everything is to be looked at for a reason.
    everything_at: Option<Instant>,
    /// When everything was looked at the last time, if the library was there.
    everything_was: Option<Instant>,
    /// The library was not there the last time.
    away: bool,
    said: Option<Blind>,
    known: Option<Known>,
}

/// What is known of the library besides the index, when everything was looked at and all that happened since was noticed.
struct Known {
    ignore_files: BTreeMap<RelPath, u64>,
    /// What could not be read: nobody tells when it can be.
    gaps: BTreeSet<RelPath>,
}

impl Known {
    fn of(report: &ScanReport) -> Self {
        Self { ignore_files: report.ignore_files.clone(), gaps: unread(report).collect() }
    }

    /// Some folders were looked at.
    fn learn(&mut self, parts: &Parts, report: &ScanReport) {
        let looked_at = |path: &RelPath| {
            path.parent().is_some_and(|folder| parts.members.contains(&folder))
                || path.ancestors().any(|folder| parts.below.contains(&folder))
        };
        self.ignore_files.retain(|path, _| !looked_at(path));
        self.ignore_files.extend(report.ignore_files.iter().map(|(path, state)| (path.clone(), *state)));
        self.gaps.extend(unread(report));
    }
}

fn unread(report: &ScanReport) -> impl Iterator<Item = RelPath> {
    report.coverage.gaps().filter(|(_, reason)| *reason != library::DAMAGED).map(|(path, _)| path.clone())
}

impl LibraryKeeper {
    /// Will look after `library`. Begun by [`LibraryKeeper::run`], ended by `stop`; `indexed` and `whole` are told when the index is whole.
    pub(super) fn new(
        (tree, library): (Tree, LibraryId),
        (watch, post): (Watch, Post),
        events: Events,
        settings: watch::Receiver<Live>,
        (stop, indexed, whole): (Arc<AtomicBool>, Option<Gate>, watch::Sender<bool>),
    ) -> Self {
        Self { tree, library, events, watch, post, settings, stop, indexed, whole, state: State::default() }
    }

    pub(super) fn run(mut self) {
        self.everything(true);
        while !self.stopped() {
            let next = [self.state.parts_at, self.everything_at()].into_iter().flatten().min();
            let noticed = self.watch.wait(next.map(|next| next.saturating_duration_since(Instant::now())));
            if self.stopped() {
                return;
            }
            self.take(noticed);
            let asked = self.post.asked();
            if !asked.is_empty() {
                // What was done before they asked is told by now.
                let noticed = self.watch.look();
                self.take(noticed);
            }
            let now = Instant::now();
            let everything = self.everything_at().is_some_and(|at| at <= now);
            if !asked.is_empty() {
                self.answer(asked, everything);
            } else if everything {
                self.everything(false);
            } else if self.state.parts_at.is_some_and(|at| at <= now) {
                self.parts();
            }
        }
    }

    fn take(&mut self, noticed: Noticed) {
        let now = Instant::now();
        if noticed.everything {
            tracing::info!("more changes at once than could be noticed; looking at the whole library");
            self.state.everything_at = Some(now);
            self.state.known = None;
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
    }

    /// Tells those who need the index up to date that it is, or lets them look for themselves.
    fn answer(&mut self, asked: Asked, everything: bool) {
        let is_known = self.state.known.is_some() && self.watch.blind().is_none() && !self.watch.is_outdated(&self.tree);
        let report = if is_known && !everything { self.changes() } else { self.everything(false) };
        if let Some(report) = report {
            tracing::debug!(files = report.files, "looked at because the index is needed");
            asked.answer(&report);
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
        self.state.known = None;
        (self.state.everything_at, self.state.everything_was) = (Some(Instant::now() + ABSENCE), None);
        self.state.parts = Parts::default();
        self.state.parts_at = None;
        false
    }

    fn everything(&mut self, first: bool) -> Option<ScanReport> {
        if !self.is_there() {
            return None;
        }
        if first || self.state.away || self.watch.blind() == Some(Blind::Gone) || self.watch.is_outdated(&self.tree) {
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
        (self.state.everything_at, self.state.everything_was) = (None, Some(Instant::now()));
        let report = self.told(report)?;
        say_gaps(&report);
        self.state.known = Some(Known::of(&report)).filter(|known| !known.gaps.contains(&RelPath::root()));
        tracing::info!(files = report.files, hashed = report.hashed, removed = report.removed, "the index is up to date");
        self.whole.send_replace(true);
        if let Some(gate) = self.indexed.as_ref().filter(|gate| !gate.open.load(Ordering::Relaxed)) {
            gate.open.store(true, Ordering::Release);
            gate.waker.wake();
        }
        Some(report)
    }

    /// Looks where something happened, when it has been quiet for a while.
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
            say_gaps(&report);
            self.learn(&parts, &report);
            tracing::debug!(hashed = report.hashed, renamed = report.renamed, removed = report.removed, "changes were noticed");
        }
    }

    /// Looks where something happened, at once. The report is as if everything had been looked at, but for the number of files.
    fn changes(&mut self) -> Option<ScanReport> {
        if !self.is_there() {
            return None;
        }
        let mut parts = std::mem::take(&mut self.state.parts);
        self.state.parts_at = None;
        for gap in std::mem::take(&mut self.state.known.as_mut()?.gaps) {
            parts.members.extend(gap.parent());
            parts.below.insert(gap);
        }
        let report = if parts.is_empty() {
            Ok(ScanReport::default())
        } else {
            let watch = &self.watch;
            library::scan_parts_quiet(&self.tree, &self.events, &self.stop, &parts, &|path| watch.is_being_written(path))
        };
        let mut report = self.told(report)?;
        report.ignore_files = self.learn(&parts, &report)?;
        match library::damaged(&self.tree, &mut report.coverage) {
            Ok(()) => Some(report),
            Err(error) => {
                tracing::error!(%error, "it cannot be told which files are damaged");
                None
            }
        }
    }

    /// All ignore files, after some folders were looked at.
    fn learn(&mut self, parts: &Parts, report: &ScanReport) -> Option<BTreeMap<RelPath, u64>> {
        let known = self.state.known.as_mut()?;
        known.learn(parts, report);
        Some(known.ignore_files.clone())
    }

    /// Tells of what a look found, and sees to it that what was not ready is looked at again.
    fn told(&mut self, report: Result<ScanReport, LibraryError>) -> Option<ScanReport> {
        let mut report = match report {
            Ok(_) if self.stopped() => return None,
            Ok(report) => report,
            Err(error) => {
                tracing::error!(%error, "the library could not be scanned");
                (self.state.everything_at, self.state.everything_was) = (Some(Instant::now() + ABSENCE), None);
                self.state.known = None;
                return None;
            }
        };
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
            let then = match self.settings.borrow().scan_interval {
                Some(interval) => format!("they are found when everything is looked at, every {interval:?}"),
                None => "they are not found: set --scan-interval, or run `twinlens index`".to_owned(),
            };
            tracing::error!("changes by other programs in {} may not be noticed at once: {reason}; {then}", self.tree.root().display());
        }
        self.state.said = blind;
    }

    /// When everything is to be looked at again.
    fn everything_at(&self) -> Option<Instant> {
        let interval = self.settings.borrow().scan_interval;
        let again = self.state.everything_was.zip(interval).and_then(|(was, interval)| was.checked_add(interval));
        [self.state.everything_at, again].into_iter().flatten().min()
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn say_gaps(report: &ScanReport) {
    for (path, reason) in report.coverage.gaps() {
        tracing::warn!(%path, %reason, "it could not be read");
    }
}

/// Whether a file was modified just now, by the clock of this machine. Where the disk has another clock, it only looks old enough at once.
fn is_young(mtime: Mtime) -> bool {
    SystemTime::now().duration_since(mtime.into()).is_ok_and(|age| age < SETTLE)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::store::Store;

    /// Calls `check` with a way to ask a keeper at work, who may watch so many folders.
    fn with_keeper(root: &Path, limit: usize, check: impl FnOnce(&dyn Fn() -> ScanReport)) {
        let store = Store::open(&root.join("state.redb")).unwrap();
        let (tree, library) = library::open_library(&root.join("library"), &store).unwrap();
        let (watch, waker) = Watch::new().unwrap();
        let (events, stop, post) = (Events::default(), Arc::<AtomicBool>::default(), tree.keep_watch(waker.clone()));
        let (whole, watch_of) = (watch::Sender::new(false), |live| watch::channel(live).1);
        let ends = (Arc::clone(&stop), None, whole);
        let keeper =
            LibraryKeeper::new((tree.clone(), library), (watch.limited(limit), post), events.clone(), watch_of(Live::default()), ends);
        let keeper = std::thread::spawn(move || keeper.run());
        check(&|| library::up_to_date(&tree, &events, &AtomicBool::new(false)).unwrap());
        stop.store(true, Ordering::Relaxed);
        waker.wake();
        keeper.join().unwrap();
        // Now nobody watches, and whoever asks looks at everything.
        assert!(library::up_to_date(&tree, &events, &AtomicBool::new(false)).unwrap().files > 0);
    }

    fn library_of(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| put(root.path(), file, file));
        root
    }

    fn put(root: &Path, file: &str, content: &str) {
        let place = root.join("library").join(file);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    #[test]
    fn whoever_sees_everything_looks_only_where_something_was_done() {
        let root = library_of(&["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg", "b/c/5.jpg"]);
        with_keeper(root.path(), usize::MAX, |ask| {
            let looked = |files: u64| {
                let report = ask();
                assert_eq!(report.files, files, "{report:?}");
                report
            };
            let none = looked(0).ignore_state();
            put(root.path(), "a/new.jpg", "new");
            assert_eq!(looked(3).hashed, 1);
            // Ignore files are known though they are not looked at.
            put(root.path(), "b/c/.tlignore", "*.gif");
            let one = looked(1).ignore_state();
            assert_eq!((one == none, looked(0).ignore_state()), (false, one));
            put(root.path(), "a/.tlignore", "*.gif");
            assert_ne!(looked(3).ignore_state(), one);
            fs::remove_file(root.path().join("library/a/.tlignore")).unwrap();
            assert_eq!(looked(3).ignore_state(), one);
            fs::rename(root.path().join("library/b/c"), root.path().join("outside")).unwrap();
            assert_eq!((looked(0).ignore_state(), looked(0).removed), (none, 0));
        });
    }

    #[test]
    fn whoever_does_not_see_everything_looks_at_everything() {
        let root = library_of(&["a/1.jpg", "a/b/2.jpg", "a/b/c/3.jpg"]);
        with_keeper(root.path(), 2, |ask| {
            assert_eq!((ask().files, ask().files), (3, 3));
            put(root.path(), "a/b/c/new.jpg", "new");
            let report = ask();
            assert_eq!((report.files, report.hashed), (4, 1), "{report:?}");
        });
    }

    #[test]
    fn what_could_not_be_read_is_looked_at_again_and_stays_unknown() {
        let root = library_of(&["a/1.jpg", "b/2.jpg"]);
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.jpg");
        let place = root.path().join("library/a").join(name);
        fs::write(&place, "no name").unwrap();
        with_keeper(root.path(), usize::MAX, |ask| {
            for _ in 0..2 {
                let report = ask();
                assert_eq!((report.files, report.coverage.gaps().count()), (1, 1), "{report:?}");
            }
            fs::remove_file(&place).unwrap();
            assert_eq!(ask().coverage.gaps().count(), 0);
            assert_eq!(ask().files, 0);
        });
    }
}
