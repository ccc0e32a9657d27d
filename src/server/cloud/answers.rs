//! Answers, and the address that they name.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use super::super::http::Body;

/// The address of the node as a client sees it: scheme, host and port, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Base(pub(in crate::server) String);

impl Base {
    /// From what a request says of itself. A host that is none counts as missing.
    pub(in crate::server) fn of(uri: &Uri, headers: &HeaderMap, secure: bool) -> Self {
        let told = uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get(HOST)?.to_str().ok());
        let usable = |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
        let host = told.filter(usable).unwrap_or("localhost");
        Self(format!("{}://{host}", if secure { "https" } else { "http" }))
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    whole(status, None, Vec::new())
}

/// A JSON document.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    whole(status, Some("application/json; charset=utf-8"), value.to_string().into_bytes())
}

/// A document that nobody keeps.
pub(super) fn whole(status: StatusCode, kind: Option<&'static str>, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_that_was_asked() {
        let base = |host: &'static str, secure| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            Base::of(&Uri::from_static("/status.php"), &headers, secure).0
        };
        assert_eq!(base("photos.example:8443", true), "https://photos.example:8443");
        assert_eq!(base("[::1]:2342", false), "http://[::1]:2342");
        assert_eq!(base("evil\"><script>", false), "http://localhost");
    }
}
