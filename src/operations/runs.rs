//! The runs that go on: one a service at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use crate::scheduler::{Ending, Standing, Trigger};
use crate::sync::{Monitor, Stop};
use crate::types::ServiceId;

/// What the scheduler is told.
#[derive(Debug)]
pub(crate) enum Note {
    /// Services were added, removed, or set up in another way.
    Settings,
    /// A run began.
    Started(ServiceId, Trigger),
    /// A run ended.
    Ended(ServiceId, Ending, Standing),
    /// A run that the scheduler began found another one going on, which has ended now.
    GaveUp(ServiceId),
    /// The service says that something changed there.
    Changed(ServiceId),
    /// The service answers again.
    Reachable(ServiceId),
}

/// A run that goes on.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub trigger: Trigger,
    pub started: Timestamp,
    pub monitor: Monitor,
}

#[derive(Debug, Default)]
pub(crate) struct Runs {
    running: Mutex<HashMap<ServiceId, Running>>,
    ended: Notify,
    notes: Mutex<Option<mpsc::UnboundedSender<Note>>>,
}

/// A service's turn; it ends when this is dropped.
pub(crate) struct Turn {
    runs: Arc<Runs>,
    id: ServiceId,
    monitor: Monitor,
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.runs.running).remove(&self.id);
        self.runs.ended.notify_waiters();
    }
}

impl Turn {
    /// By which the run is watched and stopped.
    pub(crate) fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }
}

impl Runs {
    /// The service's turn, if nobody has it.
    pub(crate) fn try_turn(self: &Arc<Self>, id: ServiceId, trigger: Trigger) -> Option<Turn> {
        let mut running = lock(&self.running);
        if running.contains_key(&id) {
            return None;
        }
        let monitor = Monitor::default();
        running.insert(id, Running { trigger, started: Timestamp::now(), monitor: monitor.clone() });
        Some(Turn { runs: Arc::clone(self), id, monitor })
    }

    /// The service's turn, when whoever has it is done.
    pub(crate) async fn turn(self: &Arc<Self>, id: ServiceId, trigger: Trigger) -> Turn {
        loop {
            // Before looking, so that an end right after the look is not missed.
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(turn) = self.try_turn(id, trigger) {
                return turn;
            }
            ended.await;
        }
    }

    /// The run with a service, if one goes on.
    pub(crate) fn of(&self, id: ServiceId) -> Option<Running> {
        lock(&self.running).get(&id).cloned()
    }

    /// Whether any goes on.
    pub(crate) fn is_any(&self) -> bool {
        !lock(&self.running).is_empty()
    }

    /// Tells a run to stop; true when there is one.
    pub(crate) fn stop(&self, id: ServiceId, why: Stop) -> bool {
        let running = self.of(id);
        running.as_ref().inspect(|running| running.monitor.stop(why)).is_some()
    }

    /// Tells all runs to stop, and waits until they have.
    pub(crate) async fn stop_all(&self, why: Stop) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            let all: Vec<_> = lock(&self.running).values().cloned().collect();
            if all.is_empty() {
                return;
            }
            all.iter().for_each(|running| running.monitor.stop(why));
            ended.await;
        }
    }

    /// Tells the scheduler, if there is one.
    pub(crate) fn tell(&self, note: Note) {
        if let Some(notes) = &*lock(&self.notes) {
            // It stops listening when the node stops.
            let _ = notes.send(note);
        }
    }

    /// From now on the scheduler is told here.
    pub(crate) fn listen(&self) -> mpsc::UnboundedReceiver<Note> {
        let (notes, told) = mpsc::unbounded_channel();
        *lock(&self.notes) = Some(notes);
        told
    }
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
