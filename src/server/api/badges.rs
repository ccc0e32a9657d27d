//! What a page shows on the files of a folder.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::operations::{Badge, Badges};
use crate::types::RelPath;

use super::asked::Query;
use super::caller::Reader;
use super::library::{self, OfFolder};
use super::page;
use super::problem::Problem;
use super::{Shared, Told, blocking, told};

/// What is to be said of the files of a folder, a page at a time.
#[derive(Serialize, ToSchema)]
pub(super) struct BadgePage {
    /// The folder.
    folder: RelPath,
    /// In the order of the names' bytes; files of which there is nothing to say are left out.
    badges: Vec<Badge>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is to be said of the files of a folder that are in the index: on which services each is and how that is known, which is for admins, and
/// which of them belong together. A cursor of `/library` is taken too.
#[utoipa::path(
    get, path = "/library/badges", tag = "library", params(OfFolder),
    responses((status = 200, description = "In the order of the names.", body = BadgePage))
)]
pub(super) async fn list_badges(
    Reader(caller): Reader,
    State(shared): State<Shared>,
    Query(asked): Query<OfFolder>,
) -> Result<Told<BadgePage>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let with_services = caller.is_admin() && !shared.operations.is_public();
    let (text, page) = asked.parts();
    let (rows, after) = (page.rows()?, page.after::<String>()?);
    let shown = library::path("folder", &text)?;
    let (tree, place) = (shared.originals.clone(), caller.login.folder.join_path(&shown));
    let folder = blocking(move || Ok(tree.spelled(&place))).await?;
    let Badges { badges, next } = shared.operations.badges(folder, after, rows, with_services).await?;
    told(BadgePage { folder: shown, badges, next: next.map(|name| page::next(&name)) })
}
