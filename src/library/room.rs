//! Room for what people add: before it is taken, and while it is written.
//!
//! Every byte of a file that comes in goes through a [`Staged`](super::Staged), which asks here. The disk that it is written to must keep
//! its reserve, and that of the state too, for every file is remembered there.

use std::io;
use std::path::Path;

use crate::store::Disk;
use crate::types::RelPath;

use super::{LibraryError, Tree};

/// Bytes that a file or folder takes for its name.
pub(super) const NAME: u64 = 4 << 10;
/// So much may be written before the disk is asked again: others write meanwhile, each as much.
const STEP: u64 = 1 << 20;

impl Tree {
    /// Bytes that may be added; none when the disk does not tell.
    pub fn room(&self) -> Option<u64> {
        if !self.store().has_room() {
            return Some(0);
        }
        Disk::of(self.root()).map(|disk| disk.room())
    }

    /// Bytes that the disk has, used or not; none when it does not tell.
    pub fn disk_bytes(&self) -> Option<u64> {
        Disk::of(self.root()).map(|disk| disk.total())
    }

    /// Whether a file of so many bytes may be added as things are: to be asked before they come.
    pub fn check_room(&self, path: &RelPath, bytes: u64) -> Result<(), LibraryError> {
        self.grant(bytes.saturating_add(NAME)).map(drop).map_err(|error| LibraryError::io(path, error))
    }

    /// Allows to write so many bytes of content; as many as are returned, before it is to be asked for again.
    pub(super) fn grant(&self, bytes: u64) -> io::Result<u64> {
        match self.room() {
            Some(room) if room < bytes => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => Ok(bytes.max(STEP.min(room))),
            None => Ok(bytes.max(STEP)),
        }
    }
}

/// Refuses so many bytes of content beside a place that may be on another disk than the tree.
pub(super) fn room_beside(place: &Path, bytes: u64) -> io::Result<()> {
    let disk = place.parent().and_then(Disk::of);
    if disk.is_some_and(|disk| disk.room() < bytes) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

/// Whether an error of the system says that there is no room: on the disk, or in somebody's quota there.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
