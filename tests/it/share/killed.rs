//! A share that is killed in the middle of a file: what it left on the service under names of its own is removed, and what was sent in pieces is
//! not sent again.

use std::process::{Child, Stdio};

use crate::faulty::{Fault, FaultyServer};
use crate::patience::Hole;
use crate::resume::{Line, Trouble, waiting};
use crate::support::{Node, Sandbox, eventually, write};

fn begin(node: &Node, path: &str) -> Child {
    let mut share = node.command(&["share", path, "--to", "svc", "--folder", "S"]);
    share.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_temporary_name_is_swept_and_the_file_is_sent() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    let hole = Hole::to(&server.url);
    node.put("bad.jpg", "all of it");
    assert!(node.add_service("svc", &hole.url).status.success());
    // What is stored under its own name is empty, so it goes to a name of ours, and is killed before it gets its own.
    server.set(Fault::StoresNothingOfIt);
    *hole.silent.lock().unwrap() = Some("MOVE ");
    let share = begin(&node, "bad.jpg");
    let temporary = || server.state().files.iter().any(|(path, bytes)| path.contains(".twinlens-") && bytes == b"all of it");
    eventually("its bytes are under a name of ours, and it asks for the MOVE", || {
        temporary() && hole.swallowed.load(std::sync::atomic::Ordering::SeqCst) > 0
    });
    kill(share);
    assert!(temporary());
    *hole.silent.lock().unwrap() = None;
    server.set(Fault::None);
    let share = node.run(&["share", "retry"])["shares"][0].clone();
    assert_eq!(share["uploaded"], 1, "{share:#}");
    let there = server.state().files.clone();
    assert_eq!(there.keys().collect::<Vec<_>>(), ["S/bad.jpg"]);
    assert_eq!(there["S/bad.jpg"], b"all of it");
}

const MIB: usize = 1 << 20;

#[test]
fn a_large_file_goes_on_with_the_piece_that_is_missing() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    let line = Line::to(&peer);
    let content: Vec<u8> = (0..25 * MIB).map(|at| (at / 4099) as u8).collect();
    write(&node.library.join("large.mov"), &content);
    assert!(node.add_service("svc", &line.originals()).status.success());
    line.begin(Trouble::Freeze(15 * MIB as u64), Trouble::None);
    let share = begin(&node, "large.mov");
    eventually("a piece is there", || waiting(&peer) >= 10 * MIB as u64);
    kill(share);
    line.begin(Trouble::None, Trouble::None);
    let share = node.run(&["share", "retry"])["shares"][0].clone();
    assert_eq!(share["uploaded"], 1, "{share:#}");
    assert_eq!(waiting(&peer), 0);
    assert!(line.up() < 16 * MIB as u64, "it sent {} bytes again", line.up());
    assert!(std::fs::read(peer.library.join("S/large.mov")).unwrap() == content);
}
