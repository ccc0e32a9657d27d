//! Tells a program of the owner's when a sync has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::client::Hook;
use crate::operations::{Ended, Failure, Operations};
use crate::types::backoff::doubling;

/// A message that did not arrive is sent again after this, then after twice as long, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// ... so many times in all.
const TRIES: u32 = 6;

/// Of which syncs the owner wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HookOn {
    /// Of those that failed as a whole or with some files.
    Failure,
    /// Of those too that did anything.
    #[default]
    Change,
    /// Of all.
    End,
}

/// Where to tell it.
#[derive(Clone)]
pub struct HookSettings {
    /// An http or https address.
    pub url: String,
    /// What messages are signed with.
    pub secret: Option<String>,
    /// Of which syncs.
    pub on: HookOn,
}

/// Holds an address and a secret that may both be secret.
impl std::fmt::Debug for HookSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookSettings").field("on", &self.on).finish_non_exhaustive()
    }
}

/// The task; it ends when this is dropped.
pub(super) struct Webhook(JoinHandle<()>);

impl Webhook {
    pub(super) fn start(node: &Operations, settings: &HookSettings) -> Result<Self, Failure> {
        let hook = Hook::new(&settings.url, settings.secret.as_deref())
            .map_err(|error| Failure::usage(format!("the webhook cannot be used: {error}")))?;
        let (mut ended, on) = (node.listen_to_ends(), settings.on);
        Ok(Self(tokio::spawn(async move {
            loop {
                match ended.recv().await {
                    Ok(run) if is_wanted(on, &run) => deliver(&hook, &run).await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(count)) => tracing::warn!(count, "the webhook is too slow; syncs that ended were not told to it"),
                    Err(RecvError::Closed) => return,
                }
            }
        })))
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn is_wanted(on: HookOn, run: &Ended) -> bool {
    match on {
        HookOn::Failure => matches!(run.result, "failed" | "incomplete"),
        HookOn::Change => run.is_news(),
        HookOn::End => true,
    }
}

/// One message after the other, so that they come in order.
async fn deliver(hook: &Hook, run: &Arc<Ended>) {
    let body = match serde_json::to_vec(&**run) {
        Ok(body) => body,
        Err(error) => return tracing::error!(%error, "a message to the webhook could not be written"),
    };
    for tried in 1..=TRIES {
        match hook.send(body.clone()).await {
            Ok(()) => return,
            Err(reason) if tried == TRIES => tracing::error!(service = %run.service, %reason, "the webhook was not told that a sync ended"),
            Err(reason) => {
                tracing::warn!(service = %run.service, %reason, "the webhook did not take a message; it is sent again");
                tokio::time::sleep(doubling(FIRST_PAUSE, tried, LONGEST_PAUSE)).await;
            }
        }
    }
}
