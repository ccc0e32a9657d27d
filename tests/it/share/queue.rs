//! What is asked for is done, once, and nothing else.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Node, Sandbox, assert_files, eventually, show, tree, write};

fn scene(sandbox: &Sandbox) -> (Node, Node) {
    let (node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    assert!(node.add_service("nas", &nas.originals()).status.success());
    (node, nas)
}

#[track_caller]
fn counts(report: &Value, expected: &[(&str, u64)]) {
    for key in ["waiting", "failed", "uploaded", "already_there", "skipped", "cancelled", "expired", "left"] {
        let wanted = expected.iter().find(|(name, _)| *name == key).map_or(0, |(_, count)| *count);
        assert_eq!(report[key], wanted, "{key} in {report:#}");
    }
}

#[test]
fn files_folders_and_lists_are_sent_under_their_names() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    for (path, content) in [("2024/a.jpg", "a"), ("2024/Sea/b ä#.jpg", "b"), ("2024/Sea/c.xmp", "c"), ("d.jpg", "d"), ("2023/e.jpg", "e")]
    {
        node.put(path, content);
    }
    node.put("2024/.DS_Store", "junk");
    let absolute = node.library.join("d.jpg");
    let report = node.run(&["share", "2024", absolute.to_str().unwrap(), "--to", "nas", "--folder", "/Family/Summer"]);
    counts(&report, &[("uploaded", 4)]);
    assert_eq!((&report["total"], &report["folder"], &report["bytes"]), (&4.into(), &"/Family/Summer".into(), &4.into()));
    assert_eq!(report["evidence"], json!({ "computed": 4 }), "proven as a sync proves");
    let there = [
        ("Family/Summer/2024/a.jpg", "a"),
        ("Family/Summer/2024/Sea/b ä#.jpg", "b"),
        ("Family/Summer/2024/Sea/c.xmp", "c"),
        ("Family/Summer/d.jpg", "d"),
    ];
    assert_files(&nas, &there);

    // An album, from a file and from standard input.
    let list = sandbox.path().join("album.txt");
    fs::write(&list, "2023/e.jpg\r\n\n2024/a.jpg\n").unwrap();
    counts(&node.run(&["share", "--list", list.to_str().unwrap(), "--to", "nas", "--folder", "Album"]), &[("uploaded", 2)]);
    let mut command = node.command(&["share", "--list", "-", "--to", "nas", "--folder", "Album 2", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"d.jpg\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    // From within the library, as a shell completes it; and one that is called like a command.
    node.put("2024/Sea/list/x.jpg", "x");
    let mut inside = node.command(&["share", "./list", "../a.jpg", "--to", "nas", "--folder", "Album 3", "--json"]);
    let output = inside.current_dir(node.library.join("2024/Sea")).output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    let mut expected = there.to_vec();
    expected.extend([
        ("Album/e.jpg", "e"),
        ("Album/a.jpg", "a"),
        ("Album 2/d.jpg", "d"),
        ("Album 3/list/x.jpg", "x"),
        ("Album 3/a.jpg", "a"),
    ]);
    assert_files(&nas, &expected);
}

#[test]
fn names_that_are_taken_get_a_number_and_nothing_is_sent_twice() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    node.put("one/IMG_1.jpg", "first");
    node.put("two/IMG_1.jpg", "second");
    node.put("three/img_1.JPG", "third");
    nas.put("S/IMG_1.jpg", "somebody else's");
    nas.put("S/IMG_1 (3).jpg", "second");
    nas.run(&["index"]);
    let share = ["share", "one/IMG_1.jpg", "two/IMG_1.jpg", "three/img_1.JPG", "--to", "nas", "--folder", "S"];
    let report = node.run(&share);
    assert_eq!(report["uploaded"].as_u64().unwrap() + report["already_there"].as_u64().unwrap(), 3, "{report:#}");
    let there = nas.files();
    assert_eq!(there["S/IMG_1.jpg"], "somebody else's");
    for content in ["first", "second", "third"] {
        assert_eq!(there.values().filter(|there| *there == content).count(), 1, "{there:#?}");
    }
    // The same again: everything is there.
    counts(&node.run(&share), &[("already_there", 3)]);
    assert_eq!(nas.files(), there);
    // Another content under the same name.
    node.put("one/IMG_1.jpg", "first, edited");
    let report = node.run(&["share", "one/IMG_1.jpg", "--to", "nas", "--folder", "S"]);
    counts(&report, &[("uploaded", 1)]);
    assert_eq!(report["renamed"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(nas.files().values().filter(|there| *there == "first").count(), 1);
}

#[test]
fn a_running_node_sends_in_the_background_and_goes_on_after_it_was_killed() {
    let sandbox = Sandbox::new();
    let (mut node, nas) = scene(&sandbox);
    let names: Vec<String> = (0..60).map(|number| format!("many/{number:02}.jpg")).collect();
    for name in &names {
        write(&node.library.join(name), format!("{name} {}", "x".repeat(200_000)).as_bytes());
    }
    node.run(&["service", "sync", "nas", "--off", "--rate", "2M"]);
    node.serve();
    let report = node.run(&["share", "many", "--to", "nas", "--background"]);
    counts(&report, &[("waiting", 60)]);
    eventually("some were sent", || tree(&nas.library.join("many")).len() > 5);
    node.signal("KILL");
    assert!(tree(&nas.library.join("many")).len() < 60, "it was killed too late");
    node.run(&["service", "sync", "nas", "--off", "--rate", "off"]);
    node.serve();
    eventually("the rest was sent", || node.run(&["share", "list"])["shares"][0]["uploaded"] == 60);
    assert_eq!(nas.files(), node.files(), "each once, under its name");
    let report = node.run(&["share", "list", "1"]);
    assert!(report["files"].as_array().unwrap().iter().all(|file| file["state"] == "uploaded"), "{report:#}");
}

#[test]
fn what_is_cancelled_is_not_sent_and_what_failed_is_tried_again() {
    let sandbox = Sandbox::new();
    let (node, mut nas) = scene(&sandbox);
    node.put("a.jpg", "a");
    node.put("b.jpg", "b");
    nas.stop();
    let report = node.run_expecting(3, &["share", "a.jpg", "--to", "nas"]);
    counts(&report, &[("waiting", 1)]);
    assert!(report["error"].as_str().unwrap().contains("does not answer"), "{report:#}");
    node.run_expecting(3, &["share", "b.jpg", "--to", "nas"]);
    assert_eq!(node.run(&["share", "cancel", "1"])["cancelled"], 1);
    nas.serve();
    // It has another port now.
    let moved = node.run_with_password(&["service", "edit", "nas", "--user", "admin", "--password-stdin"], crate::support::PASSWORD);
    let url = nas.originals();
    if !moved.status.success() {
        node.run(&["service", "remove", "nas"]);
        assert!(node.add_service("nas", &url).status.success());
        assert_eq!(node.run(&["share", "list"])["shares"], json!([]), "they went with the service");
        node.put("c.jpg", "c");
        counts(&node.run(&["share", "c.jpg", "--to", "nas"]), &[("uploaded", 1)]);
    }
}

#[test]
fn mistakes_are_told_and_queue_nothing() {
    let sandbox = Sandbox::new();
    let (node, _nas) = scene(&sandbox);
    node.put("a.jpg", "a");
    node.put(".tlignore", "secret/\n");
    node.put("secret/deep/s.jpg", "s");
    fs::create_dir(node.library.join("empty")).unwrap();
    let outside = sandbox.path().join("outside.jpg");
    fs::write(&outside, "o").unwrap();
    for (args, words) in [
        (&["a.jpg", "--to", "other"] as &[&str], "there is no service other"),
        (&["b.jpg", "--to", "nas"], "b.jpg: there is no photo or other file of the library there"),
        (&["a.jpg", "empty", "--to", "nas"], "empty: there is no photo"),
        (&["secret", "--to", "nas"], "secret: there is no photo"),
        (&["./secret/deep/", "--to", "nas"], "secret/deep/: there is no photo"),
        (&[outside.to_str().unwrap(), "--to", "nas"], "does not lie in the library"),
        (&["../n2/a.jpg", "--to", "nas"], "does not lie in the library"),
        (&["a.jpg", "--to", "nas", "--size", "fit_1"], "a size is one of"),
        (&["a.jpg", "--to", "nas", "--expires", "1y"], "it is one of never"),
        (&["a.jpg", "--to", "nas", "--folder", "a/../.."], "cannot be used"),
        (&["a.jpg"], "--to"),
        (&["--to", "nas"], "PATH"),
        (&["--list", "/no/such/list", "--to", "nas"], "cannot be read"),
        (&["list", "7"], "there is no share 7"),
        (&["retry", "7"], "there is no share 7"),
        (&["cancel", "7"], "there is no share 7"),
        (&["cancel", "seven"], "invalid value"),
    ] {
        let output = node.command(&[&["share"], args].concat()).current_dir(sandbox.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", show(&output));
        assert!(show(&output).contains(words), "{args:?}: {}", show(&output));
    }
    node.run(&["service", "upload", "nas", "--off"]);
    let off = node.run_expecting(2, &["share", "a.jpg", "--to", "nas"]);
    assert!(off["error"].as_str().unwrap().contains("twinlens service upload nas --on"), "{off}");
    assert_eq!(node.run(&["share", "list"])["shares"], json!([]));
    let mut public = sandbox.node("public");
    public.put("a.jpg", "a");
    public.serve_with(&["--public"]);
    for args in [&["share", "a.jpg", "--to", "nas"] as &[&str], &["share", "list"], &["share", "retry"], &["share", "cancel"]] {
        let refused = public.run_expecting(2, args);
        assert!(refused["error"].as_str().unwrap().contains("public mode"), "{refused}");
    }
}
