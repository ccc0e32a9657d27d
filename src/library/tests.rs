use std::fs;

use crate::events::Events;
use crate::store::Store;
use crate::types::{Digests, Expect, Mtime, RelPath};

use super::*;

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    tree: Tree,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("library")).unwrap();
    let store = Store::open(&folder.path().join("state.redb")).unwrap();
    let (tree, _) = open_library(&folder.path().join("library"), &store).unwrap();
    Fixture { folder, store, tree }
}

impl Fixture {
    fn write(&self, at: &str, bytes: &[u8]) {
        let place = self.tree.root().join(at);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
    }

    fn scan(&self) -> ScanReport {
        scan(&self.tree, &Events::default()).unwrap()
    }

    fn put(&self, at: &str, bytes: &[u8], expect: &Expect<OnDisk>) -> Result<Committed, LibraryError> {
        let mut staged = self.tree.stage();
        staged.write(bytes).unwrap();
        staged.commit(&path(at), expect, Some(Mtime::from_seconds(1_600_000_000)))
    }

    fn trashed(&self) -> Vec<Vec<u8>> {
        fn files(folder: &std::path::Path, out: &mut Vec<Vec<u8>>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => files(&entry.path(), out),
                    false => out.push(fs::read(entry.path()).unwrap()),
                }
            }
        }
        let mut out = Vec::new();
        files(&self.tree.own().join("trash"), &mut out);
        out
    }

    fn incoming(&self) -> usize {
        fs::read_dir(self.tree.incoming()).unwrap().count()
    }
}

#[test]
fn two_links_to_one_file_are_two_names() {
    let f = fixture();
    f.write("a.jpg", b"same");
    fs::hard_link(f.tree.root().join("a.jpg"), f.tree.root().join("b.jpg")).unwrap();
    f.scan();
    assert!(matches!(f.tree.rename(&path("a.jpg"), &path("b.jpg")), Err(LibraryError::Exists(_))));
    f.tree.replace(&path("a.jpg"), &path("b.jpg")).unwrap();
    assert!(f.tree.stat(&path("a.jpg")).unwrap().is_none());
    assert_eq!(fs::read(f.tree.root().join("b.jpg")).unwrap(), b"same");
    assert_eq!(f.trashed(), [b"same".to_vec()]);
}

#[test]
fn a_file_does_not_follow_its_folder_into_the_trash() {
    let f = fixture();
    f.write("album/a.jpg", b"a");
    f.scan();
    let mut staged = f.tree.stage();
    staged.write(b"new").unwrap();
    f.tree.remove(&path("album")).unwrap();
    let late = staged.commit(&path("album/new.jpg"), &Expect::Anything, None);
    assert!(matches!(late, Err(LibraryError::NoParent(_))), "{late:?}");
    assert_eq!(f.trashed(), [b"a".to_vec()]);
}

#[test]
fn a_commit_is_seen_whole_and_indexed_at_once() {
    let f = fixture();
    let receipt = f.put("a.jpg", b"one", &Expect::Absent).unwrap();
    assert!(!receipt.replaced());
    let row = f.tree.view().unwrap().index().unwrap().get(&path("a.jpg")).unwrap().unwrap();
    assert_eq!(row.digests, Digests::of(b"one"));
    assert_eq!(f.scan().hashed, 0, "the scan need not read what a commit has hashed");
    assert_eq!(f.incoming(), 0);
}

#[test]
fn what_is_replaced_or_removed_is_in_the_trash() {
    let f = fixture();
    let first = f.put("a.jpg", b"one", &Expect::Absent).unwrap();
    assert!(f.put("a.jpg", b"two", &Expect::Version(first.version().into())).unwrap().replaced());
    assert_eq!(f.trashed(), [b"one".to_vec()]);
    f.tree.remove_file(&path("a.jpg"), &Expect::Anything).unwrap();
    assert_eq!(f.trashed().len(), 2);
    assert!(f.tree.view().unwrap().index().unwrap().is_empty().unwrap());
}

