//! The library as a file system for dav-server.
//!
//! What a DELETE, MOVE or COPY is about is shown to dav-server as one opaque thing, also when it is a folder: it judges conditions and locks,
//! and the tree then does it in one step, seen whole or not at all.

use std::sync::Arc;

use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavMetaData, FsError, FsFuture, FsResult, FsStream, GuardedFileSystem, OpenOptions, ReadDirMeta,
};
use futures_util::stream;
use http::StatusCode;

use crate::accounts::Rights;
use crate::library::{Extent, Kind, LibraryError, Member, OnDisk, Open, Tree};
use crate::types::media::is_junk;
use crate::types::{Expect, LibraryId, RelPath};

use super::Viewer;
use super::context::Context;
use super::file::{Reading, Writing, blocking};
use super::meta::{Meta, fs_error};

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

    fn inside(&self, path: &DavPath) -> Result<(&Root, RelPath), FsError> {
        match self.place(decoded(path)?)? {
            Place::Inside(root, path) => Ok((root, path)),
            Place::Top => Err(FsError::Forbidden),
        }
    }
}

fn parse(path: &str) -> Result<RelPath, FsError> {
    let path = RelPath::parse(path).map_err(|_| FsError::NotFound)?;
    if path.segments().next() == Some(crate::types::media::OWN_FOLDER) { Err(FsError::NotFound) } else { Ok(path) }
}

fn decoded(path: &DavPath) -> Result<&str, FsError> {
    str::from_utf8(path.as_bytes()).map_err(|_| FsError::NotFound)
}

/// A file or folder with what the index knows of it.
pub(super) fn look(tree: &Tree, path: &RelPath, viewer: Viewer) -> Result<Meta, LibraryError> {
    let stat = tree.stat(path)?.ok_or_else(|| LibraryError::NotFound(path.clone()))?;
    let view = tree.view()?;
    let digests = if stat.kind == Kind::File { view.digests(path, &stat)? } else { None };
    let folder_etag = match view.changes().filter(|_| stat.kind == Kind::Folder && viewer == Viewer::Client) {
        Some(changes) => Some(changes.folder_etag(path)?),
        None => None,
    };
    Ok(Meta { folder_etag, ..Meta::of(stat, digests) })
}

struct Entry {
    name: String,
    meta: Result<Meta, FsError>,
}

impl DavDirEntry for Entry {
    fn name(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }

    fn metadata(&self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let meta = self.meta.clone().map(|meta| Box::new(meta) as Box<dyn DavMetaData>);
        Box::pin(async { meta })
    }
}

/// Runs a change to a tree where it may block, if it is allowed.
async fn change<R: Send + 'static>(
    context: &Context,
    allowed: bool,
    work: impl FnOnce() -> Result<R, LibraryError> + Send + 'static,
) -> FsResult<R> {
    if !allowed {
        context.refuse(StatusCode::FORBIDDEN, "This is not allowed here: the node is read-only, or your rights do not go so far.\n");
        return Err(FsError::Forbidden);
    }
    blocking(work).await?.map_err(|error| {
        context.explain(&error);
        fs_error(&error)
    })
}

impl Files {
    /// Whether a file or folder may be moved: within a tree that is a change. Taking its own name is the end of an upload under a
    /// temporary one.
    async fn may_move(&self, from: (&Root, &RelPath), to: (&Root, &RelPath)) -> FsResult<bool> {
        let ((source, from), (target, to)) = (from, to);
        let (tree, at) = (target.tree.clone(), to.clone());
        let exists = blocking(move || tree.stat(&at)).await?.map_err(|error| fs_error(&error))?.is_some();
        if source.name != target.name {
            return Ok(source.rights.delete && if exists { target.rights.change } else { target.rights.add });
        }
        let ends_upload = is_junk(from.name()) && !exists;
        Ok(source.rights.change || ends_upload && source.rights.add)
    }
}

