//! Where replaced and removed files go: `.twinlens/trash/YYYY-MM-DD/HHMMSS.nnnnnnnnn/path/as/it/was`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::types::RelPath;

use super::LibraryError;
use super::tree::{Tree, sync_parent};

/// Keeps a second name in the trash for a file that is about to be replaced by a rename: there is no moment without it.
pub(super) fn keep(tree: &Tree, path: &RelPath, place: &Path) -> Result<Slot, LibraryError> {
    let slot = slot(tree, path)?;
    let linked = match fs::hard_link(place, &slot.kept) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Err(error)
        }
        // Not every file system has hard links; a copy does as well.
        Err(_) => copy(place, &slot.kept),
    };
    slot.finish(linked).map_err(|error| LibraryError::io(path, error))?;
    Ok(slot)
}

/// Moves a file or folder into the trash.
pub(super) fn take(tree: &Tree, path: &RelPath, place: &Path) -> Result<(), LibraryError> {
    slot(tree, path)?.take(place).map_err(|error| LibraryError::io(path, error))
}

/// Copies a file with its time, durably.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let kept = fs::File::options().write(true).open(to)?;
    kept.set_modified(fs::metadata(from)?.modified()?)?;
    kept.sync_all()
}

/// A free place in the trash.
pub(super) struct Slot {
    folder: PathBuf,
    kept: PathBuf,
}

impl Slot {
    /// Where it is.
    pub(super) fn place(&self) -> &Path {
        &self.kept
    }

    /// Moves something there.
    pub(super) fn take(self, place: &Path) -> io::Result<()> {
        let moved = match fs::rename(place, &self.kept) {
            // From another disk that is mounted inside the library.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices && fs::symlink_metadata(place)?.is_file() => {
                copy(place, &self.kept).and_then(|()| fs::remove_file(place))
            }
            other => other,
        };
        self.finish(moved)
    }

    /// Makes what came durable; a place that nothing came to is given up again.
    fn finish(&self, came: io::Result<()>) -> io::Result<()> {
        match came {
            Ok(()) => sync_parent(&self.kept),
            Err(error) => {
                self.give_up();
                Err(error)
            }
        }
    }

    /// Gives the place up: nothing came to it, or what it keeps a second name for was not replaced after all.
    pub(super) fn give_up(&self) {
        // What cannot be removed takes no room worth a word.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Moves a file into the trash for a moment, to be looked at and removed or put back. Not durable: after a crash it is here or there.
pub(super) fn aside(tree: &Tree, path: &RelPath, place: &Path) -> Result<PathBuf, LibraryError> {
    let slot = make_slot(tree, path)?;
    match fs::rename(place, &slot.kept) {
        Ok(()) => Ok(slot.kept),
        Err(error) => {
            slot.give_up();
            Err(LibraryError::io(path, error))
        }
    }
}

/// Removes the folders that were made for a file that is no longer in the trash.
pub(super) fn sweep(tree: &Tree, kept: &Path) {
    let trash = tree.own().join("trash");
    // The folder of the day stays.
    for folder in kept.ancestors().skip(1).take_while(|folder| folder.parent() != Some(&trash)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Makes a free place in the trash for a file or folder of this path, durably.
pub(super) fn slot(tree: &Tree, path: &RelPath) -> Result<Slot, LibraryError> {
    let slot = make_slot(tree, path)?;
    match sync_parent(&slot.folder) {
        Ok(()) => Ok(slot),
        Err(error) => {
            slot.give_up();
            Err(LibraryError::io(path, error))
        }
    }
}

fn make_slot(tree: &Tree, path: &RelPath) -> Result<Slot, LibraryError> {
    let io = |error| LibraryError::io(path, error);
    let day = tree.own().join("trash").join(Timestamp::now().strftime("%Y-%m-%d").to_string());
    fs::create_dir_all(&day).map_err(io)?;
    loop {
        let folder = day.join(Timestamp::now().strftime("%H%M%S.%9f").to_string());
        match fs::create_dir(&folder) {
            Ok(()) => {
                let slot = Slot { kept: folder.join(path.as_str()), folder };
                let made = slot.kept.parent().map_or(Ok(()), fs::create_dir_all);
                return match made {
                    Ok(()) => Ok(slot),
                    Err(error) => {
                        slot.give_up();
                        Err(io(error))
                    }
                };
            }
            // Two removals in the same nanosecond: the clock goes on.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
}
