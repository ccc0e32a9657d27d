//! The index, the DATA folder or the library is put back from a backup, or gone: nothing is lost, nothing is deleted, and it converges.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::changes::{report, token};
use crate::support::{Node, Sandbox, assert_counts, assert_files};

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn pair(sandbox: &Sandbox, deletes: &str) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--deletes", deletes]);
    for name in ["edited.jpg", "gone.jpg", "unsynced.jpg", "same.jpg", "last.jpg", "f/moved.jpg"] {
        a.put(name, name);
    }
    a.sync();
    (a, b)
}

/// What happens after the backup, all of it synced.
fn go_on(a: &Node, b: &Node) {
    a.put("edited.jpg", "second version");
    a.remove("gone.jpg");
    a.rename("f/moved.jpg", "g/moved.jpg");
    a.put("new.jpg", "new here");
    b.put("there.jpg", "new there");
    b.run(&["index"]);
    a.sync();
    assert_eq!(a.files(), b.files());
}

#[test]
fn an_older_index_loses_nothing_and_deletes_nothing() {
    for deletes in ["ignore", "trash"] {
        let sandbox = Sandbox::new();
        let (a, b) = pair(&sandbox, deletes);
        let kept = sandbox.path().join("kept.redb");
        fs::copy(a.data.join("state.redb"), &kept).unwrap();
        go_on_with(&a, &b, deletes);
        let there = b.files();
        a.remove("unsynced.jpg");
        fs::copy(&kept, a.data.join("state.redb")).unwrap();
        // Looking beforehand spends nothing of the care.
        a.run(&["sync", "--dry-run"]);
        let report = a.sync();
        assert_eq!((&report["uploaded"], &report["downloaded"], &report["deleted"]), (&0.into(), &0.into(), &0.into()), "{report:#}");
        assert!(report["skipped"].to_string().contains("put back from a backup"), "{report:#}");
        assert_eq!(b.files(), there);
        assert!(a.files().iter().all(|(path, content)| there[path] == *content));
        // From now on deletions are followed again.
        a.remove("last.jpg");
        let report = a.sync();
        assert_counts(&report, &[("deleted", u64::from(deletes == "trash"))]);
        assert!(!report["skipped"].to_string().contains("backup"), "{report:#}");
    }
}

/// With deletions that are not followed, both sides differ by them.
fn go_on_with(a: &Node, b: &Node, deletes: &str) {
    if deletes == "trash" {
        return go_on(a, b);
    }
    a.put("edited.jpg", "second version");
    a.rename("f/moved.jpg", "g/moved.jpg");
    a.sync();
}

#[test]
fn after_an_older_index_nobody_is_told_of_changes_by_numbers_that_were_given_before() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for number in 0..5 {
        node.put(&format!("{number}.jpg"), "first");
    }
    node.run(&["index"]);
    let kept = sandbox.path().join("kept.redb");
    fs::copy(node.data.join("state.redb"), &kept).unwrap();
    for number in 0..3 {
        node.put(&format!("{number}.jpg"), "the second");
    }
    node.run(&["index"]);
    node.serve();
    let told = token(&report(&node, "", "", "infinite", None));
    node.stop();
    // Stopped and started, the changes go on.
    node.serve();
    assert_eq!(report(&node, "", &told, "infinite", None).status, 207);
    node.stop();
    fs::copy(&kept, node.data.join("state.redb")).unwrap();
    // As many changes as were lost, and they are other ones.
    for number in 0..5 {
        node.put(&format!("{number}.jpg"), "and a third one");
    }
    node.run(&["index"]);
    node.serve();
    let answer = report(&node, "", &told, "infinite", None);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.text().contains("valid-sync-token"), "{answer:?}");
}

#[test]
fn without_a_data_folder_everything_is_paired_again() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, "trash");
    go_on(&a, &b);
    fs::remove_dir_all(&a.data).unwrap();
    a.put("same.jpg", "edited in between");
    a.remove("unsynced.jpg");
    a.pair(&b, &["--deletes", "trash"]);
    let report = a.sync();
    // Without a memory an edit is another version, and what is missing was never here.
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!((&report["deleted"], &report["adopted"]), (&0.into(), &5.into()), "{report:#}");
    assert!(a.files().contains_key("unsynced.jpg"));
    assert_eq!(a.files(), b.files());
    let copies = a.files().values().filter(|content| ["edited in between", "same.jpg"].contains(&content.as_str())).count();
    assert_eq!(copies, 2);
    assert_counts(&a.sync(), &[]);
}

#[test]
fn an_older_library_gets_back_what_it_lacks_and_replaces_nothing_newer() {
    for deletes in ["ignore", "trash"] {
        let sandbox = Sandbox::new();
        let (a, b) = pair(&sandbox, deletes);
        let kept = sandbox.path().join("kept");
        copy(&a.library, &kept);
        a.put("edited.jpg", "second version");
        a.put("new.jpg", "new here");
        b.put("there.jpg", "new there");
        b.run(&["index"]);
        a.sync();
        assert_eq!(a.files(), b.files());
        let there = b.files();
        copy(&kept, &a.library);
        let report = a.sync();
        assert_counts(&report, &[("uploaded", 1), ("downloaded", 3), ("adopted", 5)]);
        assert_eq!(report["conflicts"].as_array().unwrap().len(), 1, "{report:#}");
        assert_eq!(a.files(), b.files());
        for content in there.values().chain([&"edited.jpg".to_owned()]) {
            assert!(b.files().values().any(|kept| kept == content), "{content} is lost");
        }
        assert_eq!(a.files().len(), there.len() + 1);
        assert_counts(&a.sync(), &[]);
    }
}

#[test]
fn what_was_deleted_stays_deleted_when_the_library_is_put_back() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, "ignore");
    a.remove("gone.jpg");
    a.sync();
    let kept = sandbox.path().join("kept");
    copy(&a.library, &kept);
    a.put("new.jpg", "new");
    a.sync();
    copy(&kept, &a.library);
    assert_counts(&a.sync(), &[("downloaded", 1), ("adopted", 5)]);
    assert!(!a.files().contains_key("gone.jpg") && b.files().contains_key("gone.jpg"));
}

#[test]
fn a_backup_of_both_is_no_older_than_itself() {
    let sandbox = Sandbox::new();
    let (a, _b) = pair(&sandbox, "trash");
    let (library, data) = (sandbox.path().join("kept library"), sandbox.path().join("kept data"));
    copy(&a.library, &library);
    copy(&a.data, &data);
    a.run(&["index"]);
    copy(&library, &a.library);
    copy(&data, &a.data);
    a.remove("last.jpg");
    assert_counts(&a.sync(), &[("deleted", 1)]);
    assert_files(
        &a,
        &[
            ("edited.jpg", "edited.jpg"),
            ("f/moved.jpg", "f/moved.jpg"),
            ("gone.jpg", "gone.jpg"),
            ("same.jpg", "same.jpg"),
            ("unsynced.jpg", "unsynced.jpg"),
        ],
    );
}
