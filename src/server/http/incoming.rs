//! A request's body, held to the limits while it comes in.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::Limits;

/// A body as it comes in. It ends with an error when nothing comes for too long, or when too much does.
#[derive(Debug)]
pub(in super::super) struct Incoming {
    inner: Source,
    patience: Duration,
    /// How many bytes more may come.
    left: u64,
    /// Since when something is waited for. The time that we take between two pieces is not the client's.
    waiting: Option<Instant>,
    /// Made when it is first waited for; set anew only when it fires.
    timer: Option<Pin<Box<Sleep>>>,
    fault: Option<Fault>,
    waits: bool,
}

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    /// A connection of ours.
    Wire(hyper::body::Incoming),
    /// Another server, in which we are mounted. Behind a lock, because such bodies are not shared between threads and requests are.
    Mounted(Mutex<super::Body>),
}

impl Source {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Wire(body) => body.is_end_stream(),
            Self::Mounted(body) => body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream(),
        }
    }
}

/// What was wrong with a body, for the answer: whoever reads the body only sees an error.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<AtomicU8>);

const TOO_SLOW: u8 = 1;
const TOO_MUCH: u8 = 2;

impl Fault {
    /// The status of the answer, if something was wrong.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self.0.load(Relaxed) {
            TOO_SLOW => Some(StatusCode::REQUEST_TIMEOUT),
            TOO_MUCH => Some(StatusCode::PAYLOAD_TOO_LARGE),
            _ => None,
        }
    }
}

impl Incoming {
    /// The body of a request on a connection of ours.
    pub(super) fn new(inner: hyper::body::Incoming, headers: &HeaderMap, limits: &Limits) -> Self {
        Self::from(Source::Wire(inner), headers, limits)
    }

    /// The body of a request that another server took.
    pub(in super::super) fn mounted(inner: super::Body, headers: &HeaderMap, limits: &Limits) -> Self {
        Self::from(Source::Mounted(Mutex::new(inner)), headers, limits)
    }

    fn from(inner: Source, headers: &HeaderMap, limits: &Limits) -> Self {
        let left = if limits.max_upload == 0 { u64::MAX } else { limits.max_upload };
        // Most requests have no body.
        let fault = (!inner.is_end_stream()).then(Fault::default);
        Self { inner, patience: limits.body_timeout, left, waiting: None, timer: None, fault, waits: headers.contains_key(EXPECT) }
    }

    /// The client sends nothing before it is told to (`Expect: 100-continue`, RFC 9110 section 10.1.1); reading tells it.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// What is wrong with it, now or later; none when there is no body.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.clone()
    }

    fn fail(&self, what: u8, kind: io::ErrorKind, text: &'static str) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(fault) = &self.fault {
            fault.0.store(what, Relaxed);
        }
        Poll::Ready(Some(Err(io::Error::new(kind, text))))
    }

    /// Waits for the next frame, or for the end of patience.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = *self.waiting.get_or_insert_with(Instant::now) + self.patience;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            // Something has come since it was set.
            timer.as_mut().reset(deadline);
        }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let polled = match &mut this.inner {
            Source::Wire(body) => Pin::new(body).poll_frame(cx).map_err(io::Error::other),
            Source::Mounted(body) => Pin::new(body.get_mut().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                if size > this.left {
                    return this.fail(TOO_MUCH, io::ErrorKind::FileTooLarge, "the body is longer than the server takes");
                }
                this.left -= size;
                this.waiting = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match this.poll_patience(cx) {
                Poll::Ready(()) => this.fail(TOO_SLOW, io::ErrorKind::TimedOut, "nothing more of the body came"),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Source::Wire(body) => body.size_hint(),
            Source::Mounted(body) => body.lock().unwrap_or_else(PoisonError::into_inner).size_hint(),
        }
    }
}
