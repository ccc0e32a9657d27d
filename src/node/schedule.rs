//! Drives the agenda of a serving node: tells it the time and what happened, and does what it says.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::operations::{Failure, Note, Operations, Runs, now, setting};
use crate::scheduler::{Action, Agenda, Now, Standing};
use crate::services::Service;
use crate::store::changes::Changes;
use crate::sync::{Options, Stop};

use super::peers::Peers;

/// The clock on the wall is looked at so often, because nobody says when it is set or when the machine wakes up.
const LOOK: Duration = Duration::from_secs(15);
/// Runs that do not stop within this time are broken off when the node stops.
const GOODBYE: Duration = Duration::from_secs(10);

/// The scheduler of a serving node.
pub(super) struct Schedule {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Schedule {
    /// Begins when `ready` becomes true.
    pub(super) fn start(node: &Arc<Operations>, ready: watch::Receiver<bool>) -> Result<Self, Failure> {
        let (stop, stopped) = watch::channel(false);
        // What was changed until now is behind us.
        let seen = Changes::open(&node.store.read()?)?.latest();
        let notes = node.runs.listen();
        let driver = Driver { node: Arc::downgrade(node), runs: Arc::clone(&node.runs), notes, seen, stopped, agenda: Agenda::default() };
        Ok(Self { stop, task: tokio::spawn(driver.drive(ready)) })
    }

    /// Suspends what runs, and ends.
    pub(super) async fn stop(self, runs: &Runs) {
        self.stop.send_replace(true);
        if tokio::time::timeout(GOODBYE, runs.stop_all(Stop::Suspended)).await.is_err() {
            tracing::warn!("a sync did not stop in time and was broken off; the next one looks again");
        }
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the scheduler ended unexpectedly");
        }
    }
}

struct Driver {
    /// The node stops us, and must not be kept by us.
    node: Weak<Operations>,
    runs: Arc<Runs>,
    notes: mpsc::UnboundedReceiver<Note>,
    /// The latest change in the library that the agenda knows of.
    seen: u64,
    stopped: watch::Receiver<bool>,
    agenda: Agenda,
}

impl Driver {
    async fn drive(mut self, mut ready: watch::Receiver<bool>) {
        let mut peers = Peers::default();
        let Some((mut library, clock)) = self.node.upgrade().map(|node| (node.store.watch(), node.store.clock().clone())) else { return };
        tokio::select! {
            // The first look at the library: a run before it would only look as well.
            () = becomes_true(&mut ready) => {}
            () = becomes_true(&mut self.stopped) => return,
        }
        let mut stopped = self.stopped.clone();
        let begun = Instant::now();
        self.take_settings(&mut peers, now(&clock, begun)).await;
        loop {
            let moment = now(&clock, begun);
            for action in self.agenda.tick(moment) {
                self.act(action);
            }
            let wait = self.agenda.wait(moment).unwrap_or(LOOK).min(LOOK);
            tokio::select! {
                note = self.notes.recv() => match note {
                    Some(note) => self.take(note, &mut peers, now(&clock, begun)).await,
                    None => return,
                },
                changed = library.changed() => {
                    let latest = *library.borrow_and_update();
                    if changed.is_err() {
                        return;
                    }
                    // The first write after opening tells a number without a change.
                    if std::mem::replace(&mut self.seen, latest) != latest {
                        self.agenda.changed_here(now(&clock, begun));
                    }
                }
                () = tokio::time::sleep(wait.max(Duration::from_millis(10))) => {}
                () = becomes_true(&mut stopped) => return,
            }
        }
    }

    fn act(&self, action: Action) {
        match action {
            Action::Suspend(id) => {
                self.runs.stop(id, Stop::Suspended);
            }
            Action::Start(id, trigger) => {
                let Some(node) = self.node.upgrade() else { return };
                tokio::spawn(async move {
                    let Some(turn) = node.runs.try_turn(id, trigger) else {
                        drop(node.runs.turn(id, trigger).await);
                        return node.runs.tell(Note::GaveUp(id));
                    };
                    let service = node.services().await.ok().and_then(|all| all.into_iter().find(|service| service.id == id));
                    let Some(service) = service else { return node.runs.tell(Note::Settings) };
                    let options = Options { patient: true, parallel: node.parallel, ..Options::default() };
                    node.carry_out(turn, service, options, trigger).await;
                });
            }
        }
    }

    async fn take(&mut self, note: Note, peers: &mut Peers, moment: Now) {
        match note {
            Note::Settings => self.take_settings(peers, moment).await,
            Note::Started(id, trigger) => self.agenda.started(id, trigger),
            Note::Ended(id, ending, standing) => {
                let held = standing.stopped.is_some() || standing.failures == 0;
                self.agenda.ended(id, &ending, standing);
                if held {
                    // It is not listened to any more, or again.
                    self.take_settings(peers, moment).await;
                }
            }
            Note::GaveUp(id) => self.agenda.gave_up(id),
            Note::Changed(id) => self.agenda.changed_there(id, moment),
            Note::Reachable(id) => self.agenda.reachable(id, moment),
        }
    }

    async fn take_settings(&mut self, peers: &mut Peers, moment: Now) {
        let Some(node) = self.node.upgrade() else { return };
        let all = match node.services_and_standings().await {
            Ok(all) => all,
            Err(error) => return tracing::error!(%error, "the services cannot be read; they are not synced by themselves"),
        };
        let listened = |(service, standing): &&(Service, Standing)| {
            service.sync.on && service.sync.download && !standing.paused && standing.stopped.is_none()
        };
        peers.set(all.iter().filter(listened).map(|(service, _)| service.clone()).collect(), &node.services, &self.runs);
        self.agenda.set(all.into_iter().map(|(service, standing)| (setting(&service), standing)).collect(), moment);
    }
}

/// Returns when it is true.
async fn becomes_true(told: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so: the node is gone.
    let _ = told.wait_for(|told| *told).await;
}
