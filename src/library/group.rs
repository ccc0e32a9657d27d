//! Many small files published together: one sync of the disk, one of each folder and one write to the index for all of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;

use crate::types::{Expect, Mtime, RelPath};

use super::tree::{OnDisk, Tree, sync_parent};
use super::{Committed, LibraryError, Staged};

/// So many files are synced one by one; for more, the whole file system is.
const FEW: usize = 4;

/// A file that is to be published with others.
pub struct Ready {
    /// Its bytes.
    pub staged: Staged,
    /// Its name.
    pub path: RelPath,
    /// What may be there.
    pub expect: Expect<OnDisk>,
    /// Its time; without one it is now.
    pub mtime: Option<Mtime>,
}

/// Publishes files of one tree as [`Staged::commit`] does each, with the same promises, and says for each what came of it: one that fails
/// is no matter to the others.
pub fn commit_all(tree: &Tree, mut group: Vec<Ready>) -> Vec<Result<Committed, LibraryError>> {
    let prepared: Vec<Result<(), LibraryError>> = group.iter_mut().map(|ready| prepare(tree, ready)).collect();
    let synced = sync(tree, &mut group);
    let paths: Vec<RelPath> = group.iter().map(|ready| ready.path.clone()).collect();
    let _locks = tree.lock_files(&paths.iter().collect::<Vec<_>>());
    // One place in each folder: its neighbours are found from there.
    let mut folders = BTreeMap::new();
    let mut results: Vec<Result<Committed, LibraryError>> = group
        .iter_mut()
        .zip(prepared)
        .map(|(ready, prepared)| {
            prepared?;
            synced.as_ref().map_err(|error| LibraryError::io(&ready.path, std::io::Error::from(error.kind())))?;
            // Not before the lock: a folder may have been moved or removed meanwhile.
            let folder = match folders.entry(ready.path.parent()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(tree.locate(&ready.path)?),
            };
            let target = folder.beside(ready.path.name());
            let committed = ready.staged.publish(&ready.path, &target, &ready.expect)?;
            Ok(committed)
        })
        .collect();
    for target in folders.values() {
        if let Err(error) = sync_parent(target) {
            // Nobody knows which of the names are durable.
            fail(&mut results, &paths, |path| LibraryError::io(path, std::io::Error::from(error.kind())));
            return results;
        }
    }
    let rows = results.iter().flatten().map(|done| (done.path().clone(), done.stat(), done.version().digests)).collect();
    if let Err(error) = tree.remember_all(rows) {
        let reason = error.to_string();
        fail(&mut results, &paths, |path| LibraryError::io(path, std::io::Error::other(reason.clone())));
    }
    results
}

fn prepare(tree: &Tree, ready: &mut Ready) -> Result<(), LibraryError> {
    let Ready { staged, path, mtime, .. } = ready;
    if path.is_root() || staged.tree().root() != tree.root() {
        return Err(LibraryError::WrongKind(path.clone()));
    }
    staged.prepare(*mtime).map_err(|error| LibraryError::io(path, error))
}

/// Makes the bytes of all files durable.
fn sync(tree: &Tree, group: &mut [Ready]) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    if group.len() > FEW {
        group.iter_mut().try_for_each(|ready| ready.staged.end_flush())?;
        return Ok(rustix::fs::syncfs(File::open(tree.root())?)?);
    }
    let _ = (tree, FEW);
    group.iter_mut().try_for_each(|ready| ready.staged.sync())
}

fn fail(results: &mut [Result<Committed, LibraryError>], paths: &[RelPath], error: impl Fn(&RelPath) -> LibraryError) {
    results.iter_mut().zip(paths).filter(|(result, _)| result.is_ok()).for_each(|(result, path)| *result = Err(error(path)));
}
