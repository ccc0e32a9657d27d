//! The agenda: pure. Whoever drives it tells it the time and what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::services::Window;
use crate::types::ServiceId;

use super::{Ending, Standing};

/// After a change nothing more may happen for so long before a run begins, ...
const QUIET: Duration = Duration::from_secs(1);
/// ... but nobody waits longer than this.
const RESTLESS: Duration = Duration::from_secs(20);
/// How many services are synced at once.
const AT_ONCE: usize = 3;
/// What was due while the machine slept, or before it was started, begins within so many seconds.
const SPREAD: i64 = 30;
/// A service that was never synced is left in peace for so long after its settings were changed: its owner may not be done.
const SET_UP: i64 = 3;
/// The clock on the wall and the one that only counts may differ by this much from one look to the next.
const TOLERANCE: i64 = 10;

/// The time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the program began: never set, and it stands still while the machine sleeps.
    pub steady: Duration,
    /// Seconds since 1970.
    pub wall: i64,
    /// Of the day, where the machine is.
    pub minute: u16,
}

/// Why a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Somebody said so.
    Manual,
    /// Its interval is over.
    Interval,
    /// It failed before, or was suspended.
    Retry,
    /// Something changed in the library.
    ChangedHere,
    /// The service said that something changed there.
    ChangedThere,
    /// Somebody wants to know what a sync would do.
    Preview,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Manual => "by hand",
            Trigger::Interval => "by its interval",
            Trigger::Retry => "tried again",
            Trigger::ChangedHere => "something changed here",
            Trigger::ChangedThere => "something changed there",
            Trigger::Preview => "to see what it would do",
        })
    }
}

/// What the agenda must know of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which one.
    pub id: ServiceId,
    /// Whether it is synced by itself at all.
    pub on: bool,
    /// From the end of a run to the beginning of the next.
    pub interval: Duration,
    /// The hours in which runs may begin.
    pub window: Option<Window>,
    /// Whether changes in the library concern it.
    pub sends: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Begin a run.
    Start(ServiceId, Trigger),
    /// Stop the run: its hours are over.
    Suspend(ServiceId),
}

/// Somebody asked for a run.
#[derive(Debug, Clone, Copy)]
struct Asked {
    trigger: Trigger,
    first: Duration,
    last: Duration,
}

impl Asked {
    fn ready_at(self) -> Duration {
        (self.last + QUIET).min(self.first + RESTLESS)
    }
}

#[derive(Debug)]
struct Entry {
    setting: Setting,
    standing: Standing,
    /// Not before this, by the clock on the wall: so that not all begin at once.
    not_before: i64,
    asked: Option<Asked>,
    running: Option<Trigger>,
}

impl Entry {
    fn held(&self) -> bool {
        !self.setting.on || self.standing.paused || self.standing.stopped.is_some()
    }

    fn open(&self, now: Now) -> bool {
        self.setting.window.is_none_or(|window| window.is_open(now.minute))
    }

    fn due(&self) -> i64 {
        self.standing.due(self.setting.interval).max(self.not_before)
    }

    /// Why a run should begin now, if it should.
    fn ready(&self, now: Now) -> Option<Trigger> {
        if self.held() || self.running.is_some() || !self.open(now) {
            return None;
        }
        if self.due() <= now.wall {
            let regular =
                self.standing.ended.is_none_or(|ended| ended.saturating_add_unsigned(self.setting.interval.as_secs()) <= now.wall);
            return Some(if self.standing.retry_at.is_none() && regular { Trigger::Interval } else { Trigger::Retry });
        }
        // A service that fails is not asked more often because something changes.
        let asked = self.asked.filter(|asked| self.standing.retry_at.is_none() && asked.ready_at() <= now.steady)?;
        Some(asked.trigger)
    }

    /// How long until it may be ready, if nothing happens.
    fn wait(&self, now: Now) -> Option<Duration> {
        if self.held() || self.running.is_some() {
            return None;
        }
        if let Some(window) = self.setting.window.filter(|window| !window.is_open(now.minute)) {
            return Some(Duration::from_secs(60) * window.opens_in(now.minute).into());
        }
        let due = Duration::from_secs(self.due().saturating_sub(now.wall).try_into().unwrap_or(0));
        let asked = self.asked.filter(|_| self.standing.retry_at.is_none());
        Some(asked.map_or(due, |asked| due.min(asked.ready_at().saturating_sub(now.steady))))
    }
}

/// When which service is synced.
#[derive(Debug, Default)]
pub struct Agenda {
    services: BTreeMap<ServiceId, Entry>,
    looked: Option<Now>,
}

impl Agenda {
    /// Takes over all services as they are set up now.
    pub fn set(&mut self, all: Vec<(Setting, Standing)>, now: Now) {
        let mut before = std::mem::take(&mut self.services);
        for (setting, standing) in all {
            let id = setting.id;
            let standing = standing.by_clock(now.wall);
            let known = before.remove(&id);
            let same = known.as_ref().is_some_and(|entry| entry.setting == setting);
            let mut entry = match known {
                Some(entry) => Entry { setting, standing, ..entry },
                None => {
                    let mut entry = Entry { setting, standing, not_before: i64::MIN, asked: None, running: None };
                    spread(&mut entry, now.wall);
                    entry
                }
            };
            if entry.standing.ended.is_none() && !same {
                entry.not_before = now.wall + SET_UP;
            }
            self.services.insert(id, entry);
        }
    }

