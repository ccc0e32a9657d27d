//! What a service holds and how it shows it: a plain WebDAV server, a Nextcloud that echoes checksums, or a server that verifies.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sha1::Digest as _;
use twinlens::dav::href;

use crate::plain::{self, decoded};

use super::fault::Listed;

/// The account's name on a cloud.
pub const USER: &str = "u";
/// The pieces that the cloud wants are so small that every file has several.
const PIECE: u64 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// RFC 4918 and nothing more.
    #[default]
    Plain,
    /// A Nextcloud: tells the checksums that it was told, hashes what it receives on request, takes pieces and bulk uploads.
    Cloud,
    /// Compares what it receives with the checksum that comes with it, and tells those of what it has.
    Verifying,
}

/// How entity tags are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Etags {
    #[default]
    Strong,
    /// All of them weak.
    Weak,
    /// As Apache does it when it compresses: with a suffix in answers, without in listings.
    Gzip,
}

/// How hrefs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hrefs {
    #[default]
    Encoded,
    /// With scheme and host.
    Absolute,
    /// Only what must be is encoded; `+` and the like are as they are.
    Sparse,
    /// Every byte is encoded, in lower case.
    Everything,
}

/// Habits of a server, none of which is a fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    pub etags: Etags,
    pub hrefs: Hrefs,
    /// Each property has a propstat of its own, and some are of properties that it does not have.
    pub splits: bool,
}

/// A service.
#[derive(Default, Clone)]
pub struct World {
    pub kind: Kind,
    pub files: plain::State,
    pub habits: Habits,
    /// The SHA-1 that came with a version of a file, by its number.
    told: BTreeMap<u64, String>,
    /// Unfinished uploads and their pieces.
    pub uploads: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Files that nobody sees for so many more requests.
    pub hidden: BTreeMap<String, u32>,
    /// Files that are listed as empty.
    pub listed_empty: BTreeSet<String>,
}

/// What is sent back.
#[derive(Default, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

pub type Headers = BTreeMap<String, String>;

