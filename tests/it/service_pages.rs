//! Settings > Services, as a browser asks for it. How it looks and behaves is played in Chromium, in [`seen`].

mod hostile;
mod seen;

use serde_json::{Value, json};

use crate::api::{Client, add_user, json_of};
use crate::browser::grant;
use crate::pages::signed_in;
use crate::support::{Answer, Node, PASSWORD, Sandbox, eventually};

const AT: &str = "/settings/services";

/// Two nodes that serve; nothing joins them yet.
fn two(sandbox: &Sandbox) -> (Node, Node) {
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.put("Trips/2025/a.jpg", "a");
    peer.put("Trips/b.jpg", "bb");
    node.put("mine.jpg", "mine");
    node.serve();
    peer.serve();
    (node, peer)
}

fn services(node: &Node) -> Vec<Value> {
    Client::admin(node).document("/services")["services"].as_array().unwrap().clone()
}

fn service(node: &Node) -> Value {
    services(node).into_iter().next().unwrap()
}

/// The address in an attribute of the first element that has it; none when none has.
fn address(answer: &Answer, attribute: &str) -> Option<String> {
    let text = answer.text();
    let value = text.split_once(&format!(" {attribute}=\""))?.1.split('"').next()?.replace("&amp;", "&");
    Some(format!("/{value}"))
}

/// Asks again as a page does, until nothing is left to be asked for.
#[track_caller]
fn watched(visitor: &Client, begun: Answer) -> Answer {
    let mut answer = begun;
    eventually("the end of what goes on", || {
        if !answer.text().contains("data-stop=") {
            return true;
        }
        answer = visitor.page(&address(&answer, "hx-get").unwrap());
        false
    });
    answer
}

/// The text of a part that was sent with this status.
#[track_caller]
fn told(answer: &Answer, status: u16) -> String {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    text
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn a_service_is_connected_and_examined_while_one_looks_on() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let page = told(&visitor.without("HX-Request").page(AT), 200);
    assert_says(&page, &["No services yet", "A service is another place for your pictures"]);
    let form = format!("{AT}/connect");
    assert_says(&told(&visitor.page(&form), 200), &["name=\"url\"", "type=\"password\"", "Connect with the browser"]);

    // What cannot be an address is said at once.
    let answer = visitor.form(&form, &[("url", "ftp://x")]);
    assert_says(&told(&answer, 422), &["data-wrong=\"url\"", "This is no web address"]);
    // Nothing listens: how far one comes.
    let nowhere = watched(&visitor, visitor.form(&form, &[("url", "127.0.0.1:1")]));
    assert_says(
        &told(&nowhere, 200),
        &["Nothing answers at this address", "The host&#39;s name is known".replace("&#39;", "'").as_str(), "<li class=\"failed\">"],
    );
    let host = peer.url().replace("http://", "");
    let wrong = [("url", host.as_str()), ("user", "admin"), ("password", "wrong password here")];
    let refused = told(&watched(&visitor, visitor.form(&form, &wrong)), 200);
    assert_says(&refused, &["does not accept this user name and password", "data-wrong=\"password\"", "It speaks HTTP"]);
    assert!(!refused.contains("wrong password here"), "{refused}");
    assert!(services(&node).is_empty());

    let right = [("url", host.as_str()), ("user", "admin"), ("password", PASSWORD)];
    let found = watched(&visitor, visitor.form(&form, &right));
    // The search ended in the dialog, and an examination goes on in it, which `watched` has followed.
    let checks = told(&found, 200);
    assert_says(&checks, &["Everything is well.", "Free space", "checks were not made", "aria-busy=\"false\""]);
    assert_eq!(service(&node)["name"], "127.0.0.1");
    assert_says(&told(&visitor.page(&format!("{AT}/list")), 200), &["Twinlens", "Not synced yet", "127.0.0.1"]);
    // A second one at the same host has a name too.
    watched(&visitor, visitor.form(&form, &right));
    assert_eq!(services(&node)[1]["name"], "127.0.0.1 2");
    let taken = [right[0], right[1], right[2], ("name", "127.0.0.1")];
    assert_says(&told(&visitor.form(&form, &taken), 422), &["There is a service of this name already", "data-wrong=\"name\""]);

    let test = visitor.form(&format!("{AT}/test?name=127.0.0.1"), &[]);
    assert_says(&told(&test, 200), &["Test the connection to 127.0.0.1", "data-stop="]);
    let read = told(&watched(&visitor, test), 200);
    assert_says(&read, &["Everything is well.", "Nothing is uploaded to this service yet", "write=on"]);
    assert!(!read.contains("Arrival can be proven</summary>") && !read.contains("--write"), "{read}");
    // Whoever wants to know more has it tried by writing, and there is nothing of it afterwards.
    let written = visitor.form(&format!("{AT}/test?name=127.0.0.1&write=on"), &[]);
    let written = told(&watched(&visitor, written), 200);
    assert_says(&written, &["Everything is well.", "Arrival can be proven</summary>"]);
    assert!(!written.contains("write=on") && peer.files().len() == 2, "{written}");
}

