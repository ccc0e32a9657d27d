//! Proxies, TLS and limits, as clients meet them.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::{Answer, Node, PASSWORD, Sandbox, assert_files, eventually, have, http, read_answer, send_head, show, write};

/// A node that serves with these options.
fn serving(sandbox: &Sandbox, options: &[&str]) -> Node {
    let mut node = sandbox.node("n");
    node.serve_with(options);
    node
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.url().split_once("://").unwrap().1).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    stream
}

/// Whether the server has ended the connection: what it still sends is read to the end.
fn is_ended(stream: &mut TcpStream) -> bool {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// A request on a connection that is kept, and its answer's head with a body of known length.
fn keep_alive(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: n\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "the connection was ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(answer).unwrap()
}

mod proxies {
    use super::*;

    /// MOVE of a.jpg to b.jpg, named by this Destination.
    fn move_to(node: &Node, headers: &[(&str, &str)], destination: &str) -> Answer {
        node.put("a.jpg", "one");
        let answer = http("MOVE", &format!("{}a.jpg", node.originals()), &[headers, &[("Destination", destination)]].concat(), b"");
        let _ = fs::remove_file(node.library.join("b.jpg"));
        answer
    }

    #[test]
    fn a_destination_is_understood_under_the_names_that_clients_use() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--external-url", "https://photos.example.org/photos", "--url-prefix", "/p"]);
        let own = format!("{}b.jpg", node.originals());
        let told = &[("X-Forwarded-Host", "other.example"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/q")];
        for (headers, destination) in [
            (&[][..], own.as_str()),
            (&[], &own.replace("http://", "https://")),
            (&[], "/originals/b.jpg"),
            (&[], "/p/originals/b.jpg"),
            (&[], "https://photos.example.org/photos/originals/b.jpg"),
            (&[], "https://photos.example.org/originals/b.jpg"),
            (told, "https://other.example/q/originals/b.jpg"),
            (&[("Forwarded", "for=192.0.2.1;host=other.example;proto=https")], "https://other.example/originals/b.jpg"),
        ] {
            let answer = move_to(&node, headers, destination);
            assert_eq!(answer.status, 201, "{destination}: {answer:?}");
        }
        for foreign in ["http://foreign.example/originals/b.jpg", "https://other.example/originals/b.jpg"] {
            assert_eq!(move_to(&node, &[], foreign).status, 502, "{foreign}");
            assert_files(&node, &[("a.jpg", "one")]);
        }
    }

    #[test]
    fn a_prefix_may_be_left_on_or_taken_off() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--url-prefix", "/photos"]);
        let url = |path: &str| format!("{}{path}", node.url());
        assert_eq!(http("PUT", &url("/photos/originals/a.jpg"), &[], b"one").status, 201);
        assert_eq!(http("GET", &url("/originals/a.jpg"), &[], b"").text(), "one");
        assert_eq!(http("GET", &url("/photos/photos/originals/a.jpg"), &[], b"").status, 404);
        assert_eq!(http("GET", &url("/photosx/originals/a.jpg"), &[], b"").status, 404);
        let listing = http("PROPFIND", &url("/photos/originals/"), &[("Depth", "1")], b"").text();
        assert!(listing.contains("<d:href>/photos/originals/a.jpg</d:href>"), "{listing}");
        let told = [("X-Forwarded-Prefix", "/else/where")];
        let listing = http("PROPFIND", &url("/originals/"), &[told[0], ("Depth", "1")], b"").text();
        assert!(listing.contains("<d:href>/else/where/originals/a.jpg</d:href>"), "{listing}");
        assert_eq!(http("GET", &url("/else/where/originals/a.jpg"), &told, b"").text(), "one");
        assert_eq!(http("GET", &url("/else/where/originals/a.jpg"), &[], b"").status, 404);
        // A lock taken under the prefix is named with it in the If header.
        let lock = "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockinfo>";
        let locked = http("LOCK", &url("/photos/originals/a.jpg"), &[], lock.as_bytes());
        let token = locked.headers["lock-token"].clone();
        let tagged = format!("<{}> ({token})", url("/photos/originals/a.jpg"));
        assert_eq!(http("PUT", &url("/photos/originals/a.jpg"), &[], b"two").status, 423);
        assert_eq!(http("PUT", &url("/photos/originals/a.jpg"), &[("If", &tagged)], b"two").status, 204);
        assert_files(&node, &[("a.jpg", "two")]);
    }

    #[test]
    fn the_access_log_tells_the_client_behind_a_trusted_proxy() {
        for (trusted, address) in [(&["--trusted-proxy", "127.0.0.0/8"][..], "192.0.2.7"), (&[], "127.0.0.1")] {
            let sandbox = Sandbox::new();
            let node = sandbox.node("n");
            let log = sandbox.path().join("log");
            let mut serve = node.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
            serve.args(trusted).env("TWINLENS_LOG", "twinlens::access=info").stderr(fs::File::create(&log).unwrap());
            let node = Served::start(serve);
            let forwarded = [("X-Forwarded-For", "1.1.1.1, 192.0.2.7"), ("X-Forwarded-Host", "photos.example.org")];
            assert_eq!(http("GET", &format!("{}/originals/none.jpg?secret=1", node.url), &forwarded, b"").status, 404);
            eventually("the line in the log", || fs::read_to_string(&log).unwrap().contains("none.jpg"));
            let log = fs::read_to_string(&log).unwrap();
            for part in
                ["method=GET", "path=/originals/none.jpg", "status=404", &format!("address={address}"), "at=http://photos.example.org"]
            {
                assert!(log.contains(part), "{part}: {log}");
            }
            assert!(!log.contains("secret"), "{log}");
        }
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        let sandbox = Sandbox::new();
        for wrong in [
            ["--trusted-proxy", "example.org"],
            ["--external-url", "photos.example.org"],
            ["--url-prefix", "/originals"],
            ["--idle-timeout", "0"],
            ["--max-upload", "much"],
        ] {
            let output = sandbox.node("n").command(&["serve", "--listen", "127.0.0.1:0"]).args(wrong).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", show(&output));
        }
    }
}

/// A node started with a command of one's own.
struct Served {
    child: std::process::Child,
    url: String,
}

impl Served {
    fn start(mut command: Command) -> Self {
        use std::io::BufRead as _;
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: serde_json::Value = serde_json::from_str(&line).expect("the node did not start");
        Self { child, url: started["url"].as_str().unwrap().to_owned() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

mod timeouts {
    use super::*;

    #[test]
    fn headers_that_trickle_end() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--header-timeout", "2s", "--idle-timeout", "1h"]);
        for used in [false, true] {
            let mut stream = connect(&node);
            if used {
                keep_alive(&mut stream);
            }
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let mut head = b"GET /livez HTTP/1.1\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'x'));
            eventually("the end of the slow connection", || {
                let _ = stream.write(&[head.next().unwrap()]);
                is_ended(&mut stream)
            });
        }
        // One that says nothing at all.
        assert!(is_ended(&mut connect(&node)));
    }

    #[test]
    fn idle_connections_end_and_busy_ones_do_not() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--idle-timeout", "2s", "--body-timeout", "2s", "--header-timeout", "1h"]);
        let mut stream = connect(&node);
        for _ in 0..6 {
            assert!(keep_alive(&mut stream).starts_with("HTTP/1.1 200"));
            std::thread::sleep(Duration::from_millis(400));
        }
        assert!(is_ended(&mut stream));
        // An upload that moves takes longer than every timeout.
        let url = format!("{}a.jpg", node.originals());
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", "8")]);
        for byte in b"8 pieces" {
            std::thread::sleep(Duration::from_millis(300));
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(read_answer(&mut stream).status, 201);
        assert_files(&node, &[("a.jpg", "8 pieces")]);
    }

    /// Frames of HTTP/2: type, flags, stream, payload (RFC 9113 section 4.1).
    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// The types of the frames that come until the connection ends.
    fn frames(stream: &mut TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let (mut rest, mut kinds) = (&bytes[..], Vec::new());
        while rest.len() >= 9 {
            kinds.push(rest[3]);
            let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        kinds
    }

    #[test]
    fn an_idle_http2_connection_ends_with_a_goodbye() {
        const HEADERS: u8 = 1;
        const GOAWAY: u8 = 7;
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--idle-timeout", "2s", "--header-timeout", "3s", "--body-timeout", "1h"]);
        let mut stream = connect(&node);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).unwrap();
        // GET http /livez, from HPACK's static table; END_STREAM and END_HEADERS.
        let request = [&[0x82, 0x86, 0x04, 6][..], b"/livez", &[0x41, 1, b'n']].concat();
        stream.write_all(&frame(HEADERS, 5, 1, &request)).unwrap();
        let kinds = frames(&mut stream);
        assert!(kinds.contains(&HEADERS) && kinds.contains(&GOAWAY), "{kinds:?}");
        // One that only greets ends too.
        let mut stream = connect(&node);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).unwrap();
        assert!(is_ended(&mut stream));
    }

    #[test]
    fn an_http2_client_that_takes_nothing_is_dropped_though_it_pings() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--body-timeout", "2s", "--max-connections", "1", "--header-timeout", "1h", "--idle-timeout", "1h"]);
        fs::File::create(node.library.join("big.mov")).unwrap().set_len(64 << 20).unwrap();
        let mut stream = connect(&node);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).unwrap();
        let login = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("admin:{PASSWORD}"));
        let literal = |name: &[u8], value: &str| [name, &[value.len() as u8], value.as_bytes()].concat();
        let (path, login) = (literal(&[0x04], "/originals/big.mov"), literal(&[0x0f, 8], &format!("Basic {login}")));
        stream.write_all(&frame(1, 5, 1, &[&[0x82, 0x86], &path[..], &literal(&[0x01], "n"), &login].concat())).unwrap();
        // The window of 64 KiB is never opened further, but pings go on until the connection is gone.
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut bytes = Vec::new();
        eventually("the end of the connection", || {
            let _ = stream.write_all(&frame(6, 0, 0, &[0; 8]));
            match stream.read_to_end(&mut bytes) {
                Ok(_) => true,
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        });
        assert!(bytes.len() > 60 << 10 && bytes.len() < 128 << 10, "{} bytes", bytes.len());
        assert_eq!(http("GET", &format!("{}/livez", node.url()), &[], b"").status, 200);
    }

    #[test]
    fn an_upload_that_stands_still_is_answered_408_and_leaves_nothing() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--body-timeout", "2s", "--header-timeout", "1h", "--idle-timeout", "1h"]);
        let url = format!("{}a.jpg", node.originals());
        assert_eq!(http("PUT", &url, &[], b"old").status, 201);
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", "2097152")]);
        stream.write_all(&[b'x'; 1 << 20]).unwrap();
        eventually("the upload", || !node.left_behind().is_empty());
        let answer = read_answer(&mut stream);
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (408, "close"));
        let mut stream = send_head("admin", PASSWORD, "PROPFIND", &node.originals(), &[("Content-Length", "100")]);
        stream.write_all(b"<propfind").unwrap();
        assert_eq!(read_answer(&mut stream).status, 408);
        eventually("the end of the upload", || node.left_behind().is_empty());
        assert_files(&node, &[("a.jpg", "old")]);
    }

    #[test]
    fn a_client_that_does_not_read_is_dropped() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--body-timeout", "2s", "--max-connections", "1", "--header-timeout", "1h", "--idle-timeout", "1h"]);
        fs::File::create(node.library.join("big.mov")).unwrap().set_len(64 << 20).unwrap();
        let url = format!("{}big.mov", node.originals());
        let stalled = send_head("admin", PASSWORD, "GET", &url, &[]);
        // The only place is free again as soon as the stalled client is dropped.
        assert_eq!(http("GET", &format!("{}/livez", node.url()), &[], b"").status, 200);
        let mut stalled = stalled;
        let mut bytes = Vec::new();
        let _ = stalled.read_to_end(&mut bytes);
        assert!(bytes.starts_with(b"HTTP/1.1 200") && bytes.len() < 64 << 20, "{} bytes", bytes.len());
        // Who reads gets everything.
        assert_eq!(http("GET", &url, &[], b"").body.len(), 64 << 20);
    }
}

