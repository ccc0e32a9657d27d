//! Listing costs what changed, and nothing that is left out of a listing reads as a deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use twinlens::store::Store;
use twinlens::store::listed::Listed;
use twinlens::types::ServiceId;

use crate::support::{Node, Request, Sandbox, assert_counts, assert_files, read_request, serve_state};

/// Two nodes that are in step, `b` serving.
fn in_step(sandbox: &Sandbox, files: &[&str]) -> (Node, Node) {
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    files.iter().for_each(|path| b.put(path, path));
    b.serve();
    a.pair(&b, &["--deletes", "trash"]);
    a.sync();
    a.sync();
    (a, b)
}

#[test]
fn nothing_changed_is_one_request_between_nodes() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &["x/1.jpg", "x/y/2.jpg", "z/3.jpg"]);
    let report = a.sync();
    assert_counts(&report, &[]);
    assert_eq!(report["requests"], 1, "{report:#}");
    // Changes in proportion: the report and the download.
    b.put("z/4.jpg", "four");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("downloaded", 1)]);
    assert_eq!(report["requests"], 2, "{report:#}");
    assert_eq!(a.files(), b.files());
}

#[test]
fn everything_that_happens_to_a_peer_is_told_by_its_changes() {
    let sandbox = Sandbox::new();
    let (a, b) = in_step(&sandbox, &["x/1.jpg", "x/y/2.jpg", "z/3.jpg", "z/4.jpg", "w/5.jpg", "w/6.jpg", "w/7.jpg", "w/8.jpg"]);
    b.remove("z/3.jpg");
    b.rename("x", "moved/x");
    b.put("z/4.jpg", "another one");
    b.put("new/9.jpg", "nine");
    b.run(&["index"]);
    let report = a.sync();
    assert_counts(&report, &[("downloaded", 2), ("moved", 2), ("deleted", 1)]);
    assert_eq!(a.files(), b.files());
    // A folder in the place of a file.
    b.remove("w/8.jpg");
    b.put("w/8.jpg/10.jpg", "ten");
    b.run(&["index"]);
    // What has to be out of the way goes last, when all else has arrived; so this takes two runs.
    a.sync_expecting(1, &[]);
    assert_counts(&a.sync(), &[("downloaded", 1)]);
    a.sync();
    assert_eq!(a.files(), b.files());
    assert_eq!(a.sync()["requests"], 1);
}

#[test]
fn a_token_that_is_refused_leads_to_a_full_look() {
    let sandbox = Sandbox::new();
    let (a, mut b) = in_step(&sandbox, &["x/1.jpg", "2.jpg", "3.jpg"]);
    b.stop();
    std::fs::remove_file(b.data.join("state.redb")).unwrap();
    b.put("4.jpg", "four");
    b.remove("3.jpg");
    b.serve();
    a.run(&["service", "remove", "peer"]);
    a.pair(&b, &[]);
    assert_counts(&a.sync(), &[("downloaded", 1), ("uploaded", 1), ("adopted", 2)]);
    assert_eq!(a.files(), b.files());
}

/// Makes the last full look so many days older.
fn age_full_look(node: &Node, days: i64) {
    let store = Store::open(&node.data.join("state.redb")).unwrap();
    let listed = Listed::read(&store.read().unwrap(), ServiceId(1)).unwrap();
    let at = listed.full_at.expect("there was no full look");
    store.write(move |tx| Listed { full_at: Some(at - days * 86_400), ..listed }.write(tx, ServiceId(1))).unwrap();
}

#[test]
fn a_full_look_comes_after_a_week() {
    let sandbox = Sandbox::new();
    let (a, _b) = in_step(&sandbox, &["x/1.jpg", "2.jpg"]);
    age_full_look(&a, 6);
    assert_eq!(a.sync()["requests"], 1);
    age_full_look(&a, 8);
    assert_eq!(a.sync()["requests"], 2, "one for the folder itself, one for everything in it");
    assert_eq!(a.sync()["requests"], 1);
}

