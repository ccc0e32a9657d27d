//! Changes are seen whole or not at all: by readers at the same time, after a kill, on a full disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::reserve::Small;
use crate::support::{Node, PASSWORD, Sandbox, assert_files, eventually, have, http, read_answer, send_head, tree, write};

/// The content of one version of a file: long enough to be read in pieces, and telling which version each piece is of.
fn version(number: usize, size: usize) -> String {
    let line = format!("{number:07}\n");
    line.repeat(size / line.len())
}

/// Which version a content is, when it is one and nothing else.
fn is_whole(content: &str, size: usize) -> bool {
    content.get(..7).and_then(|number| number.parse().ok()).is_some_and(|number| content == version(number, size))
}

/// Runs `write` over and over for a while, with readers beside it that see what `check` says of each answer.
fn hammer(rounds: usize, mut write: impl FnMut(usize), read: impl Fn() -> Result<(), String> + Sync) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !done.load(Ordering::Relaxed) || reads == 0 {
                        read().unwrap_or_else(|seen| {
                            done.store(true, Ordering::Relaxed);
                            panic!("a reader saw {seen}");
                        });
                        reads += 1;
                    }
                })
            })
            .collect();
        for round in 0..rounds {
            if done.load(Ordering::Relaxed) {
                break;
            }
            write(round);
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

const SIZE: usize = 400_000;

#[test]
fn readers_never_miss_a_file_that_is_replaced() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", &version(0, SIZE));
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    let read = || {
        let answer = http("GET", &url("a.jpg"), &[], b"");
        if answer.status != 200 || !is_whole(&answer.text(), SIZE) {
            return Err(format!("{} and {} bytes", answer.status, answer.body.len()));
        }
        let listed = http("PROPFIND", &node.originals(), &[("Depth", "1")], b"").text();
        if listed.contains("a.jpg</d:href>") { Ok(()) } else { Err(format!("a listing without it: {listed}")) }
    };
    let put = |path: &str, round: usize| http("PUT", &url(path), &[], version(round, SIZE).as_bytes()).status;
    let to = [("Destination", "/originals/a.jpg")];
    let write = |round: usize| {
        let status = match round % 3 {
            0 => put("a.jpg", round),
            1 => {
                assert_eq!(put("b.jpg", round), 201);
                http("MOVE", &url("b.jpg"), &to, b"").status
            }
            _ => {
                put("c.jpg", round);
                http("COPY", &url("c.jpg"), &to, b"").status
            }
        };
        assert_eq!(status, 204, "round {round}");
    };
    hammer(45, write, read);
    // Every one of the replaced versions is in the trash, whole.
    let trashed = node.trashed();
    assert!(trashed.len() >= 45 && trashed.iter().all(|content| is_whole(content, SIZE)), "{}", trashed.len());
    assert!(node.left_behind().is_empty());
}

#[test]
fn readers_never_see_a_folder_half_replaced() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let fill = |node: &Node, folder: &str, round: usize| {
        (0..8).for_each(|n| write(&node.library.join(folder).join(format!("{n}.{round}.jpg")), round.to_string().as_bytes()));
    };
    fill(&node, "album", 0);
    node.serve();
    let read = || {
        let answer = http("PROPFIND", &format!("{}album/", node.originals()), &[("Depth", "1")], b"");
        let text = answer.text();
        let names: BTreeSet<&str> =
            text.split(".jpg</d:href>").filter_map(|part| part.rsplit('/').next()).filter(|name| name.len() < 8).collect();
        let rounds: BTreeSet<_> = names.iter().filter_map(|name| name.split_once('.')).map(|(_, round)| round).collect();
        // A listing is one reading of one folder: whole in number; of one round.
        if answer.status == 207 && names.len() == 8 && rounds.len() == 1 { Ok(()) } else { Err(format!("{} {names:?}", answer.status)) }
    };
    let write = |round: usize| {
        let round = round + 1;
        fill(&node, "next", round);
        let method = if round.is_multiple_of(2) { "MOVE" } else { "COPY" };
        let answer = http(method, &format!("{}next/", node.originals()), &[("Destination", "/originals/album/")], b"");
        assert_eq!(answer.status, 204, "{answer:?} {}", answer.text());
        let _ = fs::remove_dir_all(node.library.join("next"));
    };
    hammer(40, write, read);
    // What was replaced is in the trash as the folders that they were.
    let trashed = tree(&node.library.join(".twinlens/trash"));
    let mut albums: BTreeMap<String, usize> = BTreeMap::new();
    trashed.keys().filter_map(|path| path.rsplit_once('/')).for_each(|(folder, _)| *albums.entry(folder.to_owned()).or_default() += 1);
    assert!(albums.len() == 40 && albums.iter().all(|(folder, files)| folder.ends_with("/album") && *files == 8), "{albums:?}");
    assert!(node.left_behind().is_empty());
}

