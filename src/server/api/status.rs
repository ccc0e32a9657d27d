//! How things are, and how the node is set up.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use std::collections::BTreeMap;

use crate::operations::{Going, Status};

use super::caller::{Admin, Reader};
use super::problem::Problem;
use super::{Shared, Told, blocking, told};

/// Runs that go on.
#[derive(Serialize, ToSchema)]
pub(super) struct Transfers {
    /// By the names of their services.
    running: BTreeMap<String, Going>,
}

/// How things are. Who does not administer the node is told of the library alone, below the folder that is their root.
#[utoipa::path(get, path = "/status", tag = "status", responses((status = 200, description = "As of now.", body = Status)))]
pub(super) async fn show(Reader(caller): Reader, State(shared): State<Shared>) -> Result<Told<Status>, Problem> {
    if caller.is_admin() {
        return told(shared.operations.status().await?);
    }
    let tree = shared.originals.clone();
    let files = blocking(move || {
        let view = tree.view()?;
        let Some(changes) = view.changes().filter(|_| caller.login.originals.read) else { return Ok(0) };
        Ok(changes.folders().get(&tree.spelled(&caller.login.folder))?.map_or(0, |folder| folder.totals.files))
    });
    let (files, public) = (files.await?, shared.operations.is_public());
    let (services, damaged) = (Vec::new(), Vec::new());
    told(Status { library: None, files, url: None, public, services, damaged, verified: None, thumbnails: None })
}

/// Runs that go on, and how far they are.
#[utoipa::path(get, path = "/transfers", tag = "runs", responses((status = 200, description = "As of now.", body = Transfers)))]
pub(super) async fn transfers(_: Admin, State(shared): State<Shared>) -> Result<Told<Transfers>, Problem> {
    let services = shared.operations.status().await?.services.into_iter();
    told(Transfers { running: services.filter_map(|service| Some((service.name, service.running?))).collect() })
}
