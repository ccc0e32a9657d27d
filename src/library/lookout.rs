//! An index that is up to date without a look at everything, where somebody watches the tree.
//!
//! RACE: a change that was made before somebody asks is in the answer. The system queues what it tells of a change together with the change,
//! and whoever watches reads that queue to its end after it has heard the question.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::events::Events;

use super::{LibraryError, ScanReport, Tree, Waker, scan_quiet};

/// Where those who need the index up to date find whoever watches the tree.
#[derive(Debug, Default)]
pub(super) struct Lookout(Mutex<Option<Desk>>);

#[derive(Debug)]
struct Desk {
    waker: Waker,
    asked: Vec<SyncSender<ScanReport>>,
}

impl Lookout {
    fn lock(&self) -> MutexGuard<'_, Option<Desk>> {
        // A list of questions is whole even when a thread panicked while it held it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What whoever watches answers; none when nobody does or it does not know.
    fn ask(&self) -> Option<ScanReport> {
        let (answer, told) = sync_channel(1);
        {
            let mut desk = self.lock();
            let desk = desk.as_mut()?;
            desk.asked.push(answer);
            desk.waker.wake();
        }
        told.recv().ok()
    }
}

/// The post of whoever watches a tree. Until it is dropped, [`up_to_date`] asks there.
pub struct Post(Tree);

impl Drop for Post {
    fn drop(&mut self) {
        *self.0.lookout().lock() = None;
    }
}

impl Post {
    /// Those who ask by now. They look for themselves when they are dropped without an answer.
    pub fn asked(&self) -> Asked {
        Asked(self.0.lookout().lock().as_mut().map(|desk| std::mem::take(&mut desk.asked)).unwrap_or_default())
    }
}

/// Some who wait for an answer.
pub struct Asked(Vec<SyncSender<ScanReport>>);

impl Asked {
    /// True when there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index is up to date with everything that had been done when they asked; this was found.
    pub fn answer(self, report: &ScanReport) {
        // Whoever does not wait any more was told to stop.
        self.0.into_iter().for_each(|waiting| drop(waiting.send(report.clone())));
    }
}

impl Tree {
    /// From now on `waker` is rung when somebody needs the index up to date.
    pub fn keep_watch(&self, waker: Waker) -> Post {
        *self.lookout().lock() = Some(Desk { waker, asked: Vec::new() });
        Post(self.clone())
    }
}

/// Brings the index up to date with everything that has been done in the library until now, but for files that grow (as [`scan_quiet`]). Where
/// somebody watches, only what has changed is looked at; otherwise everything. Blocks.
pub fn up_to_date(tree: &Tree, events: &Events, stop: &AtomicBool) -> Result<ScanReport, LibraryError> {
    match tree.lookout().ask() {
        Some(report) => Ok(report),
        None => scan_quiet(tree, events, stop),
    }
}
