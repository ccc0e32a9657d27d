//! Activity, as a browser asks for it: what it shows, what it does, and for whom.

use serde_json::json;

use super::signed_in;
use crate::api::{Client, add_user};
use crate::faulty::{Fault, FaultyServer};
use crate::support::{Answer, Node, PASSWORD, Sandbox, eventually, sample, write};

/// A name that would be a script, if it were not text; and one that reads like another.
const SCRIPT: &str = "<img src=x onerror=alert(1)>.jpg";
const TURNED: &str = "photo\u{202e}gpj.exe.jpg";

/// Two nodes that serve, the second of which is the first one's service `peer`, which is synced by hand only.
pub(super) fn pair(sandbox: &Sandbox, name: &str, options: &[&str]) -> (Node, Node) {
    let (mut here, mut there) = (sandbox.node(&format!("{name} here")), sandbox.node(&format!("{name} there")));
    here.serve();
    there.serve();
    here.pair(&there, options);
    here.run(&["pause"]);
    eventually("it has nothing to do", || Client::admin(&here).document("/transfers") == json!({ "running": {} }));
    (here, there)
}

/// Both sides change a file of each of these names.
pub(super) fn make_conflicts((here, there): (&Node, &Node), names: &[&str]) {
    for name in names {
        std::fs::write(here.library.join(name), sample("beach.jpg")).unwrap();
    }
    here.sync_expecting(0, &["peer"]);
    for (number, name) in names.iter().enumerate() {
        let end = vec![0; number + 1];
        std::fs::write(here.library.join(name), [sample("autumn.jpg"), end.clone()].concat()).unwrap();
        std::fs::write(there.library.join(name), [sample("aurora.jpg"), end].concat()).unwrap();
    }
    here.sync_expecting(0, &["peer"]);
}

/// What a page asks the browser to say, and what changed.
fn happened(answer: &Answer) -> String {
    assert_eq!(answer.status, 204, "{}", answer.text());
    answer.headers["hx-trigger"].clone()
}

#[test]
fn it_is_for_admins_and_every_change_carries_the_token() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    add_user(&node, "anna", json!({}));
    let (admin, anna) = (signed_in(&node, "admin", PASSWORD), signed_in(&node, "anna", "a password of theirs"));
    let places = [
        "activity",
        "activity/tabs?here=running",
        "activity/history",
        "activity/failures",
        "activity/skipped",
        "activity/conflicts",
        "activity/conflicts/both",
        "activity/trash",
        "activity/uploads",
    ];
    for place in places {
        let place = format!("/{place}");
        assert_eq!(admin.page(&place).status, 200, "{place}");
        assert_eq!(anna.page(&place).status, 403, "{place}");
        let nobody = Client::of(&node).page(&place);
        assert_eq!(nobody.status, 303, "{place}");
        assert!(nobody.headers["location"].starts_with("/signin?next=activity"), "{:?}", nobody.headers);
    }
    for change in [
        "sync",
        "pause",
        "resume",
        "cancel",
        "failures/retry",
        "conflicts/resolve",
        "conflicts/both",
        "trash/restore",
        "trash/empty",
        "uploads/retry",
        "uploads/1/cancel",
    ] {
        let change = format!("/activity/{change}");
        assert_eq!(anna.form(&change, &[]).status, if change.ends_with("resolve") { 400 } else { 403 }, "{change}");
        let forged = admin.without("X-CSRF-Token").form(&change, &[]);
        assert!(forged.status == 403 && forged.text().contains("session"), "{change}: {}", forged.text());
    }
    for nothing in
        ["/activity/history/99", "/activity/uploads/99", "/activity/tabs?here=x", "/activity/trash/empty", "/activity/trash/picture?what=x"]
    {
        assert_eq!(admin.page(nothing).status, 404, "{nothing}");
    }
    // A node that is new says what to do next.
    let page = admin.without("HX-Request").page("/activity").text();
    assert!(page.contains("Connect a service") && page.contains("href=\"settings/services\""), "{page}");
    let german = admin.without("HX-Request").with("Accept-Language", "de").page("/activity/trash").text();
    assert!(german.contains("Der Papierkorb ist leer") && german.contains("Aktivität"), "{german}");
}

