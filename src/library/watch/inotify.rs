//! The kernel's events.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;

use crate::types::RelPath;
use crate::types::media::{OWN_FOLDER, is_junk};

use super::super::Tree;
use super::super::ignore::is_ignore_file;
use super::{Blind, Noticed};

/// Reading is none of our business: a busy server would wake us with every download.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);
const BUFFER: usize = 64 << 10;
/// So many files may be in writing at once before we lose count.
const WRITING: usize = 100_000;

/// The watches of one tree.
pub(super) struct Inotify {
    source: OwnedFd,
    root: PathBuf,
    folders: HashMap<i32, RelPath>,
    /// Written to, and not closed since.
    writing: HashSet<RelPath>,
    buffer: Vec<MaybeUninit<u8>>,
    /// Folders that may not be watched, because they may not be read.
    closed: Vec<RelPath>,
    /// Folders to be watched, and looked at, with what is noticed next.
    again: Vec<RelPath>,
    /// At most so many folders, less than the kernel allows; for tests.
    limit: usize,
}

impl Inotify {
    pub(super) fn new(tree: &Tree) -> Result<Self, Blind> {
        let source = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|error| match error {
            Errno::MFILE | Errno::NFILE => Blind::Instances,
            _ => Blind::Unsupported,
        })?;
        Ok(Self {
            source,
            root: tree.root().to_owned(),
            folders: HashMap::new(),
            writing: HashSet::new(),
            buffer: vec![MaybeUninit::uninit(); BUFFER],
            closed: Vec::new(),
            again: Vec::new(),
            limit: usize::MAX,
        })
    }

    #[cfg(test)]
    pub(super) fn limit(&mut self, limit: Option<usize>) {
        self.limit = limit.unwrap_or(usize::MAX);
    }

    pub(super) fn source(&self) -> &OwnedFd {
        &self.source
    }

    pub(super) fn is_being_written(&self, path: &RelPath) -> bool {
        self.writing.contains(path)
    }

    /// Watches a folder and everything below it. The watch comes before the look into a folder, so that no new folder is missed.
    pub(super) fn cover(&mut self, folder: &RelPath, stop: &dyn Fn() -> bool) -> Option<Blind> {
        let mut ahead = vec![folder.clone()];
        while let Some(folder) = ahead.pop() {
            if stop() {
                return None;
            }
            let place = self.root.join(folder.as_str());
            let added = if self.folders.len() < self.limit { add_watch(&self.source, &place, EVENTS) } else { Err(Errno::NOSPC) };
            match added {
                Ok(watch) => drop(self.folders.insert(watch, folder.clone())),
                Err(Errno::NOSPC) => return Some(Blind::Watches),
                Err(Errno::NOENT | Errno::NOTDIR) if folder.is_root() => return Some(Blind::Gone),
                // Gone again.
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                // Mostly that it is not for us to read: the scan says so.
                Err(_) => {
                    self.closed.push(folder);
                    continue;
                }
            }
            let entries = fs::read_dir(&place).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let names = folders.filter_map(|entry| folder.join(entry.file_name().to_str()?).ok());
            ahead.extend(names.filter(is_watched));
        }
        None
    }

    /// Folders that could not be watched are tried again, and looked at, with what is noticed next.
    pub(super) fn try_again(&mut self) {
        self.again.append(&mut self.closed);
    }

    /// Everything that has happened.
    pub(super) fn drain(&mut self) -> (Noticed, Option<Blind>) {
        let mut noticed = Noticed::default();
        let mut new = std::mem::take(&mut self.again);
        noticed.parts.below.extend(new.iter().cloned());
        let mut blind = None;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut reader = Reader::new(&self.source, &mut buffer);
        let mut moved_away = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                noticed.everything = true;
                continue;
            }
            let Some(folder) = self.folders.get(&event.wd()).cloned() else { continue };
            if what.contains(ReadFlags::IGNORED) {
                self.folders.remove(&event.wd());
                continue;
            }
            if what.contains(ReadFlags::UNMOUNT) || folder.is_root() && what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                blind = Some(Blind::Gone);
                continue;
            }
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let Some(path) = name.and_then(|name| folder.join(name).ok()).filter(is_watched) else { continue };
            if !what.contains(ReadFlags::ISDIR) {
                note_writing(&mut self.writing, &path, what);
                noticed.parts.members.insert(folder);
            } else if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO | ReadFlags::ATTRIB) {
                // With other rights it may be readable now, or not any more.
                new.push(path.clone());
                noticed.parts.below.insert(path);
            } else if what.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                moved_away.push(path.clone());
                noticed.parts.below.insert(path);
            }
        }
        self.buffer = buffer;
        self.forget(&moved_away);
        if noticed.everything {
            self.writing.clear();
            new = vec![RelPath::root()];
        }
        for folder in new {
            blind = blind.or(self.cover(&folder, &|| false));
        }
        (noticed, blind)
    }

    /// Lets go of folders that are somewhere else now: their watches went with them.
    fn forget(&mut self, moved: &[RelPath]) {
        if moved.is_empty() {
            return;
        }
        let within = |path: &RelPath| moved.iter().any(|folder| path.strip_prefix(folder).is_some());
        let source = &self.source;
        self.folders.retain(|watch, folder| {
            let stays = !within(folder);
            if !stays {
                // An error means that the folder is no more, and its watch with it.
                let _ = remove_watch(source, *watch);
            }
            stays
        });
        self.writing.retain(|path| !within(path));
    }
}

fn note_writing(writing: &mut HashSet<RelPath>, path: &RelPath, what: ReadFlags) {
    if what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO) {
        writing.remove(path);
    } else if what.contains(ReadFlags::MODIFY) && writing.len() < WRITING {
        writing.insert(path.clone());
    }
}

/// What is our own, or litter, is not watched; what says what is synced is.
fn is_watched(path: &RelPath) -> bool {
    path.segments().next() != Some(OWN_FOLDER) && (!is_junk(path.name()) || is_ignore_file(path.name()))
}
