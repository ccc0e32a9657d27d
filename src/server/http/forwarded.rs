//! What proxies tell of a request: `Forwarded` (RFC 7239) and `X-Forwarded-*`. Only reading; whom to believe is for [`super::outside`].

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use http::uri::Authority;

const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The client's address: of the chain of proxies, read from the nearest one outwards, the first that is no trusted proxy. A nearest one
/// that is not trusted is the client.
///
/// A proxy that knows only one of the two headers passes on what the client wrote into the other. Where they disagree neither is believed,
/// and the proxy itself counts as the client.
pub(super) fn client(headers: &HeaderMap, nearest: IpAddr, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    if !trusted(nearest) {
        return nearest;
    }
    let walk = |chain: Vec<Option<IpAddr>>| {
        let mut last = nearest;
        for hop in chain.into_iter().rev() {
            match hop {
                Some(address) if trusted(address) => last = address,
                Some(address) => return address,
                None => return last,
            }
        }
        last
    };
    match (list(headers, &X_FOR).map(|list| list.iter().map(|node| address(node)).collect()).map(walk), forwarded_for(headers).map(walk)) {
        (Some(one), Some(other)) if one != other => nearest,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => nearest,
    }
}

/// How the client names this node, as far as proxies tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// `http` or `https`.
    pub(super) scheme: Option<&'static str>,
    /// Host and port.
    pub(super) host: Option<Authority>,
    /// The path in front of ours, without a slash at its end; never empty.
    pub(super) prefix: Option<String>,
}

/// The names that a request brings. Of several proxies' words the outermost's count: it is nearest to the client.
pub(super) fn named(headers: &HeaderMap) -> Named {
    let first = |name: &HeaderName| list(headers, name).and_then(|list| list.into_iter().next());
    let elements = elements(headers);
    let from_forwarded = |key: &str| elements.iter().flatten().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let scheme = first(&X_PROTO).or_else(|| from_forwarded("proto")).and_then(|proto| scheme(&proto));
    let host = first(&X_HOST).or_else(|| from_forwarded("host")).and_then(|host| authority(&host));
    let port = first(&X_PORT).and_then(|port| port.parse::<u16>().ok());
    let host = match (host, port) {
        (Some(host), Some(port)) if host.port().is_none() && default_port(scheme.unwrap_or("http")) != port => {
            authority(&format!("{host}:{port}")).or(Some(host))
        }
        (host, _) => host,
    };
    // Each proxy that takes something off the path adds it to the list.
    let prefix = list(headers, &X_PREFIX).and_then(|list| list.iter().map(|part| prefix(part)).collect::<Option<String>>());
    Named { scheme, host, prefix: prefix.filter(|prefix| !prefix.is_empty()) }
}

/// Whether a proxy has passed this request on and said so.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FOR) || headers.contains_key(FORWARDED)
}

pub(super) fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(text.trim()))
}

pub(super) fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// A host with or without a port.
pub(super) fn authority(text: &str) -> Option<Authority> {
    text.trim().parse().ok().filter(|authority: &Authority| !authority.as_str().contains('@') && !authority.host().is_empty())
}

/// A prefix as it stands in URLs, without a slash at its end: `/photos`, or nothing for `/`. None when it is no path.
pub(super) fn prefix(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    let is_path = text.is_empty() || text.starts_with('/');
    let is_plain = text.bytes().all(usable) && !text.contains("//") && !text.split('/').any(|segment| matches!(segment, "." | ".."));
    (is_path && is_plain).then(|| text.to_owned())
}

/// The items of a header that is a list; None when it is not there.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut items = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().unwrap_or("unknown");
        items.extend(text.split(',').map(|item| item.trim().trim_matches('"').to_owned()).filter(|item| !item.is_empty()));
    }
    (!items.is_empty()).then_some(items)
}

/// The address of a node (RFC 7239 section 6), with or without a port. None for `unknown` and obfuscated ones.
fn address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().or_else(|_| node.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

fn forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let elements = elements(headers);
    let node = |element: &Element| element.iter().find(|(name, _)| name == "for").and_then(|(_, node)| address(node));
    (!elements.is_empty()).then(|| elements.iter().map(node).collect())
}

