//! Files and folders moved to the trash, and folders made.

use serde_json::json;

use super::{Client, add_user, fields, json_of, problem};
use crate::support::{Sandbox, assert_files, http};

#[test]
fn what_is_moved_to_the_trash_goes_with_what_belongs_to_it_and_comes_back() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["f/a.jpg", "f/g/b.jpg", "IMG_1.HEIC", "IMG_1.MOV", "IMG_1.AAE", "r.CR3", "r.jpg", "r.xmp", "s.jpg", "s.xmp"] {
        node.put(name, name);
    }
    node.serve();
    node.run(&["index"]);
    let admin = Client::of(&node).by_session("admin", crate::support::PASSWORD);
    let discard = |body: serde_json::Value| admin.post("/library/trash", &body);
    let gone = discard(json!({ "paths": ["f", "f/a.jpg", "IMG_1.HEIC", "r.jpg", "none.jpg", "s.xmp"], "stack": true }));
    let told = json_of(&gone);
    assert_eq!(gone.status, 200, "{told:#}");
    assert_eq!(told["trashed"], json!(["IMG_1.AAE", "IMG_1.HEIC", "IMG_1.MOV", "f", "r.CR3", "r.jpg", "r.xmp", "s.xmp"]));
    assert_eq!((told["failed"].as_array().unwrap().len(), &told["failed"][0]["path"]), (1, &json!("none.jpg")), "{told:#}");
    assert_files(&node, &[("s.jpg", "s.jpg")]);
    assert_eq!(admin.document("/trash")["files"].as_array().unwrap().len(), 9);
    assert_eq!(admin.document("/library")["entries"].as_array().unwrap().len(), 1);
    // What was told is taken to bring it back.
    let back = json_of(&admin.post("/trash/restore", &json!({ "what": told["trashed"] })));
    assert_eq!((back["restored"].as_array().unwrap().len(), back["failed"].as_array().unwrap().len()), (9, 0), "{back:#}");
    assert_eq!(node.files().len(), 10);
    // Alone, when no more is meant.
    assert_eq!(json_of(&discard(json!({ "paths": ["r.jpg"] })))["trashed"], json!(["r.jpg"]));
    assert_eq!(node.files().len(), 9);

    for (body, field) in [
        (json!({}), "paths"),
        (json!({ "paths": [] }), "paths"),
        (json!({ "paths": "s.jpg" }), "paths"),
        (json!({ "paths": ["s.jpg", "../x"] }), "paths[1]"),
        (json!({ "paths": [""] }), "paths[0]"),
        (json!({ "paths": ["s.jpg"], "stack": 1 }), "stack"),
        (json!({ "paths": vec!["s.jpg"; 1001] }), "paths"),
        (json!({ "paths": ["s.jpg"], "for_good": true }), "for_good"),
    ] {
        let refused = discard(body);
        assert_eq!((refused.status, fields(&refused)), (400, vec![field.to_owned()]), "{}", refused.text());
    }
    let own = json_of(&discard(json!({ "paths": [".twinlens", ".twinlens/library.toml"] })));
    assert_eq!((own["trashed"].as_array().unwrap().len(), own["failed"].as_array().unwrap().len()), (0, 1), "{own:#}");
    assert!(node.files().contains_key("s.jpg") && node.library.join(".twinlens/library.toml").is_file());
    let without = admin.without("X-CSRF-Token").post("/library/trash", &json!({ "paths": ["s.jpg"] }));
    assert_eq!(problem(&without), (403, "csrf".into()));
    assert!(node.left_behind().is_empty());
}

#[test]
fn rights_roots_and_locks_hold() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["mine/a.jpg", "mine/b.jpg", "a.jpg"] {
        node.put(name, name);
    }
    node.serve();
    node.run(&["index"]);
    let body =
        b"<?xml version=\"1.0\"?><lockinfo xmlns=\"DAV:\"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
    let locked = http("LOCK", &format!("{}mine/b.jpg", node.originals()), &[], body);
    assert_eq!(locked.status, 200, "{}", locked.text());
    let viewer = add_user(&node, "viewer", json!({ "role": "viewer" }));
    let one = json_of(&viewer.post("/library/trash", &json!({ "paths": ["a.jpg"] })));
    assert_eq!((&one["trashed"], &one["failed"][0]["path"]), (&json!([]), &json!("a.jpg")), "{one:#}");
    let user = add_user(&node, "u", json!({ "folder": "mine" }));
    let both = json_of(&user.post("/library/trash", &json!({ "paths": ["a.jpg", "b.jpg"] })));
    assert_eq!((&both["trashed"], &both["failed"][0]["path"]), (&json!(["a.jpg"]), &json!("b.jpg")), "{both:#}");
    assert!(both["failed"][0]["reason"].as_str().unwrap().contains("lock"), "{both:#}");
    assert_files(&node, &[("a.jpg", "a.jpg"), ("mine/b.jpg", "mine/b.jpg")]);
    assert_eq!(problem(&viewer.post("/library/folders", &json!({ "path": "x" }))), (403, "no-right".into()));

    let made = user.post("/library/folders", &json!({ "path": "new/" }));
    assert_eq!((made.status, json_of(&made)), (201, json!({ "path": "new" })));
    assert!(node.library.join("mine/new").is_dir());
    assert_eq!(problem(&user.post("/library/folders", &json!({ "path": "new" }))), (409, "taken".into()));
    assert_eq!(problem(&user.post("/library/folders", &json!({ "path": "b.jpg" }))), (409, "taken".into()));
    assert_eq!(problem(&user.post("/library/folders", &json!({ "path": "none/deeper" }))), (409, "wrong-state".into()));
    for path in ["", "../x", "a/../b", "x\u{0}", "a\\b"] {
        let refused = user.post("/library/folders", &json!({ "path": path }));
        assert_eq!((refused.status, fields(&refused)), (400, vec!["path".to_owned()]), "{path:?}: {}", refused.text());
    }
    assert!(!node.library.join(".twinlens/x").exists());
    assert_ne!(user.post("/library/folders", &json!({ "path": ".twinlens/x" })).status, 201);
}
