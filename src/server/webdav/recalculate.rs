//! PATCH with X-Recalculate-Hash, as Nextcloud has it: a file is read from the disk once more, and its checksum told. It proves old files
//! without downloading them.

use http::header::ETAG;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::dav::checksum::OC_CHECKSUM;
use crate::dav::etag;
use crate::library::{LibraryError, Tree, hash_file_with};
use crate::types::RelPath;

use super::super::http::Body;
use super::file::blocking;
use super::judge::Target;
use super::lock::empty;
use super::meta::Meta;
use super::mount::{Below, Mount};
use super::promised::Promises;
use super::refusal::{Answered, broken, failed, refuse};

pub(super) const HEADER: &str = "x-recalculate-hash";

pub(super) async fn answer<B>(mount: &Mount, below: &Below, request: &Request<B>) -> Answered<Response<Body>> {
    let asked = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).and_then(Promises::asked);
    let asked = asked.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "X-Recalculate-Hash names sha1, md5, sha256, adler32 or all.\n"))?;
    let target = Target::of(mount, below)?;
    let read = blocking(move || recalculate(&target.root.tree, &target.path, asked));
    let (sums, tag) = read.await.map_err(broken)?.map_err(|error| match error {
        LibraryError::Changed(_) => refuse(StatusCode::CONFLICT, "The file changed while it was read; please ask again.\n"),
        error => failed(&error),
    })?;
    let sums: Vec<String> = sums.iter().map(|(kind, hex)| format!("{kind}:{hex}")).collect();
    let mut answer = empty(StatusCode::NO_CONTENT);
    for (name, value) in [(HeaderName::from_static(OC_CHECKSUM), sums.join(" ")), (ETAG, tag)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    }
    Ok(answer)
}

/// Kinds of checksums with their values, and an entity tag.
type Found = (Vec<(&'static str, String)>, String);

/// The checksums of what is on the disk now, and the entity tag that it has.
fn recalculate(tree: &Tree, path: &RelPath, mut asked: Promises) -> Result<Found, LibraryError> {
    let (stat, digests) = hash_file_with(tree, path, |piece| asked.update(piece))?;
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
