//! Names that are written differently, and names that one side cannot hold.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;

use crate::faulty::{FaultyServer, Names};
use crate::peers::apache_with;
use crate::support::{Node, Sandbox, assert_counts, assert_files, tree, write};

const COMPOSED: &str = "M\u{fc}ller/\u{e9}t\u{e9}.jpg";
const DECOMPOSED: &str = "Mu\u{308}ller/e\u{301}te\u{301}.jpg";
const HALF: &str = "M\u{fc}ller/e\u{301}te\u{301}.jpg";

fn connected(sandbox: &Sandbox, names: Names) -> (Node, FaultyServer) {
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    server.state().names = names;
    node.connect("svc", &server.url, &["--deletes", "trash"]);
    (node, server)
}

fn reason<'a>(report: &'a Value, list: &str, path: &str) -> &'a str {
    let noted = report[list].as_array().unwrap().iter().find(|noted| noted["path"] == path);
    noted.unwrap_or_else(|| panic!("{path} is not in {list}: {report:#}"))["reason"].as_str().unwrap()
}

#[test]
fn a_name_in_another_form_is_the_same_file() {
    for (here, there) in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (HALF, COMPOSED), (DECOMPOSED, HALF)] {
        let sandbox = Sandbox::new();
        let (node, server) = connected(&sandbox, Names::default());
        node.put(here, "the same");
        server.put(there, b"the same");
        assert_counts(&node.sync(), &[("adopted", 1)]);
        assert_counts(&node.sync(), &[]);
        // An edit travels both ways, to the name that each side has.
        node.put(here, "edited here");
        assert_counts(&node.sync(), &[("uploaded", 1)]);
        server.put(there, b"and edited there");
        assert_counts(&node.sync(), &[("downloaded", 1)]);
        assert_files(&node, &[(here, "and edited there")]);
        assert_eq!(server.names(), [there]);
        // A different content is a conflict, not two files of one name.
        node.put(here, "edited here again");
        server.put(there, b"and there at the same time");
        assert_eq!(node.sync()["conflicts"].as_array().unwrap().len(), 1);
        assert_eq!((node.files().len(), server.names().len()), (2, 2));
        // So does a deletion.
        node.remove(here);
        assert_counts(&node.sync(), &[("deleted", 1)]);
        assert!(!server.names().contains(&there.to_owned()));
    }
}

#[test]
fn a_new_file_goes_into_the_folder_that_is_there_in_another_form() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    node.put(COMPOSED, "one");
    server.put(DECOMPOSED, b"one");
    node.sync();
    node.put("M\u{fc}ller/new here.jpg", "new here");
    server.put("Mu\u{308}ller/new there.jpg", b"new there");
    assert_counts(&node.sync(), &[("uploaded", 1), ("downloaded", 1)]);
    assert_counts(&node.sync(), &[]);
    assert_files(&node, &[(COMPOSED, "one"), ("M\u{fc}ller/new here.jpg", "new here"), ("M\u{fc}ller/new there.jpg", "new there")]);
    assert!(server.names().iter().all(|name| name.starts_with("Mu\u{308}ller/")), "{:?}", server.names());
    node.rename("M\u{fc}ller/new here.jpg", "M\u{fc}ller/renamed.jpg");
    assert_counts(&node.sync(), &[("moved", 1)]);
    assert!(server.names().contains(&"Mu\u{308}ller/renamed.jpg".to_owned()), "{:?}", server.names());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn a_server_that_changes_the_form_of_names_is_taken_as_it_is() {
    let composes = Names { composes: true, ..Names::default() };
    let decomposes = Names { decomposes: true, ..Names::default() };
    for (names, here, there) in [(composes, DECOMPOSED, COMPOSED), (decomposes, COMPOSED, DECOMPOSED)] {
        let sandbox = Sandbox::new();
        let (node, server) = connected(&sandbox, names);
        node.put(here, "photo");
        node.put(&here.replace("jpg", "xmp"), "about it");
        node.put("x.jpg", "x");
        assert_counts(&node.sync(), &[("uploaded", 3)]);
        assert!(server.names().contains(&there.to_owned()), "{:?}", server.names());
        server.writes();
        for _ in 0..2 {
            assert_counts(&node.sync(), &[]);
        }
        node.put(here, "photo, edited");
        assert_counts(&node.sync(), &[("uploaded", 1)]);
        assert_eq!(server.state().files[there], b"photo, edited");
        assert_counts(&node.sync(), &[]);
        assert_eq!((node.files().len(), server.names().len()), (3, 3));
        assert!(node.files().contains_key(here) && node.trashed().is_empty());
    }
}

