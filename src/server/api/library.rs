//! The library, as somebody sees it: below the folder that is their root, and only with the right to read.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::accounts::Rights;
use crate::library::{Folder, Kind, LibraryError, Stat, Tree, View};
use crate::operations::{NotDone, moment};
use crate::store::pictures::PictureRow;
use crate::types::{Digests, MediaKind, RelPath, stack};

use super::asked::Query;
use super::caller::{Caller, Reader};
use super::page::{self, Page};
use super::problem::Problem;
use super::{Shared, Told, blocking, told};

/// Which part of the library is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFolder {
    /// The folder; the root when there is none.
    folder: Option<String>,
    /// So many rows at the most; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000, value_type = Option<u32>)]
    limit: Option<u32>,
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
}

impl OfFolder {
    pub(super) fn parts(self) -> (String, Page) {
        (self.folder.unwrap_or_default(), Page { limit: self.limit, cursor: self.cursor })
    }
}

/// A folder, a page at a time.
#[derive(Serialize, ToSchema)]
pub(super) struct FolderPage {
    /// The folder.
    folder: RelPath,
    /// What is in it, in the order of the names' bytes.
    entries: Vec<Entry>,
    /// Names that cannot be used, and why; with the first page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<NotDone>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What something in the library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum What {
    /// A folder.
    Folder,
    /// A picture.
    Image,
    /// A picture as the camera's sensor saw it.
    Raw,
    /// A film.
    Video,
    /// A drawing.
    Vector,
    /// Anything else: metadata beside a picture, or unknown.
    Sidecar,
}

/// A file or folder.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Entry {
    /// Its name.
    pub(in super::super) name: String,
    /// Its path.
    pub(in super::super) path: RelPath,
    /// What it is.
    pub(in super::super) kind: What,
    /// Bytes; of a folder, of everything below it that is indexed.
    pub(in super::super) size: u64,
    /// Files below it; only of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) files: Option<u64>,
    /// When it was last modified.
    pub(in super::super) modified: Option<String>,
    /// The type that its name suggests; only of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) media_type: Option<String>,
    /// Pixels across, as it is to be seen; of a picture or video that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) width: Option<u32>,
    /// Pixels down, as it is to be seen; of a picture or video that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) height: Option<u32>,
    /// How long it lasts, in seconds; of a video that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) lasts: Option<f64>,
    /// When it was taken, in the camera's time, such as `2019-07-14T05:21:08`; of a picture or video whose metadata or name tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) taken: Option<String>,
    /// Of its bytes, in hexadecimal: the identity of the file. None when it is not indexed (yet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) blake3: Option<String>,
    /// Of its bytes, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) sha1: Option<String>,
}

impl What {
    /// What a file's name promises.
    pub(super) fn of(name: &str) -> Self {
        match stack::promised(name) {
            MediaKind::Image => Self::Image,
            MediaKind::Raw => Self::Raw,
            MediaKind::Video => Self::Video,
            MediaKind::Vector => Self::Vector,
            MediaKind::Sidecar => Self::Sidecar,
        }
    }

    /// What is known of a picture or video. What was not looked at yet is not looked at now: a folder of any size is listed without opening its
    /// files.
    pub(super) fn seen(self, view: &View, digests: Option<&Digests>, name: &str) -> Result<PictureRow, LibraryError> {
        match digests.filter(|_| matches!(self, Self::Image | Self::Raw | Self::Video)) {
            Some(digests) => Ok(view.picture(&digests.content, name)?.unwrap_or_default()),
            None => Ok(PictureRow::default()),
        }
    }

    /// As it is told.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Image => "image",
            Self::Raw => "raw",
            Self::Video => "video",
            Self::Vector => "vector",
            Self::Sidecar => "sidecar",
        }
    }
}

/// Milliseconds in seconds.
pub(super) fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

