//! What looks like an accident halts before the first write, and says why.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::faulty::FaultyServer;
use crate::peers::{Server, apache_with};
use crate::support::{Node, PASSWORD, Sandbox, assert_counts, assert_files, http, show, tree};

/// Everybody may write below.
fn open_to_all(folder: &Path) {
    for place in [Some(folder), folder.parent()].into_iter().flatten() {
        fs::set_permissions(place, fs::Permissions::from_mode(0o777)).unwrap();
    }
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir()) {
        open_to_all(&entry.path());
    }
}

/// A library with some files, and Apache on the same disk.
fn beside_apache(sandbox: &Sandbox, extra: &str) -> Option<(Node, Server)> {
    let server = apache_with(sandbox, extra)?;
    let node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.put("2020/b.jpg", "b");
    node.put("2020/b.xmp", "about b");
    node.run(&["index"]);
    open_to_all(&node.library);
    Some((node, server))
}

/// Syncs with a folder of the service, expects it to be refused with these words, with and without --force, and nothing to be changed.
#[track_caller]
fn is_refused(node: &Node, server: &Server, options: &[&str], words: &str) {
    node.connect("svc", &server.url, options);
    let before = node.files();
    for force in [&[][..], &["--force"]] {
        let report = node.sync_expecting(1, force);
        let error = report["error"].as_str().unwrap();
        assert!(error.contains(words) && error.contains("--force"), "{report:#}");
        assert_counts(&report, &[]);
    }
    assert_eq!(node.files(), before);
    assert!(!tree(&node.library).keys().any(|path| path.contains("probe")), "a probe was left behind");
    node.run(&["service", "remove", "svc"]);
}

/// Nothing that begins as Twinlens's own names do can be read or written.
const HIDES: &str = "Options FollowSymLinks\n<If \"%{REQUEST_URI} =~ m#/\\.twinlens#\">\nRequire all denied\n</If>";

#[test]
fn the_library_through_another_server_is_refused() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = beside_apache(&sandbox, "Options FollowSymLinks") else { return };
    symlink(&node.library, server.files.join("same")).unwrap();
    symlink(node.library.join("2020"), server.files.join("below")).unwrap();
    open_to_all(&server.files);
    is_refused(&node, &server, &["--folder", "/below"], "the folder 2020 of the very library");
    is_refused(&node, &server, &["--folder", "/same/2020", "--upload", "no"], "the folder 2020 of the very library");
    is_refused(&node, &server, &["--folder", "/same/not yet/there"], "the folder not yet/there of the very library");
    // What can be seen at once is told at once.
    let added = node.add_service("direct", &format!("{}same/", server.url));
    assert!(!added.status.success() && show(&added).contains("the very library"), "{}", show(&added));
    node.connect("svc", &server.url, &[]);
    let output = node.command(&["service", "sync", "svc", "--folder", "/same"]).output().unwrap();
    assert!(output.status.code() == Some(2) && show(&output).contains("the very library"), "{}", show(&output));
}

#[test]
fn a_folder_that_holds_the_library_is_refused() {
    let sandbox = Sandbox::new();
    for (extra, words) in [("", "holds the very library that is to be synced, as to/library"), (HIDES, "holds the very library")] {
        let Some(server) = apache_with(&sandbox, extra) else { return };
        let mut node = sandbox.node("n");
        node.library = server.files.join("way/to/library");
        node.put("a.jpg", "a");
        node.run(&["index"]);
        open_to_all(&server.files);
        is_refused(&node, &server, &["--folder", "/way"], words);
        if extra.is_empty() {
            is_refused(&node, &server, &["--folder", "/way", "--upload", "no"], words);
        }
        // Beside it is not in it, nor is a folder that is yet to be made there.
        node.connect("svc", &server.url, &["--folder", "/way/to/backup"]);
        assert_counts(&node.sync(), &[("uploaded", 1)]);
        fs::remove_dir_all(server.files.parent().unwrap()).unwrap();
        fs::remove_dir_all(&node.data).unwrap();
    }
}

