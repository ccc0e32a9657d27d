//! Folders made, files and whole folders moved and removed: each in one step that other people see whole or not at all.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use unicode_normalization::UnicodeNormalization as _;

use crate::store::origins::{self, Origin};
use crate::store::properties::Area;
use crate::store::{changes, index, properties};
use crate::types::media::{self, is_junk};
use crate::types::{CopyName, Expect, RelPath};

use super::LibraryError;
use super::trash::{self, Reason};
use super::tree::{Kind, OnDisk, Stat, Tree, sync_parent};

impl Tree {
    /// Creates a folder; its parent must be there.
    pub fn create_folder(&self, path: &RelPath) -> Result<(), LibraryError> {
        let _shared = self.share();
        let place = self.locate(path)?;
        if !fs::exists(&place).unwrap_or(false) {
            self.check_room(path, 0)?;
        }
        fs::create_dir(&place).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LibraryError::NoParent(path.clone()),
            _ => LibraryError::io(path, error),
        })?;
        sync_parent(&place).map_err(|error| LibraryError::io(path, error))?;
        self.touch(path.clone())
    }

    /// Creates a folder and those above it, as far as they are missing.
    pub fn create_folders(&self, path: &RelPath) -> Result<(), LibraryError> {
        match self.stat(path)? {
            Some(stat) if stat.kind == Kind::Folder => return Ok(()),
            Some(_) => return Err(LibraryError::WrongKind(path.clone())),
            None => {}
        }
        if let Some(parent) = path.parent() {
            self.create_folders(&parent)?;
        }
        match self.create_folder(path) {
            // Another transfer into the same folder was faster.
            Err(LibraryError::Exists(_)) => Ok(()),
            other => other,
        }
    }

    /// Puts a file into the trash.
    pub fn remove_file(&self, path: &RelPath, expect: &Expect<OnDisk>) -> Result<(), LibraryError> {
        let _locks = self.lock_file(path);
        let place = self.locate(path)?;
        self.check(path, &place, expect)?;
        match is_probe(path, &place) {
            // Another node wrote it to find something out, and nobody will ever want it back.
            true => fs::remove_file(&place).map_err(|error| LibraryError::io(path, error))?,
            false => trash::take(self, path, &place)?,
        }
        sync_parent(&place).map_err(|error| LibraryError::io(path, error))?;
        self.forget(path)
    }

    /// Puts a file, or a folder with everything in it, into the trash in one step. An empty folder leaves nothing to keep.
    pub fn remove(&self, path: &RelPath) -> Result<(), LibraryError> {
        let stat = self.stat(path)?.ok_or_else(|| LibraryError::NotFound(path.clone()))?;
        if stat.kind == Kind::File {
            return self.remove_file(path, &Expect::Anything);
        }
        if path.is_root() {
            return Err(LibraryError::Outside(path.clone()));
        }
        let _alone = self.alone();
        let place = self.locate(path)?;
        // Litter counts: with anything in it, the folder goes to the trash whole.
        match fs::remove_dir(&place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => trash::take(self, path, &place)?,
            Err(error) => return Err(LibraryError::io(path, error)),
        }
        sync_parent(&place).map_err(|error| LibraryError::io(path, error))?;
        self.forget(path)
    }

    /// Removes a folder in which nothing is, and says whether it did. One with anything in it stays.
    pub fn remove_if_empty(&self, path: &RelPath) -> Result<bool, LibraryError> {
        if path.is_root() || self.stat(path)?.is_none_or(|stat| stat.kind != Kind::Folder) {
            return Ok(false);
        }
        let _alone = self.alone();
        let place = self.locate(path)?;
        match fs::remove_dir(&place) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => return Ok(false),
            Err(error) => return Err(LibraryError::io(path, error)),
        }
        sync_parent(&place).map_err(|error| LibraryError::io(path, error))?;
        self.forget(path)?;
        Ok(true)
    }

    /// Renames a file or a whole folder. Nothing may be at the new place.
    pub fn rename(&self, from: &RelPath, to: &RelPath) -> Result<(), LibraryError> {
        self.rename_onto(from, to, false)
    }

    /// Renames a file or folder onto another, which goes to the trash: there is no moment with nothing under the name.
    pub fn replace(&self, from: &RelPath, to: &RelPath) -> Result<(), LibraryError> {
        self.rename_onto(from, to, true)
    }

    fn rename_onto(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<(), LibraryError> {
        let inside = |outer: &RelPath, inner: &RelPath| inner.strip_prefix(outer).is_some_and(|below| !below.is_root());
        if from.is_root() || to.is_root() || inside(from, to) || inside(to, from) {
            return Err(LibraryError::WrongKind(to.clone()));
        }
        let alone = self.alone();
        let (source, target) = (self.locate(from)?, self.locate(to)?);
        let stat = self.stat(from)?.ok_or_else(|| LibraryError::NotFound(from.clone()))?;
        let there = self.stat(to)?;
        let same = there.is_some() && is_one_file(&source, &target);
        let respelled = there.is_some() && self.are_one_name(from, to)?;
        let there = there.filter(|_| !respelled);
        if there.is_some() && !replace {
            return Err(LibraryError::Exists(to.clone()));
        }
        let known = self.fits(from, to, &stat)?;
        let upload = if known || to.segments().any(is_junk) { None } else { self.unindexed().digests(from, &stat) };
        if respelled {
            fs::rename(&source, &target).and_then(|()| sync_parent(&target)).map_err(|error| LibraryError::io(to, error))?;
        } else if same && stat.kind == Kind::File {
            // Two hard links. To rename one to the other does nothing (rename(2)), so that the first name goes to the trash instead.
            trash::take(self, from, &source)?;
        } else {
            self.put_in_place(to, &source, &target, there)?;
        }
        sync_parent(&source).map_err(|error| LibraryError::io(from, error))?;
        let (area, old, new) = (self.area(), from.clone(), to.clone());
        self.write_with_properties(move |tx| {
            properties::carry(tx, (area, &old), (area, &new), false)?;
            if area == Area::Originals {
                if there.is_some() {
                    index::remove_all(tx, &new)?;
                }
                index::rename(tx, &old, &new)?;
                if let Some(digests) = upload {
                    index::put(tx, &new, stat.row(digests))?;
                }
                changes::touch(tx, &old.parent().unwrap_or_default())?;
                changes::touch(tx, &if stat.kind == Kind::Folder { new } else { new.parent().unwrap_or_default() })?;
            }
            Ok(())
        })?;
        // Nobody else shall wait while files are read.
        drop(alone);
        if !known && upload.is_none() && !to.segments().any(is_junk) {
            self.index_renamed(from, to, stat.kind);
        }
        if stat.kind == Kind::File && CopyName::parse(to).is_some_and(|name| name.original == *from) {
            self.note_conflict(to);
        }
        Ok(())
    }

    /// Somebody keeps two versions of a file apart, and gave this name to the one that is here: most often another node that syncs with this
    /// one. The rename is done, whatever comes of this.
    fn note_conflict(&self, copy: &RelPath) {
        let note = || {
            let Some(stat) = self.stat(copy)? else { return Ok(()) };
            let Some(digests) = self.view()?.digests(copy, &stat)? else { return Ok(()) };
            let (copy, origin) = (copy.clone(), Origin { here: Some(digests.content), there: None });
            Ok::<_, LibraryError>(self.store().write(move |tx| origins::put(tx, &copy, &origin))?)
        };
        if let Err(error) = note() {
            tracing::warn!(path = %copy, %error, "it will not be told which side this conflict copy came from");
        }
    }

    /// Indexes what had a name that is not indexed. The rename is done and stays so, whatever comes of this: the next scan tries it again.
    fn index_renamed(&self, from: &RelPath, to: &RelPath, kind: Kind) {
        let done = if kind == Kind::File { self.index_file(from, to) } else { self.index_below(from, to) };
        match done {
            // It is somewhere else again.
            Ok(()) | Err(LibraryError::NotFound(_)) => {}
            Err(error) => tracing::warn!(path = %to, %error, "a file has its name, but could not be indexed yet"),
        }
    }

    fn index_file(&self, from: &RelPath, to: &RelPath) -> Result<(), LibraryError> {
        let now = self.stat(to)?.ok_or_else(|| LibraryError::NotFound(to.clone()))?;
        let (stat, digests) = match self.unindexed().digests(from, &now) {
            Some(digests) => (now, digests),
            None => super::scan::hash_file(self, to)?,
        };
        let _locks = self.lock_file(to);
        // Somebody may have replaced it since it was read; then its row is newer than ours.
        if self.stat(to)? == Some(stat) { self.remember(to, stat, digests) } else { Ok(()) }
    }

    fn index_below(&self, from: &RelPath, to: &RelPath) -> Result<(), LibraryError> {
        for member in self.list(to)?.into_iter().filter(|member| !is_junk(member.path.name())) {
            // The next scan says what is wrong with one that cannot be looked at.
            if let (Ok(stat), Ok(from)) = (member.stat, from.join(member.path.name())) {
                self.index_renamed(&from, &member.path, stat.kind);
            }
        }
        Ok(())
    }

    /// Whether two paths at which the same file or folder was found are one name of it: on a file system that ignores case, or the Unicode
    /// form. Two hard links are two names, even when they are spelled as such a file system would not tell apart.
    fn are_one_name(&self, from: &RelPath, to: &RelPath) -> Result<bool, LibraryError> {
        let folded = |path: &RelPath| path.name().nfc().flat_map(char::to_lowercase).nfc().collect::<String>();
        let folders = [from, to].map(|path| path.parent().unwrap_or_default());
        // Some of such file systems tell another inode for each way to write a name.
        let [one, other] = [self.stat(&folders[0])?, self.stat(&folders[1])?].map(|stat| stat.map(|stat| stat.inode));
        if folded(from) != folded(to) || (folders[0] != folders[1] && one != other) {
            return Ok(false);
        }
        let members = self.list(&folders[0])?;
        let listed = |path: &RelPath| members.iter().any(|member| member.path.name() == path.name());
        Ok(from.name() == to.name() || !(listed(from) && listed(to)))
    }

    /// Whether every path below `from` is short enough below `to`, and then whether the index knows what is there.
    fn fits(&self, from: &RelPath, to: &RelPath, stat: &Stat) -> Result<bool, LibraryError> {
        let view = self.view()?;
        let Some(index) = view.index() else { return Ok(true) };
        let junk = from.segments().any(is_junk);
        let mut known = stat.kind == Kind::Folder && !junk;
        for item in index.subtree(from)? {
            let (path, row) = item?;
            known |= path == *from && stat.matches(&row);
            if path.strip_prefix(from).is_some_and(|below| !RelPath::fits_below(to, &below)) {
                return Err(LibraryError::TooLong(to.clone()));
            }
        }
        Ok(known)
    }

    /// Gives what is at `source` the name `target`; what is `there` goes to the trash, with no moment without one of both under the name.
    /// The structure must be locked.
    pub(super) fn put_in_place(&self, to: &RelPath, source: &Path, target: &Path, there: Option<Stat>) -> Result<(), LibraryError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LibraryError::NoParent(to.clone()),
            _ => LibraryError::io(to, error),
        };
        let files = fs::symlink_metadata(source).is_ok_and(|metadata| metadata.is_file());
        match there {
            None => rename_new(source, target).map_err(io)?,
            Some(there) if there.kind == Kind::File && files => {
                let kept = trash::keep(self, to, target, Reason::Replaced)?;
                fs::rename(source, target).inspect_err(|_| kept.give_up()).map_err(io)?;
            }
            Some(_) => {
                // The place in the trash first: when there is no room for it, nothing has changed.
                let slot = trash::slot(self, to, Reason::Replaced)?;
                match renameat_with(CWD, source, CWD, target, RenameFlags::EXCHANGE) {
                    Ok(()) => {
                        if let Err(error) = slot.take(source) {
                            renameat_with(CWD, source, CWD, target, RenameFlags::EXCHANGE).map_err(|error| io(error.into()))?;
                            return Err(LibraryError::io(to, error));
                        }
                    }
                    // Not every file system can exchange two names.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                        slot.take(target).map_err(io)?;
                        if let Err(error) = rename_new(source, target) {
                            slot.bring_back(target).map_err(io)?;
                            return Err(io(error));
                        }
                    }
                    Err(error) => {
                        slot.give_up();
                        return Err(io(error.into()));
                    }
                }
            }
        }
        sync_parent(target).map_err(|error| LibraryError::io(to, error))
    }

    /// Takes a path and everything below it out of the index.
    pub(super) fn forget(&self, path: &RelPath) -> Result<(), LibraryError> {
        let (area, path) = (self.area(), path.clone());
        self.write_with_properties(move |tx| {
            properties::clear(tx, area, &path)?;
            if area == Area::Originals {
                index::remove_all(tx, &path)?;
                changes::touch(tx, &path.parent().unwrap_or_default())?;
            }
            Ok(())
        })
    }
}

/// Whether a file is what another node wrote here to find something out: by its name and by what it says itself. A photo that was only given
/// such a name is none.
fn is_probe(path: &RelPath, place: &Path) -> bool {
    const LIMIT: u64 = 64 << 10;
    let mut begin = [0; media::PROBE_TEXT.len()];
    let small = || fs::symlink_metadata(place).is_ok_and(|found| found.is_file() && found.len() <= LIMIT);
    let mut says_so =
        || fs::File::open(place).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *media::PROBE_TEXT.as_bytes();
    media::is_probe(path.name()) && small() && says_so()
}

/// Whether two places on disk are one file or folder.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let identity = |place: &Path| fs::symlink_metadata(place).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

/// Renames to a name that nothing has: what another program puts there in this instant, or a link, is not replaced.
pub(super) fn rename_new(source: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, source, CWD, target, RenameFlags::NOREPLACE) {
        // RACE: on a file system without this it is replaced.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(source, target),
        result => Ok(result?),
    }
}
