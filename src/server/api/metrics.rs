//! Figures for Prometheus, at `/metrics`: names of services are in them, so they are for admins.

use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::Shared;
use super::caller::Admin;
use super::problem::Problem;

/// Where they are.
pub(super) const PATH: &str = "/metrics";
/// OpenMetrics 1.0.
const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was done since the start, and how things are, in the text format of OpenMetrics 1.0.
#[utoipa::path(get, path = "/metrics", tag = "metrics", responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(super) async fn show(State(shared): State<Shared>, _: Admin) -> Result<Response<axum::body::Body>, Problem> {
    let mut answer = Response::new(axum::body::Body::from(shared.operations.metrics().await?));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}
