//! Clients as they really ask: each story replays the requests of one of them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Answer, Node, PASSWORD, Sandbox, assert_files, eventually, have, http, read_answer, send_head, show, tree};

/// One client at one node.
struct Client<'a> {
    node: &'a Node,
    agent: &'static str,
}

impl Client<'_> {
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("User-Agent", self.agent)], headers].concat();
        http(method, &format!("{}{path}", self.node.url()), &headers, body.as_bytes())
    }

    fn status(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        self.ask(method, path, headers, body).status
    }

    /// A body in chunks, without a length but as a header says it.
    fn put_chunked(&self, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        let headers = [&[("User-Agent", self.agent), ("Transfer-Encoding", "chunked")], headers].concat();
        let mut stream = send_head("admin", PASSWORD, "PUT", &format!("{}{path}", self.node.url()), &headers);
        for piece in body.as_bytes().chunks(7) {
            write!(stream, "{:x}\r\n", piece.len()).unwrap();
            stream.write_all(piece).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        read_answer(&mut stream).status
    }
}

const LOCK: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope><D:locktype>\
    <D:write/></D:locktype><D:owner><D:href>client</D:href></D:owner></D:lockinfo>";

/// How many files the index counts.
fn counted(node: &Node) -> u64 {
    let status = node.run(&["status"]);
    ["files", "indexed"]
        .iter()
        .find_map(|key| status[*key].as_u64().or_else(|| status["library"][*key].as_u64()))
        .unwrap_or_else(|| panic!("{status:#}"))
}

#[test]
fn finder_copies_a_photo() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let finder = Client { node: &node, agent: "WebDAVFS/3.0.0 (03008000) Darwin/23.1.0 (arm64)" };
    assert!(finder.ask("OPTIONS", "/originals/", &[], "").headers["dav"].contains('2'));
    assert_eq!(finder.status("PROPFIND", "/originals/", &[("Depth", "0")], ""), 207);
    for probe in ["._.", ".DS_Store", ".localized", ".metadata_never_index", ".ql_disablethumbnails", ".hidden", "._IMG.jpg", "mach_kernel"]
    {
        assert_eq!(finder.status("PROPFIND", &format!("/originals/{probe}"), &[("Depth", "0")], ""), 404, "{probe}");
        assert_eq!(finder.status("GET", &format!("/originals/{probe}"), &[], ""), 404, "{probe}");
    }
    // An empty file first, then a lock, then the bytes, for the photo and for what goes with it.
    for (name, body) in [("IMG.jpg", "a photo of a good length"), ("._IMG.jpg", "resource fork")] {
        let path = format!("/originals/{name}");
        assert_eq!(finder.status("PUT", &path, &[], ""), 201);
        let locked = finder.ask("LOCK", &path, &[("Depth", "0"), ("Timeout", "Second-600")], LOCK);
        assert_eq!(locked.status, 200);
        let held = format!("({})", locked.headers["lock-token"]);
        let length = body.len().to_string();
        assert_eq!(finder.put_chunked(&path, &[("X-Expected-Entity-Length", &length)], body), 423);
        let wrong = [("X-Expected-Entity-Length", "9999"), ("If", held.as_str())];
        assert_eq!(finder.put_chunked(&path, &wrong, body), 400);
        assert_eq!(finder.put_chunked(&path, &[("X-Expected-Entity-Length", &length), ("If", &held)], body), 204);
        assert_eq!(finder.status("LOCK", &path, &[("If", &held), ("Timeout", "Second-600")], ""), 200);
        assert_eq!(finder.status("UNLOCK", &path, &[("Lock-Token", &locked.headers["lock-token"])], ""), 204);
    }
    assert_files(&node, &[("._IMG.jpg", "resource fork"), ("IMG.jpg", "a photo of a good length")]);
    assert_eq!(counted(&node), 1);
}

