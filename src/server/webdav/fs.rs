//! What a mount shows: trees, and what the index knows of what is in them.

use std::sync::Arc;

use crate::accounts::Rights;
use crate::library::{Kind, LibraryError, Tree};
use crate::types::media::is_own;
use crate::types::{LibraryId, RelPath};

use super::meta::{FsError, Meta};

/// A tree as it is served to somebody.
#[derive(Clone)]
pub(super) struct Root {
    /// Its name in URLs, and in the places that locks are kept by.
    pub(super) name: &'static str,
    pub(super) tree: Tree,
    /// The library's id, if it is one.
    pub(super) library: Option<LibraryId>,
    /// The folder of the tree that is served.
    pub(super) base: RelPath,
    pub(super) rights: Rights,
}

/// What one mount shows: a tree, or a folder that holds several.
#[derive(Clone)]
pub(super) enum Files {
    Single(Root),
    Several(Arc<[Root]>),
}

/// Where a path leads.
pub(super) enum Place<'a> {
    /// The folder that holds the trees.
    Top,
    /// Inside a tree.
    Inside(&'a Root, RelPath),
}

impl Files {
    pub(super) fn single(root: Root) -> Self {
        Self::Single(root)
    }

    pub(super) fn several(roots: Vec<Root>) -> Self {
        Self::Several(roots.into())
    }

    /// Finds the place of a decoded path, which may begin and end with a slash.
    pub(super) fn place(&self, path: &str) -> Result<Place<'_>, FsError> {
        let path = path.trim_matches('/');
        match self {
            Self::Single(root) => Ok(Place::Inside(root, root.base.join_path(&parse(path)?))),
            Self::Several(_) if path.is_empty() => Ok(Place::Top),
            Self::Several(roots) => {
                let (name, rest) = path.split_once('/').unwrap_or((path, ""));
                let root = roots.iter().find(|root| root.name == name).ok_or(FsError::NotFound)?;
                Ok(Place::Inside(root, root.base.join_path(&parse(rest)?)))
            }
        }
    }

    /// The path below this mount of a place in a tree; none when the mount does not show it.
    pub(super) fn path_of(&self, name: &str, inside: &RelPath) -> Option<RelPath> {
        let root = self.roots().iter().find(|root| root.name == name)?;
        let below = inside.strip_prefix(&root.base)?;
        match self {
            Self::Single(_) => Some(below),
            Self::Several(_) => Some(RelPath::parse(root.name).ok()?.join_path(&below)),
        }
    }

    /// The same path in the spelling that its names have on disk.
    pub(super) fn spelled(&self, path: &RelPath) -> RelPath {
        let place = match self.place(path.as_str()) {
            Ok(Place::Inside(root, inside)) => self.path_of(root.name, &root.tree.spelled(&inside)),
            _ => None,
        };
        place.unwrap_or_else(|| path.clone())
    }

    /// The trees of the top folder.
    pub(super) fn roots(&self) -> &[Root] {
        match self {
            Self::Single(root) => std::slice::from_ref(root),
            Self::Several(roots) => roots,
        }
    }

    /// What may be done at a path; at the top folder, as far as it goes for every tree.
    pub(super) fn rights(&self, path: &RelPath) -> Rights {
        match self.place(path.as_str()) {
            Ok(Place::Inside(root, _)) => root.rights,
            _ if self.roots().iter().any(|root| root.rights.read) => Rights::READ,
            _ => Rights::NONE,
        }
    }

    /// Whether the trees are where they were when they were opened.
    pub(super) fn is_there(&self) -> bool {
        self.roots().iter().all(|root| root.tree.is_there())
    }

    /// Whether a path is the folder that a tree or all trees are mounted at.
    pub(super) fn is_root(&self, path: &str) -> bool {
        match self.place(path) {
            Ok(Place::Top) => true,
            Ok(Place::Inside(root, inside)) => inside == root.base,
            Err(_) => false,
        }
    }
}

fn parse(path: &str) -> Result<RelPath, FsError> {
    let path = RelPath::parse(path).map_err(|_| FsError::NotFound)?;
    if path.segments().any(is_own) { Err(FsError::NotFound) } else { Ok(path) }
}

/// A file or folder with what the index knows of it.
pub(super) fn look(tree: &Tree, path: &RelPath) -> Result<Meta, LibraryError> {
    let stat = tree.stat(path)?.ok_or_else(|| LibraryError::NotFound(path.clone()))?;
    let view = tree.view()?;
    let digests = if stat.kind == Kind::File { view.digests(path, &stat)? } else { None };
    let folder_etag = match view.changes().filter(|_| stat.kind == Kind::Folder) {
        Some(changes) => Some(changes.folder_etag(path)?),
        None => None,
    };
    Ok(Meta { folder_etag, ..Meta::of(stat, digests) })
}
