//! Uploads in pieces, without HTTP.

use super::assembly::{check_whole, is_chunk_name, natural};
use super::*;

fn chunks(sizes: &[(&str, u64)]) -> Vec<Chunk> {
    sizes.iter().map(|(name, size)| Chunk { name: (*name).to_owned(), size: *size, mtime: Mtime(0) }).collect()
}

#[test]
fn a_missing_chunk_is_noticed_without_a_total() {
    let whole = |sizes: &[(&str, u64)]| check_whole(&chunks(sizes), None).is_ok();
    assert!(whole(&[("1", 5), ("2", 5), ("3", 1)]));
    assert!(whole(&[("0000", 5), ("0001", 5)]));
    assert!(whole(&[("0-5", 5), ("5-10", 5), ("10-11", 1)]));
    assert!(whole(&[("0", 5), ("5", 5)]), "offsets");
    assert!(!whole(&[("1", 5), ("3", 1)]));
    assert!(!whole(&[("2", 5), ("3", 1)]));
    assert!(!whole(&[("0-5", 5), ("10-11", 1)]));
    assert!(!whole(&[]));
}

#[test]
fn a_session_that_is_put_together_does_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let (library, state) = (folder.path().join("library"), folder.path().join("s.redb"));
    fs::create_dir(&library).unwrap();
    let store = crate::store::Store::open(&state).unwrap();
    let (tree, _) = crate::library::open_library(&library, &store).unwrap();
    let uploads = Uploads::open(tree);
    let put = |name: &str, bytes: &[u8]| {
        let mut chunk = uploads.receive("anna", "1", name, bytes.len() as u64)?;
        chunk.write(bytes)?;
        chunk.keep()
    };
    uploads.begin("anna", "1", 0).unwrap();
    assert!(!put("1", b"one,").unwrap() && !put("2", b"two").unwrap() && put("2", b"two.").unwrap());
    let late = uploads.receive("anna", "1", "3", 0).unwrap();
    let assembly = uploads.assemble("anna", "1", Some(8)).unwrap();
    assert!(matches!(uploads.assemble("anna", "1", Some(8)), Err(UploadError::Busy)));
    assert!(matches!(put("3", b"x"), Err(UploadError::Busy)));
    assert!(matches!(late.keep(), Err(UploadError::Busy)));
    assert!(matches!(uploads.abort("anna", "1"), Err(UploadError::Busy)));
    let staged = assembly.put_together(&uploads.inner.tree).unwrap();
    assert_eq!(fs::read(staged.place()).unwrap(), b"one,two.");
    drop(staged);
    // Given back, it goes on as before.
    drop(assembly);
    assert!(!put("3", b"three").unwrap());
    uploads.assemble("anna", "1", None).unwrap().finish();
    assert!(matches!(uploads.chunks("anna", "1"), Err(UploadError::NoSession)));
    assert_eq!(fs::read_dir(library.join(".twinlens/incoming")).unwrap().count(), 0);
}

#[test]
fn a_user_has_so_many_sessions_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    fs::create_dir(&library).unwrap();
    let store = crate::store::Store::open(&folder.path().join("s.redb")).unwrap();
    let uploads = Uploads::open(crate::library::open_library(&library, &store).unwrap().0);
    (0..SESSIONS).for_each(|id| uploads.begin("anna", &id.to_string(), 0).unwrap());
    assert!(matches!(uploads.begin("anna", "more", 0), Err(UploadError::TooMany)));
    uploads.begin("bert", "more", 0).unwrap();
    assert!(matches!(uploads.begin("bert", "much", u64::MAX), Err(UploadError::NoRoom)));
    assert!(matches!(uploads.receive("bert", "more", "1", u64::MAX), Err(UploadError::NoRoom)));
}

#[test]
fn a_total_decides() {
    assert!(check_whole(&chunks(&[("9", 1), ("100", 1)]), Some(2)).is_ok());
    assert!(check_whole(&chunks(&[("1", 1), ("2", 1)]), Some(3)).is_err());
    assert!(check_whole(&[], Some(0)).is_ok());
}

#[test]
fn names_have_their_natural_order() {
    let mut names = ["10", "9", "100", "0000000000000001", "5-10", "5-9"];
    names.sort_by(|a, b| natural(a, b));
    assert_eq!(names, ["0000000000000001", "5-9", "5-10", "9", "10", "100"]);
    for bad in ["", ".file", "a", "1-2-3", "-1", "../1", "123456789012345678901"] {
        assert!(!is_chunk_name(bad), "{bad}");
    }
}

/// A library with nothing in it.
fn library() -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    fs::create_dir(&library).unwrap();
    let store = crate::store::Store::open(&folder.path().join("s.redb")).unwrap();
    let (tree, _) = crate::library::open_library(&library, &store).unwrap();
    (folder, tree)
}

fn put(uploads: &Uploads, name: &str, bytes: &[u8]) -> Result<bool, UploadError> {
    let mut chunk = uploads.receive("anna", "1", name, bytes.len() as u64)?;
    chunk.write(bytes)?;
    chunk.keep()
}

/// The inodes of the files of the session.
fn inodes(uploads: &Uploads) -> Vec<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let files = fs::read_dir(uploads.place("anna", "1").unwrap()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().ino()).collect()
}

