//! A run as it is seen and stopped from outside.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::reconcile::Step;
use crate::store::history::{FileOutcome, KEEP_FILES};
use crate::types::{RelPath, Side};

use super::report::Reason;
use super::retry_later::Ledger;

/// The pace is that of so many seconds.
const PACE: Duration = Duration::from_secs(10);
/// So many seconds are told of.
const SECONDS: usize = 120;
/// So many files that are on their way are told.
const TOLD: usize = 50;

/// Why a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Somebody said so.
    Cancelled,
    /// Its hours are over, or the node stops: it goes on later by itself.
    Suspended,
}

impl Stop {
    /// What the owner reads.
    pub fn text(self) -> &'static str {
        match self {
            Stop::Cancelled => "it was cancelled; what was done until then is done, and the next run does the rest",
            Stop::Suspended => "it was suspended; what was done until then is done, and it goes on by itself",
        }
    }

    /// The same in one word that stays the same.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Stop::Cancelled => "cancelled",
            Stop::Suspended => "suspended",
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Progress {
    /// Steps done.
    pub files: u64,
    /// Of so many; 0 while both sides are still being looked at.
    pub files_total: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Of so many.
    pub bytes_total: u64,
    /// Bytes that are still to travel, as it was planned: what is sent twice, or is not needed after all, does not make it wrong.
    pub bytes_left: u64,
}

/// A file that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Moving {
    /// In the library, or on the service for what exists only there.
    pub path: RelPath,
    /// `upload`, `download`, ...
    pub action: String,
    /// Bytes that are to travel.
    pub bytes: u64,
    /// Those that have.
    pub moved: u64,
    /// For so many seconds.
    pub seconds: u64,
}

/// How fast a run goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Pace {
    /// Bytes a second, in the last ten seconds.
    pub bytes_per_second: u64,
    /// So many seconds are left, if it goes on as in the last ten; none as long as that cannot be said.
    pub seconds_left: Option<u64>,
    /// The bytes that travelled in each of the last seconds, at most 120, the latest last.
    pub throughput: Vec<u64>,
}

/// What became of the files of a run, as far as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// Those that failed, and the first ones of the others.
    pub files: Vec<FileOutcome>,
    /// How many more there were.
    pub untold: u64,
}

/// Watches a run, and tells it to stop. Cheap to clone; all clones are of the same run.
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    told: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    progress: Progress,
    outcomes: Outcomes,
    ledger: Ledger,
    moving: HashMap<RelPath, OnItsWay>,
    /// The local paths of those whose remote ones differ.
    by_remote: HashMap<RelPath, RelPath>,
    /// What was done by the end of each second since the first byte, the earliest first.
    seconds: VecDeque<Second>,
    /// Something may be changed from now on.
    acting: bool,
}

#[derive(Debug)]
struct OnItsWay {
    verb: &'static str,
    remote: RelPath,
    bytes: u64,
    moved: u64,
    since: Instant,
}

/// What was done by then.
#[derive(Debug, Clone, Copy)]
struct Second {
    at: Instant,
    bytes: u64,
    files: u64,
}

impl State {
    fn ends(&mut self, path: &RelPath) {
        if let Some(file) = self.moving.remove(path) {
            self.by_remote.remove(&file.remote);
        }
    }

    /// Bytes of files that are not over yet.
    fn under_way(&self) -> u64 {
        self.moving.values().map(|file| file.moved.min(file.bytes)).sum()
    }

    /// The pace as it is at a moment.
    fn pace(&self, now: Instant) -> Pace {
        let Some(last) = self.seconds.back() else { return Pace::default() };
        let since = |second: &Second| now.saturating_duration_since(second.at);
        // The latest moment that is long enough ago; at the beginning of a run the first there is.
        let then = self.seconds.iter().rev().find(|second| since(second) >= PACE).or(self.seconds.front()).copied().unwrap_or(*last);
        let seconds = since(&then).as_secs_f64().max(1.0);
        let (bytes, files) = ((last.bytes - then.bytes) as f64 / seconds, (last.files - then.files) as f64 / seconds);
        let Progress { files: done, files_total, bytes_left, .. } = self.progress;
        let files_left = files_total.saturating_sub(done);
        let needs = |left: u64, pace: f64| match left {
            0 => Some(0.0),
            _ => (pace > 0.0).then(|| left as f64 / pace),
        };
        // Many small files take their time however few their bytes are. One large file says nothing of how many files a second there will be.
        let by_files = needs(files_left, files).or(Some(0.0).filter(|_| bytes_left > 0));
        let seconds_left = needs(bytes_left, bytes).zip(by_files).map(|(bytes, files)| bytes.max(files).ceil() as u64);
        let ends: Vec<u64> = (0..=SECONDS as u64)
            .filter_map(|ago| now.checked_sub(Duration::from_secs(ago)))
            .map(|moment| self.seconds.iter().rev().find(|second| second.at <= moment).map(|second| second.bytes))
            .map_while(|bytes| bytes)
            .collect();
        let throughput = ends.windows(2).map(|pair| pair[0] - pair[1]).rev().collect();
        Pace { bytes_per_second: bytes as u64, seconds_left, throughput }
    }
}

