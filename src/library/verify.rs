//! Reads every file again, to find what was damaged: bytes that changed while size, time and inode did not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use rustix::fs::Advice;

use crate::store::damage::{self, Damage};
use crate::store::index::{self, FileRow, Index};
use crate::types::{Digests, RelPath};

use super::LibraryError;
use super::scan::{hash_file, hash_open};
use super::tree::Tree;

/// Files that are looked at together.
const BATCH: usize = 256;
/// After so much work there is a rest.
const WORK: Duration = Duration::from_millis(100);

/// How the disk is used.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Ends the look within the file that is being read.
    pub stop: Arc<AtomicBool>,
    /// Reads one file after the other and rests for so many times as long as it read; none: as fast as it goes.
    pub rest: Option<u32>,
}

/// What one step of a look found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files whose bytes are not what they were. They are written down.
    pub damaged: Vec<(RelPath, Damage)>,
    /// Files that could not be read, and why. That is no damage of theirs.
    pub failed: Vec<(RelPath, String)>,
    /// The last file of this step; none when there were no more.
    pub last: Option<RelPath>,
}

enum Found {
    Good(u64),
    Damaged(FileRow, Digests),
    /// It was written or removed since: the scan tells of that.
    Another,
    Failed(String),
    Stopped,
}

/// Reads the next files of the index after a path. Files that are not as the index knows them are passed by.
pub fn verify_some(tree: &Tree, after: Option<&RelPath>, pace: &Pace) -> Result<Checked, LibraryError> {
    let Some(store) = tree.indexed_in() else { return Ok(Checked::default()) };
    let rows: Vec<(RelPath, FileRow)> = {
        let index = Index::open(&store.read()?)?;
        index.after(after)?.take(BATCH).collect::<Result<_, _>>()?
    };
    let look = |(path, row): &(RelPath, FileRow)| (path.clone(), check(tree, path, row, pace));
    let found: Vec<(RelPath, Found)> = match pace.rest {
        Some(_) => rows.iter().map(look).collect(),
        None => rows.par_iter().map(look).collect(),
    };
    let mut checked = Checked::default();
    for (path, found) in found {
        match found {
            // What comes after it was perhaps not read either.
            Found::Stopped => break,
            Found::Another => {}
            Found::Good(bytes) => {
                checked.files += 1;
                checked.bytes += bytes;
            }
            Found::Damaged(row, digests) => {
                checked.files += 1;
                checked.bytes += row.size;
                let since = tree.now().as_second();
                let FileRow { size, mtime, inode, digests: good, .. } = row;
                checked.damaged.push((path.clone(), Damage { size, mtime, inode, good, found: digests, since }));
            }
            Found::Failed(reason) => checked.failed.push((path.clone(), reason)),
        }
        checked.last = Some(path);
    }
    if !checked.damaged.is_empty() {
        let damaged = checked.damaged.clone();
        store.write(move |tx| damaged.iter().try_for_each(|(path, damage)| damage::put(tx, path, damage)))?;
    }
    Ok(checked)
}

/// Compares a file with what the index knows of it.
fn check(tree: &Tree, path: &RelPath, row: &FileRow, pace: &Pace) -> Found {
    if pace.stop.load(Ordering::Relaxed) {
        return Found::Stopped;
    }
    match read(tree, path, row, pace) {
        Ok(Some(digests)) if digests == row.digests => Found::Good(row.size),
        Ok(Some(digests)) => Found::Damaged(*row, digests),
        Ok(None) | Err(LibraryError::NotFound(_) | LibraryError::Changed(_) | LibraryError::WrongKind(_)) => Found::Another,
        Err(_) if pace.stop.load(Ordering::Relaxed) => Found::Stopped,
        Err(error) => Found::Failed(error.to_string()),
    }
}

/// The digests of a file as it is on disk; none when it is not the one that the index knows, or the index knows another by now.
fn read(tree: &Tree, path: &RelPath, row: &FileRow, pace: &Pace) -> Result<Option<Digests>, LibraryError> {
    let open = tree.open_file(path)?;
    if !open.stat.matches(row) {
        return Ok(None);
    }
    // From the disk, not from memory, and without pushing out what others have there. Where that is not to be had, it is read all the same.
    let advised = open.file.try_clone().map_err(|error| LibraryError::io(path, error))?;
    let let_go = || rustix::fs::fadvise(&advised, 0, None, Advice::DontNeed).is_ok();
    let_go();
    let mut began = Instant::now();
    let read = hash_open(open, path, |_| {
        if pace.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        if let Some(rest) = pace.rest
            && began.elapsed() >= WORK
        {
            std::thread::sleep(began.elapsed() * rest);
            began = Instant::now();
        }
        Ok(())
    });
    let_go();
    if let Some(rest) = pace.rest {
        std::thread::sleep(began.elapsed() * rest);
    }
    let (stat, digests) = read?;
    let now = Index::open(&tree.store().read()?)?.get(path)?;
    let same = tree.stat(path)? == Some(stat) && now.is_some_and(|now| stat.matches(&now) && now.digests == row.digests);
    Ok(same.then_some(digests))
}

/// Takes the bytes of a damaged file as they are: from now on they are an edit. True when it was damaged.
pub fn accept(tree: &Tree, path: &RelPath) -> Result<bool, LibraryError> {
    let Some(store) = tree.indexed_in() else { return Ok(false) };
    if !damage::all(&store.read()?)?.iter().any(|(damaged, _)| damaged == path) {
        return Ok(false);
    }
    let (stat, digests) = hash_file(tree, path)?;
    let _locks = tree.lock_file(path);
    if tree.stat(path)? != Some(stat) {
        return Err(LibraryError::Changed(path.clone()));
    }
    let (path, row) = (path.clone(), stat.row(digests));
    store.write(move |tx| {
        damage::remove(tx, &path)?;
        index::put(tx, &path, row)
    })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::events::Events;
    use crate::library::{open_library, scan};
    use crate::store::Store;

    #[test]
    fn a_look_goes_on_where_it_was_and_ends_at_once_when_it_shall() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("l");
        for number in 0..BATCH * 2 + 10 {
            let place = root.join(format!("{}/{number}.jpg", number % 7));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, number.to_string()).unwrap();
        }
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let (tree, _) = open_library(&root, &store).unwrap();
        scan(&tree, &Events::default()).unwrap();
        let mut pace = Pace { stop: Arc::default(), rest: None };
        let (mut files, mut after, mut steps) = (0, None, 0);
        loop {
            let checked = verify_some(&tree, after.as_ref(), &pace).unwrap();
            assert!(checked.damaged.is_empty() && checked.failed.is_empty());
            (files, after, steps) = (files + checked.files, checked.last, steps + 1);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((files, steps), (BATCH as u64 * 2 + 10, 4));
        pace.stop.store(true, Ordering::Relaxed);
        pace.rest = Some(1);
        let checked = verify_some(&tree, None, &pace).unwrap();
        assert_eq!((checked.files, checked.last), (0, None));
    }
}
