//! RFC 4918 and RFC 9110, method by method, condition by condition.

use std::io::Write as _;

use crate::support::{Answer, Node, PASSWORD, Sandbox, assert_files, eventually, http, http_as, read_answer, send_head};

const BOB: &str = "bob's password";

/// A node with two users, admin and bob, and these files.
fn serving<'a>(sandbox: &'a Sandbox, files: &[&str]) -> Served<'a> {
    let mut node = sandbox.node("n");
    files.iter().for_each(|path| node.put(path, path));
    node.run(&["index"]);
    node.serve();
    assert!(node.run_with_password(&["user", "add", "bob", "--password-stdin"], BOB).status.success());
    Served { node, _sandbox: sandbox }
}

struct Served<'a> {
    node: Node,
    _sandbox: &'a Sandbox,
}

type Headers<'a> = &'a [(&'a str, &'a str)];

impl Served<'_> {
    fn url(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.node.url()) } else { format!("{}{path}", self.node.originals()) }
    }

    fn ask(&self, method: &str, path: &str, headers: Headers<'_>) -> Answer {
        http(method, &self.url(path), headers, b"")
    }

    fn status(&self, method: &str, path: &str, headers: Headers<'_>) -> u16 {
        self.ask(method, path, headers).status
    }

    fn put(&self, path: &str, headers: Headers<'_>, body: &str) -> u16 {
        http("PUT", &self.url(path), headers, body.as_bytes()).status
    }

    fn bob(&self, method: &str, path: &str, headers: Headers<'_>) -> u16 {
        http_as("bob", BOB, method, &self.url(path), headers, b"").status
    }

    fn etag(&self, path: &str) -> String {
        self.ask("HEAD", path, &[]).headers["etag"].clone()
    }

    fn try_lock(&self, path: &str, scope: &str, headers: Headers<'_>) -> Answer {
        http("LOCK", &self.url(path), headers, lockinfo(scope).as_bytes())
    }

    /// Takes a lock that must be given, and gives its token with its brackets.
    #[track_caller]
    fn lock(&self, path: &str, scope: &str, depth: &str) -> String {
        let answer = self.try_lock(path, scope, &[("Depth", depth)]);
        assert!(matches!(answer.status, 200 | 201), "{answer:?} {}", answer.text());
        answer.headers["lock-token"].clone()
    }

    fn body(&self, path: &str) -> String {
        self.ask("GET", path, &[]).text()
    }
}

fn lockinfo(scope: &str) -> String {
    format!(
        "<?xml version='1.0'?><D:lockinfo xmlns:D='DAV:'><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype>\
         <D:owner><D:href>mailto:me</D:href></D:owner></D:lockinfo>"
    )
}

#[track_caller]
fn names(answer: &Answer, condition: &str, href: &str) {
    let text = answer.text();
    assert!(text.contains(&format!("<d:{condition}>")) && text.contains(&format!("<d:href>{href}</d:href>")), "{answer:?} {text}");
    assert_eq!(answer.headers["content-type"], "application/xml; charset=utf-8");
}

#[test]
fn options_tell_what_can_be_done_with_what() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/a.jpg"]);
    for (path, there, not) in [
        ("d/a.jpg", vec!["PUT", "DELETE", "MOVE", "PROPPATCH", "PATCH", "LOCK"], vec!["MKCOL", "POST"]),
        ("d/", vec!["DELETE", "MOVE", "REPORT", "UNLOCK"], vec!["PUT", "MKCOL", "PATCH"]),
        ("", vec!["COPY", "PROPFIND", "REPORT"], vec!["DELETE", "MOVE", "PUT"]),
        ("new", vec!["PUT", "MKCOL", "LOCK"], vec!["GET", "DELETE", "COPY"]),
    ] {
        let answer = served.ask("OPTIONS", path, &[]);
        let allow: Vec<_> = answer.headers["allow"].split(", ").collect();
        assert_eq!(
            (answer.status, answer.headers["dav"].as_str(), answer.headers["ms-author-via"].as_str()),
            (200, "1, 2, 3, nextcloud-checksum-update", "DAV")
        );
        assert!(there.iter().all(|method| allow.contains(method)) && !not.iter().any(|method| allow.contains(method)), "{path}: {allow:?}");
    }
    // Windows and others look at the root first, and know no password then.
    for path in ["/", "*"] {
        let mut stream = std::net::TcpStream::connect(served.node.url().strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "OPTIONS {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(
            (answer.status, answer.headers["dav"].as_str(), answer.headers["ms-author-via"].as_str()),
            (200, "1, 2, 3, nextcloud-checksum-update", "DAV")
        );
    }
    for (method, status) in [("PATCH", 405), ("POST", 405), ("TRACE", 405), ("FROBNICATE", 501), ("SEARCH", 501)] {
        let answer = served.ask(method, "d/a.jpg", &[]);
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method}");
    }
    assert_files(&served.node, &[("d/a.jpg", "d/a.jpg")]);
}

