//! Files on their way in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use uuid::Uuid;

use crate::types::{Digests, Expect, Hasher, LocalVersion, Mtime, RelPath};

use super::room::{NAME, is_full, room_beside};
use super::trash::{self, Reason};
use super::tree::{OnDisk, Stat, Tree};
use super::{LibraryError, pieces};

/// A file that nobody sees yet. It is hashed while it is written; dropping it removes it, unless others go on with it: it was begun with
/// [`Staged::resume`], or belongs to an upload in pieces.
///
/// A small one stays in memory until it is published: many that come at once then cost the disk one visit by one thread.
pub struct Staged {
    tree: Tree,
    place: PathBuf,
    /// None while all its bytes are in `held`.
    file: Option<File>,
    held: Vec<u8>,
    hasher: Hasher,
    size: u64,
    /// So many bytes more may be written before it is asked for room again.
    granted: u64,
    /// So much was given to the disk already, by this thread.
    flushed: u64,
    flushing: Option<JoinHandle<io::Result<()>>>,
    published: bool,
    unpublished: Unpublished,
    /// Why what is in its place will go to the trash.
    replaces: Reason,
}

/// What becomes of a file that is dropped before it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpublished {
    /// It is removed.
    Removed,
    /// It is left for a later run, if there is anything in it.
    KeptIfBegun,
    /// It is left where it is: others know of it.
    Kept,
}

/// After so many bytes the disk gets to work.
const FLUSH: u64 = 64 << 20;

/// Proof that a file is durably in place: what a record in the baseline needs.
#[derive(Debug, Clone)]
pub struct Committed {
    path: RelPath,
    version: LocalVersion,
    stat: Stat,
    replaced: bool,
}

impl Committed {
    /// Where it is.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// What it is.
    pub fn version(&self) -> LocalVersion {
        self.version
    }

    /// What the file system says of it.
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// Whether an earlier file went to the trash for it.
    pub fn replaced(&self) -> bool {
        self.replaced
    }
}

impl Staged {
    /// As many bytes as that stay in memory.
    pub const SMALL: usize = 64 << 10;

    pub(super) fn new(tree: Tree) -> Self {
        let place = tree.incoming().join(format!("{}.part", Uuid::new_v4()));
        Self::begun(tree, place, None, Unpublished::Removed)
    }

    /// An open file, in which nothing is yet.
    pub(super) fn of(tree: Tree, place: PathBuf, file: File, unpublished: Unpublished) -> Self {
        Self::begun(tree, place, Some(file), unpublished)
    }

    fn begun(tree: Tree, place: PathBuf, file: Option<File>, unpublished: Unpublished) -> Self {
        Self {
            tree,
            place,
            file,
            held: Vec::new(),
            hasher: Hasher::default(),
            size: 0,
            granted: 0,
            flushed: 0,
            flushing: None,
            published: false,
            unpublished,
            replaces: Reason::Replaced,
        }
    }

    /// A file of others that is gone on with where it ends: so many bytes with these digests are in it. What follows them is cut off.
    pub(super) fn go_on(tree: Tree, place: PathBuf, mut file: File, (hasher, size): (Hasher, u64)) -> io::Result<Self> {
        file.set_len(size)?;
        file.seek(io::SeekFrom::Start(size))?;
        let mut staged = Self::of(tree, place, file, Unpublished::Kept);
        (staged.hasher, staged.size, staged.flushed) = (hasher, size, size);
        Ok(staged)
    }

    /// Takes in what an earlier process has written of it: hashed anew, for the disk may have lost some of it.
    pub(super) fn take_in(&mut self) -> io::Result<()> {
        let length = self.open()?.metadata()?.len();
        self.hash_file(length)?;
        self.flushed = self.size;
        Ok(())
    }

    fn hash_file(&mut self, length: u64) -> io::Result<()> {
        self.open()?;
        let Self { file: Some(file), hasher, size, .. } = self else { return Ok(()) };
        pieces::each(file, length, |piece| {
            hasher.update(piece);
            *size += piece.len() as u64;
            Ok(())
        })
    }

    /// The file on the disk, with everything that was written.
    fn open(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                self.claim(self.held.len() as u64 + NAME)?;
                let mut file = self.create()?;
                if let Err(error) = file.write_all(&self.held) {
                    fs::remove_file(&self.place)?;
                    return Err(error);
                }
                self.held = Vec::new();
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// Takes of what may be written, or asks for more.
    fn claim(&mut self, bytes: u64) -> io::Result<()> {
        if self.granted < bytes {
            self.granted = self.tree.grant(bytes)?;
        }
        self.granted -= bytes;
        Ok(())
    }

    fn create(&self) -> io::Result<File> {
        let create = || OpenOptions::new().write(true).read(true).create_new(true).open(&self.place);
        match create() {
            // Somebody cleaned up behind our back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(self.tree.incoming())?;
                create()
            }
            other => other,
        }
    }

