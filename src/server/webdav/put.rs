//! PUT (RFC 9110 section 9.3.4): a file appears whole or not at all, and is durable when the answer goes out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, EXPECT, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;

use crate::accounts::Login;
use crate::dav::etag;
use crate::library::{Kind, LibraryError, OnDisk, Staged, Tree};
use crate::types::Expect;

use super::super::http::{Body, drain, text};
use super::context::Context;
use super::file::{Intake, Stored, Whole, blocking};
use super::given::{self, Refused};
use super::judge::{Claim, Target, may_add};
use super::live::HttpDate;
use super::lock::empty;
use super::locks::Touch;
use super::meta::Meta;
use super::mount::{Below, Mount, Mounts};
use super::refusal::{Answered, broken, failed, forbidden, refuse};

/// Stores the body under a path.
pub(super) async fn answer<B>(mounts: &Mounts, mount: Mount, below: Below, request: Request<B>, login: Login) -> Answered<Response<Body>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (parts, mut body) = request.into_parts();
    let expects_continue = parts.headers.contains_key(EXPECT);
    let stored = store(mounts, &mount, &below, parts.headers, &mut body, login).await;
    // Who asked first whether to send the body does not send it now.
    if stored.is_err() && !expects_continue {
        drain(&mut body).await;
    }
    stored
}

async fn store<B>(mounts: &Mounts, mount: &Mount, below: &Below, headers: HeaderMap, body: &mut B, login: Login) -> Answered<Response<Body>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    whole_and_plain(&headers)?;
    let context = Context::of(&headers).map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
    let target = Target::of(mount, below)?;
    if given::wants_folders(&headers) {
        given::make_folders(&target).await;
    }
    let asks_first = headers.contains_key(EXPECT);
    let claim = Claim::of(mounts, mount, headers, &login)?;
    let mut intake = Intake::new(target.root.tree.clone(), target.path.clone(), &context);
    // A large body is not taken in vain. A small one is here sooner than an answer could be, and one look at the disk is enough then.
    let judged = Arc::new((claim, target));
    if asks_first || !intake.is_small() {
        let (judged, announced) = (Arc::clone(&judged), context.announced());
        let may_come = move || {
            may_put(&judged.0, &judged.1)?;
            let target = &judged.1;
            target.root.tree.check_room(&target.path, announced.unwrap_or(0)).map_err(|error| failed(&error))
        };
        blocking(may_come).await.map_err(broken)??;
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, path = below.path.as_str(), "an upload was broken off");
            refuse(StatusCode::BAD_REQUEST, "The body was broken off; nothing was changed.\n")
        })?;
        if let Some(bytes) = frame.data_ref() {
            intake.take(bytes).await?;
        }
    }
    let whole = intake.end().await?;
    let timed = context.mtime().is_some();
    let stored = blocking(move || {
        // Again for a large one: meanwhile somebody may have locked or changed what is there.
        let expect = may_put(&judged.0, &judged.1)?;
        whole.store(&expect, &context)
    });
    Ok(tell(stored.await.map_err(broken)??, timed))
}

/// Stores what is here already under a path. It is judged before `give`, which may take its time, makes it for a tree.
pub(super) async fn answer_given(
    mounts: &Mounts,
    mount: &Mount,
    below: &Below,
    headers: HeaderMap,
    give: impl FnOnce(&Tree) -> Result<Staged, Refused> + Send + 'static,
    login: Login,
) -> Answered<Response<Body>> {
    whole_and_plain(&headers)?;
    let context = Context::of(&headers).map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
    let target = Target::of(mount, below)?;
    if given::wants_folders(&headers) {
        given::make_folders(&target).await;
    }
    let claim = Claim::of(mounts, mount, headers, &login)?;
    let timed = context.mtime().is_some();
    let stored = blocking(move || {
        may_put(&claim, &target)?;
        let (tree, path) = (target.root.tree.clone(), target.path.clone());
        let staged = give(&tree).map_err(|(status, reason)| refuse(status, reason))?;
        let whole = Whole::of(staged, tree, path, &context)?;
        // Meanwhile somebody may have locked or changed what is there.
        let expect = may_put(&claim, &target)?;
        whole.store(&expect, &context)
    });
    Ok(tell(stored.await.map_err(broken)??, timed))
}

/// The answer that tells what was stored.
fn tell(stored: Stored, timed: bool) -> Response<Body> {
    let Stored { meta, digests, hashes, replaced } = stored;
    let mut answer = empty(if replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED });
    let headers = answer.headers_mut();
    tell_version(headers, &meta);
    if timed {
        headers.insert("x-oc-mtime", HeaderValue::from_static("accepted"));
    }
    for (kind, hex) in hashes {
        let name = HeaderName::from_bytes(format!("x-hash-{kind}").to_ascii_lowercase().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&hex)) {
            headers.insert(name, value);
        }
    }
    if let Ok(sha1) = HeaderValue::from_str(&digests.sha1.to_string()) {
        headers.insert("x-hash-sha1", sha1);
    }
    answer
}

/// A photo is replaced whole or not at all, and stored as the bytes that came.
fn whole_and_plain(headers: &HeaderMap) -> Answered<()> {
    if headers.contains_key(CONTENT_RANGE) {
        return Err(refuse(StatusCode::BAD_REQUEST, "Parts of a file cannot be written; send the whole file.\n"));
    }
    if headers.contains_key("oc-chunked") {
        // The pieces of ownCloud's first way would become files of their own.
        let reason = "Uploads with OC-Chunked are not taken; use /remote.php/dav/uploads/.\n";
        return Err(refuse(StatusCode::NOT_IMPLEMENTED, reason));
    }
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        let mut refusal =
            text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "A body with a Content-Encoding is not taken; send the file as it is.\n");
        // What is accepted instead (RFC 9110 section 15.5.16).
        refusal.headers_mut().insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return Err(refusal.into());
    }
    Ok(())
}

/// Whether the upload may be stored, and what it must find then. Blocks.
pub(super) fn may_put(claim: &Claim, target: &Target) -> Answered<Expect<OnDisk>> {
    let there = target.stat()?;
    match there {
        _ if target.is_root() => return Err(failed(&LibraryError::WrongKind(target.path.clone()))),
        Some(stat) if stat.kind == Kind::Folder => return Err(failed(&LibraryError::WrongKind(target.path.clone()))),
        Some(_) if !target.root.rights.change => return Err(forbidden()),
        Some(_) => {}
        None => may_add(target)?,
    }
    claim.judge(target, there)?;
    let touch = if there.is_some() { Touch::itself(target.place()) } else { Touch::member(target.place()) };
    claim.unlocked(&[touch])?;
    claim.expect(target, there)
}

/// The entity tag of something that has just come about, the same that every later look will tell.
pub(super) fn tell_version(headers: &mut HeaderMap, meta: &Meta) {
    let tag = meta.opaque_etag().and_then(|opaque| HeaderValue::from_str(&etag::quote(&opaque)).ok());
    if let Some(tag) = tag {
        headers.insert("oc-etag", tag.clone());
        headers.insert(ETAG, tag);
    }
    if let Ok(date) = HeaderValue::from_str(&HttpDate(meta.stat.mtime).to_string()) {
        headers.insert(LAST_MODIFIED, date);
    }
}
