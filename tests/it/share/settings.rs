//! What is set up for a service.

use crate::support::{Sandbox, show};

#[test]
fn upload_settings_are_kept_shown_and_changed_one_by_one() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    assert!(node.add_service("nas", &peer.originals()).status.success());
    let shown = node.run(&["service", "show", "nas"])["upload"].clone();
    assert_eq!(
        shown,
        serde_json::json!({ "on": true, "folder": "", "size": "original", "expires": "never", "unfit": "original", "gps": "keep" })
    );
    node.run(&["service", "upload", "nas", "--folder", "/Shared/Family", "--size", "fit_2048", "--expires", "30d"]);
    let changed = node.run(&["service", "upload", "nas", "--unfit", "jpeg", "--gps", "remove"])["upload"].clone();
    assert_eq!(
        changed,
        serde_json::json!({
            "on": true, "folder": "Shared/Family", "size": "fit_2048", "expires": "30d", "unfit": "jpeg", "gps": "remove",
        })
    );
    node.serve();
    let off = node.run(&["service", "upload", "nas", "--off"]);
    assert_eq!((&off["upload"]["on"], &off["upload"]["size"]), (&false.into(), &"fit_2048".into()), "through the running node");
    assert_eq!(off["sync"]["on"], false, "sync is another thing");
    let list = String::from_utf8(node.command(&["service", "list"]).output().unwrap().stdout).unwrap();
    assert!(list.contains("share off"), "{list}");
    node.run(&["service", "upload", "nas", "--on"]);
    let list = String::from_utf8(node.command(&["service", "list"]).output().unwrap().stdout).unwrap();
    assert!(list.contains("share to /Shared/Family (fit_2048, 30d)"), "{list}");
}

#[test]
fn settings_that_cannot_be_are_refused_and_change_nothing() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    assert!(node.add_service("nas", &peer.originals()).status.success());
    let before = node.run(&["service", "show", "nas"]);
    for (args, words) in [
        (&["nas", "--size", "fit_721"] as &[&str], "a size is one of original, fit_720, fit_1280"),
        (&["nas", "--expires", "2d"], "it is one of never, 1d, 3d"),
        (&["nas", "--unfit", "maybe"], "original, jpeg, skip"),
        (&["nas", "--gps", "no"], "keep or remove"),
        (&["nas", "--folder", "/a/../b"], "the folder /a/../b cannot be used"),
        (&["nas", "--gps", "remove"], "originals are sent byte for byte"),
        (&["nas", "--gps", "remove", "--size", "fit_720"], "say --unfit jpeg or --unfit skip too"),
        (&["other", "--off"], "there is no service other"),
        (&["nas", "--on", "--off"], "cannot be used with"),
    ] {
        let output = node.command(&[&["service", "upload"], args].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", show(&output));
        assert!(show(&output).contains(words), "{args:?}: {}", show(&output));
    }
    assert_eq!(node.run(&["service", "show", "nas"]), before);
    let mut public = sandbox.node("public");
    public.serve_with(&["--public"]);
    let refused = public.command(&["service", "upload", "nas", "--off"]).output().unwrap();
    assert!(refused.status.code() == Some(2) && show(&refused).contains("public mode"), "{}", show(&refused));
}