#[test]
fn a_write_that_finds_something_else_changes_nothing() {
    let f = fixture();
    let first = f.put("a.jpg", b"one", &Expect::Absent).unwrap();
    assert!(matches!(f.put("a.jpg", b"two", &Expect::Absent), Err(LibraryError::Exists(_))));
    f.write("a.jpg", b"edited by somebody");
    assert!(matches!(f.put("a.jpg", b"two", &Expect::Version(first.version().into())), Err(LibraryError::Changed(_))));
    let removed = f.tree.remove_file(&path("a.jpg"), &Expect::Version(first.version().into()));
    assert!(matches!(removed, Err(LibraryError::Changed(_))));
    assert!(matches!(f.put("no/folder.jpg", b"x", &Expect::Absent), Err(LibraryError::NoParent(_))));
    assert_eq!(fs::read(f.tree.root().join("a.jpg")).unwrap(), b"edited by somebody");
    assert_eq!((f.incoming(), f.trashed().len()), (0, 0));
}

#[test]
fn dropping_a_staged_file_leaves_no_trace() {
    let f = fixture();
    let mut staged = f.tree.stage();
    staged.write(b"half").unwrap();
    assert_eq!(f.incoming(), 0, "few bytes stay in memory");
    staged.write(&[7; Staged::SMALL]).unwrap();
    assert_eq!(f.incoming(), 1);
    drop(staged);
    assert_eq!(f.incoming(), 0);
}

#[test]
fn a_scan_finds_what_changed_and_only_reads_that() {
    let f = fixture();
    f.write("2020/a.jpg", b"a");
    f.write("2020/deep/er/b.jpg", b"b");
    f.write("2020/.DS_Store", b"junk");
    let first = f.scan();
    assert_eq!((first.files, first.hashed, first.removed), (2, 2, 0));
    f.write("2020/a.jpg", b"changed");
    let second = f.scan();
    assert_eq!((second.files, second.hashed), (2, 1));
    fs::remove_dir_all(f.tree.root().join("2020/deep")).unwrap();
    let third = f.scan();
    assert_eq!((third.files, third.hashed, third.removed), (1, 0, 1));
    let holding = f.tree.view().unwrap().index().unwrap().holding(&Digests::of(b"changed").into()).unwrap();
    assert_eq!(holding, Some(path("2020/a.jpg")));
}

#[test]
fn a_renamed_folder_keeps_its_index() {
    let f = fixture();
    f.write("old/a.jpg", b"a");
    f.write("old/in/b.jpg", b"b");
    f.scan();
    f.tree.rename(&path("old"), &path("new")).unwrap();
    let scan = f.scan();
    assert_eq!((scan.hashed, scan.removed), (0, 0));
    assert!(matches!(f.tree.rename(&path("new"), &path("new/in/side")), Err(LibraryError::WrongKind(_))));
}

#[test]
fn no_link_leads_out_and_own_files_are_not_there() {
    let f = fixture();
    let outside = f.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.jpg"), b"s").unwrap();
    std::os::unix::fs::symlink(&outside, f.tree.root().join("link")).unwrap();
    assert!(matches!(f.tree.stat(&path("link/secret.jpg")), Err(LibraryError::Outside(_))));
    assert!(f.tree.stat(&path("link")).unwrap().is_none());
    assert!(matches!(f.tree.open_file(&path(".twinlens/library.toml")), Err(LibraryError::NotFound(_))));
    assert_eq!(f.scan().files, 0);
}

#[test]
fn a_marker_binds_state_and_library() {
    let f = fixture();
    let root = f.tree.root().to_owned();
    assert!(open_library(&root, &f.store).is_ok());
    let other = f.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    assert!(matches!(open_library(&other, &f.store), Err(LibraryError::NoMarker(_))));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0, "a refused library is not touched");
    let second = Store::open(&f.folder.path().join("second.redb")).unwrap();
    open_library(&other, &second).unwrap();
    assert!(matches!(open_library(&other, &f.store), Err(LibraryError::ForeignMarker { .. })));
    assert!(matches!(open_library(&root.join("nowhere"), &f.store), Err(LibraryError::Missing(_))));
}

