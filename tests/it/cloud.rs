//! What the clients of Nextcloud and ownCloud ask for, request by request.

use std::io::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::support::*;

const BOTH: [(&str, &str); 2] = [("Depth", "1"), ("Content-Type", "application/xml")];

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

fn sha1(bytes: &[u8]) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request without credentials.
pub fn anonymous(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let _ = stream.write_all(body);
    read_answer(&mut stream)
}

#[test]
fn the_server_says_who_it_is_and_only_what_it_can() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let url = node.url();
    let status = json(&anonymous("GET", &format!("{url}/status.php"), &[], b""));
    assert_eq!((&status["installed"], &status["maintenance"]), (&Value::Bool(true), &Value::Bool(false)));
    assert!(status["version"].as_str().unwrap().starts_with(status["versionstring"].as_str().unwrap()));
    assert_eq!(anonymous("GET", &format!("{url}/index.php/204"), &[], b"").status, 204);

    let capabilities = format!("{url}/ocs/v1.php/cloud/capabilities?format=json");
    let all = json(&http("GET", &capabilities, &[], b""));
    assert_eq!(all["ocs"]["meta"]["statuscode"], 100);
    let told = &all["ocs"]["data"]["capabilities"];
    assert_eq!((&told["dav"]["chunking"], &told["dav"]["bulkupload"]), (&"1.0".into(), &"1.0".into()));
    assert_eq!(told["core"]["webdav-root"], "remote.php/webdav");
    assert_eq!(told["files"]["undelete"], false);
    let little = json(&anonymous("GET", &capabilities, &[], b""));
    assert!(little["ocs"]["data"]["capabilities"]["dav"].is_null(), "strangers are told little: {little:#}");
    let wrong = http_as("admin", "wrong password", "GET", &capabilities, &[], b"");
    assert_eq!(wrong.status, 401);
    assert!(wrong.headers["www-authenticate"].starts_with("Basic "));

    let xml = http("GET", &format!("{url}/ocs/v2.php/cloud/user"), &[], b"");
    assert_eq!(xml.headers["content-type"], "application/xml; charset=utf-8");
    assert!(xml.text().contains("<statuscode>200</statuscode>") && xml.text().contains("<id>admin</id>"), "{}", xml.text());
    let by_accept = http("GET", &format!("{url}/ocs/v2.php/cloud/users/admin"), &[("Accept", "application/json")], b"");
    let person = &json(&by_accept)["ocs"]["data"];
    assert_eq!((&person["id"], &person["display-name"]), (&"admin".into(), &"admin".into()));
    assert!(person["quota"]["free"].as_u64().unwrap() > 0 && person["quota"]["total"].as_u64() > person["quota"]["free"].as_u64());
    assert_eq!(
        json(&http("GET", &format!("{url}/ocs/v2.php/core/navigation/apps?format=json"), &[], b""))["ocs"]["data"],
        Value::Array(vec![])
    );
    assert_eq!(json(&http("GET", &format!("{url}/ocs/v1.php/config?format=json"), &[], b""))["ocs"]["data"]["ssl"], "false");

    let missing = http("GET", &format!("{url}/ocs/v2.php/apps/user_status/api/v1/user_status?format=json"), &[], b"");
    assert_eq!((missing.status, &json(&missing)["ocs"]["meta"]["statuscode"]), (404, &404.into()));
    let others =
        ["/ocs/v1.php/nothing", "/ocs/v2.php/cloud/users/bert", "/ocs/v3.php/cloud/user", "/index.php/avatar/admin/64", "/index.php"];
    for path in others {
        assert_eq!(http("GET", &format!("{url}{path}"), &[], b"").status, 404, "{path}");
    }
}

