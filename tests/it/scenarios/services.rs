//! Services that do other things than they say.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::plain::PlainServer;
use crate::support::{Answer, Node, Sandbox, assert_counts, assert_files, http};

use super::between::{between, status};

/// Changes the text of an answer.
fn reworded(mut answer: Answer, reword: impl Fn(&str) -> String) -> Answer {
    answer.body = reword(&answer.text()).into_bytes();
    answer
}

/// Two nodes, of which the first takes the other for a Nextcloud, through something that meddles.
fn as_nextcloud(
    sandbox: &Sandbox,
    meddle: impl Fn(&mut super::between::Request, &super::between::Behind) -> Option<Answer> + Send + Sync + 'static,
) -> (Node, Node) {
    let (here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    there.serve();
    let url = between(&format!("{}/remote.php/dav/files/admin/", there.url()), meddle);
    here.connect("cloud", &url, &[]);
    (here, there)
}

#[test]
fn t03_a_server_that_answers_400_and_keeps_the_short_body_over_the_old_file() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let short = std::sync::Arc::new(AtomicUsize::new(0));
    let is_short = short.clone();
    let url = between(&server.url, move |request, behind| {
        if request.method == "PUT" && is_short.load(Ordering::SeqCst) == 1 {
            request.body.truncate(3);
            behind.pass(request);
            return Some(status(400));
        }
        Some(behind.pass(request))
    });
    node.connect("svc", &url, &[]);
    node.put("x.jpg", "first version");
    node.sync();
    short.store(1, Ordering::SeqCst);
    node.put("x.jpg", "second, longer version");
    node.put("new.jpg", "new here");
    let report = node.sync_expecting(1, &[]);
    assert_eq!(report["failed"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!(server.state().contents(), BTreeMap::from([("x.jpg".to_owned(), "first version".to_owned())]));
    short.store(0, Ordering::SeqCst);
    assert_counts(&node.sync(), &[("uploaded", 2)]);
    assert_eq!(server.state().contents(), node.files());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn t04_size_0_in_the_listing_but_get_is_complete() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let lies = std::sync::Arc::new(AtomicUsize::new(0));
    let does_lie = lies.clone();
    let url = between(&server.url, move |request, behind| {
        let answer = behind.pass(request);
        match request.method == "PROPFIND" && does_lie.load(Ordering::SeqCst) == 1 {
            // The lost size comes with another entity tag.
            true => Some(reworded(answer, |text| text.replace("length>7<", "length>0<").replace("\"v", "\"w"))),
            false => Some(answer),
        }
    });
    node.connect("svc", &url, &["--deletes", "trash"]);
    server.state().put("known.jpg", "1234567");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    lies.store(1, Ordering::SeqCst);
    server.state().put("new.jpg", "7654321");
    for _ in 0..2 {
        let output = node.command(&["sync", "--json"]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(node.files()["known.jpg"], "1234567", "{report:#}");
        assert!(node.files().get("new.jpg").is_none_or(|content| content == "7654321"), "{report:#}");
        assert!(node.files().contains_key("new.jpg") || report.to_string().contains("new.jpg"), "it is not told: {report:#}");
        assert_eq!(server.state().contents().len(), 2);
    }
    lies.store(0, Ordering::SeqCst);
    node.sync();
    assert_files(&node, &[("known.jpg", "1234567"), ("new.jpg", "7654321")]);
    assert_counts(&node.sync(), &[]);
}

#[test]
fn t06_504_for_a_move_that_is_then_done() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let url = between(&server.url, |request, behind| {
        let answer = behind.pass(request);
        Some(if request.method == "MOVE" { status(504) } else { answer })
    });
    node.connect("svc", &url, &[]);
    node.put("x.jpg", "x");
    node.put("y.jpg", "first version");
    node.sync();
    node.rename("x.jpg", "2020/x.jpg");
    node.put("y.jpg", "second, longer version");
    assert_counts(&node.sync(), &[("moved", 1), ("uploaded", 1)]);
    assert_eq!(server.state().contents(), node.files());
    assert_counts(&node.sync(), &[]);
}

/// A file that goes in pieces.
fn film() -> String {
    "0123456789abcdef".repeat(12 << 16)
}

#[test]
fn t07_423_during_the_merge_of_the_pieces() {
    let sandbox = Sandbox::new();
    let merges = Mutex::new(0);
    let (here, there) = as_nextcloud(&sandbox, move |request, behind| {
        if request.what() != "MOVE .file" {
            return Some(behind.pass(request));
        }
        let mut merges = merges.lock().unwrap();
        *merges += 1;
        match *merges {
            // The merge takes too long for what is in between.
            1 => Some(status(504)),
            // Asked again it is still being done, and then it is done.
            2 => {
                assert_eq!(behind.pass(request).status, 201);
                Some(status(423))
            }
            _ => Some(behind.pass(request)),
        }
    });
    here.put("film.mov", &film());
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert!(there.files()["film.mov"] == film());
    assert!(there.left_behind().is_empty());
    assert_counts(&here.sync(), &[]);
}

#[test]
fn t08_425_after_an_upload() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let uploads = Mutex::new((0, 0));
    let url = between(&server.url, move |request, behind| {
        let mut counts = uploads.lock().unwrap();
        match request.method.as_str() {
            "PUT" if !request.target.contains("twinlens") => counts.0 += 1,
            // What was just stored is still being worked on.
            "PROPFIND" | "GET" | "HEAD" if counts.0 > 0 && counts.1 < 2 => {
                counts.1 += 1;
                return Some(status(425));
            }
            _ => {}
        }
        Some(behind.pass(request))
    });
    node.connect("svc", &url, &[]);
    node.put("x.jpg", "x");
    node.put("y.jpg", "y");
    assert_counts(&node.sync(), &[("uploaded", 2)]);
    assert_eq!(server.state().contents(), node.files());
    assert_eq!(server.changes().iter().filter(|change| change.starts_with("PUT x.jpg")).count(), 1);
    assert_counts(&node.sync(), &[]);
}

#[test]
fn t14_two_photos_one_name_one_second() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--keep-names", "no"]);
    for (folder, content) in [("phone", "one"), ("camera", "two"), ("tablet", "one!")] {
        b.put(&format!("{folder}/IMG_20200102_030405.jpg"), content);
        b.put(&format!("{folder}/IMG_20200102_030405.xmp"), &format!("about {content}"));
    }
    assert_counts(&a.sync(), &[("downloaded", 6)]);
    let files = a.files();
    for content in ["one", "two", "one!"] {
        let (picture, _) = files.iter().find(|(_, other)| *other == content).unwrap();
        assert!(picture.starts_with("2020/01/20200102_030405_"), "{files:#?}");
        assert_eq!(files[&picture.replace(".jpg", ".xmp")], format!("about {content}"));
    }
    assert_counts(&a.sync(), &[]);
    assert_eq!((a.files().len(), b.files().len()), (6, 6));
    // With the names kept, each stays in its folder.
    let c = sandbox.node("c");
    c.pair(&b, &[]);
    assert_counts(&c.sync(), &[("downloaded", 6)]);
    assert_eq!(c.files(), b.files());
}

