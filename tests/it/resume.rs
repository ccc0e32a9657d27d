//! Transfers over a bad line: what was lost on the way is not sent twice, what broke goes on where it broke, and a service that is busy or
//! full is treated accordingly.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use twinlens::client::{Client, ClientError, Endpoint};
use twinlens::types::{ContentHash, Digests, LocalVersion, Mtime, RelPath};

use crate::faulty::FaultyServer;
use crate::support::{Node, PASSWORD, Sandbox, assert_counts, eventually, http};

fn client(node: &Node, folder: &str) -> Client {
    let endpoint =
        Endpoint { url: node.originals(), user: "admin".into(), password: PASSWORD.into(), fingerprint: None, allow_http: false };
    Client::new(&endpoint).unwrap().at(&RelPath::parse(folder).unwrap()).unwrap()
}

fn run<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn small(path: &str, content: &str) -> (RelPath, LocalVersion, Bytes) {
    let version =
        LocalVersion { size: content.len() as u64, mtime: Mtime::from_seconds(1_600_000_000), digests: Digests::of(content.as_bytes()) };
    (RelPath::parse(path).unwrap(), version, content.to_owned().into())
}

#[test]
fn a_node_takes_many_small_files_in_one_request_and_says_what_it_has() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    node.put("sub/there.jpg", "there before");
    let client = client(&node, "sub");
    run(async {
        let can = client.capabilities().await.unwrap();
        assert!(can.node && can.bulk && can.chunking);
        let before = client.requests();
        let files =
            vec![small("a & ü.jpg", "a"), small("there.jpg", "other bytes"), small("empty.jpg", ""), small("no/such/folder.jpg", "x")];
        let results = client.bulk(files).await.unwrap();
        assert_eq!(client.requests(), before + 1);
        assert_eq!(
            results.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["a & ü.jpg", "there.jpg", "empty.jpg", "no/such/folder.jpg"]
        );
        assert_eq!(results[0].1.as_ref().unwrap().as_deref(), Some(Digests::of(b"a").content.etag().as_str()));
        assert!(matches!(results[1].1, Err(ClientError::Changed(_))), "{results:?}");
        assert!(results[2].1.is_ok() && results[3].1.is_err(), "{results:?}");
        let asked: Vec<ContentHash> = ["a", "never seen"].iter().map(|text| Digests::of(text.as_bytes()).content).collect();
        assert_eq!(client.known(&asked).await.unwrap(), [true, false]);
    });
    assert_eq!(node.files()["sub/there.jpg"], "there before");
    assert_eq!(node.files()["sub/a & ü.jpg"], "a");
}

const MIB: u64 = 1 << 20;

/// What happens to a line after so many bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// All connections break; new ones are fine.
    Break(u64),
    /// They break again and again, each time after so many bytes.
    Cut(u64),
    /// Nothing moves any more.
    Freeze(u64),
}

/// A line to a server, which counts what travels on it and breaks where it is told to.
pub struct Line {
    pub address: String,
    inner: Arc<Inner>,
}

struct Inner {
    up: AtomicU64,
    down: AtomicU64,
    trouble_up: Mutex<Trouble>,
    trouble_down: Mutex<Trouble>,
    /// Every break closes the connections of this generation.
    open: Mutex<Vec<TcpStream>>,
}

impl Line {
    pub fn to(node: &Node) -> Self {
        Self::to_address(node.url().strip_prefix("http://").unwrap())
    }

    /// To a server at a host and a port.
    pub fn to_address(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            trouble_up: Mutex::new(Trouble::None),
            trouble_down: Mutex::new(Trouble::None),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for near in listener.incoming().map(Result::unwrap) {
                let far = TcpStream::connect(&server).unwrap();
                // Both, before anything moves: a break that comes at once must not leave one of them open.
                shared.open.lock().unwrap().extend([&near, &far].map(|stream| stream.try_clone().unwrap()));
                let pairs = [(near.try_clone().unwrap(), far.try_clone().unwrap(), true), (far, near, false)];
                for (from, to, up) in pairs {
                    let inner = Arc::clone(&shared);
                    std::thread::spawn(move || inner.forward(from, to, up));
                }
            }
        });
        Self { address, inner }
    }

    pub fn originals(&self) -> String {
        format!("{}/originals/", self.address)
    }

    /// Begins to count anew; the next trouble in each direction.
    pub fn begin(&self, up: Trouble, down: Trouble) {
        (*self.inner.trouble_up.lock().unwrap(), *self.inner.trouble_down.lock().unwrap()) = (up, down);
        self.inner.up.store(0, Ordering::SeqCst);
        self.inner.down.store(0, Ordering::SeqCst);
    }

    /// Whoever still waits at an end of the line learns that nobody is at the other.
    pub fn hang_up(&self) {
        for stream in self.inner.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn up(&self) -> u64 {
        self.inner.up.load(Ordering::SeqCst)
    }

    fn down(&self) -> u64 {
        self.inner.down.load(Ordering::SeqCst)
    }
}

