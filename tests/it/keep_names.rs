//! keep-names=no: downloads are called after when they were taken, stacks under one name, and nothing goes back under the new one.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::{Node, Sandbox, assert_counts, assert_files, sample, write};

/// Two nodes; the first names what it fetches from the second by date.
fn pair(sandbox: &Sandbox) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    b.serve();
    a.pair(&b, &["--keep-names", "no", "--deletes", "trash"]);
    (a, b)
}

fn have(node: &Node, files: &[(&str, &str)]) {
    files.iter().for_each(|(from, to)| write(&node.library.join(to), &sample(from)));
}

fn names(node: &Node) -> Vec<String> {
    node.files().into_keys().collect()
}

/// The names up to the checksum, which is that of the main file, with what follows it.
fn dated(node: &Node) -> Vec<String> {
    let cut = |name: String| format!("{}*{}", &name[..23], &name[32..]);
    names(node).into_iter().map(cut).collect()
}

#[test]
fn every_source_of_a_date_is_used_and_the_best_one_wins() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(
        &b,
        &[
            ("lake.jpg", "x/EXIF.JPG"),
            ("fireworks.mov", "x/quicktime with an offset.MOV"),
            ("badge.png", "x/xmp.png"),
            ("ridge.xmp", "x/xmp.png.xmp"),
            ("cat.jpg", "x/takeout with a name that is longer than 46.jpg"),
            ("cat.jpg.suppl.json", "x/takeout with a name that is longer than 46.jpg.json"),
            ("map.png", "x/deep/own comes first.png"),
        ],
    );
    write(&b.library.join("y/IMG_20010203_040506.gif"), b"GIF89a by its name");
    write(&b.library.join("y/nothing.gif"), b"GIF89a by its time");
    let when = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(b.library.join("y/nothing.gif")).unwrap().set_modified(when).unwrap();
    let report = a.sync();
    assert_counts(&report, &[("downloaded", 9)]);
    let found: BTreeSet<String> = dated(&a).into_iter().collect();
    for expected in [
        "2019/07/20190714_052108*.jpg",
        "2024/01/20240101_000309*.mov",
        "2018/09/20180922_164731*.png",
        "2018/09/20180922_164731*.png.xmp",
        "2001/02/20010203_040506*.gif",
        "2001/09/20010909_014640*.gif",
    ] {
        assert!(found.contains(expected), "{expected} of {found:#?}");
    }
    let cat: Vec<_> = names(&a).into_iter().filter(|name| name.ends_with(".json")).collect();
    let picture = cat[0].split(".jpg").next().unwrap();
    assert!(names(&a).contains(&format!("{picture}.jpg")), "{:#?}", names(&a));
    assert_counts(&a.sync(), &[]);
}

#[test]
fn a_stack_gets_one_name_and_its_late_members_find_it() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(&b, &[("harbor-live.heic", "IMG_2041.HEIC"), ("ridge.jpg", "IMG_0001.JPG"), ("canyon.xmp", "late/PIC.xmp")]);
    assert_counts(&a.sync(), &[("downloaded", 3)]);
    let one: Vec<String> = names(&a);
    have(
        &b,
        &[
            ("harbor-live.mov", "IMG_2041.MOV"),
            ("coast.aae", "IMG_2041.AAE"),
            ("ridge.dng", "IMG_0001.DNG"),
            ("ridge.xmp", "IMG_0001.xmp"),
            ("lighthouse.jpg.xmp", "IMG_0001.JPG.xmp"),
            ("canyon.dng", "late/PIC.DNG"),
        ],
    );
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 6)]);
    let mut expected = one.clone();
    for (member, endings) in [(".heic", &[".mov", ".aae"][..]), (".jpg", &[".dng", ".xmp", ".jpg.xmp"]), (".xmp", &[".dng"])] {
        let first = one.iter().find_map(|name| name.strip_suffix(member)).unwrap();
        expected.extend(endings.iter().map(|ending| format!("{first}{ending}")));
    }
    expected.sort();
    assert_eq!(names(&a), expected);
    assert_counts(&a.sync(), &[]);
    assert_eq!(b.files().len(), 9, "nothing went back");
}

