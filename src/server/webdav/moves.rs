//! MOVE and COPY (RFC 4918 sections 9.8 and 9.9): in one step, seen whole or not at all.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::accounts::Login;
use crate::library::{Extent, Kind, LibraryError, Stat};
use crate::types::RelPath;
use crate::types::media::is_junk;

use super::super::http::{Body, Incoming};
use super::change::{Depth, depth, without_body};
use super::file::blocking;
use super::fs::{Place, look};
use super::judge::{Claim, Target};
use super::lock::empty;
use super::locks::Touch;
use super::meta::Meta;
use super::mount::{Below, Mount, Mounts, NoMount, destination};
use super::put::tell_version;
use super::refusal::{Answered, broken, failed, forbidden, refuse};

const DESTINATION: HeaderName = HeaderName::from_static("destination");
const OVERWRITE: HeaderName = HeaderName::from_static("overwrite");

/// What is to be done, once that is clear.
struct Plan {
    is_move: bool,
    from: Target,
    to: Target,
    overwrite: bool,
    depth: Depth,
}

/// Moves or copies a file or folder.
pub(super) async fn answer(
    mounts: &Mounts,
    mount: Mount,
    below: Below,
    request: Request<Incoming>,
    login: Login,
) -> Answered<Response<Body>> {
    let is_move = request.method().as_str() == "MOVE";
    let headers = without_body(request).await?;
    let overwrite = match headers.get(OVERWRITE).map(HeaderValue::as_bytes) {
        None | Some(b"T" | b"t") => true,
        Some(b"F" | b"f") => false,
        Some(_) => return Err(refuse(StatusCode::BAD_REQUEST, "Overwrite is T or F.\n")),
    };
    let depth = depth(&headers)?;
    let (mount, from, to) = places(mounts, (mount, below), &headers, is_move, &login).await?;
    let claim = Claim::of(mounts, &mount, headers, &login)?;
    let (source, target) = (Target::of(&mount, &from)?, Target::of(&mount, &to)?);
    let (left, taken) = (source.place(), target.place());
    let plan = Plan { is_move, from: source, to: target, overwrite, depth };
    let (meta, replaced) = blocking(move || plan.carry_out(&claim)).await.map_err(broken)??;
    if replaced {
        mount.locks.release_below(&taken).await;
    }
    if is_move {
        // A lock stays behind, and ends there (section 7.6).
        mount.locks.release_below(&left).await;
    }
    let mut answer = empty(if replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED });
    if let Some(meta) = meta {
        tell_version(answer.headers_mut(), &meta);
    }
    Ok(answer)
}

const ELSEWHERE: &str =
    "The Destination lies elsewhere. If it is the address of a proxy in front of this node, name it with --external-url.\n";

/// Source and destination as paths of one mount, spelled as on disk.
async fn places(
    mounts: &Mounts,
    (mount, from): (Mount, Below),
    headers: &HeaderMap,
    is_move: bool,
    login: &Login,
) -> Answered<(Mount, Below, Below)> {
    let goal = headers.get(DESTINATION).and_then(|value| value.to_str().ok()).and_then(destination);
    let Some(goal) = goal else {
        return Err(refuse(StatusCode::BAD_REQUEST, "There is no usable Destination.\n"));
    };
    let (goal_mount, goal) = mounts.find(&goal, login).map_err(|reason| match reason {
        NoMount::BadPath => refuse(StatusCode::BAD_REQUEST, "The Destination cannot be used.\n"),
        NoMount::Anothers => refuse(StatusCode::FORBIDDEN, "The Destination is somebody else's.\n"),
        NoMount::Nothing => refuse(StatusCode::BAD_GATEWAY, ELSEWHERE),
    })?;
    if goal_mount.files.is_root(goal.path.as_str()) || is_move && mount.files.is_root(from.path.as_str()) {
        return Err(refuse(StatusCode::FORBIDDEN, "This folder itself cannot be moved or replaced.\n"));
    }
    let (mount, from, goal) = in_one_mount(mounts, (mount, from), (goal_mount, goal), login)
        .ok_or_else(|| refuse(StatusCode::FORBIDDEN, "Nothing can be moved or copied from here to there.\n"))?;
    // The folders of the destination as they are spelled on disk; its own name as it was sent, because a MOVE may be about just that.
    let (files, path) = (mount.files.clone(), goal.path.clone());
    let spelled = blocking(move || {
        let folder = path.parent().map(|folder| files.spelled(&folder));
        folder.and_then(|folder| folder.join(path.name()).ok()).unwrap_or(path)
    });
    let path = spelled.await.map_err(broken)?;
    let goal = Below { path, ..goal };
    let inside = |outer: &RelPath, inner: &RelPath| inner.strip_prefix(outer).is_some();
    if inside(&from.path, &goal.path) || inside(&goal.path, &from.path) {
        let reason = "A file or folder cannot be moved or copied onto or into itself, or take the place of a folder that it lies in.\n";
        return Err(refuse(StatusCode::FORBIDDEN, reason));
    }
    Ok((mount, from, goal))
}