#[test]
fn a_node_that_does_not_list_everything_at_once_is_walked() {
    let sandbox = Sandbox::new();
    let (a, mut b) = (sandbox.node("a"), sandbox.node("b"));
    ["x/1.jpg", "x/y/2.jpg", "3.jpg"].iter().for_each(|path| b.put(path, path));
    b.serve_with(&["--finite-depth"]);
    a.pair(&b, &[]);
    assert_counts(&a.sync(), &[("downloaded", 3)]);
    a.sync();
    assert_eq!(a.sync()["requests"], 1);
}

/// What a Nextcloud does wrong, or does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quirk {
    None,
    /// Refuses Depth: infinity.
    Finite,
    /// Answers Depth: infinity as if it were 1.
    Shallow,
    /// The answer to Depth: infinity breaks off.
    BreaksOff,
    /// One folder cannot be listed.
    Hides(&'static str),
}

struct File {
    content: Vec<u8>,
    etag: String,
    modified: u64,
}

/// A small server with the habits of a Nextcloud: entity tags of folders change with everything below, those of files only with their times.
struct Cloud {
    url: String,
    state: Arc<Mutex<CloudState>>,
}

struct CloudState {
    /// Of all its addresses.
    root: &'static str,
    files: BTreeMap<String, File>,
    folder_etags: BTreeMap<String, u64>,
    changes: u64,
    quirk: Quirk,
    requests: Vec<String>,
}

impl CloudState {
    fn touch(&mut self, path: &str) {
        self.changes += 1;
        let mut at = path;
        loop {
            at = at.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.folder_etags.insert(at.to_owned(), self.changes);
            if at.is_empty() {
                return;
            }
        }
    }

    /// The entity tag is of the time and the size only.
    fn put(&mut self, path: &str, content: &str, modified: u64) {
        let etag = format!("{modified}-{}", content.len());
        self.files.insert(path.to_owned(), File { content: content.into(), etag, modified });
        self.touch(path);
    }
}

impl Cloud {
    fn start(files: &[&str]) -> Self {
        Self::start_at("/dav/", files)
    }

    fn start_at(root: &'static str, files: &[&str]) -> Self {
        let (files_there, folder_etags, requests) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut state = CloudState { root, files: files_there, folder_etags, changes: 0, quirk: Quirk::None, requests };
        files.iter().for_each(|path| state.put(path, path, 1_700_000_000));
        let state = Arc::new(Mutex::new(state));
        let url = format!("http://{}{root}", serve_state(&state, serve_one));
        Self { url, state }
    }

    fn state(&self) -> MutexGuard<'_, CloudState> {
        self.state.lock().unwrap()
    }

    /// Syncs and returns what was asked of the server.
    #[track_caller]
    fn asked(&self, node: &Node, counts: &[(&str, u64)]) -> Vec<String> {
        self.state().requests.clear();
        assert_counts(&node.sync(), counts);
        let mut asked = std::mem::take(&mut self.state().requests);
        // Before its first change a node makes sure that the service is not its own library.
        asked.retain(|request| !request.contains("twinlens"));
        asked
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<CloudState>) -> std::io::Result<bool> {
    let Some(Request { method, target, headers, body }) = read_request(stream)? else { return Ok(false) };
    let mut state = state.lock().unwrap();
    let path = target.strip_prefix(state.root).unwrap_or_default().trim_end_matches('/').to_owned();
    let depth = headers.get("depth").cloned().unwrap_or_default();
    let range = headers.get("range").cloned();
    let detail = range.clone().unwrap_or_else(|| depth.clone());
    state.requests.push(format!("{method} {path} {detail}").trim_end().to_owned());
    let (status, extra, body) = match method.as_str() {
        "PROPFIND" => state.propfind(&path, &depth),
        "GET" => match state.files.get(&path) {
            Some(file) => {
                let etag = format!("ETag: \"{}\"\r\n", file.etag);
                match range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) {
                    Some((first, last)) => {
                        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap_or(usize::MAX));
                        let last = last.min(file.content.len() - 1);
                        let told = format!("{etag}Content-Range: bytes {first}-{last}/{}\r\n", file.content.len());
                        ("206 Partial Content", told, file.content[first..=last].to_vec())
                    }
                    None => ("200 OK", etag, file.content.clone()),
                }
            }
            None => ("404 Not Found", String::new(), Vec::new()),
        },
        "PATCH" => {
            use sha1::Digest as _;
            let sha1: String = sha1::Sha1::digest(&state.files[&path].content).iter().map(|byte| format!("{byte:02x}")).collect();
            ("204 No Content", format!("OC-Checksum: SHA1:{sha1}\r\n"), Vec::new())
        }
        "PUT" => {
            let modified = headers.get("x-oc-mtime").map_or(1, |time| time.parse().unwrap());
            state.put(&path, str::from_utf8(&body).unwrap(), modified);
            ("201 Created", format!("ETag: \"{}\"\r\n", state.files[&path].etag), Vec::new())
        }
        "DELETE" => {
            state.files.remove(&path);
            state.touch(&path);
            ("204 No Content", String::new(), Vec::new())
        }
        "MKCOL" => {
            state.touch(&format!("{path}/x"));
            ("201 Created", String::new(), Vec::new())
        }
        other => panic!("{other}"),
    };
    let mut out = stream;
    let announced = body.len();
    out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{extra}\r\n").as_bytes())?;
    let broken = state.quirk == Quirk::BreaksOff && depth == "infinity";
    out.write_all(&body[..if broken { body.len() / 2 } else { body.len() }])?;
    Ok(!broken)
}