#[test]
fn t21_half_of_a_live_photo_cannot_be_deleted() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let refuses = std::sync::Arc::new(AtomicUsize::new(1));
    let does_refuse = refuses.clone();
    let url = between(&server.url, move |request, behind| {
        let refused = request.what() == "DELETE live.mov" && does_refuse.load(Ordering::SeqCst) == 1;
        Some(if refused { status(403) } else { behind.pass(request) })
    });
    node.connect("svc", &url, &["--deletes", "trash"]);
    for name in ["live.heic", "live.mov", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg"] {
        node.put(name, name);
    }
    assert_counts(&node.sync(), &[("uploaded", 8)]);
    node.remove("live.heic");
    node.remove("live.mov");
    for deleted in [1, 0] {
        let report = node.sync_expecting(1, &[]);
        assert_eq!((&report["deleted"], &report["downloaded"]), (&deleted.into(), &0.into()), "{report:#}");
        assert_eq!(report["failed"][0]["path"], "live.mov", "{report:#}");
        assert!(report["failed"][0]["reason"].as_str().unwrap().contains("403"), "{report:#}");
        assert!(!node.files().contains_key("live.mov"), "it came back");
    }
    refuses.store(0, Ordering::SeqCst);
    assert_counts(&node.sync(), &[("deleted", 1)]);
    assert_eq!(server.state().contents(), node.files());
}