#[test]
fn whoever_begins_at_the_top_finds_home() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    write(&node.library.join("a.jpg"), b"a");
    node.serve();
    let url = node.url();
    let hrefs = |path: &str| {
        let answer = http("PROPFIND", &format!("{url}{path}"), &BOTH, b"");
        assert_eq!(answer.status, 207, "{path}: {}", answer.text());
        let text = answer.text();
        text.split("<d:response><d:href>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(hrefs("/remote.php/dav/").contains(&"/remote.php/dav/files/".to_owned()));
    assert_eq!(hrefs("/remote.php/dav//files"), ["/remote.php/dav/files/", "/remote.php/dav/files/admin/"]);
    assert_eq!(hrefs("/remote.php/dav/files/admin/"), ["/remote.php/dav/files/admin/", "/remote.php/dav/files/admin/a.jpg"]);
    assert_eq!(hrefs("/remote.php/dav/principals/users/admin"), ["/remote.php/dav/principals/users/admin/"]);
    let question = br#"<propfind xmlns="DAV:"><prop><current-user-principal/><quota/></prop></propfind>"#;
    let answer = http("PROPFIND", &format!("{url}/remote.php/dav/"), &[("Depth", "0")], question).text();
    assert!(answer.contains("<d:href>/remote.php/dav/principals/users/admin/</d:href>") && answer.contains("404 Not Found"), "{answer}");
    assert_eq!(http("OPTIONS", &format!("{url}/remote.php/dav/files/"), &[], b"").headers["dav"], "1, 2, 3");
    assert_eq!(http("PUT", &format!("{url}/remote.php/dav/files"), &[], b"x").status, 405);
    assert_eq!(http("PROPFIND", &format!("{url}/remote.php/dav/"), &[("Depth", "infinity")], b"").status, 403);
    assert_eq!(http("PROPFIND", &format!("{url}/remote.php/dav/principals/users/bert/"), &[("Depth", "0")], b"").status, 404);
    for nothing in ["/remote.php/dav/calendars/admin/", "/remote.php/dav/trashbin/admin/", "/remote.php/direct", "/public.php/webdav"] {
        assert_eq!(http("PROPFIND", &format!("{url}{nothing}"), &[("Depth", "0")], b"").status, 404, "{nothing}");
    }
}

#[test]
fn chunks_become_one_file_even_when_the_node_is_killed_between_them() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let home = |node: &Node| format!("{}/remote.php/dav/files/admin/big.jpg", node.url());
    let upload = |node: &Node| format!("{}/remote.php/dav/uploads/admin/tid1", node.url());
    let to = home(&node);
    let headers = [("Destination", to.as_str()), ("OC-Total-Length", "17")];
    assert_eq!(http("MKCOL", &upload(&node), &headers, b"").status, 201);
    assert_eq!(http("MKCOL", &upload(&node), &headers, b"").status, 405);
    assert_eq!(http("PUT", &format!("{}/10", upload(&node)), &headers, b"ten,").status, 201);
    assert_eq!(http("PUT", &format!("{}/9", upload(&node)), &headers, b"nine").status, 201);
    node.signal("KILL");
    node.serve();
    let listed = http("PROPFIND", &upload(&node), &BOTH, b"").text();
    assert!(listed.contains("/tid1/9</d:href>") && listed.contains("<d:getcontentlength>4</d:getcontentlength>"), "{listed}");
    assert_eq!(http("PUT", &format!("{}/9", upload(&node)), &[], b"nine,").status, 204, "a chunk may be sent again");
    assert_eq!(http("PUT", &format!("{}/100", upload(&node)), &[], b"hundred,").status, 201);

    let whole = b"nine,ten,hundred,";
    let to = home(&node);
    let finish = |total: &str, checksum: &str| {
        let headers = [("Destination", to.as_str()), ("OC-Total-Length", total), ("X-OC-MTime", "1577934245"), ("OC-Checksum", checksum)];
        http("MOVE", &format!("{}/.file", upload(&node)), &headers, b"")
    };
    let right = format!("SHA1:{}", sha1(whole));
    let wrong = finish("18", &right);
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("17 bytes"), "{}", wrong.text());
    assert_eq!(finish("17", "SHA1:0000000000000000000000000000000000000000").status, 400);
    assert_eq!(http("MOVE", &format!("{}/.file", upload(&node)), &[("Destination", &to)], b"").status, 400, "9, 10, 100: is that all?");
    assert_files(&node, &[]);
    let done = finish("17", &right);
    assert_eq!((done.status, done.headers["x-oc-mtime"].as_str()), (201, "accepted"));
    assert_eq!(done.headers["etag"], done.headers["oc-etag"]);
    assert!(done.headers["oc-fileid"].contains("tl"), "{done:?}");
    assert_files(&node, &[("big.jpg", "nine,ten,hundred,")]);
    let seen = http("HEAD", &home(&node), &[], b"");
    assert_eq!(seen.headers["etag"], done.headers["etag"]);
    assert_eq!(seen.headers["last-modified"], "Thu, 02 Jan 2020 03:04:05 GMT");
    assert_eq!(http("PROPFIND", &upload(&node), &BOTH, b"").status, 404, "the upload has ended");
    assert_eq!(node.left_behind(), Vec::<String>::new());
    assert_eq!(tree(&node.library.join(".twinlens/uploads")).len(), 0);
}

