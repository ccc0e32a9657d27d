//! What whoever runs a node needs: backups, upgrades, logs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde_json::Value;

use crate::support::{Node, PASSWORD, Sandbox, assert_counts, eventually, http, http_as, read_request, serve_state, show};

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// Two nodes in step; the first one is served.
fn pair(sandbox: &Sandbox) -> (Node, Node) {
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.put("there.jpg", "from there");
    b.serve();
    a.put("here.jpg", "from here");
    a.pair(&b, &["--deletes", "trash"]);
    a.sync();
    a.serve_with(&["--import-quiet", "off"]);
    (a, b)
}

#[test]
fn a_backup_is_made_while_the_node_works_and_brings_everything_back() {
    let sandbox = Sandbox::new();
    let (mut a, b) = pair(&sandbox);
    assert!(a.run_with_password(&["user", "add", "anna", "--password-stdin"], "annas password").status.success());
    let file = sandbox.path().join("a backup.tar");
    // Others write meanwhile.
    let writing = std::thread::spawn({
        let url = a.originals();
        move || {
            for n in 0..40 {
                assert_eq!(http("PUT", &format!("{url}during-{n}.jpg"), &[], format!("{n}").as_bytes()).status, 201);
            }
        }
    });
    let made = a.run(&["backup", file.to_str().unwrap()]);
    writing.join().unwrap();
    assert_eq!(made["files"][0]["name"], "state.redb");
    assert_eq!(made["files"][1]["name"], "secret.key");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    let left: Vec<_> = fs::read_dir(&a.data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_str().unwrap().contains("backup"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // A file that is there is not replaced.
    let refused = a.run_expecting(2, &["backup", file.to_str().unwrap()]);
    assert!(refused["error"].as_str().unwrap().contains("is there already"));
    a.sync();

    // What happens after it is not in it, and is not undone by it.
    a.put("later.jpg", "came later");
    a.remove("here.jpg");
    a.sync();
    a.run(&["user", "remove", "anna"]);

    let refused = a.run_expecting(2, &["restore", file.to_str().unwrap()]);
    assert!(refused["error"].as_str().unwrap().contains("is running"), "{refused:#}");
    a.stop();
    let refused = a.run_expecting(2, &["restore", file.to_str().unwrap()]);
    assert!(refused["error"].as_str().unwrap().contains("--replace"), "{refused:#}");
    let restored = a.run(&["restore", "--replace", file.to_str().unwrap()]);
    assert!(Path::new(restored["before"].as_str().unwrap()).join("state.redb").is_file());
    assert!(!a.data.join("restoring").exists());

    let there = b.files();
    let report = a.sync();
    assert_counts(&report, &[("adopted", report["adopted"].as_u64().unwrap())]);
    assert!(report["skipped"].to_string().contains("put back from a backup"), "{report:#}");
    assert_eq!(b.files(), there);
    let users = a.run(&["user", "list"]).to_string();
    assert!(users.contains("anna"), "{users}");
}

#[test]
fn a_backup_that_is_not_whole_changes_nothing() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.run(&["index"]);
    let file = sandbox.path().join("backup.tar");
    node.run(&["backup", file.to_str().unwrap()]);
    let good = fs::read(&file).unwrap();
    let state = fs::read(node.data.join("state.redb")).unwrap();

    let broken = sandbox.path().join("broken.tar");
    let restore = |bytes: &[u8]| {
        fs::write(&broken, bytes).unwrap();
        let answer = node.run_expecting(2, &["restore", "--replace", broken.to_str().unwrap()]);
        let names: Vec<_> = fs::read_dir(&node.data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.iter().all(|name| !name.contains("restor")), "{names:?}");
        assert!(state == fs::read(node.data.join("state.redb")).unwrap(), "the state was changed");
        answer["error"].as_str().unwrap().to_owned()
    };
    assert!(restore(b"no tar at all").contains("no backup"));
    assert!(restore(b"").contains("no backup"));
    for cut in [512, 1024, 5000, good.len() / 2, good.len() - 3000] {
        let said = restore(&good[..cut]);
        assert!(said.contains("damaged") || said.contains("no backup"), "cut at {cut}: {said}");
    }
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(restore(&flipped).contains("has other bytes"));
    let newer = String::from_utf8_lossy(&good[512..1024]).replace("\"format\": 2", "\"format\": 9");
    let newer = [&good[..512], newer.as_bytes(), &good[512 + newer.len()..]].concat();
    assert!(restore(&newer).contains("newer twinlens"));
    // And the good one still works.
    node.run(&["restore", "--replace", file.to_str().unwrap()]);
    assert_eq!(node.run(&["status"])["files"], 1);
}

/// The state of an older program, with its library.
fn older(sandbox: &Sandbox) -> Node {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let node = sandbox.node("old");
    fs::create_dir_all(&node.data).unwrap();
    let mut state = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(fixtures.join("format-1/state.redb.gz")).unwrap()).read_to_end(&mut state).unwrap();
    fs::write(node.data.join("state.redb"), state).unwrap();
    fs::copy(fixtures.join("format-1/secret.key"), node.data.join("secret.key")).unwrap();
    for file in fs::read_dir(fixtures.join("sample")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), node.library.join(file.file_name())).unwrap();
    }
    fs::create_dir(node.library.join(".twinlens")).unwrap();
    fs::copy(fixtures.join("format-1/library.toml"), node.library.join(".twinlens/library.toml")).unwrap();
    node
}

