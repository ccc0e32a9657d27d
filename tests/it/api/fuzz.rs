//! The API asked at random, from its own document.

use std::process::Command;

use crate::support::{PASSWORD, Sandbox, have, show};

/// Whatever is asked: no failure of the server, and no answer that the document does not tell of.
#[test]
fn schemathesis() {
    if !have("schemathesis") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "photo");
    node.serve();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/schemathesis.sh");
    let output = Command::new("bash").arg(script).args([&node.url(), "admin", PASSWORD]).current_dir(sandbox.path()).output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    // It still is what it was.
    assert_eq!(node.run(&["status"])["public"], false);
}