#[test]
fn what_was_found_is_told_once() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let form = [("url", peer.url()), ("user", "admin".into()), ("password", PASSWORD.into()), ("name", "Attic".into())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let begun = visitor.form(&format!("{AT}/connect"), &form);
    let ask = address(&begun, "hx-get").unwrap();
    let mut found = visitor.page(&ask);
    eventually("the service to be found", || {
        found = visitor.page(&ask);
        found.headers.contains_key("hx-retarget")
    });
    assert_eq!((found.headers["hx-retarget"].as_str(), found.headers["hx-reswap"].as_str()), ("#dialog", "innerHTML"));
    assert!(found.headers["hx-trigger"].contains("services-changed"));
    assert_says(&told(&found, 200), &["“Attic” is connected.", "1 folder found", "Trips", "Set up sync", "not encrypted"]);
}

#[test]
fn who_looks_away_stops_what_goes_on() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let visitor = signed_in(&node, "admin", PASSWORD);
    let begun = visitor.form(&format!("{AT}/connect"), &[("url", &url), ("name", "silent")]);
    assert_says(&told(&begun, 200), &["Looking for the service", "data-stop="]);
    assert_eq!(visitor.form(&address(&begun, "data-stop").unwrap(), &[]).status, 204);
    assert_says(&told(&visitor.page(&address(&begun, "hx-get").unwrap()), 200), &["Stopped. Nothing was changed."]);
    assert!(services(&node).is_empty());
    assert_eq!(visitor.page(&format!("{AT}/attempt?token=nonsense")).status, 404);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_looked_at() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    node.serve();
    peer.serve_with(&["--tls-self-signed"]);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let url = peer.url();
    let form = [("url", url.as_str()), ("user", "admin"), ("password", PASSWORD), ("name", "secure")];
    let shown = told(&watched(&visitor, visitor.form(&format!("{AT}/connect"), &form)), 200);
    assert_says(&shown, &["certificate is not trusted", &peer.fingerprint(), "name=\"fingerprint\""]);
    assert!(services(&node).is_empty());
    let fingerprint = peer.fingerprint();
    let trusting = [&form[..], &[("fingerprint", fingerprint.as_str())]].concat();
    watched(&visitor, visitor.form(&format!("{AT}/connect"), &trusting));
    assert_eq!(service(&node)["fingerprint"], fingerprint);
    // Another host through public networks, without encryption: only when its owner says so.
    let plain = [("url", "http://192.0.2.1/"), ("user", "a"), ("password", "b"), ("name", "plain")];
    let asked = told(&watched(&visitor, visitor.form(&format!("{AT}/connect"), &plain)), 200);
    assert_says(&asked, &["not encrypted, so the password was not sent", "name=\"allow_http\""]);
}