#[test]
fn the_state_of_an_older_program_is_taken_over() {
    let sandbox = Sandbox::new();
    let mut node = older(&sandbox);
    let services = node.run(&["service", "list"]);
    assert_eq!((&services["services"][0]["name"], &services["services"][0]["sync"]["upload"]), (&"self2".into(), &true.into()));
    assert_eq!(node.run(&["user", "app-passwords", "admin"])["app_passwords"][0]["label"], "Phone");
    assert_eq!(node.run(&["status"])["files"], 51);
    assert_eq!(node.run(&["history"])["runs"][0]["counts"]["uploaded"], 51);
    // As it was, for the older program.
    let kept = Database::open(node.data.join("state.redb.format-1")).unwrap();
    let meta = kept.begin_read().unwrap().open_table(META).unwrap();
    assert_eq!((meta.get("format").unwrap().unwrap().value(), meta.get("closed").unwrap().is_some()), (&[1][..], true));
    // People log in with the passwords that they had.
    node.serve();
    let login = |password: &str| http_as("admin", password, "GET", &format!("{}beach.jpg", node.originals()), &[], b"").status;
    assert_eq!((login("secret-old"), login(PASSWORD)), (200, 401));
}

#[test]
fn the_state_of_a_newer_program_is_left_alone() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.run(&["index"]);
    let state = node.data.join("state.redb");
    {
        let database = Database::open(&state).unwrap();
        let write = database.begin_write().unwrap();
        let known = write.open_table(META).unwrap().get("format").unwrap().unwrap().value()[0];
        write.open_table(META).unwrap().insert("format", [known + 1].as_slice()).unwrap();
        write.commit().unwrap();
    }
    for command in [&["status"][..], &["sync"], &["serve", "--listen", "127.0.0.1:0"]] {
        let output = node.command(command).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", show(&output));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("written by a newer twinlens") && said.contains("nothing was changed"), "{said}");
    }
    let database = Database::open(&state).unwrap();
    let table = database.begin_read().unwrap().open_table(META).unwrap();
    assert!(table.get("closed").unwrap().is_some(), "it was opened");
}

