//! Walls: what somebody who has only a folder of the library sees of the rest, and what a page of another makes a browser do, at every route.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::{Client, add_user, json_of, problem};
use crate::pages::signed_in;
use crate::support::{PASSWORD, Sandbox};

/// All routes with a method, with something in the places of their paths.
fn routes(admin: &Client, methods: &[&str]) -> Vec<(String, String)> {
    let document = admin.document("/openapi.json");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        let filled: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
        let asked = methods.iter().filter(|method| item[method.to_lowercase()].is_object());
        all.extend(asked.map(|method| ((*method).to_owned(), filled.join("/"))));
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

#[test]
fn somebody_with_a_folder_of_their_own_sees_nothing_of_the_rest_whichever_way_they_ask() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    for path in ["anna/a.jpg", "anna/gone.jpg", "other/zebra.jpg", "other/gone.jpg", "top zebra.jpg"] {
        node.put(path, path);
    }
    let outside = sandbox.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("zebra.jpg"), "outside").unwrap();
    symlink("../other/zebra.jpg", node.library.join("anna/link.jpg")).unwrap();
    symlink("../other", node.library.join("anna/folder")).unwrap();
    symlink(&outside, node.library.join("anna/out")).unwrap();
    symlink(node.library.join(".twinlens"), node.library.join("anna/own")).unwrap();
    node.serve();
    node.run(&["index"]);
    let admin = Client::admin(&node);
    let anna = add_user(&node, "anna", json!({ "folder": "anna" }));
    let chosen = json_of(&admin.post("/library/zip", &json!({ "paths": ["other/zebra.jpg"] })))["path"].as_str().unwrap().to_owned();
    let discarded = admin.post("/library/trash", &json!({ "paths": ["other/gone.jpg", "anna/gone.jpg"] }));
    assert_eq!(discarded.status, 200, "{}", discarded.text());
    admin.post("/uploads", &json!({ "path": "other/new zebra.jpg", "size": 5 }));

    // What is theirs is shown.
    assert_eq!(json_of(&anna.get("/library/grid"))["names"], json!(["a.jpg"]));
    assert_eq!(anna.get("/library/file?path=a.jpg").text(), "anna/a.jpg");
    // Everything else is not there, or no path at all: by its whole path, upwards, from the root, through a link.
    let paths = [
        "other/zebra.jpg",
        "../other/zebra.jpg",
        "../top%20zebra.jpg",
        "/other/zebra.jpg",
        "%2e%2e/other/zebra.jpg",
        "..%5cother%5czebra.jpg",
        "a.jpg/../../other/zebra.jpg",
        "link.jpg",
        "folder/zebra.jpg",
        "out/zebra.jpg",
        "own/library.toml",
        ".twinlens/library.toml",
        "../.twinlens/library.toml",
    ];
    let pages = signed_in(&node, "anna", "a password of theirs");
    for path in paths {
        for route in ["/library/file", "/library/thumbnail"] {
            let answer = anna.get(&format!("{route}?path={path}"));
            assert!(matches!(answer.status, 400 | 404), "{route} {path}: {} {}", answer.status, answer.text());
        }
        let about = pages.page(&format!("/library/about?path={path}"));
        assert!(matches!(about.status, 400 | 404), "{path}: {}", about.text());
        let zip =
            anna.post("/library/zip", &json!({ "paths": ["a.jpg", path.replace("%20", " ").replace("%2e", ".").replace("%5c", "\\")] }));
        assert!(matches!(zip.status, 400 | 404), "{path}: {}", zip.text());
    }
    for folder in ["other", "../other", "..", "/other", "folder", "out", "own", ".twinlens"] {
        for route in ["/library", "/library/grid"] {
            let answer = anna.get(&format!("{route}?folder={folder}"));
            assert!(matches!(answer.status, 400 | 404), "{route} {folder}: {} {}", answer.status, answer.text());
        }
        let badges = anna.get(&format!("/library/badges?folder={folder}"));
        assert!(badges.status == 400 || json_of(&badges)["badges"] == json!([]), "{folder}: {}", badges.text());
    }
    assert_eq!(problem(&anna.get(&chosen)), (404, "nothing-here".into()), "what the admin chose");
    assert_eq!(anna.document("/uploads"), json!({ "uploads": [] }));
    // A zip of all that is theirs has no more in it than that.
    let all = anna.post("/library/zip", &json!({ "paths": ["a.jpg", "link.jpg"] }));
    assert_eq!(problem(&all).0, 404);
    let theirs = json_of(&anna.post("/library/zip", &json!({ "paths": ["a.jpg"] })))["path"].as_str().unwrap().to_owned();
    let zip = anna.get(&theirs);
    assert!(zip.status == 200 && !zip.body.windows(5).any(|part| part == b"zebra"));

    // Each route that only tells something tells it to admins, or is one of these, and none of these names what is not theirs.
    let open = ["/openapi.json", "/session", "/library", "/library/grid", "/library/badges", "/status", "/uploads", "/changes"];
    let of_something = ["/library/file", "/library/thumbnail", "/library/zip/1", "/uploads/1"];
    for (_, path) in routes(&admin, &["GET"]) {
        let answer = anna.get(&path);
        if open.contains(&path.as_str()) {
            assert!(answer.status == 200 && !answer.text().contains("zebra"), "{path}: {}", answer.text());
        } else if of_something.contains(&path.as_str()) {
            assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.text());
        } else {
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
    }
    for page in [
        "/activity",
        "/activity/tabs?here=trash",
        "/activity/history",
        "/activity/history/1",
        "/activity/failures",
        "/activity/skipped",
        "/activity/conflicts",
        "/activity/conflicts/both",
        "/activity/trash",
        "/activity/trash/picture?what=other/gone.jpg",
        "/activity/trash/empty",
        "/activity/uploads",
        "/activity/uploads/1",
        "/settings/services",
        "/settings/users",
        "/settings/users/of/admin/apps",
        "/library/share",
    ] {
        let answer = pages.page(page);
        assert!(answer.status == 403 && !answer.text().contains("zebra"), "{page}: {} {}", answer.status, answer.text());
    }
    // What they discard is theirs alone, too.
    for path in ["other/zebra.jpg", "link.jpg", "folder/zebra.jpg", "../other/zebra.jpg"] {
        let answer = anna.post("/library/trash", &json!({ "paths": [path] }));
        assert!(answer.status == 400 || json_of(&answer)["trashed"] == json!([]), "{path}: {}", answer.text());
    }
    let back = anna.post("/trash/restore", &json!({ "what": ["other/gone.jpg"] }));
    assert_eq!(problem(&back), (403, "no-right".into()));
    assert!(node.library.join("other/zebra.jpg").exists() && !node.library.join("other/gone.jpg").exists());
}

