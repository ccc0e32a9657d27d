//! What takes part in a sync: RAW and video, patterns, ignore files. Both ways alike, and nothing is ever deleted by a filter.

use serde_json::Value;

use crate::support::{Node, Sandbox, assert_counts, assert_files};

/// Two nodes; the first syncs with the second, deletions included.
fn pair(sandbox: &Sandbox, options: &[&str]) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &[&["--deletes", "trash"], options].concat());
    (a, b)
}

fn held_back(report: &Value) -> Vec<(String, u64)> {
    let all = report["held_back"].as_array().cloned().unwrap_or_default();
    all.iter().map(|held| (held["reason"].as_str().unwrap().to_owned(), held["files"].as_u64().unwrap())).collect()
}

fn names(node: &Node) -> Vec<String> {
    node.files().into_keys().collect()
}

#[test]
fn a_stack_is_held_back_and_let_through_as_the_stack_it_is() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &["--raw-and-video", "no"]);
    let stays = [
        "d/IMG_1.HEIC",
        "d/IMG_1.MOV",
        "d/IMG_1.AAE",
        "d/IMG_E1001.JPG",
        "d/IMG_2_HEVC.MOV",
        "d/IMG_2.JPG",
        "d/case.jpg",
        "d/CASE.mov",
        "d/pair.jpg",
        "d/pair.xmp",
        "d/pair.jpg.xmp",
        "d/alone.yml",
        "d/notes.txt",
    ];
    let held = [
        "d/pair.CR3",
        "d/pair.cr3.xmp",
        "d/raw.DNG",
        "d/raw.xmp",
        "d/video.MP4",
        "d/video.mp4.supplemental-metad.json",
        "d/video.THM",
        "d/proraw.dng",
        "d/proraw.mov",
    ];
    for (node, side) in [(&a, "a"), (&b, "b")] {
        for name in stays.iter().chain(&held) {
            node.put(&format!("{side}/{name}"), &format!("{name} of {side}"));
        }
    }
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 13), ("downloaded", 13)]);
    assert_eq!(held_back(&report), [("RAW files and videos are off for this service".to_owned(), 18)]);
    assert_eq!(report["skipped_total"], 18);
    assert_eq!((&report["skipped"][0]["cause"], &report["held_back"][0]["cause"]), (&"raw-video".into(), &"raw-video".into()));
    assert_eq!(
        (&report["skipped_groups"][0]["code"], &report["skipped_groups"][0]["filter_code"]),
        (&"filter".into(), &"raw-video".into())
    );
    for (node, other) in [(&a, "b"), (&b, "a")] {
        let there: Vec<String> = names(node).into_iter().filter(|path| path.starts_with(other)).collect();
        let mut expected: Vec<String> = stays.iter().map(|name| format!("{other}/{name}")).collect();
        expected.sort();
        assert_eq!(there, expected);
    }
    assert_counts(&a.sync(), &[]);
    a.run(&["service", "sync", "peer", "--raw-and-video", "yes"]);
    assert_counts(&a.sync(), &[("uploaded", 9), ("downloaded", 9)]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn switching_raw_and_video_off_deletes_nothing_and_remembers_no_deletion() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    for name in ["x.dng", "y.mp4", "z.jpg", "z.nef"] {
        a.put(name, name);
    }
    assert_counts(&a.sync(), &[("uploaded", 4)]);
    a.run(&["service", "sync", "peer", "--raw-and-video", "no"]);
    assert_counts(&a.sync(), &[]);
    // What is done meanwhile to what is held back is followed only afterwards.
    a.put("x.dng", "x edited");
    a.remove("y.mp4");
    b.put("z.nef", "z edited");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[]);
    assert_files(&b, &[("x.dng", "x.dng"), ("y.mp4", "y.mp4"), ("z.jpg", "z.jpg"), ("z.nef", "z edited")]);
    a.run(&["service", "sync", "peer", "--raw-and-video", "yes"]);
    assert_counts(&a.sync(), &[("uploaded", 1), ("downloaded", 1), ("deleted", 1)]);
    assert_files(&a, &[("x.dng", "x edited"), ("z.jpg", "z.jpg"), ("z.nef", "z edited")]);
    assert_eq!(a.files(), b.files());
}

