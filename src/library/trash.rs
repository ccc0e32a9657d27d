//! Where replaced and removed files go: `.twinlens/trash/YYYY-MM-DD/HHMMSS.nnnnnnnnn-WHY/path/as/it/was`.

mod empty;
mod list;
mod restore;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::types::RelPath;

use super::LibraryError;
use super::room::{is_full, room_beside};
use super::tree::{Tree, sync_parent};

pub use empty::Emptied;
pub use list::{Trash, Trashed};

const FOLDER: &str = "trash";
const DAY: &str = "%Y-%m-%d";
const MOMENT: &str = "%H%M%S.%9f";

/// Why a file is in the trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It was deleted: by a client, or because it was deleted on a service.
    Removed,
    /// Another version took its place.
    Replaced,
    /// Its bytes were damaged, and a good copy took its place.
    Damaged,
}

impl Reason {
    fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Damaged => "damaged",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Self::Removed, Self::Replaced, Self::Damaged].into_iter().find(|reason| reason.word() == word)
    }
}

/// Keeps a second name in the trash for a file that is about to be replaced by a rename: there is no moment without it.
pub(super) fn keep(tree: &Tree, path: &RelPath, place: &Path, why: Reason) -> Result<Slot, LibraryError> {
    let slot = slot(tree, path, why)?;
    let linked = match fs::hard_link(place, &slot.kept) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_full(&error) => Err(error),
        // Not every file system has hard links; a copy does as well.
        Err(_) => copy(place, &slot.kept),
    };
    slot.finish(linked).map_err(|error| LibraryError::io(path, error))?;
    Ok(slot)
}

/// Moves a file or folder into the trash.
pub(super) fn take(tree: &Tree, path: &RelPath, place: &Path) -> Result<(), LibraryError> {
    slot(tree, path, Reason::Removed)?.take(place).map_err(|error| LibraryError::io(path, error))
}

/// Copies a file with its time, durably. It takes room as what people add does.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    room_beside(to, fs::metadata(from)?.len())?;
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
    /// Moves something there.
    pub(super) fn take(&self, place: &Path) -> io::Result<()> {
        let moved = match fs::rename(place, &self.kept) {
            // From another disk that is mounted inside the library.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices && fs::symlink_metadata(place)?.is_file() => {
                copy(place, &self.kept).and_then(|()| fs::remove_file(place))
            }
            other => other,
        };
        self.finish(moved)
    }

    /// Brings back what came there: its place is still free.
    pub(super) fn bring_back(&self, place: &Path) -> io::Result<()> {
        let back = super::change::rename_new(&self.kept, place);
        match &back {
            Ok(()) => self.give_up(),
            Err(error) => {
                tracing::error!(kept = %self.kept.display(), %error, "it could not be brought back from the trash; move it back by hand")
            }
        }
        back
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
    let slot = make_slot(tree, path, Reason::Removed)?;
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
    let trash = tree.own().join(FOLDER);
    // The folder of the day stays.
    for folder in kept.ancestors().skip(1).take_while(|folder| folder.parent() != Some(&trash)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Makes a free place in the trash for a file or folder of this path, durably.
pub(super) fn slot(tree: &Tree, path: &RelPath, why: Reason) -> Result<Slot, LibraryError> {
    let slot = make_slot(tree, path, why)?;
    match sync_parent(&slot.folder) {
        Ok(()) => Ok(slot),
        Err(error) => {
            slot.give_up();
            Err(LibraryError::io(path, error))
        }
    }
}

fn make_slot(tree: &Tree, path: &RelPath, why: Reason) -> Result<Slot, LibraryError> {
    let io = |error| LibraryError::io(path, error);
    loop {
        let now = tree.now();
        let day = tree.own().join(FOLDER).join(now.strftime(DAY).to_string());
        fs::create_dir_all(&day).map_err(io)?;
        let folder = day.join(format!("{}-{}", now.strftime(MOMENT), why.word()));
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
            // The day was empty, and somebody just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && tree.own().is_dir() => {}
            Err(error) => return Err(io(error)),
        }
    }
}
