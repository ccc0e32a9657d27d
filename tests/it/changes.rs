//! What changed, as a client hears of it: sync-collection reports, the question for known content, and waiting for the next change.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Answer, Node, Sandbox, http, http_as};

/// One report.
pub fn report(node: &Node, folder: &str, token: &str, level: &str, limit: Option<u64>) -> Answer {
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
pub fn token(answer: &Answer) -> String {
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

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

fn known(node: &Node, question: &Value) -> Answer {
    http("POST", &format!("{}/api/v1/known", node.url()), &[], question.to_string().as_bytes())
}

#[test]
fn a_peer_asks_which_content_is_there() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["d/abc.jpg"]);
    http("PUT", &format!("{}x.jpg", node.originals()), &[], b"abc");
    let (content, other) = ("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85", "0".repeat(64));
    let (sha1, unknown) = ("A9993E364706816ABA3E25717850C26C9CD0D89D", "0".repeat(40));
    let answer = known(&node, &json!({ "content": [other, content], "sha1": [sha1, unknown, sha1] }));
    assert_eq!((answer.status, json(&answer)), (200, json!({ "content": "01", "sha1": "101" })));
    http("DELETE", &format!("{}x.jpg", node.originals()), &[], b"");
    assert_eq!(json(&known(&node, &json!({ "content": [content] }))), json!({ "content": "0", "sha1": "" }));

    // As many as are allowed, and one more.
    let many = vec![unknown.as_str(); 10_000];
    assert_eq!(json(&known(&node, &json!({ "sha1": many })))["sha1"], "0".repeat(10_000));
    let problem = known(&node, &json!({ "sha1": many, "content": [content] }));
    assert_eq!((problem.status, problem.headers["content-type"].as_str()), (413, "application/problem+json"));
    assert!(json(&problem)["detail"].as_str().unwrap().contains("10000"), "{problem:?}");
    let problem = known(&node, &json!({ "sha1": [sha1, content] }));
    assert!(problem.status == 400 && json(&problem)["detail"].as_str().unwrap().contains("sha1[1]"), "{problem:?}");
    for bad in [json!("sha1"), json!({ "md5": [] }), json!({ "sha1": [1] })] {
        assert_eq!(known(&node, &bad).status, 400, "{bad}");
    }
    let large = format!("{{\"sha1\": []{}}}", " ".repeat(2 << 20));
    assert_eq!(http("POST", &format!("{}/api/v1/known", node.url()), &[], large.as_bytes()).status, 413);
    let wrong = http("GET", &format!("{}/api/v1/known", node.url()), &[], b"");
    assert_eq!((wrong.status, wrong.headers["allow"].as_str()), (405, "POST"));
    assert_eq!(http_as("admin", "wrong password", "POST", &format!("{}/api/v1/known", node.url()), &[], b"{}").status, 401);
    assert_eq!(http("GET", &format!("{}/api/v1/nothing", node.url()), &[], b"").status, 404);
}

/// Asks for changes on a thread.
fn wait(node: &Node, query: &str) -> std::thread::JoinHandle<Answer> {
    let url = format!("{}/api/v1/changes?{query}", node.url());
    std::thread::spawn(move || http("GET", &url, &[], b""))
}

