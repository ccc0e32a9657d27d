//! What is mounted where a tree lies. Nobody is told when a disk is mounted inside a folder that is watched, and a file system that others
//! change over a network tells only of what is done here.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// The file systems that are changed by this machine alone. Of any other it is not known.
const LOCAL: [&str; 25] = [
    "apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfs", "hfsplus", "iso9660", "jfs", "msdos", "nilfs2",
    "ntfs", "ntfs3", "overlay", "ramfs", "reiserfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
];

/// The mounts that a tree lies on: the one that holds its root, and those inside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    /// Device and number: a disk in the place of another has others.
    which: String,
    kind: String,
}

impl Mounts {
    /// As they are now; none when the system does not tell.
    pub(super) fn of(root: &Path) -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, root)
    }

    /// From the system's table: one mount a line, the later ones over the earlier.
    fn read(table: &str, root: &Path) -> Option<Self> {
        let mut holding: Option<Mount> = None;
        let mut inside = Vec::new();
        for mount in table.lines().filter_map(Mount::read) {
            if mount.at != root && mount.at.starts_with(root) {
                inside.push(mount);
            } else if root.starts_with(&mount.at) && holding.as_ref().is_none_or(|before| mount.at.starts_with(&before.at)) {
                holding = Some(mount);
            }
        }
        Some(Self(std::iter::once(holding?).chain(inside).collect()))
    }

    /// The kind of a file system that others may change without a word.
    pub(super) fn foreign(&self) -> Option<&str> {
        self.0.iter().map(|mount| mount.kind.as_str()).find(|kind| !LOCAL.contains(kind))
    }
}

impl Mount {
    fn read(line: &str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let which = format!("{} {}", fields.next()?, fields.nth(1)?);
        Some(Self { at: plain(fields.nth(1)?), which, kind: kind.split(' ').next()?.to_owned() })
    }
}

/// Spaces and the like are written as `\040`.
fn plain(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = (*first == b'\\').then(|| others.split_at_checked(3)).flatten();
        let code = code.and_then(|(digits, after)| Some((u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()?, after)));
        let (byte, after) = code.unwrap_or((*first, others));
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        30 22 8:17 / /photos rw - xfs /dev/sdb1 rw\n\
        31 22 8:18 / /photosold rw - xfs /dev/sdb2 rw\n\
        40 30 0:50 / /photos/my\\040phone rw shared:7 master:2 - fuse.sshfs phone: rw\n";

    #[test]
    fn a_tree_has_the_mount_that_holds_it_and_those_inside() {
        let of = |root: &str| Mounts::read(TABLE, Path::new(root)).unwrap();
        assert_eq!(of("/home/photos").foreign(), None);
        assert_eq!(of("/photos/2020").0.iter().map(|mount| mount.which.as_str()).collect::<Vec<_>>(), ["30 8:17"]);
        let photos = of("/photos");
        assert_eq!(photos.0.iter().map(|mount| mount.at.to_str().unwrap()).collect::<Vec<_>>(), ["/photos", "/photos/my phone"]);
        assert_eq!(photos.foreign(), Some("fuse.sshfs"));
        assert_eq!(Mounts::read("nothing", Path::new("/photos")), None);
        let here = tempfile::tempdir().unwrap();
        let here = std::fs::canonicalize(here.path()).unwrap();
        assert!(Mounts::of(&here).is_some_and(|mounts| mounts == Mounts::of(&here).unwrap()));
    }
}