#[test]
fn a_form_that_changes_later_is_no_rename() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    node.put(COMPOSED, "photo");
    node.sync();
    // The server moved to a disk that decomposes names.
    let content = server.state().files.remove(COMPOSED).unwrap();
    server.put(DECOMPOSED, &content);
    server.writes();
    assert_counts(&node.sync(), &[]);
    assert_eq!(server.writes(), Vec::<String>::new());
    // The library was copied to a disk that does.
    node.rename(COMPOSED, DECOMPOSED);
    fs::remove_dir(node.library.join("M\u{fc}ller")).unwrap();
    assert_counts(&node.sync(), &[("adopted", 1)]);
    assert_eq!(server.writes(), Vec::<String>::new());
    node.put(DECOMPOSED, "edited");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(server.names(), [DECOMPOSED]);
    assert_counts(&node.sync(), &[]);
}

#[test]
fn two_files_whose_names_differ_only_in_form_stay_two() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    node.put("\u{e9}.jpg", "composed");
    node.put("e\u{301}.jpg", "decomposed");
    assert_counts(&node.sync(), &[("uploaded", 2)]);
    assert_eq!(server.state().files["\u{e9}.jpg"], b"composed");
    assert_eq!(server.state().files["e\u{301}.jpg"], b"decomposed");
    assert_counts(&node.sync(), &[]);
    // A server that takes them for one gets one, and the other is told.
    let other = sandbox.node("o");
    server.state().files.clear();
    server.state().names.composes = true;
    other.connect("svc", &server.url, &[]);
    other.put("\u{e9}.jpg", "composed");
    other.put("e\u{301}.jpg", "decomposed");
    let report = other.sync_expecting(1, &[]);
    assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report:#}");
    let report = other.sync();
    assert_counts(&report, &[]);
    assert!(report["skipped"][0]["reason"].as_str().unwrap().contains("uses this name for the file"), "{report:#}");
    assert_eq!((server.names().len(), other.files().len()), (1, 2));
}

#[test]
fn names_that_differ_in_case_are_carried_where_they_can_be() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    for (name, content) in [("a.jpg", "small"), ("A.jpg", "large"), ("Trip/1.jpg", "1"), ("trip/2.jpg", "2")] {
        node.put(name, content);
    }
    assert_counts(&node.sync(), &[("uploaded", 4)]);
    server.put("a.JPG", b"third");
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert_counts(&node.sync(), &[]);
    assert_eq!((node.files().len(), server.names().len()), (5, 5));
}