/// The inodes of all files in a folder and below.
fn inodes(folder: &std::path::Path) -> Vec<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let files = tree(folder).into_keys().map(|file| std::fs::metadata(folder.join(file)).unwrap());
    files.filter(|metadata| metadata.is_file()).map(|metadata| metadata.ino()).collect()
}

#[test]
fn chunks_that_come_in_order_are_not_written_again() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let upload = |node: &Node| format!("{}/remote.php/dav/uploads/admin/in-order", node.url());
    assert_eq!(http("MKCOL", &upload(&node), &[], b"").status, 201);
    let put = |node: &Node, name: &str, body: &str| http("PUT", &format!("{}/{name}", upload(node)), &[], body.as_bytes()).status;
    assert_eq!((put(&node, "00001", "one,"), put(&node, "00002", "two,")), (201, 201));
    node.signal("KILL");
    node.serve();
    let mut stream = send_head("admin", PASSWORD, "PUT", &format!("{}/00003", upload(&node)), &[("Content-Length", "4000000")]);
    stream.write_all(&[b'x'; 3_000_000]).unwrap();
    let uploads = node.library.join(".twinlens/uploads");
    let size = || tree(&uploads).values().map(String::len).sum::<usize>();
    eventually("a part of the third chunk", || size() > 1 << 20);
    let listed = http("PROPFIND", &upload(&node), &BOTH, b"").text();
    assert!(listed.contains("/00002<") && !listed.contains("/00003<"), "{listed}");
    // The client comes again before anybody has noticed that it is gone.
    assert_eq!(put(&node, "00003", "three"), 201);
    drop(stream);
    let before = inodes(&uploads);
    let to = format!("{}/remote.php/dav/files/admin/film.mov", node.url());
    let finish = |checksum: &str| {
        let headers = [("Destination", to.as_str()), ("OC-Total-Length", "13"), ("OC-Checksum", checksum)];
        http("MOVE", &format!("{}/.file", upload(&node)), &headers, b"").status
    };
    assert_eq!(finish("MD5:00000000000000000000000000000000"), 400);
    assert_eq!(finish(&format!("SHA1:{} ADLER32:232d050d", sha1(b"one,two,three"))), 201);
    assert_files(&node, &[("film.mov", "one,two,three")]);
    let photo = std::fs::metadata(node.library.join("film.mov")).unwrap();
    assert!(before.contains(&photo.ino()), "the file was written a second time");
    assert_eq!(photo.len(), 13, "something of the broken request is left");
    assert_eq!(tree(&uploads).len(), 0);
}

#[test]
fn the_end_of_an_upload_heeds_conditions_and_locks() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    write(&node.library.join("a.jpg"), b"old");
    node.serve();
    let to = format!("{}/remote.php/dav/files/admin/a.jpg", node.url());
    let upload = format!("{}/remote.php/dav/uploads/admin/web-file-1", node.url());
    node.run(&["index"]);
    http("MKCOL", &upload, &[], b"");
    assert_eq!(http("PUT", &format!("{upload}/1"), &[], b"new").status, 201);
    let finish = |header: (&str, &str)| http("MOVE", &format!("{upload}/.file"), &[("Destination", &to), header], b"").status;
    let path = "/remote.php/dav/files/admin/a.jpg";
    assert_eq!(finish(("If", &format!("<{to}> ([\"wrong\"])"))), 412);
    assert_eq!(finish(("If", &format!("<{path}> ([\"wrong\"])"))), 412);
    assert_eq!(finish(("If-Match", "\"wrong\"")), 412);
    assert_eq!(finish(("If-None-Match", "*")), 412);
    assert_eq!(finish(("Overwrite", "F")), 412);
    assert_eq!(finish(("X-OC-MTime", "yesterday")), 400);
    let lock = br#"<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"#;
    let token = http("LOCK", &to, &[("Timeout", "Second-100")], lock).headers["lock-token"].clone();
    assert_eq!(finish(("X-Nothing", "x")), 423);
    http("UNLOCK", &to, &[("Lock-Token", &token)], b"");
    assert_files(&node, &[("a.jpg", "old")]);
    let etag = http("HEAD", &to, &[], b"").headers["etag"].clone();
    // As Nextcloud's desktop client writes it.
    assert_eq!(finish(("If", &format!("<{path}> ([{etag}])"))), 204);
    assert_files(&node, &[("a.jpg", "new")]);
    assert_eq!(node.trashed(), ["old"]);
}

