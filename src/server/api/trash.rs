//! The trash.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::library::{Kind, LibraryError, Tree};
use crate::operations::{NotDone, Restored, TrashEmptied, TrashFile, TrashList};
use crate::types::RelPath;
use crate::types::stack;

use super::asked::{Json, Query};
use super::caller::{Keeper, Person};
use super::page::Page;
use super::problem::Problem;
use super::{Shared, Told, blocking, files, folders, told};

/// So many paths are taken at once.
const MOST: usize = 1000;

/// A page of the trash.
#[derive(Serialize, ToSchema)]
pub(super) struct TrashPage {
    /// The latest first.
    files: Vec<TrashFile>,
    /// Of everything in the trash.
    bytes: u64,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What is to be brought back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreStart {
    /// Paths as they were in the library, of files or folders, or the ids of removals.
    #[schema(min_items = 1)]
    what: Vec<String>,
    /// Another place, for one file.
    #[serde(default)]
    to: Option<RelPath>,
}

/// What is to be let go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmptyStart {
    /// What was put there so many seconds ago or longer; 0 is everything.
    #[schema(value_type = u64, maximum = 4294967295_u64)]
    older_than: u32,
}

/// What is to be moved to the trash.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscardStart {
    /// Files, and folders with everything in them.
    #[schema(min_items = 1, max_items = 1000)]
    paths: Vec<String>,
    /// With a file go those that belong to it: its RAW file, the video of a Live Photo, sidecars.
    #[serde(default)]
    stack: bool,
}

/// What was moved to the trash.
#[derive(Serialize, ToSchema)]
pub(super) struct Discarded {
    /// What is there now; `/trash/restore` takes the same paths.
    trashed: Vec<RelPath>,
    /// What stays, and why.
    failed: Vec<NotDone>,
}

/// Moves files and folders to the trash, each in one step, as far as whoever asks may and nobody has locked them.
#[utoipa::path(
    post, path = "/library/trash", tag = "library", request_body = DiscardStart,
    responses((status = 200, description = "What is in the trash now, and what is not.", body = Discarded))
)]
pub(super) async fn discard(
    Person(caller): Person,
    State(shared): State<Shared>,
    Json(start): Json<DiscardStart>,
) -> Result<Told<Discarded>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let DiscardStart { paths, stack } = start;
    if paths.is_empty() || paths.len() > MOST {
        return Err(Problem::bad_field("paths", format!("it names between 1 and {MOST} files and folders")));
    }
    let named = paths.iter().enumerate().map(|(at, path)| {
        files::file_path(path).map_err(|problem| Problem::bad_field(format!("paths[{at}]"), problem.detail().to_owned()))
    });
    let named = named.collect::<Result<BTreeSet<RelPath>, _>>()?;
    let all = if stack {
        let (tree, root) = (shared.originals.clone(), caller.login.folder.clone());
        blocking(move || Ok(with_stacks(&tree, &root, named)?)).await?
    } else {
        named
    };
    // What lies in a folder that goes as a whole goes with it.
    let whole = all.iter().filter(|path| !path.ancestors().any(|above| !above.is_root() && all.contains(&above)));
    let (mut trashed, mut failed) = (Vec::new(), Vec::new());
    for path in whole {
        match folders::ask(&shared, caller.login.clone(), "DELETE", path).await {
            Ok(()) => trashed.push(path.clone()),
            Err((_, problem)) => failed.push(NotDone::of(path, problem.detail())),
        }
    }
    told(Discarded { trashed, failed })
}

/// The same files, and those of their folders that belong to them.
fn with_stacks(tree: &Tree, root: &RelPath, named: BTreeSet<RelPath>) -> Result<BTreeSet<RelPath>, LibraryError> {
    let mut by_folder: BTreeMap<RelPath, Vec<&RelPath>> = BTreeMap::new();
    for path in &named {
        by_folder.entry(path.parent().unwrap_or_default()).or_default().push(path);
    }
    let mut all = named.clone();
    for (folder, paths) in by_folder {
        let there = match tree.folder(&tree.spelled(&root.join_path(&folder))) {
            Ok(there) => there,
            // Each path of it says so itself.
            Err(LibraryError::NotFound(_) | LibraryError::WrongKind(_) | LibraryError::Outside(_) | LibraryError::TooLong(_)) => continue,
            Err(error) => return Err(error),
        };
        let names: Vec<String> = (0..there.len()).map(|at| there.name(at).to_owned()).collect();
        for stack in stack::group(&names, &stack::promised) {
            let members: Vec<&String> = stack.media.iter().chain(stack.sidecars.iter().map(|sidecar| &sidecar.name)).collect();
            // A sidecar that is named goes alone: nobody means the picture by it.
            if paths.iter().any(|path| stack.media.iter().any(|name| name == path.name())) {
                let files = members.into_iter().filter(|name| there.stat(name).ok().flatten().is_some_and(|stat| stat.kind == Kind::File));
                all.extend(files.filter_map(|name| folder.join(name).ok()));
            }
        }
    }
    Ok(all)
}

/// What is in the trash.
#[utoipa::path(get, path = "/trash", tag = "trash", params(Page), responses((status = 200, description = "The latest first.", body = TrashPage)))]
pub(super) async fn list(_: Keeper, State(shared): State<Shared>, Query(page): Query<Page>) -> Result<Told<TrashPage>, Problem> {
    page.rows()?;
    let TrashList { files, bytes } = shared.operations.list_trash().await?;
    let moment = |file: &TrashFile| file.trashed.parse::<Timestamp>().map_or((0, 0), |at| (at.as_second(), at.subsec_nanosecond()));
    let (files, next) = page.of(files, |file| (Reverse(moment(file)), file.path.clone(), file.id.clone()))?;
    told(TrashPage { files, bytes, next })
}

/// Brings files back. Nothing is replaced.
#[utoipa::path(
    post, path = "/trash/restore", tag = "trash", request_body = RestoreStart,
    responses((status = 200, description = "What is back, and what is not.", body = Restored))
)]
pub(super) async fn restore(_: Keeper, State(shared): State<Shared>, Json(start): Json<RestoreStart>) -> Result<Told<Restored>, Problem> {
    if start.what.is_empty() {
        return Err(Problem::bad_field("what", "it names nothing"));
    }
    told(shared.operations.restore_from_trash(start.what, start.to).await?)
}

/// Lets files go for good.
#[utoipa::path(
    post, path = "/trash/empty", tag = "trash", request_body = EmptyStart,
    responses((status = 200, description = "What is gone, and what stays.", body = TrashEmptied))
)]
pub(super) async fn empty(_: Keeper, State(shared): State<Shared>, Json(start): Json<EmptyStart>) -> Result<Told<TrashEmptied>, Problem> {
    told(shared.operations.empty_trash(Duration::from_secs(start.older_than.into())).await?)
}
