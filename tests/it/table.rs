//! Each row of the decision table through the real binary: one run with all rows side by side, for each policy, with another node and with a
//! plain server. The second run finds nothing to do, so that what was decided (a tombstone, a conflict copy) holds.

use std::collections::BTreeMap;

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, assert_counts};

/// What an owner does to a file that was in step, or that is not there yet.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Nothing,
    /// Puts this version.
    Puts(char),
    Removes,
    /// Gives it another name.
    Renames,
}
use Does::{Nothing, Puts, Removes, Renames};

/// A row: what was in step, what happens here and there, and then what each side holds for each policy: `here|there`, the versions by
/// their letters, `'` for one under another name, `-` for none.
type Row = (&'static str, Option<char>, Does, Does, [&'static str; 6]);

const POLICIES: [(&str, &str, &str); 6] = [
    ("yes", "yes", "ignore"),
    ("yes", "yes", "trash"),
    ("yes", "no", "ignore"),
    ("yes", "no", "trash"),
    ("no", "yes", "ignore"),
    ("no", "yes", "trash"),
];

const B: Option<char> = Some('b');

#[rustfmt::skip]
const ROWS: [Row; 19] = [
    //                                              two-way, deletes trash  download, deletes trash  upload, deletes trash
    ("new here",              None, Puts('l'), Nothing,   ["l|l", "l|l",     "l|-", "l|-",            "l|l", "l|l"]),
    ("new there",             None, Nothing,   Puts('r'), ["r|r", "r|r",     "r|r", "r|r",            "-|r", "-|r"]),
    ("new on both, equal",    None, Puts('l'), Puts('l'), ["l|l", "l|l",     "l|l", "l|l",            "l|l", "l|l"]),
    ("new on both",           None, Puts('l'), Puts('r'), ["lr'|lr'", "lr'|lr'", "lr'|r", "lr'|r",    "l|lr'", "l|lr'"]),
    ("left alone",            B,    Nothing,   Nothing,   ["b|b", "b|b",     "b|b", "b|b",            "b|b", "b|b"]),
    ("edited here",           B,    Puts('l'), Nothing,   ["l|l", "l|l",     "l|b", "l|b",            "l|l", "l|l"]),
    ("edited there",          B,    Nothing,   Puts('r'), ["r|r", "r|r",     "r|r", "r|r",            "b|r", "b|r"]),
    ("edited alike",          B,    Puts('l'), Puts('l'), ["l|l", "l|l",     "l|l", "l|l",            "l|l", "l|l"]),
    ("edited differently",    B,    Puts('l'), Puts('r'), ["lr'|lr'", "lr'|lr'", "lr'|r", "lr'|r",    "l|lr'", "l|lr'"]),
    ("deleted here",          B,    Removes,   Nothing,   ["-|b", "-|-",     "-|b", "-|b",            "-|b", "-|-"]),
    ("deleted there",         B,    Nothing,   Removes,   ["b|-", "-|-",     "b|-", "-|-",            "b|-", "b|-"]),
    ("deleted on both",       B,    Removes,   Removes,   ["-|-", "-|-",     "-|-", "-|-",            "-|-", "-|-"]),
    ("deleted, edited there", B,    Removes,   Puts('r'), ["r|r", "r|r",     "r|r", "r|r",            "-|r", "-|r"]),
    ("edited, deleted there", B,    Puts('l'), Removes,   ["l|l", "l|l",     "l|-", "l|-",            "l|l", "l|l"]),
    ("renamed here",          B,    Renames,   Nothing,   ["b'|b'", "b'|b'", "b'|b", "b'|b",          "b'|b'", "b'|b'"]),
    ("renamed there",         B,    Nothing,   Renames,   ["b'|b'", "b'|b'", "b'|b'", "b'|b'",        "b|b'", "b|b'"]),
    ("renamed, edited there", B,    Renames,   Puts('r'), ["r'|r'", "r'|r'", "rb'|r", "rb'|r",        "b'|rb'", "b'|rb'"]),
    ("edited, renamed there", B,    Puts('l'), Renames,   ["l'|l'", "l'|l'", "lb'|b'", "lb'|b'",      "l|lb'", "l|lb'"]),
    ("renamed, deleted there", B,   Renames,   Removes,   ["b'|b'", "b'|b'", "b'|-", "b'|-",          "b'|b'", "b'|b'"]),
];

/// The other side.
enum There {
    Node(Node),
    Plain(PlainServer),
}

impl There {
    fn does(&self, path: &str, content: &str, does: Does) {
        match (self, does) {
            (There::Node(node), _) => here(node, path, content, does),
            (_, Nothing) => {}
            (There::Plain(server), Puts(_)) => server.state().put(path, content),
            (There::Plain(server), Removes) => drop(server.state().files.remove(path)),
            (There::Plain(server), Renames) => {
                let mut state = server.state();
                let file = state.files.remove(path).unwrap();
                state.files.insert(renamed(path), file);
            }
        }
    }

    fn files(&self) -> BTreeMap<String, String> {
        match self {
            There::Node(node) => node.files(),
            There::Plain(server) => server.state().contents(),
        }
    }
}

fn renamed(path: &str) -> String {
    path.replace(".jpg", "-renamed.jpg")
}