    /// Throws away what was written.
    pub fn restart(&mut self) -> io::Result<()> {
        self.end_flush()?;
        if let Some(file) = &mut self.file {
            file.set_len(0)?;
            file.rewind()?;
        }
        self.held.clear();
        (self.hasher, self.size, self.flushed) = (Hasher::default(), 0, 0);
        Ok(())
    }

    /// Throws the file away, even if it was to be kept for a later run.
    pub fn discard(mut self) {
        self.unpublished = Unpublished::Removed;
    }

    /// Appends bytes. A long piece is written while it is hashed. It may block, unless all the bytes so far are few. When there is no room for
    /// them, what came for a later run takes none either.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.append(bytes);
        if written.as_ref().is_err_and(is_full) && self.unpublished == Unpublished::KeptIfBegun {
            self.unpublished = Unpublished::Removed;
        }
        written
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.held.len() + bytes.len() <= Self::SMALL {
            self.held.extend_from_slice(bytes);
            self.hasher.update(bytes);
            self.size += bytes.len() as u64;
            return Ok(());
        }
        self.open()?;
        self.claim(bytes.len() as u64)?;
        let Self { file: Some(file), hasher, .. } = self else { return Ok(()) };
        if bytes.len() < Hasher::LONG {
            file.write_all(bytes)?;
            hasher.update(bytes);
        } else {
            let (written, ()) = rayon::join(|| file.write_all(bytes), || hasher.update(bytes));
            written?;
        }
        self.size += bytes.len() as u64;
        self.flush_meanwhile()
    }

    /// Lets the disk work on a large file while it is still coming, so that not all of it has to be waited for at the end.
    fn flush_meanwhile(&mut self) -> io::Result<()> {
        if self.size < self.flushed + FLUSH || self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.end_flush()?;
        self.flushed = self.size;
        let file = self.open()?.try_clone()?;
        self.flushing = Some(std::thread::Builder::new().name("flush".into()).spawn(move || file.sync_data())?);
        Ok(())
    }

    /// Waits for what the disk was given. The system tells of a failure only once: it must not be missed.
    pub(super) fn end_flush(&mut self) -> io::Result<()> {
        let ended = self.flushing.take().map(JoinHandle::join);
        ended.map_or(Ok(()), |ended| ended.unwrap_or_else(|_| Err(io::Error::other("a thread that synced the file panicked"))))
    }

    /// Makes the bytes durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.end_flush()?;
        self.open()?.sync_all()
    }

    /// Appends everything that is left in a file.
    pub fn fill(&mut self, source: &mut File) -> io::Result<()> {
        let size = source.metadata()?.len();
        self.fill_with(source, size)
    }

    /// Appends everything that a reader gives: about `size` bytes, for which there must be room before the first of them is written.
    pub(super) fn fill_with(&mut self, source: &mut impl io::Read, size: u64) -> io::Result<()> {
        self.tree.grant(size)?;
        pieces::each(source, size, |piece| self.write(piece))
    }

    /// Gives all bytes so far once more.
    pub fn read_again(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            take(&self.held);
            return Ok(());
        };
        file.rewind()?;
        pieces::each(&mut (&*file).take(self.size), self.size, |piece| {
            take(piece);
            Ok(())
        })?;
        file.seek(io::SeekFrom::Start(self.size))?;
        Ok(())
    }

    /// Says that what is in its place is damaged, not an earlier version.
    pub fn mends(mut self) -> Self {
        self.replaces = Reason::Damaged;
        self
    }

    /// Becomes a copy of a file. Where the file system can, both share their blocks until one is changed; then they are only read.
    pub fn copy_of(&mut self, source: &mut File) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if self.size == 0 && rustix::fs::ioctl_ficlone(self.open()?, &*source).is_ok() {
            return self.hash_file(source.metadata()?.len());
        }
        self.fill(source)
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digests of the bytes so far.
    pub fn digests(&self) -> Digests {
        self.hasher.clone().finish()
    }

    /// The state of the digests so far.
    pub(super) fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// Where the bytes are meanwhile, for reading metadata out of them, once they have been [brought to the disk](Self::to_disk).
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the bytes where others can read them.
    pub fn to_disk(&mut self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// Publishes the file under `path`, durably: sync, look at what is there, put that into the trash, rename, sync the folder, index.
    /// Without an `mtime` it is now. On an error nothing has changed.
    pub fn commit(mut self, path: &RelPath, expect: &Expect<OnDisk>, mtime: Option<Mtime>) -> Result<Committed, LibraryError> {
        let io = |error| LibraryError::io(path, error);
        let tree = self.tree.clone();
        if path.is_root() {
            return Err(LibraryError::WrongKind(path.clone()));
        }
        self.prepare(mtime).and_then(|()| self.sync()).map_err(io)?;

        let _locks = tree.lock_file(path);
        // Not before: the place is a folder, not its name, and the folder may have been moved or removed while the bytes were synced.
        let target = tree.locate(path)?;
        let committed = self.publish(path, &target, expect)?;
        tree.sync_folder_of(path, &target).map_err(io)?;
        tree.remember(path, committed.stat, committed.version.digests)?;
        Ok(committed)
    }

    /// Brings it to the disk, with its time.
    pub(super) fn prepare(&mut self, mtime: Option<Mtime>) -> io::Result<()> {
        let file = self.open()?;
        mtime.map_or(Ok(()), |mtime| file.set_modified(mtime.into()))
    }

    /// Gives the file its name; what is there goes to the trash. The path must be locked, the bytes synced, and the folder is still to be.
    pub(super) fn publish(&mut self, path: &RelPath, target: &Path, expect: &Expect<OnDisk>) -> Result<Committed, LibraryError> {
        let io = |error| LibraryError::io(path, error);
        let replaced = self.tree.check(path, target, expect)?.is_some();
        let kept = if replaced { Some(trash::keep(&self.tree, path, target, self.replaces)?) } else { None };
        let named = match self.give_name(path, target, replaced) {
            Err(error) if error.crosses_disks() => self.come_near(target).map_err(io).and_then(|()| self.give_name(path, target, replaced)),
            other => other,
        };
        named.inspect_err(|_| kept.iter().for_each(trash::Slot::give_up))?;
        self.published = true;
        let stat = self.open().and_then(|file| file.metadata()).map_err(io)?;
        let stat = Stat::of(&stat).ok_or_else(|| LibraryError::WrongKind(path.clone()))?;
        let version = LocalVersion { size: self.size, mtime: stat.mtime, digests: self.digests() };
        Ok(Committed { path: path.clone(), version, stat, replaced })
    }

    fn give_name(&self, path: &RelPath, target: &Path, replaced: bool) -> Result<(), LibraryError> {
        if replaced { fs::rename(&self.place, target).map_err(|error| LibraryError::io(path, error)) } else { self.link_new(path, target) }
    }

    /// Goes on in the folder of its name, under a name that is not indexed: another disk is mounted there.
    fn come_near(&mut self, target: &Path) -> io::Result<()> {
        let near = target.with_file_name(format!(".twinlens-{}.part", Uuid::new_v4()));
        room_beside(&near, self.size)?;
        let copied = || {
            fs::copy(&self.place, &near)?;
            let file = OpenOptions::new().read(true).write(true).open(&near)?;
            file.set_modified(fs::metadata(&self.place)?.modified()?)?;
            file.sync_all()?;
            fs::remove_file(&self.place)?;
            Ok(file)
        };
        match copied() {
            Ok(file) => {
                (self.file, self.place, self.unpublished) = (Some(file), near, Unpublished::Removed);
                Ok(())
            }
            Err(error) => {
                // It may not be there at all.
                let _ = fs::remove_file(&near);
                Err(error)
            }
        }
    }

    /// Cuts off what lies behind so many bytes of a file of others.
    pub(super) fn cut(&mut self, size: u64) -> io::Result<()> {
        self.end_flush()?;
        self.file.as_ref().map_or(Ok(()), |file| file.set_len(size))
    }

    /// Gives the file a name among the unfinished uploads.
    pub(super) fn keep_as(&mut self, place: &Path) -> io::Result<()> {
        self.open()?;
        fs::rename(&self.place, place)?;
        self.published = true;
        Ok(())
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Gives the file a name that nothing has. It fails when something appeared there since we looked;
    /// RACE: on a file system with neither such a rename nor hard links a file that another program creates in this instant is replaced.
    fn link_new(&self, path: &RelPath, target: &Path) -> Result<(), LibraryError> {
        match renameat_with(CWD, &self.place, CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(LibraryError::Exists(path.clone())),
            Err(_) => {}
        }
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LibraryError::NoParent(path.clone()),
            _ => LibraryError::io(path, error),
        };
        match fs::hard_link(&self.place, target) {
            Ok(()) => fs::remove_file(&self.place).map_err(|error| LibraryError::io(path, error)),
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Err(missing(error)),
            Err(_) => fs::rename(&self.place, target).map_err(missing),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let stays = match self.unpublished {
            _ if self.published || self.file.is_none() => true,
            Unpublished::Removed => false,
            Unpublished::KeptIfBegun => self.size > 0,
            Unpublished::Kept => true,
        };
        if !stays && let Err(error) = fs::remove_file(&self.place) {
            tracing::warn!(place = %self.place.display(), %error, "an unfinished file could not be removed");
        }
    }
}

/// Copies one file into another and hashes what was copied.
pub(super) fn copy_hashed(source: &mut File, target: &mut File) -> io::Result<Digests> {
    let mut hasher = Hasher::default();
    pieces::each(source, source.metadata()?.len(), |piece| {
        hasher.update(piece);
        target.write_all(piece)
    })?;
    Ok(hasher.finish())
}