#[test]
fn explorer_copies_a_photo() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let explorer = Client { node: &node, agent: "Microsoft-WebDAV-MiniRedir/10.0.19045" };
    let options = explorer.ask("OPTIONS", "/", &[("Translate", "f")], "");
    assert_eq!((options.headers["ms-author-via"].as_str(), options.headers["dav"].as_str()), ("DAV", "1, 2, 3, nextcloud-checksum-update"));
    for path in ["/", "/originals", "/originals/"] {
        assert_eq!(explorer.status("PROPFIND", path, &[("Depth", "0"), ("Translate", "f")], ""), 207, "{path}");
    }
    assert_eq!(explorer.status("PROPFIND", "/originals/IMG.jpg", &[("Depth", "0")], ""), 404);
    assert_eq!(explorer.status("PUT", "/originals/IMG.jpg", &[("Translate", "f")], ""), 201);
    // No Depth.
    let locked = explorer.ask("LOCK", "/originals/IMG.jpg", &[("Timeout", "Second-3600"), ("Translate", "f")], LOCK);
    assert_eq!(locked.status, 200);
    let held = format!("({})", locked.headers["lock-token"]);
    let times = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
        <Z:Win32CreationTime>Fri, 14 Jul 2017 02:40:00 GMT</Z:Win32CreationTime><Z:Win32LastAccessTime>Fri, 14 Jul 2017 02:40:00 GMT\
        </Z:Win32LastAccessTime><Z:Win32LastModifiedTime>Fri, 14 Jul 2017 02:40:00 GMT</Z:Win32LastModifiedTime>\
        <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    assert_eq!(explorer.status("PROPPATCH", "/originals/IMG.jpg", &[], times), 423);
    let patched = explorer.ask("PROPPATCH", "/originals/IMG.jpg", &[("If", &held)], times);
    assert!(patched.status == 207 && !patched.text().contains("403"), "{}", patched.text());
    assert_eq!(explorer.status("HEAD", "/originals/IMG.jpg", &[("Translate", "f")], ""), 200);
    assert_eq!(explorer.status("PUT", "/originals/IMG.jpg", &[("If", &held), ("Translate", "f")], "photo"), 204);
    let patched = explorer.ask("PROPPATCH", "/originals/IMG.jpg", &[("If", &held)], times);
    assert_eq!(patched.status, 207);
    assert_eq!(explorer.status("UNLOCK", "/originals/IMG.jpg", &[("Lock-Token", &locked.headers["lock-token"])], ""), 204);
    let modified = node.library.join("IMG.jpg").metadata().unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_500_000_000);
    // Its own junk.
    for junk in ["Thumbs.db", "desktop.ini"] {
        assert_eq!(explorer.status("PUT", &format!("/originals/{junk}"), &[], "junk"), 201);
    }
    assert_eq!(counted(&node), 1);
}

#[test]
fn uploads_under_a_temporary_name_end_with_a_move() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "old");
    node.serve();
    for (agent, temporary, overwrite) in [
        ("FolderSync", "a.jpg.tacitpart", "T"),
        ("WinSCP/6.3.1", "a.jpg.filepart", "T"),
        ("Mozilla/5.0 (compatible; Nextcloud Server Crawler)", "a.jpg.ocTransferId1234567.part", "T"),
    ] {
        let client = Client { node: &node, agent };
        let (from, to) = (format!("/originals/{temporary}"), "/originals/a.jpg");
        assert_eq!(client.status("PUT", &from, &[], agent), 201, "{agent}");
        assert_eq!(counted(&node), 1);
        let listed = http("PROPFIND", &node.originals(), &[("Depth", "1")], b"").text();
        assert!(listed.contains(temporary), "{agent}");
        assert_eq!(client.status("MOVE", &from, &[("Destination", to), ("Overwrite", "F")], ""), 412, "{agent}");
        // Behind a proxy it is known by another name.
        let absolute = format!("https://photos.example{to}");
        let told = [("Destination", absolute.as_str()), ("Overwrite", overwrite), ("X-Forwarded-Host", "photos.example")];
        assert_eq!(client.status("MOVE", &from, &told, ""), 204, "{agent}");
        assert_files(&node, &[("a.jpg", agent)]);
        assert_eq!(counted(&node), 1);
    }
    assert_eq!(node.trashed().len(), 3);
}

