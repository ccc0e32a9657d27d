//! Another Twinlens.

use crate::peers::Server;
use crate::support::Sandbox;

use super::story::{Habits, tell};

#[test]
fn another_node_tells_the_whole_story() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("there");
    node.serve();
    let server = Server { url: node.originals(), files: node.library.clone(), parts: Vec::new() };
    let habits = Habits { own_files: &[".twinlens/"], times: true, proof: "computed", ..Habits::plain("Twinlens", "twinlens") };
    tell(&sandbox, &server, habits);
    assert!(node.left_behind().is_empty());
}
