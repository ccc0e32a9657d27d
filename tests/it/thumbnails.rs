//! Thumbnails: kept, made before anybody asks, and made of what somebody sends to do harm.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::{Client, json_of, problem};
use crate::support::{Node, Sandbox, eventually, have, show};

const ON_REQUEST: [&str; 2] = ["--thumbnails", "on-request"];

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)).unwrap()
}

fn jpeg(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, shade]));
    image::DynamicImage::from(picture).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn put(node: &Node, name: &str, bytes: &[u8]) {
    fs::write(node.library.join(name), bytes).unwrap();
}

/// The files that are kept, without what is being written.
fn kept(node: &Node) -> Vec<PathBuf> {
    let read = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let folders = read(&node.data.join("thumbnails")).into_iter().filter(|folder| folder.is_dir());
    let mut files: Vec<_> = folders.flat_map(|folder| read(&folder)).filter(|file| file.extension().is_some()).collect();
    files.sort();
    files
}

fn figures(node: &Node) -> Value {
    node.run(&["status"])["thumbnails"].clone()
}

/// A program that decodes, in a folder of its own.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    let folder = sandbox.path().join("programs");
    fs::create_dir_all(&folder).unwrap();
    let place = folder.join(name);
    fs::write(&place, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_thumbnail_is_made_once_for_all_copies_and_again_when_it_is_lost() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let picture = jpeg(900, 600, 1);
    put(&node, "a.jpg", &picture);
    put(&node, "copy.jpg", &picture);
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let hash = admin.document("/library")["entries"][0]["blake3"].as_str().unwrap().to_owned();
    let ask = |more: &str| admin.get(&format!("/library/thumbnail?path={more}"));
    let first = ask("a.jpg");
    assert_eq!((first.status, first.headers["cache-control"].as_str()), (200, "private, no-cache"));
    let files = kept(&node);
    assert_eq!(files, [node.data.join(format!("thumbnails/{}/{hash}-320.jpg", &hash[..2]))]);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((ask("a.jpg").body, ask("copy.jpg").body), (first.body.clone(), first.body.clone()));
    assert_eq!(figures(&node)["made"], 1);
    // What the disk made of it is not shown; neither an empty file nor a missing folder harms.
    let mut flipped = fs::read(&files[0]).unwrap();
    flipped[300] ^= 4;
    for damage in [&flipped[..], b"", &first.body[..50]] {
        fs::write(&files[0], damage).unwrap();
        assert_eq!(ask("a.jpg").body, first.body);
    }
    fs::remove_dir_all(node.data.join("thumbnails")).unwrap();
    assert_eq!((ask("a.jpg").body, figures(&node)["made"].clone()), (first.body.clone(), json!(5)));
    // A URL that names the content is good for ever, one that names another is not.
    for (named, keeping) in
        [(hash.as_str(), "private, max-age=31536000, immutable"), (&"0".repeat(64), "private, no-cache"), ("x", "private, no-cache")]
    {
        assert_eq!(ask(&format!("a.jpg&v={named}")).headers["cache-control"], keeping, "{named}");
        let file = admin.get(&format!("/library/file?path=a.jpg&v={named}"));
        let for_ever = file.headers.get("cache-control").is_some_and(|told| told.contains("immutable"));
        assert_eq!((file.status, for_ever), (200, keeping.contains("immutable")), "{named}");
    }
    let entry = admin.document("/library")["entries"][0].clone();
    assert_eq!((&entry["width"], &entry["height"]), (&json!(900), &json!(600)));
    // They are in no backup.
    let backup = node.run(&["backup", sandbox.path().join("b.tar").to_str().unwrap()]);
    assert!(!backup["files"].to_string().contains("thumb"), "{backup}");
    assert!(node.left_behind().is_empty());
}

