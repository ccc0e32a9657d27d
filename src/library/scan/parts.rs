//! A look at some folders: those where something is said to have happened.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use crate::events::Events;
use crate::store::index::FileRow;
use crate::types::RelPath;
use crate::types::media::is_junk;

use super::super::LibraryError;
use super::super::tree::{Kind, Stat, Tree};
use super::{BATCH, Scan, ScanReport};

/// Rows of gone files that are kept in mind, to know them again under another name.
const REMEMBERED: usize = 200_000;

/// The folders to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// With what is directly in them, and with folders in them that nobody knew.
    pub members: BTreeSet<RelPath>,
    /// With everything below them. They may be gone.
    pub below: BTreeSet<RelPath>,
}

impl Parts {
    /// True when there is nothing to be looked at.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.below.is_empty()
    }

    /// All of both.
    pub fn merge(&mut self, mut other: Self) {
        self.members.append(&mut other.members);
        self.below.append(&mut other.below);
    }

    fn covers(&self, folder: &RelPath) -> bool {
        folder.ancestors().any(|above| self.below.contains(&above))
    }
}

/// Brings the index up to date with some folders. A file that looks changed but is `unsettled` is left for later.
pub fn scan_parts(
    tree: &Tree,
    events: &Events,
    stop: &AtomicBool,
    parts: &Parts,
    unsettled: &(dyn Fn(&RelPath, &Stat) -> bool + Sync),
) -> Result<ScanReport, LibraryError> {
    let Some(mut scan) = Scan::new(tree, events, stop, unsettled)? else { return Ok(ScanReport::default()) };
    let wanted = |folder: &&RelPath| !folder.segments().any(is_junk) && !parts.covers(folder);
    let below: Vec<_> = parts.below.iter().filter(wanted).collect();
    let members: Vec<_> = parts.members.iter().filter(wanted).filter(|folder| !parts.below.contains(folder)).collect();
    for folder in &below {
        scan.notice_gone(scan.index.subtree(folder)?)?;
    }
    for folder in &members {
        scan.notice_gone(scan.index.members(folder, "")?)?;
    }
    let pool = scan.pool()?;
    for folder in &below {
        pool.install(|| rayon::scope(|scope| scan.everything_below(scope, folder)))?;
        scan.forget_below(folder)?;
    }
    pool.install(|| rayon::scope(|scope| members.iter().try_for_each(|folder| scan.members_of(scope, folder))))?;
    scan.finish(false)
}

impl<'a> Scan<'a> {
    /// Keeps the rows of files in mind that are no longer at their paths.
    fn notice_gone(&mut self, rows: impl Iterator<Item = crate::store::index::Item>) -> Result<(), LibraryError> {
        for row in rows {
            let (path, row): (RelPath, FileRow) = row?;
            if self.moved.len() < REMEMBERED && self.tree.stat(&path).is_ok_and(|now| now.is_none()) {
                self.moved.insert(row.inode, row);
            }
        }
        Ok(())
    }

    fn everything_below<'s>(&'s self, scope: &rayon::Scope<'s>, folder: &RelPath) -> Result<(), LibraryError>
    where
        'a: 's,
    {
        match self.tree.stat(folder) {
            Ok(Some(stat)) if stat.kind == Kind::Folder => self.folder(scope, folder.clone()),
            Ok(_) => {}
            Err(error @ LibraryError::Store(_)) => return Err(error),
            Err(error) => error.note_in(&mut self.lock().coverage, folder.clone()),
        }
        Ok(())
    }

    /// The members of a folder, and everything in those folders of it that are new.
    fn members_of<'s>(&'s self, scope: &rayon::Scope<'s>, folder: &RelPath) -> Result<(), LibraryError>
    where
        'a: 's,
    {
        match self.folder_inner(folder) {
            Ok(below) => {
                self.lock().folders.insert(folder.clone());
                for new in below {
                    if !self.folders.tells_of(&new)? {
                        scope.spawn(move |scope| self.folder(scope, new));
                    }
                }
                Ok(())
            }
            Err(error @ LibraryError::Store(_)) => Err(error),
            // The look at the folder above it finds out.
            Err(LibraryError::NotFound(_) | LibraryError::WrongKind(_)) => Ok(()),
            Err(error) => {
                error.note_in(&mut self.lock().coverage, folder.clone());
                Ok(())
            }
        }
    }

    /// Takes out of the index what was below a folder and was not found there.
    fn forget_below(&self, folder: &RelPath) -> Result<(), LibraryError> {
        if self.stopped() {
            return Ok(());
        }
        let mut gone = Vec::new();
        for item in self.index.subtree(folder)? {
            let (path, _) = item?;
            let parent = path.parent().unwrap_or_default();
            let unseen = {
                let found = self.lock();
                path != *folder && !found.folders.contains(&parent) && found.coverage.of(&parent).is_ok()
            };
            if unseen {
                gone.push(path);
            }
            if gone.len() >= BATCH {
                self.forget(std::mem::take(&mut gone), false)?;
            }
        }
        self.forget(gone, false)?;
        self.forget_folder(folder.clone())
    }
}
