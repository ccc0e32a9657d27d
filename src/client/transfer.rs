//! GET and PUT.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Response;

use crate::dav::checksum::{self, OC_CHECKSUM};
use crate::types::{Digests, Evidence, Expect, Hasher, KnownDigests, LocalVersion, RelPath, RemoteVersion};

use super::body::Payload;
use super::retry::Call;
use super::write::{etag_of, if_match, unexpected};
use super::{Client, ClientError, Receipt, page};

/// A file on its way here.
pub struct Download {
    response: Response,
    client: Client,
    /// The length of the whole file, as the service announced it.
    pub length: Option<u64>,
    /// Where in the file the bytes begin.
    pub start: u64,
    /// The digests that the service told in the answer.
    pub digests: KnownDigests,
    /// So many bytes are still to come, where that is known.
    left: Option<u64>,
    content_type: Option<String>,
    /// The first bytes that came.
    head: Vec<u8>,
}

impl Download {
    /// The next bytes; none at the end. A service that sends more than it announced or listed is not listened to any longer: it may never end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = self.response.chunk().await.map_err(|error| self.client.explain(&error))?;
        if let (Some(piece), Some(left)) = (&piece, &mut self.left) {
            *left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| ClientError::Corrupt("the service sends more bytes than the file has; nothing of it was taken".into()))?;
        }
        self.client.flow.pass(piece.as_ref().map_or(0, Bytes::len), || ()).await?;
        if let Some(piece) = piece.as_ref().filter(|_| self.head.len() < page::HEAD) {
            self.head.extend(piece.iter().take(page::HEAD - self.head.len()));
        }
        Ok(piece)
    }

    /// An error when what came so far is a page for people, though a picture or video of this name was asked for.
    pub fn is_no_page(&self, path: &RelPath) -> Result<(), ClientError> {
        if self.start == 0 && page::is_page(path, &self.head, self.content_type.as_deref()) {
            let text = format!(
                "the service sent a page instead of {path}: usually a login page, or what a proxy says when the server behind it does not answer. \
                 Open the service's address in a browser and see what it shows"
            );
            return Err(ClientError::Corrupt(text));
        }
        Ok(())
    }
}

impl Client {
    /// Begins a download of the version that was listed. Anything else at that path is an error.
    pub async fn get(&self, path: &RelPath, listed: &RemoteVersion) -> Result<Download, ClientError> {
        self.get_from(path, listed, 0).await
    }