#[test]
fn a_chunk_is_there_whole_or_as_it_was() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let upload = format!("{}/remote.php/dav/uploads/admin/77", node.url());
    http("MKCOL", &upload, &[], b"");
    assert_eq!(http("PUT", &format!("{upload}/00001"), &[], b"former").status, 201);
    for name in ["00001", "00002"] {
        let mut stream = send_head("admin", PASSWORD, "PUT", &format!("{upload}/{name}"), &[("Content-Length", "100")]);
        stream.write_all(b"only a part").unwrap();
        drop(stream);
    }
    assert_eq!(
        http("PUT", &format!("{upload}/00003"), &[("OC-Checksum", "SHA1:0000000000000000000000000000000000000000")], b"x").status,
        400
    );
    eventually("the cut uploads ended", || node.left_behind().is_empty());
    let listed = http("PROPFIND", &upload, &BOTH, b"").text();
    assert!(listed.contains("/77/00001<") && listed.contains(">6<") && !listed.contains("00002") && !listed.contains("00003"), "{listed}");
    assert_eq!(http("DELETE", &format!("{upload}/00001"), &[], b"").status, 204);
    assert_eq!(http("DELETE", &upload, &[], b"").status, 204);
    assert_eq!(http("DELETE", &upload, &[], b"").status, 404);
    assert_eq!(http("PUT", &format!("{upload}/1"), &[], b"x").status, 404);
}

#[test]
fn an_upload_that_nobody_goes_on_with_expires() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let url = format!("{}/remote.php/dav/uploads/admin", node.url());
    for id in ["old", "older", "fresh"] {
        http("MKCOL", &format!("{url}/{id}"), &[], b"");
        assert_eq!(http("PUT", &format!("{url}/{id}/1"), &[], b"x").status, 201);
    }
    let places = node.library.join(".twinlens/uploads");
    let user = std::fs::read_dir(&places).unwrap().next().unwrap().unwrap().path();
    let age = |id: &str| assert!(Command::new("touch").args(["-d", "25 hours ago"]).arg(user.join(id)).status().unwrap().success());
    age("old");
    assert_eq!(http("PROPFIND", &format!("{url}/old"), &BOTH, b"").status, 404);
    assert_eq!(http("PUT", &format!("{url}/old/2"), &[], b"x").status, 404);
    assert!(!user.join("old").exists());
    age("older");
    let listed = http("PROPFIND", &format!("{url}/"), &BOTH, b"").text();
    assert!(listed.contains("/fresh/") && !listed.contains("/older/"), "{listed}");
    node.stop();
    node.serve();
    assert!(!user.join("older").exists() && user.join("fresh").exists(), "what has expired is swept at the start");
    // The name is free again.
    assert_eq!(http("MKCOL", &format!("{}/remote.php/dav/uploads/admin/older", node.url()), &[], b"").status, 201);
}

