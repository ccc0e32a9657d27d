//! What real servers were found to do, told again with a server of ours, so that it can always be told.

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts, assert_files};

fn connected(sandbox: &Sandbox) -> (Node, PlainServer) {
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    node.connect("svc", &server.url, &[]);
    (node, server)
}

#[test]
fn a_beginning_of_our_file_is_what_came_of_an_upload_and_no_conflict() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox);
    node.put("cut.jpg", "a whole photo");
    node.put("nothing.jpg", "another whole photo");
    node.put("other.jpg", "a third one");
    server.state().put("cut.jpg", "a whole");
    server.state().put("nothing.jpg", "");
    server.state().put("other.jpg", "somebody's");
    let report = node.sync();
    let conflicts = report["conflicts"].as_array().unwrap();
    assert!(conflicts.len() == 1 && conflicts[0]["path"] == "other.jpg", "{report:#}");
    let there = server.state().contents();
    assert_eq!((there["cut.jpg"].as_str(), there["nothing.jpg"].as_str()), ("a whole photo", "another whole photo"));
    assert_eq!(there, node.files());
    assert_eq!(there.len(), 4, "{there:?}");
    assert_counts(&node.sync(), &[]);
}

#[test]
fn what_appeared_meanwhile_is_not_overwritten_where_conditions_are_ignored() {
    for ignores_conditions in [false, true] {
        let sandbox = Sandbox::new();
        let (node, server) = connected(&sandbox);
        server.state().ignores_conditions = ignores_conditions;
        server.state().intruder = Some(("MKCOL 2020", "2020/a.jpg", "somebody else's"));
        node.put("2020/a.jpg", "ours, which is new");
        node.put("2020/b.jpg", "b");
        let report = node.sync_expecting(1, &[]);
        assert_counts(&report, &[("uploaded", 1)]);
        assert_eq!(server.state().contents()["2020/a.jpg"], "somebody else's");
        // The next look finds it, and both are kept.
        assert_eq!(node.sync()["conflicts"].as_array().unwrap().len(), 1);
        assert!(node.files().values().any(|content| content == "somebody else's"));
        assert_eq!(server.state().contents(), node.files());
    }
}

#[test]
fn a_folder_whose_absence_is_answered_with_500_is_made() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox);
    server.state().fails_without_folder = true;
    node.run(&["service", "sync", "svc", "--folder", "/Photos/mine"]);
    node.put("2020/a.jpg", "a");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(server.state().contents().keys().collect::<Vec<_>>(), ["Photos/mine/2020/a.jpg"]);
}

#[test]
fn an_update_takes_its_place_where_if_match_is_compared_with_the_destination() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox);
    server.state().compares_with_destination = true;
    node.put("a.jpg", "a");
    node.put("2020/b.jpg", "b");
    node.sync();
    node.put("a.jpg", "a, edited");
    node.rename("2020/b.jpg", "2021/b.jpg");
    assert_counts(&node.sync(), &[("uploaded", 1), ("moved", 1)]);
    assert_eq!(server.state().contents(), node.files());
    assert_files(&node, &[("a.jpg", "a, edited"), ("2021/b.jpg", "b")]);
}
