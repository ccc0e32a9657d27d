//! Two nodes in step: put, sync, check on literal trees.

use serde_json::Value;

use crate::support::{Node, Sandbox, assert_counts, assert_files, have, sample, show, write};

fn pair(sandbox: &Sandbox) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &[]);
    (a, b)
}

#[test]
fn both_sides_get_what_they_lack_and_then_there_is_nothing_to_do() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.put("2019/a #1 & 50%.jpg", "from a");
    b.put("2020/Müller+Söhne/b 🔥 'q' \"d\".jpg", "from b");
    b.serve();
    a.pair(&b, &[]);
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 1), ("downloaded", 1)]);
    assert_eq!(report["verified"], 2);
    assert_eq!(a.files(), b.files());
    assert_eq!(a.files().len(), 2);
    assert_counts(&a.sync(), &[]);
    assert_eq!((a.left_behind().len(), b.left_behind().len()), (0, 0));
}

#[test]
fn what_was_downloaded_is_never_uploaded_again() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.put("Photos/x.jpg", "x");
    b.put("other/y.jpg", "y");
    b.serve();
    a.pair(&b, &["--folder", "/Photos"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_files(&a, &[("x.jpg", "x")]);
    for _ in 0..3 {
        assert_counts(&a.sync(), &[]);
    }
    assert_files(&b, &[("Photos/x.jpg", "x"), ("other/y.jpg", "y")]);
}

#[test]
fn a_missing_remote_folder_is_made_for_uploads_only() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("1.jpg", "one");
    a.run(&["service", "sync", "peer", "--folder", "/made/on/demand", "--upload", "no"]);
    let report = a.sync_expecting(1, &[]);
    assert!(report["error"].as_str().unwrap().contains("/made/on/demand"), "{report:#}");
    a.run(&["service", "sync", "peer", "--upload", "yes"]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_files(&b, &[("made/on/demand/1.jpg", "one")]);
}

#[test]
fn content_under_another_name_is_not_sent() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    a.put("2020/IMG_1.jpg", "same");
    b.put("Holiday/beach.jpg", "same");
    b.serve();
    b.run(&["index"]);
    a.pair(&b, &[]);
    let report = a.sync();
    assert_counts(&report, &[("adopted", 1)]);
    assert_eq!(report["skipped"][0]["path"], "2020/IMG_1.jpg", "{report:#}");
    let same = |report: &Value| {
        let left = &report["skipped"][0];
        assert_eq!((&left["cause"], &left["other"]), (&"same-content-at".into(), &"Holiday/beach.jpg".into()), "{report:#}");
    };
    same(&report);
    a.put("copy of it.jpg", "same");
    let report = a.sync();
    assert_counts(&report, &[]);
    assert_eq!(report["skipped"][0]["path"], "copy of it.jpg", "{report:#}");
    same(&report);
    assert_files(&b, &[("Holiday/beach.jpg", "same")]);
    // An edit still travels to where the content was.
    a.put("2020/IMG_1.jpg", "edited");
    // The copy's reason to be left out is gone in the same run; its content is still there, and is not sent either.
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 1)]);
    assert_eq!(report["copied"], 1, "{report:#}");
    assert_files(&b, &[("Holiday/beach.jpg", "edited"), ("copy of it.jpg", "same")]);
    assert_counts(&a.sync(), &[]);
}

#[test]
fn an_edit_travels_and_the_old_version_is_in_the_trash() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "one");
    a.sync();
    a.put("x.jpg", "two");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_files(&b, &[("x.jpg", "two")]);
    assert_eq!(b.trashed(), ["one"]);
    b.put("x.jpg", "three");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_files(&a, &[("x.jpg", "three")]);
    assert_eq!(a.trashed(), ["two"]);
}

#[test]
fn an_edit_of_the_same_size_in_the_same_second_is_seen() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "aaaa");
    a.sync();
    for content in ["bbbb", "cccc", "dddd"] {
        a.put("x.jpg", content);
        assert_counts(&a.sync(), &[("uploaded", 1)]);
        assert_files(&b, &[("x.jpg", content)]);
    }
}

