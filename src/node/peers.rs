//! Listening to the services that are nodes: one waiting request for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::client::ClientError;
use crate::operations::{Note, Runs};
use crate::services::{Service, Services};
use crate::types::ServiceId;
use crate::types::backoff::doubling;

/// How long one request waits: shorter than what the client takes for a dead line.
const WAIT: Duration = Duration::from_secs(45);
/// After an error the next request waits for this, then for twice as long, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... and never longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a service is looked at that was no node the last time.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Those that are listened to.
#[derive(Default)]
pub(super) struct Peers(HashMap<ServiceId, (Where, AbortHandle)>);

/// Whoever changes one of these must be listened to anew.
type Where = (String, String, String);

impl Peers {
    /// Listens to these services from now on, and to no others.
    pub(super) fn set(&mut self, all: Vec<Service>, services: &Services, runs: &Arc<Runs>) {
        let mut before = std::mem::take(&mut self.0);
        for service in all {
            let place = (service.url.clone(), service.user.clone(), service.sync.folder.to_string());
            let id = service.id;
            let kept = before.remove(&id).filter(|(then, listening)| *then == place && !listening.is_finished());
            let listening =
                kept.map_or_else(|| tokio::spawn(listen(service, services.clone(), Arc::clone(runs))).abort_handle(), |(_, same)| same);
            self.0.insert(id, (place, listening));
        }
        before.into_values().for_each(|(_, listening)| listening.abort());
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.0.values().for_each(|(_, listening)| listening.abort());
    }
}

/// Listens to a service for as long as it makes sense.
async fn listen(service: Service, services: Services, runs: Arc<Runs>) {
    let (mut token, mut failures) = (None, 0);
    loop {
        match hear(&service, &services, &mut token, &runs).await {
            Ok(true) => failures = 0,
            Ok(false) => tokio::time::sleep(LOOK_AGAIN).await,
            // The next run finds out as well, and stops the service; until its owner does something nobody asks again.
            Err(ClientError::Unauthorized) => {
                runs.tell(Note::Changed(service.id));
                return;
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(service = %service.name, %error, failures, "the service cannot be listened to");
                tokio::time::sleep(doubling(FIRST_PAUSE, failures, LONGEST_PAUSE)).await;
            }
        }
    }
}

/// One request; false when the service is no node.
async fn hear(service: &Service, services: &Services, token: &mut Option<String>, runs: &Runs) -> Result<bool, ClientError> {
    let client = match services.client(&service.name) {
        Ok(client) => client.at(&service.sync.folder)?,
        Err(error) => {
            // A run says it to the owner.
            tracing::debug!(service = %service.name, %error, "the service cannot be listened to");
            return Ok(false);
        }
    };
    if token.is_none() && !client.tells_changes().await? {
        return Ok(false);
    }
    let since = token.take();
    let asked = client.wait_for_change(since.as_deref(), WAIT).await;
    let told = match asked {
        Ok(told) => told,
        Err(error) => {
            *token = since;
            return Err(error);
        }
    };
    runs.tell(Note::Reachable(service.id));
    // What happened before we listened, or in a time that the node has forgotten, nobody tells: a run must look.
    if since.is_none() || told.as_ref().is_none_or(|told| told.changed) {
        runs.tell(Note::Changed(service.id));
    }
    *token = told.map(|told| told.token);
    Ok(true)
}
