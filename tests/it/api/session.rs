//! Logging in, staying in, getting out; and pages of others that would like to.

use serde_json::json;

use super::{Client, add_user, fields, json_of, problem};
use crate::support::{PASSWORD, Sandbox};

#[test]
fn a_session_is_begun_used_and_ended() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let nobody = Client::of(&node);
    let refused = nobody.get("/session");
    assert_eq!(problem(&refused), (401, "login-needed".into()));
    assert!(refused.headers.contains_key("www-authenticate"));
    assert_eq!(problem(&nobody.post("/session", &json!({ "user": "admin", "password": "wrong" }))), (401, "wrong-login".into()));

    let begun = nobody.post("/session", &json!({ "user": "admin", "password": PASSWORD }));
    assert_eq!(begun.status, 200, "{}", begun.text());
    let cookie = &begun.headers["set-cookie"];
    for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=2592000"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    // In clear text a browser would keep a Secure cookie to itself.
    assert!(!cookie.contains("Secure"), "{cookie}");
    let me = json_of(&begun);
    assert_eq!((&me["user"], &me["role"]), (&json!("admin"), &json!("admin")));

    let session = nobody.with("Cookie", cookie.split(';').next().unwrap());
    assert_eq!(session.document("/session")["csrf_token"], me["csrf_token"]);
    // It survives a restart of the node.
    node.stop();
    node.serve();
    let session = Client { host: Client::of(&node).host, ..session };
    assert_eq!(session.document("/session")["user"], "admin");

    let with_token = session.with("X-CSRF-Token", me["csrf_token"].as_str().unwrap());
    let ended = with_token.delete("/session");
    assert_eq!(ended.status, 204);
    assert!(ended.headers["set-cookie"].contains("Max-Age=0"));
    assert_eq!(problem(&session.get("/session")).0, 401);
}

#[test]
fn the_cookie_of_a_client_that_came_by_https_is_secure_and_of_its_path() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(&["--trusted-proxy", "127.0.0.1", "--url-prefix", "/photos"]);
    let proxied = Client::of(&node).with("X-Forwarded-Proto", "https").with("X-Forwarded-Host", "photos.example.org");
    let answer = proxied.post("/session", &json!({ "user": "admin", "password": PASSWORD }));
    let cookie = &answer.headers["set-cookie"];
    assert!(cookie.contains("; Secure") && cookie.contains("; Path=/photos/;"), "{cookie}");
    // The origin that its pages have is that of the proxy.
    let ours = proxied.with("Origin", "https://photos.example.org");
    assert_eq!(ours.post("/session", &json!({ "user": "admin", "password": PASSWORD })).status, 200);
    let plain = proxied.with("Origin", "http://photos.example.org");
    assert_eq!(problem(&plain.post("/session", &json!({ "user": "admin", "password": PASSWORD }))), (403, "foreign-origin".into()));
    assert_eq!(json_of(&proxied.get("/openapi.json"))["servers"][0]["url"], "/photos");
}

#[test]
fn a_session_cannot_be_given_to_somebody() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    // The cookie that somebody else made is not the one that the login begins.
    let nobody = Client::of(&node);
    let first = nobody.by_session("admin", PASSWORD);
    let own = first.headers.iter().find(|(name, _)| name == "Cookie").unwrap().1.clone();
    let again = first.without("X-CSRF-Token").post("/session", &json!({ "user": "admin", "password": PASSWORD }));
    let cookie = again.headers["set-cookie"].split(';').next().unwrap();
    assert_ne!(cookie, own);
    // The one that it came with is over.
    assert_eq!(problem(&nobody.with("Cookie", &own).get("/session")).0, 401);
    assert_eq!(nobody.with("Cookie", cookie).get("/session").status, 200);
    // And one that nobody began is none.
    let name = own.split('=').next().unwrap();
    assert_eq!(problem(&nobody.with("Cookie", &format!("{name}={}", "A".repeat(43))).get("/session")).0, 401);
}

#[test]
fn a_page_of_others_changes_nothing() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let session = Client::of(&node).by_session("admin", PASSWORD);
    let paused = |client: &Client| client.post("/syncs/pause", &json!({}));
    assert_eq!(paused(&session).status, 200);
    let without = paused(&session.without("X-CSRF-Token"));
    assert_eq!((problem(&without), fields(&without)), ((403, "csrf".into()), vec!["X-CSRF-Token".into()]));
    assert_eq!(problem(&paused(&session.with("X-CSRF-Token", "wrong"))), (403, "csrf".into()));
    // The token of another session is not this one's.
    let other = Client::of(&node).by_session("admin", PASSWORD);
    let token = other.headers.iter().find(|(name, _)| name == "X-CSRF-Token").unwrap().1.clone();
    assert_eq!(problem(&paused(&session.with("X-CSRF-Token", &token))), (403, "csrf".into()));
    let origin = format!("http://{}", session.host);
    assert_eq!(paused(&session.with("Origin", &origin).with("Sec-Fetch-Site", "same-origin")).status, 200);
    for (name, value) in
        [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
    {
        assert_eq!(problem(&paused(&session.with(name, value))), (403, "foreign-origin".into()), "{name}: {value}");
        // A browser sends passwords that it remembers along as well.
        assert_eq!(problem(&paused(&Client::admin(&node).with(name, value))), (403, "foreign-origin".into()), "{name}: {value}");
    }
    // Nobody is logged in by a page of others, and no page may read an answer.
    let login = json!({ "user": "admin", "password": PASSWORD });
    assert_eq!(problem(&Client::of(&node).with("Origin", "https://evil.example").post("/session", &login)).0, 403);
    let read = session.with("Origin", "https://evil.example").get("/session");
    assert!(!read.headers.contains_key("access-control-allow-origin"), "{read:?}");
    // A browser that asks for a page's sake is not told to open its own box for passwords.
    let challenge = &Client::of(&node).with("Sec-Fetch-Mode", "cors").get("/session").headers["www-authenticate"];
    assert!(!challenge.contains("Basic"), "{challenge}");
}

