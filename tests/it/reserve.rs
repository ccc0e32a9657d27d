//! What people add leaves a reserve of free disk, so that the node itself can always write: its state, and the trash.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::api::{Client, json_of, problem};
use crate::faulty::FaultyServer;
use crate::support::{Node, PASSWORD, Sandbox, assert_counts, assert_files, eventually, http, read_answer, send_head, show};

/// A file system of this size at a place; it goes away with the value.
pub struct Small(PathBuf);

impl Small {
    pub fn mount(place: &Path, size: &str) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"]).arg(place).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(place.to_owned()));
        }
        eprintln!("skipped: mounting a tmpfs is not permitted");
        None
    }

    /// Bytes that are free.
    fn free(&self) -> u64 {
        let told = Command::new("df").args(["-B1", "--output=avail"]).arg(&self.0).output().unwrap();
        String::from_utf8(told.stdout).unwrap().split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    }

    /// Another program leaves so many bytes free.
    fn fill(&self, left: u64) {
        let mut file = fs::File::create(self.0.join("of-another-program")).unwrap();
        while self.free() > left {
            file.write_all(&vec![b'x'; usize::try_from((self.free() - left).min(1 << 20)).unwrap()]).unwrap();
        }
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("of-another-program")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

const MIB: u64 = 1 << 20;
const DISK: u64 = 100 * MIB;
/// The fiftieth part.
const RESERVE: u64 = DISK / 50;

/// Bytes that somebody may still add, as a listing tells them (RFC 4331).
fn room(node: &Node) -> u64 {
    let wanted = b"<propfind xmlns='DAV:'><prop><quota-available-bytes/></prop></propfind>";
    let text = http("PROPFIND", &node.originals(), &[("Depth", "0")], wanted).text();
    let told = text.split("quota-available-bytes>").nth(1).unwrap_or_else(|| panic!("{text}"));
    told.split('<').next().unwrap().parse().unwrap()
}

/// Uploads more than the disk holds without saying how much it will be.
fn put_without_end(url: &str) -> u16 {
    let mut stream = send_head("admin", PASSWORD, "PUT", url, &[("Transfer-Encoding", "chunked")]);
    let piece = [b"100000\r\n", vec![b'x'; 1 << 20].as_slice(), b"\r\n"].concat();
    // The node may close early.
    let _ = (0..=DISK / MIB).take_while(|_| stream.write_all(&piece).is_ok()).count();
    let _ = stream.write_all(b"0\r\n\r\n");
    read_answer(&mut stream).status
}

/// Uploads a file of this size, in which nothing but its path is.
fn put(node: &Node, path: &str, size: u64) -> u16 {
    let content: Vec<u8> = path.bytes().cycle().take(usize::try_from(size).unwrap()).collect();
    http("PUT", &format!("{}{path}", node.originals()), &[], &content).status
}

#[test]
fn what_people_add_leaves_a_reserve_and_the_node_goes_on() {
    let sandbox = Sandbox::new();
    let (mut node, mut other) = (sandbox.node("n"), sandbox.node("other"));
    let place = sandbox.path().join("disk");
    fs::create_dir_all(&place).unwrap();
    let Some(disk) = Small::mount(&place, &DISK.to_string()) else { return };
    (node.data, node.library) = (place.join("data"), place.join("library"));
    fs::create_dir(&node.library).unwrap();
    node.put("old.jpg", "old");
    node.serve();
    let url = |path: &str| format!("{}{path}", node.originals());
    // The node writes a little while one looks.
    eventually("the room that is told to be what is free but for the reserve", || {
        let free = disk.free();
        let told = room(&node);
        disk.free() == free && told == free - RESERVE
    });

    // What is announced and does not fit is refused before a byte of it is sent.
    let too_much = (room(&node) + 1).to_string();
    let announced = [("Content-Length", too_much.as_str()), ("Expect", "100-continue")];
    let answer = read_answer(&mut send_head("admin", PASSWORD, "PUT", &url("large.jpg"), &announced));
    assert!(answer.status == 507 && answer.text().contains("large.jpg: the rest is kept for"), "{}", answer.text());
    // What is not announced is stopped on its way.
    assert_eq!(put_without_end(&url("large.jpg")), 507);
    eventually("the end of the upload", || node.left_behind().is_empty());
    assert!(disk.free() > RESERVE + 50 * MIB, "something stayed");
    // So is a piece of an upload; the pieces before it stay.
    let upload = format!("{}/remote.php/dav/uploads/admin/pieces", node.url());
    let piece = |number: u32| format!("{upload}/{number:05}");
    assert_eq!(http("MKCOL", &upload, &[], b"").status, 201);
    assert_eq!(http("PUT", &piece(1), &[], b"first").status, 201);
    assert_eq!(put_without_end(&piece(2)), 507);
    eventually("the end of the piece", || disk.free() > RESERVE + 50 * MIB);
    assert_eq!(http("PUT", &piece(2), &[], b" second").status, 201);
    let whole = [("Destination", url("pieces.jpg")), ("OC-Total-Length", "12".into())];
    let whole = whole.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(http("MOVE", &format!("{upload}/.file"), &whole, b"").status, 201);
    assert_files(&node, &[("old.jpg", "old"), ("pieces.jpg", "first second")]);

    // What fits is taken, to the last byte that may be.
    for (turn, size) in [30 * MIB, 2 * MIB, 60 << 10, 4 << 10].into_iter().enumerate() {
        let status = (0..100).map(|number| put(&node, &format!("{turn}-{number}.jpg"), size)).find(|status| *status != 201);
        assert_eq!(status, Some(507), "{size}");
    }
    let free = disk.free();
    assert!((RESERVE / 2..RESERVE + (8 << 10)).contains(&free), "{free}");
    assert!(room(&node) < 8 << 10);
    disk.fill(RESERVE);
    assert_eq!(room(&node), 0);

    // Nothing more, in whatever way.
    let before = node.files();
    assert_eq!(put(&node, "empty.jpg", 0), 507);
    assert_eq!(put(&node, "old.jpg", 5), 507);
    assert_eq!(http("MKCOL", &url("folder/"), &[], b"").status, 507);
    assert_eq!(http("COPY", &url("old.jpg"), &[("Destination", "/originals/copy.jpg")], b"").status, 507);
    assert_eq!(http("PUT", &format!("{}/import/a.jpg", node.url()), &[], b"a").status, 507);
    let session = |headers: &[(&str, &str)]| http("MKCOL", &format!("{}/remote.php/dav/uploads/admin/x", node.url()), headers, b"").status;
    assert_eq!((session(&[("OC-Total-Length", "100000")]), session(&[])), (507, 507));
    let part = b"--B\r\nX-File-Path: /bulk.jpg\r\nContent-Length: 4\r\n\r\nbulk\r\n--B--\r\n";
    let bulk = http("POST", &format!("{}/remote.php/dav/bulk", node.url()), &[("Content-Type", "multipart/related; boundary=B")], part);
    assert_eq!(json_of(&bulk)["/bulk.jpg"]["status"], 507, "{}", bulk.text());
    let admin = Client::admin(&node);
    assert_eq!(problem(&admin.post("/uploads", &json!({ "path": "api.jpg", "size": 10 }))), (507, "full".into()));
    let small = [b'p'; 100];
    let patch = [b"<propertyupdate xmlns='DAV:' xmlns:x='x'><set><prop><x:p>".as_slice(), &small, b"</x:p></prop></set></propertyupdate>"];
    assert_eq!(http("PROPPATCH", &url("old.jpg"), &[], &patch.concat()).status, 507);
    assert!(node.files() == before && node.left_behind().is_empty() && node.trashed().is_empty(), "{:?}", node.left_behind());

    // The node itself goes on: its state is written, files are renamed and removed, and a sync does what needs no room.
    let added = node.run_with_password(&["user", "add", "anna", "--password-stdin"], PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    assert_eq!(http("MOVE", &url("old.jpg"), &[("Destination", "/originals/renamed.jpg")], b"").status, 201);
    assert_eq!(http("DELETE", &url("0-0.jpg"), &[], b"").status, 204);
    assert_eq!(node.trashed().len(), 1);
    other.put("there/first.jpg", &"1".repeat(9 << 20));
    other.put("there/second.jpg", &"2".repeat(9 << 20));
    other.put("small.jpg", "small");
    other.serve();
    // A node that serves would sync before it is told to.
    node.stop();
    node.run(&["trash", "empty", "--all"]);
    disk.fill(RESERVE + 6 * MIB);
    node.pair(&other, &["--deletes", "trash"]);
    let here = node.files().len() as u64;
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", here), ("downloaded", 1)]);
    let failed = report["failed"].as_array().unwrap();
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(failed.len() == 1 && reason.contains("no room left on the disk for "), "{failed:#?}");
    assert!(reason.contains("; this and 1 more file will be fetched by a later run, when there is room"), "{reason}");
    assert!(node.left_behind().is_empty(), "{:?}", node.left_behind());
    other.remove("1-0.jpg");
    assert_counts(&node.sync_expecting(1, &[]), &[("deleted", 1)]);

    // With room again, all the rest comes.
    disk.empty();
    assert_counts(&node.sync(), &[("downloaded", 2), ("deleted", 0)]);
    assert_eq!(node.files().len(), other.files().len());
    node.serve();
    assert_eq!(put(&node, "empty.jpg", 0), 201);
    node.stop();
}

#[test]
fn downloads_that_do_not_fit_together_leave_nothing_half_written() {
    let sandbox = Sandbox::new();
    let (node, mut other) = (sandbox.node("n"), sandbox.node("other"));
    let Some(disk) = Small::mount(&node.library, &DISK.to_string()) else { return };
    let size = 30 << 20;
    (0..6).for_each(|number| other.put(&format!("{number}.jpg"), &number.to_string().repeat(size)));
    other.serve();
    // Each of them would fit, and they come at once: as many as fit together are fetched.
    node.pair(&other, &[]);
    let report = node.sync_expecting(1, &[]);
    let files = node.files();
    assert!(files.values().all(|content| content.len() == size) && (1..=3).contains(&files.len()), "{:?}", files.keys());
    assert_counts(&report, &[("downloaded", files.len() as u64)]);
    assert!(node.left_behind().is_empty(), "{:?}", node.left_behind());
    assert!(disk.free() >= RESERVE);
    let failed = report["failed"].as_array().unwrap();
    let left = format!("; this and {} more files will be fetched by a later run", 5 - files.len());
    assert!(failed.len() == 1 && failed[0]["reason"].as_str().unwrap().contains(&left), "{report:#}");
}

#[test]
fn a_download_leaves_nothing_behind_when_others_fill_the_disk_meanwhile() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let place = sandbox.path().join("disk");
    fs::create_dir(&place).unwrap();
    let Some(disk) = Small::mount(&place, &DISK.to_string()).map(Arc::new) else { return };
    node.library = place.join("library");
    fs::create_dir(&node.library).unwrap();
    let server = FaultyServer::start();
    server.put("large.jpg", &[b'l'; 20 << 20]);
    server.put("small.jpg", b"small");
    node.connect("peer", &server.url, &[]);
    let other = Arc::clone(&disk);
    server.state().meanwhile.push_back(("GET large.jpg", Box::new(move |_| other.fill(RESERVE + 10 * MIB))));
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("downloaded", 1)]);
    let failed = report["failed"].as_array().unwrap();
    assert!(failed.len() == 1 && failed[0]["reason"].as_str().unwrap().contains("; this will be fetched by a later run"), "{report:#}");
    assert!(node.left_behind().is_empty(), "{:?}", node.left_behind());
    assert_files(&node, &[("small.jpg", "small")]);
    disk.empty();
    assert_counts(&node.sync(), &[("downloaded", 1)]);
}

