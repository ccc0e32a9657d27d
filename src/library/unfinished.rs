//! Files that come in over several runs: what has come of a large one is kept under a name that says what it is, and taken up again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::staged::Unpublished;
use super::{LibraryError, Staged, Tree};

const PREFIX: &str = "unfinished-";
/// What nobody has gone on with for so long is swept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

impl Staged {
    /// Begins the file that `key` names, or goes on with what is there of it. Dropping it keeps it, for a later process too, until it is
    /// swept after a week. The same key must always mean the same bytes. When somebody else is at it, a file is begun that is not kept.
    ///
    /// It reads what is there: call it where it may block.
    pub fn resume(tree: &Tree, key: &str) -> Result<Self, LibraryError> {
        let name = format!("{PREFIX}{key}.part");
        let place = tree.incoming().join(&name);
        let io = |source| LibraryError::Io { path: format!(".twinlens/incoming/{name}"), source };
        let Some(file) = open_alone(&place).map_err(io)? else { return Ok(tree.stage()) };
        let mut staged = Self::of(tree.clone(), place, file, Unpublished::KeptIfBegun);
        staged.take_in().map_err(io)?;
        Ok(staged)
    }
}

/// Opens a file for us alone; none when somebody else has it.
fn open_alone(place: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(place)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // RACE: whoever had it may have published it between our open and our lock; then it is a photo by now, and has another name.
    let same = match fs::symlink_metadata(place) {
        Ok(there) => (there.dev(), there.ino()) == (file.metadata()?.dev(), file.metadata()?.ino()),
        Err(_) => false,
    };
    Ok(same.then_some(file))
}

/// Whether a file among what is coming in is kept when a tree is opened.
pub(super) fn is_kept(entry: &fs::DirEntry) -> io::Result<bool> {
    let metadata = entry.metadata()?;
    let ours = metadata.is_file() && entry.file_name().to_string_lossy().starts_with(PREFIX);
    // A time in the future is no reason to keep it for ever, and none to throw it away now.
    Ok(ours && SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default() < KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::properties::Area;
    use crate::types::{Digests, Expect, RelPath};

    #[test]
    fn what_has_come_is_kept_over_a_restart_and_only_for_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        let root = folder.path().join("library");
        fs::create_dir(&root).unwrap();
        let open = || Tree::open(&root, store.clone(), Area::Originals).unwrap();
        let count = || fs::read_dir(root.join(".twinlens/incoming")).unwrap().count();
        let tree = open();
        let mut staged = Staged::resume(&tree, "k").unwrap();
        staged.write(b"half ").unwrap();
        let mut other = Staged::resume(&tree, "k").unwrap();
        assert_eq!(other.size(), 0, "two are at one file");
        other.write(b"x").unwrap();
        drop(other);
        drop(staged);
        assert_eq!(count(), 1);

        let tree = open();
        let mut staged = Staged::resume(&tree, "k").unwrap();
        assert_eq!(staged.size(), 5);
        staged.write(b"whole").unwrap();
        assert_eq!(staged.digests(), Digests::of(b"half whole"));
        let path = RelPath::parse("a.jpg").unwrap();
        staged.commit(&path, &Expect::Absent, None).unwrap();
        assert_eq!((fs::read(root.join("a.jpg")).unwrap(), count()), (b"half whole".to_vec(), 0));

        let mut staged = Staged::resume(&tree, "k").unwrap();
        staged.write(b"wrong").unwrap();
        staged.restart().unwrap();
        staged.write(b"right").unwrap();
        assert_eq!((staged.size(), staged.digests()), (5, Digests::of(b"right")));
        drop(staged);
        let old = SystemTime::now() - KEPT - Duration::from_secs(60);
        File::options().write(true).open(root.join(".twinlens/incoming/unfinished-k.part")).unwrap().set_modified(old).unwrap();
        open();
        assert_eq!(count(), 0, "what nobody wants any more is still there");
    }
}
