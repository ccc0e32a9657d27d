use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use super::*;
use crate::store::Store;
use crate::store::index::{self, FileRow};
use crate::store::properties::Area;
use crate::types::Digests;

struct Gallery {
    folder: tempfile::TempDir,
    tree: Tree,
    store: Store,
}

impl Gallery {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        fs::create_dir(&root).unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        Self { tree: Tree::open(&root, store.clone(), Area::Originals).unwrap(), folder, store }
    }

    /// Puts an indexed file into the library.
    fn put(&self, name: &str, bytes: &[u8]) -> (RelPath, ContentHash) {
        fs::write(self.folder.path().join("photos").join(name), bytes).unwrap();
        let (path, digests) = (RelPath::parse(name).unwrap(), Digests::of(bytes));
        let stat = self.tree.stat(&path).unwrap().unwrap();
        let row = FileRow { size: stat.size, mtime: stat.mtime, inode: stat.inode, digests, change: 0 };
        let at = path.clone();
        self.store.write(move |tx| index::put(tx, &at, row)).unwrap();
        (path, digests.content)
    }

    fn thumbnails(&self, limit: u64) -> Thumbnails {
        Thumbnails::new(&self.folder.path().join("thumbnails"), limit)
    }

    fn kept_files(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.path().join("thumbnails")).unwrap().map(|folder| folder.unwrap().path());
        folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path())).collect()
    }
}

fn jpeg(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, shade]));
    image::DynamicImage::from(picture).write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
    bytes
}

fn go() -> AtomicBool {
    AtomicBool::new(false)
}

#[test]
fn what_was_made_is_kept_for_its_owner_alone_and_what_the_disk_made_of_it_is_not_shown() {
    let gallery = Gallery::new();
    let (path, content) = gallery.put("a.jpg", &jpeg(800, 400, 3));
    let thumbnails = gallery.thumbnails(CACHE);
    let made = thumbnails.make(&gallery.tree, &path, Some(&content), GRID, &go()).unwrap();
    assert!(made.sure);
    assert_eq!(thumbnails.kept(&content, GRID), Some(Kept::Picture(made.jpeg.clone())));
    assert_eq!(thumbnails.kept(&content, 640), None, "another size is another picture");
    assert_eq!(gallery.tree.view().unwrap().picture(&content, "a.jpg").unwrap().unwrap().size, Some((800, 400)));
    let files = gallery.kept_files();
    let [place] = files.as_slice() else { panic!("{files:?}") };
    let mode = |place: &Path| fs::metadata(place).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place), mode(place.parent().unwrap())), (0o600, 0o700));
    let whole = fs::read(place).unwrap();
    for damage in [&whole[..0], &whole[..whole.len() - 1], &whole[..10], &[&whole[..200], &[whole[200] ^ 1], &whole[201..]].concat()] {
        fs::write(place, damage).unwrap();
        assert_eq!(thumbnails.kept(&content, GRID), None, "{} bytes of {}", damage.len(), whole.len());
    }
    fs::remove_dir_all(gallery.folder.path().join("thumbnails")).unwrap();
    assert_eq!(thumbnails.make(&gallery.tree, &path, Some(&content), GRID, &go()).unwrap().jpeg, made.jpeg);
}

#[test]
fn nothing_is_kept_under_the_name_of_what_it_is_not_of() {
    let gallery = Gallery::new();
    let (path, then) = gallery.put("a.jpg", &jpeg(400, 400, 3));
    gallery.put("a.jpg", &jpeg(500, 400, 4));
    let thumbnails = gallery.thumbnails(CACHE);
    assert!(!thumbnails.make(&gallery.tree, &path, Some(&then), GRID, &go()).unwrap().sure);
    assert_eq!(thumbnails.kept(&then, GRID), None);
}

#[test]
fn that_there_is_none_is_known_until_something_else_can_decode() {
    let gallery = Gallery::new();
    let (path, content) = gallery.put("a.jpg", b"no picture");
    let thumbnails = gallery.thumbnails(CACHE);
    let error = thumbnails.make(&gallery.tree, &path, Some(&content), GRID, &go()).unwrap_err();
    assert_eq!(thumbnails.kept(&content, GRID), Some(Kept::Refusal(error.to_string())));
    assert!(thumbnails.has(&content, 640), "it is none in any size");
    let files = gallery.kept_files();
    let text = fs::read_to_string(&files[0]).unwrap();
    fs::write(&files[0], text.replace(env!("CARGO_PKG_VERSION"), "0.0.1")).unwrap();
    assert!(thumbnails.kept(&content, GRID).is_none() && !thumbnails.has(&content, GRID));
    fs::write(&files[0], "").unwrap();
    assert_eq!(thumbnails.kept(&content, GRID), None);
    // Whoever gave up does not say that there is none.
    fs::remove_file(&files[0]).unwrap();
    let stopped = thumbnails.make(&gallery.tree, &path, Some(&content), GRID, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(stopped, RenditionError::Stopped) && thumbnails.kept(&content, GRID).is_none(), "{stopped}");
}

#[test]
fn what_belongs_to_no_file_goes_and_then_what_was_not_looked_at_for_longest() {
    let gallery = Gallery::new();
    let pictures: Vec<_> = (0..10_u8).map(|shade| gallery.put(&format!("{shade}.jpg"), &jpeg(400, 400, shade))).collect();
    let thumbnails = gallery.thumbnails(CACHE);
    let hour = Duration::from_secs(3600);
    for (age, (path, content)) in pictures.iter().enumerate() {
        thumbnails.make(&gallery.tree, path, Some(content), GRID, &go()).unwrap();
        let place = gallery.kept_files().into_iter().find(|place| place.to_string_lossy().contains(&content.to_string())).unwrap();
        let used = SystemTime::now() - hour * (age as u32 + 2);
        fs::File::options().write(true).open(place).unwrap().set_modified(used).unwrap();
    }
    let gone = pictures[3].0.clone();
    gallery.store.write(move |tx| index::remove(tx, &gone)).unwrap();
    let swept = thumbnails.sweep(&gallery.store, &go()).unwrap();
    assert_eq!((swept.strangers, swept.crowded, thumbnails.bytes()), (1, 0, swept.bytes));
    assert_eq!(gallery.tree.view().unwrap().picture(&pictures[3].1, "").unwrap(), None);
    // Room for about half of them.
    let narrow = gallery.thumbnails(swept.bytes / 2);
    let crowded = narrow.sweep(&gallery.store, &go()).unwrap();
    assert!(crowded.crowded >= 4 && crowded.bytes <= swept.bytes / 2 && !narrow.is_full(), "{crowded:?}");
    let left: Vec<bool> = pictures.iter().map(|(_, content)| narrow.has(content, GRID)).collect();
    assert!(left[0] && left[1] && !left[9] && !left[8], "{left:?}");
    // What is looked at after more than a day counts as new.
    let oldest = left.iter().rposition(|left| *left).unwrap();
    let place = gallery.kept_files().into_iter().find(|place| place.to_string_lossy().contains(&pictures[oldest].1.to_string())).unwrap();
    fs::File::options().write(true).open(place).unwrap().set_modified(SystemTime::now() - hour * 99).unwrap();
    narrow.kept(&pictures[oldest].1, GRID).unwrap();
    let fewer = gallery.thumbnails(crowded.bytes - 1);
    fewer.sweep(&gallery.store, &go()).unwrap();
    assert!(fewer.has(&pictures[oldest].1, GRID), "it was looked at just now");
}