#[test]
fn a_file_does_not_follow_its_folder_that_is_moved_while_it_is_synced() {
    let f = fixture();
    type Publish = fn(&Tree, Staged, RelPath, Option<Mtime>) -> Result<Committed, LibraryError>;
    let one: Publish = |_, staged, path, mtime| staged.commit(&path, &Expect::Absent, mtime);
    let group: Publish =
        |tree, staged, path, mtime| commit_all(tree, vec![Ready { staged, path, expect: Expect::Absent, mtime }]).pop().unwrap();
    for publish in [one, group] {
        f.tree.create_folder(&path("d")).unwrap();
        let mut staged = f.tree.stage();
        staged.write(b"new").unwrap();
        staged.to_disk().unwrap();
        let (place, mtime) = (staged.place().to_owned(), Mtime::from_seconds(1_600_000_000));
        let alone = f.tree.alone();
        let tree = f.tree.clone();
        let upload = std::thread::spawn(move || publish(&tree, staged, path("d/a.jpg"), Some(mtime)));
        // It has its time: the upload is about to be synced, and waits then for the folder that is being moved.
        while fs::metadata(&place).unwrap().modified().unwrap() != std::time::SystemTime::from(mtime) {
            std::thread::yield_now();
        }
        fs::rename(f.tree.root().join("d"), f.tree.root().join("e")).unwrap();
        drop(alone);
        assert!(matches!(upload.join().unwrap(), Err(LibraryError::NoParent(_))));
        assert_eq!((fs::read_dir(f.tree.root().join("e")).unwrap().count(), f.incoming()), (0, 0));
        fs::remove_dir(f.tree.root().join("e")).unwrap();
    }
}

#[test]
fn a_hard_link_that_is_moved_onto_another_loses_its_first_name() {
    let f = fixture();
    for (from, to) in [("a.jpg", "b.jpg"), ("c.jpg", "C.jpg"), ("d/e.jpg", "f/e.jpg")] {
        f.write(from, b"one");
        fs::create_dir_all(f.tree.root().join(to).parent().unwrap()).unwrap();
        fs::hard_link(f.tree.root().join(from), f.tree.root().join(to)).unwrap();
        f.scan();
        assert!(matches!(f.tree.rename(&path(from), &path(to)), Err(LibraryError::Exists(_))), "{from}");
        f.tree.replace(&path(from), &path(to)).unwrap();
        assert!(f.tree.stat(&path(from)).unwrap().is_none(), "{from}");
        assert_eq!(fs::read(f.tree.root().join(to)).unwrap(), b"one");
        let scan = f.scan();
        assert_eq!((scan.hashed, scan.removed), (0, 0), "{from}");
    }
    assert_eq!(f.trashed(), vec![b"one".to_vec(); 3]);
}

#[test]
fn an_upload_that_takes_its_own_name_is_indexed_and_not_read_again() {
    let f = fixture();
    f.tree.create_folder(&path("up.part")).unwrap();
    for at in ["a.jpg.part", "up.part/b.jpg"] {
        f.put(at, b"one", &Expect::Absent).unwrap();
        // Other bytes with the same size and time: whoever reads them again says something else.
        let place = f.tree.root().join(at);
        let time = fs::metadata(&place).unwrap().modified().unwrap();
        fs::write(&place, b"two").unwrap();
        fs::File::options().write(true).open(&place).unwrap().set_modified(time).unwrap();
    }
    f.write("c.part", b"foreign");
    for (from, to) in [("a.jpg.part", "a.jpg"), ("up.part", "up"), ("c.part", "c.jpg")] {
        f.tree.rename(&path(from), &path(to)).unwrap();
    }
    let view = f.tree.view().unwrap();
    let digests = |at: &str| view.index().unwrap().get(&path(at)).unwrap().unwrap().digests;
    assert_eq!(
        (digests("a.jpg"), digests("up/b.jpg"), digests("c.jpg")),
        (Digests::of(b"one"), Digests::of(b"one"), Digests::of(b"foreign"))
    );
    assert_eq!(f.scan().hashed, 0);
}
