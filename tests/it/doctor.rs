//! The connection doctor: what it says of services that are well and that are not, and what uploads make of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use twinlens::dav::href;

use crate::plain::PlainServer;
use crate::support::{Node, PASSWORD, Request, Sandbox, assert_counts, eventually, read_request, serve_state, show};

/// What a check says.
#[track_caller]
fn check<'a>(answer: &'a Value, id: &str) -> (&'a str, &'a str) {
    let checks = answer["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {answer:#}"));
    (found["status"].as_str().unwrap(), found["text"].as_str().unwrap())
}

#[track_caller]
fn says(answer: &Value, id: &str, status: &str, text: &str) {
    let (found, told) = check(answer, id);
    assert!(found == status && told.contains(text), "{id} is {found}: {told}");
}

#[test]
fn a_node_is_found_well_and_nothing_is_left_behind() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.put("sub/x.jpg", "x");
    b.serve();
    a.pair(&b, &[]);
    let answer = a.run(&["service", "test", "peer"]);
    assert_eq!(json!([answer["ok"], answer["kind"], answer["connected"]]), json!([true, "twinlens", true]), "{answer:#}");
    for id in
        ["dns", "tcp", "tls", "http", "server", "login", "dav", "folder", "depth", "endpoints", "write", "mtime", "streaming", "cleanup"]
    {
        assert_eq!(check(&answer, id).0, "ok", "{id}: {answer:#}");
    }
    says(&answer, "verify", "ok", "computed a checksum");
    assert_eq!(answer["found"]["way"], "put");
    assert_eq!(b.files().keys().collect::<Vec<_>>(), ["sub/x.jpg"]);
    assert!(b.trashed().is_empty() && b.left_behind().is_empty(), "{:?}", b.trashed());
    let text = a.command(&["service", "test", "peer", "--no-write"]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.ends_with("peer works (twinlens)\n") && text.contains("-       the rest                not tried: --no-write: write, update"),
        "{text}"
    );
    // The proof of an upload to it rests on what it computed.
    a.put("mine.jpg", "mine");
    assert_eq!(a.sync()["evidence"]["computed"], 1);
    assert_eq!(a.run(&["service", "list"])["services"][0]["reached"]["last"], "computed");
}

#[test]
fn a_plain_server_is_only_written_to_where_that_is_wanted() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    server.state().put("sub/x.jpg", "x");
    node.connect("svc", &server.url, &["--upload", "no"]);
    let answer = node.run(&["service", "test", "svc"]);
    says(&answer, "write", "skipped", "--write");
    says(&answer, "depth", "warning", "less than everything");
    assert_eq!(server.changes(), Vec::<String>::new());
    let answer = node.run(&["service", "test", "svc", "--write"]);
    says(&answer, "write", "ok", "read back");
    says(&answer, "overwrite", "ok", "MOVE");
    says(&answer, "mtime", "warning", "time of the upload");
    says(&answer, "checksums", "ok", "it lists no checksums");
    says(&answer, "streaming", "warning", "stores 0 of 49152 bytes");
    says(&answer, "verify", "warning", "--verify full");
    says(&answer, "cleanup", "ok", "gone again");
    assert!(server.changes().iter().all(|change| change.contains("twinlens-probe-")));
    assert_eq!(server.state().contents().len(), 1, "something was left");
    node.run(&["service", "sync", "svc", "--upload", "yes"]);
    node.run(&["service", "test", "svc", "--no-write"]);
    assert_eq!(server.changes(), Vec::<String>::new());
}

#[test]
fn a_file_of_an_examination_that_was_killed_is_removed_by_the_next_sync() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    node.connect("svc", &server.url, &[]);
    let before = server.state().changes.len();
    server.state().breaks_at = Some((before, true));
    let mut child = node.command(&["service", "test", "svc", "--json"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it was written to", || server.state().files.keys().any(|path| path.contains("twinlens-probe-")));
    child.kill().unwrap();
    child.wait().unwrap();
    server.state().breaks_at = None;
    assert!(!server.state().files.is_empty());
    node.sync();
    assert!(server.state().files.is_empty(), "{:?}", server.state().files.keys());
}

#[test]
fn how_an_upload_is_proven_is_a_setting_of_its_own_and_told() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    node.connect("svc", &server.url, &[]);
    node.put("a.jpg", "a");
    assert_eq!(node.sync()["evidence"], json!({ "size": 1 }));
    let shown = node.run(&["service", "sync", "svc", "--verify", "full"]);
    assert_eq!(json!([shown["sync"]["verify"], shown["sync"]["trust"], shown["reached"]]), json!(["full", "samples", null]));
    node.put("b.jpg", "b");
    assert_eq!(node.sync()["evidence"], json!({ "read-back": 1 }));
    // Also an update, which goes by a temporary name.
    node.put("a.jpg", "another");
    assert_eq!(node.sync()["evidence"], json!({ "read-back": 1 }));
    let shown = node.run(&["service", "show", "svc"]);
    assert_eq!(shown["reached"], json!({ "last": "read-back", "lowest": "read-back" }));
}