#[test]
fn the_log_is_json_where_that_is_wanted() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let log = node.serve_logged(&["--log-format", "json", "-v"]);
    assert_eq!(http("GET", &format!("{}nothing.jpg", node.originals()), &[], b"").status, 404);
    node.stop();
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let access = lines.iter().find(|line| line["target"] == "twinlens::access").unwrap_or_else(|| panic!("{log}"));
    assert_eq!((&access["level"], &access["status"]), (&"INFO".into(), &404.into()), "{access:#}");
    assert!(lines.iter().all(|line| line["timestamp"].is_string()), "{log}");
}

#[test]
fn what_takes_days_goes_by_the_clock() {
    let sandbox = Sandbox::new();
    let mut a = sandbox.node("a");
    a.put("a.jpg", "thrown away");
    a.serve();
    assert_eq!(http("DELETE", &format!("{}a.jpg", a.originals()), &[], b"").status, 204);
    a.stop();
    let empty = |shift: &str| {
        let output = a.command(&["trash", "empty", "--older-than", "29d", "--json"]).env("TWINLENS_CLOCK_SHIFT", shift).output().unwrap();
        assert!(output.status.success(), "{}", show(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["removed"].as_u64().unwrap()
    };
    assert_eq!((empty("0h"), empty("690h"), empty("700h")), (0, 0, 1));
    assert!(a.trashed().is_empty());
}

/// What a webhook heard; it refuses the first message.
#[derive(Default)]
struct Heard(Vec<(std::collections::BTreeMap<String, String>, Vec<u8>)>);

fn hear(mut stream: &TcpStream, heard: &Mutex<Heard>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut heard = heard.lock().unwrap();
    let status = if heard.0.is_empty() { "503 Busy" } else { "204 No Content" };
    heard.0.push((request.headers, request.body));
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
    Ok(true)
}

#[test]
fn a_webhook_hears_of_what_was_done_and_of_failures() {
    let heard = Arc::<Mutex<Heard>>::default();
    let hook = format!("http://{}/hook?token=secret-token", serve_state(&heard, hear));
    let sandbox = Sandbox::new();
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.put("a.jpg", "a");
    a.pair(&b, &[]);
    let log = a.serve_logged(&["--webhook", &hook, "--import-quiet", "off"]);
    a.run(&["pause"]);
    a.sync_expecting(0, &["peer"]);
    let told = |count: usize| {
        eventually("a message to the webhook", || heard.lock().unwrap().0.len() >= count);
        let heard = heard.lock().unwrap();
        let (headers, body) = &heard.0[count - 1];
        assert_eq!(headers["content-type"], "application/json");
        assert!(!headers.contains_key("x-twinlens-signature"));
        serde_json::from_slice::<Value>(body).unwrap()
    };
    // The first one was refused and came again.
    assert_eq!(told(1), told(2));
    let message = told(2);
    assert_eq!((&message["event"], &message["service"], &message["result"]), (&"sync-ended".into(), &"peer".into(), &"done".into()));
    assert_eq!((&message["counts"]["uploaded"], &message["trigger"]), (&1.into(), &"by hand".into()));
    // Nothing done is no news; a failure is.
    a.sync_expecting(0, &["peer"]);
    b.stop();
    a.sync_expecting(3, &["peer"]);
    let message = told(3);
    assert_eq!(message["result"], "failed", "{message:#}");
    assert!(message["error"].as_str().unwrap().contains("does not answer"));
    a.stop();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("did not take a message") && !log.contains("secret-token"), "{log}");

    // With a secret it is signed.
    heard.lock().unwrap().0.clear();
    let mut serving = a.command(&["serve", "--listen", "127.0.0.1:0", "--webhook", &hook, "--webhook-on", "end"]);
    let mut serving = serving.env("TWINLENS_WEBHOOK_SECRET", "key").stdout(std::process::Stdio::piped()).spawn().unwrap();
    // A command before it serves would hold the state.
    eventually("the node", || a.data.join("control.sock").exists());
    a.sync_expecting(3, &["peer"]);
    eventually("a message", || !heard.lock().unwrap().0.is_empty());
    let (headers, body) = heard.lock().unwrap().0[0].clone();
    serving.kill().unwrap();
    serving.wait().unwrap();
    assert_eq!(headers["x-twinlens-signature"], format!("sha256={}", hmac_sha256(b"key", &body)));
}

/// As RFC 2104 defines it.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn figures_for_prometheus_are_true_and_for_admins() {
    let sandbox = Sandbox::new();
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.put("there.jpg", "from there");
    b.serve();
    a.put("here.jpg", "from here");
    a.put("more.jpg", "more");
    a.pair(&b, &[]);
    a.serve_with(&["--import-quiet", "off"]);
    a.run(&["pause"]);
    a.sync_expecting(0, &["peer"]);
    let url = format!("{}/metrics", a.url());
    for (password, status) in [("wrong", 401), (PASSWORD, 200)] {
        assert_eq!(http_as("admin", password, "GET", &url, &[], b"").status, status);
    }
    assert!(a.run_with_password(&["user", "add", "vera", "--role", "viewer", "--password-stdin"], PASSWORD).status.success());
    assert_eq!(http_as("vera", PASSWORD, "GET", &url, &[], b"").status, 403);
    let answer = http("GET", &url, &[], b"");
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"), "{:?}", answer.headers);
    let text = answer.text();
    let value = |row: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' ')).unwrap_or_else(|| panic!("no {row} in {text}"));
        line.parse::<f64>().unwrap()
    };
    assert_eq!(value(r#"twinlens_sync_files_total{service="peer",action="upload"}"#), 2.0);
    assert_eq!(value(r#"twinlens_sync_files_total{service="peer",action="download"}"#), 1.0);
    assert_eq!(value(r#"twinlens_sync_transferred_bytes_total{service="peer",direction="up"}"#), 13.0);
    assert_eq!(value(r#"twinlens_sync_proofs_total{service="peer",evidence="computed"}"#), 2.0);
    assert_eq!(value(r#"twinlens_sync_runs_total{service="peer",result="done"}"#), 1.0);
    assert_eq!(value("twinlens_index_files"), 3.0);
    assert_eq!(value("twinlens_logins_refused_total"), 1.0);
    assert!((0.0..60.0).contains(&value(r#"twinlens_sync_age_seconds{service="peer"}"#)));
    assert!(text.ends_with("# EOF\n"));
    // What is shared is told too.
    a.run(&["share", "here.jpg", "more.jpg", "--to", "peer", "--folder", "S", "--expires", "1d"]);
    let shared = http("GET", &url, &[], b"").text();
    for row in [
        r#"twinlens_share_files_total{service="peer",action="send"} 2"#,
        r#"twinlens_share_sent_bytes_total{service="peer"} 13"#,
        r#"twinlens_share_queue_files{service="peer",state="expiring"} 2"#,
        r#"twinlens_share_queue_files{service="peer",state="waiting"} 0"#,
        "twinlens_webhook_waiting_messages 0",
    ] {
        assert!(shared.contains(row), "no {row} in {shared}");
    }
    // What fails is counted by its kind.
    b.stop();
    a.sync_expecting(3, &["peer"]);
    let text = http("GET", &url, &[], b"").text();
    assert!(text.contains(r#"twinlens_sync_runs_total{service="peer",result="failed"} 1"#), "{text}");
}

#[test]
fn a_node_whose_library_is_away_lives_and_is_not_ready() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let ask = |path: &str| http("GET", &format!("{}{path}", node.url()), &[], b"").status;
    assert_eq!((ask("/livez"), ask("/readyz")), (200, 200));
    fs::rename(&node.library, sandbox.path().join("away")).unwrap();
    assert_eq!((ask("/livez"), ask("/readyz")), (200, 503));
    fs::rename(sandbox.path().join("away"), &node.library).unwrap();
    assert_eq!((ask("/livez"), ask("/readyz")), (200, 200));
}
