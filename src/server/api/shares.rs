//! Chosen files that are sent to a service, and removed from it again when they expire.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::operations::{ShareDetails, ShareReport, ShareRequest, ToldService, UploadChange};

use super::asked::{Json, Path};
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// All shares, the latest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AllShares {
    shares: Vec<ShareReport>,
}

/// How many files are tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    retried: u64,
}

/// How many files are not sent any more.
#[derive(Serialize, ToSchema)]
pub(super) struct Cancelled {
    cancelled: u64,
}

/// All shares, the latest first, without their files.
#[utoipa::path(get, path = "/shares", tag = "shares", responses((status = 200, description = "All shares.", body = AllShares)))]
pub(super) async fn list(_: Admin, State(shared): State<Shared>) -> Result<Told<AllShares>, Problem> {
    told(AllShares { shares: shared.operations.shares().await? })
}

/// Shares files of the library: they are sent in the background. What goes on tell `/events` and the share itself.
#[utoipa::path(
    post, path = "/shares", tag = "shares", request_body = ShareRequest,
    responses((status = 201, description = "The files wait to be sent.", body = ShareReport))
)]
pub(super) async fn add(_: Admin, State(shared): State<Shared>, Json(request): Json<ShareRequest>) -> Result<Told<ShareReport>, Problem> {
    let request = ShareRequest { background: true, ..request };
    Ok(Told(StatusCode::CREATED, shared.operations.share(request).await?))
}

/// A share with its files.
#[utoipa::path(
    get, path = "/shares/{id}", tag = "shares", params(("id" = u64, Path, description = "The share.")),
    responses((status = 200, description = "The share.", body = ShareDetails))
)]
pub(super) async fn show(_: Admin, State(shared): State<Shared>, Path(id): Path<u64>) -> Result<Told<ShareDetails>, Problem> {
    told(shared.operations.one_share(id).await?)
}

/// Tries again what failed.
#[utoipa::path(
    post, path = "/shares/{id}/retry", tag = "shares", params(("id" = u64, Path, description = "The share.")),
    responses((status = 200, description = "It is tried again in the background.", body = Retried))
)]
pub(super) async fn retry(_: Admin, State(shared): State<Shared>, Path(id): Path<u64>) -> Result<Told<Retried>, Problem> {
    told(Retried { retried: shared.operations.retry_later(Some(id)).await? })
}

/// Sends no more of what was not sent yet. What is on the service stays until it expires.
#[utoipa::path(
    post, path = "/shares/{id}/cancel", tag = "shares", params(("id" = u64, Path, description = "The share.")),
    responses((status = 200, description = "No more of it is sent.", body = Cancelled))
)]
pub(super) async fn cancel(_: Admin, State(shared): State<Shared>, Path(id): Path<u64>) -> Result<Told<Cancelled>, Problem> {
    told(Cancelled { cancelled: shared.operations.cancel_shares(Some(id)).await? })
}

/// Changes what is done with files that are shared with a service.
#[utoipa::path(
    patch, path = "/services/{name}/upload", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = UploadChange, responses((status = 200, description = "The service as it is now.", body = ToldService))
)]
pub(super) async fn change_upload(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<UploadChange>,
) -> Result<Told<ToldService>, Problem> {
    let service = shared.operations.change_upload(name, change).await?;
    told(shared.operations.told_service(service).await?)
}
