//! Uploads that are gone on with.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::Digest as _;

use super::{Client, add_user, fields, json_of, problem};
use crate::support::{Answer, Sandbox, eventually};

fn digest(bytes: &[u8]) -> String {
    use base64::Engine as _;
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(bytes)))
}

fn begin(client: &Client, body: Value) -> String {
    let begun = client.post("/uploads", &body);
    assert_eq!((begun.status, begun.headers["upload-offset"].as_str()), (201, "0"), "{}", begun.text());
    json_of(&begun)["id"].as_str().unwrap().to_owned()
}

fn patch(client: &Client, id: &str, offset: u64, bytes: &[u8]) -> Answer {
    let client = client.with("Content-Type", "application/partial-upload").with("Upload-Offset", &offset.to_string());
    client.ask("PATCH", &format!("/uploads/{id}"), bytes)
}

#[test]
fn an_upload_goes_on_after_a_broken_connection_and_a_restart() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    let new =
        json!({ "path": "new/a.jpg", "size": bytes.len(), "modified": "2020-01-02T03:04:05Z", "digest": digest(&bytes), "folders": true });
    let id = begin(&admin, new);
    let first = patch(&admin, &id, 0, &bytes[..1_000_000]);
    assert_eq!((first.status, first.headers["upload-offset"].as_str(), &json_of(&first)["complete"]), (200, "1000000", &json!(false)));
    // The connection breaks after a part of the next piece.
    let part = admin.with("Content-Type", "application/partial-upload").with("Upload-Offset", "1000000");
    let authorization = &part.headers.iter().find(|(name, _)| name == "Authorization").unwrap().1;
    let mut stream = std::net::TcpStream::connect(&part.host).unwrap();
    let head = format!(
        "PATCH /api/v1/uploads/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nUpload-Offset: 1000000\r\n\
         Content-Type: application/partial-upload\r\nContent-Length: 1000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[1_000_000..1_500_000]).unwrap();
    drop(stream);
    let told = |client: &Client| client.ask("HEAD", &format!("/uploads/{id}"), b"").headers["upload-offset"].parse::<u64>().unwrap();
    eventually("what came is kept", || told(&admin) > 1_000_000);
    let here = told(&admin);
    assert!(here <= 1_500_000);
    assert!(node.files().is_empty());
    node.signal("KILL");
    node.serve();
    let admin = Client::admin(&node);
    assert_eq!(told(&admin), here);
    let under_way = admin.document("/uploads")["uploads"][0].clone();
    assert_eq!((&under_way["path"], &under_way["modified"]), (&json!("new/a.jpg"), &json!("2020-01-02T03:04:05Z")));
    // Not what is there already, and not what comes later.
    for wrong in [0, here - 1, here + 1, 3_000_000] {
        let refused = patch(&admin, &id, wrong, &bytes[2_000_000..]);
        assert_eq!((problem(&refused), refused.headers["upload-offset"].clone()), ((409, "offset-mismatch".into()), here.to_string()));
    }
    let done = patch(&admin, &id, here, &bytes[here as usize..]);
    let document = json_of(&done);
    assert_eq!((done.status, &document["complete"], &document["stored"]["skipped"]), (200, &json!(true), &json!(false)), "{document:#}");
    assert_eq!(document["stored"]["blake3"], blake3::hash(&bytes).to_string());
    assert!(std::fs::read(node.library.join("new/a.jpg")).unwrap() == bytes);
    let modified = std::fs::metadata(node.library.join("new/a.jpg")).unwrap().modified().unwrap();
    assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_934_245));
    // Its last answer may be lost: asked again, it is the same.
    assert_eq!(json_of(&patch(&admin, &id, 3_000_000, b""))["stored"], document["stored"]);
    assert_eq!(admin.document(&format!("/uploads/{id}"))["complete"], true);
    assert_eq!(admin.document("/uploads"), json!({ "uploads": [] }));
    assert!(node.left_behind().is_empty());
    assert_eq!(admin.document("/library?folder=new")["entries"][0]["blake3"], blake3::hash(&bytes).to_string());
}