mod sizes {
    use super::*;

    #[test]
    fn an_upload_that_is_too_large_is_refused_before_it_is_read() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--max-upload", "1K"]);
        let url = format!("{}a.jpg", node.originals());
        assert_eq!(http("PUT", &url, &[], &[b'x'; 1024]).status, 201);
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", "5000"), ("Expect", "100-continue")]);
        let answer = read_answer(&mut stream);
        assert!(answer.status == 413 && answer.text().contains("1024"), "{answer:?}");
        assert_eq!(http("PUT", &url, &[], &[b'y'; 1025]).status, 413);
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Transfer-Encoding", "chunked")]);
        stream.write_all(b"800\r\n").unwrap();
        let _ = stream.write_all(&[b'z'; 0x800]);
        let _ = stream.write_all(b"\r\n0\r\n\r\n");
        assert_eq!(read_answer(&mut stream).status, 413);
        eventually("the end of the uploads", || node.left_behind().is_empty());
        assert_files(&node, &[("a.jpg", &"x".repeat(1024))]);
    }

    #[test]
    fn headers_and_urls_have_bounds() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--max-headers", "20K", "--max-url", "9K"]);
        let livez = |query: &str, headers: &[(&str, &str)]| http("GET", &format!("{}/livez{query}", node.url()), headers, b"").status;
        assert_eq!(livez("", &[("X-Large", &"x".repeat(16 << 10))]), 200);
        assert_eq!(livez("", &[("X-Large", &"x".repeat(24 << 10))]), 431);
        assert_eq!(livez("", &vec![("X-Many", "x"); 90]), 200);
        assert_eq!(livez("", &vec![("X-Many", "x"); 110]), 431);
        assert_eq!(livez(&format!("?{}", "x".repeat(8 << 10)), &[]), 200);
        assert_eq!(livez(&format!("?{}", "x".repeat(10 << 10)), &[]), 414);
    }

    #[test]
    fn xml_has_bounds() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &[]);
        let url = format!("{}a.jpg", node.originals());
        assert_eq!(http("PUT", &url, &[], b"one").status, 201);
        let laughs: String = (1..=9).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
        let wrap = |inner: &str| {
            [
                ("PROPFIND", format!("<d:propfind xmlns:d='DAV:'><d:prop>{inner}</d:prop></d:propfind>")),
                ("PROPPATCH", format!("<d:propertyupdate xmlns:d='DAV:'><d:set><d:prop>{inner}</d:prop></d:set></d:propertyupdate>")),
                (
                    "REPORT",
                    format!(
                        "<d:sync-collection xmlns:d='DAV:'><d:sync-token/><d:sync-level>1</d:sync-level><d:prop>{inner}</d:prop>\
                         </d:sync-collection>"
                    ),
                ),
                (
                    "LOCK",
                    format!(
                        "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>\
                         <d:owner>{inner}</d:owner></d:lockinfo>"
                    ),
                ),
            ]
        };
        let deep = format!("{}{}", "<d:a>".repeat(100_000), "</d:a>".repeat(100_000));
        let shallow = format!("{}{}", "<d:a>".repeat(100), "</d:a>".repeat(100));
        for (what, prolog, inner) in [
            ("laughs", format!("<!DOCTYPE lolz [<!ENTITY l0 \"lol\">{laughs}]>"), "<d:displayname>&l9;</d:displayname>".to_owned()),
            ("a DTD", "<!DOCTYPE d SYSTEM \"file:///etc/passwd\">".into(), "<d:displayname/>".into()),
            ("an undefined entity", String::new(), "<d:displayname>&secret;</d:displayname>".into()),
            ("deep nesting", String::new(), deep),
            ("nesting", String::new(), shallow),
            ("no end", String::new(), "<d:displayname>".into()),
        ] {
            for (method, document) in wrap(&inner) {
                let url = if method == "REPORT" { node.originals() } else { url.clone() };
                let answer = http(method, &url, &[("Depth", "0")], format!("{prolog}{document}").as_bytes());
                assert!(matches!(answer.status, 400 | 403 | 413), "{method} with {what}: {} {}", answer.status, answer.text());
            }
        }
        // The same documents with nothing wrong in them are taken.
        for (method, document) in wrap("<d:displayname/>") {
            let url = if method == "REPORT" { node.originals() } else { format!("{}b.jpg", node.originals()) };
            http("PUT", &url, &[], b"one");
            let answer = http(method, &url, &[("Depth", "0")], document.as_bytes());
            assert!(matches!(answer.status, 200 | 207), "{method}: {} {}", answer.status, answer.text());
        }
        // None of it was stored, and the file is not locked.
        assert_eq!(http("PUT", &url, &[], b"two").status, 204);
    }

    #[test]
    fn xml_is_not_read_without_end() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &[]);
        let url = format!("{}a.jpg", node.originals());
        assert_eq!(http("PUT", &url, &[], b"one").status, 201);
        for method in ["PROPFIND", "PROPPATCH", "REPORT", "LOCK"] {
            let url = if method == "REPORT" { node.originals() } else { url.clone() };
            // 100 MB are announced; hardly any of it is taken.
            let mut stream = send_head("admin", PASSWORD, method, &url, &[("Content-Length", "104857600"), ("Depth", "0")]);
            let piece = [b' '; 64 << 10];
            let mut sent = 0;
            while sent < 100 << 20 && stream.write_all(&piece).is_ok() {
                sent += piece.len();
            }
            assert!(sent < 64 << 20, "{method} took {sent} bytes");
        }
        let many: String = (0..100_000).map(|n| format!("<d:p{n}/>")).collect();
        let document = format!("<d:propfind xmlns:d='DAV:'><d:prop>{many}</d:prop></d:propfind>");
        let answer = http("PROPFIND", &url, &[("Depth", "0")], document.as_bytes());
        assert!(matches!(answer.status, 400 | 413), "{} {}", answer.status, answer.text());
        assert_eq!(http("GET", &url, &[], b"").text(), "one");
    }
}