/// The pairs that one proxy has written; names in lower case.
type Element = Vec<(String, String)>;

/// The elements of all Forwarded headers, the client's side first (RFC 7239 section 4).
fn elements(headers: &HeaderMap) -> Vec<Element> {
    let mut elements = Vec::new();
    for value in headers.get_all(FORWARDED) {
        let text = value.to_str().unwrap_or_default();
        for element in pieces(text, ',') {
            let pairs = pieces(element, ';').into_iter().filter_map(|pair| pair.split_once('='));
            elements.push(pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), unquoted(value.trim()))).collect());
        }
    }
    elements
}

/// Splits at a separator outside of quotes.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// A token, or the text of a quoted-string (RFC 9110 section 5.6.4).
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else { return value.to_owned() };
    let (mut text, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(c);
            escaped = false;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_client_is_the_first_address_that_is_no_trusted_proxy() {
        let nearest: IpAddr = "10.0.0.1".parse().unwrap();
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let found = |lines: &[(&'static str, &'static str)]| client(&headers(lines), nearest, trusted).to_string();
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&[("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            // What the client itself wrote stands on the left.
            (&[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2")], "203.0.113.9"),
            (&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            (&[("x-forwarded-for", "10.9.9.9, 10.0.0.2")], "10.9.9.9"),
            (&[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")], "10.0.0.2"),
            (&[("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9"),
            (&[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
            (&[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
            (&[("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9"),
            (&[("x-forwarded-for", "")], "10.0.0.1"),
            (&[("forwarded", "for=203.0.113.9;proto=https, for=10.0.0.2")], "203.0.113.9"),
            (&[("forwarded", "For=\"[2001:db8::1]:4711\"")], "2001:db8::1"),
            (&[("forwarded", "for=_hidden")], "10.0.0.1"),
            (&[("forwarded", "proto=https;for=\"a,b\";for=1.1.1.1")], "10.0.0.1"),
            // The proxy knows one header and passes on the other: neither is believed.
            (&[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], "10.0.0.1"),
            (&[("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
        ] {
            assert_eq!(found(lines), expected, "{lines:?}");
        }
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(client(&headers(&[("x-forwarded-for", "203.0.113.9")]), stranger, trusted), stranger);
    }

    #[test]
    fn names_are_read_from_either_header() {
        let named = |lines: &[(&'static str, &'static str)]| {
            let Named { scheme, host, prefix } = named(&headers(lines));
            (scheme.unwrap_or_default(), host.map(|host| host.to_string()).unwrap_or_default(), prefix.unwrap_or_default())
        };
        let is = |scheme: &'static str, host: &str, prefix: &str| (scheme, host.to_owned(), prefix.to_owned());
        for (lines, expected) in [
            (&[][..], is("", "", "")),
            (&[("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a.example")], is("https", "a.example", "")),
            (&[("x-forwarded-host", "a.example, b.internal"), ("x-forwarded-proto", "https,http")], is("https", "a.example", "")),
            (&[("x-forwarded-host", "a.example"), ("x-forwarded-port", "8443")], is("", "a.example:8443", "")),
            (
                &[("x-forwarded-host", "a.example"), ("x-forwarded-port", "443"), ("x-forwarded-proto", "https")],
                is("https", "a.example", ""),
            ),
            (&[("x-forwarded-host", "a.example:1"), ("x-forwarded-port", "2")], is("", "a.example:1", "")),
            (&[("x-forwarded-prefix", "/photos/")], is("", "", "/photos")),
            (&[("x-forwarded-prefix", "/a, /b")], is("", "", "/a/b")),
            (&[("forwarded", "host=\"a.example:81\";proto=https")], is("https", "a.example:81", "")),
            (&[("x-forwarded-proto", "wss"), ("x-forwarded-host", "u@evil")], is("", "", "")),
        ] {
            assert_eq!(named(lines), expected, "{lines:?}");
        }
        for bad in ["photos", "/a/../b", "//a", "/a\"b", "/a<b>", "/a?b"] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
    }
}
