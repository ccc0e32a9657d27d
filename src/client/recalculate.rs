//! Nextcloud's way to make it read a file again.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::dav::checksum::{self, OC_CHECKSUM};
use crate::types::{RelPath, Sha1};

use super::write::unexpected;
use super::{Client, ClientError};

impl Client {
    /// Has the service read a file and tell the SHA-1 of its bytes (`PATCH` with `X-Recalculate-Hash`). None where that is not offered.
    pub async fn recalculate(&self, path: &RelPath) -> Result<Option<Sha1>, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-recalculate-hash", HeaderValue::from_static("sha1"));
        let response = self.send(Method::PATCH, self.url_of(path, false), headers, None).await?;
        match response.status() {
            status if status.is_success() => {}
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                return Ok(None);
            }
            status => return Err(unexpected("PATCH", path, status)),
        }
        let told = response.headers().get(OC_CHECKSUM).and_then(|value| value.to_str().ok());
        Ok(told.and_then(|told| checksum::parse(told).sha1))
    }
}
