//! The library: what the page fetches, who may do what on it, and how people use it in a browser.

mod seen;
mod viewer;

use serde_json::{Value, json};

use super::signed_in;
use crate::api::{Client, add_user, json_of, problem};
use crate::chromium::Page;
use crate::support::{Node, PASSWORD, Sandbox};

#[test]
fn a_whole_folder_is_told_in_columns_with_what_belongs_together_as_one() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let files =
        ["d/IMG_1.HEIC", "d/IMG_1.MOV", "d/IMG_1.xmp", "d/b.CR2", "d/b.jpg", "d/a.mp4", "d/notes.txt", "d/.DS_Store", "d/deep/er/x.jpg"];
    files.iter().for_each(|path| node.put(path, path));
    node.serve();
    node.run(&["index"]);
    node.put("d/new.jpg", "not in the index yet");
    let admin = Client::admin(&node);
    let told = admin.document("/library/grid?folder=d");
    assert_eq!(told["folder"], "d");
    assert_eq!(told["names"], json!(["IMG_1.HEIC", "a.mp4", "b.jpg", "new.jpg", "notes.txt"]));
    assert_eq!(told["kinds"], json!(["image", "video", "image", "image", "sidecar"]));
    let hash = |path: &str| json!(blake3::hash(path.as_bytes()).to_hex().as_str());
    assert_eq!(told["hashes"], json!([hash("d/IMG_1.HEIC"), hash("d/a.mp4"), hash("d/b.jpg"), "", hash("d/notes.txt")]));
    let others = |at: &str| told["others"][at].as_array().unwrap().iter().map(|file| file["name"].clone()).collect::<Value>();
    assert_eq!((others("0"), others("2")), (json!(["IMG_1.MOV", "IMG_1.xmp"]), json!(["b.CR2"])));
    assert_eq!(told["others"].as_object().unwrap().len(), 2);
    for column in ["sizes", "times", "widths", "heights"] {
        assert_eq!(told[column].as_array().unwrap().len(), 5, "{column}");
    }
    // A folder shows a picture from anywhere below it.
    assert_eq!(told["folders"], json!([{ "name": "deep", "files": 1, "size": 15, "cover": ["d/deep/er/x.jpg", hash("d/deep/er/x.jpg")] }]));

    // Somebody with a folder of their own sees paths below it, and nothing else.
    let anna = add_user(&node, "anna", json!({ "folder": "d" }));
    let told = anna.document("/library/grid");
    assert_eq!((&told["folder"], &told["folders"][0]["cover"][0]), (&json!(""), &json!("deep/er/x.jpg")));
    for path in ["/library/grid?folder=none", "/library/grid?folder=d/b.jpg", "/library/grid?folder=.twinlens"] {
        assert_eq!(problem(&admin.get(path)), (404, "not-found".into()), "{path}");
    }
    assert_eq!(problem(&admin.get("/library/grid?folder=a/../b")), (400, "bad-request".into()));
}

#[test]
fn the_page_offers_what_somebody_may_do() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    node.run(&["index"]);
    let offers =
        |page: &str| ["id=\"upload-files\"", "data-zip", "data-trash title", "hx-get=\"library/share\""].map(|part| page.contains(part));
    assert_eq!(offers(&signed_in(&node, "admin", PASSWORD).page("/library?folder=x").text()), [true; 4]);
    add_user(&node, "anna", json!({}));
    let anna = signed_in(&node, "anna", "a password of theirs");
    assert_eq!(offers(&anna.page("/library").text()), [true, true, true, false]);
    assert_eq!(anna.page("/library/share").status, 403);
    assert_eq!(anna.form("/library/share", &[("service", "x"), ("paths", "[]")]).status, 403);
    add_user(&node, "guest", json!({ "role": "viewer" }));
    let guest = signed_in(&node, "guest", "a password of theirs");
    assert_eq!(offers(&guest.page("/library").text()), [false, true, false, false]);
    assert_eq!(Client::of(&node).page("/library").headers["location"], "/signin?next=library");

    // In public mode everybody looks, and that is all.
    node.stop();
    node.serve_with(&["--public"]);
    let nobody = Client::of(&node);
    let page = nobody.page("/library");
    assert_eq!((page.status, offers(&page.text())), (200, [false; 4]));
    assert_eq!(json_of(&nobody.get("/library/grid"))["names"], json!(["a.jpg"]));
    assert!(nobody.page("/library/about?path=a.jpg").text().contains("a.jpg"));
    assert_eq!(nobody.page("/library/share").status, 403);
}