#[test]
fn thumbnails_are_made_before_anybody_asks_and_after_a_restart_only_what_is_missing() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    (0..6).for_each(|shade| put(&node, &format!("{shade}.jpg"), &jpeg(600, 400, shade)));
    put(&node, "lake.jpg", &sample("lake.jpg"));
    // A RAW file is a TIFF, here with nothing but an orientation, and its camera's picture.
    put(&node, "raw.nef", &[&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"[..], &jpeg(400, 200, 9)].concat());
    put(&node, "IMG_20190704_120001.png", &sample("badge.png"));
    node.put("broken.jpg", "no picture");
    node.put("notes.xmp", "<x/>");
    node.serve();
    eventually("the making of all", || kept(&node).len() == 10 && figures(&node)["waiting"] == 0);
    assert_eq!((figures(&node)["made"].clone(), figures(&node)["refused"].clone()), (json!(9), json!(1)));
    let admin = Client::admin(&node);
    let entries = admin.document("/library")["entries"].clone();
    let told = |name: &str| {
        let entry = entries.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap();
        json!([entry["width"], entry["height"], entry["taken"]])
    };
    assert_eq!(told("0.jpg"), json!([600, 400, null]));
    assert_eq!(told("lake.jpg"), json!([640, 480, "2019-07-14T05:21:08"]));
    assert_eq!(told("IMG_20190704_120001.png")[2], "2019-07-04T12:00:01");
    assert_eq!(told("raw.nef"), json!([200, 400, null]), "as its camera's picture is seen");
    assert_eq!((told("broken.jpg"), told("notes.xmp")), (json!([null, null, null]), json!([null, null, null])));
    let metrics = crate::support::http("GET", &format!("{}/metrics", node.url()), &[], b"").text();
    assert!(metrics.contains("twinlens_thumbnails_made_total 9\n") && metrics.contains("twinlens_thumbnails_waiting 0\n"), "{metrics}");
    // What comes over HTTP or by another program.
    assert_eq!(admin.ask("PUT", "/library/file?path=new.jpg", &jpeg(500, 500, 77)).status, 201);
    put(&node, "dropped.jpg", &jpeg(500, 400, 78));
    eventually("the making of what is new", || kept(&node).len() == 12);
    node.stop();
    let lost = kept(&node)[3].clone();
    fs::remove_file(&lost).unwrap();
    node.serve();
    eventually("the making of what is missing", || lost.exists());
    eventually("its end", || figures(&node)["waiting"] == 0);
    assert_eq!((figures(&node)["made"].clone(), kept(&node).len()), (json!(1), 12));
}

#[test]
fn nothing_is_made_before_somebody_asks_when_that_is_not_wanted_and_no_more_is_kept_than_there_is_room_for() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    (0..30).for_each(|shade| put(&node, &format!("{shade:02}.jpg"), &jpeg(600, 400, shade)));
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    assert_eq!(Client::admin(&node).get("/library/thumbnail?path=20.jpg&size=160").status, 200);
    let settings = Client::admin(&node).document("/settings");
    assert_eq!((&settings["thumbnails_in_background"], &settings["thumbnail_cache"]), (&json!(false), &json!(2_u64 << 30)));
    node.stop();
    let one = kept(&node);
    assert_eq!(one.len(), 1, "{one:?}");
    node.serve_with(&["--thumbnail-cache", "40K"]);
    eventually("the end", || figures(&node)["made"].as_u64() >= Some(30) && figures(&node)["waiting"] == 0);
    let bytes: u64 = kept(&node).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 40 << 10 && !kept(&node).is_empty(), "{bytes}");
}

#[test]
fn what_cannot_be_decoded_is_not_tried_again_until_a_decoder_is_there() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    put(&node, "valley.heic", &sample("valley.heic"));
    node.put("broken.jpg", "no picture");
    node.programs = Some(sandbox.path().join("programs"));
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let ask = |node: &Node, name: &str| Client::admin(node).get(&format!("/library/thumbnail?path={name}"));
    for _ in 0..3 {
        let refused = ask(&node, "valley.heic");
        assert_eq!(problem(&refused), (422, "no-rendition".into()));
        assert!(json_of(&refused)["detail"].as_str().unwrap().contains("HEIC"), "{}", refused.text());
        assert_eq!(ask(&node, "broken.jpg").status, 422);
    }
    assert_eq!((figures(&node)["refused"].clone(), Client::admin(&node).document("/settings")["decoders"].clone()), (json!(2), json!([])));
    node.stop();
    // One that writes down what it was given, and makes a picture.
    let (picture, log) = (sandbox.path().join("picture.jpg"), sandbox.path().join("log"));
    fs::write(&picture, jpeg(1000, 500, 9)).unwrap();
    let script = format!(
        "(/usr/bin/env; echo \"args $*\"; /bin/ls -l /proc/self/fd; /usr/bin/cmp /dev/fd/0 {} && echo same) > {}\n\
         for last; do :; done\n/bin/cp {} \"$last\"",
        node.library.join("valley.heic").display(),
        log.display(),
        picture.display()
    );
    program(&sandbox, "heif-dec", &script);
    node.serve_with(&ON_REQUEST);
    let made = ask(&node, "valley.heic");
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(image::load_from_memory(&made.body).unwrap().width(), 320);
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("\nsame\n") && !told.contains("TWINLENS") && !told.contains("HOME=") && told.contains("/dev/fd/0"), "{told}");
    assert!(
        told.contains("valley.heic") && !told.contains("state.redb") && !told.contains("socket:"),
        "only its file is inherited: {told}"
    );
    assert_eq!(Client::admin(&node).document("/settings")["decoders"], json!(["heif-dec"]));
    let left = fs::read_dir(node.data.join("thumbnails")).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().len() > 2).count();
    assert_eq!(left, 0, "nothing of the program is left");
}

