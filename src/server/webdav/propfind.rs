//! PROPFIND, answered from the index where it knows the file as it is.

use std::sync::Arc;

use bytes::Bytes;
use dav_server::fs::FsError;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};

use crate::dav::multistatus::Document;
use crate::dav::{href, propfind};
use crate::library::Kind;
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Files, Place, look, members};
use super::items::{Describe, Item, Scene};
use super::live::Wanted;
use super::locks::Locks;
use super::meta::{Meta, fs_error};
use super::mount::{Below, Mount};

/// A request body larger than this is none that a client would send.
const BODY_LIMIT: usize = 64 << 10;

pub(super) async fn answer(mount: &Mount, below: &Below, request: Request<Incoming>, user: &str, endless: bool) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let depth = match parts.headers.get("depth").map(HeaderValue::as_bytes) {
        Some(b"0") => Depth::Zero,
        Some(b"1") => Depth::One,
        // Without the header it is infinity too (RFC 4918 section 9.1).
        None | Some(b"infinity" | b"Infinity") if endless => Depth::Infinity,
        None | Some(b"infinity" | b"Infinity") => return error_document(StatusCode::FORBIDDEN, "propfind-finite-depth"),
        Some(_) => return text(StatusCode::BAD_REQUEST, "Depth is 0, 1 or infinity.\n"),
    };
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return text(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n");
    };
    let body = body.to_bytes();
    let wanted = match str::from_utf8(&body).map(propfind::Request::parse) {
        Ok(Ok(wanted)) => Arc::new(Wanted::new(wanted)),
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("The request body is no PROPFIND: {error}.\n")),
        Err(_) => return text(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n"),
    };
    let (path, files, locks, viewer) = (below.path.clone(), mount.files.clone(), mount.locks.all().clone(), Viewer::of(&parts.headers));
    let look = Look { base: mount.base(), files, viewer, user: user.to_owned(), wanted };
    let first = blocking(move || look.collect(&path, depth != Depth::Zero).map(|items| (look, items)));
    let written = match first.await.and_then(|first| first) {
        Ok((look, items)) if depth == Depth::Infinity => return stream_all(look, items, locks),
        Ok((look, items)) => {
            blocking(move || write(&items, &look.wanted, &locks).map_err(|_| FsError::GeneralFailure)).await.and_then(|done| done)
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(document) => multistatus(document),
        Err(FsError::NotFound) => text(StatusCode::NOT_FOUND, "There is no such file or folder.\n"),
        Err(FsError::Forbidden) => text(StatusCode::FORBIDDEN, "This cannot be read.\n"),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "This could not be read; the log says why.\n"),
    }
}

/// How far a request looks (RFC 4918 section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

/// Sends everything below a folder while it is read, one folder at a time: memory does not grow with the library, and a client that does not
/// read holds no thread.
fn stream_all(look: Look, first: Vec<Item>, locks: Locks) -> Response<Body> {
    let walk = Document::new().map(|document| Walk { look, locks, document, folders: Vec::new(), next: Some(first) });
    let pieces = stream::try_unfold(walk.ok(), |walk| async {
        let Some(walk) = walk else { return Ok(None) };
        // An error breaks the answer off, so that no client takes it for complete.
        let piece = blocking(move || walk.piece()).await.map_err(std::io::Error::other)??;
        Ok::<_, std::io::Error>(Some((Frame::data(Bytes::from(piece.0)), piece.1)))
    });
    xml(StatusCode::MULTI_STATUS, StreamBody::new(pieces).boxed_unsync())
}

/// A listing without end, as far as it has come.
struct Walk {
    look: Look,
    locks: Locks,
    document: Document,
    /// The hrefs of folders that are still to be read.
    folders: Vec<String>,
    /// What is to be told next.
    next: Option<Vec<Item>>,
}

impl Walk {
    /// The next piece of the answer, and what is left to do.
    fn piece(mut self) -> std::io::Result<(Vec<u8>, Option<Self>)> {
        let items = match self.next.take() {
            Some(items) => items,
            None => match self.folders.pop() {
                Some(href) => self.read(&href)?,
                None => return Ok((self.document.finish()?, None)),
            },
        };
        let below = items.iter().skip(1).filter(|item| item.is_folder()).map(|item| item.href.clone());
        self.folders.extend(below.collect::<Vec<_>>().into_iter().rev());
        items.iter().try_for_each(|item| item.write(&mut self.document, &self.look.wanted, &self.locks))?;
        Ok((self.document.take(), Some(self)))
    }