/// Source and destination below one mount: theirs if it is the same, otherwise the one that holds everything.
fn in_one_mount(
    mounts: &Mounts,
    (mount, from): (Mount, Below),
    (goal_mount, goal): (Mount, Below),
    login: &Login,
) -> Option<(Mount, Below, Below)> {
    if mount.prefix == goal_mount.prefix {
        return Some((mount, from, goal));
    }
    let both = Mount { outside: mount.outside.clone(), ..mounts.both(login).ok()? };
    let lift = |mount: &Mount, below: Below| match mount.files.place(below.path.as_str()) {
        Ok(Place::Inside(root, inside)) => Some(Below { path: both.files.path_of(root.name, &inside)?, ..below }),
        _ => None,
    };
    let (from, goal) = (lift(&mount, from)?, lift(&goal_mount, goal)?);
    Some((both, from, goal))
}

impl Plan {
    /// Does it, if nothing is in the way. Tells what is at the new place, and whether something was replaced there. Blocks.
    fn carry_out(mut self, claim: &Claim) -> Answered<(Option<Meta>, bool)> {
        let stat = self.from.stat()?.ok_or_else(|| failed(&LibraryError::NotFound(self.from.path.clone())))?;
        if self.is_move && stat.kind == Kind::Folder && self.depth == Depth::Zero {
            return Err(refuse(StatusCode::BAD_REQUEST, "A folder is moved with everything in it: Depth is infinity.\n"));
        }
        self.spell(stat)?;
        let there = self.to.stat()?;
        // On a file system that ignores case, or the form of a letter, a name that only changes its spelling replaces nothing.
        let respelled = self.is_move && self.within() && there.is_some_and(|there| there.inode == stat.inode);
        let replaces = there.is_some() && !respelled;
        self.check_parent()?;
        if !self.is_allowed(replaces) {
            return Err(forbidden());
        }
        claim.judge(&self.from, Some(stat))?;
        if replaces && !self.overwrite {
            return Err(failed(&LibraryError::Exists(self.to.path.clone())));
        }
        let goal = Touch::member(self.to.place());
        let touches = if self.is_move { vec![Touch::member(self.from.place()), goal] } else { vec![goal] };
        claim.unlocked(&touches)?;
        self.apply().map_err(|error| failed(&error))?;
        // A folder's tag would cost a second look; nobody asks for it.
        let meta = (stat.kind == Kind::File).then(|| look(&self.to.root.tree, &self.to.path).ok()).flatten();
        Ok((meta, replaces))
    }

    fn within(&self) -> bool {
        self.from.root.name == self.to.root.name
    }

    /// What is at the destination in another Unicode form is the same name, unless the request is about just that.
    fn spell(&mut self, source: Stat) -> Answered<()> {
        let spelled = self.to.root.tree.spelled(&self.to.path);
        if spelled == self.to.path {
            return Ok(());
        }
        let other = Target { path: spelled, ..self.to.clone() };
        let itself = self.within() && other.stat()?.is_some_and(|there| there.inode == source.inode);
        if !itself {
            self.to = other;
        }
        Ok(())
    }

    fn check_parent(&self) -> Answered<()> {
        let parent = self.to.path.parent().unwrap_or_default();
        let stat = self.to.root.tree.stat(&parent).map_err(|error| failed(&error))?;
        match stat {
            Some(stat) if stat.kind == Kind::Folder => Ok(()),
            _ => Err(failed(&LibraryError::NoParent(self.to.path.clone()))),
        }
    }

    /// Within a tree a move is a change; out of it, a deletion there. Taking its own name is the end of an upload under a temporary one.
    fn is_allowed(&self, replaces: bool) -> bool {
        let (source, target) = (self.from.root.rights, self.to.root.rights);
        let arrives = if replaces { target.change } else { target.add };
        match (self.is_move, self.within()) {
            (false, _) => source.read && arrives,
            (true, false) => source.read && source.delete && arrives,
            (true, true) => source.change || is_junk(self.from.path.name()) && !replaces && source.add,
        }
    }

    fn apply(&self) -> Result<(), LibraryError> {
        let tree = &self.from.root.tree;
        let renamed = match (self.is_move, self.within()) {
            (true, true) if self.overwrite => tree.replace(&self.from.path, &self.to.path),
            (true, true) => tree.rename(&self.from.path, &self.to.path),
            _ => return self.copy(),
        };
        match renamed {
            // Another disk is mounted inside the library.
            Err(error) if error.crosses_disks() => self.copy(),
            other => other,
        }
    }

    /// Copies, and puts the source into the trash if it is a move.
    fn copy(&self) -> Result<(), LibraryError> {
        let (from, to) = (&self.from.root.tree, &self.to.root.tree);
        let extent = if self.depth == Depth::Zero { Extent::Itself } else { Extent::Everything };
        from.copy(&self.from.path, to, &self.to.path, extent, self.overwrite)?;
        if self.is_move { from.remove(&self.from.path) } else { Ok(()) }
    }
}
