//! Services and syncs by the API alone.

use serde_json::json;

use super::{Client, json_of, problem};
use crate::support::{PASSWORD, Sandbox, eventually};

#[test]
fn a_service_is_connected_set_up_synced_and_removed() {
    let sandbox = Sandbox::new();
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    here.put("a.jpg", "from here");
    there.put("b.jpg", "from there");
    here.serve();
    there.serve();
    let admin = Client::of(&here).by_session("admin", PASSWORD);
    let new = json!({ "name": "attic", "url": there.originals(), "user": "admin", "password": PASSWORD });
    let added = admin.post("/services", &new);
    assert_eq!((added.status, json_of(&added)["name"].clone()), (201, json!("attic")), "{}", added.text());
    assert!(!added.text().contains(PASSWORD));
    let wrong = admin.change("PATCH", "/services/attic", &json!({ "password": "not the right one" }));
    assert_eq!(problem(&wrong), (422, "service-unreachable".into()));
    let tested = json_of(&admin.post("/services/attic/test", &json!({ "write": false })));
    assert_eq!((&tested["ok"], &tested["connected"]), (&json!(true), &json!(true)), "{tested}");

    let set_up = json!({ "upload": true, "interval_minutes": 60, "rate": "off", "window": "22:00-06:00", "exclude": ["*.tmp"] });
    let sync = json_of(&admin.change("PATCH", "/services/attic/sync", &set_up))["sync"].clone();
    assert_eq!(
        (&sync["on"], &sync["upload"], &sync["window"], &sync["rate"]),
        (&json!(true), &json!(true), &json!("22:00-06:00"), &json!(null))
    );
    let plan = json_of(&admin.post("/syncs", &json!({ "dry_run": true })))["services"][0].clone();
    assert_eq!((plan["plan"].as_array().unwrap().len(), plan["dry_run"].clone()), (2, json!(true)), "{plan}");
    assert_eq!(here.files().len(), 1);

    let begun = admin.post("/syncs", &json!({ "names": ["attic"] }));
    assert_eq!((begun.status, json_of(&begun)), (202, json!({ "started": ["attic"] })));
    eventually("the sync", || here.files().len() == 2 && there.files().len() == 2);
    let waited = json_of(&admin.post("/syncs", &json!({ "names": ["attic"], "wait": true })));
    assert_eq!(waited["services"][0]["uploaded"], 0, "{waited}");
    assert_eq!(json_of(&admin.post("/syncs/pause", &json!({ "name": "attic" }))), json!({ "paused": ["attic"] }));
    assert_eq!(admin.document("/status")["services"][0]["state"], "paused");
    assert_eq!(problem(&admin.post("/syncs", &json!({}))), (409, "wrong-state".into()));
    assert_eq!(json_of(&admin.post("/syncs/resume", &json!({}))), json!({ "resumed": ["attic"] }));
    assert_eq!(json_of(&admin.post("/syncs/cancel", &json!({}))), json!({ "cancelled": [] }));
    assert_eq!(admin.document("/transfers"), json!({ "running": {} }));
    assert_eq!(json_of(&admin.post("/index", &json!({ "wait": true })))["files"], 2);
    assert_eq!(admin.post("/index/verify", &json!({})).status, 202);
    assert_eq!(json_of(&admin.delete("/services/attic"))["removed"], "attic");
    assert_eq!(admin.document("/services"), json!({ "services": [] }));
}

#[test]
fn only_the_owner_reaches_the_control_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let socket = node.data.join("control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // It speaks HTTP, and whoever is there is an admin without a password.
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /api/v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let me = json_of(&crate::support::read_answer(&mut stream));
    assert_eq!((&me["user"], &me["role"]), (&json!(null), &json!("admin")));
}
