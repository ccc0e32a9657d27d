//! Times and entity tags that say little.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts};

use super::between::between;

fn set_modified(node: &Node, path: &str, when: SystemTime) {
    File::options().write(true).open(node.library.join(path)).unwrap().set_modified(when).unwrap();
}

fn modified(node: &Node, path: &str) -> SystemTime {
    node.library.join(path).metadata().unwrap().modified().unwrap()
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn t16_times_of_0_1969_2106_and_later() {
    let times = [
        ("0.jpg", UNIX_EPOCH),
        ("1969.jpg", UNIX_EPOCH - DAY),
        ("1900.jpg", UNIX_EPOCH - DAY * 25_567),
        ("2040.jpg", UNIX_EPOCH + DAY * 25_600),
        ("2106.jpg", UNIX_EPOCH + Duration::from_secs((1 << 32) + 5)),
        ("2200.jpg", UNIX_EPOCH + DAY * 84_000),
    ];
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    for (name, when) in times {
        for node in [&a, &b] {
            let path = format!("{}/{name}", node.library.parent().unwrap().file_name().unwrap().to_str().unwrap());
            node.put(&path, &path);
            set_modified(node, &path, when);
        }
    }
    // As a node, as a Nextcloud, and there by a name that is made of the time.
    a.pair(&b, &[]);
    assert_counts(&a.sync(), &[("uploaded", 6), ("downloaded", 6)]);
    assert_eq!(a.files(), b.files());
    assert_counts(&a.sync(), &[]);
    let c = sandbox.node("c");
    c.connect("cloud", &format!("{}/remote.php/dav/files/admin/", b.url()), &[]);
    assert_counts(&c.sync(), &[("downloaded", 12)]);
    assert_eq!(c.files(), b.files());
    assert_counts(&c.sync(), &[]);
    let d = sandbox.node("d");
    d.pair(&b, &["--keep-names", "no"]);
    assert_counts(&d.sync(), &[("downloaded", 12)]);
    assert_counts(&d.sync(), &[]);
    assert_eq!(b.files().len(), 12);
    // What can be told is told.
    for (name, when) in &times[3..] {
        assert_eq!(modified(&a, &format!("b/{name}")), *when, "{name}");
        assert_eq!(modified(&b, &format!("a/{name}")), *when, "{name}");
    }
    // And edits of such files travel as others do.
    for name in ["0.jpg", "1969.jpg", "2200.jpg"] {
        a.put(&format!("a/{name}"), "edited");
        set_modified(&a, &format!("a/{name}"), UNIX_EPOCH);
    }
    assert_counts(&a.sync(), &[("uploaded", 3)]);
    assert_eq!(a.files(), b.files());
}

/// A node in step with a plain server whose listings tell times, moved by `shift` seconds.
fn with_times(sandbox: &Sandbox) -> (Node, PlainServer, std::sync::Arc<AtomicUsize>) {
    const NOON: usize = 1_600_000_000;
    let (node, server) = (sandbox.node("n"), PlainServer::start());
    let shift = std::sync::Arc::new(AtomicUsize::new(NOON));
    let shifted = shift.clone();
    let url = between(&server.url, move |request, behind| {
        let mut answer = behind.pass(request);
        let when = UNIX_EPOCH + Duration::from_secs(shifted.load(Ordering::SeqCst) as u64);
        let told = httpdate::fmt_http_date(when);
        answer.headers.insert("date".into(), told.clone());
        if request.method == "PROPFIND" {
            let with_time = format!("<d:getlastmodified>{told}</d:getlastmodified><d:getcontentlength>");
            answer.body = answer.text().replace("<d:getcontentlength>", &with_time).into_bytes();
        }
        Some(answer)
    });
    node.connect("svc", &url, &["--deletes", "trash"]);
    for name in ["1.jpg", "2.jpg", "d/3.jpg"] {
        node.put(name, name);
        server.state().put(&format!("there/{name}"), name.repeat(2).as_str());
    }
    assert_counts(&node.sync(), &[("uploaded", 3), ("downloaded", 3)]);
    assert_counts(&node.sync(), &[]);
    server.changes();
    (node, server, shift)
}

#[test]
fn t17_an_entity_tag_changes_without_a_change_of_content() {
    let sandbox = Sandbox::new();
    let (node, server, _) = with_times(&sandbox);
    let before = node.files();
    for _ in 0..2 {
        // A server that was restored, moved or upgraded: everything has another tag.
        for (_, version) in server.state().files.values_mut() {
            *version += 1000;
        }
        let report = node.sync();
        assert_eq!((&report["uploaded"], &report["deleted"], &report["moved"]), (&0.into(), &0.into(), &0.into()), "{report:#}");
        assert_eq!(report["conflicts"], serde_json::json!([]), "{report:#}");
        assert_eq!(node.files(), before);
        assert!(server.changes().is_empty() && node.trashed().is_empty(), "{report:#}");
        assert_counts(&node.sync(), &[]);
    }
    // An edit and a deletion here stay what they are.
    node.put("1.jpg", "1.jpg, edited");
    node.remove("2.jpg");
    for (_, version) in server.state().files.values_mut() {
        *version += 1000;
    }
    let report = node.sync();
    assert_eq!((&report["uploaded"], &report["deleted"]), (&1.into(), &1.into()), "{report:#}");
    assert_eq!(report["conflicts"], serde_json::json!([]), "{report:#}");
    assert_eq!(server.state().contents(), node.files());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn t27_clocks_that_are_a_day_off_and_summer_time() {
    let sandbox = Sandbox::new();
    let (node, server, clock) = with_times(&sandbox);
    let now = clock.load(Ordering::SeqCst);
    for shift in [now + 86_400, now - 86_400, now + 3600, now] {
        clock.store(shift, Ordering::SeqCst);
        let before = node.files();
        assert_counts(&node.sync(), &[]);
        // Here every file is an hour older or newer, as on a FAT card.
        for path in before.keys() {
            set_modified(&node, path, modified(&node, path) - Duration::from_secs(3600));
        }
        assert_counts(&node.sync(), &[]);
        assert_eq!((node.files(), server.state().contents()), (before.clone(), before));
        assert!(server.changes().is_empty(), "{shift}");
    }
    // Edits travel in both directions, however the clocks are.
    clock.store(now - 86_400, Ordering::SeqCst);
    node.put("1.jpg", "edited here");
    set_modified(&node, "1.jpg", UNIX_EPOCH + DAY);
    server.state().put("2.jpg", "edited there");
    assert_counts(&node.sync(), &[("uploaded", 1), ("downloaded", 1)]);
    assert_eq!(server.state().contents(), node.files());
}
