//! How much of a disk is free, and the part of that which is kept for the node itself.
//!
//! Whoever may add files could fill the disk; then neither the state nor the trash could be written any more. What they add must therefore
//! leave a reserve. The node itself may go into it: deletions, and all that it remembers, go on when nothing more can be added.

use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

/// So many bytes are kept free at most.
const RESERVE: u64 = 1 << 30;
/// So many names of files (inodes) are kept free at most, where a file system has only so many.
const NAMES: u64 = 10_000;
/// Of a small disk it is one of so many parts.
const PARTS: u64 = 50;
/// When less than this is free, not even the state is written to: what breaks off in the middle is worse for it than what is refused.
const FLOOR: u64 = 8 << 20;
/// Of a small reserve it is one of so many parts.
const PARTS_OF_RESERVE: u64 = 16;

/// A disk, as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    total: u64,
    free: u64,
    names: u64,
    free_names: u64,
}

impl Disk {
    /// The disk that a path is on; none when it does not tell how large it is.
    pub fn of(path: &Path) -> Option<Self> {
        let told = statvfs(path).ok()?;
        (told.f_blocks > 0).then(|| Self::told(&told))
    }

    fn told(told: &StatVfs) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
        Self { total: bytes(told.f_blocks), free: bytes(told.f_bavail), names: told.f_files, free_names: told.f_favail }
    }

    /// Bytes, used or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that what people add may take: all that is free but for the reserve.
    pub fn room(&self) -> u64 {
        // Some file systems with room for any number of names tell that none is free.
        let out_of_names = self.free_names > 0 && self.free_names < (self.names / PARTS).min(NAMES);
        if out_of_names { 0 } else { self.free.saturating_sub(self.reserve()) }
    }

    /// Whether the state may be written to.
    pub(super) fn takes_state(&self) -> bool {
        self.free >= (self.reserve() / PARTS_OF_RESERVE).min(FLOOR)
    }

    fn reserve(&self) -> u64 {
        (self.total / PARTS).min(RESERVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn disk(total: u64, free: u64) -> Disk {
        Disk { total, free, names: 0, free_names: 0 }
    }

    #[test]
    fn room_is_what_is_free_but_for_a_gibibyte_or_the_fiftieth_part() {
        assert_eq!(disk(1000 * GIB, 10 * GIB).room(), 9 * GIB);
        assert_eq!(disk(1000 * GIB, GIB).room(), 0);
        assert_eq!(disk(1000 * GIB, MIB).room(), 0);
        assert_eq!(disk(100 * MIB, 10 * MIB).room(), 8 * MIB);
        assert_eq!(disk(100 * MIB, 100 * MIB).room(), 98 * MIB);
    }

    #[test]
    fn names_are_kept_too_where_they_are_counted() {
        let named = |names, free_names| Disk { names, free_names, ..disk(1000 * GIB, 10 * GIB) }.room() > 0;
        assert!(named(1_000_000, 10_000) && !named(1_000_000, 9_999));
        assert!(named(1000, 20) && !named(1000, 19));
        // Too few to keep any, and a file system that does not count them.
        assert!(named(40, 1) && named(0, 0) && named(1000, 0));
    }

    #[test]
    fn the_state_may_go_into_the_reserve_but_not_to_its_end() {
        assert!(disk(1000 * GIB, 8 * MIB).takes_state() && !disk(1000 * GIB, 8 * MIB - 1).takes_state());
        assert!(disk(100 * MIB, MIB).takes_state() && !disk(100 * MIB, 0).takes_state());
    }

    #[test]
    fn a_real_disk_tells() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        assert!(disk.total() > 0 && disk.room() < disk.total());
        assert_eq!(Disk::of(&folder.path().join("none")), None);
    }
}
