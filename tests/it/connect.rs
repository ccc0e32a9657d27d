//! Connecting services by what a person types, and editing them later.

use std::net::TcpStream;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Node, PASSWORD, Request, Sandbox, assert_counts, read_request, serve_state, show};

/// Status, headers and body of an answer.
pub type Said = (u16, Vec<(&'static str, String)>, String);
type Reply = Box<dyn FnMut(&Request) -> Said + Send>;

/// A server of a test that says what it is told to.
pub struct Site {
    pub host: String,
    state: Arc<Mutex<State>>,
}

struct State {
    reply: Reply,
    /// Method and path of every request, with `+` where a password came along.
    seen: Vec<String>,
}

impl Site {
    pub fn new(reply: impl FnMut(&Request) -> Said + Send + 'static) -> Self {
        let state = Arc::new(Mutex::new(State { reply: Box::new(reply), seen: Vec::new() }));
        Self { host: serve_state(&state, serve_one).to_string(), state }
    }

    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut state = state.lock().unwrap();
    let mark = if request.headers.contains_key("authorization") { "+" } else { "" };
    state.seen.push(format!("{mark}{} {}", request.method, request.target));
    let (status, headers, body) = (state.reply)(&request);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} Said\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut out = stream;
    std::io::Write::write_all(&mut out, head.as_bytes())?;
    Ok(false)
}

pub fn nothing() -> Said {
    (404, Vec::new(), String::new())
}

pub fn logged_in(request: &Request, user: &str, password: &str) -> bool {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{user}:{password}"));
    request.headers.get("authorization").is_some_and(|told| *told == format!("Basic {text}"))
}

/// A folder of WebDAV with these folders in it, for whoever knows the password.
pub fn dav(request: &Request, user: &str, folders: &[&str]) -> Said {
    if !logged_in(request, user, PASSWORD) {
        return (401, vec![("WWW-Authenticate", "Basic realm=\"there\"".into())], String::new());
    }
    let at = &request.target;
    let folder = |at: &str| {
        format!(
            "<d:response><d:href>{at}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        )
    };
    let members: String = folders.iter().map(|name| folder(&format!("{at}{name}/"))).collect();
    (207, Vec::new(), format!("<d:multistatus xmlns:d='DAV:'>{}{members}</d:multistatus>", folder(at)))
}

/// A Nextcloud below a path, of the user anna.
pub fn nextcloud(at: &'static str) -> impl FnMut(&Request) -> Said + Send + 'static {
    move |request| {
        let path = request.target.split('?').next().unwrap();
        let Some(rest) = path.strip_prefix(at) else { return nothing() };
        match (request.method.as_str(), rest) {
            ("GET", "status.php") => {
                let told = json!({ "installed": true, "maintenance": false, "versionstring": "31.0.2", "productname": "Nextcloud" });
                (200, Vec::new(), told.to_string())
            }
            ("GET", "ocs/v1.php/cloud/user") => (200, Vec::new(), json!({ "ocs": { "data": { "id": "anna" } } }).to_string()),
            ("PROPFIND", "remote.php/dav/files/anna/") => match logged_in(request, "anna@example.org", PASSWORD) {
                true => dav(request, "anna@example.org", &["Photos"]),
                false => dav(request, "anna", &["Photos", "Documents"]),
            },
            // Another one's home, as Nextcloud lists it.
            ("PROPFIND", home) if home.starts_with("remote.php/dav/files/") => {
                let (status, headers, body) = dav(request, "anna@example.org", &[]);
                let gone = "<d:resourcetype/></d:prop><d:status>HTTP/1.1 404 Not Found";
                (status, headers, body.replace("<d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK", gone))
            }
            ("PROPFIND", "") => (302, vec![("Location", format!("{at}login"))], String::new()),
            _ => nothing(),
        }
    }
}

#[track_caller]
pub fn add(node: &Node, args: &[&str]) -> Output {
    node.run_with_password(&[&["service", "add"], args, &["--password-stdin", "--json"]].concat(), PASSWORD)
}

#[track_caller]
fn added(node: &Node, args: &[&str]) -> Value {
    let output = add(node, args);
    assert!(output.status.success(), "{}", show(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn refused(node: &Node, code: i32, args: &[&str]) -> String {
    let before = node.run(&["service", "list"]);
    let output = node.run_with_password(&[args, &["--json"]].concat(), PASSWORD);
    assert_eq!(output.status.code(), Some(code), "{}", show(&output));
    assert_eq!(node.run(&["service", "list"]), before);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_is_found_by_its_host() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.put("2024/a.jpg", "a");
    peer.put("b.jpg", "b");
    peer.serve();
    let host = peer.url().replace("http://", "");
    for (name, typed) in [
        ("host", host.clone()),
        ("user", format!("admin@{host}")),
        ("root", peer.url()),
        ("page", format!("{}/index.php/apps/files/?dir=/x#y", peer.url())),
        ("principal", format!("{host}/remote.php/dav")),
        ("wrong", format!("{host}/nowhere/")),
    ] {
        let user: &[&str] = if name == "user" { &[] } else { &["--user", "admin"] };
        let told = added(&node, &[&[name, &typed][..], user].concat());
        assert_eq!(
            (&told["url"], &told["user"], &told["type"]),
            (&json!(peer.originals()), &json!("admin"), &json!("twinlens")),
            "{typed}"
        );
        let found = &told["discovered"];
        assert_eq!((&found["folders"], &found["files"], &found["plain_http"]), (&json!(["2024"]), &json!(1), &json!(true)), "{found}");
    }
    // What is an address of WebDAV already is taken as it is.
    for path in ["originals/2024/", "remote.php/webdav/", "webdav/"] {
        let url = format!("{}/{path}", peer.url());
        assert_eq!(added(&node, &[path.split('/').next().unwrap(), &url, "--user", "admin"])["url"], json!(url));
    }
    let text = node.run_with_password(&["service", "add", "told", &host, "--user", "admin", "--password-stdin"], PASSWORD);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("twinlens at http://") && text.contains("nothing is encrypted") && text.contains("\n  /2024/\n"), "{text}");
}

#[test]
fn a_cloud_is_found_wherever_it_is_installed() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    for (number, (at, typed)) in [
        ("/", ""),
        ("/", "/index.php/apps/files/files/12?dir=/Photos"),
        ("/nextcloud/", ""),
        ("/cloud/", "/"),
        ("/nextcloud/", "/nextcloud"),
        ("/some/where/", "/some/where/login"),
        ("/some/where/", "/some/where/remote.php/dav/files/anna"),
    ]
    .into_iter()
    .enumerate()
    {
        let site = Site::new(nextcloud(at));
        let told = added(&node, &[&format!("s{number}"), &format!("{}{typed}", site.host), "--user", "anna"]);
        assert_eq!(told["url"], format!("http://{}{at}remote.php/dav/files/anna/", site.host), "{at} {typed}");
        let found = &told["discovered"];
        assert_eq!((&found["kind"], &found["version"], &found["folders_total"]), (&json!("nextcloud"), &json!("31.0.2"), &json!(2)));
        let seen = site.seen();
        assert!(seen.len() <= 20, "{seen:#?}");
        // The password went to the files and nowhere else.
        let with: Vec<&String> = seen.iter().filter(|request| request.starts_with('+')).collect();
        assert!(with.iter().all(|request| request.ends_with("remote.php/dav/files/anna/")) && with.len() == 1, "{seen:#?}");
    }
    // Who logs in with an address of email has the files under another name.
    let site = Site::new(nextcloud("/"));
    let told = added(&node, &["mail", &site.host, "--user", "anna@example.org"]);
    assert_eq!(
        (&told["url"], &told["user"]),
        (&json!(format!("http://{}/remote.php/dav/files/anna/", site.host)), &json!("anna@example.org"))
    );
}

#[test]
fn a_wrong_password_is_sent_once() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let site = Site::new(nextcloud("/nextcloud/"));
    let error = refused(&node, 3, &["service", "add", "s", &site.host, "--user", "eve", "--password-stdin"]);
    for word in ["does not accept this user and password", "Nextcloud 31.0.2", "--browser", "/nextcloud/remote.php/dav/files/eve/"] {
        assert!(error.contains(word), "{word} is not in {error}");
    }
    let seen = site.seen();
    assert_eq!(seen.iter().filter(|request| request.starts_with('+')).count(), 1, "{seen:#?}");
    // Without a user nothing is sent at all, and it says what is needed.
    let error = refused(&node, 3, &["service", "add", "s", &site.host]);
    assert!(error.contains("--user") && error.contains("--browser") && error.contains("Nextcloud 31.0.2"), "{error}");
    assert!(!site.seen().iter().any(|request| request.starts_with('+')));
}

#[test]
fn webdav_is_found_where_the_field_has_it() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    for (number, place) in
        ["/originals/", "/webdav/", "/remote.php/dav/files/anna/", "/remote.php/webdav/", "/dav/files/anna/", "/servlet/webdav.infostore/"]
            .into_iter()
            .enumerate()
    {
        let site = Site::new(move |request| match request.target == place && request.method == "PROPFIND" {
            true => dav(request, "anna", &["x"]),
            false => nothing(),
        });
        let told = added(&node, &[&format!("s{number}"), &site.host, "--user", "anna"]);
        assert_eq!(told["url"], format!("http://{}{place}", site.host));
        assert_eq!(told["type"], "webdav");
    }
    let site = Site::new(|request| match request.target.as_str() {
        "/.well-known/webdav" => (301, vec![("Location", "/deep/dav".into())], String::new()),
        "/deep/dav/" => dav(request, "anna", &[]),
        _ => nothing(),
    });
    assert_eq!(added(&node, &["known", &site.host, "--user", "anna"])["url"], format!("http://{}/deep/dav/", site.host));
    // Below a path of a proxy.
    let site = Site::new(|request| match request.target.as_str() {
        "/photos/originals/" => dav(request, "anna", &[]),
        _ => nothing(),
    });
    assert_eq!(
        added(&node, &["proxy", &format!("{}/photos", site.host), "--user", "anna"])["url"],
        format!("http://{}/photos/originals/", site.host)
    );
}

#[test]
fn what_is_not_found_says_what_was_tried() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let other = Site::new(|request| dav(request, "anna", &[]));
    let to = format!("http://{}/dav/", other.host);
    let site = Site::new(move |request| match request.target.as_str() {
        "/.well-known/webdav" => (302, vec![("Location", to.clone())], String::new()),
        "/webdav/" => (401, vec![("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\"".into())], String::new()),
        _ => (200, vec![("Content-Type", "text/html".into())], "<html>".into()),
    });
    let error = refused(&node, 3, &["service", "add", "s", &site.host, "--user", "anna", "--password-stdin"]);
    for word in [
        "no WebDAV was found",
        &format!("redirects to http://{}", other.host),
        "login by Digest",
        "is a page, not WebDAV",
        "/originals/",
        "/.well-known/caldav",
        "HOST:2342",
        "https://",
    ] {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
    assert_eq!(other.seen(), Vec::<String>::new(), "another server was asked");
    assert!(!site.seen().iter().any(|request| request.starts_with('+')), "the password was sent to a page");
    // Only the address itself.
    let error =
        refused(&node, 3, &["service", "add", "s", &format!("{}/x/", site.host), "--type", "webdav", "--user", "anna", "--password-stdin"]);
    assert!(error.contains("/x/") && !error.contains("servlet"), "{error}");
    let busy = Site::new(|_| (429, vec![("Retry-After", "99".into())], String::new()));
    let error = refused(&node, 3, &["service", "add", "s", &busy.host, "--user", "anna", "--password-stdin"]);
    assert!(error.contains("99 more seconds"), "{error}");
    assert_eq!(busy.seen().len(), 1);
}

#[test]
fn folders_are_told_one_level_at_a_time() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    for path in ["b/ä+ö %41/x.jpg", "b/Z/y.jpg", "b/c.jpg", "a/d.jpg"] {
        peer.put(path, "x");
    }
    peer.serve();
    node.connect("svc", &peer.originals(), &[]);
    assert_eq!(node.run(&["service", "folders", "svc"])["folders"], json!(["a", "b"]));
    let told = node.run(&["service", "folders", "svc", "/b"]);
    assert_eq!((&told["folders"], &told["files"], &told["created"]), (&json!(["Z", "ä+ö %41"]), &json!(1), &json!(false)));
    assert_eq!(node.run(&["service", "folders", "svc", "b/Neu ü", "--create"])["created"], true);
    assert!(peer.library.join("b/Neu ü").is_dir());
    assert_eq!(node.run(&["service", "folders", "svc", "b/Neu ü", "--create"])["created"], false);
    let error = node.run_expecting(3, &["service", "folders", "svc", "/no/where", "--create"])["error"].to_string();
    assert!(error.contains("above it"), "{error}");
    assert!(!peer.library.join("no").exists());
    let error = node.run_expecting(3, &["service", "folders", "svc", "/no"])["error"].to_string();
    assert!(error.contains("no folder /no") && error.contains("--create"), "{error}");
    node.run_expecting(2, &["service", "folders", "svc", "/../x"]);
    node.run_expecting(2, &["service", "folders", "other"]);
}

#[test]
fn a_renamed_service_keeps_everything() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    node.put("here.jpg", "here");
    peer.put("there.jpg", "there");
    peer.serve();
    node.connect("old", &peer.originals(), &["--deletes", "trash", "--exclude", "*.psd"]);
    node.sync();
    let told = node.run(&["service", "edit", "old", "--name", "new", "--timeout", "high", "--retries", "7"]);
    assert_eq!(
        (&told["name"], &told["timeout"], &told["retries"], &told["forgotten"]),
        (&json!("new"), &json!("high"), &json!(7), &json!(false))
    );
    assert_eq!(told["sync"]["exclude"], json!(["*.psd"]));
    node.run_expecting(2, &["service", "show", "old"]);
    node.remove("there.jpg");
    assert_counts(&node.sync(), &[("deleted", 1)]);
    assert_eq!(node.run(&["history", "new"])["runs"].as_array().unwrap().len(), 2);
    // One step back, and only one.
    let told = node.run(&["service", "edit", "new", "--undo"]);
    assert_eq!((&told["name"], &told["timeout"], &told["retries"]), (&json!("old"), &json!("default"), &json!(3)));
    let error = node.run_expecting(2, &["service", "edit", "old", "--undo"])["error"].to_string();
    assert!(error.contains("undone already"), "{error}");
    assert_counts(&node.sync(), &[]);
    let error = |args: &[&str]| node.run_expecting(2, &[&["service", "edit", "old"], args].concat())["error"].to_string();
    assert!(error(&["--retries", "21"]).contains("retries"));
    assert!(error(&["--name", "a/b"]).contains("name"));
    node.add_service("taken", &peer.originals());
    assert!(error(&["--name", "taken"]).contains("taken already"));
}

