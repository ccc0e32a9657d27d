//! One service's address, and requests to it.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use reqwest::{Body, Response, Url};
use tokio::sync::OnceCell;

use crate::dav::href;
use crate::types::RelPath;

use super::body::{Answer, Pulse, SourceFailed};
use super::capabilities::short;
use super::cookies::Cookies;
use super::gate::Gate;
use super::plain_http::{Care, NotPrivate, OnlyPrivate};
use super::retry::{Call, Waits};
use super::{Capabilities, ClientError, Fingerprint, Flow, Roots, tls};

const CONNECT: Duration = Duration::from_secs(10);
/// See [`Waits::idle`].
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// Where a service is and who we are there.
#[derive(Clone)]
pub struct Endpoint {
    /// Its WebDAV root.
    pub url: String,
    /// The account.
    pub user: String,
    /// Never printed or logged.
    pub password: String,
    /// The only certificate to trust, if pinned.
    pub fingerprint: Option<Fingerprint>,
    /// Its owner allows that the password travels over plain http through public networks.
    pub allow_http: bool,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A client of one folder of a service. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    roots: Roots,
    /// Only addresses in private networks are used.
    only_private: bool,
    /// Ends with a slash.
    base: Url,
    /// The decoded path of `base`, with the slash.
    base_path: Arc<str>,
    authorization: Option<HeaderValue>,
    cookies: Cookies,
    shown: tls::Shown,
    pub(super) flow: Flow,
    requests: Arc<AtomicU64>,
    pub(super) gate: Arc<Gate>,
    user: Arc<str>,
    pub(super) can: Arc<OnceCell<Capabilities>>,
    pub(super) waits: Waits,
    /// How the server called itself last.
    server: Arc<Mutex<Option<String>>>,
}

/// The parsed WebDAV root of a service, as an owner types it.
fn parse_url(text: &str) -> Result<Url, ClientError> {
    let bad = || ClientError::BadUrl(super::typed::redacted(text));
    let mut url = Url::parse(text.trim()).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

impl Client {
    /// A client of the service's WebDAV root. Nothing is sent yet.
    pub fn new(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let base = parse_url(&endpoint.url)?;
        let shown = tls::Shown::default();
        let failed = |reason: String| ClientError::Tls { host: host_of(&base), reason };
        let only_private = match Care::about(endpoint, &base) {
            Care::None => false,
            Care::OnlyPrivate => true,
            Care::Refuse => return Err(ClientError::PlainHttp { host: host_of(&base) }),
        };
        let (tls, roots) = tls::config(endpoint.fingerprint, Arc::clone(&shown)).map_err(|error| failed(error.to_string()))?;
        let http = build(&tls, 32, only_private).map_err(|error| failed(error.to_string()))?;
        let authorization = (!endpoint.user.is_empty()).then(|| basic(&endpoint.user, &endpoint.password)).flatten();
        let base_path = decoded_path(&base)?;
        let user = endpoint.user.as_str().into();
        let (requests, gate, can, server) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        Ok(Self {
            http,
            tls: tls.into(),
            roots,
            only_private,
            base,
            base_path,
            authorization,
            cookies: Cookies::default(),
            shown,
            flow: Flow::default(),
            requests,
            gate,
            user,
            can,
            waits: Waits::default(),
            server,
        })
    }

    /// The same, with its transfers passing through `flow`.
    pub fn with_flow(self, flow: Flow) -> Self {
        Self { flow, ..self }
    }

    /// The same account, rooted at a folder below.
    pub fn at(&self, folder: &RelPath) -> Result<Self, ClientError> {
        let mut below = self.clone();
        if !folder.is_root() {
            let path = href::below(self.base.path(), folder, true);
            below.base.set_path(&path);
        }
        below.base_path = decoded_path(&below.base)?;
        Ok(below)
    }

    /// The same account, rooted at another address of the same service.
    pub(super) fn rooted_at(&self, base: Url) -> Result<Self, ClientError> {
        let base_path = decoded_path(&base)?;
        Ok(Self { base, base_path, ..self.clone() })
    }

    /// The same, but each request goes over a connection of its own.
    pub fn on_fresh_connections(&self) -> Result<Self, ClientError> {
        let http =
            build(&self.tls, 0, self.only_private).map_err(|error| ClientError::Tls { host: self.host(), reason: error.to_string() })?;
        Ok(Self { http, ..self.clone() })
    }

    /// Host and port, for messages.
    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    /// The address of the folder, for messages.
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// How many requests were sent, by all clones together.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How the server calls itself in its answers, once it has answered and if it does.
    pub fn server(&self) -> Option<String> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The absolute URL of a path.
    pub(super) fn url_of(&self, path: &RelPath, folder: bool) -> Url {
        let mut url = self.base.clone();
        url.set_path(&href::below(self.base.path(), path, folder));
        url
    }

    pub(super) fn tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.tls
    }

    pub(super) fn roots(&self) -> Roots {
        self.roots
    }

    pub(super) fn shown(&self) -> Option<rustls::pki_types::CertificateDer<'static>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request once, with the password or without it; any answer is one.
    pub(super) async fn exchange(&self, call: &Call, logged_in: bool) -> Result<Response, ClientError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = self.http.request(call.method.clone(), call.url.clone()).headers(call.headers.clone());
        if let Some(authorization) = self.authorization.as_ref().filter(|_| logged_in) {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(cookies) = self.cookies.header().filter(|_| logged_in) {
            request = request.header(header::COOKIE, cookies);
        }
        let pulse = Pulse::new();
        if let Some(body) = call.payload.body(&pulse, &self.flow) {
            if let Some(size) = call.payload.size() {
                request = request.header(header::CONTENT_LENGTH, size);
            }
            request = request.body(body);
        }
        // What a request may be silent beyond the usual is its own matter.
        let idle = call.idle.saturating_sub(IDLE) + self.waits.idle;
        let answered = tokio::select! {
            answered = request.send() => answered.map_err(|error| self.explain(&error))?,
            () = pulse.stopped(idle) => return Err(ClientError::Timeout { host: self.host() }),
        };
        self.cookies.take(answered.headers());
        let response = Response::from(http::Response::from(answered).map(|body| Body::wrap(Answer::new(body, self.waits.idle))));
        if let Some(server) = response.headers().get(header::SERVER).and_then(|value| value.to_str().ok()).map(short) {
            *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        }
        Ok(response)
    }

    /// Sends a request once.
    pub(super) async fn once(&self, call: &Call) -> Result<Response, ClientError> {
        let response = self.exchange(call, true).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(ClientError::Unauthorized),
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                Err(ClientError::Redirect(target.unwrap_or("somewhere else").to_owned()))
            }
            _ => Ok(response),
        }
    }

    /// Says what a failed request means.
    pub(super) fn explain(&self, error: &reqwest::Error) -> ClientError {
        let host = self.host();
        if let Some(tls) = tls_error(error) {
            return self.explain_tls(host, tls);
        }
        let causes = std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source());
        if let Some(source) = causes.clone().find_map(|cause| cause.downcast_ref::<SourceFailed>()) {
            return ClientError::Source(source.to_string());
        }
        if causes.clone().any(|cause| cause.is::<NotPrivate>()) {
            return ClientError::PlainHttp { host };
        }
        let reason = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        if error.is_timeout() {
            ClientError::Timeout { host }
        } else if error.is_dns() {
            ClientError::UnknownHost(self.base.host_str().unwrap_or_default().to_owned())
        } else if error.is_connect() {
            ClientError::Unreachable { host, reason }
        } else {
            ClientError::Broken { host, reason }
        }
    }

    pub(super) fn explain_tls(&self, host: String, error: &rustls::Error) -> ClientError {
        let shown = self.shown().map(|der| Fingerprint::of(&der));
        match (error, shown) {
            (rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure), Some(found)) => {
                ClientError::WrongFingerprint { host, found }
            }
            (rustls::Error::InvalidCertificate(reason), Some(fingerprint)) => {
                let reason = match reason {
                    rustls::CertificateError::UnknownIssuer => "it is self-signed or from an unknown authority".to_owned(),
                    other => other.to_string(),
                };
                let reason = match self.roots {
                    Roots::Bundled => {
                        format!("{reason}; this system has no list of authorities, so the one that comes with Twinlens counts")
                    }
                    Roots::Pinned | Roots::System => reason,
                };
                ClientError::Untrusted { host, reason, fingerprint }
            }
            _ => ClientError::Tls { host, reason: error.to_string() },
        }
    }
}

