//! How much of everything a client may take, and the places for connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// File descriptors that connections leave to everything else: files being read and written, the state, clients of our own.
const OTHER_FILES: u64 = 256;

/// Fewer connections than this are worth a warning.
const FEW: usize = 1024;

/// What a client may take. The defaults suit a family's library on a small machine that is open to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte of a request, or of the connection, to the end of its headers. 30 seconds.
    pub header_timeout: Duration,
    /// How long a connection is kept open between requests. 3 minutes: longer than the proxies nginx (1), Traefik (1.5) and Caddy (2) keep
    /// theirs, so that it is they who close, and no request meets a closing connection.
    pub idle_timeout: Duration,
    /// How long nothing may come of a body that is being received, and how long a client may take nothing of an answer. 1 minute. A
    /// transfer that moves may take as long as it wants.
    pub body_timeout: Duration,
    /// Connections at the same time; others wait to be accepted. 16,384, and never more than three quarters of the open files that the
    /// system allows.
    pub max_connections: usize,
    /// Connections at the same time from one address (IPv6: one /64 network); others are answered 503. 512: an office behind one address,
    /// or a proxy that was not named. Trusted proxies and this machine itself may have any number.
    pub max_connections_per_address: usize,
    /// Requests that are being answered at the same time; others wait a little, then get 503. 2,048.
    pub max_requests: usize,
    /// Requests at the same time on one HTTP/2 connection. 128.
    pub max_streams: u32,
    /// The bytes of a request's headers; more is 431. 64 KiB: room for an If header with many locks. There may be 100 of them.
    pub max_headers: usize,
    /// The bytes of a request's URL; more is 414. 16 KiB: the longest path that Linux knows, escaped.
    pub max_url: usize,
    /// The bytes of a request's body; more is 413, before any of it is read where the length is announced. 0, the default: unlimited.
    pub max_upload: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(180),
            body_timeout: Duration::from_secs(60),
            max_connections: 16_384,
            max_connections_per_address: 512,
            max_requests: 2048,
            max_streams: 128,
            max_headers: 64 << 10,
            max_url: 16 << 10,
            max_upload: 0,
        }
    }
}

/// Connections by address.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The places for connections.
#[derive(Debug, Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    by_address: Counts,
    per_address: usize,
}

/// A connection's place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// The address has more than its share: all that this connection may hear is 503.
    pub(super) crowded: bool,
    counted: Option<(Counts, IpAddr)>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let all = limits.max_connections.min(allowed_files()).clamp(1, Semaphore::MAX_PERMITS);
        if all < limits.max_connections.min(FEW) {
            tracing::warn!(
                "the system allows so few open files that only {all} connections are taken at the same time: raise `ulimit -n` or LimitNOFILE"
            );
        } else if all < limits.max_connections {
            tracing::info!("{all} connections are taken at the same time: the system allows no more open files");
        }
        Self { all: Arc::new(Semaphore::new(all)), by_address: Arc::default(), per_address: limits.max_connections_per_address.max(1) }
    }

    /// Waits until one more connection can be taken. What arrives meanwhile waits in the listener's queue, where it costs nothing.
    pub(super) async fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// Gives the place to an address; None when the address holds so many that it does not even get an answer.
    pub(super) fn take(&self, permit: OwnedSemaphorePermit, from: IpAddr, exempt: bool) -> Option<Place> {
        if exempt {
            return Some(Place { crowded: false, counted: None, _permit: permit });
        }
        let address = network(from);
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        // Half as many again hear why.
        if *count >= self.per_address + self.per_address.div_ceil(2) {
            return None;
        }
        *count += 1;
        let crowded = *count > self.per_address;
        Some(Place { crowded, counted: Some((Arc::clone(&self.by_address), address)), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((counts, address)) = &self.counted {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counts.get_mut(address) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(address);
                }
            }
        }
    }
}

/// Who counts as one: an IPv6 customer has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Raises the number of open files to what the system allows, and says how many of them connections may be.
fn allowed_files() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::debug!(%error, "the number of open files could not be raised"),
        }
    }
    let Some(files) = limit.current else { return usize::MAX };
    let connections = (files * 3 / 4).min(files.saturating_sub(OTHER_FILES)).max(files / 4);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_gets_its_share_and_no_more() {
        let places = Places::new(&Limits { max_connections: 6, max_connections_per_address: 2, ..Limits::default() });
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let permit = || async { places.free().await.unwrap() };
        let one = places.take(permit().await, address("2001:db8::1"), false).unwrap();
        let two = places.take(permit().await, address("2001:db8::2"), false).unwrap();
        let three = places.take(permit().await, address("2001:db8::3"), false).unwrap();
        assert!(!one.crowded && !two.crowded && three.crowded);
        assert!(places.take(permit().await, address("2001:db8::4"), false).is_none());
        assert!(!places.take(permit().await, address("2001:db8:0:1::4"), false).unwrap().crowded);
        assert!(!places.take(permit().await, address("2001:db8::1"), true).unwrap().crowded);
        drop((one, two));
        assert!(!places.take(permit().await, address("2001:db8::9"), false).unwrap().crowded);
        drop(three);
        assert!(places.by_address.lock().unwrap().is_empty());
        assert_eq!(places.all.available_permits(), 6);
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_next_waits() {
        let places = Places::new(&Limits { max_connections: 1, ..Limits::default() });
        let place = places.take(places.free().await.unwrap(), "192.0.2.1".parse().unwrap(), false).unwrap();
        let mut next = std::pin::pin!(places.free());
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut nobody).is_pending());
        drop(place);
        assert!(next.as_mut().poll(&mut nobody).is_ready());
    }
}
