//! OPTIONS, and what can be done with what.

use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};

use crate::accounts::Rights;
use crate::library::Kind;

use super::super::http::Body;
use super::file::blocking;
use super::fs::Place;
use super::lock::empty;
use super::mount::{Below, Mount};
use super::refusal::{Refusal, not_allowed, refuse};

/// With a folder.
pub(super) const FOLDER: &str = "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, COPY, MOVE, DELETE, LOCK, UNLOCK";
/// With a folder that trees are served at.
const TOP: &str = "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, COPY, LOCK, UNLOCK";
/// PATCH only to have a checksum computed anew, as Nextcloud does it.
const FILE: &str = "OPTIONS, GET, HEAD, PUT, PATCH, PROPFIND, PROPPATCH, COPY, MOVE, DELETE, LOCK, UNLOCK";
/// Where nothing is yet.
const NOTHING: &str = "OPTIONS, PUT, MKCOL, LOCK";
/// Without any right to write.
const READER: &str = "OPTIONS, GET, HEAD, PROPFIND, REPORT";
/// Somewhere on this server.
const ANYWHERE: &str = "OPTIONS, GET, HEAD, PUT, MKCOL, PROPFIND, PROPPATCH, REPORT, COPY, MOVE, DELETE, LOCK, UNLOCK";

/// Tells what this resource can do (RFC 4918 section 18).
pub(super) async fn answer(mount: Mount, below: Below) -> Response<Body> {
    with_allow(&allow(mount, below).await)
}

/// `OPTIONS *`, and the root of the server: Windows looks there first.
pub(in crate::server) fn of_server() -> Response<Body> {
    with_allow(ANYWHERE)
}

/// The answer to a method that there is no use for here: 405 to one that is known, 501 to others (RFC 9110 section 9.1).
pub(super) async fn no_method(mount: Mount, below: Below, method: &http::Method) -> Refusal {
    match method.as_str() {
        "POST" | "PATCH" | "TRACE" | "CONNECT" => not_allowed("This cannot be done here.\n", &allow(mount, below).await),
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "This method is not known here.\n"),
    }
}

fn with_allow(allow: &str) -> Response<Body> {
    let mut answer = empty(StatusCode::OK);
    let headers = answer.headers_mut();
    headers.insert("dav", HeaderValue::from_static("1, 2, 3, nextcloud-checksum-update"));
    // Windows takes a server without it for a FrontPage one.
    headers.insert("ms-author-via", HeaderValue::from_static("DAV"));
    if let Ok(allow) = HeaderValue::from_str(allow) {
        headers.insert(ALLOW, allow);
    }
    answer
}

async fn allow(mount: Mount, below: Below) -> String {
    let allowed = blocking(move || {
        if mount.files.is_root(below.path.as_str()) {
            let rights = mount.files.rights(&below.path);
            return if rights.may_write() { TOP } else { READER };
        }
        let Ok(Place::Inside(root, path)) = mount.files.place(below.path.as_str()) else { return READER };
        match (root.tree.stat(&path), root.rights) {
            (Ok(Some(_)), rights) if !rights.may_write() => READER,
            (Ok(Some(stat)), _) if stat.kind == Kind::Folder => FOLDER,
            (Ok(Some(_)), _) => FILE,
            (_, Rights { add: true, .. }) => NOTHING,
            _ => "OPTIONS",
        }
    });
    allowed.await.unwrap_or("OPTIONS").to_owned()
}
