//! A folder tree with a safe way in.

use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::store::index::FileRow;
use crate::store::properties::{Area, Property};
use crate::store::{Store, StoreError, changes, index, properties};
use crate::types::media::{OWN_FOLDER, is_junk, is_own};
use crate::types::{ContentHash, Digests, Expect, LocalVersion, Mtime, RelPath};
use redb::WriteTransaction;
use rustix::io::Errno;
use unicode_normalization::UnicodeNormalization as _;

use super::beneath::{self, Way};
use super::lookout::Lookout;
use super::syncing::Syncing;
use super::unindexed::Unindexed;
use super::{LibraryError, Staged};

const INCOMING: &str = "incoming";
const STRIPES: usize = 64;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// What the file system says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File or folder.
    pub kind: Kind,
    /// Bytes; zero for a folder.
    pub size: u64,
    /// Last modified.
    pub mtime: Mtime,
    /// Inode number.
    pub inode: u64,
}

impl Stat {
    /// From the system's answer; none for what is neither file nor folder (links, sockets, devices).
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        let kind = match metadata.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            _ => return None,
        };
        Some(Self::new(kind, metadata.len(), (metadata.mtime(), metadata.mtime_nsec()), metadata.ino()))
    }

    pub(super) fn new(kind: Kind, size: u64, (seconds, nanoseconds): (i64, i64), inode: u64) -> Self {
        let mtime = Mtime(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds));
        Self { kind, size: if kind == Kind::File { size } else { 0 }, mtime, inode }
    }

    /// A folder that is not on disk, such as the one that holds all trees.
    pub fn unknown_folder(mtime: Mtime) -> Self {
        Self { kind: Kind::Folder, size: 0, mtime, inode: 0 }
    }

    /// The index row of a file with these digests; the index itself gives it a change number.
    pub(super) fn row(&self, digests: Digests) -> FileRow {
        FileRow { size: self.size, mtime: self.mtime, inode: self.inode, digests, change: 0 }
    }

    /// Whether an index row describes the file as it is now.
    pub fn matches(&self, row: &FileRow) -> bool {
        self.kind == Kind::File && (self.size, self.mtime, self.inode) == (row.size, row.mtime, row.inode)
    }
}

/// What a write may find at a path, as far as it is known: an entity tag that a client has seen, or a version of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk {
    size: u64,
    mtime: Mtime,
    content: Option<ContentHash>,
}

impl OnDisk {
    /// What was seen there, with the content if the index knew it.
    pub fn new(stat: &Stat, digests: Option<Digests>) -> Self {
        Self { size: stat.size, mtime: stat.mtime, content: digests.map(|digests| digests.content) }
    }
}

impl From<LocalVersion> for OnDisk {
    fn from(version: LocalVersion) -> Self {
        Self { size: version.size, mtime: version.mtime, content: Some(version.digests.content) }
    }
}

/// An open file, and what it was when it was opened.
#[derive(Debug)]
pub struct Open {
    /// The file.
    pub file: File,
    /// What it is.
    pub stat: Stat,
}

impl Open {
    pub(super) fn of(path: &RelPath, file: File) -> Result<Self, LibraryError> {
        let metadata = file.metadata().map_err(|error| LibraryError::io(path, error))?;
        match Stat::of(&metadata) {
            Some(stat) if stat.kind == Kind::File => Ok(Self { file, stat }),
            Some(_) => Err(LibraryError::WrongKind(path.clone())),
            None => Err(LibraryError::NotFound(path.clone())),
        }
    }
}

/// One member of a folder.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its path from the root.
    pub path: RelPath,
    /// What it is, or why that could not be found out.
    pub stat: Result<Stat, String>,
}

/// A folder tree: the library (with an index) or the import folder (without). Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    /// Device and inode of the root when it was opened.
    identity: (u64, u64),
    own: PathBuf,
    store: Store,
    area: Area,
    /// Held shared by whoever changes one file, and alone by whoever moves or removes a folder.
    structure: RwLock<()>,
    /// One file is changed by one writer at a time.
    stripes: [Mutex<()>; STRIPES],
    syncing: Syncing,
    unindexed: Unindexed,
    lookout: Lookout,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.inner.root).finish()
    }
}

