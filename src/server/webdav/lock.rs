//! LOCK and UNLOCK (RFC 4918 sections 9.10 and 9.11).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::accounts::{Login, Role};
use crate::dav::lockinfo::{self, LockInfo};
use crate::library::{LibraryError, Tree};
use crate::types::{Expect, RelPath};

use super::super::http::{Body, Incoming};
use super::file::blocking;
use super::judge::{Claim, Target, hrefs, may_add};
use super::locks::{Denied, Lock, Touch, Wanted};
use super::mount::{Below, Mount, Mounts};
use super::refusal::{Answered, Refusal, broken, failed, forbidden, refuse, with_condition, xml};

const BODY_LIMIT: usize = 64 << 10;
const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

/// Locks a file or folder, or refreshes a lock.
pub(super) async fn lock(
    mounts: &Mounts,
    mount: Mount,
    below: Below,
    request: Request<Incoming>,
    login: Login,
) -> Answered<Response<Body>> {
    let (parts, body) = request.into_parts();
    let deep = match parts.headers.get("depth").map(HeaderValue::as_bytes) {
        Some(b"0") => false,
        None => true,
        Some(depth) if depth.eq_ignore_ascii_case(b"infinity") => true,
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, "The Depth of a lock is 0 or infinity.\n")),
    };
    let timeout = parts.headers.get("timeout").and_then(|value| value.to_str().ok()).and_then(lockinfo::timeout);
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Err(refuse(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n")),
    };
    let claim = Claim::of(mounts, &mount, parts.headers, &login)?;
    let target = Target::of(&mount, &below)?;
    if body.is_empty() {
        return refresh(&mount, target, claim, timeout, &login).await;
    }
    let LockInfo { shared, owner } = lockinfo_of(&body)?;
    let (place, root) = (target.place(), mount.url(&below));
    let looked = blocking(move || may_lock(&claim, &target).map(|exists| (exists, target)));
    let (exists, target) = looked.await.map_err(broken)??;
    let wanted = Wanted { place: place.clone(), root, user: login.user, owner, timeout, shared, deep };
    let lock = match mount.locks.grant(wanted).await {
        Ok(lock) => lock,
        Err(Denied::Conflict(others)) => return Err(conflict(&mount, &below, &place, &others)),
        Err(Denied::TooMany) => return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "There are too many locks; end some, or wait.\n")),
    };
    let mut status = StatusCode::OK;
    if !exists {
        // A lock on a free name makes an empty file (section 7.3). RACE: if another client makes one in this instant, that one is locked.
        let Target { root, path } = target;
        match blocking(move || make_empty(&root.tree, &path)).await.map_err(broken)? {
            Ok(()) => status = StatusCode::CREATED,
            Err(LibraryError::Exists(_)) => {}
            Err(error) => {
                mount.locks.release(&lock.token).await;
                return Err(failed(&error));
            }
        }
    }
    let mut answer = discovery(status, &lock);
    if let Ok(token) = HeaderValue::from_str(&format!("<{}>", lock.token)) {
        answer.headers_mut().insert(LOCK_TOKEN, token);
    }
    Ok(answer)
}

