//! Looking at the library: what is new, and what is damaged.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{Accepted, Failure, Hurt, IndexReport, VerifyReport};
use crate::types::RelPath;

use super::asked::Json;
use super::caller::Keeper;
use super::problem::Problem;
use super::{Shared, Told, told};

/// What is known of the library.
#[derive(Serialize, ToSchema)]
pub(super) struct IndexState {
    /// Files that are indexed.
    files: u64,
    /// Files that are damaged.
    damaged: Vec<Hurt>,
    /// When every byte was read for the last time.
    verified: Option<String>,
}

/// How a look is to be taken.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LookStart {
    /// Answer when it is over.
    #[serde(default)]
    wait: bool,
}

/// It goes on; `/events` tell how far it is.
#[derive(Serialize, ToSchema)]
pub(super) struct Looking {
    started: bool,
}

/// Files that are taken as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptStart {
    /// They, or folders of them.
    #[schema(min_items = 1)]
    paths: Vec<RelPath>,
}

/// What is known of the library.
#[utoipa::path(get, path = "/index", tag = "index", responses((status = 200, description = "As of now.", body = IndexState)))]
pub(super) async fn show(_: Keeper, State(shared): State<Shared>) -> Result<Told<IndexState>, Problem> {
    let status = shared.operations.status().await?;
    told(IndexState { files: status.files, damaged: status.damaged, verified: status.verified })
}

/// Brings the index up to date with the disk.
#[utoipa::path(
    post, path = "/index", tag = "index", request_body = LookStart,
    responses(
        (status = 200, description = "What was found.", body = IndexReport),
        (status = 202, description = "It goes on.", body = Looking),
    )
)]
pub(super) async fn scan(
    _: Keeper,
    State(shared): State<Shared>,
    Json(start): Json<LookStart>,
) -> Result<Response<axum::body::Body>, Problem> {
    let operations = shared.operations.clone();
    // What is not there is said at once.
    operations.library()?;
    in_its_time(start, async move { operations.index().await }).await
}

/// Reads every file again. What is damaged is fetched back from a service that has it, or stays reported.
#[utoipa::path(
    post, path = "/index/verify", tag = "index", request_body = LookStart,
    responses(
        (status = 200, description = "What was found.", body = VerifyReport),
        (status = 202, description = "It goes on.", body = Looking),
    )
)]
pub(super) async fn verify(
    _: Keeper,
    State(shared): State<Shared>,
    Json(start): Json<LookStart>,
) -> Result<Response<axum::body::Body>, Problem> {
    let operations = shared.operations.clone();
    operations.library()?;
    in_its_time(start, async move { operations.verify().await }).await
}

/// Takes damaged files as they are: edits, from now on.
#[utoipa::path(
    post, path = "/index/accept", tag = "index", request_body = AcceptStart,
    responses((status = 200, description = "What was accepted, and what was not.", body = Accepted))
)]
pub(super) async fn accept(_: Keeper, State(shared): State<Shared>, Json(start): Json<AcceptStart>) -> Result<Told<Accepted>, Problem> {
    if start.paths.is_empty() {
        return Err(Problem::bad_field("paths", "it names nothing"));
    }
    told(shared.operations.accept_damage(start.paths).await?)
}

/// Answers when it is over, or at once.
async fn in_its_time<T: Serialize + Send + 'static>(
    start: LookStart,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<Response<axum::body::Body>, Problem> {
    if start.wait {
        return Ok(Told(StatusCode::OK, work.await?).into_response());
    }
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::error!(%error, "a look at the library failed");
        }
    });
    Ok(Told(StatusCode::ACCEPTED, Looking { started: true }).into_response())
}