#[test]
fn a_name_that_is_taken_is_skipped_numbered_or_refused_as_it_was_said() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "photo");
    node.serve();
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let upload = |on_clash: &str, bytes: &[u8]| {
        let id = begin(&admin, json!({ "path": "a.jpg", "size": bytes.len(), "on_clash": on_clash }));
        json_of(&patch(&admin, &id, 0, bytes))["stored"].clone()
    };
    for on_clash in ["skip_same", "number"] {
        let stored = upload(on_clash, b"photo");
        assert_eq!((&stored["path"], &stored["skipped"]), (&json!("a.jpg"), &json!(true)), "{on_clash}");
    }
    assert_eq!(upload("number", b"other")["path"], "a (2).jpg");
    assert_eq!(upload("number", b"another")["path"], "a (3).jpg");
    // The same once more is found under its number.
    assert_eq!((&upload("number", b"other")["path"], &upload("number", b"other")["skipped"]), (&json!("a (2).jpg"), &json!(true)));
    let refused = |on_clash: &str, size: u64| admin.post("/uploads", &json!({ "path": "a.jpg", "size": size, "on_clash": on_clash }));
    assert_eq!(problem(&refused("refuse", 5)), (409, "taken".into()));
    assert_eq!(problem(&refused("skip_same", 6)), (409, "taken".into()));
    assert_eq!(problem(&admin.post("/uploads", &json!({ "path": "a.jpg", "size": 5 }))), (409, "taken".into()));
    // Taken while it came: the bytes stay, and somebody decides.
    let id = begin(&admin, json!({ "path": "b.jpg", "size": 5 }));
    node.put("b.jpg", "in the way");
    node.run(&["index"]);
    assert_eq!(problem(&patch(&admin, &id, 0, b"bytes")), (409, "taken".into()));
    assert_eq!(problem(&admin.post(&format!("/uploads/{id}"), &json!({ "path": "../x" }))), (400, "bad-request".into()));
    assert_eq!(problem(&admin.post(&format!("/uploads/{id}"), &json!({}))), (409, "taken".into()));
    let decided = json_of(&admin.post(&format!("/uploads/{id}"), &json!({ "on_clash": "number" })));
    assert_eq!(decided["stored"]["path"], "b (2).jpg", "{decided:#}");
    assert_eq!((node.files()["b.jpg"].as_str(), node.files()["b (2).jpg"].as_str(), node.files().len()), ("in the way", "bytes", 5));
    // Empty files are files.
    let id = begin(&admin, json!({ "path": "empty.txt", "size": 0 }));
    assert_eq!(json_of(&patch(&admin, &id, 0, b""))["complete"], true);
    assert_eq!(node.files()["empty.txt"], "");
    assert!(node.left_behind().is_empty() && node.trashed().is_empty());
}

