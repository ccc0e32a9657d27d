//! What is remembered of a service between its runs, also across restarts.

use std::time::Duration;

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use crate::store::documents::SCHEDULE;
use crate::store::{Store, StoreError};
use crate::types::ServiceId;
use crate::types::backoff::doubling;

/// A service that failed is tried again after this; then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// It is never left alone for longer than this, nor longer than its interval.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// How a run ended, as far as it matters for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It went through; single files may have failed.
    Done,
    /// The service failed as a whole.
    Failed,
    /// The service refused the user and password.
    Refused(String),
    /// Somebody stopped it.
    Cancelled,
    /// It was stopped because its hours were over; it goes on when they come again.
    Suspended,
}

/// Why a service is not asked any more, until its owner does something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// One sentence.
    pub reason: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
}

/// What is remembered of a service. Times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Its owner paused it.
    pub paused: bool,
    /// It refused the password.
    pub stopped: Option<Stopped>,
    /// How many runs failed as a whole, one after the other.
    pub failures: u32,
    /// When the last run ended.
    pub ended: Option<i64>,
    /// When the last run that went through ended.
    pub done: Option<i64>,
    /// When it is tried again after a failure, or goes on.
    pub retry_at: Option<i64>,
    /// When the first of the files that failed is tried again.
    pub files_at: Option<i64>,
}

impl Standing {
    /// What it is after a run that ended at `now`.
    pub fn after(self, ending: &Ending, now: i64, interval: Duration) -> Self {
        let ended = Self { ended: Some(now), retry_at: None, ..self };
        match ending {
            Ending::Done => Self { failures: 0, stopped: None, done: Some(now), ..ended },
            // Whoever stops a run does not want it to begin again at once.
            Ending::Cancelled => ended,
            Ending::Suspended => Self { retry_at: Some(now), ..ended },
            Ending::Failed => {
                let failures = ended.failures.saturating_add(1);
                let wait = doubling(FIRST_RETRY, failures, LONGEST_RETRY.min(interval));
                Self { failures, retry_at: Some(now.saturating_add_unsigned(wait.as_secs())), ..ended }
            }
            Ending::Refused(reason) => {
                let stopped = Some(Stopped { reason: reason.clone(), since: now });
                Self { failures: ended.failures.saturating_add(1), stopped, ..ended }
            }
        }
    }

    /// When the next run is due, if nothing happens before. A clock that was set back does not put it off.
    pub fn due(&self, interval: Duration) -> i64 {
        match (self.retry_at, self.ended) {
            (Some(retry), _) => retry,
            (None, Some(ended)) => {
                let regular = ended.saturating_add_unsigned(interval.as_secs());
                self.files_at.map_or(regular, |files| regular.min(files))
            }
            (None, None) => i64::MIN,
        }
    }

    /// The same, with no time in it that lies further ahead than it can.
    pub(super) fn by_clock(self, now: i64) -> Self {
        let longest = now.saturating_add_unsigned(LONGEST_RETRY.as_secs());
        Self { ended: self.ended.map(|ended| ended.min(now)), retry_at: self.retry_at.map(|retry| retry.min(longest)), ..self }
    }

    /// What is remembered of a service.
    pub fn of(store: &Store, service: ServiceId) -> Result<Self, StoreError> {
        Ok(SCHEDULE.get(&store.read()?, &service.0.to_string())?.unwrap_or_default())
    }

    /// Changes what is remembered of a service, and returns it. Blocks until it is durable.
    pub fn change(store: &Store, service: ServiceId, change: impl FnOnce(Self) -> Self + Send + 'static) -> Result<Self, StoreError> {
        let key = service.0.to_string();
        store.write(move |tx: &WriteTransaction| {
            let changed = change(SCHEDULE.get_to_change(tx, &key)?.unwrap_or_default());
            SCHEDULE.put(tx, &key, &changed)?;
            Ok(changed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_service_that_fails_is_left_alone_for_longer_and_longer() {
        let mut standing = Standing::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            standing = standing.after(&Ending::Failed, 1000, HOUR * 24);
            waits.push((standing.due(HOUR * 24) - 1000) / 60);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        let short = standing.clone().after(&Ending::Failed, 1000, Duration::from_secs(300));
        assert_eq!(short.due(Duration::from_secs(300)), 1300, "never longer than the interval");
        let well = standing.after(&Ending::Done, 2000, HOUR);
        assert_eq!((well.failures, well.due(HOUR)), (0, 5600));
    }

    #[test]
    fn a_refused_password_stops_it_until_a_run_succeeds() {
        let stopped = Standing::default().after(&Ending::Refused("no".into()), 5, HOUR);
        assert_eq!(stopped.stopped.as_ref().map(|stopped| stopped.since), Some(5));
        assert!(stopped.clone().after(&Ending::Failed, 6, HOUR).stopped.is_some());
        assert!(stopped.after(&Ending::Done, 7, HOUR).stopped.is_none());
    }

    #[test]
    fn it_is_remembered_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let (path, id) = (folder.path().join("s.redb"), ServiceId(7));
        let store = Store::open(&path).unwrap();
        assert_eq!(Standing::of(&store, id).unwrap(), Standing::default());
        let changed = Standing::change(&store, id, |standing| Standing { paused: true, ..standing }).unwrap();
        drop(store);
        assert_eq!(Standing::of(&Store::open(&path).unwrap(), id).unwrap(), changed);
        assert!(changed.paused);
    }
}
