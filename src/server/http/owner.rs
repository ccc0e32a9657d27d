//! The owner of the state, at the control socket: the API without a login, over HTTP/1.1.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;

use super::incoming::Incoming;
use super::limits::Limits;
use super::{App, text};
use crate::server::api;

impl App {
    /// Lets nobody wait any longer for what may happen: the node stops.
    pub(crate) fn let_go(&self) {
        self.api.stop();
    }

    /// Answers the owner on a connection, until it ends. When the owner goes away, what was being done is broken off.
    pub(crate) async fn answer_owner(&self, stream: UnixStream) {
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let api = self.api.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = Incoming::new(body, &parts.headers, &Limits::default());
                if !api::covers(parts.uri.path()) {
                    return Ok::<_, Infallible>(text(http::StatusCode::NOT_FOUND, "There is only the API here.\n"));
                }
                Ok(api.answer_owner(http::Request::from_parts(parts, body)).await)
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Limits::default().header_timeout);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
            tracing::debug!(%error, "a command was broken off");
        }
    }
}
