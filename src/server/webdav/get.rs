//! GET and HEAD of files: the short way for the most frequent requests. What lies in the system's caches is read on the spot; only what has to
//! be waited for goes to a blocking thread.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;

use crate::dav::conditions::{self, Part, Selected, Verdict};
use crate::dav::{checksum, etag};
use crate::library::{LibraryError, Open, Tree};
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::buffer::{self, PIECE};
use super::file::blocking;
use super::fs::Place;
use super::live::{self, HttpDate};
use super::meta::FileTag;
use super::mount::{Below, Mount};

const OC_CHECKSUM: HeaderName = HeaderName::from_static(checksum::OC_CHECKSUM);

/// Answers a GET or HEAD of a file; none when it is about something else, or has conditions that need locks and other resources to be judged.
pub(super) async fn answer<B>(mount: &Mount, below: &Below, request: &Request<B>) -> Option<Response<Body>> {
    if request.headers().contains_key("if") {
        return None;
    }
    let Ok(Place::Inside(root, path)) = mount.files.place(below.path.as_str()) else { return None };
    let opened = match root.tree.open_cached(&path) {
        Some(opened) => Ok(opened),
        None => {
            let (tree, path) = (root.tree.clone(), path.clone());
            blocking(move || tree.open_file(&path)).await.ok()?
        }
    };
    match opened {
        Ok(open) => Some(serve(&root.tree, &path, open, request).await),
        // A folder, an error: the usual way has the words for it.
        Err(_) => None,
    }
}

async fn serve<B>(tree: &Tree, path: &RelPath, open: Open, request: &Request<B>) -> Response<Body> {
    let Open { file, stat } = open;
    let digests = match tree.digests(path, &stat) {
        Ok(digests) => digests,
        Err(error) => return failed(&error),
    };
    let tag = etag::quote(&FileTag::of(&stat, digests).to_string());
    let selected = Selected { etag: &tag, modified: stat.mtime.max(crate::types::Mtime(0)).seconds() };
    let mut answer = Response::new(empty());
    let headers = answer.headers_mut();
    insert(headers, ETAG, &tag);
    insert(headers, LAST_MODIFIED, &HttpDate(stat.mtime).to_string());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let status = match conditions::judge(request.headers(), selected) {
        Verdict::Go => None,
        Verdict::NotModified => Some(StatusCode::NOT_MODIFIED),
        Verdict::Failed => Some(StatusCode::PRECONDITION_FAILED),
    };
    if let Some(status) = status {
        *answer.status_mut() = status;
        return answer;
    }
    let (first, length) = match conditions::part(request.headers(), stat.size, selected) {
        Part::Whole => (0, stat.size),
        Part::Range { first, last } => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            insert(answer.headers_mut(), CONTENT_RANGE, &format!("bytes {first}-{last}/{}", stat.size));
            (first, last - first + 1)
        }
        Part::Unsatisfiable => {
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            insert(answer.headers_mut(), CONTENT_RANGE, &format!("bytes */{}", stat.size));
            return answer;
        }
    };
    let headers = answer.headers_mut();
    describe(headers, path.name());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(digests) = digests {
        insert(headers, OC_CHECKSUM, &checksum::oc_checksum(&digests.sha1));
    }
    if request.method() != Method::HEAD {
        match content(file, first, length).await {
            Ok(body) => *answer.body_mut() = body,
            Err(error) => return failed(&LibraryError::Io { path: path.to_string(), source: error }),
        }
    }
    answer
}

/// What kind of content it is, and that no browser may make more of it: a stored page must not run script in the name of the node.
fn describe(headers: &mut HeaderMap, name: &str) {
    let kind = live::content_type(name);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if kind.starts_with("text/html") || kind.contains("xml") || kind.contains("script") {
        headers.insert(http::header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    }
}

/// The bytes: a small part at once, a large one piece by piece.
async fn content(file: File, first: u64, length: u64) -> io::Result<Body> {
    if length == 0 {
        return Ok(empty());
    }
    let file = Arc::new(file);
    if length <= PIECE as u64 {
        return Ok(full(buffer::read(&file, first, length as usize).await?));
    }
    let pieces = stream::try_unfold((file, first, length), |(file, at, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = left.min(PIECE as u64);
        let bytes = buffer::read(&file, at, size as usize).await.inspect_err(|error| {
            tracing::error!(%error, "a file could not be read on; the answer was broken off");
        })?;
        Ok::<_, io::Error>(Some((Frame::data(bytes), (file, at + size, left - size))))
    });
    Ok(StreamBody::new(pieces).boxed_unsync())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Digests, dates and numbers are always good header values.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn failed(error: &LibraryError) -> Response<Body> {
    tracing::error!(%error, "a file could not be served");
    text(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be read; the log says why.\n")
}
