//! Knocking at an address without the password: whether WebDAV is spoken there.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::dav::propfind;

use super::body::Payload;
use super::capabilities::short;
use super::retry::Call;
use super::{Client, ClientError, Product};

/// The largest document that is read, in MiB.
const LIMIT: usize = 1;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knock {
    /// It is listed for everybody.
    Folder,
    /// It asks for a login, in one of these ways: `Basic`, `Digest`, ...
    Login(Vec<String>),
    /// It sends elsewhere.
    Redirect(String),
    /// Neither.
    Other(StatusCode),
}

impl Client {
    /// Asks what is at the client's folder. No password is sent. A server that wants to be left alone is an error.
    pub async fn knock(&self) -> Result<Knock, ClientError> {
        let headers = HeaderMap::from_iter([
            (HeaderName::from_static("depth"), HeaderValue::from_static("0")),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8")),
        ]);
        let method = Method::from_bytes(b"PROPFIND").unwrap_or_default();
        let body = Payload::Whole(propfind::body(&propfind::WANTED).into());
        let answer = self.exchange(&Call::new(method, self.base().clone(), headers, body), false).await?;
        let one = |name: header::HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok());
        Ok(match answer.status() {
            StatusCode::MULTI_STATUS => Knock::Folder,
            StatusCode::UNAUTHORIZED => {
                let ways = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
                Knock::Login(ways.filter_map(|value| value.split_whitespace().next()).map(short).take(10).collect())
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = one(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
                return Err(ClientError::Busy { host: self.host(), seconds });
            }
            status if status.is_redirection() => match one(header::LOCATION).and_then(|to| self.base().join(to).ok()) {
                Some(to) => Knock::Redirect(short(to.as_str())),
                None => Knock::Other(status),
            },
            status => Knock::Other(status),
        })
    }

    /// The same account at another path of the same server; it is encoded, begins with a slash and ends with one.
    pub fn at_path(&self, path: &str) -> Result<Self, ClientError> {
        let mut base = self.base().clone();
        base.set_path(path);
        self.rooted_at(base)
    }

    /// What the cloud below the client's folder says that it is (`status.php`). None where there is none.
    pub async fn product_here(&self) -> Option<Product> {
        self.product_at(self.base().join("status.php").ok()?).await
    }

    /// The path of an address, if it is one of the same server.
    pub fn path_of(&self, url: &str) -> Option<String> {
        let url = reqwest::Url::parse(url).ok()?;
        (url.origin() == self.base().origin()).then(|| url.path().to_owned())
    }

    /// The path of the client's folder, encoded; ends with a slash.
    pub fn path(&self) -> &str {
        self.base().path()
    }

    /// What the cloud before the client's folder calls the account: people may log in with an email address, and their files are elsewhere.
    /// None when it does not say.
    pub async fn account_id(&self) -> Option<String> {
        let mut url = self.cloud()?.url("ocs/v1.php/cloud/user");
        url.set_query(Some("format=json"));
        let headers = HeaderMap::from_iter([(HeaderName::from_static("ocs-apirequest"), HeaderValue::from_static("true"))]);
        let answer = self.exchange(&Call::new(Method::GET, url, headers, Payload::Nothing), true).await.ok()?;
        let text = if answer.status() == StatusCode::OK { self.text(answer, LIMIT).await.ok()? } else { return None };
        let told: Value = serde_json::from_str(&text).ok()?;
        let id = told["ocs"]["data"]["id"].as_str()?;
        (!id.is_empty() && id.len() <= 255 && !id.contains('/')).then(|| id.to_owned())
    }
}
