//! How this node is seen from outside: the client's address, and the scheme, host and path prefix that the client uses.
//!
//! Two kinds of words come from proxies, and they are not equally dangerous.
//! - The client's address decides whose failed logins are slowed down. It is believed only from proxies that the owner names: on the same
//!   machine there may be a tunnel that passes on what a stranger wrote.
//! - Names (scheme, host, prefix) decide how a client's own links look and which Destination is ours. They are believed from the same
//!   machine too: whoever forges them misleads only himself, and MOVE works behind a local proxy without any setting.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::forwarded::{self, Named};

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const IF: HeaderName = HeaderName::from_static("if");
/// What a Destination on another server is replaced by; no path of ours is there.
const ELSEWHERE: HeaderValue = HeaderValue::from_static("http://elsewhere.invalid/elsewhere");
/// First segments of paths that the node itself answers at: a prefix that begins like one could be meant either way.
const OWN: [&str; 16] = [
    "originals",
    "import",
    "webdav",
    "remote.php",
    "ocs",
    "api",
    "status.php",
    "index.php",
    "livez",
    "readyz",
    "metrics",
    "signin",
    "library",
    "activity",
    "settings",
    "assets",
];

/// A network of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical())));
        network.map(Self).map_err(|_| "write an address, or a network like 10.0.0.0/8".to_owned())
    }
}

/// A path in front of all ours, such as `/photos`; perhaps empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Default for Prefix {
    fn default() -> Self {
        Self("".into())
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let prefix = forwarded::prefix(text).ok_or("write it like /photos")?;
        let prefix = Self(prefix.into());
        if prefix.is_ambiguous() {
            return Err("the node itself answers below this; choose another prefix".to_owned());
        }
        Ok(prefix)
    }
}

impl Prefix {
    fn is_ambiguous(&self) -> bool {
        self.0.split('/').nth(1).is_some_and(|first| OWN.contains(&first))
    }

    /// The path without this prefix, when it begins with it.
    fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.0).filter(|_| !self.0.is_empty() && !self.is_ambiguous())?;
        match rest {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }
}

/// An address that clients use: `https://photos.example.org/photos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    scheme: &'static str,
    host: Authority,
    prefix: Prefix,
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it like https://photos.example.org or https://example.org/photos".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (scheme, host) = forwarded::scheme(scheme).zip(forwarded::authority(host)).ok_or_else(wrong)?;
        Ok(Self { scheme, host, prefix: path.parse()? })
    }
}

/// What the owner says of the world outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// Proxies whose word about the client's address is believed. None unless named.
    pub trusted_proxies: Vec<Network>,
    /// Addresses that clients use, where proxies do not tell them.
    pub external_urls: Vec<ExternalUrl>,
    /// The path prefix that clients use, where proxies do not tell it.
    pub url_prefix: Prefix,
}

/// Who asks, and how he sees us. Every request has one among its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Peer {
    /// The client's own address, as far as it is known.
    pub(in super::super) address: IpAddr,
    /// `http` or `https`: what the client speaks.
    scheme: &'static str,
    host: Option<Authority>,
    prefix: Prefix,
}

impl Peer {
    /// Of a request that has arrived.
    pub(in super::super) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The path of ours as the client has to write it. Every href in an answer goes through this.
    pub(in super::super) fn href(&self, path: &str) -> String {
        format!("{}{path}", self.prefix.0)
    }

    /// The origin of our pages, as a browser tells it: `https://photos.example.org`.
    pub(in super::super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host.as_ref().map_or("localhost", Authority::as_str))
    }

    /// Whether nobody on the way to the client can read along.
    pub(in super::super) fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The address that the client knows us by, without a slash at its end: `https://photos.example.org/photos`.
    pub(in super::super) fn base(&self) -> String {
        format!("{}{}", self.origin(), self.prefix.0)
    }
}

impl Outside {
    /// Whether an address is that of a proxy which the owner trusts.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Makes a request a local one: its path, its Destination and the URLs in its If lose the prefix. A Destination that is ours becomes
    /// an absolute path, one on another server `http://elsewhere.invalid/elsewhere`. Who asks stands in the extensions from then on.
    pub(super) fn arrive(&self, parts: &mut Parts, nearest: IpAddr, secure: bool) -> Peer {
        let nearest = nearest.to_canonical();
        let trusted = self.trusts(nearest);
        let address = forwarded::client(&parts.headers, nearest, |address| self.trusts(address));
        let names = if trusted || nearest.is_loopback() { forwarded::named(&parts.headers) } else { Named::default() };
        let addressed = parts.uri.authority().cloned().or_else(|| forwarded::authority(parts.headers.get(HOST)?.to_str().ok()?));
        let forwarded_host = names.host.is_some();
        let host = names.host.or_else(|| addressed.clone());
        let external = host.as_ref().and_then(|host| self.external_urls.iter().find(|external| is_host(&external.host, host)));
        // A trusted proxy that tells no host hides the one that the client used.
        let external = external.or_else(|| self.external_urls.first().filter(|_| trusted && !forwarded_host));

        let told = names.prefix.map(|prefix| Prefix(prefix.into()));
        let mut prefixes: Vec<&Prefix> = told.iter().chain(self.external_urls.iter().map(|url| &url.prefix)).collect();
        prefixes.push(&self.url_prefix);
        // The longest first: `/a/b` before `/a`.
        prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.0.len()));
        let carried = prefixes.iter().find_map(|prefix| Some((*prefix, prefix.strip(parts.uri.path())?.to_owned())));
        let by_proxy = trusted || nearest.is_loopback();
        let prefix = match &carried {
            Some((prefix, _)) => (*prefix).clone(),
            // The proxy has taken it off: the client sees it all the same.
            None => {
                let ours = Some(&self.url_prefix).filter(|_| by_proxy);
                told.as_ref().or(external.map(|url| &url.prefix)).or(ours).cloned().unwrap_or_default()
            }
        };
        let scheme = names.scheme.or(external.map(|url| url.scheme)).unwrap_or(if secure { "https" } else { "http" });
        let seen = external.map(|url| url.host.clone()).filter(|_| !forwarded_host).or_else(|| host.clone());

        let hosts: Vec<&Authority> = addressed.iter().chain(&host).chain(self.external_urls.iter().map(|url| &url.host)).collect();
        if let Some(path) = carried.map(|(_, path)| path) {
            set_path(parts, &path);
        }
        localize(&mut parts.headers, &hosts, &prefixes);
        let peer = Peer { address, scheme, host: seen, prefix };
        parts.extensions.insert(peer.clone());
        peer
    }
}

