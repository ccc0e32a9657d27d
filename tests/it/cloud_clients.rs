//! The clients of Nextcloud and ownCloud, rclone in their guises, and a Nextcloud that mounts a node as external storage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::*;

/// A folder that a desktop client keeps in step with a node.
struct Desktop {
    program: &'static str,
    home: PathBuf,
    folder: PathBuf,
}

/// What a client calls its jobs that move, change or transfer something.
const EFFECTS: [&str; 6] = ["GETFileJob", "PUTFileJob", "PutMultiFileJob", "MoveJob", "DeleteJob", "MkColJob"];

impl Desktop {
    fn new(sandbox: &Sandbox, program: &'static str) -> Self {
        let (home, folder) = (sandbox.path().join("home"), sandbox.path().join("desktop"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&folder).unwrap();
        Self { program, home, folder }
    }

    fn write(&self, path: &str, content: &[u8]) {
        write_old(&self.folder.join(path), content, 1_600_000_000);
    }

    /// Syncs once; the log says what was done.
    #[track_caller]
    fn sync(&self, node: &Node) -> String {
        // Without a list of its own ownCloud's client does not begin.
        let exclude = self.home.join("exclude.lst");
        fs::write(&exclude, "*.tmp\n").unwrap();
        let output = Command::new(self.program)
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", &self.home)
            .env("XDG_RUNTIME_DIR", &self.home)
            .env("QT_QPA_PLATFORM", "offscreen")
            .args(["--non-interactive", "--trust", "--exclude"])
            .arg(&exclude)
            .args(["-u", "admin", "-p", PASSWORD])
            .arg(&self.folder)
            .arg(node.url())
            .output()
            .unwrap();
        let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let wrong: Vec<&str> = log.lines().filter(|line| ["warning", "critical", "fatal"].iter().any(|word| line.contains(word))).collect();
        assert!(output.status.success(), "{}: {}\n{}", self.program, output.status, wrong.join("\n"));
        log
    }

    /// Syncs once more and expects that there is nothing to do.
    #[track_caller]
    fn rests(&self, node: &Node) {
        let log = self.sync(node);
        let done: Vec<&str> = log.lines().filter(|line| EFFECTS.iter().any(|job| line.contains(job))).collect();
        assert!(done.is_empty(), "it does not come to rest:\n{}", done.join("\n"));
    }

    /// What is in the folder, without the client's own files.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = tree(&self.folder);
        files.retain(|path, _| !path.starts_with(".sync_") && !path.starts_with("._sync_") && !path.starts_with(".owncloudsync"));
        files
    }
}

/// A file that was not written just now: clients wait for files that are.
fn write_old(place: &Path, content: &[u8], seconds: u64) {
    write(place, content);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(place).unwrap().set_modified(time).unwrap();
}

/// Bytes that do not repeat.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(size)
    .collect()
}

