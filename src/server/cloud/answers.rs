//! Answers, and the address that they name.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use super::super::http::Body;

/// The address of the node as a client sees it: scheme, host and port, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct Base(pub(in crate::server) String);

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
