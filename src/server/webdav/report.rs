//! REPORT sync-collection (RFC 6578): what changed below a folder since a token, from the index.
//!
//! It tells files. A folder is told by its files: an empty one is seen by PROPFIND only.

use dav_server::fs::FsError;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::dav::multistatus::Document;
use crate::dav::{href, propfind, sync};
use crate::library::{Kind, LibraryError, Tree};
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::Viewer;
use super::file::blocking;
use super::fs::{Place, look};
use super::locks::{Locks, place_in};
use super::meta::fs_error;
use super::mount::{Below, Mount};
use super::propfind::{Item, error_document, multistatus, write_item};

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
    let (base, shown, viewer) = (mount.base(), below.path.clone(), Viewer::of(&parts.headers));
    let (files, locks) = (mount.files.clone(), mount.locks.all().clone());
    let document = blocking(move || match files.place(shown.as_str()).map_err(Failure::Fs)? {
        Place::Inside(root, folder) => {
            Page { tree: &root.tree, root: root.name, base: &base, folder: &folder, shown: &shown, locks: &locks, viewer }.write(&wanted)
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
struct Page<'a> {
    tree: &'a Tree,
    root: &'a str,
    base: &'a str,
    /// The folder in its tree, and as it was asked for below the mount.
    folder: &'a RelPath,
    shown: &'a RelPath,
    locks: &'a Locks,
    viewer: Viewer,
}

impl Page<'_> {
    fn write(&self, wanted: &sync::Request) -> Result<Vec<u8>, Failure> {
        let broken = |_| Failure::Fs(FsError::GeneralFailure);
        let meta = look(self.tree, self.folder, self.viewer)?;
        if meta.stat.kind != Kind::Folder {
            return Err(Failure::NoChanges);
        }
        let view = self.tree.view()?;
        let changes = view.changes().ok_or(Failure::NoChanges)?;
        let since = match &wanted.token {
            Some(token) => Some(sync::position(token, changes.epoch()).filter(|number| *number <= changes.latest()).ok_or(Failure::Token)?),
            None => None,
        };
        let props = propfind::Request::Props(wanted.props.clone());
        let limit = wanted.limit.unwrap_or(PAGE).min(PAGE);
        let mut document = Document::new().map_err(broken)?;
        let (mut told, mut position, mut cut) = (0, since.unwrap_or(0), false);
        for change in changes.since(since.unwrap_or(0)).map_err(LibraryError::from)? {
            let change = change.map_err(LibraryError::from)?;
            let Some(below) = change.path.strip_prefix(self.folder) else { continue };
            // At the first time there is nothing to be told of what is gone.
            if !wanted.deep && below.parent().is_some_and(|parent| !parent.is_root()) || change.gone && since.is_none() {
                continue;
            }
            if told == limit {
                document.failure(&href::below(self.base, self.shown, true), StatusCode::INSUFFICIENT_STORAGE).map_err(broken)?;
                cut = true;
                break;
            }
            told += 1;
            position = change.number;
            let shown = self.shown.join_path(&below);
            let member = match look(self.tree, &change.path, self.viewer) {
                _ if change.gone => None,
                Ok(meta) => Some(meta),
                Err(LibraryError::NotFound(_)) => None,
                // An error while reading is never a deletion.
                Err(error) => return Err(error.into()),
            };
            match member {
                Some(meta) => {
                    let (href, name) = (href::below(self.base, &shown, false), shown.name().to_owned());
                    let place = place_in(self.root, &change.path);
                    let item = Item { href, name, meta: Ok(meta), library: None, place, properties: Vec::new(), told: false };
                    write_item(&mut document, &item, &props, self.locks).map_err(broken)?;
                }
                None => document.failure(&href::below(self.base, &shown, false), StatusCode::NOT_FOUND).map_err(broken)?,
            }
        }
        // When everything was told the client is as far as the state that was read.
        let position = if cut { position } else { changes.latest() };
        document.sync_token(&sync::token(changes.epoch(), position)).map_err(broken)?;
        document.finish().map_err(broken)
    }
}
