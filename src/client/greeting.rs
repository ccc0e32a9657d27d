//! Who is there: OPTIONS, and what some servers tell of themselves to everybody.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};
use serde_json::Value;

use super::body::Payload;
use super::capabilities::short;
use super::retry::Call;
use super::{Client, ClientError};

/// The largest document that is read, in MiB.
const LIMIT: usize = 1;

/// What a server answers to OPTIONS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The status.
    pub status: StatusCode,
    /// `HTTP/1.1`.
    pub version: String,
    /// Where it redirects to.
    pub location: Option<String>,
    /// The ways to log in that it names: `Basic`, `Digest`, ...
    pub logins: Vec<String>,
    /// The classes of the `DAV` header (RFC 4918 section 10.1).
    pub classes: Vec<String>,
    /// The methods that it allows.
    pub methods: Vec<String>,
    /// Its answer is marked as SabreDAV's.
    pub sabre: bool,
    /// The type of what it sends.
    pub content_type: Option<String>,
}

/// What a cloud tells of itself to everybody (`status.php`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `Nextcloud`, `ownCloud`, `Twinlens`, ...
    pub name: String,
    /// `24.0.5`.
    pub version: String,
    /// It serves nobody at the moment.
    pub maintenance: bool,
}

impl Client {
    /// Asks what can be done at the service's address, with or without the password. Any answer is one.
    pub async fn greet(&self, logged_in: bool) -> Result<Greeting, ClientError> {
        let answer = self.exchange(&Call::new(Method::OPTIONS, self.base().clone(), HeaderMap::new(), Payload::Nothing), logged_in).await?;
        let list = |name: HeaderName| -> Vec<String> {
            let values = answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).map(|word| short(word.trim())).filter(|word| !word.is_empty()).take(50).collect()
        };
        let one = |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(short);
        let logins = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        Ok(Greeting {
            status: answer.status(),
            version: format!("{:?}", answer.version()),
            location: one(header::LOCATION),
            logins: logins.filter_map(|value| value.split_whitespace().next()).map(short).take(10).collect(),
            classes: list(HeaderName::from_static("dav")),
            methods: list(header::ALLOW),
            sabre: answer.headers().contains_key("x-sabre-version"),
            content_type: one(header::CONTENT_TYPE),
        })
    }

    /// What the cloud at this host says that it is. None where there is none.
    pub async fn product(&self) -> Option<Product> {
        let mut places = Vec::new();
        places.extend(self.cloud().map(|cloud| cloud.url("status.php")));
        places.extend(self.base().join("/status.php").ok().filter(|url| !places.contains(url)));
        for url in places {
            if let Some(product) = self.product_at(url).await {
                return Some(product);
            }
        }
        None
    }

    pub(super) async fn product_at(&self, url: Url) -> Option<Product> {
        let told = self.told_at(url).await?;
        let (name, version) = (told["productname"].as_str()?, told["versionstring"].as_str()?);
        Some(Product { name: short(name), version: short(version), maintenance: told["maintenance"] == true })
    }

    /// Whether a PhotoPrism answers at this host.
    pub async fn is_photoprism(&self) -> bool {
        let told = match self.base().join("/api/v1/status") {
            Ok(url) => self.told_at(url).await,
            Err(_) => None,
        };
        told.is_some_and(|told| told["status"] == "operational")
    }

    /// What a server calls the place that one has to log in to (RFC 9110 section 11.5); some tell by it which program they are.
    pub async fn realm(&self) -> Option<String> {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("depth"), HeaderValue::from_static("0"))]);
        let call = Call::new(Method::from_bytes(b"PROPFIND").ok()?, self.base().clone(), headers, Payload::Nothing);
        let answer = self.exchange(&call, false).await.ok()?;
        let asks = answer.headers().get(header::WWW_AUTHENTICATE)?.to_str().ok()?;
        asks.split_once("realm=\"")?.1.split_once('"').map(|(realm, _)| short(realm))
    }

    /// A document that everybody may read; the password is not sent along.
    async fn told_at(&self, url: Url) -> Option<Value> {
        let answer: Response = self.exchange(&Call::new(Method::GET, url, HeaderMap::new(), Payload::Nothing), false).await.ok()?;
        let text = if answer.status() == StatusCode::OK { self.text(answer, LIMIT).await.ok()? } else { return None };
        serde_json::from_str(&text).ok()
    }
}