#[test]
fn a_kill_at_any_moment_leaves_whole_files() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let size = 200_000;
    (0..4).for_each(|n| node.put(&format!("f{n}.jpg"), &version(n, size)));
    node.put("album/x.jpg", &version(9, size));
    for (round, pause) in [(1, 15), (2, 40), (3, 90), (4, 150), (5, 230), (6, 330)] {
        node.serve();
        let originals = node.originals();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..3 {
                let (originals, stop) = (&originals, &stop);
                scope.spawn(move || {
                    for turn in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let body = version(round * 10_000 + turn, size);
                        // A killed node breaks the connection: the answer does not matter, what is on disk does.
                        let _ = std::panic::catch_unwind(|| match writer {
                            0 => drop(http("PUT", &format!("{originals}f{}.jpg", turn % 4), &[], body.as_bytes())),
                            1 => {
                                http("PUT", &format!("{originals}w.jpg.part"), &[], body.as_bytes());
                                http("MOVE", &format!("{originals}w.jpg.part"), &[("Destination", "/originals/w.jpg")], b"");
                            }
                            _ => {
                                http("COPY", &format!("{originals}album/"), &[("Destination", "/originals/copy/")], b"");
                                http("MOVE", &format!("{originals}copy/"), &[("Destination", "/originals/album/")], b"");
                            }
                        });
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(pause));
            node.signal("KILL");
            stop.store(true, Ordering::Relaxed);
        });
        node.serve();
        assert!(node.left_behind().is_empty(), "{:?}", node.left_behind());
        let files = node.files();
        assert!((0..4).all(|n| files.contains_key(&format!("f{n}.jpg"))) && files.contains_key("album/x.jpg"), "{:?}", files.keys());
        files
            .iter()
            .chain(&tree(&node.library.join(".twinlens/trash")))
            .for_each(|(path, content)| assert!(is_whole(content, size), "{path}"));
        // The index says of each what the disk holds.
        let told = hashes(&node);
        node.stop();
        let indexed: Vec<_> = files.iter().filter(|(path, _)| !path.ends_with(".part")).collect();
        assert_eq!(told.len(), indexed.len(), "{:?}", told.keys());
        indexed.into_iter().for_each(|(path, content)| assert_eq!(told.get(path), Some(&sha1(content)), "{path}"));
    }
}

/// The SHA-1 of each file as a listing tells it from the index.
fn hashes(node: &Node) -> BTreeMap<String, String> {
    let wanted = b"<propfind xmlns='DAV:'><prop><checksums xmlns='http://owncloud.org/ns'/></prop></propfind>";
    let mut told = BTreeMap::new();
    let files = node.files();
    eventually("the first scan", || {
        let text = http("PROPFIND", &node.originals(), &[("Depth", "infinity")], wanted).text();
        let one = |response: &str| {
            let path = response.split("<d:href>/originals/").nth(1)?.split('<').next()?.to_owned();
            Some((path, response.split("SHA1:").nth(1)?.get(..40)?.to_owned()))
        };
        told = text.split("<d:response>").filter_map(one).collect();
        files.keys().all(|path| path.ends_with(".part") || told.contains_key(path))
    });
    told
}

fn sha1(content: &str) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_empty_upload_over_a_good_file_keeps_the_old_one_and_says_so() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "good");
    let log = node.serve_logged(&[]);
    assert_eq!(http("PUT", &format!("{}a.jpg", node.originals()), &[], b"").status, 204);
    assert_files(&node, &[("a.jpg", "")]);
    assert_eq!(node.trashed(), ["good"]);
    node.stop();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("WARN") && log.contains("an empty upload replaced a file") && log.contains("a.jpg"), "{log}");
}

#[test]
fn a_full_disk_is_507_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let library = node.library.clone();
    let Some(_small) = Small::mount(&library, "6m") else { return };
    node.put("a.jpg", "good");
    node.put("d/big.jpg", &version(1, 2_400_000));
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    let before = node.files();
    let full = vec![b'x'; 7 << 20];
    for path in ["a.jpg", "new.jpg"] {
        let answer = http("PUT", &url(path), &[], &full);
        assert_eq!(answer.status, 507, "{path}: {}", answer.text());
        assert!(answer.text().contains(path), "{}", answer.text());
    }
    assert_eq!(http("COPY", &url("d/"), &[("Destination", "/originals/e/")], b"").status, 201);
    for (path, to) in [("d/", "f/"), ("d/big.jpg", "g.jpg"), ("d/big.jpg", "a.jpg"), ("d/", "a.jpg"), ("d/", "e/")] {
        let answer = http("COPY", &url(path), &[("Destination", &format!("/originals/{to}"))], b"");
        assert_eq!(answer.status, 507, "{path} {to}: {}", answer.text());
    }
    let mut expected = before.clone();
    expected.insert("e/big.jpg".into(), before["d/big.jpg"].clone());
    assert!(node.files() == expected);
    assert!(node.left_behind().is_empty() && node.trashed().is_empty(), "{:?}", node.left_behind());
    // Room again, and all is well.
    assert_eq!(http("DELETE", &url("e/"), &[], b"").status, 204);
    fs::remove_dir_all(library.join(".twinlens/trash")).unwrap();
    assert_eq!(http("PUT", &url("a.jpg"), &[], &full[..1 << 20]).status, 204);
    assert_eq!(node.trashed(), ["good"]);
    node.stop();
}

