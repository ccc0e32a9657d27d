//! What a page shows on the files of a folder.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::operations::{About, Badge, Badges};
use crate::types::RelPath;

use super::asked::Query;
use super::caller::Reader;
use super::library;
use super::page::{self, Page};
use super::problem::Problem;
use super::{Shared, Told, blocking, told};

/// Which files are asked about, and what.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFiles {
    /// The folder; the root when there is none.
    folder: Option<String>,
    /// So many files at the most; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000, value_type = Option<u32>)]
    limit: Option<u32>,
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
    /// `false`: not which of them belong together, which takes a look at the whole folder for every page.
    stacks: Option<bool>,
}

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
    get, path = "/library/badges", tag = "library", params(OfFiles),
    responses((status = 200, description = "In the order of the names.", body = BadgePage))
)]
pub(super) async fn list_badges(
    Reader(caller): Reader,
    State(shared): State<Shared>,
    Query(asked): Query<OfFiles>,
) -> Result<Told<BadgePage>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let about = About { services: caller.is_admin() && !shared.operations.is_public(), stacks: asked.stacks.unwrap_or(true) };
    let page = Page { limit: asked.limit, cursor: asked.cursor };
    let (rows, after) = (page.rows()?, page.after::<String>()?);
    let shown = library::path("folder", &asked.folder.unwrap_or_default())?;
    let (tree, place) = (shared.originals.clone(), caller.login.folder.join_path(&shown));
    let folder = blocking(move || Ok(tree.spelled(&place))).await?;
    let Badges { badges, next } = shared.operations.badges(folder, after, rows, about).await?;
    told(BadgePage { folder: shown, badges, next: next.map(|name| page::next(&name)) })
}
