//! What happens, as it happens: server-sent events. Who comes back with the id of the last event that was heard is told what happened meanwhile.

use std::time::Duration;

use axum::extract::State;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use crate::accounts::{Role, Users};
use crate::events::{Event, Following, Place, Placed};

use super::asked::Query;
use super::caller::{Keeper, Reader, Via};
use super::problem::Problem;
use super::{Shared, blocking, changes};

/// Something is said at least so often: a proxy takes a silent line for a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many listeners there may be.
const LISTENERS: &str = "events:";

/// Which events are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of one service only.
    service: Option<String>,
    /// The id of the last event that was heard, where the header Last-Event-ID cannot be sent.
    after: Option<String>,
}

/// Whoever listens, and as what.
struct Standing {
    users: Users,
    via: Via,
    /// The state of the users when it was last found out that they may.
    generation: u64,
}

impl Standing {
    /// Whether they still may. Who came with a password is to come again when anything about users has changed: it is not kept here.
    async fn holds(&mut self) -> bool {
        let now = self.users.generation();
        if now == self.generation || self.via == Via::Owner {
            return true;
        }
        let Via::Session { id, .. } = &self.via else { return false };
        let (users, id) = (self.users.clone(), id.clone());
        let session = blocking(move || Ok(users.session(&id)?)).await;
        self.generation = now;
        matches!(session, Ok(Some(session)) if session.login.role == Role::Admin)
    }
}

/// Live events, as a stream of `text/event-stream`. Each has an id, a name and its document as data. `ready` comes first, with the id to begin
/// from; `missed` says that something happened that is not known any more, so that it is time to look at everything again. It ends when whoever
/// listens may no longer.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(Which, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was heard.")),
    responses((status = 200, description = "Events without end, until the node stops.", body = Event, content_type = "text/event-stream"))
)]
pub(super) async fn follow(
    _: Keeper,
    Reader(caller): Reader,
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(which): Query<Which>,
) -> Result<Response<axum::body::Body>, Problem> {
    let users = shared.logins.users().clone();
    let standing = Standing { generation: users.generation(), users, via: caller.via };
    let place = shared.waiting.enter(LISTENERS)?;
    let stopped = shared.waiting.stopped();
    let heard = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().to_owned()).or(which.after);
    // An id that was never told is as good as one of long ago.
    let events = shared.operations.events();
    let following = match heard.as_deref().map(str::parse::<Place>) {
        Some(Ok(heard)) => events.follow(Some(heard)),
        Some(Err(())) => Following { missed: true, ..events.follow(None) },
        None => events.follow(None),
    };
    let about = which.service;
    let is_meant = move |event: &Event| about.is_none() || event.service() == about.as_deref();
    let mut begin = format!("retry: 2000\nevent: ready\nid: {}\ndata: {{}}\n\n", following.from);
    if following.missed {
        begin.push_str(&missed());
    }
    following.earlier.iter().filter(|(_, event)| is_meant(event)).for_each(|event| begin.push_str(&frame(event)));
    let state = (Some(begin), following.later, stopped, standing, place);
    let frames = stream::unfold(state, move |(begin, mut later, mut stopped, mut standing, place)| {
        let is_meant = is_meant.clone();
        async move {
            if let Some(begin) = begin {
                return Some((begin, (None, later, stopped, standing, place)));
            }
            loop {
                let text = tokio::select! {
                    event = later.recv() => match event {
                        Ok(event) if is_meant(&event.1) => frame(&event),
                        Ok(_) => continue,
                        Err(RecvError::Lagged(_)) => missed(),
                        Err(RecvError::Closed) => return None,
                    },
                    () = tokio::time::sleep(HEARTBEAT) => ":\n\n".to_owned(),
                    () = changes::end_of(&mut stopped) => return None,
                };
                if !standing.holds().await {
                    return None;
                }
                return Some((text, (None, later, stopped, standing, place)));
            }
        }
    });
    let frames = futures_util::StreamExt::map(frames, |text: String| Ok::<_, std::convert::Infallible>(Bytes::from(text)));
    let mut answer = Response::new(axum::body::Body::from_stream(frames));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep events until it has a page full of them.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

fn missed() -> String {
    "event: missed\ndata: {}\n\n".to_owned()
}

fn frame((place, event): &Placed) -> String {
    // A document of ours has no line ends in it, and can always be written.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {place}\nevent: {}\ndata: {data}\n\n", event.word())
}
