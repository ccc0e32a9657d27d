//! A backup of the state, into a file beside the node.

use std::path::PathBuf;

use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::asked::Json;
use super::caller::Owner;
use super::problem::Problem;
use super::{Shared, Told, told};

/// Where the backup is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupStart {
    /// A new file, on the node's machine.
    #[schema(value_type = String)]
    to: PathBuf,
}

/// Backs up the state, the key and the settings into one new file, while everything goes on. Only for the owner of the state, at the control
/// socket: the file holds every secret, and whoever names a path on the machine must be at home there.
#[utoipa::path(
    post, path = "/backup", tag = "backup", request_body = BackupStart,
    responses((status = 200, description = "What was backed up.", body = Value))
)]
pub(super) async fn begin(_: Owner, State(shared): State<Shared>, Json(start): Json<BackupStart>) -> Result<Told<Value>, Problem> {
    told(shared.operations.backup(start.to).await?)
}
