//! Each mistake gets one clear sentence, the right exit code, and changes nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use crate::support::{Node, PASSWORD, Sandbox, show};

#[track_caller]
fn refused(node: &Node, code: i32, args: &[&str], words: &[&str]) {
    let before = node.run(&["service", "list"]);
    let output = node.run_with_password(args, PASSWORD);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", show(&output));
    // One sentence, and then what was tried to find a service.
    let sentence = text.split("\nTried:\n").next().unwrap_or_default();
    assert_eq!(sentence.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert_eq!(node.run(&["service", "list"]), before);
}

fn add(url: &str) -> Vec<&str> {
    vec!["service", "add", "s", url, "--user", "admin", "--password-stdin"]
}

/// A server that answers everything with the same bytes.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dav/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn services_that_cannot_be() {
    let sandbox = Sandbox::new();
    let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    refused(&node, 3, &add("no-such-host.invalid"), &["no-such-host.invalid", "not known"]);
    refused(&node, 2, &add("two words"), &["two words", "is not a web address"]);
    refused(&node, 2, &add("ftp://host/"), &["is not a web address"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refused(&node, 3, &add(&format!("http://{closed}/")), &["does not answer", "check that the server runs"]);
    refused(&node, 3, &add("http://no-such-host.invalid/"), &["no-such-host.invalid", "not known"]);
    refused(
        &node,
        3,
        &[&add(&format!("{}/nowhere/", peer.url()))[..], &["--type", "webdav"]].concat(),
        &["no WebDAV was found", "/nowhere/"],
    );
    let html = answering("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>");
    refused(&node, 3, &add(&html), &["no WebDAV was found", "is a page, not WebDAV"]);
    let html =
        answering("HTTP/1.1 207 Multi-Status\r\nContent-Type: text/html\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>");
    refused(&node, 3, &add(&html), &["does not speak WebDAV"]);
    let elsewhere = answering("HTTP/1.1 301 Moved\r\nLocation: https://other.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    refused(&node, 3, &add(&elsewhere), &["redirects to https://other.example/"]);
    let output = node.run_with_password(&add(&peer.originals()), "wrong password");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not accept this user and password"), "{}", show(&output));
    let plain = peer.originals().replace("http://", "https://");
    refused(&node, 3, &add(&plain), &["no secure connection", "perhaps it speaks http"]);

    assert!(node.add_service("s", &peer.originals()).status.success());
    refused(&node, 2, &add(&peer.originals()), &["there is a service s already"]);
    refused(&node, 2, &["service", "show", "other"], &["no service other"]);
    refused(&node, 2, &["service", "test", "other"], &["no service other"]);
    refused(&node, 2, &["sync", "other"], &["no service other"]);
    refused(&node, 2, &["sync"], &["no service has sync switched on"]);
    refused(&node, 2, &["service", "sync", "s", "--folder", "/../x"], &["cannot be used"]);
    refused(&node, 2, &["service", "sync", "s", "--download", "no", "--upload", "no"], &["nothing to sync"]);
}

#[test]
fn an_unknown_certificate_is_shown_and_can_be_pinned() {
    let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let secret = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], secret)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut both = rustls::Stream::new(&mut tls, &mut stream);
            if both.read(&mut [0; 4096]).is_ok() {
                let _ = both.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = both.flush();
            }
        }
    });
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let output = node.run_with_password(&add(&url), PASSWORD);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && text.contains("is not trusted"), "{text}");
    let fingerprint = text.split_whitespace().skip_while(|word| *word != "--fingerprint").nth(1).unwrap().to_owned();
    // With the right pin the connection stands; with another it does not.
    let pinned = [&add(&url)[..], &["--fingerprint", &fingerprint]].concat();
    refused(&node, 3, &pinned, &["no WebDAV was found there"]);
    let other = fingerprint.replace(&fingerprint[..2], if fingerprint.starts_with("00") { "11" } else { "00" });
    let pinned = [&add(&url)[..], &["--fingerprint", &other]].concat();
    refused(&node, 3, &pinned, &["another certificate"]);
}

