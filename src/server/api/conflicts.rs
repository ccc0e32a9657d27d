//! Conflict copies.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{Keep, Resolved, ToldConflict};
use crate::types::RelPath;

use super::asked::{Json, Query};
use super::caller::Keeper;
use super::page::Page;
use super::problem::Problem;
use super::{Shared, Told, told};

/// A page of the conflict copies that exist.
#[derive(Serialize, ToSchema)]
pub(super) struct ConflictPage {
    conflicts: Vec<ToldConflict>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What somebody decided about a conflict.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The file, or the copy.
    path: RelPath,
    /// Which version stays.
    keep: Keep,
}

/// The conflict copies that exist now, with both versions.
#[utoipa::path(
    get, path = "/conflicts", tag = "conflicts", params(Page),
    responses((status = 200, description = "In the order of their paths.", body = ConflictPage))
)]
pub(super) async fn list(_: Keeper, State(shared): State<Shared>, Query(page): Query<Page>) -> Result<Told<ConflictPage>, Problem> {
    page.rows()?;
    let (conflicts, next) = page.of(shared.operations.list_conflicts().await?.conflicts, |conflict| conflict.copy.clone())?;
    told(ConflictPage { conflicts, next })
}

/// Carries out what was decided. What is given up goes to the trash; the next sync carries it over.
#[utoipa::path(
    post, path = "/conflicts/resolve", tag = "conflicts", request_body = Decision,
    responses((status = 200, description = "What there is now.", body = Resolved))
)]
pub(super) async fn resolve(_: Keeper, State(shared): State<Shared>, Json(decision): Json<Decision>) -> Result<Told<Resolved>, Problem> {
    told(shared.operations.resolve_conflict(decision.path, decision.keep).await?)
}