#[test]
fn strange_names_and_strangers_get_nowhere() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    assert!(node.run_with_password(&["user", "add", "vera", "--role", "viewer", "--password-stdin"], PASSWORD).status.success());
    let url = format!("{}/remote.php/dav/uploads", node.url());
    let long = "x".repeat(200);
    for id in ["..", "%2e%2e", ".hidden", "a%5cb", "a%00b", "a%0ab", "%ff", "a b", &long] {
        let answer = http("MKCOL", &format!("{url}/admin/{id}"), &[], b"");
        assert!([400, 403, 404, 405].contains(&answer.status), "{id}: {}", answer.status);
    }
    assert_eq!(http("MKCOL", &format!("{url}/admin/1"), &[], b"").status, 201);
    for name in ["..%2f..%2fa.jpg", "a.jpg", "-1", "1-2-3", "%2e%2e", "123456789012345678901"] {
        let answer = http("PUT", &format!("{url}/admin/1/{name}"), &[], b"x");
        assert!([400, 404].contains(&answer.status), "{name}: {}", answer.status);
    }
    assert_eq!(http("PUT", &format!("{url}/admin/1/.file"), &[], b"x").status, 403);
    assert_eq!(http("MKCOL", &format!("{url}/admin/1/sub"), &[], b"").status, 403);
    assert_eq!(http("GET", &format!("{url}/admin/1/.file"), &[], b"").status, 404);
    assert_eq!(http("MKCOL", &format!("{url}/vera/2"), &[], b"").status, 403);
    assert_eq!(http_as("vera", PASSWORD, "PROPFIND", &format!("{url}/admin/1"), &BOTH, b"").status, 403);
    assert_eq!(http_as("vera", PASSWORD, "MKCOL", &format!("{url}/vera/2"), &[], b"").status, 403, "a viewer does not upload");
    assert_eq!(anonymous("MKCOL", &format!("{url}/admin/3"), &[], b"").status, 401);
    let elsewhere = format!("{}/remote.php/dav/files/vera/a.jpg", node.url());
    assert_eq!(http("MKCOL", &format!("{url}/admin/4"), &[("Destination", &elsewhere)], b"").status, 403);
    assert_eq!(http("PUT", &format!("{url}/admin/1/1"), &[], b"x").status, 201);
    for (to, status) in [
        (elsewhere.as_str(), 403),
        ("/remote.php/dav/files/admin/../../../etc/x", 400),
        ("/remote.php/dav/files/admin/.twinlens/x", 403),
        ("/remote.php/dav/files/admin/missing/x.jpg", 409),
        ("/remote.php/dav/files/admin/", 405),
        ("/status.php", 404),
    ] {
        let answer = http("MOVE", &format!("{url}/admin/1/.file"), &[("Destination", to)], b"");
        assert_eq!(answer.status, status, "{to}: {}", answer.text());
    }
    assert_eq!(http("MOVE", &format!("{url}/admin/1/.file"), &[], b"").status, 400);
    assert_files(&node, &[]);
}

#[test]
fn what_somebody_with_a_folder_of_their_own_uploads_lands_there() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    write(&node.library.join("Anna/old.jpg"), b"old");
    node.serve();
    let added =
        node.run_with_password(&["user", "add", "anna", "--folder", "Anna", "--originals", "read,add", "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    let url = node.url();
    let anna = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        http_as("anna", PASSWORD, method, &format!("{url}/remote.php/dav/{path}"), headers, body)
    };
    assert_eq!(anna("MKCOL", "uploads/anna/1", &[], b"").status, 201);
    assert_eq!(anna("PUT", "uploads/anna/1/1", &[], b"new").status, 201);
    let finish = |to: &str| anna("MOVE", "uploads/anna/1/.file", &[("Destination", to)], b"").status;
    assert_eq!(finish("/remote.php/dav/files/anna/old.jpg"), 403, "she may add, but not change");
    assert_eq!(finish("/originals/old.jpg"), 403);
    assert_eq!(finish("/remote.php/dav/files/anna/new.jpg"), 201);
    let body = b"--B\r\nX-File-Path: /bulk.jpg\r\nContent-Length: 4\r\n\r\nbulk\r\n--B\r\nX-File-Path: old.jpg\r\nContent-Length: 1\r\n\r\nx\r\n--B--\r\n";
    let results = json(&anna("POST", "bulk", &[("Content-Type", "multipart/related; boundary=B")], body));
    assert_eq!((&results["/bulk.jpg"]["error"], &results["old.jpg"]["status"]), (&false.into(), &403.into()), "{results:#}");
    assert_files(&node, &[("Anna/old.jpg", "old"), ("Anna/new.jpg", "new"), ("Anna/bulk.jpg", "bulk")]);
}

#[test]
fn a_read_only_node_takes_no_pieces() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve_with(&["--read-only"]);
    assert_eq!(http("MKCOL", &format!("{}/remote.php/dav/uploads/admin/1", node.url()), &[], b"").status, 403);
    // Before anything of it is stored.
    assert_eq!(bulk(&node, &[("/a.jpg", "", "a")]).status, 403);
    assert_files(&node, &[]);
}

/// A bulk upload of these paths, with these lines among the headers of each, and contents.
fn bulk(node: &Node, files: &[(&str, &str, &str)]) -> Answer {
    let mut body = Vec::new();
    for (path, headers, content) in files {
        body.extend_from_slice(
            format!("--B\r\nX-File-Path: {path}\r\n{headers}Content-Length: {}\r\n\r\n{content}\r\n", content.len()).as_bytes(),
        );
    }
    body.extend_from_slice(b"--B--\r\n");
    http("POST", &format!("{}/remote.php/dav/bulk", node.url()), &[("Content-Type", "multipart/related; boundary=B")], &body)
}