#[test]
fn the_root_of_the_server_can_be_looked_at() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg"]);
    let answer = served.ask("PROPFIND", "/", &[("Depth", "1")]);
    let text = answer.text();
    assert_eq!(answer.status, 207);
    assert!(text.contains("<d:href>/</d:href>") && text.contains("<d:href>/originals/</d:href>"), "{text}");
    let unknown = http_as("admin", "wrong password", "PROPFIND", &served.url("/"), &[("Depth", "0")], b"");
    assert!(unknown.status == 401 && unknown.headers["www-authenticate"].starts_with("Basic "), "{unknown:?}");
    for (method, path) in [("PUT", "/"), ("DELETE", "/"), ("MKCOL", "/x/"), ("PUT", "/x.jpg"), ("MOVE", "/")] {
        assert!(matches!(served.status(method, path, &[("Destination", "/originals/x")]), 403..=405), "{method} {path}");
    }
    assert_files(&served.node, &[("a.jpg", "a.jpg")]);
}

#[test]
fn a_folder_is_a_plain_list_of_links_to_a_browser() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/<b>&\"ü\".jpg", "d/e/x.jpg"]);
    let answer = served.ask("GET", "d/", &[]);
    let text = answer.text();
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(answer.headers["content-security-policy"].contains("default-src 'none'"));
    assert!(text.contains("href=\"/originals/d/%3Cb%3E%26%22%C3%BC%22.jpg\">&lt;b&gt;&amp;&quot;ü&quot;.jpg</a>"), "{text}");
    assert!(text.contains("href=\"/originals/d/e/\">e/</a>") && !text.contains("<b>") && !text.contains("<script"), "{text}");
    assert!(!served.ask("GET", "", &[]).text().contains(".twinlens"));
    let head = served.ask("HEAD", "d/", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(served.status("GET", "none/", &[]), 404);
}

#[test]
fn stored_pages_run_no_script_and_types_are_right() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["x.html", "x.svg", "x.XMP", "x.heic", "x.avif", "x.dng", "x.cr3", "x.MOV", "x.jxl", "x.unknown"]);
    for name in ["x.html", "x.svg"] {
        let answer = served.ask("GET", name, &[]);
        assert!(answer.headers["content-security-policy"].starts_with("sandbox"), "{name}: {answer:?}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for (name, expected) in [
        ("x.heic", "image/heic"),
        ("x.avif", "image/avif"),
        ("x.MOV", "video/quicktime"),
        ("x.dng", "image/x-adobe-dng"),
        ("x.cr3", "image/x-canon-cr3"),
        ("x.XMP", "application/octet-stream"),
        ("x.unknown", "application/octet-stream"),
    ] {
        let kind = served.ask("HEAD", name, &[]).headers["content-type"].clone();
        assert_eq!(kind, expected, "{name}");
    }
}

#[test]
fn an_upload_is_whole_and_plain() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "d/b.jpg"]);
    let folder = http("PUT", &served.url("d"), &[], b"x");
    assert!(
        folder.status == 405 && folder.headers["allow"].contains("MKCOL") != folder.headers["allow"].contains("PROPFIND"),
        "{folder:?}"
    );
    assert_eq!(served.put("d/", &[], "x"), 405);
    assert_eq!(served.put("", &[], "x"), 405);
    assert_eq!(served.put("a.jpg", &[("Content-Range", "bytes 0-0/7")], "x"), 400);
    assert_eq!(served.put("a.jpg", &[("Content-Encoding", "gzip")], "x"), 415);
    assert_eq!(served.put("a.jpg", &[("Content-Encoding", "identity")], "y"), 204);
    assert_eq!(served.put("none/a.jpg", &[], "x"), 409);
    assert_eq!(served.put("a.jpg/b.jpg", &[], "x"), 409);
    let mut stream = send_head("admin", PASSWORD, "PUT", &served.url("c.jpg"), &[("Transfer-Encoding", "chunked")]);
    stream.write_all(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["etag"], served.etag("c.jpg"));
    assert_files(&served.node, &[("a.jpg", "y"), ("c.jpg", "abcde"), ("d/b.jpg", "d/b.jpg")]);
    assert!(served.node.left_behind().is_empty());
}

#[test]
fn who_asks_first_hears_the_refusal_instead_of_sending() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg"]);
    served.lock("a.jpg", "exclusive", "0");
    let ask = |path: &str, extra: (&str, &str)| {
        let headers = [("Content-Length", "5"), ("Expect", "100-continue"), extra];
        send_head("admin", PASSWORD, "PUT", &served.url(path), &headers)
    };
    for (path, extra, status) in [
        ("a.jpg", ("X-A", "b"), 423),
        ("none/b.jpg", ("X-A", "b"), 409),
        ("b.jpg", ("If-Match", "*"), 412),
        ("b.jpg", ("Content-Range", "bytes 0-4/9"), 400),
    ] {
        // Nothing of the body is sent, and the answer comes all the same.
        assert_eq!(read_answer(&mut ask(path, extra)).status, status, "{path} {extra:?}");
    }
    let mut stream = ask("b.jpg", ("X-A", "b"));
    let mut first = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    assert_eq!(read_answer(&mut stream).status, 201);
    assert_files(&served.node, &[("a.jpg", "a.jpg"), ("b.jpg", "hello")]);
}

