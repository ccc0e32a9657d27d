//! The runs that were, and what is to be tried again.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use std::cmp::Reverse;

use crate::operations::{OneRun, RetryRequest, Retrying, SkippedOfRun, ToldRun, WaitingOf};
use crate::sync::Noted;

use super::asked::{Json, Path, Query};
use super::caller::Admin;
use super::page::{self, Page};
use super::problem::Problem;
use super::{Shared, Told, told};

/// Which rows are asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfService {
    /// Of one service only.
    service: Option<String>,
    /// So many rows at the most; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000, value_type = Option<u32>)]
    limit: Option<u32>,
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
}

impl OfService {
    pub(super) fn parts(self) -> (Option<String>, Page) {
        (self.service, Page { limit: self.limit, cursor: self.cursor })
    }
}

/// Runs that have ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Runs {
    /// The latest first.
    runs: Vec<ToldRun>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A run with a page of its files.
#[derive(Serialize, ToSchema)]
pub(super) struct RunPage {
    #[serde(flatten)]
    run: OneRun,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Files that failed and are to be tried again.
#[derive(Serialize, ToSchema)]
pub(super) struct Failures {
    /// By service, then by path.
    failures: Vec<WaitingOf>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a run left as it was.
#[derive(Serialize, ToSchema)]
pub(super) struct SkippedPage {
    /// In the order in which it was noticed. A run names the first thousand.
    skipped: Vec<Noted>,
    /// So many files all together.
    total: u64,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The runs that are kept.
#[utoipa::path(get, path = "/runs", tag = "runs", params(OfService), responses((status = 200, description = "The latest first.", body = Runs)))]
pub(super) async fn list(_: Admin, State(shared): State<Shared>, Query(asked): Query<OfService>) -> Result<Told<Runs>, Problem> {
    let (service, page) = asked.parts();
    page.rows()?;
    let (runs, next) = page.of(shared.operations.runs(service).await?, |run| Reverse(run.id))?;
    told(Runs { runs, next })
}

/// One run, with what became of its files.
#[utoipa::path(
    get, path = "/runs/{id}", tag = "runs", params(("id" = u64, Path, description = "The run."), OfService),
    responses((status = 200, description = "In the order in which they ended.", body = RunPage))
)]
pub(super) async fn show(
    _: Admin,
    State(shared): State<Shared>,
    Path(id): Path<u64>,
    Query(asked): Query<OfService>,
) -> Result<Told<RunPage>, Problem> {
    let (service, page) = asked.parts();
    page.rows()?;
    let mut run = shared.operations.run(service, id).await?;
    let numbered = std::mem::take(&mut run.files).into_iter().zip(0_u64..);
    let (files, next) = page.of(numbered, |(_, number)| *number)?;
    run.files = files.into_iter().map(|(file, _)| file).collect();
    told(RunPage { run, next })
}

/// Files that failed, and when they are tried again.
#[utoipa::path(
    get, path = "/failures", tag = "runs", params(OfService),
    responses((status = 200, description = "By service, then by path.", body = Failures))
)]
pub(super) async fn failures(_: Admin, State(shared): State<Shared>, Query(asked): Query<OfService>) -> Result<Told<Failures>, Problem> {
    let (service, page) = asked.parts();
    page.rows()?;
    let (failures, next) = page.of(shared.operations.waiting(service).await?, |one| (one.service.clone(), one.file.path.clone()))?;
    told(Failures { failures, next })
}

/// What a run left as it was, and why.
#[utoipa::path(
    get, path = "/runs/{id}/skipped", tag = "runs", params(("id" = u64, Path, description = "The run."), OfService),
    responses((status = 200, description = "In the order in which it was noticed.", body = SkippedPage))
)]
pub(super) async fn skipped(
    _: Admin,
    State(shared): State<Shared>,
    Path(id): Path<u64>,
    Query(asked): Query<OfService>,
) -> Result<Told<SkippedPage>, Problem> {
    let (service, page) = asked.parts();
    let SkippedOfRun { skipped, total, next } = shared.operations.skipped(service, id, page.after()?, page.rows()?).await?;
    told(SkippedPage { skipped, total, next: next.map(|place| page::next(&place)) })
}

/// Tries files that failed again now, in the background: after a run that goes on, and without those that wait for their own time.
#[utoipa::path(
    post, path = "/failures/retry", tag = "runs", request_body = RetryRequest,
    responses((status = 202, description = "They are tried again.", body = Retrying))
)]
pub(super) async fn retry_failed(
    _: Admin,
    State(shared): State<Shared>,
    Json(request): Json<RetryRequest>,
) -> Result<Told<Retrying>, Problem> {
    Ok(Told(StatusCode::ACCEPTED, shared.operations.retry_failed(request).await?))
}
