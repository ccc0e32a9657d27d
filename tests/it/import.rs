//! What is dropped into the import folder, and what other programs do in the library.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Node, Sandbox, eventually, http, tree, write};

const QUICK: &[&str] = &["--import-quiet", "1s"];

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)).unwrap()
}

fn import(node: &Node) -> PathBuf {
    node.data.join("import")
}

/// The paths in the import folder, without what is Twinlens's own. Files may go away meanwhile.
fn dropped(node: &Node) -> Vec<String> {
    let root = import(node);
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten().filter(|entry| entry.file_name() != ".twinlens") {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => folders.push(entry.path()),
                false => found.push(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn library(node: &Node) -> Vec<String> {
    node.files().into_keys().collect()
}

fn count(node: &Node) -> u64 {
    node.run(&["status"])["files"].as_u64().unwrap()
}

/// The content hash of a file, as a listing tells it from the index.
fn hash(node: &Node, path: &str) -> Option<String> {
    let wanted = "<d:propfind xmlns:d='DAV:' xmlns:tl='urn:twinlens:dav'><d:prop><tl:content-hash/></d:prop></d:propfind>";
    let text = http("PROPFIND", &format!("{}{path}", node.originals()), &[("Depth", "0")], wanted.as_bytes()).text();
    let (_, rest) = text.split_once("<tl:content-hash>")?;
    Some(rest.split('<').next()?.to_owned())
}

fn folder_etag(node: &Node, path: &str) -> String {
    let wanted = "<d:propfind xmlns:d='DAV:'><d:prop><d:getetag/></d:prop></d:propfind>";
    let text = http("PROPFIND", &format!("{}{path}", node.originals()), &[("Depth", "0")], wanted.as_bytes()).text();
    text.split_once("<d:getetag>").unwrap_or_else(|| panic!("{text}")).1.split('<').next().unwrap().to_owned()
}

#[test]
fn what_is_put_or_copied_into_import_is_sorted_into_the_library() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(QUICK);
    let url = |path: &str| format!("{}/import/{path}", node.url());
    assert_eq!(http("MKCOL", &url("phone/"), &[], b"").status, 201);
    assert_eq!(http("PUT", &url("phone/IMG_2041.HEIC"), &[], &sample("harbor-live.heic")).status, 201);
    assert_eq!(http("PUT", &url("phone/IMG_2041.MOV"), &[], &sample("harbor-live.mov")).status, 201);
    write(&import(&node).join("card/IMG_0001.JPG"), &sample("ridge.jpg"));
    write(&import(&node).join("card/IMG_0001.DNG"), &sample("ridge.dng"));
    write(&import(&node).join("card/IMG_0001.xmp"), &sample("ridge.xmp"));
    eventually("the import", || dropped(&node).is_empty());
    let library = library(&node);
    let stems: Vec<_> = library.iter().map(|path| path.rsplit_once('.').unwrap()).collect();
    assert!(
        stems[0].0.starts_with("2018/09/20180922_164731_") && stems[0].0.len() == "2018/09/20180922_164731_12345678".len(),
        "{library:?}"
    );
    assert_eq!(stems.iter().map(|(_, end)| *end).collect::<Vec<_>>(), ["dng", "jpg", "xmp", "heic", "mov"]);
    assert!(stems[..3].iter().all(|(stem, _)| *stem == stems[0].0) && stems[3].0 == stems[4].0, "{library:?}");
    assert!(stems[3].0.starts_with("2023/09/20230917_173206_"), "{library:?}");
    assert!(import(&node).join("phone").is_dir() && import(&node).join("card").is_dir(), "emptied folders stay");
    // It is in the index at once.
    assert_eq!(count(&node), 5);
    assert!(hash(&node, &library[0]).is_some());
    node.stop();
    assert_eq!(node.run(&["index"])["hashed"], 0);
}

#[test]
fn a_duplicate_goes_to_the_trash_and_what_is_not_understood_stays() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    write(&node.library.join("mine/lake.jpg"), &sample("lake.jpg"));
    for (name, bytes) in [("empty.jpg", &b""[..]), ("notes.txt", b"n"), (".DS_Store", b"j"), ("IMG_7.jpg.part", b"half")] {
        write(&import(&node).join("drop").join(name), bytes);
    }
    write(&import(&node).join("drop/IMG_1.JPG"), &sample("lake.jpg"));
    node.serve_with(QUICK);
    eventually("the duplicate is gone", || !import(&node).join("drop/IMG_1.JPG").exists());
    assert_eq!(library(&node), ["mine/lake.jpg"]);
    let trash = tree(&import(&node).join(".twinlens/trash"));
    assert!(trash.len() == 1 && trash.keys().all(|path| path.ends_with("/drop/IMG_1.JPG")), "{trash:?}");
    // The rename of an upload under a temporary name is what makes it a file.
    fs::rename(import(&node).join("drop/IMG_7.jpg.part"), import(&node).join("drop/IMG_7.jpg")).unwrap();
    eventually("the finished upload", || count(&node) == 2);
    assert_eq!(dropped(&node), ["drop/.DS_Store", "drop/empty.jpg", "drop/notes.txt"]);
}

#[test]
fn a_file_that_grows_or_is_open_is_never_taken() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(QUICK);
    let bytes = sample("lake.jpg");
    let place = import(&node).join("slow.jpg");
    let mut file = fs::File::create(&place).unwrap();
    let (parts, rest) = bytes.split_at(bytes.len() / 2);
    for part in parts.chunks(parts.len() / 8 + 1) {
        file.write_all(part).unwrap();
        sleep(Duration::from_millis(100));
        assert!(library(&node).is_empty());
    }
    // Much longer than the quiet time nothing comes, but the writer has not closed it.
    sleep(Duration::from_secs(3));
    assert!(library(&node).is_empty() && place.is_file());
    // Another one meanwhile is not held up.
    write(&import(&node).join("quick.jpg"), &sample("moon.jpg"));
    eventually("the other file", || library(&node).len() == 1);
    file.write_all(rest).unwrap();
    drop(file);
    eventually("the whole file", || dropped(&node).is_empty());
    let whole = node.files().into_keys().find(|path| path.starts_with("2019/07/")).unwrap();
    assert_eq!(fs::read(node.library.join(whole)).unwrap(), bytes);
}

