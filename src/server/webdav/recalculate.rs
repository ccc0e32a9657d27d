//! PATCH with X-Recalculate-Hash, as Nextcloud has it: a file is read from the disk once more, and its checksum told. It proves old files
//! without downloading them.

use std::io::Read as _;

use dav_server::fs::FsError;
use http::header::{CONTENT_LENGTH, ETAG};
use http::{HeaderValue, Request, Response, StatusCode};

use crate::dav::checksum::OC_CHECKSUM;
use crate::dav::etag;
use crate::library::{LibraryError, Open, Tree};
use crate::types::{Digests, Hasher, RelPath};

use super::super::http::{Body, text};
use super::file::blocking;
use super::fs::Place;
use super::meta::{Meta, fs_error};
use super::mount::{Below, Mount};
use super::promised::Promises;

pub(super) const HEADER: &str = "x-recalculate-hash";

const READ_BUFFER: usize = 256 << 10;

pub(super) async fn answer<B>(mount: &Mount, below: &Below, request: &Request<B>) -> Response<Body> {
    let asked = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).and_then(Promises::asked);
    let Some(asked) = asked else {
        return text(StatusCode::BAD_REQUEST, "X-Recalculate-Hash names sha1, md5, sha256, adler32 or all.\n");
    };
    let (files, path) = (mount.files.clone(), below.path.clone());
    let read = blocking(move || match files.place(path.as_str())? {
        Place::Inside(root, inside) => recalculate(&root.tree, &inside, asked).map_err(|error| match error {
            LibraryError::Changed(_) => FsError::Exists,
            error => fs_error(&error),
        }),
        Place::Top => Err(FsError::Forbidden),
    });
    match read.await.and_then(|read| read) {
        Ok((answers, tag)) => {
            let mut answer = text(StatusCode::NO_CONTENT, "");
            let headers = answer.headers_mut();
            headers.clear();
            headers.remove(CONTENT_LENGTH);
            let sums: Vec<String> = answers.iter().map(|(kind, hex)| format!("{kind}:{hex}")).collect();
            for (name, value) in [(OC_CHECKSUM, sums.join(" ")), (ETAG.as_str(), tag)] {
                if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
                    headers.insert(name, value);
                }
            }
            answer
        }
        Err(FsError::NotFound) => text(StatusCode::NOT_FOUND, "There is no such file.\n"),
        Err(FsError::Forbidden) => text(StatusCode::METHOD_NOT_ALLOWED, "Only files have a checksum.\n"),
        Err(FsError::Exists) => text(StatusCode::CONFLICT, "The file changed while it was read; please ask again.\n"),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be read; the log says why.\n"),
    }
}

/// Kinds of checksums with their values, and an entity tag.
type Found = (Vec<(&'static str, String)>, String);

/// The checksums of what is on the disk now, and the entity tag that it has.
fn recalculate(tree: &Tree, path: &RelPath, mut asked: Promises) -> Result<Found, LibraryError> {
    let Open { mut file, stat } = tree.open_file(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                asked.update(&buffer[..read]);
            }
            Err(source) => return Err(LibraryError::Io { path: path.to_string(), source }),
        }
    }
    let digests: Digests = hasher.finish();
    if tree.stat(path)? != Some(stat) {
        return Err(LibraryError::Changed(path.clone()));
    }
    let known = tree.digests(path, &stat)?;
    if let Some(known) = known.filter(|known| *known != digests) {
        tracing::error!(%path, indexed = %known.content, found = %digests.content,
            "the file is DAMAGED: its bytes are not those that the index knows, although its size and time are as they were; \
            please restore it from a backup or another copy");
    }
    let tag = Meta::of(stat, known).opaque_etag().unwrap_or_default();
    Ok((asked.answers(&digests.sha1), etag::quote(&tag)))
}