/// A client that keeps so many idle connections.
pub(super) fn build(tls: &rustls::ClientConfig, idle: usize, only_private: bool) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("twinlens/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(idle)
        .tcp_nodelay(true)
        .tls_backend_preconfigured(tls.clone());
    match only_private {
        // A proxy would read the password, and look the name up by itself.
        true => builder.no_proxy().dns_resolver(OnlyPrivate).build(),
        false => builder.build(),
    }
}

/// The TLS error somewhere below another. An `io::Error` hides what it wraps from `source`.
pub(super) fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.and_then(|inner| tls_error(inner)).or_else(|| tls_error(error.source()?))
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn decoded_path(url: &Url) -> Result<Arc<str>, ClientError> {
    href::decode(url.path()).map(Into::into).ok_or_else(|| ClientError::BadUrl(url.to_string()))
}

/// The Basic credentials of RFC 7617, in UTF-8, marked so that they are never logged.
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint { url: url.into(), user: "a".into(), password: "secret".into(), fingerprint: None, allow_http: false }
    }

    #[test]
    fn urls_are_taken_as_people_type_them() {
        let client = Client::new(&endpoint(" http://host:81/dav/M%C3%BCller ")).unwrap();
        assert_eq!((client.url(), client.base_path()), ("http://host:81/dav/M%C3%BCller/", "/dav/Müller/"));
        let below = client.at(&RelPath::parse("Fotos/a+b").unwrap()).unwrap();
        assert_eq!(below.url(), "http://host:81/dav/M%C3%BCller/Fotos/a%2Bb/");
        for bad in ["", "host", "ftp://host/", "http://", "http://u:p@host/", "http://host/?x"] {
            assert!(matches!(Client::new(&endpoint(bad)), Err(ClientError::BadUrl(_))), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert!(!format!("{:?}", endpoint("http://host")).contains("secret"));
    }
}
