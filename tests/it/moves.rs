//! What was renamed or is there already does not travel: one request, whatever its size.

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts, assert_files};

/// Two nodes in step over these files.
fn in_step(sandbox: &Sandbox, files: &[(&str, &str)], options: &[&str]) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, options);
    files.iter().for_each(|(path, content)| a.put(path, content));
    a.sync();
    assert_eq!(a.files(), b.files());
    (a, b)
}

/// A node and a plain server in step over these files.
fn in_step_with_plain(sandbox: &Sandbox, files: &[(&str, &str)], options: &[&str]) -> (Node, PlainServer) {
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    node.connect("svc", &server.url, options);
    files.iter().for_each(|(path, content)| node.put(path, content));
    node.sync();
    assert_eq!(node.files(), server.state().contents());
    server.changes();
    (node, server)
}

/// Gives files other names, all at once.
fn rename_all(node: &Node, names: &[(&str, &str)]) {
    names.iter().for_each(|(from, _)| node.rename(from, &format!("{from}.waits")));
    names.iter().for_each(|(from, to)| node.rename(&format!("{from}.waits"), to));
}

const NAMES: [(&str, &str); 8] = [
    ("swap 1.jpg", "swap 2.jpg"),
    ("swap 2.jpg", "swap 1.jpg"),
    ("d/chain 1.jpg", "chain 2.jpg"),
    ("chain 2.jpg", "e/chain 3.jpg"),
    ("circle 1.jpg", "circle 2.jpg"),
    ("circle 2.jpg", "f/circle 3.jpg"),
    ("f/circle 3.jpg", "circle 1.jpg"),
    ("case.jpg", "CASE.jpg"),
];

#[test]
fn exchanged_names_chains_and_circles_are_followed_on_either_side() {
    let files: Vec<_> = NAMES.iter().map(|(path, _)| (*path, *path)).collect();
    for here in [true, false] {
        let sandbox = Sandbox::new();
        let (a, b) = in_step(&sandbox, &files, &[]);
        rename_all(if here { &a } else { &b }, &NAMES);
        b.run(&["index"]);
        let report = a.sync();
        assert_counts(&report, &[("moved", 8)]);
        assert_eq!((&report["bytes_up"], &report["bytes_down"]), (&0.into(), &0.into()), "{report:#}");
        let expected: Vec<_> = NAMES.iter().map(|(from, to)| (*to, *from)).collect();
        assert_files(&a, &expected);
        assert_files(&b, &expected);
        assert_eq!((a.trashed().len(), b.trashed().len()), (0, 0));
        assert_counts(&a.sync(), &[]);
    }
}

#[test]
fn a_run_that_breaks_off_at_any_request_of_a_circle_loses_nothing() {
    let circle = [("1.jpg", "2.jpg"), ("2.jpg", "3.jpg"), ("3.jpg", "1.jpg")];
    let files = circle.map(|(path, _)| (path, path));
    for (at, after) in (0..4).flat_map(|at| [(at, false), (at, true)]) {
        let sandbox = Sandbox::new();
        let (node, server) = in_step_with_plain(&sandbox, &files, &[]);
        rename_all(&node, &circle);
        server.state().breaks_at = Some((at, after));
        // When only the last answer is lost, all is done.
        node.sync_expecting(i32::from((at, after) != (3, true)), &[]);
        server.state().breaks_at = None;
        let report = node.sync();
        assert_eq!(report["bytes_up"], 0, "broken off at {at}, {after}: {report:#}");
        assert_eq!(node.files(), server.state().contents(), "broken off at {at}, {after}");
        assert_files(&node, &[("2.jpg", "1.jpg"), ("3.jpg", "2.jpg"), ("1.jpg", "3.jpg")]);
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn a_circle_that_was_begun_here_is_ended() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("1.jpg", "one"), ("2.jpg", "two"), ("3.jpg", "three")], &[]);
    rename_all(&b, &[("1.jpg", "2.jpg"), ("2.jpg", "1.jpg")]);
    b.run(&["index"]);
    // A run was killed when it had set the first file aside.
    let waits = format!(".twinlens-moving-{}.jpg", blake3::hash(b"one").to_hex());
    a.rename("1.jpg", &waits);
    let report = a.sync();
    assert_eq!(report["bytes_down"], 0, "{report:#}");
    assert_files(&a, &[("1.jpg", "two"), ("2.jpg", "one"), ("3.jpg", "three")]);
    assert_counts(&a.sync(), &[]);
    // Nobody asks for this one: it is told, and left.
    a.put(&format!(".twinlens-moving-{}.jpg", blake3::hash(b"lost").to_hex()), "lost");
    let report = a.sync();
    assert_counts(&report, &[]);
    assert!(report["skipped"][0]["reason"].as_str().unwrap().contains("a run that broke off left it here"), "{report:#}");
    assert_eq!(b.files().len(), 3);
}

