//! What changed, as a client hears of it: sync-collection reports, the question for known content, and waiting for the next change.

use std::collections::BTreeMap;

use crate::support::{Answer, Node, Sandbox, http};

/// One report.
fn report(node: &Node, folder: &str, token: &str, level: &str, limit: Option<u64>) -> Answer {
    let limit = limit.map(|limit| format!("<d:limit><d:nresults>{limit}</d:nresults></d:limit>")).unwrap_or_default();
    let body = format!(
        "<d:sync-collection xmlns:d='DAV:' xmlns:tl='urn:twinlens:dav' xmlns:x='urn:x'><d:sync-token>{token}</d:sync-token>\
        <d:sync-level>{level}</d:sync-level>{limit}<d:prop><d:getetag/><tl:content-hash/><x:note/></d:prop></d:sync-collection>"
    );
    http("REPORT", &format!("{}{folder}", node.originals()), &[("Depth", "0")], body.as_bytes())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

#[track_caller]
fn token(answer: &Answer) -> String {
    let text = answer.text();
    between(&text, "<d:sync-token>", "</d:sync-token>").unwrap_or_else(|| panic!("no token: {text}")).to_owned()
}

/// The members that are told, and whether each is there; without the folder itself in a list that was cut.
fn members(answer: &Answer) -> Vec<(String, bool)> {
    let text = answer.text();
    let responses = text.split("<d:response>").skip(1).filter(|response| !response.contains("HTTP/1.1 507"));
    let href = |response: &str| between(response, "<d:href>/originals/", "</d:href>").unwrap().to_owned();
    responses.map(|response| (href(response), response.contains("200 OK"))).collect()
}

fn told(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter().map(|(path, there)| ((*path).to_owned(), *there)).collect()
}

fn serving(sandbox: &Sandbox, files: &[&str]) -> Node {
    let mut node = sandbox.node("n");
    files.iter().for_each(|path| node.put(path, path));
    node.serve();
    node.run(&["index"]);
    node
}

#[test]
fn a_report_tells_what_came_changed_and_went() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["d/e/a.jpg", "d/b.jpg", "c.jpg"]);
    let at = |path: &str| format!("{}{path}", node.originals());
    let first = report(&node, "", "", "infinite", None);
    assert_eq!(first.status, 207, "{first:?}");
    let mut all: Vec<_> = members(&first).into_iter().map(|(path, _)| path).collect();
    all.sort();
    assert_eq!(all, ["c.jpg", "d/", "d/b.jpg", "d/e/", "d/e/a.jpg"]);
    assert!(first.text().contains("<tl:content-hash>"));
    let start = token(&first);
    assert_eq!(members(&report(&node, "", &start, "infinite", None)), []);

    http("MKCOL", &at("new"), &[], b"");
    http("PUT", &at("c.jpg"), &[], b"changed");
    http("DELETE", &at("d/b.jpg"), &[], b"");
    let answer = report(&node, "", &start, "infinite", None);
    assert_eq!(members(&answer), told(&[("new/", true), ("c.jpg", true), ("d/b.jpg", false)]));
    // What came and went in between is told as it is in the end.
    http("PUT", &at("d/b.jpg"), &[], b"back");
    http("PUT", &at("short.jpg"), &[], b"s");
    http("DELETE", &at("short.jpg"), &[], b"");
    http("DELETE", &at("new"), &[], b"");
    let answer = report(&node, "", &token(&answer), "infinite", None);
    assert_eq!(members(&answer), told(&[("d/b.jpg", true), ("short.jpg", false), ("new/", false)]));

    // A moved folder: everything at both places.
    http("MOVE", &at("d"), &[("Destination", &at("m"))], b"");
    let answer = report(&node, "", &token(&answer), "infinite", None);
    let found: BTreeMap<_, _> = members(&answer).into_iter().collect();
    let expected = [
        ("d/", false),
        ("d/b.jpg", false),
        ("d/e/", false),
        ("d/e/a.jpg", false),
        ("m/", true),
        ("m/b.jpg", true),
        ("m/e/", true),
        ("m/e/a.jpg", true),
    ];
    assert_eq!(found, told(&expected).into_iter().collect());
}

