//! A node's surface inside another server.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::incoming::Incoming;
use super::limits::Limits;
use super::outside::Outside;
use super::{App, Body, Front, text};
use crate::server::api;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Everything that a node serves, as a service of tower and of hyper, to be mounted into a server of the caller's. Cheap to clone.
///
/// The other server brings connections, TLS and their limits; the bounds of bodies, logins and everything behind them hold as ever. The
/// client's address, by which failed logins are counted, is taken from the request's extensions: a [`SocketAddr`] or an [`IpAddr`].
/// Without one all clients count as one. Mounted below a path, the paths in answers need [`Outside::url_prefix`](super::Outside).
#[derive(Clone)]
pub struct Mounted {
    app: App,
    limits: Limits,
    outside: Outside,
    secure: bool,
}

impl Mounted {
    /// The surface of an app. With `front.tls`, clients are taken to speak https.
    pub(crate) fn new(app: App, front: &Front) -> Self {
        Self { app, limits: front.limits, outside: front.outside.clone(), secure: front.tls.is_some() }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut parts, body) = request.into_parts();
        let said = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip).or_else(|| parts.extensions.get::<IpAddr>().copied());
        let from = said.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let body = Incoming::mounted(body.map_err(io::Error::other).boxed_unsync(), &parts.headers, &self.limits);
        let fault = body.fault();
        let peer = self.outside.arrive(&mut parts, from, self.secure);
        let path = parts.uri.path().to_owned();
        let answer = self.app.answer(Request::from_parts(parts, body), peer.address).await;
        let answer = match fault.and_then(|fault| fault.status()).filter(|_| !answer.status().is_success()) {
            Some(StatusCode::REQUEST_TIMEOUT) => text(StatusCode::REQUEST_TIMEOUT, "Nothing more of the body came.\n"),
            Some(status) => text(status, format!("A body may have {} bytes here.\n", self.limits.max_upload)),
            None => answer,
        };
        api::in_form(&path, answer).await
    }
}

impl<B> tower::Service<Request<B>> for Mounted
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl<B> hyper::service::Service<Request<B>> for Mounted
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<B>) -> Answer {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}
