//! Where replaced and removed files go: `.twinlens/trash/YYYY-MM-DD/HHMMSS.nnnnnnnnn/path/as/it/was`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::types::RelPath;

use super::LibraryError;
use super::tree::{Tree, sync_parent};

/// Keeps a second name in the trash for a file that is about to be replaced by a rename: there is no moment without it.
pub(super) fn keep(tree: &Tree, path: &RelPath, place: &Path) -> Result<(), LibraryError> {
    let kept = prepare(tree, path)?;
    let link = fs::hard_link(place, &kept);
    // Not every file system has hard links; a copy does as well.
    link.or_else(|_| fs::copy(place, &kept).and_then(|_| fs::File::open(&kept)?.sync_all()))
        .and_then(|()| sync_parent(&kept))
        .map_err(|error| LibraryError::io(path, error))
}

/// Moves a file into the trash.
pub(super) fn take(tree: &Tree, path: &RelPath, place: &Path) -> Result<(), LibraryError> {
    let kept = prepare(tree, path)?;
    fs::rename(place, &kept).and_then(|()| sync_parent(&kept)).map_err(|error| LibraryError::io(path, error))
}

/// Moves a file into the trash for a moment, to be looked at and removed or put back. Not durable: after a crash it is here or there.
pub(super) fn aside(tree: &Tree, path: &RelPath, place: &Path) -> Result<PathBuf, LibraryError> {
    let kept = slot(tree, path)?;
    fs::rename(place, &kept).map_err(|error| LibraryError::io(path, error))?;
    Ok(kept)
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

/// A free place in the trash for a file of this path, durably made.
fn prepare(tree: &Tree, path: &RelPath) -> Result<PathBuf, LibraryError> {
    let kept = slot(tree, path)?;
    let slot = kept.ancestors().nth(path.segments().count());
    slot.map_or(Ok(()), sync_parent).map_err(|error| LibraryError::io(path, error))?;
    Ok(kept)
}

fn slot(tree: &Tree, path: &RelPath) -> Result<PathBuf, LibraryError> {
    let io = |error| LibraryError::io(path, error);
    let day = tree.own().join("trash").join(Timestamp::now().strftime("%Y-%m-%d").to_string());
    fs::create_dir_all(&day).map_err(io)?;
    loop {
        let slot = day.join(Timestamp::now().strftime("%H%M%S.%9f").to_string());
        match fs::create_dir(&slot) {
            Ok(()) => {
                let kept = slot.join(path.as_str());
                if let Some(parent) = kept.parent() {
                    fs::create_dir_all(parent).map_err(io)?;
                }
                return Ok(kept);
            }
            // Two removals in the same nanosecond: the clock goes on.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
}
