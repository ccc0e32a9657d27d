//! Refusals as problem documents (RFC 9457).

use std::borrow::Cow;

use axum::response::IntoResponse;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::AccountError;
use crate::library::LibraryError;
use crate::operations::{ExitCode, Failure, Kind, PUBLIC};
use crate::store::StoreError;

/// Why a request is refused.
#[derive(Debug)]
pub(in super::super) struct Problem {
    pub(in super::super) status: StatusCode,
    /// What a program can tell it by; the same for every version.
    pub(in super::super) code: &'static str,
    pub(in super::super) detail: String,
    pub(in super::super) errors: Vec<FieldError>,
    exit: Option<ExitCode>,
    pub(in super::super) headers: Vec<(http::HeaderName, HeaderValue)>,
}

/// What is wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(in super::super) struct FieldError {
    /// Which part: a member of the body, a parameter of the query, of the path, or a header.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// `urn:twinlens:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the status means.
    pub title: Option<Cow<'static, str>>,
    /// The status of the answer.
    pub status: u16,
    /// The end of the type: what a program can tell problems apart by. It stays the same from version to version.
    pub code: Cow<'static, str>,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// The parts of the request that it is about, where there are some.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<FieldError>,
    /// How the command line ends for the same failure: 1 with failures, 2 wrong usage, 3 not reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<u8>,
}

impl Problem {
    pub(in super::super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), exit: None, headers: Vec::new() }
    }

    /// The request cannot be used.
    pub(in super::super) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// A part of the request cannot be used.
    pub(in super::super) fn bad_field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::bad("bad-request", message.clone()).about(field, message)
    }

    /// There is nothing at a path, or nothing that is for whoever asks.
    pub(in super::super) fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing-here", "There is nothing here.")
    }

    /// There is no such method at a path; the router says which ones there are.
    pub(in super::super) fn wrong_method(method: &Method) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", format!("This is not asked with {method}; see the header Allow."))
    }

    /// Whoever asks may not.
    pub(in super::super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "no-right", detail)
    }

    /// The node is in public mode.
    pub(in super::super) fn public() -> Self {
        Failure::usage(PUBLIC).of_kind(Kind::PublicMode).into()
    }

    /// Something went wrong here.
    pub(in super::super) fn failed(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "The state could not be read; the log says why.")
    }

    /// The part of the request that it is about.
    pub(in super::super) fn about(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// The same may work in so many seconds.
    pub(in super::super) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// How to log in.
    pub(super) fn challenge(self, how: &'static str) -> Self {
        self.header(WWW_AUTHENTICATE, HeaderValue::from_static(how))
    }

    /// Whether it is about a login that is wrong.
    pub(in super::super) fn is_login(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// What happened, in words.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<axum::body::Body> {
        let document = Document {
            kind: format!("urn:twinlens:problem:{}", self.code),
            title: self.status.canonical_reason().map(Cow::Borrowed),
            status: self.status.as_u16(),
            code: Cow::Borrowed(self.code),
            detail: self.detail,
            errors: self.errors,
            exit_code: self.exit.map(|code| code as u8),
        };
        let mut answer = super::json(self.status, "application/problem+json", &document);
        for (name, value) in self.headers {
            answer.headers_mut().append(name, value);
        }
        answer
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure { code: exit, kind, field, message, cause: _ } = failure;
        let (status, code) = match kind {
            Kind::BadInput => (StatusCode::UNPROCESSABLE_ENTITY, "bad-input"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Kind::Taken => (StatusCode::CONFLICT, "taken"),
            Kind::WrongState => (StatusCode::CONFLICT, "wrong-state"),
            Kind::PublicMode => (StatusCode::FORBIDDEN, "public-mode"),
            // Not 502: it is no failure of this server that an address which somebody gave does not work.
            Kind::ServiceUnreachable => (StatusCode::UNPROCESSABLE_ENTITY, "service-unreachable"),
            Kind::NoLibrary => (StatusCode::SERVICE_UNAVAILABLE, "no-library"),
            Kind::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
            Kind::Failed => {
                tracing::error!(%message, "a request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "failed")
            }
        };
        let problem = Self { exit: Some(exit), ..Self::new(status, code, message.clone()) };
        match field {
            Some(field) => problem.about(field, message),
            None => problem,
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        Failure::from(error).into()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Failure::from(error).into()
    }
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Self {
        Failure::from(error).into()
    }
}
