//! Services that are synced by themselves, and what can be seen and said of it.

use std::process::Stdio;

use serde_json::Value;

use crate::faulty::{Fault, FaultyServer};
use crate::support::{Node, PASSWORD, Sandbox, assert_counts, eventually, http, show};

/// Two serving nodes that are connected to each other, two-way, with an interval of a week.
fn both_ways(sandbox: &Sandbox) -> (Node, Node) {
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.serve();
    b.serve();
    for (from, to) in [(&a, &b), (&b, &a)] {
        from.pair(to, &["--interval", "7d", "--deletes", "trash"]);
    }
    (a, b)
}

/// A serving node that is connected to another one and was synced with it by itself.
fn one_way(sandbox: &Sandbox) -> (Node, Node) {
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.serve();
    b.serve();
    a.pair(&b, &["--interval", "7d"]);
    a.put("first.jpg", "first");
    eventually("the first file came to b", || b.files().contains_key("first.jpg"));
    (a, b)
}

fn service(node: &Node) -> Value {
    node.run(&["status"])["services"][0].clone()
}

fn history(node: &Node) -> Vec<Value> {
    node.run(&["history"])["runs"].as_array().unwrap().clone()
}

/// The number of the latest run.
pub fn latest(node: &Node) -> u64 {
    history(node).first().map_or(0, |run| run["id"].as_u64().unwrap())
}

/// Waits until nothing was run for a while, longer than it takes from a change to a run; the numbers of the latest runs.
fn settled(nodes: &[&Node]) -> Vec<u64> {
    let count = || nodes.iter().map(|node| latest(node)).collect::<Vec<_>>();
    let mut last = (count(), std::time::Instant::now());
    eventually("they settled", || {
        let now = count();
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        last.1.elapsed() > std::time::Duration::from_secs(5)
    });
    last.0
}

#[test]
fn a_file_dropped_in_one_node_is_in_the_other_without_anybody_saying_so_and_then_they_settle() {
    let sandbox = Sandbox::new();
    let (a, b) = both_ways(&sandbox);
    settled(&[&a, &b]);
    a.put("2024/from a.jpg", "a");
    eventually("the file came to b", || b.files().contains_key("2024/from a.jpg"));
    b.put("2024/from b.jpg", "b");
    eventually("the file came to a", || a.files().contains_key("2024/from b.jpg"));
    let before = settled(&[&a, &b]);
    a.remove("2024/from b.jpg");
    eventually("it went from b", || !b.files().contains_key("2024/from b.jpg"));
    assert_eq!(b.trashed(), ["b"]);
    let after = settled(&[&a, &b]);
    let more: Vec<_> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    assert!(more.iter().all(|more| (1..=4).contains(more)), "{more:?} runs for one change");
    assert_eq!(a.files(), b.files());
    // Both may have moved the same file at the same time: none of them failed.
    for run in history(&a).iter().chain(&history(&b)) {
        assert_eq!((&run["counts"]["failed"], &run["error"]), (&Value::from(0), &Value::Null), "{run:#}");
    }
}

#[test]
fn what_others_put_on_the_peer_comes_at_once_and_after_the_peer_was_away() {
    let sandbox = Sandbox::new();
    let (a, mut b) = one_way(&sandbox);
    let put = http("PUT", &format!("{}by-a-phone.jpg", b.originals()), &[], b"phone");
    assert_eq!(put.status, 201);
    eventually("it came to a", || a.files().contains_key("by-a-phone.jpg"));
    let address = b.url().strip_prefix("http://").unwrap().to_owned();
    b.stop();
    b.put("while it was away.jpg", "away");
    b.serve_with(&["--listen", &address]);
    eventually("it came to a as well", || a.files().contains_key("while it was away.jpg"));
}

