//! Removing a service while something goes on with it, and what it had made for us.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::browser::{Login, grant};
use crate::support::{Node, Sandbox, eventually, show, tree, write};

/// A node with a service that was connected by a browser, and that service.
fn connected(sandbox: &Sandbox) -> (Node, Node) {
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    let login = Login::begin(&node, &["add", "svc", &peer.url()]);
    grant(&login.page);
    let (code, _, said) = login.end();
    assert_eq!(code, Some(0), "{said}");
    (node, peer)
}

fn app_passwords(peer: &Node) -> usize {
    peer.run(&["user", "app-passwords", "admin"])["app_passwords"].as_array().unwrap().len()
}

#[test]
fn the_app_password_of_a_browser_login_is_taken_back_there() {
    let sandbox = Sandbox::new();
    let (node, peer) = connected(&sandbox);
    assert_eq!(app_passwords(&peer), 1);
    // Another one takes its place; the first is kept for --undo.
    let login = Login::begin(&node, &["edit", "svc"]);
    grant(&login.page);
    assert_eq!(login.end().0, Some(0));
    assert_eq!(app_passwords(&peer), 2);
    let told = node.run(&["service", "remove", "svc"]);
    assert_eq!(told, json!({ "removed": "svc", "app_password": "revoked", "warnings": [] }));
    assert_eq!(app_passwords(&peer), 0);
    // A password that its owner gave is nobody's to take back.
    assert!(node.add_service("svc", &peer.originals()).status.success());
    assert_eq!(node.run(&["service", "remove", "svc"])["app_password"], Value::Null);
}

#[test]
fn an_app_password_that_cannot_be_taken_back_is_told() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = connected(&sandbox);
    peer.stop();
    let output = node.command(&["service", "remove", "svc"]).output().unwrap();
    let text = show(&output);
    assert!(output.status.success() && text.contains("still good") && text.contains("take it back in the settings there"), "{text}");
    peer.serve();
    assert_eq!(app_passwords(&peer), 1);
    assert_eq!(node.run(&["service", "list"])["services"], json!([]));
}

#[test]
fn an_app_password_that_was_exported_may_be_another_nodes() {
    let sandbox = Sandbox::new();
    let (node, peer) = connected(&sandbox);
    let exported = node.run_with_password(&["service", "export", "--passphrase-stdin", "--json"], "a long passphrase");
    assert!(exported.status.success(), "{}", show(&exported));
    let told = node.run(&["service", "remove", "svc"]);
    assert_eq!(told["app_password"], "left", "{told:#}");
    assert!(told["warnings"][0].as_str().unwrap().contains("exported"), "{told:#}");
    assert_eq!(app_passwords(&peer), 1);
}

/// A node that serves, and whose first sync or share with a service would take minutes.
fn slow(sandbox: &Sandbox) -> (Node, Node) {
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    for number in 0..8 {
        write(&node.library.join(format!("{number}.jpg")), &vec![b'0' + number; 4 << 20]);
    }
    node.connect("svc", &peer.originals(), &["--rate", "100K"]);
    node.run(&["service", "sync", "svc", "--interval", "7d"]);
    node.serve();
    (node, peer)
}

fn begin(node: &Node, args: &[&str]) -> Child {
    node.command(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The service is gone, and so is everything about it; another one of its name begins anew.
fn nothing_is_left(node: &Node, peer: &Node) {
    assert_eq!(node.run(&["service", "list"])["services"], json!([]));
    assert_eq!(node.run(&["share", "list"])["shares"], json!([]));
    eventually("nothing is half there", || peer.left_behind().is_empty());
    node.connect("svc", &peer.originals(), &[]);
    node.sync();
    let mut there = peer.files();
    there.retain(|path, _| !path.starts_with("S/"));
    assert_eq!(there, node.files());
}

#[test]
fn a_sync_that_goes_on_is_ended_first() {
    let sandbox = Sandbox::new();
    let (node, peer) = slow(&sandbox);
    let sync = begin(&node, &["sync", "svc"]);
    let sent = || node.run(&["status"])["services"][0]["running"]["progress"]["bytes"].as_u64();
    eventually("it sends", || sent().is_some_and(|bytes| bytes > 0));
    node.run(&["service", "remove", "svc"]);
    let ended = sync.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{}", show(&ended));
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(told.to_string().contains("cancelled"), "{told:#}");
    nothing_is_left(&node, &peer);
}

#[test]
fn a_share_that_goes_on_is_ended_first() {
    let sandbox = Sandbox::new();
    let (node, peer) = slow(&sandbox);
    node.run(&["service", "sync", "svc", "--off"]);
    let share = begin(&node, &["share", "0.jpg", "1.jpg", "--to", "svc", "--folder", "S"]);
    eventually("it sends", || !peer.left_behind().is_empty());
    let told = node.run(&["service", "remove", "svc"]);
    assert!(told["warnings"][0].as_str().unwrap().contains("2 shared files"), "{told:#}");
    let ended = share.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", show(&ended));
    assert!(show(&ended).contains("was removed meanwhile"), "{}", show(&ended));
    assert!(tree(&peer.library.join("S")).is_empty());
    nothing_is_left(&node, &peer);
}
