//! REPORT sync-collection (RFC 6578): what changed below a folder since a token, from the index.
//!
//! It tells files and folders that are new, changed or gone; of a moved folder everything that is in it, at its new place and at its old one.
//! At level 1 a folder directly in the one that was asked for counts as changed when anything below it did, as its entity tag does.

use std::collections::HashSet;

use dav_server::fs::FsError;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::dav::multistatus::Document;
use crate::dav::sync::Position;
use crate::dav::{href, propfind, sync};
use crate::library::{Kind, LibraryError};
use crate::store::changes::{Change, Changes};
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Place, Root, look};
use super::items::Describe;
use super::live::Wanted;
use super::locks::Locks;
use super::meta::{Meta, fs_error};
use super::mount::{Below, Mount};
use super::propfind::{error_document, multistatus};

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
    let (base, shown, viewer, user) = (mount.base(), below.path.clone(), Viewer::of(&parts.headers), user.to_owned());
    let (files, locks) = (mount.files.clone(), mount.locks.all().clone());
    let document = blocking(move || match files.place(shown.as_str()).map_err(Failure::Fs)? {
        Place::Inside(root, folder) => {
            let report = Report { root, base: &base, folder: &folder, shown: &shown, locks: &locks, viewer, user: &user };
            report.write(wanted)
        }
        Place::Top => Err(Failure::NoChanges),
    });
    match document.await {
        Ok(Ok(document)) => multistatus(document),
        Ok(Err(Failure::Token)) => error_document(StatusCode::FORBIDDEN, "valid-sync-token"),
        Ok(Err(Failure::NoChanges)) => error_document(StatusCode::FORBIDDEN, "supported-report"),
        Ok(Err(Failure::Fs(FsError::NotFound))) => text(StatusCode::NOT_FOUND, "There is no such folder.\n"),
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
    locks: &'a Locks,
    viewer: Viewer,
    user: &'a str,
}

/// Changes that fit one answer, and where they end.
struct Page {
    members: Vec<Change>,
    cut: bool,
    position: u64,
}

impl Report<'_> {
    fn write(&self, wanted: sync::Request) -> Result<Vec<u8>, Failure> {
        let broken = |_| Failure::Fs(FsError::GeneralFailure);
        if look(&self.root.tree, self.folder, self.viewer)?.stat.kind != Kind::Folder {
            return Err(Failure::NoChanges);
        }
        let view = self.root.tree.view()?;
        let changes = view.changes().ok_or(Failure::NoChanges)?;
        let start = start(&wanted, changes)?;
        let page = self.page(&wanted, changes, start)?;
        let wanted = Wanted::new(propfind::Request::Props(wanted.props));
        let describe = Describe::new(self.root, &view, self.user, wanted.needs()).map_err(Failure::Fs)?;
        let mut document = Document::new().map_err(broken)?;
        let members = page.members.into_iter().map(|change| Ok((self.now(&change)?, change)));
        let members = members.collect::<Result<Vec<_>, LibraryError>>()?;
        let there: Vec<&RelPath> = members.iter().filter(|(meta, _)| meta.is_some()).map(|(_, change)| &change.path).collect();
        let mut numbers = describe.numbers(&there, None).map_err(Failure::Fs)?.into_iter();
        for (meta, Change { path, folder, .. }) in members {
            let shown = self.shown.join_path(&path.strip_prefix(self.folder).unwrap_or_default());
            match meta {
                Some(meta) => {
                    let href = href::below(self.base, &shown, meta.stat.kind == Kind::Folder);
                    let item = describe.item(href, &path, Ok(meta), numbers.next().flatten()).map_err(Failure::Fs)?;
                    item.write(&mut document, &wanted, self.locks).map_err(broken)?;
                }
                None => document.failure(&href::below(self.base, &shown, folder), StatusCode::NOT_FOUND).map_err(broken)?,
            }
        }
        if page.cut {
            document.truncated(&href::below(self.base, self.shown, true)).map_err(broken)?;
        }
        let token = match start.begun {
            Some(begun) if page.cut => sync::token_within(changes.epoch(), page.position, begun),
            _ => sync::token(changes.epoch(), page.position),
        };
        document.sync_token(&token).map_err(broken)?;
        document.finish().map_err(broken)
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

    /// What is at the path of a change now; none when it is gone.
    fn now(&self, change: &Change) -> Result<Option<Meta>, LibraryError> {
        if change.gone {
            return Ok(None);
        }
        match look(&self.root.tree, &change.path, self.viewer) {
            Ok(meta) => Ok(Some(meta)),
            Err(LibraryError::NotFound(_)) => Ok(None),
            // An error while reading is never a deletion.
            Err(error) => Err(error),
        }
    }
}

/// Where the client is. A first listing begins before everything.
fn start(wanted: &sync::Request, changes: &Changes) -> Result<Position, Failure> {
    let Some(token) = &wanted.token else { return Ok(Position { number: 0, begun: Some(changes.latest()) }) };
    let position = sync::position(token, changes.epoch()).ok_or(Failure::Token)?;
    let known = changes.reaches_back_to(position.begun.unwrap_or(position.number));
    if known && position.number <= changes.latest() { Ok(position) } else { Err(Failure::Token) }
}
