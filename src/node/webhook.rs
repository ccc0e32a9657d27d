//! Tells a program of the owner's when a sync has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::client::{Hook, HookError};
use crate::operations::{Ended, Failure, Operations, blocking};
use crate::store::Store;
use crate::store::outbox::{self, Message};
use crate::types::backoff::doubling;

/// A message that did not arrive is sent again after this, then after twice as long, ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// ... until it is so many seconds old,
const KEPT: i64 = 3 * 24 * 3600;
/// ... or was refused so many times in all as something that the other side does not want.
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

/// The tasks; they end when this is dropped.
pub(super) struct Webhook {
    stop: watch::Sender<bool>,
    collects: JoinHandle<()>,
    sends: JoinHandle<()>,
}

impl Webhook {
    /// Tells of what ends from now on, after what could not be told before the node was stopped.
    pub(super) fn start(node: &Operations, settings: &HookSettings) -> Result<Self, Failure> {
        let hook = Hook::new(&settings.url, settings.secret.as_deref())
            .map_err(|error| Failure::usage(format!("the webhook cannot be used: {error}")))?;
        let (stop, stopped) = watch::channel(false);
        let (store, wake) = (node.store.clone(), Arc::<Notify>::default());
        let collects = tokio::spawn(collect(store.clone(), (node.listen_to_ends(), settings.on), Arc::clone(&wake), stopped));
        Ok(Self { stop, collects, sends: tokio::spawn(send_all(store, hook, wake, FIRST_PAUSE)) })
    }

    /// Ends it. What has not arrived is kept, and told after the next start.
    pub(super) async fn stop(mut self) {
        self.sends.abort();
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.collects).await {
            tracing::error!(%error, "the messages to the webhook were not all kept");
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.collects.abort();
        self.sends.abort();
    }
}

/// Writes down what is to be told, so that neither a restart nor a silent webhook loses it.
async fn collect(store: Store, (mut ended, on): (Receiver<Arc<Ended>>, HookOn), wake: Arc<Notify>, mut stopped: watch::Receiver<bool>) {
    loop {
        let next = tokio::select! {
            biased;
            next = ended.recv() => next,
            // Before this, everything that had ended was received.
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match next {
            Ok(run) if is_wanted(on, &run) => {
                keep(&store, &run).await;
                wake.notify_one();
            }
            Ok(_) => {}
            Err(RecvError::Lagged(count)) => tracing::warn!(count, "too many syncs ended at once; some are not told to the webhook"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn is_wanted(on: HookOn, run: &Ended) -> bool {
    match on {
        HookOn::Failure => matches!(run.result, "failed" | "incomplete"),
        HookOn::Change => run.is_news(),
        HookOn::End => true,
    }
}

async fn keep(store: &Store, run: &Ended) {
    let (store, at) = (store.clone(), store.clock().seconds());
    let kept = match serde_json::to_string(run) {
        Ok(body) => blocking(move || Ok(store.write(move |tx| outbox::add(tx, &Message { at, body }))?)).await,
        Err(error) => Err(Failure::unreachable(error.to_string())),
    };
    match kept {
        Ok(0) => {}
        Ok(dropped) => tracing::error!(dropped, "the webhook did not take messages for too long; the oldest are not told to it any more"),
        Err(error) => tracing::error!(%error, service = %run.service, "a message to the webhook could not be kept"),
    }
}

/// One message after the other, so that they come in order.
async fn send_all(store: Store, hook: Hook, wake: Arc<Notify>, first_pause: Duration) {
    let (mut failed, mut refused) = (0_u32, 0);
    loop {
        let reading = store.clone();
        let next = match blocking(move || Ok(outbox::first(&reading.read()?)?)).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the messages to the webhook cannot be read");
                return;
            }
        };
        let Some((number, message)) = next else {
            wake.notified().await;
            continue;
        };
        let old = store.clock().seconds().saturating_sub(message.at) > KEPT;
        let sent = if old { Ok(()) } else { hook.send(message.body.into()).await };
        match sent {
            Ok(()) if old => tracing::error!("a message to the webhook is too old; it is not told any more"),
            Ok(()) => {}
            Err(HookError::Refused(status)) if refused + 1 >= TRIES => {
                tracing::error!(%status, "the webhook does not want a message; it is not sent again");
            }
            Err(error) => {
                failed += 1;
                refused += u32::from(matches!(error, HookError::Refused(_)));
                tracing::warn!(%error, "the webhook did not take a message; it is sent again");
                tokio::time::sleep(doubling(first_pause, failed, LONGEST_PAUSE)).await;
                continue;
            }
        }
        (failed, refused) = (0, 0);
        let removing = store.clone();
        if let Err(error) = blocking(move || Ok(removing.write(move |tx| outbox::remove(tx, number))?)).await {
            tracing::error!(%error, "a message that the webhook took cannot be forgotten");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Answers each request by its body: `bad` is not wanted. Tells of every body.
    async fn listen(listener: tokio::net::TcpListener, told: tokio::sync::mpsc::UnboundedSender<String>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"}") {
                stream.read_buf(&mut text).await.unwrap();
            }
            let text = String::from_utf8(text).unwrap();
            let status = if text.contains("bad") { "413 Too Large" } else { "204 No Content" };
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            told.send(text.split_once("\r\n\r\n").unwrap().1.to_owned()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_message_that_is_not_wanted_does_not_stand_in_the_way_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        for body in [r#"{"bad":1}"#, r#"{"good":1}"#] {
            let message = Message { at: store.clock().seconds(), body: body.into() };
            store.write(move |tx| outbox::add(tx, &message)).unwrap();
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = Hook::new(&format!("http://{}/", listener.local_addr().unwrap()), None).unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(listen(listener, tell));
        let sender = tokio::spawn(send_all(store.clone(), hook, Arc::default(), Duration::from_millis(1)));
        let mut heard = Vec::new();
        while heard.last().is_none_or(|body: &String| !body.contains("good")) {
            heard.push(told.recv().await.unwrap());
        }
        assert_eq!(heard.len(), TRIES as usize + 1, "{heard:?}");
        sender.abort();
        server.abort();
    }
}
