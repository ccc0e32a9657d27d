//! What is in the trash.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::library::beneath::{self, Way};
use crate::library::folder::shown;
use crate::library::tree::{Stat, Tree};
use crate::library::{LibraryError, Reason};
use crate::types::media::OWN_FOLDER;
use crate::types::{Mtime, RelPath};

use super::{DAY, FOLDER};

/// A file in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// Which removal put it there. Everything that went in one step has the same.
    pub id: String,
    /// Where it was in the library. A name that no library can hold is shown with stand-ins.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was last modified.
    pub mtime: Mtime,
    /// When it was put there.
    pub trashed: Timestamp,
    /// Why; unknown for what an earlier version put there.
    pub why: Option<Reason>,
}

/// The open trash of a tree: no link has led here.
pub struct Trash {
    pub(super) tree: Tree,
    place: PathBuf,
    /// As long as it is open, its place is this very folder.
    _folder: Option<File>,
}

/// What one removal put into the trash, in a folder of its own.
pub(super) struct Removal {
    pub day: String,
    pub name: String,
    pub at: Timestamp,
    pub why: Option<Reason>,
}

impl Removal {
    /// None for a folder that did not come from here: nobody lists or removes it.
    pub(super) fn parse(day: &str, name: &str) -> Option<Self> {
        let (moment, why) = match name.split_once('-') {
            Some((moment, word)) => (moment, Some(Reason::of_word(word)?)),
            None => (name, None),
        };
        let at = Date::strptime(DAY, day).ok()?.to_datetime(Time::strptime("%H%M%S.%f", moment).ok()?);
        let at = TimeZone::UTC.to_timestamp(at).ok()?;
        Some(Self { day: day.to_owned(), name: name.to_owned(), at, why })
    }

    pub(super) fn of_id(id: &str) -> Option<Self> {
        let (day, name) = id.split_once('/')?;
        Self::parse(day, name)
    }

    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.day, self.name)
    }
}

impl Tree {
    /// The trash of this tree; none when nothing was ever put there.
    pub fn trash(&self) -> Result<Option<Trash>, LibraryError> {
        let io = |source| LibraryError::Io { path: format!("{OWN_FOLDER}/{FOLDER}"), source };
        let no_path = |error| io(io::Error::other(error));
        let path = RelPath::parse(OWN_FOLDER).and_then(|own| own.join(FOLDER)).map_err(no_path)?;
        let plain = self.own().join(FOLDER);
        match beneath::folder(self.root(), &path).map_err(io)? {
            Way::Found(folder) => {
                let place = beneath::member(&folder, "").unwrap_or(plain);
                Ok(Some(Trash { tree: self.clone(), place, _folder: Some(folder) }))
            }
            Way::Missing => Ok(None),
            Way::Link => Err(io(io::Error::other("it is a link; nothing in it is listed, restored or emptied"))),
            // RACE: on a system without such handles, a link put there just now leads where it likes.
            Way::Longer if fs::symlink_metadata(&plain).is_ok_and(|found| found.is_dir()) => {
                Ok(Some(Trash { tree: self.clone(), place: plain, _folder: None }))
            }
            Way::Longer => Ok(None),
        }
    }
}

impl Trash {
    /// Every file in it, the latest first.
    pub fn list(&self) -> Result<Vec<Trashed>, LibraryError> {
        let mut found = Vec::new();
        for removal in self.removals()? {
            self.files_of(&removal, &mut found)?;
        }
        found.sort_by(|a, b| (b.trashed, &a.path).cmp(&(a.trashed, &b.path)));
        Ok(found)
    }

    /// All removals, in no order.
    pub(super) fn removals(&self) -> Result<Vec<Removal>, LibraryError> {
        let mut found = Vec::new();
        for day in names(&self.place).map_err(|error| self.io("", error))? {
            let place = self.place.join(&day);
            if Date::strptime(DAY, &day).is_err() || !fs::symlink_metadata(&place).is_ok_and(|day| day.is_dir()) {
                continue;
            }
            for name in names(&place).map_err(|error| self.io(&day, error))? {
                found.extend(Removal::parse(&day, &name));
            }
        }
        Ok(found)
    }

    /// The files that one removal put there. Links are no files.
    pub(super) fn files_of(&self, removal: &Removal, found: &mut Vec<Trashed>) -> Result<(), LibraryError> {
        let id = removal.id();
        let top = self.place.join(&id);
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(top.join(&folder)) {
                // It was emptied or restored meanwhile.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
                other => other.map_err(|error| self.io(&id, error))?,
            };
            for entry in entries {
                let entry = entry.map_err(|error| self.io(&id, error))?;
                let path = folder.join(entry.file_name());
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(path);
                } else if let Some(stat) = Stat::of(&metadata) {
                    let path = match path.to_str() {
                        Some(text) => text.to_owned(),
                        None => shown(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())),
                    };
                    let Removal { at, why, .. } = *removal;
                    found.push(Trashed { id: id.clone(), path, size: stat.size, mtime: stat.mtime, trashed: at, why });
                }
            }
        }
        Ok(())
    }

    /// Where something in the trash is, as long as this is open.
    pub(super) fn place(&self, below: &str) -> PathBuf {
        self.place.join(below)
    }

    pub(super) fn io(&self, below: &str, source: io::Error) -> LibraryError {
        LibraryError::Io { path: format!("{OWN_FOLDER}/{FOLDER}/{below}"), source }
    }
}

/// The names in a folder; those that are not UTF-8 are none of ours.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        found.extend(entry?.file_name().into_string().ok());
    }
    Ok(found)
}