#[test]
fn a_state_without_room_refuses_and_goes_on_when_there_is_some() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    fs::create_dir(&node.data).unwrap();
    let Some(disk) = Small::mount(&node.data, &DISK.to_string()) else { return };
    node.serve();
    assert_eq!([put(&node, "a.jpg", 1), put(&node, "b.jpg", 2), put(&node, "d.jpg", 3)], [201; 3]);
    // Ids are given to what is listed with them for the first time.
    let propfind = |path: &str, depth: &str, wanted: &str| {
        let body = format!("<propfind xmlns='DAV:' xmlns:oc='http://owncloud.org/ns'><prop>{wanted}</prop></propfind>");
        http("PROPFIND", &format!("{}{path}", node.originals()), &[("Depth", depth)], body.as_bytes())
    };
    let ids = |path: &str, depth: &str| {
        let answer = propfind(path, depth, "<oc:fileid/>");
        assert_eq!(answer.status, 207, "{}", answer.text());
        let text = answer.text();
        text.split("fileid>").skip(1).step_by(2).map(|id| id.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_b = ids("b.jpg", "0");
    assert!(of_b.len() == 1 && of_b[0].parse::<u64>().is_ok(), "{of_b:?}");
    let delete = |path: &str| http("DELETE", &format!("{}{path}", node.originals()), &[], b"").status;

    // The library has room, but what is added could not be remembered for long. What is removed can.
    disk.fill(RESERVE / 2);
    assert_eq!((put(&node, "c.jpg", 3), room(&node)), (507, 0));
    assert_eq!(http("PUT", &format!("{}/import/a.jpg", node.url()), &[], b"a").status, 507);
    assert_eq!(delete("a.jpg"), 204);

    // Somebody else takes all of it. Nothing is written any more, and everything can be read.
    disk.fill(0);
    let user = ["user", "add", "anna", "--password-stdin"];
    let refused = node.run_with_password(&user, PASSWORD);
    assert!(refused.status.code() == Some(3) && show(&refused).contains("no room left on its disk"), "{}", show(&refused));
    let admin = Client::admin(&node);
    let refused = admin.post("/users", &json!({ "name": "anna", "role": "viewer", "password": PASSWORD }));
    assert_eq!(problem(&refused), (507, "full".into()), "{}", refused.text());
    assert_eq!(http("GET", &format!("{}b.jpg", node.originals()), &[], b"").text(), "b.");

    // That goes for what has its id, and for listings without ids. Those of what has none are refused as a whole, however many ask at once.
    node.put("new.jpg", "new");
    assert_eq!(ids("b.jpg", "0"), of_b);
    let listed = propfind("", "1", "<getcontentlength/>").text();
    assert!(listed.contains("b.jpg") && listed.contains("new.jpg"), "{listed}");
    let changes = "<d:sync-collection xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'><d:sync-token/><d:sync-level>1</d:sync-level>\
        <d:prop><oc:fileid/></d:prop></d:sync-collection>";
    let refusals = std::thread::scope(|scope| {
        let ask = |depth: &'static str| match depth {
            "report" => http("REPORT", &node.originals(), &[], changes.as_bytes()),
            depth => propfind("", depth, "<oc:fileid/>"),
        };
        let asking: Vec<_> =
            ["1", "infinity", "report"].into_iter().cycle().take(24).map(|depth| scope.spawn(move || ask(depth))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
    });
    for refused in refusals {
        assert!(
            refused.status == 507 && refused.text().contains("there is no room left on the disk"),
            "{} {}",
            refused.status,
            refused.text()
        );
    }

    // Without a restart.
    disk.empty();
    let all = ids("", "1");
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert!(all.len() == 4 && different.len() == 4 && all.contains(&of_b[0]), "{all:?}");
    assert_eq!(ids("", "1"), all);
    node.remove("new.jpg");
    assert_eq!(delete("d.jpg"), 204);
    let added = node.run_with_password(&user, PASSWORD);
    assert!(added.status.success(), "{}", show(&added));
    assert_eq!((put(&node, "c.jpg", 3), delete("b.jpg")), (201, 204));
    node.stop();
    assert_eq!(node.files().into_keys().collect::<Vec<_>>(), ["c.jpg"]);
    assert_eq!(node.run(&["index"])["failed"].as_array().map_or(0, Vec::len), 0);
}
