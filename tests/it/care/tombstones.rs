//! What the owner deleted does not come back, until that is forgotten on purpose.

use crate::support::{Node, Sandbox, assert_counts, assert_files};

fn pair(sandbox: &Sandbox) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &[]);
    for name in ["f/x.jpg", "f/y.jpg", "f2/z.jpg", "w.jpg"] {
        a.put(name, name);
    }
    a.sync();
    (a, b)
}

fn listed(node: &Node, of: &[&str]) -> Vec<(String, String)> {
    let answer = node.run(&[&["tombstones", "list"], of].concat());
    let rows = answer["tombstones"].as_array().unwrap();
    rows.iter().map(|row| (row["path"].as_str().unwrap().to_owned(), row["deleted"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn what_was_deleted_comes_back_only_when_that_is_forgotten() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.remove("f/x.jpg");
    a.remove("f/y.jpg");
    a.remove("w.jpg");
    b.remove("f2/z.jpg");
    b.run(&["index"]);
    for _ in 0..2 {
        assert_counts(&a.sync(), &[]);
    }
    let here = |path: &str| (path.to_owned(), "here".to_owned());
    assert_eq!(listed(&a, &["peer"]), [here("w.jpg"), here("f/x.jpg"), here("f/y.jpg"), ("f2/z.jpg".into(), "there".into())]);
    assert_eq!(a.run(&["tombstones", "forget", "peer", "f"])["forgotten"].as_array().unwrap().len(), 2);
    assert_counts(&a.sync(), &[("downloaded", 2)]);
    assert_eq!(listed(&a, &[]).len(), 2);
    // What was deleted there and stayed here goes there again.
    a.run(&["tombstones", "forget", "peer", "/f2/z.jpg"]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    a.run(&["tombstones", "forget", "peer", "--all"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_files(&a, &[("f/x.jpg", "f/x.jpg"), ("f/y.jpg", "f/y.jpg"), ("f2/z.jpg", "f2/z.jpg"), ("w.jpg", "w.jpg")]);
    assert_eq!(a.files(), b.files());
    assert!(listed(&a, &[]).is_empty());
}

#[test]
fn what_is_in_step_is_never_forgotten() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    assert!(a.run_expecting(2, &["tombstones", "forget", "peer", "w.jpg"])["error"].as_str().unwrap().contains("no deletion"));
    a.run(&["tombstones", "forget", "peer", "--all"]);
    b.put("w.jpg", "edited there");
    b.run(&["index"]);
    // An update, not two strangers.
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_eq!(a.files().len(), 4);
    a.run_expecting(2, &["tombstones", "forget", "nobody", "--all"]);
}