#[test]
fn edits_on_both_sides_become_a_conflict_copy_on_both() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("d/x.jpg", "base");
    a.sync();
    a.put("d/x.jpg", "mine");
    b.put("d/x.jpg", "theirs");
    b.run(&["index"]);
    let report = a.sync();
    assert_eq!(report["conflicts"][0]["path"], "d/x.jpg", "{report:#}");
    let files = a.files();
    assert_eq!(files, b.files());
    assert_eq!(files["d/x.jpg"], "mine");
    let copy = files.keys().find(|path| path.starts_with("d/x (conflict peer 2")).expect("no conflict copy");
    assert_eq!((files[copy].as_str(), files.len(), copy.ends_with(").jpg")), ("theirs", 2, true));
    assert_counts(&a.sync(), &[]);
}

#[test]
fn the_same_edit_on_both_sides_is_no_conflict() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "base");
    a.sync();
    a.put("x.jpg", "same");
    b.put("x.jpg", "same");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("adopted", 1)]);
    assert!(report["conflicts"].as_array().unwrap().is_empty());
}

#[test]
fn one_way_in_both_directions() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("a.jpg", "a");
    b.put("b.jpg", "b");
    b.run(&["index"]);
    a.run(&["service", "sync", "peer", "--upload", "no"]);
    let report = a.sync();
    assert_counts(&report, &[("downloaded", 1)]);
    assert_eq!(report["skipped"][0]["path"], "a.jpg");
    assert_files(&b, &[("b.jpg", "b")]);
    b.put("c.jpg", "c");
    a.run(&["service", "sync", "peer", "--upload", "yes", "--download", "no"]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_files(&a, &[("a.jpg", "a"), ("b.jpg", "b")]);
    assert_eq!(b.files().len(), 3);
}

#[test]
fn deletions_are_ignored_or_followed_and_never_undone() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    for name in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        a.put(&format!("{name}.jpg"), name);
    }
    a.sync();
    a.remove("1.jpg");
    b.remove("2.jpg");
    b.run(&["index"]);
    for _ in 0..2 {
        assert_counts(&a.sync(), &[]);
    }
    assert!(b.files().contains_key("1.jpg") && !a.files().contains_key("1.jpg"));
    assert!(a.files().contains_key("2.jpg") && !b.files().contains_key("2.jpg"));

    a.run(&["service", "sync", "peer", "--deletes", "trash"]);
    a.remove("3.jpg");
    b.remove("4.jpg");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("deleted", 2)]);
    assert!(!b.files().contains_key("3.jpg") && !a.files().contains_key("4.jpg"));
    assert_eq!((a.trashed(), b.trashed()), (vec!["4".to_owned()], vec!["3".to_owned()]));
}

#[test]
fn an_emptied_side_and_a_mass_deletion_halt() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    for number in 0..12 {
        a.put(&format!("{number}.jpg"), &format!("content {number}"));
    }
    a.run(&["service", "sync", "peer", "--deletes", "trash"]);
    a.sync();
    for number in 0..6 {
        a.remove(&format!("{number}.jpg"));
    }
    let report = a.sync_expecting(1, &[]);
    assert!(report["error"].as_str().unwrap().contains("6 of 12 files would be removed"), "{report:#}");
    assert_eq!(b.files().len(), 12);
    assert_counts(&a.sync_expecting(0, &["--force"]), &[("deleted", 6)]);
    for number in 6..12 {
        a.remove(&format!("{number}.jpg"));
    }
    let report = a.sync_expecting(1, &[]);
    assert!(report["error"].as_str().unwrap().contains("the library is empty"), "{report:#}");
    assert_eq!(b.files().len(), 6);
}

#[test]
fn a_rename_is_followed_without_a_transfer() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("here.jpg", "1");
    a.put("there.jpg", "2");
    a.sync();
    a.rename("here.jpg", "2020/renamed here.jpg");
    b.rename("there.jpg", "2021/renamed there.jpg");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("moved", 2)]);
    assert_eq!((&report["bytes_up"], &report["bytes_down"]), (&0.into(), &0.into()));
    assert_files(&a, &[("2020/renamed here.jpg", "1"), ("2021/renamed there.jpg", "2")]);
    assert_eq!(a.files(), b.files());
    assert_counts(&a.sync(), &[]);
}

