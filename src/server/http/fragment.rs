//! Notices a fragment in a request's target. `DELETE /album/#1` must not delete the album (RFC 9112 section 3.2 allows no fragment there), but
//! hyper drops the fragment before anybody else sees the target.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether the request that has just begun has a fragment in its target.
#[derive(Clone, Default)]
pub(super) struct Fragment(Arc<AtomicBool>);

impl Fragment {
    /// Tells it once.
    pub(super) fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// A connection that looks at the first line of what comes after everything was answered: with clients that wait for answers that is where a
/// request begins. Nothing that passes is changed.
pub(super) struct Watched<S> {
    stream: S,
    /// The beginning of the line, as far as it has come; none when no line is expected.
    line: Option<Vec<u8>>,
    fragment: Fragment,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Fragment) {
        let fragment = Fragment::default();
        (Self { stream, line: Some(Vec::new()), fragment: fragment.clone() }, fragment)
    }
}

/// A request line longer than this is refused anyway.
const LINE: usize = 8 << 10;

impl<S> Watched<S> {
    /// Looks at bytes that came.
    fn look(&mut self, came: &[u8]) {
        let Some(mut line) = self.line.take() else { return };
        let end = came.iter().position(|byte| *byte == b'\r');
        line.extend_from_slice(&came[..end.unwrap_or(came.len())]);
        if end.is_none() && line.len() < LINE {
            self.line = Some(line);
        } else if has_fragment(&line) {
            self.fragment.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a line is a request line with a fragment.
fn has_fragment(line: &[u8]) -> bool {
    if !line.contains(&b'#') {
        return false;
    }
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    method.is_some_and(|method| !method.is_empty() && method.iter().all(u8::is_ascii_uppercase))
        && target.is_some_and(|target| target.contains(&b'#'))
        && version.is_some_and(|version| version.starts_with(b"HTTP/1."))
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.look(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line.get_or_insert_default();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.line.get_or_insert_default();
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_request_line_counts() {
        let found = |pieces: &[&str]| {
            let (mut watched, fragment) = super::Watched::new(());
            pieces.iter().for_each(|piece| watched.look(piece.as_bytes()));
            fragment.take()
        };
        assert!(found(&["DELETE /a/#b HTTP/1.1\r\nHost: x\r\n\r\n"]));
        assert!(found(&["DEL", "ETE /a/", "#b HTT", "P/1.1\r", "\nHost: x\r\n\r\n"]));
        for without in ["DELETE /a/ HTTP/1.1\r\nReferer: /#b\r\n\r\n", "GET /a%23b HTTP/1.1\r\n", "# x\r\n", "get #x HTTP/1.1\r\n", "", "#"]
        {
            assert!(!found(&[without]), "{without}");
        }
        // What comes before anything was answered belongs to the first request.
        assert!(!found(&["PUT /a HTTP/1.1\r\n\r\n", "DELETE /#b HTTP/1.1\r\n"]));
    }
}