#[test]
fn an_edit_that_breaks_the_connection_changes_nothing_unless_it_is_kept() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.put("a.jpg", "a");
    peer.serve();
    node.connect("svc", &peer.originals(), &[]);
    node.sync();
    let closed = "127.0.0.1:1";
    let error = refused(&node, 3, &["service", "edit", "svc", "--url", closed]);
    assert!(error.contains("Nothing was changed") && error.contains("--keep"), "{error}");
    let output = node.run_with_password(&["service", "edit", "svc", "--password-stdin"], "a wrong one");
    assert!(output.status.code() == Some(3) && show(&output).contains("Nothing was changed"), "{}", show(&output));
    node.sync();
    let output = node.run_with_password(&["service", "edit", "svc", "--password-stdin", "--keep"], "a wrong one");
    assert!(output.status.success() && show(&output).contains("kept all the same"), "{}", show(&output));
    node.sync_expecting(3, &[]);
    let told = node.run(&["service", "edit", "svc", "--undo"]);
    assert_eq!(told["forgotten"], false);
    assert_counts(&node.sync(), &[]);
    // Another host does not get the password by itself.
    let other = Site::new(|request| dav(request, "admin", &[]));
    let error = refused(&node, 2, &["service", "edit", "svc", "--url", &other.host.replace("127.0.0.1", "localhost")]);
    assert!(error.contains("--password-stdin"), "{error}");
    assert_eq!(other.seen(), Vec::<String>::new());
}

