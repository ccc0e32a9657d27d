//! The API: `/api/v1/`, in JSON, for programs, for the pages, and at the control socket for the command line.
//!
//! One file a resource. Nothing is decided here: what is asked is read, who asks is checked, and [`Operations`] do it. Every refusal is a problem
//! document (RFC 9457) with a code that stays the same. The OpenAPI document at `/api/v1/openapi.json` is made from the very routes.
//!
//! `known` and `changes` are what nodes ask one another; older nodes know them as they are.

mod asked;
mod backup;
mod badges;
mod caller;
mod calls;
mod changes;
mod conflicts;
mod events;
mod files;
mod folders;
mod grid;
mod index;
mod known;
mod library;
mod logins;
mod metrics;
mod once;
mod openapi;
mod page;
mod portable;
mod previews;
mod problem;
mod runs;
mod services;
mod session;
mod settings;
mod shares;
mod status;
mod syncs;
mod thumbnail;
mod tombstones;
mod trash;
mod uploads;
mod users;
mod zip;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;
use tokio::sync::oneshot;
use tower::ServiceExt as _;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::accounts::{Login, Logins};
use crate::library::{Tree, Uploads};
use crate::operations::{Failure, Operations};
use crate::store::Store;

use self::changes::Waiting;
use super::http::{AskedBy, Body, Incoming, NOT_THERE, discard};
use super::webdav::{Roots, WebDav};

pub(super) use self::asked::whole as whole_body;
pub(super) use self::caller::{Caller, From, Via, cookie, find as find_caller};
pub use self::calls::Call;
pub(super) use self::library::{Entry, about, may, path_of};
pub(super) use self::problem::{FieldError, Problem};
pub(super) use self::session::{begin_session, end_session};
pub(super) use self::users::change_password;

const PREFIX: &str = "/api/v1";

/// Whether a path is one of these, whoever asks.
pub(super) fn covers(path: &str) -> bool {
    path == metrics::PATH || path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The form of the API for a refusal that its front gave in words, before the API was asked.
pub(super) async fn in_form(path: &str, answer: Response<Body>) -> Response<Body> {
    let is_text = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !covers(path) || !is_text || !(answer.status().is_client_error() || answer.status().is_server_error()) {
        return answer;
    }
    let code = match answer.status() {
        StatusCode::REQUEST_TIMEOUT => "too-slow",
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::URI_TOO_LONG => "url-too-long",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        _ => "bad-request",
    };
    let (parts, body) = answer.into_parts();
    let text = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    let mut answer = outgoing(Problem::new(parts.status, code, text).into_response());
    for (name, value) in parts.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "content-type" | "content-length")) {
        answer.headers_mut().insert(name.clone(), value.clone());
    }
    answer
}

/// What the answers are made from. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

pub(super) struct Inner {
    pub(super) operations: Arc<Operations>,
    pub(super) logins: Logins,
    originals: Tree,
    waiting: Waiting,
    webdav: Arc<WebDav>,
    store: Store,
    uploads: Uploads,
    /// What became of uploads in pieces that have ended.
    published: uploads::Published,
    /// What is to be downloaded as one file.
    zips: zip::Zips,
    /// Uploads with a key that are being received.
    running: once::Running,
    /// The name of the cookie: another one for every library, because browsers send cookies to all ports of a host.
    cookie: String,
}

impl Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Answers requests.
pub(super) struct Api {
    router: Router,
    shared: Shared,
}

impl Shared {
    pub(super) fn new(
        operations: Arc<Operations>,
        logins: Logins,
        roots: &Roots,
        store: Store,
        (webdav, uploads): (Arc<WebDav>, Uploads),
    ) -> Self {
        let library = roots.library_id.0.simple().to_string();
        let cookie = format!("twinlens_{}", library.get(..8).unwrap_or_default());
        let (originals, waiting) = (roots.originals.clone(), Waiting::new(&store));
        Self(Arc::new(Inner {
            operations,
            logins,
            originals,
            waiting,
            webdav,
            store,
            uploads,
            published: uploads::Published::default(),
            zips: zip::Zips::default(),
            running: once::Running::default(),
            cookie,
        }))
    }
}

