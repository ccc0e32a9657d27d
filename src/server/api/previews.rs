//! What a sync would do, before it does it.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::operations::Preview;

use super::asked::{Json, Path};
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// A preview that is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewStart {
    /// So many steps of each group are told at the most; 20 unless said otherwise.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    rows: Option<u32>,
}

/// Begins to find out what a sync with a service would do; nothing is changed by it. While it is being found out, `/events` tells of it
/// (`started`, `listing`, `ended`), and this path how far it is. One that is under way is gone on with.
#[utoipa::path(
    post, path = "/services/{name}/preview", tag = "syncs", params(("name" = String, Path, description = "The service.")), request_body = PreviewStart,
    responses((status = 202, description = "It has begun.", body = Preview))
)]
pub(super) async fn begin_preview(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(start): Json<PreviewStart>,
) -> Result<Told<Preview>, Problem> {
    Ok(Told(StatusCode::ACCEPTED, shared.operations.begin_preview(name, start.rows).await?))
}

/// The latest preview of a service: in groups, with sums and the first steps of each.
#[utoipa::path(
    get, path = "/services/{name}/preview", tag = "syncs", params(("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "As far as it is.", body = Preview))
)]
pub(super) async fn show_preview(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<Preview>, Problem> {
    told(shared.operations.get_preview(name).await?)
}

/// Stops a preview that is under way.
#[utoipa::path(
    delete, path = "/services/{name}/preview", tag = "syncs", params(("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "As it is now.", body = Preview))
)]
pub(super) async fn cancel_preview(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<Preview>, Problem> {
    told(shared.operations.cancel_preview(name).await?)
}