#[test]
fn a_refused_large_upload_is_heard_too() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg"]);
    served.lock("a.jpg", "exclusive", "0");
    let answer = http("PUT", &served.url("a.jpg"), &[], &vec![b'x'; 6 << 20]);
    assert_eq!(answer.status, 423);
    names(&answer, "lock-token-submitted", "/originals/a.jpg");
}

#[test]
fn entity_tags_are_strong_told_at_once_and_stay() {
    let sandbox = Sandbox::new();
    let mut served = serving(&sandbox, &["first.jpg"]);
    let told = http("PUT", &served.url("a.jpg"), &[], b"one").headers["etag"].clone();
    assert!(told.starts_with('"') && told.ends_with('"') && told.len() > 20, "{told}");
    assert_eq!(served.etag("a.jpg"), told);
    let copied = served.ask("COPY", "a.jpg", &[("Destination", "/originals/b.jpg")]);
    let moved = served.ask("MOVE", "a.jpg", &[("Destination", "/originals/c.jpg")]);
    assert_eq!((copied.status, &copied.headers["etag"], moved.status, &moved.headers["etag"]), (201, &told, 201, &told));
    // The same content has the same tag, whoever wrote it and when; another content of the same size and time has another.
    let time = ("X-OC-MTime", "1500000000");
    let other = http("PUT", &served.url("d.jpg"), &[time], b"two").headers["etag"].clone();
    let again = http("PUT", &served.url("d.jpg"), &[time], b"one").headers["etag"].clone();
    assert!(again == told && other != told, "{again} {other}");
    served.node.stop();
    served.node.run(&["index"]);
    served.node.serve();
    assert_eq!(["b.jpg", "c.jpg", "d.jpg"].map(|path| served.etag(path)), [told.clone(), told.clone(), told]);
}

#[test]
fn conditions_guard_every_method() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "d/b.jpg"]);
    let (tag, other) = (served.etag("a.jpg"), "\"other\"".to_owned());
    let weak = format!("W/{tag}");
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 23:59:59 GMT");
    let to = ("Destination", "/originals/new.jpg");
    let before = served.node.files();
    for condition in [
        ("If-Match", other.as_str()),
        ("If-Match", &weak),
        ("If-None-Match", "*"),
        ("If-None-Match", &tag),
        ("If-Unmodified-Since", past),
        ("If", "([\"other\"])"),
        ("If", "(Not [\"other\"] <urn:uuid:none>)"),
        ("If", "(<DAV:no-lock>)"),
        ("If", "</originals/none.jpg> ([\"x\"])"),
    ] {
        for method in ["PUT", "DELETE", "MOVE", "COPY", "PROPPATCH", "LOCK"] {
            let body = match method {
                "PROPPATCH" => "<d:propertyupdate xmlns:d='DAV:'><d:set><d:prop><x/></d:prop></d:set></d:propertyupdate>".to_owned(),
                "LOCK" => lockinfo("exclusive"),
                "PUT" => "x".to_owned(),
                _ => String::new(),
            };
            let answer = http(method, &served.url("a.jpg"), &[condition, to], body.as_bytes());
            assert_eq!(answer.status, 412, "{method} {condition:?}: {}", answer.text());
        }
        assert_eq!(served.node.files(), before, "{condition:?}");
    }
    // On folders and on what is not there.
    for (method, path, condition, status) in [
        ("MKCOL", "new/", ("If-Match", "*"), 412),
        ("MKCOL", "new/", ("If", "(<urn:uuid:none>)"), 412),
        ("MKCOL", "new/", ("If-None-Match", "*"), 201),
        ("DELETE", "d/", ("If-Match", "\"x\""), 412),
        ("DELETE", "none", ("If-Match", "\"x\""), 404),
        ("PROPFIND", "d/", ("If", "([\"x\"])"), 412),
        ("GET", "a.jpg", ("If", "([\"x\"])"), 412),
        ("GET", "a.jpg", ("If-Match", "\"x\""), 412),
        ("GET", "a.jpg", ("If-None-Match", &weak), 304),
        ("HEAD", "a.jpg", ("If-Modified-Since", future), 304),
        ("GET", "a.jpg", ("If-Unmodified-Since", past), 412),
        ("GET", "a.jpg", ("If-Modified-Since", "rubbish"), 200),
        ("PUT", "a.jpg", ("If", "(oops"), 400),
        ("DELETE", "a.jpg", ("If", "oops"), 400),
        ("GET", "a.jpg", ("If", "()"), 400),
    ] {
        assert_eq!(served.status(method, path, &[condition, ("Depth", "infinity")]), status, "{method} {path} {condition:?}");
    }
    // And they let through what they should.
    assert_eq!(served.put("a.jpg", &[("If-Match", &format!("\"x,y\", {tag}"))], "2"), 204);
    let tag = served.etag("a.jpg");
    assert_eq!(served.put("a.jpg", &[("If", &format!("([\"x\"]) ([{tag}])"))], "3"), 204);
    assert_eq!(served.put("a.jpg", &[("If-Unmodified-Since", future)], "4"), 204);
    assert_eq!(served.put("a.jpg", &[("If-None-Match", "\"x\"")], "5"), 204);
    let tag = served.etag("a.jpg");
    assert_eq!(served.status("DELETE", "a.jpg", &[("If-Match", &tag)]), 204);
}

