//! WebDAV over the library: dav-server provides methods, conditions and locks; the files come from [`fs`], listings from [`propfind`].

mod context;
mod file;
mod fs;
mod locks;
mod meta;
mod promised;
mod propfind;
mod proppatch;
mod report;

use std::sync::Arc;

use dav_server::{DavConfig, DavHandler};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::accounts::Login;
use crate::library::Tree;
use crate::store::{Store, StoreError};
use crate::types::{LibraryId, Mtime, RelPath};

use self::context::Context;
use self::fs::Files;
use self::locks::Locks;
use super::http::{Body, text};

/// What dav-server reads from a file at a time.
const READ_BUFFER: usize = 256 << 10;

/// What a node does not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Change anything.
    pub read_only: bool,
    /// List everything at once (PROPFIND with Depth: infinity).
    pub finite_depth: bool,
}

/// The folder trees that a node serves.
#[derive(Clone)]
pub struct Roots {
    /// Served at `/originals/`.
    pub originals: Tree,
    /// Told to peers, so that nobody syncs a library with itself.
    pub library_id: LibraryId,
    /// Served at `/import/`.
    pub import: Option<Tree>,
}

/// One place where a tree, or the folder of both, is served.
#[derive(Clone)]
pub(super) struct Mount {
    prefix: &'static str,
    files: Files,
    locks: Locks,
    /// Answers PROPFIND with Depth: infinity.
    endless: bool,
    handler: DavHandler<Context>,
}

/// All mounts.
pub(super) struct WebDav {
    mounts: Vec<Mount>,
    read_only: bool,
}

impl WebDav {
    pub(super) fn open(roots: Roots, store: Store, rules: Rules) -> Result<Self, StoreError> {
        let locks = Locks::open(store)?;
        let mount = |prefix, files| mount(prefix, files, locks.clone(), !rules.finite_depth);
        let originals = ("originals", roots.originals.clone(), Some(roots.library_id));
        let import = roots.import.map(|tree| ("import", tree, None));
        let both: Vec<_> = std::iter::once(originals.clone()).chain(import.clone()).collect();
        let mut mounts = vec![mount("/originals", Files::single(originals)), mount("/webdav", Files::several(both))];
        mounts.extend(import.map(|import| mount("/import", Files::single(import))));
        Ok(Self { mounts, read_only: rules.read_only })
    }

    /// Whose path this is.
    pub(super) fn mount_of(&self, path: &str) -> Option<Mount> {
        let inside = |mount: &&Mount| path.strip_prefix(mount.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.mounts.iter().find(inside).cloned()
    }

    pub(super) async fn handle(&self, mount: Mount, request: Request<Incoming>, login: Login) -> Response<Body> {
        if request.method().as_str() == "PROPFIND" {
            return propfind::answer(&mount, request).await;
        }
        if request.method().as_str() == "REPORT" {
            return report::answer(&mount, request).await;
        }
        if request.method().as_str() == "PROPPATCH" {
            return proppatch::answer(&mount, request, login, self.read_only).await;
        }
        let path = request.uri().path().strip_prefix(mount.prefix).and_then(crate::dav::href::decode);
        let Some(path) = path.filter(|path| RelPath::parse_lenient(path).is_ok()) else {
            return text(StatusCode::BAD_REQUEST, "This path cannot be used: it is not UTF-8, too long, or has forbidden characters.\n");
        };
        let mut replaced = None;
        if let "MOVE" | "COPY" = request.method().as_str() {
            let header = request.headers().get("destination").and_then(|value| value.to_str().ok());
            let target = header.and_then(crate::dav::href::decode).and_then(|to| to.strip_prefix(mount.prefix).map(str::to_owned));
            if let Some(to) = target {
                let (files, is_move) = (mount.files.clone(), request.method().as_str() == "MOVE");
                let looked = file::blocking(move || {
                    (is_move && files.moves_folder_across(&path, &to), files.file_onto_file(&path, &to).then_some(to))
                });
                let Ok((across, onto)) = looked.await else {
                    return text(StatusCode::INTERNAL_SERVER_ERROR, "The destination could not be looked at.\n");
                };
                if across {
                    // Before dav-server clears the destination for a move that cannot succeed.
                    return text(StatusCode::FORBIDDEN, "A folder cannot be moved between import and library; copy it, then delete it.\n");
                }
                replaced = onto;
            }
        }
        let context = match Context::of(request.headers()) {
            Ok(context) => context.with_read_only(self.read_only).with_replaced(replaced),
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let is_put = request.method() == Method::PUT;
        let answer = mount.handler.handle_guarded(request, login.user, context.clone()).await;
        let mut answer = match context.verdict() {
            Some((status, reason)) => text(status, reason),
            None => answer.map(|body| body.boxed_unsync()),
        };
        if is_put && answer.status().is_success() {
            let headers = answer.headers_mut();
            if context.mtime().is_some() {
                headers.insert("x-oc-mtime", HeaderValue::from_static("accepted"));
            }
            if let Some(etag) = headers.get(http::header::ETAG).cloned() {
                headers.insert("oc-etag", etag);
            }
            if let Some(sha1) = context.received().and_then(|digests| HeaderValue::from_str(&digests.sha1.to_string()).ok()) {
                headers.insert("x-hash-sha1", sha1);
            }
        }
        answer
    }
}

/// Who is asking, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Viewer {
    /// Anybody.
    Client,
    /// A Nextcloud that mounts this node as external storage. With entity tags on folders it would scan each folder again whenever it is
    /// looked at, and its own clients would never come to rest.
    NextcloudStorage,
}

impl Viewer {
    fn of(headers: &http::HeaderMap) -> Self {
        let agent = headers.get(http::header::USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
        match agent.starts_with(b"sabre-dav/") || agent.starts_with(b"Nextcloud Server Crawler") {
            true => Self::NextcloudStorage,
            false => Self::Client,
        }
    }
}

fn mount(prefix: &'static str, files: Files, locks: Locks, endless: bool) -> Mount {
    let handler = DavConfig::new()
        .filesystem(Box::new(files.clone()))
        .locksystem(Box::new(locks.clone()))
        .strip_prefix(prefix)
        .read_buf_size(READ_BUFFER)
        .build_handler();
    Mount { prefix, files, locks, endless, handler }
}

/// An HTTP date (RFC 9110 section 5.6.7).
fn http_date(mtime: Mtime) -> String {
    // The format has no years before 1970; what is older counts as that.
    httpdate::fmt_http_date(std::time::SystemTime::from(mtime.max(Mtime(0))))
}

type Shared<T> = Arc<std::sync::Mutex<T>>;
