//! REPORT sync-collection (RFC 6578): what changed below a folder since a token, from the index.
//!
//! It tells files and folders that are new, changed or gone; of a moved folder everything that is in it, at its new place and at its old one.
//! At level 1 a folder directly in the one that was asked for counts as changed when anything below it did, as its entity tag does.

use std::collections::HashSet;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::dav::multistatus::Document;
use crate::dav::sync::Position;
use crate::dav::{href, propfind, sync};
use crate::library::{Kind, LibraryError, Stat, View};
use crate::store::changes::{Change, Changes};
use crate::types::RelPath;

use super::super::http::{Body, Incoming, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Place, Root};
use super::live::{Asked, Needs, Subject, Teller};
use super::meta::{FsError, fs_error};
use super::mount::{Below, Mount};
use super::propfind::{error_document, multistatus, write};
use super::scene::{Scene, no_numbers, number_of};

const BODY_LIMIT: usize = 64 << 10;
/// The most members in one answer, whatever the client asks for; the rest comes with the next token.
const PAGE: u64 = 10_000;

/// Why there is no answer.
enum Failure {
    Fs(FsError),
    /// The token is not of this epoch, or from a time of which not everything is remembered.
    Token,
    /// Only the library knows its changes.
    NoChanges,
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        Self::Fs(fs_error(&error))
    }
}

pub(super) async fn answer(mount: &Mount, below: &Below, request: Request<Incoming>, user: &str) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // Section 3.2: the depth is told by the level in the body.
    if parts.headers.get("depth").is_some_and(|depth| depth != HeaderValue::from_static("0")) {
        return text(StatusCode::BAD_REQUEST, "The Depth of this report is 0.\n");
    }
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return text(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n");
    };
    let body = body.to_bytes();
    let wanted = match str::from_utf8(&body).map(sync::Request::parse) {
        Ok(Ok(wanted)) => wanted,
        Ok(Err(_)) => return error_document(StatusCode::FORBIDDEN, "supported-report"),
        Err(_) => return text(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n"),
    };
    let (base, shown, files) = (mount.base(), below.path.clone(), mount.files.clone());
    let teller = Teller { viewer: Viewer::of(&parts.headers), user: user.to_owned(), locks: mount.locks.clone() };
    let document = blocking(move || match files.place(shown.as_str()).map_err(Failure::Fs)? {
        Place::Inside(root, folder) => Report { root, base: &base, folder: &folder, shown: &shown, teller: &teller }.write(wanted),
        Place::Top => Err(Failure::NoChanges),
    });
    match document.await {
        Ok(Ok(document)) => multistatus(document),
        Ok(Err(Failure::Token)) => error_document(StatusCode::FORBIDDEN, "valid-sync-token"),
        Ok(Err(Failure::NoChanges)) => error_document(StatusCode::FORBIDDEN, "supported-report"),
        Ok(Err(Failure::Fs(FsError::NotFound))) => text(StatusCode::NOT_FOUND, "There is no such folder.\n"),
        Ok(Err(Failure::Fs(FsError::Full))) => no_numbers(),
        _ => text(StatusCode::INTERNAL_SERVER_ERROR, "The changes could not be read; the log says why.\n"),
    }
}

/// One answer.
struct Report<'a> {
    root: &'a Root,
    base: &'a str,
    /// The folder in its tree, and as it was asked for below the mount.
    folder: &'a RelPath,
    shown: &'a RelPath,
    teller: &'a Teller,
}

/// Changes that fit one answer, and where they end.
struct Page {
    members: Vec<Change>,
    cut: bool,
    position: u64,
}

