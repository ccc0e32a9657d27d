//! A look at one folder.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::Ordering;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::types::RelPath;
use crate::types::media::is_junk;

use super::super::LibraryError;
use super::super::ignore::is_ignore_file;
use super::super::tree::Kind;
use super::{BATCH, Scan};

impl<'a> Scan<'a> {
    /// One folder; those below it follow on other threads. Trouble with the state ends the scan, trouble with a
    /// folder or file is noted and passed by.
    pub(super) fn folder<'s>(&'s self, scope: &rayon::Scope<'s>, folder: RelPath)
    where
        'a: 's,
    {
        if self.stopped() || self.lock().failure.is_some() {
            return;
        }
        match self.folder_inner(&folder) {
            Ok(below) => {
                self.lock().folders.insert(folder);
                for path in below {
                    scope.spawn(move |scope| self.folder(scope, path));
                }
            }
            Err(error @ LibraryError::Store(_)) => self.lock().failure = Some(error),
            // Removed while we were on the way: the next look at its parent shows it.
            Err(LibraryError::NotFound(_)) if !folder.is_root() => {}
            Err(error) => error.note_in(&mut self.lock().coverage, folder),
        }
    }

    /// Both the folder and the index are gone through by name, side by side: nothing is made of a file that is as it was.
    pub(super) fn folder_inner(&self, folder: &RelPath) -> Result<Vec<RelPath>, LibraryError> {
        let listing = self.tree.folder(folder)?;
        let mut rows = self.index.cursor(folder, "")?;
        let (mut below, mut litter, mut gone, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut files = 0;
        for at in 0..listing.len() {
            let name = listing.name(at);
            let row = rows.row_after(name, |passed| gone.extend(folder.join(passed)))?;
            let path = || folder.join(name);
            if is_junk(name) {
                if is_ignore_file(name) {
                    let looks = listing.stat(name).map(|stat| stat.map(|stat| (stat.size, stat.mtime, stat.inode))).ok();
                    let looks = BuildHasherDefault::<DefaultHasher>::default().hash_one(looks);
                    self.lock().ignore_files.extend(path().map(|path| (path, looks)));
                }
                litter.extend(row.and_then(|_| path().ok()));
                continue;
            }
            match listing.stat(name) {
                Ok(Some(stat)) if stat.kind == Kind::File => {
                    files += 1;
                    if row.as_ref().is_some_and(|row| stat.matches(row)) {
                        continue;
                    }
                    match path() {
                        Ok(path) if (self.unsettled)(&path, &stat) => drop(self.lock().later.insert(folder.clone())),
                        Ok(path) => changed.push((path, stat, row)),
                        Err(error) => self.lock().coverage.exclude(folder.clone(), error.to_string()),
                    }
                }
                Ok(stat) => {
                    gone.extend(row.and_then(|_| path().ok()));
                    match stat.map(|_| path()) {
                        Some(Ok(path)) => below.push(path),
                        Some(Err(error)) => self.lock().coverage.exclude(folder.clone(), error.to_string()),
                        None => {}
                    }
                }
                Err(error) => error.note_in(&mut self.lock().coverage, path().unwrap_or_else(|_| folder.clone())),
            }
        }
        rows.rest(|passed| gone.extend(folder.join(passed)))?;
        for (shown, why) in listing.unreadable() {
            self.lock().coverage.exclude(folder.join(shown).unwrap_or_else(|_| folder.clone()), why.to_string());
        }
        self.files.fetch_add(files, Ordering::Relaxed);
        self.forget(gone, false)?;
        self.forget(litter, true)?;
        for batch in changed.chunks(BATCH) {
            let rows: Vec<_> = batch.into_par_iter().filter_map(|(path, stat, row)| self.read(path, stat, row.as_ref())).collect();
            let full = {
                let mut found = self.lock();
                found.rows.extend(rows);
                if found.rows.len() >= BATCH { std::mem::take(&mut found.rows) } else { Vec::new() }
            };
            self.remember(full)?;
        }
        Ok(below)
    }
}
