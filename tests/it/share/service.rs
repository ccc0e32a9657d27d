//! Services as they are: with other habits, with faults, out of reach.

use std::fs;

use serde_json::Value;

use crate::faulty::{Fault, FaultyServer};
use crate::peers::apache_with;
use crate::plain::PlainServer;
use crate::support::{Node, PASSWORD, Sandbox, assert_files, eventually, tree};

#[track_caller]
fn reason(report: &Value) -> String {
    report["failed_files"][0]["reason"].as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

#[test]
fn a_service_that_stores_nothing_gets_the_file_another_way_and_otherwise_it_is_told() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.put("bad.jpg", "all of it");
    node.put("good.jpg", "good");
    assert!(node.add_service("svc", &server.url).status.success());
    server.set(Fault::StoresNothingOfIt);
    server.state().temporary_too = true;
    let report = node.run_expecting(1, &["share", "bad.jpg", "good.jpg", "--to", "svc", "--folder", "S"]);
    assert_eq!((&report["uploaded"], &report["failed"]), (&1.into(), &1.into()), "{report:#}");
    assert!(reason(&report).contains("stored 0 of 9 bytes"), "{report:#}");
    assert_eq!(server.state().files.keys().collect::<Vec<_>>(), ["S/good.jpg"], "nothing is left of it");
    server.state().temporary_too = false;
    let report = node.run(&["share", "retry"])["shares"][0].clone();
    assert_eq!((&report["uploaded"], &report["failed"]), (&2.into(), &0.into()), "{report:#}");
    assert_eq!(server.state().files["S/bad.jpg"], b"all of it");
    assert_eq!(server.state().files.len(), 2, "no temporary name is left");
}

#[test]
fn an_answer_that_is_lost_sends_nothing_twice_and_a_refusal_is_told_with_its_reason() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.put("a.jpg", "a");
    node.put("b.jpg", "b");
    assert!(node.add_service("svc", &server.url).status.success());
    server.state().lost.push_back("PUT S/a.jpg");
    assert_eq!(node.run(&["share", "a.jpg", "--to", "svc", "--folder", "S"])["uploaded"], 1);
    let puts = server.writes().iter().filter(|line| line.starts_with("PUT S/a.jpg")).count();
    assert_eq!(puts, 1);
    server.state().answers.push_back(("PUT S/b.jpg", "403 Forbidden"));
    let report = node.run_expecting(1, &["share", "b.jpg", "--to", "svc", "--folder", "S"]);
    assert!(reason(&report).contains("403"), "{report:#}");
    assert!(report["failed_files"][0]["next"].is_string(), "{report:#}");
    // Somebody else has taken the name meanwhile.
    server.put("S/b.jpg", b"theirs");
    let report = node.run(&["share", "retry"])["shares"][0].clone();
    assert_eq!(report["renamed"][0]["at"], "/S/b (2).jpg", "{report:#}");
    let there = server.state().files.clone();
    assert_eq!((there["S/b.jpg"].as_slice(), there["S/b (2).jpg"].as_slice()), (&b"theirs"[..], &b"b"[..]));
}

