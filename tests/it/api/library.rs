//! The library: listed, fetched, and files stored once.

use std::io::{Read as _, Write as _};

use serde_json::json;
use sha2::Digest as _;

use super::{Client, fields, json_of, problem};
use crate::support::{Sandbox, sample};

fn content_digest(bytes: &[u8]) -> String {
    use base64::Engine as _;
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(bytes)))
}

#[test]
fn a_folder_is_listed_with_what_is_known() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for (path, content) in [("d/b.jpg", "bb"), ("d/a.mov", "a"), ("d/sub/x.cr3", "xxx"), ("d/z.xmp", ""), ("d/ü ?#.png", "u")] {
        node.put(path, content);
    }
    node.serve();
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let page = admin.document("/library?folder=/d/");
    let told: Vec<_> =
        page["entries"].as_array().unwrap().iter().map(|entry| json!([entry["path"], entry["kind"], entry["size"]])).collect();
    let expected = json!([
        ["d/a.mov", "video", 1],
        ["d/b.jpg", "image", 2],
        ["d/sub", "folder", 3],
        ["d/z.xmp", "sidecar", 0],
        ["d/ü ?#.png", "image", 1],
    ]);
    assert_eq!(json!(told), expected);
    let b = &page["entries"][1];
    assert_eq!((&b["blake3"], &b["media_type"]), (&json!(blake3::hash(b"bb").to_hex().as_str()), &json!("image/jpeg")));
    assert!(b["modified"].as_str().unwrap().contains('T'));
    assert_eq!(page["entries"][2]["files"], 1);

    let fetched = admin.get("/library/file?path=d/%C3%BC%20%3F%23.png");
    assert_eq!((fetched.status, fetched.text(), fetched.headers["content-type"].as_str()), (200, "u".into(), "image/png"));
    assert!(fetched.headers["content-security-policy"].contains("sandbox") && fetched.headers["x-content-type-options"] == "nosniff");
    let part = admin.with("Range", "bytes=1-").get("/library/file?path=d/b.jpg");
    assert_eq!((part.status, part.text()), (206, "b".into()));
    for path in ["/library/file?path=d", "/library/file?path=d/none.jpg", "/library?folder=none", "/library?folder=d/b.jpg"] {
        assert_eq!(problem(&admin.get(path)), (404, "not-found".into()), "{path}");
    }
    // A library that is away is no empty one.
    std::fs::rename(&node.library, node.library.with_extension("away")).unwrap();
    assert_eq!(problem(&admin.get("/library")), (503, "no-library".into()));
    std::fs::rename(node.library.with_extension("away"), &node.library).unwrap();
}

#[test]
fn a_long_folder_comes_in_pages() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    (0..250).for_each(|number| node.put(&format!("{number:03}.jpg"), "x"));
    node.serve();
    let admin = Client::admin(&node);
    let (mut names, mut path) = (Vec::new(), "/library".to_owned());
    loop {
        let page = admin.document(&path);
        names.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/library?limit=120&cursor={next}");
        // What goes meanwhile does not disturb.
        let _ = std::fs::remove_file(node.library.join("099.jpg"));
    }
    assert_eq!(names, (0..250).map(|number| format!("{number:03}.jpg")).collect::<Vec<_>>());
}