#[test]
fn a_name_that_only_changes_its_case_is_followed_where_case_is_ignored_too() {
    for ignores_case in [false, true] {
        let sandbox = Sandbox::new();
        let (node, server) = in_step_with_plain(&sandbox, &[("img.jpg", "x"), ("d/y.jpg", "y"), ("d/z.jpg", "z")], &[]);
        server.state().ignores_case = ignores_case;
        node.rename("img.jpg", "IMG.JPG");
        std::fs::rename(node.library.join("d"), node.library.join("D")).unwrap();
        assert_counts(&node.sync(), &[("moved", 3)]);
        assert_eq!(server.state().contents(), node.files());
        assert!(server.changes().iter().all(|change| change.starts_with("MOVE")), "something was sent");
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn a_renamed_folder_is_one_request() {
    let files = [("2020/a.jpg", "a"), ("2020/b.jpg", "b"), ("2020/deep/c.xmp", "c"), ("other.jpg", "other")];
    let sandbox = Sandbox::new();
    let (node, server) = in_step_with_plain(&sandbox, &files, &[]);
    node.rename("2020", "Albums/Summer");
    let plan = node.sync_expecting(0, &["--dry-run"])["plan"].clone();
    assert_eq!((plan.as_array().unwrap().len(), plan[0]["action"].as_str()), (1, Some("move-folder")), "{plan:#}");
    assert_counts(&node.sync(), &[("moved", 3)]);
    assert_eq!(server.changes(), ["MKCOL Albums", "MOVE 2020 -> Albums/Summer/"]);
    assert_eq!(server.state().contents(), node.files());
    assert_counts(&node.sync(), &[]);

    // With something in it that nobody moved, its files are renamed one by one, and it stays.
    server.state().put("Albums/Summer/only-there.txt", "t");
    server.state().tells_checksums = true;
    node.rename("Albums/Summer", "Albums/Winter");
    assert_counts(&node.sync(), &[("moved", 3), ("downloaded", 1)]);
    assert!(!server.changes().contains(&"MOVE Albums/Summer -> Albums/Winter/".to_owned()));
    assert_eq!(server.state().contents(), node.files());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn a_folder_renamed_there_is_renamed_here() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("2020/a.jpg", "a"), ("2020/deep/b.jpg", "b"), ("c.jpg", "c")], &[]);
    b.rename("2020", "2021");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("moved", 2)]);
    assert_eq!(a.files(), b.files());
    assert!(!a.library.join("2020").exists(), "the folder itself was not renamed");
    assert_counts(&a.sync(), &[]);
}

#[test]
fn a_rename_and_an_edit_of_the_other_side_come_together() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("x.jpg", "x"), ("y.jpg", "y"), ("z.jpg", "z")], &[]);
    a.rename("x.jpg", "renamed here.jpg");
    b.put("x.jpg", "x, edited there");
    b.rename("y.jpg", "renamed there.jpg");
    a.put("y.jpg", "y, edited here");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("moved", 2), ("downloaded", 1), ("uploaded", 1)]);
    assert_files(&a, &[("renamed here.jpg", "x, edited there"), ("renamed there.jpg", "y, edited here"), ("z.jpg", "z")]);
    assert_eq!(a.files(), b.files());
    assert_counts(&a.sync(), &[]);
}

#[test]
fn renamed_to_two_names_it_is_one_file_with_both() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("x.jpg", "x"), ("y.jpg", "y")], &[]);
    a.rename("x.jpg", "here.jpg");
    b.rename("x.jpg", "there.jpg");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("adopted", 1)]);
    a.put("here.jpg", "edited");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_files(&a, &[("here.jpg", "edited"), ("y.jpg", "y")]);
    assert_files(&b, &[("there.jpg", "edited"), ("y.jpg", "y")]);
    assert_counts(&a.sync(), &[]);
}