#[test]
fn a_stack_that_comes_at_once_is_called_after_its_main_file() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(
        &b,
        &[
            ("ridge.jpg", "c/IMG_0001.JPG"),
            ("ridge.dng", "c/IMG_0001.DNG"),
            ("ridge.xmp", "c/IMG_0001.xmp"),
            ("harbor-live.heic", "c/IMG_2041.HEIC"),
            ("harbor-live.mov", "c/img_2041.mov"),
            ("coast.aae", "c/IMG_O2041.AAE"),
            ("beach.jpg", "c/IMG_3.JPG"),
            ("beach.jpg.supplemental-metadata.json", "c/IMG_3.JPG.supplemental-met.json"),
        ],
    );
    assert_counts(&a.sync(), &[("downloaded", 8)]);
    let stems: BTreeSet<String> =
        names(&a).into_iter().map(|name| name.split(['.']).next().unwrap().trim_end_matches("_O").to_owned()).collect();
    assert_eq!(stems.len(), 3, "{:#?}", names(&a));
    let raw = crc32c::crc32c(&sample("ridge.dng"));
    assert!(stems.contains(&format!("2018/09/20180922_164731_{raw:08X}")), "{stems:#?}");
}

#[test]
fn changes_there_follow_the_file_here_and_names_stay_each_sides_own() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    write(&b.library.join("d/IMG_20200102_030405.jpg"), b"one");
    write(&b.library.join("d/IMG_20200102_030406.jpg"), b"two");
    write(&b.library.join("d/IMG_20200102_030407.jpg"), b"three");
    write(&b.library.join("d/IMG_20200102_030408.jpg"), b"four");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 4)]);
    let here = names(&a);
    // An edit, a rename and a deletion there.
    b.put("d/IMG_20200102_030405.jpg", "one edited");
    b.rename("d/IMG_20200102_030406.jpg", "e/renamed.jpg");
    b.remove("d/IMG_20200102_030407.jpg");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("downloaded", 1), ("adopted", 1), ("deleted", 1)]);
    assert_eq!(names(&a), [here[0].as_str(), here[1].as_str(), here[3].as_str()]);
    assert_eq!(a.files()[&here[0]], "one edited");
    assert_counts(&a.sync(), &[]);
    // An edit and a rename here.
    a.put(&here[1], "two edited");
    a.rename(&here[3], "mine/favourite.jpg");
    assert_counts(&a.sync(), &[("uploaded", 1), ("adopted", 1)]);
    assert_files(
        &b,
        &[("d/IMG_20200102_030405.jpg", "one edited"), ("d/IMG_20200102_030408.jpg", "four"), ("e/renamed.jpg", "two edited")],
    );
    assert_counts(&a.sync(), &[]);
    // A file of ours that has one name on both sides is renamed there as ever.
    a.put("mine/new.jpg", "new");
    assert_counts(&a.sync(), &[("uploaded", 1)]);
    a.rename("mine/new.jpg", "mine/newer.jpg");
    assert_counts(&a.sync(), &[("moved", 1)]);
    assert!(b.library.join("mine/newer.jpg").exists());
    // A deletion here is followed to the name there.
    a.remove(&here[1]);
    assert_counts(&a.sync(), &[("deleted", 1)]);
    assert!(!b.library.join("e/renamed.jpg").exists());
}

#[test]
fn what_a_program_writes_beside_a_photo_here_goes_beside_it_there() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(&b, &[("ridge.dng", "cam/IMG_0001.DNG"), ("ridge.jpg", "cam/IMG_0001.JPG")]);
    assert_counts(&a.sync(), &[("downloaded", 2)]);
    let stem = names(&a)[0].strip_suffix(".dng").unwrap().to_owned();
    a.put(&format!("{stem}.xmp"), "rated");
    a.put(&format!("{stem}.jpg.xmp"), "described");
    a.put("2018/09/other.xmp", "other");
    assert_counts(&a.sync(), &[("uploaded", 3)]);
    let there = ["2018/09/other.xmp", "cam/IMG_0001.DNG", "cam/IMG_0001.JPG", "cam/IMG_0001.JPG.xmp", "cam/IMG_0001.xmp"];
    assert_eq!(names(&b), there);
    assert_counts(&a.sync(), &[]);
    b.put("cam/IMG_0001.xmp", "rated anew");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_eq!(a.files()[&format!("{stem}.xmp")], "rated anew");
}