impl Tree {
    /// Opens the tree at `root`; only the originals have an index. What an earlier run left unfinished is swept,
    /// but for what can be gone on with.
    pub fn open(root: &Path, store: Store, area: Area) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let metadata = fs::metadata(&root)?;
        let identity = (metadata.dev(), metadata.ino());
        let own = root.join(OWN_FOLDER);
        let incoming = own.join(INCOMING);
        fs::create_dir_all(&incoming)?;
        for entry in fs::read_dir(&incoming)? {
            let entry = entry?;
            if super::unfinished::is_kept(&entry)? {
                continue;
            }
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
        let (structure, stripes) = (RwLock::new(()), [const { Mutex::new(()) }; STRIPES]);
        Ok(Self {
            inner: Arc::new(Inner {
                root,
                identity,
                own,
                store,
                area,
                structure,
                stripes,
                syncing: Syncing::default(),
                unindexed: Unindexed::default(),
                lookout: Lookout::default(),
            }),
        })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The time by the clock of the state.
    pub fn now(&self) -> jiff::Timestamp {
        self.inner.store.clock().now()
    }

    pub(super) fn area(&self) -> Area {
        self.inner.area
    }

    /// What is remembered of uploads under names that are not indexed.
    pub(super) fn unindexed(&self) -> &Unindexed {
        &self.inner.unindexed
    }

    /// Where whoever watches is asked.
    pub(super) fn lookout(&self) -> &Lookout {
        &self.inner.lookout
    }

    pub(super) fn own(&self) -> &Path {
        &self.inner.own
    }

    pub(super) fn incoming(&self) -> PathBuf {
        self.inner.own.join(INCOMING)
    }

    /// The place of a path on disk, for changes. Its folder may be missing, but no link may be on the way, not even one that is put there at the
    /// same moment: it could lead outside, or out of the folder that is all somebody may see.
    pub(super) fn locate(&self, path: &RelPath) -> Result<Place, LibraryError> {
        if path.segments().any(is_own) {
            return Err(LibraryError::NotFound(path.clone()));
        }
        let root = &self.inner.root;
        let Some(parent) = path.parent() else { return Ok(Place::plain(root.clone())) };
        let io = |error| LibraryError::io(path, error);
        let folder = match beneath::folder(root, &parent).map_err(io)? {
            Way::Found(folder) => folder,
            Way::Missing => return Ok(Place::nowhere()),
            Way::Link => return Err(LibraryError::Outside(path.clone())),
            Way::Longer => {
                // Where a link leads inside, the handle is of the real folder.
                let outside = || LibraryError::Outside(path.clone());
                let real = match fs::canonicalize(root.join(parent.as_str())) {
                    Ok(real) => real,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::nowhere()),
                    // A link to itself.
                    Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Err(outside()),
                    Err(error) => return Err(io(error)),
                };
                if real.starts_with(&self.inner.own) {
                    return Err(outside());
                }
                let real = real.strip_prefix(root).ok().and_then(Path::to_str).ok_or_else(outside)?;
                let real = RelPath::parse(real).map_err(|_| outside())?;
                match beneath::folder(root, &real).map_err(io)? {
                    Way::Found(folder) => folder,
                    Way::Missing => return Ok(Place::nowhere()),
                    Way::Link => return Err(outside()),
                    // RACE: on a system without such handles, a link put on the way just now leads where it likes.
                    Way::Longer => return Ok(Place::plain(root.join(real.as_str()).join(path.name()))),
                }
            }
        };
        match beneath::member(&folder, path.name()) {
            Some(place) => Ok(Place { path: place, folder: Some(folder) }),
            None => Ok(Place::plain(root.join(path.as_str()))),
        }
    }

    /// The path in the spelling that its names have on disk. A name that is there in another Unicode normalization form is the same name;
    /// a new one gets the composed form (NFC), as most systems write it.
    pub fn spelled(&self, path: &RelPath) -> RelPath {
        if path.as_str().is_ascii() || matches!(self.stat(path), Ok(Some(_))) {
            return path.clone();
        }
        let mut found = RelPath::root();
        for name in path.segments() {
            let forms = [name.to_owned(), name.nfc().collect(), name.nfd().collect::<String>()];
            let mut there = forms.iter().filter_map(|form| found.join(form).ok()).filter(|path| matches!(self.stat(path), Ok(Some(_))));
            let spelled = there.next().or_else(|| found.join(&forms[1]).ok());
            let Some(spelled) = spelled else { return path.clone() };
            found = spelled;
        }
        found
    }