    /// Goes on with a download after the first `from` bytes; from the beginning where the service does not offer that, or where nothing
    /// would tell that they belong to another version: neither a strong entity tag (RFC 9110 section 13.1.5) nor a digest.
    pub async fn get_from(&self, path: &RelPath, listed: &RemoteVersion, from: u64) -> Result<Download, ClientError> {
        let if_range = if_match(&Expect::Version(listed.clone()));
        let (from, if_range) = match if_range {
            Some(tag) => (from, Some(tag)),
            None if listed.digests.is_empty() => (0, None),
            None => (from, None),
        };
        let mut headers = HeaderMap::new();
        if from > 0 {
            headers.insert(header::RANGE, HeaderValue::from_str(&format!("bytes={from}-")).unwrap_or(HeaderValue::from_static("bytes=0-")));
            if_range.and_then(|tag| headers.insert(header::IF_RANGE, tag));
        }
        let response = self.call(&Call::new(Method::GET, self.url_of(path, false), headers, Payload::Nothing)).await?;
        let part = (response.status() == StatusCode::PARTIAL_CONTENT).then(|| content_range(response.headers())).flatten();
        match response.status() {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if from > 0 && part.is_some_and(|part| part.is_rest(from, listed.size)) => {}
            // Not what was asked for: then all of it.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                return Box::pin(self.get_from(path, listed, 0)).await;
            }
            status => return Err(unexpected("GET", path, status)),
        }
        if let (Some(now), Some(then)) = (etag_of(&response), &listed.etag)
            && now != *then
        {
            return Err(ClientError::Changed(path.to_string()));
        }
        let length = part.map_or_else(|| response.content_length(), |part| Some(part.whole));
        if let (Some(length), Some(size)) = (length, listed.size)
            && length != size
        {
            let text = format!("the service sends {length} bytes of {path}, though it listed {size}");
            return Err(ClientError::Corrupt(text));
        }
        let told = response.headers().get(OC_CHECKSUM).and_then(|value| value.to_str().ok()).map(checksum::parse);
        let start = if part.is_some() { from } else { 0 };
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let left = length.or(listed.size).map(|whole| whole.saturating_sub(start));
        let (client, digests) = (self.clone(), told.unwrap_or_default());
        Ok(Download { response, client, length, start, digests, left, content_type, head: Vec::new() })
    }

    /// The digests of a file, by reading every byte of it.
    pub async fn digests(&self, path: &RelPath, listed: &RemoteVersion) -> Result<Digests, ClientError> {
        let mut download = self.get(path, listed).await?;
        let mut hasher = Hasher::default();
        let mut size = 0;
        while let Some(bytes) = download.next().await? {
            size += bytes.len() as u64;
            hasher.update(&bytes);
        }
        download.is_no_page(path)?;
        match download.length.or(listed.size) {
            Some(expected) if expected != size => Err(ClientError::Corrupt(format!("only {size} of {expected} bytes of {path} came"))),
            _ => Ok(hasher.finish()),
        }
    }

    /// Sends a file. Always with Content-Length, never chunked: some Nextcloud set-ups store nothing of a chunked body and say "created".
    /// Returns what the service answered. A success is not proof.
    pub async fn put(
        &self,
        path: &RelPath,
        version: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        payload: Payload,
    ) -> Result<Receipt, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert("x-expected-entity-length", HeaderValue::from(version.size));
        headers.insert("x-hash", HeaderValue::from_static("sha1"));
        let text = |value: String| HeaderValue::from_str(&value).map_err(|_| ClientError::Source("a header".into()));
        headers.insert(OC_CHECKSUM, text(checksum::oc_checksum(&version.digests.sha1))?);
        if let Some(mtime) = version.mtime.to_oc_mtime() {
            headers.insert("x-oc-mtime", text(mtime)?);
        }
        match expect {
            Expect::Absent => drop(headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"))),
            _ => drop(if_match(expect).map(|value| headers.insert(header::IF_MATCH, value))),
        }
        self.flow.pass(payload.at_once(), || ()).await?;
        let response = self.call(&Call::new(Method::PUT, self.url_of(path, false), headers, payload)).await?;
        let told = response.headers().get("x-hash-sha1").and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
        match response.status() {
            status if status.is_success() => {}
            status => return Err(unexpected("PUT", path, status)),
        }
        // A server that hashes what it received says here whether anything was lost on the way.
        if told.as_ref().is_some_and(|told| *told != version.digests.sha1.to_string()) {
            return Err(ClientError::OtherBytes { path: path.to_string(), etag: etag_of(&response) });
        }
        Ok(Receipt { etag: etag_of(&response), evidence: told.map(|_| Evidence::ServerVerified) })
    }
}

/// A part of a file: from its first byte to its last, of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    last: u64,
    whole: u64,
}

impl Part {
    /// Whether it is everything after the first `from` bytes of a file of this size.
    fn is_rest(self, from: u64, size: Option<u64>) -> bool {
        self.first == from
            && self.last >= from
            && self.last.checked_add(1) == Some(self.whole)
            && size.is_none_or(|size| size == self.whole)
    }
}

/// Content-Range, RFC 9110 section 14.4.
pub(super) fn content_range(headers: &HeaderMap) -> Option<Part> {
    let (range, whole) = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(Part { first: first.trim().parse().ok()?, last: last.trim().parse().ok()?, whole: whole.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_only_when_it_is_the_one_that_was_asked_for() {
        let part = |text: &str| content_range(&HeaderMap::from_iter([(header::CONTENT_RANGE, text.parse().unwrap())]));
        assert!(part("bytes 10-99/100").unwrap().is_rest(10, Some(100)));
        for other in ["bytes 9-99/100", "bytes 10-98/100", "bytes 10-99/101", "bytes 10-9/10"] {
            assert!(!part(other).unwrap().is_rest(10, Some(100)), "{other}");
        }
        for nonsense in ["bytes */100", "bytes 10-99/*", "10-99/100", "bytes 10-18446744073709551616/1"] {
            assert_eq!(part(nonsense), None, "{nonsense}");
        }
    }
}
