//! Real programs on the other side. Each test says by name what is missing when it skips.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::{Node, PASSWORD, Sandbox, assert_counts, assert_files, eventually, have, sample, show, tree, write};

#[test]
fn litmus() {
    if !have("litmus") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    for (suite, tests) in [("basic", 16), ("copymove", 13), ("props", 30), ("locks", 41), ("http", 4)] {
        let output = Command::new("litmus")
            .env("TESTS", suite)
            .args([&node.originals(), "admin", PASSWORD])
            .current_dir(sandbox.path())
            .output()
            .unwrap();
        let summary = format!("of {tests} tests run: {tests} passed, 0 failed");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains(&summary) && !said.contains("WARNING") && !said.contains("warnings were issued"),
            "{suite}: {}",
            show(&output)
        );
    }
    assert!(node.left_behind().is_empty());
}

#[test]
fn rclone_reads_and_writes() {
    if !have("rclone") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("2020/from node ä+#.jpg", "node");
    node.serve();
    let rclone = |args: &[&str]| {
        let obscured = Command::new("rclone").args(["obscure", PASSWORD]).output().unwrap();
        let output = Command::new("rclone")
            .env("RCLONE_CONFIG", sandbox.path().join("rclone.conf"))
            .env("RCLONE_CONFIG_N_TYPE", "webdav")
            .env("RCLONE_CONFIG_N_URL", node.originals())
            .env("RCLONE_CONFIG_N_VENDOR", "other")
            .env("RCLONE_CONFIG_N_USER", "admin")
            .env("RCLONE_CONFIG_N_PASS", String::from_utf8_lossy(&obscured.stdout).trim())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", show(&output));
    };
    let local = sandbox.path().join("local");
    write(&local.join("up/täglich & 100%.jpg"), b"rclone");
    rclone(&["copy", local.to_str().unwrap(), "n:"]);
    assert_eq!(node.files()["up/täglich & 100%.jpg"], "rclone");
    rclone(&["copy", "n:", local.to_str().unwrap()]);
    assert_eq!(tree(&local)["2020/from node ä+#.jpg"], "node");
    rclone(&["check", "--download", "n:", local.to_str().unwrap()]);
}

/// A program that runs until its owner goes.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// A WebDAV server, in a folder of its own.
pub struct Server {
    /// Its WebDAV root; ends with a slash.
    pub url: String,
    /// Where its files are.
    pub files: PathBuf,
    /// What makes it up; the front goes first.
    pub parts: Vec<Running>,
}

/// A port that nobody listens on, below those that the system gives out by itself. RACE: somebody else may take it before it is used; no
/// other test does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let first = 10_000 + (std::process::id() % 2_000) as u16 * 10;
        let port = first + NEXT.fetch_add(1, Ordering::SeqCst) % 1_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts a program that listens on a port, and waits until it does.