#[test]
fn many_files_come_in_one_request_each_with_its_own_result() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    write(&node.library.join("old.jpg"), b"old");
    node.serve();
    let url = format!("{}/remote.php/dav/files/admin", node.url());
    node.run(&["index"]);
    let etag = http("HEAD", &format!("{url}/old.jpg"), &[], b"").headers["etag"].clone();
    let large = "large ".repeat(500_000);
    let sum = format!("OC-Checksum: SHA1:{}\r\nX-OC-MTime: 1577934245.5\r\n", sha1(large.as_bytes()));
    let answer = bulk(
        &node,
        &[
            ("/one.txt", "X-File-MD5: f97c5d29941bfb1b2fdab0874906ab82\r\nX-File-Mtime: 1577934245\r\n", "one"),
            ("/zw ei ä#+.txt", "X-File-MD5: 15D55D085E6EDA9586293ACAD7C0A4F4\r\n", "zwei"),
            ("/bad.txt", "X-File-MD5: 00000000000000000000000000000000\r\n", "bad"),
            ("/nowhere/a.txt", "", "a"),
            ("/made/for/it.txt", "X-NC-WebDAV-Auto-Mkcol: 1\r\n", "it"),
            ("/../out.txt", "", "out"),
            ("/.twinlens/own.txt", "", "own"),
            ("/empty.txt", "X-File-MD5: d41d8cd98f00b204e9800998ecf8427e\r\n", ""),
            ("/old.jpg", &format!("If-Match: {etag}\r\n"), "new"),
            ("/one.txt", "If-None-Match: *\r\n", "again"),
            ("/large.bin", &sum, &large),
            ("/when.txt", "X-File-Mtime: soon\r\n", "when"),
        ],
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = json(&answer);
    let failed = |path: &str| results[path]["status"].as_u64();
    assert_eq!(failed("/bad.txt"), Some(400), "{results:#}");
    assert_eq!((failed("/nowhere/a.txt"), failed("/../out.txt"), failed("/.twinlens/own.txt")), (Some(409), Some(400), Some(400)));
    assert_eq!(failed("/when.txt"), Some(400));
    for stored in ["/zw ei ä#+.txt", "/made/for/it.txt", "/empty.txt", "/old.jpg", "/large.bin"] {
        assert_eq!(results[stored]["error"], false, "{stored}: {results:#}");
    }
    assert_files(
        &node,
        &[
            ("one.txt", "one"),
            ("zw ei ä#+.txt", "zwei"),
            ("made/for/it.txt", "it"),
            ("empty.txt", ""),
            ("old.jpg", "new"),
            ("large.bin", &large),
        ],
    );
    assert_eq!(node.trashed(), ["old"]);
    assert_eq!(node.left_behind(), Vec::<String>::new());
    let seen = http("HEAD", &format!("{url}/large.bin"), &[], b"");
    assert_eq!(seen.headers["etag"].trim_matches('"'), results["/large.bin"]["etag"].as_str().unwrap());
    assert!(results["/large.bin"]["fileid"].as_str().unwrap().contains("tl"), "{results}");
    assert_eq!(seen.headers["last-modified"], "Thu, 02 Jan 2020 03:04:05 GMT");
    // A later scan finds nothing that the index does not know.
    node.stop();
    assert_eq!(node.run(&["index"])["hashed"], 0);
}

/// What a Nextcloud client 3.7.3 sent, byte for byte.
#[test]
fn a_bulk_upload_as_the_desktop_client_writes_it() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let body = include_bytes!("../../fixtures/cloud/nextcloudcmd-bulk.multipart");
    let kind = ("Content-Type", "multipart/related; boundary=\"boundary_.oOo._fTLIxeJrnU528rjiuPE1ZVDWYtaPD1qH\"");
    let results = json(&http("POST", &format!("{}/remote.php/dav/bulk", node.url()), &[kind], body));
    for path in ["/one.txt", "/two.txt", "/zw ei ä#+%.txt"] {
        assert_eq!((&results[path]["error"], &results[path]["X-OC-MTime"]), (&false.into(), &"accepted".into()), "{results:#}");
    }
    assert_files(&node, &[("one.txt", "one\n"), ("two.txt", "two\n"), ("zw ei ä#+%.txt", "three\n")]);
}