#[test]
fn a_server_that_hides_what_is_twinlenss_own_is_seen_through() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = beside_apache(&sandbox, HIDES) else { return };
    symlink(&node.library, server.files.join("same")).unwrap();
    open_to_all(&server.files);
    for options in [&["--folder", "/same"][..], &["--folder", "/same", "--upload", "no"]] {
        is_refused(&node, &server, options, "the very library");
    }
}

#[test]
fn no_probe_ends_in_the_trash_of_a_node() {
    let sandbox = Sandbox::new();
    let (here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    here.put("a.jpg", "a");
    there.put("b.jpg", "b");
    there.serve();
    for (name, folder) in [("root", "/"), ("new", "/not yet/there")] {
        here.connect(name, &there.originals(), &["--folder", folder]);
        here.run(&["sync", name]);
        assert_eq!(there.trashed(), Vec::<String>::new(), "{folder}");
        here.run(&["service", "remove", name]);
    }
    assert!(there.files().contains_key("not yet/there/a.jpg"), "{:?}", there.files());
}

#[test]
fn a_link_that_comes_later_is_found_too() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = beside_apache(&sandbox, "Options FollowSymLinks") else { return };
    node.connect("svc", &server.url, &["--folder", "/photos"]);
    node.sync();
    let photos = server.files.join("photos");
    assert_eq!(tree(&photos).len(), 3);
    fs::remove_dir_all(&photos).unwrap();
    symlink(&node.library, &photos).unwrap();
    let report = node.sync_expecting(1, &["--force"]);
    assert!(report["error"].as_str().unwrap().contains("the very library"), "{report:#}");
    assert_eq!(node.files().len(), 3);
}

#[test]
fn nodes_whose_libraries_lie_in_each_other_are_not_synced() {
    let sandbox = Sandbox::new();
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.put("2020/x.jpg", "x");
    // Sidecars are not left out because another one is alike.
    a.put("2020/x.xmp", "about x");
    a.put("y.jpg", "y");
    b.library = a.library.join("2020");
    a.serve();
    b.serve();
    a.pair(&b, &[]);
    b.pair(&a, &[]);
    for (node, words) in [(&a, "the folder 2020 of the very library"), (&b, "holds the very library")] {
        for upload in ["yes", "no"] {
            node.run(&["service", "sync", "peer", "--upload", upload]);
            let report = node.sync_expecting(1, &["--force"]);
            assert!(report["error"].as_str().unwrap().contains(words), "{report:#}");
        }
    }
    let mut files = a.files();
    files.retain(|path, _| !path.contains(".twinlens/"));
    assert_eq!(files.into_keys().collect::<Vec<_>>(), ["2020/x.jpg", "2020/x.xmp", "y.jpg"]);
}

#[test]
fn a_folder_of_the_own_library_that_a_user_has_is_refused() {
    let sandbox = Sandbox::new();
    let mut a = sandbox.node("a");
    a.put("2020/x.jpg", "x");
    a.serve();
    let added = a.run_with_password(&["user", "add", "eve", "--folder", "/2020", "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    let url = format!("{}/webdav/", a.url());
    let added = a.run_with_password(&["service", "add", "me", &url, "--user", "eve", "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    a.run(&["service", "sync", "me", "--upload", "yes"]);
    let report = a.sync_expecting(1, &["--force"]);
    assert!(report["error"].as_str().unwrap().contains("the very library"), "{report:#}");
}

/// Passes everything on, and takes out what says that a Twinlens answers.
fn proxy_that_strips(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, target) = (stream.unwrap(), target.clone());
            // A client that closes early ends its thread.
            std::thread::spawn(move || pass_on(&stream, &target));
        }
    });
    url
}