#[test]
fn tagged_lists_are_about_other_resources() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "other ü.jpg"]);
    let tag = served.etag("other%20%C3%BC.jpg");
    // A path or a URL, of any host (a proxy has another name), at any mount, escaped in any way.
    for resource in [
        "/originals/other%20%C3%BC.jpg".to_owned(),
        served.url("other%20%c3%bc.jpg"),
        "https://photos.example/originals/other%20%C3%BC.jpg".to_owned(),
        "/webdav/originals/other%20%C3%BC.jpg".to_owned(),
        "/remote.php/dav/files/admin/other%20%C3%BC.jpg".to_owned(),
    ] {
        assert_eq!(served.put("a.jpg", &[("If", &format!("<{resource}> ([{tag}])"))], "x"), 204, "{resource}");
        assert_eq!(served.put("a.jpg", &[("If", &format!("<{resource}> (Not [{tag}])"))], "x"), 412, "{resource}");
    }
    for outside in ["/elsewhere/x", "/originals/../a.jpg", "/originals/.twinlens/library.toml", "mailto:me", "/remote.php/dav/files/bob/x"]
    {
        assert_eq!(served.put("a.jpg", &[("If", &format!("<{outside}> ([{tag}])"))], "x"), 412, "{outside}");
        assert_eq!(served.put("a.jpg", &[("If", &format!("<{outside}> (Not [{tag}])"))], "x"), 204, "{outside}");
    }
    // A token is looked for at the resource that it is said of, but counts as held wherever it stands.
    let token = served.lock("a.jpg", "exclusive", "0");
    assert_eq!(served.put("a.jpg", &[("If", &format!("</originals/other%20%C3%BC.jpg> ({token})"))], "x"), 412);
    assert_eq!(served.put("a.jpg", &[("If", &format!("</originals/other%20%C3%BC.jpg> (Not {token})"))], "y"), 204);
    assert_eq!(served.body("a.jpg"), "y");
}

#[test]
fn ranges() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["0123456789"]);
    let (tag, url) = (served.etag("0123456789"), served.url("0123456789"));
    let modified = served.ask("HEAD", "0123456789", &[]).headers["last-modified"].clone();
    let get = |headers: Headers<'_>| {
        let answer = http("GET", &url, headers, b"");
        (answer.status, answer.text(), answer.headers.get("content-range").cloned().unwrap_or_default())
    };
    assert_eq!(get(&[("Range", "bytes=2-4")]), (206, "234".into(), "bytes 2-4/10".into()));
    assert_eq!(get(&[("Range", "bytes=-3")]), (206, "789".into(), "bytes 7-9/10".into()));
    assert_eq!(get(&[("Range", "bytes=8-99")]), (206, "89".into(), "bytes 8-9/10".into()));
    assert_eq!(get(&[("Range", "bytes=0-0,2-3")]), (200, "0123456789".into(), String::new()));
    let (status, _, range) = get(&[("Range", "bytes=10-")]);
    assert_eq!((status, range.as_str()), (416, "bytes */10"));
    assert_eq!(get(&[("Range", "bytes=2-4"), ("If-Range", &tag)]).0, 206);
    assert_eq!(get(&[("Range", "bytes=2-4"), ("If-Range", &modified)]).0, 206);
    assert_eq!(get(&[("Range", "bytes=2-4"), ("If-Range", "\"other\"")]).0, 200);
    assert_eq!(get(&[("Range", "bytes=2-4"), ("If-Range", &format!("W/{tag}"))]).0, 200);
    assert_eq!(get(&[("Range", "bytes=2-4"), ("If", &format!("([{tag}])"))]).0, 206);
    let head = http("HEAD", &url, &[("Range", "bytes=2-4")], b"");
    assert!(matches!(head.status, 200 | 206) && head.body.is_empty(), "{head:?}");
}

