//! The documents of the API are those of `--json`, page by page.

use serde_json::{Value, json};

use super::{Client, json_of, problem};
use crate::support::Sandbox;

/// Everything of a list, two rows at a time.
fn all(client: &Client, path: &str, list: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.document(&format!("{path}?limit=2{cursor}"));
        let part = page[list].as_array().unwrap();
        assert!(part.len() <= 2);
        rows.extend(part.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[test]
fn what_the_command_line_tells_the_api_tells_too() {
    let sandbox = Sandbox::new();
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    (0..5).for_each(|number| here.put(&format!("d/{number}.jpg"), &format!("photo {number}")));
    here.serve();
    there.serve();
    here.pair(&there, &["--upload", "yes"]);
    here.sync();
    (0..3).for_each(|number| here.remove(&format!("d/{number}.jpg")));
    here.sync();
    let admin = Client::admin(&here);
    let told = here.run(&["history"]);
    let runs = told["runs"].as_array().unwrap().clone();
    assert!(runs.len() >= 2);
    assert_eq!(all(&admin, "/runs", "runs"), runs);
    let first = runs.last().unwrap()["id"].as_u64().unwrap();
    let run = here.run(&["history", "--run", &first.to_string()]);
    assert_eq!(all(&admin, &format!("/runs/{first}"), "files"), *run["files"].as_array().unwrap());
    assert_eq!(admin.document(&format!("/runs/{first}"))["run"], run["run"]);
    let tombstones = here.run(&["tombstones", "list"]);
    assert_eq!(tombstones["tombstones"].as_array().unwrap().len(), 3);
    assert_eq!(all(&admin, "/tombstones", "tombstones"), *tombstones["tombstones"].as_array().unwrap());
    assert_eq!(admin.document("/services"), here.run(&["service", "list"]));
    assert_eq!(admin.document("/users"), here.run(&["user", "list"]));
    assert_eq!(admin.document("/status"), here.run(&["status"]));
    assert_eq!(admin.document("/failures"), json!({ "failures": [] }));
    for folder in ["One", "Two", "Three"] {
        here.put("a.jpg", "a");
        here.put("b.jpg", "b");
        here.put("c.jpg", "c");
        here.run(&["share", "a.jpg", "b.jpg", "c.jpg", "--to", "peer", "--folder", folder]);
    }
    let shares = here.run(&["share", "list"])["shares"].as_array().unwrap().clone();
    assert_eq!((shares.len(), all(&admin, "/shares", "shares")), (3, shares));
    let files = here.run(&["share", "list", "2"])["files"].as_array().unwrap().clone();
    assert_eq!((files.len(), all(&admin, "/shares/2", "files")), (3, files));
    assert_eq!(admin.document("/settings")["library"], json!(here.library.to_str().unwrap()));
    let name = admin.document("/services")["services"][0]["name"].as_str().unwrap().to_owned();
    assert!(!admin.document(&format!("/services/{name}")).to_string().contains("password"));

    for number in 3..5 {
        crate::support::http("DELETE", &format!("{}d/{number}.jpg", here.originals()), &[], b"");
    }
    let trash = here.run(&["trash", "list"]);
    assert_eq!(all(&admin, "/trash", "files"), *trash["files"].as_array().unwrap());
    let back = admin.post("/trash/restore", &json!({ "what": ["d/3.jpg"] }));
    assert_eq!(json_of(&back)["restored"][0]["path"], "d/3.jpg", "{}", back.text());
    assert_eq!(json_of(&admin.post("/trash/empty", &json!({ "older_than": 0 })))["removed"], 1);
    assert_eq!(problem(&admin.post("/trash/restore", &json!({ "what": [] }))).0, 400);
}
