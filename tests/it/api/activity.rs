//! What a page shows of runs: how far they are, what they would do, what failed and what was left, and the service's side of a conflict.

use serde_json::{Value, json};

use super::{Client, fields, json_of, problem};
use crate::faulty::{Fault, FaultyServer};
use crate::support::{Node, Sandbox, eventually, sample};

/// Two nodes that serve, the second of which is the first one's service `peer`.
fn pair(sandbox: &Sandbox, options: &[&str]) -> (Node, Node) {
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    here.serve();
    there.serve();
    here.pair(&there, options);
    // It shall do nothing by itself.
    here.run(&["pause"]);
    eventually("it has nothing to do", || Client::admin(&here).document("/transfers") == json!({ "running": {} }));
    (here, there)
}

/// Syncs although it is paused.
fn sync(node: &Node, code: i32) -> Value {
    node.sync_expecting(code, &["peer"])
}

fn group<'a>(preview: &'a Value, name: &str) -> &'a Value {
    preview["groups"].as_array().unwrap().iter().find(|group| group["group"] == name).unwrap_or(&Value::Null)
}

fn previewed(admin: &Client, rows: u32) -> Value {
    let begun = admin.post("/services/peer/preview", &json!({ "rows": rows }));
    assert_eq!(begun.status, 202, "{}", begun.text());
    let mut preview = Value::Null;
    eventually("the preview", || {
        preview = admin.document("/services/peer/preview");
        !matches!(preview["state"].as_str(), Some("waiting" | "looking"))
    });
    preview
}

#[test]
fn a_preview_tells_in_groups_what_a_sync_would_do_and_does_nothing() {
    let sandbox = Sandbox::new();
    let (here, there) = pair(&sandbox, &["--upload", "yes", "--deletes", "trash", "--raw-and-video", "no"]);
    for name in ["same 1.jpg", "same 2.jpg", "same 3.jpg", "same 4.jpg", "edited.jpg", "moved.jpg", "both.jpg", "gone.jpg"] {
        here.put(name, name);
    }
    sync(&here, 0);
    here.put("edited.jpg", "edited here");
    here.rename("moved.jpg", "elsewhere.jpg");
    here.put("both.jpg", "one");
    there.put("both.jpg", "two, longer");
    here.remove("gone.jpg");
    (0..5).for_each(|number| here.put(&format!("new {number}.jpg"), &format!("new {number}")));
    there.put("from there.jpg", "from there");
    here.put("raw.cr3", "raw");
    here.run(&["index"]);
    there.run(&["index"]);
    let (before, before_there) = (here.files(), there.files());
    let admin = Client::admin(&here);
    assert_eq!(problem(&admin.get("/services/peer/preview")), (404, "not-found".into()));
    let preview = previewed(&admin, 2);
    assert_eq!((&preview["state"], &preview["error"]), (&json!("ready"), &json!(null)), "{preview:#}");
    let uploads = group(&preview, "uploads");
    assert_eq!((&uploads["count"], &uploads["bytes"]), (&json!(5), &json!(25)), "{preview:#}");
    assert_eq!(uploads["first"].as_array().unwrap().len(), 2);
    for (name, count) in [("downloads", 1), ("updates-there", 1), ("moves", 1), ("conflicts", 1), ("deletes-there", 1)] {
        assert_eq!(group(&preview, name)["count"], count, "{name}: {preview:#}");
    }
    let raw = preview["skipped"].as_array().unwrap().iter().find(|group| group["code"] == "filter").unwrap();
    assert_eq!((&raw["files"], &raw["first"][0]["path"]), (&json!(1), &json!("raw.cr3")), "{preview:#}");
    assert_eq!((here.files(), there.files()), (before, before_there));
    assert!(admin.document("/runs")["runs"].as_array().unwrap().iter().all(|run| run["trigger"] != "to see what it would do"));

    for (rows, field) in [(json!(0), "rows"), (json!(101), "rows"), (json!("x"), "rows")] {
        let refused = admin.post("/services/peer/preview", &json!({ "rows": rows }));
        assert!(refused.status == 422 || refused.status == 400, "{}", refused.text());
        assert_eq!(fields(&refused), [field]);
    }
    assert_eq!(problem(&admin.post("/services/none/preview", &json!({}))), (404, "not-found".into()));
    // What it told is what is done.
    sync(&here, 0);
    let (files, there) = (here.files(), there.files());
    assert!(files.contains_key("from there.jpg") && there["edited.jpg"] == "edited here" && !there.contains_key("gone.jpg"), "{there:?}");
    assert!(there.contains_key("elsewhere.jpg") && !there.contains_key("raw.cr3") && there.contains_key("new 4.jpg"), "{there:?}");
}

