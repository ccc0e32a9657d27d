//! Telling a run to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Tells those who send to stop: transfers that are under way are broken off, nothing new is begun. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    told: watch::Sender<bool>,
    flag: AtomicBool,
}

impl Stop {
    /// Tells them.
    pub fn stop(&self) {
        self.0.flag.store(true, Ordering::Relaxed);
        self.0.told.send_replace(true);
    }

    /// Whether they were told.
    pub fn is_stopped(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    pub(super) fn told(&self) -> watch::Receiver<bool> {
        self.0.told.subscribe()
    }

    /// For those who cannot wait.
    pub(super) fn flag(&self) -> &AtomicBool {
        &self.0.flag
    }
}
