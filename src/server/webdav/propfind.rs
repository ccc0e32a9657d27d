//! PROPFIND, answered from the index where it knows the file as it is.
//!
//! A listing is written in pieces, each on a blocking thread when the client has taken the one before: memory does not grow with the folder or
//! the library, and a client that does not read holds no thread. A small folder is one piece.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Frame;

use crate::dav::multistatus::Document;
use crate::dav::{href, propfind};
use crate::library::{Folder, Kind, LibraryError, Stat};
use crate::types::{Mtime, RelPath};

use super::super::http::{Body, Incoming, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Files, Place, Root};
use super::live::{Asked, Needs, Subject, Teller};
use super::meta::{FsError, fs_error};
use super::mount::{Below, Mount};
use super::scene::{Numbers, Scene, no_numbers, number_members, number_of};
use super::warm;

/// A request body larger than this is none that a client would send.
const BODY_LIMIT: usize = 64 << 10;
/// A folder with more members takes too long to be listed between other requests.
const QUICK: usize = 256;
/// A piece of an answer ends when it is this long.
const PIECE: usize = 128 << 10;

/// How far a request looks (RFC 4918 section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

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
        Ok(Ok(wanted)) => wanted,
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("The request body is no PROPFIND: {error}.\n")),
        Err(_) => return text(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n"),
    };
    let asked = Asked::of(wanted);
    let walk = Walk {
        base: mount.base(),
        files: mount.files.clone(),
        needs: asked.needs(),
        asked,
        teller: Teller { viewer: Viewer::of(&parts.headers), user: user.to_owned(), locks: mount.locks.clone() },
        depth,
        document: Document::new(),
        folders: Vec::new(),
        listing: None,
    };
    let path = below.path.clone();
    let begun = match walk.is_quick(&path) {
        true => Ok(walk.begin(&path)),
        false => blocking(move || walk.begin(&path)).await,
    };
    match begun {
        Ok(Ok(Piece { bytes, rest: None })) => multistatus(bytes),
        Ok(Ok(Piece { bytes, rest: Some(walk) })) => streamed(bytes, walk),
        Ok(Err(FsError::NotFound)) => text(StatusCode::NOT_FOUND, "There is no such file or folder.\n"),
        Ok(Err(FsError::Forbidden)) => text(StatusCode::FORBIDDEN, "This cannot be read.\n"),
        Ok(Err(FsError::Full)) => no_numbers(),
        _ => text(StatusCode::INTERNAL_SERVER_ERROR, "This could not be read; the log says why.\n"),
    }
}

/// Sends an answer while it is made.
fn streamed(first: Vec<u8>, walk: Walk) -> Response<Body> {
    let pieces = stream::try_unfold(Piece { bytes: first, rest: Some(walk) }, |piece| async {
        if !piece.bytes.is_empty() {
            let rest = Piece { bytes: Vec::new(), rest: piece.rest };
            return Ok(Some((Frame::data(Bytes::from(piece.bytes)), rest)));
        }
        let Some(walk) = piece.rest else { return Ok(None) };
        // An error breaks the answer off, so that no client takes it for complete.
        let Piece { bytes, rest } = blocking(move || walk.piece()).await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok::<_, io::Error>(Some((Frame::data(Bytes::from(bytes)), Piece { bytes: Vec::new(), rest })))
    });
    xml(StatusCode::MULTI_STATUS, StreamBody::new(pieces).boxed_unsync())
}

/// A part of the answer, and what is left to do.
struct Piece {
    bytes: Vec<u8>,
    rest: Option<Walk>,
}

/// A listing, as far as it has come.
struct Walk {
    /// The mount's prefix with a slash.
    base: String,
    files: Files,
    asked: Asked,
    needs: Needs,
    teller: Teller,
    depth: Depth,
    document: Document,
    /// Folders that are still to be listed, as paths below the mount.
    folders: Vec<RelPath>,
    /// The folder that is being listed.
    listing: Option<Listing>,
}

