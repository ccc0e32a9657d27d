//! What only a probe sends: a body without its length, a file under a wrong checksum, a deletion that leaves nothing in a trash.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::dav::{href, multistatus, propfind};
use crate::types::{Expect, LocalVersion, RelPath};

use super::body::Payload;
use super::retry::Call;
use super::write::unexpected;
use super::{Client, ClientError, PieceStream};

/// How much room a service has (RFC 4331), in bytes. Some tell negative numbers for "unknown" and "unlimited".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// What is left.
    pub available: Option<i64>,
    /// What is taken.
    pub used: Option<i64>,
}

impl Client {
    /// Sends a file without saying how long it is, as many programs do and Twinlens never does with a photo.
    pub async fn put_without_length(
        &self,
        path: &RelPath,
        pieces: impl Fn() -> PieceStream + Send + Sync + 'static,
    ) -> Result<(), ClientError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
        let call = Call::new(Method::PUT, self.url_of(path, false), headers, Payload::Unsized(std::sync::Arc::new(pieces)));
        let answer = self.call(&call).await?;
        if answer.status().is_success() { Ok(()) } else { Err(unexpected("PUT", path, answer.status())) }
    }

    /// Sends a file and claims that it has the digests of `claimed`. True when the service answers which bytes it really received.
    pub async fn put_with_wrong_checksum(&self, path: &RelPath, claimed: &LocalVersion, bytes: Bytes) -> Result<bool, ClientError> {
        match self.put(path, claimed, &Expect::Absent, Payload::Whole(bytes)).await {
            Ok(_) => Ok(false),
            // It hashed what it received, and says so.
            Err(ClientError::OtherBytes { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Deletes a file of ours for good: a cloud that would keep it in a trash is asked not to. Nothing there is fine.
    pub async fn discard(&self, path: &RelPath) -> Result<(), ClientError> {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-nc-skip-trashbin"), HeaderValue::from_static("true"))]);
        let answer = self.call(&Call::new(Method::DELETE, self.url_of(path, false), headers, Payload::Nothing).harmless()).await?;
        match answer.status() {
            StatusCode::MULTI_STATUS => Err(unexpected("DELETE", path, StatusCode::MULTI_STATUS)),
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(unexpected("DELETE", path, status)),
        }
    }

    /// How much room there is. None when the service does not say.
    pub async fn quota(&self) -> Result<Quota, ClientError> {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("depth"), HeaderValue::from_static("0"))]);
        let root = RelPath::root();
        let Some(answer) = self.ask("PROPFIND", (&root, true), headers, propfind::body(&propfind::QUOTA)).await? else {
            return Ok(Quota::default());
        };
        let text = self.text(answer, 1).await?;
        let resources = multistatus::parse(&text).map_err(|error| self.not_a_multistatus(error))?;
        let found = resources.into_iter().find(|resource| href::relative_to(self.base_path(), &resource.href).as_ref() == Ok(&root));
        Ok(found.map(|found| Quota { available: found.available, used: found.used }).unwrap_or_default())
    }
}
