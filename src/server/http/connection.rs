//! One connection: TLS if it is served, HTTP/1.1 or HTTP/2, and every request held to the limits on its way to the [`App`].

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::forwarded::is_forwarded;
use super::fragment::Watched;
use super::incoming::Incoming;
use super::limits::{Limits, Place};
use super::outgoing::{Line, Outgoing};
use super::outside::{Outside, Peer};
use super::pulse::{Ended, Pulse, Turn, drive};
use super::wire::{Begun, Wire};
use super::{App, Body, discard, text};
use crate::server::api;

/// How long a request waits for others to end before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a refused client is told to wait, in seconds.
const LATER: u32 = 5;
/// How long an HTTP/2 client may take to answer a ping; one is sent when nothing was heard for a body timeout.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const PLAIN_ON_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 57\r\n\r\n\
    This port speaks HTTPS: begin the address with https://.\n";

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) app: App,
    pub(super) limits: Limits,
    pub(super) outside: Outside,
    pub(super) requests: Arc<Semaphore>,
    pub(super) tls: Option<TlsAcceptor>,
    /// The owner has heard of a proxy that is not trusted.
    pub(super) hinted: AtomicBool,
}

/// A connection and where it comes from.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) from: IpAddr,
    pub(super) place: Place,
}

impl Connection {
    /// Serves until the connection ends, or until the server is stopped and the requests under way have ended.
    pub(super) async fn serve(self, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let pulse = Arc::new(Pulse::default());
        let shared = Arc::clone(&self.shared);
        let wire = Wire::new(stream, Arc::clone(&pulse));
        let until = stopped.clone();
        let begun = async {
            match &shared.tls {
                None => Begun::read(wire).await.map(|(stream, multiplexed)| Some((Stream::Plain(stream), multiplexed))),
                Some(acceptor) => shake_hands(acceptor, wire).await,
            }
        };
        let begun = tokio::select! {
            begun = tokio::time::timeout(shared.limits.header_timeout, begun) => begun,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let (stream, multiplexed) = match begun {
            Ok(Ok(Some(begun))) => begun,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => return tracing::debug!(%error, from = %self.from, "a connection did not begin"),
            Err(_) => return tracing::debug!(from = %self.from, "a client took too long to begin"),
        };
        match stream {
            // Boxed: who has not said anything yet takes little room.
            Stream::Plain(stream) => Box::pin(self.speak(stream, multiplexed, pulse, until)).await,
            Stream::Tls(stream) => Box::pin(self.speak(*stream, multiplexed, pulse, until)).await,
        }
    }

    async fn speak<S>(self, stream: S, multiplexed: bool, pulse: Arc<Pulse>, stopped: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let from = self.from;
        let shared = Arc::clone(&self.shared);
        let limits = &shared.limits;
        let this = Arc::new(self);
        let (stream, fragment) = Watched::new(stream);
        let service = service_fn({
            let pulse = Arc::clone(&pulse);
            move |request| {
                let (this, turn, cut) = (Arc::clone(&this), Turn::begin(Arc::clone(&pulse)), fragment.take());
                // Boxed: hyper keeps the room for an answer as long as the connection, and most connections are idle.
                Box::pin(async move { Ok::<_, Infallible>(this.answer(request, turn, cut).await) })
            }
        });
        let stream = TokioIo::new(stream);
        let (ended, result) = if multiplexed {
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).max_concurrent_streams(limits.max_streams);
            builder.max_header_list_size(u32::try_from(limits.max_headers).unwrap_or(u32::MAX));
            builder.keep_alive_interval(limits.body_timeout).keep_alive_timeout(PING_TIMEOUT);
            Box::pin(drive(builder.serve_connection(stream, service), &pulse, limits, true, stopped)).await
        } else {
            let mut builder = hyper::server::conn::http1::Builder::new();
            // The timeout for headers is ours: hyper's would begin when the last request ends.
            builder.timer(TokioTimer::new()).header_read_timeout(None).max_header_size(limits.max_headers);
            Box::pin(drive(builder.serve_connection(stream, service), &pulse, limits, false, stopped)).await
        };
        match (ended, result) {
            (Ended::Itself, Ok(())) | (Ended::Idle, _) => {}
            (Ended::Itself, Err(error)) => tracing::debug!(%error, %from, "a connection ended"),
            (Ended::Headers, _) => tracing::debug!(%from, "headers took too long"),
            (Ended::NotTaken, _) => tracing::info!(%from, "a client did not take its answer, the connection was ended"),
        }
    }

