//! Bad input: refused in one form, the part named, nothing changed.

use serde_json::{Value, json};

use super::{Client, add_user, fields, json_of, problem};
use crate::support::{Answer, Sandbox};

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, named: &[&str]) {
    assert_eq!(
        (problem(answer), fields(answer)),
        ((status, code.to_owned()), named.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()),
        "{}",
        answer.text()
    );
}

#[test]
fn what_cannot_be_used_is_named_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    let before = (admin.document("/users"), admin.document("/services"));
    let user = |change: Value| {
        let mut user = json!({ "name": "anna", "password": "long enough", "role": "user" });
        user.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        admin.post("/users", &user)
    };
    assert_refused(&admin.post("/users", &json!({ "password": "long enough", "role": "user" })), 400, "bad-request", &["name"]);
    assert_refused(&user(json!({ "name": 1 })), 400, "bad-request", &["name"]);
    assert_refused(&user(json!({ "role": "king" })), 400, "bad-request", &["role"]);
    assert_refused(&user(json!({ "more": 1 })), 400, "bad-request", &["more"]);
    assert_refused(&user(json!({ "folder": "../up" })), 400, "bad-request", &["folder"]);
    assert_refused(&user(json!({ "originals": { "read": true } })), 400, "bad-request", &["originals.add"]);
    assert_refused(&user(json!({ "name": "a/b" })), 422, "bad-input", &["name"]);
    assert_refused(&user(json!({ "name": "x".repeat(65) })), 422, "bad-input", &["name"]);
    assert_refused(&user(json!({ "password": "short" })), 422, "bad-input", &["password"]);
    assert_refused(&user(json!({ "folder": ".twinlens/x" })), 422, "bad-input", &["folder"]);
    assert_refused(&user(json!({ "name": "admin" })), 409, "taken", &["name"]);
    assert_refused(&admin.delete("/users/admin"), 409, "wrong-state", &[]);
    assert_refused(&admin.delete("/users/nobody"), 404, "not-found", &[]);

    let service = |change: Value| {
        let mut service = json!({ "name": "svc", "url": "http://127.0.0.1:9/", "user": "u", "password": "p" });
        service.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        admin.post("/services", &service)
    };
    assert_refused(&service(json!({})), 422, "service-unreachable", &["url"]);
    assert_refused(&service(json!({ "url": "gopher://x" })), 422, "bad-input", &["url"]);
    assert_refused(&service(json!({ "fingerprint": "xyz" })), 400, "bad-request", &["fingerprint"]);
    assert_refused(&admin.get("/services/none"), 404, "not-found", &[]);
    assert_refused(&admin.change("PATCH", "/services/none/sync", &json!({ "rate": 5 })), 400, "bad-request", &["rate"]);
    assert_refused(&admin.change("PATCH", "/services/none/sync", &json!({ "window": "25:00" })), 400, "bad-request", &["window"]);
    assert_refused(
        &admin.change("PATCH", "/services/none/sync", &json!({ "interval_minutes": -1 })),
        400,
        "bad-request",
        &["interval_minutes"],
    );
    assert_refused(&admin.post("/syncs", &json!({ "names": ["none"] })), 404, "not-found", &[]);
    assert_refused(&admin.post("/syncs", &json!({})), 409, "wrong-state", &[]);
    assert_refused(&admin.get("/runs/7"), 404, "not-found", &[]);
    assert_refused(&admin.get("/runs/seven"), 404, "nothing-here", &[]);
    for (query, field) in [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("cursor=x", "cursor"), ("page=2", "page")]
    {
        let answer = admin.get(&format!("/trash?{query}"));
        assert_eq!((answer.status, fields(&answer)), (400, vec![field.to_owned()]), "{query}: {}", answer.text());
    }
    assert_eq!(problem(&admin.get("/trash?%ff=1")), (400, "bad-query".into()));
    assert_eq!((admin.document("/users"), admin.document("/services")), before);
}

#[test]
fn a_body_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    let send = |body: &[u8]| admin.with("Content-Type", "application/json").ask("POST", "/users", body);
    for body in [&b"{"[..], b"[]", b"null", b"\xff", b"{\"name\":\"\xff\"}", b" "] {
        assert_eq!(problem(&send(body)), (400, "bad-body".into()), "{body:?}");
    }
    assert_eq!(problem(&send("[".repeat(100_000).as_bytes())), (400, "bad-body".into()));
    assert_eq!(problem(&send("{\"originals\":".repeat(50_000).as_bytes())).0, 400);
    assert_eq!(problem(&send(format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20)).as_bytes())), (413, "too-large".into()));
    let plain = admin.with("Content-Type", "text/plain").ask("POST", "/users", b"{}");
    assert_eq!(problem(&plain), (415, "not-json".into()));
    // A page of others can send a form without asking first, but no JSON.
    let form = admin.with("Content-Type", "application/x-www-form-urlencoded").ask("POST", "/syncs/pause", b"name=x");
    assert_eq!(problem(&form), (415, "not-json".into()));
}

#[test]
fn unknown_places_and_methods_say_what_there_is() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = Client::admin(&node);
    for path in ["", "/", "/nothing", "/users/", "/users/a/b/c"] {
        assert_eq!(problem(&admin.get(path)), (404, "nothing-here".into()), "{path}");
    }
    let answer = admin.ask("DELETE", "/users", b"");
    assert_eq!(problem(&answer), (405, "wrong-method".into()));
    let mut allowed: Vec<_> = answer.headers["allow"].split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    assert_eq!(admin.ask("HEAD", "/users", b"").status, 200);
}

