//! Whether a request may do what it wants: its conditions (RFC 9110 section 13, RFC 4918 section 10.4) and the locks of others.

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, StatusCode};

use crate::accounts::Login;
use crate::dav::conditions;
use crate::dav::etag;
use crate::dav::if_header::{Condition, If, State};
use crate::library::{LibraryError, OnDisk, Stat};
use crate::types::{Expect, RelPath};

use super::fs::{Files, Place, Root, look};
use super::locks::{Lock, Touch, place_in};
use super::mount::{Below, Mount, Mounts, destination};
use super::refusal::{Answered, failed, forbidden, locked, refuse, unmet};

/// A place in a tree that a request is about.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) root: Root,
    pub(super) path: RelPath,
}

impl Target {
    /// The place of a path below a mount, when there can be files.
    pub(super) fn of(mount: &Mount, below: &Below) -> Answered<Self> {
        match mount.files.place(below.path.as_str()) {
            Ok(Place::Inside(root, path)) => Ok(Self { root: root.clone(), path }),
            // The folder above the trees, beside them, and what is Twinlens's own.
            Ok(Place::Top) | Err(_) => Err(refuse(StatusCode::FORBIDDEN, "Nothing can be changed here.\n")),
        }
    }

    /// What is there. Blocks.
    pub(super) fn stat(&self) -> Answered<Option<Stat>> {
        self.root.tree.stat(&self.path).map_err(|error| failed(&error))
    }

    /// What locks are kept by.
    pub(super) fn place(&self) -> String {
        place_in(self.root.name, &self.path)
    }

    /// Whether it is the folder that its tree is served from.
    pub(super) fn is_root(&self) -> bool {
        self.path == self.root.base
    }
}

/// Who asks, under which conditions, and holding which locks.
pub(super) struct Claim {
    user: String,
    headers: HeaderMap,
    lists: Vec<(About, Vec<Condition>)>,
    tokens: Vec<String>,
    mount: Mount,
}

/// The resource that a list of an If header is about.
enum About {
    /// The one that the request is about.
    Itself,
    /// Another one that is served here.
    Other(Files, RelPath),
    /// Nothing that is served to this user.
    Nowhere,
}

impl Claim {
    /// Reads the headers of a request; they must not be needed any more. A condition that cannot be understood is not left out: 400.
    pub(super) fn of(mounts: &Mounts, mount: &Mount, headers: HeaderMap, login: &Login) -> Answered<Self> {
        let mut claim = Self { user: login.user.clone(), headers, lists: Vec::new(), tokens: Vec::new(), mount: mount.clone() };
        let mut given = claim.headers.get_all("if").iter();
        let Some(first) = given.next() else { return Ok(claim) };
        let header = first.to_str().ok().filter(|_| given.next().is_none()).and_then(If::parse);
        let Some(header) = header else {
            return Err(refuse(StatusCode::BAD_REQUEST, "The If header cannot be understood (RFC 4918 section 10.4).\n"));
        };
        claim.tokens = header.tokens().map(str::to_owned).collect();
        let about = |resource: Option<String>| match resource {
            None => About::Itself,
            Some(url) => match destination(&url).and_then(|path| mounts.find(&path, login).ok()) {
                Some((mount, below)) => About::Other(mount.files, below.path),
                None => About::Nowhere,
            },
        };
        claim.lists = header.lists.into_iter().map(|list| (about(list.resource), list.conditions)).collect();
        Ok(claim)
    }

    /// The tokens that are in the If header.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether there is any condition: what was judged must still be so when the change is made.
    pub(super) fn is_conditional(&self) -> bool {
        !self.lists.is_empty() || [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| self.headers.contains_key(name))
    }

    /// Whether the conditions hold for a change of something. Blocks.
    pub(super) fn judge(&self, target: &Target, there: Option<Stat>) -> Answered<()> {
        if !self.is_conditional() {
            return Ok(());
        }
        self.judge_if(Some((&target.root, &target.path)))?;
        let modified = there.map(|stat| stat.mtime.max(crate::types::Mtime(0)).seconds());
        let tag = there.and_then(|_| tag_of(&target.root, &target.path));
        match conditions::allow_change(&self.headers, modified.map(|modified| (tag.as_deref(), modified))) {
            true => Ok(()),
            false => Err(unmet()),
        }
    }