#[test]
fn what_is_not_as_it_was_said_is_refused_and_nothing_is_stored() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    for (body, field) in [
        (json!({ "size": 1 }), "path"),
        (json!({ "path": "", "size": 1 }), "path"),
        (json!({ "path": "../x", "size": 1 }), "path"),
        (json!({ "path": "x".repeat(256), "size": 1 }), "path"),
        (json!({ "path": "a.jpg" }), "size"),
        (json!({ "path": "a.jpg", "size": -1 }), "size"),
        (json!({ "path": "a.jpg", "size": 1_u64 << 41 }), "size"),
        (json!({ "path": "a.jpg", "size": 1, "modified": "yesterday" }), "modified"),
        (json!({ "path": "a.jpg", "size": 1, "on_clash": "replace" }), "on_clash"),
        (json!({ "path": "a.jpg", "size": 1, "digest": "sha-256=:x:" }), "digest"),
        (json!({ "path": "a.jpg", "size": 1, "more": 1 }), "more"),
    ] {
        let refused = admin.post("/uploads", &body);
        assert_eq!((refused.status, fields(&refused)), (400, vec![field.to_owned()]), "{body}: {}", refused.text());
    }
    assert_eq!(admin.document("/uploads"), json!({ "uploads": [] }));
    let id = begin(&admin, json!({ "path": "a.jpg", "size": 4, "digest": digest(b"four") }));
    // More than was said: nothing of it is kept.
    assert_eq!(problem(&patch(&admin, &id, 0, b"fives")), (400, "too-many-bytes".into()));
    let wrong = admin.with("Content-Digest", &digest(b"other"));
    assert_eq!(fields(&patch(&wrong, &id, 0, b"fo")), ["Content-Digest"]);
    assert_eq!(admin.document(&format!("/uploads/{id}"))["offset"], 0);
    let plain = admin.with("Upload-Offset", "0").with("Content-Type", "image/jpeg").ask("PATCH", &format!("/uploads/{id}"), b"fo");
    assert_eq!(problem(&plain), (415, "not-a-part".into()));
    let nowhere = admin.with("Content-Type", "application/partial-upload").ask("PATCH", &format!("/uploads/{id}"), b"fo");
    assert_eq!(fields(&nowhere), ["Upload-Offset"]);
    assert_eq!(problem(&admin.post(&format!("/uploads/{id}"), &json!({}))), (409, "wrong-state".into()));
    // Others bytes than promised in the beginning are not stored.
    assert_eq!(problem(&patch(&admin, &id, 0, b"fear")).0, 400);
    assert!(node.files().is_empty());
    // It is nobody else's, and a Nextcloud client's is none of these.
    let user = add_user(&node, "u", json!({}));
    for answer in [user.get(&format!("/uploads/{id}")), user.delete(&format!("/uploads/{id}")), patch(&user, &id, 4, b"")] {
        assert_eq!(problem(&answer), (404, "not-found".into()));
    }
    assert_eq!(user.document("/uploads"), json!({ "uploads": [] }));
    for id in ["none", "..", "%2e%2e%2fx", "a%2Fb"] {
        assert_eq!(admin.get(&format!("/uploads/{id}")).status, 404, "{id}");
    }
    assert_eq!(json_of(&admin.delete(&format!("/uploads/{id}")))["offset"], 4);
    assert_eq!(problem(&admin.delete(&format!("/uploads/{id}"))), (404, "not-found".into()));
    let viewer = add_user(&node, "v", json!({ "role": "viewer" }));
    assert_eq!(problem(&viewer.post("/uploads", &json!({ "path": "a.jpg", "size": 1 }))), (403, "no-right".into()));
    // Bombs: more than the disk has room for, and more uploads than anybody needs.
    let large = admin.post("/uploads", &json!({ "path": "a.jpg", "size": 1_u64 << 40 }));
    assert_eq!(problem(&large), (507, "full".into()));
    (0..128).for_each(|number| drop(begin(&user, json!({ "path": format!("{number}.jpg"), "size": 1 }))));
    let more = user.post("/uploads", &json!({ "path": "x.jpg", "size": 1 }));
    assert_eq!((problem(&more), more.headers["retry-after"].as_str()), ((429, "too-many".into()), "60"));
    assert_eq!(user.document("/uploads")["uploads"].as_array().unwrap().len(), 128);
    // Nor more pieces than anybody needs: which is said in another way, because waiting does not help.
    let id = begin(&admin, json!({ "path": "pieces.jpg", "size": 3 }));
    assert_eq!(patch(&admin, &id, 0, b"a").status, 200);
    let uploads = std::fs::read_dir(node.library.join(".twinlens/uploads")).unwrap().flatten();
    let place = uploads.map(|user| user.path().join(&id)).find(|place| place.is_dir()).unwrap();
    (0..10_000).for_each(|number| drop(std::fs::File::create(place.join(format!("x{number}"))).unwrap()));
    let many = patch(&admin, &id, 1, b"b");
    assert_eq!((problem(&many), many.headers.get("retry-after")), ((409, "too-many-pieces".into()), None));
    assert_eq!(admin.delete(&format!("/uploads/{id}")).status, 200);
    // Nobody goes on with it: it is swept.
    let session = std::fs::read_dir(node.library.join(".twinlens/uploads"))
        .unwrap()
        .flatten()
        .map(|user| user.path())
        .find(|user| std::fs::read_dir(user).unwrap().count() == 128);
    let session = std::fs::read_dir(session.unwrap()).unwrap().next().unwrap().unwrap();
    let old = SystemTime::now() - Duration::from_secs(25 * 3600);
    std::fs::File::open(session.path()).unwrap().set_modified(old).unwrap();
    assert_eq!(problem(&user.get(&format!("/uploads/{}", session.file_name().to_str().unwrap()))), (404, "not-found".into()));
    assert!(node.files().is_empty());
}