#[test]
fn a_sync_is_begun_and_told_and_names_are_text() {
    let sandbox = Sandbox::new();
    let (here, _there) = pair(&sandbox, "n", &["--upload", "yes", "--raw-and-video", "no"]);
    for name in [SCRIPT, TURNED, "a.cr2"] {
        here.put(name, name);
    }
    let admin = signed_in(&here, "admin", PASSWORD);
    assert!(admin.page("/activity").text().contains("Paused"));
    assert!(happened(&admin.form("/activity/sync", &[("service", "peer")])).contains("now-changed"));
    eventually("it has ended", || Client::admin(&here).document("/runs")["runs"][0]["counts"]["uploaded"] == 2);
    let list = admin.without("HX-Request").page("/activity/history").text();
    assert!(list.contains("2 uploaded") && list.contains(">Done</span>"), "{list}");
    let id = Client::admin(&here).document("/runs")["runs"][0]["id"].as_u64().unwrap();
    let run = admin.without("HX-Request").page(&format!("/activity/history/{id}")).text();
    assert!(run.contains("&lt;img src=x onerror=alert(1)&gt;.jpg") && !run.contains("<img src=x"), "{run}");
    assert!(run.contains("photo<span class=\"odd\">U+202E</span>gpj.exe.jpg"), "{run}");
    assert!(run.contains("a.cr2") && run.contains("RAW and video are off for this service"), "{run}");
    let skipped = admin.without("HX-Request").page("/activity/skipped").text();
    assert!(skipped.contains("RAW and video are off for this service") && skipped.contains("a.cr2"), "{skipped}");
    // Pausing and resuming, and services that are not there.
    assert!(happened(&admin.form("/activity/resume", &[("service", "peer")])).contains("now-changed"));
    assert!(!admin.page("/activity").text().contains("Paused"));
    happened(&admin.form("/activity/pause", &[]));
    assert!(admin.page("/activity").text().contains("Paused"));
    happened(&admin.form("/activity/cancel", &[("service", "peer")]));
    assert_eq!(admin.form("/activity/sync", &[("service", "<none>")]).status, 404);
    let trigger = &Client::admin(&here).document("/runs?service=peer")["runs"];
    assert!(!trigger.as_array().unwrap().is_empty());
    assert!(admin.without("HX-Request").page("/activity/history?service=peer").text().contains("2 uploaded"));
    assert_eq!(admin.page("/activity/history?service=none").status, 404);
}

#[test]
fn what_failed_is_told_in_words_and_tried_again() {
    let sandbox = Sandbox::new();
    let mut here = sandbox.node("here");
    let service = FaultyServer::start();
    here.serve();
    here.connect("peer", &service.url, &[]);
    here.run(&["pause"]);
    (0..60).for_each(|number| here.put(&format!("bad {number:02}.jpg"), &format!("the bytes of {number}")));
    service.state().temporary_too = true;
    service.set(Fault::StoresNothingOfIt);
    here.sync_expecting(1, &["peer"]);
    let admin = signed_in(&here, "admin", PASSWORD);
    let page = admin.without("HX-Request").page("/activity/failures").text();
    assert!(page.contains("bad 00.jpg") && page.contains("bad 49.jpg") && !page.contains("bad 50.jpg"), "{page}");
    assert!(page.contains("again in") && page.contains("tried once") && page.contains("Retry all now"), "{page}");
    let more = admin.page("/activity/failures?service=peer&after=50").text();
    assert!(more.contains("bad 59.jpg") && !more.contains("bad 49.jpg") && !more.contains("<html"), "{more}");
    assert!(admin.page("/activity/tabs?here=failures").text().contains(">60</span>"));
    // The run itself tells them too, a page at a time.
    let id = Client::admin(&here).document("/runs")["runs"][0]["id"].as_u64().unwrap();
    let rest = admin.page(&format!("/activity/history/{id}?list=failed&after=50")).text();
    assert_eq!(rest.matches("class=\"cause\"").count(), 10, "{rest}");
    service.set(Fault::None);
    let one = happened(&admin.form("/activity/failures/retry", &[("service", "peer"), ("path", "bad 07.jpg")]));
    assert!(one.contains("1 file is tried again now") && one.contains("failures-changed"), "{one}");
    eventually("it is there", || service.names().contains(&"bad 07.jpg".to_owned()));
    assert_eq!(admin.form("/activity/failures/retry", &[("service", "peer"), ("path", "../x")]).status, 422);
    assert_eq!(admin.form("/activity/failures/retry", &[("service", "peer"), ("path", "none.jpg")]).status, 404);
    assert!(happened(&admin.form("/activity/failures/retry", &[("service", "peer")])).contains("files are tried again now"));
    eventually("nothing waits", || admin.page("/activity/failures").text().contains("Nothing failed"));
}