#[test]
fn a_disk_without_room_for_names_changes_nothing_either() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let library = node.library.clone();
    let Some(_small) = Small::mount(&library, "20m,nr_inodes=40") else { return };
    ["a.jpg", "b.jpg", "d/1.jpg", "e/2.jpg"].iter().for_each(|path| node.put(path, path));
    node.serve();
    assert_eq!(http("PUT", &format!("{}first.jpg", node.originals()), &[], b"first").status, 201);
    (0..1000).find(|n| fs::write(library.join(format!("filler{n}.part")), b"").is_err()).unwrap();
    let before = node.files();
    let to = |path: &'static str| [("Destination", path)];
    for (method, path, headers) in [
        ("PUT", "a.jpg", to("")),
        ("PUT", "new.jpg", to("")),
        ("MKCOL", "new/", to("")),
        ("DELETE", "a.jpg", to("")),
        ("MOVE", "a.jpg", to("/originals/b.jpg")),
        ("COPY", "a.jpg", to("/originals/b.jpg")),
        ("MOVE", "d/", to("/originals/e/")),
        ("MOVE", "d/", to("/originals/a.jpg")),
        ("DELETE", "d/", to("")),
    ] {
        let body: &[u8] = if method == "PUT" { b"x" } else { b"" };
        let answer = http(method, &format!("{}{path}", node.originals()), &headers, body);
        assert_eq!(answer.status, 507, "{method} {path}: {}", answer.text());
        assert_eq!(node.files(), before, "{method} {path}");
        assert!(node.left_behind().is_empty(), "{method} {path}");
    }
    assert!(node.trashed().is_empty());
    node.stop();
}

#[test]
fn a_disk_that_is_mounted_inside_the_library_is_written_to_like_the_rest() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.put("d/b.jpg", "b");
    let other = node.library.join("other");
    fs::create_dir(&other).unwrap();
    let Some(_small) = Small::mount(&other, "20m") else { return };
    node.put("other/old.jpg", "old");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    let ask = |method: &str, path: &str, to: &str| http(method, &url(path), &[("Destination", &format!("/originals/{to}"))], b"").status;
    assert_eq!(http("PUT", &url("other/new.jpg"), &[("X-OC-MTime", "1500000000")], b"new").status, 201);
    assert_eq!(http("PUT", &url("other/old.jpg"), &[], b"newer").status, 204);
    assert_eq!(ask("COPY", "a.jpg", "other/copy.jpg"), 201);
    assert_eq!(ask("MOVE", "other/copy.jpg", "moved.jpg"), 201);
    assert_eq!(ask("MOVE", "moved.jpg", "other/new.jpg"), 204);
    assert_eq!(ask("DELETE", "other/old.jpg", ""), 204);
    // Folders cannot go over in one step: that is said, and nothing is changed.
    assert_eq!(ask("MOVE", "d/", "other/d/"), 502);
    assert_eq!(ask("COPY", "d/", "other/d/"), 502);
    node.put("other/e/c.jpg", "c");
    assert_eq!(ask("MOVE", "d/", "other/e/"), 502);
    assert_eq!(ask("COPY", "d/", "other/e/"), 502);
    assert_files(&node, &[("a.jpg", "a"), ("d/b.jpg", "b"), ("other/new.jpg", "a"), ("other/e/c.jpg", "c")]);
    let mut trashed = node.trashed();
    trashed.sort();
    assert_eq!(trashed, ["a", "a", "new", "newer", "old"]);
    assert!(node.left_behind().is_empty());
    node.stop();
}

