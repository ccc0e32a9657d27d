//! Files that do not come as the body of a PUT: put together from chunks, or sent many at once. For them the same conditions, locks, rights
//! and checks hold as for a PUT.

use std::io::Read;

use dav_server::davpath::DavPath;
use dav_server::ls::DavLockSystem as _;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_NONE_MATCH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::accounts::{Login, Rights};
use crate::dav::etag;
use crate::library::{Committed, Kind, LibraryError, OnDisk, Tree};
use crate::types::{Expect, RelPath};

use super::super::http::{Body, text};
use super::context::Context;
use super::file::blocking;
use super::fs::{Place, look};
use super::meta::Meta;
use super::mount::{Mount, with_path};
use super::{Viewer, WebDav, changes_membership, finished, wants_folders};

/// A body that is here already.
pub(in crate::server) struct Given {
    /// How many bytes there are.
    pub(in crate::server) size: u64,
    /// Where they come from.
    pub(in crate::server) bytes: Box<dyn Read + Send>,
}

/// Where a file goes, and what may be there.
#[derive(Debug)]
pub(in crate::server) struct Target {
    pub(in crate::server) path: RelPath,
    pub(in crate::server) expect: Expect<OnDisk>,
}

/// Why a file of several cannot be stored.
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

    /// Stores what is given at an encoded path, as a PUT with these headers would. `Overwrite: F` is heeded too.
    pub(in crate::server) async fn put_given(&self, path: &str, headers: &HeaderMap, given: Given, login: Login) -> Response<Body> {
        let (mount, below) = match self.find(path, &login) {
            Ok(found) => found,
            Err((status, reason)) => return text(status, reason),
        };
        let context = match Context::of(headers) {
            Ok(context) => context.with_given(given),
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let mut request = Request::new(Full::<bytes::Bytes>::default());
        *request.method_mut() = Method::PUT;
        *request.headers_mut() = headers.clone();
        for name in [CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        if let Some(value) = request.headers().get("if").and_then(|value| value.to_str().ok()).map(absolute_tags) {
            request.headers_mut().insert("if", value.parse().unwrap_or(HeaderValue::from_static("(<urn:none>)")));
        }
        if headers.get("overwrite").is_some_and(|value| value == "F") {
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let Some(uri) = with_path(request.uri(), &mount.url(&below)) else {
            return text(StatusCode::BAD_REQUEST, "The Destination cannot be used.\n");
        };
        *request.uri_mut() = uri;
        let mut mount = mount;
        if changes_membership(&mount, &request).await {
            mount.locks = mount.locks.with_membership();
        }
        if wants_folders(headers) {
            make_folders(&mount, &request).await;
        }
        let answer = mount.handler().handle_guarded(request, login.user, context.clone()).await;
        finished(answer, &context, true)
    }

    /// Where a file of this path in somebody's home goes, when they may store it there under these conditions.
    pub(in crate::server) async fn target(&self, path: &RelPath, headers: &HeaderMap, login: &Login) -> Result<Target, Refused> {
        let mount = self.mounts.home(login);
        let path = mount.files.spelled(path);
        if path.is_root() {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "this is a folder".into()));
        }
        let (at, headers, files) = (path.clone(), headers.clone(), mount.files.clone());
        let looked = blocking(move || match files.place(at.as_str()) {
            Ok(Place::Inside(root, inside)) => judge(&root.tree, inside, root.rights, &headers),
            _ => Err((StatusCode::NOT_FOUND, "there is no such place".into())),
        });
        let unexpected = |_| (StatusCode::INTERNAL_SERVER_ERROR, "it ended unexpectedly".to_owned());
        let (target, exists) = looked.await.map_err(unexpected)??;
        let locks = if exists { mount.locks } else { mount.locks.with_membership() };
        let encoded = format!("/{}", crate::dav::href::encode(&path));
        let place = DavPath::new(&encoded).map_err(|_| (StatusCode::BAD_REQUEST, "this path cannot be used".to_owned()))?;
        match locks.check(&place, Some(&login.user), false, false, &[]).await {
            Ok(()) => Ok(target),
            Err(_) => Err((StatusCode::LOCKED, "it is locked".into())),
        }
    }
}

