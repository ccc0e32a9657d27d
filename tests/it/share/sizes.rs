//! As what files are sent.

use std::fs;

use serde_json::{Value, json};

use super::photo::{Told, photo, read};
use crate::support::{self, Node, Sandbox, tree, write};

/// A node with files, and another one that they are shared with.
fn scene(sandbox: &Sandbox) -> (Node, Node) {
    let (node, mut nas) = (sandbox.node("n"), sandbox.node("nas"));
    nas.serve();
    assert!(node.add_service("nas", &nas.originals()).status.success());
    (node, nas)
}

fn sample(node: &Node, name: &str, path: &str) {
    write(&node.library.join(path), &support::sample(name));
}

/// A RAW file as far as a reader of TIFF sees it: turned to the right, with a picture of its camera in it, or none.
fn raw(picture: Option<Vec<u8>>) -> Vec<u8> {
    let mut raw = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    raw.extend([7; 5000]);
    raw.extend(picture.unwrap_or_default());
    raw.extend([9; 5000]);
    raw
}

#[test]
fn every_size_is_a_jpeg_that_fits_upright_with_profile_date_and_place() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    // Stored lying on its side: its top left corner is to be seen top right.
    write(&node.library.join("2019/IMG_1.JPG"), &photo(8000, 400, 6));
    for fit in [720, 1280, 1920, 2048, 2560, 3840, 4096, 7680] {
        let size = format!("fit_{fit}");
        let report = node.run(&["share", "2019/IMG_1.JPG", "--to", "nas", "--folder", &format!("/{size}"), "--size", &size]);
        assert_eq!((&report["uploaded"], &report["size"]), (&1.into(), &json!(size)), "{report:#}");
        let told = read(&nas.library.join(&size).join("IMG_1.JPG"));
        let expected = Told {
            width: (fit + 10) / 20,
            height: fit,
            upright: true,
            date: told.date.clone(),
            maker: Some("Twinlens".into()),
            place: true,
            profile: true,
            red: [false, true, false, false],
            secret: false,
        };
        assert_eq!(told, expected, "{size}");
        assert!(told.date.as_ref().unwrap().starts_with("2019-07-14T05:21:08"), "{:?}", told.date);
    }
    let original = node.run(&["share", "2019/IMG_1.JPG", "--to", "nas", "--folder", "/o", "--size", "original"]);
    assert_eq!(original["uploaded"], 1);
    assert_eq!(fs::read(nas.library.join("o/IMG_1.JPG")).unwrap(), photo(8000, 400, 6), "byte for byte");
}

#[test]
fn all_eight_ways_of_lying_are_put_upright() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    for turn in 1..=8 {
        write(&node.library.join(format!("t/{turn}.jpg")), &photo(1600, 800, turn));
    }
    node.run(&["share", "t", "--to", "nas", "--size", "fit_720"]);
    // Where the stored top left corner is to be seen (EXIF 2.32, table of Orientation).
    let corners = [0, 1, 3, 2, 0, 1, 3, 2];
    for turn in 1..=8_usize {
        let told = read(&nas.library.join(format!("t/{turn}.jpg")));
        let size = if turn < 5 { (720, 360) } else { (360, 720) };
        assert_eq!((told.width, told.height, told.upright), (size.0, size.1, true), "{turn}");
        assert_eq!(told.red.iter().position(|red| *red), Some(corners[turn - 1]), "{turn}");
    }
}

#[test]
fn a_place_that_is_not_to_be_told_is_not_told_even_where_nothing_else_is_to_be_done() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    write(&node.library.join("large.jpg"), &photo(1600, 800, 1));
    write(&node.library.join("small.jpg"), &photo(400, 200, 1));
    let kept = node.run(&["share", "small.jpg", "--to", "nas", "--folder", "/kept", "--size", "fit_720"]);
    assert_eq!(kept["uploaded"], 1);
    assert_eq!(fs::read(nas.library.join("kept/small.jpg")).unwrap(), photo(400, 200, 1), "it is as wanted already");
    node.run(&["share", "large.jpg", "small.jpg", "--to", "nas", "--size", "fit_720", "--gps", "remove", "--unfit", "skip"]);
    for (name, width) in [("large.jpg", 720), ("small.jpg", 400)] {
        let told = read(&nas.library.join(name));
        assert_eq!((told.width, told.place, told.maker.as_deref()), (width, false, Some("Twinlens")), "{name}");
        assert!(told.date.is_some() && !told.secret && told.profile, "{name}");
    }
    for args in [&["--gps", "remove"] as &[&str], &["--gps", "remove", "--size", "fit_720"]] {
        let refused = node.run_expecting(2, &[&["share", "large.jpg", "--to", "nas"], args].concat());
        assert!(refused["error"].as_str().unwrap().contains("where they were taken"), "{refused}");
    }
}