/// The value of a hidden field.
pub fn field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_client_gets_an_app_password_through_the_browser() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let url = node.url();
    let begun = json(&anonymous("POST", &format!("{url}/index.php/login/v2"), &[("User-Agent", "Phone <of> Anna")], b""));
    let (page, endpoint) = (begun["login"].as_str().unwrap(), begun["poll"]["endpoint"].as_str().unwrap());
    assert!(page.starts_with(&url) && endpoint.starts_with(&url), "{begun:#}");
    let token = format!("token={}", begun["poll"]["token"].as_str().unwrap());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let poll = || anonymous("POST", endpoint, &form, token.as_bytes());
    assert_eq!(poll().status, 404);

    let shown = anonymous("GET", page, &[("Accept-Language", "de-DE,de;q=0.9")], b"");
    assert_eq!(shown.status, 200);
    assert!(shown.text().contains("Phone &lt;of&gt; Anna") && shown.text().contains("lang=\"de\""), "{}", shown.text());
    assert!(!shown.text().contains("<script"));
    let policy = &shown.headers["content-security-policy"];
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let secret = field(&shown.text(), "form");
    let send = |form_secret: &str, password: &str, headers: &[(&str, &str)]| {
        let password = password.replace(' ', "+");
        anonymous("POST", page, &[&form[..], headers].concat(), format!("form={form_secret}&user=admin&password={password}").as_bytes())
    };
    assert_eq!(send("guessed", PASSWORD, &[]).status, 403);
    assert_eq!(send(&secret, PASSWORD, &[("Origin", "https://evil.example")]).status, 403);
    assert_eq!(send(&secret, "wrong", &[]).status, 401);
    assert_eq!(poll().status, 404, "nobody has let it in yet");
    assert_eq!(anonymous("POST", endpoint, &form, b"token=").status, 404);
    assert_eq!(send(&secret, PASSWORD, &[("Origin", &url)]).status, 200);
    assert_eq!(anonymous("GET", page, &[], b"").status, 404, "the page is used up");

    // Somebody who asks and hangs up, at whatever moment that is met.
    let (host, path) = endpoint.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let head = format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{token}", token.len());
    std::net::TcpStream::connect(host).unwrap().write_all(head.as_bytes()).unwrap();
    let mut granted = poll();
    eventually("the app password to be made", || {
        granted = poll();
        granted.status == 200
    });
    let granted = json(&granted);
    assert_eq!((granted["server"].as_str().unwrap(), granted["loginName"].as_str().unwrap()), (url.as_str(), "admin"));
    assert_eq!(json(&poll()), granted, "the answer may not have arrived");
    let app = granted["appPassword"].as_str().unwrap();
    let home = format!("{url}/remote.php/dav/files/admin/");
    let look = || http_as("admin", app, "PROPFIND", &home, &[("Depth", "0")], b"").status;
    assert_eq!(look(), 207);
    assert_eq!((poll().status, poll().status), (404, 404), "it has arrived");
    let made = node.run(&["user", "app-passwords", "admin"]);
    assert_eq!(made.to_string().matches("Phone <of> Anna").count(), 1, "{made:#}");
    let again = http_as("admin", app, "GET", &format!("{url}/ocs/v2.php/core/getapppassword?format=json"), &[], b"");
    assert_eq!(again.status, 403, "it has one already");
    let made = json(&http("GET", &format!("{url}/ocs/v2.php/core/getapppassword?format=json"), &[], b""));
    assert_eq!(
        http_as("admin", made["ocs"]["data"]["apppassword"].as_str().unwrap(), "PROPFIND", &home, &[("Depth", "0")], b"").status,
        207
    );
    let revoke = format!("{url}/ocs/v2.php/core/apppassword?format=json");
    assert_eq!(http("DELETE", &revoke, &[], b"").status, 403, "a password of one's own is not revoked that way");
    assert_eq!(http_as("admin", app, "DELETE", &revoke, &[], b"").status, 200);
    assert_eq!(look(), 401);
}

