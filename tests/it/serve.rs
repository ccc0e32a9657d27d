//! `twinlens serve`, as its clients see it.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use crate::support::{PASSWORD, Sandbox, assert_files, eventually, http, http_as, read_answer, send_head};

#[test]
fn files_come_and_go() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    assert_eq!(http("MKCOL", &url("2020/"), &[], b"").status, 201);
    assert_eq!(http("MKCOL", &url("2020/"), &[], b"").status, 405);
    assert_eq!(http("PUT", &url("2020/%C3%A4%20%2B%231.jpg"), &[], b"one").status, 201);
    assert_files(&node, &[("2020/ä +#1.jpg", "one")]);
    let answer = http("GET", &url("2020/%C3%A4%20%2B%231.jpg"), &[], b"");
    assert_eq!((answer.status, answer.text().as_str(), answer.headers["content-type"].as_str()), (200, "one", "image/jpeg"));
    let answer = http("GET", &url("2020/%C3%A4%20%2B%231.jpg"), &[("Range", "bytes=1-1")], b"");
    assert_eq!((answer.status, answer.text().as_str()), (206, "n"));
    assert_eq!(http("PUT", &url("no/folder.jpg"), &[], b"x").status, 409);
    assert_eq!(http("GET", &url("none.jpg"), &[], b"").status, 404);
    assert_eq!(http("DELETE", &url("2020/%C3%A4%20%2B%231.jpg"), &[], b"").status, 204);
    assert_eq!(node.trashed(), ["one"]);
    assert_files(&node, &[]);
}

#[test]
fn listings_tell_content_hash_checksum_and_quoted_etags() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let put = http("PUT", &format!("{}a+b.jpg", node.originals()), &[], b"abc");
    let etag = put.headers["etag"].clone();
    let answer = http("PROPFIND", &node.originals(), &[("Depth", "1")], b"");
    assert_eq!(answer.status, 207);
    let text = answer.text();
    assert!(text.find("<d:href>/originals/</d:href>") < text.find("<d:href>/originals/a%2Bb.jpg</d:href>"), "{text}");
    assert!(text.contains(&etag.replace('"', "&quot;")) || text.contains(&etag), "{etag} {text}");
    assert!(!text.contains(".twinlens"));
    let wanted = "<d:propfind xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns' xmlns:tl='urn:twinlens:dav'><d:prop><oc:checksums/>\
        <tl:content-hash/><d:nonsense/></d:prop></d:propfind>";
    let text = http("PROPFIND", &format!("{}a+b.jpg", node.originals()), &[("Depth", "0")], wanted.as_bytes()).text();
    assert!(text.contains("<oc:checksum>SHA1:a9993e364706816aba3e25717850c26c9cd0d89d</oc:checksum>"), "{text}");
    assert!(text.contains("<tl:content-hash>6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85</tl:content-hash>"), "{text}");
    assert!(text.contains("<d:nonsense/></d:prop><d:status>HTTP/1.1 404 Not Found"), "{text}");
}

#[test]
fn a_listing_without_end_tells_everything_once_or_is_refused() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let paths = ["a.jpg", "d/b.jpg", "d/e/c ü+.jpg", "d/e/f/d.jpg", "g/e.jpg"];
    paths.iter().for_each(|path| node.put(path, path));
    node.serve();
    for root in ["/originals/", "/webdav/"] {
        let answer = http("PROPFIND", &format!("{}{root}", node.url()), &[("Depth", "infinity")], b"");
        let text = answer.text();
        assert!(answer.status == 207 && text.ends_with("</d:multistatus>"), "{answer:?}");
        let folders = if root == "/webdav/" { 3 } else { 1 };
        assert_eq!(text.matches("<d:response>").count(), paths.len() + 4 + folders, "{text}");
        assert_eq!(text.matches("d/e/c%20%C3%BC%2B.jpg</d:href>").count(), 1, "{text}");
    }
    node.stop();
    node.serve_with(&["--finite-depth"]);
    for headers in [&[("Depth", "infinity")][..], &[]] {
        let answer = http("PROPFIND", &node.originals(), headers, b"");
        assert!(answer.status == 403 && answer.text().contains("propfind-finite-depth"), "{answer:?}");
    }
}

