//! The library as a file system for dav-server.

use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavMetaData, FsError, FsFuture, FsResult, FsStream, GuardedFileSystem, OpenOptions, ReadDirMeta,
};
use futures_util::stream;
use http::StatusCode;

use crate::library::{Kind, LibraryError, Member, OnDisk, Stat, Tree};
use crate::types::{Expect, LibraryId, Mtime, RelPath};

use super::Viewer;
use super::context::Context;
use super::file::{Reading, Writing, blocking};
use super::meta::{Meta, fs_error};

/// A tree's name, the tree, and the library's id if it is one.
type Root = (&'static str, Tree, Option<LibraryId>);

/// What one mount shows: a tree, or a folder that holds several.
#[derive(Clone)]
pub(super) enum Files {
    Single(Root),
    Several(Vec<Root>),
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
        Self::Several(roots)
    }

    /// Finds the place of a decoded path, which may begin and end with a slash.
    pub(super) fn place(&self, path: &str) -> Result<Place<'_>, FsError> {
        let path = path.trim_matches('/');
        match self {
            Self::Single(root) => Ok(Place::Inside(root, parse(path)?)),
            Self::Several(_) if path.is_empty() => Ok(Place::Top),
            Self::Several(roots) => {
                let (name, rest) = path.split_once('/').unwrap_or((path, ""));
                let root = roots.iter().find(|(own, ..)| *own == name).ok_or(FsError::NotFound)?;
                Ok(Place::Inside(root, parse(rest)?))
            }
        }
    }

    /// The trees of the top folder.
    pub(super) fn roots(&self) -> &[Root] {
        match self {
            Self::Single(root) => std::slice::from_ref(root),
            Self::Several(roots) => roots,
        }
    }

    /// Whether the trees are where they were when they were opened.
    pub(super) fn is_there(&self) -> bool {
        self.roots().iter().all(|(_, tree, _)| tree.is_there())
    }

    /// Whether a path is the folder that a tree or all trees are mounted at.
    pub(super) fn is_root(&self, path: &str) -> bool {
        match self.place(path) {
            Ok(Place::Top) => true,
            Ok(Place::Inside(_, inside)) => inside.is_root(),
            Err(_) => false,
        }
    }

    /// Whether both paths are files: then one takes the place of the other in one step.
    pub(super) fn file_onto_file(&self, from: &str, to: &str) -> bool {
        let is_file = |path: &str| match self.place(path) {
            Ok(Place::Inside((_, tree, _), path)) => tree.stat(&path).is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == Kind::File)),
            _ => false,
        };
        from != to && is_file(from) && is_file(to)
    }

    /// Whether a MOVE would take a folder from one tree to another, which cannot be done in one step.
    pub(super) fn moves_folder_across(&self, from: &str, to: &str) -> bool {
        match (self.place(from), self.place(to)) {
            (Ok(Place::Inside((source, tree, _), path)), Ok(Place::Inside((target, ..), _))) => {
                source != target && tree.stat(&path).is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == Kind::Folder))
            }
            _ => false,
        }
    }

    fn inside(&self, path: &DavPath) -> Result<(Tree, RelPath), FsError> {
        match self.place(decoded(path)?)? {
            Place::Inside((_, tree, _), path) => Ok((tree.clone(), path)),
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

/// The top folder has no times of its own; the oldest says "unchanged" to every client.
pub(super) const TOP: Meta =
    Meta { stat: Stat { kind: Kind::Folder, size: 0, mtime: Mtime(0), inode: 0 }, digests: None, folder_etag: None };

/// A file or folder with what the index knows of it.
pub(super) fn look(tree: &Tree, path: &RelPath, viewer: Viewer) -> Result<Meta, LibraryError> {
    let stat = tree.stat(path)?.ok_or_else(|| LibraryError::NotFound(path.clone()))?;
    let digests = if stat.kind == Kind::File { tree.digests(path, &stat)? } else { None };
    let folder_etag = match tree.changes()?.filter(|_| stat.kind == Kind::Folder && viewer == Viewer::Client) {
        Some(changes) => Some(changes.folder_etag(path)?),
        None => None,
    };
    Ok(Meta { stat, digests, folder_etag })
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

/// Runs a change to a tree where it may block, unless nothing may change.
async fn change<R: Send + 'static>(context: &Context, work: impl FnOnce() -> Result<R, LibraryError> + Send + 'static) -> FsResult<R> {
    if context.read_only() {
        context.refuse(StatusCode::FORBIDDEN, "This node is read-only.\n");
        return Err(FsError::Forbidden);
    }
    blocking(work).await?.map_err(|error| {
        context.explain(&error);
        fs_error(&error)
    })
}

impl GuardedFileSystem<Context> for Files {
    fn open<'a>(&'a self, path: &'a DavPath, options: OpenOptions, context: &'a Context) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async move {
            let (tree, path) = self.inside(path)?;
            if !options.write {
                let opened = blocking(move || {
                    let (file, stat) = tree.open_file(&path)?;
                    let digests = tree.digests(&path, &stat)?;
                    Ok::<_, LibraryError>(Reading::new(file, Meta { stat, digests, folder_etag: None }))
                });
                let file = opened.await?.map_err(|error| fs_error(&error))?;
                return Ok(Box::new(file) as Box<dyn DavFile>);
            }
            let (at, target, conditional) = (tree.clone(), path.clone(), context.conditional());
            // Found out before the body comes, so that a large one is not sent in vain.
            let expect = change(context, move || match (at.stat(&target)?, target.parent()) {
                (Some(stat), _) if stat.kind == Kind::Folder => Err(LibraryError::WrongKind(target)),
                (None, Some(folder)) if at.stat(&folder)?.is_none_or(|stat| stat.kind != Kind::Folder) => {
                    Err(LibraryError::NoParent(target))
                }
                _ if !conditional => Ok(Expect::Anything),
                (Some(stat), _) => Ok(Expect::Version(OnDisk::new(&stat, at.digests(&target, &stat)?))),
                (None, _) => Ok(Expect::Absent),
            })
            .await?;
            let file = Writing::new(tree, path, context.clone(), expect, options.size);
            Ok(Box::new(file) as Box<dyn DavFile>)
        })
    }

    fn read_dir<'a>(&'a self, path: &'a DavPath, _: ReadDirMeta, _: &'a Context) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async move {
            let entries: Vec<FsResult<Box<dyn DavDirEntry>>> = match self.place(decoded(path)?)? {
                Place::Top => {
                    let entry = |(name, ..): &Root| Ok(Box::new(Entry { name: (*name).to_owned(), meta: Ok(TOP) }) as _);
                    self.roots().iter().map(entry).collect()
                }
                Place::Inside((_, tree, _), folder) => {
                    let tree = tree.clone();
                    let members = blocking(move || members(&tree, &folder, Viewer::Client)).await?.map_err(|error| fs_error(&error))?;
                    let entry = |(name, meta)| Ok(Box::new(Entry { name, meta }) as _);
                    members.into_iter().map(entry).collect()
                }
            };
            Ok(Box::pin(stream::iter(entries)) as FsStream<_>)
        })
    }

    fn metadata<'a>(&'a self, path: &'a DavPath, _: &'a Context) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let meta = match self.place(decoded(path)?)? {
                Place::Top => TOP,
                Place::Inside((_, tree, _), path) => {
                    let tree = tree.clone();
                    blocking(move || look(&tree, &path, Viewer::Client)).await?.map_err(|error| fs_error(&error))?
                }
            };
            Ok(Box::new(meta) as Box<dyn DavMetaData>)
        })
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let (tree, path) = self.inside(path)?;
            change(context, move || {
                if tree.stat(&path)?.is_some() {
                    return Err(LibraryError::Exists(path));
                }
                tree.create_folder(&path)
            })
            .await
        })
    }

    fn remove_dir<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let (tree, path) = self.inside(path)?;
            change(context, move || tree.remove_folder(&path)).await
        })
    }

    fn remove_file<'a>(&'a self, path: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            if context.replaces(path.as_bytes()) {
                // MOVE and COPY onto a file: what comes takes its place in one step, instead of dav-server's delete first.
                return Ok(());
            }
            let (tree, path) = self.inside(path)?;
            change(context, move || tree.remove_file(&path, &Expect::Anything)).await
        })
    }

    fn rename<'a>(&'a self, from: &'a DavPath, to: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let replaces = context.replaces(to.as_bytes());
            let ((source, from), (target, to)) = (self.inside(from)?, self.inside(to)?);
            change(context, move || {
                if source.root() == target.root() {
                    return if replaces { source.replace(&from, &to) } else { source.rename(&from, &to) };
                }
                copy_file(&source, &from, &target, &to)?;
                source.remove_file(&from, &Expect::Anything)
            })
            .await
        })
    }

    fn copy<'a>(&'a self, from: &'a DavPath, to: &'a DavPath, context: &'a Context) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let ((source, from), (target, to)) = (self.inside(from)?, self.inside(to)?);
            change(context, move || copy_file(&source, &from, &target, &to)).await
        })
    }
}

