//! What nodes and programs ask over HTTP besides WebDAV: `/api/v1/`, in JSON. A refusal is a problem document (RFC 9457).
//!
//! - `POST /api/v1/known` with `{"content": [...], "sha1": [...]}`, BLAKE3-256 and SHA-1 digests in hexadecimal, up to 10,000 together: which of
//!   them the library has. The answer has a text for each list, with `1` for a digest that is known and `0` for one that is not.
//! - `GET /api/v1/changes?since=TOKEN&wait=SECONDS&folder=PATH`: answers when something at or below the folder changed after the token, which is
//!   that of a sync-collection report, or when the time is over: `{"changed": true, "token": "..."}`. What has changed tells a report with the
//!   earlier token. Without a token it answers at once with the one of this moment.
//!
//! Everything is as the user sees it: below the folder that is their root, and only with the right to read.

mod changes;
mod known;
mod problem;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::accounts::Login;
use crate::library::Tree;
use crate::store::Store;

use self::changes::Waiting;
use self::problem::Problem;
use super::http::{Body, Incoming, NOT_THERE, text};

const PREFIX: &str = "/api/v1/";

/// Whether a path is one of these, whoever asks.
pub(super) fn covers(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers them.
pub(super) struct Api {
    originals: Tree,
    waiting: Waiting,
}

impl Api {
    pub(super) fn new(originals: Tree, store: &Store) -> Self {
        Self { originals, waiting: Waiting::new(store) }
    }

    /// Lets nobody wait any longer: the node stops.
    pub(super) fn stop(&self) {
        self.waiting.stop();
    }

    /// Answers a request of somebody who is logged in.
    pub(super) async fn answer(&self, request: Request<Incoming>, login: Login) -> Response<Body> {
        let answered = match (request.uri().path().strip_prefix(PREFIX), request.method()) {
            (Some("known"), &Method::POST) => known::answer(&self.originals, request, login).await,
            (Some("known"), _) => Err(Problem::not_allowed("POST")),
            (Some("changes"), &Method::GET) => changes::answer(&self.waiting, &self.originals, request.uri().query(), login).await,
            (Some("changes"), _) => Err(Problem::not_allowed("GET")),
            _ => Err(Problem::new(StatusCode::NOT_FOUND, "nothing-here", "There is nothing here.")),
        };
        answered.unwrap_or_else(Problem::answer)
    }
}

/// An answer in JSON, which nobody keeps.
fn json(status: StatusCode, kind: &'static str, document: &serde_json::Value) -> Response<Body> {
    let mut answer = text(status, document.to_string());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Whether somebody may ask at all.
fn check(originals: &Tree, login: &Login) -> Result<(), Problem> {
    if !login.originals.read {
        return Err(Problem::new(StatusCode::FORBIDDEN, "no-right", "You have no right to read the library."));
    }
    if !originals.is_there() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-library", NOT_THERE.trim_end()));
    }
    Ok(())
}

fn allow(answer: &mut Response<Body>, methods: &'static str) {
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
}
