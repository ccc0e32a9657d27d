//! The pages, as a browser asks for them: who may see what, in which language, and what keeps others out. What they look like and how they
//! behave is played in Chromium elsewhere.

mod account;
mod activity;
mod library;
mod public;
mod watching;
mod whole;

use std::io::Read as _;

use serde_json::json;

use crate::api::{Client, add_user};
use crate::support::{Answer, Node, PASSWORD, Sandbox, http};

/// Somebody who has signed in at the page.
#[track_caller]
pub fn signed_in(node: &Node, user: &str, password: &str) -> Client {
    let nobody = Client::of(node);
    let answer = nobody.form("/signin", &[("user", user), ("password", password)]);
    assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/library"), "{}", answer.text());
    let cookie = answer.headers["set-cookie"].split(';').next().unwrap().to_owned();
    let visitor = nobody.with("Cookie", &cookie);
    let token = token(&visitor.page("/settings/account"));
    visitor.with("X-CSRF-Token", &token).with("HX-Request", "true")
}

/// The token that a page carries for its changes.
#[track_caller]
pub fn token(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("X-CSRF-Token&quot;:&quot;").unwrap_or_else(|| panic!("no token: {text}"));
    rest.split_once('&').unwrap().0.to_owned()
}

#[test]
fn a_person_signs_in_and_out() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let nobody = Client::of(&node);
    for (path, next) in [
        ("/", "/library"),
        ("/settings/account", "/signin?next=settings/account"),
        ("/settings/users?a=b", "/signin?next=settings/users%3Fa%3Db"),
    ] {
        let answer = nobody.page(path);
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, next), "{path}");
    }
    // A part of a page takes the whole page there: the session has ended, and afterwards it goes on where somebody was.
    let part = nobody.with("HX-Request", "true");
    let (url, evil) = (format!("{}/settings/users?a=b", node.url()), "https://evil.example/library");
    for (page, next) in [(url.as_str(), "/signin?next=settings/users%3Fa%3Db&ended=on"), (evil, "/signin")] {
        let part = part.with("HX-Current-URL", page).page("/settings/users/list");
        assert_eq!((part.status, part.headers["hx-redirect"].as_str()), (200, next));
    }
    let ended = nobody.page("/signin?next=settings/users%3Fa%3Db&ended=on").text();
    assert!(ended.contains("Your session has ended.") && ended.contains("value=\"settings/users?a=b\""), "{ended}");
    assert!(!nobody.page("/signin").text().contains("session has ended"));

    let wrong = nobody.form("/signin", &[("user", "admin"), ("password", "wrong <b>"), ("next", "settings/account")]);
    assert_eq!(wrong.status, 422);
    let text = wrong.text();
    assert!(
        text.contains("User name or password is wrong.") && text.contains("value=\"admin\"") && text.contains("value=\"settings/account\""),
        "{text}"
    );
    assert!(!text.contains("wrong <b>") && !wrong.headers.contains_key("set-cookie"), "{text}");

    let right = nobody.form("/signin", &[("user", "admin"), ("password", PASSWORD), ("next", "settings/account")]);
    assert_eq!((right.status, right.headers["location"].as_str()), (303, "/settings/account"));
    let cookie = &right.headers["set-cookie"];
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"), "{cookie}");
    let visitor = nobody.with("Cookie", cookie.split(';').next().unwrap());
    let page = visitor.page("/settings/account");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Apps and devices"), "{}", page.text());
    // Whoever is in needs no form.
    assert_eq!(visitor.page("/signin?next=settings/users").headers["location"], "/settings/users");

    let out = visitor.with("X-CSRF-Token", &token(&page)).form("/signin/end", &[]);
    assert_eq!((out.status, out.headers["location"].as_str()), (303, "/signin"));
    assert!(out.headers["set-cookie"].contains("Max-Age=0"));
    assert_eq!(visitor.page("/settings/account").status, 303);
}