#[test]
fn no_change_is_made_with_a_cookie_alone_nor_for_a_page_of_another() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve();
    let admin = Client::admin(&node);
    let session = Client::of(&node).by_session("admin", PASSWORD);
    for (method, path) in routes(&admin, &["POST", "PUT", "PATCH", "DELETE"]) {
        if (method.as_str(), path.as_str()) == ("POST", "/session") {
            continue;
        }
        let without = session.without("X-CSRF-Token").change(&method, &path, &json!({}));
        assert_eq!(problem(&without), (403, "csrf".into()), "{method} {path}");
        for (name, value) in
            [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")]
        {
            for client in [&session, &admin] {
                let foreign = client.with(name, value).change(&method, &path, &json!({}));
                assert_eq!(problem(&foreign), (403, "foreign-origin".into()), "{method} {path} {name}: {value}");
            }
        }
    }
    assert_eq!(node.files().len(), 1);
    assert_eq!(session.get("/session").status, 200, "nor was anybody signed out");
}

#[test]
fn nothing_in_the_library_makes_a_decoder_ask_anybody() {
    if !crate::support::have("ffmpeg") {
        return;
    }
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}/a.ts\n#EXT-X-ENDLIST\n");
    let sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
    // A film whose samples lie in another file.
    let alias =
        [&b"\0\0\0\x14ftypqt  \0\0\0\0qt  "[..], b"\0\0\0\x2cmoov\0\0\0\x24dref\0\0\0\0\0\0\0\x01\0\0\0\x14url \0\0\0\0http://x"].concat();
    let files: [(&str, Vec<u8>); 7] = [
        ("hls.mp4", playlist.clone().into()),
        ("hls.ts", playlist.clone().into()),
        ("hls.avi", playlist.into()),
        ("concat.mov", format!("ffconcat version 1.0\nfile {url}/a.mp4\n").into()),
        (
            "dash.mkv",
            format!("<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period><BaseURL>{url}/</BaseURL></Period></MPD>")
                .into(),
        ),
        ("stream.mp4", sdp.into()),
        ("alias.mov", alias),
    ];
    for (name, bytes) in &files {
        fs::write(node.library.join(name), bytes).unwrap();
    }
    node.serve_with(&["--thumbnails", "on-request"]);
    node.run(&["index"]);
    let admin = Client::admin(&node);
    for (name, _) in &files {
        assert_eq!(problem(&admin.get(&format!("/library/thumbnail?path={name}"))), (422, "no-rendition".into()), "{name}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody was asked");
}

#[test]
fn what_is_served_as_it_is_can_do_nothing_in_a_browser() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let script = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>parent.evil()</script></svg>";
    let names = ["a.svg", "a.html", "a.htm", "a.xhtml", "a.xml", "a.shtml", "a.js", "a.pdf", "a.jpg", "a", "<script>.jpg"];
    names.iter().for_each(|name| node.put(name, script));
    node.serve();
    node.run(&["index"]);
    let session = Client::of(&node).by_session("admin", PASSWORD);
    for name in names {
        let path = name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let answer = session.get(&format!("/library/file?path={path}"));
        assert_eq!(answer.status, 200, "{name}");
        let told = |name: &str| answer.headers.get(name).map(String::as_str).unwrap_or_default().to_owned();
        assert_eq!(
            (told("content-security-policy").as_str(), told("x-content-type-options").as_str()),
            ("sandbox; default-src 'none'", "nosniff"),
            "{name}"
        );
        // Nor is any of it taken for a picture.
        let made = session.get(&format!("/library/thumbnail?path={path}"));
        assert_eq!(problem(&made), (422, "no-rendition".into()), "{name}");
        assert!(!made.text().contains("<script>"), "{name}: {}", made.text());
    }
    // By WebDAV a browser asks with a password that it remembers.
    for name in ["a.svg", "a.html", "a.xhtml", "a.xml", "a.shtml", "a.js"] {
        let answer = crate::support::http("GET", &format!("{}{name}", node.originals()), &[], b"");
        assert!(
            answer.headers["content-security-policy"].contains("sandbox") && answer.headers["x-content-type-options"] == "nosniff",
            "{name}"
        );
    }
    let pages = signed_in(&node, "admin", PASSWORD);
    let about = pages.page("/library/about?path=%3cscript%3e.jpg").text();
    assert!(about.contains("&lt;script&gt;.jpg") && !about.contains("<script>"), "{about}");
    // Those that seem to belong together are one row.
    let told = session.document("/library/grid");
    let others: usize = told["others"].as_object().unwrap().values().map(|others| others.as_array().unwrap().len()).sum();
    assert_eq!(told["names"].as_array().unwrap().len() + others, names.len());
}
