//! `twinlens demo`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Sandbox, show, tree, twinlens};

#[test]
fn once_proves_and_exits_0() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("demo");
    let output = twinlens().args(["demo", "--once", "--dir"]).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Proven by hashing both libraries: all 48 contents"), "{text}");
    assert!(text.contains("skipped: 2019/07/Lake at dawn.jpg: the other side has this content already"), "{text}");
    let photos = |name: &str| {
        let mut files = tree(&folder.join(name).join("library"));
        files.retain(|path, _| !path.starts_with(".twinlens/"));
        files
    };
    let (a, b) = (photos("a"), photos("b"));
    // A keeps its litter to itself.
    let litter = |path: &&String| path.ends_with(".DS_Store") || path.ends_with("Thumbs.db") || path.ends_with(".part");
    assert_eq!(a.keys().filter(litter).count(), 3);
    assert_eq!(b.keys().filter(litter).count(), 0);
    assert!(a.keys().any(|path| path.contains('🌌')) && b.len() >= 40);
}

#[test]
fn a_full_folder_is_refused() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path().join("mine.jpg"), b"x").unwrap();
    let output = twinlens().args(["demo", "--once", "--dir"]).arg(sandbox.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", show(&output));
    assert_eq!(tree(sandbox.path()).len(), 1);
}

#[test]
fn without_once_both_nodes_stay_until_a_signal() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path().join("demo");
    let mut child = twinlens();
    child.args(["demo", "--json", "--dir"]).arg(&folder).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(document["proven"], true, "{document:#}");
    for node in ["a", "b"] {
        let url = format!("{}/originals/2022/05/Tulip%20field.jpg", document[node]["url"].as_str().unwrap());
        let password = document[node]["password"].as_str().unwrap();
        let answer = crate::support::http_as("admin", password, "GET", &url, &[], b"");
        assert_eq!((answer.status, &answer.body[..2]), (200, &[0xff, 0xd8][..]));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}
