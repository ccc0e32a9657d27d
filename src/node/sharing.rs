//! Sends what was shared, in the background, and removes it when it has expired.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::operations::{Failure, Operations, Sharing as Turns, blocking};
use crate::scheduler::Standing;
use crate::services::Service;
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

async fn drive(node: Weak<Operations>, turns: Arc<Turns>, mut ready: watch::Receiver<bool>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        // An error means that the node is gone.
        _ = ready.wait_for(|ready| *ready) => {}
        _ = stopped.wait_for(|stopped| *stopped) => return,
    }
    let mut away = Away::new();
    loop {
        let Some(strong) = node.upgrade() else { return };
        let wait = match step(&strong, &mut away).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "shared files cannot be looked up");
                LOOK
            }
        };
        drop(strong);
        tokio::select! {
            () = turns.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Does what is due with all services, and tells when to look again.
async fn step(node: &Arc<Operations>, away: &mut Away) -> Result<Duration, Failure> {
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
    let (mut runs, mut soonest) = (Vec::new(), LOOK);
    for (service, next) in due {
        let next = away.get(&service.id).map_or(next, |(_, until)| next.max(*until));
        if next <= now {
            let id = service.id;
            runs.push(async move { (id, node.carry_out_shares(service).await) });
        } else {
            soonest = soonest.min(Duration::from_secs(next.abs_diff(now)));
        }
    }
    for (id, ended) in join_all(runs).await {
        let failed = match ended {
            Ok(ended) => ended.error,
            Err(error) => Some(error.to_string()),
        };
        match failed {
            None => drop(away.remove(&id)),
            Some(reason) => {
                let times = away.get(&id).map_or(0, |(times, _)| *times).saturating_add(1);
                let wait = doubling(FIRST_RETRY, times, LONGEST_RETRY);
                tracing::warn!(%reason, seconds = wait.as_secs(), "shared files could not be sent; it is tried again");
                away.insert(id, (times, node.store.clock().seconds().saturating_add_unsigned(wait.as_secs())));
            }
        }
    }
    Ok(soonest)
}
