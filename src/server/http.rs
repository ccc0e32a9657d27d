//! Connections, routes, logins.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::accounts::{AccountError, Checked, Login, Logins};
use crate::client::Fingerprint;
use crate::store::{Store, StoreError};

use super::api::{self, Api};
use super::tls::{self, TlsError, TlsFiles};
use super::webdav::{Roots, Rules, WebDav};

/// A client must send its headers within this time.
const HEADERS: Duration = Duration::from_secs(30);
/// How long requests that are under way may take when the node stops.
const GRACE: Duration = Duration::from_secs(30);

/// How many bytes of a refused body are read, so that the client hears the refusal.
const DISCARD: usize = 16 << 20;

/// Why WebDAV is off in public mode.
const PUBLIC: &str = "This node runs in public mode, without a login: WebDAV is off, because everybody could change the library.\n";

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
    api: Arc<Api>,
    public: bool,
}

impl App {
    /// Serves these roots to these people; Locks are kept in the store.
    pub fn open(logins: Logins, roots: Roots, store: Store, rules: Rules) -> Result<Self, StoreError> {
        let api = Arc::new(Api::new(roots.originals.clone(), &store));
        Ok(Self { logins, public: rules.public, webdav: Arc::new(WebDav::open(roots, store, rules)?), api })
    }

    async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
        match self.admit(&request, from).await {
            Ok(login) if api::covers(request.uri().path()) => self.api.answer(request, login).await,
            Ok(login) => self.webdav.handle(request, login).await,
            Err(refusal) => {
                // A client that is still sending would see a broken stream instead of the answer.
                discard(request.into_body()).await;
                refusal
            }
        }
    }

    /// Where a request goes and who asks; or the answer that it gets without that.
    async fn admit(&self, request: &Request<Incoming>, from: IpAddr) -> Result<Login, Response<Body>> {
        let path = request.uri().path();
        match path {
            "/livez" | "/readyz" => return Err(text(StatusCode::OK, "ok\n")),
            "/" | "*" if request.method() == Method::OPTIONS => return Err(super::webdav::of_server()),
            "/" if request.method().as_str() != "PROPFIND" => return Err(front_page(request.method())),
            _ => {}
        }
        if !self.webdav.covers(path) && !api::covers(path) {
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

    /// None when there are no credentials.
    async fn login(&self, request: &Request<Incoming>, from: IpAddr) -> Result<Option<Checked>, AccountError> {
        match request.headers().get(AUTHORIZATION).and_then(credentials) {
            Some((user, password)) => self.logins.check(&user, &password, from).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the rest of a body that nobody wants, as far as that is not too much.
async fn discard(mut body: Incoming) {
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
fn credentials(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn front_page(method: &Method) -> Response<Body> {
    if method == Method::GET || method == Method::HEAD {
        return text(StatusCode::OK, "This is a Twinlens node. Connect WebDAV clients to /originals/, /import/ or /webdav/.\n");
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "WebDAV is at /originals/, /import/ and /webdav/.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, GET, HEAD, PROPFIND"));
    response
}

/// A server at work. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        let scheme = if self.fingerprint.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Of its certificate, when it serves TLS.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
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

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener.
    #[error("the server cannot start: {0}")]
    Listener(#[from] io::Error),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Serves on a listener until it is stopped; with TLS when files for it are given.
pub fn start(listener: TcpListener, app: App, tls: Option<&TlsFiles>) -> Result<Running, StartError> {
    let address = listener.local_addr()?;
    let tls = tls.map(tls::open).transpose()?;
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint);
    let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(listener, app, acceptor, stopped));
    Ok(Running { address, fingerprint, stop, task })
}

async fn accept(listener: TcpListener, app: App, acceptor: Option<TlsAcceptor>, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: pausing gives others time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without it small answers wait for acknowledgements; failing to set it costs only speed.
        let _ = stream.set_nodelay(true);
        let (app, acceptor, watcher) = (app.clone(), acceptor.clone(), graceful.watcher());
        tokio::spawn(async move {
            match acceptor {
                None => serve(stream, app, from.ip(), watcher).await,
                Some(acceptor) => match tokio::time::timeout(HEADERS, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, app, from.ip(), watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
        });
    }
    drop(listener);
    app.api.stop();
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were broken off");
    }
}

/// One connection, HTTP/1.1 or HTTP/2.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: App, from: IpAddr, watcher: Watcher) {
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.answer(request, from).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended");
    }
}
