//! Two versions of one file: seen, and decided about.

use serde_json::{Value, json};

use crate::support::{Node, Sandbox, assert_counts, assert_files};

/// Two nodes with a file that both changed: "here" on `a`, "there" on `b`, and the copy of the latter on both.
fn in_conflict(sandbox: &Sandbox, options: &[&str]) -> (Node, Node, String) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, options);
    for name in ["x.jpg", "y.jpg", "z.jpg", "w.jpg"] {
        a.put(name, name);
    }
    a.sync();
    a.put("x.jpg", "here");
    b.put("x.jpg", "there, longer");
    b.run(&["index"]);
    assert_eq!(a.sync()["conflicts"].as_array().unwrap().len(), 1);
    let copy = a.files().into_keys().find(|path| path.contains("conflict")).unwrap();
    assert_eq!(a.files(), b.files());
    (a, b, copy)
}

fn listed(node: &Node) -> Vec<Value> {
    node.run(&["conflicts"])["conflicts"].as_array().unwrap().clone()
}

#[test]
fn both_versions_are_listed_with_what_tells_them_apart() {
    let sandbox = Sandbox::new();
    let (a, b, copy) = in_conflict(&sandbox, &[]);
    let found = listed(&a);
    assert_eq!(found.len(), 1);
    let (this, other) = (&found[0]["this"], &found[0]["other"]);
    assert_eq!((&found[0]["path"], &found[0]["copy"], &found[0]["service"]), (&"x.jpg".into(), &copy.into(), &"peer".into()));
    assert_eq!((&this["size"], &other["size"]), (&4.into(), &13.into()));
    assert_eq!(this["blake3"], blake3::hash(b"here").to_string());
    assert_eq!(other["blake3"], blake3::hash(b"there, longer").to_string());
    assert_eq!(found[0]["on"][0], "peer", "{:#}", found[0]);
    // By its name alone the other node knows it too.
    assert_eq!(listed(&b).len(), 1);
}

/// The sides that both versions of the only conflict came from.
fn sides(node: &Node) -> [Value; 2] {
    let found = listed(node);
    assert_eq!(found.len(), 1, "{found:#?}");
    ["this", "other"].map(|version| found[0][version]["from"].clone())
}

#[test]
fn each_node_tells_which_side_the_versions_came_from() {
    let (library, peer) = (json!({ "side": "library" }), json!({ "side": "service", "service": "peer" }));
    let sandbox = Sandbox::new();
    let (a, b, copy) = in_conflict(&sandbox, &[]);
    assert_eq!(sides(&a), [library.clone(), peer.clone()]);
    // The other node knows what was with it; of the version that came to it only that it is another one.
    assert_eq!(sides(&b), [Value::Null, library.clone()]);
    let text = a.command(&["conflicts"]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(", from this library\n") && text.contains(", from peer\n"), "{text}");

    // It stays so, and is not said of a version that is another one by now.
    a.sync();
    assert_eq!(sides(&a), [library.clone(), peer]);
    a.put(&copy, "edited since");
    a.put("x.jpg", "there, longer");
    a.run(&["index"]);
    assert_eq!(sides(&a), [json!({ "side": "service", "service": "peer" }), Value::Null]);

    // A node that only sees what came of it knows of neither, though it has a service of that name too.
    let c = sandbox.node("c");
    c.pair(&b, &[]);
    c.sync();
    assert_eq!(sides(&c), [Value::Null, Value::Null]);

    // One that may not write to the service keeps the copy to itself, one that does not download leaves it there.
    for (name, options, expected) in [("--upload", ["--upload", "no"], 0), ("--download", ["--download", "no"], 1)] {
        let sandbox = Sandbox::new();
        let (here, mut there) = (sandbox.node("here"), sandbox.node("there"));
        there.serve();
        there.put("x.jpg", "x.jpg");
        there.run(&["index"]);
        here.put("x.jpg", "x.jpg");
        here.pair(&there, &options);
        here.sync();
        here.put("x.jpg", "here");
        there.put("x.jpg", "there, longer");
        there.run(&["index"]);
        here.sync();
        // What came of it there is listed by the second one.
        here.sync();
        assert_eq!(sides(&here), [library.clone(), json!({ "side": "service", "service": "peer" })], "{name}");
        assert_eq!(listed(&there).len(), expected, "{name}");
    }
}

