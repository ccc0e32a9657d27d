//! Chosen files that are sent to a service.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{ShareList, ShareReport, ShareRequest, ToldShare};

use super::asked::{Json, Path};
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// Which share is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OneShare {
    /// Its number; all when there is none.
    #[serde(default)]
    share: Option<u64>,
}

/// Shares that were tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    shares: Vec<ShareReport>,
}

/// What is not sent any more.
#[derive(Serialize, ToSchema)]
pub(super) struct ShareCancelled {
    /// How many files.
    cancelled: u64,
}

/// Shares files, in the background or until they were sent. What fails is tried again.
#[utoipa::path(
    post, path = "/shares", tag = "shares", request_body = ShareRequest,
    responses((status = 201, description = "How far it is.", body = ShareReport))
)]
pub(super) async fn start(_: Admin, State(shared): State<Shared>, Json(request): Json<ShareRequest>) -> Result<Told<ShareReport>, Problem> {
    Ok(Told(StatusCode::CREATED, shared.operations.share(request).await?))
}

/// All shares, the latest first.
#[utoipa::path(get, path = "/shares", tag = "shares", responses((status = 200, description = "All shares.", body = ShareList)))]
pub(super) async fn list(_: Admin, State(shared): State<Shared>) -> Result<Told<ShareList>, Problem> {
    told(shared.operations.shares().await?)
}

/// One share, with its files.
#[utoipa::path(
    get, path = "/shares/{share}", tag = "shares", params(("share" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The share.", body = ToldShare))
)]
pub(super) async fn show(_: Admin, State(shared): State<Shared>, Path(share): Path<u64>) -> Result<Told<ToldShare>, Problem> {
    told(shared.operations.told_share(share).await?)
}

/// Tries what failed again, and waits.
#[utoipa::path(
    post, path = "/shares/retry", tag = "shares", request_body = OneShare,
    responses((status = 200, description = "How far they are.", body = Retried))
)]
pub(super) async fn retry(_: Admin, State(shared): State<Shared>, Json(one): Json<OneShare>) -> Result<Told<Retried>, Problem> {
    told(Retried { shares: shared.operations.retry_shares(one.share).await? })
}

/// Sends no more of what was not sent yet.
#[utoipa::path(
    post, path = "/shares/cancel", tag = "shares", request_body = OneShare,
    responses((status = 200, description = "What is not sent.", body = ShareCancelled))
)]
pub(super) async fn cancel(_: Admin, State(shared): State<Shared>, Json(one): Json<OneShare>) -> Result<Told<ShareCancelled>, Problem> {
    told(ShareCancelled { cancelled: shared.operations.cancel_shares(one.share).await? })
}
