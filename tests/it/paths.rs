//! No path leads out of what is served, in whatever encoding, through whatever link.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Node, Sandbox, assert_files, http, tree};

const SECRET: &str = "a secret outside of the library";

/// A node beside whose library a secret lies.
fn serving(sandbox: &Sandbox) -> Node {
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.put("d/b.jpg", "b");
    fs::write(node.library.parent().unwrap().join("secret.txt"), SECRET).unwrap();
    fs::create_dir(sandbox.path().join("outside")).unwrap();
    fs::write(sandbox.path().join("outside/secret.txt"), SECRET).unwrap();
    node.serve();
    node
}

#[test]
fn traversal_in_every_encoding_is_refused() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    let everything =
        || (tree(&node.library), tree(&sandbox.path().join("outside")), fs::read_dir(node.library.parent().unwrap()).unwrap().count());
    let before = everything();
    for up in [
        "../",
        "%2e%2e/",
        "%2E%2e%2f",
        "..%2f",
        "%2e./",
        ".%2e%2F",
        "%252e%252e/",
        "%c0%ae%c0%ae/",
        "%e0%80%ae%e0%80%ae/",
        "%c0%2e%c0%2e/",
        "..%c0%af",
        "..%5c",
        "%2e%2e%5c",
        "..\\",
        "d/../../",
        "d/%2e%2e/%2e%2e/",
        "./../",
        "%2e/%2e%2e/",
        "..;/",
        "..%00/",
        "%u002e%u002e/",
        "d%2f..%2f..%2f",
        "//../",
        "%2f%2e%2e/",
    ] {
        for path in [
            format!("/originals/{up}secret.txt"),
            format!("/webdav/originals/{up}secret.txt"),
            format!("/remote.php/dav/files/admin/{up}secret.txt"),
        ] {
            let url = format!("{}{path}", node.url());
            for method in ["GET", "PROPFIND", "DELETE", "MKCOL", "MOVE", "COPY"] {
                let answer = http(method, &url, &[("Depth", "0"), ("Destination", "/originals/stolen.txt")], b"");
                assert!(matches!(answer.status, 400 | 403 | 404 | 409), "{method} {path}: {} {}", answer.status, answer.text());
                assert!(!answer.text().contains(SECRET), "{method} {path}");
            }
            let put = http("PUT", &url, &[], b"overwritten");
            assert!(matches!(put.status, 400 | 403 | 404 | 409), "PUT {path}: {}", put.status);
            // As the place to go to, and in an If header.
            for method in ["MOVE", "COPY"] {
                let answer = http(method, &format!("{}a.jpg", node.originals()), &[("Destination", &path)], b"");
                assert!(matches!(answer.status, 400 | 403 | 404 | 409 | 502), "{method} to {path}: {}", answer.status);
            }
            let answer = http("PUT", &format!("{}new.jpg", node.originals()), &[("If", &format!("<{path}> ([\"x\"])"))], b"x");
            assert!(matches!(answer.status, 400 | 412), "If {path}: {}", answer.status);
        }
    }
    assert_eq!(before, everything());
    // Escaped twice it is a name like any other.
    let odd = format!("{}%252e%252e%252fsecret.txt", node.originals());
    assert_eq!(http("PUT", &odd, &[], b"inside").status, 201);
    assert_eq!(fs::read_to_string(node.library.join("%2e%2e%2fsecret.txt")).unwrap(), "inside");
    assert_eq!(fs::read_to_string(node.library.parent().unwrap().join("secret.txt")).unwrap(), SECRET);
}