#[test]
fn a_fragment_does_not_stand_for_the_whole() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["album/a.jpg"]);
    assert_eq!(served.status("DELETE", "album/#a.jpg", &[]), 400);
    assert_eq!(served.status("GET", "album/a.jpg#x", &[]), 400);
    assert_eq!(served.status("GET", "album/a.jpg", &[("Referer", "/#x")]), 200);
    assert_files(&served.node, &[("album/a.jpg", "album/a.jpg")]);
}

#[test]
fn making_folders() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "d/b.jpg"]);
    for (path, status) in
        [("new", 201), ("new/", 405), ("new2/", 201), ("a.jpg", 405), ("d", 405), ("none/x/", 409), ("a.jpg/x", 409), ("", 405)]
    {
        let answer = served.ask("MKCOL", path, &[]);
        assert_eq!(answer.status, status, "{path}");
        assert!(status != 405 || answer.headers.contains_key("allow"));
    }
    let body = http("MKCOL", &served.url("new3"), &[("Content-Type", "text/plain")], b"hello");
    assert_eq!(body.status, 415);
    assert_eq!(served.status("PROPFIND", "new3", &[("Depth", "0")]), 404);
    assert!(matches!(served.status("MKCOL", "/webdav/new", &[]), 403));
}

#[test]
fn moves_and_copies_of_every_kind() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "b.jpg", "d/1.jpg", "d/e/2.jpg", "f/3.jpg"]);
    let go = |method: &str, from: &str, to: &str, headers: Headers<'_>| {
        let to = format!("/originals/{to}");
        served.status(method, from, &[headers, &[("Destination", &to)]].concat())
    };
    assert_eq!(go("COPY", "none", "x", &[]), 404);
    assert_eq!(go("MOVE", "none", "x", &[]), 404);
    assert_eq!(go("COPY", "a.jpg", "none/x", &[]), 409);
    assert_eq!(go("MOVE", "a.jpg", "b.jpg/x", &[]), 409);
    assert_eq!(go("MOVE", "a.jpg", "a.jpg", &[]), 403);
    assert_eq!(go("COPY", "d", "d/", &[]), 403);
    assert_eq!(go("COPY", "a.jpg", "b.jpg", &[("Overwrite", "F")]), 412);
    assert_eq!(go("MOVE", "d", "f", &[("Overwrite", "F")]), 412);
    assert_eq!(go("COPY", "d", "x", &[("Depth", "1")]), 400);
    assert_eq!(go("MOVE", "d", "x", &[("Depth", "0")]), 400);
    assert_eq!(go("COPY", "a.jpg", "b.jpg", &[("Overwrite", "maybe")]), 400);
    assert_eq!(served.status("MOVE", "a.jpg", &[]), 400);
    assert_eq!(served.status("COPY", "a.jpg", &[("Destination", "http://x/elsewhere/y")]), 502);
    assert_eq!(served.node.files().len(), 5);
    assert!(served.node.trashed().is_empty());

    // Folder onto folder: replaced whole, the old one is in the trash as it was.
    assert_eq!(go("COPY", "d", "f", &[]), 204);
    assert_files(
        &served.node,
        &[
            ("a.jpg", "a.jpg"),
            ("b.jpg", "b.jpg"),
            ("d/1.jpg", "d/1.jpg"),
            ("d/e/2.jpg", "d/e/2.jpg"),
            ("f/1.jpg", "d/1.jpg"),
            ("f/e/2.jpg", "d/e/2.jpg"),
        ],
    );
    assert_eq!(served.node.trashed(), ["f/3.jpg"]);
    // File onto folder, folder onto file.
    assert_eq!(go("MOVE", "a.jpg", "f/", &[]), 204);
    assert_eq!(go("COPY", "d/", "b.jpg", &[("Overwrite", "T")]), 204);
    assert_files(
        &served.node,
        &[("b.jpg/1.jpg", "d/1.jpg"), ("b.jpg/e/2.jpg", "d/e/2.jpg"), ("d/1.jpg", "d/1.jpg"), ("d/e/2.jpg", "d/e/2.jpg"), ("f", "a.jpg")],
    );
    // Depth 0: the folder alone.
    assert_eq!(go("COPY", "d", "g", &[("Depth", "0")]), 201);
    assert_eq!(served.status("PROPFIND", "g", &[("Depth", "0")]), 207);
    assert_eq!(served.status("GET", "g/1.jpg", &[]), 404);
    assert_eq!(served.node.trashed().len(), 4);
    // The index agrees with the disk: everything has its content hash as a tag.
    served.node.files().keys().for_each(|path| assert!(served.etag(path).len() > 20));
    assert!(served.node.left_behind().is_empty());
}