#[test]
fn davfs2_asks_for_the_tag_right_after() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let davfs = Client { node: &node, agent: "davfs2/1.7.0 neon/0.33.0" };
    let locked = davfs.ask("LOCK", "/originals/a.jpg", &[("Depth", "0"), ("Timeout", "Second-1800")], LOCK);
    assert_eq!(locked.status, 201);
    let held = format!("</originals/a.jpg> ({})", locked.headers["lock-token"]);
    let put = davfs.ask("PUT", "/originals/a.jpg", &[("If", &held)], "one");
    assert_eq!(put.status, 204);
    let tag = davfs.ask("HEAD", "/originals/a.jpg", &[], "").headers["etag"].clone();
    assert_eq!(tag, put.headers["etag"]);
    assert_eq!(davfs.status("PUT", "/originals/a.jpg", &[("If", &held), ("If-Match", &tag)], "two"), 204);
    assert_eq!(davfs.status("PUT", "/originals/a.jpg", &[("If", &held), ("If-Match", &tag)], "three"), 412);
    assert_eq!(davfs.status("GET", "/originals/a.jpg", &[("If-None-Match", &tag)], ""), 200);
    assert_eq!(davfs.status("UNLOCK", "/originals/a.jpg", &[("Lock-Token", &locked.headers["lock-token"])], ""), 204);
    assert_files(&node, &[("a.jpg", "two")]);
}

#[test]
fn gvfs_climbs_up_and_makes_folders_with_a_slash() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let gvfs = Client { node: &node, agent: "gvfs/1.54.0" };
    // A 405 on the way up made it stop; 404 says where to stop.
    for (path, status) in [("/originals/", 207), ("/", 207), ("/remote.php/dav/files/admin/", 207), ("/nowhere/", 404)] {
        assert_eq!(gvfs.status("PROPFIND", path, &[("Depth", "0")], ""), status, "{path}");
    }
    assert_eq!(gvfs.status("MKCOL", "/originals/Neuer%20Ordner/", &[], ""), 201);
    assert_eq!(gvfs.status("MOVE", "/originals/Neuer%20Ordner/", &[("Destination", "/originals/Urlaub/"), ("Overwrite", "F")], ""), 201);
    assert_eq!(gvfs.status("PUT", "/originals/Urlaub/a.jpg", &[("If-None-Match", "*")], ""), 201);
    assert_eq!(gvfs.status("PUT", "/originals/Urlaub/a.jpg", &[("X-OC-MTime", "1500000000")], "photo"), 204);
    // Without slashes, as KIO has it.
    let kio = Client { node: &node, agent: "Mozilla/5.0 (X11; Linux x86_64) KIO/5.115 dolphin/23.08" };
    assert_eq!(kio.status("PROPFIND", "/originals/Urlaub", &[("Depth", "1")], ""), 207);
    assert_eq!(kio.status("MKCOL", "/originals/KDE", &[], ""), 201);
    assert_eq!(
        kio.status("MOVE", "/originals/Urlaub", &[("Destination", "/originals/KDE/Urlaub"), ("Overwrite", "F"), ("Depth", "infinity")], ""),
        201
    );
    assert_eq!(kio.status("DELETE", "/originals/KDE/Urlaub", &[("Depth", "infinity")], ""), 204);
    let duck = Client { node: &node, agent: "Cyberduck/9.0.0.41777 (Mac OS X/14.4) (aarch64)" };
    assert_eq!(duck.status("HEAD", "/originals/b.jpg", &[], ""), 404);
    assert_eq!(duck.status("PUT", "/originals/none/b.jpg", &[("Expect", "100-continue")], "duck"), 409);
    assert_eq!(duck.status("PUT", "/originals/b.jpg", &[], "duck"), 201);
    assert_eq!(duck.status("MOVE", "/originals/b.jpg", &[("Destination", "/originals/c.jpg"), ("Overwrite", "T")], ""), 201);
    assert_files(&node, &[("c.jpg", "duck")]);
}