#[test]
fn another_library_behind_a_service_is_no_deletion() {
    let sandbox = Sandbox::new();
    let (node, mut peer, mut other) = (sandbox.node("n"), sandbox.node("p"), sandbox.node("o"));
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        peer.put(name, name);
    }
    other.put("d.jpg", "d");
    peer.serve();
    other.serve();
    node.connect("svc", &peer.originals(), &["--deletes", "trash"]);
    node.sync();
    assert_eq!(node.files().len(), 3);
    // The same node by another name, and by another address of the same folder: nothing is forgotten.
    let localhost = peer.url().replace("127.0.0.1", "localhost");
    for url in [localhost.as_str(), &format!("{localhost}/remote.php/webdav/")] {
        let edit = ["service", "edit", "svc", "--url", url, "--password-stdin", "--json"];
        let output = node.run_with_password(&edit, PASSWORD);
        assert!(output.status.success(), "{}", show(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["forgotten"], false, "{told:#}");
        assert_counts(&node.sync(), &[]);
    }
    let output = node.run_with_password(&["service", "edit", "svc", "--url", &other.url(), "--password-stdin"], PASSWORD);
    assert!(output.status.success() && show(&output).contains("takes nothing for a deletion"), "{}", show(&output));
    assert_counts(&node.sync(), &[("uploaded", 3), ("downloaded", 1)]);
    assert_eq!((node.files().len(), other.files().len(), peer.files().len()), (4, 4, 3));
    assert_eq!(node.trashed(), Vec::<String>::new());
    // And back: the same holds.
    let told = node.run(&["service", "edit", "svc", "--undo"]);
    assert_eq!(told["forgotten"], true);
    assert_counts(&node.sync(), &[("uploaded", 1), ("adopted", 3)]);
    assert_eq!((node.files().len(), peer.files().len()), (4, 4));
}