#[test]
fn what_is_twinlenss_own_is_not_there_under_any_name() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    let marker = fs::read(node.library.join(".twinlens/library.toml")).unwrap();
    for own in [
        ".twinlens",
        ".TwinLens",
        "%2etwinlens",
        "%2E%54winlens",
        ".twinlens/",
        ".twinlens.",
        ".twinlens%20",
        ".twinlen%C5%BF",
        ".twin%E2%80%8Clens",
        "%EF%BB%BF.twinlens",
        ".twinlens::$INDEX_ALLOCATION",
        "TWINLE~1",
        "/.twinlens",
        "./.twinlens",
    ] {
        for mount in ["/originals/", "/webdav/originals/", "/import/"] {
            for below in ["", "/library.toml", "/trash/x", "/incoming/x.part"] {
                let url = format!("{}{mount}{own}{below}", node.url());
                for method in ["GET", "HEAD", "PROPFIND"] {
                    let status = http(method, &url, &[("Depth", "1")], b"").status;
                    assert!(matches!(status, 400 | 403 | 404), "{method} {url}: {status}");
                }
                for method in ["PUT", "DELETE", "MKCOL", "MOVE", "COPY", "LOCK", "PROPPATCH"] {
                    let body = match method {
                        "LOCK" => "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>",
                        "PROPPATCH" => "<propertyupdate xmlns='DAV:'><set><prop><x/></prop></set></propertyupdate>",
                        "PUT" => "x",
                        _ => "",
                    };
                    let status = http(method, &url, &[("Destination", "/originals/stolen.txt")], body.as_bytes()).status;
                    assert!(matches!(status, 400 | 403 | 405), "{method} {url}: {status}");
                }
                for method in ["MOVE", "COPY"] {
                    let status = http(method, &format!("{}a.jpg", node.originals()), &[("Destination", &url)], b"").status;
                    assert!(matches!(status, 400 | 403), "{method} to {url}: {status}");
                }
            }
        }
    }
    assert_eq!(fs::read(node.library.join(".twinlens/library.toml")).unwrap(), marker);
    assert_files(&node, &[("a.jpg", "a"), ("d/b.jpg", "b")]);
    // A name that only resembles it is a name.
    assert_eq!(http("PUT", &format!("{}.twinlens2", node.originals()), &[], b"x").status, 201);
    // And a library inside this one keeps its own to itself too.
    node.put("d/.twinlens/library.toml", "another's");
    assert!(!http("PROPFIND", &format!("{}d/", node.originals()), &[("Depth", "1")], b"").text().contains(".twinlens"));
    for (method, status) in [("GET", 404), ("PUT", 403), ("DELETE", 403), ("COPY", 403)] {
        let url = format!("{}d/.twinlens/library.toml", node.originals());
        assert_eq!(http(method, &url, &[("Destination", "/originals/stolen.txt")], b"").status, status, "{method}");
    }
}

#[test]
fn names_that_cannot_be_are_refused_with_clear_statuses() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    let url = |path: &str| format!("{}{path}", node.originals());
    let long = "n".repeat(255);
    assert_eq!(http("PUT", &url(&long), &[], b"x").status, 201);
    assert_eq!(http("GET", &url(&long), &[], b"").text(), "x");
    assert_eq!(http("DELETE", &url(&long), &[], b"").status, 204);
    let deep = format!("{}x", "d/".repeat(2000));
    for bad in [
        format!("{long}n"),
        "%C3%A4".repeat(128),
        deep,
        "a%00.jpg".into(),
        "a%0a.jpg".into(),
        "a%7f.jpg".into(),
        "a%5cb.jpg".into(),
        "a%ff.jpg".into(),
    ] {
        for method in ["PUT", "MKCOL", "GET", "DELETE", "PROPFIND"] {
            let answer = http(method, &url(&bad), &[("Depth", "0")], b"");
            assert_eq!(answer.status, 400, "{method} {bad}: {}", answer.text());
        }
        assert_eq!(http("MOVE", &url("a.jpg"), &[("Destination", &url(&bad))], b"").status, 400, "{bad}");
    }
    // Names that only Windows minds are names here; nothing of them is changed.
    for name in ["CON", "aux.jpg", "a%3Ab", "q%3F", "star%2A", "%3Cx%3E", "pipe%7C", "dot.", "space%20", "a%25b", "h%23ash"] {
        assert_eq!(http("PUT", &url(name), &[], name.as_bytes()).status, 201, "{name}");
        assert_eq!(http("GET", &url(name), &[], b"").text(), name);
        let listed = http("PROPFIND", &url(""), &[("Depth", "1")], b"").text();
        assert!(listed.contains(&format!("<d:href>/originals/{name}</d:href>")), "{name}: {listed}");
        assert_eq!(http("DELETE", &url(name), &[], b"").status, 204, "{name}");
    }
    // A folder cannot be moved to where something below it would have too long a path.
    let half = vec!["f".repeat(200); 9].join("/");
    fs::create_dir_all(node.library.join("one").join(&half)).unwrap();
    fs::create_dir_all(node.library.join("two").join(&half)).unwrap();
    http("PUT", &url(&format!("one/{half}/x.jpg")), &[], b"x");
    let into = vec!["g".repeat(200); 2].join("/");
    fs::create_dir_all(node.library.join("two").join(&half).join(&into)).unwrap();
    let moved = http("MOVE", &url("one/"), &[("Destination", &url(&format!("two/{half}/{into}/one/")))], b"");
    assert_eq!(moved.status, 414, "{}", moved.text());
    assert_eq!(http("GET", &url(&format!("one/{half}/x.jpg")), &[], b"").text(), "x");
}

