//! Chunked upload v2: a folder for one upload (MKCOL), numbered chunks in it (PUT), and a MOVE of `.file` to where the file belongs.
//!
//! The server puts the file together and gives it its name at once: what was there before stays until then, and a break leaves it.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::dav::checksum::{OC_CHECKSUM, oc_checksum};
use crate::dav::etag;
use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion, Sha1};

use super::body::Payload;
use super::cloud::Cloud;
use super::http::IDLE;
use super::retry::Call;
use super::write::{etag_of, if_match, unexpected};
use super::{Client, ClientError, Member};

/// While a server puts a file together it says nothing: so many bytes in a second it must manage.
const ASSEMBLED_PER_SECOND: u64 = 4 << 20;

/// One upload in pieces.
pub struct Session<'a> {
    client: &'a Client,
    cloud: Cloud,
    id: String,
    path: RelPath,
    total: u64,
}

/// Whether an upload was begun.
#[derive(Debug)]
pub enum Begun {
    /// By this request.
    Now,
    /// Probably by an earlier one; when it is not there, this is why.
    Before(ClientError),
}

impl Client {
    /// The upload of so many bytes to a path, under a name that the caller chose for it. None where the service is no cloud.
    pub fn session(&self, id: &str, path: &RelPath, total: u64) -> Option<Session<'_>> {
        let cloud = self.cloud()?;
        Some(Session { client: self, cloud, id: id.to_owned(), path: path.clone(), total })
    }

    /// The names of our account's unfinished uploads.
    pub async fn sessions(&self) -> Result<Vec<String>, ClientError> {
        let Some(home) = self.uploads() else { return Ok(Vec::new()) };
        let members = home.list(&RelPath::root()).await?.unwrap_or_default().members;
        let folders = members.into_iter().filter_map(|member| match member {
            Member::Folder(path, _) => Some(path.name().to_owned()),
            Member::File(..) => None,
        });
        Ok(folders.collect())
    }

    /// A client of the folder that unfinished uploads are in.
    fn uploads(&self) -> Option<Client> {
        let cloud = self.cloud()?;
        self.rooted_at(cloud.url(&format!("remote.php/dav/uploads/{}/", crate::dav::href::encode_text(&cloud.user)))).ok()
    }
}

impl Session<'_> {
    /// Begins it.
    pub async fn begin(&self) -> Result<Begun, ClientError> {
        let answer = self.call("MKCOL", "", self.headers(), Payload::Nothing).await?;
        match answer.status() {
            status if status.is_success() => Ok(Begun::Now),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::CONFLICT => {
                Ok(Begun::Before(self.client.refusal("MKCOL", &self.path, answer).await))
            }
            _ => Err(self.client.refusal("MKCOL", &self.path, answer).await),
        }
    }

    /// The sizes of the chunks that are there. None when it has not been begun, or is gone.
    pub async fn chunks(&self) -> Result<Option<HashMap<String, u64>>, ClientError> {
        let (Some(home), Ok(folder)) = (self.client.uploads(), RelPath::parse(&self.id)) else { return Ok(None) };
        let Some(listing) = home.list(&folder).await? else { return Ok(None) };
        let sizes = listing.members.into_iter().filter_map(|member| match member {
            Member::File(path, version) => Some((path.name().to_owned(), version.size?)),
            Member::Folder(..) => None,
        });
        Ok(Some(sizes.collect()))
    }

    /// Sends one chunk; it may be sent again. With its SHA-1 the service can check it by itself.
    pub async fn put(&self, name: &str, payload: Payload, sha1: Option<Sha1>) -> Result<(), ClientError> {
        let mut headers = self.headers();
        if let Some(sha1) = &sha1 {
            insert(&mut headers, OC_CHECKSUM, &oc_checksum(sha1));
            insert(&mut headers, "x-hash", "sha1");
        }
        if let Some(size) = payload.size() {
            insert(&mut headers, "x-expected-entity-length", &size.to_string());
        }
        let answer = self.call("PUT", name, headers, payload).await?;
        if !answer.status().is_success() {
            return Err(self.client.refusal("PUT", &self.path, answer).await);
        }
        let told = answer.headers().get("x-hash-sha1").and_then(|value| value.to_str().ok()).and_then(Sha1::from_hex);
        match (told, sha1) {
            (Some(told), Some(sent)) if told != sent => {
                Err(ClientError::Corrupt(format!("the service received other bytes of {} than were sent", self.path)))
            }
            _ => Ok(()),
        }
    }

    /// Puts the file together under its name, if that has what is expected. Returns the entity tag that was answered. When the answer is
    /// lost the caller must look.
    pub async fn finish(
        &self,
        version: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        is_node: bool,
    ) -> Result<Option<String>, ClientError> {
        let mut headers = self.headers();
        insert(&mut headers, OC_CHECKSUM, &oc_checksum(&version.digests.sha1));
        if let Some(mtime) = version.mtime.to_oc_mtime() {
            insert(&mut headers, "x-oc-mtime", &mtime);
        }
        match expect {
            Expect::Absent => insert(&mut headers, "overwrite", "F"),
            // A node compares If-Match with what is at the destination, a Nextcloud with `.file`.
            _ if is_node => drop(if_match(expect).map(|value| headers.insert(header::IF_MATCH, value))),
            Expect::Version(RemoteVersion { weak: false, etag: Some(tag), .. }) => {
                insert(&mut headers, "if", &format!("<{}> ([{}])", self.cloud.url_in_home(&self.path), etag::quote(tag)));
            }
            _ => {}
        }
        let mut call = self.prepare("MOVE", ".file", headers, Payload::Nothing);
        call.idle = IDLE + Duration::from_secs(self.total / ASSEMBLED_PER_SECOND);
        call.harmless = false;
        let answer = self.client.call(&call).await?;
        match answer.status() {
            StatusCode::MULTI_STATUS => Err(unexpected("MOVE", &self.path, StatusCode::MULTI_STATUS)),
            status if status.is_success() => Ok(etag_of(&answer)),
            _ => Err(self.client.refusal("MOVE", &self.path, answer).await),
        }
    }

    /// Throws away what was sent. Nothing there is fine.
    pub async fn abort(&self) -> Result<(), ClientError> {
        let answer = self.call("DELETE", "", HeaderMap::new(), Payload::Nothing).await?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(unexpected("DELETE", &self.path, status)),
        }
    }

    /// What goes with every request: newer Nextclouds want it with each.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        insert(&mut headers, "destination", self.cloud.url_in_home(&self.path).as_str());
        insert(&mut headers, "oc-total-length", &self.total.to_string());
        headers
    }

    fn prepare(&self, method: &str, name: &str, headers: HeaderMap, payload: Payload) -> Call {
        let (user, slash) = (crate::dav::href::encode_text(&self.cloud.user), if name.is_empty() { "" } else { "/" });
        let url = self.cloud.url(&format!("remote.php/dav/uploads/{user}/{}{slash}{name}", self.id));
        Call::new(Method::from_bytes(method.as_bytes()).unwrap_or_default(), url, headers, payload).harmless()
    }

    async fn call(&self, method: &str, name: &str, headers: HeaderMap, payload: Payload) -> Result<reqwest::Response, ClientError> {
        self.client.call(&self.prepare(method, name, headers, payload)).await
    }
}

/// Values of ours are numbers, digests and encoded paths: all of them can be written into a header.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