impl Monitor {
    /// Tells the run to stop: transfers that are under way are broken off cleanly, nothing new is begun.
    pub fn stop(&self, why: Stop) {
        self.state().stop.get_or_insert(why);
        self.0.told.send_replace(true);
    }

    /// Whether it was told to stop.
    pub fn stopped(&self) -> Option<Stop> {
        self.state().stop
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.state().progress
    }

    /// What became of the files until now.
    pub fn outcomes(&self) -> Outcomes {
        self.state().outcomes.clone()
    }

    /// Becomes true when the run is to stop.
    pub fn told(&self) -> watch::Receiver<bool> {
        self.0.told.subscribe()
    }

    /// From now on the run changes something: it must be left to come to its end by itself. What it was told before still counts.
    pub(super) fn acts(&self) -> Result<(), Stop> {
        let mut state = self.state();
        match state.stop {
            Some(stop) => Err(stop),
            None => {
                state.acting = true;
                Ok(())
            }
        }
    }

    /// Returns when the run is to stop and may simply be dropped.
    pub(super) async fn may_be_dropped(&self) -> Stop {
        let mut told = self.told();
        // The sender lives as long as we do.
        let _ = told.wait_for(|told| *told).await;
        let stop = {
            let state = self.state();
            state.stop.filter(|_| !state.acting)
        };
        match stop {
            Some(stop) => stop,
            None => std::future::pending().await,
        }
    }

    /// How fast it goes now.
    pub fn pace(&self) -> Pace {
        self.state().pace(Instant::now())
    }

    /// The files that are on their way now: first those whose bytes still travel, the ones that take longest first.
    pub fn moving(&self) -> Vec<Moving> {
        let state = self.state();
        let mut all: Vec<(&RelPath, &OnItsWay)> = state.moving.iter().collect();
        all.sort_by_key(|(path, file)| (file.moved >= file.bytes, file.since, *path));
        let told = all.into_iter().take(TOLD).map(|(path, file)| Moving {
            path: path.clone(),
            action: file.verb.to_owned(),
            bytes: file.bytes,
            moved: file.moved.min(file.bytes),
            seconds: file.since.elapsed().as_secs(),
        });
        told.collect()
    }

    /// Takes note of how far the run is, and completes it by what is under way.
    pub(crate) fn advance(&self, progress: Progress) -> Progress {
        self.advance_at(progress, Instant::now())
    }

    fn advance_at(&self, progress: Progress, now: Instant) -> Progress {
        let mut state = self.state();
        let progress = Progress { bytes_left: progress.bytes_left.saturating_sub(state.under_way()), ..progress };
        state.progress = progress;
        let second = Second { at: now, bytes: progress.bytes, files: progress.files };
        let is_next = state.seconds.back().is_none_or(|last| now.saturating_duration_since(last.at) >= Duration::from_secs(1));
        if is_next {
            if state.seconds.len() > SECONDS {
                state.seconds.pop_front();
            }
            state.seconds.push_back(second);
        } else if let Some(last) = state.seconds.back_mut() {
            (last.bytes, last.files) = (second.bytes, second.files);
        }
        progress
    }

    /// A step begins.
    pub(super) fn begins(&self, step: &Step) {
        let mut state = self.state();
        if step.local != step.remote {
            state.by_remote.insert(step.remote.clone(), step.local.clone());
        }
        let file = OnItsWay { verb: step.verb(), remote: step.remote.clone(), bytes: step.bytes(), moved: 0, since: Instant::now() };
        state.moving.insert(step.local.clone(), file);
    }

    /// Bytes of a file, by its path on a side, travelled.
    pub(super) fn moved(&self, (side, path): (Side, &RelPath), count: u64) {
        let mut state = self.state();
        let state = &mut *state;
        let local = match side {
            Side::Local => path,
            Side::Remote => state.by_remote.get(path).unwrap_or(path),
        };
        if let Some(file) = state.moving.get_mut(local) {
            file.moved = file.moved.saturating_add(count);
        }
    }