impl GuardedFileSystem<Context> for Files {
    fn open<'a>(&'a self, path: &'a DavPath, options: OpenOptions, context: &'a Context) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async move {
            let (root, path) = self.inside(path)?;
            let (tree, rights) = (root.tree.clone(), root.rights);
            if !options.write {
                let opened = blocking(move || {
                    let Open { file, stat } = tree.open_file(&path)?;
                    let digests = tree.digests(&path, &stat)?;
                    Ok::<_, LibraryError>(Reading::new(file, Meta::of(stat, digests)))
                });
                let file = opened.await?.map_err(|error| fs_error(&error))?;
                return Ok(Box::new(file) as Box<dyn DavFile>);
            }
            let (at, target, conditional) = (tree.clone(), path.clone(), context.conditional());
            // Found out before the body comes, so that a large one is not sent in vain.
            let (expect, allowed) = change(context, true, move || match (at.stat(&target)?, target.parent()) {
                (Some(stat), _) if stat.kind == Kind::Folder => Err(LibraryError::WrongKind(target)),
                (None, Some(folder)) if at.stat(&folder)?.is_none_or(|stat| stat.kind != Kind::Folder) => {
                    Err(LibraryError::NoParent(target))
                }
                (Some(_), _) if !conditional => Ok((Expect::Anything, rights.change)),
                (None, _) if !conditional => Ok((Expect::Anything, rights.add)),
                (Some(stat), _) => Ok((Expect::Version(OnDisk::new(&stat, at.digests(&target, &stat)?)), rights.change)),
                (None, _) => Ok((Expect::Absent, rights.add)),
            })
            .await?;
            let mut file = Writing::new(tree, path, context.clone(), expect, options.size);
            change(context, allowed, || Ok(())).await?;
            if context.locks_name() {
                // A lock on a free name makes an empty file (RFC 4918 section 7.3); dav-server writes nothing.
                file.flush().await?;
            }
            Ok(Box::new(file) as Box<dyn DavFile>)
        })
    }

    fn read_dir<'a>(&'a self, path: &'a DavPath, _: ReadDirMeta, _: &'a Context) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async move {
            let entries: Vec<FsResult<Box<dyn DavDirEntry>>> = match self.place(decoded(path)?)? {
                Place::Top => {
                    let entry = |root: &Root| Ok(Box::new(Entry { name: root.name.to_owned(), meta: Ok(Meta::top()) }) as _);
                    self.roots().iter().map(entry).collect()
                }
                Place::Inside(root, folder) => {
                    let tree = root.tree.clone();
                    let members = blocking(move || members(&tree, &folder, Viewer::Client)).await?.map_err(|error| fs_error(&error))?;
                    let entry = |(name, meta)| Ok(Box::new(Entry { name, meta }) as _);
                    members.into_iter().map(entry).collect()
                }
            };
            Ok(Box::pin(stream::iter(entries)) as FsStream<_>)
        })
    }

    fn metadata<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let meta = match self.place(decoded(path)?)? {
                Place::Top => Meta::top(),
                Place::Inside(root, place) => {
                    let tree = root.tree.clone();
                    blocking(move || look(&tree, &place, Viewer::Client)).await?.map_err(|error| fs_error(&error))?
                }
            };
            let meta = if context.is_whole(path.as_bytes()) { meta.opaque() } else { meta };
            Ok(Box::new(meta) as Box<dyn DavMetaData>)
        })
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let (root, path) = self.inside(path)?;
            let tree = root.tree.clone();
            change(context, root.rights.add, move || {
                if tree.stat(&path)?.is_some() {
                    return Err(LibraryError::Exists(path));
                }
                tree.create_folder(&path)
            })
            .await
        })
    }

    /// A file, or a whole folder: to dav-server what a request is about is one opaque thing.
    fn remove_file<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            if context.replaces(path.as_bytes()) {
                // MOVE and COPY onto something: what comes takes its place in one step, instead of dav-server's delete first.
                return Ok(());
            }
            let (root, path) = self.inside(path)?;
            let tree = root.tree.clone();
            change(context, root.rights.delete, move || tree.remove(&path)).await
        })
    }

    fn rename<'a>(&'a self, from: &'a DavPath, to: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let ((source, from), (target, to)) = (self.inside(from)?, self.inside(to)?);
            let allowed = self.may_move((source, &from), (target, &to)).await?;
            let within = source.name == target.name;
            let (source, target) = (source.tree.clone(), target.tree.clone());
            change(context, allowed, move || {
                if within {
                    return source.replace(&from, &to);
                }
                source.copy(&from, &target, &to, Extent::Everything)?;
                source.remove(&from)
            })
            .await
        })
    }

    fn copy<'a>(&'a self, from: &'a DavPath, to: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let ((source, from), (target, to)) = (self.inside(from)?, self.inside(to)?);
            let (rights, extent) = (target.rights, context.extent());
            let readable = source.rights.read;
            let (source, target, at, goal) = (source.tree.clone(), target.tree.clone(), target.tree.clone(), to.clone());
            let exists = blocking(move || at.stat(&goal)).await?.map_err(|error| fs_error(&error))?.is_some();
            let allowed = readable && if exists { rights.change } else { rights.add };
            change(context, allowed, move || source.copy(&from, &target, &to, extent)).await
        })
    }
}

/// A member's name, and what it is or why that could not be found out.
type Named = (String, Result<Meta, FsError>);

/// The members of a folder with what the index knows of them, by name. One that cannot be read is there, as an error.
pub(super) fn members(tree: &Tree, folder: &RelPath, viewer: Viewer) -> Result<Vec<Named>, LibraryError> {
    let mut members = tree.list(folder)?;
    members.sort_by(|a, b| a.path.cmp(&b.path));
    let mut rows = std::collections::HashMap::new();
    let view = tree.view()?;
    if let Some(index) = view.index() {
        for item in index.members(folder, "")? {
            let (path, row) = item?;
            rows.insert(path, row);
        }
    }
    let changes = view.changes().filter(|_| viewer == Viewer::Client);
    let entry = |Member { path, stat }: Member| {
        let meta = stat.map_err(|_| FsError::Forbidden).and_then(|stat| {
            let digests = rows.get(&path).filter(|row| stat.matches(row)).map(|row| row.digests);
            let changes = changes.filter(|_| stat.kind == Kind::Folder);
            let folder_etag = changes.map(|changes| changes.folder_etag(&path)).transpose().map_err(|error| fs_error(&error.into()))?;
            Ok(Meta { folder_etag, ..Meta::of(stat, digests) })
        });
        (path.name().to_owned(), meta)
    };
    Ok(members.into_iter().map(entry).collect())
}