#[test]
fn each_decision_is_carried_over_by_the_next_sync() {
    let rest = [("w.jpg", "w.jpg"), ("y.jpg", "y.jpg"), ("z.jpg", "z.jpg")];
    for (keep, at_copy, expected, given_up) in [
        ("this", true, vec![("x.jpg", "here")], vec!["there, longer"]),
        ("other", false, vec![("x.jpg", "there, longer")], vec!["here"]),
        ("both", false, vec![("x (2).jpg", "there, longer"), ("x.jpg", "here")], vec![]),
    ] {
        let sandbox = Sandbox::new();
        let (a, b, copy) = in_conflict(&sandbox, &["--deletes", "trash"]);
        let named = if at_copy { copy.as_str() } else { "x.jpg" };
        a.run(&["conflicts", "resolve", named, "--keep", keep]);
        let all: Vec<_> = expected.iter().chain(&rest).copied().collect();
        assert_files(&a, &all);
        assert_eq!(a.trashed(), given_up, "{keep}");
        assert!(listed(&a).is_empty());
        let report = a.sync();
        assert_files(&a, &all);
        assert_eq!(a.files(), b.files(), "{keep}: {report:#}");
        // The service has all that is wanted there.
        assert_eq!((&report["bytes_up"], &report["bytes_down"]), (&0.into(), &0.into()), "{keep}: {report:#}");
        assert_counts(&a.sync(), &[]);
    }
}

#[test]
fn where_deletions_are_not_followed_it_is_said_and_nothing_comes_back() {
    let sandbox = Sandbox::new();
    let (a, b, copy) = in_conflict(&sandbox, &[]);
    let answer = a.run(&["conflicts", "resolve", "x.jpg", "--keep", "this"]);
    assert_eq!(answer["stays_on"][0], "peer", "{answer:#}");
    a.sync();
    assert!(listed(&a).is_empty() && b.files().contains_key(&copy) && !a.files().contains_key(&copy));
}

#[test]
fn a_copy_that_is_only_on_the_service_is_listed_and_left_to_it() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--download", "no"]);
    a.put("x.jpg", "x.jpg");
    a.sync();
    a.put("x.jpg", "here");
    b.put("x.jpg", "there, longer");
    b.run(&["index"]);
    a.sync();
    a.sync();
    let found = listed(&a);
    assert_eq!((found.len(), &found[0]["here"], &found[0]["on"][0]), (1, &false.into(), &"peer".into()), "{found:#?}");
    let refused = a.run_expecting(2, &["conflicts", "resolve", "x.jpg", "--keep", "this"]);
    assert!(refused["error"].as_str().unwrap().contains("only on peer"), "{refused:#}");
}

#[test]
fn nothing_is_decided_about_what_has_changed_since() {
    let sandbox = Sandbox::new();
    let (a, _b, _) = in_conflict(&sandbox, &[]);
    a.put("x.jpg", "edited since");
    let refused = a.run_expecting(1, &["conflicts", "resolve", "x.jpg", "--keep", "other"]);
    assert!(refused["error"].as_str().unwrap().contains("has changed since"), "{refused:#}");
    assert_eq!(a.files()["x.jpg"], "edited since");
    let unknown = a.run_expecting(2, &["conflicts", "resolve", "y.jpg", "--keep", "other"]);
    assert!(unknown["error"].as_str().unwrap().contains("no conflict copy"), "{unknown:#}");
}
