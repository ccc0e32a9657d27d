//! What is known of wrong logins, and the pauses that follow them. See [the room](super) for whom they are meant for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::network::Network;

/// A user name as seen from a network, as a keyed hash.
pub(super) type Place = [u8; 32];
/// User name, password and network, as a keyed hash.
pub(super) type Ticket = [u8; 32];

/// So many wrong passwords are answered at once.
const FREE: u32 = 5;
/// The pauses double from this one to [`LONGEST`], which is less than clients wait for an answer.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(16);
/// After so long without another one, failures are forgotten.
const FORGIVE: Duration = Duration::from_secs(900);
/// How many places and wrong tickets are known at the most.
const ENTRIES: usize = 8192;
/// How many answers are held back at the same time, for one network and in all.
const HELD: u32 = 16;
const HELD_IN_ALL: u32 = 1024;

/// Failed logins at one place.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// A password that was found wrong. It may become right when something about users changes.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    generation: u64,
    since: Instant,
}

/// Counts failures, knows wrong passwords, holds answers back. Cheap to clone.
#[derive(Clone)]
pub(super) struct Throttle {
    failures: Arc<Mutex<HashMap<Place, Failures>>>,
    wrong: Arc<Mutex<HashMap<Ticket, Wrong>>>,
    held: Arc<Mutex<Held>>,
    open: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Held {
    networks: HashMap<Network, u32>,
    all: u32,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self { failures: Arc::default(), wrong: Arc::default(), held: Arc::default(), open: Arc::new(watch::Sender::new(false)) }
    }

    /// Whether this is known to be wrong, as long as nothing changed about users.
    pub(super) fn is_wrong(&self, ticket: &Ticket, generation: u64) -> bool {
        lock(&self.wrong).get(ticket).is_some_and(|wrong| wrong.generation == generation && wrong.since.elapsed() < FORGIVE)
    }

    /// Remembers that this is wrong.
    pub(super) fn found_wrong(&self, ticket: Ticket, generation: u64) {
        let mut wrong = lock(&self.wrong);
        make_room(&mut wrong, |wrong| wrong.since);
        wrong.insert(ticket, Wrong { generation, since: Instant::now() });
    }

    /// Counts a failure; returns how many there are.
    pub(super) fn failed(&self, place: Place) -> u32 {
        let mut table = lock(&self.failures);
        make_room(&mut table, |failures| failures.last);
        let failures = table.entry(place).or_insert(Failures { count: 0, last: Instant::now() });
        if failures.last.elapsed() > FORGIVE {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = Instant::now();
        failures.count
    }

    /// A right password was typed: the failures before it were the owner's.
    pub(super) fn forgive(&self, place: &Place) {
        lock(&self.failures).remove(place);
    }

    /// Holds an answer back for the pause that follows so many failures, unless many are held already. Returns the pause that the client
    /// is told to make before the next try; none while failures are few.
    pub(super) async fn hold(&self, network: Network, failures: u32) -> Option<Duration> {
        let pause = pause(failures)?;
        if let Some(_slot) = self.slot(network) {
            let mut opened = self.open.subscribe();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = opened.wait_for(|open| *open) => {}
            }
        }
        Some(pause)
    }

    /// Holds nothing back any more.
    pub(super) fn release(&self) {
        self.open.send_replace(true);
    }

    /// How many answers are held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> u32 {
        lock(&self.held).all
    }

    fn slot(&self, network: Network) -> Option<Slot> {
        let mut held = lock(&self.held);
        if held.all >= HELD_IN_ALL || held.networks.get(&network).is_some_and(|count| *count >= HELD) {
            return None;
        }
        held.all += 1;
        *held.networks.entry(network).or_default() += 1;
        Some(Slot { held: Arc::clone(&self.held), network })
    }
}

/// One answer that is held back.
struct Slot {
    held: Arc<Mutex<Held>>,
    network: Network,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        held.all -= 1;
        if let Some(count) = held.networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                held.networks.remove(&self.network);
            }
        }
    }
}

/// The pause after so many failures: the first few are typing errors, then it doubles.
fn pause(failures: u32) -> Option<Duration> {
    let over = failures.checked_sub(FREE)?;
    Some(SHORTEST.saturating_mul(1 << over.min(16)).min(LONGEST))
}

/// In a full table what is over is removed, and if nothing is, the older half: whoever fills the table loses no more than others.
fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, since: impl Fn(&V) -> Instant) {
    if table.len() < ENTRIES {
        return;
    }
    table.retain(|_, value| since(value).elapsed() < FORGIVE);
    if table.len() >= ENTRIES {
        let mut times: Vec<_> = table.values().map(&since).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        table.retain(|_, value| since(value) > median);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole even when a thread panicked while it held them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_pause_doubles_and_ends() {
        assert_eq!(pause(4), None);
        assert_eq!(pause(5), Some(Duration::from_millis(500)));
        assert_eq!(pause(6), Some(Duration::from_secs(1)));
        assert_eq!(pause(10), Some(LONGEST));
        assert_eq!(pause(u32::MAX), Some(LONGEST));
    }

    #[test]
    fn tables_are_bounded() {
        let throttle = Throttle::new();
        for n in 0..3 * ENTRIES {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_le_bytes());
            throttle.failed(key);
            throttle.found_wrong(key, 0);
        }
        assert!((1..=ENTRIES).contains(&lock(&throttle.failures).len()));
        assert!((1..=ENTRIES).contains(&lock(&throttle.wrong).len()));
    }

    #[test]
    fn what_is_wrong_may_become_right() {
        let throttle = Throttle::new();
        throttle.found_wrong([1; 32], 7);
        assert!(throttle.is_wrong(&[1; 32], 7) && !throttle.is_wrong(&[1; 32], 8) && !throttle.is_wrong(&[2; 32], 7));
    }

    #[tokio::test]
    async fn answers_are_held_back_but_not_too_many_at_a_time() {
        let throttle = Throttle::new();
        let network = Network::of(IpAddr::from([192, 0, 2, 1]));
        let longest = FREE + 10;
        let mut held: Vec<_> = (0..HELD).map(|_| Box::pin(throttle.hold(network, longest))).collect();
        assert!(held.iter_mut().all(|answer| answer.as_mut().now_or_never().is_none()));
        assert_eq!(throttle.hold(network, FREE).now_or_never(), Some(Some(SHORTEST)));
        let elsewhere = Network::of(IpAddr::from([192, 0, 2, 2]));
        assert_eq!(throttle.hold(elsewhere, FREE).now_or_never(), None);
        assert_eq!(throttle.hold(elsewhere, FREE - 1).now_or_never(), Some(None));
        // Whoever goes away makes room; the end of the node ends all pauses.
        held.pop();
        assert_eq!(throttle.hold(network, FREE).now_or_never(), None);
        throttle.release();
        for answer in held {
            assert_eq!(answer.await, Some(LONGEST));
        }
        assert_eq!(throttle.held(), 0);
        assert!(lock(&throttle.held).networks.is_empty());
    }
}
