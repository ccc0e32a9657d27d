//! One door to a service for all requests of a run. When the service says that it has too much to do, nobody knocks until it asked to be
//! tried again, and then fewer at a time; with every answer it gets better again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// More requests than these never wait for an answer at the same time.
const WIDEST: usize = 256;

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    closed_until: Option<Instant>,
    /// When the service first said that it is busy, without a better answer since.
    busy_since: Option<Instant>,
    limit: usize,
    inside: usize,
    /// Good answers since the limit was last changed.
    good: usize,
    narrowed: Option<Instant>,
    /// The service has answered at all.
    answered: bool,
}

impl Default for Gate {
    fn default() -> Self {
        let state = State { closed_until: None, busy_since: None, limit: WIDEST, inside: 0, good: 0, narrowed: None, answered: false };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

/// The right to wait for one answer. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    entered: Instant,
}

/// The gate stays closed for longer than one wants to wait: for so long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClosedFor(pub(super) Duration);

impl Gate {
    /// Waits for a place, at most until `deadline` for a gate that was closed.
    pub(super) async fn enter(&self, deadline: Instant) -> Result<Pass<'_>, ClosedFor> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let now = Instant::now();
            let closed = {
                let mut state = self.state();
                match state.closed_until.filter(|until| *until > now) {
                    Some(until) if until > deadline => return Err(ClosedFor(until - now)),
                    None if state.inside < state.limit => {
                        state.inside += 1;
                        return Ok(Pass { gate: self, entered: now });
                    }
                    closed => closed,
                }
            };
            match closed {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => changed.await,
            }
        }
    }

    /// The service is busy: nobody sends for `wait`. Several answers to one rush count once.
    pub(super) fn close(&self, pass: &Pass<'_>, wait: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        state.answered = true;
        state.busy_since.get_or_insert(now);
        state.closed_until = state.closed_until.max(Some(now + wait));
        if state.narrowed.is_none_or(|narrowed| pass.entered > narrowed) {
            state.limit = (state.limit.min(state.inside) / 2).max(1);
            state.narrowed = Some(now);
            state.good = 0;
        }
    }

    /// The service answered as it should.
    pub(super) fn well(&self) {
        let mut state = self.state();
        state.answered = true;
        state.busy_since = None;
        if state.limit < WIDEST {
            state.good += 1;
            if state.good >= state.limit {
                state.limit += 1;
                state.good = 0;
                self.changed.notify_waiters();
            }
        }
    }

    /// For how long the service has had nothing but "busy" to say.
    pub(super) fn busy_for(&self) -> Duration {
        self.state().busy_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Whether the service has answered in this run.
    pub(super) fn has_answered(&self) -> bool {
        self.state().answered
    }

    /// What it guards is whole even when a thread panicked while it held it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.inside -= 1;
        if state.limit < WIDEST {
            self.gate.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_lets_nobody_in_until_it_opens() {
        let gate = Gate::default();
        let soon = || Instant::now() + Duration::from_secs(5);
        let pass = gate.enter(soon()).await.unwrap();
        gate.close(&pass, Duration::from_millis(80));
        drop(pass);
        assert!(gate.enter(Instant::now()).await.is_err());
        let before = Instant::now();
        drop(gate.enter(soon()).await.unwrap());
        assert!(before.elapsed() >= Duration::from_millis(60));
    }

    #[tokio::test]
    async fn a_rush_that_was_refused_halves_the_width_once_and_good_answers_widen_it() {
        let gate = Gate::default();
        let soon = Instant::now() + Duration::from_secs(5);
        let mut passes = Vec::new();
        for _ in 0..8 {
            passes.push(gate.enter(soon).await.unwrap());
        }
        passes.iter().for_each(|pass| gate.close(pass, Duration::ZERO));
        assert_eq!(gate.state().limit, 4);
        drop(passes);
        (0..4).for_each(|_| gate.well());
        assert_eq!(gate.state().limit, 5);
        assert_eq!(gate.busy_for(), Duration::ZERO);
    }
}