impl CloudState {
    fn propfind(&self, path: &str, depth: &str) -> (&'static str, String, Vec<u8>) {
        let mut depth = depth;
        match self.quirk {
            Quirk::Finite if depth == "infinity" => return ("403 Forbidden", String::new(), Vec::new()),
            Quirk::Shallow if depth == "infinity" => depth = "1",
            Quirk::Hides(folder) if folder == path => return ("403 Forbidden", String::new(), Vec::new()),
            _ => {}
        }
        let mut body = "<d:multistatus xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>".to_owned();
        let root = self.root;
        let mut one = |path: &str, props: &str| {
            body.push_str(&format!(
                "<d:response><d:href>{root}{path}</d:href><d:propstat><d:prop>{props}</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
                 </d:response>"
            ));
        };
        let file = |file: &File| {
            let date = jiff::Timestamp::from_second(i64::try_from(file.modified).unwrap()).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT");
            format!(
                "<d:resourcetype/><d:getcontentlength>{}</d:getcontentlength><d:getetag>\"{}\"</d:getetag><d:getlastmodified>{date}\
                 </d:getlastmodified><oc:id>1</oc:id>",
                file.content.len(),
                file.etag
            )
        };
        let folder = |path: &str| {
            let etag = self.folder_etags.get(path).copied().unwrap_or_default();
            format!("<d:resourcetype><d:collection/></d:resourcetype><d:getetag>\"{etag}\"</d:getetag><oc:id>2</oc:id>")
        };
        if let Some(found) = self.files.get(path) {
            one(path, &file(found));
        } else if !path.is_empty() && !self.folder_etags.contains_key(path) {
            return ("404 Not Found", String::new(), Vec::new());
        } else {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
            one(&prefix, &folder(path));
            let near = |rest: &str| depth == "infinity" || (depth == "1" && !rest.contains('/'));
            let mut told = BTreeSet::new();
            for (name, found) in &self.files {
                let Some(rest) = name.strip_prefix(&prefix) else { continue };
                for (end, _) in rest.match_indices('/').filter(|(end, _)| near(&rest[..*end])) {
                    let at = format!("{prefix}{}", &rest[..end]);
                    if told.insert(at.clone()) {
                        one(&format!("{at}/"), &folder(&at));
                    }
                }
                if near(rest) {
                    one(name, &file(found));
                }
            }
        }
        ("207 Multi-Status", "Content-Type: application/xml\r\n".into(), (body + "</d:multistatus>").into_bytes())
    }
}

const FILES: [&str; 5] = ["a/1.jpg", "a/b/2.jpg", "a/b/3.jpg", "c/4.jpg", "5.jpg"];

