//! PROPPATCH: times become the file's time, everything else is kept as the client wrote it.

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::accounts::Login;
use crate::dav::PropName;
use crate::dav::multistatus::{Document, parse_date};
use crate::dav::names::{DAV, FAVORITE, NC, OC};
use crate::dav::proppatch::{self, Patch};
use crate::library::{LibraryError, Tree};
use crate::store::properties::Property;
use crate::types::{Mtime, RelPath};

use super::super::http::{Body, Incoming, text};
use super::file::blocking;
use super::fs::Place;
use super::judge::{Claim, Target};
use super::locks::Touch;
use super::meta::{FsError, fs_error};
use super::mount::{Below, Mount, Mounts};
use super::propfind::multistatus;
use super::refusal::{broken, failed};

const BODY_LIMIT: usize = 64 << 10;
/// What Windows calls its properties.
const WINDOWS: &str = "urn:schemas-microsoft-com:";

/// What one instruction comes to.
enum Effect {
    /// The file's modification time.
    Time(Mtime),
    /// A dead property.
    Keep(Property),
    /// No dead property any more.
    Drop,
    /// The user's favourite, or not any more.
    Favorite(bool),
    /// Not allowed, for this reason.
    Refused(StatusCode),
}

pub(super) async fn answer(mounts: &Mounts, mount: &Mount, below: &Below, request: Request<Incoming>, login: Login) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let may_change = mount.files.rights(&below.path).change;
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return text(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n");
    };
    let body = body.to_bytes();
    let patches = match str::from_utf8(&body).map(proppatch::parse) {
        Ok(Ok(patches)) => patches,
        _ if !may_change => return text(StatusCode::FORBIDDEN, "You have no right to change this.\n"),
        Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("The request body is no PROPPATCH: {error}.\n")),
        Err(_) => return text(StatusCode::BAD_REQUEST, "The request body is not UTF-8.\n"),
    };
    // What somebody likes changes nothing for anybody else.
    if !may_change && patches.iter().any(|patch| patch.name != FAVORITE) {
        return text(StatusCode::FORBIDDEN, "You have no right to change this.\n");
    }
    let (href, target) = match Target::of(mount, below) {
        Ok(target) => (mount.url(below), target),
        Err(refusal) => return refusal.into(),
    };
    let claim = match Claim::of(mounts, mount, parts.headers, &login) {
        Ok(claim) => claim,
        Err(refusal) => return refusal.into(),
    };
    let judged = blocking(move || {
        let there = target.stat()?.ok_or_else(|| failed(&LibraryError::NotFound(target.path.clone())))?;
        claim.judge(&target, Some(there))?;
        claim.unlocked(&[Touch::itself(target.place())])
    });
    match judged.await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => return refusal.into(),
        Err(error) => return broken(error).into(),
    }
    let (files, path, user) = (mount.files.clone(), below.path.clone(), login.user);
    let document = blocking(move || match files.place(path.as_str())? {
        Place::Inside(root, inside) => apply(&root.tree, &inside, &user, &href, patches),
        Place::Top => Err(FsError::Forbidden),
    });
    match document.await.and_then(|document| document) {
        Ok(document) => multistatus(document),
        Err(FsError::NotFound) => text(StatusCode::NOT_FOUND, "There is no such file or folder.\n"),
        Err(FsError::Forbidden) => text(StatusCode::FORBIDDEN, "This has no properties of its own.\n"),
        Err(error @ FsError::Full) => text(StatusCode::INSUFFICIENT_STORAGE, format!("Nothing was changed: {error}.\n")),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "The properties could not be changed; the log says why.\n"),
    }
}

