//! Files that are still being written are left until they are quiet.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::events::Events;
use crate::store::damage;
use crate::types::{Mtime, RelPath};

use super::super::LibraryError;
use super::super::tree::{Stat, Tree};
use super::{Parts, ScanReport, everything, scan_parts};

/// A file that was modified longer ago than this is quiet.
const YOUNG: Duration = Duration::from_secs(2);
/// One that was modified later is quiet when it looks the same after this.
const BLINK: Duration = Duration::from_millis(250);

/// What the owner reads of such a file.
pub const GROWING: &str = "it is still being written; it is taken when it is quiet";

/// Brings the index up to date with the disk, but for files that grow: those that were modified a moment ago are looked at twice, and are
/// left out ([`ScanReport::growing`]) when they changed meanwhile. Given up as soon as it shall stop.
pub fn scan_quiet(tree: &Tree, events: &Events, stop: &AtomicBool) -> Result<ScanReport, LibraryError> {
    quietly(tree, events, stop, None, &|_| false)
}

/// The same for some folders. Files that `is_open` says somebody is writing grow too.
pub fn scan_parts_quiet(
    tree: &Tree,
    events: &Events,
    stop: &AtomicBool,
    parts: &Parts,
    is_open: &(dyn Fn(&RelPath) -> bool + Sync),
) -> Result<ScanReport, LibraryError> {
    quietly(tree, events, stop, Some(parts), is_open)
}

fn quietly(
    tree: &Tree,
    events: &Events,
    stop: &AtomicBool,
    parts: Option<&Parts>,
    is_open: &(dyn Fn(&RelPath) -> bool + Sync),
) -> Result<ScanReport, LibraryError> {
    let Some(store) = tree.indexed_in() else { return Ok(ScanReport::default()) };
    // Nobody writes to a damaged file, and under another name it must be known again at the first look.
    let damaged: HashSet<u64> = damage::all(&store.read()?)?.into_iter().map(|(_, damage)| damage.inode).collect();
    let young: Mutex<HashMap<RelPath, Stat>> = Mutex::default();
    let first = |path: &RelPath, stat: &Stat| {
        let is_young = (is_young(stat.mtime) || is_open(path)) && !damaged.contains(&stat.inode);
        if is_young {
            lock(&young).insert(path.clone(), *stat);
        }
        is_young
    };
    let mut report = match parts {
        Some(parts) => scan_parts(tree, events, stop, parts, &first)?,
        None => everything(tree, events, stop, &first)?,
    };
    if lock(&young).is_empty() || stop.load(Ordering::Relaxed) {
        return Ok(report);
    }
    std::thread::sleep(BLINK);
    let growing: Mutex<Vec<RelPath>> = Mutex::default();
    let second = |path: &RelPath, stat: &Stat| {
        let grew = lock(&young).get(path).is_some_and(|before| before != stat || is_open(path));
        if grew {
            lock(&growing).push(path.clone());
        }
        grew
    };
    let parts = Parts { members: std::mem::take(&mut report.later), ..Parts::default() };
    let again = scan_parts(tree, events, stop, &parts, &second)?;
    report.hashed += again.hashed;
    report.bytes += again.bytes;
    report.renamed += again.renamed;
    report.removed += again.removed;
    report.later = again.later;
    report.growing = growing.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.coverage.add(again.coverage);
    Ok(report)
}

/// Whether a file was modified just now, by the clock of this machine. Where the disk has another clock, it only looks old enough at once.
fn is_young(mtime: Mtime) -> bool {
    SystemTime::now().duration_since(mtime.into()).is_ok_and(|age| age < YOUNG)
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::store::Store;
    use crate::store::index::Index;
    use crate::store::properties::Area;

    #[test]
    fn a_growing_file_is_left_until_it_is_quiet() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("library");
        std::fs::create_dir_all(root.join("d")).unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let tree = Tree::open(&root, store.clone(), Area::Originals).unwrap();
        std::fs::write(root.join("d/still.jpg"), b"still").unwrap();
        let (done, writing) = (AtomicBool::new(false), root.join("d/growing.jpg"));
        let known = |path: &str| Index::open(&store.read().unwrap()).unwrap().get(&RelPath::parse(path).unwrap()).unwrap().is_some();
        let look = || scan_quiet(&tree, &Events::default(), &AtomicBool::new(false)).unwrap();
        std::thread::scope(|scope| {
            let mut file = std::fs::File::create(&writing).unwrap();
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    file.write_all(b"more").unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let report = look();
            done.store(true, Ordering::Relaxed);
            assert_eq!(report.growing, [RelPath::parse("d/growing.jpg").unwrap()]);
            assert_eq!((report.files, report.hashed, report.later.len()), (2, 1, 1), "{report:?}");
        });
        assert!(known("d/still.jpg") && !known("d/growing.jpg"));
        let report = look();
        assert!(report.growing.is_empty() && report.later.is_empty() && known("d/growing.jpg"), "{report:?}");
    }
}
