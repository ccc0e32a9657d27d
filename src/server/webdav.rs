//! WebDAV over the library: dav-server provides methods, conditions and locks; the files come from [`fs`], listings from [`propfind`].

mod afterwards;
mod buffer;
mod context;
mod file;
mod fs;
mod get;
mod live;
mod locks;
mod meta;
mod mount;
mod moves;
mod promised;
mod propfind;
mod proppatch;
mod recalculate;
mod report;
mod scene;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use crate::accounts::{Login, Role};
use crate::dav::xml::{Reader, Token};
use crate::library::{Extent, Tree};
use crate::store::{Store, StoreError};
use crate::types::LibraryId;

use self::afterwards::Afterwards;
use self::context::Context;
use self::fs::Place;
use self::mount::{Below, Mount, Mounts, NoMount};
use self::moves::Prepared;
use super::http::{Body, text};

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

/// WebDAV at all its paths.
pub(super) struct WebDav {
    mounts: Mounts,
    rules: Rules,
}

impl WebDav {
    pub(super) fn open(roots: Roots, store: Store, rules: Rules) -> Result<Self, StoreError> {
        Ok(Self { mounts: Mounts::open(roots, store, rules)?, rules })
    }

    /// Whether WebDAV answers at a path, whoever asks.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.mounts.covers(path)
    }

    /// Answers a request of somebody who is logged in.
    pub(super) async fn handle(&self, mut request: Request<Incoming>, login: Login) -> Response<Body> {
        let (mount, below) = match self.mounts.find(request.uri().path(), &login) {
            Ok(found) => found,
            Err(NoMount::Nothing) => return text(StatusCode::NOT_FOUND, "There is nothing here.\n"),
            Err(NoMount::Anothers) => return text(StatusCode::FORBIDDEN, "This is the home of another user.\n"),
            Err(NoMount::BadPath) => {
                let reason = "This path cannot be used: it is not UTF-8, too long, or has forbidden characters.\n";
                return text(StatusCode::BAD_REQUEST, reason);
            }
        };
        if !mount.files.is_there() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "The library is not there; its disk is probably not mounted.\n");
        }
        let below = match below.path.as_str().is_ascii() {
            true => below,
            false => Below { path: mount.files.spelled(&below.path), ..below },
        };
        let Some(uri) = mount::with_path(request.uri(), &mount.url(&below)) else {
            return text(StatusCode::BAD_REQUEST, "This path cannot be used.\n");
        };
        *request.uri_mut() = uri;
        let rights = mount.files.rights(&below.path);
        match request.method().as_str() {
            "GET" | "HEAD" | "PROPFIND" | "REPORT" | "COPY" | "PATCH" if !rights.read => {
                text(StatusCode::FORBIDDEN, "You have no right to read this.\n")
            }
            "PROPFIND" => propfind::answer(&mount, &below, request, &login.user, !self.rules.finite_depth).await,
            "REPORT" => report::answer(&mount, &below, request, &login.user).await,
            "PROPPATCH" if !rights.may_write() && (self.rules.read_only || !rights.read) => {
                text(StatusCode::FORBIDDEN, "You have no right to change this.\n")
            }
            "LOCK" if !rights.may_write() => text(StatusCode::FORBIDDEN, "You have no right to change this.\n"),
            "PROPPATCH" => proppatch::answer(&mount, &below, request, login).await,
            "UNLOCK" if login.role != Role::Admin && mount.locks.all().is_anothers(&request, &login.user) => {
                text(StatusCode::FORBIDDEN, "This lock is somebody else's.\n")
            }
            "DELETE" if mount.files.is_root(below.path.as_str()) => text(StatusCode::FORBIDDEN, "This folder itself cannot be deleted.\n"),
            "GET" | "HEAD" => match get::answer(&mount, &below, &request).await {
                Some(answer) => answer,
                None => self.pass_on(mount, below, request, login).await,
            },
            "PATCH" if request.headers().contains_key(recalculate::HEADER) => recalculate::answer(&mount, &below, &request).await,
            "OPTIONS" => afterwards::with_features(self.pass_on(mount, below, request, login).await),
            _ => {
                let afterwards = Afterwards::of(&self.mounts, (&mount, &below), &request, &login);
                let answer = self.pass_on(mount, below, request, login).await;
                afterwards.complete(answer).await
            }
        }
    }

    /// What dav-server answers, over the tree.
    async fn pass_on(&self, mount: Mount, below: Below, request: Request<Incoming>, login: Login) -> Response<Body> {
        let context = match Context::of(request.headers()) {
            Ok(context) => context,
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let itself = || vec![below.path.as_str().to_owned()];
        let prepared = match request.method().as_str() {
            "MOVE" | "COPY" => moves::prepare(&self.mounts, (mount, below), request, context, &login).await,
            "DELETE" => Ok(Prepared { context: context.with_whole(itself(), None, Extent::Everything), mount, request }),
            "LOCK" => Ok(Prepared { context: context.with_locked_name(), mount, request }),
            _ => Ok(Prepared { context, mount, request }),
        };
        let Prepared { mut mount, mut request, context } = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => return refusal,
        };
        if changes_membership(&mount, &request).await {
            mount.locks = mount.locks.with_membership();
        }
        let is_put = request.method() == Method::PUT;
        let answer = if request.method().as_str() == "LOCK" {
            let (parts, body) = request.into_parts();
            // dav-server reads XML by recursion: what it gets has been checked for depth.
            match checked_xml(body).await {
                Some(body) => mount.handler().handle_guarded(Request::from_parts(parts, body), login.user, context.clone()).await,
                None => return text(StatusCode::BAD_REQUEST, "The request body is no lock request.\n"),
            }
        } else {
            request.headers_mut().remove(context::EXPECTED_LENGTH);
            mount.handler().handle_guarded(request, login.user, context.clone()).await
        };
        let mut answer = match context.verdict() {
            Some((status, reason)) => text(status, reason),
            None => answer.map(|body| body.boxed_unsync()),
        };
        if is_put && answer.status().is_success() {
            told_of_upload(answer.headers_mut(), &context);
        }
        answer
    }
}