    /// The members of a folder, after the folder itself, whose own line came with its parent.
    fn read(&mut self, href: &str) -> std::io::Result<Vec<Item>> {
        let path = href.strip_prefix(&self.look.base).and_then(href::decode).unwrap_or_default();
        let path = RelPath::parse_lenient(&path).map_err(std::io::Error::other)?;
        match self.look.collect(&path, true) {
            Ok(mut found) => {
                found.first_mut().into_iter().for_each(|item| item.told = true);
                Ok(found)
            }
            Err(FsError::NotFound) => Ok(Vec::new()),
            Err(_) => self.document.failure(href, StatusCode::FORBIDDEN).map(|()| Vec::new()),
        }
    }
}

/// A 207 with this document.
pub(super) fn multistatus(document: Vec<u8>) -> Response<Body> {
    xml(StatusCode::MULTI_STATUS, whole(document))
}

fn whole(document: Vec<u8>) -> Body {
    Full::new(Bytes::from(document)).map_err(|never| match never {}).boxed_unsync()
}

/// An error with one of the condition codes of RFC 4918 section 16 and its kin.
pub(super) fn error_document(status: StatusCode, condition: &str) -> Response<Body> {
    let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><d:error xmlns:d=\"DAV:\"><d:{condition}/></d:error>");
    xml(status, whole(body.into_bytes()))
}

fn xml(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    response
}

/// Where and for whom, and what is asked.
struct Look {
    /// The mount's prefix with a slash.
    base: String,
    files: Files,
    viewer: Viewer,
    user: String,
    wanted: Arc<Wanted>,
}

impl Look {
    /// The target first, then its members.
    fn collect(&self, path: &RelPath, deep: bool) -> Result<Vec<Item>, FsError> {
        match self.files.place(path.as_str())? {
            Place::Top => self.top(deep),
            Place::Inside(root, inside) => {
                let view = root.tree.view().map_err(|error| fs_error(&error))?;
                let describe = Describe::new(root, &view, &self.user, self.wanted.needs())?;
                let meta = look(&root.tree, &inside, self.viewer).map_err(|error| fs_error(&error))?;
                let mut found = vec![(path.clone(), inside.clone(), Ok(meta))];
                if deep && found.iter().any(|(_, _, meta)| is_folder(meta)) {
                    let unusable = |_| FsError::NotFound;
                    for (name, meta) in members(&root.tree, &inside, self.viewer).map_err(|error| fs_error(&error))? {
                        found.push((path.join(&name).map_err(unusable)?, inside.join(&name).map_err(unusable)?, meta));
                    }
                }
                // What could not be read is no file that should get a number.
                let readable: Vec<&RelPath> = found.iter().filter(|(_, _, meta)| meta.is_ok()).map(|(_, inside, _)| inside).collect();
                let mut numbers = describe.numbers(&readable, Some(&inside))?.into_iter();
                let item = |(shown, inside, meta): (RelPath, RelPath, Result<Meta, FsError>)| {
                    let href = href::below(&self.base, &shown, is_folder(&meta));
                    let id = if meta.is_ok() { numbers.next().flatten() } else { None };
                    describe.item(href, &inside, meta, id)
                };
                found.into_iter().map(item).collect()
            }
        }
    }

    /// The folder that holds the trees.
    fn top(&self, deep: bool) -> Result<Vec<Item>, FsError> {
        let base = &self.base;
        let mut items = vec![Item::of_top(base.clone(), "", Ok(Meta::TOP), Arc::new(Scene::of_top(&self.user)))];
        for root in self.files.roots().iter().filter(|root| deep && root.rights.read) {
            let meta = look(&root.tree, &root.base, self.viewer).map_err(|error| fs_error(&error));
            let view = root.tree.view().map_err(|error| fs_error(&error))?;
            let scene = Arc::new(Scene::new(root, &view, &self.user, self.wanted.needs()));
            let path = RelPath::parse(root.name).map_err(|_| FsError::NotFound)?;
            items.push(Item::of_top(href::below(base, &path, true), root.name, meta, scene));
        }
        Ok(items)
    }
}

fn is_folder(meta: &Result<Meta, FsError>) -> bool {
    meta.as_ref().is_ok_and(|meta| meta.stat.kind == Kind::Folder)
}

fn write(items: &[Item], wanted: &Wanted, locks: &Locks) -> std::io::Result<Vec<u8>> {
    let mut document = Document::new()?;
    items.iter().try_for_each(|item| item.write(&mut document, wanted, locks))?;
    document.finish()
}