#[test]
fn a_report_is_about_one_folder_as_deep_as_asked() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["d/e/a.jpg", "d/b.jpg", "c.jpg"]);
    let at = |path: &str| format!("{}{path}", node.originals());
    let start = token(&report(&node, "d/", "", "1", None));
    assert_eq!(members(&report(&node, "d/", "", "1", None)).len(), 2);
    http("PUT", &at("c.jpg"), &[], b"elsewhere");
    assert_eq!(members(&report(&node, "d/", &start, "infinite", None)), []);
    http("PUT", &at("d/e/a.jpg"), &[], b"deeper");
    http("PUT", &at("d/e/z.jpg"), &[], b"deeper");
    assert_eq!(members(&report(&node, "d/", &start, "infinite", None)), told(&[("d/e/a.jpg", true), ("d/e/z.jpg", true)]));
    // At level 1 the folder in between has changed, once.
    assert_eq!(members(&report(&node, "d/", &start, "1", None)), told(&[("d/e/", true)]));
    http("DELETE", &at("d/e"), &[], b"");
    assert_eq!(members(&report(&node, "d/", &start, "1", None)), told(&[("d/e/", false)]));
    let body = "<d:sync-collection xmlns:d='DAV:'><d:sync-token/><d:sync-level>1</d:sync-level><d:prop/></d:sync-collection>";
    assert_eq!(http("REPORT", &at("d/"), &[("Depth", "1")], body.as_bytes()).status, 400);
    assert_eq!(http("REPORT", &at("none/"), &[("Depth", "0")], body.as_bytes()).status, 404);
    assert_eq!(http("REPORT", &format!("{}/webdav/", node.url()), &[], body.as_bytes()).status, 403);
}

#[test]
fn a_long_report_comes_in_pages() {
    let sandbox = Sandbox::new();
    let paths: Vec<String> = (0..25).map(|n| format!("d{}/{n}.jpg", n % 3)).collect();
    let node = serving(&sandbox, &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut all, mut at, mut pages) = (BTreeMap::new(), String::new(), 0);
    loop {
        let answer = report(&node, "", &at, "infinite", Some(7));
        let page = members(&answer);
        assert!(page.len() <= 7);
        all.extend(page);
        (at, pages) = (token(&answer), pages + 1);
        let text = answer.text();
        if !text.contains("HTTP/1.1 507") {
            break;
        }
        assert!(
            text.contains(
                "<d:href>/originals/</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>\
            <d:error><d:number-of-matches-within-limits/></d:error>"
            ),
            "{text}"
        );
        assert_eq!(members(&answer).len(), 7);
    }
    assert_eq!((all.len(), pages), (28, 4));
    assert_eq!(members(&report(&node, "", &at, "infinite", Some(7))), []);
}

#[test]
fn dead_properties_are_in_a_report() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["a.jpg"]);
    let body = "<d:propertyupdate xmlns:d='DAV:' xmlns:x='urn:x'><d:set><d:prop><x:note>hello</x:note></d:prop></d:set></d:propertyupdate>";
    assert_eq!(http("PROPPATCH", &format!("{}a.jpg", node.originals()), &[], body.as_bytes()).status, 207);
    assert!(report(&node, "", "", "infinite", None).text().contains(">hello</x:note>"));
}

#[test]
fn a_token_of_another_time_is_refused() {
    let sandbox = Sandbox::new();
    let mut node = serving(&sandbox, &["a.jpg"]);
    let start = token(&report(&node, "", "", "infinite", None));
    let refused = |node: &Node, token: &str| {
        let answer = report(node, "", token, "infinite", None);
        assert!(answer.status == 403 && answer.text().contains("<d:valid-sync-token/>"), "{answer:?}");
    };
    for wrong in ["nonsense", "urn:twinlens:sync:00000000-0000-0000-0000-000000000000:1", &format!("{start}9999"), &format!("{start}:x")] {
        refused(&node, wrong);
    }
    // Stopped properly, the epoch goes on; after a crash changes may be lost.
    node.stop();
    node.serve();
    assert_eq!(report(&node, "", &start, "infinite", None).status, 207);
    node.signal("KILL");
    node.serve();
    refused(&node, &start);
}

#[test]
fn a_scan_tells_of_folders_that_others_made_or_removed() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["d/a.jpg"]);
    let start = token(&report(&node, "", "", "infinite", None));
    std::fs::create_dir_all(node.library.join("empty/inner")).unwrap();
    std::fs::remove_dir_all(node.library.join("d")).unwrap();
    node.run(&["index"]);
    let answer = report(&node, "", &start, "infinite", None);
    let found: BTreeMap<_, _> = members(&answer).into_iter().collect();
    assert_eq!(found, told(&[("d/", false), ("d/a.jpg", false), ("empty/", true), ("empty/inner/", true)]).into_iter().collect());
    let etag = |node: &Node| http("PROPFIND", &node.originals(), &[("Depth", "0")], b"").text();
    let before = etag(&node);
    node.run(&["index"]);
    assert_eq!(members(&report(&node, "", &token(&answer), "infinite", None)), []);
    assert_eq!(etag(&node), before, "a scan that finds nothing new changes nothing");
}