#[test]
fn a_step_that_fails_says_what_to_do() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve_with(&["--tls-self-signed"]);
    let (url, fingerprint) = (b.originals(), b.fingerprint());
    let add = ["service", "add", "peer", &url, "--user", "admin", "--password-stdin", "--fingerprint", &fingerprint];
    let added = a.run_with_password(&add, PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    let answer = a.run(&["service", "test", "peer"]);
    says(&answer, "tls", "ok", "TLS 1.3");
    says(&answer, "tls", "ok", &fingerprint);
    says(&answer, "tls", "ok", "it is the one that was pinned");
    assert!(b.run_with_password(&["user", "passwd", "admin", "--password-stdin"], "another good password").status.success());
    let answer = a.run_expecting(3, &["service", "test", "peer"]);
    says(&answer, "login", "failed", "service edit peer");
    says(&answer, "write", "skipped", "no WebDAV");
    b.stop();
    let answer = a.run_expecting(3, &["service", "test", "peer"]);
    says(&answer, "tcp", "failed", "the port is wrong, or the server does not run");
    assert_eq!(answer["ok"], false);
}

/// A server that keeps what it is sent in memory, and is like a cloud as far as it is told to be.
#[derive(Default)]
struct Cloud {
    /// Path, bytes and the checksum that was told with them.
    files: BTreeMap<String, (Vec<u8>, String)>,
    /// Answers X-Hash.
    hashes: bool,
    /// Answers X-Recalculate-Hash.
    recalculates: bool,
    /// Stores nothing of what is sent to a name that the owner would give.
    loses: bool,
    /// Answers everything with this page.
    page: Option<&'static str>,
    /// Refuses to store anything.
    read_only: bool,
    name: &'static str,
    puts: Vec<String>,
}

struct Served {
    url: String,
    state: Arc<Mutex<Cloud>>,
}

impl Served {
    fn start(cloud: Cloud) -> Self {
        let state = Arc::new(Mutex::new(Cloud { name: "Cloud/1.0", ..cloud }));
        let url = format!("http://{}/remote.php/dav/files/admin/", serve_state(&state, serve_one));
        Self { url, state }
    }

    fn state(&self) -> MutexGuard<'_, Cloud> {
        self.state.lock().unwrap()
    }

    fn connected(&self, sandbox: &Sandbox) -> Node {
        let node = sandbox.node("n");
        node.connect("svc", &self.url, &[]);
        node
    }
}