#[test]
fn a_browser_at_the_other_end_grants_a_login() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let url = peer.url();
    let begun = visitor.form(&format!("{AT}/login"), &[("url", &url), ("name", "Attic")]);
    let text = told(&begun, 200);
    assert_says(&text, &["target=\"_blank\"", "rel=\"noopener noreferrer\"", "Waiting until you have signed in there"]);
    let poll = address(&begun, "hx-post").unwrap();
    assert_says(&told(&visitor.form(&poll, &[]), 200), &["Waiting until"]);
    grant(&text.split_once("href=\"").unwrap().1.split('"').next().unwrap().replace("&amp;", "&"));
    let found = visitor.form(&poll, &[]);
    assert_eq!(found.headers["hx-retarget"], "#dialog");
    assert_says(&told(&found, 200), &["“Attic” is connected."]);
    // Again, for the service that is there; given up this time.
    let again = visitor.form(&format!("{AT}/login"), &[("again", "Attic"), ("name", "Other"), ("url", "x")]);
    let stop = address(&again, "data-stop").unwrap();
    assert_eq!(visitor.form(&stop, &[]).status, 204);
    assert_says(&told(&visitor.form(&address(&again, "hx-post").unwrap(), &[]), 422), &["begin it again"]);
}

#[test]
fn an_edit_that_breaks_the_connection_is_kept_or_taken_back() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    node.connect("Attic", &peer.originals(), &["--off"]);
    let visitor = signed_in(&node, "admin", PASSWORD);
    let edit = format!("{AT}/edit?name=Attic");
    assert_says(&told(&visitor.page(&edit), 200), &["Empty keeps the present one.", "Time-out", "Retry limit", "value=\"Attic\""]);
    let url = peer.originals();
    let good =
        [("name", "Attic"), ("url", url.as_str()), ("user", "admin"), ("kind", "twinlens"), ("timeout", "default"), ("retries", "3")];
    let with = |changed: (&'static str, &'static str)| {
        let mut all: Vec<(&str, &str)> = good.into_iter().filter(|(name, _)| *name != changed.0).collect();
        all.push(changed);
        all
    };
    let before = service(&node);
    for (field, value, words) in [
        ("retries", "21", "Between 0 and 20."),
        ("retries", "many", "Between 0 and 20."),
        ("name", "a/b", "A name has 1 to 64 characters"),
        ("url", "ftp://x", "This is no web address"),
        ("url", "http://127.0.0.2:1/", "Another server gets the password only if you fill it in again."),
        ("password", "not the password", "does not accept this user name and password"),
    ] {
        let text = told(&visitor.form(&edit, &with((field, value))), 422);
        assert_says(&text, &[words]);
        assert_eq!(service(&node), before, "{field}={value}");
    }
    let mut broken = with(("url", "http://127.0.0.1:1/"));
    assert_says(&told(&visitor.form(&edit, &broken), 422), &["Nothing answers", "Save anyway", "Nothing was changed."]);
    assert_eq!(service(&node), before);
    broken.push(("keep", "on"));
    let kept = visitor.form(&edit, &broken);
    assert_says(&told(&kept, 200), &["was saved, but cannot be reached", "Undo"]);
    assert_eq!(service(&node)["url"], "http://127.0.0.1:1/");
    assert_eq!(visitor.form(&address(&kept, "hx-post").unwrap(), &[]).status, 204);
    assert_eq!(service(&node)["url"], before["url"]);
    // What works is saved; another name is no reason to try anything.
    let mut renamed = with(("name", "Dachboden"));
    renamed.retain(|(name, _)| *name != "timeout");
    renamed.push(("timeout", "high"));
    assert_eq!(visitor.form(&edit, &renamed).status, 204);
    assert_eq!((service(&node)["name"].as_str(), service(&node)["timeout"].as_str()), (Some("Dachboden"), Some("high")));
    assert_eq!(visitor.page(&edit).status, 404);
}

