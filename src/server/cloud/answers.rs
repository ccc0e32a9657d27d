//! Answers, and the address that they name.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use super::super::http::{Body, Peer};

/// The node as a client sees it, perhaps through a proxy.
#[derive(Debug, Clone)]
pub(in crate::server) struct Base(Option<Peer>);

impl Base {
    /// Of a request.
    pub(in crate::server) fn of<B>(request: &Request<B>) -> Self {
        Self(Peer::of(request.extensions()).cloned())
    }

    /// Scheme, host, port and perhaps a path, without a slash at the end.
    pub(super) fn url(&self) -> String {
        self.0.as_ref().map_or_else(|| "http://localhost".to_owned(), Peer::base)
    }

    /// A path of ours as the client has to write it.
    pub(super) fn href(&self, path: &str) -> String {
        self.0.as_ref().map_or_else(|| path.to_owned(), |peer| peer.href(path))
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