#[test]
fn between_the_trees() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/1.jpg", "d/e/2.jpg", "a.jpg"]);
    let go = |method: &str, from: &str, to: &str| served.status(method, from, &[("Destination", to)]);
    assert_eq!(go("MOVE", "d/", "/import/d/"), 201);
    assert_eq!(served.status("GET", "d/1.jpg", &[]), 404);
    assert_eq!(served.body("/import/d/e/2.jpg"), "d/e/2.jpg");
    assert_eq!(go("COPY", "/import/d", "http://other.example/webdav/originals/back"), 502);
    assert_eq!(go("COPY", "/import/d", &format!("{}/webdav/originals/back", served.node.url())), 201);
    assert_eq!(go("MOVE", "/webdav/import/d/1.jpg", "/remote.php/dav/files/admin/1.jpg"), 201);
    assert_eq!(go("COPY", "a.jpg", "/webdav/import/a.jpg"), 201);
    assert_files(&served.node, &[("1.jpg", "d/1.jpg"), ("a.jpg", "a.jpg"), ("back/1.jpg", "d/1.jpg"), ("back/e/2.jpg", "d/e/2.jpg")]);
    assert_eq!(served.etag("1.jpg"), served.etag("back/1.jpg"));
    // What leaves a tree is in its trash.
    assert_eq!(served.node.trashed(), ["d/1.jpg", "d/e/2.jpg"]);
}

#[test]
fn a_lock_on_a_free_name_makes_an_empty_file() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/x.jpg"]);
    let answer = served.try_lock("d/new.jpg", "exclusive", &[("Depth", "0"), ("Timeout", "Infinite, Second-100")]);
    assert_eq!(answer.status, 201);
    let (token, text) = (answer.headers["lock-token"].clone(), answer.text());
    assert!(token.starts_with("<urn:uuid:") && text.contains(token.trim_matches(['<', '>'])) && text.contains("mailto:me"), "{text}");
    assert!(
        text.contains("<d:lockroot><d:href>/originals/d/new.jpg</d:href></d:lockroot>") && text.contains("<d:depth>0</d:depth>"),
        "{text}"
    );
    let seconds: u64 = text.split("Second-").nth(1).unwrap().split('<').next().unwrap().parse().unwrap();
    assert!((80_000..=86_400).contains(&seconds), "{text}");
    assert_eq!(served.body("d/new.jpg"), "");
    assert_eq!(served.put("d/new.jpg", &[], "x"), 423);
    assert_eq!(served.put("d/new.jpg", &[("If", &format!("({token})"))], "x"), 204);
    // An UNLOCK leaves the file.
    assert_eq!(served.status("UNLOCK", "d/new.jpg", &[("Lock-Token", &token)]), 204);
    assert_eq!(served.body("d/new.jpg"), "x");
    assert_eq!(served.try_lock("none/new.jpg", "exclusive", &[]).status, 409);
    assert_eq!(served.try_lock("d/x.jpg", "exclusive", &[("Depth", "1")]).status, 400);
    assert_eq!(http("LOCK", &served.url("d/x.jpg"), &[], b"<x/>").status, 400);
    let text = served.try_lock("d/x.jpg", "exclusive", &[("Timeout", "Second-123")]).text();
    assert!(text.contains("Second-123<") || text.contains("Second-122<"), "{text}");
}

#[test]
fn locks_conflict_as_they_should() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/e/a.jpg", "d/b.jpg", "c.jpg"]);
    served.lock("d/e/a.jpg", "exclusive", "0");
    let again = served.try_lock("d/e/a.jpg", "exclusive", &[]);
    assert_eq!(again.status, 423);
    names(&again, "no-conflicting-lock", "/originals/d/e/a.jpg");
    assert_eq!(served.try_lock("d/e/a.jpg", "shared", &[]).status, 423);
    // A lock on everything in a folder: the member that forbids it is named (section 9.10.9).
    let deep = served.try_lock("d/", "exclusive", &[("Depth", "infinity")]);
    let text = deep.text();
    assert_eq!(deep.status, 207, "{text}");
    assert!(text.contains("<d:href>/originals/d/e/a.jpg</d:href><d:status>HTTP/1.1 423 Locked"), "{text}");
    assert!(text.contains("<d:href>/originals/d/</d:href><d:status>HTTP/1.1 424 Failed Dependency"), "{text}");
    assert!(!deep.headers.contains_key("lock-token"));
    assert_eq!(served.put("d/b.jpg", &[], "free"), 204);
    // A lock on the folder alone does not meet that of a member; one below a deep lock meets that.
    served.lock("d/", "exclusive", "0");
    let token = served.lock("c.jpg", "shared", "0");
    let second = served.lock("c.jpg", "shared", "0");
    assert_eq!(served.try_lock("c.jpg", "exclusive", &[]).status, 423);
    // Holding one of several shared locks is enough; holding none is not.
    assert_eq!(served.put("c.jpg", &[], "x"), 423);
    assert_eq!(served.put("c.jpg", &[("If", &format!("({token})"))], "y"), 204);
    assert_eq!(served.put("c.jpg", &[("If", &format!("({second})"))], "z"), 204);
    assert_eq!(served.body("c.jpg"), "z");
}