#[test]
fn a_cut_upload_leaves_the_old_file_and_no_remains() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    assert_eq!(http("PUT", &url, &[], b"old").status, 201);
    for size in ["100", "5000000"] {
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", size)]);
        stream.write_all(&vec![b'n'; size.parse::<usize>().unwrap() / 2]).unwrap();
        drop(stream);
    }
    let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Transfer-Encoding", "chunked"), ("X-Expected-Entity-Length", "9")]);
    stream.write_all(b"3\r\nnew\r\n0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).status, 400);
    eventually("the end of the cut uploads", || node.left_behind().is_empty());
    assert_files(&node, &[("a.jpg", "old")]);
    assert!(node.trashed().is_empty());
}

#[test]
fn a_wrong_checksum_is_refused_and_a_right_one_taken() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    http("PUT", &url, &[], b"old");
    let wrong = [("OC-Checksum", "SHA1:0000000000000000000000000000000000000000")];
    let answer = http("PUT", &url, &wrong, b"new");
    assert!(answer.status == 400 && answer.text().contains("checksum"), "{answer:?}");
    assert_files(&node, &[("a.jpg", "old")]);
    let right = [("OC-Checksum", "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d"), ("X-OC-MTime", "1500000000.5")];
    let answer = http("PUT", &url, &right, b"abc");
    assert_eq!((answer.status, answer.headers["x-oc-mtime"].as_str()), (204, "accepted"));
    let time = fs::metadata(node.library.join("a.jpg")).unwrap().modified().unwrap();
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap(), Duration::from_millis(1_500_000_000_500));
    assert_eq!(http("PUT", &url, &[("X-OC-MTime", "yesterday")], b"x").status, 400);
    assert_eq!(node.trashed(), ["old"]);
    assert!(node.left_behind().is_empty());
}

#[test]
fn conditions_are_kept() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    let etag = http("PUT", &url, &[("If-None-Match", "*")], b"one").headers["etag"].clone();
    assert_eq!(http("PUT", &url, &[("If-None-Match", "*")], b"two").status, 412);
    assert_eq!(http("PUT", &url, &[("If-Match", "\"other\"")], b"two").status, 412);
    assert_eq!(http("DELETE", &url, &[("If-Match", "\"other\"")], b"").status, 412);
    assert_files(&node, &[("a.jpg", "one")]);
    assert_eq!(http("GET", &url, &[("If-None-Match", &etag)], b"").status, 304);
    assert_eq!(http("PUT", &url, &[("If-Match", &etag)], b"two").status, 204);
    assert_files(&node, &[("a.jpg", "two")]);
}

#[test]
fn only_users_get_in_and_viewers_change_nothing() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    let answer = http_as("admin", "wrong password", "GET", &url, &[], b"");
    assert_eq!((answer.status, answer.headers["www-authenticate"].as_str()), (401, "Basic realm=\"Twinlens\", charset=\"UTF-8\""));
    assert_eq!(http_as("nobody", PASSWORD, "GET", &url, &[], b"").status, 401);
    let added = node.run_with_password(&["user", "add", "vera", "--role", "viewer", "--password-stdin"], "view only please");
    assert!(added.status.success());
    assert_eq!(http_as("vera", "view only please", "GET", &url, &[], b"").status, 200);
    assert_eq!(http_as("vera", "view only please", "PUT", &url, &[], b"x").status, 403);
    assert_eq!(http_as("vera", "view only please", "DELETE", &url, &[], b"").status, 403);
    assert!(node.run_with_password(&["user", "passwd", "vera", "--password-stdin"], "another password").status.success());
    assert_eq!(http_as("vera", "view only please", "GET", &url, &[], b"").status, 401);
    assert_eq!(http_as("vera", "another password", "GET", &url, &[], b"").status, 200);
    assert_files(&node, &[("a.jpg", "a")]);
}

