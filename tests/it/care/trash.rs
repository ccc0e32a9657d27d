//! What was replaced or removed comes back, until its time is over.

use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{Node, Sandbox, assert_counts, assert_files, eventually, http, show, tree, write};

/// Two nodes in step that follow each other's deletions; `b` serves.
fn pair(sandbox: &Sandbox) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--deletes", "trash"]);
    (a, b)
}

fn listed(node: &Node) -> Vec<(String, String)> {
    let answer = node.run(&["trash", "list"]);
    let text = |file: &Value, key: &str| file[key].as_str().unwrap_or_default().to_owned();
    answer["files"].as_array().unwrap().iter().map(|file| (text(file, "path"), text(file, "why"))).collect()
}

fn delete(node: &Node, path: &str) {
    assert_eq!(http("DELETE", &format!("{}{path}", node.originals()), &[], b"").status, 204);
}

#[test]
fn what_was_deleted_there_and_restored_here_is_new_there_again_and_stays() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    for name in ["2020/x.jpg", "2020/y.jpg", "z.jpg"] {
        a.put(name, name);
    }
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    fs::File::options().write(true).open(a.library.join("2020/x.jpg")).unwrap().set_modified(old).unwrap();
    a.sync();
    delete(&b, "2020/x.jpg");
    assert_counts(&a.sync(), &[("deleted", 1)]);
    assert_eq!(listed(&a), [("2020/x.jpg".into(), "removed".into())]);
    let answer = a.run(&["trash", "restore", "2020/x.jpg"]);
    assert_eq!(answer["restored"][0]["path"], "2020/x.jpg", "{answer:#}");
    assert_eq!(fs::metadata(a.library.join("2020/x.jpg")).unwrap().modified().unwrap(), old);
    // The index knows it already: nothing is read again.
    assert_eq!(a.run(&["index"])["hashed"], 0);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_counts(&a.sync(), &[]);
    assert_eq!(b.files()["2020/x.jpg"], "2020/x.jpg");
    assert!(listed(&a).is_empty() && tree(&a.library.join(".twinlens/trash")).is_empty());
}

#[test]
fn what_was_deleted_here_and_restored_before_or_after_the_sync_is_there_on_both_sides() {
    for deletes in ["ignore", "trash"] {
        let sandbox = Sandbox::new();
        let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
        a.serve();
        b.serve();
        a.pair(&b, &["--deletes", deletes]);
        for name in ["x.jpg", "y.jpg", "z.jpg"] {
            http("PUT", &format!("{}{name}", a.originals()), &[], name.as_bytes());
        }
        a.sync();
        delete(&a, "x.jpg");
        a.run(&["trash", "restore", "x.jpg"]);
        assert_counts(&a.sync(), &[]);
        delete(&a, "y.jpg");
        assert_counts(&a.sync(), &[("deleted", u64::from(deletes == "trash"))]);
        a.run(&["trash", "restore", "y.jpg"]);
        a.sync();
        assert_counts(&a.sync(), &[]);
        assert_files(&a, &[("x.jpg", "x.jpg"), ("y.jpg", "y.jpg"), ("z.jpg", "z.jpg")]);
        assert_eq!(a.files(), b.files());
    }
}

