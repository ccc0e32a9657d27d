//! One story of a two-way sync, for every server. What differs between servers is data.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use serde_json::json;
use twinlens::dav::href;
use unicode_normalization::UnicodeNormalization as _;

use crate::peers::Server;
use crate::resume::{Line, Trouble, film, sync_killed_when};
use crate::support::{Node, Sandbox, assert_counts, eventually, http, tree};

/// What a server does differently. Each of them is shown by the story.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Its name in the table of the README.
    pub row: &'static str,
    /// What the doctor takes it for.
    pub kind: &'static str,
    /// What the proof of an upload rests on.
    pub proof: &'static str,
    /// A body that comes without its length arrives.
    pub streams: bool,
    /// It lists entity tags.
    pub etags: bool,
    /// It keeps the time of a file that we send along.
    pub times: bool,
    /// It sends parts of files.
    pub ranges: bool,
    /// It honours `If-None-Match: *` on PUT.
    pub conditions: bool,
    /// Names of its own among the files.
    pub own_files: &'static [&'static str],
}

impl Habits {
    /// What most do.
    pub fn plain(row: &'static str, kind: &'static str) -> Self {
        Self { row, kind, proof: "size", streams: true, etags: true, times: false, ranges: true, conditions: true, own_files: &[] }
    }
}

const README: &str = include_str!("../../../README.md");

/// The size of a film: over a MiB it is sent in pieces.
const FILM: u64 = 3 << 20;

/// Somebody else at the same server, and what is really on its disk.
struct There<'a> {
    server: &'a Server,
    habits: Habits,
}

impl There<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}{}", self.server.url, href::encode_text(&format!("Photos & more/{path}")))
    }

    #[track_caller]
    fn does(&self, method: &str, path: &str, headers: &[(&str, &str)], content: &str) {
        let answer = http(method, &self.url(path), headers, content.as_bytes());
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
    }

    /// The files of the synced folder.
    fn files(&self) -> BTreeMap<String, String> {
        let mut files = tree(&self.server.files.join("Photos & more"));
        files.retain(|path, _| !self.habits.own_files.iter().any(|name| path.contains(name)));
        same_spelling(files)
    }
}

/// Some servers keep a name in another Unicode form.
fn same_spelling(files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    files.into_iter().map(|(path, content)| (path.nfc().collect(), content)).collect()
}

/// Tells the story. Afterwards the server has nothing but the files of the library.
pub fn tell(sandbox: &Sandbox, server: &Server, habits: Habits) {
    let here = sandbox.node("here");
    let there = There { server, habits };
    let rest = server.url.strip_prefix("http://").unwrap();
    let (host, root) = rest.split_at(rest.find('/').unwrap());
    let line = Line::to_address(host);
    here.connect("svc", &format!("{}{root}", line.address), &["--folder", "/Photos & more", "--deletes", "trash"]);

    goes_up(&here, &there);
    is_known_to_the_doctor(&here, &there);
    comes_down(&here, &there);
    follows_updates(&here, &there);
    follows_moves_and_deletions(&here, &there);
    keeps_both_of_a_conflict(&here, &there);
    goes_on_after_a_break(&here, &there, &line);
    keeps_the_earlier_version_when_an_update_is_cut(&here, &there, &line);
    leaves_no_ruin_when_an_upload_is_cut(&here, &there, &line);
    keeps_the_earlier_version_when_it_is_killed_in_an_update(&here, &there, &line);
    bears_with_a_server_that_waits_for_the_rest(&here, &there, &line);

    let mut all = tree(&server.files);
    all.retain(|path, _| !habits.own_files.iter().any(|name| path.contains(name)));
    let names: Vec<_> = all.keys().filter(|path| !path.starts_with("Photos & more/")).collect();
    assert!(names.is_empty(), "something was left beside the folder: {names:?}");
}

#[track_caller]
fn at_rest(here: &Node, there: &There) {
    assert_counts(&here.sync(), &[]);
    let (ours, theirs) = (same_spelling(here.files()), there.files());
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours == theirs, "some contents differ");
    assert!(here.left_behind().is_empty());
}

