//! Where folder trees are served, and as whose.

use crate::accounts::{Login, Rights};
use crate::dav::href;
use crate::store::{Store, StoreError};
use crate::types::RelPath;

use super::fs::{Files, Root};
use super::locks::Locks;
use super::{Roots, Rules};

/// The names of the trees: in URLs, and in the places that locks are kept by.
const ORIGINALS: &str = "originals";
const IMPORT: &str = "import";

/// What a path in a URL means.
enum At<'a> {
    Originals,
    Import,
    /// A folder that holds both.
    Both,
    /// The library as the home of this Nextcloud user.
    Home(&'a str),
}

/// A tree, or the folder of both, as it is served to somebody at some path. Made for one request.
#[derive(Clone)]
pub(super) struct Mount {
    /// Decoded, without a slash at its end.
    pub(super) prefix: String,
    /// What a proxy puts in front of it, encoded: hrefs are written as the client has to.
    pub(super) outside: String,
    pub(super) files: Files,
    pub(super) locks: Locks,
}

impl Mount {
    /// The encoded prefix with a slash: what hrefs begin with.
    pub(super) fn base(&self) -> String {
        format!("{}{}/", self.outside, href::encode_text(&self.prefix))
    }

    /// The URL path of a place below this mount, in the one spelling that everything further in relies on.
    pub(super) fn url(&self, below: &Below) -> String {
        let slash = if below.slash && !below.path.is_root() { "/" } else { "" };
        format!("{}{}{slash}", self.base(), href::encode(&below.path))
    }
}

/// A path below a mount, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    pub(super) path: RelPath,
    /// It ended with a slash.
    pub(super) slash: bool,
}

/// Why a path has no mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMount {
    /// Nothing is served there.
    Nothing,
    /// It is the home of somebody else.
    Anothers,
    /// Not UTF-8, too long, or with forbidden characters.
    BadPath,
}

/// Everything that is served.
pub(super) struct Mounts {
    roots: Roots,
    locks: Locks,
    read_only: bool,
}

impl Mounts {
    pub(super) fn open(roots: Roots, store: Store, rules: Rules) -> Result<Self, StoreError> {
        Ok(Self { roots, locks: Locks::open(store)?, read_only: rules.read_only })
    }

    /// Whether a path is one that WebDAV answers at, whoever asks.
    pub(super) fn covers(&self, path: &str) -> bool {
        href::decode(path).is_none_or(|path| split(&path).is_some())
    }

    /// The mount at an encoded path and what of the path lies below it, for somebody who is logged in.
    pub(super) fn find(&self, path: &str, login: &Login) -> Result<(Mount, Below), NoMount> {
        let path = href::decode(path).ok_or(NoMount::BadPath)?;
        let (at, prefix, rest) = split(&path).ok_or(NoMount::Nothing)?;
        let rest: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
        let slash = path.ends_with('/');
        let below = RelPath::parse(&rest.join("/")).map_err(|_| NoMount::BadPath)?;
        let files = match at {
            At::Originals => Files::single(self.originals(login)),
            At::Import => Files::single(self.import(login).ok_or(NoMount::Nothing)?),
            At::Both => Files::several(std::iter::once(self.originals(login)).chain(self.import(login)).collect()),
            At::Home(user) if user == login.user => Files::single(self.originals(login)),
            At::Home(_) => return Err(NoMount::Anothers),
        };
        Ok((Mount { prefix, outside: String::new(), files, locks: self.locks.clone() }, Below { path: below, slash }))
    }

    /// The library as the home of somebody who is logged in.
    pub(super) fn home(&self, login: &Login) -> Mount {
        let files = Files::single(self.originals(login));
        Mount { prefix: format!("/remote.php/dav/files/{}", login.user), outside: String::new(), files, locks: self.locks.clone() }
    }

    pub(super) fn originals_tree(&self) -> &crate::library::Tree {
        &self.roots.originals
    }

    /// The mount that holds everything, for what goes from one tree to another.
    pub(super) fn both(&self, login: &Login) -> Result<Mount, NoMount> {
        self.find("/webdav/", login).map(|(mount, _)| mount)
    }

    fn originals(&self, login: &Login) -> Root {
        let Roots { originals, library_id, .. } = &self.roots;
        Root {
            name: ORIGINALS,
            tree: originals.clone(),
            library: Some(*library_id),
            base: originals.spelled(&login.folder),
            rights: self.limit(login.originals),
        }
    }

    fn import(&self, login: &Login) -> Option<Root> {
        let tree = self.roots.import.clone().filter(|_| login.import != Rights::NONE)?;
        Some(Root { name: IMPORT, tree, library: None, base: RelPath::root(), rights: self.limit(login.import) })
    }

    fn limit(&self, rights: Rights) -> Rights {
        if self.read_only { rights.and(Rights::READ) } else { rights }
    }
}

/// What a decoded path means: the mount, the path that it was found at in its usual spelling, and the rest. Empty segments do not count:
/// Nextcloud's clients double slashes.
fn split(path: &str) -> Option<(At<'_>, String, &str)> {
    let Some((first, rest)) = segment(path) else {
        // The root of the server, for clients that climb up to it; nothing but the folders is there.
        return (!path.is_empty()).then(|| (At::Both, String::new(), ""));
    };
    match first {
        ORIGINALS => Some((At::Originals, "/originals".into(), rest)),
        IMPORT => Some((At::Import, "/import".into(), rest)),
        "webdav" => Some((At::Both, "/webdav".into(), rest)),
        "remote.php" => match segment(rest)? {
            ("webdav", rest) => Some((At::Originals, "/remote.php/webdav".into(), rest)),
            ("dav", rest) => {
                let ("files", rest) = segment(rest)? else { return None };
                let (user, rest) = segment(rest)?;
                Some((At::Home(user), format!("/remote.php/dav/files/{user}"), rest))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The first segment of a path, and what follows it.
fn segment(path: &str) -> Option<(&str, &str)> {
    let path = path.trim_start_matches('/');
    let end = path.find('/').unwrap_or(path.len());
    (end > 0).then(|| path.split_at(end))
}

/// The encoded path that a Destination or a tag in an If header names, whatever host it names it at: a proxy knows us by another.
pub(in crate::server) fn destination(text: &str) -> Option<String> {
    let path = match text.split_once("://").filter(|_| !text.starts_with('/')) {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => text,
    };
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_as_clients_write_them() {
        let found = |path: &str| split(path).map(|(_, prefix, rest)| (prefix, rest.to_owned()));
        assert_eq!(found("/originals"), Some(("/originals".into(), String::new())));
        assert_eq!(found("//originals//a"), Some(("/originals".into(), "//a".into())));
        assert_eq!(found("/remote.php/webdav/x"), Some(("/remote.php/webdav".into(), "/x".into())));
        assert_eq!(found("/remote.php/dav//files/anna/x"), Some(("/remote.php/dav/files/anna".into(), "/x".into())));
        assert_eq!(found("/"), Some((String::new(), String::new())));
        for nothing in ["", "*", "/originalsx", "/remote.php/dav", "/remote.php/dav/files/", "/remote.php/dav/uploads/anna/1", "/index.php"]
        {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_destination_is_a_path_at_any_host() {
        let path = destination;
        assert_eq!(path("https://photos.example/originals/a%20b").as_deref(), Some("/originals/a%20b"));
        assert_eq!(path("/originals/a://b").as_deref(), Some("/originals/a://b"));
        assert_eq!(path("https://photos.example"), None);
        assert_eq!(path("a/b"), None);
    }
}