#[test]
fn the_half_of_a_live_photo_whose_picture_was_deleted_is_left_where_it_is() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &["--raw-and-video", "no"]);
    a.put("live.heic", "still");
    a.put("live.mov", "moving");
    a.put("other.jpg", "other");
    a.put("more.jpg", "more");
    assert_counts(&a.sync(), &[("uploaded", 4)]);
    a.remove("live.heic");
    assert_counts(&a.sync(), &[("deleted", 1)]);
    assert_counts(&a.sync(), &[]);
    assert!(a.library.join("live.mov").exists() && b.library.join("live.mov").exists());
}

#[test]
fn a_name_that_means_several_things_is_judged_by_its_first_bytes_and_no_version_is_asked_twice() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &["--raw-and-video", "no"]);
    let transport: String = (0..400).map(|at| if at % 188 == 0 { 'G' } else { '\0' }).collect();
    let files = [
        ("video.ts", transport.as_str(), true),
        ("source.ts", "export const photo = 1;", false),
        ("leica.raw", "II*\0 and so on", true),
        ("disk.raw", "an image of a disk", false),
        ("motion.mp", "\0\0\0\u{18}ftypmp42", true),
        ("plan.mp", "a plan", false),
        ("music.ogg", "OggS........\u{1}vorbis", false),
    ];
    for (node, side) in [(&a, "a"), (&b, "b")] {
        for (name, content, _) in files {
            node.put(&format!("{side}/{name}"), &format!("{content}{side}"));
        }
    }
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 4), ("downloaded", 4)]);
    for (name, _, held) in files {
        assert_eq!(a.library.join("b").join(name).exists(), !held, "{name} came");
        assert_eq!(b.library.join("a").join(name).exists(), !held, "{name} went");
    }
    let second = a.sync();
    assert_counts(&second, &[]);
    let third = a.sync();
    assert_eq!(second["requests"], third["requests"]);
    // Another version is another question.
    b.put("b/video.ts", "export const text = 2;");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
}

#[test]
fn patterns_hold_back_on_both_sides_and_can_be_cleared() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &["--exclude", "*.psd", "--exclude", "Private/", "--exclude", "/top.jpg"]);
    for (node, side) in [(&a, "a"), (&b, "b")] {
        for name in ["x.PSD", "Private/x.jpg", "deep/private/y.jpg", "top.jpg", "x.jpg"] {
            node.put(&format!("{side}/{name}"), &format!("{name} of {side}"));
        }
        node.put("top.jpg", &format!("of {side}"));
    }
    let report = a.sync();
    // One of them is on both sides under one name: it is one file.
    assert_eq!(held_back(&report), [("a pattern of this service excludes it".to_owned(), 7)]);
    assert_counts(&report, &[("uploaded", 2), ("downloaded", 2)]);
    let shown = a.run(&["service", "show", "peer"]);
    assert_eq!(shown["sync"]["exclude"].as_array().unwrap().len(), 3, "{shown:#}");
    a.run(&["service", "sync", "peer", "--exclude", ""]);
    let report = a.sync();
    assert_counts(&report, &[("uploaded", 4), ("downloaded", 4)]);
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1, "{report:#}");
    a.run(&["service", "sync", "peer", "--include", "*.jpg", "--include", "Private/", "--exclude", "top*"]);
    a.put("n.jpg", "n");
    a.put("n.tif", "n as tif");
    b.put("private/n.tif", "private");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("uploaded", 1), ("downloaded", 1)]);
    a.run(&["service", "sync", "peer", "--no-include", "--no-exclude"]);
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(a.files(), b.files());
    let refused = a.run_with_password(&["service", "sync", "peer", "--exclude", "a/[z-a]"], "");
    assert_eq!(refused.status.code(), Some(2), "{}", crate::support::show(&refused));
}