fn lockinfo_of(body: &Bytes) -> Answered<LockInfo> {
    let read = str::from_utf8(body).map(LockInfo::parse);
    match read {
        Ok(Ok(info)) => Ok(info),
        Ok(Err(error)) => Err(refuse(StatusCode::BAD_REQUEST, format!("The request body is no lock request: {error}.\n"))),
        Err(_) => Err(refuse(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n")),
    }
}

/// Whether something may be locked, and whether it is there. Blocks.
fn may_lock(claim: &Claim, target: &Target) -> Answered<bool> {
    let there = target.stat()?;
    match there {
        Some(_) if !target.root.rights.may_write() => return Err(forbidden()),
        Some(_) => {}
        None => may_add(target)?,
    }
    claim.judge(target, there)?;
    if there.is_none() {
        claim.unlocked(&[Touch::member(target.place())])?;
    }
    Ok(there.is_some())
}

fn make_empty(tree: &Tree, path: &RelPath) -> Result<(), LibraryError> {
    tree.stage().commit(path, &Expect::Absent, None).map(drop)
}

/// A lock on a folder that a lock further down forbids is answered with what that is (section 9.10.9).
fn conflict(mount: &Mount, below: &Below, place: &str, others: &[Lock]) -> Refusal {
    let members: Vec<Lock> = others.iter().filter(|other| other.place.len() > place.len()).cloned().collect();
    if members.len() < others.len() {
        return with_condition(StatusCode::LOCKED, "no-conflicting-lock", &hrefs(mount, others));
    }
    let member = |href: &String| {
        format!(
            "<d:response><d:href>{href}</d:href><d:status>HTTP/1.1 423 Locked</d:status><d:error><d:no-conflicting-lock><d:href>{href}</d:href>\
             </d:no-conflicting-lock></d:error></d:response>"
        )
    };
    let members: String = hrefs(mount, &members).iter().map(member).collect();
    let itself = mount.url(below);
    let body = format!(
        "<d:multistatus xmlns:d=\"DAV:\">{members}<d:response><d:href>{itself}</d:href><d:status>HTTP/1.1 424 Failed Dependency</d:status>\
         </d:response></d:multistatus>"
    );
    xml(StatusCode::MULTI_STATUS, &body).into()
}

/// The answer to a lock that was given or refreshed.
fn discovery(status: StatusCode, lock: &Lock) -> Response<Body> {
    xml(status, &format!("<d:prop xmlns:d=\"DAV:\"><d:lockdiscovery>{}</d:lockdiscovery></d:prop>", lock.active()))
}

/// A LOCK without a body (section 9.10.2): the one token in the If header says which lock.
async fn refresh(mount: &Mount, target: Target, claim: Claim, timeout: Option<Duration>, login: &Login) -> Answered<Response<Body>> {
    let [token] = claim.tokens() else {
        return Err(refuse(StatusCode::BAD_REQUEST, "A lock is refreshed by one lock token in an If header.\n"));
    };
    let (token, place) = (token.clone(), target.place());
    let lost = || with_condition(StatusCode::PRECONDITION_FAILED, "lock-token-matches-request-uri", &[]);
    match mount.locks.find(&place, &token) {
        Some(lock) if lock.belongs_to(&login.user) => {}
        Some(_) => return Err(refuse(StatusCode::FORBIDDEN, "This lock is somebody else's.\n")),
        None => return Err(lost()),
    }
    let judged = blocking(move || {
        let there = target.stat()?;
        claim.judge(&target, there)
    });
    judged.await.map_err(broken)??;
    mount.locks.refresh(&token, timeout).await.map(|lock| discovery(StatusCode::OK, &lock)).ok_or_else(lost)
}

/// Ends a lock. Admins may end everybody's.
pub(super) async fn unlock(mount: Mount, below: Below, headers: &HeaderMap, login: Login) -> Answered<Response<Body>> {
    let token = headers.get(LOCK_TOKEN).and_then(|value| value.to_str().ok()?.trim().strip_prefix('<')?.strip_suffix('>'));
    let Some(token) = token else {
        return Err(refuse(StatusCode::BAD_REQUEST, "UNLOCK needs a Lock-Token: the token between < and >.\n"));
    };
    let target = Target::of(&mount, &below)?;
    match mount.locks.find(&target.place(), token) {
        None => Err(with_condition(StatusCode::CONFLICT, "lock-token-matches-request-uri", &[])),
        Some(lock) if login.role != Role::Admin && !lock.belongs_to(&login.user) => {
            Err(refuse(StatusCode::FORBIDDEN, "This lock is somebody else's.\n"))
        }
        Some(_) => {
            mount.locks.release(token).await;
            Ok(empty(StatusCode::NO_CONTENT))
        }
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}
