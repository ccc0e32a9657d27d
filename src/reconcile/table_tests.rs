//! The whole table as one golden file: every state of (baseline, local, remote) under every policy.

use std::fmt::Write as _;

use super::*;
use crate::reconcile::Coverage;
use crate::types::{Digests, KnownDigests, Mtime, RelPath};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/decision-table.txt");

fn absent<V>() -> Seen<V> {
    Seen::Absent(Coverage::default().of(&RelPath::root()).unwrap())
}

fn local(content: &str) -> LocalVersion {
    LocalVersion { size: content.len() as u64, mtime: Mtime(1), digests: Digests::of(content.as_bytes()) }
}

fn remote(content: &str, with_digest: bool) -> RemoteVersion {
    let digests = if with_digest { Digests::of(content.as_bytes()).into() } else { KnownDigests::default() };
    RemoteVersion { size: Some(content.len() as u64), etag: Some(format!("etag-{content}")), modified: Some(1), digests, weak: false }
}

/// The states: contents are named by letters of equal length, so that only a digest or etag tells them apart.
fn states(with_digest: bool) -> Vec<(String, Row)> {
    let bases = [
        ("none", None),
        ("in step", Some(Base { local: Some(local("a")), remote: Some(remote("a", with_digest)) })),
        ("deleted here", Some(Base { local: None, remote: Some(remote("a", with_digest)) })),
        ("deleted there", Some(Base { local: Some(local("a")), remote: None })),
    ];
    let locals =
        [("no", absent()), ("a", Seen::File(local("a"))), ("b", Seen::File(local("b"))), ("?", Seen::Unknown("unreadable".into()))];
    let remotes = [
        ("no", absent()),
        ("a", Seen::File(remote("a", with_digest))),
        ("b", Seen::File(remote("b", with_digest))),
        ("c", Seen::File(remote("c", with_digest))),
        ("d+", Seen::File(remote("longer", with_digest))),
        ("?", Seen::Unknown("unreadable".into())),
    ];
    let mut states = Vec::new();
    for (base_name, base) in &bases {
        for (local_name, local) in &locals {
            for (remote_name, remote) in &remotes {
                let name = format!("{base_name:<14}{local_name:<4}{remote_name:<4}");
                states.push((name, Row { base: base.clone(), local: local.clone(), remote: remote.clone() }));
            }
        }
    }
    states
}

fn policies() -> Vec<(&'static str, Policy)> {
    let policy = |download, upload, deletes| Policy { download, upload, deletes, keep_names: true };
    vec![
        ("two-way", policy(true, true, Deletes::Ignore)),
        ("two-way, deletes", policy(true, true, Deletes::Trash)),
        ("download", policy(true, false, Deletes::Ignore)),
        ("download, deletes", policy(true, false, Deletes::Trash)),
        ("upload", policy(false, true, Deletes::Ignore)),
        ("upload, deletes", policy(false, true, Deletes::Trash)),
    ]
}

fn show(decision: &Decision) -> String {
    match decision {
        Decision::Upload(why) => format!("upload ({why})"),
        Decision::Download(why) => format!("download ({why})"),
        Decision::Skip(Why::Unreadable { side, .. }) => format!("skip ({side:?} unknown)"),
        Decision::Skip(why) => format!("skip ({why})"),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn table() -> String {
    let mut text = String::from(
        "# Every state of (baseline, local, remote) and what is decided. Contents are letters; `no` is certainly absent,\n\
         # `?` could not be read. Rewrite on purpose: TWINLENS_BLESS=1 cargo test decision_table\n",
    );
    for (policy_name, policy) in policies() {
        for (digests, with_digest) in [("digests known", true), ("digests unknown", false)] {
            let _ = writeln!(text, "\n## {policy_name}; remote {digests}\n{:<14}{:<4}{:<4}decision", "baseline", "L", "R");
            for (name, row) in states(with_digest) {
                let _ = writeln!(text, "{name}{}", show(&decide(&row, &policy)));
            }
        }
    }
    text
}

#[test]
fn decision_table() {
    let actual = table();
    if std::env::var_os("TWINLENS_BLESS").is_some() {
        std::fs::write(GOLDEN, &actual).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for (number, (expected, found)) in golden.lines().zip(actual.lines()).enumerate() {
        assert_eq!(expected, found, "line {} of fixtures/decision-table.txt", number + 1);
    }
    assert_eq!(golden.lines().count(), actual.lines().count());
}

#[test]
fn the_unknown_is_never_touched() {
    for (_, policy) in policies() {
        for (name, row) in states(true) {
            if matches!(row.local, Seen::Unknown(_)) || matches!(row.remote, Seen::Unknown(_)) {
                assert!(matches!(decide(&row, &policy), Decision::Skip(Why::Unreadable { .. })), "{name}");
            }
        }
    }
}

#[test]
fn an_empty_baseline_deletes_nothing() {
    for (_, policy) in policies() {
        for (name, row) in states(true).into_iter().filter(|(_, row)| row.base.is_none()) {
            let decision = decide(&row, &policy);
            assert!(!matches!(decision, Decision::Delete(_) | Decision::Tombstone(_)), "{name}: {decision:?}");
        }
    }
}

#[test]
fn one_way_never_writes_the_other_side() {
    for (_, policy) in policies() {
        for (name, row) in states(true) {
            let decision = decide(&row, &policy);
            let writes_remote = matches!(decision, Decision::Upload(_) | Decision::Delete(Side::Remote));
            let writes_local = matches!(decision, Decision::Download(_) | Decision::Delete(Side::Local));
            assert!(policy.upload || !writes_remote, "{name}: {decision:?}");
            assert!(policy.download || !writes_local, "{name}: {decision:?}");
        }
    }
}

#[test]
fn another_entity_tag_alone_is_neither_an_edit_nor_a_reason_to_bring_back() {
    let row = |here: Seen<LocalVersion>, there: RemoteVersion| Row {
        base: Some(Base { local: Some(local("a")), remote: Some(remote("a", true)) }),
        local: here,
        remote: Seen::File(there),
    };
    let retagged = |content| RemoteVersion { etag: Some("another".into()), ..remote(content, false) };
    let found = |content| RemoteVersion { etag: Some("another".into()), ..remote(content, true) };
    let policy = Policy { download: true, upload: true, deletes: Deletes::Trash, keep_names: true };
    for (here, same, other) in [
        (Seen::File(local("longer")), Decision::Upload(Why::Changed), Decision::Conflict),
        (absent(), Decision::Delete(Side::Remote), Decision::Download(Why::EditBeatsDeletion)),
    ] {
        assert_eq!(decide(&row(here.clone(), retagged("a")), &policy), Decision::NeedDigest(Side::Remote));
        assert_eq!(decide(&row(here.clone(), found("a")), &policy), same);
        assert_eq!(decide(&row(here, found("b")), &policy), other);
    }
}