    /// Answers a request, whose target had a fragment if it was `cut`. Whatever its answer is, it is counted, held to the limits and logged.
    async fn answer(&self, request: Request<hyper::body::Incoming>, turn: Turn, cut: bool) -> Response<Outgoing> {
        let Shared { app, limits, outside, tls, .. } = &*self.shared;
        let (mut parts, body) = request.into_parts();
        let too_long = parts.uri.path_and_query().is_some_and(|path| path.as_str().len() > limits.max_url);
        let peer = outside.arrive(&mut parts, self.from, tls.is_some());
        self.hint(&parts.headers);
        let mut line = Line::begin(&parts);
        let old = parts.version < Version::HTTP_2;
        let body = Incoming::new(body, &parts.headers, limits);
        let fault = body.fault();
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let too_much = limits.max_upload > 0 && announced.or(body.size_hint().exact()).is_some_and(|length| length > limits.max_upload);
        let path = parts.uri.path().to_owned();
        let is_probe = matches!(parts.uri.path(), "/livez" | "/readyz");
        let mut permit = None;
        let mut answer = if self.place.crowded {
            later("Too many connections come from your address.\n")
        } else if too_long {
            text(StatusCode::URI_TOO_LONG, "The URL is too long.\n")
        } else if cut {
            text(StatusCode::BAD_REQUEST, "A request is not about a fragment; write # as %23.\n")
        } else if too_much {
            discard(body).await;
            too_large(limits)
        } else if is_probe {
            app.answer(Request::from_parts(parts, body), peer.address).await
        } else {
            match self.permit().await {
                Some(free) => {
                    permit = Some(free);
                    app.answer(Request::from_parts(parts, body), peer.address).await
                }
                None => later("Too many requests are being answered.\n"),
            }
        };
        // Whoever asked for something else anyway hears that.
        let is_about_body = !answer.status().is_success() && !matches!(answer.status().as_u16(), 401 | 404 | 429);
        let refused = match fault.and_then(|fault| fault.status()).filter(|_| is_about_body) {
            Some(StatusCode::REQUEST_TIMEOUT) => {
                answer = text(StatusCode::REQUEST_TIMEOUT, "Nothing more of the body came.\n");
                true
            }
            Some(_) => {
                answer = too_large(limits);
                true
            }
            None => self.place.crowded || too_long || too_much,
        };
        answer = api::in_form(&path, answer).await;
        if refused && old {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        locate(&mut answer, &peer);
        if let Some(line) = &mut line {
            line.answered(&answer);
        }
        answer.map(|body| Outgoing::new(body, turn, line, permit))
    }

    /// Says once that a proxy's word does not count.
    fn hint(&self, headers: &HeaderMap) {
        let Shared { outside, hinted, .. } = &*self.shared;
        if is_forwarded(headers) && !outside.trusts(self.from) && !hinted.swap(true, Relaxed) {
            tracing::warn!(
                from = %self.from,
                "a request came through a proxy that is not trusted: failed logins count for its address, not for the client's; if it is \
                 yours, name it with --trusted-proxy"
            );
        }
    }

    /// A place among the requests that are being answered; none when others do not end in time.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let requests = Arc::clone(&self.shared.requests);
        if let Ok(permit) = Arc::clone(&requests).try_acquire_owned() {
            return Some(permit);
        }
        tokio::time::timeout(PATIENCE, requests.acquire_owned()).await.ok()?.ok()
    }
}

/// A stream after its beginning.
enum Stream {
    Plain(Begun<Wire>),
    Tls(Box<tokio_rustls::server::TlsStream<Wire>>),
}

/// The TLS handshake; none when the client spoke plain HTTP and was told so.
async fn shake_hands(acceptor: &TlsAcceptor, mut wire: Wire) -> io::Result<Option<(Stream, bool)>> {
    let mut first = [0];
    if wire.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    // TLS begins with a handshake record (RFC 8446 section 5.1), HTTP with a method.
    if first[0].is_ascii_uppercase() {
        wire.write_all(PLAIN_ON_TLS).await?;
        wire.shutdown().await?;
        // Closed with something unread, it would be broken off before the client has seen the answer.
        let mut rest = vec![0; 16 << 10];
        let _ = tokio::io::AsyncReadExt::read(&mut wire, &mut rest).await;
        return Ok(None);
    }
    let stream = acceptor.accept(wire).await?;
    let multiplexed = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Some((Stream::Tls(Box::new(stream)), multiplexed)))
}

fn later(reason: &str) -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, reason);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(LATER));
    response
}

fn too_large(limits: &Limits) -> Response<Body> {
    text(StatusCode::PAYLOAD_TOO_LARGE, format!("A body may have {} bytes here.\n", limits.max_upload))
}

/// Paths of ours in headers, as the client has to write them.
fn locate(answer: &mut Response<Body>, peer: &Peer) {
    const CONTENT_LOCATION: HeaderName = HeaderName::from_static("content-location");
    for name in [LOCATION, CONTENT_LOCATION] {
        let path = answer.headers().get(&name).and_then(|value| value.to_str().ok()).filter(|path| path.starts_with('/'));
        if let Some(value) = path.and_then(|path| HeaderValue::from_str(&peer.href(path)).ok()) {
            answer.headers_mut().insert(name, value);
        }
    }
}
