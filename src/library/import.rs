//! Sorts what lands in the import tree into the originals.
//!
//! It promises:
//! - a file is taken only when nobody has touched it for a quiet time, as we saw it ourselves, and nobody is known to write to it;
//! - files that belong together move together, under one stem, the main file last;
//! - a picture whose content the library has already goes to the import tree's trash instead;
//! - there is no moment without the bytes under one of both names: the second name is durable before the first is given up, and a crash in
//!   between leaves two names, which the next look sorts out;
//! - what is not understood stays where it is, with the reason in the report.

mod place;
mod take;
mod writers;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::events::Events;
use crate::types::media::is_junk;
use crate::types::{LibraryId, RelPath, stack};

use super::tree::{Kind, Tree};
use super::{LibraryError, check_marker};

use writers::Writers;

/// Who is waited for without an event to come is looked at again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// A file that stays in the import tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// Where it is.
    pub path: RelPath,
    /// Why it stays.
    pub reason: String,
}

/// What one look at the import tree did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Files that are in the library now, sidecars included.
    pub imported: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the library had already; they are in the import tree's trash.
    pub duplicates: u64,
    /// Files that are not quiet yet.
    pub waiting: u64,
    /// Files that stay, and why.
    pub left: Vec<LeftAlone>,
    /// When the next file may be quiet.
    pub next: Option<Duration>,
}

/// Who may not be disturbed: true for a path that somebody is at work on.
pub type Busy<'a> = &'a dyn Fn(&RelPath) -> bool;

/// Looks at the import tree again and again, and remembers between two looks what it saw.
pub struct Importer {
    import: Tree,
    originals: Tree,
    library: LibraryId,
    events: Events,
    quiet: Duration,
    stop: Arc<AtomicBool>,
    hasher: RandomState,
    /// By the hash of a path: what the file looked like, and since when. Two numbers a file, because there may be very many.
    seen: HashMap<u64, (u64, Instant)>,
    /// What was said in the log already.
    told: HashSet<u64>,
    /// Where the stacks of late went, by the hash of folder and stem: a late member finds the others there.
    recent: HashMap<u64, (RelPath, Instant)>,
    writers: Writers,
}

/// Takes everything that is in the import tree now, as far as nobody is at work on it.
pub fn import_once(import: &Tree, originals: &Tree, library: LibraryId, events: &Events) -> Result<ImportReport, LibraryError> {
    Importer::new(import.clone(), originals.clone(), library, events.clone(), Duration::ZERO, Arc::default()).look(&|_| false)
}

impl Importer {
    /// Takes what was quiet for so long, from one tree to the other. Ends early when `stop` becomes true.
    pub fn new(import: Tree, originals: Tree, library: LibraryId, events: Events, quiet: Duration, stop: Arc<AtomicBool>) -> Self {
        let (hasher, seen) = (RandomState::new(), HashMap::new());
        Self {
            import,
            originals,
            library,
            events,
            quiet,
            stop,
            hasher,
            seen,
            told: HashSet::new(),
            recent: HashMap::new(),
            writers: Writers::default(),
        }
    }

    /// Looks at the whole import tree, and moves what may be moved. An error means that nothing could be done at all: the library is not
    /// there, or the state failed.
    pub fn look(&mut self, busy: Busy<'_>) -> Result<ImportReport, LibraryError> {
        check_marker(self.originals.root(), self.library)?;
        let (import, originals) = (self.import.root(), self.originals.root());
        if import.starts_with(originals) || originals.starts_with(import) {
            let reason = "the import folder lies in the library, or the library in it; nothing is imported".to_owned();
            return Err(LibraryError::Unusable { path: import.to_owned(), reason });
        }
        let mut report = ImportReport::default();
        let started = Instant::now();
        self.writers.forget();
        self.recent.retain(|_, (_, when)| when.elapsed() < take::LATE);
        let mut met = HashSet::new();
        let mut ahead = vec![RelPath::root()];
        while let Some(folder) = ahead.pop() {
            if self.stopped() || !self.import.is_there() {
                return Ok(report);
            }
            let members = match self.import.list(&folder) {
                Ok(members) => members,
                Err(LibraryError::NotFound(_)) => continue,
                Err(error) => {
                    self.leave(&mut report, &folder, error.to_string());
                    continue;
                }
            };
            let mut names = Vec::new();
            let mut restless = HashSet::new();
            for member in members.into_iter().filter(|member| !is_left(member.path.name())) {
                match member.stat {
                    Ok(stat) if stat.kind == Kind::Folder => ahead.push(member.path),
                    Ok(stat) if stat.size == 0 => self.leave(&mut report, &member.path, "it is empty".into()),
                    Ok(_) => {
                        let name = member.path.name().to_owned();
                        match self.rest(&member.path, started, busy, &mut met) {
                            None => {}
                            Some(wait) => {
                                report.next = Some(report.next.map_or(wait, |next: Duration| next.min(wait)));
                                restless.insert(name.clone());
                            }
                        }
                        names.push(name);
                    }
                    Err(reason) => self.leave(&mut report, &member.path, reason),
                }
            }
            self.take_all(&folder, &names, &restless, &mut report)?;
        }
        self.seen.retain(|path, _| met.contains(path));
        Ok(report)
    }