/// A folder in the middle of being listed.
struct Listing {
    /// Below the mount.
    shown: RelPath,
    root: Root,
    /// In its tree.
    path: RelPath,
    folder: Folder,
    next: usize,
}

impl Walk {
    /// Whether the first piece needs no disk, as far as one can guess: then it is not worth another thread.
    fn is_quick(&self, path: &RelPath) -> bool {
        if self.depth == Depth::Infinity {
            return false;
        }
        match self.files.place(path.as_str()) {
            // Giving numbers waits for the disk.
            _ if self.needs.ids => false,
            Ok(Place::Inside(root, inside)) => warm::is_warm(root.name, &inside),
            _ => false,
        }
    }

    /// Tells of the target, and begins with what is in it.
    fn begin(mut self, path: &RelPath) -> Result<Piece, FsError> {
        let files = self.files.clone();
        match files.place(path.as_str())? {
            Place::Top => self.top(files.roots()).map_err(|error| fs_error(&error))?,
            Place::Inside(root, inside) => {
                let stat = root.tree.stat(&inside).and_then(|stat| stat.ok_or_else(|| LibraryError::NotFound(inside.clone())));
                let stat = stat.map_err(|error| fs_error(&error))?;
                self.one(path, root, &inside, stat).map_err(|error| fs_error(&error))?;
                if stat.kind == Kind::Folder && self.depth != Depth::Zero {
                    let listing = Listing::open(path.clone(), root.clone(), inside, self.needs).map_err(|error| fs_error(&error))?;
                    if listing.folder.len() <= QUICK {
                        warm::warm(root.name, &listing.path);
                    }
                    self.listing = Some(listing);
                }
            }
        }
        self.piece().map_err(|error| fs_error(&error))
    }

    /// The folder that holds all trees, and the trees.
    fn top(&mut self, roots: &[Root]) -> Result<(), LibraryError> {
        let stat = Stat::unknown_folder(Mtime(0));
        let (folder, name) = (&RelPath::root(), "");
        let (scene, number) = (None, None);
        let top = Subject { root: None, view: None, folder, name, shown: "", stat, digests: None, any_dead: false, scene, number };
        write(&mut self.document, &self.base, &top, &self.asked, &self.teller)?;
        let readable = roots.iter().filter(|root| root.rights.read);
        for root in readable.take(if self.depth == Depth::Zero { 0 } else { roots.len() }) {
            let shown = RelPath::parse(root.name).unwrap_or_default();
            match root.tree.stat(&root.base) {
                Ok(Some(stat)) => self.one(&shown, root, &root.base, stat)?,
                _ => self.document.failure(&href::below(&self.base, &shown, true), StatusCode::FORBIDDEN),
            }
            if self.depth == Depth::Infinity {
                self.folders.push(shown);
            }
        }
        self.folders.reverse();
        Ok(())
    }

    /// One file or folder by itself.
    fn one(&mut self, shown: &RelPath, root: &Root, path: &RelPath, stat: Stat) -> Result<(), LibraryError> {
        let view = root.tree.view()?;
        let digests = if stat.kind == Kind::File { view.digests(path, &stat)? } else { None };
        let any_dead = self.needs.dead && !view.properties().is_empty()?;
        let scene = Scene::new(root, &view, &self.teller.user, self.needs)?;
        let number = number_of(&root.tree, &view, path, self.needs)?;
        let (folder, name) = (path.parent().unwrap_or_default(), path.name());
        let (view, scene, root) = (Some(&view), Some(&scene), Some(root));
        let subject = Subject { root, view, folder: &folder, name, shown: shown.name(), stat, digests, any_dead, scene, number };
        let href = href::below(&self.base, shown, stat.kind == Kind::Folder);
        write(&mut self.document, &href, &subject, &self.asked, &self.teller)
    }

    /// The next piece of the answer.
    fn piece(mut self) -> Result<Piece, LibraryError> {
        while self.document.len() < PIECE {
            if let Some(listing) = self.listing.take() {
                self.listing = self.go_on(listing)?;
            } else if let Some(shown) = self.folders.pop() {
                self.listing = self.enter(shown)?;
            } else {
                return Ok(Piece { bytes: self.document.finish(), rest: None });
            }
        }
        Ok(Piece { bytes: self.document.take(), rest: Some(self) })
    }

