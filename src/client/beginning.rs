//! The first bytes of a file.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::types::{RelPath, RemoteVersion};

use super::write::{etag_of, unexpected};
use super::{Client, ClientError};

impl Client {
    /// The first bytes of the version that was listed, `length` of them or all that there are. A service that does not know ranges
    /// (RFC 9110 section 14) sends more; the rest is not taken.
    pub async fn beginning(&self, path: &RelPath, listed: &RemoteVersion, length: usize) -> Result<Vec<u8>, ClientError> {
        if listed.size == Some(0) {
            return Ok(Vec::new());
        }
        let mut headers = HeaderMap::new();
        let range = format!("bytes=0-{}", length.saturating_sub(1));
        headers.insert(header::RANGE, HeaderValue::from_str(&range).map_err(|_| ClientError::Source("a range".into()))?);
        let mut response = self.send(Method::GET, self.url_of(path, false), headers, None).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            status => return Err(unexpected("GET", path, status)),
        }
        if let (Some(now), Some(then)) = (etag_of(&response), &listed.etag)
            && now != *then
        {
            return Err(ClientError::Changed(path.to_string()));
        }
        let wanted = listed.size.map_or(length, |size| length.min(usize::try_from(size).unwrap_or(length)));
        let mut bytes = Vec::new();
        while bytes.len() < wanted {
            match response.chunk().await.map_err(|error| self.explain(&error))? {
                Some(piece) => bytes.extend_from_slice(&piece),
                None if listed.size.is_none() => break,
                None => return Err(ClientError::Corrupt(format!("only {} of the first {wanted} bytes of {path} came", bytes.len()))),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