#[test]
fn unknown_places_are_never_200() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    for (method, path, status) in [
        ("PUT", "/photos/a.jpg", 404),
        ("PUT", "/a.jpg", 404),
        ("PROPFIND", "/photos/", 404),
        ("GET", "/originals/.twinlens/library.toml", 404),
        ("PUT", "/originals/.twinlens/x", 404),
        ("GET", "/originals/%2e%2e/data/secret.key", 404),
        ("GET", "/originals/..%2fdata%2fsecret.key", 404),
        ("PROPFIND", "/originals/%2e%2e/", 404),
        ("GET", "/livez", 200),
    ] {
        let answer = http(method, &format!("{}{path}", node.url()), &[("Depth", "0")], b"");
        let refused = matches!(status, 404) && matches!(answer.status, 400 | 403 | 404 | 409);
        assert!(answer.status == status || refused, "{method} {path}: {answer:?}");
    }
    assert!(node.library.join(".twinlens/library.toml").exists());
}

#[test]
fn one_root_holds_originals_and_import() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let root = format!("{}/webdav/", node.url());
    let text = http("PROPFIND", &root, &[("Depth", "1")], b"").text();
    for href in ["/webdav/", "/webdav/originals/", "/webdav/import/"] {
        assert!(text.contains(&format!("<d:href>{href}</d:href>")), "{text}");
    }
    assert_eq!(http("GET", &format!("{root}originals/a.jpg"), &[], b"").text(), "a");
    assert_eq!(http("PUT", &format!("{root}import/dropped.jpg"), &[], b"d").status, 201);
    assert_eq!(http("GET", &format!("{}/import/dropped.jpg", node.url()), &[], b"").text(), "d");
    assert!(matches!(http("PUT", &format!("{root}stray.jpg"), &[], b"x").status, 403 | 404 | 409));
    let target = format!("{root}originals/b.jpg");
    assert_eq!(http("MOVE", &format!("{root}originals/a.jpg"), &[("Destination", &target)], b"").status, 201);
    assert_files(&node, &[("b.jpg", "a")]);
}

#[test]
fn read_only_refuses_every_change() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve_with(&["--read-only"]);
    let url = format!("{}a.jpg", node.originals());
    for (method, headers) in [("PUT", vec![]), ("DELETE", vec![]), ("MOVE", vec![("Destination", "/originals/b.jpg")])] {
        assert_eq!(http(method, &url, &headers, b"").status, 403, "{method}");
    }
    assert_eq!(http("MKCOL", &format!("{}new/", node.originals()), &[], b"").status, 403);
    assert_files(&node, &[("a.jpg", "a")]);
}

#[test]
fn a_stop_lets_transfers_end_and_leaves_nothing_behind() {
    for signal in ["TERM", "INT"] {
        let sandbox = Sandbox::new();
        let mut node = sandbox.node("n");
        node.serve();
        let content = "x".repeat(2 << 20);
        let (half, rest) = content.split_at(content.len() / 2);
        let length = content.len().to_string();
        let mut stream = send_head("admin", PASSWORD, "PUT", &format!("{}late.jpg", node.originals()), &[("Content-Length", &length)]);
        stream.write_all(half.as_bytes()).unwrap();
        eventually("the upload", || !node.left_behind().is_empty());
        let rest = rest.to_owned();
        let finish = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            stream.write_all(rest.as_bytes()).unwrap();
            read_answer(&mut stream).status
        });
        assert!(node.signal(signal).success());
        assert_eq!(finish.join().unwrap(), 201);
        assert_files(&node, &[("late.jpg", &content)]);
        assert!(node.left_behind().is_empty() && !node.data.join("control.sock").exists());
    }
}

#[test]
fn a_later_start_reads_only_what_changed() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    for number in 0..20 {
        node.put(&format!("{}/{number}.jpg", number % 3), &number.to_string());
    }
    assert_eq!(node.run(&["index"])["hashed"], 20);
    node.put("1/1.jpg", "changed");
    node.remove("2/2.jpg");
    let answer = node.run(&["index"]);
    assert_eq!((&answer["files"], &answer["hashed"], &answer["removed"]), (&19.into(), &1.into(), &1.into()));
}

#[test]
fn a_killed_node_starts_again_with_everything() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    assert_eq!(http("PUT", &format!("{}a.jpg", node.originals()), &[], b"a").status, 201);
    let mut stream = send_head("admin", PASSWORD, "PUT", &format!("{}b.jpg", node.originals()), &[("Content-Length", "2000000")]);
    stream.write_all(&vec![0; 1_500_000]).unwrap();
    eventually("the upload to be under way", || !node.left_behind().is_empty());
    node.signal("KILL");
    node.serve();
    assert_eq!(http("GET", &format!("{}a.jpg", node.originals()), &[], b"").text(), "a");
    assert_files(&node, &[("a.jpg", "a")]);
    assert!(node.left_behind().is_empty());
}