fn of_itself(files: &[&'static str]) -> Vec<(&'static str, &'static str)> {
    files.iter().map(|path| (*path, *path)).collect()
}

#[test]
fn a_nextcloud_is_listed_at_once_and_then_where_it_changed() {
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&FILES));
    node.connect("cloud", &cloud.url, &[]);
    let first = cloud.asked(&node, &[("downloaded", 5)]);
    let listings: Vec<_> = first.iter().filter(|request| request.starts_with("PROPFIND")).collect();
    assert_eq!(listings, ["PROPFIND  0", "PROPFIND  infinity"]);
    assert_files(&node, &of_itself(&FILES));
    assert_eq!(cloud.asked(&node, &[]), ["PROPFIND  0", "PROPFIND  1"], "nothing changed");
    cloud.state().put("a/b/2.jpg", "a newer one", 1_700_000_100);
    let asked = cloud.asked(&node, &[("downloaded", 1)]);
    assert_eq!(asked, ["PROPFIND  0", "PROPFIND  1", "PROPFIND a 1", "PROPFIND a/b 1", "GET a/b/2.jpg"]);
    // What we write ourselves is no riddle: the folders are listed again, and no file is looked at more closely.
    node.put("a/b/6.jpg", "six");
    cloud.asked(&node, &[("uploaded", 1)]);
    let asked = cloud.asked(&node, &[]);
    assert_eq!(asked, ["PROPFIND  0", "PROPFIND  1", "PROPFIND a 1", "PROPFIND a/b 1"]);
    assert_eq!(cloud.asked(&node, &[]), ["PROPFIND  0", "PROPFIND  1"]);
}

#[test]
fn a_folder_that_changed_while_its_files_look_the_same_is_looked_at_more_closely() {
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&FILES));
    node.connect("cloud", &cloud.url, &[]);
    node.sync();
    cloud.asked(&node, &[]);
    // As long as before, at the same time: the entity tag stays.
    cloud.state().put("a/b/2.jpg", "A/B/2.JPG", 1_700_000_000);
    let asked = cloud.asked(&node, &[("downloaded", 1)]);
    assert!(asked.contains(&"PATCH a/b/2.jpg".to_owned()) && asked.contains(&"PATCH a/b/3.jpg".to_owned()), "{asked:?}");
    assert!(!asked.contains(&"PATCH a/1.jpg".to_owned()), "{asked:?}");
    assert_eq!(node.files()["a/b/2.jpg"], "A/B/2.JPG");
    assert_eq!(cloud.asked(&node, &[]), ["PROPFIND  0", "PROPFIND  1"]);
}

#[test]
fn a_nextcloud_that_does_not_list_everything_at_once_is_walked() {
    for quirk in [Quirk::Finite, Quirk::Shallow, Quirk::BreaksOff] {
        let sandbox = Sandbox::new();
        let (node, cloud) = (sandbox.node("n"), Cloud::start(&FILES));
        cloud.state().quirk = quirk;
        node.connect("cloud", &cloud.url, &[]);
        cloud.asked(&node, &[("downloaded", 5)]);
        assert_files(&node, &of_itself(&FILES));
        assert_eq!(cloud.asked(&node, &[]), ["PROPFIND  0", "PROPFIND  1"], "{quirk:?}");
    }
}

#[test]
fn a_folder_that_could_not_be_listed_is_not_deleted_and_is_looked_at_again() {
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&FILES));
    node.connect("cloud", &cloud.url, &["--deletes", "trash"]);
    node.sync();
    cloud.state().put("a/b/7.jpg", "seven", 1);
    cloud.state().quirk = Quirk::Hides("a/b");
    let report = node.sync_expecting(1, &[]);
    assert_eq!(report["failed"][0]["path"], "a/b", "{report:#}");
    assert_files(&node, &of_itself(&FILES));
    // Its entity tag has not changed since; that of its parent is not believed either.
    cloud.state().quirk = Quirk::None;
    let asked = cloud.asked(&node, &[("downloaded", 1)]);
    assert!(asked.contains(&"PROPFIND a/b 1".to_owned()), "{asked:?}");
}

#[test]
fn a_folder_that_is_gone_from_a_nextcloud_is_noticed() {
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&["a/b/1.jpg", "a/2.jpg", "c/3.jpg", "c/4.jpg", "c/5.jpg", "c/6.jpg"]));
    node.connect("cloud", &cloud.url, &["--deletes", "trash"]);
    node.sync();
    cloud.asked(&node, &[]);
    {
        let mut state = cloud.state();
        state.files.remove("a/b/1.jpg");
        state.folder_etags.remove("a/b");
        state.touch("a/x");
    }
    cloud.asked(&node, &[("deleted", 1)]);
    assert!(!node.files().contains_key("a/b/1.jpg"));
}