#[test]
fn behind_a_proxy_addresses_are_those_that_the_client_uses() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let proxied = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "photos.example"), ("X-Forwarded-Prefix", "/cloud")];
    let begun = json(&anonymous("POST", &format!("{}/index.php/login/v2", node.url()), &proxied, b""));
    assert!(begun["login"].as_str().unwrap().starts_with("https://photos.example/cloud/login/v2/flow/"), "{begun:#}");
    assert_eq!(begun["poll"]["endpoint"], "https://photos.example/cloud/login/v2/poll");
    let listed = http("PROPFIND", &format!("{}/remote.php/dav/files/", node.url()), &[&BOTH[..], &proxied].concat(), b"").text();
    assert!(listed.contains("<d:href>/cloud/remote.php/dav/files/admin/</d:href>"), "{listed}");
    let upload = format!("{}/remote.php/dav/uploads/admin/1", node.url());
    let to = "https://photos.example/cloud/remote.php/dav/files/admin/a.jpg";
    let headers = [&proxied[..], &[("Destination", to)]].concat();
    assert_eq!(http("MKCOL", &upload, &headers, b"").status, 201);
    assert_eq!(http("PUT", &format!("{upload}/1"), &headers, b"a").status, 201);
    assert_eq!(http("MOVE", &format!("{upload}/.file"), &headers, b"").status, 201);
    assert_files(&node, &[("a.jpg", "a")]);
}

#[test]
fn logins_on_their_way_are_limited() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let begin = || anonymous("POST", &format!("{}/login/v2", node.url()), &[], b"").status;
    assert!((0..32).all(|_| begin() == 200));
    assert_eq!(begin(), 429);
    for path in ["/login/v2/flow/0000", "/login/v2/flow/..", "/login/v2/flow/"] {
        assert_eq!(anonymous("GET", &format!("{}{path}", node.url()), &[], b"").status, 404, "{path}");
    }
    assert_eq!(anonymous("GET", &format!("{}/login/v2", node.url()), &[], b"").status, 405);
}

#[test]
fn in_public_mode_clients_hear_that_there_are_no_logins() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve_with(&["--public"]);
    for path in ["/status.php", "/ocs/v1.php/cloud/capabilities", "/login/v2", "/remote.php/dav/", "/remote.php/dav/uploads/admin/1"] {
        let answer = anonymous("GET", &format!("{}{path}", node.url()), &[], b"");
        assert!(answer.status == 403 && answer.text().contains("public mode"), "{path}: {} {}", answer.status, answer.text());
    }
}

#[test]
fn a_bulk_upload_heeds_locks_and_refuses_nonsense() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let url = format!("{}/remote.php/dav/files/admin/held.jpg", node.url());
    let lock = br#"<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"#;
    assert!([200, 201].contains(&http("LOCK", &url, &[("Timeout", "Second-100")], lock).status));
    let results = json(&bulk(&node, &[("/held.jpg", "", "mine"), ("/free.jpg", "", "free")]));
    assert_eq!((&results["/held.jpg"]["status"], &results["/free.jpg"]["error"]), (&423.into(), &false.into()));
    let endpoint = format!("{}/remote.php/dav/bulk", node.url());
    let kind = [("Content-Type", "multipart/related; boundary=B")];
    let post = |kind: &[(&str, &str)], body: &[u8]| http("POST", &endpoint, kind, body).status;
    assert_eq!(post(&[], b"x"), 400);
    assert_eq!(post(&kind, b""), 400);
    assert_eq!(post(&kind, b"--B\r\nX-File-Path: /cut.jpg\r\nContent-Length: 100\r\n\r\nshort"), 400);
    assert_eq!(post(&kind, b"--B\r\nX-File-Path: /long.jpg\r\nContent-Length: 2\r\n\r\nlonger\r\n--B--\r\n"), 400);
    assert_eq!(post(&kind, b"--B\r\nX-File-Path: /nolength.jpg\r\n\r\nx\r\n--B--\r\n"), 411);
    assert_eq!(http("GET", &endpoint, &[], b"").status, 405);
    assert_files(&node, &[("held.jpg", ""), ("free.jpg", "free")]);
    assert_eq!(node.left_behind(), Vec::<String>::new());
}

#[test]
fn old_pieces_are_refused_and_folders_made_on_request() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("a");
    node.serve();
    let url = format!("{}/remote.php/webdav", node.url());
    let piece = http("PUT", &format!("{url}/a.jpg-chunking-4711-2-0"), &[("OC-Chunked", "1")], b"half");
    assert_eq!(piece.status, 501);
    assert_files(&node, &[]);
    assert_eq!(http("PUT", &format!("{url}/new/deep/a.jpg"), &[], b"a").status, 409);
    assert_eq!(http("PUT", &format!("{url}/new/deep/a.jpg"), &[("X-NC-WebDAV-Auto-Mkcol", "1")], b"a").status, 201);
    assert_files(&node, &[("new/deep/a.jpg", "a")]);
}