fn pass_on(mut stream: &TcpStream, target: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut words = lines[0].split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let headers: Vec<_> = lines[1..].iter().filter_map(|line| line.split_once(": ")).collect();
        let named = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let mut body = vec![0; named("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body)?;
        let kept: Vec<_> = headers
            .iter()
            .filter(|(key, _)| {
                !["host", "authorization", "content-length", "connection", "accept-encoding"].contains(&key.to_lowercase().as_str())
            })
            .copied()
            .collect();
        let answer = http(method, &format!("{target}{path}"), &kept, &body);
        let body = answer.text().replace("library-id", "nothing").into_bytes();
        stream.write_all(format!("HTTP/1.1 {} Passed on\r\nContent-Length: {}\r\n\r\n", answer.status, body.len()).as_bytes())?;
        stream.write_all(&body)?;
    }
}

#[test]
fn a_proxy_that_strips_the_library_id_hides_nothing() {
    let sandbox = Sandbox::new();
    let mut a = sandbox.node("a");
    a.put("2020/x.jpg", "x");
    a.serve();
    let url = format!("{}webdav/", proxy_that_strips(a.url()));
    for (folder, words) in [("/originals", "leads to the very library"), ("/originals/2020", "the folder 2020 of the very library")] {
        a.connect("me", &url, &["--folder", folder]);
        let report = a.sync_expecting(1, &[]);
        assert!(report["error"].as_str().unwrap().contains(words), "{report:#}");
        a.run(&["service", "remove", "me"]);
    }
    assert_files(&a, &[("2020/x.jpg", "x")]);
    assert!(a.trashed().is_empty());
}

fn marker(server: &FaultyServer, id: &str) {
    server.put(".twinlens/library.toml", format!("id = \"{id}\"\n").as_bytes());
}

const ONE: &str = "11111111-1111-4111-8111-111111111111";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";

#[test]
fn another_library_behind_the_same_address_halts() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &["--deletes", "trash"]);
    marker(&server, ONE);
    for number in 0..5 {
        node.put(&format!("{number}.jpg"), &format!("content {number}"));
    }
    assert_counts(&node.sync(), &[("uploaded", 5)]);
    // Another disk is there instead: one file is the same, one is new, the others are missing.
    server.state().files.retain(|path, _| path == "0.jpg");
    server.put("new.jpg", b"new");
    marker(&server, OTHER);
    server.writes();
    for options in [&[][..], &["--dry-run"], &["--dry-run", "--force"]] {
        let report = node.sync_expecting(1, options);
        let error = report["error"].as_str().unwrap();
        assert!(error.contains(ONE) && error.contains(OTHER) && error.contains("--force"), "{report:#}");
    }
    assert_eq!((server.writes(), node.files().len()), (Vec::<String>::new(), 5));
    // The old one is back: nothing was forgotten.
    marker(&server, ONE);
    for number in 1..5 {
        server.put(&format!("{number}.jpg"), format!("content {number}").as_bytes());
    }
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    // The new one is meant: both are compared anew, and nothing is deleted.
    server.state().files.retain(|path, _| path == "0.jpg");
    marker(&server, OTHER);
    assert_counts(&node.sync_expecting(0, &["--force"]), &[("uploaded", 5), ("adopted", 1)]);
    assert_counts(&node.sync(), &[]);
    assert_eq!(node.files().len(), 6);
}

/// Ten files in step with a server, deletions followed.
fn in_step(sandbox: &Sandbox) -> (Node, FaultyServer) {
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &["--deletes", "trash"]);
    for number in 0..10 {
        node.put(&format!("{number}.jpg"), &format!("content {number}"));
    }
    node.sync();
    server.writes();
    (node, server)
}