#[test]
fn a_preview_is_cancelled_while_it_looks_and_while_it_waits() {
    let sandbox = Sandbox::new();
    let mut here = sandbox.node("here");
    here.serve();
    let service = FaultyServer::start();
    here.connect("peer", &service.url, &[]);
    here.run(&["pause"]);
    let admin = Client::admin(&here);
    eventually("it has nothing to do", || admin.document("/transfers") == json!({ "running": {} }));
    // Nothing is answered as long as this is held.
    let held = service.state();
    assert_eq!(json_of(&admin.post("/services/peer/preview", &json!({})))["service"], "peer");
    eventually("it looks", || admin.document("/services/peer/preview")["state"] == "looking");
    assert_eq!(admin.document("/transfers")["running"]["peer"]["preview"], true);
    // Asked again, it is the same one.
    assert_eq!(json_of(&admin.post("/services/peer/preview", &json!({})))["state"], "looking");
    assert_eq!(json_of(&admin.delete("/services/peer/preview"))["state"], "cancelled");
    eventually("it has ended", || admin.document("/transfers") == json!({ "running": {} }));
    assert_eq!(admin.document("/services/peer/preview")["state"], "cancelled");
    // A real run is under way: the preview waits, and to cancel it does not touch the run.
    assert_eq!(admin.post("/syncs", &json!({ "names": ["peer"] })).status, 202);
    eventually("the run", || admin.document("/transfers")["running"]["peer"]["preview"] == false);
    assert_eq!(json_of(&admin.post("/services/peer/preview", &json!({})))["state"], "waiting");
    assert_eq!(json_of(&admin.delete("/services/peer/preview"))["state"], "cancelled");
    let running = &admin.document("/transfers")["running"]["peer"];
    assert_eq!((&running["stopping"], &running["trigger"]), (&json!(false), &json!("by hand")));
    drop(held);
    eventually("the run ends", || admin.document("/transfers") == json!({ "running": {} }));
}

