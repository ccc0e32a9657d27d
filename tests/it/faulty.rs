//! A server that lies: nothing it does loses a file, leaves a ruin behind, or is believed.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use twinlens::dav::href;
use unicode_normalization::UnicodeNormalization as _;

use crate::support::{Request, Sandbox, assert_counts, assert_files, read_request, serve_state};

/// What is wrong with the server. Faults concern files whose names begin with `bad`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Stores 0 bytes and answers 201.
    StoresNothingOfIt,
    /// Stores the first 256 KiB and answers 201.
    StoresTheBeginning,
    /// Answers 201 and stores no file.
    StoresNoFile,
    /// Stores other bytes of the same length, and says so in its checksum.
    StoresOtherBytes,
    /// Answers 500 after storing half.
    BreaksOff,
    /// Sends half of a file and closes.
    SendsHalf,
    /// Sends a whole file with other bytes than its checksum says.
    SendsOtherBytes,
    /// Sends a page of HTML instead of the picture.
    SendsHtml,
    /// Lists nothing but the folder itself.
    ListsNothing,
    /// The listing ends in the middle.
    ListsHalf,
    /// Does not let anybody list the subfolder.
    HidesFolder,
    /// Lists the subfolder without telling what it is.
    TellsNothingOfFolder,
    /// Lists the files of the subfolder with an error each.
    RefusesMembers,
    /// Lists the files of the subfolder without telling what they are.
    TellsNothingOfMembers,
    /// Answers the listing of the subfolder with a page of HTML, as 200.
    ListsHtml,
    /// The same as 207.
    ListsHtmlAs207,
    /// Answers the listing of the subfolder with no word about anything.
    ListsNotEvenItself,
    /// Says that there is no subfolder, though its parent lists it.
    DeniesFolder,
    /// Answers the listing of the subfolder as 200.
    ListsAs200,
    /// Lists one file with an unusable name beside the others.
    ListsUnusableName,
    /// Lists files as empty, with the checksums they should have.
    ListsEmptyWithChecksum,
}

pub type Meanwhile = Box<dyn FnOnce(&mut BTreeMap<String, Vec<u8>>) + Send>;

pub struct State {
    fault: Fault,
    /// The next requests that begin so (method and path) are answered so (status and headers), and nothing is done.
    pub answers: VecDeque<(&'static str, &'static str)>,
    /// The next requests that begin so are carried out, but the answers are lost.
    pub lost: VecDeque<&'static str>,
    /// What somebody else does right before the next requests that begin so.
    pub meanwhile: VecDeque<(&'static str, Meanwhile)>,
    pub files: BTreeMap<String, Vec<u8>>,
    /// Every request: the method, a space, the path.
    pub log: Vec<String>,
    puts: Vec<BTreeMap<String, String>>,
    /// Answers and lists entity tags.
    etags: bool,
    /// The fault concerns every file.
    pub everywhere: bool,
    /// It concerns temporary names of ours as well.
    pub temporary_too: bool,
    pub names: Names,
}

/// What the server does with names.
#[derive(Clone)]
pub struct Names {
    /// Stores them composed (NFC).
    pub composes: bool,
    /// Or decomposed (NFD).
    pub decomposes: bool,
    /// Does not tell upper from lower case.
    pub folds_case: bool,
    /// Ignores If-None-Match.
    pub ignores_conditions: bool,
    /// The status with which it refuses to PUT (true) or to have (false) a name.
    pub refuses: fn(&str, bool) -> Option<&'static str>,
    /// The capabilities of a Nextcloud.
    pub capabilities: Option<&'static str>,
    pub prefix: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            composes: false,
            decomposes: false,
            folds_case: false,
            ignores_conditions: false,
            refuses: |_, _| None,
            capabilities: None,
            prefix: "/dav/",
        }
    }
}