#[track_caller]
pub fn listening(command: &mut Command, port: u16) -> Running {
    let mut running = Running(command.stdin(Stdio::null()).spawn().unwrap());
    eventually(&format!("the start of {command:?}"), || {
        assert!(running.0.try_wait().unwrap().is_none(), "{command:?} ended");
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    running
}

fn apache(sandbox: &Sandbox) -> Option<Server> {
    apache_with(sandbox, "")
}

/// The same with some lines more for its folder.
pub fn apache_with(sandbox: &Sandbox, extra: &str) -> Option<Server> {
    let config = |root: &Path| {
        let root = root.display();
        format!(
            "DavLockDB {root}/locks/db\n<Directory {root}/dav>\n  Dav On\n  AuthType Basic\n  AuthName dav\n  AuthUserFile {root}/users\n  \
             Require valid-user\n{extra}\n</Directory>\n"
        )
    };
    apache_of(sandbox, &["authn_core", "authn_file", "authz_user", "auth_basic", "dav", "dav_fs"], config)
}

/// Apache with these modules and what `config` says for its folder. The files are in `dav` there, the users in `users`.
pub fn apache_of(sandbox: &Sandbox, modules: &[&str], config: impl Fn(&Path) -> String) -> Option<Server> {
    if !have("apache2") || !have("htpasswd") {
        return None;
    }
    let root = sandbox.path().join("apache");
    let files = root.join("dav");
    fs::create_dir_all(&files).unwrap();
    make_users(&root.join("users"));
    let port = free_port();
    let modules: String = ["mpm_event", "authz_core"]
        .iter()
        .chain(modules)
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    // Root may not serve; the files must belong to whom Apache becomes.
    let user = if is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let config = format!(
        "ServerRoot {root}\nPidFile {root}/pid\nErrorLog {root}/error.log\nListen 127.0.0.1:{port}\nServerName 127.0.0.1\n{modules}{user}\
         DocumentRoot {root}/dav\n{config}",
        root = root.display(),
        config = config(&root)
    );
    fs::write(root.join("httpd.conf"), config).unwrap();
    fs::create_dir(root.join("locks")).unwrap();
    if is_root() {
        let owned = Command::new("chown").args(["-R", "www-data:www-data"]).arg(&root).status().unwrap();
        assert!(owned.success());
        let reachable = Command::new("chmod").arg("755").arg(sandbox.path()).status().unwrap();
        assert!(reachable.success());
    }
    let running = listening(Command::new("apache2").args(["-DFOREGROUND", "-f"]).arg(root.join("httpd.conf")), port);
    Some(Server { url: format!("http://127.0.0.1:{port}/"), files, parts: vec![running] })
}

/// Writes a file of users for Apache and nginx, in which the admin is.
pub fn make_users(place: &Path) {
    let made = Command::new("htpasswd").arg("-cbs").arg(place).args(["admin", PASSWORD]).output().unwrap();
    assert!(made.status.success(), "{}", show(&made));
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn connected(sandbox: &Sandbox) -> Option<(Node, Server)> {
    let server = apache(sandbox)?;
    let node = sandbox.node("n");
    node.connect("apache", &server.url, &["--folder", "/Photos & more"]);
    Some((node, server))
}

#[test]
fn apache_both_ways_and_updates() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    node.put("2020/up ä+#%.jpg", "from node");
    node.put("2021/x.jpg", "x");
    assert_counts(&node.sync(), &[("uploaded", 2)]);
    write(&server.files.join("Photos & more/2022/down 'q'.jpg"), b"from apache");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert_counts(&node.sync(), &[]);
    let mut there = tree(&server.files.join("Photos & more"));
    there.retain(|path, _| !path.contains(".DAV/"));
    assert_eq!(node.files(), there);

    // An update goes by a name of ours and a MOVE; nothing of it stays.
    node.put("2021/x.jpg", "x, edited here");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(fs::read(server.files.join("Photos & more/2021/x.jpg")).unwrap(), b"x, edited here");
    assert!(!tree(&server.files).keys().any(|path| path.ends_with(".part")));
    write(&server.files.join("Photos & more/2021/x.jpg"), b"x, edited there");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert_eq!(node.files()["2021/x.jpg"], "x, edited there");
    assert_eq!(node.trashed(), ["x, edited here"]);
    assert_counts(&node.sync(), &[]);
}

#[test]
fn apache_conflict_move_and_deletion() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    for name in ["a", "b", "c", "d", "e", "f"] {
        node.put(&format!("{name}.jpg"), &format!("content {name}"));
    }
    node.run(&["service", "sync", "apache", "--deletes", "trash"]);
    node.sync();
    let photos = server.files.join("Photos & more");
    node.put("a.jpg", "a, edited here");
    write(&photos.join("a.jpg"), b"a, edited there!");
    node.rename("b.jpg", "2020/renamed.jpg");
    node.remove("c.jpg");
    fs::remove_file(photos.join("d.jpg")).unwrap();
    let report = node.sync();
    assert_counts(&report, &[("uploaded", 1), ("downloaded", 1), ("moved", 1), ("deleted", 2)]);
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1, "{report:#}");
    let mut there = tree(&photos);
    there.retain(|path, _| !path.contains(".DAV/"));
    assert_eq!(node.files(), there);
    assert_eq!(there["a.jpg"], "a, edited here");
    assert!(there.values().any(|content| content == "a, edited there!") && there.contains_key("2020/renamed.jpg"));
    assert_counts(&node.sync(), &[]);
}

#[test]
fn apache_with_the_same_content_on_both_sides() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    let photos = server.files.join("Photos & more");
    node.put("same/1.jpg", "equal");
    write(&photos.join("same/1.jpg"), b"equal");
    node.put("mine/2.jpg", "equal under two names");
    write(&photos.join("theirs/2.jpg"), b"equal under two names");
    let report = node.sync();
    assert_counts(&report, &[("adopted", 2)]);
    assert_counts(&node.sync(), &[]);
    assert_files(&node, &[("same/1.jpg", "equal"), ("mine/2.jpg", "equal under two names")]);
}

#[test]
fn apache_duplicates_are_read_once_and_not_again() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    let photos = server.files.join("Photos & more");
    for path in ["one/1.jpg", "two/2.jpg", "three/3.jpg"] {
        write(&photos.join(path), b"three times the same");
    }
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    for path in ["one/1.jpg", "two/2.jpg", "three/3.jpg"] {
        fs::File::options().write(true).open(photos.join(path)).unwrap().set_modified(old).unwrap();
    }
    node.sync();
    assert_eq!(node.files().len(), 1);
    let report = node.sync();
    assert_counts(&report, &[]);
    assert_eq!(report["skipped"].as_array().unwrap().len(), 2, "{report:#}");
    // A look at the root and the listings of four folders: no file was read again.
    assert_eq!(report["requests"], 5, "{report:#}");
}