#[test]
fn a_decoder_ends_when_nobody_wants_its_work_any_more() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    put(&node, "a.mp4", &sample("parade.mp4"));
    let pid = sandbox.path().join("pid");
    let script = format!("echo $$ > {0}.new; /bin/mv {0}.new {0}; exec /bin/sleep 1000", pid.display());
    node.programs = Some(program(&sandbox, "ffmpeg", &script));
    let runs = || fs::read_to_string(&pid).ok().filter(|pid| Path::new("/proc").join(pid.trim()).exists()).is_some();
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let stream = Client::admin(&node).send("GET", "/library/thumbnail?path=a.mp4", b"");
    eventually("the start of the program", runs);
    drop(stream);
    eventually("its end", || !runs());
    assert!(kept(&node).is_empty(), "giving up says nothing of the file");
    node.stop();
    // In the background it ends with the node.
    fs::remove_file(&pid).unwrap();
    node.serve();
    eventually("the start of the program", runs);
    node.stop();
    assert!(!runs());
}

#[test]
fn the_decoders_of_the_system_show_heic_avif_and_jpeg_xl() {
    if !["heif-convert", "heif-enc", "djxl", "cjxl"].into_iter().all(have) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let place = |name: &str| node.library.join(name);
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", show(&output));
    };
    for name in ["lake.jpg", "glacier.heic", "coast.heic"] {
        put(&node, name, &sample(name));
    }
    let lake = place("lake.jpg");
    run("heif-enc", &["-A".as_ref(), lake.as_ref(), "-o".as_ref(), place("lake.avif").as_ref()]);
    run("heif-enc", &[lake.as_ref(), "-o".as_ref(), place("lake.heic").as_ref()]);
    run("cjxl", &["--lossless_jpeg=0".as_ref(), lake.as_ref(), place("lake.jxl").as_ref()]);
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let decoders = admin.document("/settings")["decoders"].to_string();
    assert!(decoders.contains("heif-") && decoders.contains("djxl"), "{decoders}");
    let shown = |name: &str| {
        let made = admin.get(&format!("/library/thumbnail?path={name}&size=320"));
        assert_eq!(made.status, 200, "{name}: {}", made.text());
        image::load_from_memory(&made.body).unwrap().to_rgb8()
    };
    // How far two pictures are from one another, from 0 to 255.
    let apart = |one: &image::RgbImage, other: &image::RgbImage| {
        assert_eq!(one.dimensions(), other.dimensions());
        one.as_raw().iter().zip(other.as_raw()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum::<u64>() / one.len() as u64
    };
    let original = shown("lake.jpg");
    for name in ["lake.avif", "lake.heic", "lake.jxl"] {
        let distance = apart(&shown(name), &original);
        assert!(distance < 8, "{name}: {distance}");
    }
    // Others are not taken for it, nor for one another: the picture is that of the file.
    let (glacier, coast) = (shown("glacier.heic"), shown("coast.heic"));
    assert!(apart(&glacier, &original) > 8 && apart(&coast, &original) > 8 && apart(&glacier, &coast) > 8);
}

