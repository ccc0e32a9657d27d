//! WebDAV over the library: one file a method. Before a method changes anything, [`judge`] says whether its conditions hold and no lock is in
//! the way; the library then makes the change in one step.

mod afterwards;
mod buffer;
mod change;
mod context;
mod file;
mod fs;
mod gather;
mod get;
mod given;
mod index;
mod judge;
mod live;
mod lock;
mod locks;
mod meta;
mod mount;
mod moves;
mod options;
mod promised;
mod propfind;
mod proppatch;
mod put;
mod recalculate;
mod refusal;
mod report;
mod scene;
mod warm;

use http::{HeaderValue, Request, Response, StatusCode};

use crate::accounts::Login;
use crate::library::Tree;
use crate::store::{Store, StoreError};
use crate::types::LibraryId;

use self::afterwards::Afterwards;
use self::judge::Claim;
use self::mount::{Below, Mount, Mounts, NoMount};
use self::refusal::{Answered, broken, forbidden, refuse, settle};
use super::http::{Body, Incoming, NOT_THERE, Peer, text};

pub(super) use self::gather::{Gathering, Sink};
pub(super) use self::given::{Place, Refused, etag_of, numbers_of, status_of};
pub(super) use self::mount::destination;
pub(super) use self::options::of_server;
pub(super) use self::promised::Promises;

/// What a node does not do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Change anything.
    pub read_only: bool,
    /// List everything at once (PROPFIND with Depth: infinity).
    pub finite_depth: bool,
    /// Ask for a login, and therefore have WebDAV, services and users.
    pub public: bool,
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
    pub(super) async fn handle(&self, request: Request<Incoming>, login: Login) -> Response<Body> {
        match self.find(request.uri().path(), &login) {
            Ok((mut mount, below)) => {
                mount.outside = Peer::of(request.extensions()).map(|peer| peer.href("")).unwrap_or_default();
                let afterwards = Afterwards::of(&self.mounts, (&mount, &below), &request, &login);
                let answer = settle(self.answer(mount, below, request, login).await);
                afterwards.complete(answer).await
            }
            Err((status, reason)) => text(status, reason),
        }
    }

    /// The mount at an encoded path and the path below it, spelled as on disk; or the status and text of the answer when there is none.
    fn find(&self, path: &str, login: &Login) -> Result<(Mount, Below), (StatusCode, &'static str)> {
        let (mount, below) = self.mounts.find(path, login).map_err(|reason| match reason {
            NoMount::Nothing => (StatusCode::NOT_FOUND, "There is nothing here.\n"),
            NoMount::Anothers => (StatusCode::FORBIDDEN, "This is the home of another user.\n"),
            NoMount::BadPath => {
                (StatusCode::BAD_REQUEST, "This path cannot be used: it is not UTF-8, too long, or has forbidden characters.\n")
            }
        })?;
        if !mount.files.is_there() {
            return Err((StatusCode::SERVICE_UNAVAILABLE, NOT_THERE));
        }
        let below = match below.path.as_str().is_ascii() {
            true => below,
            false => Below { path: mount.files.spelled(&below.path), ..below },
        };
        Ok((mount, below))
    }

    async fn answer(&self, mount: Mount, below: Below, request: Request<Incoming>, login: Login) -> Answered<Response<Body>> {
        let mounts = &self.mounts;
        let rights = mount.files.rights(&below.path);
        let request = self.read_conditions(&mount, &below, request, &login).await?;
        match request.method().as_str() {
            "GET" | "HEAD" | "PROPFIND" | "REPORT" | "COPY" | "PATCH" if !rights.read => {
                Err(refuse(StatusCode::FORBIDDEN, "You have no right to read this.\n"))
            }
            "GET" | "HEAD" => match get::answer(&mount, &below, &request).await {
                Some(answer) => Ok(answer),
                None => index::answer(mount, below, request.method()).await,
            },
            "PUT" => put::answer(mounts, mount, below, request, login).await,
            "PROPFIND" => Ok(propfind::answer(&mount, &below, request, &login.user, !self.rules.finite_depth).await),
            "REPORT" => Ok(report::answer(&mount, &below, request, &login.user).await),
            "OPTIONS" => Ok(options::answer(mount, below).await),
            "PATCH" if request.headers().contains_key(recalculate::HEADER) => recalculate::answer(&mount, &below, &request).await,
            // What a reader likes is a matter of the reader, but a node that is read-only writes nothing.
            "PROPPATCH" if !rights.may_write() && (self.rules.read_only || !rights.read) => Err(forbidden()),
            "LOCK" if !rights.may_write() => Err(forbidden()),
            "PROPPATCH" => Ok(proppatch::answer(mounts, &mount, &below, request, login).await),
            "LOCK" => lock::lock(mounts, mount, below, request, login).await,
            "UNLOCK" => lock::unlock(mount, below, request.headers(), login).await,
            "MKCOL" => change::mkcol(mounts, mount, below, request, login).await,
            "DELETE" => change::delete(mounts, mount, below, request, login).await,
            "MOVE" | "COPY" => moves::answer(mounts, mount, below, request, login).await,
            _ => Err(options::no_method(mount, below, request.method()).await),
        }
    }

    /// Judges the If header of a request that only reads; it is answered as without one then.
    async fn read_conditions<B>(&self, mount: &Mount, below: &Below, mut request: Request<B>, login: &Login) -> Answered<Request<B>> {
        let reads = matches!(request.method().as_str(), "GET" | "HEAD" | "PROPFIND" | "REPORT" | "OPTIONS");
        if reads && request.headers().contains_key("if") {
            let claim = Claim::of(&self.mounts, mount, request.headers().clone(), login)?;
            let path = below.path.clone();
            file::blocking(move || claim.judge_reading(&path)).await.map_err(broken)??;
            request.headers_mut().remove("if");
        }
        Ok(request)
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
