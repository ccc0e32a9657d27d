//! Remote services. Their passwords go in and never come out.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{
    AccountChange, Connected, Edited, Folders, NewService, RemovedService, SyncChange, Tested, ToldService, UploadChange,
};

use super::asked::{Json, Path, Query};
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// All services.
#[derive(Serialize, ToSchema)]
pub(super) struct AllServices {
    services: Vec<ToldService>,
}

/// How a service is to be examined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestStart {
    /// Whether something may be written there for it; by itself only where the service is uploaded to.
    #[serde(default)]
    write: Option<bool>,
}

/// All services.
#[utoipa::path(get, path = "/services", tag = "services", responses((status = 200, description = "All services.", body = AllServices)))]
pub(super) async fn list(_: Admin, State(shared): State<Shared>) -> Result<Told<AllServices>, Problem> {
    told(AllServices { services: shared.operations.told_services().await? })
}

/// Adds a service, after trying it. When it does not work, nothing is changed.
#[utoipa::path(
    post, path = "/services", tag = "services", request_body = NewService,
    responses((status = 201, description = "The service was found and added.", body = Connected))
)]
pub(super) async fn add(_: Admin, State(shared): State<Shared>, Json(new): Json<NewService>) -> Result<Told<Connected>, Problem> {
    Ok(Told(StatusCode::CREATED, shared.operations.add_service(new).await?))
}

/// One service.
#[utoipa::path(
    get, path = "/services/{name}", tag = "services", params(("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "The service.", body = ToldService))
)]
pub(super) async fn show(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<ToldService>, Problem> {
    let service = shared.operations.service(name).await?;
    told(shared.operations.told_service(service).await?)
}

/// Changes a service's account, after trying it. When it does not work, nothing is changed.
#[utoipa::path(
    patch, path = "/services/{name}", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = AccountChange, responses((status = 200, description = "The service as it is now.", body = Edited))
)]
pub(super) async fn edit(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<AccountChange>,
) -> Result<Told<Edited>, Problem> {
    told(shared.operations.edit_service(name, change).await?)
}

/// Takes the last change of a service's account back.
#[utoipa::path(
    post, path = "/services/{name}/undo", tag = "services", params(("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "The service as it was before.", body = Edited))
)]
pub(super) async fn undo(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<Edited>, Problem> {
    told(shared.operations.undo_edit(name).await?)
}

/// Which folder of a service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FolderAt {
    /// Below the service's WebDAV root.
    #[serde(default)]
    path: String,
}

/// The folders in a folder of a service, to choose one.
#[utoipa::path(
    get, path = "/services/{name}/folders", tag = "services",
    params(("name" = String, Path, description = "The service."), ("path" = Option<String>, Query, description = "The folder; its root when there is none.")),
    responses((status = 200, description = "The folders in it.", body = Folders))
)]
pub(super) async fn folders(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(at): Query<FolderAt>,
) -> Result<Told<Folders>, Problem> {
    told(shared.operations.folders(name, at.path, false).await?)
}

/// Makes a folder of a service, if it is not there; the folder above it must be.
#[utoipa::path(
    post, path = "/services/{name}/folders", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = FolderAt, responses((status = 200, description = "The folders in it.", body = Folders))
)]
pub(super) async fn make_folder(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(at): Json<FolderAt>,
) -> Result<Told<Folders>, Problem> {
    told(shared.operations.folders(name, at.path, true).await?)
}

/// Removes a service and what was agreed with it. Photos stay where they are. A sync or share with it is ended first.
#[utoipa::path(
    delete, path = "/services/{name}", tag = "services", params(("name" = String, Path, description = "The service.")),
    responses((status = 200, description = "The service was removed.", body = RemovedService))
)]
pub(super) async fn remove(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<RemovedService>, Problem> {
    told(shared.operations.remove_service(name).await?)
}

/// Examines a service step by step.
#[utoipa::path(
    post, path = "/services/{name}/test", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = TestStart, responses((status = 200, description = "What was found, well or not.", body = Tested))
)]
pub(super) async fn test(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(start): Json<TestStart>,
) -> Result<Told<Tested>, Problem> {
    told(shared.operations.test_service(name, start.write).await?)
}

/// Changes how a service is synced.
#[utoipa::path(
    patch, path = "/services/{name}/sync", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = SyncChange, responses((status = 200, description = "The service as it is now.", body = ToldService))
)]
pub(super) async fn change_sync(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<SyncChange>,
) -> Result<Told<ToldService>, Problem> {
    let service = shared.operations.change_sync(name, change).await?;
    told(shared.operations.told_service(service).await?)
}

/// Changes what is done with files that are shared with a service.
#[utoipa::path(
    patch, path = "/services/{name}/upload", tag = "services", params(("name" = String, Path, description = "The service.")),
    request_body = UploadChange, responses((status = 200, description = "The service as it is now.", body = ToldService))
)]
pub(super) async fn change_upload(
    _: Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<UploadChange>,
) -> Result<Told<ToldService>, Problem> {
    let service = shared.operations.change_upload(name, change).await?;
    told(shared.operations.told_service(service).await?)
}
