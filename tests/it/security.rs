//! Hostile services: no password goes astray, no answer is read for ever, no name leads outside.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::plain::PlainServer;
use crate::support::{Node, PASSWORD, Request, Sandbox, assert_files, read_request, serve_state, show, tree};

type Reply = Box<dyn FnMut(&Request, &mut dyn FnMut(&[u8]) -> bool) + Send>;

/// A server that behaves until it is told otherwise, and then does what it is told.
struct Hostile {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    reply: Option<Reply>,
    /// Method and path of what it was asked.
    seen: Vec<String>,
    /// It sent more than anybody should take.
    heard_out: bool,
}

/// Nobody should listen for so many bytes.
const TOO_MUCH: u64 = 700 << 20;

impl Hostile {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let url = format!("http://{}/dav/", serve_state(&state, serve_one));
        Self { url, state }
    }

    fn connected(sandbox: &Sandbox) -> (Node, Self) {
        let (node, server) = (sandbox.node("n"), Self::start());
        node.connect("svc", &server.url, &["--upload", "no"]);
        (node, server)
    }

    /// From now on it answers so.
    fn replies(&self, reply: impl FnMut(&Request, &mut dyn FnMut(&[u8]) -> bool) + Send + 'static) {
        self.state.lock().unwrap().reply = Some(Box::new(reply));
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    #[track_caller]
    fn was_not_heard_out(&self) {
        assert!(!self.state.lock().unwrap().heard_out, "the client took everything that was sent");
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut state = state.lock().unwrap();
    state.seen.push(format!("{} {}", request.method, request.target));
    let (mut out, mut sent) = (stream, 0);
    let mut send = |bytes: &[u8]| {
        sent += bytes.len() as u64;
        sent < TOO_MUCH && out.write_all(bytes).is_ok()
    };
    match state.reply.as_mut() {
        Some(reply) => reply(&request, &mut send),
        None => {
            send(well(&request).as_bytes());
        }
    }
    state.heard_out |= sent >= TOO_MUCH;
    Ok(false)
}

/// What a server answers that has nothing: its folder is empty.
fn well(request: &Request) -> String {
    match request.method.as_str() {
        "PROPFIND" if request.target == "/dav/" => answer("207 Multi-Status", &listing("")),
        "OPTIONS" => answer("200 OK", ""),
        _ => answer("404 Not Found", ""),
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nDAV: 1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The folder, and what else is to be listed.
fn listing(members: &str) -> String {
    format!("<d:multistatus xmlns:d='DAV:'>{}{members}</d:multistatus>", folder("/dav/"))
}

fn folder(at: &str) -> String {
    format!(
        "<d:response><d:href>{at}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

fn file(at: &str, size: usize) -> String {
    format!(
        "<d:response><d:href>{at}</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>{size}</d:getcontentlength></d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )
}

/// Syncs and returns why the run stopped.
#[track_caller]
fn stops(node: &Node) -> String {
    let output = node.command(&["sync", "--json"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(1 | 3)), "{}", show(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &answer["services"][0];
    report["error"].as_str().unwrap_or_else(|| panic!("no error in {report:#}")).to_owned()
}

#[test]
fn a_password_goes_to_no_other_origin() {
    let sandbox = Sandbox::new();
    let (node, server) = Hostile::connected(&sandbox);
    let thief = Hostile::start();
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let target = thief.url.clone();
        server.replies(move |_, send| {
            send(format!("HTTP/1.1 {status}\r\nLocation: {target}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes());
        });
        assert!(stops(&node).contains("redirects to"));
        let answer = node.run_expecting(3, &["service", "test", "svc"]);
        assert!(answer["checks"][3]["text"].as_str().unwrap().contains(&thief.url), "{answer:#}");
    }
    assert!(!server.seen().is_empty());
    assert_eq!(thief.seen(), Vec::<String>::new(), "somebody else was asked");
}

#[test]
fn a_transfer_that_is_redirected_goes_nowhere() {
    let sandbox = Sandbox::new();
    let (node, server) = Hostile::connected(&sandbox);
    let thief = Hostile::start();
    let target = thief.url.clone();
    server.replies(move |request, send| {
        let text = match request.method.as_str() {
            "GET" if request.target == "/dav/a.jpg" => {
                format!("HTTP/1.1 302 Found\r\nLocation: {target}a.jpg\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            "PROPFIND" if request.target == "/dav/" => answer("207 Multi-Status", &listing(&file("/dav/a.jpg", 3))),
            _ => well(request),
        };
        send(text.as_bytes());
    });
    let report = node.sync_expecting(1, &[]);
    assert!(report["failed"][0]["reason"].as_str().unwrap().contains("redirects to"), "{report:#}");
    assert_eq!(thief.seen(), Vec::<String>::new(), "somebody else was asked");
}

#[test]
fn a_listing_that_never_ends_is_not_heard_out() {
    for (begin, again) in [
        ("", "<d:x/>"),
        ("<d:response><d:href>", "/dav/&amp;"),
        ("<d:response><d:propstat><d:prop><d:getetag>", "xxxxxxxxxxxxxxxx"),
        ("<d:response><d:propstat><d:prop><d:getetag>", "<d:x/>"),
        ("<d:response>", "<!-- nothing -->"),
    ] {
        let sandbox = Sandbox::new();
        let (node, server) = Hostile::connected(&sandbox);
        server.replies(move |request, send| {
            if request.method != "PROPFIND" {
                send(well(request).as_bytes());
                return;
            }
            let head =
                format!("HTTP/1.1 207 Multi-Status\r\nConnection: close\r\n\r\n<d:multistatus xmlns:d='DAV:'>{}{begin}", folder("/dav/"));
            let piece = again.repeat(4096);
            let mut heard = send(head.as_bytes());
            while heard {
                heard = send(piece.as_bytes());
            }
        });
        stops(&node);
        server.was_not_heard_out();
    }
}

#[test]
fn an_answer_that_attacks_a_reader_is_refused() {
    let laughs = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>";
    for (body, reason) in [
        (format!("{laughs}{}", listing("<d:response><d:href>&b;</d:href></d:response>")), "something else"),
        (listing(&format!("<d:response>{}", "<d:x>".repeat(5_000))), "nested deeper"),
        (listing("<d:response><d:href>&undefined;</d:href></d:response>"), "undefined entity"),
        (listing("<d:response><d:href>/dav/a.jpg</d:href>"), "cannot be understood"),
    ] {
        let sandbox = Sandbox::new();
        let (node, server) = Hostile::connected(&sandbox);
        server.replies(move |_, send| {
            send(answer("207 Multi-Status", &body).as_bytes());
        });
        let error = stops(&node);
        assert!(error.contains(reason), "{reason:?} is not in {error}");
    }
}

#[test]
fn headers_that_never_end_are_not_heard_out() {
    let sandbox = Sandbox::new();
    let (node, server) = Hostile::connected(&sandbox);
    for line in ["X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "aaaaaaaaaaaaaaaa"] {
        server.replies(move |_, send| {
            let mut heard = send(b"HTTP/1.1 207 Multi-Status\r\nX-First: ");
            while heard {
                heard = send(line.repeat(1024).as_bytes());
            }
        });
        // A node tries again what breaks; that ends as well.
        stops(&node);
        server.was_not_heard_out();
    }
}

#[test]
fn a_download_that_never_ends_fills_no_disk() {
    let sandbox = Sandbox::new();
    let (node, server) = Hostile::connected(&sandbox);
    server.replies(|request, send| match request.method.as_str() {
        "GET" if request.target == "/dav/a.jpg" => {
            let mut heard = send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
            let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while heard {
                heard = send(piece.as_bytes());
            }
        }
        "PROPFIND" if request.target == "/dav/" => {
            send(answer("207 Multi-Status", &listing(&file("/dav/a.jpg", 5))).as_bytes());
        }
        _ => {
            send(well(request).as_bytes());
        }
    });
    let report = node.sync_expecting(1, &[]);
    assert!(report["failed"][0]["reason"].as_str().unwrap().contains("more bytes than the file has"), "{report:#}");
    server.was_not_heard_out();
    assert_files(&node, &[]);
    assert!(node.left_behind().is_empty());
}

#[test]
fn names_lead_nowhere_outside() {
    let before = |sandbox: &Sandbox| tree(sandbox.path()).into_keys().filter(|path| path.ends_with(".jpg")).collect::<Vec<_>>();
    // What cannot be a name here is told and left; the rest is fetched.
    for name in [
        "%2e%2e/escape.jpg",
        "a/%2e%2e/%2e%2e/escape.jpg",
        "a%2f..%2f..%2fescape.jpg",
        "nul%00.jpg",
        "line%0Abreak.jpg",
        "back%5Cslash.jpg",
        "%ff.jpg",
    ] {
        let sandbox = Sandbox::new();
        let (node, server) = Hostile::connected(&sandbox);
        let body = listing(&format!("{}{}", file("/dav/good.jpg", 4), file(&format!("/dav/{name}"), 4)));
        server.replies(move |request, send| {
            let text = match request.method.as_str() {
                "PROPFIND" if request.target == "/dav/" => answer("207 Multi-Status", &body),
                "GET" if request.target.starts_with("/dav/.twinlens") => answer("404 Not Found", ""),
                "GET" => answer("200 OK", "good"),
                _ => well(request),
            };
            send(text.as_bytes());
        });
        let report = node.sync();
        assert_eq!(report["skipped_total"], 1, "{name}: {report:#}");
        assert_eq!(before(&sandbox), ["n/library/good.jpg"], "{name}");
    }
    // An answer about another place is no answer.
    for href in ["/etc/passwd", "/elsewhere/x.jpg", "/davx/x.jpg", "http://other.example/x.jpg", "//other.example/dav/x.jpg", "x.jpg"] {
        let sandbox = Sandbox::new();
        let (node, server) = Hostile::connected(&sandbox);
        let body = listing(&file(href, 4));
        server.replies(move |request, send| {
            let text = if request.method == "PROPFIND" { answer("207 Multi-Status", &body) } else { well(request) };
            send(text.as_bytes());
        });
        let error = stops(&node);
        assert!(error.contains("outside the folder"), "{href}: {error}");
        assert_eq!(before(&sandbox), Vec::<String>::new(), "{href}");
    }
}

#[test]
fn a_password_goes_over_plain_http_only_where_it_stays_at_home() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    // An address that is for documentation: nobody has it.
    let add = ["service", "add", "far", "http://192.0.2.1/dav/", "--user", "a", "--password-stdin"];
    let refused = node.run_with_password(&add, PASSWORD);
    assert!(refused.status.code() == Some(2) && show(&refused).contains("--allow-http"), "{}", show(&refused));
    // At home it does, by address and by name.
    let server = PlainServer::start();
    assert!(node.add_service("near", &server.url).status.success());
    let by_name = node.add_service("named", &server.url.replace("127.0.0.1", "localhost"));
    assert!(by_name.status.success(), "{}", show(&by_name));
    // What the owner allows is told in each examination.
    let add = ["service", "add", "allowed", &server.url, "--user", "a", "--password-stdin", "--allow-http"];
    assert!(node.run_with_password(&add, PASSWORD).status.success());
    let tls = node.run(&["service", "test", "allowed"])["checks"][2].clone();
    assert!(tls["status"] == "warning" && tls["text"].as_str().unwrap().contains("you allowed that"), "{tls:#}");
    node.run(&["service", "edit", "allowed", "--allow-http", "no"]);
    assert_eq!(node.run(&["service", "test", "allowed"])["checks"][2]["status"], "ok");
}

#[test]
fn tls_begins_at_1_2() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/dav/", listener.local_addr().unwrap());
    let hello = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut hello).unwrap();
        hello
    });
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.node("n").add_service("svc", &url).status.code(), Some(3));
    let hello = hello.join().unwrap();
    // supported_versions (RFC 8446 section 4.2.1): the type, the length, the length of the list, the list.
    let found = hello.windows(5).find(|window| window[..2] == [0, 43] && usize::from(window[3]) == usize::from(window[4]) + 1);
    let at = hello.windows(5).position(|window| Some(window) == found).expect("it does not say which versions it speaks");
    let list = &hello[at + 5..at + 5 + usize::from(hello[at + 4])];
    let mut versions: Vec<u16> = list.chunks_exact(2).map(|version| u16::from_be_bytes([version[0], version[1]])).collect();
    versions.sort_unstable();
    assert_eq!(versions, [0x0303, 0x0304]);
}

#[test]
fn a_system_without_authorities_has_those_that_come_with_the_program() {
    let sandbox = Sandbox::new();
    let (node, mut other) = (sandbox.node("n"), sandbox.node("o"));
    other.serve_with(&["--tls-self-signed"]);
    let mut add = node.command(&["service", "add", "svc", &other.originals()]);
    let output = add.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && text.contains("is not trusted") && text.contains("comes with Twinlens"), "{text}");
}
