//! Files that do not come as the body of a PUT: put together from chunks, or sent many at once. For them the same conditions, locks, rights
//! and checks hold as for a PUT.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;

use crate::accounts::{Login, Rights};
use crate::library::{Committed, LibraryError, OnDisk, Staged, Tree};
use crate::types::{Expect, RelPath};

use super::super::http::{Body, text};
use super::afterwards::Afterwards;
use super::file::{blocking, meta_of};
use super::judge::{Claim, Target};
use super::mount::Below;
use super::put;
use super::refusal::{Answered, Refusal, broken, settle};
use super::scene::oc_id;
use super::{Mount, WebDav};

/// Where a file goes in the library, and what may be there.
#[derive(Debug)]
pub(in crate::server) struct Place {
    pub(in crate::server) path: RelPath,
    pub(in crate::server) expect: Expect<OnDisk>,
}

/// Why a file of several cannot be stored: what a PUT of it would be answered with.
pub(in crate::server) type Refused = (StatusCode, String);

impl WebDav {
    /// The tree that the originals are in.
    pub(in crate::server) fn originals(&self) -> &Tree {
        self.mounts.originals_tree()
    }

    /// What somebody may do in their home.
    pub(in crate::server) fn home_rights(&self, login: &Login) -> Rights {
        self.mounts.home(login).files.rights(&RelPath::root())
    }

    /// Whether an encoded path is one that somebody could upload to.
    pub(in crate::server) fn may_reach(&self, path: &str, login: &Login) -> bool {
        self.mounts.find(path, login).is_ok_and(|(mount, below)| {
            let rights = mount.files.rights(&below.path);
            rights.add || rights.change
        })
    }

    /// Stores at an encoded path what `give` makes, as a PUT with these headers would. `Overwrite: F` is heeded too.
    pub(in crate::server) async fn put_given(
        &self,
        path: &str,
        mut headers: HeaderMap,
        give: impl FnOnce(&Tree) -> Result<Staged, Refused> + Send + 'static,
        login: Login,
    ) -> Response<Body> {
        let (mount, below) = match self.find(path, &login) {
            Ok(found) => found,
            Err((status, reason)) => return text(status, reason),
        };
        headers.remove(CONTENT_RANGE);
        if headers.get("overwrite").is_some_and(|value| value == "F") {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let afterwards = Afterwards::of_upload((&mount, &below), &headers, &login);
        let answer = settle(put::answer_given(&self.mounts, &mount, &below, headers, give, login).await);
        afterwards.complete(answer).await
    }

    /// Where a file of this path in somebody's home goes, when they may store it there under these conditions.
    pub(in crate::server) async fn place(&self, path: &RelPath, headers: &HeaderMap, login: &Login) -> Result<Place, Refused> {
        let mount = self.mounts.home(login);
        match self.judge_one(&mount, path, headers.clone(), login).await {
            Ok(place) => Ok(place),
            Err(refusal) => Err(in_words(refusal).await),
        }
    }

    async fn judge_one(&self, mount: &Mount, path: &RelPath, headers: HeaderMap, login: &Login) -> Answered<Place> {
        let below = Below { path: mount.files.spelled(path), slash: false };
        let target = Target::of(mount, &below)?;
        if wants_folders(&headers) {
            make_folders(&target).await;
        }
        let claim = Claim::of(&self.mounts, mount, headers, login)?;
        let judged = blocking(move || put::may_put(&claim, &target).map(|expect| Place { path: target.path, expect }));
        judged.await.map_err(broken)?
    }
}

/// A refusal as a status and a sentence.
async fn in_words(refusal: Refusal) -> Refused {
    let (parts, body) = Response::from(refusal).into_parts();
    let plain = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let told = body.collect().await.ok().filter(|_| plain).map(|body| String::from_utf8_lossy(&body.to_bytes()).trim_end().to_owned());
    let reason = parts.status.canonical_reason().unwrap_or_default();
    (parts.status, told.unwrap_or_else(|| reason.to_owned()))
}

/// Nextcloud's wish that missing folders above an upload be made.
pub(super) fn wants_folders(headers: &HeaderMap) -> bool {
    headers.get("x-nc-webdav-auto-mkcol").is_some_and(|value| value == "1")
}

/// Makes the folders above an upload, as far as the user may. Where that fails, the upload says why.
pub(super) async fn make_folders(target: &Target) {
    let Some(folder) = target.path.parent().filter(|_| target.root.rights.add) else { return };
    let tree = target.root.tree.clone();
    if let Ok(Err(error)) = blocking(move || tree.create_folders(&folder)).await {
        tracing::debug!(%error, "the folders above an upload could not be made");
    }
}

/// The entity tag of a file that has just been stored: the same that a look at it will tell.
pub(in crate::server) fn etag_of(tree: &Tree, committed: &Committed) -> String {
    meta_of(tree, committed).opaque_etag().unwrap_or_default()
}

/// The numbers of files that have just been stored, in Nextcloud's long form.
pub(in crate::server) fn numbers_of(tree: &Tree, paths: Vec<RelPath>) -> Result<Vec<String>, LibraryError> {
    let state = tree.view()?.state_id();
    Ok(tree.file_ids(paths)?.into_iter().map(|number| oc_id(number, state)).collect())
}

/// The status that a failed change is answered with.
pub(in crate::server) fn status_of(error: &LibraryError) -> StatusCode {
    match error {
        LibraryError::NotFound(_) => StatusCode::NOT_FOUND,
        LibraryError::Changed(_) | LibraryError::Exists(_) => StatusCode::PRECONDITION_FAILED,
        LibraryError::NoParent(_) => StatusCode::CONFLICT,
        LibraryError::WrongKind(_) => StatusCode::METHOD_NOT_ALLOWED,
        LibraryError::Outside(_) => StatusCode::FORBIDDEN,
        LibraryError::TooLong(_) => StatusCode::URI_TOO_LONG,
        full if full.is_full() => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