impl State {
    /// The name under which the server has, or would have, a path.
    fn resolve(&self, path: &str) -> String {
        let path: String = match (self.names.composes, self.names.decomposes) {
            (true, _) => path.nfc().collect(),
            (_, true) => path.nfd().collect(),
            _ => path.to_owned(),
        };
        if !self.names.folds_case {
            return path;
        }
        let mut found = String::new();
        for name in path.split('/') {
            let wanted = format!("{found}{name}");
            let begins = |file: &&String| file.get(..wanted.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(&wanted));
            let ends = |file: &&String| file.len() == wanted.len() || file.as_bytes()[wanted.len()] == b'/';
            found = self.files.keys().filter(begins).find(ends).map_or(wanted.clone(), |file| file[..wanted.len()].to_owned()) + "/";
        }
        found.trim_end_matches('/').to_owned()
    }
}

/// A small WebDAV server with faults as data.
pub struct FaultyServer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl FaultyServer {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            fault: Fault::None,
            answers: VecDeque::new(),
            lost: VecDeque::new(),
            meanwhile: VecDeque::new(),
            files: BTreeMap::new(),
            log: Vec::new(),
            puts: Vec::new(),
            etags: false,
            everywhere: false,
            temporary_too: false,
            names: Names::default(),
        }));
        let url = format!("http://{}/dav/", serve_state(&state, serve_one));
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn set(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// The requests since the last call that would change something.
    pub fn writes(&self) -> Vec<String> {
        let log = std::mem::take(&mut self.state().log);
        log.into_iter().filter(|line| !line.starts_with("PROPFIND") && !line.starts_with("GET")).collect()
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        self.state().files.insert(path.to_owned(), content.to_vec());
    }

    pub fn names(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some(Request { method, target, headers, body }) = read_request(stream)? else { return Ok(false) };
    let mut state = state.lock().unwrap();
    let prefix = state.names.prefix;
    let decoded = |href: &str| href::decode(href.split_once(prefix).map_or("", |(_, path)| path)).unwrap().trim_end_matches('/').to_owned();
    let path = state.resolve(&decoded(&target));
    let asked = format!("{method} {path}");
    state.log.push(asked.clone());
    let name = path.rsplit('/').next().unwrap();
    let fault = match state.everywhere || name.starts_with("bad") || (state.temporary_too && name.starts_with(".twinlens-")) {
        true => state.fault,
        false => Fault::None,
    };
    let mut out = stream;
    if state.meanwhile.front().is_some_and(|(next, _)| asked.starts_with(next))
        && let Some((_, act)) = state.meanwhile.pop_front()
    {
        act(&mut state.files);
    }
    if state.answers.front().is_some_and(|(next, _)| asked.starts_with(next))
        && let Some((_, text)) = state.answers.pop_front()
    {
        out.write_all(format!("HTTP/1.1 {text}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        return Ok(true);
    }
    let lost = state.lost.front().is_some_and(|next| asked.starts_with(next)) && state.lost.pop_front().is_some();
    let mut answer = |status: &str, extra: &str, body: &[u8], announced: usize| {
        if lost {
            return Ok(());
        }
        out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{extra}\r\n").as_bytes())?;
        out.write_all(body)
    };
    match method.as_str() {
        "GET" if target.starts_with("/ocs/v1.php/cloud/capabilities?format=json") && state.names.capabilities.is_some() => {
            let body = state.names.capabilities.unwrap();
            answer("200 OK", "Content-Type: application/json\r\n", body.as_bytes(), body.len())?;
        }
        "PUT" | "MKCOL" if path.split('/').find_map(|name| (state.names.refuses)(name, true)).is_some() => {
            answer(path.split('/').find_map(|name| (state.names.refuses)(name, true)).unwrap(), "", b"", 0)?;
        }
        "PUT" => {
            if !path.contains("twinlens-probe-") {
                state.puts.push(headers.clone());
            }
            let exists = state.files.contains_key(&path);
            if headers.get("if-none-match").is_some_and(|value| value == "*") && exists && !state.names.ignores_conditions {
                answer("412 Precondition Failed", "", b"", 0)?;
                return Ok(!lost);
            }
            let stored = match fault {
                Fault::StoresNothingOfIt => Some(Vec::new()),
                Fault::StoresTheBeginning => Some(body[..body.len().min(256 << 10)].to_vec()),
                Fault::StoresNoFile => None,
                Fault::StoresOtherBytes => Some(vec![b'?'; body.len()]),
                Fault::BreaksOff => Some(body[..body.len() / 2].to_vec()),
                _ => Some(body),
            };
            if let Some(stored) = stored {
                state.files.insert(path, stored);
            }
            let status = if fault == Fault::BreaksOff { "500 Internal Server Error" } else { "201 Created" };
            let etag = if state.etags { "ETag: \"only-one\"\r\n" } else { "" };
            answer(status, etag, b"", 0)?;
        }
        "GET" => match state.files.get(&path) {
            Some(content) => {
                let mut content = content.clone();
                let announced = if fault == Fault::SendsHtml { 27 } else { content.len() };
                match fault {
                    Fault::SendsHalf => content.truncate(content.len() / 2),
                    Fault::SendsOtherBytes => content.fill(b'?'),
                    Fault::SendsHtml => content = b"<html>Please log in!</html>".to_vec(),
                    _ => {}
                }
                answer("200 OK", "", &content, announced)?;
                return Ok(fault != Fault::SendsHalf && !lost);
            }
            None => answer("404 Not Found", "", b"", 0)?,
        },
        "DELETE" => {
            state.files.remove(&path);
            answer("204 No Content", "", b"", 0)?;
        }
        "MOVE" => {
            let target = state.resolve(&decoded(&headers["destination"]));
            if let Some(status) = (state.names.refuses)(target.rsplit('/').next().unwrap(), false) {
                answer(status, "", b"", 0)?;
                return Ok(true);
            }
            match state.files.remove(&path) {
                Some(content) => {
                    state.files.insert(target, content);
                    answer("201 Created", "", b"", 0)?;
                }
                None => answer("404 Not Found", "", b"", 0)?,
            }
        }
        "MKCOL" => answer("201 Created", "", b"", 0)?,
        "PROPFIND" => {
            let deep = headers["depth"] == "1";
            let (status, body) = listing(&state, &path, deep);
            answer(status, "Content-Type: application/xml\r\n", body.as_bytes(), body.len())?;
        }
        other => panic!("{other}"),
    }
    Ok(!lost)
}

fn listing(state: &State, path: &str, deep: bool) -> (&'static str, String) {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let is_folder = path.is_empty() || state.files.keys().any(|file| file.starts_with(&prefix));
    if !is_folder && !state.files.contains_key(path) {
        return ("404 Not Found", String::new());
    }
    if state.fault == Fault::HidesFolder && path == "sub" {
        return ("403 Forbidden", String::new());
    }
    const HTML: &str = "<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in!</body></html>";
    match state.fault {
        Fault::DeniesFolder if path == "sub" => return ("404 Not Found", String::new()),
        Fault::ListsHtml if path == "sub" => return ("200 OK", HTML.to_owned()),
        Fault::ListsHtmlAs207 if path == "sub" => return ("207 Multi-Status", HTML.to_owned()),
        Fault::ListsNotEvenItself if path == "sub" => return ("207 Multi-Status", "<d:multistatus xmlns:d='DAV:'/>".to_owned()),
        _ => {}
    }
    let mut body = "<d:multistatus xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>".to_owned();
    let prefix_of_all = state.names.prefix;
    let folder = |path: &str| {
        if state.fault == Fault::TellsNothingOfFolder && path == "sub/" {
            return "<d:response><d:href>/dav/sub/</d:href><d:propstat><d:prop><d:resourcetype/></d:prop><d:status>HTTP/1.1 403 Forbidden</d:status>\
                </d:propstat></d:response>"
                .to_owned();
        }
        format!(
            "<d:response><d:href>{prefix_of_all}{}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>\
             <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
            href::encode_text(path)
        )
    };
    let file = |path: &str, content: &[u8]| {
        use sha1::Digest as _;
        if path.starts_with("sub/") && state.fault == Fault::RefusesMembers {
            return format!("<d:response><d:href>/dav/{path}</d:href><d:status>HTTP/1.1 403 Forbidden</d:status></d:response>");
        }
        if path.starts_with("sub/") && state.fault == Fault::TellsNothingOfMembers {
            return format!(
                "<d:response><d:href>/dav/{path}</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength/></d:prop>\
                 <d:status>HTTP/1.1 500 Internal Server Error</d:status></d:propstat></d:response>"
            );
        }
        // No entity tag at all: some servers have none.
        let sha1: String = sha1::Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "<d:response><d:href>{prefix_of_all}{}</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>{}</d:getcontentlength>{}\
             <oc:checksums><oc:checksum>SHA1:{sha1}</oc:checksum></oc:checksums></d:prop><d:status>HTTP/1.1 200 OK</d:status>\
             </d:propstat></d:response>",
            href::encode_text(path),
            if state.fault == Fault::ListsEmptyWithChecksum { 0 } else { content.len() },
            if state.etags { "<d:getetag>\"only-one\"</d:getetag>" } else { "" }
        )
    };
    if !is_folder {
        body += &file(path, &state.files[path]);
        return ("207 Multi-Status", body + "</d:multistatus>");
    }
    body += &folder(&prefix);
    let mut subfolders = Vec::new();
    for (name, content) in state.files.iter().filter(|_| deep && state.fault != Fault::ListsNothing) {
        let Some(rest) = name.strip_prefix(&prefix) else { continue };
        match rest.split_once('/') {
            None => body += &file(name, content),
            Some((below, _)) if !subfolders.contains(&below) => {
                subfolders.push(below);
                body += &folder(&format!("{prefix}{below}/"));
            }
            Some(_) => {}
        }
    }
    if state.fault == Fault::ListsUnusableName && deep {
        body += "<d:response><d:href>/dav/%ff%00</d:href></d:response>";
    }
    body += "</d:multistatus>";
    if state.fault == Fault::ListsHalf && deep {
        body.truncate(body.len() / 2);
    }
    if state.fault == Fault::ListsAs200 && path == "sub" {
        return ("200 OK", body);
    }
    ("207 Multi-Status", body)
}

/// Uploads a good and a bad file, expects the bad one to fail for this reason, and the next run to mend it.
fn upload_fails_and_is_mended(fault: Fault, content: &str, reason: &str) {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    node.put("good.jpg", "good");
    node.put("bad.jpg", content);
    server.set(fault);
    // Without a tag nothing but the beginning of our own bytes is known to be ours.
    server.state().etags = fault == Fault::StoresOtherBytes;
    server.state().temporary_too = true;
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[("uploaded", 1)]);
    assert_eq!(report["failed"][0]["path"], "bad.jpg", "{report:#}");
    let told = report["failed"][0]["reason"].as_str().unwrap();
    assert!(told.contains(reason), "{reason:?} is not in {told}");
    assert_eq!(server.names(), ["good.jpg"], "remains were left");
    // While the fault lasts, each run tries again; when it is gone, one more run is green.
    assert_eq!(node.sync_expecting(1, &[])["failed"].as_array().unwrap().len(), 1);
    server.set(Fault::None);
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(server.state().files["bad.jpg"], content.as_bytes());
    assert_counts(&node.sync(), &[]);
}

#[test]
fn zero_bytes_stored() {
    upload_fails_and_is_mended(Fault::StoresNothingOfIt, "five!", "stored 0 of 5 bytes");
}

#[test]
fn what_works_with_a_service_that_loses_files_is_found_and_remembered() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    server.set(Fault::StoresNothingOfIt);
    node.put("bad-1.jpg", "first");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(server.state().files["bad-1.jpg"], b"first");
    server.writes();
    node.put("bad-2.jpg", "second");
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert_eq!(server.state().files["bad-2.jpg"], b"second");
    assert!(!server.writes().iter().any(|line| line == "PUT bad-2.jpg"), "the way that does not work was tried again");
}

