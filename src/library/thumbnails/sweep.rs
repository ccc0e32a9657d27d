//! What need not be kept any longer is let go.

use std::collections::HashSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::library::renditions::WORK;
use crate::store::Store;
use crate::store::index::Index;
use crate::store::snapshot::Snapshot;
use crate::types::ContentHash;

use super::kept::UNFINISHED;
use super::{Thumbnails, pictures};
use crate::library::LibraryError;

/// What is younger may belong to a file that is being moved, or is being written.
const YOUNG: Duration = Duration::from_secs(3600);

/// What was let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files of contents that the library does not hold any more.
    pub strangers: u64,
    /// Files that had no room.
    pub crowded: u64,
    /// Bytes that are still there.
    pub bytes: u64,
}

/// A file that is kept.
struct Item {
    place: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Thumbnails {
    /// Whether there is more than there should be.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.limit
    }

    /// Lets go of what belongs to no file of the library any more, then of what was not used for longest, until a tenth of the room is free
    /// if there was none. The index must be whole. Blocks.
    pub fn sweep(&self, store: &Store, stop: &AtomicBool) -> Result<Swept, LibraryError> {
        let mut swept = Swept::default();
        let (mut items, now) = (Vec::new(), SystemTime::now());
        let is_young = |item: &Item| now.duration_since(item.used).is_ok_and(|age| age < YOUNG);
        for folder in read(&self.place) {
            if stop.load(Ordering::Relaxed) {
                return Ok(swept);
            }
            let name = folder.file_name().to_string_lossy().into_owned();
            if name.starts_with(WORK) && item(&folder).is_some_and(|item| !is_young(&item)) {
                remove(fs::remove_dir_all(folder.path()), &folder.path());
            }
            // The snapshot is let go in between: it keeps the room of what others replace.
            let index = store.snapshot()?;
            let mut known = HashSet::new();
            for (file, item) in read(&folder.path()).filter_map(|file| Some((file.file_name(), item(&file)?))) {
                let name = file.to_string_lossy();
                let stranger = match name.get(..64).and_then(ContentHash::from_hex) {
                    Some(content) => !holds(&index, &content, &mut known)?,
                    None => name.starts_with(UNFINISHED),
                };
                if stranger && !is_young(&item) {
                    swept.strangers += u64::from(remove(fs::remove_file(&item.place), &item.place));
                } else {
                    items.push(item);
                }
            }
        }
        swept.bytes = items.iter().map(|item| item.bytes).sum();
        if swept.bytes > self.limit {
            items.sort_by_key(|item| item.used);
            for item in items {
                if swept.bytes <= self.limit / 10 * 9 {
                    break;
                }
                if remove(fs::remove_file(&item.place), &item.place) {
                    swept.crowded += 1;
                }
                swept.bytes -= item.bytes;
            }
        }
        self.bytes.store(swept.bytes, Ordering::Relaxed);
        pictures::forget_strangers(store)?;
        Ok(swept)
    }
}

fn holds(snapshot: &Snapshot, content: &ContentHash, known: &mut HashSet<ContentHash>) -> Result<bool, LibraryError> {
    if known.contains(content) {
        return Ok(true);
    }
    let index: &Index = &snapshot.index;
    let holds = index.has_content(content, &Default::default())?;
    if holds {
        known.insert(*content);
    }
    Ok(holds)
}

/// What is in a folder; nothing when there is none.
fn read(folder: &std::path::Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok)
}

fn item(entry: &DirEntry) -> Option<Item> {
    let told = entry.metadata().ok()?;
    Some(Item { place: entry.path(), bytes: told.len(), used: told.modified().ok()? })
}

fn remove(removed: io::Result<()>, place: &std::path::Path) -> bool {
    match removed {
        Ok(()) => true,
        // Somebody else did it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::warn!(%error, place = %place.display(), "a thumbnail could not be removed");
            false
        }
    }
}