#[test]
fn both_unicode_forms_of_a_name_are_one_file() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    // Müller/é.jpg, composed and decomposed; and a library that has decomposed names from a Mac.
    let (nfc, nfd) = ("M%C3%BCller/%C3%A9.jpg", "Mu%CC%88ller/e%CC%81.jpg");
    node.put("o\u{308}ld/a\u{308}.jpg", "from a Mac");
    node.run(&["index"]);
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    assert_eq!(http("MKCOL", &url("Mu%CC%88ller/"), &[], b"").status, 201);
    assert_eq!(http("MKCOL", &url("M%C3%BCller/"), &[], b"").status, 405);
    assert_eq!(http("PUT", &url(nfd), &[], b"one").status, 201);
    assert_eq!(http("PUT", &url(nfc), &[("If-None-Match", "*")], b"two").status, 412);
    assert_eq!(http("PUT", &url(nfc), &[], b"two").status, 204);
    for path in [nfc, nfd] {
        assert_eq!(http("GET", &url(path), &[], b"").text(), "two");
        assert_eq!(http("PROPFIND", &url(path), &[("Depth", "0")], b"").status, 207);
    }
    for path in ["%C3%B6ld/%C3%A4.jpg", "o%CC%88ld/a%CC%88.jpg", "%C3%B6ld/a%CC%88.jpg"] {
        assert_eq!(http("GET", &url(path), &[], b"").text(), "from a Mac", "{path}");
    }
    let listed = http("PROPFIND", &url(""), &[("Depth", "infinity")], b"").text();
    assert_eq!(listed.matches(".jpg</d:href>").count(), 2, "{listed}");
    // A lock is on the file, however it is spelled; and a condition too.
    let token = http("LOCK", &url(nfd), &[("Depth", "0")], LOCK.as_bytes()).headers["lock-token"].clone();
    assert_eq!(http("DELETE", &url(nfc), &[], b"").status, 423);
    assert_eq!(http("PUT", &url(nfc), &[("If", &format!("</originals/{nfd}> ({token})"))], b"three").status, 204);
    assert_eq!(http("UNLOCK", &url(nfc), &[("Lock-Token", &token)], b"").status, 204);
    // Copied and moved onto each other they meet.
    http("PUT", &url("x.jpg"), &[], b"x");
    assert_eq!(http("COPY", &url("x.jpg"), &[("Destination", &url(nfd)), ("Overwrite", "F")], b"").status, 412);
    assert_eq!(http("MOVE", &url("x.jpg"), &[("Destination", &url("o%CC%88ld/%C3%A4.jpg"))], b"").status, 204);
    assert_eq!(http("MOVE", &url("%C3%B6ld/"), &[("Destination", &url("Mu%CC%88ller/neu%CC%88/"))], b"").status, 201);
    assert_files(&node, &[("Müller/neü/a\u{308}.jpg", "x"), ("Müller/é.jpg", "three")]);
    // The spelling itself can be changed.
    let respelled = http("MOVE", &url("M%C3%BCller/ne%C3%BC/%C3%A4.jpg"), &[("Destination", &url("M%C3%BCller/ne%C3%BC/%C3%A4.jpg"))], b"");
    assert!(matches!(respelled.status, 201 | 204), "{respelled:?}");
    assert_files(&node, &[("Müller/neü/ä.jpg", "x"), ("Müller/é.jpg", "three")]);
    assert_eq!(http("DELETE", &url(nfd), &[], b"").status, 204);
    assert_eq!(http("GET", &url(nfc), &[], b"").status, 404);
}