#[test]
fn only_the_beginning_stored() {
    let large = "0123456789abcdef".repeat(40_000);
    upload_fails_and_is_mended(Fault::StoresTheBeginning, &large, "stored 262,144 of 640,000 bytes");
}

#[test]
fn created_but_not_there() {
    upload_fails_and_is_mended(Fault::StoresNoFile, "five!", "does not have it");
}

#[test]
fn other_bytes_stored() {
    upload_fails_and_is_mended(Fault::StoresOtherBytes, "five!", "its checksum differs");
}

#[test]
fn an_error_after_half() {
    upload_fails_and_is_mended(Fault::BreaksOff, "eight by", "answered 500");
}

#[test]
fn a_report_says_what_to_change_on_the_server() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    for (status, cure) in [("413 Payload Too Large", "client_max_body_size"), ("507 Insufficient Storage", "quota is full")] {
        node.put("bad.jpg", "bytes");
        server.state().answers = std::iter::repeat_n(("PUT ", status), 12).collect();
        let told = node.sync_expecting(1, &[])["failed"][0]["reason"].as_str().unwrap().to_owned();
        assert!(told.contains(&status[..3]) && told.contains(cure), "{told}");
        server.state().answers.clear();
    }
    server.set(Fault::StoresNothingOfIt);
    server.state().temporary_too = true;
    let told = node.sync_expecting(1, &[])["failed"][0]["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("`fastcgi_request_buffering on`") && told.contains("2 other ways"), "{told}");
}