#[test]
fn what_ended_a_sync_is_told_with_what_to_do() {
    let sandbox = Sandbox::new();
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    write(&here.library.join("large.mov"), &vec![7; 3_000_000]);
    here.serve();
    there.serve();
    assert!(here.add_service("peer", &there.originals()).status.success());
    here.run(&["service", "sync", "peer", "--on", "--upload", "yes", "--rate", "50k"]);
    let admin = signed_in(&here, "admin", PASSWORD);
    let says = |place: &str, part: &str| eventually(part, || admin.page(place).text().contains(part));
    says("/activity", "Cancel the sync with peer");
    happened(&admin.form("/activity/cancel", &[("service", "peer")]));
    // Whoever stopped it sees that it was stopped, not that it failed.
    says("/activity/history", ">Cancelled</span>");
    let id = Client::admin(&here).document("/runs")["runs"][0]["id"].as_u64().unwrap();
    let run = admin.without("HX-Request").page(&format!("/activity/history/{id}")).text();
    assert!(run.contains("It was cancelled. What was done is done") && !run.contains(">Failed</span>"), "{run}");
    let now = admin.page("/activity").text();
    assert!(!now.contains(">Failed</span>") && now.contains("Cancelled"), "{now}");
    there.stop();
    happened(&admin.form("/activity/sync", &[("service", "peer")]));
    says("/activity", "The service was not reachable. Check that it runs and its address.");
    let now = admin.page("/activity").text();
    assert!(now.contains(">Failed</span>") && !now.contains(">On</span>"), "{now}");
    assert_eq!(now.matches("The service was not reachable.").count(), 1, "{now}");
    // No file failed, but neither did nothing fail.
    let failures = admin.page("/activity/failures").text();
    assert!(failures.contains("The service was not reachable.") && failures.contains("Sync with peer now"), "{failures}");
    assert!(!failures.contains("Nothing failed") && admin.page("/activity/tabs?here=failures").text().contains(">1</span>"));
    let history = admin.page("/activity/history").text();
    assert!(history.contains(">nothing</span>") && !history.contains("nothing to do"), "{history}");
}

