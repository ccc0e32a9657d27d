//! GET and PUT.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Response;

use crate::dav::checksum::{self, OC_CHECKSUM};
use crate::types::{Expect, KnownDigests, LocalVersion, RelPath, RemoteVersion};

use super::body::Payload;
use super::retry::Call;
use super::write::{etag_of, if_match, unexpected};
use super::{Client, ClientError};

/// A file on its way here.
pub struct Download {
    response: Response,
    client: Client,
    /// The length that the service announced.
    pub length: Option<u64>,
    /// The digests that the service told in the answer.
    pub digests: KnownDigests,
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let piece = self.response.chunk().await.map_err(|error| self.client.explain(&error))?;
        self.client.flow.pass(piece.as_ref().map_or(0, Bytes::len), || ()).await?;
        Ok(piece)
    }
}

impl Client {
    /// Begins a download of the version that was listed. Anything else at that path is an error.
    pub async fn get(&self, path: &RelPath, listed: &RemoteVersion) -> Result<Download, ClientError> {
        let response = self.send(Method::GET, self.url_of(path, false), HeaderMap::new(), None).await?;
        match response.status() {
            StatusCode::OK => {}
            status => return Err(unexpected("GET", path, status)),
        }
        if let (Some(now), Some(then)) = (etag_of(&response), &listed.etag)
            && now != *then
        {
            return Err(ClientError::Changed(path.to_string()));
        }
        let length = response.content_length();
        if let (Some(length), Some(size)) = (length, listed.size)
            && length != size
        {
            let text = format!("the service sends {length} bytes of {path}, though it listed {size}");
            return Err(ClientError::Corrupt(text));
        }
        let told = response.headers().get(OC_CHECKSUM).and_then(|value| value.to_str().ok()).map(checksum::parse);
        Ok(Download { response, client: self.clone(), length, digests: told.unwrap_or_default() })
    }

    /// Sends a file. Always with Content-Length, never chunked: some Nextcloud set-ups store nothing of a chunked body and say "created".
    /// Returns the entity tag that the service answered. A success is not proof.
    pub async fn put(
        &self,
        path: &RelPath,
        version: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        payload: Payload,
    ) -> Result<Option<String>, ClientError> {
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
        if told.is_some_and(|told| told != version.digests.sha1.to_string()) {
            return Err(ClientError::Corrupt(format!("the service received other bytes of {path} than were sent")));
        }
        Ok(etag_of(&response))
    }
}
