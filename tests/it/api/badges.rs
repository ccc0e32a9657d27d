//! What a page shows on the files of a folder.

use serde_json::{Value, json};

use super::{Client, add_user, problem};
use crate::support::{Sandbox, eventually};

fn badge<'a>(page: &'a Value, name: &str) -> &'a Value {
    page["badges"].as_array().unwrap().iter().find(|badge| badge["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn each_file_tells_where_it_is_how_that_is_known_and_what_belongs_to_it() {
    let sandbox = Sandbox::new();
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    for name in ["d/a.jpg", "d/b.jpg", "d/old.jpg", "d/IMG_1.HEIC", "d/IMG_1.MOV", "d/r.CR3", "d/r.jpg", "e/other.jpg"] {
        here.put(name, name);
    }
    there.put("d/from there.jpg", "from there");
    here.serve();
    there.serve();
    here.pair(&there, &["--upload", "yes"]);
    here.sync();
    here.run(&["pause"]);
    here.put("d/new.jpg", "new");
    here.put("d/old.jpg", "newer than there");
    here.run(&["index"]);
    let admin = Client::admin(&here);
    let shared = admin.post("/shares", &json!({ "paths": ["d/new.jpg"], "to": "peer", "folder": "S" }));
    assert_eq!(shared.status, 201, "{}", shared.text());

    let page = admin.document("/library/badges?folder=d");
    let on = |name: &str| badge(&page, name)["services"].clone();
    assert_eq!(on("a.jpg"), json!([{ "service": "peer", "state": "in-step", "proof": "computed", "at": "d/a.jpg" }]), "{page:#}");
    assert_eq!(on("from there.jpg")[0]["proof"], "read-back");
    assert_eq!(on("old.jpg"), json!([{ "service": "peer", "state": "older", "at": "d/old.jpg" }]));
    assert_eq!((&on("new.jpg")[0]["state"], &on("new.jpg")[0]["at"]), (&json!("shared"), &json!("S/new.jpg")), "{page:#}");
    assert_eq!(
        badge(&page, "IMG_1.HEIC")["stack"],
        json!({ "kind": "live", "cover": "IMG_1.HEIC", "members": ["IMG_1.HEIC", "IMG_1.MOV"] })
    );
    assert_eq!(badge(&page, "IMG_1.MOV")["part_of"], "IMG_1.HEIC");
    assert_eq!(badge(&page, "r.CR3")["stack"], json!({ "kind": "raw", "cover": "r.jpg", "members": ["r.CR3", "r.jpg"] }));
    assert_eq!(badge(&page, "other.jpg"), &Value::Null);
    // Renamed here and there, what was proven of it stays.
    here.rename("d/a.jpg", "d/renamed.jpg");
    here.sync_expecting(0, &["peer"]);
    let page = admin.document("/library/badges?folder=d");
    assert_eq!(badge(&page, "renamed.jpg")["services"][0]["proof"], "computed", "{page:#}");
    assert_eq!(badge(&page, "old.jpg")["services"][0]["state"], "in-step");
    // In pages, with the cursors of the listing as well.
    let (mut names, mut path) = (Vec::new(), "/library/badges?folder=d&limit=3".to_owned());
    loop {
        let page = admin.document(&path);
        names.extend(page["badges"].as_array().unwrap().iter().map(|badge| badge["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/library/badges?folder=d&limit=3&cursor={next}");
    }
    let whole: Vec<&str> = page["badges"].as_array().unwrap().iter().map(|badge| badge["name"].as_str().unwrap()).collect();
    assert_eq!(names, whole);
    // Without what belongs together, each page is what it is of those that are on services.
    let plain = admin.document("/library/badges?folder=d&stacks=false");
    assert_eq!(badge(&plain, "renamed.jpg"), badge(&page, "renamed.jpg"));
    assert!(plain["badges"].as_array().unwrap().iter().all(|badge| badge["stack"].is_null() && badge["part_of"].is_null()), "{plain:#}");
    let cursor = admin.document("/library?folder=d&limit=3")["next"].as_str().unwrap().to_owned();
    assert_eq!(admin.document(&format!("/library/badges?folder=d&limit=3&cursor={cursor}"))["badges"][0]["name"], whole[3]);
    assert_eq!(admin.document("/library/badges?folder=none")["badges"], json!([]));
    for bad in ["folder=..%2Fx", "folder=d&limit=0", "folder=d&cursor=x", "folder=d&other=1", "folder=d&stacks=perhaps"] {
        assert_eq!(problem(&admin.get(&format!("/library/badges?{bad}"))).0, 400, "{bad}");
    }
    assert_eq!(problem(&Client::of(&here).get("/library/badges")).0, 401);
    // Who does not administer the node is not told of its services; what belongs together is seen by everybody.
    let user = add_user(&here, "u", json!({ "folder": "d" }));
    let page = user.document("/library/badges");
    assert!(page["badges"].as_array().unwrap().iter().all(|badge| badge["services"].is_null()), "{page:#}");
    assert_eq!(badge(&page, "r.jpg")["part_of"], "r.CR3");
    assert_eq!(user.document("/library/badges?folder=e")["badges"], json!([]));
}

#[test]
fn what_waits_and_what_failed_is_told_with_the_reason() {
    let sandbox = Sandbox::new();
    let mut here = sandbox.node("here");
    here.put("bad.jpg", "five!");
    let service = crate::faulty::FaultyServer::start();
    here.serve();
    here.connect("peer", &service.url, &[]);
    here.run(&["pause"]);
    service.state().temporary_too = true;
    service.set(crate::faulty::Fault::StoresNothingOfIt);
    here.sync_expecting(1, &["peer"]);
    let admin = Client::admin(&here);
    let mut on = Value::Null;
    eventually("it is told", || {
        on = badge(&admin.document("/library/badges"), "bad.jpg")["services"][0].clone();
        on["state"] == "failed"
    });
    assert!(on["reason"].as_str().unwrap().contains("stored 0 of 5 bytes") && on["next"].is_string(), "{on:#}");
}