const LOCK: &str = "<?xml version='1.0'?><d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>\
    <d:owner><d:href>mailto:me</d:href></d:owner></d:lockinfo>";

#[test]
fn locks_hold_at_every_mount_survive_a_restart_and_expire() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let answer = http("LOCK", &format!("{}a.jpg", node.originals()), &[("Timeout", "Second-500"), ("Depth", "0")], LOCK.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.headers["lock-token"].clone();
    let elsewhere = |node: &crate::support::Node| format!("{}/webdav/originals/a.jpg", node.url());
    assert_eq!(http("PUT", &elsewhere(&node), &[], b"b").status, 423);
    node.signal("KILL");
    node.serve();
    assert_eq!(http("DELETE", &elsewhere(&node), &[], b"").status, 423);
    assert_eq!(http("PUT", &elsewhere(&node), &[("If", &format!("({token})"))], b"b").status, 204);
    let wanted = "<propfind xmlns='DAV:'><prop><lockdiscovery/></prop></propfind>";
    let text = http("PROPFIND", &elsewhere(&node), &[("Depth", "0")], wanted.as_bytes()).text();
    assert!(text.contains(token.trim_matches(['<', '>'])) && text.contains("mailto:me"), "{text}");
    assert_eq!(http("UNLOCK", &elsewhere(&node), &[("Lock-Token", &token)], b"").status, 204);
    assert_eq!(http("PUT", &elsewhere(&node), &[], b"c").status, 204);
    let brief = http("LOCK", &elsewhere(&node), &[("Timeout", "Second-1"), ("Depth", "0")], LOCK.as_bytes());
    assert_eq!(brief.status, 200);
    eventually("the lock's end", || http("PUT", &elsewhere(&node), &[], b"d").status == 204);
}

#[test]
fn nobody_unlocks_what_another_has_locked() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    assert!(node.run_with_password(&["user", "add", "bob", "--password-stdin"], "bob's password").status.success());
    let url = format!("{}a.jpg", node.originals());
    let token = http("LOCK", &url, &[("Depth", "0")], LOCK.as_bytes()).headers["lock-token"].clone();
    let bob = |method: &str, headers: &[(&str, &str)]| http_as("bob", "bob's password", method, &url, headers, b"").status;
    assert_eq!(bob("UNLOCK", &[("Lock-Token", &token)]), 403);
    assert_eq!(bob("DELETE", &[("If", &format!("({token})"))]), 423);
    assert_eq!(bob("PUT", &[("If", "(<urn:uuid:none>)")]), 412);
    assert_files(&node, &[("a.jpg", "a")]);
}

fn proppatch(url: &str, set: &str) -> String {
    let body = format!("<d:propertyupdate xmlns:d='DAV:' xmlns:x='urn:x'><d:set><d:prop>{set}</d:prop></d:set></d:propertyupdate>");
    let answer = http("PROPPATCH", url, &[], body.as_bytes());
    assert_eq!(answer.status, 207, "{answer:?}");
    answer.text()
}

#[test]
fn properties_are_kept_copied_moved_and_forgotten_with_their_file() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "a");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    proppatch(&url("d/a.jpg"), "<x:note>keep <x:b>me</x:b> &amp; mine</x:note>");
    let read = |path: &str| {
        let wanted = "<propfind xmlns='DAV:'><prop><x:note xmlns:x='urn:x'/></prop></propfind>";
        http("PROPFIND", &url(path), &[("Depth", "0")], wanted.as_bytes()).text().contains("keep <x:b>me</x:b> &amp; mine")
    };
    assert!(read("d/a.jpg"));
    assert_eq!(http("COPY", &url("d/a.jpg"), &[("Destination", &url("d/b.jpg"))], b"").status, 201);
    assert_eq!(http("MOVE", &url("d/"), &[("Destination", &url("e/"))], b"").status, 201);
    assert!(read("e/a.jpg") && read("e/b.jpg"));
    assert_eq!(http("DELETE", &url("e/a.jpg"), &[], b"").status, 204);
    assert_eq!(http("PUT", &url("e/a.jpg"), &[], b"another").status, 201);
    assert!(!read("e/a.jpg"), "a new file has inherited properties");
    // One refusal and nothing is changed.
    let text = proppatch(&url("e/b.jpg"), "<x:more>1</x:more><d:getetag>mine</d:getetag>");
    assert!(text.contains("403 Forbidden") && text.contains("424 Failed Dependency"), "{text}");
}