#[test]
fn sync_is_set_up_previewed_and_started() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    assert!(node.add_service("Attic", &peer.originals()).status.success());
    let visitor = signed_in(&node, "admin", PASSWORD);
    let sync = format!("{AT}/sync?name=Attic");
    assert_says(&told(&visitor.page(&sync), 200), &["form=\"sync-form\"", "Keep names", "When a file was deleted on one side"]);
    let good =
        [("folder", "/Trips"), ("interval", "360"), ("download", "on"), ("keep_names", "on"), ("deletes", "ignore"), ("verify", "auto")];
    let with = |field: &'static str, value: &'static str| {
        let mut all: Vec<(&str, &str)> = good.into_iter().filter(|(name, _)| *name != field).collect();
        all.push((field, value));
        all
    };
    let before = service(&node);
    for (field, value, words) in [
        ("folder", "a//b", "This cannot be a folder"),
        ("folder", "../x", "This cannot be a folder"),
        ("interval", "other", "Between 1 and 10080 minutes"),
        ("interval", "10081", "Between 1 and 10080 minutes"),
        ("rate", "fast", "Write it like 500K"),
        ("window", "22", "Write it like 22:00-06:00"),
        ("exclude", "a/[z-a]", "One of these patterns cannot be understood"),
    ] {
        let text = told(&visitor.form(&sync, &[&with(field, value)[..], &[("on", "on")]].concat()), 422);
        assert_says(&text, &[words]);
        // What was filled in is still there.
        assert_says(&text, &[&format!("value=\"{}\"", if field == "folder" { value } else { "/Trips" })]);
        assert_eq!(service(&node), before, "{field}={value}");
    }
    let neither: Vec<_> = good.into_iter().filter(|(name, _)| *name != "download").chain([("on", "on")]).collect();
    assert_says(&told(&visitor.form(&sync, &neither), 422), &["With neither download nor upload there is nothing to sync"]);

    // A preview comes before anything is switched on.
    let previewed = visitor.form(&sync, &[&good[..], &[("on", "on"), ("then", "preview"), ("exclude", "*.tmp\n\n /Private/ ")]].concat());
    assert_eq!(previewed.headers["hx-retarget"], "#dialog");
    let set = service(&node)["sync"].clone();
    assert_eq!((&set["on"], &set["folder"], &set["interval_minutes"]), (&json!(false), &json!("Trips"), &json!(360)));
    assert_eq!(set["exclude"], json!(["*.tmp", "/Private/"]));
    assert_eq!(set["trust"], "samples");
    let plan = watched(&visitor, previewed);
    assert_says(&told(&plan, 200), &["2 changes", "Download", "2025/a.jpg", "Stay here: upload is off", "Start sync now"]);
    assert!(node.files().len() == 1, "{:?}", node.files());

    let start = plan
        .text()
        .split("hx-post=\"")
        .find(|part| part.contains("services/start"))
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&");
    assert_eq!(visitor.form(&format!("/{start}"), &[]).status, 204);
    eventually("the files to arrive", || node.files().len() == 3);
    eventually("the table to tell it", || visitor.page(&format!("{AT}/list")).text().contains("2 downloaded"));
    assert_eq!(service(&node)["sync"]["on"], true);
    assert_eq!(Client::admin(&node).document("/runs")["runs"].as_array().unwrap().len(), 1);
    // What is here only stays: the sides are not the same, and nobody says so.
    let again = watched(&visitor, visitor.form(&format!("{AT}/preview?name=Attic"), &[]));
    assert_says(&told(&again, 200), &["Nothing to transfer.", "Stay here: upload is off", "mine.jpg"]);
    // As it was until something is said of it; then as it is said.
    assert_eq!(visitor.form(&sync, &[&good[..], &[("on", "on"), ("upload", "on"), ("trust", "full")]].concat()).status, 204);
    assert_eq!(visitor.form(&sync, &[&good[..], &[("on", "on"), ("upload", "on")]].concat()).status, 204);
    assert_eq!(service(&node)["sync"]["trust"], "full");
    assert_says(&told(&visitor.page(&sync), 200), &["name=\"trust\" value=\"full\" checked", "<details class=\"own more-options\" open>"]);
    assert_eq!(visitor.form(&format!("{AT}/start?name=Attic"), &[]).status, 204);
    eventually("both sides to be the same", || peer.files().len() == 3);
    eventually("a preview without anything left", || {
        let again = watched(&visitor, visitor.form(&format!("{AT}/preview?name=Attic"), &[]));
        told(&again, 200).contains("Nothing to do: both sides are the same.")
    });
    // Paused and resumed from the table.
    assert_eq!(visitor.form("/activity/pause", &[("service", "Attic")]).status, 204);
    assert_says(&told(&visitor.page(&format!("{AT}/list")), 200), &["Paused", "Resume the sync with Attic"]);
    assert_eq!(visitor.form("/activity/resume", &[("service", "Attic")]).status, 204);
    let list = told(&visitor.page(&format!("{AT}/list")), 200);
    assert!(list.contains("Pause the sync with Attic") && !list.contains("Paused"), "{list}");
    assert_eq!(visitor.form("/activity/pause", &[("service", "nobody")]).status, 404);
    // Why it failed is in the table.
    drop(peer);
    assert_eq!(visitor.form(&format!("{AT}/start?name=Attic"), &[]).status, 204);
    eventually("the table to tell that it failed", || visitor.page(&format!("{AT}/list")).text().contains("Not reachable"));
    assert_says(&visitor.page(&format!("{AT}/list")).text(), &["The service was not reachable. Check that it runs and its address."]);
}

