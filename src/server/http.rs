//! Connections, routes, logins.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::accounts::{Login, Logins, Role};
use crate::store::{Store, StoreError};

use super::webdav::{Roots, WebDav};

/// A client must send its headers within this time.
const HEADERS: Duration = Duration::from_secs(30);
/// How long requests that are under way may take when the node stops.
const GRACE: Duration = Duration::from_secs(30);

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

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
}

impl App {
    /// Serves these roots to these people; `read_only` refuses every change. Locks are kept in the store.
    pub fn open(logins: Logins, roots: Roots, store: Store, read_only: bool) -> Result<Self, StoreError> {
        Ok(Self { logins, webdav: Arc::new(WebDav::open(roots, store, read_only)?) })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        match path {
            "/livez" | "/readyz" => return text(StatusCode::OK, "ok\n"),
            "/" => return front_page(request.method()),
            _ => {}
        }
        let Some(mount) = self.webdav.mount_of(path) else {
            return text(StatusCode::NOT_FOUND, "There is nothing here. WebDAV is at /originals/, /import/ and /webdav/.\n");
        };
        match self.login(&request).await {
            Ok(Some(login)) if login.role == Role::Viewer && !is_reading(request.method()) => {
                text(StatusCode::FORBIDDEN, "This user may look at the library, but not change it.\n")
            }
            Ok(Some(login)) => self.webdav.handle(mount, request, login).await,
            Ok(None) => {
                let mut response = text(StatusCode::UNAUTHORIZED, "Please log in.\n");
                let challenge = HeaderValue::from_static("Basic realm=\"Twinlens\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Err(error) => {
                tracing::error!(%error, "a login could not be checked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "The login could not be checked; the log says why.\n")
            }
        }
    }

    async fn login(&self, request: &Request<Incoming>) -> Result<Option<Login>, crate::accounts::AccountError> {
        match request.headers().get(AUTHORIZATION).and_then(credentials) {
            Some((user, password)) => self.logins.check(&user, &password).await,
            None => Ok(None),
        }
    }
}

/// User and password of a Basic Authorization header (RFC 7617).
fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn is_reading(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT")
}

fn front_page(method: &Method) -> Response<Body> {
    if method == Method::GET || method == Method::HEAD {
        return text(StatusCode::OK, "This is a Twinlens node. Connect WebDAV clients to /originals/, /import/ or /webdav/.\n");
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "WebDAV is at /originals/, /import/ and /webdav/.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A server at work. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets requests under way end, and returns when all is quiet.
    pub async fn stop(self) {
        // An error means that the task has ended already.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server ended unexpectedly");
        }
    }
}

/// Serves on a listener until it is stopped.
pub fn start(listener: TcpListener, app: App) -> io::Result<Running> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(listener, app, stopped));
    Ok(Running { address, stop, task })
}

async fn accept(listener: TcpListener, app: App, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: pausing gives others time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without it small answers wait for acknowledgements; failing to set it costs only speed.
        let _ = stream.set_nodelay(true);
        let app = app.clone();
        let service = service_fn(move |request| {
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.answer(request).await) }
        });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADERS).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were broken off");
    }
}