#[test]
fn raw_and_video_off_holds_them_back_on_both_sides_alike() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    for (node, name) in [(&a, "a"), (&b, "b")] {
        node.put(&format!("{name}.dng"), &format!("raw {name}"));
        node.put(&format!("{name}.dng.xmp"), &format!("about raw {name}"));
        node.put(&format!("{name}.MOV"), &format!("video {name}"));
        node.put(&format!("live {name}.HEIC"), &format!("still {name}"));
        node.put(&format!("live {name}.MOV"), &format!("moving half {name}"));
        node.put(&format!("{name}.jpg"), &format!("picture {name}"));
    }
    b.serve();
    a.pair(&b, &["--raw-and-video", "no"]);
    let report = a.sync();
    // The jpg beside each raw keeps the stem's video, but never the raw.
    let names: Vec<_> = b.files().into_keys().filter(|path| path.contains('a') && !path.contains("b.")).collect();
    assert!(names.contains(&"live a.MOV".to_owned()) && names.contains(&"a.jpg".to_owned()), "{names:?}");
    assert!(!b.files().contains_key("a.dng") && !a.files().contains_key("b.dng"));
    assert!(report["skipped"].as_array().unwrap().iter().any(|skipped| skipped["path"] == "a.dng"), "{report:#}");
    a.run(&["service", "sync", "peer", "--raw-and-video", "yes"]);
    a.sync();
    assert_eq!(a.files(), b.files());
    assert_eq!(a.files().len(), 12);
}

#[test]
fn without_kept_names_downloads_are_sorted_by_capture_date_and_stay_here() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    write(&b.library.join("DSC_1.JPG"), &sample("lake.jpg"));
    b.serve();
    a.pair(&b, &["--keep-names", "no"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    let files = a.files();
    let name = files.keys().next().unwrap();
    assert!(name.starts_with("2019/07/201907") && name.ends_with(".jpg"), "{name}");
    assert_counts(&a.sync(), &[]);
    assert_eq!(b.files().len(), 1);
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "four");
    let report = a.sync_expecting(0, &["--dry-run"]);
    let step = &report["plan"][0];
    assert_eq!((step["action"].as_str(), step["path"].as_str(), step["bytes"].as_u64()), (Some("upload"), Some("x.jpg"), Some(4)));
    assert_files(&b, &[]);
    a.put("y.jpg", "eighteen");
    b.put("z.jpg", "two");
    let totals = &a.sync_expecting(0, &["--dry-run"])["totals"];
    let expected = serde_json::json!({ "upload": { "count": 2, "bytes": 12 }, "download": { "count": 1, "bytes": 3 } });
    assert_eq!(totals, &expected);
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 2), ("downloaded", 1)]);
    assert!(report["totals"].is_null(), "{report:#}");
}

#[test]
fn the_time_of_a_photo_travels_with_it() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "x");
    let taken = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
    std::fs::File::options().write(true).open(a.library.join("x.jpg")).unwrap().set_modified(taken).unwrap();
    a.sync();
    assert_eq!(std::fs::metadata(b.library.join("x.jpg")).unwrap().modified().unwrap(), taken);
    let report = a.sync();
    assert_counts(&report, &[]);
}

#[test]
fn a_wiped_data_folder_loses_and_doubles_nothing() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("x.jpg", "x");
    b.put("y.jpg", "y");
    b.run(&["index"]);
    a.sync();
    std::fs::remove_dir_all(&a.data).unwrap();
    a.pair(&b, &[]);
    assert_counts(&a.sync(), &[("adopted", 2)]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn a_large_file_goes_both_ways_in_pieces() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    let large: String = (0..3_000_000_u32).map(|n| char::from(b'a' + (n % 251 * n % 23) as u8)).collect();
    a.put("up.mov", &large);
    b.put("down.mov", &large.chars().rev().collect::<String>());
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("uploaded", 1), ("downloaded", 1)]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn an_unreadable_folder_is_not_a_deletion() {
    use std::os::unix::fs::PermissionsExt as _;
    if !have("setpriv") {
        return;
    }
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    for number in 0..9 {
        a.put(&format!("d/{number}.jpg"), &number.to_string());
    }
    a.put("top.jpg", "top");
    a.run(&["service", "sync", "peer", "--deletes", "trash"]);
    a.sync();
    let folder = a.library.join("d");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o000)).unwrap();
    let output = without_privilege(&a, &["sync", "--json"]);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let report = serde_json::from_slice::<Value>(&output.stdout).unwrap()["services"][0].clone();
    assert_counts(&report, &[]);
    assert_eq!(b.files().len(), 10);
    assert_eq!(report["failed"][0]["path"], "d", "{report:#}");
}