#[test]
fn the_front_refuses_in_the_same_form() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(&["--max-upload", "1000"]);
    let admin = Client::admin(&node);
    let large = admin.with("Content-Type", "application/json").ask("POST", "/users", &[b' '; 2000]);
    assert_eq!(problem(&large), (413, "too-large".into()));
    assert_eq!(problem(&admin.get(&format!("/library?folder={}", "x".repeat(20_000)))), (414, "url-too-long".into()));
}

#[test]
fn what_belongs_to_others_is_neither_shown_nor_told() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("anna/a.jpg", "hers");
    node.put("private.jpg", "not hers");
    node.serve();
    node.run(&["index"]);
    let anna =
        add_user(&node, "anna", json!({ "folder": "anna", "originals": { "read": true, "add": true, "change": false, "delete": false } }));
    let vera = add_user(&node, "vera", json!({ "role": "viewer" }));
    let nobody = Client::of(&node);
    let admins = [
        "/users",
        "/users/admin",
        "/users/nobody",
        "/users/vera/app-passwords",
        "/users/nobody/app-passwords",
        "/services",
        "/services/x",
        "/runs",
        "/runs/1",
        "/runs/1/skipped",
        "/services/x/preview",
        "/conflicts/remote",
        "/failures",
        "/transfers",
        "/trash",
        "/conflicts",
        "/tombstones",
        "/index",
        "/settings",
        "/events",
    ];
    for path in admins {
        // Whether there is such a thing makes no difference.
        assert_eq!(problem(&anna.get(path)), (403, "no-right".into()), "{path}");
        assert_eq!(problem(&nobody.get(path)), (401, "login-needed".into()), "{path}");
    }
    for path in [
        "/syncs",
        "/syncs/pause",
        "/syncs/cancel",
        "/trash/empty",
        "/trash/restore",
        "/index",
        "/index/verify",
        "/backup",
        "/users",
        "/failures/retry",
        "/services/x/preview",
    ] {
        assert_eq!(problem(&anna.post(path, &json!({}))), (403, "no-right".into()), "{path}");
        assert_eq!(problem(&nobody.post(path, &json!({}))), (401, "login-needed".into()), "{path}");
    }
    for user in ["vera", "nobody"] {
        let made = anna.post(&format!("/users/{user}/app-passwords"), &json!({ "label": "x" }));
        assert_eq!(problem(&made), (403, "no-right".into()), "{user}");
    }
    assert_eq!(problem(&Client::admin(&node).post("/backup", &json!({ "to": "/tmp/x.tar" }))), (403, "no-right".into()));

    assert_eq!(anna.document("/users/anna")["folder"], "anna");
    assert_eq!((anna.document("/status")["files"].clone(), anna.document("/status")["library"].clone()), (json!(1), Value::Null));
    let listed = anna.document("/library");
    assert_eq!((listed["entries"].as_array().unwrap().len(), &listed["entries"][0]["path"]), (1, &json!("a.jpg")));
    for path in [
        "/library?folder=../",
        "/library?folder=..",
        "/library?folder=a/../../",
        "/library/file?path=../private.jpg",
        "/library/file?path=%2e%2e/private.jpg",
        "/library/file?path=a%00b",
        "/library/file?path=a%5cb",
    ] {
        assert_eq!(anna.get(path).status, 400, "{path}");
    }
    for path in
        ["/library?folder=.twinlens", "/library?folder=anna", "/library/file?path=private.jpg", "/library/file?path=.twinlens/library.toml"]
    {
        assert_eq!(problem(&anna.get(path)), (404, "not-found".into()), "{path}");
    }
    assert_eq!(problem(&Client::admin(&node).get("/library?folder=.twinlens/trash")).0, 404);
    assert_eq!(problem(&vera.ask("PUT", "/library/file?path=v.jpg", b"x")), (403, "no-right".into()));
    assert_eq!(anna.ask("PUT", "/library/file?path=b.jpg", b"x").status, 201);
    assert_eq!(std::fs::read(node.library.join("anna/b.jpg")).unwrap(), b"x");
}

#[test]
fn in_public_mode_there_are_no_users_services_and_secrets() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "for everybody");
    node.serve();
    add_user(&node, "anna", json!({}));
    let session = Client::of(&node).by_session("anna", "a password of theirs");
    node.stop();
    node.serve_with(&["--public"]);
    node.run(&["index"]);
    let here = Client::of(&node);
    for client in [here.clone(), Client::admin(&node), Client { host: here.host.clone(), ..session }] {
        for path in ["/session", "/users", "/users/admin", "/services", "/runs", "/trash", "/settings", "/events"] {
            let answer = client.get(path);
            assert_eq!(problem(&answer), (403, "public-mode".into()), "{path}");
            assert!(json_of(&answer)["detail"].as_str().unwrap().contains("public mode"));
        }
        for path in ["/users", "/services", "/syncs", "/syncs/pause", "/trash/empty", "/index", "/known", "/session"] {
            assert_eq!(
                problem(&client.post(path, &json!({ "user": "anna", "password": "a password of theirs" }))),
                (403, "public-mode".into()),
                "{path}"
            );
        }
        assert_eq!(problem(&client.ask("PUT", "/library/file?path=b.jpg", b"x")), (403, "public-mode".into()));
        assert_eq!(client.document("/library")["entries"][0]["name"], "a.jpg");
        assert_eq!(client.get("/library/file?path=a.jpg").text(), "for everybody");
        assert_eq!(problem(&client.get("/library/thumbnail?path=a.jpg")), (422, "no-rendition".into()));
        let status = client.document("/status");
        assert_eq!((&status["public"], &status["files"], &status["services"]), (&json!(true), &json!(1), &json!([])));
        assert_eq!(client.get("/openapi.json").status, 200);
    }
}