fn unfit(node: &Node, choice: &str) -> Value {
    node.run(&["share", "in", "--to", "nas", "--folder", &format!("/{choice}"), "--size", "fit_720", "--unfit", choice])
}

fn skipped(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all: Vec<_> =
        report["skipped_files"].as_array().unwrap().iter().map(|file| (text(&file["path"]), text(&file["reason"]))).collect();
    all.sort();
    all
}

#[test]
fn the_owner_chooses_what_becomes_of_raw_heic_and_videos_and_is_told_of_each() {
    let sandbox = Sandbox::new();
    let (node, nas) = scene(&sandbox);
    write(&node.library.join("in/a.jpg"), &photo(1600, 800, 1));
    write(&node.library.join("in/b.NEF"), &raw(Some(photo(1600, 800, 1))));
    write(&node.library.join("in/c.nef"), &raw(None));
    sample(&node, "valley.heic", "in/d.HEIC");
    sample(&node, "train.mov", "in/e.MOV");
    sample(&node, "canyon.xmp", "in/a.xmp");
    sample(&node, "badge.png", "in/f.png");
    let there = |folder: &str| {
        let mut names: Vec<String> = tree(&nas.library.join(folder).join("in")).into_keys().collect();
        names.sort();
        names
    };
    let sidecar = "it belongs to an original, and no original is sent; only pictures are sent in a size";

    let report = unfit(&node, "original");
    assert_eq!((&report["uploaded"], &report["skipped"]), (&6.into(), &1.into()), "{report:#}");
    assert_eq!(skipped(&report), [("in/a.xmp".to_owned(), sidecar.to_owned())]);
    assert_eq!(there("original"), ["a.jpg", "b.NEF", "c.nef", "d.HEIC", "e.MOV", "f.jpg"]);
    assert_eq!(fs::read(nas.library.join("original/in/b.NEF")).unwrap(), fs::read(node.library.join("in/b.NEF")).unwrap());

    let report = unfit(&node, "jpeg");
    assert_eq!(there("jpeg"), ["a.jpg", "b.jpg", "f.jpg"]);
    let told = read(&nas.library.join("jpeg/in/b.jpg"));
    assert_eq!((told.width, told.height, told.upright, told.red[1]), (360, 720, true, true), "as the RAW file says");
    let heic = "it is a HEIC picture, of which no JPEG can be made here";
    let video = "it is a video, of which no JPEG can be made here";
    let expected = [
        ("in/a.xmp", sidecar),
        ("in/c.nef", "it is a RAW file without a JPEG of its camera in it"),
        ("in/d.HEIC", heic),
        ("in/e.MOV", video),
    ];
    assert_eq!(skipped(&report), expected.map(|(path, reason)| (path.to_owned(), reason.to_owned())));

    let report = unfit(&node, "skip");
    assert_eq!(there("skip"), ["a.jpg", "f.jpg"]);
    let expected = [
        ("in/a.xmp", sidecar),
        ("in/b.NEF", "it is a RAW file"),
        ("in/c.nef", "it is a RAW file"),
        ("in/d.HEIC", heic),
        ("in/e.MOV", video),
    ];
    assert_eq!(skipped(&report), expected.map(|(path, reason)| (path.to_owned(), reason.to_owned())));
    let text = String::from_utf8(node.command(&["share", "list"]).output().unwrap().stdout).unwrap();
    assert!(text.contains("2 uploaded, 5 skipped"), "{text}");
}
