//! Sends what was shared, in the background, and removes it when it has expired.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::operations::{Failure, Operations, Sharing as Turns, blocking};
use crate::scheduler::Standing;
use crate::services::Service;
use crate::share::Ended;
use crate::store::shares;
use crate::types::ServiceId;
use crate::types::backoff::doubling;

/// What is due is looked up so often, because nobody says when the clock is set or the machine wakes up.
const LOOK: Duration = Duration::from_secs(15);
/// A service that cannot be reached is tried again after this; then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// What does not stop within this time is broken off when the node stops; it goes on after the next start.
const GOODBYE: Duration = Duration::from_secs(10);

/// The task of a serving node.
pub(super) struct Sharing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sharing {
    /// Begins when `ready` becomes true.
    pub(super) fn start(node: &Arc<Operations>, ready: watch::Receiver<bool>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(drive(Arc::downgrade(node), Arc::clone(&node.sharing), ready, stopped));
        Self { stop, task }
    }

    /// Breaks off what is being sent, and ends.
    pub(super) async fn stop(self, turns: &Turns) {
        self.stop.send_replace(true);
        let stopped = async {
            turns.stop().await;
            if let Err(error) = self.task.await {
                tracing::error!(%error, "the sending of shared files ended unexpectedly");
            }
        };
        if tokio::time::timeout(GOODBYE, stopped).await.is_err() {
            tracing::warn!("the sending of shared files did not stop in time and was broken off; it goes on after the next start");
        }
    }
}

/// Services that could not be reached: how often, and until when they are left alone.
type Away = HashMap<ServiceId, (u32, i64)>;

/// The runs that go on, and of which services.
#[derive(Default)]
struct AtWork {
    runs: JoinSet<(ServiceId, Result<Ended, Failure>)>,
    services: HashSet<ServiceId>,
}

async fn drive(node: Weak<Operations>, turns: Arc<Turns>, mut ready: watch::Receiver<bool>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        // An error means that the node is gone.
        _ = ready.wait_for(|ready| *ready) => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    let (mut away, mut at_work) = (Away::new(), AtWork::default());
    loop {
        let Some(strong) = node.upgrade() else { return };
        let wait = match begin_due(&strong, &mut away, &mut at_work).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "shared files cannot be looked up");
                LOOK
            }
        };
        let clock = strong.store.clock().clone();
        drop(strong);
        tokio::select! {
            () = turns.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
            Some(done) = at_work.runs.join_next() => match done {
                Ok((id, ended)) => {
                    at_work.services.remove(&id);
                    note(&mut away, id, ended, clock.seconds());
                }
                // Which one it was is not known; none of them is left alone for it.
                Err(error) => {
                    tracing::error!(%error, "the sending of shared files ended unexpectedly");
                    at_work.services.clear();
                }
            },
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    // They were told to stop.
    while at_work.runs.join_next().await.is_some() {}
}

/// Begins what is due with services that nothing is done with, and tells when to look again.
async fn begin_due(node: &Arc<Operations>, away: &mut Away, at_work: &mut AtWork) -> Result<Duration, Failure> {
    let now = node.store.clock().seconds();
    let awake = |(_, standing): &(Service, Standing)| !standing.paused && standing.stopped.is_none();
    let services: Vec<Service> = node.services_and_standings().await?.into_iter().filter(awake).map(|(service, _)| service).collect();
    let store = node.store.clone();
    let due = blocking(move || {
        let tx = store.read()?;
        let next = |service: Service| shares::next_due(&tx, service.id).map(|next| next.map(|next| (service, next)));
        Ok(services.into_iter().filter_map(|service| next(service).transpose()).collect::<Result<Vec<_>, _>>()?)
    })
    .await?;
    away.retain(|id, _| due.iter().any(|(service, _)| service.id == *id));
    let mut soonest = LOOK;
    for (service, next) in due {
        let next = away.get(&service.id).map_or(next, |(_, until)| next.max(*until));
        if next > now {
            soonest = soonest.min(Duration::from_secs(next.abs_diff(now)));
        } else if at_work.services.insert(service.id) {
            let node = Arc::clone(node);
            at_work.runs.spawn(async move { (service.id, node.carry_out_shares(service).await) });
        }
    }
    Ok(soonest)
}

/// A run with a service ended.
fn note(away: &mut Away, id: ServiceId, ended: Result<Ended, Failure>, now: i64) {
    let failed = match ended {
        Ok(ended) => ended.error,
        Err(error) => Some(error.to_string()),
    };
    let Some(reason) = failed else {
        away.remove(&id);
        return;
    };
    let times = away.get(&id).map_or(0, |(times, _)| *times).saturating_add(1);
    let wait = doubling(FIRST_RETRY, times, LONGEST_RETRY);
    tracing::warn!(%reason, seconds = wait.as_secs(), "shared files could not be sent; it is tried again");
    away.insert(id, (times, now.saturating_add_unsigned(wait.as_secs())));
}
