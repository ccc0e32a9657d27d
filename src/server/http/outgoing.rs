//! An answer's body on its way out, and the line in the access log when it has gone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Body;
use super::outside::Peer;
use super::pulse::Turn;

/// Where the access log goes; silent unless asked for: `TWINLENS_LOG=twinlens::access=info`.
const ACCESS: &str = "twinlens::access";

/// A body as it goes out. The request counts as being answered until this is dropped.
pub(super) struct Outgoing {
    inner: Body,
    turn: Turn,
    line: Option<Line>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Outgoing {
    pub(super) fn new(inner: Body, turn: Turn, line: Option<Line>, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { inner, turn, line, _permit: permit }
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Pending => this.turn.is_ours(),
            Poll::Ready(frame) => {
                this.turn.is_theirs();
                if let (Some(line), Some(Ok(frame))) = (&mut this.line, frame) {
                    line.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A line of the access log, written when it is dropped: also when the client did not wait for the answer.
pub(super) struct Line {
    method: http::Method,
    path: String,
    peer: Peer,
    began: Instant,
    status: Option<StatusCode>,
    user: Option<String>,
    bytes: u64,
}

impl Line {
    /// Begins a line; none when nobody reads the log. Queries are left out: there may be secrets in them.
    pub(super) fn begin(parts: &Parts) -> Option<Self> {
        if !tracing::enabled!(target: ACCESS, tracing::Level::INFO) {
            return None;
        }
        let peer = Peer::of(&parts.extensions)?;
        Some(Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            peer: peer.clone(),
            began: Instant::now(),
            status: None,
            user: None,
            bytes: 0,
        })
    }

    /// The answer is known. Whoever answers may name the user by an [`AskedBy`] among the answer's extensions.
    pub(super) fn answered(&mut self, answer: &http::Response<Body>) {
        self.status = Some(answer.status());
        self.user = answer.extensions().get::<AskedBy>().map(|AskedBy(user)| user.clone());
    }
}

/// The user that a request was answered for.
#[derive(Debug, Clone)]
pub(in super::super) struct AskedBy(pub(in super::super) String);

impl Drop for Line {
    fn drop(&mut self) {
        tracing::info!(
            target: ACCESS,
            method = %self.method,
            path = %self.peer.href(&self.path),
            // 499, as nginx writes it: the client had gone before there was an answer.
            status = self.status.map_or(499, |status| status.as_u16()),
            bytes = self.bytes,
            ms = self.began.elapsed().as_millis() as u64,
            user = self.user.as_deref().unwrap_or("-"),
            address = %self.peer.address,
            at = %self.peer.base(),
            "request"
        );
    }
}
