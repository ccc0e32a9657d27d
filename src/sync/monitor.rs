//! A run as it is seen and stopped from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::reconcile::Step;
use crate::store::history::{FileOutcome, KEEP_FILES};

use super::retry_later::Ledger;

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
    /// Something may be changed from now on.
    acting: bool,
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

    pub(super) fn advance(&self, progress: Progress) {
        self.state().progress = progress;
    }

    /// A step is over.
    pub(super) fn finished(&self, step: &Step, failure: Option<&str>) {
        let mut state = self.state();
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
        outcomes.files.push(FileOutcome { path, verb, bytes: step.bytes(), failure: failure.map(str::to_owned) });
    }

    /// A step failed for a reason of its own, at this second.
    pub(super) fn failed(&self, step: &Step, reason: &str, now: i64) {
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
        monitor.finished(&step("bad"), Some("no"));
        let outcomes = monitor.outcomes();
        assert_eq!((outcomes.files.len(), outcomes.untold), (KEEP_FILES, 6));
        assert!(outcomes.files.iter().any(|file| file.path == "bad"));
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