#[test]
fn times_can_be_set_in_every_dialect() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    let time =
        || fs::metadata(node.library.join("a.jpg")).unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    proppatch(&url, "<d:lastmodified>1500000000</d:lastmodified>");
    assert_eq!(time(), 1_500_000_000);
    proppatch(&url, "<d:getlastmodified>Sun, 09 Sep 2001 01:46:40 GMT</d:getlastmodified>");
    assert_eq!(time(), 1_000_000_000);
    let windows = "<w:Win32LastModifiedTime xmlns:w='urn:schemas-microsoft-com:'>Fri, 14 Jul 2017 02:40:00 GMT</w:Win32LastModifiedTime>";
    assert!(proppatch(&url, windows).contains("200 OK"));
    assert_eq!(time(), 1_500_000_000);
    assert!(proppatch(&url, "<d:lastmodified>soon</d:lastmodified>").contains("409 Conflict"));
}

#[test]
fn a_move_onto_a_file_replaces_it_in_one_step_and_keeps_the_old_one() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("new.jpg", "new");
    node.put("old.jpg", "old");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    assert_eq!(http("MOVE", &url("new.jpg"), &[("Destination", &url("old.jpg")), ("Overwrite", "F")], b"").status, 412);
    // Watched closely, the name is never without a file.
    let (place, stop) = (node.library.join("old.jpg"), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let (watched, stopped) = (place.clone(), std::sync::Arc::clone(&stop));
    let watcher = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(watched.exists(), "there was a moment without a file");
        }
    });
    assert_eq!(http("MOVE", &url("new.jpg"), &[("Destination", &url("old.jpg"))], b"").status, 204);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    watcher.join().unwrap();
    assert_files(&node, &[("old.jpg", "new")]);
    assert_eq!(node.trashed(), ["old"]);
    node.put("third.jpg", "third");
    assert_eq!(http("COPY", &url("third.jpg"), &[("Destination", &url("old.jpg"))], b"").status, 204);
    assert_files(&node, &[("old.jpg", "third"), ("third.jpg", "third")]);
    assert_eq!(node.trashed().len(), 2);
}

fn report(node: &crate::support::Node, path: &str, token: &str, limit: &str) -> (String, String) {
    let body = format!(
        "<d:sync-collection xmlns:d='DAV:'><d:sync-token>{token}</d:sync-token><d:sync-level>infinite</d:sync-level>{limit}<d:prop>\
         <d:getetag/><h:content-hash xmlns:h='urn:twinlens:dav'/></d:prop></d:sync-collection>"
    );
    let answer = http("REPORT", &format!("{}{path}", node.originals()), &[], body.as_bytes());
    assert_eq!(answer.status, 207, "{answer:?}");
    let text = answer.text();
    let token = text.split("<d:sync-token>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    (text, token)
}

#[test]
fn what_changed_is_told_since_a_token() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a/1.jpg", "1");
    node.put("b/2.jpg", "2");
    node.run(&["index"]);
    node.serve();
    let (text, token) = report(&node, "", "", "");
    assert!(text.contains("/originals/a/1.jpg") && text.contains("/originals/b/2.jpg") && text.contains("<tl:content-hash>"), "{text}");
    let (text, same) = report(&node, "", &token, "");
    assert!(!text.contains("<d:response>") && same == token, "{text}");
    http("PUT", &format!("{}a/3.jpg", node.originals()), &[], b"3");
    http("DELETE", &format!("{}b/2.jpg", node.originals()), &[], b"");
    let (text, later) = report(&node, "", &token, "");
    assert!(text.contains("/originals/a/3.jpg") && !text.contains("1.jpg"), "{text}");
    assert!(text.contains("<d:href>/originals/b/2.jpg</d:href><d:status>HTTP/1.1 404 Not Found"), "{text}");
    // A folder tells what is below it only.
    let (text, _) = report(&node, "a/", &token, "");
    assert!(text.contains("/originals/a/3.jpg") && !text.contains("2.jpg"), "{text}");
    // In pages.
    let (first, next) = report(&node, "", &token, "<d:limit><d:nresults>1</d:nresults></d:limit>");
    assert!(first.contains("507 Insufficient Storage") && first.matches("<d:response>").count() == 2, "{first}");
    let (second, end) = report(&node, "", &next, "<d:limit><d:nresults>1</d:nresults></d:limit>");
    assert!(second.matches("<d:response>").count() == 1 && end == later, "{second}");
    // The token outlives a restart, but not a crash: the last numbers may come again then.
    node.stop();
    node.serve();
    assert!(!report(&node, "", &later, "").0.contains("<d:response>"));
    node.signal("KILL");
    node.serve();
    let body = format!(
        "<d:sync-collection xmlns:d='DAV:'><d:sync-token>{later}</d:sync-token><d:sync-level>1</d:sync-level><d:prop/></d:sync-collection>"
    );
    let answer = http("REPORT", &node.originals(), &[], body.as_bytes());
    assert!(answer.status == 403 && answer.text().contains("valid-sync-token"), "{answer:?}");
}