#[test]
fn links_lead_nowhere() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    let outside = sandbox.path().join("outside");
    symlink(outside.join("secret.txt"), node.library.join("file.txt")).unwrap();
    symlink(&outside, node.library.join("folder")).unwrap();
    symlink("../../../outside", node.library.join("d/relative")).unwrap();
    symlink(node.library.join(".twinlens"), node.library.join("own")).unwrap();
    symlink("nowhere", node.library.join("dangling")).unwrap();
    symlink("loop", node.library.join("loop")).unwrap();
    let listed = http("PROPFIND", &node.originals(), &[("Depth", "infinity")], b"").text();
    assert_eq!(listed.matches("<d:response>").count(), 4, "{listed}");
    for path in [
        "file.txt",
        "folder/secret.txt",
        "folder/",
        "folder",
        "d/relative/secret.txt",
        "own/library.toml",
        "own/",
        "dangling",
        "loop",
        "loop/x",
    ] {
        let url = format!("{}{path}", node.originals());
        for method in ["GET", "PROPFIND", "DELETE", "PUT", "MKCOL", "COPY", "MOVE", "LOCK"] {
            let body = if method == "LOCK" {
                "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>"
            } else {
                ""
            };
            let answer = http(method, &url, &[("Depth", "0"), ("Destination", "/originals/stolen.txt")], body.as_bytes());
            assert!(matches!(answer.status, 403..=405 | 409 | 412), "{method} {path}: {} {}", answer.status, answer.text());
            assert!(!answer.text().contains(SECRET), "{method} {path}");
        }
        for method in ["MOVE", "COPY"] {
            let answer = http(method, &format!("{}a.jpg", node.originals()), &[("Destination", &url)], b"");
            assert!(matches!(answer.status, 403..=405 | 409 | 412), "{method} to {path}: {} {}", answer.status, answer.text());
        }
    }
    let left: Vec<_> = tree(&outside).into_iter().collect();
    assert_eq!(left, [("secret.txt".to_owned(), SECRET.to_owned())]);
    assert!(node.library.join("file.txt").is_symlink() && node.library.join("folder").is_symlink() && node.library.join("a.jpg").exists());
}

/// A folder that becomes a link to the outside and a folder again, as fast as the system can, while clients read and write in it.
#[test]
fn a_link_swapped_in_at_the_last_moment_leads_nowhere() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    let outside = sandbox.path().join("outside");
    let (real, link, name) = (node.library.join("real"), node.library.join("link"), node.library.join("swapped"));
    fs::create_dir(&real).unwrap();
    symlink(&outside, &link).unwrap();
    fs::create_dir(&name).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                exchange(&name, &link);
            }
        });
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let node = &node;
                scope.spawn(move || {
                    for round in 0..60 {
                        let url = |path: &str| format!("{}swapped/{path}", node.originals());
                        let fresh = format!("{client}-{round}.jpg");
                        http("PUT", &url(&fresh), &[], b"written inside");
                        http("MKCOL", &url(&format!("f{client}-{round}/")), &[], b"");
                        http("MOVE", &url(&fresh), &[("Destination", &url(&format!("m{fresh}")))], b"");
                        http("COPY", &format!("{}a.jpg", node.originals()), &[("Destination", &url(&format!("c{fresh}")))], b"");
                        http("DELETE", &url("secret.txt"), &[], b"");
                        for method in ["GET", "COPY"] {
                            let answer = http(method, &url("secret.txt"), &[("Destination", "/originals/stolen.txt")], b"");
                            assert!(
                                !answer.text().contains(SECRET) && answer.status != 201 && answer.status != 204,
                                "{method}: {answer:?}"
                            );
                        }
                        let listed = http("PROPFIND", &url(""), &[("Depth", "1")], b"").text();
                        assert!(!listed.contains("secret.txt"), "{listed}");
                    }
                })
            })
            .collect();
        let ended: Vec<_> = clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let left: Vec<_> = tree(&outside).into_iter().collect();
    assert_eq!(left, [("secret.txt".to_owned(), SECRET.to_owned())]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

/// Gives each of two names what the other had, in one step.
fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn somebodys_folder_is_all_that_they_reach() {
    let sandbox = Sandbox::new();
    let node = serving(&sandbox);
    for home in ["/remote.php/dav/files/bob/a.jpg", "/remote.php/dav/files/%62ob/"] {
        assert!(matches!(http("GET", &format!("{}{home}", node.url()), &[], b"").status, 403 | 404), "{home}");
    }
    assert_eq!(http("COPY", &format!("{}a.jpg", node.originals()), &[("Destination", "/remote.php/dav/files/bob/a.jpg")], b"").status, 403);
}
