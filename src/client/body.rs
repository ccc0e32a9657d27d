//! What travels with a request and its answer. A request fails when nothing moves for a while in either direction; there is no limit on
//! the whole: a film over a slow line takes hours, and is sent all the same.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use reqwest::Body;
use tokio::time::Sleep;

use super::Flow;

/// The bytes of a file to send, piece by piece; an error in it breaks the request off.
pub type PieceStream = BoxStream<'static, io::Result<Bytes>>;

/// What is sent with a request. It can be sent again.
#[derive(Clone, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Nothing,
    /// All of it, in memory.
    Whole(Bytes),
    /// So many bytes, in pieces that are made anew whenever they are sent.
    Pieces(u64, Arc<dyn Fn() -> PieceStream + Send + Sync>),
    /// Pieces of which nobody says before how many bytes they are: some servers lose such a body.
    Unsized(Arc<dyn Fn() -> PieceStream + Send + Sync>),
}

/// The parts that a body in memory is sent in, so that one sees that it moves.
const PIECE: usize = 64 << 10;

impl Payload {
    /// How many bytes there are, as far as it is said.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Pieces(size, _) => Some(*size),
            Self::Unsized(_) => None,
        }
    }

    /// How much of it is sent at once, without waiting for its turn in pieces.
    pub(super) fn at_once(&self) -> usize {
        match self {
            Self::Whole(bytes) if bytes.len() <= PIECE => bytes.len(),
            _ => 0,
        }
    }

    /// A body for one request; each piece that is taken to be sent is a sign of life, and passes through `flow` before. Its length, if it
    /// has one, must be in the request's headers.
    pub(super) fn body(&self, pulse: &Pulse, flow: &Flow) -> Option<Body> {
        let pieces: PieceStream = match self {
            Self::Nothing => return None,
            Self::Whole(bytes) if bytes.len() <= PIECE => return Some(bytes.clone().into()),
            Self::Whole(bytes) => {
                let mut rest = bytes.clone();
                let pieces = std::iter::from_fn(move || (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(PIECE)))));
                stream::iter(pieces).boxed()
            }
            Self::Pieces(_, make) | Self::Unsized(make) => make(),
        };
        let (pulse, flow) = (pulse.clone(), flow.clone());
        let pieces = pieces.then(move |piece| {
            let (pulse, flow) = (pulse.clone(), flow.clone());
            async move {
                let piece = piece.map_err(SourceFailed)?;
                // Whoever waits for a turn is not dead.
                flow.pass(piece.len(), || pulse.beat()).await.map_err(|stopped| SourceFailed(io::Error::other(stopped)))?;
                pulse.beat();
                Ok::<_, SourceFailed>(piece)
            }
        });
        Some(Body::wrap_stream(pieces))
    }
}

/// What was to be sent could not be read: no fault of the service.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SourceFailed(io::Error);

/// When a request last moved.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds after that.
    last: Arc<AtomicU64>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), last: Arc::default() }
    }

    fn beat(&self) {
        self.last.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for `limit`.
    pub(super) async fn stopped(&self, limit: Duration) {
        loop {
            let still = self.begun.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)));
            match limit.checked_sub(still).filter(|left| !left.is_zero()) {
                Some(left) => tokio::time::sleep(left).await,
                None => return,
            }
        }
    }
}

/// The body of an answer. It ends with an error when nothing comes for a while.
pub(super) struct Answer {
    inner: Body,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    pub(super) fn new(inner: Body, limit: Duration) -> Self {
        Self { inner, limit, waiting: None }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pulse_stops_only_when_nothing_moves() {
        let pulse = Pulse::new();
        let payload = Payload::Whole(Bytes::from(vec![0; 3 * PIECE]));
        assert!(payload.body(&pulse, &Flow::default()).is_some());
        let moving = pulse.clone();
        let mover = tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                moving.beat();
            }
        });
        let begun = Instant::now();
        pulse.stopped(Duration::from_millis(100)).await;
        assert!(begun.elapsed() >= Duration::from_millis(250), "it gave up while something moved");
        mover.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_stalls_ends_with_a_timeout() {
        use http_body_util::BodyExt as _;
        let stalled = stream::iter([Ok::<_, io::Error>(Bytes::from("x"))]).chain(stream::pending());
        let mut answer = Answer::new(Body::wrap_stream(stalled), Duration::from_millis(50));
        assert!(answer.frame().await.unwrap().is_ok());
        let error = answer.frame().await.unwrap().unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::TimedOut));
    }
}
