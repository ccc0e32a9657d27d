//! A plain WebDAV server in memory: no properties beyond RFC 4918, folders as real as files. It writes down what it is asked, can be told to
//! lack things that real servers lack, and can fall silent before or after any change.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use twinlens::dav::href;

use crate::support::{Request, read_request, serve_state};

/// What is there, and how the server is.
#[derive(Default, Clone)]
pub struct State {
    /// Path, content and a number that is another one for each version.
    pub files: BTreeMap<String, (String, u64)>,
    pub folders: BTreeSet<String>,
    pub versions: u64,
    /// `METHOD path`, or `METHOD path -> destination`, without what only looks.
    pub changes: Vec<String>,
    /// Tells SHA-1 checksums in listings.
    pub tells_checksums: bool,
    /// Tells no entity tags but dates, a new one for each version.
    pub tells_dates: bool,
    /// Takes names that differ only in case for one.
    pub ignores_case: bool,
    /// Answers COPY with this.
    pub refuses_copy: Option<&'static str>,
    /// Answers requests that begin so (method and path) with this, and does nothing.
    pub refuses: Option<(&'static str, &'static str)>,
    /// Takes no notice of If-None-Match and If-Match.
    pub ignores_conditions: bool,
    /// Compares If-Match of a MOVE with what is at the destination.
    pub compares_with_destination: bool,
    /// Answers what comes into a folder that is not there with 500.
    pub fails_without_folder: bool,
    /// When this change was made, somebody else puts this content at this path.
    pub intruder: Option<(&'static str, &'static str, &'static str)>,
    /// Goes silent at this change: before it is made, or after.
    pub breaks_at: Option<(usize, bool)>,
}

impl State {
    fn key(&self, path: &str) -> String {
        let same = |other: &&String| if self.ignores_case { other.eq_ignore_ascii_case(path) } else { *other == path };
        self.files.keys().chain(&self.folders).find(same).cloned().unwrap_or_else(|| path.to_owned())
    }

    pub fn has(&self, path: &str) -> bool {
        let key = self.key(path);
        key.is_empty() || self.files.contains_key(&key) || self.folders.contains(&key)
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        self.files.keys().chain(&self.folders).filter(|path| folder.is_empty() || path.starts_with(&prefix)).cloned().collect()
    }

    pub fn put(&mut self, path: &str, content: &str) {
        let parts: Vec<&str> = path.split('/').collect();
        self.folders.extend((1..parts.len()).map(|n| parts[..n].join("/")));
        self.versions += 1;
        self.files.insert(self.key(path), (content.to_owned(), self.versions));
    }

    /// A file and its header for the entity tag.
    pub fn get(&self, path: &str) -> Option<(Vec<u8>, String)> {
        let (content, version) = self.files.get(&self.key(path))?;
        let etag = if self.tells_dates { String::new() } else { format!("ETag: \"v{version}\"\r\n") };
        Some((content.clone().into_bytes(), etag))
    }

    pub fn remove(&mut self, path: &str) {
        self.below(path).iter().chain([&path.to_owned()]).for_each(|path| {
            self.files.remove(path);
            self.folders.remove(path);
        });
    }

    /// Renames a file or a folder, as its owner does.
    pub fn rename(&mut self, from: &str, to: &str) {
        let moved: Vec<_> = self.below(from).into_iter().chain([from.to_owned()]).collect();
        let moved: Vec<_> = moved.into_iter().map(|old| (format!("{to}{}", &old[from.len()..]), self.files.remove(&old))).collect();
        self.remove(from);
        for (path, file) in moved {
            let parts: Vec<&str> = path.split('/').collect();
            self.folders.extend((1..parts.len()).map(|n| parts[..n].join("/")));
            match file {
                Some(file) => drop(self.files.insert(path, file)),
                None => drop(self.folders.insert(path)),
            }
        }
    }

    /// The files as the tests of nodes see them.
    pub fn contents(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(path, (content, _))| (path.clone(), content.clone())).collect()
    }

    pub fn listing(&self, path: &str, deep: bool) -> Option<String> {
        use sha1::Digest as _;
        if !self.has(path) {
            return None;
        }
        let mut shown = vec![self.key(path)];
        if deep {
            shown.extend(
                self.below(&self.key(path)).into_iter().filter(|other| other.rsplit_once('/').map_or("", |(folder, _)| folder) == path),
            );
        }
        let mut body = "<d:multistatus xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>".to_owned();
        for path in shown {
            let props = match self.files.get(&path) {
                Some((content, version)) => {
                    let sha1: String = sha1::Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
                    let checksum = format!("<oc:checksums><oc:checksum>SHA1:{sha1}</oc:checksum></oc:checksums>");
                    let told = match self.tells_dates {
                        true => format!("<d:getlastmodified>{}</d:getlastmodified>", date(*version)),
                        false => format!("<d:getetag>\"v{version}\"</d:getetag>"),
                    };
                    format!(
                        "<d:resourcetype/><d:getcontentlength>{}</d:getcontentlength>{told}{}",
                        content.len(),
                        if self.tells_checksums { &checksum } else { "" }
                    )
                }
                None => "<d:resourcetype><d:collection/></d:resourcetype>".to_owned(),
            };
            let slash = if self.files.contains_key(&path) || path.is_empty() { "" } else { "/" };
            let path = href::encode_text(&path);
            body += &format!(
                "<d:response><d:href>/dav/{path}{slash}</d:href><d:propstat><d:prop>{props}</d:prop><d:status>HTTP/1.1 200 OK</d:status>\
                 </d:propstat></d:response>"
            );
        }
        Some(body + "</d:multistatus>")
    }