fn goes_up(here: &Node, there: &There) {
    for name in ["2020/up ä+#%.jpg", "2020/50%25 & [1] 'q' ~.jpg", "2020/e\u{301}.jpg", "plain.jpg", "2021/deep/er/x.jpg"] {
        here.put(name, &format!("content of {name}"));
    }
    here.put("2020/empty.xmp", "");
    here.put("2020/film.mov", &film(1, FILM));
    let taken = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_500_000_000);
    fs::File::options().write(true).open(here.library.join("plain.jpg")).unwrap().set_modified(taken).unwrap();
    let report = here.sync();
    assert_counts(&report, &[("uploaded", 7)]);
    assert_eq!(report["verified"], 7, "{report:#}");
    assert_eq!(report["evidence"], json!({ there.habits.proof: 7 }));
    at_rest(here, there);

    // The habits are as they were said to be.
    let kept = fs::metadata(there.server.files.join("Photos & more/plain.jpg")).unwrap().modified().unwrap();
    assert_eq!(kept == taken, there.habits.times, "it keeps times");
    let listed = http("PROPFIND", &there.url("plain.jpg"), &[("Depth", "0")], b"");
    assert_eq!(listed.text().contains("getetag"), there.habits.etags, "it lists entity tags: {}", listed.text());
    let part = http("GET", &there.url("plain.jpg"), &[("Range", "bytes=2-4")], b"");
    assert_eq!(part.status == 206, there.habits.ranges, "it sends parts");
    let refused = http("PUT", &there.url("plain.jpg"), &[("If-None-Match", "*")], b"content of plain.jpg");
    assert_eq!(refused.status == 412, there.habits.conditions, "it honours conditions: {refused:?}");
    here.sync();
}

/// The doctor finds what the uploads showed, and the README says the same. Afterwards uploads go as they did.
fn is_known_to_the_doctor(here: &Node, there: &There) {
    let Habits { row, kind, proof, streams, conditions, .. } = there.habits;
    let answer = here.run(&["service", "test", "svc"]);
    assert_eq!(
        json!([answer["ok"], answer["kind"], answer["found"]["way"], answer["found"]["evidence"]]),
        json!([true, kind, "put", proof])
    );
    let streaming = answer["checks"].as_array().unwrap().iter().find(|check| check["id"] == "streaming").unwrap();
    assert_eq!(streaming["status"], if streams { "ok" } else { "warning" }, "{streaming:#}");
    assert_eq!(here.run(&["service", "show", "svc"])["reached"]["lowest"], proof);
    at_rest(here, there);

    let told = README.lines().find(|line| line.starts_with('|') && line.contains(row)).unwrap_or_else(|| panic!("the README has no {row}"));
    let columns: Vec<&str> = told.split('|').map(str::trim).collect();
    assert_eq!((columns[2].starts_with("a look"), columns[3]), (!conditions, proof), "{told}");
    assert!(streams || columns[4].contains("0 bytes where the length is missing"), "{told}");
}

fn comes_down(here: &Node, there: &There) {
    there.does("MKCOL", "new/", &[], "");
    for name in ["new/down ä+#%.jpg", "new/50%25 & [1] 'q' ~.jpg", "down.jpg"] {
        there.does("PUT", name, &[], &format!("from there: {name}"));
    }
    there.does("PUT", "new/film.mov", &[], &film(2, FILM));
    there.does("PUT", "new/empty.xmp", &[], "");
    let report = here.sync();
    // An empty file is here already; a node says so.
    let fetched = [&report["downloaded"], &report["copied"]].map(|count| count.as_u64().unwrap());
    assert_eq!(fetched.iter().sum::<u64>(), 5, "{report:#}");
    at_rest(here, there);
}

fn follows_updates(here: &Node, there: &There) {
    here.put("plain.jpg", "edited here, and longer");
    here.put("2020/film.mov", &film(3, FILM + 1));
    there.does("PUT", "down.jpg", &[], "edited there, and longer than before");
    there.does("PUT", "new/film.mov", &[], &film(4, FILM + 2));
    assert_counts(&here.sync(), &[("uploaded", 2), ("downloaded", 2)]);
    at_rest(here, there);
    assert_eq!(here.trashed().len(), 2);
}

fn follows_moves_and_deletions(here: &Node, there: &There) {
    here.rename("2020/film.mov", "2022/renamed ä.mov");
    here.rename("2021/deep/er/x.jpg", "2021/y.jpg");
    here.remove("2020/e\u{301}.jpg");
    there.does("DELETE", "new/empty.xmp", &[], "");
    let report = here.sync();
    assert_counts(&report, &[("moved", 2), ("deleted", 2)]);
    at_rest(here, there);

    // Without an entity tag nothing tells that it is the same file: it is joined under two names, and not fetched.
    if !there.habits.etags {
        return;
    }
    let to = there.url("new/moved there #.mov");
    there.does("MOVE", "new/film.mov", &[("Destination", &to), ("Overwrite", "F")], "");
    here.sync();
    at_rest(here, there);
    assert!(here.files().contains_key("new/moved there #.mov") && !here.files().contains_key("new/film.mov"));
}

