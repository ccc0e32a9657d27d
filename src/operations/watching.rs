//! Connecting a service, and examining one, in the background: whoever looks on sees each step as it happens, and may stop it.
//!
//! Both are kept in memory, bounded: what nobody asks about any more is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use crate::client::{Client, Endpoint, Typed};
use crate::services::Service;
use crate::services::discovery::Tried;
use crate::services::doctor::{self, Check};
use crate::types::ServiceId;

use super::{Connected, Failure, NewService, Operations, Tested};

/// So long it is remembered what came of it.
const LIFE: Duration = Duration::from_secs(20 * 60);
/// So many may be remembered.
const LIMIT: usize = 64;

/// A service that is being connected, or what came of that.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// By which one asks.
    pub token: String,
    /// The addresses that were tried.
    pub tried: Vec<Tried>,
    /// How far it is.
    pub state: AttemptState,
}

/// How far an attempt to connect a service is.
#[derive(Debug, Clone)]
pub enum AttemptState {
    /// The service is being looked for.
    Searching,
    /// It was found and added; an examination of it has begun.
    Connected(Box<Connected>),
    /// It was not found, or cannot be used. The checks tell how far one comes on the way to the address; nothing was changed.
    Failed(Box<Failure>, Vec<Check>),
    /// Somebody stopped it; nothing was changed.
    Cancelled,
}

/// A service that is being examined, or what came of that.
#[derive(Debug, Clone)]
pub struct Examination {
    /// By which one asks.
    pub token: String,
    /// The service.
    pub name: String,
    /// The checks that were made, as they happen; when it is over all of them, in their order.
    pub checks: Vec<Check>,
    /// How far it is.
    pub state: ExaminationState,
}

/// How far an examination is.
#[derive(Debug, Clone)]
pub enum ExaminationState {
    /// It goes on.
    Examining,
    /// What was found, well or not.
    Over(Box<Tested>),
    /// It could not be made.
    Failed(Box<Failure>),
    /// Somebody stopped it.
    Cancelled,
}

impl Examination {
    /// The check that is being made, as far as anybody can tell.
    pub fn next(&self) -> Option<&'static str> {
        doctor::next_check(&self.checks)
    }
}

/// All that is remembered.
#[derive(Default)]
pub(super) struct Watching(Mutex<HashMap<String, Kept>>);

struct Kept {
    work: Work,
    begun: Instant,
    stop: watch::Sender<bool>,
}

enum Work {
    Attempt { state: AttemptState, tried: watch::Receiver<Vec<Tried>> },
    Examination { name: String, state: ExaminationState, checks: watch::Receiver<Vec<Check>> },
}

impl Watching {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| kept.begun.elapsed() < LIFE);
        all
    }

    /// Remembers a work. Returns the token, and what tells it to stop.
    fn keep(&self, work: Work) -> Result<(String, watch::Receiver<bool>), Failure> {
        let mut all = self.lock();
        if all.len() >= LIMIT {
            return Err(Failure::unreachable("too many services are being connected or examined at once; try again in some minutes"));
        }
        let (stop, stopped) = watch::channel(false);
        let token = Uuid::new_v4().simple().to_string();
        all.insert(token.clone(), Kept { work, begun: Instant::now(), stop });
        Ok((token, stopped))
    }

    fn change(&self, token: &str, change: impl FnOnce(&mut Work)) {
        if let Some(kept) = self.lock().get_mut(token) {
            change(&mut kept.work);
        }
    }

    fn end_attempt(&self, token: &str, ended: AttemptState) {
        self.change(token, |work| {
            if let Work::Attempt { state: state @ AttemptState::Searching, .. } = work {
                *state = ended;
            }
        });
    }

    fn end_examination(&self, token: &str, ended: ExaminationState) {
        self.change(token, |work| {
            if let Work::Examination { state: state @ ExaminationState::Examining, .. } = work {
                *state = ended;
            }
        });
    }
}

