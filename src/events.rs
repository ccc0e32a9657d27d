//! The in-process event bus: who works on what, for progress bars and live pages.
//!
//! Rank 1. Nobody has to listen, and a slow listener loses events rather than slowing the work down: every progress event
//! carries totals, so that the next one makes up for a lost one.

use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

const CAPACITY: usize = 1024;

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

/// Where events are published. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Events {
    /// Tells whoever listens.
    pub fn publish(&self, event: Event) {
        // An error only means that nobody listens.
        let _ = self.0.send(event);
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
        self.0.subscribe()
    }
}
