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

use bytes::Bytes;
use dav_server::{DavConfig, DavHandler};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use crate::accounts::{Login, Role};
use crate::dav::xml::{Reader, Token};
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

    /// Refuses a MOVE or COPY that could not end well, before dav-server clears its destination; otherwise says which file it replaces.
    async fn check_move(&self, mount: &Mount, request: &Request<Incoming>, from: String) -> Result<Option<String>, Response<Body>> {
        let refused = |reason| text(StatusCode::FORBIDDEN, reason);
        let header = request.headers().get("destination").and_then(|value| value.to_str().ok());
        let Some(target) = header.and_then(crate::dav::href::decode) else {
            return Err(text(StatusCode::BAD_REQUEST, "There is no usable Destination.\n"));
        };
        let Some(to) = target.strip_prefix(mount.prefix).filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Err(text(StatusCode::BAD_GATEWAY, "The Destination lies elsewhere.\n"));
        };
        let (Ok(source), Ok(goal)) = (RelPath::parse_lenient(&from), RelPath::parse_lenient(to)) else {
            return Err(text(StatusCode::BAD_REQUEST, "The Destination cannot be used.\n"));
        };
        if mount.files.is_root(to) || mount.files.is_root(&from) && request.method().as_str() == "MOVE" {
            return Err(refused("This folder itself cannot be moved or replaced.\n"));
        }
        if source != goal && (source.strip_prefix(&goal).is_some() || goal.strip_prefix(&source).is_some()) {
            return Err(refused("A folder cannot be moved or copied into itself, or take the place of one that it lies in.\n"));
        }
        let (files, to, is_move) = (mount.files.clone(), to.to_owned(), request.method().as_str() == "MOVE");
        let looked = file::blocking(move || {
            let onto = files.file_onto_file(&from, &to);
            (is_move && files.moves_folder_across(&from, &to), onto.then_some(to))
        });
        match looked.await {
            Ok((false, onto)) => Ok(onto),
            Ok((true, _)) => Err(refused("A folder cannot be moved between import and library; copy it, then delete it.\n")),
            Err(_) => Err(text(StatusCode::INTERNAL_SERVER_ERROR, "The destination could not be looked at.\n")),
        }
    }

    pub(super) async fn handle(&self, mount: Mount, request: Request<Incoming>, login: Login) -> Response<Body> {
        if !mount.files.is_there() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "The library is not there; its disk is probably not mounted.\n");
        }
        let path = request.uri().path().strip_prefix(mount.prefix).and_then(crate::dav::href::decode);
        let Some(path) = path.filter(|path| RelPath::parse_lenient(path).is_ok()) else {
            return text(StatusCode::BAD_REQUEST, "This path cannot be used: it is not UTF-8, too long, or has forbidden characters.\n");
        };
        let mut replaced = None;
        match request.method().as_str() {
            "PROPFIND" => return propfind::answer(&mount, request).await,
            "REPORT" => return report::answer(&mount, request).await,
            "PROPPATCH" => return proppatch::answer(&mount, request, login, self.read_only).await,
            "UNLOCK" if login.role != Role::Admin && mount.locks.is_anothers(&request, &login.user) => {
                return text(StatusCode::FORBIDDEN, "This lock is somebody else's.\n");
            }
            "DELETE" if mount.files.is_root(&path) => return text(StatusCode::FORBIDDEN, "This folder itself cannot be deleted.\n"),
            "MOVE" | "COPY" => match self.check_move(&mount, &request, path).await {
                Ok(onto) => replaced = onto,
                Err(refusal) => return refusal,
            },
            _ => {}
        }
        let context = match Context::of(request.headers()) {
            Ok(context) => context.with_read_only(self.read_only).with_replaced(replaced),
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let is_put = request.method() == Method::PUT;
        let answer = if request.method().as_str() == "LOCK" {
            let (parts, body) = request.into_parts();
            // dav-server reads XML by recursion: what it gets has been checked for depth.
            match checked_xml(body).await {
                Some(body) => mount.handler.handle_guarded(Request::from_parts(parts, body), login.user, context.clone()).await,
                None => return text(StatusCode::BAD_REQUEST, "The request body is no lock request.\n"),
            }
        } else {
            let mut request = request;
            request.headers_mut().remove(context::EXPECTED_LENGTH);
            mount.handler.handle_guarded(request, login.user, context.clone()).await
        };
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

/// A small body of well-formed XML, or an empty one.
async fn checked_xml(body: Incoming) -> Option<Full<Bytes>> {
    let bytes = Limited::new(body, 64 << 10).collect().await.ok()?.to_bytes();
    if !bytes.is_empty() {
        let mut reader = Reader::new(str::from_utf8(&bytes).ok()?);
        while reader.token().ok()? != Token::Eof {}
    }
    Some(Full::new(bytes))
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