#[test]
fn uploads_carry_what_servers_need() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    node.put("x.jpg", "abc");
    node.put("large.mov", &"x".repeat(3 << 20));
    node.sync();
    let state = server.state();
    assert_eq!(state.puts.len(), 2);
    for put in &state.puts {
        assert!(put.contains_key("content-length") && !put.contains_key("transfer-encoding"), "{put:?}");
        assert_eq!(put["if-none-match"], "*");
        assert!(put["oc-checksum"].starts_with("SHA1:") && put["x-oc-mtime"].parse::<u64>().is_ok(), "{put:?}");
        assert_eq!(put["x-expected-entity-length"], put["content-length"]);
    }
}

#[test]
fn an_update_is_proven_under_a_name_of_ours_before_it_takes_the_place() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    node.put("x.jpg", "first version");
    node.sync();
    node.put("x.jpg", "second, longer version");
    server.state().puts.clear();
    assert_counts(&node.sync(), &[("uploaded", 1)]);
    assert!(server.state().puts.iter().all(|put| put["if-none-match"] == "*"), "a good file was written over");
    assert_eq!(server.names(), ["x.jpg"]);
    assert_eq!(server.state().files["x.jpg"], b"second, longer version");
}

#[test]
fn a_failed_update_leaves_the_earlier_version_and_no_remains() {
    for fault in [Fault::StoresNothingOfIt, Fault::StoresNoFile, Fault::StoresOtherBytes, Fault::BreaksOff] {
        let sandbox = Sandbox::new();
        let (node, server) = (sandbox.node("n"), FaultyServer::start());
        node.connect("svc", &server.url, &[]);
        node.put("x.jpg", "first version");
        node.sync();
        node.put("x.jpg", "second, longer version");
        server.state().everywhere = true;
        server.set(fault);
        let report = node.sync_expecting(1, &[]);
        assert_eq!(report["failed"][0]["path"], "x.jpg", "{report:#}");
        assert_eq!(server.names(), ["x.jpg"], "{fault:?} left remains");
        assert_eq!(server.state().files["x.jpg"], b"first version");
        server.set(Fault::None);
        assert_counts(&node.sync(), &[("uploaded", 1)]);
        assert_eq!(server.state().files["x.jpg"], b"second, longer version");
    }
}