#[test]
fn an_upload_is_stored_once() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    let with_key = |key: &str| admin.with("Idempotency-Key", key).with("Content-Digest", &content_digest(b"photo"));
    let put = |client: &Client, path: &str, body: &[u8]| client.ask("PUT", &format!("/library/file?path={path}"), body);

    let wrong = put(&admin.with("Content-Digest", &content_digest(b"other")), "a.jpg", b"photo");
    assert_eq!(problem(&wrong), (400, "bad-request".into()));
    assert!(node.files().is_empty());
    let first = put(&with_key("k1"), "a.jpg", b"photo");
    assert_eq!(
        (first.status, json_of(&first)["blake3"].as_str()),
        (201, Some(blake3::hash(b"photo").to_hex().as_str())),
        "{}",
        first.text()
    );
    assert!(!first.headers.contains_key("idempotency-replayed"));
    // The answer was lost: the same again, also after a restart.
    for restart in [false, true] {
        if restart {
            node.stop();
            node.serve();
        }
        let here = Client { host: Client::of(&node).host, ..with_key("k1") };
        let again = put(&here, "a.jpg", b"photo");
        assert_eq!((again.status, json_of(&again), again.headers["idempotency-replayed"].as_str()), (201, json_of(&first), "true"));
    }
    let admin = Client::admin(&node);
    let with_key = |key: &str| admin.with("Idempotency-Key", key).with("Content-Digest", &content_digest(b"photo"));
    let reused = put(&with_key("k1"), "b.jpg", b"photo");
    assert_eq!((problem(&reused), fields(&reused)), ((422, "key-reused".into()), vec!["Idempotency-Key".into()]));
    // Another key is another upload: nothing is replaced.
    assert_eq!(problem(&put(&with_key("k2"), "a.jpg", b"photo")), (409, "taken".into()));
    // What was refused is not remembered.
    node.remove("a.jpg");
    assert_eq!(put(&with_key("k2"), "a.jpg", b"photo").status, 201);
    assert_eq!(problem(&put(&with_key(&"k".repeat(256)), "c.jpg", b"photo")), (400, "bad-request".into()));
    assert_eq!(problem(&put(&admin, "none/c.jpg", b"x")), (409, "wrong-state".into()));
    assert_eq!(problem(&put(&admin, "", b"x")), (400, "bad-request".into()));

    // Only who names the version replaces it; the old one is in the trash.
    let tag = admin.get("/library/file?path=a.jpg").headers["etag"].clone();
    assert_eq!(problem(&put(&admin.with("If-Match", "\"other\""), "a.jpg", b"newer")), (409, "taken".into()));
    let replaced = put(&admin.with("If-Match", &tag), "a.jpg", b"newer");
    assert_eq!((replaced.status, json_of(&replaced)["replaced"].clone()), (200, json!(true)), "{}", replaced.text());
    assert_eq!(admin.document("/trash")["files"][0]["path"], "a.jpg");
    assert!(node.left_behind().is_empty());
}

#[test]
fn an_upload_whose_answer_never_came_is_known_again() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node).with("Idempotency-Key", "k");
    let path = "/library/file?path=a.jpg";
    let authorization = &admin.headers.iter().find(|(name, _)| name == "Authorization").unwrap().1;
    let head = format!(
        "PUT /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nIdempotency-Key: k\r\nContent-Length: 5\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    let mut stream = std::net::TcpStream::connect(&admin.host).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // The body is asked for: so it has begun. It breaks off with the node, after the first half.
    let mut told = [0; 12];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    stream.write_all(b"ph").unwrap();
    assert_eq!(problem(&admin.ask("PUT", path, b"photo")), (409, "in-progress".into()));
    node.signal("KILL");
    drop(stream);
    // The node died before it could say that it had stored the file.
    node.put("a.jpg", "photo");
    node.serve();
    node.run(&["index"]);
    let admin = Client::admin(&node).with("Idempotency-Key", "k");
    let again = admin.ask("PUT", path, b"photo");
    assert_eq!((again.status, json_of(&again)["size"].clone()), (201, json!(5)), "{}", again.text());
    assert_eq!(node.files().len(), 1);
}

#[test]
fn a_thumbnail_is_small_without_a_place_and_kept_as_long_as_the_picture_is_the_same() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["beach.jpg", "glacier.heic", "fireworks.mov", "canyon.dng"] {
        std::fs::write(node.library.join(name), sample(name)).unwrap();
    }
    node.put("broken.jpg", "no picture");
    // Without any program that could decode more.
    node.programs = Some(sandbox.path().to_owned());
    node.serve();
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let made = admin.get("/library/thumbnail?path=beach.jpg&size=160");
    assert_eq!((made.status, made.headers["content-type"].as_str()), (200, "image/jpeg"));
    let picture = image::load_from_memory(&made.body).unwrap();
    assert_eq!(picture.width().max(picture.height()), 160);
    let tag = made.headers["etag"].clone();
    assert_eq!(admin.with("If-None-Match", &tag).get("/library/thumbnail?path=beach.jpg&size=160").status, 304);
    assert_eq!(admin.with("If-None-Match", &tag).get("/library/thumbnail?path=beach.jpg&size=320").status, 200);
    for name in ["glacier.heic", "fireworks.mov", "broken.jpg"] {
        assert_eq!(problem(&admin.get(&format!("/library/thumbnail?path={name}"))), (422, "no-rendition".into()), "{name}");
    }
    assert_eq!(problem(&admin.get("/library/thumbnail?path=none.jpg")), (404, "not-found".into()));
    assert_eq!(problem(&admin.get("/library/thumbnail?path=..%2F..%2Fetc%2Fpasswd")).0, 400);
    assert_eq!(problem(&admin.get("/library/thumbnail?path=beach.jpg&size=161")).0, 400);
    assert_eq!(problem(&Client::of(&node).get("/library/thumbnail?path=beach.jpg")).0, 401);
}