/// One host under both names. The scheme and a default port do not count: TLS may end in front of us, and proxies drop ports.
fn is_host(one: &Authority, other: &Authority) -> bool {
    let port = |host: &Authority| host.port_u16().filter(|port| !matches!(port, 80 | 443));
    let same_port = match (port(one), port(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    same_port && one.host().eq_ignore_ascii_case(other.host())
}

fn set_path(parts: &mut Parts, path: &str) {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(path) = PathAndQuery::try_from(format!("{path}{query}")) else { return };
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = Some(path);
    parts.uri = http::Uri::from_parts(uri).unwrap_or_default();
}

fn localize(headers: &mut HeaderMap, hosts: &[&Authority], prefixes: &[&Prefix]) {
    if let Some(value) = headers.get(DESTINATION) {
        let local = match destination(value.as_bytes(), hosts, prefixes) {
            Destination::Ours(path) => HeaderValue::from_bytes(path.as_bytes()).ok(),
            Destination::Elsewhere => {
                let names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
                // Nobody has logged in yet: this must not fill the log of an owner who did not ask for it.
                tracing::info!(
                    destination = %String::from_utf8_lossy(value.as_bytes()),
                    ?names,
                    "a Destination names another server; if it is this one behind a proxy, name its address with --external-url"
                );
                Some(ELSEWHERE)
            }
            Destination::Unusable => None,
        };
        if let Some(local) = local {
            headers.insert(DESTINATION, local);
        }
    }
    if prefixes.iter().any(|prefix| !prefix.0.is_empty())
        && let Some(text) = headers.get(IF).and_then(|value| value.to_str().ok()).and_then(|text| local_if(text, prefixes))
        && let Ok(value) = HeaderValue::from_str(&text)
    {
        headers.insert(IF, value);
    }
}

/// Where a Destination header points (RFC 4918 section 10.3).
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// To this path of ours.
    Ours(String),
    /// To another server.
    Elsewhere,
    /// Nowhere.
    Unusable,
}

fn destination(value: &[u8], hosts: &[&Authority], prefixes: &[&Prefix]) -> Destination {
    let Ok(text) = str::from_utf8(value) else { return Destination::Unusable };
    let text = text.trim();
    let (host, path) = match text.split_once("://").filter(|_| !text.starts_with('/')) {
        Some((scheme, rest)) => {
            if forwarded::scheme(scheme).is_none() {
                return Destination::Elsewhere;
            }
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(host.rsplit_once('@').map_or(host, |(_, host)| host)), path)
        }
        None => (None, text),
    };
    if let Some(host) = host {
        let Some(host) = forwarded::authority(host) else { return Destination::Unusable };
        if !hosts.iter().any(|ours| is_host(ours, &host)) {
            return Destination::Elsewhere;
        }
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Destination::Unusable;
    }
    Destination::Ours(local_path(path, prefixes).to_owned())
}

fn local_path<'a>(path: &'a str, prefixes: &[&Prefix]) -> &'a str {
    prefixes.iter().find_map(|prefix| prefix.strip(path)).unwrap_or(path)
}

/// An If header with local paths in its resource tags (RFC 4918 section 10.4); None when nothing changes.
fn local_if(text: &str, prefixes: &[&Prefix]) -> Option<String> {
    let mut local = String::with_capacity(text.len());
    let (mut rest, mut inside, mut changed) = (text, false, false);
    while let Some(at) = rest.find(['(', ')', '<', '"']) {
        let (before, from) = rest.split_at(at);
        local.push_str(before);
        // Quotes hold entity tags, in which everything may stand; angle brackets inside of parentheses hold lock tokens.
        let end = match from.as_bytes().first() {
            Some(b'"') => from.get(1..).and_then(|tail| tail.find('"')).map(|end| end + 2),
            Some(b'<') => from.find('>').map(|end| end + 1),
            Some(b'(') => {
                inside = true;
                Some(1)
            }
            _ => {
                inside = false;
                Some(1)
            }
        };
        let (item, after) = from.split_at(end?);
        match item.strip_prefix('<').and_then(|item| item.strip_suffix('>')).filter(|_| !inside) {
            Some(tag) => {
                let path_at = match tag.find("://").filter(|_| !tag.starts_with('/')) {
                    Some(scheme) => tag[scheme + 3..].find('/').map_or(tag.len(), |slash| scheme + 3 + slash),
                    None => 0,
                };
                let (host, path) = tag.split_at(path_at);
                let path_here = local_path(path, prefixes);
                changed |= path_here != path;
                local.push_str(&format!("<{host}{path_here}>"));
            }
            None => local.push_str(item),
        }
        rest = after;
    }
    local.push_str(rest);
    changed.then_some(local)
}

#[cfg(test)]
mod tests;