#[test]
fn a_rename_beats_a_deletion() {
    for deletes in ["ignore", "trash"] {
        let sandbox = Sandbox::new();
        let (a, b) = in_step(&sandbox, &[("x.jpg", "x"), ("y.jpg", "y"), ("z.jpg", "z")], &["--deletes", deletes]);
        a.rename("x.jpg", "new folder/x.jpg");
        b.remove("x.jpg");
        b.run(&["index"]);
        assert_counts(&a.sync(), &[("uploaded", 1)]);
        assert_eq!(a.files(), b.files());
        assert_counts(&a.sync(), &[]);
    }
}

#[test]
fn renamed_and_edited_on_one_side_it_is_another_file() {
    for (deletes, left) in [("ignore", true), ("trash", false)] {
        let sandbox = Sandbox::new();
        let (a, b) = in_step(&sandbox, &[("x.jpg", "x"), ("y.jpg", "y"), ("z.jpg", "z")], &["--deletes", deletes]);
        a.rename("x.jpg", "new.jpg");
        a.put("new.jpg", "x, edited");
        a.sync();
        assert_eq!(b.files()["new.jpg"], "x, edited");
        assert_eq!(b.files().contains_key("x.jpg"), left);
        assert_counts(&a.sync(), &[]);
        assert!(!a.files().contains_key("x.jpg"), "what the owner gave up came back");
    }
}

#[test]
fn a_file_moved_over_another_replaces_it() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("1.jpg", "one"), ("2.jpg", "two"), ("3.jpg", "three"), ("4.jpg", "four")], &[]);
    a.rename("1.jpg", "2.jpg");
    b.rename("3.jpg", "4.jpg");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("moved", 2)]);
    assert_files(&a, &[("2.jpg", "one"), ("4.jpg", "three")]);
    assert_eq!(a.files(), b.files());
    assert_eq!((a.trashed(), b.trashed()), (vec!["four".to_owned()], vec!["two".to_owned()]));
    assert_counts(&a.sync(), &[]);
}

