//! MKCOL and DELETE (RFC 4918 sections 9.3 and 9.6).

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::accounts::Login;
use crate::library::{Kind, LibraryError};

use super::super::http::{Body, Incoming};
use super::file::blocking;
use super::judge::{Claim, Target, may_add};
use super::lock::empty;
use super::locks::Touch;
use super::mount::{Below, Mount, Mounts};
use super::options::FOLDER;
use super::refusal::{Answered, Refusal, broken, failed, forbidden, not_allowed, refuse};

/// Makes a folder.
pub(super) async fn mkcol(
    mounts: &Mounts,
    mount: Mount,
    below: Below,
    request: Request<Incoming>,
    login: Login,
) -> Answered<Response<Body>> {
    let headers = without_body(request).await?;
    if mount.files.is_root(below.path.as_str()) {
        return Err(exists());
    }
    let target = Target::of(&mount, &below)?;
    let claim = Claim::of(mounts, &mount, headers, &login)?;
    let made = blocking(move || {
        if target.stat()?.is_some() {
            return Err(exists());
        }
        may_add(&target)?;
        claim.judge(&target, None)?;
        claim.unlocked(&[Touch::member(target.place())])?;
        target.root.tree.create_folder(&target.path).map_err(|error| match error {
            LibraryError::Exists(_) => exists(),
            error => failed(&error),
        })
    });
    made.await.map_err(broken)??;
    Ok(empty(StatusCode::CREATED))
}

fn exists() -> Refusal {
    not_allowed("There is something of this name already.\n", FOLDER)
}

/// Puts a file, or a folder with everything in it, into the trash in one step.
pub(super) async fn delete(
    mounts: &Mounts,
    mount: Mount,
    below: Below,
    request: Request<Incoming>,
    login: Login,
) -> Answered<Response<Body>> {
    let headers = without_body(request).await?;
    if mount.files.is_root(below.path.as_str()) {
        return Err(refuse(StatusCode::FORBIDDEN, "This folder itself cannot be deleted.\n"));
    }
    let target = Target::of(&mount, &below)?;
    let depth = depth(&headers)?;
    let claim = Claim::of(mounts, &mount, headers, &login)?;
    let place = target.place();
    let removed = blocking(move || {
        let there = target.stat()?.ok_or_else(|| failed(&LibraryError::NotFound(target.path.clone())))?;
        if there.kind == Kind::Folder && depth == Depth::Zero {
            return Err(refuse(StatusCode::BAD_REQUEST, "A folder is deleted with everything in it: Depth is infinity.\n"));
        }
        if !target.root.rights.delete {
            return Err(forbidden());
        }
        claim.judge(&target, Some(there))?;
        claim.unlocked(&[Touch::member(target.place())])?;
        let tree = &target.root.tree;
        let removed = match there.kind {
            Kind::File => tree.remove_file(&target.path, &claim.expect(&target, Some(there))?),
            Kind::Folder => tree.remove(&target.path),
        };
        removed.map_err(|error| failed(&error))
    });
    removed.await.map_err(broken)??;
    mount.locks.release_below(&place).await;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// How far a change of a folder goes (RFC 4918 section 10.2). Without the header it is infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    Infinity,
}

/// Reads it; 1 makes no sense here.
pub(super) fn depth(headers: &HeaderMap) -> Answered<Depth> {
    match headers.get("depth").map(HeaderValue::as_bytes) {
        Some(b"0") => Ok(Depth::Zero),
        None => Ok(Depth::Infinity),
        Some(depth) if depth.eq_ignore_ascii_case(b"infinity") => Ok(Depth::Infinity),
        Some(_) => Err(refuse(StatusCode::BAD_REQUEST, "The Depth of a change is 0 or infinity.\n")),
    }
}

/// The headers of a request that has no body. One with a body wants something that is not known here.
pub(super) async fn without_body(request: Request<Incoming>) -> Answered<HeaderMap> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, 64 << 10).collect().await.map(|body| body.to_bytes());
    match body {
        Ok(body) if body.is_empty() => Ok(parts.headers),
        _ => Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "This request has no use for a body.\n")),
    }
}
