//! A service that accepts connections and never answers: its time-out and its retries bound what is waited for.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts};

/// A way to a server on which requests can be swallowed: they are read, and nobody answers.
pub struct Hole {
    pub url: String,
    /// Those that begin so; none: none is.
    pub silent: Arc<Mutex<Option<&'static str>>>,
    pub swallowed: Arc<AtomicUsize>,
}

impl Hole {
    pub fn to(server: &str) -> Self {
        let (host, path) = server.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let (silent, swallowed) = (Arc::<Mutex<Option<&str>>>::default(), Arc::<AtomicUsize>::default());
        let (host, quiet, count) = (host.to_owned(), Arc::clone(&silent), Arc::clone(&swallowed));
        std::thread::spawn(move || {
            for near in listener.incoming().map(Result::unwrap) {
                let far = TcpStream::connect(&host).unwrap();
                let (quiet, count) = (Arc::clone(&quiet), Arc::clone(&count));
                let (mut up, mut down) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let mut server = far;
                std::thread::spawn(move || {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = up.read(&mut bytes) {
                        // A request is sent in one piece where its body is small or none.
                        match quiet.lock().unwrap().is_some_and(|begins: &str| bytes.starts_with(begins.as_bytes())) {
                            true => drop(count.fetch_add(1, Ordering::SeqCst)),
                            false => {
                                if server.write_all(&bytes[..read]).is_err() {
                                    return;
                                }
                            }
                        }
                    }
                });
                let mut client = near;
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut down, &mut client);
                    let _ = client.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { url, silent, swallowed }
    }

    /// From now on nobody answers.
    fn fall_silent(&self) {
        *self.silent.lock().unwrap() = Some("");
        self.swallowed.store(0, Ordering::SeqCst);
    }
}

/// A node with a service behind a hole: it may be silent for a second, and what broke is sent again twice.
fn scene(sandbox: &Sandbox) -> (Node, PlainServer, Hole) {
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let hole = Hole::to(&server.url);
    node.put("a.jpg", "a");
    node.connect("svc", &hole.url, &[]);
    node.run(&["service", "edit", "svc", "--timeout", "1", "--retries", "2"]);
    (node, server, hole)
}

/// As long as it takes at least: every try is as long as the time-out. And not much longer than that.
#[track_caller]
fn took(begun: Instant, tries: u32) {
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_secs(1) * tries, "it gave up after {elapsed:?}");
    // The usual time-out is a minute.
    assert!(elapsed < Duration::from_secs(45), "it waited for {elapsed:?}");
}

#[test]
fn a_sync_gives_up_by_the_time_out_and_the_retries_of_its_service() {
    let sandbox = Sandbox::new();
    let (node, _server, hole) = scene(&sandbox);
    hole.fall_silent();
    let begun = Instant::now();
    let report = node.sync_expecting(3, &[]);
    took(begun, 3);
    assert!(report["error"].as_str().unwrap().contains("stopped answering"), "{report:#}");
    assert_eq!(hole.swallowed.load(Ordering::SeqCst), 3, "once, and again twice");
    // With none it gives up at once.
    node.run(&["service", "edit", "svc", "--retries", "0"]);
    hole.fall_silent();
    let begun = Instant::now();
    node.sync_expecting(3, &[]);
    took(begun, 1);
    assert_eq!(hole.swallowed.load(Ordering::SeqCst), 1);
    *hole.silent.lock().unwrap() = None;
    assert_counts(&node.sync(), &[("uploaded", 1)]);
}

#[test]
fn so_does_a_share_and_what_was_to_be_sent_waits() {
    let sandbox = Sandbox::new();
    let (node, server, hole) = scene(&sandbox);
    hole.fall_silent();
    let begun = Instant::now();
    let report = node.run_expecting(3, &["share", "a.jpg", "--to", "svc", "--folder", "S"]);
    took(begun, 3);
    assert!(report["error"].as_str().unwrap().contains("stopped answering"), "{report:#}");
    assert_eq!((&report["waiting"], &report["uploaded"]), (&1.into(), &0.into()), "{report:#}");
    assert_eq!(hole.swallowed.load(Ordering::SeqCst), 3);
    *hole.silent.lock().unwrap() = None;
    assert_eq!(node.run(&["share", "retry"])["shares"][0]["uploaded"], 1);
    assert_eq!(server.state().files["S/a.jpg"].0, "a");
}
