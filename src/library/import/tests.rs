use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::library::{open_library, scan};
use crate::store::Store;
use crate::store::properties::Area;

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    originals: Tree,
    import: Tree,
    library: LibraryId,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("library")).unwrap();
    fs::create_dir(folder.path().join("import")).unwrap();
    let store = Store::open(&folder.path().join("state.redb")).unwrap();
    let (originals, library) = open_library(&folder.path().join("library"), &store).unwrap();
    let import = Tree::open(&folder.path().join("import"), store.clone(), Area::Import).unwrap();
    Fixture { folder, store, originals, import, library }
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)
}

fn below(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => ahead.push(entry.path()),
                false => {
                    let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    found.push((path, fs::read(entry.path()).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

impl Fixture {
    fn drop_sample(&self, name: &str, at: &str) {
        self.drop_bytes(&fs::read(sample(name)).unwrap(), at);
    }

    fn drop_bytes(&self, bytes: &[u8], at: &str) {
        write(&self.import, at, bytes);
    }

    fn look(&self) -> ImportReport {
        import_once(&self.import, &self.originals, self.library, &Events::default()).unwrap()
    }

    fn names(&self, root: &Tree) -> Vec<String> {
        let all = below(root.root()).into_iter().map(|(path, _)| path);
        all.filter(|path| !path.starts_with(".twinlens/")).collect()
    }

    /// The library, which must be the same in the index as on disk.
    fn library(&self) -> Vec<String> {
        let scan = scan(&self.originals, &Events::default()).unwrap();
        assert_eq!((scan.hashed, scan.removed), (0, 0), "the index knows what was imported");
        self.names(&self.originals)
    }

    fn left(&self) -> Vec<String> {
        self.names(&self.import)
    }

    fn trashed(&self) -> Vec<(String, Vec<u8>)> {
        below(&self.import.root().join(".twinlens/trash"))
    }
}

fn write(tree: &Tree, at: &str, bytes: &[u8]) {
    let place = tree.root().join(at);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, bytes).unwrap();
}

#[test]
fn a_raw_with_its_jpeg_and_sidecar_moves_as_one() {
    let f = fixture();
    f.drop_sample("ridge.jpg", "card/IMG_0001.JPG");
    f.drop_sample("ridge.dng", "card/IMG_0001.DNG");
    f.drop_sample("ridge.xmp", "card/IMG_0001.xmp");
    let report = f.look();
    assert_eq!((report.imported, report.duplicates, report.left.len()), (3, 0, 0), "{report:?}");
    let stem = "2018/09/20180922_164731_";
    let library = f.library();
    assert!(library.iter().all(|path| path.starts_with(stem)), "{library:?}");
    let stems: HashSet<_> = library.iter().map(|path| path.rsplit_once('.').unwrap().0).collect();
    assert_eq!((stems.len(), library.len()), (1, 3), "{library:?}");
    let crc = crc32c::crc32c(&fs::read(sample("ridge.dng")).unwrap());
    assert!(library[0].ends_with(&format!("_{crc:08X}.dng")), "the raw file is the main one: {library:?}");
    assert!(f.left().is_empty() && f.import.root().join("card").is_dir(), "the emptied folder stays");
    assert!(f.trashed().is_empty());
    assert_eq!(f.look(), ImportReport::default());
}

#[test]
fn a_picture_that_the_library_has_goes_to_the_trash_and_its_new_sidecar_beside_the_old_one() {
    let f = fixture();
    write(&f.originals, "mine/Lighthouse.JPG", &fs::read(sample("lighthouse.jpg")).unwrap());
    scan(&f.originals, &Events::default()).unwrap();
    f.drop_sample("lighthouse.jpg", "IMG_5.jpg");
    f.drop_sample("lighthouse.jpg.xmp", "IMG_5.jpg.xmp");
    f.drop_bytes(b"adjusted", "IMG_5.AAE");
    let report = f.look();
    assert_eq!((report.imported, report.duplicates), (2, 1), "{report:?}");
    assert_eq!(f.library(), ["mine/Lighthouse.JPG", "mine/Lighthouse.JPG.xmp", "mine/Lighthouse.aae"]);
    assert_eq!(f.trashed().len(), 1);
    // Another sidecar: its place is taken. The same one: it is a duplicate too.
    f.drop_sample("lighthouse.jpg", "again/IMG_5.jpg");
    f.drop_sample("lighthouse.jpg.xmp", "again/IMG_5.jpg.xmp");
    f.drop_bytes(b"adjusted anew", "again/IMG_5.AAE");
    let report = f.look();
    assert_eq!((report.imported, report.duplicates, report.left.len()), (0, 2, 1), "{report:?}");
    assert_eq!(f.left(), ["again/IMG_5.AAE"]);
    assert!(report.left[0].reason.contains("mine/Lighthouse.aae"), "{report:?}");
    assert_eq!(f.library().len(), 3);
}

#[test]
fn a_raw_that_comes_after_its_jpeg_joins_it() {
    let f = fixture();
    f.drop_sample("ridge.jpg", "IMG_0001.JPG");
    f.look();
    f.drop_sample("ridge.jpg", "IMG_0001.JPG");
    f.drop_sample("ridge.dng", "IMG_0001.DNG");
    f.look();
    let library = f.library();
    assert_eq!(library.len(), 2);
    assert_eq!(library[0].replace(".dng", ".jpg"), library[1]);
}

#[test]
fn late_members_of_a_stack_find_the_others_within_the_hour() {
    let f = fixture();
    let stop = Arc::default();
    let mut importer = Importer::new(f.import.clone(), f.originals.clone(), f.library, Events::default(), Duration::ZERO, stop);
    let mut look = || importer.look(&|_| false).unwrap();
    f.drop_sample("harbor-live.heic", "IMG_2041.HEIC");
    assert_eq!(look().imported, 1);
    f.drop_sample("harbor-live.mov", "IMG_2041_HEVC.MOV");
    assert_eq!(look().imported, 1);
    f.drop_bytes(b"x", "IMG_2041.HEIC.xmp");
    f.drop_bytes(b"o", "IMG_O2041.AAE");
    assert_eq!(look().imported, 2);
    let library = f.library();
    let stem = library[0].strip_suffix(".heic").unwrap();
    assert_eq!(library, [".heic", ".heic.xmp", ".mov", "_O.aae"].map(|end| format!("{stem}{end}")));
    // Of the same name, but of another day: no relation.
    f.drop_sample("train.mov", "IMG_2041.MOV");
    assert_eq!(look().imported, 1);
    assert!(f.library().iter().any(|path| path.starts_with("2018/03/")));
}

#[test]
fn pictures_of_one_name_and_two_days_are_not_one_stack() {
    let f = fixture();
    f.drop_sample("harbor-live.heic", "IMG_1.HEIC");
    f.drop_sample("train.mov", "IMG_1.MOV");
    f.drop_bytes(b"x", "IMG_1.MOV.xmp");
    f.look();
    let library = f.library();
    assert!(library[0].starts_with("2018/03/20180317_") && library[0].ends_with(".mov"), "{library:?}");
    assert_eq!(library[1], format!("{}.xmp", library[0]));
    assert!(library[2].starts_with("2023/09/20230917_"), "{library:?}");
}

#[test]
fn another_file_at_the_same_name_makes_a_number() {
    let f = fixture();
    f.drop_sample("lake.jpg", "a.jpg");
    f.look();
    let first = f.library().remove(0);
    fs::write(f.originals.root().join(&first), "somebody edited it").unwrap();
    scan(&f.originals, &Events::default()).unwrap();
    f.drop_sample("lake.jpg", "a.jpg");
    f.drop_bytes(b"<x/>", "a.xmp");
    assert_eq!(f.look().imported, 2);
    let stem = first.strip_suffix(".jpg").unwrap();
    assert_eq!(f.library(), [format!("{stem}.00001.jpg"), format!("{stem}.00001.xmp"), first.clone()]);
    assert_eq!(fs::read(f.originals.root().join(&first)).unwrap(), b"somebody edited it");
}

#[test]
fn a_stale_index_row_is_no_proof_that_the_library_has_it() {
    let f = fixture();
    write(&f.originals, "a.jpg", b"bytes");
    scan(&f.originals, &Events::default()).unwrap();
    fs::remove_file(f.originals.root().join("a.jpg")).unwrap();
    f.drop_bytes(b"bytes", "a.jpg");
    assert_eq!((f.look().imported, f.trashed().len()), (1, 0));
}

#[test]
fn what_is_no_picture_empty_hidden_or_unfinished_stays() {
    let f = fixture();
    f.drop_bytes(b"", "empty.jpg");
    f.drop_bytes(b"n", "notes.txt");
    f.drop_bytes(b"x", "orphan.jpg.xmp");
    let silent = [".DS_Store", "b.jpg.part", "._c.jpg", ".rsync.jpg.Xy12", "Thumbs.db", "@eaDir/d.jpg"];
    silent.iter().for_each(|name| f.drop_bytes(b"j", name));
    let report = f.look();
    let mut reasons: Vec<_> = report.left.iter().map(|left| left.path.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["empty.jpg", "notes.txt", "orphan.jpg.xmp"]);
    assert_eq!((report.imported, f.left().len(), f.library().len()), (0, 9, 0));
}

#[test]
fn nothing_is_taken_before_it_was_quiet_nor_while_somebody_is_at_work() {
    let f = fixture();
    let mut importer =
        Importer::new(f.import.clone(), f.originals.clone(), f.library, Events::default(), Duration::from_secs(3600), Arc::default());
    // An old modification time proves nothing: it may have come with the file.
    f.drop_sample("lake.jpg", "a.jpg");
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(f.import.root().join("a.jpg")).unwrap().set_modified(old).unwrap();
    for _ in 0..2 {
        let report = importer.look(&|_| false).unwrap();
        assert_eq!((report.imported, report.waiting), (0, 1));
        assert!(report.next.is_some_and(|next| next <= Duration::from_secs(3600)));
    }
    let mut importer = Importer::new(f.import.clone(), f.originals.clone(), f.library, Events::default(), Duration::ZERO, Arc::default());
    f.drop_bytes(b"x", "a.xmp");
    let report = importer.look(&|path| path.as_str() == "a.xmp").unwrap();
    assert_eq!((report.imported, report.waiting, f.left().len()), (0, 2, 2), "the picture waits for its sidecar");
    assert_eq!(importer.look(&|_| false).unwrap().imported, 2);
}

#[test]
fn a_file_that_was_opened_for_writing_before_we_looked_is_not_taken() {
    let f = fixture();
    f.drop_sample("lake.jpg", "a.jpg");
    let reader = fs::File::open(f.import.root().join("a.jpg")).unwrap();
    let writer = fs::File::options().append(true).open(f.import.root().join("a.jpg")).unwrap();
    assert_eq!((f.look().waiting, f.left().len()), (1, 1));
    drop(writer);
    assert_eq!(f.look().imported, 1);
    drop(reader);
}

#[test]
fn nothing_happens_without_the_marker_or_between_nested_trees() {
    let f = fixture();
    f.drop_sample("lake.jpg", "a.jpg");
    let marker = f.originals.root().join(".twinlens/library.toml");
    let text = fs::read(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    let once = |import: &Tree| import_once(import, &f.originals, f.library, &Events::default());
    assert!(matches!(once(&f.import), Err(LibraryError::NoMarker(_))));
    fs::write(&marker, text).unwrap();
    write(&f.originals, "drop/b.jpg", b"b");
    let nested = Tree::open(&f.originals.root().join("drop"), f.store.clone(), Area::Import).unwrap();
    scan(&f.originals, &Events::default()).unwrap();
    assert!(matches!(once(&nested), Err(LibraryError::Unusable { .. })));
    assert!(f.originals.root().join("drop/b.jpg").is_file());
    assert_eq!(f.left(), ["a.jpg"]);
    assert!(f.folder.path().is_dir());
}

#[test]
fn an_import_that_was_broken_off_is_carried_on() {
    // As after a crash between the second name and the end of the first: for each member of the stack, in the order of the moves.
    for done in 0..3 {
        let f = fixture();
        f.drop_bytes(b"no date", "IMG_7.JPG");
        f.drop_bytes(b"no date either", "IMG_7.MOV");
        f.drop_sample("ridge.xmp", "IMG_7.xmp");
        let crc = crc32c::crc32c(b"no date");
        let stem = format!("2018/09/20180922_164731_{crc:08X}");
        for (from, to) in [("IMG_7.xmp", ".xmp"), ("IMG_7.MOV", ".mov"), ("IMG_7.JPG", ".jpg")].into_iter().take(done + 1) {
            let to = f.originals.root().join(format!("{stem}{to}"));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::hard_link(f.import.root().join(from), to).unwrap();
        }
        scan(&f.originals, &Events::default()).unwrap();
        let report = f.look();
        assert_eq!(report.imported + report.duplicates, 3, "{done}: {report:?}");
        assert_eq!(f.library(), [".jpg", ".mov", ".xmp"].map(|end| format!("{stem}{end}")), "{done}");
        assert!(f.left().is_empty());
    }
}

#[test]
fn from_another_file_system_a_verified_copy_is_made() {
    use std::os::unix::fs::MetadataExt as _;
    let f = fixture();
    let memory = Path::new("/dev/shm");
    let device = |place: &Path| fs::metadata(place).map(|metadata| metadata.dev()).ok();
    if device(memory).is_none() || device(memory) == device(f.originals.root()) {
        eprintln!("skipped: there is no second file system at /dev/shm");
        return;
    }
    let elsewhere = tempfile::tempdir_in(memory).unwrap();
    let import = Tree::open(elsewhere.path(), f.store.clone(), Area::Import).unwrap();
    write(&import, "a/lake.jpg", &fs::read(sample("lake.jpg")).unwrap());
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().append(true).open(import.root().join("a/lake.jpg")).unwrap().set_modified(old).unwrap();
    let report = import_once(&import, &f.originals, f.library, &Events::default()).unwrap();
    assert_eq!(report.imported, 1);
    let library = f.library();
    assert!(library[0].starts_with("2019/07/20190714_052108_"), "{library:?}");
    let place = f.originals.root().join(&library[0]);
    assert_eq!(fs::read(&place).unwrap(), fs::read(sample("lake.jpg")).unwrap());
    assert_eq!(fs::metadata(&place).unwrap().modified().unwrap(), old);
    assert!(f.names(&import).is_empty() && below(&import.root().join(".twinlens")).is_empty());
    let days = fs::read_dir(import.root().join(".twinlens/trash")).unwrap().map(Result::unwrap);
    assert!(days.into_iter().all(|day| fs::read_dir(day.path()).unwrap().next().is_none()), "nothing was left behind");
}