#[test]
fn a_password_that_is_refused_is_not_tried_again_by_itself() {
    let sandbox = Sandbox::new();
    let (mut node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    node.put("a.jpg", "a");
    assert!(node.add_service("nas", &nas.originals()).status.success());
    assert!(nas.run_with_password(&["user", "passwd", "admin", "--password-stdin"], "another one").status.success());
    let report = node.run_expecting(3, &["share", "a.jpg", "--to", "nas"]);
    assert!(report["error"].as_str().unwrap().contains("does not accept this user and password"), "{report:#}");
    assert_eq!(node.run(&["status"])["services"][0]["state"], "stopped");
    node.serve();
    node.run(&["share", "a.jpg", "--to", "nas", "--background"]);
    let edited = node.run_with_password(&["service", "edit", "nas", "--password-stdin"], "another one");
    assert!(edited.status.success());
    eventually("both were sent, or found there", || {
        let shares = node.run(&["share", "list"])["shares"].clone();
        shares.as_array().unwrap().iter().all(|share| share["waiting"] == 0 && share["failed"] == 0)
    });
    assert_files(&nas, &[("a.jpg", "a")]);
    assert_ne!(PASSWORD, "another one");
}

/// Files on a server that fell silent at a change, and answers again.
fn silent_at(change: usize, after: bool) {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let content = |name: &str| format!("content of {name}");
    for name in ["d/one.jpg", "d/two.jpg", "d/e/three.jpg"] {
        node.put(name, &content(name));
    }
    assert!(node.add_service("svc", &server.url).status.success());
    server.changes();
    server.state().breaks_at = Some((change, after));
    let broken = node.command(&["share", "d", "--to", "svc", "--folder", "S/T", "--expires", "1d"]).output().unwrap();
    assert_ne!(broken.status.code(), Some(0), "it fell silent too late");
    server.state().breaks_at = None;
    let report = node.run(&["share", "retry"])["shares"][0].clone();
    assert_eq!(report["uploaded"], 3, "{change} {after}: {report:#}");
    let there: Vec<(String, String)> = server.state().files.iter().map(|(path, (content, _))| (path.clone(), content.clone())).collect();
    let expected = ["d/e/three.jpg", "d/one.jpg", "d/two.jpg"].map(|name| (format!("S/T/{name}"), content(name)));
    assert_eq!(there, expected, "{change} {after}");
}

#[test]
fn after_a_silence_at_any_change_every_file_is_there_once_and_ours() {
    std::thread::scope(|scope| {
        let cases = (0..7).flat_map(|change| [(change, false), (change, true)]).filter(|case| *case != (6, true));
        let running: Vec<_> = cases.map(|(change, after)| scope.spawn(move || silent_at(change, after))).collect();
        running.into_iter().for_each(|case| case.join().unwrap());
    });
}

#[test]
fn what_was_only_touched_on_the_service_is_removed_and_what_was_edited_stays() {
    let sandbox = Sandbox::new();
    let (mut node, server) = (sandbox.node("n"), PlainServer::start());
    for name in ["touched", "edited", "as it was"] {
        node.put(&format!("{name}.jpg"), name);
    }
    assert!(node.add_service("svc", &server.url).status.success());
    node.run(&["share", "touched.jpg", "edited.jpg", "as it was.jpg", "--to", "svc", "--expires", "1d"]);
    server.state().put("touched.jpg", "touched");
    server.state().put("edited.jpg", "EDITED");
    node.ahead = Some("25h");
    node.serve();
    eventually("the removal", || server.state().files.len() == 1);
    eventually("its notes", || {
        let share = node.run(&["share", "list", "1"]);
        share["expired"] == 2 && share["left"] == 1
    });
    assert_eq!(server.state().files["edited.jpg"].0, "EDITED");
    let share = node.run(&["share", "list", "1"]);
    assert_eq!((&share["left"], &share["left_files"][0]["path"]), (&1.into(), &"edited.jpg".into()), "{share:#}");
}

#[test]
fn apache_holds_what_was_shared_until_it_expires() {
    let sandbox = Sandbox::new();
    let Some(server) = apache_with(&sandbox, "") else { return };
    let mut node: Node = sandbox.node("n");
    assert!(node.add_service("apache", &server.url).status.success());
    crate::support::write(&node.library.join("d/a ä#.jpg"), &super::photo::photo(1600, 800, 3));
    node.put("d/b.mov", "film");
    node.put("d/c.jpg", "no picture at all");
    node.run(&["service", "upload", "apache", "--folder", "/Shared & more/x", "--size", "fit_720", "--expires", "3d", "--unfit", "skip"]);
    let report = node.run(&["share", "d", "--to", "apache"]);
    assert_eq!((&report["uploaded"], &report["skipped"]), (&1.into(), &2.into()), "{report:#}");
    let told = super::photo::read(&server.files.join("Shared & more/x/d/a ä#.jpg"));
    assert_eq!((told.width, told.height, told.upright, told.place), (720, 360, true, true));
    let report = node.run(&["share", "d/b.mov", "--to", "apache", "--unfit", "original"]);
    assert_eq!(report["uploaded"], 1, "{report:#}");
    fs::write(server.files.join("Shared & more/x/b.mov"), "FILM").unwrap();
    node.ahead = Some("73h");
    node.serve();
    let there = || {
        let mut there = tree(&server.files);
        there.retain(|path, _| !path.contains(".DAV/"));
        there
    };
    eventually("the removal", || there().len() == 1);
    assert_eq!(there()["Shared & more/x/b.mov"], "FILM");
}