/// An If header with every path in it as a whole URL. Nextcloud's desktop client sends paths (RFC 4918 section 10.4.2 allows both), and
/// dav-server would pass over the header.
fn absolute_tags(text: &str) -> String {
    text.replace("</", "<http://localhost/")
}

/// Whether a file may be stored at a path, and what it may replace; and whether there is something.
fn judge(tree: &Tree, path: RelPath, rights: Rights, headers: &HeaderMap) -> Result<(Target, bool), Refused> {
    let failed = |error: LibraryError| (status_of(&error), error.to_string());
    let forbidden = || (StatusCode::FORBIDDEN, "this is not allowed here".to_owned());
    let unmet = || (StatusCode::PRECONDITION_FAILED, "the condition is not met".to_owned());
    let there = tree.stat(&path).map_err(failed)?;
    let folder = path.parent().unwrap_or_default();
    let has_folder = tree.stat(&folder).map_err(failed)?.is_some_and(|stat| stat.kind == Kind::Folder);
    match there {
        Some(stat) if stat.kind == Kind::Folder => return Err((StatusCode::METHOD_NOT_ALLOWED, "there is a folder of this name".into())),
        Some(_) if !rights.change => return Err(forbidden()),
        None if !rights.add => return Err(forbidden()),
        None if !has_folder && wants_folders(headers) => tree.create_folders(&folder).map_err(failed)?,
        None if !has_folder => return Err((StatusCode::CONFLICT, "its folder does not exist".into())),
        _ => {}
    }
    let expect = match (headers.get(IF_MATCH), headers.get(IF_NONE_MATCH), there) {
        (None, None, None) if !rights.change => Expect::Absent,
        (None, None, _) => Expect::Anything,
        (None, Some(_), None) => Expect::Absent,
        (Some(wanted), None, Some(stat)) => {
            let meta = look(tree, &path, Viewer::Client).map_err(failed)?;
            let wanted = wanted.to_str().ok().and_then(etag::parse);
            if wanted.is_none() || wanted != meta.opaque_etag() {
                return Err(unmet());
            }
            Expect::Version(OnDisk::new(&stat, meta.digests))
        }
        _ => return Err(unmet()),
    };
    Ok((Target { path, expect }, there.is_some()))
}

/// Makes the folders above an upload, as far as the user may. Where that fails, the upload says why.
pub(super) async fn make_folders<B>(mount: &Mount, request: &Request<B>) {
    let below = request.uri().path().strip_prefix(mount.base().trim_end_matches('/')).and_then(crate::dav::href::decode);
    let files = mount.files.clone();
    let made = blocking(move || match files.place(&below.unwrap_or_default()) {
        Ok(Place::Inside(root, inside)) if root.rights.add => match inside.parent() {
            Some(folder) => root.tree.create_folders(&folder),
            None => Ok(()),
        },
        _ => Ok(()),
    });
    if let Ok(Err(error)) = made.await {
        tracing::debug!(%error, "the folders above an upload could not be made");
    }
}

/// The entity tag of a file that has just been stored: the same that a look at it will tell.
pub(in crate::server) fn etag_of(tree: &Tree, committed: &Committed) -> String {
    let known = tree.indexes(committed.path()).then_some(committed.version().digests);
    Meta::of(committed.stat(), known).opaque_etag().unwrap_or_default()
}

/// The status that a failed change is answered with.
pub(in crate::server) fn status_of(error: &LibraryError) -> StatusCode {
    match error {
        LibraryError::NotFound(_) => StatusCode::NOT_FOUND,
        LibraryError::Changed(_) | LibraryError::Exists(_) => StatusCode::PRECONDITION_FAILED,
        LibraryError::NoParent(_) => StatusCode::CONFLICT,
        LibraryError::WrongKind(_) => StatusCode::METHOD_NOT_ALLOWED,
        LibraryError::Outside(_) => StatusCode::FORBIDDEN,
        LibraryError::TooLong(_) => StatusCode::BAD_REQUEST,
        LibraryError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
