//! What a node tells of files and folders besides their content: numbers, sizes, permissions, favourites, room, checksums.

use std::fs;

use crate::support::{Node, PASSWORD, Sandbox, eventually, http, http_as};

const NAMESPACES: &str = "xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns' xmlns:nc='http://nextcloud.org/ns' xmlns:tl='urn:twinlens:dav'";

/// Asks for properties.
fn propfind(url: &str, depth: &str, props: &str) -> String {
    propfind_as("admin", PASSWORD, url, depth, props)
}

fn propfind_as(user: &str, password: &str, url: &str, depth: &str, props: &str) -> String {
    let body = format!("<d:propfind {NAMESPACES}><d:prop>{props}</d:prop></d:propfind>");
    let answer = http_as(user, password, "PROPFIND", url, &[("Depth", depth)], body.as_bytes());
    assert_eq!(answer.status, 207, "{answer:?}");
    answer.text()
}

/// The text of an element in what is told of one path.
#[track_caller]
fn value(text: &str, href: &str, element: &str) -> String {
    let response = text.split("<d:response>").find(|part| part.starts_with(&format!("<d:href>{href}</d:href>")));
    let response = response.unwrap_or_else(|| panic!("no {href} in {text}"));
    let inner = response.split_once(&format!("<{element}>")).map(|(_, rest)| rest.split("</").next().unwrap().to_owned());
    inner.unwrap_or_else(|| panic!("no {element} of {href} in {text}"))
}

fn home(node: &Node) -> String {
    format!("{}/remote.php/dav/files/admin/", node.url())
}

/// Waits for the first scan to have seen a file.
fn indexed(node: &Node, path: &str) {
    let url = format!("{}{path}", node.originals());
    eventually("the scan", || propfind(&url, "0", "<oc:checksums/>").contains("SHA1:"));
}

#[test]
fn a_number_stays_with_a_file_or_folder_for_ever() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/e/old.jpg", "old");
    node.serve();
    indexed(&node, "d/e/old.jpg");
    let at = |path: &str| format!("{}{path}", home(&node));
    let id = |node: &Node, path: &str| {
        let text = propfind(&format!("{}{path}", home(node)), "0", "<oc:id/><oc:fileid/>");
        let href = format!("/remote.php/dav/files/admin/{path}");
        let (id, number) = (value(&text, &href, "oc:id"), value(&text, &href, "oc:fileid"));
        assert!(id.starts_with(&format!("{:08}tl", number.parse::<u64>().unwrap())) && id.len() == 20, "{id} {number}");
        id
    };
    let put = http("PUT", &at("d/new.jpg"), &[], b"new");
    let first = put.headers["oc-fileid"].clone();
    assert_eq!(first, id(&node, "d/new.jpg"));
    assert_eq!(http("PUT", &at("d/new.jpg"), &[], b"newer").headers["oc-fileid"], first, "a replaced file");
    let before = [id(&node, "d/"), id(&node, "d/e/"), id(&node, "d/e/old.jpg"), id(&node, "")];
    assert_eq!(before.iter().chain([&first]).collect::<std::collections::BTreeSet<_>>().len(), 5);

    let moved = http("MOVE", &at("d/new.jpg"), &[("Destination", &at("d/e/renamed.jpg"))], b"");
    assert_eq!((moved.status, &moved.headers["oc-fileid"]), (201, &first));
    assert_eq!(moved.headers["oc-etag"], moved.headers["etag"]);
    assert_eq!(http("MOVE", &at("d"), &[("Destination", &at("x"))], b"").headers["oc-fileid"], before[0]);
    assert_eq!([id(&node, "x/"), id(&node, "x/e/"), id(&node, "x/e/old.jpg"), id(&node, "")], before);
    assert_eq!(id(&node, "x/e/renamed.jpg"), first);
    let copy = http("COPY", &at("x/e/renamed.jpg"), &[("Destination", &at("copy.jpg"))], b"");
    assert!(copy.status == 201 && copy.headers["oc-fileid"] != first, "{copy:?}");
    node.stop();
    node.serve();
    node.run(&["index"]);
    assert_eq!([id(&node, "x/"), id(&node, "x/e/"), id(&node, "x/e/old.jpg"), id(&node, "")], before);

    // What is gone takes its number along.
    let at = |path: &str| format!("{}{path}", home(&node));
    assert_eq!(http("DELETE", &at("x/e/renamed.jpg"), &[], b"").status, 204);
    let again = http("PUT", &at("x/e/renamed.jpg"), &[], b"again").headers["oc-fileid"].clone();
    assert!(again > copy.headers["oc-fileid"], "{again}");
    let made = http("MKCOL", &at("d"), &[], b"");
    assert!(made.status == 201 && made.headers["oc-fileid"] > again, "{made:?}");
    // Those who do not keep numbers are not told.
    assert!(!http("PUT", &format!("{}plain.jpg", node.originals()), &[], b"p").headers.contains_key("oc-fileid"));
}