#[test]
fn an_answer_comes_after_file_and_folder_are_synced() {
    if !have("strace") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/old.jpg", "old");
    node.serve();
    let trace = sandbox.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "64", "-e", "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,write,writev,sendto"]);
    strace.args(["-p", &node.pid().to_string(), "-o"]).arg(&trace).stderr(Stdio::piped());
    let mut strace = strace.spawn().unwrap();
    // It says when it is attached, or why it is not.
    let mut line = String::new();
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    if !line.contains("attached") {
        let _ = strace.wait();
        eprintln!("skipped: strace may not attach");
        return;
    }
    let url = |path: &str| format!("{}{path}", node.originals());
    assert_eq!(http("PUT", &url("d/new.jpg"), &[], b"new").status, 201);
    assert_eq!(http("PUT", &url("d/old.jpg"), &[], b"newer").status, 204);
    assert_eq!(http("MOVE", &url("d/new.jpg"), &[("Destination", "/originals/moved.jpg")], b"").status, 201);
    assert!(Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap().success());
    strace.wait().unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    let parts: Vec<&str> = trace.split_inclusive("HTTP/1.1 2").collect();
    let [new, old, moved, ..] = parts[..] else { panic!("{trace}") };
    let synced = |part: &str, what: &str| part.lines().position(|line| line.contains("sync(") && line.contains(what));
    // The file that is on its way in gets its name, by whatever call.
    let named = |part: &str, name: &str| {
        let calls = ["link(", "linkat(", "rename(", "renameat(", "renameat2("];
        let names = |line: &str| calls.iter().any(|call| line.contains(call)) && line.contains("incoming/") && line.contains(name);
        part.lines().position(names)
    };
    for (part, name) in [(new, "/new.jpg"), (old, "/old.jpg")] {
        let (file, named) = (synced(part, "incoming/"), named(part, name));
        assert!(file.is_some() && named.is_some() && file < named, "{name}:\n{part}");
        let rest: Vec<&str> = part.lines().skip(named.unwrap() + 1).collect();
        assert!(synced(&rest.join("\n"), "library/d>").is_some(), "{name}:\n{part}");
    }
    assert!(synced(old, ".twinlens/trash").is_some(), "{old}");
    assert!(synced(moved, "library/d>").is_some() && synced(moved, "library>").is_some(), "{moved}");
}

#[test]
fn what_cannot_be_read_is_an_error_in_the_answer() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "a");
    fs::write(node.library.join("d").join(std::ffi::OsStr::from_bytes(b"bad\xff.jpg")), "x").unwrap();
    node.serve();
    for depth in ["1", "infinity"] {
        let text = http("PROPFIND", &format!("{}d/", node.originals()), &[("Depth", depth)], b"").text();
        assert!(text.contains("a.jpg</d:href>") && text.contains("<d:status>HTTP/1.1 403 Forbidden</d:status></d:response>"), "{text}");
    }
    // A copy of what cannot be read whole is not made; a move takes everything along, and so does the trash.
    assert_eq!(http("COPY", &format!("{}d/", node.originals()), &[("Destination", "/originals/e/")], b"").status, 500);
    assert!(!node.library.join("e").exists() && node.left_behind().is_empty());
    assert_eq!(http("MOVE", &format!("{}d/", node.originals()), &[("Destination", "/originals/e/")], b"").status, 201);
    assert_eq!(fs::read_dir(node.library.join("e")).unwrap().count(), 2);
    assert_eq!(http("DELETE", &format!("{}e/", node.originals()), &[], b"").status, 204);
    let kept = walk(&node.library.join(".twinlens/trash"));
    assert_eq!(kept.len(), 2, "{kept:?}");
}

/// All files below a folder, whatever their names.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() { found.extend(walk(&entry.path())) } else { found.push(entry.path()) }
    }
    found
}

#[test]
fn a_condition_is_judged_again_when_the_body_is_here() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let url = format!("{}a.jpg", node.originals());
    let etag = http("PUT", &url, &[], b"one").headers["etag"].clone();
    // Two clients that both saw the same version: the second to end loses, though both were let in.
    let headers = [("Content-Length", "2000000"), ("If-Match", etag.as_str())];
    let send = || send_head("admin", PASSWORD, "PUT", &url, &headers);
    let (mut first, mut second) = (send(), send());
    let body = vec![b'1'; 2_000_000];
    first.write_all(&body[..1_500_000]).unwrap();
    second.write_all(&body[..1_500_000]).unwrap();
    eventually("both uploads to be under way", || node.left_behind().len() == 2);
    second.write_all(&body[1_500_000..]).unwrap();
    assert_eq!(read_answer(&mut second).status, 204);
    first.write_all(&body[1_500_000..]).unwrap();
    assert_eq!(read_answer(&mut first).status, 412);
    // And many that may only create: one wins.
    let new = format!("{}new.jpg", node.originals());
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let put = |n: usize| http("PUT", &new, &[("If-None-Match", "*")], n.to_string().as_bytes()).status;
        let writers: Vec<_> = (0..8).map(|n| scope.spawn(move || put(n))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 201 | 412)), "{statuses:?}");
    assert!(node.left_behind().is_empty());
}
