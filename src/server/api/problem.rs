//! Refusals as problem documents (RFC 9457).

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::super::http::Body;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// What a program can tell it by; the same for every version.
    kind: &'static str,
    detail: String,
    methods: Option<&'static str>,
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), methods: None, retry_after: None }
    }

    /// Another method is wanted.
    pub(super) fn not_allowed(methods: &'static str) -> Self {
        let detail = format!("This is asked with {methods}.");
        Self { methods: Some(methods), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail) }
    }

    /// Something went wrong here.
    pub(super) fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "The state could not be read; the log says why.")
    }

    /// The same may work in so many seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn answer(self) -> Response<Body> {
        let document = json!({
            "type": format!("urn:twinlens:problem:{}", self.kind),
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut answer = super::json(self.status, "application/problem+json", &document);
        if let Some(methods) = self.methods {
            super::allow(&mut answer, methods);
        }
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}