#[test]
fn many_files_get_their_numbers_at_once() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    (0..300).for_each(|n| node.put(&format!("d/{n}.jpg"), &n.to_string()));
    node.serve();
    let numbers = || {
        let text = propfind(&format!("{}d/", home(&node)), "1", "<oc:fileid/>");
        let found: Vec<String> = text.split("<oc:fileid>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
        assert_eq!(found.len(), 301);
        assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>().len(), 301);
        found
    };
    assert_eq!(numbers(), numbers());
}

#[test]
fn a_folder_tells_the_size_of_everything_in_it() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a/b/1.jpg", "12345");
    node.put("a/2.jpg", "123");
    node.put("3.jpg", "1");
    node.serve();
    node.run(&["index"]);
    let sizes = || {
        let text = propfind(&node.originals(), "infinity", "<oc:size/>");
        ["", "a/", "a/b/", "a/2.jpg"].map(|path| value(&text, &format!("/originals/{path}"), "oc:size").parse::<u64>().unwrap())
    };
    assert_eq!(sizes(), [9, 8, 5, 3]);
    let at = |path: &str| format!("{}{path}", node.originals());
    http("PUT", &at("a/b/1.jpg"), &[], b"12");
    http("PUT", &at("a/b/new.jpg"), &[], b"1234567");
    assert_eq!(sizes(), [13, 12, 9, 3]);
    http("MOVE", &at("a/b"), &[("Destination", &at("c"))], b"");
    http("MKCOL", &at("a/b"), &[], b"");
    assert_eq!(sizes(), [13, 3, 0, 3]);
    http("DELETE", &at("c"), &[], b"");
    node.remove("3.jpg");
    node.run(&["index"]);
    assert_eq!(sizes(), [3, 3, 0, 3]);
    let text = propfind(&node.originals(), "0", "<d:quota-used-bytes/><d:quota-available-bytes/>");
    assert_eq!(value(&text, "/originals/", "d:quota-used-bytes"), "3");
    assert!(value(&text, "/originals/", "d:quota-available-bytes").parse::<u64>().unwrap() > 0);
    // RFC 4331 section 2: not for allprop.
    assert!(!http("PROPFIND", &node.originals(), &[("Depth", "0")], b"").text().contains("quota"));
}

#[test]
fn permissions_follow_the_rights() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "a");
    node.serve();
    assert!(node.run_with_password(&["user", "add", "vera", "--role", "viewer", "--password-stdin"], "view only please").status.success());
    let url = format!("{}/remote.php/webdav/", node.url());
    let of = |text: &str, path: &str| value(text, &format!("/remote.php/webdav/{path}"), "oc:permissions");
    let text = propfind(&url, "infinity", "<oc:permissions/>");
    assert_eq!(["", "d/", "d/a.jpg"].map(|path| of(&text, path)), ["GCK", "GDNVCK", "GDNVW"]);
    let text = propfind_as("vera", "view only please", &url, "infinity", "<oc:permissions/>");
    assert_eq!(["", "d/", "d/a.jpg"].map(|path| of(&text, path)), ["G", "G", "G"]);
    node.stop();
    node.serve_with(&["--read-only"]);
    let text = propfind(&format!("{}/remote.php/webdav/", node.url()), "1", "<oc:permissions/>");
    assert_eq!(of(&text, "d/"), "G");
}

#[test]
fn everybody_has_favourites_of_their_own() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "a");
    node.serve();
    assert!(node.run_with_password(&["user", "add", "vera", "--role", "viewer", "--password-stdin"], "view only please").status.success());
    let at = |path: &str| format!("{}{path}", node.originals());
    let mark = |user: &str, password: &str, path: &str, mark: &str| {
        let body = format!("<d:propertyupdate {NAMESPACES}>{mark}</d:propertyupdate>");
        let answer = http_as(user, password, "PROPPATCH", &at(path), &[], body.as_bytes());
        assert!(answer.status == 207 && answer.text().contains("200 OK"), "{answer:?}");
    };
    let favorite = |path: &str| value(&propfind(&at(path), "0", "<oc:favorite/>"), &format!("/originals/{path}"), "oc:favorite");
    let set = "<d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set>";
    assert_eq!(favorite("d/a.jpg"), "0");
    mark("admin", PASSWORD, "d/a.jpg", set);
    mark("vera", "view only please", "d", set);
    assert_eq!((favorite("d/a.jpg").as_str(), favorite("d/").as_str()), ("1", "0"));
    let text = propfind_as("vera", "view only please", &at(""), "infinity", "<oc:favorite/>");
    assert_eq!(["d/", "d/a.jpg"].map(|path| value(&text, &format!("/originals/{path}"), "oc:favorite")), ["1", "0"]);
    // Marking something is no change of it; anything else is.
    let body = format!(
        "<d:propertyupdate {NAMESPACES}><d:set><d:prop><oc:favorite>1</oc:favorite><d:displayname>x</d:displayname></d:prop></d:set></d:propertyupdate>"
    );
    assert_eq!(http_as("vera", "view only please", "PROPPATCH", &at("d"), &[], body.as_bytes()).status, 403);

    http("MOVE", &at("d"), &[("Destination", &at("e"))], b"");
    assert_eq!(favorite("e/a.jpg"), "1");
    mark("admin", PASSWORD, "e/a.jpg", "<d:remove><d:prop><oc:favorite/></d:prop></d:remove>");
    assert_eq!(favorite("e/a.jpg"), "0");
    assert_eq!(http("PUT", &at("liked.jpg"), &[("X-Favorite", "1")], b"l").status, 201);
    assert_eq!(favorite("liked.jpg"), "1");
    http("DELETE", &at("liked.jpg"), &[], b"");
    http("PUT", &at("liked.jpg"), &[], b"l");
    assert_eq!(favorite("liked.jpg"), "0");
}