mod crowds {
    use super::*;

    #[test]
    fn connections_beyond_the_limit_wait() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--max-connections", "2"]);
        let mut first = connect(&node);
        let mut second = connect(&node);
        keep_alive(&mut first);
        keep_alive(&mut second);
        let mut third = connect(&node);
        third.write_all(b"GET /livez HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n").unwrap();
        third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(third.read(&mut [0]).is_err(), "the third was answered though all places are taken");
        third.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        keep_alive(&mut second);
        drop(first);
        assert_eq!(read_answer(&mut third).status, 200);
    }

    #[test]
    fn requests_beyond_the_limit_are_told_to_come_later() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--max-requests", "1"]);
        let url = format!("{}a.jpg", node.originals());
        let content = "x".repeat(2 << 20);
        let mut slow = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", "2097152")]);
        slow.write_all(&content.as_bytes()[..1 << 20]).unwrap();
        eventually("the upload", || !node.left_behind().is_empty());
        let answer = http("GET", &url, &[], b"");
        assert!(answer.status == 503 && answer.headers.contains_key("retry-after"), "{answer:?}");
        // Whoever watches the node still hears from it.
        assert_eq!(http("GET", &format!("{}/livez", node.url()), &[], b"").status, 200);
        slow.write_all(&content.as_bytes()[1 << 20..]).unwrap();
        assert_eq!(read_answer(&mut slow).status, 201);
        assert!(http("GET", &url, &[], b"").text() == content);
    }

    #[test]
    fn one_address_gets_its_share_of_connections() {
        // This machine itself is exempt, so it has to be seen under another address; nothing is sent there.
        let outward = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("192.0.2.1:9").and(socket.local_addr()));
        let Some(address) = outward.ok().map(|address| address.ip()).filter(|address| !address.is_loopback()) else {
            eprintln!("skipped: this machine has no address but loopback");
            return;
        };
        for (trusted, status) in [(None, 503), (Some(format!("--trusted-proxy={address}")), 200)] {
            let sandbox = Sandbox::new();
            let mut serve = sandbox.node("n").command(&["serve", "--json", "--max-connections-per-address", "2"]);
            serve.arg("--listen").arg(format!("{address}:0")).args(trusted);
            let node = Served::start(serve);
            let mut two = [node.connect(), node.connect()];
            two.iter_mut().for_each(|stream| assert!(keep_alive(stream).starts_with("HTTP/1.1 200")));
            let answer = http("GET", &format!("{}/livez", node.url), &[], b"");
            assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (status, status == 503));
            two.iter_mut().for_each(|stream| assert!(keep_alive(stream).starts_with("HTTP/1.1 200")));
            drop(two);
            eventually("a free place", || http("GET", &format!("{}/livez", node.url), &[], b"").status == 200);
        }
    }

    #[test]
    fn thousands_of_idle_connections_do_not_hurt() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &[]);
        let allowed: usize = sh("ulimit -n").trim().parse().unwrap_or(usize::MAX);
        let wanted = 1000.min(allowed.saturating_sub(200));
        if wanted < 1000 {
            eprintln!("only {wanted} idle connections: the system allows {allowed} open files");
        }
        let mut idle: Vec<TcpStream> = (0..wanted).map(|_| connect(&node)).collect();
        idle.iter_mut().for_each(|stream| assert!(keep_alive(stream).starts_with("HTTP/1.1 200")));
        assert_eq!(http("PUT", &format!("{}a.jpg", node.originals()), &[], b"one").status, 201);
        assert_eq!(http("PROPFIND", &node.originals(), &[("Depth", "1")], b"").status, 207);
        idle.iter_mut().for_each(|stream| assert!(keep_alive(stream).starts_with("HTTP/1.1 200")));
    }

    #[test]
    fn open_files_are_no_bound_but_the_systems() {
        // The soft limit is raised; within a hard one connections wait for each other, and files can still be opened.
        for (limit, together) in [("-Sn 64", 200), ("-n 64", 10)] {
            let sandbox = Sandbox::new();
            let node = sandbox.node("n");
            let serve = node.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit {limit} && exec \"$0\" \"$@\"")).arg(serve.get_program()).args(serve.get_args());
            shell.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?)))).stderr(std::process::Stdio::null());
            let node = Served::start(shell);
            let mut idle: Vec<TcpStream> = (0..together).map(|_| node.connect()).collect();
            idle.iter_mut().for_each(|stream| assert!(keep_alive(stream).starts_with("HTTP/1.1 200")));
            // More than there are files: they wait, and are answered when others end.
            let more: Vec<TcpStream> = (0..100).map(|_| node.connect()).collect();
            drop(idle);
            drop(more);
            assert_eq!(http("PUT", &format!("{}/originals/a.jpg", node.url), &[], b"one").status, 201);
            assert_eq!(http("GET", &format!("{}/originals/a.jpg", node.url), &[], b"").text(), "one");
        }
    }

    fn sh(command: &str) -> String {
        String::from_utf8(Command::new("sh").args(["-c", command]).output().unwrap().stdout).unwrap()
    }
}