#[test]
fn a_refused_password_stops_a_service_at_once_until_its_owner_says_so() {
    let sandbox = Sandbox::new();
    let (a, b) = one_way(&sandbox);
    settled(&[&a]);
    assert!(b.run_with_password(&["user", "passwd", "admin", "--password-stdin"], "another password").status.success());
    a.put("second.jpg", "second");
    eventually("a noticed", || service(&a)["state"] == "stopped");
    let runs = settled(&[&a]);
    let status = service(&a);
    assert!(status["reason"].as_str().unwrap().contains("does not accept this user and password"), "{status:#}");
    assert!(status["next_run"].is_null(), "{status:#}");
    // Changes do not make it ask again, and neither does a sync of everything.
    a.put("third.jpg", "third");
    let report = a.sync_expecting(3, &[]);
    assert_eq!((&report["refused"], &report["requests"]), (&Value::from(true), &Value::from(0)), "{report:#}");
    assert_eq!(settled(&[&a]), runs);
    // Its owner may: it fails once more and stays stopped; with the right password it goes on.
    assert_eq!(a.run_expecting(3, &["sync", "peer"])["services"][0]["refused"], true);
    assert_eq!(service(&a)["state"], "stopped");
    assert!(b.run_with_password(&["user", "passwd", "admin", "--password-stdin"], PASSWORD).status.success());
    assert_counts(&a.run(&["sync", "peer"])["services"][0], &[("uploaded", 2)]);
    assert_eq!(service(&a)["state"], "on");
    a.put("fourth.jpg", "fourth");
    eventually("it is synced by itself again", || b.files().contains_key("fourth.jpg"));

    // Or the owner tells the new password, if it is the right one.
    assert!(b.run_with_password(&["user", "passwd", "admin", "--password-stdin"], "another password").status.success());
    a.put("fifth.jpg", "fifth");
    eventually("a noticed again", || service(&a)["state"] == "stopped");
    let edit = |password: &str| a.run_with_password(&["service", "edit", "peer", "--password-stdin"], password).status.code();
    assert_eq!((edit("a wrong password"), service(&a)["state"].as_str()), (Some(3), Some("stopped")));
    assert_eq!(edit("another password"), Some(0));
    eventually("it is synced by itself once more", || b.files().contains_key("fifth.jpg"));
}

#[test]
fn a_file_that_fails_holds_up_no_other_and_waits_with_reason_and_next_try() {
    let sandbox = Sandbox::new();
    let (mut a, server) = (sandbox.node("a"), FaultyServer::start());
    server.set(Fault::BreaksOff);
    server.state().temporary_too = true;
    a.connect("peer", &server.url, &["--interval", "7d"]);
    a.put("bad.jpg", "a picture that the server does not like");
    a.put("good.jpg", "good");
    let report = a.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", 1)]);
    let waiting = service(&a)["waiting"].clone();
    assert_eq!((&waiting["count"], &waiting["first"][0]["attempts"]), (&Value::from(1), &Value::from(1)), "{waiting:#}");
    assert_eq!((&waiting["first"][0]["path"], &waiting["first"][0]["action"]), (&Value::from("bad.jpg"), &Value::from("upload")));
    assert!(waiting["first"][0]["reason"].as_str().unwrap().contains("500"), "{waiting:#}");
    // By itself it is left alone, across a restart; a new file goes all the same.
    a.serve();
    a.put("new.jpg", "new");
    eventually("the new file was sent", || server.names().contains(&"new.jpg".to_owned()));
    eventually("the run is over", || service(&a)["running"].is_null());
    let status = service(&a);
    assert_eq!(status["waiting"]["first"][0]["attempts"], 1, "{status:#}");
    let skipped = status["last_run"]["skipped"].as_array().unwrap();
    assert!(skipped.iter().any(|file| file["path"] == "bad.jpg" && file["reason"].as_str().unwrap().contains("tried again")), "{status:#}");
    // Retry now.
    a.sync_expecting(1, &[]);
    assert_eq!(service(&a)["waiting"]["first"][0]["attempts"], 2);
    server.set(Fault::None);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(service(&a)["waiting"]["count"], 0);
    assert_eq!(server.names(), ["bad.jpg", "good.jpg", "new.jpg"]);
}

#[test]
fn another_version_of_a_file_that_failed_is_tried_at_once() {
    let sandbox = Sandbox::new();
    let (mut a, server) = (sandbox.node("a"), FaultyServer::start());
    server.set(Fault::BreaksOff);
    server.state().temporary_too = true;
    a.connect("peer", &server.url, &["--interval", "7d"]);
    a.put("bad.jpg", "a picture that the server does not like");
    a.sync_expecting(1, &[]);
    a.serve();
    server.set(Fault::None);
    a.put("bad.jpg", "a picture that the server does like");
    eventually("it was sent", || server.names() == ["bad.jpg"]);
    eventually("nothing waits", || service(&a)["waiting"]["count"] == 0);
}

