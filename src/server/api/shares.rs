//! Chosen files that are sent to a service.

use std::cmp::Reverse;

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{ShareList, ShareReport, ShareRequest, ToldShare};

use super::asked::{Json, Path, Query};
use super::caller::Admin;
use super::page::Page;
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

/// Shares.
#[derive(Serialize, ToSchema)]
pub(super) struct SharePage {
    #[serde(flatten)]
    list: ShareList,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A share with a page of its files.
#[derive(Serialize, ToSchema)]
pub(super) struct ShareFiles {
    #[serde(flatten)]
    share: ToldShare,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Shares, the latest first.
#[utoipa::path(
    get, path = "/shares", tag = "shares", params(Page), responses((status = 200, description = "The latest first.", body = SharePage))
)]
pub(super) async fn list(_: Admin, State(shared): State<Shared>, Query(page): Query<Page>) -> Result<Told<SharePage>, Problem> {
    page.rows()?;
    let (shares, next) = page.of(shared.operations.shares().await?.shares, |share| Reverse(share.share))?;
    told(SharePage { list: ShareList { shares }, next })
}

/// One share, with its files.
#[utoipa::path(
    get, path = "/shares/{share}", tag = "shares", params(("share" = u64, Path, description = "Its number."), Page),
    responses((status = 200, description = "The share; its files in the order in which they were chosen.", body = ShareFiles))
)]
pub(super) async fn show(
    _: Admin,
    State(shared): State<Shared>,
    Path(share): Path<u64>,
    Query(page): Query<Page>,
) -> Result<Told<ShareFiles>, Problem> {
    page.rows()?;
    let mut share = shared.operations.told_share(share).await?;
    let numbered = std::mem::take(&mut share.files).into_iter().zip(0_u64..);
    let (files, next) = page.of(numbered, |(_, number)| *number)?;
    share.files = files.into_iter().map(|(file, _)| file).collect();
    told(ShareFiles { share, next })
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
