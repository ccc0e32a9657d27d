//! What moves on a connection, and how long nothing may.
//!
//! The connection, its requests and their bodies count here, in a few atomic numbers; [`drive`] looks at them whenever the connection is
//! polled anyway, and has one timer a connection, which is set anew only when it fires or must fire earlier.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::limits::Limits;

/// A client that takes fewer bytes than this in a whole body timeout takes nothing.
const A_LITTLE: u64 = 1024;
/// How long a connection that is told to end may take for it.
const FAREWELL: Duration = Duration::from_secs(5);

/// The counts of one connection.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    read: AtomicU64,
    written: AtomicU64,
    /// Goes up when a request begins or ends and when a piece of an answer is handed over.
    steps: AtomicU64,
    /// Requests that are not answered to the end.
    open: AtomicU32,
    /// Those among them for which it is our turn.
    ours: AtomicU32,
    /// A request has come.
    used: AtomicBool,
}

impl Pulse {
    pub(super) fn count_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn count_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }
}

/// A request on a connection, from its headers to the last piece of its answer.
#[derive(Debug)]
pub(super) struct Turn {
    pulse: Arc<Pulse>,
    ours: bool,
}

impl Turn {
    /// A request has come: it is our turn.
    pub(super) fn begin(pulse: Arc<Pulse>) -> Self {
        pulse.used.store(true, Relaxed);
        pulse.open.fetch_add(1, Relaxed);
        pulse.ours.fetch_add(1, Relaxed);
        pulse.steps.fetch_add(1, Relaxed);
        Self { pulse, ours: true }
    }

    /// It is our turn: the next piece of the answer is not ready.
    pub(super) fn is_ours(&mut self) {
        if !std::mem::replace(&mut self.ours, true) {
            self.pulse.ours.fetch_add(1, Relaxed);
        }
    }

    /// It is the client's turn: a piece is ready to be taken.
    pub(super) fn is_theirs(&mut self) {
        self.pulse.steps.fetch_add(1, Relaxed);
        if std::mem::replace(&mut self.ours, false) {
            self.pulse.ours.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.is_theirs();
        self.pulse.open.fetch_sub(1, Relaxed);
    }
}

/// Why a connection was ended by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, by the client, or with the server.
    Itself,
    /// There was no request for long.
    Idle,
    /// Headers took too long.
    Headers,
    /// The client did not take the answer.
    NotTaken,
}

