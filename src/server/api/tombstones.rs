//! Deletions that are remembered.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{Forgotten, Tombstone};
use crate::types::RelPath;

use super::asked::{Json, Query};
use super::caller::Keeper;
use super::problem::Problem;
use super::runs::OfService;
use super::{Shared, Told, told};

/// A page of the deletions that are remembered.
#[derive(Serialize, ToSchema)]
pub(super) struct TombstonePage {
    tombstones: Vec<Tombstone>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is to be forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgetStart {
    /// The service.
    service: String,
    /// At or below this path; the empty one is all.
    at: RelPath,
}

/// The deletions that are remembered: what they are about is not brought back.
#[utoipa::path(
    get, path = "/tombstones", tag = "tombstones", params(OfService),
    responses((status = 200, description = "By service, then by path.", body = TombstonePage))
)]
pub(super) async fn list(_: Keeper, State(shared): State<Shared>, Query(asked): Query<OfService>) -> Result<Told<TombstonePage>, Problem> {
    let (service, page) = asked.parts();
    page.rows()?;
    let all = shared.operations.list_tombstones(service).await?.tombstones;
    let (tombstones, next) = page.of(all, |one| (one.service.clone(), one.path.clone()))?;
    told(TombstonePage { tombstones, next })
}

/// Forgets deletions. What was deleted may come back then.
#[utoipa::path(
    post, path = "/tombstones/forget", tag = "tombstones", request_body = ForgetStart,
    responses((status = 200, description = "What was forgotten.", body = Forgotten))
)]
pub(super) async fn forget(_: Keeper, State(shared): State<Shared>, Json(start): Json<ForgetStart>) -> Result<Told<Forgotten>, Problem> {
    told(shared.operations.forget_tombstones(start.service, start.at).await?)
}