    fn take_all(
        &mut self,
        folder: &RelPath,
        names: &[String],
        restless: &HashSet<String>,
        report: &mut ImportReport,
    ) -> Result<(), LibraryError> {
        let import = self.import.clone();
        // A file whose kind cannot be read now is what its name promises: it is read whole before it is moved.
        let kind = |name: &str| folder.join(name).ok().and_then(|path| import.kind(&path).ok()).unwrap_or_else(|| stack::promised(name));
        for stack in stack::group(names, &kind) {
            if self.stopped() {
                break;
            }
            let members: Vec<&String> = stack.media.iter().chain(stack.sidecars.iter().map(|sidecar| &sidecar.name)).collect();
            let root = self.import.root().to_owned();
            let mut open = |name: &str| self.writers.have(&root, &root.join(folder.as_str()).join(name));
            let restless = members.iter().any(|name| restless.contains(*name));
            if restless || members.iter().any(|name| open(name)) {
                report.waiting += members.len() as u64;
                let again = self.quiet.max(AGAIN);
                report.next = Some(report.next.map_or(again, |next| next.min(again)));
                continue;
            }
            match self.take(folder, &stack, report) {
                Ok(()) => {}
                // Nothing works without the state or the library.
                Err(error @ (LibraryError::Store(_) | LibraryError::NoMarker(_) | LibraryError::ForeignMarker { .. })) => {
                    return Err(error);
                }
                Err(LibraryError::Changed(_)) => {
                    report.waiting += members.len() as u64;
                    report.next = Some(self.quiet);
                }
                Err(error) => {
                    let first = members.first().and_then(|name| folder.join(name).ok()).unwrap_or_else(|| folder.clone());
                    self.leave(report, &first, error.to_string());
                }
            }
        }
        Ok(())
    }

    /// How long a file must still be left in peace; none when it was long enough. Only our own clock counts, and only whether the file
    /// looks the same: its times may come from anywhere.
    fn rest(&mut self, path: &RelPath, now: Instant, busy: Busy<'_>, met: &mut HashSet<u64>) -> Option<Duration> {
        let key = self.hasher.hash_one(path);
        let place = self.import.root().join(path.as_str());
        let Ok(metadata) = fs::symlink_metadata(&place) else { return Some(self.quiet) };
        let looks = (metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        let looks = self.hasher.hash_one(looks);
        met.insert(key);
        let (before, since) = self.seen.entry(key).or_insert((looks, now));
        if *before != looks || busy(path) {
            (*before, *since) = (looks, now);
        }
        let rest = self.quiet.saturating_sub(now.duration_since(*since));
        (!rest.is_zero() || busy(path)).then_some(rest)
    }

    /// Notes that a file stays. The log says so once.
    fn leave(&mut self, report: &mut ImportReport, path: &RelPath, reason: String) {
        if self.told.insert(self.hasher.hash_one((path, &reason))) {
            tracing::warn!(%path, %reason, "left in the import folder");
        }
        report.left.push(LeftAlone { path: path.clone(), reason });
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Names that nobody wants to see in a library: litter, unfinished transfers, hidden files, among which are the temporary ones of rsync.
fn is_left(name: &str) -> bool {
    is_junk(name) || name.starts_with('.')
}

#[cfg(test)]
mod tests;