/// Downloads of bad content never appear, and never replace a good file.
fn download_fails_and_is_mended(fault: Fault, reason: &str) {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    server.put("good.jpg", b"good");
    server.put("bad.jpg", b"first version");
    node.sync();
    server.put("bad.jpg", b"second, longer version");
    server.set(fault);
    let report = node.sync_expecting(1, &[]);
    let told = report["failed"][0]["reason"].as_str().unwrap();
    assert!(told.contains(reason), "{reason:?} is not in {told}");
    assert_files(&node, &[("good.jpg", "good"), ("bad.jpg", "first version")]);
    assert!(node.left_behind().is_empty() && node.trashed().is_empty());
    server.set(Fault::None);
    assert_counts(&node.sync(), &[("downloaded", 1)]);
    assert_files(&node, &[("good.jpg", "good"), ("bad.jpg", "second, longer version")]);
    assert_eq!(node.trashed(), ["first version"]);
}

#[test]
fn half_a_download() {
    download_fails_and_is_mended(Fault::SendsHalf, "broke");
}

#[test]
fn a_download_of_other_bytes() {
    download_fails_and_is_mended(Fault::SendsOtherBytes, "checksum differs");
}

#[test]
fn html_instead_of_a_picture() {
    download_fails_and_is_mended(Fault::SendsHtml, "though it listed");
}