#[test]
fn a_library_is_not_synced_with_itself() {
    let sandbox = Sandbox::new();
    let mut a = sandbox.node("a");
    a.serve();
    for url in [a.originals(), format!("{}/webdav/", a.url())] {
        let output = a.add_service("me", &url);
        if output.status.success() {
            a.run(&["service", "sync", "me", "--on", "--upload", "yes"]);
            let report = a.sync_expecting(1, &[]);
            assert!(report["error"].as_str().unwrap().contains("the very library"), "{report:#}");
            a.run(&["service", "remove", "me"]);
        } else {
            assert!(String::from_utf8_lossy(&output.stderr).contains("the very library"));
        }
    }
}

#[test]
fn commands_reach_the_running_node() {
    let sandbox = Sandbox::new();
    let (mut a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.serve();
    a.pair(&b, &[]);
    a.put("x.jpg", "x");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    let status = a.run(&["status"]);
    assert_eq!(status["url"], a.url());
    assert_eq!(status["services"][0]["last_run"]["uploaded"], 1);
    a.stop();
    assert_eq!(a.run(&["status"])["url"], serde_json::Value::Null);
    assert_counts(&a.sync(), &[]);
}

#[test]
fn another_photo_under_the_name_of_a_deleted_one_replaces_nothing() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("IMG_1.jpg", "kept there");
    a.put("IMG_2.jpg", "kept here");
    a.put("other.jpg", "other");
    a.sync();
    a.remove("IMG_1.jpg");
    b.remove("IMG_2.jpg");
    b.run(&["index"]);
    a.sync();
    // Camera counters repeat.
    a.put("IMG_1.jpg", "new here");
    b.put("IMG_2.jpg", "new there");
    b.run(&["index"]);
    let report = a.sync();
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 2, "{report:#}");
    for node in [&a, &b] {
        let mut contents: Vec<_> = node.files().into_values().collect();
        contents.sort();
        assert_eq!(contents, ["kept here", "kept there", "new here", "new there", "other"]);
    }
    assert_counts(&a.sync(), &[]);
}

#[test]
fn a_restored_file_is_in_step_again() {
    let sandbox = Sandbox::new();
    let (a, _b) = pair(&sandbox);
    a.put("x.jpg", "x");
    a.put("y.jpg", "y");
    a.sync();
    a.remove("x.jpg");
    a.sync();
    a.put("x.jpg", "x");
    assert_counts(&a.sync(), &[("adopted", 1)]);
}

#[test]
fn an_emptied_file_never_replaces_a_good_one() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("here.jpg", "good");
    a.put("there.jpg", "good too");
    a.sync();
    a.put("here.jpg", "");
    b.put("there.jpg", "");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[]);
    assert_eq!(report["skipped"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!((b.files()["here.jpg"].as_str(), a.files()["there.jpg"].as_str()), ("good", "good too"));
}

#[test]
fn a_rename_to_a_name_that_is_not_synced_is_no_deletion() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    for name in ["1", "2", "3"] {
        a.put(&format!("{name}.jpg"), name);
    }
    a.run(&["service", "sync", "peer", "--deletes", "trash"]);
    a.sync();
    let moved = crate::support::http("MOVE", &format!("{}1.jpg", b.originals()), &[("Destination", "/originals/1.jpg.part")], b"");
    assert_eq!(moved.status, 201);
    a.sync();
    // The peer no longer shows it: gone there, and followed here, into the trash. The file itself is untouched.
    assert_eq!(b.files()["1.jpg.part"], "1");
    assert_eq!(b.run(&["index"])["files"], 2);
}

