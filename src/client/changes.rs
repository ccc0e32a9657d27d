//! Waiting for a node to say that something changed there.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::Deserialize;

use crate::types::RelPath;

use super::{Client, ClientError};

/// The answer is a short document.
const LIMIT: usize = 1;

/// What a node says of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Changes {
    /// Something changed since the token that was asked about.
    pub changed: bool,
    /// This moment; opaque.
    pub token: String,
}

impl Client {
    /// Whether the service is a node that can be waited for: it shows a library, at an address where nodes show theirs.
    pub async fn tells_changes(&self) -> Result<bool, ClientError> {
        if self.changes_url().is_none() {
            return Ok(false);
        }
        Ok(self.look_at_root().await?.is_some_and(|root| root.library_id.is_some()))
    }

    /// Asks a node whether the folder has changed `since` a token, and waits up to `wait` for that. None when the node does not know what
    /// changed since then: everything may have. Without a token the answer comes at once.
    pub async fn wait_for_change(&self, since: Option<&str>, wait: Duration) -> Result<Option<Changes>, ClientError> {
        let (mut url, folder) = self.changes_url().ok_or_else(|| ClientError::BadUrl(self.url().to_owned()))?;
        let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query = format!("folder={}&wait={}", quoted(&folder), wait.as_secs());
        if let Some(since) = since {
            query.push_str(&format!("&since={}", quoted(since)));
        }
        url.set_query(Some(&query));
        let response = self.send(Method::GET, url, HeaderMap::new(), None).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Ok(None),
            status => return Err(ClientError::Status { status, method: "GET".into(), path: "/api/v1/changes".into(), told: None }),
        }
        let text = self.text(response, LIMIT).await?;
        let told = serde_json::from_str(&text);
        told.map(Some).map_err(|_| ClientError::NotDav { url: self.url().to_owned(), found: "its API answered something else".into() })
    }

    /// Where a node tells of changes, and the folder of its library that this client is rooted at. The mount point is known by its name:
    /// the first one on the way, because a folder of the library may be called like that as well.
    fn changes_url(&self) -> Option<(Url, String)> {
        let path = self.base_path();
        let mounts = ["/originals/", "/webdav/", "/remote.php/"];
        let (at, mount) = mounts.iter().filter_map(|mount| Some((path.find(mount)?, *mount))).min()?;
        let below = &path[at + mount.len()..];
        let folder = match mount {
            "/originals/" => below,
            "/webdav/" => below.strip_prefix("originals/").unwrap_or_default(),
            // Its root may be any folder of the library: changes elsewhere only make for a look too many.
            _ => "",
        };
        let mut url = self.url_of(&RelPath::root(), true);
        let before = url.path().find(mount)?;
        let api = format!("{}/api/v1/changes", &url.path()[..before]);
        url.set_path(&api);
        Some((url, folder.trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Endpoint;
    use super::*;

    #[test]
    fn the_api_is_beside_the_mount_point() {
        let of = |url: &str| {
            let endpoint = Endpoint { url: url.into(), user: String::new(), password: String::new(), fingerprint: None, allow_http: false };
            let told = Client::new(&endpoint).unwrap().changes_url();
            told.map(|(url, folder)| (url.to_string(), folder))
        };
        let told = |api: &str, folder: &str| Some((api.to_owned(), folder.to_owned()));
        assert_eq!(of("http://h:1/originals/"), told("http://h:1/api/v1/changes", ""));
        assert_eq!(of("http://h/ph%C3%B6tos/originals/a%20b/originals/"), told("http://h/ph%C3%B6tos/api/v1/changes", "a b/originals"));
        assert_eq!(of("http://h/webdav/originals/x"), told("http://h/api/v1/changes", "x"));
        assert_eq!(of("http://h/remote.php/dav/files/anna/"), told("http://h/api/v1/changes", ""));
        assert_eq!(of("http://h/dav/"), None);
    }
}
