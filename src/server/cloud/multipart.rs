//! multipart/related (RFC 2387) as a stream: parts that say their length, one after the other, with bounded memory.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// The headers of one part are smaller than this.
const HEADERS: usize = 16 << 10;
/// RFC 2046 section 5.1.1.
const BOUNDARY: usize = 70;

/// Why a body cannot be read on, with the status that says so.
pub(super) type Malformed = (StatusCode, &'static str);

/// The boundary that a request's Content-Type names.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (essence, parameters) = kind.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && value.len() <= BOUNDARY).then(|| value.to_owned())
}

/// The parts of a body.
pub(super) struct Parts<B> {
    body: B,
    /// What has come and was not read yet; `at` is where reading goes on.
    buffer: Vec<u8>,
    at: usize,
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    /// Bytes of the current part that were not read yet.
    left: u64,
    begun: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Parts<B> {
    pub(super) fn new(body: B, boundary: &str) -> Self {
        Self { body, buffer: Vec::new(), at: 0, delimiter: format!("--{boundary}").into_bytes(), left: 0, begun: false }
    }

    /// The headers and the size of the next part; none at the end. The current part must have been read.
    pub(super) async fn next(&mut self) -> Result<Option<(HeaderMap, u64)>, Malformed> {
        let line = match std::mem::replace(&mut self.begun, true) {
            true => {
                self.expect(b"\r\n").await?;
                self.line().await?
            }
            // Some begin with an empty line.
            false => match self.line().await? {
                line if line.is_empty() => self.line().await?,
                line => line,
            },
        };
        match line.strip_prefix(&*self.delimiter) {
            Some(b"") => {}
            Some(b"--") => return Ok(None),
            _ => return Err((StatusCode::BAD_REQUEST, "a part does not begin with the boundary")),
        }
        let headers = self.headers().await?;
        let size = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let size = size.ok_or((StatusCode::LENGTH_REQUIRED, "a part has no Content-Length"))?;
        self.left = size;
        Ok(Some((headers, size)))
    }

    /// The next bytes of the current part; empty at its end.
    pub(super) async fn bytes(&mut self) -> Result<&[u8], Malformed> {
        if self.left == 0 {
            return Ok(&[]);
        }
        if self.at == self.buffer.len() {
            self.more().await?;
        }
        let here = self.buffer.len() - self.at;
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(here);
        let from = self.at;
        self.at += size;
        self.left -= size as u64;
        Ok(&self.buffer[from..from + size])
    }

    async fn headers(&mut self) -> Result<HeaderMap, Malformed> {
        const BAD: Malformed = (StatusCode::BAD_REQUEST, "the headers of a part cannot be read");
        let mut headers = HeaderMap::new();
        let mut total = 0;
        loop {
            let line = self.line().await?;
            total += line.len() + 2;
            if line.is_empty() {
                return Ok(headers);
            }
            if total > HEADERS {
                return Err(BAD);
            }
            let colon = line.iter().position(|byte| *byte == b':').ok_or(BAD)?;
            let name = HeaderName::from_bytes(line[..colon].trim_ascii()).map_err(|_| BAD)?;
            // Paths come in UTF-8 as they are.
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| BAD)?;
            headers.append(name, value);
        }
    }

    /// One line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut searched = self.at;
        loop {
            if let Some(end) = self.buffer[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[self.at..searched + end].to_vec();
                self.at = searched + end + 2;
                return Ok(line);
            }
            // The last line may end with the body.
            if self.buffer[self.at..].strip_prefix(&*self.delimiter) == Some(b"--") && self.at_end().await? {
                let line = self.buffer[self.at..].to_vec();
                self.at = self.buffer.len();
                return Ok(line);
            }
            if self.buffer.len() - self.at > HEADERS {
                return Err((StatusCode::BAD_REQUEST, "a line is too long"));
            }
            let unread = self.buffer.len() - self.at;
            self.more().await?;
            searched = self.at + unread.saturating_sub(1);
        }
    }

    async fn expect(&mut self, wanted: &[u8]) -> Result<(), Malformed> {
        while self.buffer.len() - self.at < wanted.len() {
            self.more().await?;
        }
        if !self.buffer[self.at..].starts_with(wanted) {
            return Err((StatusCode::BAD_REQUEST, "a part is longer than its Content-Length"));
        }
        self.at += wanted.len();
        Ok(())
    }

    /// Whether nothing more comes; what does come is kept.
    async fn at_end(&mut self) -> Result<bool, Malformed> {
        Ok(!self.fill().await?)
    }

    async fn more(&mut self) -> Result<(), Malformed> {
        match self.fill().await? {
            true => Ok(()),
            false => Err((StatusCode::BAD_REQUEST, "the body ends early")),
        }
    }

    /// Waits for more; false at the end.
    async fn fill(&mut self) -> Result<bool, Malformed> {
        self.buffer.drain(..self.at);
        self.at = 0;
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if !data.is_empty() {
                        self.buffer.extend_from_slice(&data);
                        return Ok(true);
                    }
                }
                Some(Err(_)) => return Err((StatusCode::BAD_REQUEST, "the body did not come whole")),
                None => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    /// All parts of a body that comes in pieces of this size.
    async fn parts(text: &[u8], piece: usize) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
        let pieces: Vec<_> = text.chunks(piece).map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let mut parts = Parts::new(StreamBody::new(futures_util::stream::iter(pieces)), "B");
        let mut found = Vec::new();
        while let Some((headers, _)) = parts.next().await? {
            let mut bytes = Vec::new();
            loop {
                let next = parts.bytes().await?;
                if next.is_empty() {
                    break;
                }
                bytes.extend_from_slice(next);
            }
            let path = headers.get("x-file-path").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            found.push((path.unwrap_or_default(), bytes));
        }
        Ok(found)
    }

    const TWO: &[u8] = b"--B\r\nX-File-Path: /\xc3\xa4\r\nContent-Length: 7\r\n\r\n--B\r\n--\r\n--B\r\nContent-Length: 0\r\n\r\n\r\n--B--";

    #[tokio::test]
    async fn parts_come_out_however_they_are_cut() {
        for piece in 1..TWO.len() + 1 {
            let found = parts(TWO, piece).await.unwrap();
            assert_eq!(found, [("/ä".to_owned(), b"--B\r\n--".to_vec()), (String::new(), Vec::new())], "in pieces of {piece}");
        }
        let with_end = [TWO, b"\r\n"].concat();
        assert_eq!(parts(&with_end, 5).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_is_cut_or_wrong_is_an_error() {
        for end in 0..TWO.len() {
            assert!(parts(&TWO[..end], 7).await.is_err(), "cut after {end}");
        }
        assert_eq!(parts(b"--B\r\nX: y\r\n\r\nabc\r\n--B--", 9).await.unwrap_err().0, StatusCode::LENGTH_REQUIRED);
        assert!(parts(b"--B\r\nContent-Length: 2\r\n\r\nabc\r\n--B--", 9).await.is_err());
        assert!(parts(b"--C\r\nContent-Length: 0\r\n\r\n\r\n--C--", 9).await.is_err());
        assert!(parts(&[b"--B\r\n".as_slice(), &vec![b'x'; HEADERS * 2]].concat(), 1000).await.is_err());
    }

    #[test]
    fn boundaries_are_found() {
        let of = |text: &'static str| boundary(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(text))]));
        assert_eq!(of("multipart/related; boundary=abc").as_deref(), Some("abc"));
        assert_eq!(of("Multipart/Related; type=x; boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(of("multipart/form-data; boundary=abc"), None);
        assert_eq!(of("multipart/related; boundary="), None);
    }
}