#[test]
fn t22_200_html_for_propfind() {
    const HTML: &str = "<!DOCTYPE html><html><body><form action=\"/login\">Please log in!</form></body></html>";
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let portal = std::sync::Arc::new(AtomicUsize::new(0));
    let is_portal = portal.clone();
    let url = between(&server.url, move |request, behind| match is_portal.load(Ordering::SeqCst) {
        0 => Some(behind.pass(request)),
        code => {
            let headers = BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]);
            Some(Answer { status: u16::try_from(code).unwrap(), headers, body: HTML.into() })
        }
    });
    node.connect("svc", &url, &["--deletes", "trash"]);
    node.put("x.jpg", "x");
    node.put("y.jpg", "y");
    node.sync();
    node.put("x.jpg", "x, edited");
    node.remove("y.jpg");
    server.changes();
    for code in [200, 207] {
        portal.store(code, Ordering::SeqCst);
        for options in [&[][..], &["--force"]] {
            let output = node.command(&[&["sync", "--json"], options].concat()).output().unwrap();
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let report = &report["services"][0];
            assert_ne!(output.status.code(), Some(0), "{report:#}");
            assert!(!report["error"].as_str().unwrap().is_empty(), "{report:#}");
            assert_counts(report, &[]);
            assert_files(&node, &[("x.jpg", "x, edited")]);
            assert!(server.changes().is_empty());
        }
    }
    portal.store(0, Ordering::SeqCst);
    node.sync_expecting(0, &["--force"]);
    assert_eq!(server.state().contents(), node.files());
    // It is no service to begin with, either.
    portal.store(200, Ordering::SeqCst);
    let added = node.add_service("page", &url);
    let said = String::from_utf8_lossy(&added.stderr).into_owned();
    assert!(!added.status.success() && said.contains("WebDAV"), "{said}");
}

#[test]
fn t24_a_destination_with_http_behind_https() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    node.put("a.jpg", "a");
    node.run(&["index"]);
    let destination = format!("{}b.jpg", node.originals());
    let https = [("X-Forwarded-Proto", "https"), ("Destination", destination.as_str()), ("Overwrite", "F")];
    assert_eq!(http("MOVE", &format!("{}a.jpg", node.originals()), &https, b"").status, 201);
    assert_files(&node, &[("b.jpg", "a")]);
}

#[test]
fn t25_413_for_what_is_too_large() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let url = between(&server.url, |request, behind| match request.body.len() > 1 << 20 {
        true => Some(status(413)),
        false => Some(behind.pass(request)),
    });
    node.connect("svc", &url, &[]);
    node.put("large.mov", &"x".repeat((1 << 20) + 1));
    node.put("small.jpg", "small");
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", 1)]);
    let reason = report["failed"][0]["reason"].as_str().unwrap();
    assert!(report["failed"][0]["path"] == "large.mov" && reason.contains("413") && reason.contains("large"), "{report:#}");
    assert_eq!(server.state().contents().len(), 1);
}

#[test]
fn t25_a_disk_that_is_full_here() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    b.put("film.mov", &film().repeat(2));
    b.put("small.jpg", "small");
    b.run(&["index"]);
    a.pair(&b, &[]);
    // No file may become larger than this: what a full disk does to the large one.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 32768; exec \"$0\" sync --json", env!("CARGO_BIN_EXE_twinlens")]);
    let output = command.env("TWINLENS_DATA", &a.data).env("TWINLENS_LIBRARY", &a.library).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", crate::support::show(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &report["services"][0];
    assert_counts(report, &[("downloaded", 1)]);
    assert_eq!(report["failed"][0]["path"], "film.mov", "{report:#}");
    assert_files(&a, &[("small.jpg", "small")]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_eq!(a.files(), b.files());
    assert_eq!(a.left_behind(), [""; 0]);
}
