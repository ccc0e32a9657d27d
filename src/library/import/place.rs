//! A second name in the library for a file of the import tree, and the end of the first.

use std::fs;
use std::io;

use rustix::io::Errno;

use crate::store::{index, properties};
use crate::types::{Expect, RelPath};

use super::super::change::rename_new;
use super::super::tree::{Open, Stat, Tree, sync_parent};
use super::super::{LibraryError, trash};
use super::take::Read;

/// A file that is in the library, and still in the import tree unless it was renamed.
pub(super) struct Moved {
    pub read: Read,
    pub goal: RelPath,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Both names are the same file, or equal files.
    TwoNames,
    /// The first name went with the rename.
    Renamed,
    /// The library had it already.
    Duplicate,
}

impl Moved {
    pub(super) fn duplicate(read: Read, goal: RelPath) -> Self {
        Self { read, goal, how: How::Duplicate }
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.how == How::Duplicate
    }
}

/// Gives a file a name in the library, durably, and writes it into the index: by a second link on the same file system, by a rename where
/// there are no links, by a verified copy from another file system. Nothing may be at the new name.
pub(super) fn settle(import: &Tree, originals: &Tree, read: &Read, goal: &RelPath) -> Result<Moved, LibraryError> {
    if let Some(parent) = goal.parent() {
        originals.create_folders(&parent)?;
    }
    let Some((how, stat)) = link(import, originals, read, goal)? else {
        copy(import, originals, read, goal)?;
        import.copy_properties(&read.path, originals, goal)?;
        return Ok(Moved { read: read.clone(), goal: goal.clone(), how: How::TwoNames });
    };
    let row = stat.row(read.digests);
    let (from_area, to_area, from, to) = (import.area(), originals.area(), read.path.clone(), goal.clone());
    originals.write_with_properties(move |tx| {
        properties::carry(tx, (from_area, &from), (to_area, &to), true)?;
        index::put(tx, &to, row)
    })?;
    Ok(Moved { read: read.clone(), goal: goal.clone(), how })
}

/// None when the trees lie on two file systems.
fn link(import: &Tree, originals: &Tree, read: &Read, goal: &RelPath) -> Result<Option<(How, Stat)>, LibraryError> {
    let failed = |error: io::Error| LibraryError::io(goal, error);
    // Whoever wrote it may not have synced it.
    let Open { file, .. } = import.open_file(&read.path)?;
    file.sync_all().map_err(failed)?;
    let _source = import.lock_file(&read.path);
    let _target = originals.lock_file(goal);
    // Not before: the folders may have been moved meanwhile.
    let (from, to) = (import.locate(&read.path)?, originals.locate(goal)?);
    originals.check(goal, &to, &Expect::Absent)?;
    let how = match fs::hard_link(&from, &to) {
        Ok(()) => How::TwoNames,
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => return Ok(None),
            Some(Errno::EXIST | Errno::NOENT | Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS) => return Err(failed(error)),
            // No links on this file system, or not to a file of somebody else.
            _ => match rename_new(&from, &to) {
                Ok(()) => How::Renamed,
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Ok(None),
                Err(error) => return Err(failed(error)),
            },
        },
    };
    let now = fs::symlink_metadata(&to).map_err(failed)?;
    if Stat::of(&now) != Some(read.stat) {
        // RACE: somebody wrote to it, or put another file in its place, since it was read. Back, then; it is not quiet.
        let back = if how == How::TwoNames { fs::remove_file(&to) } else { rename_new(&to, &from) };
        back.map_err(failed)?;
        return Err(LibraryError::Changed(read.path.clone()));
    }
    sync_parent(&to).map_err(failed)?;
    Ok(Some((how, read.stat)))
}

fn copy(import: &Tree, originals: &Tree, read: &Read, goal: &RelPath) -> Result<(), LibraryError> {
    let Open { file: mut source, .. } = import.open_file(&read.path)?;
    let mut staged = originals.stage();
    staged.fill(&mut source).map_err(|error| LibraryError::io(goal, error))?;
    if staged.digests() != read.digests {
        return Err(LibraryError::Changed(read.path.clone()));
    }
    staged.commit(goal, &Expect::Absent, Some(read.stat.mtime))?;
    Ok(())
}

/// Gives up the first name. It is moved aside and looked at once more before it is removed: another program may have put another file there
/// in the last moment, and that one gets its name back.
pub(super) fn withdraw(import: &Tree, moved: &Moved) -> Result<(), LibraryError> {
    let path = &moved.read.path;
    if moved.how == How::TwoNames {
        let failed = |error: io::Error| LibraryError::io(path, error);
        let _lock = import.lock_file(path);
        let place = import.locate(path)?;
        let aside = trash::aside(import, path, &place)?;
        let now = fs::symlink_metadata(&aside).map_err(failed)?;
        if Stat::of(&now) != Some(moved.read.stat) {
            rename_new(&aside, &place).map_err(failed)?;
            return Err(LibraryError::Changed(path.clone()));
        }
        fs::remove_file(&aside).map_err(failed)?;
        trash::sweep(import, &aside);
    }
    import.forget(path)
}