#[test]
fn apache_stacks_get_one_name_by_date_and_keep_it() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    node.run(&["service", "sync", "apache", "--keep-names", "no", "--deletes", "trash"]);
    let photos = server.files.join("Photos & more");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let put = |name: &str, to: &str| {
        write(&photos.join(to), &sample(name));
        fs::File::options().write(true).open(photos.join(to)).unwrap().set_modified(old).unwrap();
    };
    put("ridge.dng", "cam/IMG_0001.DNG");
    put("ridge.jpg", "cam/IMG_0001.JPG");
    put("ridge.xmp", "cam/IMG_0001.xmp");
    put("harbor-live.heic", "cam/IMG_2041.HEIC");
    for number in 0..6 {
        put(["lake.jpg", "snow.jpg", "moon.jpg", "cake.jpg", "tower.jpg", "pines.jpg"][number], &format!("more/{number}.jpg"));
    }
    assert_counts(&node.sync(), &[("downloaded", 10)]);
    put("harbor-live.mov", "cam/IMG_2041.MOV");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    let names: Vec<String> = node.files().into_keys().collect();
    let stems: std::collections::BTreeSet<_> = names.iter().map(|name| name.split('.').next().unwrap()).collect();
    assert_eq!((names.len(), stems.len()), (11, 8), "{names:#?}");
    // Renamed there: nothing tells the content, so it is read again, and is what is here.
    fs::create_dir(photos.join("new")).unwrap();
    for name in ["IMG_0001.DNG", "IMG_0001.xmp"] {
        fs::rename(photos.join("cam").join(name), photos.join("new").join(name)).unwrap();
    }
    let report = node.sync();
    assert_eq!((&report["downloaded"], &report["deleted"], &report["uploaded"]), (&0.into(), &0.into(), &0.into()), "{report:#}");
    assert_eq!(node.files().into_keys().collect::<Vec<_>>(), names);
    assert_counts(&node.sync(), &[]);
    // An edit there comes to the name here.
    write(&photos.join("new/IMG_0001.xmp"), b"rated");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert_eq!(node.files().into_keys().collect::<Vec<_>>(), names);
}

#[test]
fn apache_is_asked_once_for_the_first_bytes() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    node.run(&["service", "sync", "apache", "--raw-and-video", "no"]);
    let photos = server.files.join("Photos & more");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let transport: Vec<u8> = (0..4000).map(|at| if at % 188 == 0 { 0x47 } else { 0 }).collect();
    let files =
        [("d/video.ts", &transport[..]), ("d/source.ts", b"export const photo = 1;"), ("d/x.mts", &transport[188..]), ("d/e.ts", b"")];
    for (name, bytes) in files {
        write(&photos.join(name), bytes);
        fs::File::options().write(true).open(photos.join(name)).unwrap().set_modified(old).unwrap();
    }
    let report = node.sync();
    assert_counts(&report, &[("downloaded", 2)]);
    assert_eq!(node.files().into_keys().collect::<Vec<_>>(), ["d/e.ts", "d/source.ts"]);
    let settled = node.sync();
    // Another setting: everything is decided again, and nothing is asked again.
    node.run(&["service", "sync", "apache", "--exclude", "*.psd"]);
    let again = node.sync();
    assert_counts(&again, &[]);
    assert_eq!((&again["requests"], &again["held_back"]), (&settled["requests"], &report["held_back"]), "{again:#}");
    node.run(&["service", "sync", "apache", "--raw-and-video", "yes"]);
    assert_counts(&node.sync(), &[("downloaded", 2)]);
}

#[test]
fn apache_metadata_without_a_date_waits_for_its_picture() {
    let sandbox = Sandbox::new();
    let Some((node, server)) = connected(&sandbox) else { return };
    node.run(&["service", "sync", "apache", "--keep-names", "no"]);
    let photos = server.files.join("Photos & more");
    write(&photos.join("IMG_20200102_030405.jpg"), b"picture");
    write(&photos.join("IMG_20200102_030405.aae"), b"adjusted");
    write(&photos.join("IMG_20200102_030406.jpg"), b"another");
    let picture = photos.join("IMG_20200102_030405.jpg");
    let allow = |mode| fs::set_permissions(&picture, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    allow(0o000);
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("downloaded", 1)]);
    assert_eq!(report["failed"].as_array().unwrap().len(), 2, "{report:#}");
    allow(0o644);
    assert_counts(&node.sync(), &[("downloaded", 2)]);
    let names: Vec<String> = node.files().into_keys().collect();
    let stem = names[0].strip_suffix(".aae").unwrap();
    assert!(stem.starts_with("2020/01/20200102_030405_"), "{names:#?}");
    assert_eq!(names[1], format!("{stem}.jpg"));
}
