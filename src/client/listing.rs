//! Looking at a service: PROPFIND with Depth 0 or 1.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Body, Response};

use crate::dav::multistatus::{self, Resource};
use crate::dav::xml::XmlError;
use crate::dav::{PropName, href, propfind};
use crate::types::{RelPath, RemoteVersion};

use super::{Client, ClientError};

/// The largest listing that is read, in MiB: about 100,000 members of one folder.
const LISTING_LIMIT: usize = 96;

/// A folder as the service lists it.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The files and folders directly in it.
    pub members: Vec<Member>,
    /// The folder's own entity tag.
    pub etag: Option<String>,
    /// The id of the library, when the service is a node.
    pub library_id: Option<String>,
    /// Members of which nothing could be told, with reasons; the listing is complete but for them.
    pub unusable: Vec<(RelPath, String)>,
    /// Members whose names no library can hold, as sent, with reasons.
    pub unnamable: Vec<(String, String)>,
}

/// The folder that is synced, as the service tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// The id of the library, when the service is a node.
    pub library_id: Option<String>,
    /// Where its changes are at this moment, if it can tell changes (RFC 6578 section 4).
    pub sync_token: Option<String>,
    /// It is an ownCloud or a Nextcloud, or behaves like one: a folder's entity tag is another one whenever anything below has changed.
    pub is_cloud: bool,
}

/// One member of a folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// A folder, with its entity tag.
    Folder(RelPath, Option<String>),
    /// A file.
    File(RelPath, RemoteVersion),
}

impl Member {
    /// Where it is.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Folder(path, _) | Self::File(path, _) => path,
        }
    }
}

impl Client {
    /// Lists a folder, completely or not at all. None when there is no such folder.
    pub async fn list(&self, folder: &RelPath) -> Result<Option<Listing>, ClientError> {
        let Some(resources) = self.propfind(folder, true, "1", &propfind::WANTED).await? else { return Ok(None) };
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
            if path.is_same_name(folder) {
                if !resource.is_collection {
                    return Err(not_a_folder(self, folder));
                }
                seen_itself = true;
                (listing.library_id, listing.etag) = (resource.library_id, resource.etag);
            } else if !path.parent().is_some_and(|parent| parent.is_same_name(folder)) {
                return Err(ClientError::Outside(resource.href));
            } else if let Some(status) = resource.status.filter(|code| !(200..300).contains(code)) {
                listing.unusable.push((path, format!("the service answered {status}")));
            } else if !resource.has_type {
                listing.unusable.push((path, "the service did not tell what it is".into()));
            } else if resource.is_collection {
                listing.members.push(Member::Folder(path, resource.etag));
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
        Ok(self.find(path).await?.map(|(_, version)| version))
    }

    /// The same, with the path as the service writes it: some store names in another Unicode form than they were given.
    pub async fn find(&self, path: &RelPath) -> Result<Option<(RelPath, RemoteVersion)>, ClientError> {
        let resources = match self.propfind(path, false, "0", &propfind::WANTED).await {
            Ok(Some(resources)) => resources,
            Ok(None) => return Ok(None),
            Err(error @ ClientError::Status { status: StatusCode::INTERNAL_SERVER_ERROR, .. }) => {
                return self.find_in_folder(path).await.unwrap_or(Err(error));
            }
            Err(error) => return Err(error),
        };
        let named = |resource: Resource| Some((href::relative_to(self.base_path(), &resource.href).ok()?, resource));
        let found = resources.into_iter().filter_map(named).find(|(listed, _)| listed.is_same_name(path));
        let (listed, found) = found.map_or_else(|| (path.clone(), None), |(listed, resource)| (listed, Some(resource)));
        match found {
            Some(resource) if resource.is_collection => Err(is_a_folder(path)),
            Some(resource) if resource.status == Some(404) => Ok(None),
            Some(resource) => Ok(Some((listed, version_of(resource)))),
            None => Err(ClientError::Outside(path.to_string())),
        }
    }

    /// As [`Client::find`], for a server that stumbles when it is asked for the one name: what the folder lists is what it has. None when that
    /// says nothing of it either.
    async fn find_in_folder(&self, path: &RelPath) -> Option<Result<Option<(RelPath, RemoteVersion)>, ClientError>> {
        let listing = self.list(&path.parent()?).await.ok()??;
        if listing.unusable.iter().any(|(listed, _)| listed.is_same_name(path)) {
            return None;
        }
        let found = listing.members.into_iter().find_map(|member| match member {
            Member::File(listed, version) => listed.is_same_name(path).then_some(Ok((listed, version))),
            Member::Folder(listed, _) => listed.is_same_name(path).then(|| Err(is_a_folder(path))),
        });
        Some(found.transpose())
    }

    /// Whether no folder shows a file any more. What a service says of the file alone may be wrong: it answers 404 for other reasons too.
    pub async fn is_gone(&self, path: &RelPath) -> Result<bool, ClientError> {
        let mut gone = path.clone();
        while let Some(folder) = gone.parent() {
            if let Some(Listing { members, unusable, .. }) = self.list(&folder).await? {
                let mut names = members.iter().map(Member::path).chain(unusable.iter().map(|(path, _)| path));
                return Ok(!names.any(|listed| listed.is_same_name(&gone)));
            }
            gone = folder;
        }
        // Nothing is there, not even what is synced: that is another matter.
        Ok(false)
    }

    /// What the folder that this client is rooted at says of itself, and of who serves it. None when there is no such folder.
    pub async fn look_at_root(&self) -> Result<Option<Root>, ClientError> {
        let root = RelPath::root();
        let Some(resources) = self.propfind(&root, true, "0", &propfind::WANTED_OF_ROOT).await? else { return Ok(None) };
        let found = resources.into_iter().find(|resource| href::relative_to(self.base_path(), &resource.href).as_ref() == Ok(&root));
        let Some(Resource { library_id, sync_token, cloud_id, .. }) = found.filter(|resource| resource.is_collection) else {
            return Err(not_a_folder(self, &root));
        };
        Ok(Some(Root { library_id, sync_token, is_cloud: cloud_id.is_some() }))
    }

    async fn propfind(
        &self,
        path: &RelPath,
        folder: bool,
        depth: &'static str,
        wanted: &[PropName],
    ) -> Result<Option<Vec<Resource>>, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert("depth", HeaderValue::from_static(depth));
        let body = propfind::body(wanted);
        let Some(response) = self.ask("PROPFIND", (path, folder), headers, body).await? else { return Ok(None) };
        let text = self.text(response, LISTING_LIMIT).await?;
        multistatus::parse(&text).map(Some).map_err(|error| self.not_a_multistatus(error))
    }