#[test]
fn more_copies_than_go_side_by_side_are_sent_when_they_are_refused() {
    let sandbox = Sandbox::new();
    let (node, server) = in_step_with_plain(&sandbox, &[("1.xmp", "sidecar")], &[]);
    server.state().refuses_copy = Some("405 Method Not Allowed");
    (2..30).for_each(|n| node.put(&format!("{n}.xmp"), "sidecar"));
    let mut sync = node.command(&["sync", "--json"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut ended = None;
    let started = std::time::Instant::now();
    while ended.is_none() && started.elapsed() < std::time::Duration::from_secs(30) {
        std::thread::sleep(std::time::Duration::from_millis(20));
        ended = sync.try_wait().unwrap();
    }
    sync.kill().unwrap();
    sync.wait().unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert_eq!(server.state().contents(), node.files());
}

#[test]
fn a_content_that_is_there_is_copied_there() {
    for (refuses, sent) in [(None, 0), (Some("405 Method Not Allowed"), 2), (Some("403 Forbidden"), 2), (Some("501 Not Implemented"), 2)] {
        let sandbox = Sandbox::new();
        let (node, server) = in_step_with_plain(&sandbox, &[("1.xmp", "sidecar"), ("old.jpg", "good"), ("edited.jpg", "bad")], &[]);
        server.state().refuses_copy = refuses;
        node.put("2.xmp", "sidecar");
        node.put("edited.jpg", "good");
        node.put("copy of old.jpg", "good");
        let report = node.sync();
        assert_counts(&report, &[("uploaded", sent)]);
        assert_eq!(report["copied"], 2 - sent, "{report:#}");
        assert_eq!(report["skipped"][0]["path"], "copy of old.jpg", "{report:#}");
        let mut files = node.files();
        files.remove("copy of old.jpg");
        assert_eq!(server.state().contents(), files);
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn a_content_that_is_here_is_copied_here() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &[("1.xmp", "sidecar"), ("old.jpg", "good"), ("edited.jpg", "bad")], &[]);
    b.put("2.xmp", "sidecar");
    b.put("edited.jpg", "good");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[]);
    assert_eq!((&report["copied"], &report["bytes_down"]), (&2.into(), &0.into()), "{report:#}");
    assert_eq!(a.files(), b.files());
    assert_eq!((a.trashed(), a.left_behind().len()), (vec!["bad".to_owned()], 0));
    assert_counts(&a.sync(), &[]);
}

#[test]
fn an_answer_to_a_move_that_was_lost_is_looked_for() {
    let sandbox = Sandbox::new();
    let (node, server) = in_step_with_plain(&sandbox, &[("x.jpg", "x")], &[]);
    node.rename("x.jpg", "y.jpg");
    server.state().breaks_at = Some((0, true));
    assert_counts(&node.sync(), &[("moved", 1)]);
    assert_eq!(server.state().contents(), node.files());
}

#[test]
fn folders_left_empty_follow_when_deletions_do() {
    for (deletes, stays) in [("ignore", true), ("trash", false)] {
        let files = [("d/deep/x.jpg", "x"), ("e/y.jpg", "y"), ("f/1.jpg", "1"), ("f/2.jpg", "2"), ("3.jpg", "3"), ("4.jpg", "4")];
        let sandbox = Sandbox::new();
        let (node, server) = in_step_with_plain(&sandbox, &files, &["--deletes", deletes]);
        server.state().folders.insert("e/kept by somebody".into());
        node.remove("d/deep/x.jpg");
        node.rename("e/y.jpg", "f/y.jpg");
        std::fs::remove_dir_all(node.library.join("d")).unwrap();
        std::fs::remove_dir_all(node.library.join("e")).unwrap();
        node.sync();
        let folders = server.state().folders.clone();
        assert_eq!(folders.contains("d/deep"), stays, "{folders:?}");
        assert_eq!(folders.contains("d"), stays, "{folders:?}");
        assert!(folders.contains("e") && folders.contains("f"), "{folders:?}");

        let sandbox = Sandbox::new();
        let (a, b) = in_step(&sandbox, &files, &["--deletes", deletes]);
        std::fs::remove_dir_all(b.library.join("d")).unwrap();
        b.run(&["index"]);
        a.sync();
        assert_eq!(a.library.join("d").exists(), stays);
    }
}

#[test]
fn a_rename_on_a_server_without_checksums_is_followed_when_the_bytes_prove_it() {
    let sandbox = Sandbox::new();
    let (node, server) = in_step_with_plain(&sandbox, &[("1.jpg", "one"), ("2.jpg", "two"), ("3.jpg", "three")], &["--deletes", "trash"]);
    let rename = |from: &str, to: &str| {
        let mut state = server.state();
        let file = state.files.remove(from).unwrap();
        state.files.insert(to.to_owned(), file);
    };
    rename("1.jpg", "one.jpg");
    // Another picture that looks just like the one that is gone.
    rename("2.jpg", "other.jpg");
    server.state().files.get_mut("other.jpg").unwrap().0 = "TWO".into();
    let report = node.sync();
    assert_counts(&report, &[("moved", 1), ("downloaded", 1)]);
    node.sync();
    assert_eq!(node.files(), server.state().contents());
    assert_eq!(node.trashed(), ["two"]);
    assert_counts(&node.sync(), &[]);
}

#[test]
fn apache_is_asked_to_move_and_copy_and_its_renames_are_followed() {
    let sandbox = Sandbox::new();
    let Some(server) = crate::peers::apache_with(&sandbox, "") else { return };
    let node = sandbox.node("n");
    node.connect("apache", &server.url, &["--folder", "/Photos & more", "--deletes", "trash"]);
    let photos = server.files.join("Photos & more");
    let there = || {
        let mut files = crate::support::tree(&photos);
        files.retain(|path, _| !path.contains(".DAV/"));
        files
    };
    NAMES.iter().for_each(|(path, _)| node.put(path, path));
    for number in 0..3 {
        node.put(&format!("A folder/{number}.jpg"), &format!("picture {number}"));
        node.put(&format!("A folder/deep/{number}.xmp"), &format!("sidecar {number}"));
    }
    node.sync();

    rename_all(&node, &NAMES);
    node.rename("A folder", "Another/one & only");
    node.put("again.xmp", "sidecar 1");
    for empty in ["d", "A folder"] {
        let _ = std::fs::remove_dir(node.library.join(empty));
    }
    let report = node.sync();
    assert_counts(&report, &[("moved", 14)]);
    assert_eq!((&report["copied"], &report["bytes_up"]), (&1.into(), &0.into()), "{report:#}");
    assert_eq!(node.files(), there());
    assert!(!photos.join("A folder").exists() && !photos.join("d").exists());
    assert_counts(&node.sync(), &[]);

    std::fs::rename(photos.join("Another/one & only"), photos.join("Third")).unwrap();
    std::fs::rename(photos.join("swap 1.jpg"), photos.join("no swap.jpg")).unwrap();
    let report = node.sync();
    assert_counts(&report, &[("moved", 7)]);
    assert_eq!(node.files(), there());
    assert!(node.trashed().is_empty());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn a_change_of_case_that_breaks_off_at_any_request_is_ended_by_the_next_run() {
    for (at, after) in (0..3).flat_map(|at| [(at, false), (at, true)]) {
        for (from, to) in [("img.jpg", "IMG.jpg"), ("d", "D")] {
            let sandbox = Sandbox::new();
            let (node, server) =
                in_step_with_plain(&sandbox, &[("img.jpg", "x"), ("d/y.jpg", "y"), ("d/z.jpg", "z")], &["--deletes", "trash"]);
            server.state().ignores_case = true;
            std::fs::rename(node.library.join(from), node.library.join(to)).unwrap();
            server.state().breaks_at = Some((at, after));
            // When only the last answer is lost, all is done; so it is when it is seen that the name was taken.
            let _ = node.command(&["sync", "--json"]).output().unwrap();
            server.state().breaks_at = None;
            node.sync();
            node.sync();
            assert_eq!(server.state().contents(), node.files(), "{from}, broken off at {at}, {after}");
            assert_eq!(node.files().len(), 3);
            assert!(node.trashed().is_empty());
            assert_counts(&node.sync(), &[]);
        }
    }
}

#[test]
fn what_was_copied_and_deleted_on_the_service_is_renamed_here_and_its_old_name_is_free() {
    let sandbox = Sandbox::new();
    for deletes in ["trash", "ignore"] {
        let (node, server) = (sandbox.node(deletes), PlainServer::start());
        node.connect("svc", &server.url, &["--deletes", deletes]);
        node.put("old.jpg", "picture");
        node.put("other.jpg", "other");
        node.sync();
        // Without checksums it is known by its bytes only, once they have come.
        let mut there = server.state();
        there.remove("old.jpg");
        there.put("d/new.jpg", "picture");
        drop(there);
        assert_counts(&node.sync(), &[("moved", 1)]);
        assert_files(&node, &[("d/new.jpg", "picture"), ("other.jpg", "other")]);
        assert_eq!(node.trashed().len(), 0, "{deletes}");
        assert_counts(&node.sync(), &[]);
        server.state().put("old.jpg", "another one");
        assert_counts(&node.sync(), &[("downloaded", 1)]);
        assert_eq!(node.files(), server.state().contents());
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn a_new_file_comes_though_its_name_belongs_to_one_that_is_called_otherwise_on_the_other_side() {
    for here in [true, false] {
        let sandbox = Sandbox::new();
        let (node, server) = (sandbox.node("n"), PlainServer::start());
        server.state().tells_checksums = true;
        node.connect("svc", &server.url, &[]);
        node.put("here.jpg", "same");
        server.state().put("there.jpg", "same");
        let report = node.sync();
        assert_counts(&report, &[("adopted", 1)]);
        match here {
            true => node.put("there.jpg", "new"),
            false => server.state().put("here.jpg", "new"),
        }
        let report = node.sync();
        assert_eq!(report["moved"], 1, "{report:#}");
        assert_eq!(node.files(), server.state().contents());
        assert_eq!(node.files().into_values().collect::<Vec<_>>(), if here { ["same", "new"] } else { ["new", "same"] });
        assert_eq!(node.trashed().len(), 0);
        assert_counts(&node.sync(), &[]);
    }
}