#[test]
fn a_server_that_folds_case_never_overwrites_one_with_the_other() {
    for ignores_conditions in [false, true] {
        let sandbox = Sandbox::new();
        let names = Names { folds_case: true, ignores_conditions, ..Names::default() };
        let (node, server) = connected(&sandbox, names);
        for (name, content) in [("a.jpg", "small"), ("A.jpg", "large"), ("Trip/1.jpg", "1"), ("trip/2.jpg", "2"), ("z.jpg", "z")] {
            node.put(name, content);
        }
        let report = node.sync_expecting(1, &[]);
        assert_counts(&report, &[("uploaded", 3)]);
        assert_eq!(report["failed"].as_array().unwrap().len(), 2, "{report:#}");
        for failed in report["failed"].as_array().unwrap() {
            assert!(failed["reason"].as_str().unwrap().contains("does not tell upper from lower case"), "{report:#}");
        }
        // The next run says it again and changes nothing.
        let before = server.state().files.clone();
        server.writes();
        assert_counts(&node.sync_expecting(1, &[]), &[]);
        assert_eq!(server.writes(), Vec::<String>::new());
        assert_eq!(server.state().files, before);
        assert_eq!(node.files().len(), 5);
        // Once they are told apart, all is well.
        let failed: Vec<_> = report["failed"].as_array().unwrap().iter().map(|failed| failed["path"].as_str().unwrap()).collect();
        for path in failed {
            node.rename(path, &format!("other/{}", path.replace('/', " ")));
        }
        assert_counts(&node.sync(), &[("uploaded", 2)]);
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn what_a_nextcloud_forbids_is_told_without_trying() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    let capabilities = r#"{"ocs":{"data":{"capabilities":{"files":{"forbidden_filenames":[".htaccess"],"forbidden_filename_characters":[":","?"],
        "forbidden_filename_extensions":["."],"forbidden_filename_basenames":["con"]}}}}}"#;
    server.state().names = Names { capabilities: Some(capabilities), prefix: "/remote.php/webdav/", ..Names::default() };
    node.connect("svc", &server.url.replace("/dav/", "/remote.php/webdav/"), &[]);
    for name in ["10:30.jpg", "why?/x.jpg", "dot.", "CON.jpg", ".htaccess", "fine.jpg"] {
        node.put(name, name);
    }
    let report = node.sync();
    assert_counts(&report, &[("uploaded", 1)]);
    for name in ["10:30.jpg", "why?/x.jpg", "dot.", "CON.jpg", ".htaccess"] {
        assert!(reason(&report, "skipped", name).contains("the service"), "{report:#}");
    }
    assert_eq!(server.names(), ["fine.jpg"]);
    server.writes();
    assert_counts(&node.sync(), &[]);
    assert_eq!(server.writes(), Vec::<String>::new());
}

#[test]
fn a_name_that_a_server_refuses_is_told_and_holds_nothing_up() {
    for status in [
        "400 Bad Request",
        "403 Forbidden",
        "405 Method Not Allowed",
        "414 URI Too Long",
        "415 Unsupported Media Type",
        "422 Unprocessable",
    ] {
        let sandbox = Sandbox::new();
        let (node, server) = connected(&sandbox, Names::default());
        server.state().names.refuses = match &status[..3] {
            "400" => |name, _| name.contains([':', '?']).then_some("400 Bad Request"),
            "403" => |name, _| name.contains([':', '?']).then_some("403 Forbidden"),
            "405" => |name, _| name.contains([':', '?']).then_some("405 Method Not Allowed"),
            "414" => |name, _| name.contains([':', '?']).then_some("414 URI Too Long"),
            "415" => |name, _| name.contains([':', '?']).then_some("415 Unsupported Media Type"),
            _ => |name, _| name.contains([':', '?']).then_some("422 Unprocessable"),
        };
        for name in ["10:30.jpg", "why?/x.jpg", "good.jpg", "good/y.jpg"] {
            node.put(name, name);
        }
        server.writes();
        let report = node.sync_expecting(1, &[]);
        assert_counts(&report, &[("uploaded", 2)]);
        assert!(reason(&report, "failed", "10:30.jpg").contains("10:30.jpg has the character :"), "{report:#}");
        assert!(reason(&report, "failed", "why?/x.jpg").contains("why? has the character ?"), "{report:#}");
        assert_eq!(server.writes().iter().filter(|line| line.ends_with("10:30.jpg")).count(), 1, "{status}: tried again");
        assert_eq!(server.names(), ["good.jpg", "good/y.jpg"]);
    }
}

#[test]
fn a_long_name_is_carried_where_the_server_can_hold_it() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    // As a Nextcloud does: it adds to names while they are being written.
    server.state().names.refuses = |name, put| match name.len() {
        251.. => Some("400 Bad Request"),
        228.. if put => Some("500 Internal Server Error"),
        _ => None,
    };
    let (short, long, longest) =
        (format!("{}.jpg", "s".repeat(220)), format!("{}.jpg", "l".repeat(246)), format!("{}.jpg", "x".repeat(251)));
    for name in [&short, &long, &longest] {
        node.put(name, name);
    }
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", 2)]);
    assert!(reason(&report, "failed", &longest).contains("255 bytes long"), "{report:#}");
    assert_eq!(server.names(), [long.as_str(), short.as_str()]);
    // An update goes the same way.
    node.put(&long, "edited");
    assert_counts(&node.sync_expecting(1, &[]), &[("uploaded", 1)]);
    assert_eq!(server.state().files[&long], b"edited");
}

