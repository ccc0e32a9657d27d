//! Changing a service: MKCOL, DELETE, MOVE, COPY. Each says what it expects to find.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Response;

use crate::dav::etag;
use crate::types::{Expect, RelPath, RemoteVersion};

use super::doubt::Moved;
use super::{Client, ClientError};

impl Client {
    /// Creates a folder. One that is there already is fine; a missing parent is an error.
    pub async fn create_folder(&self, folder: &RelPath) -> Result<bool, ClientError> {
        let method = Method::from_bytes(b"MKCOL").unwrap_or_default();
        let response = self.send(method, self.url_of(folder, true), HeaderMap::new(), None).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            // RFC 4918 section 9.3.1 says 405 for what exists; some servers say 423 or 406 while somebody else creates it.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::LOCKED | StatusCode::NOT_ACCEPTABLE => match self.list(folder).await? {
                Some(_) => Ok(false),
                None => Err(unexpected("MKCOL", folder, response.status())),
            },
            status => Err(unexpected("MKCOL", folder, status)),
        }
    }

    /// Deletes a file, if it is the expected one. Nothing there is fine.
    pub async fn delete(&self, path: &RelPath, expect: &Expect<RemoteVersion>) -> Result<(), ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = if_match(expect) {
            headers.insert(header::IF_MATCH, value);
        }
        let response = self.delete_once(path, &headers, expect).await?;
        match response.status() {
            StatusCode::MULTI_STATUS => Err(unexpected("DELETE", path, StatusCode::MULTI_STATUS)),
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(unexpected("DELETE", path, status)),
        }
    }

    /// Renames a file. `source` is what must be moved; `expect` is what must be at the new name.
    pub async fn rename(
        &self,
        from: &RelPath,
        to: &RelPath,
        source: &RemoteVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<(), ClientError> {
        self.give_name("MOVE", (from, to), false, expect, Some(source)).await
    }

    /// Renames a folder with everything in it. Nothing may be at the new name.
    pub async fn rename_folder(&self, from: &RelPath, to: &RelPath) -> Result<(), ClientError> {
        self.give_name("MOVE", (from, to), true, &Expect::Absent, None).await
    }

    /// Copies a file on the service (RFC 4918 section 9.8). `source` is what must be copied; nothing may be at the new name.
    pub async fn copy(&self, from: &RelPath, to: &RelPath, source: &RemoteVersion) -> Result<(), ClientError> {
        self.give_name("COPY", (from, to), false, &Expect::Absent, Some(source)).await
    }

    async fn give_name(
        &self,
        method: &'static str,
        (from, to): (&RelPath, &RelPath),
        folder: bool,
        expect: &Expect<RemoteVersion>,
        source: Option<&RemoteVersion>,
    ) -> Result<(), ClientError> {
        let target = self.url_of(to, folder);
        let mut headers = HeaderMap::new();
        headers.insert("overwrite", HeaderValue::from_static(if matches!(expect, Expect::Absent) { "F" } else { "T" }));
        let destination = HeaderValue::from_str(target.as_str()).map_err(|_| ClientError::BadUrl(target.to_string()))?;
        headers.insert("destination", destination);
        if let Some(value) = source.and_then(|source| if_match(&Expect::Version(source.clone()))) {
            headers.insert(header::IF_MATCH, value);
        }
        let mut patience = self.patience();
        let response = loop {
            let verb = Method::from_bytes(method.as_bytes()).unwrap_or_default();
            let answered = self.send(verb, self.url_of(from, folder), headers.clone(), None).await;
            let doubtful = match &answered {
                Ok(response) => matches!(response.status().as_u16(), 404 | 412 | 502 | 504),
                Err(error) => error.may_have_arrived(),
            };
            if doubtful && let Some(source) = source {
                // When looking tells nothing either, the first answer stands.
                match self.after_move((from, to), source, expect).await {
                    Ok(Moved::Done) => return Ok(()),
                    // WsgiDAV compares If-Match with what is at the destination. What was just seen at both names is as good.
                    Ok(Moved::NotYet)
                        if answered.as_ref().is_ok_and(|answer| answer.status() == StatusCode::PRECONDITION_FAILED)
                            && headers.remove(header::IF_MATCH).is_some() =>
                    {
                        continue;
                    }
                    Ok(Moved::NotYet)
                        if answered.is_err()
                            && let Some(wait) = patience.broken() =>
                    {
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    _ => {}
                }
            }
            break answered?;
        };
        match response.status() {
            StatusCode::MULTI_STATUS => Err(unexpected(method, from, StatusCode::MULTI_STATUS)),
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(ClientError::NotFound(from.to_string())),
            status => Err(unexpected(method, to, status)),
        }
    }

    /// Removes a folder in which nothing is, and says whether it did. One with anything in it, even of no use to us, stays.
    /// RACE: what somebody puts into it between our look and the DELETE goes with it; WebDAV has no other way to say it.
    pub async fn delete_empty_folder(&self, folder: &RelPath) -> Result<bool, ClientError> {
        match self.list(folder).await? {
            Some(listing) if listing.members.is_empty() && listing.unusable.is_empty() && listing.unnamable.is_empty() => {}
            _ => return Ok(false),
        }
        let response = self.send(Method::DELETE, self.url_of(folder, true), HeaderMap::new(), None).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() && status != StatusCode::MULTI_STATUS => Ok(true),
            status => Err(unexpected("DELETE", folder, status)),
        }
    }
}

/// The If-Match for an expected version; none where nothing particular is expected, or the server gave
/// no entity tag that a condition can be put on.
pub(super) fn if_match(expect: &Expect<RemoteVersion>) -> Option<HeaderValue> {
    match expect {
        Expect::Version(version) if version.weak => None,
        Expect::Version(version) => HeaderValue::from_str(&etag::quote(version.etag.as_deref()?)).ok(),
        Expect::Absent | Expect::Anything => None,
    }
}

pub(super) fn unexpected(method: &str, path: &RelPath, status: StatusCode) -> ClientError {
    match status {
        StatusCode::PRECONDITION_FAILED => ClientError::Changed(path.to_string()),
        StatusCode::NOT_FOUND => ClientError::NotFound(path.to_string()),
        _ => ClientError::Status { status, method: method.to_owned(), path: path.to_string(), told: None },
    }
}

/// The answer's entity tag; ownCloud's own header is trusted before one that a proxy may have changed.
pub(super) fn etag_of(response: &Response) -> Option<String> {
    let value = response.headers().get("oc-etag").or_else(|| response.headers().get(header::ETAG))?;
    etag::parse(value.to_str().ok()?)
}