#[test]
fn a_session_ends_with_the_password_and_with_the_user() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    add_user(&node, "anna", json!({}));
    add_user(&node, "bert", json!({}));
    let nobody = Client::of(&node);
    let [anna, elsewhere] = [(); 2].map(|()| nobody.by_session("anna", "a password of theirs"));
    let bert = nobody.by_session("bert", "a password of theirs");
    let change = |client: &Client, body| client.change("PUT", "/users/anna/password", &body);
    let without = change(&anna, json!({ "password": "another password" }));
    assert_eq!((problem(&without), fields(&without)), ((403, "wrong-current".into()), vec!["current".into()]));
    let wrong = change(&anna, json!({ "password": "another password", "current": "not it, really" }));
    assert_eq!((problem(&wrong), fields(&wrong)), ((403, "wrong-current".into()), vec!["current".into()]));
    assert_eq!(
        problem(&change(&bert, json!({ "password": "another password", "current": "a password of theirs" }))),
        (403, "no-right".into())
    );
    let changed = change(&anna, json!({ "password": "another password", "current": "a password of theirs" }));
    assert_eq!(changed.status, 200, "{}", changed.text());
    // Who changed it goes on with a new session; all others are over.
    let new = anna.with("Cookie", changed.headers["set-cookie"].split(';').next().unwrap());
    assert_eq!(new.document("/session")["user"], "anna");
    assert_eq!((anna.get("/session").status, elsewhere.get("/session").status), (401, 401));
    node.run(&["user", "remove", "bert"]);
    assert_eq!(bert.get("/session").status, 401);
}

#[test]
fn programs_come_with_an_app_password() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let anna = add_user(&node, "anna", json!({}));
    let made = anna.post("/users/anna/app-passwords", &json!({ "label": "Phone" }));
    assert_eq!(made.status, 201, "{}", made.text());
    let (id, password) = (json_of(&made)["id"].as_str().unwrap().to_owned(), json_of(&made)["password"].as_str().unwrap().to_owned());
    let phone = Client::of(&node).with("Authorization", &format!("Bearer {password}"));
    let me = phone.document("/session");
    assert_eq!((&me["user"], &me["app_password"]), (&json!("anna"), &json!(id)));
    let listed = phone.document("/users/anna/app-passwords");
    assert_eq!(listed["app_passwords"][0]["label"], "Phone");
    assert!(!listed.to_string().contains(&password));
    // It does not change the password of its user.
    let change = phone.change("PUT", "/users/anna/password", &json!({ "password": "taken over", "current": password }));
    assert_eq!(problem(&change), (403, "wrong-current".into()));
    // Nor does it leave anything behind that would still let somebody in when it is taken back.
    let session = Client::of(&node).by_session("anna", &password);
    for client in [&phone, &session] {
        let another = client.post("/users/anna/app-passwords", &json!({ "label": "Another" }));
        assert_eq!(problem(&another), (403, "own-password-needed".into()));
    }
    let admins = json_of(&Client::admin(&node).post("/users/admin/app-passwords", &json!({ "label": "Phone" })));
    let phone_of_admin = Client::of(&node).with("Authorization", &format!("Bearer {}", admins["password"].as_str().unwrap()));
    for (method, path, body) in [
        ("POST", "/users", json!({ "name": "eve", "password": "a password of hers", "role": "admin" })),
        ("PATCH", "/users/anna", json!({ "role": "admin" })),
        ("PUT", "/users/anna/password", json!({ "password": "taken over" })),
        ("POST", "/users/anna/app-passwords", json!({ "label": "Another" })),
        ("POST", "/service-export", json!({ "passphrase": "a long passphrase" })),
    ] {
        assert_eq!(problem(&phone_of_admin.change(method, path, &body)), (403, "own-password-needed".into()), "{method} {path}");
    }
    assert_eq!(phone_of_admin.document("/users")["users"].as_array().unwrap().len(), 2);
    assert_eq!(json_of(&anna.delete(&format!("/users/anna/app-passwords/{id}")))["revoked"], id);
    assert_eq!((phone.get("/session").status, session.get("/session").status), (401, 401));
    // Guesses are slowed down as everywhere.
    let guess = || problem(&phone.get("/session")).0;
    assert!((0..8).any(|_| guess() == 429));
    assert_eq!(anna.get("/session").status, 200);
}