/// All or nothing, as section 9.2 wants it: one refusal makes the others fail with 424.
fn apply(tree: &Tree, path: &RelPath, user: &str, href: &str, patches: Vec<Patch>) -> Result<Vec<u8>, FsError> {
    let effects: Vec<(PropName, Effect)> = patches.into_iter().map(|patch| (patch.name.clone(), effect(patch))).collect();
    let refused = effects.iter().any(|(_, effect)| matches!(effect, Effect::Refused(_)));
    let results: Vec<(PropName, StatusCode)> = effects
        .iter()
        .map(|(name, effect)| {
            let status = match effect {
                Effect::Refused(status) => *status,
                _ if refused => StatusCode::FAILED_DEPENDENCY,
                _ => StatusCode::OK,
            };
            (name.clone(), status)
        })
        .collect();
    if !refused {
        carry_out(tree, path, user, effects).map_err(|error| fs_error(&error))?;
    }
    let mut document = Document::new();
    document.statuses(href, &results);
    Ok(document.finish())
}

fn effect(patch: Patch) -> Effect {
    if patch.name == FAVORITE {
        return match patch.value.as_ref().map_or("0", |value| value.text.trim()) {
            "1" | "true" => Effect::Favorite(true),
            "0" | "false" | "" => Effect::Favorite(false),
            _ => Effect::Refused(StatusCode::CONFLICT),
        };
    }
    let (namespace, local) = (patch.name.namespace.to_string(), patch.name.local.to_string());
    let Some(value) = patch.value else {
        return if is_protected(&namespace, &local) { Effect::Refused(StatusCode::FORBIDDEN) } else { Effect::Drop };
    };
    let time = match (namespace.as_str(), local.as_str()) {
        // ownCloud's and Nextcloud's way: seconds since 1970.
        (DAV, "lastmodified") => Some(Mtime::parse_oc_mtime(&value.text)),
        (DAV, "getlastmodified") | (WINDOWS, "Win32LastModifiedTime") => Some(parse_date(&value.text).map(Mtime::from_seconds)),
        _ => None,
    };
    match time {
        Some(Some(time)) => Effect::Time(time),
        Some(None) => Effect::Refused(StatusCode::CONFLICT),
        None if is_protected(&namespace, &local) => Effect::Refused(StatusCode::FORBIDDEN),
        None => Effect::Keep(Property { namespace, local, xml: value.xml }),
    }
}

/// Live properties that tell what is, and cannot be told otherwise.
fn is_protected(namespace: &str, local: &str) -> bool {
    match namespace {
        DAV => !matches!(local, "displayname" | "getcontentlanguage"),
        OC => !matches!(local, "tags"),
        NC => matches!(local, "has-preview" | "creation_time" | "is-encrypted" | "mount-type"),
        crate::dav::names::TL => true,
        _ => false,
    }
}

/// In document order: the last word about a property counts.
fn carry_out(tree: &Tree, path: &RelPath, user: &str, effects: Vec<(PropName, Effect)>) -> Result<(), LibraryError> {
    let (mut time, mut favorite) = (None, None);
    let mut last: Vec<(PropName, Option<Property>)> = Vec::new();
    for (name, effect) in effects {
        let kept = match effect {
            Effect::Time(mtime) => {
                time = Some(mtime);
                continue;
            }
            Effect::Favorite(is) => {
                favorite = Some(is);
                continue;
            }
            Effect::Keep(property) => Some(property),
            Effect::Drop => None,
            Effect::Refused(_) => continue,
        };
        last.retain(|(other, _)| *other != name);
        last.push((name, kept));
    }
    let removes = last.iter().filter(|(_, kept)| kept.is_none());
    let removes = removes.map(|(name, _)| (name.namespace.to_string(), name.local.to_string())).collect();
    let puts = last.iter().filter_map(|(_, kept)| kept.clone()).collect();
    if !last.is_empty() {
        tree.patch_properties(path, puts, removes)?;
    }
    if let Some(is) = favorite {
        tree.set_favorite(user, path, is)?;
    }
    time.map_or(Ok(()), |mtime| tree.set_mtime(path, mtime))
}
