//! Syncing now, not now, not any more.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::SyncRequest;
use crate::sync::Report;

use super::asked::Json;
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// A sync to be run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SyncStart {
    /// The services; all that are switched on and not paused when empty.
    #[serde(default)]
    names: Vec<String>,
    /// Only plan; the answer is the plan.
    #[serde(default)]
    dry_run: bool,
    /// Go past the guard.
    #[serde(default)]
    force: bool,
    /// Answer when it is over. When the client goes away before, it is cancelled.
    #[serde(default)]
    wait: bool,
}

/// What syncs did, or would do.
#[derive(Serialize, ToSchema)]
pub(super) struct Reports {
    services: Vec<Report>,
}

/// Syncs that go on now, or wait for their turn.
#[derive(Serialize, ToSchema)]
pub(super) struct Started {
    /// The services.
    started: Vec<String>,
}

/// Which service is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OneOrAll {
    /// The service; all when there is none.
    #[serde(default)]
    name: Option<String>,
}

/// Services that are paused now.
#[derive(Serialize, ToSchema)]
pub(super) struct Paused {
    paused: Vec<String>,
}

/// Services that are not paused any more.
#[derive(Serialize, ToSchema)]
pub(super) struct Resumed {
    resumed: Vec<String>,
}

/// Services whose runs end now.
#[derive(Serialize, ToSchema)]
pub(super) struct Cancelled {
    cancelled: Vec<String>,
}

/// Syncs now: what goes on tell `/events` and `/status`, what came of it `/runs`.
#[utoipa::path(
    post, path = "/syncs", tag = "syncs", request_body = SyncStart,
    responses(
        (status = 200, description = "What was done, or is planned.", body = Reports),
        (status = 202, description = "It goes on.", body = Started),
    )
)]
pub(super) async fn start(
    _: Admin,
    State(shared): State<Shared>,
    Json(start): Json<SyncStart>,
) -> Result<Response<axum::body::Body>, Problem> {
    let SyncStart { names, dry_run, force, wait } = start;
    let request = SyncRequest { names, dry_run, force };
    if wait || dry_run {
        let services = shared.operations.sync(request).await?;
        return Ok(Told(StatusCode::OK, Reports { services }).into_response());
    }
    let started = shared.operations.start_sync(request).await?;
    Ok(Told(StatusCode::ACCEPTED, Started { started }).into_response())
}

/// Does not sync by itself any more, a service or all, until it is resumed. A run that goes on is suspended.
#[utoipa::path(
    post, path = "/syncs/pause", tag = "syncs", request_body = OneOrAll,
    responses((status = 200, description = "Those that are paused now.", body = Paused))
)]
pub(super) async fn pause(_: Admin, State(shared): State<Shared>, Json(which): Json<OneOrAll>) -> Result<Told<Paused>, Problem> {
    told(Paused { paused: shared.operations.pause(which.name).await? })
}

/// Syncs by itself again.
#[utoipa::path(
    post, path = "/syncs/resume", tag = "syncs", request_body = OneOrAll,
    responses((status = 200, description = "Those that are not paused any more.", body = Resumed))
)]
pub(super) async fn resume(_: Admin, State(shared): State<Shared>, Json(which): Json<OneOrAll>) -> Result<Told<Resumed>, Problem> {
    told(Resumed { resumed: shared.operations.resume(which.name).await? })
}

/// Stops the run that goes on, with a service or all. What is done stays done.
#[utoipa::path(
    post, path = "/syncs/cancel", tag = "syncs", request_body = OneOrAll,
    responses((status = 200, description = "Those whose runs end now.", body = Cancelled))
)]
pub(super) async fn cancel(_: Admin, State(shared): State<Shared>, Json(which): Json<OneOrAll>) -> Result<Told<Cancelled>, Problem> {
    told(Cancelled { cancelled: shared.operations.cancel(which.name).await? })
}
