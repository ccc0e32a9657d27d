//! How far what is being sent of the shares is, and how fast.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

use crate::events::{Event, Events};
use crate::sync::{Monitor, Pace, Progress};

use super::Operations;

/// Chosen files that are on their way to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sending {
    /// The service.
    pub service: String,
    /// Files that are over, for now.
    pub files: u64,
    /// Of so many.
    pub files_total: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// The file whose bytes were sent last, in the library; none before the first.
    pub path: Option<String>,
    /// How fast it goes. How long it takes is told by the files: how many bytes there will be nobody knows, because pictures are made smaller.
    #[serde(flatten)]
    pub pace: Pace,
}

/// How far it is, and with which file.
#[derive(Debug, Clone, Default)]
struct Going {
    monitor: Monitor,
    path: Option<String>,
}

/// What is being sent, by service.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<BTreeMap<String, Going>>);

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Going>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a service off the list when what was sent to it has come to its end, however.
struct Listed<'a>(&'a UnderWay, &'a str);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(self.1);
    }
}

impl Operations {
    /// What is being sent of the shares now, by service.
    pub fn sending(&self) -> Vec<Sending> {
        let all = self.sharing.under_way.lock().clone();
        let told = all.into_iter().map(|(service, Going { monitor, path })| {
            let Progress { files, files_total, bytes, .. } = monitor.progress();
            Sending { service, files, files_total, bytes, path, pace: monitor.pace() }
        });
        told.filter(|sending| sending.files_total > 0).collect()
    }
}

/// Does the work, and takes note of how far it is.
pub(super) async fn watched<R>(under_way: &UnderWay, events: &Events, service: &str, work: impl Future<Output = R>) -> R {
    let monitor = Monitor::default();
    under_way.lock().insert(service.to_owned(), Going { monitor: monitor.clone(), path: None });
    let _listed = Listed(under_way, service);
    let (mut heard, mut work) = (events.subscribe(), std::pin::pin!(work));
    loop {
        tokio::select! {
            result = &mut work => return result,
            event = heard.recv() => match event {
                Ok(Event::Sharing { service: of, files, files_total, bytes, path }) if of == service => {
                    monitor.advance(Progress { files, files_total, bytes, ..Progress::default() });
                    if let Some(going) = under_way.lock().get_mut(service) {
                        going.path = path;
                    }
                }
                // The next one makes up for a lost one.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return work.await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_is_told_until_it_is_over() {
        let (under_way, events) = (UnderWay::default(), Events::default());
        let told = || under_way.lock().get("attic").map(|going| (going.monitor.progress().files, going.path.clone()));
        let sharing = |service: &str, files| {
            let path = Some(format!("{service}.jpg"));
            Event::Sharing { service: service.into(), files, files_total: 9, bytes: 5, path }
        };
        let work = async {
            events.publish(sharing("attic", 3));
            events.publish(sharing("cellar", 7));
            while told() != Some((3, Some("attic.jpg".into()))) {
                tokio::task::yield_now().await;
            }
            "over"
        };
        assert_eq!(watched(&under_way, &events, "attic", work).await, "over");
        assert_eq!(told(), None);
    }
}
