//! Copies of files and whole folders, made out of sight and put in place in one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::store::properties::Area;
use crate::store::{changes, index, properties};
use crate::types::media::is_junk;
use crate::types::{Digests, Expect, RelPath};

use super::LibraryError;
use super::tree::{Kind, Open, Stat, Tree, sync_parent};

/// How much of a folder is copied (the Depth of a COPY, RFC 4918 section 9.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The folder and its properties.
    Itself,
    /// Everything in it too.
    Everything,
}

impl Tree {
    /// Copies a file or folder with its times and properties to a path of this or another tree. What is there goes to the trash; on an
    /// error nothing has changed. Unless it may `replace`, nothing may be there.
    pub fn copy(&self, from: &RelPath, target: &Tree, to: &RelPath, extent: Extent, replace: bool) -> Result<(), LibraryError> {
        let stat = self.stat(from)?.ok_or_else(|| LibraryError::NotFound(from.clone()))?;
        if to.is_root() {
            return Err(LibraryError::WrongKind(to.clone()));
        }
        let there = target.stat(to)?;
        if stat.kind == Kind::File && there.is_none_or(|there| there.kind == Kind::File) {
            self.copy_file(from, target, to, replace)?;
            return self.copy_properties(from, target, to);
        }
        let mut hidden = Hidden::new(target).map_err(|error| error.met_for(to))?;
        let mut copied = Vec::new();
        let made = hidden.place.join("copy");
        self.copy_into(from, (target, &made), to, extent, &mut copied)?;
        // One sync for all files instead of one each.
        sync_all(&made).map_err(|error| LibraryError::io(to, error))?;
        let _alone = target.alone();
        let place = target.locate(to)?;
        let there = target.stat(to)?;
        if there.is_some() && !replace {
            return Err(LibraryError::Exists(to.clone()));
        }
        target.put_in_place(to, &made, &place, there)?;
        hidden.clear();
        let (source, area, old, new) = (self.area(), target.area(), from.clone(), to.clone());
        target.write_with_properties(move |tx| {
            match extent {
                Extent::Everything => properties::carry(tx, (source, &old), (area, &new), true)?,
                Extent::Itself => properties::copy_one(tx, (source, &old), (area, &new))?,
            }
            if area == Area::Originals {
                index::remove_all(tx, &new)?;
                for (path, stat, digests) in copied {
                    if !path.segments().any(is_junk) {
                        index::put(tx, &path, stat.row(digests))?;
                    }
                }
                changes::touch(tx, &if stat.kind == Kind::Folder { new } else { new.parent().unwrap_or_default() })?;
            }
            Ok(())
        })
    }

    fn copy_file(&self, from: &RelPath, target: &Tree, to: &RelPath, replace: bool) -> Result<(), LibraryError> {
        let Open { file: mut source, stat } = self.open_file(from)?;
        let mut staged = target.stage();
        staged.fill(&mut source).map_err(|error| LibraryError::io(to, error))?;
        let expect = if replace { Expect::Anything } else { Expect::Absent };
        staged.commit(to, &expect, Some(stat.mtime))?;
        Ok(())
    }

    /// Copies one file or folder to a place on disk, and says what was copied under the name that it is going to have.
    fn copy_into(
        &self,
        from: &RelPath,
        (target, place): (&Tree, &Path),
        to: &RelPath,
        extent: Extent,
        copied: &mut Vec<(RelPath, Stat, Digests)>,
    ) -> Result<(), LibraryError> {
        let io = |error| LibraryError::io(to, error);
        let stat = self.stat(from)?.ok_or_else(|| LibraryError::NotFound(from.clone()))?;
        if stat.kind == Kind::File {
            let Open { file: mut source, stat } = self.open_file(from)?;
            target.check_room(to, stat.size)?;
            let mut file = File::options().write(true).create_new(true).open(place).map_err(io)?;
            let digests = super::staged::copy_hashed(&mut source, &mut file).map_err(io)?;
            file.set_modified(stat.mtime.into()).map_err(io)?;
            let stat = Stat::of(&file.metadata().map_err(io)?).ok_or_else(|| LibraryError::WrongKind(to.clone()))?;
            copied.push((to.clone(), stat, digests));
            return Ok(());
        }
        target.check_room(to, 0)?;
        fs::create_dir(place).map_err(io)?;
        if extent == Extent::Itself {
            return Ok(());
        }
        for member in self.list(from)? {
            member.stat.map_err(|reason| LibraryError::io(&member.path, io::Error::other(reason)))?;
            let name = member.path.name();
            let goal = to.join(name).map_err(|_| LibraryError::TooLong(to.clone()))?;
            self.copy_into(&member.path, (target, &place.join(name)), &goal, extent, copied)?;
        }
        Ok(())
    }
}

/// A folder among the unfinished transfers that is removed again.
struct Hidden {
    place: PathBuf,
}

impl Hidden {
    fn new(tree: &Tree) -> Result<Self, LibraryError> {
        let place = tree.incoming().join(format!("{}.copy", Uuid::new_v4()));
        let made = fs::create_dir_all(&place);
        made.map_err(|source| LibraryError::Io { path: place.display().to_string(), source })?;
        Ok(Self { place })
    }

    fn clear(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.place)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(place = %self.place.display(), %error, "an unfinished copy could not be removed");
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Makes everything at and below a place durable.
fn sync_all(place: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(File::open(place)?)?;
    #[cfg(not(target_os = "linux"))]
    sync_each(place)?;
    sync_parent(place)
}

#[cfg(not(target_os = "linux"))]
fn sync_each(place: &Path) -> io::Result<()> {
    if fs::symlink_metadata(place)?.is_dir() {
        for entry in fs::read_dir(place)? {
            sync_each(&entry?.path())?;
        }
    }
    File::open(place)?.sync_all()
}