#[test]
fn folders_are_chosen_one_level_at_a_time_and_made() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    assert!(node.add_service("Attic", &peer.originals()).status.success());
    let visitor = signed_in(&node, "admin", PASSWORD);
    let folders = |path: &str| visitor.page(&format!("{AT}/folders?name=Attic{path}"));
    let whole = told(&folders("&whole=on"), 200);
    assert_says(&whole, &["role=\"tree\"", "data-path=\"Trips\"", "data-make="]);
    assert!(!whole.contains("2025"), "{whole}");
    let level = told(&folders("&path=Trips"), 200);
    assert!(level.contains("data-path=\"Trips/2025\"") && !level.contains("role=\"tree\""), "{level}");
    let make = |parent: &str, folder: &str| visitor.form(&format!("{AT}/folders?name=Attic"), &[("parent", parent), ("folder", folder)]);
    assert_says(&told(&make("Trips", "2026 & <i>"), 200), &["data-path=\"Trips/2026 &amp; &lt;i&gt;\"", "data-path=\"Trips/2025\""]);
    assert_says(&told(&make("", "New"), 200), &["data-path=\"New\""]);
    for (parent, folder, status) in [("Trips", " ", 422), ("Trips", "..", 422), ("nowhere", "x", 404)] {
        let answer = make(parent, folder);
        assert_eq!((answer.status, answer.headers["hx-retarget"].as_str()), (status, "#notices"), "{parent}/{folder}");
    }
    assert_eq!(folders("&path=nowhere").status, 404);
    assert!(peer.library.join("Trips/2026 & <i>").is_dir());
}