    /// What is at a path; none when nothing is, or nothing that is ever served (a link, a device).
    pub fn stat(&self, path: &RelPath) -> Result<Option<Stat>, LibraryError> {
        let io = |error| LibraryError::io(path, error);
        if path.segments().any(is_own) {
            return Err(LibraryError::NotFound(path.clone()));
        }
        match beneath::handle(&self.inner.root, path).map_err(io)? {
            Way::Found(handle) => return Ok(Stat::of(&handle.metadata().map_err(io)?)),
            Way::Missing => return Ok(None),
            Way::Link | Way::Longer => {}
        }
        match fs::symlink_metadata(self.locate(path)?) {
            Ok(metadata) => Ok(Stat::of(&metadata)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(LibraryError::io(path, error)),
        }
    }

    /// The members of a folder, in no order. A name that is not UTF-8 comes as an error with a stand-in path.
    pub fn list(&self, folder: &RelPath) -> Result<Vec<Member>, LibraryError> {
        let handle = self.open_beneath(folder)?;
        let place = beneath::member(&handle, "").unwrap_or_else(|| self.inner.root.join(folder.as_str()));
        let mut members = Vec::new();
        for entry in fs::read_dir(&place).map_err(|error| LibraryError::io(folder, error))? {
            let entry = entry.map_err(|error| LibraryError::io(folder, error))?;
            let name = entry.file_name();
            if name.to_str().is_some_and(is_own) {
                continue;
            }
            let parsed = name.to_str().ok_or(crate::types::PathError::NotUtf8).and_then(|name| folder.join(name));
            match parsed {
                Ok(path) => match entry.metadata().map(|metadata| Stat::of(&metadata)) {
                    Ok(Some(stat)) => members.push(Member { path, stat: Ok(stat) }),
                    Ok(None) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => members.push(Member { path, stat: Err(error.to_string()) }),
                },
                Err(error) => {
                    let shown = super::folder::shown(std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str()));
                    let path = folder.join(&shown).unwrap_or_else(|_| folder.clone());
                    members.push(Member { path, stat: Err(error.to_string()) });
                }
            }
        }
        Ok(members)
    }

