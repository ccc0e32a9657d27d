//! The trash.

use std::cmp::Reverse;
use std::time::Duration;

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{Restored, TrashEmptied, TrashFile, TrashList};
use crate::types::RelPath;

use super::asked::{Json, Query};
use super::caller::Keeper;
use super::page::Page;
use super::problem::Problem;
use super::{Shared, Told, told};

/// A page of the trash.
#[derive(Serialize, ToSchema)]
pub(super) struct TrashPage {
    /// The latest first.
    files: Vec<TrashFile>,
    /// Of everything in the trash.
    bytes: u64,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is to be brought back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreStart {
    /// Paths as they were in the library, of files or folders, or the ids of removals.
    #[schema(min_items = 1)]
    what: Vec<String>,
    /// Another place, for one file.
    #[serde(default)]
    to: Option<RelPath>,
}

/// What is to be let go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmptyStart {
    /// What was put there so many seconds ago or longer; 0 is everything.
    older_than: u64,
}

/// What is in the trash.
#[utoipa::path(get, path = "/trash", tag = "trash", params(Page), responses((status = 200, description = "The latest first.", body = TrashPage)))]
pub(super) async fn list(_: Keeper, State(shared): State<Shared>, Query(page): Query<Page>) -> Result<Told<TrashPage>, Problem> {
    page.rows()?;
    let TrashList { files, bytes } = shared.operations.list_trash().await?;
    let moment = |file: &TrashFile| file.trashed.parse::<Timestamp>().map_or((0, 0), |at| (at.as_second(), at.subsec_nanosecond()));
    let (files, next) = page.of(files, |file| (Reverse(moment(file)), file.path.clone(), file.id.clone()))?;
    told(TrashPage { files, bytes, next })
}

/// Brings files back. Nothing is replaced.
#[utoipa::path(
    post, path = "/trash/restore", tag = "trash", request_body = RestoreStart,
    responses((status = 200, description = "What is back, and what is not.", body = Restored))
)]
pub(super) async fn restore(_: Keeper, State(shared): State<Shared>, Json(start): Json<RestoreStart>) -> Result<Told<Restored>, Problem> {
    if start.what.is_empty() {
        return Err(Problem::bad_field("what", "it names nothing"));
    }
    told(shared.operations.restore_from_trash(start.what, start.to).await?)
}

/// Lets files go for good.
#[utoipa::path(
    post, path = "/trash/empty", tag = "trash", request_body = EmptyStart,
    responses((status = 200, description = "What is gone, and what stays.", body = TrashEmptied))
)]
pub(super) async fn empty(_: Keeper, State(shared): State<Shared>, Json(start): Json<EmptyStart>) -> Result<Told<TrashEmptied>, Problem> {
    told(shared.operations.empty_trash(Duration::from_secs(start.older_than)).await?)
}