mod tls {
    use super::*;

    /// A new certificate for localhost in a folder: the files of its chain and its key.
    fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        write(&certificate, made.cert.pem().as_bytes());
        write(&key, made.signing_key.serialize_pem().as_bytes());
        (certificate, key)
    }

    /// `curl` for a path of the node, under the name localhost.
    fn curl(node: &Node, options: &[&str]) -> Output {
        let url = node.url();
        let port = url.rsplit_once(':').unwrap().1;
        Command::new("curl")
            .args(["-sS", "--noproxy", "*", "--resolve", &format!("localhost:{port}:127.0.0.1")])
            .args(options)
            .arg(format!("https://localhost:{port}/livez"))
            .output()
            .unwrap()
    }

    #[test]
    fn a_renewed_certificate_is_used_at_once() {
        if !have("curl") {
            return;
        }
        let sandbox = Sandbox::new();
        let used = certificate(&sandbox.path().join("used"));
        let first = certificate(&sandbox.path().join("first"));
        let second = certificate(&sandbox.path().join("second"));
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let install = |from: &Path, to: &Path| fs::copy(from, to).unwrap();
        let works_with = |node: &Node, certificate: &Path| curl(node, &["--cacert", &text(certificate)]).status.success();
        install(&first.0, &used.0);
        install(&first.1, &used.1);
        let node = serving(&sandbox, &["--tls-cert", &text(&used.0), "--tls-key", &text(&used.1)]);
        assert!(works_with(&node, &first.0) && !works_with(&node, &second.0));
        // As long as certificate and key do not belong together the old pair stays in use; also when one is broken or missing.
        install(&second.0, &used.0);
        assert!(works_with(&node, &first.0));
        write(&used.1, b"no key");
        assert!(works_with(&node, &first.0));
        fs::remove_file(&used.1).unwrap();
        assert!(works_with(&node, &first.0));
        install(&second.1, &used.1);
        assert!(works_with(&node, &second.0) && !works_with(&node, &first.0));
    }

    #[test]
    fn both_versions_of_http_and_only_new_ones_of_tls() {
        if !have("curl") {
            return;
        }
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--tls-self-signed"]);
        let version = |options: &[&str]| {
            let output = curl(&node, &[&["-k", "-o", "-", "-w", "%{http_version}"], options].concat());
            if output.status.success() { String::from_utf8(output.stdout).unwrap() } else { "refused".to_owned() }
        };
        assert_eq!(version(&["--http2"]), "ok\n2");
        assert_eq!(version(&["--http1.1"]), "ok\n1.1");
        assert_eq!(version(&["--tls-max", "1.2"]), "ok\n2");
        assert_eq!(version(&["--tlsv1.3"]), "ok\n2");
        assert_eq!(version(&["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0"]), "refused");
        // The fingerprint that was printed is that of the certificate.
        use sha2::Digest as _;
        let pem = fs::read_to_string(node.data.join("tls-certificate.pem")).unwrap();
        let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let certificate = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap();
        let fingerprint: Vec<String> = sha2::Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(node.fingerprint(), fingerprint.join(":"));
    }

    #[test]
    fn plain_http_on_the_tls_port_is_told_so() {
        let sandbox = Sandbox::new();
        let node = serving(&sandbox, &["--tls-self-signed", "--header-timeout", "2s"]);
        let mut stream = connect(&node);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: n\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream);
        assert!(answer.status == 400 && answer.text().contains("https://"), "{answer:?}");
        // A handshake that is not carried on ends.
        let mut stream = connect(&node);
        stream.write_all(&[22, 3, 1]).unwrap();
        assert!(is_ended(&mut stream));
    }
}
