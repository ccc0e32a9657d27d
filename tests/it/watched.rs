//! A sync through a running node: it knows what was done in its library, and looks at nothing else. Nothing that was done before is missed.

use std::fs;

use serde_json::Value;

use crate::support::{Node, Sandbox, assert_counts};

const FOLDERS: usize = 12;
const EACH: usize = 4;

/// Two serving nodes that are in step. The first is synced only when somebody says so.
fn in_step(sandbox: &Sandbox) -> (Node, Node) {
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    for number in 0..FOLDERS * EACH {
        a.put(&format!("{}/{number}.jpg", number / EACH), &format!("picture {number}"));
    }
    a.serve();
    b.serve();
    a.pair(&b, &["--deletes", "trash", "--interval", "7d"]);
    a.run(&["pause"]);
    sync(&a);
    sync(&a);
    (a, b)
}

#[track_caller]
fn sync(node: &Node) -> Value {
    node.run(&["sync", "peer"])["services"][0].clone()
}

fn looked_at(report: &Value) -> usize {
    usize::try_from(report["looked_at"].as_u64().unwrap()).unwrap()
}

#[test]
fn where_nothing_was_done_nothing_is_looked_at() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox);
    let report = sync(&a);
    assert_eq!((looked_at(&report), &report["requests"]), (0, &Value::from(1)), "{report:#}");
    assert_counts(&report, &[]);
    a.put("3/new.jpg", "new");
    let report = sync(&a);
    assert_counts(&report, &[("uploaded", 1)]);
    assert!(looked_at(&report) <= EACH + 1, "{report:#}");
    // Without a node that watches, everything is looked at.
    let mut a = a;
    a.stop();
    assert_eq!(looked_at(&sync(&a)), FOLDERS * EACH + 1);
    assert_eq!(a.files(), b.files());
}

#[test]
fn a_change_right_before_a_sync_is_always_in_it() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox);
    let outside = sandbox.path().join("outside");
    fs::create_dir_all(outside.join("deep/er")).unwrap();
    fs::write(outside.join("deep/er/moved in.jpg"), "moved in").unwrap();
    let seen = |what: &str| {
        let report = sync(&a);
        assert!(looked_at(&report) < FOLDERS * EACH, "{what}: {report:#}");
        assert_eq!(a.files(), b.files(), "{what}: {report:#}");
        report
    };
    for round in 0..3 {
        a.put(&format!("1/new {round}.jpg"), &format!("new in round {round}"));
        seen("a new file");
        a.put(&format!("1/new {round}.jpg"), &format!("old in round {round}"));
        seen("an edit with as many bytes");
        a.rename(&format!("1/new {round}.jpg"), &format!("2/other {round}.jpg"));
        assert_counts(&seen("a file that has another name"), &[("moved", 1)]);
        a.put(&format!("made/in/round {round}/x.jpg"), &format!("x {round}"));
        a.put(&format!("made/in/round {round}/deep/y.jpg"), &format!("y {round}"));
        assert_counts(&seen("new folders"), &[("uploaded", 2)]);
        a.put(&format!("made/in/round {round}/deep/z.jpg"), &format!("z {round}"));
        assert_counts(&seen("a file in a new folder"), &[("uploaded", 1)]);
        a.rename(&format!("made/in/round {round}"), &format!("renamed/{round}"));
        seen("a folder that has another name");
        a.put(&format!("renamed/{round}/deep/w.jpg"), &format!("w {round}"));
        assert_counts(&seen("a file in a renamed folder"), &[("uploaded", 1)]);
        for (from, to) in [("4", "between"), ("5", "4"), ("between", "5")] {
            a.rename(from, to);
        }
        seen("two folders that changed places");
        a.put("4/in the one.jpg", &format!("one {round}"));
        a.put("5/in the other.jpg", &format!("other {round}"));
        seen("files in them");
        a.remove(&format!("2/other {round}.jpg"));
        assert_counts(&seen("a file that is gone"), &[("deleted", 1)]);
        fs::remove_dir_all(a.library.join(format!("renamed/{round}"))).unwrap();
        seen("a folder that is gone");
        a.put(&format!("renamed/{round}"), "a file in the place of a folder");
        seen("a file in its place");
    }
    fs::rename(&outside, a.library.join("moved in")).unwrap();
    assert_counts(&seen("a folder from elsewhere"), &[("uploaded", 1)]);
    fs::rename(a.library.join("moved in"), &outside).unwrap();
    assert_counts(&seen("a folder that went elsewhere"), &[("deleted", 1)]);
}

#[test]
fn an_ignore_file_is_read_though_nothing_else_is() {
    let sandbox = Sandbox::new();
    let (a, _b) = in_step(&sandbox);
    let held = |report: &Value| report["held_back"][0]["files"].as_u64().unwrap_or(0);
    for (path, text, files) in [(".tlignore", "/7/\n", 4), ("8/.ppignore", "*\n", 8), (".tlignore", "# none\n", 4), ("8/.ppignore", "", 0)]
    {
        a.put(path, text);
        let report = sync(&a);
        assert_eq!(held(&report), files, "{path} {text:?}: {report:#}");
        assert!(looked_at(&report) <= EACH, "{report:#}");
    }
    a.put(".tlignore", "/7/\n");
    assert_eq!(held(&sync(&a)), 4);
    a.remove(".tlignore");
    assert_eq!(held(&sync(&a)), 0);
}

/// What the system lists of changes has an end. When it is reached, everything is looked at.
#[test]
#[cfg(target_os = "linux")]
fn when_changes_were_lost_everything_is_looked_at() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox);
    let signal = |signal: &str| {
        let sent = std::process::Command::new("kill").args([format!("-{signal}"), a.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    signal("STOP");
    for number in 0..=limit / 2 {
        // Two events each, of two files by turns: equal ones one after the other would be one.
        let place = a.library.join(format!("1/{}.tmp.jpg", number % 2));
        fs::write(&place, "").unwrap();
        fs::remove_file(place).unwrap();
    }
    a.put("9/after that.jpg", "nobody was told");
    signal("CONT");
    let report = sync(&a);
    // Found although nobody told of it: by this sync, or by the node before it came to its turn.
    assert_counts(&report, &[("uploaded", 1)]);
    assert!([0, FOLDERS * EACH + 1].contains(&looked_at(&report)), "{report}");
    assert_eq!(a.files(), b.files());
}