#[test]
fn names_of_every_kind_travel_to_apache_and_back() {
    let sandbox = Sandbox::new();
    let Some(server) = apache_with(&sandbox, "") else { return };
    let node = sandbox.node("n");
    node.connect("apache", &server.url, &["--folder", "/photos"]);
    let long = format!("{}.jpg", "x".repeat(251));
    let names = [
        "CON",
        "nul.jpg",
        "dot.",
        "space ",
        " first",
        "a<b>c:d\"e|f?g*h.jpg",
        "100% #1 & +.jpg",
        "🔥/🔥.jpg",
        COMPOSED,
        "e\u{301}.jpg",
        "A.jpg",
        "a.jpg",
        &long,
    ];
    for (number, name) in names.iter().enumerate() {
        node.put(name, &number.to_string());
    }
    assert_counts(&node.sync(), &[("uploaded", names.len() as u64)]);
    let photos = server.files.join("photos");
    assert_eq!(tree(&photos), node.files());
    for (number, name) in names.iter().enumerate() {
        write(&photos.join("there").join(name), format!("there {number}").as_bytes());
    }
    assert_counts(&node.sync(), &[("downloaded", names.len() as u64)]);
    assert_eq!(tree(&photos), node.files());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn names_that_are_no_text_are_told_and_not_lost() {
    let sandbox = Sandbox::new();
    let (node, server) = connected(&sandbox, Names::default());
    let raw = node.library.join(OsStr::from_bytes(b"caf\xe9.jpg"));
    fs::write(&raw, "latin-1").unwrap();
    let folder = node.library.join(OsStr::from_bytes(b"d\xe9j\xe0"));
    write(&folder.join("x.jpg"), b"in a folder");
    // Beside it, one whose stand-in would be too long for a name.
    let long = node.library.join(OsStr::from_bytes(&[0xe9; 255]));
    fs::write(&long, "long").unwrap();
    fs::write(node.library.join("back\\slash.jpg"), "backslash").unwrap();
    node.put("good.jpg", "good");
    let report = node.sync();
    assert_counts(&report, &[("uploaded", 1)]);
    let told: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|noted| noted["path"].as_str().unwrap()).collect();
    assert_eq!(told.len(), 4, "{report:#}");
    assert!(reason(&report, "skipped", "caf\u{fffd}.jpg").contains("not valid UTF-8"), "{report:#}");
    // An edit elsewhere and a deletion go on.
    node.put("good.jpg", "better");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    node.remove("good.jpg");
    assert_counts(&node.sync(), &[("deleted", 1)]);
    assert!(raw.exists() && folder.join("x.jpg").exists() && long.exists());
    assert_eq!(server.names(), Vec::<String>::new());
}

#[test]
fn new_files_at_both_names_of_one_file_are_all_kept() {
    let sandbox = Sandbox::new();
    let (here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    there.serve();
    here.pair(&there, &["--deletes", "trash"]);
    here.put("f/a.jpg", "the one file");
    there.put("a.jpg", "the one file");
    assert_counts(&here.sync(), &[("adopted", 1)]);
    here.put("a.jpg", "new here");
    there.put("f/a.jpg", "new there");
    let told = here.sync();
    assert_counts(&told, &[]);
    assert!(reason(&told, "skipped", "a.jpg").contains("uses this name"), "{told:#}");
    // The run after that finds two files at each name.
    here.sync();
    let contents = |files: std::collections::BTreeMap<String, String>| files.into_values().collect::<std::collections::BTreeSet<_>>();
    let all = std::collections::BTreeSet::from(["the one file", "new here", "new there"].map(str::to_owned));
    assert_eq!((contents(here.files()), contents(there.files())), (all.clone(), all));
    assert_counts(&here.sync(), &[]);
    assert_eq!(here.files(), there.files());
    assert!(here.trashed().is_empty() && there.trashed().is_empty());
}