impl Api {
    pub(super) fn new(shared: Shared) -> Self {
        let (router, document) = all_routes().split_for_parts();
        let router = router
            .fallback(async || Problem::nothing_here())
            .method_not_allowed_fallback(async |method: http::Method| Problem::wrong_method(&method))
            .layer(axum::Extension(Arc::new(openapi::finished(document))))
            .with_state(shared.clone());
        Self { router, shared }
    }

    /// Lets nobody wait any longer: the node stops.
    pub(super) fn stop(&self) {
        self.shared.waiting.stop();
    }

    /// Answers a request from the network.
    pub(super) async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
        let (parts, body) = request.into_parts();
        match caller::find(&self.shared, &parts, from).await {
            Ok(caller) => self.dispatch(Request::from_parts(parts, body), from, caller).await,
            Err(problem) => {
                // A client that is still sending would see a broken stream instead of the answer.
                discard(body).await;
                outgoing(problem.into_response())
            }
        }
    }

    /// Answers the owner of the state, at the control socket.
    pub(super) async fn answer_owner(&self, request: Request<Incoming>) -> Response<Body> {
        self.dispatch(request, IpAddr::V4(Ipv4Addr::LOCALHOST), Some(Caller::owner())).await
    }

    async fn dispatch(&self, request: Request<Incoming>, from: IpAddr, caller: Option<Caller>) -> Response<Body> {
        dispatch(&self.router, request, from, caller).await
    }
}

/// Has a router answer. The handlers find who asks, and from where, in the extensions.
pub(super) async fn dispatch(router: &Router, request: Request<Incoming>, from: IpAddr, caller: Option<Caller>) -> Response<Body> {
    let (give_back, given_back) = oneshot::channel();
    let mut request = request.map(|body| axum::body::Body::new(Lent { body: Some(body), give_back: Some(give_back) }));
    request.extensions_mut().insert(caller::From(from));
    let asked_by = caller.as_ref().and_then(Caller::name).map(|name| AskedBy(name.to_owned()));
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let Ok(answer) = router.clone().oneshot(request).await;
    let mut answer = outgoing(answer);
    if let Some(asked_by) = asked_by {
        answer.extensions_mut().insert(asked_by);
    }
    if !answer.status().is_success()
        && let Ok(body) = given_back.await
    {
        discard(body).await;
    }
    answer
}

fn as_axum(answer: Response<Body>) -> Response<axum::body::Body> {
    answer.map(axum::body::Body::new)
}

fn outgoing(answer: Response<axum::body::Body>) -> Response<Body> {
    answer.map(|body| body.map_err(std::io::Error::other).boxed_unsync())
}

/// A request's body as handlers see it. What they leave of it comes back.
struct Lent {
    body: Option<Incoming>,
    give_back: Option<oneshot::Sender<Incoming>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            // An error means that the answer did not wait for it.
            let _ = give_back.send(body);
        }
    }
}