#[test]
fn what_clients_ask_besides() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "a");
    node.serve();
    let props = "<nc:has-preview/><oc:owner-id/><oc:owner-display-name/><oc:share-types/><oc:data-fingerprint/><nc:is-encrypted/>\
        <nc:creation_time/><d:creationdate/><oc:downloadURL/><d:sync-token/><tl:library-id/>";
    let text = propfind(&node.originals(), "infinity", props);
    let of = |path: &str, element: &str| value(&text, &format!("/originals/{path}"), element);
    assert_eq!(of("d/a.jpg", "nc:has-preview"), "false");
    assert_eq!((of("d/a.jpg", "oc:owner-id").as_str(), of("d/", "oc:owner-display-name").as_str()), ("admin", "admin"));
    assert_eq!(of("d/", "nc:is-encrypted"), "0");
    assert!(text.contains("<oc:share-types/>") && text.contains("<oc:downloadURL/></d:prop><d:status>HTTP/1.1 404"), "{text}");
    assert!(of("d/", "d:sync-token").starts_with("urn:twinlens:sync:"));
    let made: u64 = of("d/a.jpg", "nc:creation_time").parse().unwrap();
    if made > 0 {
        assert!(of("d/a.jpg", "d:creationdate").starts_with("20"));
    }
    // It stays through restarts and crashes, and not when the state is lost.
    let fingerprint =
        |node: &Node| value(&propfind(&node.originals(), "0", "<oc:data-fingerprint/>"), "/originals/", "oc:data-fingerprint");
    let before = fingerprint(&node);
    assert!(!before.is_empty());
    node.signal("KILL");
    node.serve();
    assert_eq!(fingerprint(&node), before);
    node.stop();
    fs::remove_file(node.data.join("state.redb")).unwrap();
    node.serve();
    assert_ne!(fingerprint(&node), before);
}

#[test]
fn hashes_are_answered_and_proven() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    let (sha1, md5) = ("a9993e364706816aba3e25717850c26c9cd0d89d", "900150983cd24fb0d6963f7d28e17f72");
    let answer = http("PUT", &url, &[("X-Hash", "all")], b"abc");
    assert_eq!((answer.headers["x-hash-sha1"].as_str(), answer.headers["x-hash-md5"].as_str()), (sha1, md5));
    assert!(answer.headers["x-hash-sha256"].starts_with("ba7816bf") && answer.headers["x-hash-adler32"] == "024d0127", "{answer:?}");
    assert!(!http("PUT", &url, &[("X-Hash", "sha1")], b"abc").headers.contains_key("x-hash-md5"));
    for method in ["GET", "HEAD"] {
        assert_eq!(http(method, &url, &[], b"").headers["oc-checksum"], format!("SHA1:{sha1}"));
    }
    let options = http("OPTIONS", &url, &[], b"");
    assert!(options.headers["dav"].contains("nextcloud-checksum-update") && options.headers["dav"].starts_with("1, 2"), "{options:?}");
    let recalculate = |what: &str| http("PATCH", &url, &[("X-Recalculate-Hash", what)], b"");
    let answer = recalculate("sha1");
    assert_eq!((answer.status, answer.headers["oc-checksum"].as_str()), (204, format!("SHA1:{sha1}").as_str()));
    assert_eq!(recalculate("md5").headers["oc-checksum"], format!("MD5:{md5}"));
    assert_eq!(recalculate("crc64").status, 400);
    assert_eq!(http("PATCH", &format!("{}none.jpg", node.originals()), &[("X-Recalculate-Hash", "sha1")], b"").status, 404);
    assert_eq!(http("PATCH", &node.originals(), &[("X-Recalculate-Hash", "sha1")], b"").status, 405);

    // Bytes that changed on the disk behind size and time: told as they are, and nothing is made to fit.
    let place = node.library.join("a.jpg");
    let time = fs::metadata(&place).unwrap().modified().unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&place).unwrap();
    std::io::Write::write_all(&mut file, b"abd").unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let answer = recalculate("sha1");
    assert_eq!((answer.status, answer.headers["oc-checksum"].as_str()), (204, "SHA1:cb4cc28df0fdbe0ecf9d9662e294b118092a5735"));
    assert_eq!(http("HEAD", &url, &[], b"").headers["oc-checksum"], format!("SHA1:{sha1}"));
}
