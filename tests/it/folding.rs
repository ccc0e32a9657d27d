//! A library on a disk that does not tell upper from lower case, as most cards and portable disks are: nothing is lost, and what cannot be
//! carried is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts, assert_files};

/// An exFAT disk in a file.
struct Disk {
    place: PathBuf,
    device: String,
}

/// What a command prints, if it goes well.
fn done(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Disk {
    /// None where this machine cannot mount one: that needs exfatprogs, a driver (the kernel's, or exfat-fuse), loop devices, and root.
    fn new(sandbox: &Sandbox) -> Option<Self> {
        let (image, place) = (sandbox.path().join("disk.img"), sandbox.path().join("disk"));
        std::fs::create_dir(&place).unwrap();
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let (image, at) = (image.to_str().unwrap(), place.to_str().unwrap());
        let device = done("mkfs.exfat", &[image]).and_then(|_| done("losetup", &["--find", "--show", image]));
        let disk = device.map(|device| Self { place: place.clone(), device });
        let mounted = disk.filter(|disk| {
            done("mount", &["-t", "exfat", &disk.device, at]).or_else(|| done("mount.exfat-fuse", &[&disk.device, at])).is_some()
        });
        if mounted.is_none() {
            eprintln!("skipped: a disk that folds case cannot be mounted here");
        }
        mounted
    }

    fn node(&self, sandbox: &Sandbox, name: &str) -> Node {
        let mut node = sandbox.node(name);
        node.library = self.place.join(name);
        std::fs::create_dir(&node.library).unwrap();
        node
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        done("umount", &[self.place.to_str().unwrap()]);
        done("losetup", &["--detach", &self.device]);
    }
}

fn rename(root: &Path, from: &str, to: &str) {
    std::fs::rename(root.join(from), root.join(to)).unwrap();
}

#[test]
fn a_disk_that_folds_case_loses_nothing() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::new(&sandbox) else { return };
    names_that_differ_in_case_only(&sandbox, &disk);
    renames_of_case_only(&sandbox, &disk);
    updates_and_exchanged_names(&sandbox, &disk);
}

fn names_that_differ_in_case_only(sandbox: &Sandbox, disk: &Disk) {
    let (node, server) = (disk.node(sandbox, "names"), PlainServer::start());
    node.connect("svc", &server.url, &["--deletes", "trash"]);
    for (path, content) in [("a.jpg", "one"), ("A.jpg", "two"), ("d/x.jpg", "three"), ("D/y.jpg", "four")] {
        server.state().put(path, content);
    }
    let there = server.state().contents();
    for _ in 0..3 {
        let report = node.sync();
        let skipped = report["skipped"].as_array().unwrap();
        assert_eq!(skipped.len(), 2, "{report:#}");
        assert!(skipped.iter().all(|one| one["reason"].as_str().unwrap().contains("does not tell upper from lower case")), "{report:#}");
        assert_eq!(server.state().contents(), there);
        assert_eq!(node.files().len(), 2);
        assert!(node.files().iter().all(|(path, content)| there[path] == *content));
    }
    assert!(node.trashed().is_empty());
    // When the owner gives it another name it comes.
    let missing: Vec<_> = there.keys().filter(|path| !node.files().contains_key(*path)).cloned().collect();
    for path in &missing {
        server.state().rename(path, &format!("renamed {}", path.replace('/', " ")));
    }
    node.sync();
    assert_eq!(node.files(), server.state().contents());
    assert!(node.trashed().is_empty());
}

fn renames_of_case_only(sandbox: &Sandbox, disk: &Disk) {
    for checksums in [true, false] {
        let (node, server) = (disk.node(sandbox, &format!("renames {checksums}")), PlainServer::start());
        server.state().tells_checksums = checksums;
        node.connect("svc", &server.url, &["--deletes", "trash"]);
        for path in ["here.jpg", "there.jpg", "d/x.jpg", "d/y.jpg", "e/z.jpg"] {
            node.put(path, path);
        }
        node.sync();
        server.changes();
        rename(&node.library, "here.jpg", "HERE.jpg");
        rename(&node.library, "d", "D");
        server.state().rename("there.jpg", "There.jpg");
        server.state().rename("e", "E");
        let report = node.sync();
        assert_eq!((&report["bytes_up"], &report["deleted"]), (&0.into(), &0.into()), "{report:#}");
        let expected =
            [("HERE.jpg", "here.jpg"), ("There.jpg", "there.jpg"), ("D/x.jpg", "d/x.jpg"), ("D/y.jpg", "d/y.jpg"), ("E/z.jpg", "e/z.jpg")];
        assert_files(&node, &expected);
        assert_eq!(node.files(), server.state().contents());
        assert!(node.trashed().is_empty());
        let sent = server.changes();
        assert!(sent.iter().all(|change| change.starts_with("MOVE")), "{sent:?}");
        assert_counts(&node.sync(), &[]);
    }
}

fn updates_and_exchanged_names(sandbox: &Sandbox, disk: &Disk) {
    let (node, server) = (disk.node(sandbox, "updates"), PlainServer::start());
    server.state().tells_checksums = true;
    node.connect("svc", &server.url, &["--deletes", "trash"]);
    for path in ["1.jpg", "2.jpg", "changed.jpg", "gone.jpg"] {
        node.put(path, path);
    }
    node.sync();
    let mut there = server.state();
    there.rename("1.jpg", "0.jpg");
    there.rename("2.jpg", "1.jpg");
    there.rename("0.jpg", "2.jpg");
    there.put("changed.jpg", "an edit");
    there.remove("gone.jpg");
    drop(there);
    node.sync();
    assert_files(&node, &[("1.jpg", "2.jpg"), ("2.jpg", "1.jpg"), ("changed.jpg", "an edit")]);
    let mut trashed = node.trashed();
    trashed.sort();
    assert_eq!(trashed, ["changed.jpg", "gone.jpg"]);
    assert_counts(&node.sync(), &[]);
    assert!(node.left_behind().is_empty());
}