impl hyper::body::Body for Lent {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<std::io::Result<hyper::body::Frame<bytes::Bytes>>>> {
        match &mut self.body {
            Some(body) => std::pin::Pin::new(body).poll_frame(cx),
            None => std::task::Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

/// Every route. A new resource adds its line here; what is not added through `routes!` is in no document and is refused by a test.
fn all_routes() -> OpenApiRouter<Shared> {
    let routes = OpenApiRouter::with_openapi(openapi::begun())
        .routes(routes!(openapi::show))
        .routes(routes!(session::show, session::begin, session::end))
        .routes(routes!(users::list, users::add))
        .routes(routes!(users::show, users::edit, users::remove))
        .routes(routes!(users::set_password))
        .routes(routes!(users::app_passwords, users::add_app_password))
        .routes(routes!(users::revoke_app_password))
        .routes(routes!(services::list, services::add))
        .routes(routes!(services::show, services::edit, services::remove))
        .routes(routes!(services::test))
        .routes(routes!(services::change_upload))
        .routes(routes!(shares::list, shares::start))
        .routes(routes!(shares::show))
        .routes(routes!(shares::retry))
        .routes(routes!(shares::cancel))
        .routes(routes!(services::undo))
        .routes(routes!(services::folders, services::make_folder))
        .routes(routes!(services::change_sync))
        .routes(routes!(logins::begin))
        .routes(routes!(logins::wait))
        .routes(routes!(logins::poll))
        .routes(routes!(logins::cancel))
        .routes(routes!(portable::export))
        .routes(routes!(portable::import))
        .routes(routes!(portable::reseal))
        .routes(routes!(syncs::start))
        .routes(routes!(syncs::pause))
        .routes(routes!(syncs::resume))
        .routes(routes!(syncs::cancel))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::failures))
        .routes(routes!(runs::retry_failed))
        .routes(routes!(runs::skipped))
        .routes(routes!(previews::begin_preview, previews::show_preview, previews::cancel_preview))
        .routes(routes!(status::transfers))
        .routes(routes!(status::show))
        .routes(routes!(settings::settings, settings::change_settings))
        .routes(routes!(events::follow))
        .routes(routes!(library::list))
        .routes(routes!(badges::list_badges))
        // Megabytes for large folders, and nothing secret beside what whoever asks may choose (BREACH).
        .routes(routes!(grid::whole_folder).layer(CompressionLayer::new().quality(CompressionLevel::Fastest)))
        .routes(routes!(thumbnail::show))
        .routes(routes!(files::fetch, files::store))
        .routes(routes!(folders::make_folder))
        .routes(routes!(trash::discard))
        .routes(routes!(zip::choose))
        .routes(routes!(zip::download))
        .routes(routes!(uploads::list, uploads::begin_upload))
        .routes(routes!(uploads::show, uploads::append, uploads::publish, uploads::give_up))
        .routes(routes!(index::show, index::scan))
        .routes(routes!(index::verify))
        .routes(routes!(index::accept))
        .routes(routes!(trash::list))
        .routes(routes!(trash::restore))
        .routes(routes!(trash::empty))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::resolve))
        .routes(routes!(conflicts::fetch_remote))
        .routes(routes!(tombstones::list))
        .routes(routes!(tombstones::forget))
        .routes(routes!(backup::begin))
        .routes(routes!(known::ask))
        .routes(routes!(changes::wait));
    OpenApiRouter::new().nest(PREFIX, routes).routes(routes!(metrics::show))
}

/// An answer that went well: its status and its document.
struct Told<T>(StatusCode, T);

/// An answer with status 200.
fn told<T>(document: T) -> Result<Told<T>, Problem> {
    Ok(Told(StatusCode::OK, document))
}

impl<T: Serialize> IntoResponse for Told<T> {
    fn into_response(self) -> Response<axum::body::Body> {
        json(self.0, "application/json", &self.1)
    }
}

/// An answer in JSON, which nobody keeps.
fn json(status: StatusCode, kind: &'static str, document: &impl Serialize) -> Response<axum::body::Body> {
    let (status, text) = match serde_json::to_string(document) {
        Ok(text) => (status, text),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut answer = Response::new(axum::body::Body::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Runs work where it may block.
async fn blocking<R, F>(work: F) -> Result<R, Problem>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, Problem> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::unreachable(format!("a part of the program ended unexpectedly: {error}")))?
}

/// Whether somebody may ask about the library at all.
fn check(originals: &Tree, login: &Login) -> Result<(), Problem> {
    if !login.originals.read {
        return Err(Problem::forbidden("You have no right to read the library."));
    }
    if !originals.is_there() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-library", NOT_THERE.trim_end()));
    }
    Ok(())
}