#[test]
fn folders_have_entity_tags_that_change_with_everything_below() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a/b/1.jpg", "1");
    node.put("c/2.jpg", "2");
    node.run(&["index"]);
    node.serve();
    let wanted = "<propfind xmlns='DAV:'><prop><getetag/></prop></propfind>";
    let etag_as = |path: &str, agent: &str| {
        let answer = http("PROPFIND", &format!("{}{path}", node.originals()), &[("Depth", "0"), ("User-Agent", agent)], wanted.as_bytes());
        answer.text().split("<d:getetag>").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned())
    };
    let etag = |path: &str| etag_as(path, "test").unwrap_or_default();
    let all = || ["", "a/", "a/b/", "c/"].map(etag);
    let before = all();
    assert!(before.iter().all(|etag| etag.starts_with("&quot;") && etag.len() < 52), "{before:?}");
    http("PUT", &format!("{}a/b/1.jpg", node.originals()), &[], b"changed");
    let after = all();
    assert!(before[..3].iter().zip(&after).all(|(then, now)| then != now) && before[3] == after[3], "{before:?} {after:?}");
    http("MKCOL", &format!("{}c/new/", node.originals()), &[], b"");
    assert_ne!(etag("c/"), after[3]);
    http("MOVE", &format!("{}a/b/", node.originals()), &[("Destination", "/originals/c/b/")], b"");
    assert_ne!(etag("a/"), after[1]);
    // A Nextcloud that mounts the node would never come to rest.
    assert_eq!(etag_as("a/", "sabre-dav/4.4.0 (http://sabre.io/)"), None);
}

#[test]
fn wrong_passwords_are_slowed_down() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let statuses: Vec<_> = (0..6).map(|_| http_as("admin", "a wrong guess", "GET", &node.originals(), &[], b"")).collect();
    assert!(statuses[..4].iter().all(|answer| answer.status == 401), "{statuses:?}");
    assert!(statuses[5].status == 429 && statuses[5].headers.contains_key("retry-after"), "{statuses:?}");
    assert_eq!(http("PROPFIND", &node.originals(), &[("Depth", "0")], b"").status, 207);
}

#[test]
fn promised_checksums_of_every_kind_are_checked() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    for (header, right, wrong) in [
        ("OC-Checksum", "MD5:900150983cd24fb0d6963f7d28e17f72", "MD5:00000000000000000000000000000000"),
        ("OC-Checksum", "ADLER32:024d0127", "ADLER32:00000000"),
        ("Content-MD5", "kAFQmDzST7DWlj99KOF/cg==", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ] {
        assert_eq!(http("PUT", &url, &[(header, wrong)], b"abc").status, 400, "{header}");
        assert_files(&node, &[]);
        assert_eq!(http("PUT", &url, &[(header, right)], b"abc").status, 201, "{header}");
        http("DELETE", &url, &[], b"");
    }
    assert_eq!(http("PUT", &url, &[("OC-Checksum", "SHA1:nonsense")], b"abc").status, 400);
}

