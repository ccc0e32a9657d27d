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

/// A free place in the trash for a file of this path.
fn prepare(tree: &Tree, path: &RelPath) -> Result<PathBuf, LibraryError> {
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
                sync_parent(&slot).map_err(io)?;
                return Ok(kept);
            }
            // Two removals in the same nanosecond: the clock goes on.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
}