#[test]
fn a_stack_that_is_renamed_there_keeps_its_names_here() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(&b, &[("ridge.jpg", "d/IMG_0001.JPG"), ("ridge.xmp", "d/IMG_0001.xmp"), ("lake.jpg", "other.jpg"), ("snow.jpg", "more.jpg")]);
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 4)]);
    let here = a.files();
    b.rename("d/IMG_0001.JPG", "e/ridge.jpg");
    b.rename("d/IMG_0001.xmp", "e/ridge.xmp");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("adopted", 2)]);
    assert_eq!(a.files(), here);
    assert_counts(&a.sync(), &[]);
    b.put("e/ridge.xmp", "another rating");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    assert_eq!(names(&a), here.into_keys().collect::<Vec<_>>());
}

#[test]
fn a_name_that_is_taken_gets_a_number_for_the_whole_stack() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    let checksum = crc32c::crc32c(b"picture");
    let stem = format!("2020/01/20200102_030405_{checksum:08X}");
    a.put(&format!("{stem}.xmp"), "of another");
    a.run(&["service", "sync", "peer", "--upload", "no"]);
    write(&b.library.join("d/IMG_20200102_030405.jpg"), b"picture");
    write(&b.library.join("d/IMG_20200102_030405.xmp"), b"about it");
    // Two that are alike to the byte, with nothing beside them.
    write(&b.library.join("1/alone.yml"), b"alike");
    write(&b.library.join("2/alone.yml"), b"alike");
    for name in ["1/alone.yml", "2/alone.yml"] {
        let when = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(b.library.join(name)).unwrap().set_modified(when).unwrap();
    }
    assert_counts(&a.sync(), &[("downloaded", 4)]);
    let files = a.files();
    assert_eq!(files[&format!("{stem}.00001.jpg")], "picture");
    assert_eq!(files[&format!("{stem}.00001.xmp")], "about it");
    assert_eq!(files[&format!("{stem}.xmp")], "of another");
    assert_eq!(files.values().filter(|content| *content == "alike").count(), 2, "{files:#?}");
    assert_counts(&a.sync(), &[]);
}

#[test]
fn content_that_is_here_is_not_stored_again_and_what_belongs_to_it_goes_beside_it() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(&a, &[("lake.jpg", "mine/Lake at dawn.jpg")]);
    have(&b, &[("lake.jpg", "cam/DSC_1.JPG"), ("ridge.xmp", "cam/DSC_1.xmp")]);
    assert_counts(&a.sync(), &[("adopted", 1), ("downloaded", 1)]);
    assert_eq!(names(&a), ["mine/Lake at dawn.jpg", "mine/Lake at dawn.xmp"]);
    assert_counts(&a.sync(), &[]);
    assert_eq!(b.files().len(), 2);
}

#[test]
fn a_conflict_copy_is_called_after_the_name_of_its_side() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    b.put("d/IMG_20200102_030405.jpg", "one");
    b.run(&["index"]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    let here = names(&a).remove(0);
    a.put(&here, "edited here");
    b.put("d/IMG_20200102_030405.jpg", "edited there");
    b.run(&["index"]);
    assert_eq!(a.sync()["conflicts"].as_array().unwrap().len(), 1);
    let (ours, theirs) = (names(&a), names(&b));
    assert!(ours.iter().any(|name| name.starts_with(&here[..32]) && name.contains("(conflict peer ")), "{ours:#?}");
    assert!(theirs.iter().any(|name| name.starts_with("d/IMG_20200102_030405 (conflict peer ")), "{theirs:#?}");
    assert_eq!(b.files()["d/IMG_20200102_030405.jpg"], "edited here");
    assert_counts(&a.sync(), &[]);
}

#[test]
fn a_dry_run_says_that_names_will_be_others() {
    let sandbox = Sandbox::new();
    let (a, b) = pair(&sandbox);
    have(&b, &[("lake.jpg", "DSC_1.JPG")]);
    let report = a.sync_expecting(0, &["--dry-run"]);
    assert_eq!(report["plan"][0]["reason"], "new; here it gets a name by its capture date", "{report:#}");
}
