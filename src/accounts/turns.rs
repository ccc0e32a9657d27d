//! Turns for argon2, which takes a core for tens of milliseconds and 19 MiB: fair between networks, and between users within one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::network::Network;
use super::throttle::Place;

/// Gives turns. Each waits first among those of its place, then of its network, then of all; so a queue further in holds at most one of
/// each place, and at most half of the turns at a time are one network's.
#[derive(Clone)]
pub(super) struct Turns {
    places: Gates<Place>,
    networks: Gates<Network>,
    all: Arc<Semaphore>,
}

/// Somebody's turn; it ends when this is dropped.
pub(super) struct Turn {
    _all: Option<OwnedSemaphorePermit>,
    _network: Seat<Network>,
    _place: Seat<Place>,
}

impl Turns {
    /// So many turns at a time.
    pub(super) fn new(count: usize) -> Self {
        Self { places: Gates::new(1), networks: Gates::new((count / 2).max(1)), all: Arc::new(Semaphore::new(count.max(1))) }
    }

    /// Waits for a turn. Giving up waiting gives up the place in the queue.
    pub(super) async fn take(&self, network: Network, place: Place) -> Turn {
        let place = self.places.pass(place).await;
        let network = self.networks.pass(network).await;
        // None only if it were closed, which nobody does.
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn { _all: all, _network: network, _place: place }
    }
}

/// A gate for each key that is in use.
struct Gates<K> {
    width: usize,
    gates: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K> Clone for Gates<K> {
    fn clone(&self) -> Self {
        Self { width: self.width, gates: Arc::clone(&self.gates) }
    }
}

impl<K: Copy + Eq + Hash> Gates<K> {
    fn new(width: usize) -> Self {
        Self { width, gates: Arc::default() }
    }

    async fn pass(&self, key: K) -> Seat<K> {
        let gate = Arc::clone(lock(&self.gates).entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.width))));
        let mut seat = Seat { permit: None, gate: Some(Arc::clone(&gate)), gates: self.clone(), key };
        seat.permit = gate.acquire_owned().await.ok();
        seat
    }
}

/// A place at a gate, waiting or through. The last one to leave takes the gate away.
struct Seat<K: Copy + Eq + Hash> {
    permit: Option<OwnedSemaphorePermit>,
    gate: Option<Arc<Semaphore>>,
    gates: Gates<K>,
    key: K,
}

impl<K: Copy + Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut gates = lock(&self.gates.gates);
        drop(self.gate.take());
        // Others take their part of it under the lock that is held here.
        if gates.get(&self.key).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt as _;

    use super::*;

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test]
    async fn a_flood_against_one_user_leaves_turns_to_others() {
        let turns = Turns::new(2);
        let (anna, bob) = ([1; 32], [2; 32]);
        let first = turns.take(network(1), anna).await;
        let mut flood: Vec<_> = (0..10).map(|_| Box::pin(turns.take(network(1), anna))).collect();
        assert!(flood.iter_mut().all(|guess| guess.as_mut().now_or_never().is_none()));
        // Another network has the other turn at once; another user of the same network has the next one.
        let elsewhere = turns.take(network(2), [3; 32]).now_or_never();
        assert!(elsewhere.is_some());
        let mut other = Box::pin(turns.take(network(1), bob));
        assert!(other.as_mut().now_or_never().is_none());
        drop(first);
        // The one of the flood that is next at its own gate is behind Bob at that of the network.
        assert!(flood.iter_mut().all(|guess| guess.as_mut().now_or_never().is_none()));
        assert!(other.now_or_never().is_some());
        drop((flood, elsewhere));
        assert!(lock(&turns.places.gates).is_empty() && lock(&turns.networks.gates).is_empty(), "gates were left behind");
        assert_eq!(turns.all.available_permits(), 2);
    }
}
