//! How the node is set up.

use axum::extract::State;

use crate::operations::{Settings, SettingsChange};

use super::asked::Json;
use super::caller::{Admin, Keeper};
use super::problem::Problem;
use super::{Shared, Told, told};

/// How the running node is set up, and where each setting comes from: a flag, a variable, the file `twinlens.toml`, or the default.
#[utoipa::path(get, path = "/settings", tag = "status", responses((status = 200, description = "As it runs.", body = Settings)))]
pub(super) async fn settings(_: Keeper, State(shared): State<Shared>) -> Result<Told<Settings>, Problem> {
    told(shared.operations.settings().ok_or_else(Problem::nothing_here)?)
}

/// Changes settings that can be changed while the node runs, at once and in `twinlens.toml`. What a flag or a variable says stays. All others
/// are set when the node is started.
#[utoipa::path(
    patch, path = "/settings", tag = "status", request_body = SettingsChange,
    responses((status = 200, description = "As it runs now.", body = Settings))
)]
pub(super) async fn change_settings(
    _: Admin,
    State(shared): State<Shared>,
    Json(change): Json<SettingsChange>,
) -> Result<Told<Settings>, Problem> {
    told(shared.operations.change_settings(change).await?)
}