#[test]
fn moves_that_cannot_end_well_change_nothing() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("m/n/a.jpg", "a");
    node.put("m/b.jpg", "b");
    node.serve();
    let (root, before) = (node.url(), node.files());
    for (method, from, to) in [
        ("MOVE", "/originals/m/n/", "/originals/m/"),
        ("MOVE", "/originals/m/", "/originals/m/n/"),
        ("COPY", "/originals/m/", "/originals/m/n/"),
        ("MOVE", "/originals/m/", "/originals/"),
        ("COPY", "/webdav/originals/m/b.jpg", "/webdav/import"),
        ("MOVE", "/webdav/originals/", "/webdav/import/x/"),
        ("MOVE", "/originals/m/b.jpg", "/originalsX/y.jpg"),
        ("DELETE", "/originals/", ""),
        ("DELETE", "/webdav/originals", ""),
    ] {
        let answer = http(method, &format!("{root}{from}"), &[("Destination", to)], b"");
        assert!(matches!(answer.status, 400 | 403 | 409 | 502), "{method} {from} {to}: {answer:?}");
        assert_eq!(node.files(), before, "{method} {from} {to}");
    }
    assert!(node.trashed().is_empty());
}

#[test]
fn odd_files_and_hostile_bodies_do_no_harm() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("old.jpg", "old");
    let ancient = std::time::UNIX_EPOCH - Duration::from_secs(400_000_000);
    fs::File::options().write(true).open(node.library.join("old.jpg")).unwrap().set_modified(ancient).unwrap();
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    assert_eq!(http("GET", &url("old.jpg"), &[], b"").text(), "old");
    assert_eq!(http("PUT", &url("older.jpg"), &[("X-OC-MTime", "-5")], b"x").status, 201);
    let deep = format!("<d:lockinfo xmlns:d='DAV:'>{}", "<d:owner>".repeat(6000));
    assert_eq!(http("LOCK", &url("old.jpg"), &[], deep.as_bytes()).status, 400);
    let greedy: String = (0..5000).map(|n| format!("<n:p{n}/>")).collect();
    let greedy = format!("<d:propfind xmlns:d='DAV:' xmlns:n='urn:n'><d:prop>{greedy}</d:prop></d:propfind>");
    assert_eq!(http("PROPFIND", &url(""), &[("Depth", "0")], greedy.as_bytes()).status, 400);
    let mut stream =
        send_head("admin", PASSWORD, "PUT", &url("old.jpg"), &[("Transfer-Encoding", "chunked"), ("X-Expected-Entity-Length", "4")]);
    stream.write_all(b"4\r\nABCD\r\n4\r\nEFGH\r\n0\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).status, 400);
    assert_eq!(http("GET", &url("old.jpg"), &[], b"").text(), "old");
}

#[test]
fn an_upload_under_a_temporary_name_is_known_once_it_has_its_own() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    let (_, token) = report(&node, "", "", "");
    let put = http("PUT", &url("a.jpg.filepart"), &[], b"abc");
    assert_eq!(http("HEAD", &url("a.jpg.filepart"), &[], b"").headers["etag"], put.headers["etag"]);
    assert_eq!(http("MOVE", &url("a.jpg.filepart"), &[("Destination", &url("a.jpg"))], b"").status, 201);
    let (text, _) = report(&node, "", &token, "");
    assert!(text.contains("/originals/a.jpg") && text.contains("<tl:content-hash>6437b3ac"), "{text}");
}

#[test]
fn a_library_that_went_away_is_not_an_empty_one() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let away = sandbox.path().join("away");
    fs::rename(&node.library, &away).unwrap();
    fs::create_dir(&node.library).unwrap();
    assert_eq!(http("PROPFIND", &node.originals(), &[("Depth", "1")], b"").status, 503);
    assert_eq!(http("PUT", &format!("{}b.jpg", node.originals()), &[], b"b").status, 503);
    assert_eq!(fs::read_dir(&node.library).unwrap().count(), 0);
}
