//! A whole folder in few bytes, for a page that shows all of it: what belongs together is one row, and rows come in columns.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::library::{Kind, LibraryError, Stat, View};
use crate::operations::NotDone;
use crate::types::media::is_junk;
use crate::types::{MediaKind, RelPath, stack};

use super::asked::Query;
use super::caller::Reader;
use super::library::{self, What};
use super::problem::{Document, Problem};
use super::{Shared, Told, blocking, told};

/// So many files below a folder are looked at for a picture of it.
const LOOKED_AT: usize = 64;

/// Which folder is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneFolder {
    /// The folder; the root when there is none.
    #[serde(default)]
    folder: String,
}

/// A whole folder. What is said of the files stands in columns: the first of each is of the first row.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Grid {
    /// The folder.
    folder: RelPath,
    /// The folders in it, in the order of their names.
    folders: Vec<GridFolder>,
    /// The files, in the order of their names. Of files that belong together it is the one that shows best what they are.
    names: Vec<String>,
    /// What each is.
    kinds: Vec<What>,
    /// Bytes.
    sizes: Vec<u64>,
    /// When each was taken, else when it was last modified: seconds since 1970 as the clock on the wall showed them there.
    times: Vec<i64>,
    /// Pixels across, as it is to be seen; 0 when that is not known.
    widths: Vec<u32>,
    /// Pixels down; 0 when that is not known.
    heights: Vec<u32>,
    /// How long a video lasts, in seconds; 0 when that is not known, and of what is no video.
    lasts: Vec<f64>,
    /// The BLAKE3 hash in hexadecimal; empty when it is not in the index yet.
    hashes: Vec<String>,
    /// By the number of the row: the other files that belong to it.
    others: BTreeMap<usize, Vec<GridFile>>,
    /// Names that cannot be used, and why.
    unreadable: Vec<NotDone>,
}

/// A folder in a folder.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GridFolder {
    name: String,
    /// Files below it that are in the index.
    files: u64,
    /// Bytes of them.
    size: u64,
    /// The path of a picture below it, and its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    cover: Option<(RelPath, String)>,
}

/// A file that belongs to another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GridFile {
    name: String,
    kind: What,
    size: u64,
}

/// A whole folder at once, for a page that shows it: its folders, and its files with what is known of them.
#[utoipa::path(
    get, path = "/library/grid", tag = "library", params(OneFolder),
    responses(
        (status = 200, description = "Everything in the folder.", body = Grid),
        (status = 404, description = "There is no such folder.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn whole_folder(
    Reader(caller): Reader,
    State(shared): State<Shared>,
    Query(asked): Query<OneFolder>,
) -> Result<Told<Grid>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let shown = library::path("folder", &asked.folder)?;
    let (tree, root) = (shared.originals.clone(), caller.login.folder);
    let grid = blocking(move || {
        let folder = tree.spelled(&root.join_path(&shown));
        let listing = library::listing(&tree, &folder)?;
        let view = tree.view()?;
        let mut grid = Grid { folder: shown, ..Grid::default() };
        let (mut files, mut names) = (HashMap::new(), Vec::new());
        for name in (0..listing.len()).map(|at| listing.name(at)) {
            let Some(stat) = listing.stat(name)? else { continue };
            if stat.kind == Kind::Folder {
                grid.folders.push(GridFolder::of(&view, &root, &folder, name)?);
            } else if !is_junk(name) {
                names.push(name.to_owned());
                files.insert(name.to_owned(), stat);
            }
        }
        for stack in stack::group(&names, &stack::promised) {
            let members = stack.media.iter().chain(stack.sidecars.iter().map(|sidecar| &sidecar.name));
            let members: Vec<(&String, &Stat)> = members.filter_map(|name| Some((name, files.get(name)?))).collect();
            grid.add(&view, &folder, &members)?;
        }
        grid.sort();
        grid.unreadable = listing.unreadable().iter().map(|(name, why)| NotDone::of(name, why)).collect();
        Ok(grid)
    });
    told(grid.await?)
}