    /// A step is over.
    pub(super) fn finished(&self, step: &Step, failure: Option<&Reason>) {
        let mut state = self.state();
        state.ends(&step.local);
        if failure.is_none() {
            state.ledger.done(&step.local);
        }
        let outcomes = &mut state.outcomes;
        // What failed is told before anything else.
        if outcomes.files.len() >= KEEP_FILES {
            outcomes.untold += 1;
            let Some(place) = outcomes.files.iter().rposition(|file| file.failure.is_none()).filter(|_| failure.is_some()) else { return };
            outcomes.files.swap_remove(place);
        }
        let (path, verb) = (step.local.to_string(), step.verb().to_owned());
        let (failure, cause) = failure.map(|reason| (reason.text.clone(), reason.cause.to_owned())).unzip();
        outcomes.files.push(FileOutcome { path, verb, bytes: step.bytes(), failure, cause });
    }

    /// A step failed for a reason of its own, at this second.
    pub(super) fn failed(&self, step: &Step, reason: &Reason, now: i64) {
        self.state().ledger.failed(step, reason, now);
    }

    pub(super) fn with_ledger<R>(&self, work: impl FnOnce(&mut Ledger) -> R) -> R {
        work(&mut self.state().ledger)
    }

    /// What it guards is whole even when a thread panicked while it held it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Action, Why};
    use crate::types::RelPath;

    fn step(path: &str) -> Step {
        let path = RelPath::parse(path).unwrap();
        Step { local: path.clone(), remote: path, action: Action::Forget, why: Why::Deleted }
    }

    #[test]
    fn failures_are_told_before_successes_when_there_are_too_many() {
        let monitor = Monitor::default();
        for number in 0..KEEP_FILES + 5 {
            monitor.finished(&step(&format!("{number}")), None);
        }
        monitor.finished(&step("bad"), Some(&Reason { cause: "refused", text: "no".into() }));
        let outcomes = monitor.outcomes();
        assert_eq!((outcomes.files.len(), outcomes.untold), (KEEP_FILES, 6));
        assert!(outcomes.files.iter().any(|file| file.path == "bad"));
    }

    #[test]
    fn what_is_left_and_how_long_it_takes_is_told_from_what_was_planned() {
        let monitor = Monitor::default();
        let begin = Instant::now();
        let path = RelPath::parse("a.mov").unwrap();
        let remote = RelPath::parse("there/a.mov").unwrap();
        let source = crate::types::RemoteVersion { size: Some(1000), ..Default::default() };
        let action = Action::Download { source, expect: crate::types::Expect::Absent };
        let step = Step { local: path.clone(), remote: remote.clone(), action, why: Why::New };
        monitor.begins(&step);
        let at = |seconds: u64, files: u64, bytes: u64, left: u64| {
            let progress = Progress { files, files_total: 4, bytes, bytes_total: 4000, bytes_left: left };
            monitor.advance_at(progress, begin + Duration::from_secs(seconds))
        };
        assert_eq!(at(0, 0, 0, 4000).bytes_left, 4000);
        monitor.moved((Side::Remote, &remote), 600);
        assert_eq!(at(1, 0, 600, 4000).bytes_left, 3400);
        assert_eq!(monitor.moving()[0], Moving { path, action: "download".into(), bytes: 1000, moved: 600, seconds: 0 });
        // It broke and is begun again: it is not more than it is.
        monitor.moved((Side::Remote, &remote), 900);
        assert_eq!(at(2, 0, 1500, 4000).bytes_left, 3000);
        monitor.finished(&step, None);
        assert_eq!((at(10, 1, 2000, 3000).bytes_left, monitor.moving()), (3000, Vec::new()));
        let pace = monitor.state().pace(begin + Duration::from_secs(10));
        // 200 bytes a second; but three files more, one of which takes ten seconds.
        assert_eq!((pace.bytes_per_second, pace.seconds_left), (200, Some(30)));
        assert_eq!(pace.throughput, [600, 900, 0, 0, 0, 0, 0, 0, 0, 500]);
        // Nothing travels any more: nobody knows when it ends.
        let stalled = monitor.state().pace(begin + Duration::from_secs(40));
        assert_eq!((stalled.bytes_per_second, stalled.seconds_left), (0, None));
        assert_eq!(Monitor::default().pace(), Pace::default());
    }

    #[tokio::test]
    async fn a_run_that_changes_something_is_not_dropped() {
        let (early, late) = (Monitor::default(), Monitor::default());
        late.acts().unwrap();
        early.stop(Stop::Suspended);
        early.stop(Stop::Cancelled);
        late.stop(Stop::Cancelled);
        assert_eq!((early.may_be_dropped().await, early.acts()), (Stop::Suspended, Err(Stop::Suspended)));
        let moment = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(moment, late.may_be_dropped()).await.is_err());
        assert_eq!(late.stopped(), Some(Stop::Cancelled));
    }
}