#[test]
fn uploads_are_set_up() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    assert!(node.add_service("Attic", &peer.originals()).status.success());
    let visitor = signed_in(&node, "admin", PASSWORD);
    let upload = format!("{AT}/upload?name=Attic");
    assert_says(
        &told(&visitor.page(&upload), 200),
        &["form=\"upload-form\" checked", "2048 px – albums and web", "After a year", "Leave out where pictures were taken"],
    );
    let form = |size: &'static str, unfit: &'static str| {
        [("on", "on"), ("folder", "/Shared"), ("size", size), ("expires", "7d"), ("unfit", unfit), ("no_gps", "on")]
    };
    assert_says(&told(&visitor.form(&upload, &form("original", "skip")), 422), &["Originals tell where they were taken"]);
    assert_eq!(visitor.form(&upload, &form("fit_0", "skip")).status, 422);
    assert_eq!(service(&node)["upload"]["folder"], "");
    assert_eq!(visitor.form(&upload, &form("fit_2048", "jpeg")).status, 204);
    let set = service(&node)["upload"].clone();
    assert_eq!(set, json!({ "on": true, "folder": "Shared", "size": "fit_2048", "expires": "7d", "unfit": "jpeg", "gps": "remove" }));
    // A switch that is off is not sent.
    let off: Vec<_> = form("fit_2048", "jpeg").into_iter().filter(|(name, _)| *name != "on").collect();
    assert_eq!(visitor.form(&upload, &off).status, 204);
    assert_eq!(service(&node)["upload"]["on"], false);
}

#[test]
fn removing_says_what_stays_and_what_goes() {
    let sandbox = Sandbox::new();
    let (node, peer) = two(&sandbox);
    assert!(node.add_service("..", &peer.originals()).status.success());
    drop(peer);
    // It is not there to receive this.
    let shared = Client::admin(&node).post("/shares", &json!({ "to": "..", "paths": ["mine.jpg"], "background": true }));
    assert_eq!(shared.status, 201, "{}", json_of(&shared));
    let visitor = signed_in(&node, "admin", PASSWORD);
    let remove = format!("{AT}/remove?name=..");
    let asked = told(&visitor.page(&remove), 200);
    assert_says(&asked, &["All pictures of your library", "All pictures on ..", "stored password", "1 file that was to be uploaded there"]);
    assert_eq!(services(&node).len(), 1);
    let gone = visitor.form(&remove, &[]);
    assert_eq!(gone.status, 204);
    assert!(gone.headers["hx-trigger"].contains("services-changed"));
    assert!(services(&node).is_empty());
    assert_eq!(visitor.form(&remove, &[]).status, 404);
}

#[test]
fn services_are_for_admins_and_not_for_everybody() {
    let sandbox = Sandbox::new();
    let (mut node, peer) = two(&sandbox);
    node.connect("Attic", &peer.originals(), &["--off"]);
    add_user(&node, "vera", json!({ "role": "viewer" }));
    let vera = signed_in(&node, "vera", "a password of theirs");
    let read = [
        "",
        "/list",
        "/connect",
        "/attempt?token=x",
        "/checks?token=x",
        "/edit?name=Attic",
        "/upload?name=Attic",
        "/sync?name=Attic",
        "/folders?name=Attic",
        "/preview?name=Attic",
        "/remove?name=Attic",
    ];
    let written = [
        "/connect",
        "/login",
        "/login/poll?token=x",
        "/login/stop?token=x",
        "/test?name=Attic",
        "/stop?token=x",
        "/undo?name=Attic",
        "/start?name=Attic",
        "/preview?name=Attic",
        "/preview/stop?name=Attic",
        "/remove?name=Attic",
    ];
    for path in read {
        assert_eq!(vera.page(&format!("{AT}{path}")).status, 403, "{path}");
        // Nobody is shown anything.
        assert_eq!(Client::of(&node).page(&format!("{AT}{path}")).status, 303, "{path}");
    }
    let admin = signed_in(&node, "admin", PASSWORD);
    for path in written {
        assert_eq!(vera.form(&format!("{AT}{path}"), &[]).status, 403, "{path}");
        // Another page has no token.
        assert_eq!(admin.without("X-CSRF-Token").form(&format!("{AT}{path}"), &[]).status, 403, "{path}");
    }
    assert_eq!(services(&node).len(), 1);
    node.stop();
    node.serve_with(&["--public"]);
    for path in read {
        let answer = Client::of(&node).page(&format!("{AT}{path}"));
        assert!(answer.status == 403 && answer.text().contains("public mode, without a login"), "{path}: {}", answer.text());
    }
}