#[test]
fn a_run_tells_its_files_its_pace_and_what_is_left() {
    let sandbox = Sandbox::new();
    let (here, _there) = pair(&sandbox, &["--upload", "yes", "--rate", "400k"]);
    std::fs::write(here.library.join("large.mov"), vec![7; 3_000_000]).unwrap();
    here.put("small.jpg", "small");
    here.run(&["index"]);
    let admin = Client::admin(&here);
    assert_eq!(admin.post("/syncs", &json!({ "names": ["peer"] })).status, 202);
    let mut running = Value::Null;
    eventually("bytes travel", || {
        running = admin.document("/transfers")["running"]["peer"].clone();
        let file = &running["files"][0];
        file["path"] == "large.mov" && file["moved"].as_u64() > Some(0) && running["bytes_per_second"].as_u64() > Some(0)
    });
    let (file, progress) = (&running["files"][0], &running["progress"]);
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{running:#}"));
    assert_eq!(
        (&file["action"], &file["bytes"], &progress["files_total"]),
        (&json!("upload"), &json!(3_000_000), &json!(2)),
        "{running:#}"
    );
    assert_eq!(number(&progress["bytes_total"]), 3_000_005);
    let left = number(&progress["bytes_left"]);
    assert!(left <= 3_000_005 && left + number(&file["moved"]) >= 3_000_000, "{running:#}");
    assert!(number(&running["seconds_left"]) >= 1 && !running["throughput"].as_array().unwrap().is_empty(), "{running:#}");
    admin.change("PATCH", "/services/peer/sync", &json!({ "rate": "off" }));
    admin.post("/syncs/cancel", &json!({}));
    eventually("it ends", || admin.document("/transfers") == json!({ "running": {} }));
}

#[test]
fn what_a_run_left_is_told_page_by_page_with_the_reasons() {
    let sandbox = Sandbox::new();
    let (here, _there) = pair(&sandbox, &["--upload", "yes", "--raw-and-video", "no"]);
    (0..5).for_each(|number| here.put(&format!("{number}.cr3"), &format!("raw {number}")));
    here.put("a.jpg", "a");
    sync(&here, 0);
    let admin = Client::admin(&here);
    let run = admin.document("/runs")["runs"][0].clone();
    assert_eq!(run["counts"]["skipped_total"], 5);
    let (id, mut cursor, mut paths) = (run["id"].as_u64().unwrap(), String::new(), Vec::new());
    loop {
        let page = admin.document(&format!("/runs/{id}/skipped?limit=2{cursor}"));
        assert_eq!(page["total"], 5);
        let rows = page["skipped"].as_array().unwrap();
        assert!(rows.len() <= 2 && rows.iter().all(|row| row["reason"].as_str().unwrap().contains("RAW")), "{page:#}");
        paths.extend(rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paths, ["0.cr3", "1.cr3", "2.cr3", "3.cr3", "4.cr3"]);
    assert_eq!(problem(&admin.get("/runs/999/skipped")), (404, "not-found".into()));
    assert_eq!(problem(&admin.get(&format!("/runs/{id}/skipped?cursor=x"))), (400, "bad-request".into()));
    let last = &admin.document("/status")["services"][0]["last_run"]["skipped_groups"];
    assert_eq!((&last[0]["code"], &last[0]["files"]), (&json!("filter"), &json!(5)), "{last:#}");
}

#[test]
fn one_file_that_failed_is_tried_again_now_and_the_others_in_their_time() {
    let sandbox = Sandbox::new();
    let mut here = sandbox.node("here");
    let service = FaultyServer::start();
    here.serve();
    here.connect("peer", &service.url, &[]);
    here.run(&["pause"]);
    for name in ["bad 1.jpg", "bad 2.jpg", "good.jpg"] {
        here.put(name, &format!("the bytes of {name}"));
    }
    service.state().temporary_too = true;
    service.set(Fault::StoresNothingOfIt);
    sync(&here, 1);
    let admin = Client::admin(&here);
    let failures = admin.document("/failures")["failures"].clone();
    assert_eq!((failures.as_array().unwrap().len(), &failures[0]["path"]), (2, &json!("bad 1.jpg")), "{failures:#}");
    service.set(Fault::None);
    let retry = |body: Value| admin.post("/failures/retry", &body);
    let unknown = retry(json!({ "service": "peer", "paths": ["good.jpg"] }));
    assert_eq!((problem(&unknown), fields(&unknown)), ((404, "not-found".into()), vec!["paths".into()]));
    assert_eq!(problem(&retry(json!({ "service": "none" }))), (404, "not-found".into()));
    assert_eq!(problem(&retry(json!({ "service": "peer", "paths": ["../x"] }))), (400, "bad-request".into()));
    assert_eq!(problem(&retry(json!({}))), (400, "bad-request".into()));
    let one = retry(json!({ "service": "peer", "paths": ["bad 1.jpg", "good.jpg"] }));
    assert_eq!(one.status, 202, "{}", one.text());
    assert_eq!(json_of(&one), json!({ "service": "peer", "paths": ["bad 1.jpg"], "unknown": ["good.jpg"] }));
    eventually("it is there", || service.names().contains(&"bad 1.jpg".to_owned()));
    eventually("the run ends", || admin.document("/failures")["failures"].as_array().unwrap().len() == 1);
    assert_eq!(admin.document("/failures")["failures"][0]["path"], "bad 2.jpg");
    assert!(!service.names().contains(&"bad 2.jpg".to_owned()));
    // All that wait.
    assert_eq!(json_of(&retry(json!({ "service": "peer" })))["paths"], json!(["bad 2.jpg"]));
    eventually("nothing waits", || admin.document("/failures") == json!({ "failures": [] }));
}

#[test]
fn the_picture_of_the_other_side_is_shown_when_it_is_one() {
    let sandbox = Sandbox::new();
    let (here, mut there) = pair(&sandbox, &["--download", "no", "--upload", "yes"]);
    let jpeg = sample("beach.jpg");
    for name in ["picture.jpg", "page.jpg"] {
        here.put(name, name);
    }
    sync(&here, 0);
    for name in ["picture.jpg", "page.jpg"] {
        here.put(name, "edited here");
    }
    std::fs::write(there.library.join("picture.jpg"), &jpeg).unwrap();
    there.put("page.jpg", "<!doctype html><script>alert(1)</script>");
    there.run(&["index"]);
    here.run(&["index"]);
    sync(&here, 0);
    sync(&here, 0);
    let admin = Client::admin(&here);
    let conflicts = admin.document("/conflicts")["conflicts"].clone();
    let copy_of = |path: &str| {
        let found = conflicts.as_array().unwrap().iter().find(|one| one["path"] == path).unwrap_or_else(|| panic!("{conflicts:#}"));
        assert_eq!((&found["here"], &found["on"][0]), (&json!(false), &json!("peer")));
        found["copy"].as_str().unwrap().replace(' ', "%20").replace('(', "%28")
    };
    let shown = admin.get(&format!("/conflicts/remote?service=peer&copy={}", copy_of("picture.jpg")));
    assert_eq!((shown.status, shown.headers["content-type"].as_str()), (200, "image/jpeg"), "{}", shown.text());
    assert!(shown.body == jpeg);
    assert!(shown.headers["content-security-policy"].contains("sandbox") && shown.headers["x-content-type-options"] == "nosniff");
    let page = admin.get(&format!("/conflicts/remote?service=peer&copy={}", copy_of("page.jpg")));
    assert_eq!(problem(&page), (422, "no-rendition".into()));
    assert!(!page.text().contains("script"));
    // Nothing but conflict copies, and nothing for others.
    for copy in ["picture.jpg", "none.jpg"] {
        assert_eq!(problem(&admin.get(&format!("/conflicts/remote?service=peer&copy={copy}"))), (404, "not-found".into()));
    }
    assert_eq!(problem(&admin.get("/conflicts/remote?service=peer&copy=..%2Fx")), (400, "bad-request".into()));
    assert_eq!(problem(&admin.get("/conflicts/remote?service=none&copy=x.jpg")), (404, "not-found".into()));
    let user = super::add_user(&here, "u", json!({}));
    assert_eq!(problem(&user.get("/conflicts/remote?service=peer&copy=x.jpg")).0, 403);
    there.stop();
    let away = admin.get(&format!("/conflicts/remote?service=peer&copy={}", copy_of("picture.jpg")));
    assert_eq!(problem(&away), (422, "service-unreachable".into()));
}