#[test]
fn a_video_shows_one_of_its_pictures_whatever_its_name_and_no_other_file() {
    if !have("ffmpeg") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let names = ["-i.mp4", "concat:a.mp4|b.mp4", "%03d.mp4", "pipe:0.mp4", "parade.mp4"];
    names.iter().for_each(|name| put(&node, name, &sample("parade.mp4")));
    // A playlist that names another file, in the clothes of a video.
    let secret = sandbox.path().join("secret.mp4");
    fs::write(&secret, sample("waves.mp4")).unwrap();
    put(&node, "list.mp4", format!("ffconcat version 1.0\nfile {}\n", secret.display()).as_bytes());
    put(
        &node,
        "play.mp4",
        format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile://{}\n#EXT-X-ENDLIST\n", secret.display()).as_bytes(),
    );
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let admin = Client::admin(&node);
    for name in names {
        let path = name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let made = admin.get(&format!("/library/thumbnail?path={path}&size=160"));
        assert_eq!(made.status, 200, "{name}: {}", made.text());
        let picture = image::load_from_memory(&made.body).unwrap();
        assert_eq!((picture.width(), picture.height()), (160, 120), "{name}");
    }
    for name in ["list.mp4", "play.mp4"] {
        assert_eq!(problem(&admin.get(&format!("/library/thumbnail?path={name}"))), (422, "no-rendition".into()), "{name}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    // Sizes that nothing could hold.
    let mut frame = jpeg(64, 64, 1);
    let at = frame.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    frame[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
    put(&node, "huge.jpg", &frame);
    let mut gif = sample("campfire.gif");
    gif[6..10].copy_from_slice(&[0xff; 4]);
    put(&node, "huge.gif", &gif);
    put(
        &node,
        "huge.bmp",
        &[&b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f\x01\0\x18\0"[..], &[0; 24]].concat(),
    );
    // A thousand passes over 16 megapixels.
    let mut passes = jpeg(64, 64, 2);
    let at = passes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    passes[at + 1] = 0xc2;
    passes[at + 5..at + 9].copy_from_slice(&[15, 160, 15, 160]);
    let scan = passes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    passes.splice(scan..scan, [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0].repeat(1000));
    put(&node, "passes.jpg", &passes);
    // A directory of a TIFF that is its own successor, and one that begins far outside.
    put(&node, "loop.tif", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\x08\0\0\0");
    put(&node, "far.tif", b"II*\0\xff\xff\xff\x7f");
    put(&node, "loop.dng", b"II*\0\x08\0\0\0\x01\0\x4a\x01\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0");
    // EXIF of 64 KB with thousands of entries that each mean the same 20,000 texts, and a profile that grows to 400 MB.
    let entry = [&b"\x0e\x01\x02\0"[..], &20_000_u32.to_le_bytes(), &20_000_u32.to_le_bytes()].concat();
    let mut block = [&b"II*\0\x08\0\0\0"[..], &1500_u16.to_le_bytes(), &entry.repeat(1500)].concat();
    block.resize(40_004, 0);
    let mut texts = jpeg(64, 64, 3);
    texts.splice(2..2, [&[0xff, 0xe1][..], &(block.len() as u16 + 8).to_be_bytes(), b"Exif\0\0", &block].concat());
    put(&node, "texts.jpg", &texts);
    let mut profile = flate2::write::ZlibEncoder::new(b"x\0\0".to_vec(), flate2::Compression::fast());
    (0..400).for_each(|_| profile.write_all(&[0; 1 << 20]).unwrap());
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 64).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let (mut png, profile) = (png.into_inner(), [b"iCCP".to_vec(), profile.finish().unwrap()].concat());
    let mut sum = flate2::Crc::new();
    sum.update(&profile);
    png.splice(33..33, [&(profile.len() as u32 - 4).to_be_bytes()[..], &profile, &sum.sum().to_be_bytes()].concat());
    put(&node, "profile.png", &png);
    node.serve_with(&ON_REQUEST);
    node.run(&["index"]);
    let admin = Client::admin(&node);
    assert_eq!(admin.get("/library/thumbnail?path=texts.jpg").status, 200);
    assert!(matches!(admin.get("/library/thumbnail?path=profile.png").status, 200 | 422));
    for name in ["huge.jpg", "huge.gif", "huge.bmp", "passes.jpg", "loop.tif", "far.tif", "loop.dng"] {
        assert_eq!(problem(&admin.get(&format!("/library/thumbnail?path={name}"))), (422, "no-rendition".into()), "{name}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(most.trim().parse::<u64>().unwrap() < 400 << 10, "{most} KiB");
}

#[test]
fn everybody_sees_pictures_in_public_mode_and_nobody_else_does_without_a_right() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    put(&node, "a.jpg", &jpeg(600, 400, 5));
    node.serve_with(&ON_REQUEST);
    assert_eq!(problem(&Client::of(&node).get("/library/thumbnail?path=a.jpg")).0, 401);
    node.stop();
    node.serve_with(&["--public", "--thumbnails", "on-request"]);
    node.run(&["index"]);
    let (nobody, whole) = (Client::of(&node), fs::read(node.library.join("a.jpg")).unwrap());
    assert_eq!(nobody.get("/library/thumbnail?path=a.jpg").status, 200);
    assert_eq!(nobody.get("/library/file?path=a.jpg").body, whole);
    assert_eq!(nobody.with("Range", "bytes=5-9").get("/library/file?path=a.jpg").body, whole[5..10]);
    for hidden in ["..%2Fdata%2Fsecret.key", ".twinlens%2Flibrary.toml"] {
        assert!(matches!(nobody.get(&format!("/library/file?path={hidden}")).status, 400 | 404), "{hidden}");
        assert!(matches!(nobody.get(&format!("/library/thumbnail?path={hidden}")).status, 400 | 404), "{hidden}");
    }
    assert_eq!(crate::support::http("GET", &format!("{}a.jpg", node.originals()), &[], b"").status, 403);
}