impl Inner {
    fn forward(&self, mut from: TcpStream, mut to: TcpStream, up: bool) {
        let (count, trouble) = if up { (&self.up, &self.trouble_up) } else { (&self.down, &self.trouble_down) };
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let passed = count.fetch_add(read as u64, Ordering::SeqCst) + read as u64;
            let now = *trouble.lock().unwrap();
            match now {
                Trouble::Break(limit) | Trouble::Cut(limit) if passed > limit => {
                    count.store(0, Ordering::SeqCst);
                    if now == Trouble::Break(limit) {
                        *trouble.lock().unwrap() = Trouble::None;
                    }
                    for stream in self.open.lock().unwrap().drain(..) {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                    return;
                }
                // The connection goes with its owner.
                Trouble::Freeze(limit) if passed > limit => return std::mem::forget((from, to)),
                _ => {}
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Bytes that no compression and no deduplication makes less.
pub fn film(seed: u64, size: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(size as usize);
    while (text.len() as u64) < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{state:016x}"));
    }
    text.truncate(size as usize);
    text
}

/// Two nodes: the second serves, the first is connected to it over a line.
fn over_a_line(sandbox: &Sandbox) -> (Node, Node, Line) {
    let (here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    there.serve();
    let line = Line::to(&there);
    here.connect("peer", &line.originals(), &[]);
    (here, there, line)
}

/// Begins a sync and kills the process when something is so.
pub fn sync_killed_when(node: &Node, what: &str, is_so: impl FnMut() -> bool) {
    let mut child = node.command(&["sync", "--json"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually(what, is_so);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_download_that_breaks_goes_on_in_the_same_run() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    there.put("film.mov", &film(1, 40 * MIB));
    there.run(&["index"]);
    line.begin(Trouble::None, Trouble::Break(20 * MIB));
    assert_counts(&here.sync(), &[("downloaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert!(line.down() < 45 * MIB, "{} bytes came", line.down());
    assert!(here.left_behind().is_empty());
}

#[test]
fn a_download_goes_on_after_the_process_was_killed() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    there.put("film.mov", &film(2, 40 * MIB));
    there.run(&["index"]);
    line.begin(Trouble::None, Trouble::Freeze(24 * MIB));
    let incoming = here.library.join(".twinlens/incoming");
    sync_killed_when(&here, "half of the film", || {
        let parts = std::fs::read_dir(&incoming).into_iter().flatten().flatten();
        parts.map(|part| part.metadata().map_or(0, |metadata| metadata.len())).sum::<u64>() >= 20 * MIB
    });
    assert!(here.files().is_empty());
    line.begin(Trouble::None, Trouble::None);
    assert_counts(&here.sync(), &[("downloaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert!(line.down() < 22 * MIB, "{} bytes came the second time", line.down());
    assert!(here.left_behind().is_empty());
}

#[test]
fn what_came_of_an_earlier_version_is_not_mixed_with_the_next() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    there.put("film.mov", &film(3, 16 * MIB));
    there.run(&["index"]);
    line.begin(Trouble::None, Trouble::Freeze(12 * MIB));
    let incoming = here.library.join(".twinlens/incoming");
    sync_killed_when(&here, "half of the film", || {
        let parts = std::fs::read_dir(&incoming).into_iter().flatten().flatten();
        parts.map(|part| part.metadata().map_or(0, |metadata| metadata.len())).sum::<u64>() >= 8 * MIB
    });
    there.put("film.mov", &film(4, 16 * MIB));
    there.run(&["index"]);
    line.begin(Trouble::None, Trouble::None);
    assert_counts(&here.sync(), &[("downloaded", 1)]);
    assert_eq!(here.files(), there.files());
}

/// The bytes that wait on a node in unfinished uploads. Those of a piece that is on its way are among them: of a piece of 10 MiB it is sure
/// that it stays when more than that are there.
pub fn waiting(node: &Node) -> u64 {
    let mut folders = vec![node.library.join(".twinlens/uploads")];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
                Err(_) => {}
            }
        }
    }
    total
}

#[test]
fn an_upload_that_breaks_goes_on_in_the_same_run() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    here.put("film.mov", &film(5, 40 * MIB));
    line.begin(Trouble::Break(24 * MIB), Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert!(line.up() < 54 * MIB, "{} bytes went", line.up());
    assert_eq!(waiting(&there), 0);
}

#[test]
fn an_upload_goes_on_after_the_process_was_killed() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    here.put("film.mov", &film(6, 40 * MIB));
    line.begin(Trouble::Freeze(25 * MIB), Trouble::None);
    sync_killed_when(&here, "half of the film", || waiting(&there) >= 21 * MIB);
    assert!(there.files().is_empty());
    line.begin(Trouble::None, Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert!(line.up() < 22 * MIB, "{} bytes went the second time", line.up());
    assert_eq!(waiting(&there), 0);
    assert_counts(&here.sync(), &[]);
}

#[test]
fn what_was_sent_of_an_earlier_version_is_thrown_away() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    here.put("film.mov", &film(7, 24 * MIB));
    line.begin(Trouble::Freeze(15 * MIB), Trouble::None);
    sync_killed_when(&here, "a piece of the film", || waiting(&there) >= 11 * MIB);
    here.put("film.mov", &film(8, 24 * MIB));
    line.begin(Trouble::None, Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert_eq!(waiting(&there), 0);
}

#[test]
fn what_was_sent_of_a_file_that_is_no_more_is_thrown_away() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    here.put("film.mov", &film(10, 24 * MIB));
    line.begin(Trouble::Freeze(15 * MIB), Trouble::None);
    sync_killed_when(&here, "a piece of the film", || waiting(&there) >= 11 * MIB);
    line.begin(Trouble::None, Trouble::None);
    // As long as it may be gone on with, it stays.
    here.run(&["sync", "--dry-run"]);
    assert!(waiting(&there) >= 10 * MIB);
    here.remove("film.mov");
    here.put("other.mov", "short");
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    // By the run that saw that it is gone, or by the one after it.
    here.put("more.mov", "short, too");
    here.sync();
    assert_eq!(waiting(&there), 0);
    assert_eq!(here.files(), there.files());
}

#[test]
fn what_another_node_has_under_way_on_a_service_is_left_alone_and_is_no_photo() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg"]);
    server.put(".twinlens-0123456789ab", b"of another node");
    server.put("d/twinlens-probe-0123456789abcdef0123456789abcdef", b"of another node, too");
    for expected in [&[("uploaded", 1)][..], &[]] {
        assert_counts(&node.sync(), expected);
        assert_eq!(node.files().len(), 1);
        assert_eq!(server.names(), [".twinlens-0123456789ab", "a.jpg", "d/twinlens-probe-0123456789abcdef0123456789abcdef"]);
    }
}

#[test]
fn a_large_update_takes_the_place_of_what_is_there_and_of_nothing_else() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    here.put("film.mov", "a short film");
    here.sync();
    here.put("film.mov", &film(9, 12 * MIB));
    line.begin(Trouble::None, Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert_eq!(here.files(), there.files());
    assert_eq!(there.trashed(), ["a short film"]);
    assert!(line.up() > 12 * MIB);
}

#[test]
fn why_an_upload_in_pieces_is_refused_is_told() {
    let sandbox = Sandbox::new();
    let (here, there, line) = over_a_line(&sandbox);
    line.begin(Trouble::None, Trouble::None);
    let url = |id: &str| format!("{}/remote.php/dav/uploads/admin/{id}", there.url());
    for id in 0..128 {
        assert_eq!(http("MKCOL", &url(&id.to_string()), &[], b"").status, 201);
    }
    here.put("film.mov", &film(10, 12 * MIB));
    let report = here.sync_expecting(1, &[]);
    assert!(report["failed"].to_string().contains("there are too many uploads or chunks already"), "{report:#}");
    (0..128).for_each(|id| drop(http("DELETE", &url(&id.to_string()), &[], b"")));
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    assert_eq!(here.files(), there.files());
}

/// A node with these files, connected to a server that is not well.
fn with_server(sandbox: &Sandbox, files: &[&str]) -> (Node, FaultyServer) {
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    for file in files {
        node.put(file, &format!("content of {file}"));
    }
    server.state().log.clear();
    (node, server)
}

fn count(server: &FaultyServer, request: &str) -> usize {
    server.state().log.iter().filter(|line| line.starts_with(request)).count()
}

#[test]
fn an_upload_whose_answer_was_lost_is_not_sent_again() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg"]);
    server.state().lost.push_back("PUT a.jpg");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(count(&server, "PUT a.jpg"), 1, "{:?}", server.state().log);
    assert_eq!(server.state().files["a.jpg"], b"content of a.jpg");
    assert_counts(&node.sync(), &[]);
}

#[test]
fn a_move_and_a_deletion_whose_answers_were_lost_are_done() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]);
    node.run(&["service", "sync", "svc", "--deletes", "trash"]);
    assert_counts(&node.sync(), &[("uploaded", 6)]);
    server.state().lost.extend(["MOVE a.jpg", "DELETE b.jpg"]);
    node.rename("a.jpg", "sub/a.jpg");
    node.remove("b.jpg");
    assert_counts(&node.sync(), &[("moved", 1), ("deleted", 1)]);
    assert!(server.state().lost.is_empty(), "nothing was lost");
    assert_eq!(server.names(), ["c.jpg", "d.jpg", "e.jpg", "f.jpg", "sub/a.jpg"]);
}

#[test]
fn a_deletion_that_somebody_else_was_faster_with_has_not_failed() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]);
    node.run(&["service", "sync", "svc", "--deletes", "trash"]);
    assert_counts(&node.sync(), &[("uploaded", 6)]);
    // On the service, between the look at it and the deletion.
    node.remove("a.jpg");
    server.state().meanwhile.push_back(("PROPFIND a.jpg", Box::new(|files| drop(files.remove("a.jpg")))));
    assert_counts(&node.sync(), &[]);
    // In the library, right before the last look at the service that comes ahead of all deletions.
    server.state().files.remove("b.jpg");
    let here = node.library.join("b.jpg");
    server.state().meanwhile.push_back(("PROPFIND ", Box::new(|_| {})));
    server.state().meanwhile.push_back(("PROPFIND ", Box::new(move |_| std::fs::remove_file(here).unwrap())));
    assert_counts(&node.sync(), &[]);
    assert!(server.state().meanwhile.is_empty(), "nobody was faster");
    assert_eq!(server.names(), ["c.jpg", "d.jpg", "e.jpg", "f.jpg"]);
    assert!(node.trashed().is_empty(), "{:?}", node.trashed());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn a_listing_and_a_download_are_asked_for_again() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &[]);
    server.put("a.jpg", b"a");
    server.state().lost.extend(["PROPFIND", "GET a.jpg"]);
    server.state().answers.push_back(("PROPFIND", "502 Bad Gateway"));
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert!(server.state().lost.is_empty());
}