#[test]
fn pages_speak_the_language_that_is_wished_for() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let german = Client::of(&node).with("Accept-Language", "de-CH,de;q=0.9");
    let page = german.page("/signin").text();
    assert!(page.contains("<html lang=\"de\"") && page.contains("Nutzername"), "{page}");
    // What somebody chose counts more than what the browser says.
    let visitor = signed_in(&node, "admin", PASSWORD);
    let chosen = visitor.form("/settings/account/look", &[("language", "de"), ("theme", "dark")]);
    assert_eq!(chosen.headers["hx-redirect"], "/settings/account");
    let cookie = visitor.with("Accept-Language", "en").page("/settings/account").text();
    assert!(cookie.contains("Display"), "{cookie}");
    let page =
        Client::of(&node).with("Accept-Language", "en").with("Cookie", "twinlens_language=de; twinlens_theme=dark").page("/signin").text();
    assert!(page.contains("<html lang=\"de\" data-theme=\"dark\">"), "{page}");
    for (language, theme) in [("fr", "dark"), ("de", "pink")] {
        assert_eq!(visitor.form("/settings/account/look", &[("language", language), ("theme", theme)]).status, 422);
    }
    // Nonsense in a cookie changes nothing.
    let page = Client::of(&node).with("Cookie", "twinlens_language=\"><script>; twinlens_theme=x").page("/signin").text();
    assert!(page.contains("<html lang=\"en\" data-theme=\"system\">"), "{page}");
}

#[test]
fn app_passwords_are_made_shown_once_and_revoked() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let visitor = signed_in(&node, "admin", PASSWORD);
    let made = visitor.form("/settings/account/apps", &[("label", "Anna's <phone>")]).text();
    assert!(made.contains("Anna's &lt;phone&gt;") && !made.contains("<phone>"), "{made}");
    let password = made.split("data-copy=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(Client::of(&node).by_password("admin", password).get("/session").status, 200);
    assert!(!visitor.page("/settings/account").text().contains(password));
    let id = made.split("settings/account/apps/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    assert!(visitor.page(&format!("/settings/account/apps/{id}/revoke")).text().contains("Revoke"));
    let revoked = visitor.form(&format!("/settings/account/apps/{id}/revoke"), &[]);
    assert_eq!(revoked.status, 204);
    assert!(revoked.headers["hx-trigger"].contains("apps-changed"), "{:?}", revoked.headers);
    assert_eq!(Client::of(&node).by_password("admin", password).get("/session").status, 401);
    for label in ["", "x\u{1}"] {
        let refused = visitor.form("/settings/account/apps", &[("label", label)]);
        assert_eq!((refused.status, refused.headers["hx-retarget"].as_str()), (422, "#notices"), "{label}");
    }
}

#[test]
fn ones_own_password_is_changed_with_the_one_that_one_has() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let (visitor, other) = (signed_in(&node, "admin", PASSWORD), signed_in(&node, "admin", PASSWORD));
    let new = "another good password";
    let wrong = visitor.form("/settings/account/password", &[("current", "wrong"), ("password", new)]);
    assert!(wrong.status == 403 && wrong.text().contains("not your current password"), "{}", wrong.text());
    let short = visitor.form("/settings/account/password", &[("current", PASSWORD), ("password", "short")]);
    assert!(short.status == 422 && short.text().contains("at least 8 characters"), "{}", short.text());
    let changed = visitor.form("/settings/account/password", &[("current", PASSWORD), ("password", new)]);
    assert_eq!((changed.status, changed.headers["hx-redirect"].as_str()), (200, "/settings/account"));
    let cookie = changed.headers["set-cookie"].split(';').next().unwrap();
    assert_eq!(visitor.with("Cookie", cookie).page("/settings/account").status, 200);
    // Every other browser is out.
    assert_eq!(other.page("/settings/account").headers["hx-redirect"], "/signin?next=settings/account".split('?').next().unwrap());
    signed_in(&node, "admin", new);
}

