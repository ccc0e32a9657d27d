//! Looks at the whole tree, or at parts of it, and brings the index up to date.

mod folder;
mod parts;
mod quiet;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::events::{Event, Events};
use crate::reconcile::Coverage;
use crate::store::damage::{self, Damage};
use crate::store::folders::Folders;
use crate::store::index::{FileRow, Index};
use crate::store::{Store, changes, index};
use crate::types::media::is_junk;
use crate::types::{Digests, Hasher, RelPath};

use super::spelling::Spelling;
use super::tree::{Kind, Open, Stat, Tree};
use super::{LibraryError, pieces};

pub use parts::{Parts, scan_parts};
pub use quiet::{GROWING, scan_parts_quiet, scan_quiet};

/// Rows that are written in one transaction. They touch pages all over the tables of digests, so that a few large ones cost far less than
/// many small ones.
const BATCH: usize = 4000;
/// Why a damaged file takes no part in anything.
pub const DAMAGED: &str = "its bytes changed though nobody wrote it: it is damaged (see `twinlens index --verify`)";

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct ScanReport {
    /// Files that were looked at; after a look at everything, all files in the library.
    pub files: u64,
    /// Files whose bytes were read, because they are new or look changed.
    pub hashed: u64,
    /// The bytes of those.
    pub bytes: u64,
    /// Files that were not read because they only have another name now. (A look at everything reads them.)
    pub renamed: u64,
    /// Files that are no longer there.
    pub removed: u64,
    /// What could not be read; nothing about it was changed.
    pub coverage: Coverage,
    /// Folders with files that were being written: they must be looked at again.
    pub later: BTreeSet<RelPath>,
    /// The ignore files in the folders that were looked at, each with a number that is another one when it was changed: the index does not
    /// know them.
    pub ignore_files: BTreeMap<RelPath, u64>,
    /// Files that were being written and are not in the index as they are now.
    pub growing: Vec<RelPath>,
}

impl ScanReport {
    /// Whether the index has changed.
    pub fn changed(&self) -> bool {
        self.hashed + self.renamed + self.removed > 0
    }

    /// Another number when an ignore file is new, changed or gone.
    pub fn ignore_state(&self) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(&self.ignore_files)
    }
}

/// Brings the index up to date with the disk. Files whose size, mtime and inode are as they were are not read again.
pub fn scan(tree: &Tree, events: &Events) -> Result<ScanReport, LibraryError> {
    scan_until(tree, events, &AtomicBool::new(false))
}

/// The same, given up as soon as it shall stop. What was read until then is in the index.
pub fn scan_until(tree: &Tree, events: &Events, stop: &AtomicBool) -> Result<ScanReport, LibraryError> {
    everything(tree, events, stop, &|_, _| false)
}

/// The same, but for files that look changed and are `unsettled`.
fn everything(
    tree: &Tree,
    events: &Events,
    stop: &AtomicBool,
    unsettled: &(dyn Fn(&RelPath, &Stat) -> bool + Sync),
) -> Result<ScanReport, LibraryError> {
    let Some(scan) = Scan::new(tree, events, stop, unsettled)? else { return Ok(ScanReport::default()) };
    scan.pool()?.install(|| rayon::scope(|scope| scan.folder(scope, RelPath::root())));
    scan.finish(true)
}

/// The files of a tree that are known to be damaged, as gaps.
pub fn damaged(tree: &Tree, coverage: &mut Coverage) -> Result<(), LibraryError> {
    if let Some(store) = tree.indexed_in() {
        damage::all(&store.read()?)?.into_iter().for_each(|(path, _)| coverage.exclude(path, DAMAGED));
    }
    Ok(())
}

struct Scan<'a> {
    tree: &'a Tree,
    store: &'a Store,
    index: Index,
    folders: Folders,
    events: &'a Events,
    stop: &'a AtomicBool,
    /// Whether a file that looks changed is still being written.
    unsettled: &'a (dyn Fn(&RelPath, &Stat) -> bool + Sync),
    /// Rows of files that are gone from their paths, by inode: they may only have been renamed.
    moved: HashMap<u64, FileRow>,
    /// Damaged files, by inode: renamed, they are no new versions either.
    damaged: HashMap<u64, Damage>,
    files: AtomicU64,
    hashed: AtomicU64,
    bytes: AtomicU64,
    renamed: AtomicU64,
    removed: AtomicU64,
    /// Files that are the same to the byte in another inode.
    copied: AtomicU64,
    found: Mutex<Found>,
}

/// A file of the same size and time in another inode with other bytes.
struct Rewritten {
    path: RelPath,
    stat: Stat,
    good: Digests,
    found: Digests,
}

#[derive(Default)]
struct Found {
    /// Read, but not yet written down.
    rows: Vec<(RelPath, Stat, Digests)>,
    folders: HashSet<RelPath>,
    coverage: Coverage,
    later: BTreeSet<RelPath>,
    ignore_files: BTreeMap<RelPath, u64>,
    /// Damaged files under new names.
    damaged: Vec<(RelPath, Damage)>,
    rewritten: Vec<Rewritten>,
    failure: Option<LibraryError>,
}

