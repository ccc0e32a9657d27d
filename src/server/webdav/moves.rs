//! MOVE and COPY: where they go, and whether that can end well, before anything is touched.

use http::header::HeaderName;
use http::{HeaderValue, Request, Response, StatusCode};

use crate::accounts::Login;
use crate::library::Extent;
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::context::Context;
use super::file::blocking;
use super::fs::Place;
use super::mount::{Below, Mount, Mounts, NoMount, destination};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// A request about something, on its way to dav-server.
pub(super) struct Prepared<B> {
    pub(super) mount: Mount,
    pub(super) request: Request<B>,
    pub(super) context: Context,
}

/// Prepares a MOVE or COPY: source and destination are paths of one mount, spelled as on disk, and what is replaced is known.
pub(super) async fn prepare<B>(
    mounts: &Mounts,
    (mount, from): (Mount, Below),
    mut request: Request<B>,
    context: Context,
    login: &Login,
) -> Result<Prepared<B>, Response<Body>> {
    let header = request.headers().get(DESTINATION).and_then(destination);
    let Some(target) = header else {
        return Err(text(StatusCode::BAD_REQUEST, "There is no usable Destination.\n"));
    };
    let (goal_mount, goal) = mounts.find(&target, login).map_err(|reason| match reason {
        NoMount::BadPath => text(StatusCode::BAD_REQUEST, "The Destination cannot be used.\n"),
        NoMount::Anothers => text(StatusCode::FORBIDDEN, "The Destination is somebody else's.\n"),
        NoMount::Nothing => text(StatusCode::BAD_GATEWAY, "The Destination lies elsewhere.\n"),
    })?;
    let is_move = request.method().as_str() == "MOVE";
    if goal_mount.files.is_root(goal.path.as_str()) || is_move && mount.files.is_root(from.path.as_str()) {
        return Err(text(StatusCode::FORBIDDEN, "This folder itself cannot be moved or replaced.\n"));
    }
    let (mount, from, goal) = in_one_mount(mounts, (mount, from), (goal_mount, goal), login)
        .ok_or_else(|| text(StatusCode::BAD_GATEWAY, "The Destination lies elsewhere.\n"))?;
    let inside = |outer: &RelPath, inner: &RelPath| inner.strip_prefix(outer).is_some();
    if from.path != goal.path && (inside(&from.path, &goal.path) || inside(&goal.path, &from.path)) {
        let reason = "A folder cannot be moved or copied into itself, or take the place of one that it lies in.\n";
        return Err(text(StatusCode::FORBIDDEN, reason));
    }
    let (files, source, target) = (mount.files.clone(), from.path.clone(), goal.path.clone());
    let looked = blocking(move || {
        let inode = |path: &RelPath| match files.place(path.as_str()) {
            Ok(Place::Inside(root, inside)) => root.tree.stat(&inside).ok().flatten().map(|stat| stat.inode),
            _ => None,
        };
        let there = inode(&target);
        (there.is_some(), there == inode(&source))
    });
    let Ok((replaces, same)) = looked.await else {
        return Err(text(StatusCode::INTERNAL_SERVER_ERROR, "The destination could not be looked at.\n"));
    };
    let paths = [&from.path, &goal.path].map(|path| path.as_str().to_owned());
    let replaced = replaces.then(|| goal.path.as_str().to_owned());
    let extent = if request.headers().get("depth").is_some_and(|depth| depth == "0") { Extent::Itself } else { Extent::Everything };
    if same && replaces && from.path != goal.path {
        // On a file system that ignores case a name that only changes its spelling replaces nothing.
        request.headers_mut().remove("overwrite");
    }
    if set_paths(&mount, &from, &goal, &mut request).is_none() {
        return Err(text(StatusCode::BAD_REQUEST, "The path cannot be used.\n"));
    }
    Ok(Prepared { mount, request, context: context.with_whole(paths.into(), replaced, extent) })
}

/// Source and destination below one mount: theirs if it is the same, otherwise the one that holds everything.
fn in_one_mount(
    mounts: &Mounts,
    (mount, from): (Mount, Below),
    (goal_mount, goal): (Mount, Below),
    login: &Login,
) -> Option<(Mount, Below, Below)> {
    if mount.prefix == goal_mount.prefix {
        let goal = spelled(&mount, goal);
        return Some((mount, from, goal));
    }
    let both = mounts.both(login).ok()?;
    let lift = |mount: &Mount, below: Below| match mount.files.place(below.path.as_str()) {
        Ok(Place::Inside(root, inside)) => Some(Below { path: both.files.path_of(root.name, &inside)?, ..below }),
        _ => None,
    };
    let (from, goal) = (lift(&mount, from)?, lift(&goal_mount, goal)?);
    let goal = spelled(&both, goal);
    Some((both, from, goal))
}

/// A destination's folders as they are spelled on disk; its own name as it was sent, because a MOVE may be about just that.
fn spelled(mount: &Mount, below: Below) -> Below {
    let folder = below.path.parent().map(|folder| mount.files.spelled(&folder));
    let path = folder.and_then(|folder| folder.join(below.path.name()).ok());
    Below { path: path.unwrap_or(below.path), ..below }
}

fn set_paths<B>(mount: &Mount, from: &Below, goal: &Below, request: &mut Request<B>) -> Option<()> {
    *request.uri_mut() = super::mount::with_path(request.uri(), &mount.url(from))?;
    request.headers_mut().insert(DESTINATION, HeaderValue::from_str(&mount.url(goal)).ok()?);
    Some(())
}