    /// Sends a question in XML; its answer is a 207. None when there is nothing at the path.
    pub(super) async fn ask(
        &self,
        method: &'static str,
        (path, folder): (&RelPath, bool),
        mut headers: HeaderMap,
        body: String,
    ) -> Result<Option<Response>, ClientError> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
        let verb = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let response = self.send(verb, self.url_of(path, folder), headers, Some(Body::from(body))).await?;
        match response.status() {
            StatusCode::MULTI_STATUS => Ok(Some(response)),
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_IMPLEMENTED => {
                let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let found = format!("it answered {status}, {}", kind.unwrap_or("without a content type"));
                Err(ClientError::NotDav { url: self.url().to_owned(), found })
            }
            status => Err(ClientError::Status { status, method: method.into(), path: path.to_string(), told: None }),
        }
    }

    pub(super) fn not_a_multistatus(&self, error: XmlError) -> ClientError {
        match error {
            XmlError::Unexpected(_) | XmlError::Doctype => {
                ClientError::NotDav { url: self.url().to_owned(), found: "it answered 207 with something else".into() }
            }
            error => error.into(),
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
        String::from_utf8(bytes).map_err(|_| ClientError::Malformed(XmlError::Malformed("it is not UTF-8".into())))
    }
}

pub(super) fn version_of(resource: Resource) -> RemoteVersion {
    let Resource { size, etag, weak, modified, digests, .. } = resource;
    RemoteVersion { size, etag, weak, modified, digests }
}

fn is_a_folder(path: &RelPath) -> ClientError {
    let path = format!("{path} (it is a folder there)");
    ClientError::Status { status: StatusCode::CONFLICT, method: "PROPFIND".into(), path, told: None }
}

pub(super) fn not_a_folder(client: &Client, folder: &RelPath) -> ClientError {
    let found = format!("/{folder} is not a folder there, or not this user's");
    ClientError::NotDav { url: client.url().to_owned(), found }
}