/// Returns when it is to stop; never, when nobody can say so any more.
async fn told(stopped: &mut watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn unknown() -> Failure {
    Failure::not_found("nothing is known of this any more; begin it again").about("token")
}

impl Operations {
    /// Begins to connect a service. What cannot be used is refused at once; everything else is told by [`attempt`](Self::attempt).
    pub fn begin_attempt(self: &Arc<Self>, new: NewService) -> Result<Attempt, Failure> {
        self.services.check_new_name(&new.name)?;
        Typed::parse(&new.url)?;
        let (watched, tried) = watch::channel(Vec::new());
        let (token, mut stopped) = self.watching.keep(Work::Attempt { state: AttemptState::Searching, tried })?;
        let (node, number) = (Arc::clone(self), token.clone());
        tokio::spawn(async move {
            let attempt = async {
                match node.find_and_add(new.clone(), Some(watched)).await {
                    Ok(connected) => AttemptState::Connected(Box::new(connected)),
                    Err(failure) => {
                        let checks = node.examine_way(&new, &failure, &number).await.unwrap_or_default();
                        AttemptState::Failed(Box::new(failure), checks)
                    }
                }
            };
            let ended = tokio::select! {
                ended = attempt => ended,
                () = told(&mut stopped) => AttemptState::Cancelled,
            };
            node.watching.end_attempt(&number, ended);
        });
        self.attempt(&token)
    }

    /// How far an attempt to connect a service is.
    pub fn attempt(&self, token: &str) -> Result<Attempt, Failure> {
        match self.watching.lock().get(token).map(|kept| &kept.work) {
            Some(Work::Attempt { state, tried }) => {
                Ok(Attempt { token: token.to_owned(), tried: tried.borrow().clone(), state: state.clone() })
            }
            _ => Err(unknown()),
        }
    }

    /// Begins to examine a service, as [`test_service`](Self::test_service) does.
    pub async fn begin_examination(self: &Arc<Self>, name: String, write: Option<bool>) -> Result<Examination, Failure> {
        self.service(name.clone()).await?;
        let (watched, checks) = watch::channel(Vec::new());
        let work = Work::Examination { name: name.clone(), state: ExaminationState::Examining, checks };
        let (token, mut stopped) = self.watching.keep(work)?;
        let (node, number) = (Arc::clone(self), token.clone());
        tokio::spawn(async move {
            // What was written for it is removed by the next sync when this is dropped.
            let ended = tokio::select! {
                ended = node.examine(name, write, Some(watched)) => match ended {
                    Ok(tested) => ExaminationState::Over(Box::new(tested)),
                    Err(failure) => ExaminationState::Failed(Box::new(failure)),
                },
                () = told(&mut stopped) => ExaminationState::Cancelled,
            };
            node.watching.end_examination(&number, ended);
        });
        self.examination(&token)
    }

    /// How far an examination is.
    pub fn examination(&self, token: &str) -> Result<Examination, Failure> {
        match self.watching.lock().get(token).map(|kept| &kept.work) {
            Some(Work::Examination { name, state, checks }) => {
                let checks = match state {
                    ExaminationState::Over(tested) => tested.checks.clone(),
                    _ => checks.borrow().clone(),
                };
                Ok(Examination { token: token.to_owned(), name: name.clone(), checks, state: state.clone() })
            }
            _ => Err(unknown()),
        }
    }

    /// Stops an attempt or an examination that nobody looks at any more. True when there was one that went on.
    pub fn stop_watching(&self, token: &str) -> bool {
        let mut all = self.watching.lock();
        let Some(kept) = all.get_mut(token) else { return false };
        kept.stop.send_replace(true);
        match &mut kept.work {
            Work::Attempt { state: state @ AttemptState::Searching, .. } => *state = AttemptState::Cancelled,
            Work::Examination { state: state @ ExaminationState::Examining, .. } => *state = ExaminationState::Cancelled,
            Work::Attempt { .. } | Work::Examination { .. } => return false,
        }
        true
    }

    /// How far one comes on the way to the address that was tried last. No password is sent: servers lock out whoever tries too often.
    async fn examine_way(&self, new: &NewService, failure: &Failure, token: &str) -> Option<Vec<Check>> {
        // Nothing was sent there, and nothing is to be.
        let word = failure.cause.as_ref().map(|cause| cause.word.as_str()).filter(|word| *word != "plain-http")?;
        let blamed = if matches!(word, "unauthorized" | "needs-login" | "forbidden") { "login" } else { "dav" };
        let last = self.attempt(token).ok().and_then(|attempt| attempt.tried.last().map(|tried| tried.url.clone()));
        let url = last.or_else(|| Typed::parse(&new.url).ok().map(|typed| typed.url().to_owned()))?;
        let endpoint =
            Endpoint { url, user: new.user.clone(), password: String::new(), fingerprint: new.fingerprint, allow_http: new.allow_http };
        let service = Service::new(ServiceId(0), &new.name, &endpoint);
        let client = Client::new(&endpoint).ok()?.with_waits(service.waits());
        let reason = failure.message.lines().next().unwrap_or_default().to_owned();
        Some(doctor::examine_way(&client, &service, (blamed, reason)).await)
    }
}