/// Contents of the same size that differ only at one place, larger than what is compared whole.
fn long(name: &str, middle: &str) -> String {
    let half = "0123456789".repeat(40_000);
    format!("{name}{half}{middle}{half}")
}

#[test]
fn what_both_have_is_found_out_by_samples_before_anything_is_downloaded() {
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&[]));
    let (same, other) = (long("a", "x"), long("b", "x"));
    cloud.state().put("same.jpg", &same, 1);
    cloud.state().put("there/renamed.jpg", &other, 1);
    cloud.state().put("small.jpg", "small", 1);
    cloud.state().put("new.jpg", &long("c", "x"), 1);
    node.put("same.jpg", &same);
    node.put("here/kept.jpg", &other);
    node.put("elsewhere/small.jpg", "small");
    node.connect("cloud", &cloud.url, &[]);
    let asked = cloud.asked(&node, &[("adopted", 3), ("downloaded", 1)]);
    assert!(!asked.contains(&"GET same.jpg".to_owned()) && !asked.contains(&"GET there/renamed.jpg".to_owned()), "{asked:?}");
    assert!(asked.iter().any(|request| request.starts_with("GET same.jpg bytes=0-")), "{asked:?}");
    assert!(asked.contains(&"GET new.jpg".to_owned()), "{asked:?}");
    assert_eq!(cloud.asked(&node, &[]).iter().filter(|request| request.starts_with("GET")).count(), 0);
}

#[test]
fn what_a_nextcloud_has_already_is_proven_by_its_own_hash() {
    for (trust, asks) in [("samples", true), ("checksum", true), ("full", false)] {
        let sandbox = Sandbox::new();
        let (node, cloud) = (sandbox.node("n"), Cloud::start_at("/remote.php/dav/files/admin/", &[]));
        cloud.state().put("same.jpg", &long("a", "x"), 1);
        cloud.state().put("other.jpg", &long("b", "x"), 1);
        node.put("same.jpg", &long("a", "x"));
        node.put("other.jpg", &long("b", "y"));
        node.connect("cloud", &cloud.url, &["--trust", trust, "--upload", "no"]);
        let asked = cloud.asked(&node, &[("adopted", 1), ("downloaded", 1)]);
        assert_eq!(asked.contains(&"PATCH same.jpg".to_owned()), asks, "{trust}: {asked:?}");
        assert_eq!(asked.iter().any(|request| request.starts_with("GET same.jpg")), !asks, "{trust}: {asked:?}");
        // A byte in the middle is another file, whatever samples say.
        assert_eq!(node.files().len(), 3, "{trust}: both versions are kept");
    }
}

#[test]
fn how_far_to_trust_is_a_setting() {
    for (trust, adopted, whole) in [("samples", 1, false), ("checksum", 1, true), ("full", 1, true)] {
        let sandbox = Sandbox::new();
        let (node, cloud) = (sandbox.node("n"), Cloud::start(&[]));
        let same = long("a", "x");
        cloud.state().put("same.jpg", &same, 1);
        node.put("same.jpg", &same);
        node.put("mine.jpg", "mine");
        node.connect("cloud", &cloud.url, &["--trust", trust]);
        let asked = cloud.asked(&node, &[("adopted", adopted), ("uploaded", 1)]);
        assert_eq!(asked.contains(&"GET same.jpg".to_owned()), whole, "{trust}: {asked:?}");
        // How an upload is proven is another question.
        assert!(!asked.contains(&"GET mine.jpg".to_owned()), "{trust}: {asked:?}");
    }
    // One byte in the middle is another file to whoever reads all of it.
    let sandbox = Sandbox::new();
    let (node, cloud) = (sandbox.node("n"), Cloud::start(&[]));
    cloud.state().put("x.jpg", &long("a", "x"), 1);
    node.put("x.jpg", &long("a", "y"));
    node.connect("cloud", &cloud.url, &["--trust", "checksum", "--upload", "no"]);
    cloud.state().requests.clear();
    assert_eq!(node.sync()["conflicts"].as_array().unwrap().len(), 1);
}
