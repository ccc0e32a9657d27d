//! Files and folders as one download.

use std::io::Read as _;
use std::process::Command;

use serde_json::{Value, json};

use super::{Client, add_user, fields, json_of, problem};
use crate::support::{Answer, Sandbox, have};

fn chosen(client: &Client, body: Value) -> String {
    let offer = client.post("/library/zip", &body);
    assert_eq!(offer.status, 201, "{}", offer.text());
    json_of(&offer)["path"].as_str().unwrap().to_owned()
}

fn zip(client: &Client, body: Value) -> Answer {
    let answer = client.get(&chosen(client, body));
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/zip"));
    answer
}

/// What another program finds in a zip: names, sizes and times; it reads every byte and compares the checksums.
fn listed(sandbox: &Sandbox, bytes: &[u8]) -> Vec<(String, u64)> {
    let place = sandbox.path().join("x.zip");
    std::fs::write(&place, bytes).unwrap();
    let script = "import sys, zipfile, json\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                  print(json.dumps([[i.filename, i.file_size] for i in z.infolist()]))";
    let output = Command::new("python3").args(["-c", script]).arg(&place).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_zip_has_what_was_chosen_under_names_that_every_system_takes() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for name in ["d/ü: x?.jpg", "d/Sub/a.jpg", "d/sub/a.jpg", "d/sub/.DS_Store", "e/a.jpg", "a.jpg", "e/A.JPG", "nul.txt"] {
        node.put(name, name);
    }
    std::fs::create_dir(node.library.join("d/empty")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", node.library.join("d/link.jpg")).unwrap();
    node.serve();
    let admin = Client::of(&node).by_session("admin", crate::support::PASSWORD);
    let answer = zip(&admin, json!({ "paths": ["d", "e/a.jpg", "a.jpg", "e/A.JPG", "nul.txt", "a.jpg"], "name": "Bücher" }));
    let disposition = &answer.headers["content-disposition"];
    assert_eq!(disposition, "attachment; filename=\"B_cher.zip\"; filename*=UTF-8''B%C3%BCcher.zip");
    let found = listed(&sandbox, &answer.body);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "d/",
        "d/Sub/",
        "d/Sub/a.jpg",
        "d/empty/",
        "d/sub (2)/",
        "d/sub (2)/a.jpg",
        "d/ü_ x_.jpg",
        "a.jpg",
        "a (2).jpg",
        "A (3).JPG",
        "_nul.txt",
    ];
    assert_eq!(names, expected);
    assert_eq!(found[6].1, "d/ü: x?.jpg".len() as u64);
    // A browser goes there with its cookie alone.
    let path = chosen(&admin, json!({ "paths": ["a.jpg"] }));
    assert_eq!(admin.without("X-CSRF-Token").get(&path).headers["content-disposition"].split(';').nth(1), Some(" filename=\"a.jpg.zip\""));
    // Nobody else's, and not without a login.
    let user = add_user(&node, "u", json!({ "folder": "e" }));
    assert_eq!(problem(&user.get(&path)), (404, "nothing-here".into()));
    assert_eq!(problem(&Client::of(&node).get(&path)).0, 401);
    assert_eq!(problem(&admin.get("/library/zip/none")), (404, "nothing-here".into()));
    let own = zip(&user, json!({ "paths": ["a.jpg"] }));
    assert_eq!(listed(&sandbox, &own.body), [("a.jpg".to_owned(), 7)]);
    assert_eq!(problem(&user.post("/library/zip", &json!({ "paths": ["nul.txt"] }))), (404, "not-found".into()));
    for (body, field) in [
        (json!({}), "paths"),
        (json!({ "paths": [] }), "paths"),
        (json!({ "paths": ["a.jpg", "../n/a.jpg"] }), "paths[1]"),
        (json!({ "paths": [""] }), "paths[0]"),
        (json!({ "paths": ["a.jpg"], "name": " " }), "name"),
        (json!({ "paths": ["a.jpg"], "name": "x".repeat(201) }), "name"),
        (json!({ "paths": ["a.jpg"], "compress": true }), "compress"),
    ] {
        let refused = admin.post("/library/zip", &body);
        assert_eq!((refused.status, fields(&refused)), (400, vec![field.to_owned()]), "{}", refused.text());
    }
    let own = admin.post("/library/zip", &json!({ "paths": [".twinlens"] }));
    assert_ne!(own.status, 201);
    (0..60).for_each(|_| drop(user.post("/library/zip", &json!({ "paths": ["a.jpg"] }))));
    assert_eq!(problem(&user.post("/library/zip", &json!({ "paths": ["a.jpg"] }))), (429, "too-often".into()));
}

