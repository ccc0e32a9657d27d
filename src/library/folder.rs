//! A folder that is being listed: all its names at once, what each of them is when it is asked for.

use std::fs::File;
use std::ops::Range;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::types::media::is_own;
use crate::types::{PathError, RelPath};

use super::LibraryError;
use super::tree::{Kind, Stat, Tree};

/// How many bytes of an unusable name are shown.
const SHOWN: usize = 240;

/// An open folder and the names in it, in ascending order.
pub struct Folder {
    handle: File,
    names: String,
    each: Vec<Range<u32>>,
    unreadable: Vec<(String, PathError)>,
}

impl Folder {
    /// How many names there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// The name at a position.
    pub fn name(&self, at: usize) -> &str {
        let range = self.each.get(at).map_or(0..0, |range| range.start as usize..range.end as usize);
        self.names.get(range).unwrap_or_default()
    }

    /// Names that cannot be used because they are not UTF-8 or have control characters, as they may be shown, and why.
    pub fn unreadable(&self) -> &[(String, PathError)] {
        &self.unreadable
    }

    /// What a member is: none when it is gone meanwhile, or is nothing that is ever served (a link, a device).
    pub fn stat(&self, name: &str) -> Result<Option<Stat>, LibraryError> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Stat::of_raw(&stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(LibraryError::Io { path: name.to_owned(), source: error.into() }),
        }
    }
}

impl Stat {
    fn of_raw(stat: &rustix::fs::Stat) -> Option<Self> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            _ => return None,
        };
        Some(Self::new(kind, stat.st_size as u64, (stat.st_mtime, stat.st_mtime_nsec as i64), stat.st_ino))
    }
}

impl Tree {
    /// Opens a folder to be listed. Twinlens's own folder is not in it.
    pub fn folder(&self, path: &RelPath) -> Result<Folder, LibraryError> {
        let io = |error: std::io::Error| LibraryError::io(path, error);
        if path.segments().any(is_own) {
            return Err(LibraryError::NotFound(path.clone()));
        }
        let handle = self.open_beneath(path)?;
        if !handle.metadata().map_err(io)?.is_dir() {
            return Err(LibraryError::WrongKind(path.clone()));
        }
        // A listing moves the handle's position; names are looked up through the first one meanwhile.
        let reading = openat(&handle, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let mut folder = Folder { handle, names: String::new(), each: Vec::new(), unreadable: Vec::new() };
        for entry in Dir::new(reading.map_err(|error| io(error.into()))?).map_err(|error| io(error.into()))? {
            let entry = entry.map_err(|error| io(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || str::from_utf8(name).is_ok_and(is_own) {
                continue;
            }
            match str::from_utf8(name).map_err(|_| PathError::NotUtf8).and_then(|name| RelPath::check_name(name).map(|()| name)) {
                Ok(name) => {
                    let start = folder.names.len() as u32;
                    folder.names.push_str(name);
                    folder.each.push(start..folder.names.len() as u32);
                }
                Err(why) => folder.unreadable.push((shown(name), why)),
            }
        }
        let Folder { names, each, .. } = &mut folder;
        each.sort_unstable_by(|a, b| {
            names.as_bytes()[a.start as usize..a.end as usize].cmp(&names.as_bytes()[b.start as usize..b.end as usize])
        });
        Ok(folder)
    }
}

/// A name that cannot be used, as it may be shown. It could itself be a name: one that is too long is cut.
pub(super) fn shown(name: &[u8]) -> String {
    let mut shown = String::new();
    for c in String::from_utf8_lossy(name).chars().map(|c| if c.is_control() || c == '\\' { '\u{fffd}' } else { c }) {
        if shown.len() > SHOWN {
            shown.push('…');
            break;
        }
        shown.push(c);
    }
    shown
}
