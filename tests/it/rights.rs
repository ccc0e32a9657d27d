//! Rights per root, and a folder as somebody's root, as WebDAV clients meet them.

use crate::support::{Answer, Node, Sandbox, assert_files, http_as};

const SECRET: &str = "a good long password";

fn add_user(node: &Node, name: &str, options: &[&str]) {
    let added = node.run_with_password(&[&["user", "add", name, "--password-stdin"], options].concat(), SECRET);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
}

/// Requests of one user.
struct As<'a>(&'a Node, &'static str);

impl As<'_> {
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http_as(self.1, SECRET, method, &format!("{}{path}", self.0.url()), headers, body)
    }

    fn status(&self, method: &str, path: &str) -> u16 {
        let depth: &[_] = if method == "PROPFIND" { &[("Depth", "1")] } else { &[] };
        self.ask(method, path, depth, b"").status
    }

    fn put(&self, path: &str, body: &str) -> u16 {
        self.ask("PUT", path, &[], body.as_bytes()).status
    }

    fn to(&self, method: &str, path: &str, destination: &str) -> u16 {
        self.ask(method, path, &[("Destination", destination)], b"").status
    }
}

#[test]
fn a_folder_of_the_library_is_somebodys_root() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("private.jpg", "secret");
    node.put("family/2020/a.jpg", "a");
    node.serve();
    add_user(&node, "kid", &["--folder", "family"]);
    let kid = As(&node, "kid");
    for root in ["/originals/", "/webdav/originals/", "/remote.php/webdav/", "/remote.php/dav/files/kid/"] {
        let text = kid.ask("PROPFIND", root, &[("Depth", "infinity")], b"").text();
        assert!(text.contains(&format!("<d:href>{root}2020/a.jpg</d:href>")) && !text.contains("private"), "{text}");
        assert_eq!(kid.ask("GET", &format!("{root}2020/a.jpg"), &[], b"").text(), "a");
        for outside in ["private.jpg", "../private.jpg", "%2e%2e/private.jpg", "family/2020/a.jpg"] {
            assert!(matches!(kid.status("GET", &format!("{root}{outside}")), 400 | 404), "{root}{outside}");
        }
        assert!(matches!(kid.status("DELETE", root), 403 | 405), "the root itself was deleted");
    }
    assert_eq!(kid.put("/originals/2020/b.jpg", "b"), 201);
    assert_eq!(kid.to("MOVE", "/originals/2020/b.jpg", "/originals/c.jpg"), 201);
    assert_files(&node, &[("private.jpg", "secret"), ("family/2020/a.jpg", "a"), ("family/c.jpg", "b")]);
    // What is dropped into the import folder is sorted into the whole library.
    assert_eq!(kid.put("/import/d.jpg", "d"), 404);
    assert!(!kid.ask("PROPFIND", "/webdav/", &[("Depth", "1")], b"").text().contains("import"));
    // The home of somebody else is not shown, not even as an empty folder.
    assert_eq!(kid.status("PROPFIND", "/remote.php/dav/files/admin/"), 403);
}

#[test]
fn rights_are_kept_one_by_one() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("old.jpg", "old");
    node.serve();
    add_user(&node, "adder", &["--originals", "read,add", "--import", "none"]);
    add_user(&node, "editor", &["--originals", "read,change", "--import", "none"]);
    add_user(&node, "blind", &["--originals", "add", "--import", "all"]);
    add_user(&node, "vera", &["--role", "viewer"]);

    let adder = As(&node, "adder");
    assert_eq!(adder.put("/originals/new.jpg", "new"), 201);
    assert_eq!(adder.put("/originals/new.jpg", "again"), 403);
    assert_eq!(adder.status("MKCOL", "/originals/folder/"), 201);
    assert_eq!(adder.status("DELETE", "/originals/new.jpg"), 403);
    assert_eq!(adder.to("MOVE", "/originals/new.jpg", "/originals/newer.jpg"), 403);
    assert_eq!(adder.to("COPY", "/originals/new.jpg", "/originals/copy.jpg"), 201);
    assert_eq!(adder.to("COPY", "/originals/new.jpg", "/originals/old.jpg"), 403);
    // An upload under a temporary name ends with a MOVE, which is no change of anything that was there.
    assert_eq!(adder.put("/originals/p.jpg.tacitpart", "p"), 201);
    assert_eq!(adder.to("MOVE", "/originals/p.jpg.tacitpart", "/originals/p.jpg"), 201);
    assert_eq!(adder.put("/originals/q.jpg.filepart", "q"), 201);
    assert_eq!(adder.to("MOVE", "/originals/q.jpg.filepart", "/originals/old.jpg"), 403);

    let editor = As(&node, "editor");
    assert_eq!(editor.put("/originals/old.jpg", "edited"), 204);
    assert_eq!(editor.put("/originals/other.jpg", "x"), 403);
    assert_eq!(editor.status("MKCOL", "/originals/other/"), 403);
    assert_eq!(editor.to("MOVE", "/originals/copy.jpg", "/originals/renamed.jpg"), 201);
    assert_eq!(editor.status("DELETE", "/originals/renamed.jpg"), 403);

    let blind = As(&node, "blind");
    assert_eq!(blind.put("/originals/dropped.jpg", "d"), 201);
    for method in ["GET", "PROPFIND", "REPORT"] {
        assert_eq!(blind.status(method, "/originals/old.jpg"), 403, "{method}");
    }
    assert_eq!(blind.to("COPY", "/originals/old.jpg", "/originals/seen.jpg"), 403);
    let both = blind.ask("PROPFIND", "/webdav/", &[("Depth", "1")], b"").text();
    assert!(!both.contains("originals") && both.contains("/webdav/import/"), "{both}");

    let vera = As(&node, "vera");
    assert_eq!(vera.status("GET", "/originals/old.jpg"), 200);
    for (method, path) in
        [("DELETE", "/originals/old.jpg"), ("MKCOL", "/originals/v/"), ("PROPPATCH", "/originals/old.jpg"), ("LOCK", "/originals/v")]
    {
        assert_eq!(vera.status(method, path), 403, "{method}");
    }
    assert_eq!((vera.put("/originals/old.jpg", "x"), vera.put("/originals/v.jpg", "x")), (403, 403));
    let expected =
        [("old.jpg", "edited"), ("new.jpg", "new"), ("renamed.jpg", "new"), ("p.jpg", "p"), ("q.jpg.filepart", "q"), ("dropped.jpg", "d")];
    assert_files(&node, &expected);
}

#[test]
fn public_mode_has_no_webdav_and_says_so() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    node.serve_with(&["--public"]);
    let admin = As(&node, "admin");
    for path in ["/originals/a.jpg", "/webdav/", "/import/", "/remote.php/dav/files/admin/a.jpg"] {
        for method in ["GET", "PUT", "PROPFIND", "DELETE"] {
            let answer = admin.ask(method, path, &[], b"");
            assert!(answer.status == 403 && answer.text().contains("public mode"), "{method} {path}: {answer:?}");
        }
    }
    assert_eq!((admin.status("GET", "/"), admin.status("GET", "/library"), admin.status("GET", "/livez")), (303, 200, 200));
    assert_files(&node, &[("a.jpg", "a")]);
}