    /// Makes a change and tells the status.
    pub fn change(&mut self, method: &str, path: &str, headers: &BTreeMap<String, String>, body: Vec<u8>) -> &'static str {
        let target = headers.get("destination").map(|url| decoded(url.split_once("/dav/").unwrap().1));
        let goal = target.as_deref().unwrap_or(path);
        let parent = goal.rsplit_once('/').map_or("", |(folder, _)| folder);
        if method != "DELETE" && !self.has(parent) {
            return if self.fails_without_folder && method == "PUT" { "500 Internal Server Error" } else { "409 Conflict" };
        }
        if method != "MKCOL" && method != "PUT" && !self.has(path) {
            return "404 Not Found";
        }
        let is_there = self.has(goal);
        let compared = if self.compares_with_destination { goal } else { path };
        let etag = self.files.get(&self.key(compared)).map(|(_, version)| format!("\"v{version}\""));
        let differs = headers.get("if-match").is_some_and(|expected| Some(expected) != etag.as_ref())
            || headers.contains_key("if-none-match") && is_there;
        if differs && !self.ignores_conditions {
            return "412 Precondition Failed";
        }
        match method {
            "PUT" => self.put(goal, &String::from_utf8_lossy(&body)),
            "MKCOL" if is_there => return "405 Method Not Allowed",
            "MKCOL" => self.folders.extend([path.to_owned()]),
            "DELETE" => self.remove(&self.key(path)),
            "MOVE" | "COPY" => {
                if is_there && headers["overwrite"] == "F" {
                    return "412 Precondition Failed";
                }
                let from = self.key(path);
                let moved: Vec<_> = self.below(&from).into_iter().chain([from.clone()]).collect();
                let moved: Vec<_> =
                    moved.iter().map(|old| (format!("{goal}{}", &old[from.len()..]), self.files.get(old).cloned())).collect();
                if is_there {
                    self.remove(&self.key(goal));
                }
                if method == "MOVE" {
                    self.remove(&from);
                }
                for (path, file) in moved {
                    match file {
                        Some((content, version)) if method == "MOVE" => drop(self.files.insert(path, (content, version))),
                        Some((content, _)) => self.put(&path, &content),
                        None => self.folders.extend([path]),
                    }
                }
            }
            other => panic!("{other}"),
        }
        "201 Created"
    }
}

/// A path as it was meant.
pub fn decoded(href: &str) -> String {
    href::decode(href).unwrap().trim_end_matches('/').to_owned()
}

/// The date of a version.
pub fn date(version: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + version))
}

pub struct PlainServer {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl PlainServer {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let url = format!("http://{}/dav/", serve_state(&state, serve_one));
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The changes since it was asked last.
    pub fn changes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().changes)
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some(Request { method, target, headers, body }) = read_request(stream)? else { return Ok(false) };
    let path = decoded(target.strip_prefix("/dav/").unwrap_or_default());
    let mut state = state.lock().unwrap();
    let mut out = stream;
    let mut answer = |status: &str, extra: &str, body: &[u8]| {
        out.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}\r\n", body.len()).as_bytes())?;
        out.write_all(body)
    };
    if let Some((_, status)) = state.refuses.filter(|(begin, _)| format!("{method} {path}").starts_with(begin)) {
        state.changes.push(format!("refused {method} {path}"));
        answer(status, "", b"")?;
        return Ok(true);
    }
    match method.as_str() {
        "GET" => match state.get(&path) {
            Some((content, etag)) => answer("200 OK", &etag, &content)?,
            None => answer("404 Not Found", "", b"")?,
        },
        "PROPFIND" => match state.listing(&path, headers["depth"] == "1") {
            Some(body) => answer("207 Multi-Status", "Content-Type: application/xml\r\n", body.as_bytes())?,
            None => answer("404 Not Found", "", b"")?,
        },
        "COPY" if state.refuses_copy.is_some() => answer(state.refuses_copy.unwrap_or_default(), "", b"")?,
        "OPTIONS" => answer("200 OK", "DAV: 1\r\n", b"")?,
        "PUT" | "MKCOL" | "DELETE" | "MOVE" | "COPY" => {
            let destination = headers.get("destination").map(|url| format!(" -> {}", url.split_once("/dav/").unwrap().1));
            let breaks = state.breaks_at.filter(|(at, _)| *at <= state.changes.len());
            if breaks.is_some_and(|(at, after)| at < state.changes.len() || !after) {
                return Ok(false);
            }
            state.changes.push(format!("{method} {path}{}", destination.unwrap_or_default()));
            let status = state.change(&method, &path, &headers, body);
            let made = state.changes.last().cloned();
            if let Some((_, path, content)) = state.intruder.take_if(|(change, ..)| made.as_deref() == Some(change)) {
                state.put(path, content);
            }
            if breaks.is_some() {
                return Ok(false);
            }
            answer(status, "", b"")?;
        }
        _ => answer("405 Method Not Allowed", "", b"")?,
    }
    Ok(true)
}
