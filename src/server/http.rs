//! Connections, routes, logins.

mod connection;
mod forwarded;
mod fragment;
mod incoming;
mod limits;
mod listen;
mod mount;
mod outgoing;
mod outside;
mod owner;
mod pulse;
mod wire;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

use crate::accounts::{AccountError, Checked, Login, Logins};
use crate::library::Uploads;
use crate::operations::Operations;
use crate::store::{Store, StoreError};

use super::api::{self, Api};
use super::cloud::{Base, Cloud, Route};
use super::web::{self, Web};
use super::webdav::{Roots, Rules, WebDav};

pub(super) use self::incoming::Incoming;
pub use self::limits::Limits;
pub use self::listen::{Front, Running, StartError, listen, start};
pub use self::mount::Mounted;
pub(super) use self::outgoing::AskedBy;
pub(super) use self::outside::Peer;
pub use self::outside::{ExternalUrl, Network, Outside, Prefix};

/// How many bytes of a refused body are read, so that the client hears the refusal.
const DISCARD: usize = 16 << 20;

/// Why WebDAV is off in public mode.
const PUBLIC: &str = "This node runs in public mode, without a login: WebDAV is off, because everybody could change the library.\n";

/// Why is in the log: the answer is for everybody.
const NOT_READY: &str = "The node runs, but its library or its state cannot be used; the log says why.\n";

/// Why a library cannot be served.
pub(super) const NOT_THERE: &str = "The library is not there; its disk is probably not mounted.\n";

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer of plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let body = Full::new(Bytes::from(text.into())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What is served. Cheap to clone.
#[derive(Clone)]
pub struct App {
    logins: Logins,
    webdav: Arc<WebDav>,
    api: Arc<Api>,
    web: Arc<Web>,
    cloud: Arc<Cloud>,
    operations: Arc<Operations>,
    public: bool,
}

impl App {
    /// Serves these roots to these people; Locks are kept in the store.
    pub fn open(operations: Arc<Operations>, logins: Logins, roots: Roots, store: Store, rules: Rules) -> Result<Self, StoreError> {
        let webdav = Arc::new(WebDav::open(roots.clone(), store.clone(), rules)?);
        let uploads = Uploads::open(webdav.originals().clone());
        let carried = (Arc::clone(&webdav), uploads.clone());
        let shared = api::Shared::new(Arc::clone(&operations), logins.clone(), &roots, store, carried);
        let (api, web) = (Arc::new(Api::new(shared.clone())), Arc::new(Web::new(shared)));
        let cloud = Arc::new(Cloud::open(Arc::clone(&webdav), logins.clone(), uploads));
        Ok(Self { logins, webdav, api, web, cloud, operations, public: rules.public })
    }

    async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
        if api::covers(request.uri().path()) {
            return self.api.answer(request, from).await;
        }
        if web::covers(request.method(), request.uri().path()) {
            return self.web.answer(request, from).await;
        }
        let route = Route::of(request.uri().path());
        if route.is_some() && self.public {
            discard(request.into_body()).await;
            return text(StatusCode::FORBIDDEN, PUBLIC);
        }
        let base = Base::of(&request);
        if let Some(route) = route.clone().filter(|route| route.is_public(request.headers())) {
            return self.cloud.answer_anybody(route, request, from, base).await;
        }
        match (self.admit(&request, from, route.is_some()).await, route) {
            (Ok(login), Some(route)) => self.cloud.answer(route, request, login, base).await,
            (Ok(login), None) => self.webdav.handle(request, login).await,
            (Err(refusal), _) => {
                // A client that is still sending would see a broken stream instead of the answer.
                discard(request.into_body()).await;
                refusal
            }
        }
    }

    /// Where a request goes and who asks; or the answer that it gets without that.
    async fn admit(&self, request: &Request<Incoming>, from: IpAddr, known: bool) -> Result<Login, Response<Body>> {
        let path = request.uri().path();
        match path {
            "/livez" => return Err(text(StatusCode::OK, "ok\n")),
            "/readyz" => return Err(self.readiness().await),
            "/" | "*" if request.method() == Method::OPTIONS => return Err(super::webdav::of_server()),
            "/" if request.method().as_str() != "PROPFIND" => return Err(not_the_front()),
            _ => {}
        }
        if !known && !self.webdav.covers(path) {
            return Err(text(StatusCode::NOT_FOUND, "There is nothing here. WebDAV is at /originals/, /import/ and /webdav/.\n"));
        }
        if self.public {
            return Err(text(StatusCode::FORBIDDEN, PUBLIC));
        }
        match self.login(request, from).await {
            Ok(Some(Checked::Welcome(login))) => Ok(login),
            Ok(Some(Checked::TooOften(pause))) => {
                let mut response = text(StatusCode::TOO_MANY_REQUESTS, "Wrong too often; please wait, and check user and password.\n");
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(pause.as_secs().max(1)));
                Err(response)
            }
            Ok(None | Some(Checked::Wrong)) => {
                let mut response = text(StatusCode::UNAUTHORIZED, "Please log in.\n");
                let challenge = HeaderValue::from_static("Basic realm=\"Twinlens\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                Err(response)
            }
            Err(error) => {
                tracing::error!(%error, "a login could not be checked");
                Err(text(StatusCode::INTERNAL_SERVER_ERROR, "The login could not be checked; the log says why.\n"))
            }
        }
    }

    /// Whether the node can do its work, for whoever sends it some.
    async fn readiness(&self) -> Response<Body> {
        match self.operations.ready().await {
            Ok(()) => text(StatusCode::OK, "ok\n"),
            Err(failure) => {
                tracing::warn!(%failure, "the node is not ready");
                text(StatusCode::SERVICE_UNAVAILABLE, NOT_READY)
            }
        }
    }

    /// None when there are no credentials.
    async fn login(&self, request: &Request<Incoming>, from: IpAddr) -> Result<Option<Checked>, AccountError> {
        match request.headers().get(AUTHORIZATION).and_then(credentials) {
            Some((user, password)) => self.logins.check(&user, &password, from).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the rest of a body that nobody wants, as far as that is not too much.
pub(super) async fn discard(mut body: Incoming) {
    if !body.waits() {
        drain(&mut body).await;
    }
}

/// The same of one whose client does not wait to be asked for it.
pub(super) async fn drain<B: hyper::body::Body<Data = Bytes> + Unpin>(body: &mut B) {
    let mut left = DISCARD;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        if size > left {
            return;
        }
        left -= size;
    }
}

/// User and password of a Basic Authorization header (RFC 7617).
pub(super) fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// The front page answers only to GET and HEAD.
fn not_the_front() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "WebDAV is at /originals/, /import/ and /webdav/.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND"));
    response
}
