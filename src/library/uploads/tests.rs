//! Uploads in pieces, without HTTP.

use std::io::Read as _;

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
    let mut text = String::new();
    assembly.reader().read_to_string(&mut text).unwrap();
    assert_eq!(text, "one,two.");
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