#[test]
fn a_locked_folder_guards_its_list_of_members() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/a.jpg", "d/e/b.jpg", "c.jpg"]);
    let token = served.lock("d/", "exclusive", "0");
    let held = format!("</originals/d/> ({token})");
    let to = |path: &'static str| ("Destination", path);
    for (method, path, destination) in [
        ("PUT", "d/new.jpg", ""),
        ("MKCOL", "d/new/", ""),
        ("DELETE", "d/a.jpg", ""),
        ("DELETE", "d/", ""),
        ("MOVE", "d/a.jpg", "/originals/x.jpg"),
        ("MOVE", "c.jpg", "/originals/d/c.jpg"),
        ("COPY", "c.jpg", "/webdav/originals/d/c.jpg"),
        ("LOCK", "d/new.jpg", ""),
    ] {
        let body = if method == "LOCK" { lockinfo("exclusive") } else { String::new() };
        let answer = http(method, &served.url(path), &[to(destination)], body.as_bytes());
        assert_eq!(answer.status, 423, "{method} {path}: {answer:?}");
        assert!(answer.text().contains("lock-token-submitted"), "{method} {path}: {}", answer.text());
        // Bob cannot use the token of another.
        assert_eq!(
            http_as("bob", BOB, method, &served.url(path), &[to(destination), ("If", &held)], body.as_bytes()).status,
            423,
            "{method} {path}"
        );
    }
    // Members can be changed, and what lies further down.
    assert_eq!(served.put("d/a.jpg", &[], "changed"), 204);
    assert_eq!(served.put("d/e/new.jpg", &[], "new"), 201);
    for (method, path, destination, status) in [
        ("PUT", "d/new.jpg", "", 201),
        ("MKCOL", "d/new/", "", 201),
        ("MOVE", "c.jpg", "/originals/d/c.jpg", 201),
        ("DELETE", "d/a.jpg", "", 204),
    ] {
        assert_eq!(served.status(method, path, &[to(destination), ("If", &held)]), status, "{method} {path}");
    }
}

#[test]
fn a_locked_member_keeps_its_folder() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/e/a.jpg", "d/b.jpg", "c.jpg"]);
    let token = served.lock("d/e/a.jpg", "exclusive", "0");
    let before = served.node.files();
    for (method, path, to) in
        [("DELETE", "d/", ""), ("MOVE", "d/", "/originals/x/"), ("COPY", "c.jpg", "/originals/d"), ("MOVE", "c.jpg", "/originals/d/e/")]
    {
        let answer = served.ask(method, path, &[("Destination", to)]);
        assert_eq!(answer.status, 423, "{method} {path}");
        names(&answer, "lock-token-submitted", "/originals/d/e/a.jpg");
        assert_eq!(served.node.files(), before, "{method} {path}");
    }
    assert!(served.node.trashed().is_empty());
    // A copy takes no lock along, and neither does a move.
    assert_eq!(served.status("COPY", "d/", &[("Destination", "/originals/x/")]), 201);
    assert_eq!(served.put("x/e/a.jpg", &[], "x"), 204);
    let held = format!("</originals/d/e/a.jpg> ({token})");
    assert_eq!(served.status("MOVE", "d/", &[("Destination", "/originals/y/"), ("If", &held)]), 201);
    assert_eq!(served.put("y/e/a.jpg", &[], "y"), 204);
    // The old name is free, and its lock is gone.
    assert_eq!(served.status("MKCOL", "d/", &[]), 201);
    assert_eq!(served.status("MKCOL", "d/e/", &[]), 201);
    assert_eq!(served.put("d/e/a.jpg", &[], "new"), 201);
    // A DELETE ends it too.
    let token = served.lock("y/e/a.jpg", "exclusive", "0");
    assert_eq!(served.status("DELETE", "y/e/a.jpg", &[("If", &format!("({token})"))]), 204);
    assert_eq!(served.put("y/e/a.jpg", &[], "again"), 201);
    assert_eq!(served.put("y/e/a.jpg", &[], "and again"), 204);
}

#[test]
fn a_deep_lock_holds_for_what_comes_later() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/a.jpg", "c.jpg"]);
    let token = served.lock("d", "exclusive", "infinity");
    assert_eq!(served.put("d/new.jpg", &[("If", &format!("({token})"))], "x"), 201);
    assert_eq!(served.put("d/new.jpg", &[], "x"), 423);
    assert_eq!(served.try_lock("d/new.jpg", "exclusive", &[]).status, 423);
    // What moves in is locked with the folder; what moves out is not.
    let held = format!("</originals/d> ({token})");
    assert_eq!(served.status("MOVE", "c.jpg", &[("Destination", "/originals/d/c.jpg"), ("If", &held)]), 201);
    assert_eq!(served.put("d/c.jpg", &[], "x"), 423);
    // Refreshed and ended at any member (section 9.10.2, 9.11).
    let refreshed = served.ask("LOCK", "d/new.jpg", &[("If", &format!("({token})")), ("Timeout", "Second-77")]);
    assert!(refreshed.status == 200 && refreshed.text().contains("Second-7"), "{refreshed:?}");
    assert!(refreshed.text().contains("<d:lockroot><d:href>/originals/d</d:href></d:lockroot>"), "{}", refreshed.text());
    assert_eq!(served.status("UNLOCK", "d/new.jpg", &[("Lock-Token", &token)]), 204);
    assert_eq!(served.put("d/c.jpg", &[], "x"), 204);
}

