//! Sharing by the API alone.

use serde_json::json;

use crate::api::{Client, json_of, problem};
use crate::support::{Sandbox, eventually};

#[test]
fn files_are_shared_looked_after_and_cancelled_by_the_api_alone() {
    let sandbox = Sandbox::new();
    let (mut node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    node.put("d/a.jpg", "a");
    node.put("d/b.jpg", "b");
    assert!(node.add_service("nas", &nas.originals()).status.success());
    node.serve();
    let admin = Client::admin(&node);
    let changed = admin.change("PATCH", "/services/nas/upload", &json!({ "folder": "/S", "expires": "7d" }));
    assert_eq!((changed.status, &json_of(&changed)["upload"]["folder"]), (200, &json!("S")), "{}", changed.text());
    let begun = admin.post("/shares", &json!({ "to": "nas", "paths": ["d"], "background": true }));
    assert_eq!(begun.status, 201, "{}", begun.text());
    let share = json_of(&begun)["share"].clone();
    eventually("both were sent", || json_of(&admin.get(&format!("/shares/{share}")))["uploaded"] == 2);
    let files = json_of(&admin.get(&format!("/shares/{share}")))["files"].clone();
    assert_eq!((&files[0]["at"], &files[0]["state"]), (&json!("/S/d/a.jpg"), &json!("uploaded")), "{files:#}");
    assert!(files[0]["expires"].is_string() && files[0]["proof"] == "computed", "{files:#}");
    assert_eq!(json_of(&admin.get("/shares"))["shares"][0]["share"], share);

    nas.stop();
    node.put("d/c.jpg", "c");
    let late = json_of(&admin.post("/shares", &json!({ "to": "nas", "paths": ["d/c.jpg"], "background": true })))["share"].clone();
    let retried = json_of(&admin.post("/shares/retry", &json!({ "share": late })))["shares"][0].clone();
    assert!(retried["unreachable"] == true && retried["waiting"] == 1, "{retried:#}");
    assert_eq!(json_of(&admin.post("/shares/cancel", &json!({ "share": late })))["cancelled"], 1);
    assert_eq!(json_of(&admin.get(&format!("/shares/{late}")))["files"][0]["state"], "cancelled");

    assert_eq!(problem(&admin.get("/shares/77")), (404, "not-found".into()));
    assert_eq!(problem(&admin.post("/shares", &json!({ "to": "none", "paths": ["d"] }))), (404, "not-found".into()));
    for wrong in [
        json!({ "to": "nas", "paths": [] }),
        json!({ "to": "nas", "paths": ["nothing"] }),
        json!({ "to": "nas", "paths": ["d"], "size": "fit_1" }),
        json!({ "to": "nas", "paths": ["d"], "expires": "2d" }),
        json!({ "to": "nas", "paths": ["d"], "gps": "remove" }),
        json!({ "to": "nas", "paths": ["d"], "folder": "/../x" }),
        json!({ "to": "nas", "paths": ["d"], "colour": "red" }),
    ] {
        let refused = admin.post("/shares", &wrong);
        assert!((400..500).contains(&refused.status), "{wrong}: {}", refused.text());
    }
    assert_eq!(json_of(&admin.get("/shares"))["shares"].as_array().unwrap().len(), 2, "nothing was queued");
}