#[test]
fn import_can_be_off_and_is_off_on_a_read_only_node() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for extra in [&["--import-quiet", "off"][..], &["--import-quiet", "50ms", "--read-only"]] {
        write(&import(&node).join("a.jpg"), &sample("lake.jpg"));
        node.serve_with(extra);
        // Something else that takes longer than an import would.
        node.put("later.jpg", "x");
        eventually("the change is noticed", || hash(&node, "later.jpg").is_some());
        assert_eq!(dropped(&node), ["a.jpg"]);
        node.stop();
        node.remove("later.jpg");
    }
}

#[test]
fn nothing_is_lost_when_the_node_dies_in_the_middle_of_an_import() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let count = 60;
    let mut contents = Vec::new();
    for number in 0..count {
        // A Live Photo each, of its own bytes.
        for (name, end) in [("harbor-live.heic", "HEIC"), ("harbor-live.mov", "MOV")] {
            let mut bytes = sample(name);
            bytes.extend(format!("{number} {end}").as_bytes());
            write(&import(&node).join(format!("roll/IMG_{:04}.{end}", 1000 + number)), &bytes);
            contents.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    contents.sort();
    let everything = |node: &Node| {
        let mut all: Vec<String> = tree(&import(node)).into_values().chain(node.files().into_values()).collect();
        all.sort();
        all.dedup();
        all
    };
    for pause in [130, 170, 210, 260, 330, 420] {
        node.serve_with(&["--import-quiet", "50ms"]);
        sleep(Duration::from_millis(pause));
        node.signal("KILL");
        assert_eq!(everything(&node), contents, "killed after {pause} ms");
    }
    node.serve_with(&["--import-quiet", "50ms"]);
    eventually("the rest of the import", || dropped(&node).is_empty());
    // All of it may have been imported before; then the first look at the library goes on.
    eventually("the index", || node.run(&["status"])["files"] == contents.len());
    node.stop();
    let library = node.files();
    let mut held: Vec<_> = library.values().cloned().collect();
    held.sort();
    assert_eq!(held, contents, "everything is there once");
    let stems: std::collections::BTreeSet<_> = library.keys().map(|path| path.split_once('.').unwrap().0).collect();
    assert_eq!(stems.len(), count, "the stacks are together: {:#?}", library.keys());
    assert_eq!(node.run(&["index"])["hashed"], 0);
    assert!(node.left_behind().is_empty());
}

#[test]
fn what_other_programs_do_in_the_library_is_noticed() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("2020/old.jpg", "old");
    node.put("2020/sub/deep.jpg", "deep");
    node.put("other/x.jpg", "x");
    // No look at everything may help.
    node.serve_with(&["--scan-interval", "off"]);
    eventually("the first look", || count(&node) == 3);
    let (root, year, other) = (folder_etag(&node, ""), folder_etag(&node, "2020/"), folder_etag(&node, "other/"));
    // Created; and a folder made with something in it.
    node.put("2020/new.jpg", "new");
    node.put("2021/a/b/c.jpg", "c");
    eventually("new files", || count(&node) == 5);
    assert!(hash(&node, "2020/new.jpg").is_some() && hash(&node, "2021/a/b/c.jpg").is_some());
    assert!(root != folder_etag(&node, "") && year != folder_etag(&node, "2020/"));
    assert_eq!(other, folder_etag(&node, "other/"), "where nothing happened nothing changes");
    // Edited.
    let before = hash(&node, "2020/old.jpg");
    node.put("2020/old.jpg", "edited");
    eventually("the edit", || hash(&node, "2020/old.jpg").is_some_and(|now| Some(now) != before));
    // Renamed: a file, then a folder.
    let content = hash(&node, "2020/new.jpg");
    node.rename("2020/new.jpg", "2020/renamed.jpg");
    eventually("the renamed file", || count(&node) == 5 && hash(&node, "2020/renamed.jpg") == content);
    let year = folder_etag(&node, "2020/");
    node.rename("2020/sub", "2022/moved");
    eventually("the moved folder", || hash(&node, "2022/moved/deep.jpg").is_some());
    eventually("its old place", || year != folder_etag(&node, "2020/"));
    assert_eq!(count(&node), 5);
    // An empty folder comes and goes.
    for _ in 0..2 {
        let root = folder_etag(&node, "");
        if node.library.join("empty").is_dir() {
            fs::remove_dir(node.library.join("empty")).unwrap();
        } else {
            fs::create_dir(node.library.join("empty")).unwrap();
        }
        eventually("the empty folder", || root != folder_etag(&node, ""));
    }
    // Deleted: a file, then a folder with everything in it.
    node.remove("2020/renamed.jpg");
    fs::remove_dir_all(node.library.join("2021")).unwrap();
    eventually("what was deleted", || count(&node) == 3);
    node.stop();
    let index = node.run(&["index"]);
    assert_eq!((&index["hashed"], &index["removed"]), (&0.into(), &0.into()), "{index:#}");
}