fn here(node: &Node, path: &str, content: &str, does: Does) {
    match does {
        Nothing => {}
        Puts(_) => node.put(path, content),
        Removes => node.remove(path),
        Renames => node.rename(path, &renamed(path)),
    }
}

/// What a side holds of a row.
fn held(files: &BTreeMap<String, String>, row: usize) -> String {
    let prefix = format!("{row:02}");
    let mut held: Vec<String> = Vec::new();
    for (path, content) in files.iter().filter(|(path, _)| path.starts_with(&prefix)) {
        let other = if *path == format!("{prefix}.jpg") { "" } else { "'" };
        held.push(format!("{}{other}", content.chars().next().unwrap()));
    }
    held.sort_by_key(|text| text.len());
    if held.is_empty() { "-".into() } else { held.concat() }
}

fn content(row: usize, does: Does) -> String {
    let version = if let Puts(version) = does { version } else { 'b' };
    format!("{version} of row {row}")
}

#[test]
fn each_row_for_each_policy() {
    let mut failures: Vec<String> = Vec::new();
    for (at, (download, upload, deletes)) in POLICIES.into_iter().enumerate() {
        for plain in [false, true] {
            let sandbox = Sandbox::new();
            let (a, there) = (sandbox.node("a"), if plain { There::Plain(PlainServer::start()) } else { There::Node(sandbox.node("b")) });
            let there = match there {
                There::Node(mut node) => {
                    node.serve();
                    a.connect("peer", &node.originals(), &[]);
                    There::Node(node)
                }
                There::Plain(server) => {
                    server.state().tells_checksums = true;
                    a.connect("peer", &server.url, &[]);
                    There::Plain(server)
                }
            };
            // So many that a few deletions are no accident.
            (0..30).for_each(|number| a.put(&format!("more/{number}.jpg"), &format!("more {number}")));
            for (row, (_, base, ..)) in ROWS.iter().enumerate() {
                base.iter().for_each(|_| a.put(&format!("{row:02}.jpg"), &content(row, Nothing)));
            }
            a.sync();
            a.run(&["service", "sync", "peer", "--download", download, "--upload", upload, "--deletes", deletes]);
            for (row, (_, _, on_a, on_b, _)) in ROWS.iter().enumerate() {
                let path = format!("{row:02}.jpg");
                here(&a, &path, &content(row, *on_a), *on_a);
                there.does(&path, &content(row, *on_b), *on_b);
            }
            if let There::Node(node) = &there {
                node.run(&["index"]);
            }
            let report = a.sync();
            let mut wrong = Vec::new();
            let (on_a, on_b) = (a.files(), there.files());
            for (row, (name, .., expected)) in ROWS.iter().enumerate() {
                let found = format!("{}|{}", held(&on_a, row), held(&on_b, row));
                if found != expected[at] {
                    wrong.push(format!("{name}: {found} instead of {}", expected[at]));
                }
            }
            let policy = format!("download {download}, upload {upload}, deletes {deletes}, plain {plain}");
            if !wrong.is_empty() {
                failures.push(format!("{policy}:\n{}\n{report:#}", wrong.join("\n")));
                continue;
            }
            assert_counts(&a.sync(), &[]);
            assert_eq!((a.files(), there.files()), (on_a, on_b), "{policy}: the second run changed something");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_deleted_folder_is_kept_or_follows_as_its_files_do() {
    for (here, deletes, kept) in [(true, "ignore", true), (true, "trash", false), (false, "ignore", true), (false, "trash", false)] {
        let sandbox = Sandbox::new();
        let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
        b.serve();
        a.pair(&b, &["--deletes", deletes]);
        (0..8).for_each(|number| a.put(&format!("stays/{number}.jpg"), &format!("stays {number}")));
        (0..2).for_each(|number| a.put(&format!("goes/deep/{number}.jpg"), &format!("goes {number}")));
        a.sync();
        let (owner, other) = if here { (&a, &b) } else { (&b, &a) };
        std::fs::remove_dir_all(owner.library.join("goes")).unwrap();
        b.run(&["index"]);
        let report = a.sync();
        assert_counts(&report, if kept { &[] } else { &[("deleted", 2)] });
        assert_eq!(other.library.join("goes").exists(), kept, "{report:#}");
        assert_eq!(other.trashed().len(), if kept { 0 } else { 2 });
        for _ in 0..2 {
            assert_counts(&a.sync(), &[]);
            assert!(!owner.library.join("goes").exists(), "what was deleted came back");
        }
    }
}

#[test]
fn what_was_deleted_comes_back_only_when_its_owner_puts_it_back() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &[]);
    a.put("x.jpg", "x");
    a.put("y.jpg", "y");
    a.sync();
    a.remove("x.jpg");
    b.remove("y.jpg");
    b.run(&["index"]);
    (0..3).for_each(|_| assert_counts(&a.sync(), &[]));
    // A change of the policy is no reason either.
    a.run(&["service", "sync", "peer", "--deletes", "trash"]);
    assert_counts(&a.sync(), &[]);
    a.put("x.jpg", "x");
    b.put("y.jpg", "y");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("adopted", 2)]);
    a.put("x.jpg", "x, edited");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(a.files(), b.files());
}
