//! Looking at a service: PROPFIND with Depth 0 or 1.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Body, Response};

use crate::dav::multistatus::{self, Resource};
use crate::dav::{href, propfind};
use crate::types::{RelPath, RemoteVersion};

use super::{Client, ClientError};

/// The largest listing that is read, in MiB: about 100,000 members of one folder.
const LISTING_LIMIT: usize = 96;

/// A folder as the service lists it.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The files and folders directly in it.
    pub members: Vec<Member>,
    /// The id of the library, when the service is a node.
    pub library_id: Option<String>,
    /// Members of which nothing could be told, with reasons; the listing is complete but for them.
    pub unusable: Vec<(RelPath, String)>,
    /// Members whose names no library can hold, as sent, with reasons.
    pub unnamable: Vec<(String, String)>,
}

/// One member of a folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// A folder.
    Folder(RelPath),
    /// A file.
    File(RelPath, RemoteVersion),
}

impl Client {
    /// Lists a folder, completely or not at all. None when there is no such folder.
    pub async fn list(&self, folder: &RelPath) -> Result<Option<Listing>, ClientError> {
        let Some(resources) = self.propfind(folder, true, "1").await? else { return Ok(None) };
        let mut listing = Listing::default();
        let mut seen_itself = false;
        for resource in resources {
            let path = match href::relative_to(self.base_path(), &resource.href) {
                Ok(path) => path,
                Err(href::HrefError::Outside) => return Err(ClientError::Outside(resource.href)),
                Err(error) => {
                    listing.unnamable.push((resource.href, format!("its name {error}")));
                    continue;
                }
            };
            if path == *folder {
                if !resource.is_collection {
                    return Err(not_a_folder(self, folder));
                }
                seen_itself = true;
                listing.library_id = resource.library_id;
            } else if path.parent().as_ref() != Some(folder) {
                return Err(ClientError::Outside(resource.href));
            } else if let Some(status) = resource.status.filter(|code| !(200..300).contains(code)) {
                listing.unusable.push((path, format!("the service answered {status}")));
            } else if !resource.has_type {
                listing.unusable.push((path, "the service did not tell what it is".into()));
            } else if resource.is_collection {
                listing.members.push(Member::Folder(path));
            } else {
                listing.members.push(Member::File(path, version_of(resource)));
            }
        }
        if !seen_itself {
            return Err(not_a_folder(self, folder));
        }
        Ok(Some(listing))
    }

    /// What the service has at a path: none when it has nothing there.
    pub async fn look(&self, path: &RelPath) -> Result<Option<RemoteVersion>, ClientError> {
        let Some(resources) = self.propfind(path, false, "0").await? else { return Ok(None) };
        let found = resources.into_iter().find(|r| href::relative_to(self.base_path(), &r.href).as_ref() == Ok(path));
        match found {
            Some(resource) if resource.is_collection => Err(ClientError::Status {
                status: StatusCode::CONFLICT,
                method: "PROPFIND".into(),
                path: format!("{path} (it is a folder there)"),
            }),
            Some(resource) if resource.status == Some(404) => Ok(None),
            Some(resource) => Ok(Some(version_of(resource))),
            None => Err(ClientError::Outside(path.to_string())),
        }
    }

    pub(super) async fn propfind(&self, path: &RelPath, folder: bool, depth: &'static str) -> Result<Option<Vec<Resource>>, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert("depth", HeaderValue::from_static(depth));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
        let method = Method::from_bytes(b"PROPFIND").unwrap_or_default();
        let body = Body::from(propfind::body(&propfind::WANTED));
        let response = self.send(method, self.url_of(path, folder), headers, Some(body)).await?;
        match response.status() {
            StatusCode::MULTI_STATUS => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_IMPLEMENTED => {
                let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let found = format!("it answered {status}, {}", kind.unwrap_or("without a content type"));
                return Err(ClientError::NotDav { url: self.url().to_owned(), found });
            }
            status => return Err(ClientError::Status { status, method: "PROPFIND".into(), path: path.to_string() }),
        }
        let text = self.text(response, LISTING_LIMIT).await?;
        match multistatus::parse(&text) {
            Ok(resources) => Ok(Some(resources)),
            Err(crate::dav::xml::XmlError::Unexpected(_) | crate::dav::xml::XmlError::Doctype) => {
                Err(ClientError::NotDav { url: self.url().to_owned(), found: "it answered 207 with something else".into() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The body of an answer, up to so many MiB.
    pub(super) async fn text(&self, mut response: Response, limit: usize) -> Result<String, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(&error))? {
            if bytes.len() + chunk.len() > limit << 20 {
                return Err(ClientError::TooLarge(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| ClientError::Malformed(crate::dav::xml::XmlError::Malformed("it is not UTF-8".into())))
    }
}

fn version_of(resource: Resource) -> RemoteVersion {
    let Resource { size, etag, weak, modified, digests, .. } = resource;
    RemoteVersion { size, etag, weak, modified, digests }
}

fn not_a_folder(client: &Client, folder: &RelPath) -> ClientError {
    let found = format!("/{folder} is not a folder there, or not this user's");
    ClientError::NotDav { url: client.url().to_owned(), found }
}