#[test]
fn users_are_for_admins() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let admin = signed_in(&node, "admin", PASSWORD);
    let name = "anna <i> & co.";
    let anna = [("name", name), ("password", "password of anna"), ("role", "user"), ("folder", "Family/Anna"), ("add", "on")];
    let added = admin.form("/settings/users/add", &anna);
    assert_eq!(added.status, 204, "{}", added.text());
    assert!(added.headers["hx-trigger"].contains("users-changed"));
    let list = admin.page("/settings/users/list").text();
    assert!(list.contains("anna &lt;i&gt; &amp; co.") && list.contains("Family/Anna"), "{list}");
    let told = Client::admin(&node).document("/users");
    let of_anna = told["users"].as_array().unwrap().iter().find(|user| user["name"] == name).unwrap();
    assert_eq!(of_anna["originals"], json!({ "read": true, "add": true, "change": false, "delete": false }));
    // What cannot be used comes back with what was filled in, but without the password.
    let again = admin.form("/settings/users/add", &anna);
    assert_eq!(again.status, 409);
    assert!(again.text().contains("anna &lt;i&gt;") && !again.text().contains("password of anna"), "{}", again.text());
    let climbing = admin.form("/settings/users/add", &[("name", "b"), ("password", "password of b"), ("role", "user"), ("folder", "../x")]);
    assert!(climbing.status == 422 && climbing.text().contains("cannot be a folder"), "{}", climbing.text());

    let path = |what: &str| format!("/settings/users/of/anna%20%3Ci%3E%20%26%20co./{what}");
    assert_eq!(admin.form(&path("edit"), &[("role", "viewer"), ("folder", "Family")]).status, 204);
    assert_eq!(admin.form(&path("password"), &[("password", "new one of anna")]).status, 204);
    let anna = signed_in(&node, name, "new one of anna");
    for path in ["/settings/users", "/settings/users/list", "/settings/users/add"] {
        assert_eq!(anna.page(path).status, 403, "{path}");
    }
    assert_eq!(anna.form("/settings/users/add", &[("name", "c"), ("password", "password of c"), ("role", "admin")]).status, 403);
    assert_eq!(anna.form("/settings/users/of/admin/remove", &[]).status, 403);
    assert_eq!(admin.form(&path("remove"), &[]).status, 204);
    assert_eq!(anna.page("/settings/account").headers["hx-redirect"], "/signin");
    // Nobody is left to administer the node.
    assert_eq!(admin.form("/settings/users/of/admin/remove", &[]).status, 409);
    assert_eq!(admin.page("/settings/users/of/nobody/edit").status, 404);
}

#[test]
fn what_a_browser_is_told_of_every_page() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let visitor = signed_in(&node, "admin", PASSWORD).without("HX-Request");
    for page in [visitor.page("/settings/account"), visitor.page("/settings/nothing"), Client::of(&node).page("/signin")] {
        let policy = &page.headers["content-security-policy"];
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "frame-ancestors 'none'",
            "base-uri 'self'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!((page.headers["x-frame-options"].as_str(), page.headers["x-content-type-options"].as_str()), ("DENY", "nosniff"));
        assert_eq!(page.headers["cache-control"], "no-store");
        let text = page.text();
        // Nothing that the policy would have to allow.
        for inline in [" style=", "onclick", "javascript:", "hx-on", "<style"] {
            assert!(!text.contains(inline), "{inline}: {text}");
        }
        assert!(
            text.matches("<script").count()
                == text.matches("<script src=").count() + text.matches("<script type=\"application/json\"").count()
        );
        // Scripts and styles of a page together.
        let assets = text.split('"').filter(|part| part.starts_with("assets/") && !part.contains('#'));
        let bytes: usize = assets
            .map(|asset| {
                let answer = visitor.page(&format!("/{asset}"));
                assert_eq!(
                    (answer.status, answer.headers["cache-control"].as_str()),
                    (200, "public, max-age=31536000, immutable"),
                    "{asset}"
                );
                answer.body.len()
            })
            .sum();
        assert!((20_000..300_000).contains(&bytes), "{bytes}");
    }
    for path in ["/assets/x/nothing.js", "/assets/x/..%2fapp.css", "/settings/nothing", "/signin/x"] {
        assert_eq!(visitor.page(path).status, 404, "{path}");
    }
}