impl<'a> Scan<'a> {
    fn new(
        tree: &'a Tree,
        events: &'a Events,
        stop: &'a AtomicBool,
        unsettled: &'a (dyn Fn(&RelPath, &Stat) -> bool + Sync),
    ) -> Result<Option<Self>, LibraryError> {
        let Some(store) = tree.indexed_in() else { return Ok(None) };
        let tx = store.read()?;
        Ok(Some(Self {
            tree,
            store,
            index: Index::open(&tx)?,
            folders: Folders::open(&tx)?,
            events,
            stop,
            unsettled,
            moved: HashMap::new(),
            damaged: damage::all_and_lost(&tx)?.into_iter().map(|(_, damage)| (damage.inode, damage)).collect(),
            files: AtomicU64::new(0),
            hashed: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            renamed: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            found: Mutex::default(),
        }))
    }

    fn pool(&self) -> Result<rayon::ThreadPool, LibraryError> {
        // Reading waits for the disk more than for a core.
        let threads = std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).max(4));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("scan-{n}")).build();
        pool.map_err(|error| LibraryError::Io { path: "scan".into(), source: std::io::Error::other(error) })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn read(&self, path: &RelPath, stat: &Stat, known: Option<&FileRow>) -> Option<(RelPath, Stat, Digests)> {
        if self.stopped() {
            return None;
        }
        if let Some(damage) = self.damaged.get(&stat.inode).filter(|damage| (damage.size, damage.mtime) == (stat.size, stat.mtime)) {
            self.renamed.fetch_add(1, Ordering::Relaxed);
            self.lock().damaged.push((path.clone(), damage.clone()));
            return Some((path.clone(), *stat, damage.good));
        }
        if let Some(row) = self.moved.get(&stat.inode).filter(|row| stat.matches(row)) {
            self.renamed.fetch_add(1, Ordering::Relaxed);
            return Some((path.clone(), *stat, row.digests));
        }
        match hash_file(self.tree, path) {
            Ok((stat, digests)) => {
                let hashed = self.hashed.fetch_add(1, Ordering::Relaxed) + 1;
                let bytes = self.bytes.fetch_add(stat.size, Ordering::Relaxed) + stat.size;
                self.events.publish(Event::Scanning { hashed, bytes });
                match known.filter(|known| (known.size, known.mtime) == (stat.size, stat.mtime)) {
                    Some(known) if known.digests == digests => drop(self.copied.fetch_add(1, Ordering::Relaxed)),
                    Some(known) => {
                        self.lock().rewritten.push(Rewritten { path: path.clone(), stat, good: known.digests, found: digests });
                        return None;
                    }
                    None => {}
                }
                Some((path.clone(), stat, digests))
            }
            Err(LibraryError::NotFound(_)) => None,
            Err(error) => {
                let mut found = self.lock();
                if matches!(error, LibraryError::Changed(_)) {
                    found.later.insert(path.parent().unwrap_or_default());
                }
                error.note_in(&mut found.coverage, path.clone());
                None
            }
        }
    }

    /// RACE: a file may have been replaced through the server since it was read here; then its row is newer than ours,
    /// and only a file that still looks as we read it may be written down.
    fn remember(&self, rows: Vec<(RelPath, Stat, Digests)>) -> Result<(), LibraryError> {
        if rows.is_empty() {
            return Ok(());
        }
        let tree = self.tree.clone();
        self.store.write_soon(move |tx| {
            for (path, stat, digests) in rows {
                if tree.stat(&path).is_ok_and(|now| now == Some(stat)) {
                    let row = stat.row(digests);
                    index::put(tx, &path, row)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Takes paths out of the index: those that are gone, or, if `litter`, that are there under a name that is not indexed.
    fn forget(&self, paths: Vec<RelPath>, litter: bool) -> Result<(), LibraryError> {
        if paths.is_empty() {
            return Ok(());
        }
        let tree = self.tree.clone();
        let removed = self.store.write_soon(move |tx| {
            let (mut removed, mut spelling) = (0, Spelling::new(&tree));
            // On a disk that was taken away nothing is to be found; that does not mean that it is gone.
            for path in paths.into_iter().filter(|_| tree.is_there()) {
                // The same race as above: it may be back. Under a name that is only spelled otherwise it is not.
                if litter || spelling.is_there(&path).is_ok_and(|there| !there) {
                    removed += u64::from(index::remove(tx, &path)?);
                }
            }
            Ok(removed)
        })?;
        self.removed.fetch_add(removed, Ordering::Relaxed);
        Ok(())
    }

    /// Writes down what is left. After a look at everything, folders that the index knows and the disk no longer has lose their files.
    fn finish(self, everything: bool) -> Result<ScanReport, LibraryError> {
        let mut found = std::mem::take(&mut *self.lock());
        self.judge(&mut found);
        self.remember(found.rows)?;
        let renamed = std::mem::take(&mut found.damaged);
        if !renamed.is_empty() {
            self.store.write(move |tx| renamed.iter().try_for_each(|(path, damage)| damage::put(tx, path, damage)))?;
        }
        if everything {
            damaged(self.tree, &mut found.coverage)?;
        }
        if let Some(failure) = found.failure {
            return Err(failure);
        }
        if everything && !self.stopped() {
            let today = (self.store.clock().seconds() / 86_400).unsigned_abs();
            self.store.write_soon(move |tx| changes::compact(tx, today))?;
            for folder in self.index.folders()? {
                if !found.folders.contains(&folder) && found.coverage.of(&folder).is_ok() {
                    let members = self.index.members(&folder, "")?.map(|item| Ok(item?.0));
                    self.forget(members.collect::<Result<_, LibraryError>>()?, folder.segments().any(is_junk))?;
                }
            }
            for folder in self.folders.told()? {
                let folder = folder?;
                if !found.folders.contains(&folder) && found.coverage.of(&folder).is_ok() {
                    self.forget_folder(folder)?;
                }
            }
        }
        self.announce(found.folders)?;
        Ok(ScanReport {
            files: self.files.into_inner(),
            hashed: self.hashed.into_inner(),
            bytes: self.bytes.into_inner(),
            renamed: self.renamed.into_inner(),
            removed: self.removed.into_inner(),
            coverage: found.coverage,
            later: found.later,
            ignore_files: found.ignore_files,
            growing: Vec::new(),
        })
    }

    /// Files that somebody wrote anew with their old size and time were edited, by a program that keeps the time. But when most files in new
    /// inodes have the same bytes as before, the library was copied to another place, and those with others were copied badly.
    fn judge(&self, found: &mut Found) {
        let copied = self.copied.load(Ordering::Relaxed) > found.rewritten.len() as u64;
        for Rewritten { path, stat, good, found: digests } in std::mem::take(&mut found.rewritten) {
            if copied {
                let Stat { size, mtime, inode, .. } = stat;
                let since = self.store.clock().seconds();
                found.damaged.push((path.clone(), Damage { size, mtime, inode, good, found: digests, since }));
            }
            found.rows.push((path, stat, if copied { good } else { digests }));
        }
    }

    /// Folders that are there for the first time are told.
    fn announce(&self, found: HashSet<RelPath>) -> Result<(), LibraryError> {
        let known = Folders::open(&self.store.read()?)?;
        let mut new = Vec::new();
        for folder in found.into_iter().filter(|folder| !folder.is_root()) {
            if !known.tells_of(&folder)? {
                new.push(folder);
            }
        }
        for batch in new.chunks(BATCH) {
            let (tree, batch) = (self.tree.clone(), batch.to_vec());
            // RACE: somebody may have removed one since it was found.
            let there = move |folder: &&RelPath| matches!(tree.stat(folder), Ok(Some(stat)) if stat.kind == Kind::Folder);
            self.store.write_soon(move |tx| batch.iter().filter(there).try_for_each(|folder| changes::touch(tx, folder)))?;
        }
        Ok(())
    }

    /// So are those that are no more, with everything in them.
    fn forget_folder(&self, folder: RelPath) -> Result<(), LibraryError> {
        if !self.folders.tells_of(&folder)? || folder.is_root() {
            return Ok(());
        }
        let tree = self.tree.clone();
        Ok(self.store.write_soon(move |tx| {
            // On a disk that was taken away nothing is to be found; that does not mean that it is gone.
            let is_no_folder = || {
                Ok::<_, LibraryError>(
                    tree.stat(&folder)?.is_none_or(|now| now.kind == Kind::File) || !Spelling::new(&tree).is_there(&folder)?,
                )
            };
            let gone = tree.is_there() && is_no_folder().is_ok_and(|gone| gone);
            if gone { index::remove_folder(tx, &folder) } else { Ok(()) }
        })?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reads a file once for both digests. A file that changes while it is read is an error: its bytes belong to no moment.
pub(super) fn hash_file(tree: &Tree, path: &RelPath) -> Result<(Stat, Digests), LibraryError> {
    hash_file_with(tree, path, |_| ())
}

/// The same, with somebody who looks on: reads a file of a tree once for both digests, unless it changes meanwhile.
pub fn hash_file_with(tree: &Tree, path: &RelPath, mut on: impl FnMut(&[u8])) -> Result<(Stat, Digests), LibraryError> {
    hash_open(tree.open_file(path)?, path, |piece| {
        on(piece);
        Ok(())
    })
}

/// The same for a file that is open; an error of who looks on ends it.
pub(super) fn hash_open(
    open: Open,
    path: &RelPath,
    mut on: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(Stat, Digests), LibraryError> {
    let Open { mut file, stat: before } = open;
    let mut hasher = Hasher::default();
    let read = pieces::each(&mut file, before.size, |piece| {
        hasher.update(piece);
        on(piece)
    });
    read.map_err(|error| LibraryError::io(path, error))?;
    let after = file.metadata().map_err(|error| LibraryError::io(path, error))?;
    match Stat::of(&after) {
        Some(after) if after == before => Ok((before, hasher.finish())),
        _ => Err(LibraryError::Changed(path.clone())),
    }
}