#[test]
fn ignore_files_in_any_folder_hold_for_what_is_only_on_the_service_too() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    for (node, side) in [(&a, "a"), (&b, "b")] {
        for name in ["work/x.tif", "work/keep.tif", "work/deep/y.TIF", "x.tif", "cache/x.jpg", "pp/x.jpg", "pp/x.gif"] {
            node.put(&name.replacen('.', &format!("-{side}."), 1), &format!("{name} of {side}"));
        }
    }
    assert_counts(&a.sync(), &[("uploaded", 7), ("downloaded", 7)]);
    // Nothing that is in step is touched when it is ignored.
    a.put(".tlignore", "cache/\n# a comment\n");
    a.put("work/.tlignore", "*.tif\n!keep*\n");
    a.put("pp/.ppignore", "*.gif\n");
    let report = a.sync();
    assert_counts(&report, &[]);
    assert_eq!(held_back(&report), [("an ignore file of the library excludes it".to_owned(), 8)]);
    for node in [&a, &b] {
        node.put("work/keep2.tif", "kept");
        for name in ["work/new.tif", "cache/deep/new.jpg", "pp/new.gif"] {
            node.put(name, &format!("{name} in {}", node.library.display()));
        }
    }
    b.remove("cache/x-a.jpg");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("adopted", 1)]);
    assert_files_held(&a, &b);
    for ignore in [".tlignore", "work/.tlignore", "pp/.ppignore"] {
        a.remove(ignore);
    }
    let report = a.sync();
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 3, "{report:#}");
    assert_eq!(report["deleted"], 1, "{report:#}");
    assert_eq!(a.files(), b.files());
}

fn assert_files_held(a: &Node, b: &Node) {
    for name in ["work/new.tif", "cache/deep/new.jpg", "pp/new.gif"] {
        assert_ne!(a.files()[name], b.files()[name], "{name}");
    }
    assert!(a.library.join("cache/x-a.jpg").exists());
}

#[test]
fn a_copy_that_is_ignored_is_no_reason_to_do_without_the_photo() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &["--exclude", "/hidden/"]);
    a.put(".tlignore", "/cache/");
    a.put("cache/1.jpg", "one");
    a.put("2.jpg", "two");
    b.put("1.jpg", "one");
    b.put("hidden/2.jpg", "two");
    assert_counts(&a.sync(), &[("uploaded", 1), ("downloaded", 1)]);
    assert_counts(&a.sync(), &[]);
}

#[test]
fn an_ignore_file_that_cannot_be_read_holds_its_folder_back() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    a.put("x.jpg", "x");
    a.put("secret/.tlignore", &"x".repeat((1 << 20) + 1));
    a.put("secret/y.jpg", "y");
    let report = a.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", 1)]);
    let failed = &report["failed"][0];
    assert!(failed["path"] == "secret/y.jpg" && failed["reason"].as_str().unwrap().contains("secret/.tlignore"), "{report:#}");
    assert_files(&b, &[("x.jpg", "x")]);
}

#[test]
fn what_is_held_back_in_masses_is_counted_and_not_listed() {
    let sandbox = Sandbox::new();
    let (a, _b) = pair(&sandbox, &["--exclude", "many/"]);
    for number in 0..300 {
        a.put(&format!("many/{number}.jpg"), "x");
    }
    let report = a.sync();
    assert_eq!((held_back(&report)[0].1, &report["skipped_total"]), (300, &300.into()));
    assert_eq!(report["skipped"].as_array().unwrap().len(), 100);
    let said = a.command(&["sync"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("held back: 300 files: ") && said.lines().count() < 5, "{said}");
}

#[test]
fn known_litter_takes_no_part() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox, &[]);
    let litter = [".DS_Store", "Thumbs.db", "@eaDir/x.jpg", ".a.jpg.~5f3a", "a.jpg.part", "$RECYCLE.BIN/x.jpg", ".Trash-1000/files/x.jpg"];
    for (node, side) in [(&a, "a"), (&b, "b")] {
        litter.iter().for_each(|name| node.put(&format!("{side}/{name}"), name));
    }
    a.put("x.jpg", "x");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    assert_eq!(b.files().len(), litter.len() + 1);
}