    /// Something changed in the library.
    pub fn changed_here(&mut self, now: Now) {
        for entry in self.services.values_mut().filter(|entry| entry.setting.sends) {
            ask(entry, Trigger::ChangedHere, now);
        }
    }

    /// A service said that something changed there.
    pub fn changed_there(&mut self, id: ServiceId, now: Now) {
        self.services.get_mut(&id).into_iter().for_each(|entry| ask(entry, Trigger::ChangedThere, now));
    }

    /// A service that could not be reached answers again.
    pub fn reachable(&mut self, id: ServiceId, now: Now) {
        if let Some(entry) = self.services.get_mut(&id)
            && entry.standing.retry_at.is_some()
        {
            entry.standing.retry_at = Some(now.wall);
        }
    }

    /// A run began, whoever began it.
    pub fn started(&mut self, id: ServiceId, trigger: Trigger) {
        if let Some(entry) = self.services.get_mut(&id) {
            entry.running = Some(trigger);
            // What changed before it began, it sees.
            entry.asked = None;
        }
    }

    /// A run ended. `standing` is what is remembered of the service from now on.
    pub fn ended(&mut self, id: ServiceId, ending: &Ending, standing: Standing) {
        if let Some(entry) = self.services.get_mut(&id) {
            entry.running = None;
            entry.standing = standing;
            entry.not_before = i64::MIN;
            if *ending == Ending::Cancelled {
                entry.asked = None;
            }
        }
    }

    /// A run that was to begin did not, because another one went on that the agenda does not know.
    pub fn gave_up(&mut self, id: ServiceId) {
        self.services.get_mut(&id).into_iter().for_each(|entry| entry.running = None);
    }

    /// What is to be done now.
    pub fn tick(&mut self, now: Now) -> Vec<Action> {
        self.notice_the_clock(now);
        let suspended = self.services.values().filter(|entry| {
            // Whoever began a run by hand meant it.
            entry.running.is_some_and(|trigger| trigger != Trigger::Manual) && !entry.open(now)
        });
        let mut actions: Vec<_> = suspended.map(|entry| Action::Suspend(entry.setting.id)).collect();
        let running = self.services.values().filter(|entry| entry.running.is_some()).count();
        let mut ready: Vec<_> =
            self.services.values().filter_map(|entry| Some((entry.ready(now)?, entry.due(), entry.setting.id))).collect();
        // Changes first: somebody may be looking. Then who has waited longest.
        ready.sort_by_key(|(trigger, due, id)| (!matches!(trigger, Trigger::ChangedHere | Trigger::ChangedThere), *due, *id));
        for (trigger, _, id) in ready.into_iter().take(AT_ONCE.saturating_sub(running)) {
            self.started(id, trigger);
            actions.push(Action::Start(id, trigger));
        }
        actions
    }

    /// How long nothing will be to do, if nothing happens. The end of a run is something that happens.
    pub fn wait(&self, now: Now) -> Option<Duration> {
        self.services.values().filter(|entry| entry.ready(now).is_none()).filter_map(|entry| entry.wait(now)).min()
    }

    /// When a service is run next, in seconds since 1970; none when it is not run by itself or runs now.
    pub fn next(&self, id: ServiceId, now: Now) -> Option<i64> {
        let wait = self.services.get(&id)?.wait(now)?;
        Some(now.wall.saturating_add_unsigned(wait.as_secs()))
    }

    fn notice_the_clock(&mut self, now: Now) {
        let before = self.looked.replace(now).unwrap_or(now);
        let steady = i64::try_from(now.steady.saturating_sub(before.steady).as_secs()).unwrap_or(i64::MAX);
        let jumped = now.wall.saturating_sub(before.wall).saturating_sub(steady);
        if jumped < -TOLERANCE {
            for entry in self.services.values_mut() {
                entry.standing = std::mem::take(&mut entry.standing).by_clock(now.wall);
                entry.not_before = entry.not_before.min(now.wall);
            }
        }
        if jumped > TOLERANCE {
            self.services.values_mut().for_each(|entry| spread(entry, now.wall));
        }
    }
}

/// What is overdue does not begin at the same moment as everything else that is.
fn spread(entry: &mut Entry, now: i64) {
    if entry.due() <= now {
        let interval = i64::try_from(entry.setting.interval.as_secs()).unwrap_or(i64::MAX);
        let most = SPREAD.min(interval / 10).max(1);
        // Different from machine to machine and from time to time, but nothing to be random about.
        let number = u64::from(entry.setting.id.0).wrapping_mul(7).wrapping_add(now.unsigned_abs());
        entry.not_before = now + 1 + i64::try_from(number).unwrap_or(0) % most;
    }
}

fn ask(entry: &mut Entry, trigger: Trigger, now: Now) {
    let asked = entry.asked.get_or_insert(Asked { trigger, first: now.steady, last: now.steady });
    asked.last = now.steady;
}

#[cfg(test)]
mod tests;