/// A copy keeps its time, and appears whole.
fn copy_file(source: &Tree, from: &RelPath, target: &Tree, to: &RelPath) -> Result<(), LibraryError> {
    let io = |source| LibraryError::Io { path: from.to_string(), source };
    let (mut file, stat) = source.open_file(from)?;
    let mut staged = target.stage()?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(io)? {
            0 => break,
            read => staged.write(&buffer[..read]).map_err(io)?,
        }
    }
    staged.commit(to, &Expect::Anything, Some(stat.mtime))?;
    source.copy_properties(from, target, to)
}

/// A member's name, and what it is or why that could not be found out.
type Named = (String, Result<Meta, FsError>);

/// The members of a folder with what the index knows of them, by name. One that cannot be read is there, as an error.
pub(super) fn members(tree: &Tree, folder: &RelPath, viewer: Viewer) -> Result<Vec<Named>, LibraryError> {
    let mut members = tree.list(folder)?;
    members.sort_by(|a, b| a.path.cmp(&b.path));
    let mut rows = std::collections::HashMap::new();
    if let Some(index) = tree.index()? {
        for item in index.members(folder, "")? {
            let (path, row) = item?;
            rows.insert(path, row);
        }
    }
    let changes = tree.changes()?.filter(|_| viewer == Viewer::Client);
    let entry = |Member { path, stat }: Member| {
        let meta = stat.map_err(|_| FsError::Forbidden).and_then(|stat| {
            let digests = rows.get(&path).filter(|row| stat.matches(row)).map(|row| row.digests);
            let changes = changes.as_ref().filter(|_| stat.kind == Kind::Folder);
            let folder_etag = changes.map(|changes| changes.folder_etag(&path)).transpose().map_err(|error| fs_error(&error.into()))?;
            Ok(Meta { stat, digests, folder_etag })
        });
        (path.name().to_owned(), meta)
    };
    Ok(members.into_iter().map(entry).collect())
}
