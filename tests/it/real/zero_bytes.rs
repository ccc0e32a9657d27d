//! Web servers that lose what they should pass on to PHP: what they do to anybody else, and that Twinlens's uploads arrive.

use std::io::Write as _;
use std::time::Duration;

use crate::peers::Server;
use crate::resume::film;
use crate::support::{Answer, PASSWORD, Sandbox, assert_counts, http, read_answer, send_head};

use super::php::{Front, sabredav};

const SIZE: u64 = 200_000;

/// A PUT as rclone, curl and others send what they do not know the length of. The body comes a moment after the headers: a small one that
/// comes with them is passed on by chance.
fn put_chunked(url: &str, content: &str) -> Answer {
    let mut stream = send_head("admin", PASSWORD, "PUT", url, &[("Transfer-Encoding", "chunked")]);
    std::thread::sleep(Duration::from_secs(1));
    for piece in content.as_bytes().chunks(50_000) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    read_answer(&mut stream)
}

/// A chunked PUT: how the server answers it, and how much of it is on its disk.
fn stored_of_chunked(server: &Server, name: &str) -> (u16, u64) {
    let answer = put_chunked(&format!("{}{name}", server.url), &film(1, SIZE));
    (answer.status, std::fs::metadata(server.files.join(name)).unwrap().len())
}

/// The server stores nothing of a chunked PUT and says that it did, and an old file is lost that way. All that Twinlens sends arrives.
fn loses_chunked_bodies_but_not_ours(front: Front) {
    let sandbox = Sandbox::new();
    let Some(server) = sabredav(&sandbox, front) else { return };
    assert_eq!(stored_of_chunked(&server, "new.jpg"), (201, 0));
    let old = http("PUT", &format!("{}old.jpg", server.url), &[], film(2, SIZE).as_bytes());
    assert_eq!((old.status, std::fs::metadata(server.files.join("old.jpg")).unwrap().len()), (201, SIZE));
    assert_eq!(stored_of_chunked(&server, "old.jpg"), (204, 0));

    let node = sandbox.node("here");
    node.connect("svc", &server.url, &["--folder", "/Photos"]);
    let sizes = [0, 1, 1_000, 8_192, 16_384, 100_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20];
    for (number, size) in sizes.into_iter().enumerate() {
        node.put(&format!("{number}.jpg"), &film(number as u64 + 3, size));
    }
    let report = node.sync();
    assert_counts(&report, &[("uploaded", sizes.len() as u64)]);
    assert_eq!(report["verified"], sizes.len());
    for (number, size) in sizes.into_iter().enumerate() {
        node.put(&format!("{number}.jpg"), &film(number as u64 + 30, size + 7));
    }
    assert_counts(&node.sync(), &[("uploaded", sizes.len() as u64)]);
    for (path, content) in node.files() {
        assert!(std::fs::read(server.files.join("Photos").join(&path)).unwrap() == content.as_bytes(), "{path}");
    }
    assert_counts(&node.sync(), &[]);
}

#[test]
fn apache_proxy_fcgi_as_it_comes_stores_0_bytes_of_a_chunked_put_and_all_of_ours() {
    loses_chunked_bodies_but_not_ours(Front::Apache);
}

#[test]
fn nginx_without_request_buffering_stores_0_bytes_of_a_chunked_put_and_all_of_ours() {
    loses_chunked_bodies_but_not_ours(Front::NginxUnbuffered);
}

#[test]
fn nginx_with_request_buffering_stores_a_chunked_put() {
    let sandbox = Sandbox::new();
    let Some(server) = sabredav(&sandbox, Front::Nginx) else { return };
    assert_eq!(stored_of_chunked(&server, "new.jpg"), (201, SIZE));
}

/// What the story's cut updates are about: a PUT over a file that breaks in the middle leaves a ruin.
#[test]
fn a_plain_put_over_a_file_that_is_cut_leaves_a_ruin_where_bodies_are_streamed_to_php() {
    for front in [Front::NginxUnbuffered, Front::Apache] {
        let sandbox = Sandbox::new();
        let Some(server) = sabredav(&sandbox, front) else { return };
        let url = format!("{}photo.jpg", server.url);
        assert_eq!(http("PUT", &url, &[], film(1, SIZE).as_bytes()).status, 201);
        let mut stream = send_head("admin", PASSWORD, "PUT", &url, &[("Content-Length", &SIZE.to_string())]);
        stream.write_all(&film(2, SIZE).as_bytes()[..100_000]).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        drop(stream);
        let place = server.files.join("photo.jpg");
        crate::support::eventually("the ruin", || std::fs::metadata(&place).unwrap().len() < SIZE);
    }
}