#[test]
fn conflicts_are_decided_one_by_one_and_all_at_once() {
    let sandbox = Sandbox::new();
    let (here, there) = pair(&sandbox, "n", &["--upload", "yes"]);
    make_conflicts((&here, &there), &["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]);
    let admin = signed_in(&here, "admin", PASSWORD);
    let copies = || {
        let list = Client::admin(&here).document("/conflicts")["conflicts"].clone();
        list.as_array().unwrap().iter().map(|one| one["copy"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let page = admin.without("HX-Request").page("/activity/conflicts").text();
    assert!(page.contains("Keep this") && page.contains("larger") && page.contains("Keep both for all"), "{page}");
    assert_eq!(page.matches("api/v1/library/thumbnail").count(), 10);
    // Which side each version came from, on the other side too.
    let said =
        |page: &str| ["from this library", "from peer", "With peer", "calls this library peer"].map(|said| page.matches(said).count());
    assert_eq!(said(&page), [5, 5, 5, 0]);
    let page = signed_in(&there, "admin", PASSWORD).page("/activity/conflicts").text();
    assert_eq!(said(&page), [5, 0, 0, 5], "{page}");
    // Also when later runs brought nothing new.
    here.sync_expecting(0, &["peer"]);
    let services = admin.page("/settings/services").text();
    assert!(services.contains("5 open conflicts"), "{services}");
    for (keep, said) in [("this", "Kept this one: a.jpg"), ("other", "Kept that one, as b.jpg"), ("both", "Kept both: c.jpg, c (2).jpg")] {
        let copy = copies()[0].clone();
        let told = happened(&admin.form("/activity/conflicts/resolve", &[("copy", &copy), ("keep", keep)]));
        assert!(told.contains(said) && told.contains("conflicts-changed"), "{told}");
        assert!(!copies().contains(&copy));
    }
    let copy = copies()[0].clone();
    assert_eq!(admin.form("/activity/conflicts/resolve", &[("copy", &copy), ("keep", "none")]).status, 400);
    assert_eq!(admin.form("/activity/conflicts/resolve", &[("copy", "a.jpg"), ("keep", "this")]).status, 404);
    assert!(admin.page("/activity/conflicts/both").text().contains("2 conflicts are resolved"));
    assert!(happened(&admin.form("/activity/conflicts/both", &[])).contains("2 files were kept"));
    assert!(admin.page("/activity/conflicts").text().contains("No conflicts"));
    assert!(!admin.page("/settings/services").text().contains("open conflict"));
    let files = here.files();
    assert_eq!(files.keys().filter(|name| name.ends_with("(2).jpg")).count(), 3, "{:?}", files.keys());
}

#[test]
fn the_trash_gives_back_what_is_chosen_and_is_emptied_of_what_was_shown() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["Trip/1.jpg", "Trip/2.jpg", "3.jpg", SCRIPT] {
        write(&node.library.join(name), &sample("beach.jpg"));
    }
    node.put("later.txt", "later");
    node.serve();
    for path in ["Trip", "3.jpg", "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E.jpg"] {
        let gone = crate::support::http("DELETE", &format!("{}{path}", node.originals()), &[], b"");
        assert_eq!(gone.status, 204, "{path}");
    }
    let admin = signed_in(&node, "admin", PASSWORD);
    let page = admin.without("HX-Request").page("/activity/trash").text();
    assert!(
        page.contains("4 files") && page.contains("30 days left") && page.contains("&lt;img src=x") && !page.contains("<img src=x"),
        "{page}"
    );
    let whats: Vec<String> = page.split("name=\"what\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(whats.len(), 4);
    // A picture of it, made small; of nothing else.
    let first = whats.iter().find(|what| what.ends_with("/Trip/1.jpg")).unwrap();
    let picture = admin.page(&format!("/activity/trash/picture?what={first}"));
    assert_eq!((picture.status, picture.headers["content-type"].as_str()), (200, "image/jpeg"));
    assert!(picture.body.starts_with(b"\xff\xd8"));
    for outside in [
        format!("{first}/../../../../../3.jpg"),
        "../../library.json".into(),
        "2026-01-01/000000.000000000-removed/x".into(),
        format!("{first}x"),
    ] {
        assert_eq!(admin.page(&format!("/activity/trash/picture?what={outside}")).status, 404, "{outside}");
    }
    // One of a folder that went as a whole comes back alone.
    let told = happened(&admin.form("/activity/trash/restore", &[("what", &whats[0]), ("only", first)]));
    assert!(told.contains("Restored: Trip/1.jpg") && told.contains("trash-changed"), "{told}");
    assert!(node.files().contains_key("Trip/1.jpg") && !node.files().contains_key("Trip/2.jpg"));
    let rest: Vec<(&str, &str)> =
        whats.iter().filter(|what| what.ends_with("/Trip/2.jpg") || what.ends_with("/3.jpg")).map(|what| ("what", what.as_str())).collect();
    assert!(happened(&admin.form("/activity/trash/restore", &rest)).contains("2 files are back"));
    assert_eq!(admin.form("/activity/trash/restore", &[]).status, 422);

    // Emptying asks twice, says what goes, and takes nothing that came after.
    let asked = admin.page("/activity/trash/empty").text();
    assert!(asked.contains("1 file, 11.6") && !asked.contains("hx-post"), "{asked}");
    let again = asked.split("hx-get=\"").nth(1).unwrap().split('"').next().unwrap();
    let sure = admin.page(&format!("/{again}")).text();
    assert!(sure.contains("Really remove 1 file") && sure.contains("hx-post=\"activity/trash/empty\""), "{sure}");
    let until = sure.split("name=\"until\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(crate::support::http("DELETE", &format!("{}later.txt", node.originals()), &[], b"").status, 204);
    for wrong in ["", "tomorrow"] {
        assert_eq!(admin.form("/activity/trash/empty", &[("until", wrong)]).status, 422);
    }
    assert_eq!(admin.form("/activity/trash/empty", &[]).status, 422);
    assert!(happened(&admin.form("/activity/trash/empty", &[("until", &until)])).contains("1 file, 11.6"));
    let left = admin.page("/activity/trash").text();
    assert!(left.contains("later.txt") && !left.contains("&lt;img"), "{left}");
}

#[test]
fn uploads_are_told_tried_again_and_cancelled() {
    let sandbox = Sandbox::new();
    let mut here = sandbox.node("here");
    let service = FaultyServer::start();
    here.serve();
    here.connect("peer", &service.url, &["--off"]);
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        here.put(name, name);
    }
    service.state().temporary_too = true;
    service.state().everywhere = true;
    service.set(Fault::StoresNothingOfIt);
    here.run_expecting(1, &["share", "a.jpg", "b.jpg", "--to", "peer", "--folder", "/Album"]);
    let admin = signed_in(&here, "admin", PASSWORD);
    let list = admin.without("HX-Request").page("/activity/uploads").text();
    assert!(list.contains("Upload of 2 files") && list.contains("2 failed") && list.contains("Retry all now"), "{list}");
    assert!(admin.page("/activity").text().contains("Upload of 2 files"));
    let one = admin.without("HX-Request").page("/activity/uploads/1").text();
    assert!(one.contains("a.jpg") && one.contains("Failed"), "{one}");
    service.set(Fault::None);
    assert!(happened(&admin.form("/activity/uploads/retry", &[("share", "1")])).contains("2 files are tried again now"));
    eventually("they are there", || admin.page("/activity/uploads").text().contains("2 uploaded"));
    service.set(Fault::StoresNothingOfIt);
    here.run_expecting(1, &["share", "c.jpg", "--to", "peer", "--folder", "/Album"]);
    assert!(admin.page("/activity/uploads/2/cancel").text().contains("will not be sent"));
    assert!(happened(&admin.form("/activity/uploads/2/cancel", &[])).contains("1 file is not sent any more"));
    assert!(admin.page("/activity/uploads").text().contains("1 cancelled"));
}
