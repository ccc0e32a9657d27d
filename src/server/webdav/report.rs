//! REPORT sync-collection (RFC 6578): what changed below a folder since a token, from the index.
//!
//! It tells files. A folder is told by its files: an empty one is seen by PROPFIND only.

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::dav::multistatus::Document;
use crate::dav::{href, propfind, sync};
use crate::library::{Kind, LibraryError, Stat, View};
use crate::types::RelPath;

use super::super::http::{Body, Incoming, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Place, Root};
use super::live::{Asked, Subject, Teller};
use super::meta::{FsError, fs_error};
use super::mount::{Below, Mount};
use super::propfind::{error_document, multistatus, write};

const BODY_LIMIT: usize = 64 << 10;
/// The most members in one answer, whatever the client asks for; the rest comes with the next token.
const PAGE: u64 = 10_000;

/// Why there is no answer.
enum Failure {
    Fs(FsError),
    /// The token is not of this epoch.
    Token,
    /// Only the library knows its changes.
    NoChanges,
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        Self::Fs(fs_error(&error))
    }
}

pub(super) async fn answer(mount: &Mount, below: &Below, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
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
    let teller = Teller { viewer: Viewer::of(&parts.headers), locks: mount.locks.clone() };
    let document = blocking(move || match files.place(shown.as_str()).map_err(Failure::Fs)? {
        Place::Inside(root, folder) => Page { root, base: &base, folder: &folder, shown: &shown, teller: &teller }.write(wanted),
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
struct Page<'a> {
    root: &'a Root,
    base: &'a str,
    /// The folder in its tree, and as it was asked for below the mount.
    folder: &'a RelPath,
    shown: &'a RelPath,
    teller: &'a Teller,
}

impl Page<'_> {
    fn write(&self, wanted: sync::Request) -> Result<Vec<u8>, Failure> {
        let stat = self.root.tree.stat(self.folder)?.ok_or_else(|| LibraryError::NotFound(self.folder.clone()))?;
        let view = self.root.tree.view()?;
        let changes = view.changes().filter(|_| stat.kind == Kind::Folder).ok_or(Failure::NoChanges)?;
        let since = match &wanted.token {
            Some(token) => Some(sync::position(token, changes.epoch()).filter(|number| *number <= changes.latest()).ok_or(Failure::Token)?),
            None => None,
        };
        let asked = Asked::of(propfind::Request::Props(wanted.props));
        let limit = wanted.limit.unwrap_or(PAGE).min(PAGE);
        let mut document = Document::new();
        let (mut told, mut position, mut cut) = (0, since.unwrap_or(0), false);
        for change in changes.since(since.unwrap_or(0)).map_err(LibraryError::from)? {
            let change = change.map_err(LibraryError::from)?;
            let Some(below) = change.path.strip_prefix(self.folder) else { continue };
            // At the first time there is nothing to be told of what is gone.
            if !wanted.deep && below.parent().is_some_and(|parent| !parent.is_root()) || change.gone && since.is_none() {
                continue;
            }
            if told == limit {
                document.failure(&href::below(self.base, self.shown, true), StatusCode::INSUFFICIENT_STORAGE);
                cut = true;
                break;
            }
            told += 1;
            position = change.number;
            let href = href::below(self.base, &self.shown.join_path(&below), false);
            // An error while reading is never a deletion.
            match if change.gone { None } else { self.root.tree.stat(&change.path)? } {
                Some(stat) => self.tell(&mut document, &href, &change.path, stat, &view, &asked)?,
                None => document.failure(&href, StatusCode::NOT_FOUND),
            }
        }
        // When everything was told the client is as far as the state that was read.
        let position = if cut { position } else { changes.latest() };
        document.sync_token(&sync::token(changes.epoch(), position));
        Ok(document.finish())
    }

    fn tell(
        &self,
        document: &mut Document,
        href: &str,
        path: &RelPath,
        stat: Stat,
        view: &View,
        asked: &Asked,
    ) -> Result<(), LibraryError> {
        let digests = view.digests(path, &stat)?;
        let any_dead = !view.properties().is_empty()?;
        let (folder, name) = (path.parent().unwrap_or_default(), path.name());
        let subject = Subject { root: Some(self.root), view: Some(view), folder: &folder, name, shown: name, stat, digests, any_dead };
        write(document, href, &subject, asked, self.teller)
    }
}