impl GridFolder {
    fn of(view: &View, root: &RelPath, above: &RelPath, name: &str) -> Result<Self, Problem> {
        let Ok(path) = above.join(name) else { return Err(Problem::nothing_here()) };
        let known = view.changes().map(|changes| changes.folders().get(&path)).transpose()?.flatten();
        let totals = known.map(|folder| folder.totals).unwrap_or_default();
        let mut cover = None;
        if let Some(index) = view.index().filter(|_| totals.files > 0) {
            for item in index.subtree(&path).map_err(LibraryError::from)?.take(LOOKED_AT) {
                let (file, row) = item.map_err(LibraryError::from)?;
                let is_picture = matches!(stack::promised(file.name()), MediaKind::Image | MediaKind::Raw);
                if let Some(shown) = file.strip_prefix(root).filter(|_| is_picture) {
                    cover = Some((shown, row.digests.content.to_string()));
                    break;
                }
            }
        }
        Ok(Self { name: name.to_owned(), files: totals.files, size: totals.bytes, cover })
    }
}

impl Grid {
    /// Files that belong together, the main one first.
    fn add(&mut self, view: &View, folder: &RelPath, members: &[(&String, &Stat)]) -> Result<(), Problem> {
        // What every program shows stands for what the sensor saw.
        let plain = |name: &str| stack::promised(name) == MediaKind::Image && !stack::is_preview(name);
        let at = members.iter().position(|(name, _)| plain(name)).unwrap_or(0);
        let Some((name, stat)) = members.get(at) else { return Ok(()) };
        let Ok(path) = folder.join(name) else { return Ok(()) };
        let digests = view.digests(&path, stat)?;
        let kind = What::of(name);
        let known = kind.seen(view, digests.as_ref(), name)?;
        let (width, height) = known.size.unwrap_or_default();
        self.names.push((*name).clone());
        self.kinds.push(kind);
        self.sizes.push(stat.size);
        self.times.push(known.taken.as_deref().and_then(seconds).unwrap_or_else(|| on_the_wall(stat)));
        self.widths.push(width);
        self.heights.push(height);
        self.lasts.push(known.lasts.map_or(0.0, library::seconds));
        self.hashes.push(digests.map(|digests| digests.content.to_string()).unwrap_or_default());
        if members.len() > 1 {
            let others = members.iter().enumerate().filter(|(other, _)| *other != at);
            let others = others.map(|(_, (name, stat))| GridFile { name: (*name).clone(), kind: What::of(name), size: stat.size });
            self.others.insert(self.names.len() - 1, others.collect());
        }
        Ok(())
    }

    /// Brings the rows into the order of their names.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|a, b| self.names[*a].cmp(&self.names[*b]));
        fn sorted<T: Clone>(column: &mut Vec<T>, order: &[usize]) {
            *column = order.iter().filter_map(|at| column.get(*at).cloned()).collect();
        }
        sorted(&mut self.names, &order);
        sorted(&mut self.kinds, &order);
        sorted(&mut self.sizes, &order);
        sorted(&mut self.times, &order);
        sorted(&mut self.widths, &order);
        sorted(&mut self.heights, &order);
        sorted(&mut self.lasts, &order);
        sorted(&mut self.hashes, &order);
        let mut others = std::mem::take(&mut self.others);
        self.others = order.iter().enumerate().filter_map(|(now, before)| Some((now, others.remove(before)?))).collect();
    }
}

/// The seconds of a camera's time.
fn seconds(taken: &str) -> Option<i64> {
    let at: DateTime = taken.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(at).ok()?.as_second())
}

/// When a file was modified, as the clock on the wall showed it where the node is.
fn on_the_wall(stat: &Stat) -> i64 {
    let at = Timestamp::from_nanosecond(i128::from(stat.mtime.0)).unwrap_or_default();
    at.as_second() + i64::from(TimeZone::system().to_offset(at).seconds())
}
