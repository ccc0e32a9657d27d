//! What has expired is removed: what was sent from here, as it was sent, and nothing else.

use crate::support::{Node, Sandbox, eventually};

#[test]
fn an_upload_is_removed_when_it_expires_and_only_if_it_is_as_it_was_sent() {
    let sandbox = Sandbox::new();
    let (mut node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    assert!(node.add_service("nas", &nas.originals()).status.success());
    for name in ["kept", "gone", "edited", "deleted", "theirs", "longer", "for good"] {
        node.put(&format!("{name}.jpg"), name);
    }
    nas.put("S/theirs.jpg", "theirs");
    nas.run(&["index"]);
    node.run(&["share", "kept.jpg", "--to", "nas", "--folder", "S"]);
    let report = node.run(&[
        "share",
        "gone.jpg",
        "edited.jpg",
        "deleted.jpg",
        "theirs.jpg",
        "longer.jpg",
        "for good.jpg",
        "--to",
        "nas",
        "--folder",
        "S",
        "--expires",
        "7d",
    ]);
    assert_eq!((&report["uploaded"], &report["already_there"]), (&5.into(), &1.into()), "{report:#}");
    assert!(report["removed_from"].is_string(), "{report:#}");
    // Two of them are shared again, one for longer and one for good: sent once, and left there.
    assert_eq!(node.run(&["share", "longer.jpg", "--to", "nas", "--folder", "S", "--expires", "30d"])["already_there"], 1);
    assert_eq!(node.run(&["share", "for good.jpg", "--to", "nas", "--folder", "S"])["already_there"], 1);
    nas.put("S/edited.jpg", "EDITED");
    nas.remove("S/deleted.jpg");
    nas.run(&["index"]);
    let there = |nas: &Node| nas.files().into_keys().collect::<Vec<_>>();

    node.ahead = Some("167h");
    node.run(&["share", "retry"]);
    assert_eq!(there(&nas).len(), 6, "an hour is left");
    // The time has come, and nobody serves: nothing is done by itself, until somebody shares something.
    node.put("another.jpg", "another");
    node.ahead = Some("169h");
    node.run(&["share", "another.jpg", "--to", "nas", "--folder", "S"]);
    assert_eq!(there(&nas), ["S/another.jpg", "S/edited.jpg", "S/for good.jpg", "S/kept.jpg", "S/longer.jpg", "S/theirs.jpg"]);
    assert_eq!(nas.files()["S/edited.jpg"], "EDITED");
    let share = node.run(&["share", "list", "2"]);
    assert_eq!((&share["expired"], &share["left"], &share["already_there"]), (&2.into(), &3.into(), &1.into()), "{share:#}");
    let left = share["left_files"].as_array().unwrap();
    let reason = |path: &str| left.iter().find(|file| file["path"] == path).unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason("edited.jpg").contains("was changed on the service"), "{share:#}");
    assert!(reason("longer.jpg").contains("share 3 needs it"), "{share:#}");

    node.ahead = Some("721h");
    node.run(&["share", "another.jpg", "--to", "nas", "--folder", "S"]);
    assert_eq!(there(&nas), ["S/another.jpg", "S/edited.jpg", "S/for good.jpg", "S/kept.jpg", "S/theirs.jpg"]);
}

#[test]
fn a_serving_node_removes_them_by_itself() {
    let sandbox = Sandbox::new();
    let (mut node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    assert!(node.add_service("nas", &nas.originals()).status.success());
    node.put("a.jpg", "a");
    node.put("b.jpg", "b");
    node.run(&["share", "a.jpg", "--to", "nas", "--expires", "1d"]);
    node.run(&["share", "b.jpg", "--to", "nas", "--expires", "3d"]);
    node.ahead = Some("25h");
    node.serve();
    eventually("the removal", || nas.files().into_keys().eq(["b.jpg"]));
    eventually("its note", || node.run(&["share", "list", "1"])["expired"] == 1);
}

#[test]
fn folders_that_were_made_for_it_go_when_they_are_empty_and_no_others() {
    let sandbox = Sandbox::new();
    let (mut node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    std::fs::create_dir_all(nas.library.join("Theirs")).unwrap();
    nas.serve();
    assert!(node.add_service("nas", &nas.originals()).status.success());
    for path in ["Sea/deep/a.jpg", "Sea/b.jpg", "Hills/c.jpg", "d.jpg", "e.jpg"] {
        node.put(path, path);
    }
    node.run(&["share", "Sea", "Hills", "--to", "nas", "--folder", "S/2024", "--expires", "1d"]);
    node.run(&["share", "d.jpg", "--to", "nas", "--folder", "Theirs", "--expires", "1d"]);
    node.run(&["share", "e.jpg", "--to", "nas", "--folder", "Two/days", "--expires", "3d"]);
    // Somebody else likes a folder that we made.
    nas.put("S/2024/Hills/theirs.jpg", "theirs");
    nas.run(&["index"]);
    node.ahead = Some("25h");
    node.run(&["share", "retry"]);
    node.put("f.jpg", "f");
    node.run(&["share", "f.jpg", "--to", "nas"]);
    let folders = |path: &str| nas.library.join(path).is_dir();
    let there = ["S/2024/Hills", "Theirs", "Two/days"].map(folders);
    assert_eq!((there, ["S/2024/Sea", "S/2024/Sea/deep"].map(folders)), ([true; 3], [false; 2]));
    node.ahead = Some("73h");
    node.put("g.jpg", "g");
    node.run(&["share", "g.jpg", "--to", "nas"]);
    assert_eq!(["Two", "Theirs", "S/2024/Hills"].map(folders), [false, true, true]);
    assert_eq!(nas.files()["S/2024/Hills/theirs.jpg"], "theirs");
}
