//! Bytes that changed though nobody wrote them: found, kept from the services, and mended.

use std::fs;

use serde_json::Value;

use crate::support::{Node, Sandbox, assert_counts, assert_files, eventually, http, show};

/// Changes the bytes of a file as a failing disk does: size, time and inode stay.
fn rot(node: &Node, path: &str, content: &str) {
    let place = node.library.join(path);
    let before = fs::metadata(&place).unwrap();
    assert_eq!(before.len(), content.len() as u64);
    std::io::Write::write_all(&mut fs::File::options().write(true).open(&place).unwrap(), content.as_bytes()).unwrap();
    fs::File::options().write(true).open(&place).unwrap().set_modified(before.modified().unwrap()).unwrap();
}

fn pair(sandbox: &Sandbox, options: &[&str]) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, options);
    for name in ["x.jpg", "f/y.jpg", "z.jpg", "w.jpg"] {
        a.put(name, name);
    }
    a.sync();
    (a, b)
}

fn damaged(node: &Node) -> Vec<String> {
    let status = node.run(&["status"]);
    status["damaged"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_damaged_file_is_never_sent_and_is_fetched_back() {
    for options in [&["--deletes", "trash"][..], &["--download", "no"]] {
        let sandbox = Sandbox::new();
        let (a, b) = pair(&sandbox, options);
        rot(&a, "f/y.jpg", "f/#.jpg");
        assert_counts(&a.sync(), &[]);
        let answer = a.run_expecting(1, &["index", "--verify"]);
        assert_eq!((&answer["files"], &answer["damaged"][0]["path"]), (&4.into(), &"f/y.jpg".into()), "{answer:#}");
        assert_eq!(answer["damaged"][0]["mended_from"], "peer");
        assert_eq!(a.files(), b.files());
        assert_eq!(a.trashed(), ["f/#.jpg"]);
        assert_eq!(a.run(&["trash", "list"])["files"][0]["why"], "damaged");
        assert!(damaged(&a).is_empty());
        assert_counts(&a.sync(), &[]);
        assert_eq!(a.run(&["index", "--verify"])["damaged"], Value::Array(Vec::new()));
        assert!(a.run(&["status"])["verified"].is_string());
    }
}

#[test]
fn while_no_service_has_it_a_damaged_file_takes_no_part_and_is_told() {
    let sandbox = Sandbox::new();
    let (a, mut b) = pair(&sandbox, &["--deletes", "trash"]);
    b.stop();
    rot(&a, "x.jpg", "#.jpg");
    let answer = a.run_expecting(1, &["index", "--verify"]);
    assert!(answer["damaged"][0]["mended_from"].is_null() && answer["damaged"][0]["reason"].is_string(), "{answer:#}");
    assert_eq!(damaged(&a), ["x.jpg"]);
    let text = a.command(&["status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains("damaged   x.jpg"), "{}", show(&text));
    // Another service, that never had it, and does not get it; the rest it gets.
    let mut c = sandbox.node("c");
    c.serve();
    a.connect("other", &c.originals(), &[]);
    let report = a.run(&["sync", "other"])["services"][0].clone();
    assert_counts(&report, &[("uploaded", 3)]);
    assert!(report["skipped"].as_array().unwrap().iter().any(|skipped| skipped["path"] == "x.jpg"), "{report:#}");
    // Renamed it is no new version either.
    a.rename("x.jpg", "renamed.jpg");
    a.run(&["index"]);
    assert_eq!(damaged(&a), ["renamed.jpg"]);
    assert_counts(&a.run(&["sync", "other"])["services"][0], &[]);
    // A second look finds nothing new and forgets nothing.
    a.run_expecting(1, &["index", "--verify"]);
    // Until the owner says that it is as it should be.
    a.run(&["index", "--accept", "renamed.jpg"]);
    assert!(damaged(&a).is_empty());
    assert_counts(&a.run(&["sync", "other"])["services"][0], &[("uploaded", 1)]);
    assert_eq!(c.files()["renamed.jpg"], "#.jpg");
    a.run_expecting(1, &["index", "--accept", "renamed.jpg"]);
}

#[test]
fn an_accepted_file_is_an_edit_and_an_edited_one_is_damaged_no_more() {
    let sandbox = Sandbox::new();
    let (mut a, mut b) = pair(&sandbox, &[]);
    b.stop();
    rot(&a, "x.jpg", "#.jpg");
    rot(&a, "z.jpg", "#.jpg");
    a.run_expecting(1, &["index", "--verify"]);
    a.run(&["index", "--accept", "x.jpg"]);
    a.put("z.jpg", "edited");
    a.run(&["index"]);
    assert!(damaged(&a).is_empty());
    b.serve();
    a.serve();
    // The service has another address now.
    a.run(&["service", "remove", "peer"]);
    b.run(&["index"]);
    a.pair(&b, &[]);
    let report = a.sync();
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!((a.files()["x.jpg"].as_str(), a.files()["z.jpg"].as_str()), ("#.jpg", "edited"));
}

#[test]
fn a_peer_does_not_take_damaged_bytes_for_good_ones() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    let mut c = sandbox.node("c");
    rot(&b, "x.jpg", "#.jpg");
    c.serve();
    c.pair(&b, &[]);
    let report = c.sync_expecting(1, &[]);
    assert_eq!(report["failed"][0]["path"], "x.jpg", "{report:#}");
    assert!(!c.files().contains_key("x.jpg"));
    drop(a);
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_is_no_damage() {
    let sandbox = Sandbox::new();
    let (a, _b) = pair(&sandbox, &[]);
    // Under root everything can be read.
    let place = a.library.join("x.jpg");
    fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::File::open(&place).is_ok() {
        return;
    }
    let answer = a.run_expecting(1, &["index", "--verify"]);
    assert_eq!((&answer["failed"][0]["path"], answer["damaged"].as_array().unwrap().len()), (&"x.jpg".into(), 0), "{answer:#}");
}

#[test]
fn a_serving_node_finds_and_mends_damage_by_itself_and_goes_on_after_a_restart() {
    let sandbox = Sandbox::new();
    let (mut a, b) = pair(&sandbox, &[]);
    a.serve_with(&["--verify-interval", "1s"]);
    eventually("a first pass", || a.run(&["status"])["verified"].is_string());
    rot(&a, "z.jpg", "#.jpg");
    eventually("mending", || a.files()["z.jpg"] == "z.jpg");
    a.stop();
    rot(&a, "w.jpg", "#.jpg");
    a.serve_with(&["--verify-interval", "1s"]);
    eventually("mending after a restart", || a.files() == b.files());
    assert_eq!(http("GET", &format!("{}w.jpg", a.originals()), &[], b"").text(), "w.jpg");
    let mut trashed = a.trashed();
    trashed.sort();
    assert_eq!(trashed, ["#.jpg", "#.jpg"]);
    assert_files(&a, &[("f/y.jpg", "f/y.jpg"), ("w.jpg", "w.jpg"), ("x.jpg", "x.jpg"), ("z.jpg", "z.jpg")]);
}

#[test]
fn files_that_lost_bytes_when_the_library_was_copied_are_damaged_and_not_edits() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    let there = b.files();
    let copy = sandbox.path().join("copy");
    assert!(std::process::Command::new("cp").arg("-a").args([&a.library, &copy]).status().unwrap().success());
    fs::remove_dir_all(&a.library).unwrap();
    fs::rename(&copy, &a.library).unwrap();
    rot(&a, "x.jpg", "#.jpg");
    let answer = a.run(&["index"]);
    assert_eq!((&answer["hashed"], damaged(&a)), (&4.into(), vec!["x.jpg".to_owned()]), "{answer:#}");
    assert_counts(&a.sync(), &[]);
    assert_eq!(b.files(), there);
    let answer = a.run_expecting(1, &["index", "--verify"]);
    assert_eq!(answer["damaged"][0]["mended_from"], "peer", "{answer:#}");
    assert_eq!(a.files(), there);
}

#[test]
fn an_edit_by_a_program_that_keeps_size_and_time_is_an_edit() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    let place = a.library.join("x.jpg");
    let time = fs::metadata(&place).unwrap().modified().unwrap();
    a.put("x.jpg.tmp", "X.jpg");
    fs::File::options().write(true).open(a.library.join("x.jpg.tmp")).unwrap().set_modified(time).unwrap();
    fs::rename(a.library.join("x.jpg.tmp"), &place).unwrap();
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert!(damaged(&a).is_empty());
    assert_eq!(b.files()["x.jpg"], "X.jpg");
}