#[test]
fn a_service_that_does_not_answer_is_left_alone_for_longer_and_longer() {
    let sandbox = Sandbox::new();
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    let address = b.url().strip_prefix("http://").unwrap().to_owned();
    a.pair(&b, &["--interval", "7d"]);
    b.stop();
    a.put("x.jpg", "x");
    a.serve();
    eventually("it was tried", || service(&a)["failed_runs"] == 1);
    let runs = settled(&[&a]);
    let status = service(&a);
    assert!(status["last_run"]["error"].as_str().unwrap().contains("does not answer"), "{status:#}");
    a.put("y.jpg", "y");
    assert_eq!(settled(&[&a]), runs, "a change does not make it ask before its time");
    assert!(status["next_run"].is_string(), "{status:#}");
    // It is listened to, though, and is synced when it is there again.
    b.serve_with(&["--listen", &address]);
    eventually("both files came", || b.files().len() == 2);
    eventually("all is well", || service(&a)["failed_runs"] == 0);
}

#[test]
fn a_paused_service_and_one_outside_its_hours_are_synced_by_hand_only() {
    let sandbox = Sandbox::new();
    let (mut a, b) = one_way(&sandbox);
    assert_eq!(a.run(&["pause"])["paused"][0], "peer");
    a.put("second.jpg", "second");
    settled(&[&a]);
    assert_eq!((b.files().len(), &service(&a)["state"]), (1, &Value::from("paused")));
    a.stop();
    a.serve();
    settled(&[&a]);
    assert_eq!(b.files().len(), 1, "it is kept across a restart");
    assert!(a.run_expecting(2, &["sync"])["error"].as_str().unwrap().contains("paused"));
    assert_counts(&a.run(&["sync", "peer"])["services"][0], &[("uploaded", 1)]);

    // Hours that begin in two hours.
    let now = jiff::ZonedDateTime::now();
    let window = format!("{:02}:00-{:02}:30", (now.hour() + 2) % 24, (now.hour() + 3) % 24);
    a.run(&["service", "sync", "peer", "--window", &window]);
    a.run(&["resume", "peer"]);
    a.put("third.jpg", "third");
    settled(&[&a]);
    assert_eq!((b.files().len(), &service(&a)["state"]), (2, &Value::from("on")));
    assert_eq!(a.run(&["service", "show", "peer"])["sync"]["window"], window);
    a.run(&["service", "sync", "peer", "--window", "off"]);
    eventually("its hours are all day again", || b.files().len() == 3);
}

/// A node with one file of 3 MB, connected to another one by a line on which that takes half a minute.
fn slow(sandbox: &Sandbox) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--interval", "7d", "--rate", "100K"]);
    a.put("large.mov", &"0123456789".repeat(300_000));
    (a, b)
}

