//! What looks like an accident halts before the first write, and says why.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::peers::{Apache, apache_with};
use crate::support::{Node, Sandbox, assert_counts, show, tree};

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
fn beside_apache(sandbox: &Sandbox, extra: &str) -> Option<(Node, Apache)> {
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
fn is_refused(node: &Node, server: &Apache, options: &[&str], words: &str) {
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