#[test]
fn apache_is_found_by_its_host_and_by_a_folder_of_it() {
    let sandbox = Sandbox::new();
    let Some(server) = crate::peers::apache_with(&sandbox, "") else { return };
    let node = sandbox.node("n");
    let host = server.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let add = |name: &str, url: &str, password: &str| node.run_with_password(&["service", "add", name, url, "--password-stdin"], password);
    // Without a scheme, the user in front; nothing speaks TLS there.
    let added = add("web", &format!("admin@{host}"), PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    let told = node.run(&["service", "show", "web"]);
    assert_eq!((&told["url"], &told["user"], &told["type"]), (&server.url.as_str().into(), &"admin".into(), &"webdav".into()));
    let made = node.run(&["service", "folders", "web", "/Photos & more", "--create"]);
    assert_eq!((&made["created"], &made["folders"]), (&true.into(), &json!([])));
    assert_eq!(node.run(&["service", "folders", "web"])["folders"], json!(["Photos & more"]));
    let added = add("below", &format!("http://admin@{host}/Photos%20&%20more"), PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    node.put("x.jpg", "x");
    node.run(&["service", "sync", "below", "--on", "--upload", "yes"]);
    assert_counts(&node.run(&["sync", "below"])["services"][0], &[("uploaded", 1)]);
    assert!(server.files.join("Photos & more/x.jpg").is_file());
    let refused = add("wrong", &format!("admin@{host}"), "Wr0ng-secret");
    assert_eq!(refused.status.code(), Some(3), "{}", show(&refused));
    assert!(!show(&refused).contains("Wr0ng-secret") && node.run(&["service", "list"])["services"].as_array().unwrap().len() == 2);
}