impl Report<'_> {
    fn write(&self, wanted: sync::Request) -> Result<Vec<u8>, Failure> {
        let stat = self.root.tree.stat(self.folder)?.ok_or_else(|| LibraryError::NotFound(self.folder.clone()))?;
        let view = self.root.tree.view()?;
        let changes = view.changes().filter(|_| stat.kind == Kind::Folder).ok_or(Failure::NoChanges)?;
        let start = start(&wanted, changes)?;
        let page = self.page(&wanted, changes, start)?;
        let asked = Asked::of(propfind::Request::Props(wanted.props));
        let scene = Scene::new(self.root, &view, &self.teller.user, asked.needs())?;
        let mut document = Document::new();
        if asked.needs().ids {
            // All in one write.
            let there = page.members.iter().filter(|change| !change.gone).map(|change| change.path.clone());
            self.root.tree.file_ids(there.collect())?;
        }
        for Change { path, folder, gone, .. } in page.members {
            let shown = self.shown.join_path(&path.strip_prefix(self.folder).unwrap_or_default());
            // An error while reading is never a deletion.
            match self.root.tree.stat(&path)? {
                // A file in the place of a folder, or the reverse: what is there has a change of its own.
                Some(_) if gone => {}
                Some(stat) => {
                    let href = href::below(self.base, &shown, stat.kind == Kind::Folder);
                    self.tell(&mut document, &href, &path, stat, &view, (&asked, &scene))?;
                }
                None => document.failure(&href::below(self.base, &shown, folder), StatusCode::NOT_FOUND),
            }
        }
        if page.cut {
            document.truncated(&href::below(self.base, self.shown, true));
        }
        let token = match start.begun {
            Some(begun) if page.cut => sync::token_within(changes.epoch(), page.position, begun),
            _ => sync::token(changes.epoch(), page.position),
        };
        document.sync_token(&token);
        Ok(document.finish())
    }

    fn tell(
        &self,
        document: &mut Document,
        href: &str,
        path: &RelPath,
        stat: Stat,
        view: &View,
        (asked, scene): (&Asked, &Scene),
    ) -> Result<(), LibraryError> {
        let needs: Needs = asked.needs();
        let digests = view.digests(path, &stat)?;
        let any_dead = needs.dead && !view.properties().is_empty()?;
        let number = number_of(&self.root.tree, view, path, needs)?;
        let (folder, name) = (path.parent().unwrap_or_default(), path.name());
        let (root, view, scene) = (Some(self.root), Some(view), Some(scene));
        let subject = Subject { root, view, folder: &folder, name, shown: name, stat, digests, any_dead, scene, number };
        write(document, href, &subject, asked, self.teller)
    }

    /// The members that changed after `start`, as many as fit.
    fn page(&self, wanted: &sync::Request, changes: &Changes, start: Position) -> Result<Page, Failure> {
        // When everything was told the client is as far as the state that was read.
        let mut page = Page { members: Vec::new(), cut: false, position: changes.latest() };
        if changes.of_folder(self.folder).map_err(LibraryError::from)? <= start.number {
            return Ok(page);
        }
        let limit = usize::try_from(wanted.limit.unwrap_or(PAGE).clamp(1, PAGE)).unwrap_or(usize::MAX);
        let mut told_folders = HashSet::new();
        let mut last = start.number;
        for change in changes.since(start.number).map_err(LibraryError::from)? {
            let mut change = change.map_err(LibraryError::from)?;
            let Some(below) = change.path.strip_prefix(self.folder).filter(|below| !below.is_root()) else { continue };
            // At the first time there is nothing to be told of what was gone before.
            if change.gone && start.begun.is_some_and(|begun| change.number <= begun) {
                continue;
            }
            if !wanted.deep
                && let Some(above) = below.segments().next().filter(|name| *name != below.as_str())
            {
                let path = self.folder.join(above).map_err(|_| Failure::Fs(FsError::NotFound))?;
                if !told_folders.insert(path.clone()) {
                    continue;
                }
                change = Change { path, folder: true, gone: false, ..change };
            }
            if page.members.len() == limit {
                (page.cut, page.position) = (true, last);
                break;
            }
            last = change.number;
            page.members.push(change);
        }
        if !wanted.deep {
            // A folder may have been found changed before the change came that tells of itself.
            let mut seen = HashSet::new();
            page.members.reverse();
            page.members.retain(|change| seen.insert(change.path.clone()));
            page.members.reverse();
        }
        Ok(page)
    }
}

/// Where the client is. A first listing begins before everything.
fn start(wanted: &sync::Request, changes: &Changes) -> Result<Position, Failure> {
    let Some(token) = &wanted.token else { return Ok(Position { number: 0, begun: Some(changes.latest()) }) };
    let position = sync::position(token, changes.epoch()).ok_or(Failure::Token)?;
    let known = changes.reaches_back_to(position.begun.unwrap_or(position.number));
    if known && position.number <= changes.latest() { Ok(position) } else { Err(Failure::Token) }
}
