//! The short and safe way to a path: one call of the system that cannot be led out of the root, not even by a link that is put on the way
//! at the same moment (openat2 with RESOLVE_BENEATH). Where a link is on the way, or the system has no such call, the caller goes the long one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::OFlags;

use crate::types::RelPath;

/// What came of it.
pub(super) enum Way<T> {
    /// It is there.
    Found(T),
    /// Nothing is there.
    Missing,
    /// A link is on the way, or is what is there.
    Link,
    /// Not to be had this way.
    Longer,
}

/// Opens what is at a path for reading.
pub(super) fn open(root: &Path, path: &RelPath) -> io::Result<Way<File>> {
    // Without NONBLOCK a pipe would be waited for.
    resolve(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW, false)
}

/// The same, as far as the system knows the way by heart and need not ask a disk.
pub(super) fn open_cached(root: &Path, path: &RelPath) -> io::Result<Way<File>> {
    resolve(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW, true)
}

/// A handle of what is at a path, good for looking at it.
pub(super) fn handle(root: &Path, path: &RelPath) -> io::Result<Way<File>> {
    resolve(root, path, OFlags::PATH | OFlags::NOFOLLOW, false)
}

/// Opens what is at a place for reading, but no link.
pub(super) fn open_itself(place: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(place)
}

/// A handle of the folder at a path, good for reaching its members by [`member`].
pub(super) fn folder(root: &Path, path: &RelPath) -> io::Result<Way<File>> {
    // A link in the last place is not followed either, but told from something that is no folder.
    resolve(root, path, OFlags::PATH | OFlags::DIRECTORY, false)
}

/// The path of a member of an open folder: it stays that folder, whatever happens to the names on the way to it. None where there is no such
/// path.
pub(super) fn member(folder: &File, name: &str) -> Option<PathBuf> {
    static HANDLES: LazyLock<bool> = LazyLock::new(|| Path::new("/proc/self/fd").is_dir());
    HANDLES.then(|| PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

#[cfg(target_os = "linux")]
fn resolve(root: &Path, path: &RelPath, flags: OFlags, cached: bool) -> io::Result<Way<File>> {
    use rustix::fs::{CWD, Mode, ResolveFlags, openat, openat2};
    use rustix::io::Errno;

    // Opened each time: held open, it would keep a disk from being unmounted.
    let root = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if path.is_root() && flags.contains(OFlags::PATH) {
        return Ok(Way::Found(root.into()));
    }
    let name = if path.is_root() { "." } else { path.as_str() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let resolve = if cached { resolve | ResolveFlags::CACHED } else { resolve };
    match openat2(root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(found) => Ok(Way::Found(found.into())),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(Way::Missing),
        Err(Errno::LOOP | Errno::XDEV) => Ok(Way::Link),
        // An old kernel; a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => Ok(Way::Longer),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn resolve(_: &Path, _: &RelPath, _: OFlags, _: bool) -> io::Result<Way<File>> {
    Ok(Way::Longer)
}
