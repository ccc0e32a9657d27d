//! The in-process event bus: who works on what, for progress bars and live pages.
//!
//! Rank 1. Nobody has to listen, and a slow listener loses events rather than slowing the work down: every progress event
//! carries totals, so that the next one makes up for a lost one.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

const CAPACITY: usize = 1024;
/// So many of the latest events are kept for who comes back.
const RECENT: usize = 2048;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The library is being scanned; so many files were read so far.
    Scanning {
        /// Files whose bytes were read.
        hashed: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Changes that other programs made in the library are in the index now.
    IndexChanged {
        /// Files that are new, changed or renamed.
        changed: u64,
        /// Files that are gone.
        removed: u64,
    },
    /// A file of the import folder is in the library now.
    Imported {
        /// The path it had in the import folder.
        from: String,
        /// The path in the library.
        path: String,
    },
    /// A service is being listed; so many folders were seen so far.
    Listing {
        /// The service.
        service: String,
        /// Folders.
        folders: u64,
    },
    /// Transfers go on.
    Progress {
        /// The service.
        service: String,
        /// Steps done.
        files: u64,
        /// Of so many.
        files_total: u64,
        /// Bytes moved.
        bytes: u64,
        /// Of so many.
        bytes_total: u64,
        /// Bytes that are still to travel, as it was planned: by these, not by the two before, the time that is left is found.
        #[serde(default)]
        bytes_left: u64,
    },
    /// A step ended.
    Step {
        /// The service.
        service: String,
        /// `upload`, `download`, ...
        verb: String,
        /// The path in the library.
        path: String,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
    /// Somebody has to log in with a browser, so that a service can be connected.
    Login {
        /// The service.
        service: String,
        /// The page.
        url: String,
        /// Whose page it is: name and version.
        server: String,
    },
    /// Chosen files are being sent to a service, and removed from it when they have expired.
    Sharing {
        /// The service.
        service: String,
        /// Files that are over.
        files: u64,
        /// Of so many.
        files_total: u64,
        /// Bytes that were sent.
        bytes: u64,
        /// The file whose bytes were sent last, in the library.
        path: Option<String>,
    },
    /// A chosen file is over, for now.
    SharedFile {
        /// The service.
        service: String,
        /// The number of the share that it belongs to.
        share: u64,
        /// The path in the library.
        path: String,
        /// Why it failed, was skipped or left, if so.
        failure: Option<String>,
    },
    /// What was due of the chosen files is done.
    Shared {
        /// The service.
        service: String,
        /// Why it stopped as a whole, if it did.
        failure: Option<String>,
    },
    /// A run begins.
    Started {
        /// The service.
        service: String,
        /// Why.
        trigger: String,
    },
    /// A run ended.
    Ended {
        /// The service.
        service: String,
        /// Why it stopped as a whole, if it did.
        failure: Option<String>,
    },
}

impl Event {
    /// The service that it is about; none when it is about the library.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Scanning { .. } | Self::IndexChanged { .. } | Self::Imported { .. } => None,
            Self::Listing { service, .. }
            | Self::Progress { service, .. }
            | Self::Step { service, .. }
            | Self::Login { service, .. }
            | Self::Sharing { service, .. }
            | Self::SharedFile { service, .. }
            | Self::Shared { service, .. }
            | Self::Started { service, .. }
            | Self::Ended { service, .. } => Some(service),
        }
    }

    /// The word for what happened: `progress`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scanning { .. } => "scanning",
            Self::IndexChanged { .. } => "index-changed",
            Self::Imported { .. } => "imported",
            Self::Listing { .. } => "listing",
            Self::Progress { .. } => "progress",
            Self::Step { .. } => "step",
            Self::Login { .. } => "login",
            Self::Sharing { .. } => "sharing",
            Self::SharedFile { .. } => "shared-file",
            Self::Shared { .. } => "shared",
            Self::Started { .. } => "started",
            Self::Ended { .. } => "ended",
        }
    }
}

/// The place of an event among all: which run of the program, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    run: u64,
    number: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.number)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, number) = text.split_once('-').ok_or(())?;
        let run = u64::from_str_radix(run, 16).map_err(|_| ())?;
        Ok(Self { run, number: number.parse().map_err(|_| ())? })
    }
}