    /// Opens a folder whose own line came with its parent.
    fn enter(&mut self, shown: RelPath) -> Result<Option<Listing>, LibraryError> {
        let Ok(Place::Inside(root, path)) = self.files.place(shown.as_str()) else { return Ok(None) };
        match Listing::open(shown.clone(), root.clone(), path, self.needs) {
            Ok(listing) => Ok(Some(listing)),
            // It was removed meanwhile.
            Err(LibraryError::NotFound(_)) => Ok(None),
            Err(error @ LibraryError::Store(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a folder could not be listed");
                self.document.failure(&href::below(&self.base, &shown, true), StatusCode::FORBIDDEN);
                Ok(None)
            }
        }
    }

    /// Tells of members until the piece is long enough; gives back the listing if there are more.
    fn go_on(&mut self, mut listing: Listing) -> Result<Option<Listing>, LibraryError> {
        let Listing { shown, root, path, folder, next } = &mut listing;
        let view = root.tree.view()?;
        let any_dead = self.needs.dead && !view.properties().is_empty()?;
        let scene = Scene::new(root, &view, &self.teller.user, self.needs)?;
        let mut numbers = match view.ids().filter(|_| self.needs.ids || self.needs.favorites) {
            Some(ids) => Some(Numbers::new(ids.members(path, folder.name(*next))?)),
            None => None,
        };
        let mut rows = match view.index() {
            Some(index) => Some(index.cursor(path, folder.name(*next))?),
            None => None,
        };
        let mut href = href::below(&self.base, shown, true);
        let stem = href.len();
        let mut below = Vec::new();
        while *next < folder.len() && self.document.len() < PIECE {
            let name = folder.name(*next);
            *next += 1;
            href.truncate(stem);
            href::push(&mut href, name);
            let stat = match folder.stat(name) {
                Ok(Some(stat)) => stat,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, folder = %path, "a member of a folder could not be looked at");
                    self.document.failure(&href, StatusCode::FORBIDDEN);
                    continue;
                }
            };
            let mut digests = None;
            if stat.kind == Kind::Folder {
                href.push('/');
                below.extend(Some(shown.join(name)).filter(|_| self.depth == Depth::Infinity));
            } else if let Some(rows) = &mut rows {
                digests = rows.row(name)?.filter(|row| stat.matches(row)).map(|row| row.digests);
            }
            let number = match &mut numbers {
                Some(numbers) => numbers.of(name)?,
                None => None,
            };
            let (view, scene, root) = (Some(&view), Some(&scene), Some(&*root));
            let subject = Subject { root, view, folder: path, name, shown: name, stat, digests, any_dead, scene, number };
            write(&mut self.document, &href, &subject, &self.asked, &self.teller)?;
        }
        // A path that would be too long is not listed further; the folder itself was told.
        self.folders.extend(below.into_iter().flatten().collect::<Vec<_>>().into_iter().rev());
        if *next < folder.len() {
            return Ok(Some(listing));
        }
        for (name, _) in folder.unreadable() {
            href.truncate(stem);
            href::push(&mut href, name);
            self.document.failure(&href, StatusCode::FORBIDDEN);
        }
        Ok(None)
    }
}

impl Listing {
    fn open(shown: RelPath, root: Root, path: RelPath, needs: Needs) -> Result<Self, LibraryError> {
        let folder = root.tree.folder(&path)?;
        if needs.ids {
            number_members(&root.tree, &path, &folder)?;
        }
        Ok(Self { shown, root, path, folder, next: 0 })
    }
}

/// Writes what is wanted of one resource.
pub(super) fn write(
    document: &mut Document,
    href: &str,
    subject: &Subject<'_>,
    asked: &Asked,
    teller: &Teller,
) -> Result<(), LibraryError> {
    let mut told = Ok(());
    document.resource(href, |found| told = subject.tell(asked, teller, found));
    told
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