#[test]
fn a_halt_is_before_the_first_write_and_says_what_force_would_do() {
    let sandbox = Sandbox::new();
    let (node, server) = in_step(&sandbox);
    let halts = |words: &[&str]| {
        for options in [&[][..], &["--dry-run"]] {
            let report = node.sync_expecting(1, options);
            let error = report["error"].as_str().unwrap();
            assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {report:#}");
            assert_eq!(server.writes(), Vec::<String>::new());
        }
    };
    // There would be something to upload and to move, too.
    node.put("new.jpg", "new");
    node.rename("9.jpg", "moved/9.jpg");
    for number in 0..4 {
        node.remove(&format!("{number}.jpg"));
    }
    halts(&["4 of 10 files would be removed from the service's folder", "--force"]);
    for number in 4..9 {
        node.remove(&format!("{number}.jpg"));
    }
    node.remove("new.jpg");
    node.remove("moved/9.jpg");
    halts(&["the library is empty", "10 files were in step", "--force removes them from the service's folder"]);
    node.run(&["service", "sync", "svc", "--deletes", "ignore"]);
    halts(&["the library is empty", "they stay in the service's folder"]);
    assert_eq!(server.names().len(), 10);
    for number in 0..10 {
        node.put(&format!("{number}.jpg"), &format!("content {number}"));
    }
    assert_counts(&node.sync(), &[]);
    server.state().files.clear();
    halts(&["the service's folder is empty", "they stay in the library"]);
    node.run(&["service", "sync", "svc", "--deletes", "trash"]);
    halts(&["the service's folder is empty", "--force moves them to the trash of the library"]);
    assert_eq!(node.files().len(), 10);
    // And force does it.
    assert_counts(&node.sync_expecting(0, &["--force"]), &[("deleted", 10)]);
    assert_eq!(node.trashed().len(), 10);
}

#[test]
fn a_folder_that_is_gone_from_the_service_is_no_deletion() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    node.serve();
    peer.serve();
    node.pair(&peer, &["--folder", "/Photos", "--deletes", "trash"]);
    node.put("only.jpg", "the only one");
    node.sync();
    fs::rename(peer.library.join("Photos"), peer.library.join("Pictures")).unwrap();
    peer.run(&["index"]);
    for options in [&[][..], &["--dry-run"]] {
        let report = node.sync_expecting(1, options);
        let error = report["error"].as_str().unwrap();
        assert!(error.contains("no folder /Photos any more") && error.contains("--force"), "{report:#}");
    }
    assert_files(&node, &[("only.jpg", "the only one")]);
    assert_counts(&node.sync_expecting(0, &["--force"]), &[("deleted", 1)]);
    assert_eq!(node.trashed(), ["the only one"]);
}

/// Sets a file's content and date, in seconds since 1970.
fn put_of(node: &Node, path: &str, content: &str, date: u64) {
    node.put(path, content);
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(date);
    fs::File::options().write(true).open(node.library.join(path)).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_backup_that_was_copied_over_the_library_replaces_no_newer_versions() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    let name = |number: u64| format!("{number}.jpg");
    for number in 0..10 {
        put_of(&node, &name(number), &format!("newer {number}"), 1_600_000_000 + number);
    }
    node.sync();
    server.writes();
    // What is only renamed takes its date along, and is no older version.
    for number in (0..9).rev() {
        node.rename(&name(number), &format!("{}.tmp", number + 1));
    }
    node.rename("9.jpg", "0.tmp");
    (0..10).for_each(|number| node.rename(&format!("{number}.tmp"), &name(number)));
    assert_counts(&node.sync(), &[("moved", 10)]);
    server.writes();
    // Two files may become older, and many may become newer.
    (0..2).for_each(|number| put_of(&node, &name(number), &format!("older {number}"), 1_500_000_000));
    (5..10).for_each(|number| put_of(&node, &name(number), &format!("edited {number}"), 1_700_000_000));
    assert_counts(&node.sync(), &[("uploaded", 7)]);
    server.writes();
    (5..8).for_each(|number| put_of(&node, &name(number), &format!("older {number}"), 1_500_000_000));
    for options in [&[][..], &["--dry-run"]] {
        let report = node.sync_expecting(1, options);
        let error = report["error"].as_str().unwrap();
        for word in ["3 of 10 files in the library", "an older date", "--force sends them"] {
            assert!(error.contains(word), "{word}: {report:#}");
        }
        assert_eq!(server.writes(), Vec::<String>::new());
    }
    assert_eq!(server.state().files["5.jpg"], b"edited 5");
    assert_counts(&node.sync_expecting(0, &["--force"]), &[("uploaded", 3)]);
    assert_eq!(server.state().files["5.jpg"], b"older 5");
}