fn seconds(place: &Path) -> u64 {
    fs::metadata(place).unwrap().modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn syncs_both_ways(program: &'static str) {
    if !have(program) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    write_old(&node.library.join("on node/über+all %41.jpg"), b"from the node", 1_500_000_000);
    node.put("a.jpg", "a");
    node.serve();
    let url = |path: &str| format!("{}/remote.php/dav/files/admin/{path}", node.url());
    node.run(&["index"]);
    let desktop = Desktop::new(&sandbox, program);
    desktop.write("one.txt", b"one");
    desktop.write("dir/zw ei ä#+%.txt", b"zwei");
    desktop.write("dir/empty.txt", b"");
    let large = noise(25_000_000);
    desktop.write("dir/big.bin", &large);
    for number in 0..30 {
        desktop.write(&format!("small/{number}.txt"), format!("small {number}").as_bytes());
    }

    let log = desktop.sync(&node);
    assert_eq!(desktop.files(), node.files());
    assert_eq!(node.files().len(), 36);
    assert_eq!(fs::read(node.library.join("dir/big.bin")).unwrap(), large);
    assert!(log.contains("/remote.php/dav/uploads/admin/"), "the large file went in pieces");
    assert_eq!(seconds(&node.library.join("one.txt")), 1_600_000_000);
    assert_eq!(seconds(&desktop.folder.join("on node/über+all %41.jpg")), 1_500_000_000);
    assert_eq!(tree(&node.library.join(".twinlens/uploads")).len(), 0);
    desktop.rests(&node);

    // Changes on both sides.
    write_old(&desktop.folder.join("one.txt"), b"one, changed", 1_600_000_100);
    fs::remove_file(desktop.folder.join("small/1.txt")).unwrap();
    fs::rename(desktop.folder.join("dir/big.bin"), desktop.folder.join("moved.bin")).unwrap();
    fs::create_dir(desktop.folder.join("empty")).unwrap();
    http("PUT", &url("small/2.txt"), &[("X-OC-MTime", "1600000200")], b"changed on the node");
    assert_eq!(http("DELETE", &url("small/3.txt"), &[], b"").status, 204);
    assert_eq!(http("MOVE", &url("small/4.txt"), &[("Destination", &url("dir/four.txt"))], b"").status, 201);
    assert_eq!(http("MKCOL", &url("made"), &[], b"").status, 201);
    let log = desktop.sync(&node);
    assert_eq!(desktop.files(), node.files());
    let files = node.files();
    assert_eq!((files["one.txt"].as_str(), files["small/2.txt"].as_str()), ("one, changed", "changed on the node"));
    assert!(!files.contains_key("small/1.txt") && !files.contains_key("small/3.txt"));
    assert!(files.contains_key("moved.bin") && files["dir/four.txt"] == "small 4");
    assert!(node.library.join("empty").is_dir() && desktop.folder.join("made").is_dir());
    assert!(log.contains("MoveJob"), "the large file was moved, not sent again");
    let fetched = |name: &str| log.lines().any(|line| line.contains("GETFileJob") && line.contains(name));
    assert!(fetched("small/2.txt") && !fetched("four.txt"), "what was moved on the node is moved here, not fetched again");
    assert!(node.trashed().contains(&"one".to_owned()) && node.trashed().contains(&"small 1".to_owned()));
    desktop.rests(&node);

    // A large file that changed replaces the one that was there when it was sent.
    let mut large = large;
    large[12_345_678] ^= 1;
    write_old(&desktop.folder.join("moved.bin"), &large, 1_600_000_300);
    // A conflict: both are kept.
    write_old(&desktop.folder.join("a.jpg"), b"changed here", 1_600_000_300);
    http("PUT", &url("a.jpg"), &[("X-OC-MTime", "1600000400")], b"changed there");
    desktop.sync(&node);
    desktop.sync(&node);
    assert_eq!(fs::read(node.library.join("moved.bin")).unwrap(), large);
    let contents: Vec<String> = desktop.files().into_iter().filter(|(path, _)| path.starts_with('a')).map(|(_, content)| content).collect();
    assert!(contents.contains(&"changed here".to_owned()) && contents.contains(&"changed there".to_owned()), "{contents:?}");
    assert_eq!(node.files()["a.jpg"], "changed there");
    desktop.rests(&node);
    assert_eq!(node.left_behind(), Vec::<String>::new());
}

#[test]
fn nextcloudcmd_syncs_both_ways_and_comes_to_rest() {
    syncs_both_ways("nextcloudcmd");
}

#[test]
fn owncloudcmd_syncs_both_ways_and_comes_to_rest() {
    syncs_both_ways("owncloudcmd");
}

fn rclone(sandbox: &Sandbox, node: &Node, vendor: &str, root: &str, args: &[&str]) -> Output {
    let obscured = Command::new("rclone").args(["obscure", PASSWORD]).output().unwrap();
    let output = Command::new("rclone")
        .env("RCLONE_CONFIG", sandbox.path().join("rclone.conf"))
        .env("RCLONE_CONFIG_N_TYPE", "webdav")
        .env("RCLONE_CONFIG_N_URL", format!("{}{root}", node.url()))
        .env("RCLONE_CONFIG_N_VENDOR", vendor)
        .env("RCLONE_CONFIG_N_USER", "admin")
        .env("RCLONE_CONFIG_N_PASS", String::from_utf8_lossy(&obscured.stdout).trim())
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{vendor} {args:?}: {}", show(&output));
    output
}

#[test]
fn rclone_in_every_guise_sees_hashes_and_times() {
    if !have("rclone") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let local = sandbox.path().join("local");
    let large = noise(12_000_000);
    write_old(&local.join("a.jpg"), b"a", 1_577_934_245);
    write_old(&local.join("d e/ü+%41.jpg"), b"plus", 1_577_934_246);
    write_old(&local.join("d e/big.bin"), &large, 1_577_934_247);
    let from = local.to_str().unwrap();
    for (vendor, root, keeps) in
        [("nextcloud", "/remote.php/dav/files/admin", true), ("owncloud", "/remote.php/webdav", true), ("other", "/originals", false)]
    {
        let to = format!("n:{vendor}");
        let run = |args: &[&str]| rclone(&sandbox, &node, vendor, root, args);
        run(&["copy", from, &to]);
        assert_eq!(tree(&node.library.join(vendor)), tree(&local), "{vendor}");
        let again = run(&["copy", "-v", "--stats-one-line", from, &to]);
        assert!(!String::from_utf8_lossy(&again.stderr).contains("Copied"), "{vendor}: {}", show(&again));
        run(&["check", from, &to]);
        if keeps {
            assert_eq!(seconds(&node.library.join(vendor).join("a.jpg")), 1_577_934_245, "{vendor}");
            let sums = run(&["hashsum", "sha1", &to]);
            assert!(String::from_utf8_lossy(&sums.stdout).contains("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8  a.jpg"), "{}", show(&sums));
            let listed: Value = serde_json::from_slice(&run(&["lsjson", "--hash", "-R", "--files-only", &to]).stdout).unwrap();
            let listed = listed.as_array().unwrap();
            assert_eq!(listed.len(), 3);
            for item in listed {
                assert!(
                    item["Hashes"]["sha1"].as_str().unwrap().len() == 40 && item["ModTime"].as_str().unwrap().starts_with("2020-01-02"),
                    "{item}"
                );
            }
            // A time that changed alone is told by PROPPATCH.
            write_old(&local.join("a.jpg"), b"a", 1_577_934_300);
            run(&["copy", from, &to]);
            assert_eq!(seconds(&node.library.join(vendor).join("a.jpg")), 1_577_934_300, "{vendor}");
            write_old(&local.join("a.jpg"), b"a", 1_577_934_245);
        }
        let back = sandbox.path().join(format!("back from {vendor}"));
        run(&["copy", &to, back.to_str().unwrap()]);
        assert_eq!(tree(&back), tree(&local), "{vendor}");
        run(&["moveto", &format!("{to}/a.jpg"), &format!("{to}/d e/moved.jpg")]);
        run(&["purge", &to]);
        assert!(!node.library.join(vendor).exists());
    }
    assert_eq!(node.left_behind(), Vec::<String>::new());
}

/// How Nextcloud 24 asks (transcripts of its external storage): the agent of its metadata requests and of its transfers.
const SABRE: (&str, &str) = ("User-Agent", "sabre-dav/4.4.0 (http://sabre.io/)");
const CRAWLER: (&str, &str) = ("User-Agent", "Nextcloud Server Crawler");

const EIGHT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<d:propfind xmlns:d="DAV:">
  <d:prop xmlns:x="http://owncloud.org/ns" xmlns:x1="http://open-collaboration-services.org/ns">
    <d:getlastmodified/>
    <d:getcontentlength/>
    <d:getcontenttype/>
    <x:permissions xmlns:x="http://owncloud.org/ns"/>
    <x1:share-permissions xmlns:x="http://open-collaboration-services.org/ns"/>
    <d:resourcetype/>
    <d:getetag/>
    <d:quota-available-bytes/>
  </d:prop>
</d:propfind>
"#;

const ONLY_ETAG: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<d:propfind xmlns:d="DAV:">
  <d:prop>
    <d:getetag/>
  </d:prop>
</d:propfind>
"#;

/// What a Nextcloud keeps of one resource.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    href: String,
    etag: Option<String>,
    modified: Option<String>,
    folder: bool,
}