impl Entry {
    /// `path` is where it is in the library, `shown` as somebody sees it.
    pub(super) fn of(view: &View, path: &RelPath, shown: RelPath, stat: &Stat) -> Result<Self, Problem> {
        let name = shown.name().to_owned();
        let modified = moment(stat.mtime);
        if stat.kind == Kind::Folder {
            let known = view.changes().map(|changes| changes.folders().get(path)).transpose()?.flatten();
            let totals = known.map(|folder| folder.totals).unwrap_or_default();
            let (size, files) = (totals.bytes, Some(totals.files));
            return Ok(Self {
                name,
                path: shown,
                kind: What::Folder,
                size,
                files,
                modified,
                media_type: None,
                width: None,
                height: None,
                lasts: None,
                taken: None,
                blake3: None,
                sha1: None,
            });
        }
        let kind = What::of(&name);
        let digests = view.digests(path, stat)?;
        let known = kind.seen(view, digests.as_ref(), &name)?;
        Ok(Self {
            kind,
            size: stat.size,
            files: None,
            modified,
            width: known.size.map(|(width, _)| width),
            height: known.size.map(|(_, height)| height),
            lasts: known.lasts.map(seconds),
            taken: known.taken,
            media_type: Some(mime_guess::from_path(&name).first_or_octet_stream().to_string()),
            blake3: digests.map(|digests| digests.content.to_string()),
            sha1: digests.map(|digests| digests.sha1.to_string()),
            name,
            path: shown,
        })
    }
}

/// A path that somebody gives, as one of theirs.
pub(super) fn path(field: &str, text: &str) -> Result<RelPath, Problem> {
    RelPath::parse_lenient(text).map_err(|error| Problem::bad_field(field, error.to_string()))
}

/// What is in a folder.
#[utoipa::path(
    get, path = "/library", tag = "library", params(OfFolder),
    responses(
        (status = 200, description = "In the order of the names.", body = FolderPage),
        (status = 404, description = "There is no such folder.", content_type = "application/problem+json", body = super::problem::Document),
    )
)]
pub(super) async fn list(
    Reader(caller): Reader,
    State(shared): State<Shared>,
    Query(asked): Query<OfFolder>,
) -> Result<Told<FolderPage>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let (folder, page) = asked.parts();
    let (rows, after) = (page.rows()?, page.after::<String>()?);
    let shown = path("folder", &folder)?;
    let (tree, root) = (shared.originals.clone(), caller.login.folder);
    let listed = blocking(move || {
        let folder = tree.spelled(&root.join_path(&shown));
        let listing = listing(&tree, &folder)?;
        let view = tree.view()?;
        let (mut entries, mut next) = (Vec::new(), None);
        for name in (0..listing.len()).map(|at| listing.name(at)).filter(|name| after.as_deref().is_none_or(|after| *name > after)) {
            if entries.len() == rows {
                next = entries.last().map(|entry: &Entry| page::next(&entry.name));
                break;
            }
            let (Some(stat), Ok(path), Ok(shown)) = (listing.stat(name)?, folder.join(name), shown.join(name)) else { continue };
            entries.push(Entry::of(&view, &path, shown, &stat)?);
        }
        let unreadable = listing.unreadable().iter().filter(|_| after.is_none()).map(|(name, why)| NotDone::of(name, why)).collect();
        Ok(FolderPage { folder: shown, entries, unreadable, next })
    });
    told(listed.await?)
}

/// What somebody may do in what they see of the library.
pub(in super::super) fn may(shared: &Shared, caller: &Caller) -> Rights {
    shared.webdav.home_rights(&caller.login)
}

/// Where a path that somebody gives is in the library.
pub(in super::super) fn path_of(caller: &Caller, text: &str) -> Result<RelPath, Problem> {
    Ok(caller.login.folder.join_path(&path("path", text)?))
}

/// What is known of one file, for somebody who may read.
pub(in super::super) async fn about(shared: &Shared, caller: &Caller, text: &str) -> Result<Entry, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let shown = path("path", text)?;
    let (tree, place) = (shared.originals.clone(), caller.login.folder.join_path(&shown));
    blocking(move || {
        let on_disk = tree.spelled(&place);
        let stat = tree.stat(&on_disk).ok().flatten().filter(|stat| stat.kind == Kind::File);
        let stat = stat.ok_or_else(|| Problem::new(http::StatusCode::NOT_FOUND, "not-found", "There is no such file."))?;
        Entry::of(&tree.view()?, &on_disk, shown, &stat)
    })
    .await
}

/// A folder that is to be listed.
pub(super) fn listing(tree: &Tree, folder: &RelPath) -> Result<Folder, Problem> {
    let no_folder = || Problem::new(http::StatusCode::NOT_FOUND, "not-found", "There is no such folder.");
    match tree.folder(folder) {
        Err(LibraryError::NotFound(_) | LibraryError::WrongKind(_) | LibraryError::Outside(_) | LibraryError::TooLong(_)) => {
            Err(no_folder())
        }
        Err(LibraryError::Io { source, .. }) if is_nothing(&source) => Err(no_folder()),
        listed => Ok(listed?),
    }
}

/// A file where a folder was looked for.
fn is_nothing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory | std::io::ErrorKind::InvalidFilename)
}