#[test]
fn chunks_that_come_in_order_are_written_once() {
    use std::os::unix::fs::MetadataExt as _;
    let (_folder, tree) = library();
    let mut uploads = Uploads::open(tree.clone());
    uploads.begin("anna", "1", 0).unwrap();
    for (name, bytes) in [("00001", "one,"), ("00002", "two,"), ("00003", "three,")] {
        assert!(!put(&uploads, name, bytes.as_bytes()).unwrap());
        if name == "00002" {
            uploads = Uploads::open(tree.clone());
        }
    }
    assert_eq!(uploads.chunks("anna", "1").unwrap().iter().map(|chunk| chunk.size).collect::<Vec<_>>(), [4, 4, 6]);
    let before = inodes(&uploads);
    assert_eq!(before.len(), 2, "the chunks, and the list of them");
    for _ in 0..2 {
        let assembly = uploads.assemble("anna", "1", Some(14)).unwrap();
        let staged = assembly.put_together(&tree).unwrap();
        assert!(before.contains(&fs::metadata(staged.place()).unwrap().ino()), "it was copied");
        assert_eq!(staged.digests(), crate::types::Digests::of(b"one,two,three,"));
    }
    let assembly = uploads.assemble("anna", "1", Some(14)).unwrap();
    let path = crate::types::RelPath::parse("a.jpg").unwrap();
    let staged = assembly.put_together(&tree).unwrap();
    staged.commit(&path, &crate::types::Expect::Absent, None).unwrap();
    // As after a crash before the session was removed.
    drop(assembly);
    assert_eq!(uploads.chunks("anna", "1").unwrap(), []);
    assert_eq!(fs::read(tree.root().join("a.jpg")).unwrap(), b"one,two,three,");
}

#[test]
fn who_broke_off_does_not_write_into_what_comes_after() {
    let (_folder, tree) = library();
    let uploads = Uploads::open(tree.clone());
    uploads.begin("anna", "1", 0).unwrap();
    put(&uploads, "1", b"one,").unwrap();
    let mut first = uploads.receive("anna", "1", "2", 0).unwrap();
    first.write(b"lost").unwrap();
    let mut second = uploads.receive("anna", "1", "2", 0).unwrap();
    assert!(matches!(first.write(b"late"), Err(UploadError::Busy)));
    second.write(b"two,").unwrap();
    drop(first);
    let mut beside = uploads.receive("anna", "1", "4", 0).unwrap();
    beside.write(b"three").unwrap();
    second.keep().unwrap();
    beside.keep().unwrap();
    let mut late = uploads.receive("anna", "1", "3", 0).unwrap();
    late.write(b"never answered, and so long that it is seen").unwrap();
    let assembly = uploads.assemble("anna", "1", Some(13)).unwrap();
    assert!(matches!(late.write(b"x"), Err(UploadError::Busy)));
    let staged = assembly.put_together(&tree).unwrap();
    assert_eq!(fs::read(staged.place()).unwrap(), b"one,two,three");
    assert_eq!(staged.digests(), crate::types::Digests::of(b"one,two,three"));
}

/// Whatever comes in whatever order: the session has what was answered, and the file is made of it.
#[test]
fn any_order_makes_the_same_file() {
    use std::collections::BTreeMap;
    let (_folder, tree) = library();
    for seed in 0..100_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut chance = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut uploads = Uploads::open(tree.clone());
        uploads.begin("anna", "1", 0).unwrap();
        let mut answered: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut next = 1;
        for _ in 0..chance(14) + 1 {
            let number = if chance(4) == 0 { chance(8) + 1 } else { next };
            let bytes = vec![b'a' + chance(26) as u8; chance(4) as usize];
            match chance(12) {
                0 => uploads = Uploads::open(tree.clone()),
                1 => {
                    let there = answered.remove(&number).is_some();
                    assert_eq!(uploads.remove_chunk("anna", "1", &number.to_string()).is_ok(), there, "seed {seed}");
                }
                2 => uploads.receive("anna", "1", &number.to_string(), 9).unwrap().write(b"broken off").unwrap(),
                3 => {
                    let whole = answered.values().flatten().copied().collect::<Vec<u8>>();
                    let assembly = uploads.assemble("anna", "1", Some(whole.len() as u64)).unwrap();
                    drop(assembly.put_together(&tree).unwrap());
                }
                _ => {
                    assert_eq!(put(&uploads, &number.to_string(), &bytes).unwrap(), answered.contains_key(&number), "seed {seed}");
                    answered.insert(number, bytes);
                    next = number + 1;
                }
            }
            let told = uploads.chunks("anna", "1").unwrap().into_iter().map(|chunk| (chunk.name, chunk.size)).collect::<Vec<_>>();
            let expected = answered.iter().map(|(number, bytes)| (number.to_string(), bytes.len() as u64)).collect::<Vec<_>>();
            assert_eq!(told, expected, "seed {seed}");
        }
        let whole = answered.values().flatten().copied().collect::<Vec<u8>>();
        let assembly = uploads.assemble("anna", "1", Some(whole.len() as u64)).unwrap();
        let staged = assembly.put_together(&tree).unwrap();
        assert_eq!(fs::read(staged.place()).unwrap(), whole, "seed {seed}");
        assert_eq!(staged.digests(), crate::types::Digests::of(&whole), "seed {seed}");
        drop(staged);
        assembly.finish();
    }
}