#[test]
fn ten_thousand_files_go_into_one_zip() {
    if !have("python3") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    (0..10_000).for_each(|number| node.put(&format!("d/{number}.jpg"), &number.to_string()));
    node.serve();
    let found = listed(&sandbox, &zip(&Client::admin(&node), json!({ "paths": ["d"] })).body);
    assert_eq!((found.len(), found.iter().map(|(_, size)| size).sum::<u64>()), (10_001, 38_890));
}

#[test]
fn more_than_four_gibibytes_go_through_in_little_memory() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    const SIZE: u64 = (4 << 30) + 5;
    std::fs::File::create(node.library.join("large.mov")).unwrap().set_len(SIZE).unwrap();
    node.put("z.jpg", "after it");
    node.serve();
    let admin = Client::admin(&node);
    let before = memory(node.pid());
    let mut stream = admin.send("GET", &chosen(&admin, json!({ "paths": ["large.mov", "z.jpg"] })), b"");
    let (mut buffer, mut read, mut end) = (vec![0; 1 << 20], 0_u64, Vec::new());
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        read += count as u64;
        end.extend_from_slice(&buffer[..count]);
        let surplus = end.len().saturating_sub(4096);
        end.drain(..surplus);
    }
    let peak = memory(node.pid());
    assert!(read > SIZE && end.ends_with(b"\r\n0\r\n\r\n"), "{read}");
    // The size is told in 64 bits at the end, and so is where the second file and the directory begin.
    let found = |bytes: &[u8]| end.windows(bytes.len()).any(|window| window == bytes);
    assert!(found(&SIZE.to_le_bytes()) && found(b"PK\x06\x06") && found(b"after it"));
    assert!(peak.saturating_sub(before) < 64 << 10, "from {before} to {peak} KiB");
}

/// The most memory that a process ever had, in KiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_file_that_cannot_be_read_breaks_the_download_off() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("d/a.jpg", "first");
    std::fs::File::create(node.library.join("d/b.mov")).unwrap().set_len(200 << 20).unwrap();
    node.put("d/c.jpg", "last");
    node.serve();
    let admin = Client::admin(&node);
    let path = chosen(&admin, json!({ "paths": ["d"] }));
    let mut stream = admin.send("GET", &path, b"");
    let mut all = vec![0; 1 << 20];
    stream.read_exact(&mut all).unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200"));
    // It becomes shorter while it is being read.
    std::fs::File::options().write(true).open(node.library.join("d/b.mov")).unwrap().set_len(50 << 20).unwrap();
    let ended = stream.read_to_end(&mut all);
    assert!(ended.is_err() || !all.ends_with(b"\r\n0\r\n\r\n"), "it ended as if it were whole");
    assert!(!all.windows(4).any(|window| window == b"PK\x05\x06"), "a directory was written");
    // The next one is not held up by it, and what is gone is said before anything is sent.
    std::fs::remove_file(node.library.join("d/b.mov")).unwrap();
    assert_eq!(admin.get(&path).status, 200);
    std::fs::remove_dir_all(node.library.join("d")).unwrap();
    let gone = admin.send("GET", &path, b"");
    let mut told = Vec::new();
    let ended = (&gone).read_to_end(&mut told);
    assert!(ended.is_err() || !told.ends_with(b"\r\n0\r\n\r\n"));
}