#[test]
fn nothing_is_replaced_by_what_is_restored() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "first");
    a.sync();
    b.put("x.jpg", "second");
    b.run(&["index"]);
    a.sync();
    assert_files(&a, &[("x.jpg", "second")]);
    assert_eq!(listed(&a), [("x.jpg".into(), "replaced".into())]);
    // To a place that is taken: nothing happens.
    let answer = a.run_expecting(1, &["trash", "restore", "x.jpg", "--to", "x.jpg"]);
    assert!(answer["failed"][0]["reason"].as_str().unwrap().contains("exists"), "{answer:#}");
    let answer = a.run(&["trash", "restore", "x.jpg"]);
    let path = answer["restored"][0]["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with("x (restored ") && path.ends_with(").jpg"), "{path}");
    assert_files(&a, &[("x.jpg", "second"), (&path, "first")]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn a_folder_comes_back_with_everything_that_was_in_it_and_a_file_by_its_id_to_another_place() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["f/a.jpg", "f/g/b.jpg", "other/c.jpg"] {
        node.put(name, name);
    }
    node.serve();
    node.run(&["index"]);
    delete(&node, "f/");
    delete(&node, "other/c.jpg");
    assert_files(&node, &[]);
    assert_eq!(listed(&node).len(), 3);
    node.put("f/a.jpg", "another");
    let answer = node.run(&["trash", "restore", "f/"]);
    assert_eq!((answer["restored"].as_array().unwrap().len(), answer["kept"].as_array().unwrap().len()), (1, 1), "{answer:#}");
    let id =
        node.run(&["trash", "list"])["files"].as_array().unwrap().iter().find(|file| file["path"] == "other/c.jpg").unwrap()["id"].clone();
    node.run(&["trash", "restore", id.as_str().unwrap(), "--to", "new/place.jpg"]);
    assert_files(&node, &[("f/a.jpg", "another"), ("f/g/b.jpg", "f/g/b.jpg"), ("new/place.jpg", "other/c.jpg")]);
    assert_eq!(http("GET", &format!("{}new/place.jpg", node.originals()), &[], b"").text(), "other/c.jpg");
    let wrong = node.run_expecting(1, &["trash", "restore", "nowhere.jpg"]);
    assert!(wrong["failed"][0]["reason"].as_str().unwrap().contains("trash list"));
}

#[test]
fn the_trash_is_emptied_only_of_what_is_old_or_when_all_is_meant() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("x.jpg", "new in the trash");
    node.serve_with(&["--trash-days", "off"]);
    node.run(&["index"]);
    delete(&node, "x.jpg");
    let trash = node.library.join(".twinlens/trash");
    write(&trash.join("2020-01-02/030405.000000006/old.jpg"), b"old");
    write(&trash.join("2020-01-02/my own/notes.txt"), b"not from here");
    // A link in a folder that was removed leads outside: only the link goes.
    write(&sandbox.path().join("outside/precious.jpg"), b"precious");
    std::os::unix::fs::symlink(sandbox.path().join("outside"), trash.join("2020-01-02/030405.000000006/link")).unwrap();
    std::os::unix::fs::symlink(sandbox.path().join("outside"), trash.join("2020-01-03")).unwrap();
    assert_eq!(node.run(&["trash", "list"])["files"].as_array().unwrap().len(), 2);
    let answer = node.run(&["trash", "empty"]);
    assert_eq!((&answer["removed"], &answer["left"]), (&1.into(), &1.into()), "{answer:#}");
    let answer = node.run(&["trash", "empty", "--older-than", "1d"]);
    assert_eq!(answer["removed"], 0);
    assert_eq!(node.run(&["trash", "empty", "--all"])["removed"], 1);
    fs::remove_file(trash.join("2020-01-03")).unwrap();
    assert_eq!(node.trashed(), ["not from here"]);
    assert!(sandbox.path().join("outside/precious.jpg").is_file());
    let text = node.command(&["trash", "list"]).output().unwrap();
    assert_eq!(text.stdout, b"the trash is empty\n", "{}", show(&text));
}

#[test]
fn a_trash_that_is_a_link_is_left_alone() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    node.put("x.jpg", "x");
    node.run(&["index"]);
    write(&sandbox.path().join("elsewhere/2020-01-02/030405.000000006/old.jpg"), b"old");
    std::os::unix::fs::symlink(sandbox.path().join("elsewhere"), node.library.join(".twinlens/trash")).unwrap();
    let answer = node.run_expecting(3, &["trash", "empty", "--all"]);
    assert!(answer["error"].as_str().unwrap().contains("a link"), "{answer:#}");
    assert!(sandbox.path().join("elsewhere/2020-01-02/030405.000000006/old.jpg").is_file());
}

#[test]
fn a_serving_node_lets_go_of_what_is_older_than_it_shall_keep() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let trash = node.library.join(".twinlens/trash");
    let days_ago = |days: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(days * 24)).strftime("%Y-%m-%d").to_string();
    for days in [3, 29, 32] {
        write(&trash.join(days_ago(days)).join("010203.000000004-replaced/x.jpg"), days.to_string().as_bytes());
    }
    node.serve();
    eventually("letting go after 30 days", || node.trashed().len() == 2);
    node.stop();
    node.serve_with(&["--trash-days", "off"]);
    node.stop();
    assert_eq!(node.trashed().len(), 2);
    node.serve_with(&["--trash-days", "7"]);
    eventually("letting go after 7 days", || node.trashed() == ["3"]);
}