#[test]
fn who_waits_hears_of_the_next_change() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["d/e/a.jpg", "x/b.jpg"]);
    let at = |path: &str| format!("{}{path}", node.originals());
    let now = |node: &Node| json(&wait(node, "").join().unwrap())["token"].as_str().unwrap().to_owned();
    let start = now(&node);
    assert_eq!(start, token(&report(&node, "", &start, "infinite", None)));
    // Nothing happens: the time passes.
    let answer = wait(&node, &format!("since={start}&wait=0")).join().unwrap();
    assert_eq!((answer.status, json(&answer)), (200, json!({ "changed": false, "token": start })));

    let everything = wait(&node, &format!("since={start}&wait=25"));
    let folder = wait(&node, &format!("since={start}&wait=25&folder=d/e"));
    let elsewhere = wait(&node, &format!("since={start}&wait=2&folder=/x/"));
    http("PUT", &at("d/e/new.jpg"), &[], b"new");
    for heard in [everything, folder] {
        let answer = json(&heard.join().unwrap());
        assert_eq!(answer["changed"], true, "{answer}");
        assert_ne!(answer["token"], start.as_str());
    }
    assert_eq!(json(&elsewhere.join().unwrap())["changed"], false);
    // What has happened already is told at once, and a report with the earlier token tells what it was.
    assert_eq!(json(&wait(&node, &format!("since={start}&wait=25")).join().unwrap())["changed"], true);
    assert_eq!(members(&report(&node, "", &start, "infinite", None)), told(&[("d/e/new.jpg", true)]));

    // What other programs do is heard of when a scan sees it.
    let start = now(&node);
    let heard = wait(&node, &format!("since={start}&wait=25"));
    node.put("x/c.jpg", "c");
    node.run(&["index"]);
    assert_eq!(json(&heard.join().unwrap())["changed"], true);

    let problem = wait(&node, "since=urn:twinlens:sync:00000000-0000-0000-0000-000000000000:1").join().unwrap();
    assert_eq!((problem.status, json(&problem)["type"].as_str()), (410, Some("urn:twinlens:problem:token-expired")));
    assert_eq!(wait(&node, "folder=none").join().unwrap().status, 404);
    assert_eq!(wait(&node, "wait=long").join().unwrap().status, 400);
    assert_eq!(wait(&node, "folder=../x").join().unwrap().status, 400);
}

#[test]
fn only_so_many_wait_at_once() {
    let sandbox = Sandbox::new();
    let mut node = serving(&sandbox, &["a.jpg"]);
    let start = json(&wait(&node, "").join().unwrap())["token"].as_str().unwrap().to_owned();
    let (tell, heard) = std::sync::mpsc::channel();
    for waiting in (0..40).map(|_| wait(&node, &format!("since={start}&wait=25"))) {
        let tell = tell.clone();
        std::thread::spawn(move || tell.send(waiting.join().unwrap()));
    }
    for _ in 0..8 {
        let refused = heard.recv().unwrap();
        assert!(refused.status == 429 && refused.headers.contains_key("retry-after"), "{refused:?}");
    }
    // A node that stops keeps nobody waiting.
    node.stop();
    for _ in 0..32 {
        assert_eq!(json(&heard.recv().unwrap()), json!({ "changed": false, "token": start }));
    }
}

#[test]
fn somebody_with_a_folder_of_their_own_hears_of_nothing_else() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox, &["private.jpg", "family/a.jpg"]);
    assert!(
        node.run_with_password(&["user", "add", "kid", "--password-stdin", "--folder", "family"], "a good long password").status.success()
    );
    let ask = |method: &str, path: &str, body: &str| {
        http_as("kid", "a good long password", method, &format!("{}{path}", node.url()), &[], body.as_bytes())
    };
    let digest = |text: &str| twinlens::types::Digests::of(text.as_bytes()).content.to_string();
    let question = json!({ "content": [digest("private.jpg"), digest("family/a.jpg")] }).to_string();
    assert_eq!(json(&ask("POST", "/api/v1/known", &question))["content"], "01");

    let report = |token: &str| {
        let body = format!(
            "<d:sync-collection xmlns:d='DAV:'><d:sync-token>{token}</d:sync-token><d:sync-level>infinite</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>"
        );
        ask("REPORT", "/originals/", &body)
    };
    let first = report("");
    assert_eq!(members(&first), told(&[("a.jpg", true)]));
    let start = token(&first);
    http("PUT", &format!("{}private.jpg", node.originals()), &[], b"changed");
    assert_eq!(members(&report(&start)), []);
    assert_eq!(json(&ask("GET", &format!("/api/v1/changes?since={start}&wait=1"), ""))["changed"], false);
    assert_eq!(ask("GET", &format!("/api/v1/changes?since={start}&folder=family"), "").status, 404);
    http("PUT", &format!("{}family/b.jpg", node.originals()), &[], b"new");
    assert_eq!(json(&ask("GET", &format!("/api/v1/changes?since={start}&wait=25"), ""))["changed"], true);
    assert_eq!(members(&report(&start)), told(&[("b.jpg", true)]));
    let sizes = "<d:propfind xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'><d:prop><oc:size/><d:quota-used-bytes/><oc:permissions/></d:prop></d:propfind>";
    let text = ask("PROPFIND", "/originals/", sizes).text();
    assert!(
        text.contains("<oc:size>15</oc:size><d:quota-used-bytes>15</d:quota-used-bytes><oc:permissions>GCK</oc:permissions>"),
        "{text}"
    );
}