    /// Whether the If header holds, for a request that changes nothing. Blocks.
    pub(super) fn judge_reading(&self, path: &RelPath) -> Answered<()> {
        match self.mount.files.place(path.as_str()) {
            Ok(Place::Inside(root, inside)) => self.judge_if(Some((root, &inside))),
            _ => self.judge_if(None),
        }
    }

    fn judge_if(&self, itself: Option<(&Root, &RelPath)>) -> Answered<()> {
        let holds = |(about, conditions): &(About, Vec<Condition>)| match about {
            About::Itself => self.all_hold(conditions, itself),
            About::Other(files, below) => match files.place(files.spelled(below).as_str()) {
                Ok(Place::Inside(root, inside)) => self.all_hold(conditions, Some((root, &inside))),
                _ => self.all_hold(conditions, None),
            },
            About::Nowhere => self.all_hold(conditions, None),
        };
        if self.lists.is_empty() || self.lists.iter().any(holds) { Ok(()) } else { Err(unmet()) }
    }

    fn all_hold(&self, conditions: &[Condition], place: Option<(&Root, &RelPath)>) -> bool {
        conditions.iter().all(|condition| self.holds(condition, place))
    }

    /// Whether one condition holds for a resource. What is not there has neither tag nor lock.
    fn holds(&self, condition: &Condition, place: Option<(&Root, &RelPath)>) -> bool {
        let is_so = match &condition.state {
            // Names for what no lock ever has (section 10.4.8).
            State::Token(token) if token.starts_with("DAV:") => false,
            State::Token(token) => place.is_some_and(|(root, path)| self.mount.locks.holds(&place_in(root.name, path), token)),
            State::Tag(tag) => place.and_then(|(root, path)| tag_of(root, path)).is_some_and(|there| there == *tag),
        };
        is_so != condition.not
    }

    /// Whether no lock of somebody else, and none of one's own that was not named, is in the way.
    pub(super) fn unlocked(&self, touches: &[Touch]) -> Answered<()> {
        let locks = &self.mount.locks;
        let in_the_way: Vec<Lock> = touches.iter().flat_map(|touch| locks.in_the_way(touch, &self.user, &self.tokens)).collect();
        if in_the_way.is_empty() { Ok(()) } else { Err(locked(&hrefs(&self.mount, &in_the_way))) }
    }

    /// What a change must still find when it is made.
    pub(super) fn expect(&self, target: &Target, there: Option<Stat>) -> Answered<Expect<OnDisk>> {
        match there {
            Some(stat) if self.is_conditional() => {
                let digests = target.root.tree.digests(&target.path, &stat).map_err(|error| failed(&error))?;
                Ok(Expect::Version(OnDisk::new(&stat, digests)))
            }
            // Who may only add must not replace what comes meanwhile.
            None if self.is_conditional() || !target.root.rights.change => Ok(Expect::Absent),
            _ => Ok(Expect::Anything),
        }
    }
}

/// The entity tag of what is at a place, quoted; none when nothing is, or it has none.
fn tag_of(root: &Root, path: &RelPath) -> Option<String> {
    look(&root.tree, path).ok()?.opaque_etag().map(|opaque| etag::quote(&opaque))
}

/// The roots of locks as they are seen through a mount; of one that lies outside, the mount itself.
pub(super) fn hrefs(mount: &Mount, locks: &[Lock]) -> Vec<String> {
    let mut hrefs: Vec<String> = locks.iter().map(|lock| href(mount, &lock.place)).collect();
    hrefs.sort();
    hrefs.dedup();
    hrefs
}

fn href(mount: &Mount, place: &str) -> String {
    let (root, path) = place.split_once('/').unwrap_or((place, ""));
    let shown = RelPath::parse(path).ok().and_then(|path| mount.files.path_of(root, &path));
    match shown {
        Some(path) => mount.url(&Below { path, slash: false }),
        None => mount.base(),
    }
}

/// Whether the parent of something new is a folder, and making it is allowed. Blocks.
pub(super) fn may_add(target: &Target) -> Answered<()> {
    let parent = target.path.parent().unwrap_or_default();
    match target.root.tree.stat(&parent) {
        Ok(Some(stat)) if stat.kind == crate::library::Kind::Folder => {}
        Ok(_) | Err(LibraryError::NotFound(_)) => return Err(failed(&LibraryError::NoParent(target.path.clone()))),
        Err(error) => return Err(failed(&error)),
    }
    if target.root.rights.add { Ok(()) } else { Err(forbidden()) }
}