fn keeps_both_of_a_conflict(here: &Node, there: &There) {
    here.put("plain.jpg", "here it became this");
    there.does("PUT", "plain.jpg", &[], "and there it became that, which is longer");
    let report = here.sync();
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1, "{report:#}");
    at_rest(here, there);
    let files = here.files();
    assert_eq!(files["plain.jpg"], "here it became this");
    assert!(files.values().any(|content| content == "and there it became that, which is longer"), "{:?}", files.keys());
}

fn goes_on_after_a_break(here: &Node, there: &There, line: &Line) {
    here.put("2023/broken up.mov", &film(5, FILM));
    line.begin(Trouble::Break(FILM / 2), Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    at_rest(here, there);

    here.put("2023/broken up.mov", &film(6, FILM + 3));
    line.begin(Trouble::Break(FILM / 2), Trouble::None);
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    at_rest(here, there);

    there.does("PUT", "2023/broken down.mov", &[], &film(7, FILM));
    line.begin(Trouble::None, Trouble::Break(FILM / 2));
    assert_counts(&here.sync(), &[("downloaded", 1)]);
    at_rest(here, there);
}

/// A line that is cut in the middle of every attempt.
fn keeps_the_earlier_version_when_an_update_is_cut(here: &Node, there: &There, line: &Line) {
    let before = there.files();
    here.put("2023/broken up.mov", &film(8, FILM + 4));
    line.begin(Trouble::Cut(FILM / 2), Trouble::None);
    let report = here.sync_expecting(1, &[]);
    assert_counts(&report, &[]);
    assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report:#}");
    line.begin(Trouble::None, Trouble::None);
    assert!(there.files()["2023/broken up.mov"] == before["2023/broken up.mov"], "the earlier version was lost");
    assert_counts(&here.sync(), &[("uploaded", 1)]);
    at_rest(here, there);
}

/// The same with a name that is new.
fn leaves_no_ruin_when_an_upload_is_cut(here: &Node, there: &There, line: &Line) {
    here.put("2023/never came.mov", &film(9, FILM));
    line.begin(Trouble::Cut(FILM / 2), Trouble::None);
    here.sync_expecting(1, &[]);
    line.begin(Trouble::None, Trouble::None);
    let report = here.sync();
    assert_counts(&report, &[("uploaded", 1)]);
    assert!(report["conflicts"].as_array().unwrap().is_empty(), "{report:#}");
    at_rest(here, there);
}

/// kill -9 while the bytes travel.
fn keeps_the_earlier_version_when_it_is_killed_in_an_update(here: &Node, there: &There, line: &Line) {
    let before = there.files();
    here.put("2023/broken up.mov", &film(10, FILM + 5));
    line.begin(Trouble::Freeze(FILM / 2), Trouble::None);
    sync_killed_when(here, "half of it was sent", || line.up() > FILM / 2);
    line.hang_up();
    line.begin(Trouble::None, Trouble::None);
    assert!(there.files()["2023/broken up.mov"] == before["2023/broken up.mov"], "the earlier version was lost");
    comes_to_rest(here, there);
}

/// A line that dies without a word: the server has half of an upload and waits for the rest. Meanwhile it may have nothing to say of the file,
/// or not even of its folder. Nothing is lost, and when it has given up, everything is well.
fn bears_with_a_server_that_waits_for_the_rest(here: &Node, there: &There, line: &Line) {
    let (ours, theirs, trashed) = (here.files(), there.files(), here.trashed().len());
    here.put("2023/a hung one.mov", &film(11, FILM));
    line.begin(Trouble::Freeze(FILM / 2), Trouble::None);
    sync_killed_when(here, "half of it was sent", || line.up() > FILM / 2);
    line.begin(Trouble::None, Trouble::None);
    let output = here.command(&["sync", "--json"]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("while it waits: {report}");
    match output.status.code() {
        Some(0) => assert!(report.contains("\"uploaded\":1"), "{report}"),
        Some(1) => assert!(report.contains("2023"), "what went wrong is named: {report}"),
        code => panic!("{code:?}: {report}"),
    }
    assert_eq!(here.trashed().len(), trashed, "{report}");
    let (ours_now, theirs_now) = (here.files(), there.files());
    assert!(ours.iter().all(|(path, content)| ours_now.get(path) == Some(content)), "something is lost here: {report}");
    assert!(theirs.iter().all(|(path, content)| theirs_now.get(path) == Some(content)), "something is lost there: {report}");
    line.hang_up();
    comes_to_rest(here, there);
}

/// A server needs a moment until it has noticed that somebody is gone.
fn comes_to_rest(here: &Node, there: &There) {
    eventually("a run is green", || here.command(&["sync", "--json"]).output().unwrap().status.success());
    at_rest(here, there);
}
