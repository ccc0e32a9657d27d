//! Removing a service: what goes on with it is ended, and what it made for us is given back.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Endpoint};
use crate::scheduler::Trigger;
use crate::services::{Service, ServiceError};
use crate::store::shares::{self, FileState};
use crate::sync::Stop;
use crate::types::ServiceId;

use super::blocking::blocking;
use super::runs::{Note, Turn};
use super::shares::Quiet;
use super::{Failure, Operations};

/// How long the service has to take an app password back.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of the app password that a service had made when its owner logged in with a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GivenBack {
    /// It was taken back there: nobody can log in with it any more.
    Revoked,
    /// It is still good; a warning says why.
    Left,
}

/// A service that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RemovedService {
    /// Its name.
    pub removed: String,
    /// What became of its app password, when one had been made by a login with a browser.
    pub app_password: Option<GivenBack>,
    /// What its owner may not expect, in sentences.
    pub warnings: Vec<String>,
}

/// No sync and no share with a service goes on while this is held.
pub(super) struct Ended {
    _turn: Turn,
    _quiet: Quiet,
}

impl Operations {
    /// Ends the sync and the share with a service that go on, and lets none begin until the answer is dropped: none of them may write down
    /// anything about what the service was before.
    pub(super) async fn end_runs(&self, id: ServiceId) -> Ended {
        self.runs.stop(id, Stop::Cancelled);
        let (turn, quiet) = tokio::join!(self.runs.turn(id, Trigger::Manual), self.sharing.quiet(id));
        Ended { _turn: turn, _quiet: quiet }
    }

    /// Removes a service and what was agreed with it; photos stay where they are. A sync or share that goes on is ended first: transfers are
    /// broken off. An app password that the service had made for this node is taken back there, if that can be done.
    pub async fn remove_service(&self, name: String) -> Result<RemovedService, Failure> {
        let service = self.service(name.clone()).await?;
        let ended = self.end_runs(service.id).await;
        let services = self.services.clone();
        let (granted, mut warnings) = {
            let (store, of) = (self.store.clone(), service.clone());
            blocking(move || {
                let granted = match services.granted(&of.name) {
                    Err(ServiceError::Secret(error)) => Err(error.to_string()),
                    granted => Ok(granted?),
                };
                let warnings = stays(&store.read()?, &of)?;
                services.remove(&of.name)?;
                Ok((granted, warnings))
            })
            .await?
        };
        drop(ended);
        self.runs.tell(Note::Settings);
        let app_password = match granted {
            Ok(granted) => self.give_back(granted, &mut warnings).await,
            Err(reason) => {
                let advice = "if it was made by a login with a browser, take it back in the server's settings";
                warnings.push(format!("Its password could not be read ({reason}); {advice}"));
                None
            }
        };
        Ok(RemovedService { removed: name, app_password, warnings })
    }

    /// Has the service take app passwords back that it made for this node.
    async fn give_back(&self, granted: Vec<(Endpoint, bool)>, warnings: &mut Vec<String>) -> Option<GivenBack> {
        let mut outcome = None;
        for (endpoint, only_ours) in granted {
            let url = endpoint.url.clone();
            let reason = match only_ours {
                false => "it was exported, and another node may use it".to_owned(),
                true => match tokio::time::timeout(PATIENCE, revoke(&endpoint)).await {
                    Ok(Ok(())) => {
                        outcome.get_or_insert(GivenBack::Revoked);
                        continue;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it does not answer".to_owned(),
                },
            };
            tracing::warn!(%url, %reason, "an app password was not taken back");
            warnings.push(format!(
                "The app password that {url} had made for this node is still good ({reason}); take it back in the settings there"
            ));
            outcome = Some(GivenBack::Left);
        }
        outcome
    }
}

async fn revoke(endpoint: &Endpoint) -> Result<(), ClientError> {
    Client::new(endpoint)?.revoke_app_password().await
}

/// What will not be done any more because a service is removed.
fn stays(tx: &redb::ReadTransaction, service: &Service) -> Result<Vec<String>, Failure> {
    let (mut waiting, mut expiring) = (0_u64, 0_u64);
    for (number, _) in shares::all(tx)?.into_iter().filter(|(_, share)| share.service == service.id) {
        for item in shares::files(tx, number)? {
            match item?.1.state {
                FileState::Waiting { .. } => waiting += 1,
                FileState::Sent(sent) if sent.expires.is_some() => expiring += 1,
                _ => {}
            }
        }
    }
    let mut told = Vec::new();
    if waiting > 0 {
        told.push(format!("{waiting} shared files that waited to be sent are not sent"));
    }
    if expiring > 0 {
        told.push(format!("{expiring} shared files were to be removed from it some day, and stay there now"));
    }
    Ok(told)
}
