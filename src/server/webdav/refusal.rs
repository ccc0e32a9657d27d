//! Answers to what cannot be done: plain words, and the condition codes of RFC 4918 section 16 for programs.

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::library::LibraryError;

use super::super::http::{Body, text};
use super::options::FOLDER;

/// The answer to something that cannot be done.
pub(super) struct Refusal(Box<Response<Body>>);

/// A result of something that is answered right away where it fails.
pub(super) type Answered<T> = Result<T, Refusal>;

impl From<Response<Body>> for Refusal {
    fn from(answer: Response<Body>) -> Self {
        Self(Box::new(answer))
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        *refusal.0
    }
}

/// The answer that something led to, one way or the other.
pub(super) fn settle(answer: Answered<Response<Body>>) -> Response<Body> {
    answer.unwrap_or_else(Response::from)
}

/// A refusal in plain text.
pub(super) fn refuse(status: StatusCode, reason: impl Into<String>) -> Refusal {
    text(status, reason).into()
}

/// The answer for a failed change; its text names the path.
pub(super) fn failed(error: &LibraryError) -> Refusal {
    let status = match error {
        LibraryError::NotFound(_) => StatusCode::NOT_FOUND,
        LibraryError::NoParent(_) => StatusCode::CONFLICT,
        LibraryError::Changed(_) | LibraryError::Exists(_) => StatusCode::PRECONDITION_FAILED,
        LibraryError::WrongKind(_) => return not_allowed(&format!("{error}.\n"), FOLDER),
        LibraryError::Outside(_) => StatusCode::FORBIDDEN,
        LibraryError::TooLong(_) => StatusCode::URI_TOO_LONG,
        full if full.is_full() => StatusCode::INSUFFICIENT_STORAGE,
        other if other.crosses_disks() => {
            let reason =
                "Another disk is mounted there, and a folder cannot go from one to the other in one step; copy it and delete it.\n";
            return refuse(StatusCode::BAD_GATEWAY, reason);
        }
        other => {
            tracing::error!(error = %other, "a request failed");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, "This did not work, and nothing was changed; the log says why.\n");
        }
    };
    refuse(status, format!("{error}.\n"))
}

/// 412.
pub(super) fn unmet() -> Refusal {
    refuse(StatusCode::PRECONDITION_FAILED, "A condition of the request does not hold; nothing was changed.\n")
}

/// 403: the rights do not go so far.
pub(super) fn forbidden() -> Refusal {
    refuse(StatusCode::FORBIDDEN, "This is not allowed here: the node is read-only, or your rights do not go so far.\n")
}

/// 405 with the methods that are allowed (RFC 9110 section 15.5.6).
pub(super) fn not_allowed(reason: &str, allow: &str) -> Refusal {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, reason);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer.into()
}

/// 423: these are the roots of the locks that are in the way.
pub(super) fn locked(hrefs: &[String]) -> Refusal {
    with_condition(StatusCode::LOCKED, "lock-token-submitted", hrefs)
}

/// An error with a condition code and the hrefs that belong to it.
pub(super) fn with_condition(status: StatusCode, condition: &str, hrefs: &[String]) -> Refusal {
    let hrefs: String = hrefs.iter().map(|href| format!("<d:href>{href}</d:href>")).collect();
    let body = format!("<d:error xmlns:d=\"DAV:\"><d:{condition}>{hrefs}</d:{condition}></d:error>");
    xml(status, &body).into()
}

/// An answer in XML.
pub(super) fn xml(status: StatusCode, body: &str) -> Response<Body> {
    let mut answer = text(status, format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{body}"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    answer
}

/// 500: a thread ended.
pub(super) fn broken<E>(_: E) -> Refusal {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "The request ended unexpectedly; the log says why.\n")
}