fn sha1(bytes: &[u8]) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve_one(stream: &TcpStream, state: &Mutex<Cloud>) -> std::io::Result<bool> {
    let Some(Request { method, target, headers, body }) = read_request(stream)? else { return Ok(false) };
    const HOME: &str = "/remote.php/dav/files/admin/";
    let decoded = |href: &str| href::decode(href.split_once(HOME).map_or("", |(_, path)| path)).unwrap().trim_end_matches('/').to_owned();
    let path = decoded(&target);
    let mut state = state.lock().unwrap();
    let (mut status, mut extra, mut answer) = ("201 Created", String::new(), Vec::new());
    let is_temporary = path.contains(".twinlens-") || path.ends_with("-new");
    match method.as_str() {
        _ if state.page.is_some() => (status, answer) = ("200 OK", state.page.unwrap_or_default().into()),
        "GET" if target.starts_with("/status.php") => {
            (status, answer) = ("200 OK", br#"{"productname":"Nextcloud","versionstring":"24.0.5","maintenance":false}"#.to_vec());
        }
        "GET" if target.starts_with("/ocs/") => {
            (status, answer) = ("200 OK", br#"{"ocs":{"data":{"version":{"string":"24.0.5"},"capabilities":{}}}}"#.to_vec());
        }
        "GET" => match state.files.get(&path) {
            Some((bytes, _)) => (status, answer) = ("200 OK", bytes.clone()),
            None => status = "404 Not Found",
        },
        "OPTIONS" => (status, extra) = ("200 OK", "DAV: 1, 3\r\n".into()),
        "PUT" if state.read_only => status = "403 Forbidden",
        "PUT" => {
            state.puts.push(path.clone());
            if state.hashes && headers.contains_key("x-hash") {
                extra = format!("X-Hash-SHA1: {}\r\n", sha1(&body));
            }
            let stored = if state.loses && !is_temporary { Vec::new() } else { body };
            state.files.insert(path, (stored, headers.get("oc-checksum").cloned().unwrap_or_default()));
        }
        "PATCH" => match state.files.get(&path).filter(|_| state.recalculates) {
            Some((bytes, _)) => (status, extra) = ("204 No Content", format!("OC-Checksum: SHA1:{}\r\n", sha1(bytes))),
            None => status = "405 Method Not Allowed",
        },
        "MOVE" => match state.files.remove(&path) {
            Some(file) => drop(state.files.insert(decoded(&headers["destination"]), file)),
            None => status = "404 Not Found",
        },
        "DELETE" if state.files.remove(&path).is_none() => status = "404 Not Found",
        "DELETE" => status = "204 No Content",
        "MKCOL" => {}
        "PROPFIND" if !path.is_empty() && !state.files.contains_key(&path) => status = "404 Not Found",
        "PROPFIND" => {
            let mut text = "<d:multistatus xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>".to_owned();
            let mut tell = |path: &str, props: String| {
                text += &format!(
                    "<d:response><d:href>{HOME}{}</d:href><d:propstat><d:prop>{props}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
                     </d:response>",
                    href::encode_text(path)
                );
            };
            if path.is_empty() {
                tell("", "<d:resourcetype><d:collection/></d:resourcetype><oc:id>1</oc:id>".into());
            }
            for (name, (bytes, checksum)) in &state.files {
                if *name == path || (path.is_empty() && headers["depth"] != "0") {
                    let told = format!("<oc:checksums><oc:checksum>{checksum}</oc:checksum></oc:checksums>");
                    tell(name, format!("<d:resourcetype/><d:getcontentlength>{}</d:getcontentlength>{told}", bytes.len()));
                }
            }
            (status, answer) = ("207 Multi-Status", (text + "</d:multistatus>").into_bytes());
        }
        other => panic!("{other}"),
    }
    let mut out = stream;
    out.write_all(format!("HTTP/1.1 {status}\r\nServer: {}\r\nContent-Length: {}\r\n{extra}\r\n", state.name, answer.len()).as_bytes())?;
    out.write_all(&answer)?;
    Ok(true)
}

#[test]
fn a_checksum_that_is_only_repeated_proves_nothing() {
    for (hashes, recalculates, level) in [(false, false, "size"), (true, false, "server-verified"), (false, true, "computed")] {
        let sandbox = Sandbox::new();
        let server = Served::start(Cloud { hashes, recalculates, ..Cloud::default() });
        let node = server.connected(&sandbox);
        // Its listing tells the very checksum that came with the file.
        node.put("a.jpg", "a");
        let report = node.sync();
        assert_eq!(report["evidence"], json!({ level: 1 }), "{report:#}");
        let answer = node.run(&["service", "test", "svc"]);
        assert_eq!(json!([answer["kind"], answer["version"]]), json!(["nextcloud", "24.0.5"]));
        says(&answer, "checksums", "ok", "right or wrong: they prove nothing");
        assert_eq!(answer["found"]["evidence"], level, "{answer:#}");
        assert_eq!(server.state().files.len(), 1, "something was left");
        // What was found changes nothing about that.
        node.put("b.jpg", "b");
        assert_eq!(node.sync()["evidence"], json!({ level: 1 }));
    }
}

#[test]
fn what_the_probe_found_is_used_by_uploads_until_the_server_is_another_one() {
    let sandbox = Sandbox::new();
    let server = Served::start(Cloud { loses: true, ..Cloud::default() });
    let node = server.connected(&sandbox);
    let answer = node.run(&["service", "test", "svc"]);
    says(&answer, "write", "warning", "stored 0 of 49152 bytes");
    says(&answer, "write", "warning", "temporary name");
    assert_eq!(answer["found"]["way"], "temporary-name");
    assert_eq!(server.state().files.len(), 0, "something was left");
    server.state().puts.clear();
    node.put("a.jpg", "a");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    let puts = std::mem::take(&mut server.state().puts);
    assert!(!puts.contains(&"a.jpg".to_owned()), "the way that does not work was tried: {puts:?}");
    // Another version of the server: what was found may be wrong, so it is found out anew.
    server.state().loses = false;
    server.state().name = "Cloud/2.0";
    node.put("b.jpg", "b");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    let puts = std::mem::take(&mut server.state().puts);
    assert!(puts.contains(&"b.jpg".to_owned()), "{puts:?}");
    assert_eq!(node.run(&["service", "show", "svc"])["found"]["way"], "put");
    // It gets worse without saying so: the upload is sent in another way, and what was found is noted as wrong.
    server.state().loses = true;
    node.put("c.jpg", "c");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    let shown = node.run(&["service", "show", "svc"]);
    assert!(shown["found"]["outdated"].as_str().is_some_and(|why| why.contains("an upload went wrong")), "{shown:#}");
    assert_eq!(server.state().files["c.jpg"].0, b"c");
}

#[test]
fn what_cannot_be_written_to_or_is_no_webdav_is_told_so() {
    let sandbox = Sandbox::new();
    let server = Served::start(Cloud::default());
    let node = server.connected(&sandbox);
    server.state().read_only = true;
    let answer = node.run_expecting(1, &["service", "test", "svc"]);
    says(&answer, "write", "failed", "may not write there");
    assert_eq!(json!([answer["connected"], answer["ok"]]), json!([true, false]));
    server.state().page = Some("<html>Welcome</html>");
    let answer = node.run_expecting(3, &["service", "test", "svc"]);
    says(&answer, "dav", "failed", "does not speak WebDAV");
}
