//! What a form says.

use axum::extract::FromRequest;
use http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use super::super::api::{Problem, whole_body};
use super::refused::Refused;

/// A body of a form (`application/x-www-form-urlencoded`).
pub(super) struct Form<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Refused;

    async fn from_request(request: Request<axum::body::Body>, _: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let body = whole_body(body).await?;
        if !is_form && !body.is_empty() {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad-request", "This takes a form.").into());
        }
        parse(&body).map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_urlencoded::from_bytes(body).map_err(|error| Problem::bad("bad-request", format!("The form cannot be used: {error}.")).into())
}

/// What follows the question mark in an address.
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> axum::extract::FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Refused> {
        parse(parts.uri.query().unwrap_or_default().as_bytes()).map(Self)
    }
}

/// Whether a switch is on.
pub(super) fn is_on(value: Option<&str>) -> bool {
    value == Some("on")
}