#[test]
fn what_is_known_of_a_file_is_told_in_words() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    let evil = "x\"><img src=x onerror=alert(1)>.jpg";
    node.put(&format!("d/{evil}"), "evil");
    peer.serve();
    node.serve();
    node.pair(&peer, &[]);
    node.sync();
    let path = form_urlencoded::Serializer::new(String::new()).append_pair("path", &format!("d/{evil}")).finish();
    let admin = signed_in(&node, "admin", PASSWORD);
    let german = admin.with("Accept-Language", "de").page(&format!("/library/about?{path}"));
    let text = german.text();
    assert!(text.contains("x&quot;&gt;&lt;img src=x onerror=alert(1)&gt;.jpg") || text.contains("x\"&gt;&lt;img"), "{text}");
    assert!(!text.contains("<img") && text.contains("Geändert") && text.contains(blake3::hash(b"evil").to_hex().as_str()), "{text}");
    // On which service it is, and how that is known, is for admins.
    assert!(text.contains("peer") && text.contains("Ist dort so wie hier.") && text.contains("Bewiesen"), "{text}");
    add_user(&node, "anna", json!({}));
    let anna = signed_in(&node, "anna", "a password of theirs").page(&format!("/library/about?{path}")).text();
    assert!(anna.contains("BLAKE3") && !anna.contains("peer"), "{anna}");
    assert_eq!(admin.page("/library/about?path=d/none.jpg").status, 404);
    assert_eq!(admin.page("/library/about?path=d").status, 404);
}

#[test]
fn what_is_selected_is_sent_to_a_service() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    node.put("d/a.jpg", "aaa");
    node.put("d/b.jpg", "b");
    peer.put("Album/old.jpg", "old");
    peer.serve();
    node.serve();
    let admin = signed_in(&node, "admin", PASSWORD);
    assert!(admin.page("/library/share").text().contains("settings/services"));
    assert!(node.add_service("peer", &peer.originals()).status.success());
    node.run(&["service", "upload", "peer", "--on", "--folder", "/Album", "--expires", "30d"]);
    let dialog = admin.page("/library/share").text();
    assert!(dialog.contains("value=\"/Album\"") && dialog.contains("value=\"30d\" selected"), "{dialog}");

    let sent = |paths: &str, size: &str, folder: &str| {
        let fields = [("service", "peer"), ("paths", paths), ("folder", folder), ("size", size), ("expires", "7d"), ("unfit", "original")];
        admin.form("/library/share", &fields)
    };
    let done = sent(r#"["d/a.jpg","d/b.jpg"]"#, "original", "/Album/New");
    assert_eq!(done.status, 204, "{}", done.text());
    assert!(done.headers["hx-trigger"].contains("2 files are on their way to peer."), "{:?}", done.headers);
    crate::support::eventually("both files are there", || {
        peer.files().contains_key("Album/New/a.jpg") && peer.files().contains_key("Album/New/b.jpg")
    });
    // What cannot be sent says why, and the form keeps what was filled in.
    let gone = sent(r#"["d/none.jpg"]"#, "fit_1280", "/Here");
    assert!(
        gone.status >= 400 && gone.text().contains("value=\"/Here\"") && gone.text().contains("d/none.jpg"),
        "{} {}",
        gone.status,
        gone.text()
    );
    assert!(gone.text().contains("value=\"fit_1280\" selected"), "{}", gone.text());
    for (paths, size) in [("nonsense", "original"), (r#"["../x"]"#, "original"), (r#"["d/a.jpg"]"#, "huge")] {
        let refused = sent(paths, size, "/x");
        assert!(matches!(refused.status, 400 | 422), "{paths} {size}: {} {}", refused.status, refused.text());
    }
    assert_eq!(peer.files().len(), 3, "{:?}", peer.files());
}

/// A small JPEG, another one for each name: what follows its end is not looked at.
fn picture(name: &str) -> Vec<u8> {
    let (width, height) = [(480, 320), (320, 480), (400, 400)][name.len() % 3];
    let mut picture = crate::share::photo::photo(width, height, 1);
    picture.extend_from_slice(name.as_bytes());
    picture
}

/// Until so many tiles are to be seen.
#[track_caller]
pub(super) fn tiles(page: &Page, count: u64) {
    page.until("the pictures are there", || {
        let there = page.eval("document.querySelectorAll('.tile:not([hidden])').length");
        if there == count { Ok(()) } else { Err(format!("{there} of {count}")) }
    });
}

/// A node that serves these photos.
fn with_photos(sandbox: &Sandbox, name: &str, photos: &[&str]) -> Node {
    let mut node = sandbox.node(name);
    photos.iter().for_each(|path| crate::support::write(&node.library.join(path), &picture(path)));
    node.serve();
    node.run(&["index"]);
    node
}