#[test]
fn cadaver_does_everything() {
    if !have("cadaver") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("there.jpg", "from the node");
    node.serve();
    let home = sandbox.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join(".netrc"), format!("machine 127.0.0.1 login admin password \"{PASSWORD}\"\n")).unwrap();
    std::fs::write(home.join("up.jpg"), "from cadaver").unwrap();
    let script = "mkcol album\nput up.jpg album/up.jpg\nget there.jpg down.jpg\ncopy album/up.jpg album/copy.jpg\nmove album/copy.jpg moved.jpg\n\
        lock moved.jpg\nput up.jpg moved.jpg\nsteal moved.jpg\npropset moved.jpg note mine\npropget moved.jpg note\nls\n\
        copy album album2\ndelete album/up.jpg\nrmcol album\nquit\n";
    let mut cadaver = Command::new("cadaver");
    cadaver.arg(node.originals()).env("HOME", &home).current_dir(&home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cadaver = cadaver.spawn().unwrap();
    cadaver.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = cadaver.wait_with_output().unwrap();
    let said = show(&output);
    assert!(!said.contains("failed") && said.contains("note: mine") | said.contains("mine"), "{said}");
    assert_eq!(tree(&home)["down.jpg"], "from the node");
    assert_files(&node, &[("album2/up.jpg", "from cadaver"), ("moved.jpg", "from cadaver"), ("there.jpg", "from the node")]);
}

/// A mounted davfs2; unmounted with the value.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount_davfs(node: &Node, folder: &Path) -> Option<Mounted> {
    let (point, conf, secrets) = (folder.join("mnt"), folder.join("davfs2.conf"), folder.join("secrets"));
    let cache = folder.join("cache");
    std::fs::create_dir_all(&point).unwrap();
    std::fs::create_dir_all(&cache).unwrap();
    // It becomes a user of its own, who must get there.
    let mode = |path: &Path, mode: u32| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(folder.parent().unwrap(), 0o755);
    mode(&cache, 0o777);
    let settings = format!("ask_auth 0\nuse_locks 1\ndelay_upload 0\ncache_dir {}\nsecrets {}\n", cache.display(), secrets.display());
    std::fs::write(&conf, settings).unwrap();
    std::fs::write(&secrets, format!("{} admin \"{PASSWORD}\"\n", node.originals())).unwrap();
    mode(&secrets, 0o600);
    let mut command = Command::new("mount.davfs");
    command.arg(node.originals()).arg(&point).args(["-o", &format!("conf={}", conf.display())]).stdin(Stdio::null());
    let output = command.output().unwrap();
    if output.status.success() {
        return Some(Mounted(point));
    }
    eprintln!("skipped: davfs2 cannot mount here: {}", show(&output));
    None
}

#[test]
fn davfs2_is_a_folder_like_any_other() {
    if !have("mount.davfs") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/there.jpg", "from the node");
    node.serve();
    let Some(mounted) = mount_davfs(&node, &sandbox.path().join("davfs")) else { return };
    let point = &mounted.0;
    match std::fs::read_dir(point).map(|entries| entries.count()) {
        Ok(entries) if entries > 0 => {}
        other => {
            eprintln!("skipped: davfs2 cannot list on this kernel: {other:?}");
            return;
        }
    }
    assert_eq!(std::fs::read_to_string(point.join("d/there.jpg")).unwrap(), "from the node");
    std::fs::create_dir(point.join("new")).unwrap();
    std::fs::write(point.join("new/up.jpg"), "from davfs2").unwrap();
    eventually("the upload", || node.files().get("new/up.jpg").is_some_and(|content| content == "from davfs2"));
    std::fs::rename(point.join("new/up.jpg"), point.join("new/renamed.jpg")).unwrap();
    std::fs::remove_file(point.join("d/there.jpg")).unwrap();
    drop(mounted);
    assert_files(&node, &[("new/renamed.jpg", "from davfs2")]);
    assert_eq!(node.trashed().last().map(String::as_str), Some("from the node"));
}