#[test]
fn what_is_long_is_sent_compressed_to_those_who_take_that() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for number in 0..50 {
        node.put(&format!("d/picture {number}.jpg"), &number.to_string());
    }
    node.serve();
    let page = http("GET", &format!("{}/library", node.url()), &[], b"").text();
    let style = page.split('"').find(|part| part.starts_with("assets/") && part.ends_with("app.css")).unwrap();
    for path in [style, "api/v1/library/grid?folder=d"] {
        let ask = |encodings: &str| http("GET", &format!("{}/{path}", node.url()), &[("Accept-Encoding", encodings)], b"");
        let [plain, refused, packed] = ["", "gzip;q=0, identity", "br, gzip"].map(ask);
        assert_eq!((plain.status, plain.headers.get("content-encoding"), &plain.body), (200, None, &refused.body), "{path}");
        assert_eq!(packed.headers.get("content-encoding").map(String::as_str), Some("gzip"), "{path}");
        assert!(packed.headers["vary"].eq_ignore_ascii_case("accept-encoding") && packed.body.len() < plain.body.len() / 2, "{path}");
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, plain.body, "{path}");
    }
}

#[test]
fn another_page_changes_nothing_through_somebodys_browser() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let visitor = signed_in(&node, "admin", PASSWORD);
    let anna = [("name", "anna"), ("password", "password of anna"), ("role", "admin")];
    // Without the token, with another one, from another origin.
    for evil in [
        visitor.without("X-CSRF-Token"),
        visitor.with("X-CSRF-Token", "AAAA"),
        visitor.with("Origin", "https://evil.example"),
        visitor.with("Sec-Fetch-Site", "cross-site"),
    ] {
        assert_eq!(evil.form("/settings/users/add", &anna).status, 403);
        assert_eq!(evil.form("/signin/end", &[]).status, 403);
    }
    // A GET changes nothing.
    assert_eq!(visitor.page("/settings/users/of/admin/remove").status, 200);
    assert_eq!(visitor.page("/signin/end").status, 405);
    assert_eq!(Client::admin(&node).document("/users")["users"].as_array().unwrap().len(), 1);
    // Signing somebody in at a page of others, as somebody else.
    let evil = Client::of(&node).with("Origin", "https://evil.example");
    assert_eq!(evil.form("/signin", &[("user", "admin"), ("password", PASSWORD)]).status, 403);
    // A session that was there before is not the one that goes on.
    let old = visitor.page("/settings/account");
    let again = visitor.without("X-CSRF-Token").form("/signin", &[("user", "admin"), ("password", PASSWORD)]);
    assert!(old.status == 200 && again.headers.contains_key("set-cookie"));
    assert_eq!(visitor.page("/settings/account").headers["hx-redirect"], "/signin");
}

#[test]
fn nobody_is_sent_to_another_site_by_an_address_of_ours() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    for next in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "library/../../x", "javascript:alert(1)", "library\r\nX-Evil: 1"]
    {
        let answer = Client::of(&node).form("/signin", &[("user", "admin"), ("password", PASSWORD), ("next", next)]);
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/library"), "{next}");
    }
    // Behind a proxy with a path everything stays below it.
    node.stop();
    node.serve_with(&["--trusted-proxy", "127.0.0.1", "--url-prefix", "/photos"]);
    let proxied = Client::of(&node).with("X-Forwarded-Proto", "https").with("X-Forwarded-Host", "photos.example.org");
    let answer = proxied.form("/photos/signin", &[("user", "admin"), ("password", PASSWORD), ("next", "settings/account")]);
    assert_eq!(answer.headers["location"], "/photos/settings/account");
    assert!(answer.headers["set-cookie"].contains("Path=/photos/;") && answer.headers["set-cookie"].contains("; Secure"));
    assert!(proxied.page("/photos/signin").text().contains("<base href=\"/photos/\">"));
}

#[test]
fn in_public_mode_pages_say_why_services_are_not_there() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(&["--public"]);
    let anybody = Client::of(&node).with("Accept-Language", "de");
    for path in ["/settings/users", "/settings/account", "/settings/users/add"] {
        let answer = anybody.page(path);
        assert!(answer.status == 403 && answer.text().contains("öffentlichen Modus"), "{path}: {}", answer.text());
    }
    let form = anybody.form("/signin", &[("user", "admin"), ("password", PASSWORD)]);
    assert_ne!(form.status, 303);
}

#[test]
fn a_viewer_sees_what_is_theirs() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    add_user(&node, "vera", json!({ "role": "viewer" }));
    let page = signed_in(&node, "vera", "a password of theirs").without("HX-Request").page("/settings/account").text();
    assert!(!page.contains("settings/users") && !page.contains("settings/services") && page.contains("settings/account"), "{page}");
}