#[test]
fn refresh_and_unlock_with_the_wrong_token() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["a.jpg", "b.jpg"]);
    let token = served.lock("a.jpg", "exclusive", "0");
    let wrong = served.ask("UNLOCK", "b.jpg", &[("Lock-Token", &token)]);
    assert!(wrong.status == 409 && wrong.text().contains("lock-token-matches-request-uri"), "{wrong:?}");
    assert_eq!(served.status("UNLOCK", "a.jpg", &[("Lock-Token", "<urn:uuid:none>")]), 409);
    assert_eq!(served.status("UNLOCK", "a.jpg", &[]), 400);
    assert_eq!(served.status("UNLOCK", "a.jpg", &[("Lock-Token", "nonsense")]), 400);
    assert_eq!(served.status("LOCK", "a.jpg", &[]), 400);
    assert_eq!(served.status("LOCK", "a.jpg", &[("If", &format!("({token}) (<urn:uuid:x>)"))]), 400);
    let lost = served.ask("LOCK", "b.jpg", &[("If", &format!("({token})"))]);
    assert!(lost.status == 412 && lost.text().contains("lock-token-matches-request-uri"), "{lost:?}");
    // Bob can neither refresh nor end it, nor write with its token; an admin can end bob's.
    assert_eq!(served.bob("LOCK", "a.jpg", &[("If", &format!("({token})"))]), 403);
    assert_eq!(served.bob("UNLOCK", "a.jpg", &[("Lock-Token", &token)]), 403);
    assert_eq!(served.bob("PUT", "a.jpg", &[("If", &format!("({token})"))]), 423);
    let bobs = http_as("bob", BOB, "LOCK", &served.url("b.jpg"), &[], lockinfo("exclusive").as_bytes());
    assert_eq!(served.put("b.jpg", &[("If", &format!("({})", bobs.headers["lock-token"]))], "x"), 423);
    assert_eq!(served.status("UNLOCK", "b.jpg", &[("Lock-Token", &bobs.headers["lock-token"])]), 204);
    // A short lock ends by itself; refreshed, it lasts.
    let brief = served.try_lock("b.jpg", "exclusive", &[("Timeout", "Second-1")]);
    assert_eq!(brief.status, 200);
    eventually("the lock's end", || served.put("b.jpg", &[], "x") == 204);
    assert_eq!(served.status("LOCK", "b.jpg", &[("If", &format!("({})", brief.headers["lock-token"]))]), 412);
}

#[test]
fn properties_of_folders_are_copied_with_them() {
    let sandbox = Sandbox::new();
    let served = serving(&sandbox, &["d/a.jpg", "f/old.jpg"]);
    let patch = "<d:propertyupdate xmlns:d='DAV:'><d:set><d:prop><note xmlns='urn:x'>mine</note></d:prop></d:set></d:propertyupdate>";
    for path in ["d/", "d/a.jpg", "f/"] {
        assert_eq!(http("PROPPATCH", &served.url(path), &[], patch.replace("mine", path).as_bytes()).status, 207);
    }
    let note = |path: &str| {
        let wanted = b"<propfind xmlns='DAV:'><prop><note xmlns='urn:x'/></prop></propfind>";
        let text = http("PROPFIND", &served.url(path), &[("Depth", "0")], wanted).text();
        text.split("</note>").next().filter(|head| head.len() < text.len()).map(|head| head.rsplit('>').next().unwrap().to_owned())
    };
    assert_eq!(served.status("COPY", "d/", &[("Destination", "/originals/all/")]), 201);
    assert_eq!((note("all/").as_deref(), note("all/a.jpg").as_deref()), (Some("d/"), Some("d/a.jpg")));
    assert_eq!(served.status("COPY", "d/", &[("Destination", "/originals/alone/"), ("Depth", "0")]), 201);
    assert_eq!(note("alone/").as_deref(), Some("d/"));
    // What is replaced loses its own.
    assert_eq!(served.status("MOVE", "d/", &[("Destination", "/originals/f/")]), 204);
    assert_eq!((note("f/").as_deref(), note("f/a.jpg").as_deref()), (Some("d/"), Some("d/a.jpg")));
    // And between the trees.
    assert_eq!(served.status("COPY", "f/", &[("Destination", "/import/f/")]), 201);
    assert_eq!(note("/import/f/").as_deref(), Some("d/"));
}