#[test]
fn a_listing_that_shows_too_little_is_never_a_deletion() {
    let of_the_subfolder = [
        Fault::HidesFolder,
        Fault::TellsNothingOfFolder,
        Fault::RefusesMembers,
        Fault::TellsNothingOfMembers,
        Fault::ListsHtml,
        Fault::ListsHtmlAs207,
        Fault::ListsNotEvenItself,
        Fault::DeniesFolder,
        Fault::ListsAs200,
    ];
    let faults = [(Fault::ListsNothing, 1), (Fault::ListsHalf, 3)].into_iter().chain(of_the_subfolder.map(|fault| (fault, 1)));
    for (fault, code) in faults {
        let sandbox = Sandbox::new();
        let (node, server) = (sandbox.node("n"), FaultyServer::start());
        node.connect("svc", &server.url, &["--deletes", "trash"]);
        for number in 0..10 {
            server.put(&format!("{number}.jpg"), format!("top {number}").as_bytes());
            server.put(&format!("sub/{number}.jpg"), format!("sub {number}").as_bytes());
        }
        node.sync();
        server.set(fault);
        server.writes();
        let report = node.sync_expecting(code, &[]);
        assert_counts(&report, &[]);
        assert_eq!(node.files().len(), 20, "{fault:?}: {report:#}");
        assert_eq!(server.writes(), Vec::<String>::new(), "{fault:?}");
        // It is no green run.
        let told = report["failed"].as_array().unwrap().iter().any(|failed| failed["path"].as_str().unwrap().starts_with("sub"));
        assert!(told || matches!(fault, Fault::ListsNothing | Fault::ListsHalf), "{fault:?} is not told: {report:#}");
        server.set(Fault::None);
        assert_counts(&node.sync(), &[]);
    }
}

#[test]
fn an_unusable_name_is_told_and_holds_nothing_up() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &[]);
    server.put("x.jpg", b"x");
    server.set(Fault::ListsUnusableName);
    let report = node.sync();
    assert_counts(&report, &[("downloaded", 1)]);
    assert_eq!(report["skipped"][0]["path"], "/dav/%ff%00", "{report:#}");
}

#[test]
fn an_empty_file_with_the_checksum_of_a_photo_is_not_the_photo() {
    let sandbox = Sandbox::new();
    let (node, server) = (sandbox.node("n"), FaultyServer::start());
    node.connect("svc", &server.url, &["--download", "no"]);
    server.put("ruin.jpg", b"a photo");
    server.set(Fault::ListsEmptyWithChecksum);
    node.put("photo.jpg", "a photo");
    let report = node.sync_expecting(1, &[]);
    assert_counts(&report, &[]);
    assert!(report["failed"][0]["reason"].as_str().unwrap().contains("stored 0 of 7 bytes"), "{report:#}");
    let run = node.run(&["history"])["runs"][0]["id"].to_string();
    let kept = node.run(&["history", "--run", &run])["files"][0]["cause"].clone();
    let waiting = node.run(&["status"])["services"][0]["waiting"]["first"][0]["cause"].clone();
    assert_eq!([&report["failed"][0]["cause"], &kept, &waiting], [&serde_json::Value::from("not-proven"); 3], "{report:#}");
}