/// Carries a connection to its end: its own, or the one that the limits set.
pub(super) async fn drive<C: GracefulConnection>(
    connection: C,
    pulse: &Pulse,
    limits: &Limits,
    multiplexed: bool,
    mut stopped: watch::Receiver<bool>,
) -> (Ended, Result<(), C::Error>) {
    let mut connection = pin!(connection);
    let mut stopping = pin!(async { stopped.wait_for(|stopped| *stopped).await.is_ok() });
    let mut asked_to_stop = false;
    let mut seen = Seen::new(pulse, limits, multiplexed);
    let mut timer = pin!(sleep_until(seen.since + limits.header_timeout));
    let mut farewell: Option<(Ended, Instant)> = None;
    poll_fn(|cx| {
        if !asked_to_stop && stopping.as_mut().poll(cx).is_ready() {
            asked_to_stop = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready((farewell.map_or(Ended::Itself, |(reason, _)| reason), result));
            }
            let now = Instant::now();
            let (reason, mut deadline) = seen.deadline(now);
            if let Some((reason, until)) = farewell {
                if now >= until {
                    return Poll::Ready((reason, Ok(())));
                }
                deadline = until;
            } else if now >= deadline {
                if reason != Ended::Idle {
                    return Poll::Ready((reason, Ok(())));
                }
                // HTTP/2 says goodbye, so that a request which is on its way is known to be lost.
                farewell = Some((reason, now + FAREWELL));
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// What was last seen of a pulse.
struct Seen<'a> {
    pulse: &'a Pulse,
    limits: &'a Limits,
    multiplexed: bool,
    steps: u64,
    written: u64,
    /// When something moved last.
    since: Instant,
    /// What had been read when the last request ended, and when more came.
    idle_at: u64,
    headers_since: Option<Instant>,
}

impl<'a> Seen<'a> {
    fn new(pulse: &'a Pulse, limits: &'a Limits, multiplexed: bool) -> Self {
        Self { pulse, limits, multiplexed, steps: 0, written: 0, since: Instant::now(), idle_at: 0, headers_since: None }
    }

    /// When the connection has to end if nothing else happens, and why.
    fn deadline(&mut self, now: Instant) -> (Ended, Instant) {
        let (steps, written, read) = (self.pulse.steps.load(Relaxed), self.pulse.written.load(Relaxed), self.pulse.read.load(Relaxed));
        let stepped = steps != self.steps;
        if stepped || written >= self.written + A_LITTLE {
            (self.steps, self.written, self.since) = (steps, written, now);
        }
        // A whole request may have come and gone since the last look.
        let open = self.pulse.open.load(Relaxed) > 0;
        if open || stepped {
            (self.idle_at, self.headers_since) = (read, None);
        }
        if open {
            // As long as it is our turn there is no deadline; looking again costs little.
            let theirs = self.pulse.ours.load(Relaxed) == 0;
            let from = if theirs { self.since } else { now };
            return (Ended::NotTaken, from + self.limits.body_timeout);
        }
        if !self.pulse.used.load(Relaxed) {
            return (Ended::Headers, self.since + self.limits.header_timeout);
        }
        // What comes on an idle HTTP/2 connection is mostly no request, and a ping is no reason to keep it.
        if !self.multiplexed && read > self.idle_at {
            let began = *self.headers_since.get_or_insert(now);
            return (Ended::Headers, began + self.limits.header_timeout);
        }
        (Ended::Idle, self.since + self.limits.idle_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits { header_timeout: seconds(3), idle_timeout: seconds(10), body_timeout: seconds(5), ..Limits::default() }
    }

    /// What ends a connection, and after how many seconds, when nothing more happens.
    fn verdict(seen: &mut Seen<'_>, start: Instant, at: u64) -> (Ended, u64) {
        let (reason, deadline) = seen.deadline(start + Duration::from_secs(at));
        (reason, (deadline - start).as_secs())
    }

    #[test]
    fn deadlines_follow_what_moves() {
        let (pulse, limits) = (Arc::new(Pulse::default()), limits());
        let start = Instant::now();
        let mut seen = Seen::new(&pulse, &limits, false);
        // Headers that trickle do not move the deadline.
        assert_eq!(verdict(&mut seen, start, 0), (Ended::Headers, 3));
        pulse.count_read(1);
        assert_eq!(verdict(&mut seen, start, 2), (Ended::Headers, 3));
        // While it is our turn there is none.
        let mut turn = Turn::begin(Arc::clone(&pulse));
        assert_eq!(verdict(&mut seen, start, 3), (Ended::NotTaken, 8));
        assert_eq!(verdict(&mut seen, start, 100), (Ended::NotTaken, 105));
        // The client does not take it; a few bytes (pings) do not count, more do.
        turn.is_theirs();
        assert_eq!(verdict(&mut seen, start, 101), (Ended::NotTaken, 106));
        pulse.count_written(1000);
        assert_eq!(verdict(&mut seen, start, 103), (Ended::NotTaken, 106));
        pulse.count_written(1000);
        assert_eq!(verdict(&mut seen, start, 104), (Ended::NotTaken, 109));
        turn.is_ours();
        assert_eq!(verdict(&mut seen, start, 200), (Ended::NotTaken, 205));
        drop(turn);
        // Idle, until the next request begins.
        assert_eq!(verdict(&mut seen, start, 201), (Ended::Idle, 211));
        assert_eq!(verdict(&mut seen, start, 209), (Ended::Idle, 211));
        pulse.count_read(1);
        assert_eq!(verdict(&mut seen, start, 210), (Ended::Headers, 213));
        pulse.count_read(1);
        assert_eq!(verdict(&mut seen, start, 212), (Ended::Headers, 213));
        // A request that comes and is answered between two looks.
        pulse.count_read(50);
        drop(Turn::begin(Arc::clone(&pulse)));
        assert_eq!(verdict(&mut seen, start, 212), (Ended::Idle, 222));
    }

    #[test]
    fn pings_do_not_keep_an_idle_connection() {
        let (pulse, limits) = (Arc::new(Pulse::default()), limits());
        let start = Instant::now();
        let mut seen = Seen::new(&pulse, &limits, true);
        drop(Turn::begin(Arc::clone(&pulse)));
        assert_eq!(verdict(&mut seen, start, 1), (Ended::Idle, 11));
        pulse.count_read(17);
        pulse.count_written(17);
        assert_eq!(verdict(&mut seen, start, 9), (Ended::Idle, 11));
    }
}