#[test]
fn ctrl_c_stops_a_sync_cleanly_and_says_so() {
    let sandbox = Sandbox::new();
    let (a, b) = slow(&sandbox);
    let sync = a.command(&["sync", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("bytes arrive", || !b.left_behind().is_empty());
    assert!(std::process::Command::new("kill").args(["-INT", &sync.id().to_string()]).status().unwrap().success());
    let output = sync.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &report["services"][0];
    assert_counts(report, &[]);
    assert_eq!((&report["cancelled"], report["failed"].as_array().unwrap().len()), (&Value::from(true), 0), "{report:#}");
    assert_eq!((&report["cause"], &history(&a)[0]["cause"]), (&"cancelled".into(), &"cancelled".into()), "{report:#}");
    eventually("nothing is left behind", || b.left_behind().is_empty());
    assert!(b.files().is_empty());
    // A cancelled file has not failed: nothing waits, and it goes when the line is free.
    assert_eq!(service(&a)["waiting"]["count"], 0);
    a.run(&["service", "sync", "peer", "--rate", "off"]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn a_run_is_seen_cancelled_and_in_the_history() {
    let sandbox = Sandbox::new();
    let (mut a, b) = slow(&sandbox);
    a.serve();
    eventually("it is under way", || service(&a)["running"]["progress"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    let running = service(&a)["running"].clone();
    assert_eq!(running["progress"]["bytes_total"], 3_000_000, "{running:#}");
    // A sync by hand waits for its turn.
    let by_hand = a.command(&["sync", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    a.run(&["service", "sync", "peer", "--rate", "off"]);
    assert_eq!(a.run(&["cancel"])["cancelled"][0], "peer");
    let output = by_hand.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    assert_eq!(a.files(), b.files());
    let runs = history(&a);
    let of = |trigger: &str| runs.iter().find(|run| run["trigger"] == trigger).unwrap_or_else(|| panic!("{runs:#?}"));
    let done = of("by hand");
    assert_eq!((&done["counts"]["uploaded"], &done["error"]), (&Value::from(1), &Value::Null));
    let told = a.run(&["history", "peer", "--run", &done["id"].to_string()]);
    assert_eq!((&told["files"][0]["path"], &told["files"][0]["action"]), (&Value::from("large.mov"), &Value::from("upload")), "{told:#}");
    assert_eq!((&told["files"][0]["bytes"], &told["files"][0]["failure"]), (&Value::from(3_000_000), &Value::Null));
    let cancelled = runs.iter().find(|run| !run["error"].is_null()).unwrap();
    assert!(cancelled["error"].as_str().unwrap().contains("cancelled"), "{cancelled:#}");
    assert_eq!(a.run(&["cancel"])["cancelled"].as_array().unwrap().len(), 0);
    assert!(a.run_expecting(2, &["history", "--run", "999"])["error"].as_str().unwrap().contains("999"));
    // And in words.
    let words = |args: &[&str]| String::from_utf8(a.command(args).output().unwrap().stdout).unwrap();
    assert!(words(&["history"]).contains("1 uploaded"), "{}", words(&["history"]));
    assert!(words(&["status"]).contains("next run"), "{}", words(&["status"]));
}

#[test]
fn a_node_that_stops_suspends_its_runs_and_goes_on_when_it_is_back() {
    let sandbox = Sandbox::new();
    let (mut a, b) = slow(&sandbox);
    a.serve();
    eventually("bytes arrive", || !b.left_behind().is_empty());
    a.stop();
    assert!(b.files().is_empty());
    assert!(history(&a)[0]["error"].as_str().unwrap().contains("suspended"));
    a.run(&["service", "sync", "peer", "--rate", "off"]);
    a.serve();
    eventually("it is all there", || b.files() == a.files());
}

#[test]
fn a_file_that_is_rewritten_while_it_is_sent_is_sent_as_it_is_then_in_the_same_run() {
    let sandbox = Sandbox::new();
    let (a, b) = slow(&sandbox);
    let sync = a.command(&["sync", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("bytes arrive", || !b.left_behind().is_empty());
    a.put("large.mov", "another and shorter one");
    let output = sync.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_counts(&report["services"][0], &[("uploaded", 1)]);
    assert_eq!(b.files()["large.mov"], "another and shorter one");
    assert!(b.left_behind().is_empty());
}

#[test]
fn a_file_that_came_by_another_way_while_it_was_fetched_has_not_failed() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--interval", "7d", "--rate", "1M"]);
    let [same, one, other] = ["0123456789", "9876543210", "5"].map(|digits| digits.repeat(2_000_000 / digits.len()));
    for (here, there, failed) in [(&same, &same, 0), (&one, &other, 1)] {
        let path = format!("{failed}.mov");
        b.put(&path, there);
        b.run(&["index"]);
        let sync = a.command(&["sync", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        eventually("bytes arrive", || !a.left_behind().is_empty());
        a.put(&path, here);
        let output = sync.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_counts(&report["services"][0], &[]);
        assert_eq!(report["services"][0]["failed"].as_array().unwrap().len(), failed, "{report:#}");
        assert_eq!((&a.files()[&path], &b.files()[&path]), (here, there), "nothing was overwritten");
        assert!(a.left_behind().is_empty() && a.trashed().is_empty());
        let next = a.sync();
        assert_counts(&next, if failed == 0 { &[("adopted", 1)] } else { &[("uploaded", 1), ("downloaded", 1)] });
        assert_eq!(next["conflicts"].as_array().unwrap().len(), failed, "{next:#}");
    }
}

#[test]
fn a_file_that_grows_is_not_sent_before_it_is_whole() {
    use std::io::Write as _;
    let sandbox = Sandbox::new();
    let (a, b) = one_way(&sandbox);
    let mut file = std::fs::File::create(a.library.join("growing.jpg")).unwrap();
    let (enough, is_enough) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let mut written = 0;
        while is_enough.recv_timeout(std::time::Duration::from_millis(20)).is_err() {
            written += file.write(&[b'x'; 1000]).unwrap();
        }
        written
    });
    eventually("it is there", || a.files().contains_key("growing.jpg"));
    // By hand neither.
    let report = a.run(&["sync"])["services"][0].clone();
    assert_counts(&report, &[]);
    assert!(report["skipped"][0]["reason"].as_str().unwrap().contains("still being written"), "{report:#}");
    // For longer than it takes from a change to a run.
    for _ in 0..150 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!b.files().contains_key("growing.jpg"), "a part of it was sent");
    }
    enough.send(()).unwrap();
    let whole = writer.join().unwrap();
    eventually("it was sent when it was whole", || b.files().get("growing.jpg").is_some_and(|content| content.len() == whole));
}
