//! Services as a document, to be taken to another node. The paths are not below `/services/`, where every name is a service's.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::operations::NewImport;
use crate::services::Imported;

use super::asked::Json;
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// Which services, and how their passwords are sealed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportStart {
    /// The services; all when none is named.
    #[serde(default)]
    names: Vec<String>,
    /// With it the passwords are sealed; at least 8 characters.
    #[schema(format = "password", write_only)]
    passphrase: String,
}

/// A change of the key under which passwords are kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reseal {
    /// TWINLENS_SECRET as it was.
    #[serde(default)]
    #[schema(format = "password", write_only)]
    old: Option<String>,
}

/// What was sealed anew.
#[derive(Serialize, ToSchema)]
pub(super) struct Resealed {
    /// How many passwords.
    passwords: usize,
    /// Where the key is.
    key: String,
}

/// Services as one document: settings in clear, passwords sealed with a passphrase.
#[utoipa::path(
    post, path = "/service-export", tag = "services", request_body = ExportStart,
    responses((status = 200, description = "The document.", body = Value))
)]
pub(super) async fn export(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    Json(start): Json<ExportStart>,
) -> Result<Told<Value>, Problem> {
    caller.by_own_password()?;
    told(shared.operations.export_services(start.names, start.passphrase).await?)
}

/// Takes over the services of a document, all or none of them.
#[utoipa::path(
    post, path = "/service-import", tag = "services", request_body = NewImport,
    responses((status = 200, description = "What was taken over.", body = Imported))
)]
pub(super) async fn import(_: Admin, State(shared): State<Shared>, Json(new): Json<NewImport>) -> Result<Told<Imported>, Problem> {
    told(shared.operations.import_services(new).await?)
}

/// Puts all passwords under another key. A node that serves refuses: it goes by the key with which it began.
#[utoipa::path(
    post, path = "/service-reseal", tag = "services", request_body = Reseal,
    responses((status = 200, description = "What was sealed anew.", body = Resealed))
)]
pub(super) async fn reseal(_: Admin, State(shared): State<Shared>, Json(start): Json<Reseal>) -> Result<Told<Resealed>, Problem> {
    let (passwords, key) = shared.operations.reseal(start.old).await?;
    told(Resealed { passwords, key: key.to_owned() })
}