fn look(url: &str, depth: &str, body: &str) -> Vec<Seen> {
    let answer = http("PROPFIND", url, &[SABRE, ("Depth", depth), ("Content-Type", "application/xml")], body.as_bytes());
    assert_eq!(answer.status, 207, "{url}: {}", answer.text());
    let text = answer.text();
    let between = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<d:{tag}>"))?;
        rest.split_once(&format!("</d:{tag}>")).map(|(inner, _)| inner.replace("&quot;", "\""))
    };
    text.split("<d:response>")
        .skip(1)
        .map(|response| {
            let found = response.split("HTTP/1.1 200 OK").next().unwrap();
            Seen {
                href: between(response, "href").unwrap(),
                etag: between(found, "getetag"),
                modified: between(found, "getlastmodified"),
                folder: found.contains("<d:collection"),
            }
        })
        .collect()
}

#[test]
fn a_nextcloud_that_mounts_a_node_comes_to_rest() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["100%25.txt", "a b.txt", "a+b.txt", "it's.txt", "hash#1.txt", "täglich.txt"] {
        node.put(&format!("photos/{name}"), name);
    }
    node.put("photos/deep/x.jpg", "x");
    node.serve();
    let base = format!("{}/originals/photos", node.url());
    node.run(&["index"]);

    // The folder itself comes first; names are written so that reading them as a form does no harm; folders have no entity tags.
    let listing = look(&base, "1", ONLY_ETAG);
    let hrefs: Vec<&str> = listing.iter().map(|seen| seen.href.as_str()).collect();
    assert_eq!(hrefs[0], "/originals/photos/");
    assert!(hrefs.contains(&"/originals/photos/a%2Bb.txt") && !hrefs.iter().any(|href| href.contains('+')), "{hrefs:?}");
    assert!(hrefs.contains(&"/originals/photos/100%2525.txt") && hrefs.contains(&"/originals/photos/deep/"), "{hrefs:?}");
    for seen in &listing {
        match (&seen.etag, seen.href.ends_with('/')) {
            (None, true) => {}
            (Some(etag), false) => assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() <= 40, "{etag}"),
            other => panic!("{other:?} at {}", seen.href),
        }
    }
    // Looking again shows the same, whoever looked meanwhile.
    let first = look(&base, "1", EIGHT);
    assert!(first[0].folder && first.iter().all(|seen| seen.modified.is_some()));
    http("PROPFIND", &base, &[("Depth", "1")], b"");
    assert_eq!(look(&base, "1", EIGHT), first);
    assert_eq!(look(&format!("{base}/deep"), "0", EIGHT).len(), 1);
    assert_eq!(http("PROPFIND", &format!("{base}/missing"), &[SABRE, ("Depth", "0")], EIGHT.as_bytes()).status, 404);

    // The folder's time must rise with what happens to its direct members.
    let rises = |what: &str, change: &dyn Fn()| {
        let body = proppatch(1_000_000_000);
        assert_eq!(http("PROPPATCH", &base, &[SABRE], body.as_bytes()).status, 207);
        let before = look(&base, "0", EIGHT).remove(0).modified.unwrap();
        assert_eq!(before, "Sun, 09 Sep 2001 01:46:40 GMT");
        change();
        assert_ne!(look(&base, "0", EIGHT).remove(0).modified.unwrap(), before, "{what} does not show in the folder's time");
    };
    let part = format!("{base}/new.jpg.ocTransferId1711832317.part");
    rises("a new file", &|| {
        let put = http("PUT", &part, &[CRAWLER], b"new");
        assert_eq!(put.status, 201);
        assert_eq!(http("MOVE", &part, &[SABRE, ("Destination", &format!("{base}/new.jpg"))], b"").status, 201);
    });
    let told =
        http("PROPPATCH", &format!("{base}/new.jpg"), &[SABRE, ("Content-Type", "application/xml")], proppatch(1_577_934_245).as_bytes());
    assert_eq!(told.status, 207);
    assert!(told.text().contains("HTTP/1.1 200 OK") && !told.text().contains("HTTP/1.1 4"), "{}", told.text());
    assert_eq!(look(&format!("{base}/new.jpg"), "0", EIGHT)[0].modified.as_deref(), Some("Thu, 02 Jan 2020 03:04:05 GMT"));
    rises("a replaced file", &|| assert_eq!(http("PUT", &format!("{base}/new.jpg"), &[CRAWLER], b"newer").status, 204));
    rises("another time of a file", &|| {
        assert_eq!(http("PROPPATCH", &format!("{base}/new.jpg"), &[SABRE], proppatch(1_577_934_246).as_bytes()).status, 207);
    });
    rises("a new folder", &|| assert_eq!(http("MKCOL", &format!("{base}/made"), &[SABRE], b"").status, 201));
    assert_eq!(http("MKCOL", &format!("{base}/made"), &[SABRE], b"").status, 405);
    rises("a move", &|| {
        let to = format!("{base}/made/new.jpg");
        assert_eq!(http("MOVE", &format!("{base}/new.jpg"), &[SABRE, ("Destination", &to)], b"").status, 201);
    });
    rises("a removed folder", &|| assert_eq!(http("DELETE", &format!("{base}/made/"), &[SABRE], b"").status, 204));
    rises("a removed file", &|| assert_eq!(http("DELETE", &format!("{base}/a%2Bb.txt"), &[SABRE], b"").status, 204));
    assert_eq!(http("DELETE", &format!("{base}/a%2Bb.txt"), &[SABRE], b"").status, 404);
    assert_eq!(http("GET", &format!("{base}/it%27s.txt"), &[CRAWLER], b"").body, b"it's.txt");
    let last = look(&base, "1", EIGHT);
    assert_eq!(look(&base, "1", EIGHT), last, "it comes to rest");
}

fn proppatch(seconds: u64) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop><d:lastmodified>{seconds}</d:lastmodified></d:prop></d:set>\
         </d:propertyupdate>\n"
    )
}