pub fn sha1(bytes: &[u8]) -> String {
    sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl World {
    pub fn new(kind: Kind, habits: Habits) -> Self {
        Self { kind, habits, ..Self::default() }
    }

    /// Where the files are.
    pub fn prefix(&self) -> String {
        match self.kind {
            Kind::Cloud => format!("/remote.php/dav/files/{USER}/"),
            _ => "/dav/".to_owned(),
        }
    }

    /// The files that are shown now, without those that nobody sees yet.
    fn shown(&mut self) -> plain::State {
        let mut files = self.files.clone();
        for path in self.hidden.keys() {
            files.files.remove(path);
        }
        files
    }

    /// One more request was made.
    pub fn time_goes_on(&mut self) {
        self.hidden.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
    }

    fn etag(&self, version: u64, in_answer: bool) -> String {
        match (self.habits.etags, in_answer) {
            (Etags::Weak, _) => format!("W/\"v{version}\""),
            (Etags::Gzip, true) => format!("\"v{version}-gzip\""),
            _ => format!("\"v{version}\""),
        }
    }

    fn with_etag(&self, answer: Answer, path: &str) -> Answer {
        let Some((_, version)) = self.files.files.get(path).filter(|_| !self.files.tells_dates) else { return answer };
        let answer = answer.with("ETag", self.etag(*version, true));
        if self.kind == Kind::Cloud { answer.with("OC-ETag", self.etag(*version, false)) } else { answer }
    }

    /// Does what is asked.
    pub fn perform(&mut self, method: &str, target: &str, headers: &Headers, body: &[u8]) -> Answer {
        let target = target.split('?').next().unwrap();
        if let Some(path) = target.strip_prefix(&self.prefix()).or_else(|| target.strip_prefix(self.prefix().trim_end_matches('/'))) {
            let path = decoded(path);
            return self.with_files(method, &path, headers, body);
        }
        if self.kind != Kind::Cloud {
            return Answer::status(404);
        }
        match (method, target) {
            ("GET", "/ocs/v1.php/cloud/capabilities") => {
                let can = serde_json::json!({
                    "dav": { "chunking": "1.0", "bulkupload": "1.0" },
                    "files": { "chunked_upload": { "max_size": PIECE } },
                });
                let body = serde_json::json!({ "ocs": { "data": { "capabilities": can } } }).to_string();
                Answer { status: 200, body: body.into_bytes(), ..Answer::default() }.with("Content-Type", "application/json")
            }
            ("POST", "/remote.php/dav/bulk") => self.bulk(headers, body),
            _ => match target.strip_prefix(&format!("/remote.php/dav/uploads/{USER}/")) {
                Some(rest) => self.pieces(method, &decoded(rest), headers, body),
                None => Answer::status(404),
            },
        }
    }

    fn with_files(&mut self, method: &str, path: &str, headers: &Headers, body: &[u8]) -> Answer {
        match method {
            "GET" => match self.shown().get(path) {
                Some((content, _)) => self.with_etag(Answer { status: 200, body: content, ..Answer::default() }, path),
                None => Answer::status(404),
            },
            "PROPFIND" if headers["depth"] == "infinity" => Answer::status(403),
            "PROPFIND" => {
                let shown = self.shown();
                self.multistatus(&shown, path, headers["depth"] == "1", None)
            }
            "OPTIONS" => Answer::status(200).with("DAV", "1"),
            "PATCH" if self.kind == Kind::Cloud => match self.shown().get(path) {
                Some((content, _)) => Answer::status(204).with("OC-Checksum", format!("SHA1:{}", sha1(&content))),
                None => Answer::status(404),
            },
            "PUT" | "MKCOL" | "DELETE" | "MOVE" | "COPY" => self.change(method, path, headers, body),
            _ => Answer::status(405),
        }
    }

    fn change(&mut self, method: &str, path: &str, headers: &Headers, body: &[u8]) -> Answer {
        let told = headers.get("oc-checksum").and_then(|told| told.strip_prefix("SHA1:")).map(str::to_lowercase);
        if method == "PUT" && self.kind == Kind::Verifying && told.as_ref().is_some_and(|told| *told != sha1(body)) {
            return Answer::status(400);
        }
        let mut headers = headers.clone();
        if let Some(to) = headers.get_mut("destination") {
            let place = self.prefix();
            *to = format!("http://x/dav/{}", to.split_once(&place).unwrap_or_else(|| panic!("{to} is not in {place}")).1);
        }
        if self.habits.etags != Etags::Strong {
            headers.remove("if-match");
        }
        let status = self.files.change(method, path, &headers, body.to_vec());
        let status: u16 = status[..3].parse().unwrap();
        let goal = headers.get("destination").map_or(path.to_owned(), |to| decoded(to.split_once("/dav/").unwrap().1));
        if status >= 300 {
            return Answer::status(status);
        }
        self.hidden.remove(&goal);
        self.listed_empty.remove(&goal);
        if method == "PUT"
            && let Some(told) = told
        {
            self.told.insert(self.files.versions, told);
        }
        let mut answer = self.with_etag(Answer::status(if method == "DELETE" { 204 } else { status }), &goal);
        if self.kind == Kind::Cloud && method == "PUT" && headers.get("x-hash").is_some_and(|hash| hash == "sha1") {
            answer = answer.with("X-Hash-SHA1", sha1(body));
        }
        answer
    }

    /// What was stored last is something else. Returns whether there is such a file.
    pub fn tamper(&mut self, path: &str, change: impl FnOnce(&str) -> String) -> bool {
        match self.files.files.get_mut(path) {
            Some((content, _)) => {
                *content = change(content);
                true
            }
            None => false,
        }
    }

    fn bulk(&mut self, headers: &Headers, body: &[u8]) -> Answer {
        let boundary = headers["content-type"].split_once("boundary=").unwrap().1;
        let mut told = serde_json::Map::new();
        let mut rest = body;
        let opening = format!("--{boundary}\r\n");
        while let Some(part) = rest.strip_prefix(opening.as_bytes()) {
            let Some(end) = part.windows(4).position(|window| window == b"\r\n\r\n") else { return Answer::status(400) };
            let head = String::from_utf8(part[..end].to_vec()).unwrap();
            let head: Headers = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let length: usize = head["content-length"].parse().unwrap();
            let Some(content) = part[end + 4..].get(..length) else { return Answer::status(400) };
            let md5: String = md5::Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
            if head["x-file-md5"] != md5 {
                return Answer::status(400);
            }
            let path = head["x-file-path"].trim_start_matches('/').to_owned();
            let put = Headers::from_iter(head.get("oc-checksum").map(|told| ("oc-checksum".to_owned(), told.clone())));
            let done = self.change("PUT", &path, &put, content);
            let etag = done.headers.iter().find(|(name, _)| name == "ETag").map(|(_, etag)| etag.trim_matches('"').to_owned());
            let outcome = match done.status {
                200..300 => serde_json::json!({ "error": false, "etag": etag }),
                status => serde_json::json!({ "error": true, "status": status, "message": "no" }),
            };
            told.insert(format!("/{path}"), outcome);
            rest = &part[end + 4 + length + 2..];
        }
        Answer { status: 200, body: serde_json::Value::Object(told).to_string().into_bytes(), ..Answer::default() }
    }

    /// The paths that a bulk request wants to write.
    pub fn bulk_paths(body: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(body);
        text.lines().filter_map(|line| line.strip_prefix("X-File-Path: /")).map(str::to_owned).collect()
    }

    fn pieces(&mut self, method: &str, path: &str, headers: &Headers, body: &[u8]) -> Answer {
        let (id, piece) = path.split_once('/').unwrap_or((path, ""));
        let length = || headers["oc-total-length"].parse::<usize>().unwrap();
        match (method, piece) {
            ("MKCOL", "") if self.uploads.contains_key(id) => Answer::status(405),
            ("MKCOL", "") => {
                self.uploads.insert(id.to_owned(), BTreeMap::new());
                Answer::status(201)
            }
            ("PROPFIND", "") => self.list_pieces(id),
            ("DELETE", "") if self.uploads.remove(id).is_some() => Answer::status(204),
            ("PUT", name) if self.uploads.contains_key(id) => {
                self.uploads.get_mut(id).unwrap().insert(name.to_owned(), body.to_vec());
                Answer::status(201).with("X-Hash-SHA1", sha1(body))
            }
            ("MOVE", ".file") if self.uploads.contains_key(id) => {
                let whole = self.uploads[id].values().flatten().copied().collect::<Vec<u8>>();
                if whole.len() != length() {
                    return Answer::status(400);
                }
                let place = self.prefix();
                let goal = decoded(headers["destination"].split_once(&place).unwrap().1);
                let mut put = headers.clone();
                put.remove("destination");
                put.remove("x-hash");
                if headers.get("overwrite").is_some_and(|overwrite| overwrite == "F") {
                    put.insert("if-none-match".into(), "*".into());
                }
                if let Some(condition) = headers.get("if") {
                    put.insert("if-match".into(), condition.split_once("([").unwrap().1.trim_end_matches("])").to_owned());
                }
                let done = self.change("PUT", &goal, &put, &whole);
                if done.status < 300 {
                    self.uploads.remove(id);
                }
                done
            }
            _ => Answer::status(404),
        }
    }

    fn list_pieces(&self, id: &str) -> Answer {
        let base = format!("/remote.php/dav/uploads/{USER}/");
        let folder = |path: &str| {
            format!(
                "<d:response><d:href>{base}{path}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop>{OK}</d:propstat></d:response>"
            )
        };
        let mut body = OPENING.to_owned();
        if id.is_empty() {
            body += &folder("");
            self.uploads.keys().for_each(|id| body += &folder(&format!("{id}/")));
        } else {
            let Some(pieces) = self.uploads.get(id) else { return Answer::status(404) };
            body += &folder(&format!("{id}/"));
            for (name, bytes) in pieces {
                body += &format!(
                    "<d:response><d:href>{base}{id}/{name}</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>{}</d:getcontentlength>\
                     </d:prop>{OK}</d:propstat></d:response>",
                    bytes.len()
                );
            }
        }
        multistatus(body)
    }

    /// A listing of `files`, in which something may be wrong.
    pub fn multistatus(&self, files: &plain::State, path: &str, deep: bool, wrong: Option<Listed>) -> Answer {
        if !files.has(path) {
            return Answer::status(404);
        }
        let mut shown: Vec<String> = vec![path.to_owned()];
        if deep && wrong != Some(Listed::OnlyItself) {
            let parent = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
            shown.extend(files.files.keys().chain(&files.folders).filter(|other| parent(other) == path && !other.is_empty()).cloned());
        }
        if wrong == Some(Listed::Nothing) {
            shown.clear();
        }
        if wrong == Some(Listed::BrokenOff) {
            shown.truncate(shown.len().max(2) - 1);
        }
        let other = if wrong == Some(Listed::OtherEtags) { 1_000_000 } else { 0 };
        let mut body = OPENING.to_owned();
        for path in shown {
            let (props, slash) = match files.files.get(&path) {
                Some((content, version)) => {
                    let is_empty = wrong == Some(Listed::Empty) || self.listed_empty.contains(&path);
                    let mut props = vec![
                        "<d:resourcetype/>".to_owned(),
                        format!("<d:getcontentlength>{}</d:getcontentlength>", if is_empty { 0 } else { content.len() }),
                        match files.tells_dates {
                            true => format!("<d:getlastmodified>{}</d:getlastmodified>", plain::date(version + other)),
                            false => format!("<d:getetag>{}</d:getetag>", self.etag(version + other, false)),
                        },
                    ];
                    let checksum = match self.kind {
                        Kind::Plain if !files.tells_checksums => None,
                        Kind::Plain | Kind::Verifying => Some(sha1(content.as_bytes())),
                        Kind::Cloud => self.told.get(version).cloned(),
                    };
                    props.extend(checksum.map(|sha1| format!("<oc:checksums><oc:checksum>SHA1:{sha1}</oc:checksum></oc:checksums>")));
                    (props, "")
                }
                None => {
                    let mut props = vec!["<d:resourcetype><d:collection/></d:resourcetype>".to_owned()];
                    if self.kind == Kind::Cloud {
                        let mut hasher = DefaultHasher::new();
                        let below = |other: &&String| path.is_empty() || other.starts_with(&format!("{path}/"));
                        files.files.iter().filter(|(other, _)| below(other)).for_each(|item| item.hash(&mut hasher));
                        files.folders.iter().filter(below).for_each(|folder| folder.hash(&mut hasher));
                        props.push(format!(
                            "<d:getetag>\"{:x}\"</d:getetag><oc:id>{}</oc:id>",
                            hasher.finish().wrapping_add(other),
                            path.len()
                        ));
                    }
                    (props, if path.is_empty() { "" } else { "/" })
                }
            };
            body += &format!("<d:response><d:href>{}{slash}</d:href>{}</d:response>", self.href(&path), self.propstats(&props));
        }
        let mut answer = multistatus(body);
        if wrong == Some(Listed::BrokenOff) {
            answer.body.extend(b"Internal Server Error");
        }
        answer
    }

    fn propstats(&self, props: &[String]) -> String {
        if !self.habits.splits {
            return format!("<d:propstat><d:prop>{}</d:prop>{OK}</d:propstat>", props.concat());
        }
        let missing =
            "<d:propstat><d:prop><d:getlastmodified/><oc:permissions/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>";
        let each = props.iter().map(|prop| format!("<d:propstat><d:prop>{prop}</d:prop>{OK}</d:propstat>"));
        missing.to_owned() + &each.collect::<String>()
    }

    fn href(&self, path: &str) -> String {
        let prefix = self.prefix();
        let text = match self.habits.hrefs {
            Hrefs::Encoded => format!("{prefix}{}", href::encode_text(path)),
            Hrefs::Absolute => format!("http://another.example{prefix}{}", href::encode_text(path)),
            Hrefs::Sparse => {
                let must = |letter: char| matches!(letter, '%' | '#' | '?' | ' ' | '<' | '>' | '&' | '"') || !letter.is_ascii();
                let mut text = prefix;
                for letter in path.chars() {
                    let mut bytes = [0; 4];
                    let bytes = letter.encode_utf8(&mut bytes).as_bytes();
                    match must(letter) {
                        true => bytes.iter().for_each(|byte| text += &format!("%{byte:02X}")),
                        false => text.push(letter),
                    }
                }
                text
            }
            Hrefs::Everything => {
                prefix + &path.bytes().map(|byte| if byte == b'/' { "/".into() } else { format!("%{byte:02x}") }).collect::<String>()
            }
        };
        text.replace('&', "&amp;")
    }
}

const OPENING: &str = "<d:multistatus xmlns:d='DAV:' xmlns:oc='http://owncloud.org/ns'>";
const OK: &str = "<d:status>HTTP/1.1 200 OK</d:status>";

fn multistatus(body: String) -> Answer {
    Answer { status: 207, body: (body + "</d:multistatus>").into_bytes(), ..Answer::default() }.with("Content-Type", "application/xml")
}
