//! Memory for decoding. Everybody who decodes reserves first what the picture will take, in the order in which they came: so that a few
//! large pictures at once do not need what the machine does not have.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What all pictures together may take, in bytes. One that needs more by itself is refused.
pub(super) const ALL: u64 = 1 << 30;
/// How soon somebody who waits notices that they were told to stop.
const LOOK: Duration = Duration::from_millis(50);

static MEMORY: Memory = Memory::new(ALL);

/// A part of the memory; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    of: &'static Memory,
    bytes: u64,
}

impl Reserved {
    /// Waits until there are so many bytes. None: told to stop meanwhile.
    pub(super) fn take(bytes: u64, stop: &AtomicBool) -> Option<Self> {
        MEMORY.take(bytes, stop)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.of.lock().free += self.bytes;
        self.of.changed.notify_all();
    }
}

#[derive(Debug)]
struct Memory {
    all: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// Who waits, the first in front.
    queue: VecDeque<u64>,
    next: u64,
}

impl Memory {
    const fn new(all: u64) -> Self {
        Self { all, state: Mutex::new(State { free: all, queue: VecDeque::new(), next: 0 }), changed: Condvar::new() }
    }

    fn take(&'static self, bytes: u64, stop: &AtomicBool) -> Option<Reserved> {
        let bytes = bytes.min(self.all);
        let mut state = self.lock();
        let ticket = state.next;
        state.next += 1;
        state.queue.push_back(ticket);
        loop {
            let stopped = stop.load(Ordering::Relaxed);
            let first = state.queue.front() == Some(&ticket);
            if stopped || (first && state.free >= bytes) {
                state.queue.retain(|waiting| *waiting != ticket);
                // Whoever is the first now may not need to wait.
                self.changed.notify_all();
                if stopped {
                    return None;
                }
                state.free -= bytes;
                return Some(Reserved { of: self, bytes });
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_given_than_there_is_and_everybody_gets_a_turn() {
        static SMALL: Memory = Memory::new(10);
        static USED: Mutex<(u64, u64)> = Mutex::new((0, 0));
        let go_on = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for number in 0..40_u64 {
                let go_on = &go_on;
                scope.spawn(move || {
                    let bytes = 1 + number % 12;
                    let reserved = SMALL.take(bytes, go_on).unwrap();
                    let mut used = USED.lock().unwrap();
                    used.0 += bytes.min(10);
                    used.1 = used.1.max(used.0);
                    drop(used);
                    std::thread::yield_now();
                    USED.lock().unwrap().0 -= bytes.min(10);
                    drop(reserved);
                });
            }
        });
        let most = USED.lock().unwrap().1;
        assert!(most <= 10, "{most}");
        assert_eq!(SMALL.lock().free, 10);
    }

    #[test]
    fn whoever_is_told_to_stop_waits_no_longer_and_keeps_nobody_waiting() {
        static SMALL: Memory = Memory::new(10);
        let all = SMALL.take(10, &AtomicBool::new(false)).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| SMALL.take(5, &stop).is_none());
            stop.store(true, Ordering::Relaxed);
            assert!(waiting.join().unwrap());
        });
        drop(all);
        assert!(SMALL.take(10, &AtomicBool::new(false)).is_some());
    }
}