/// Whether a request adds something to a folder or takes it away.
async fn changes_membership(mount: &Mount, request: &Request<Incoming>) -> bool {
    match request.method().as_str() {
        "DELETE" | "MOVE" | "COPY" | "MKCOL" => true,
        "PUT" => {
            let below = request.uri().path().strip_prefix(mount.base().trim_end_matches('/')).and_then(crate::dav::href::decode);
            let files = mount.files.clone();
            let exists = file::blocking(move || match files.place(&below.unwrap_or_default()) {
                Ok(Place::Inside(root, inside)) => root.tree.stat(&inside).is_ok_and(|stat| stat.is_some()),
                _ => true,
            });
            !exists.await.unwrap_or(false)
        }
        _ => false,
    }
}

/// What the answer to an upload tells besides dav-server's own.
fn told_of_upload(headers: &mut http::HeaderMap, context: &Context) {
    if context.mtime().is_some() {
        headers.insert("x-oc-mtime", HeaderValue::from_static("accepted"));
    }
    if let Some(etag) = headers.get(http::header::ETAG).cloned() {
        headers.insert("oc-etag", etag);
    }
    for (kind, hex) in context.hashes() {
        let name = http::HeaderName::from_bytes(format!("x-hash-{kind}").to_ascii_lowercase().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&hex)) {
            headers.insert(name, value);
        }
    }
    if let Some(sha1) = context.received().and_then(|digests| HeaderValue::from_str(&digests.sha1.to_string()).ok()) {
        headers.insert("x-hash-sha1", sha1);
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

type Shared<T> = Arc<std::sync::Mutex<T>>;