#[test]
fn a_busy_service_is_waited_for() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg", "b.jpg"]);
    server.state().answers.extend([
        ("PROPFIND", "503 Service Unavailable\r\nRetry-After: 1"),
        ("PUT a.jpg", "429 Too Many Requests\r\nRetry-After: 1"),
        ("PUT a.jpg", "423 Locked"),
        ("PUT a.jpg", "425 Too Early"),
    ]);
    assert_counts(&node.sync(), &[("uploaded", 2)]);
    assert!(server.state().answers.is_empty());
}

#[test]
fn a_service_that_wants_to_be_left_alone_for_long_is_left_alone() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg", "b.jpg", "c.jpg"]);
    server.state().answers.push_back(("PUT a.jpg", "503 Service Unavailable\r\nRetry-After: 7200"));
    let report = node.sync_expecting(1, &[]);
    assert_eq!(report["failed"].as_array().unwrap().len(), 3, "{report:#}");
    assert!(count(&server, "PUT a.jpg") <= 1 && count(&server, "PUT") <= 5, "{:?}", server.state().log);
    assert!(report["failed"].to_string().contains("is busy"), "{report:#}");
    // Some had arrived before the service became busy: those are not sent again.
    let report = node.sync();
    assert_eq!(report["uploaded"].as_u64().unwrap() + report["adopted"].as_u64().unwrap(), 3, "{report:#}");
    assert_eq!(server.names(), ["a.jpg", "b.jpg", "c.jpg"]);
}

#[test]
fn a_full_service_gets_no_more_uploads_and_everything_else_goes_on() {
    let sandbox = Sandbox::new();
    let (node, server) = with_server(&sandbox, &["a.jpg"]);
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    let many: Vec<String> = (0..40).map(|number| format!("new/{number}.jpg")).collect();
    many.iter().for_each(|file| node.put(file, file));
    node.rename("a.jpg", "b.jpg");
    server.put("from-there.jpg", b"x");
    server.state().answers.extend([("PUT new", "507 Insufficient Storage"); 40]);
    server.state().log.clear();
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("moved", 1), ("downloaded", 1)]);
    assert!(count(&server, "PUT new") <= 16, "{} uploads were tried", count(&server, "PUT"));
    assert!(report["failed"].to_string().contains("quota is full"), "{report:#}");
    assert!(report["failed"].to_string().contains("more files will be sent by a later run"), "{report:#}");
    server.state().answers.clear();
    assert_counts(&node.sync(), &[("uploaded", 40)]);
}