    /// Opens what is at a path for reading; a link is nothing.
    pub(super) fn open_beneath(&self, path: &RelPath) -> Result<File, LibraryError> {
        let io = |error| LibraryError::io(path, error);
        match beneath::open(&self.inner.root, path).map_err(io)? {
            Way::Found(file) => Ok(file),
            Way::Missing => Err(LibraryError::NotFound(path.clone())),
            Way::Link | Way::Longer => {
                let place = self.locate(path)?;
                beneath::open_itself(&place).map_err(|error| match error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
                    true => LibraryError::NotFound(path.clone()),
                    false => io(error),
                })
            }
        }
    }

    /// Opens a file for reading, with what it is.
    pub fn open_file(&self, path: &RelPath) -> Result<Open, LibraryError> {
        if path.segments().any(is_own) {
            return Err(LibraryError::NotFound(path.clone()));
        }
        let file = self.open_beneath(path)?;
        Open::of(path, file)
    }

    /// The same without ever waiting for a disk; none when it would have to be waited for, or does not work.
    pub fn open_cached(&self, path: &RelPath) -> Option<Open> {
        if path.segments().any(is_own) {
            return None;
        }
        match beneath::open_cached(&self.inner.root, path) {
            Ok(Way::Found(file)) => Open::of(path, file).ok(),
            _ => None,
        }
    }

    /// The digests of a file, when the index knows it as it is now.
    pub fn digests(&self, path: &RelPath, stat: &Stat) -> Result<Option<Digests>, LibraryError> {
        self.view()?.digests(path, stat)
    }

    /// Begins a file whose name comes later.
    pub fn stage(&self) -> Staged {
        Staged::new(self.clone())
    }

    /// Writes to the state: durably when there are properties or file ids, which no scan could find again.
    pub(super) fn write_with_properties(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), LibraryError> {
        let store = &self.inner.store;
        let view = self.view()?;
        let none = view.properties().is_empty()? && view.ids().is_none_or(|ids| ids.is_empty().unwrap_or(false));
        drop(view);
        if none {
            store.write_soon(work)?
        } else {
            store.write(work)?
        };
        Ok(())
    }

    /// Sets the modification time of a file or folder.
    pub fn set_mtime(&self, path: &RelPath, mtime: Mtime) -> Result<(), LibraryError> {
        let _locks = self.lock_file(path);
        let before = self.stat(path)?.ok_or_else(|| LibraryError::NotFound(path.clone()))?;
        let digests = self.digests(path, &before)?;
        let file = self.open_beneath(path)?;
        file.set_modified(mtime.into()).map_err(|error| LibraryError::io(path, error))?;
        if let (Some(digests), Some(stat)) = (digests, self.stat(path)?) {
            self.remember(path, stat, digests)?;
        }
        // A Nextcloud that mounts this node looks again only at folders whose own time has changed.
        if before.kind == Kind::File
            && let Some(folder) = path.parent()
        {
            let raised = self.open_beneath(&folder)?.set_modified(std::time::SystemTime::now());
            raised.map_err(|error| LibraryError::io(&folder, error))?;
        }
        Ok(())
    }

    /// Checks that a path holds what a write expects to find.
    pub(super) fn check(&self, path: &RelPath, place: &Path, expect: &Expect<OnDisk>) -> Result<Option<Stat>, LibraryError> {
        let stat = match fs::symlink_metadata(place) {
            Ok(metadata) => Some(Stat::of(&metadata).ok_or_else(|| LibraryError::WrongKind(path.clone()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(LibraryError::io(path, error)),
        };
        match (&stat, expect) {
            (Some(stat), _) if stat.kind == Kind::Folder => Err(LibraryError::WrongKind(path.clone())),
            (None, Expect::Absent | Expect::Anything) | (Some(_), Expect::Anything) => Ok(stat),
            (Some(_), Expect::Absent) => Err(LibraryError::Exists(path.clone())),
            (None, Expect::Version(_)) => Err(LibraryError::Changed(path.clone())),
            (Some(now), Expect::Version(version)) => {
                let same = (now.size, now.mtime) == (version.size, version.mtime)
                    || self.digests(path, now)?.is_some_and(|digests| Some(digests.content) == version.content);
                if same { Ok(stat) } else { Err(LibraryError::Changed(path.clone())) }
            }
        }
    }

    /// Writes what is at a path into the index. Junk is stored and served, but not indexed.
    pub(super) fn remember(&self, path: &RelPath, stat: Stat, digests: Digests) -> Result<(), LibraryError> {
        if !self.indexes(path) {
            self.inner.unindexed.keep(path, stat, digests);
            return self.touch(path.parent().unwrap_or_default());
        }
        let row = stat.row(digests);
        let path = path.clone();
        Ok(self.inner.store.write_soon(move |tx| index::put(tx, &path, row))?)
    }

    /// As [`Tree::remember`], for several files in one write.
    pub(super) fn remember_all(&self, files: Vec<(RelPath, Stat, Digests)>) -> Result<(), LibraryError> {
        if self.inner.area != Area::Originals || files.is_empty() {
            return Ok(());
        }
        let unindexed = files.iter().filter(|(path, ..)| !self.indexes(path));
        unindexed.for_each(|(path, stat, digests)| self.inner.unindexed.keep(path, *stat, *digests));
        Ok(self.inner.store.write_soon(move |tx| {
            files.into_iter().try_for_each(|(path, stat, digests)| match path.segments().any(is_junk) {
                true => changes::touch(tx, &path.parent().unwrap_or_default()),
                false => {
                    let row = stat.row(digests);
                    index::put(tx, &path, row)
                }
            })
        })?)
    }

    /// Lets the entity tags of a folder and of those above it change, though nothing in the index does.
    pub(super) fn touch(&self, folder: RelPath) -> Result<(), LibraryError> {
        if self.inner.area == Area::Originals {
            self.inner.store.write_soon(move |tx| changes::touch(tx, &folder))?;
        }
        Ok(())
    }

    /// Makes the names in the folder of a path, which is at this place, durable; together with others who want the same.
    /// RACE: when another program puts another folder in its place between two who share a sync, the name in the first one is not synced;
    /// its file is.
    pub(super) fn sync_folder_of(&self, path: &RelPath, place: &Path) -> io::Result<()> {
        self.inner.syncing.sync(path.parent().unwrap_or_default(), || sync_parent(place))
    }

    /// Whether the folder that was opened is still the one at its place: a disk that was taken away leaves another behind.
    pub fn is_there(&self) -> bool {
        fs::metadata(&self.inner.root).is_ok_and(|now| (now.dev(), now.ino()) == self.inner.identity)
    }

    /// Whether the index keeps track of a path.
    pub fn indexes(&self, path: &RelPath) -> bool {
        self.inner.area == Area::Originals && !path.segments().any(is_junk)
    }

    /// The state that this tree writes to, when it has an index there.
    pub(super) fn indexed_in(&self) -> Option<&Store> {
        (self.inner.area == Area::Originals).then_some(&self.inner.store)
    }

    /// Sets and removes dead properties of a path, all or none, durably.
    pub fn patch_properties(&self, path: &RelPath, puts: Vec<Property>, removes: Vec<(String, String)>) -> Result<(), LibraryError> {
        if !puts.is_empty() && !self.inner.store.has_room() {
            return Err(LibraryError::Full(path.clone()));
        }
        let (area, path) = (self.inner.area, path.clone());
        Ok(self.inner.store.write(move |tx| {
            puts.iter().try_for_each(|property| properties::put(tx, area, &path, property))?;
            removes.iter().try_for_each(|(namespace, local)| properties::remove(tx, area, &path, namespace, local))
        })?)
    }

    /// Copies the dead properties of one path to another, perhaps of another tree.
    pub fn copy_properties(&self, from: &RelPath, target: &Tree, to: &RelPath) -> Result<(), LibraryError> {
        let (source, from, target, to) = (self.inner.area, from.clone(), target.inner.area, to.clone());
        Ok(self.inner.store.write_soon(move |tx| properties::carry(tx, (source, &from), (target, &to), true))?)
    }

    /// Locks one file against other writers, and the tree against moved folders.
    pub(super) fn lock_file(&self, path: &RelPath) -> (RwLockReadGuard<'_, ()>, MutexGuard<'_, ()>) {
        let stripe = &self.inner.stripes[stripe_of(path)];
        (self.share(), stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Locks several files at once, as [`Tree::lock_file`] does one.
    pub(super) fn lock_files(&self, paths: &[&RelPath]) -> (RwLockReadGuard<'_, ()>, Vec<MutexGuard<'_, ()>>) {
        let shared = self.share();
        // Always in the same order, so that two who do it do not wait for each other.
        let stripes: std::collections::BTreeSet<usize> = paths.iter().map(|path| stripe_of(path)).collect();
        let lock = |stripe: usize| self.inner.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner);
        (shared, stripes.into_iter().map(lock).collect())
    }

    pub(super) fn share(&self) -> RwLockReadGuard<'_, ()> {
        self.inner.structure.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.inner.structure.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stripe_of(path: &RelPath) -> usize {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    (hasher.finish() % STRIPES as u64) as usize
}

/// A place on disk. As long as it is held, its folder stays the one that was found.
pub(super) struct Place {
    path: PathBuf,
    folder: Option<File>,
}

impl Place {
    fn plain(path: PathBuf) -> Self {
        Self { path, folder: None }
    }

    /// In a folder that is not there: the empty path, where nothing is and nothing can be made.
    fn nowhere() -> Self {
        Self::plain(PathBuf::new())
    }

    /// The place of another name in the same folder.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => beneath::member(folder, name).unwrap_or_else(|| self.path.with_file_name(name)),
            None if self.path.as_os_str().is_empty() => PathBuf::new(),
            None => self.path.with_file_name(name),
        }
    }
}

impl std::ops::Deref for Place {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Makes the names in the folder of `place` durable.
pub(super) fn sync_parent(place: &Path) -> io::Result<()> {
    match place.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