#[test]
fn a_file_that_grows_in_the_library_is_indexed_when_it_is_whole() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/first.jpg", "first");
    node.serve_with(&["--scan-interval", "off"]);
    eventually("the first look", || count(&node) == 1);
    let mut file = fs::File::create(node.library.join("d/slow.jpg")).unwrap();
    file.write_all(b"half").unwrap();
    node.put("d/second.jpg", "second");
    eventually("the other file", || hash(&node, "d/second.jpg").is_some());
    sleep(Duration::from_millis(2500));
    assert_eq!(hash(&node, "d/slow.jpg"), None, "it is open for writing");
    file.write_all(b" and half").unwrap();
    drop(file);
    eventually("the whole file", || hash(&node, "d/slow.jpg").is_some());
    node.stop();
    assert_eq!(node.run(&["index"])["hashed"], 0, "it was not indexed half");
}

#[test]
fn a_look_at_everything_finds_what_was_not_noticed() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "one");
    // No event tells of what is written through another name outside.
    let outside = sandbox.path().join("outside.jpg");
    fs::hard_link(node.library.join("a.jpg"), &outside).unwrap();
    node.serve_with(&["--scan-interval", "400ms"]);
    eventually("the first look", || count(&node) == 1);
    let before = hash(&node, "a.jpg");
    fs::write(&outside, "two, longer").unwrap();
    eventually("the look", || hash(&node, "a.jpg").is_some_and(|now| Some(now) != before));
    node.stop();
}

#[test]
fn a_library_that_is_away_loses_nothing_from_the_index() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "one");
    node.serve_with(&["--scan-interval", "200ms", "--import-quiet", "100ms"]);
    eventually("the first look", || count(&node) == 1);
    let away = sandbox.path().join("away");
    fs::rename(&node.library, &away).unwrap();
    fs::create_dir(&node.library).unwrap();
    write(&import(&node).join("b.jpg"), &sample("lake.jpg"));
    sleep(Duration::from_millis(1500));
    assert_eq!(dropped(&node), ["b.jpg"], "there is no library to import into");
    fs::remove_dir(&node.library).unwrap();
    fs::rename(&away, &node.library).unwrap();
    assert_eq!(count(&node), 1);
    node.stop();
}
