//! Who sends to which service: one run at a time, and how it is ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedMutexGuard};

use crate::operations::sending::UnderWay;
use crate::share::Stop;
use crate::types::ServiceId;

/// The runs of all services.
#[derive(Default)]
pub(crate) struct Sharing {
    inner: Mutex<Inner>,
    /// Rung when something was added.
    pub(crate) wake: Notify,
    pub(in crate::operations) under_way: UnderWay,
}

#[derive(Default)]
struct Inner {
    lines: HashMap<ServiceId, Arc<Line>>,
    /// The node is being stopped.
    over: bool,
}

/// Those who want to send to a service.
#[derive(Default)]
struct Line {
    turn: Arc<tokio::sync::Mutex<()>>,
    going: Mutex<Going>,
}

#[derive(Default)]
struct Going {
    /// By which the run that goes on is told to stop.
    stop: Stop,
    /// How many wait for it to end, so that something else can be done with the service.
    ending: usize,
}

/// A run's turn; it ends when this is dropped.
pub(super) struct Turn {
    /// By which the run is told to stop.
    pub(super) stop: Stop,
    _turn: OwnedMutexGuard<()>,
}

/// Nothing is sent to the service until this is dropped.
pub(in crate::operations) struct Quiet {
    line: Arc<Line>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Quiet {
    fn drop(&mut self) {
        lock(&self.line.going).ending -= 1;
    }
}

impl Sharing {
    fn line(&self, service: ServiceId) -> Arc<Line> {
        Arc::clone(lock(&self.inner).lines.entry(service).or_default())
    }

    /// A run's turn with a service, when whoever has it is done. None when the node is being stopped.
    pub(super) async fn turn(&self, service: ServiceId) -> Option<Turn> {
        let line = self.line(service);
        loop {
            let turn = Arc::clone(&line.turn).lock_owned().await;
            // In this order whoever ends runs finds this one, or this one finds that it is to end.
            let stop = {
                let mut going = lock(&line.going);
                if going.ending > 0 {
                    // The lock is fair: they come first now.
                    continue;
                }
                going.stop = Stop::default();
                going.stop.clone()
            };
            return (!self.is_over()).then_some(Turn { stop, _turn: turn });
        }
    }

    /// Ends the run with a service, if one goes on: transfers are broken off. Nothing is sent to it until the answer is dropped.
    pub(in crate::operations) async fn quiet(&self, service: ServiceId) -> Quiet {
        let line = self.line(service);
        {
            let mut going = lock(&line.going);
            going.ending += 1;
            going.stop.stop();
        }
        let mut quiet = Quiet { line, _turn: None };
        quiet._turn = Some(Arc::clone(&quiet.line.turn).lock_owned().await);
        quiet
    }

    fn is_over(&self) -> bool {
        lock(&self.inner).over
    }

    /// Breaks off what is being sent, and waits until that is so. Nothing is begun any more.
    pub(crate) async fn stop(&self) {
        let lines: Vec<_> = {
            let mut inner = lock(&self.inner);
            inner.over = true;
            inner.lines.values().cloned().collect()
        };
        for line in lines {
            lock(&line.going).stop.stop();
            drop(line.turn.lock().await);
        }
    }
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
