//! Some bytes of a file (RFC 9110 section 14).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::types::{RelPath, RemoteVersion};

use super::transfer::content_range;
use super::write::{etag_of, unexpected};
use super::{Client, ClientError};

impl Client {
    /// The first bytes of the version that was listed, `length` of them or all that there are. A service that does not know ranges sends
    /// more; the rest is not taken.
    pub async fn beginning(&self, path: &RelPath, listed: &RemoteVersion, length: usize) -> Result<Vec<u8>, ClientError> {
        Ok(self.part(path, listed, 0, length).await?.unwrap_or_default())
    }

    /// `length` bytes of the version that was listed, beginning at `from`, or as many as there are. None when the service does not send
    /// parts.
    pub async fn part(&self, path: &RelPath, listed: &RemoteVersion, from: u64, length: usize) -> Result<Option<Vec<u8>>, ClientError> {
        let left = listed.size.map(|size| size.saturating_sub(from));
        if left == Some(0) || length == 0 {
            return Ok(Some(Vec::new()));
        }
        let mut headers = HeaderMap::new();
        let range = format!("bytes={from}-{}", from + length as u64 - 1);
        headers.insert(header::RANGE, HeaderValue::from_str(&range).map_err(|_| ClientError::Source("a range".into()))?);
        let mut response = self.send(Method::GET, self.url_of(path, false), headers, None).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK if from == 0 => {}
            StatusCode::OK => return Ok(None),
            status => return Err(unexpected("GET", path, status)),
        }
        if let (Some(now), Some(then)) = (etag_of(&response), &listed.etag)
            && now != *then
        {
            return Err(ClientError::Changed(path.to_string()));
        }
        if response.status() == StatusCode::PARTIAL_CONTENT && content_range(response.headers()).is_some_and(|part| part.first != from) {
            return Err(ClientError::Corrupt(format!("another part of {path} came than was asked for")));
        }
        let wanted = left.map_or(length, |left| length.min(usize::try_from(left).unwrap_or(length)));
        let mut bytes = Vec::new();
        while bytes.len() < wanted {
            match response.chunk().await.map_err(|error| self.explain(&error))? {
                Some(piece) => bytes.extend_from_slice(&piece),
                None if left.is_none() => break,
                None => return Err(ClientError::Corrupt(format!("only {} of {wanted} bytes of {path} came", bytes.len()))),
            }
        }
        bytes.truncate(length);
        Ok(Some(bytes))
    }
}