#[test]
fn over_tls_with_a_pinned_certificate_that_stays_the_same() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve_with(&["--tls-self-signed"]);
    let refused = a.add_service("peer", &b.originals());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && text.contains("is not trusted"), "{text}");
    let fingerprint = text.split_whitespace().skip_while(|word| *word != "--fingerprint").nth(1).unwrap().to_owned();
    assert_eq!(b.fingerprint(), fingerprint);
    let url = b.originals();
    let add = ["service", "add", "peer", &url, "--user", "admin", "--password-stdin", "--fingerprint", &fingerprint];
    let added = a.run_with_password(&add, crate::support::PASSWORD);
    assert!(added.status.success(), "{}", crate::support::show(&added));
    a.run(&["service", "sync", "peer", "--upload", "yes"]);
    a.put("x.jpg", "x");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    // The same certificate after a restart, at whatever port.
    b.stop();
    b.serve_with(&["--tls-self-signed"]);
    assert_eq!(b.fingerprint(), fingerprint);
}

#[test]
fn a_changed_certificate_file_is_used_without_a_restart() {
    let sandbox = Sandbox::new();
    let (certificate, key) = (sandbox.path().join("cert.pem"), sandbox.path().join("key.pem"));
    let make = || {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
    };
    make();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve_with(&["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let first = b.fingerprint();
    make();
    let shown = || String::from_utf8_lossy(&a.add_service("peer", &b.originals()).stderr).into_owned();
    crate::support::eventually("the new certificate", || !shown().contains(&first));
    assert!(shown().contains("is not trusted"));
    // A broken file changes nothing.
    std::fs::write(&certificate, "not a certificate").unwrap();
    assert!(shown().contains("is not trusted"));
    let broken = sandbox
        .node("c")
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .arg("--tls-cert")
        .arg(&certificate)
        .arg("--tls-key")
        .arg(&key)
        .output();
    let broken = broken.unwrap();
    assert!(
        broken.status.code() == Some(3) && crate::support::show(&broken).contains("cert.pem cannot be used"),
        "{}",
        crate::support::show(&broken)
    );
}

/// A command of a node whose owner may not go past permissions, even where the tests run as root.
fn without_privilege(node: &Node, args: &[&str]) -> std::process::Output {
    let command = node.command(args);
    let mut bound = std::process::Command::new("setpriv");
    bound.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]).arg(command.get_program());
    bound.args(command.get_args()).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bound.output().unwrap()
}

#[test]
fn a_photo_that_cannot_be_read_does_not_look_like_success() {
    use std::os::unix::fs::PermissionsExt as _;
    if !have("setpriv") {
        return;
    }
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    a.put("good.jpg", "good");
    a.put("bad.jpg", "bad");
    a.put("closed/x.jpg", "x");
    let shut = |path: &str, mode: u32| {
        std::fs::set_permissions(a.library.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    shut("bad.jpg", 0o000);
    shut("closed", 0o000);
    let output = without_privilege(&a, &["sync", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    let report: Value = serde_json::from_slice::<Value>(&output.stdout).unwrap()["services"][0].clone();
    let failed: Vec<_> = report["failed"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(failed, ["bad.jpg", "closed"], "{report:#}");
    assert!(report["failed"][0]["reason"].as_str().unwrap().contains("ermission denied"), "{report:#}");
    assert_counts(&report, &[("uploaded", 1)]);
    // The others go on, and each time it is told again, also when there is nothing else to do.
    assert_files(&b, &[("good.jpg", "good")]);
    assert_eq!(without_privilege(&a, &["sync"]).status.code(), Some(1));
    // So it is when what the library ignores cannot be read: nothing is sent then that may be private.
    shut("bad.jpg", 0o644);
    shut("closed", 0o755);
    a.put(".tlignore", "private/\n");
    shut(".tlignore", 0o000);
    let output = without_privilege(&a, &["sync", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", show(&output));
    assert!(show(&output).contains("what the library ignores is not known"), "{}", show(&output));
    assert_files(&b, &[("good.jpg", "good")]);
    shut(".tlignore", 0o644);
    assert_eq!(without_privilege(&a, &["sync"]).status.code(), Some(0));
    assert_eq!(b.files(), a.files().into_iter().filter(|(path, _)| path != ".tlignore").collect());
}