/// An event and its place.
pub type Placed = (Place, Event);

/// What happened since a place, and what will happen.
pub struct Following {
    /// Where it begins: after everything of which nothing is told.
    pub from: Place,
    /// Something that happened since the place is not known any more.
    pub missed: bool,
    /// What is still known.
    pub earlier: Vec<Placed>,
    /// What comes next.
    pub later: broadcast::Receiver<Placed>,
}

/// Where events are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    now: broadcast::Sender<Event>,
    placed: broadcast::Sender<Placed>,
    recent: Mutex<Recent>,
}

/// The latest events.
#[derive(Debug)]
struct Recent {
    last: Place,
    events: VecDeque<Placed>,
}

impl Default for Events {
    fn default() -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let recent = Recent { last: Place { run: begun, number: 0 }, events: VecDeque::new() };
        Self(Arc::new(Inner {
            now: broadcast::Sender::new(CAPACITY),
            placed: broadcast::Sender::new(CAPACITY),
            recent: Mutex::new(recent),
        }))
    }
}

impl Events {
    /// Tells whoever listens.
    pub fn publish(&self, event: Event) {
        {
            let mut recent = self.recent();
            recent.last.number += 1;
            let placed = (recent.last, event.clone());
            if recent.events.len() == RECENT {
                recent.events.pop_front();
            }
            recent.events.push_back(placed.clone());
            // An error only means that nobody listens. Within the lock, so that nobody hears of it twice or not at all.
            let _ = self.0.placed.send(placed);
        }
        let _ = self.0.now.send(event);
    }

    /// Everything from now on, as a stream without end. Who reads too slowly misses some.
    pub fn stream(&self) -> impl Stream<Item = Event> + Send + Unpin + use<> {
        Box::pin(stream::unfold(self.subscribe(), |mut events| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        }))
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.now.subscribe()
    }

    /// Listens from a place on: what happened after it is told first, as far as it is still known. Without one, from now on.
    pub fn follow(&self, after: Option<Place>) -> Following {
        let recent = self.recent();
        let (from, last) = (after.unwrap_or(recent.last), recent.last);
        let earlier: Vec<_> =
            recent.events.iter().filter(|(place, _)| from.run == last.run && place.number > from.number).cloned().collect();
        let known = from.run == last.run && from.number <= last.number && (last.number - from.number) as usize == earlier.len();
        let from = if known { from } else { Place { number: last.number - earlier.len() as u64, ..last } };
        Following { from, missed: !known, earlier, later: self.0.placed.subscribe() }
    }

    /// What this guards is whole even when a thread panicked while it held it.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanning(hashed: u64) -> Event {
        Event::Scanning { hashed, bytes: 0 }
    }

    #[test]
    fn who_comes_back_is_told_what_happened_meanwhile() {
        let events = Events::default();
        events.publish(scanning(1));
        let mut first = events.follow(None);
        assert!(!first.missed && first.earlier.is_empty());
        events.publish(scanning(2));
        let (place, event) = first.later.try_recv().unwrap();
        assert_eq!(event, scanning(2));
        events.publish(scanning(3));
        let second = events.follow(Some(place.to_string().parse().unwrap()));
        assert!(!second.missed);
        assert_eq!(second.earlier.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), [scanning(3)]);
    }

    #[test]
    fn who_comes_back_too_late_hears_so() {
        let events = Events::default();
        let begin = events.follow(None).from;
        (0..RECENT as u64 + 5).for_each(|number| events.publish(scanning(number)));
        let late = events.follow(Some(begin));
        assert!(late.missed && late.earlier.len() == RECENT && late.earlier[0].1 == scanning(5));
        assert_eq!(late.from.number, 5);
        // Another run of the program, or a place that was never told.
        for place in [Place { run: begin.run + 1, number: 1 }, Place { number: u64::MAX, ..begin }] {
            let lost = events.follow(Some(place));
            assert!(lost.missed && lost.earlier.is_empty());
        }
        assert!("".parse::<Place>().is_err() && "1-x".parse::<Place>().is_err() && "-1".parse::<Place>().is_err());
    }
}