#[test]
fn libraries_that_cannot_be() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let serve = |library: &std::path::Path, data: &std::path::Path| {
        let mut command = crate::support::twinlens();
        command.args(["serve", "--listen", "127.0.0.1:0", "--library"]).arg(library).arg("--data").arg(data);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = serve(&sandbox.path().join("missing"), &node.data);
    assert!(code == Some(3) && text.contains("does not exist") && text.contains("--library"), "{text}");
    std::fs::write(sandbox.path().join("file"), b"x").unwrap();
    let (code, text) = serve(&sandbox.path().join("file"), &node.data);
    assert!(code == Some(3) && text.contains("is not a folder"), "{text}");

    node.put("a.jpg", "a");
    node.run(&["index"]);
    // The disk is not mounted: an empty folder in the library's place.
    let away = sandbox.path().join("away");
    std::fs::rename(&node.library, &away).unwrap();
    std::fs::create_dir(&node.library).unwrap();
    let (code, text) = serve(&node.library, &node.data);
    assert!(code == Some(3) && text.contains("no marker file") && text.contains("not mounted"), "{text}");
    assert_eq!(std::fs::read_dir(&node.library).unwrap().count(), 0);
    // The disk of another library.
    let other = sandbox.node("other");
    other.run(&["index"]);
    let (code, text) = serve(&other.library, &node.data);
    assert!(code == Some(3) && text.contains("is another library"), "{text}");
    // Back again.
    std::fs::remove_dir(&node.library).unwrap();
    std::fs::rename(&away, &node.library).unwrap();
    assert_eq!(node.run(&["index"])["hashed"], 0);
}

#[test]
fn a_port_in_use_and_a_second_node_are_said_clearly() {
    let sandbox = Sandbox::new();
    let (node, mut other) = (sandbox.node("n"), sandbox.node("other"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = node.command(&["serve", "--listen", &address]).output().unwrap();
    assert!(output.status.code() == Some(3) && show(&output).contains("--listen"), "{}", show(&output));
    assert!(!node.library.join(".twinlens").exists(), "the library was touched");
    other.serve();
    let output = other.command(&["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert!(output.status.code() == Some(3) && show(&output).contains("running already"), "{}", show(&output));
    // A node whose socket is gone still holds its state.
    std::fs::remove_file(other.data.join("control.sock")).unwrap();
    let output = other.command(&["status"]).output().unwrap();
    assert!(output.status.code() == Some(3) && show(&output).contains("in use by another twinlens process"), "{}", show(&output));
}

#[test]
fn a_command_without_a_library_says_how_to_name_one() {
    let sandbox = Sandbox::new();
    let output = crate::support::twinlens().args(["index", "--data"]).arg(sandbox.path().join("data")).output().unwrap();
    assert!(output.status.code() == Some(2) && show(&output).contains("--library"), "{}", show(&output));
    let output = crate::support::twinlens().args(["sync", "--frobnicate"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn users_that_cannot_be() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let add = |name: &'static str, role: &'static str| vec!["user", "add", name, "--role", role, "--password-stdin"];
    assert_eq!(node.run_with_password(&add("eve", "user"), "short").status.code(), Some(2));
    assert_eq!(node.run_with_password(&add("admin", "user"), PASSWORD).status.code(), Some(2));
    assert_eq!(node.run_with_password(&add("eve", "king"), PASSWORD).status.code(), Some(2));
    assert_eq!(node.run_with_password(&["user", "remove", "admin"], "").status.code(), Some(2));
    assert_eq!(node.run(&["user", "list"])["users"].as_array().unwrap().len(), 1);
}

#[test]
fn a_service_that_is_down_or_was_locked_out_changes_nothing() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--deletes", "trash"]);
    a.put("x.jpg", "x");
    a.sync();
    assert!(b.run_with_password(&["user", "passwd", "admin", "--password-stdin"], "a new password").status.success());
    let report = a.sync_expecting(3, &[]);
    assert!(report["error"].as_str().unwrap().contains("does not accept"), "{report:#}");
    b.stop();
    // After a refusal only a sync by name asks again.
    let report = a.sync_expecting(3, &["peer"]);
    assert!(report["error"].as_str().unwrap().contains("does not answer"), "{report:#}");
    assert!(a.files().contains_key("x.jpg"));
}
