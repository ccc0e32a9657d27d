//! A server that answers what a Nextcloud answered, request by request, and takes no other request than the one it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use twinlens::client::{Client, Endpoint};
use twinlens::dav::href;

use crate::support::{Request, read_request, serve_state};

/// A request and its answer, as they were recorded. The names of headers are in lower case.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    pub target: String,
    pub asked: BTreeMap<String, String>,
    pub sent: Vec<u8>,
    pub status: u16,
    pub answered: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Headers that say what is meant. What was recorded of them must be sent.
const MEANT: [&str; 12] = [
    "content-length",
    "depth",
    "destination",
    "if",
    "if-match",
    "if-none-match",
    "oc-checksum",
    "oc-total-length",
    "overwrite",
    "x-hash",
    "x-oc-mtime",
    "x-recalculate-hash",
];
/// Those that must not be sent where they were not recorded: the answer would be another one.
const CHANGES_THE_ANSWER: [&str; 4] = ["if", "if-match", "if-none-match", "x-oc-mtime"];

/// The exchanges of a fixture.
pub fn recorded(name: &str) -> Vec<Exchange> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nextcloud-24").join(format!("{name}.txt"));
    let text = std::fs::read(place).unwrap();
    let mut rest = &text[..];
    let mut found = Vec::new();
    while let Some(at) = position(rest, b"\n===== ") {
        rest = &rest[at + 1..];
        rest = &rest[position(rest, b"\n").unwrap() + 1..];
        let (request, asked, sent) = part(&mut rest, "> ");
        let (answer, answered, body) = part(&mut rest, "< ");
        let (method, target) = request.split_once(' ').unwrap();
        found.push(Exchange {
            method: method.to_owned(),
            target: target.strip_suffix(" HTTP/1.1").unwrap().to_owned(),
            asked: asked.into_iter().collect(),
            sent,
            status: answer.split(' ').nth(1).unwrap().parse().unwrap(),
            answered,
            body,
        });
    }
    assert!(!found.is_empty(), "{name} has no exchanges");
    found
}

/// The head of a request or an answer, and its body.
fn part(rest: &mut &[u8], mark: &str) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut line = || {
        let end = position(rest, b"\n").unwrap();
        let line = String::from_utf8(rest[..end].to_vec()).unwrap();
        *rest = &rest[end + 1..];
        line
    };
    let first = line().strip_prefix(mark).unwrap().to_owned();
    let mut headers = Vec::new();
    let length = loop {
        let text = line();
        match text.strip_prefix(mark) {
            Some(header) => {
                let (name, value) = header.split_once(": ").unwrap_or((header.trim_end_matches(':'), ""));
                headers.push((name.to_lowercase(), value.to_owned()));
            }
            None => break text.strip_prefix('(').unwrap().strip_suffix(" bytes)").unwrap().parse::<usize>().unwrap(),
        }
    };
    let body = rest[..length].to_vec();
    *rest = &rest[length..];
    if rest.first() == Some(&b'\n') {
        *rest = &rest[1..];
    }
    (first, headers, body)
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// What is still to be asked, and what was asked wrongly.
struct State {
    exchanges: VecDeque<Exchange>,
    wrong: Vec<String>,
}

/// The server of one fixture.
pub struct Replay {
    host: String,
    state: Arc<Mutex<State>>,
}

impl Replay {
    pub fn of(name: &str) -> Self {
        let state = Arc::new(Mutex::new(State { exchanges: recorded(name).into(), wrong: Vec::new() }));
        Self { host: serve_state(&state, serve_one).to_string(), state }
    }

    /// A client of alice's, rooted at this folder of hers.
    pub fn client(&self, folder: &str) -> Client {
        self.client_at(&format!("files/alice/{folder}"))
    }

    pub fn client_at(&self, root: &str) -> Client {
        let url = format!("http://{}/remote.php/dav/{root}", self.host);
        Client::new(&Endpoint { url, user: "alice".into(), password: "secret".into(), fingerprint: None, allow_http: false }).unwrap()
    }

    /// Everything was asked, and nothing wrongly.
    #[track_caller]
    pub fn ends(self) {
        let state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{}", state.wrong.join("\n"));
        assert!(state.exchanges.is_empty(), "not asked: {:#?}", state.exchanges);
    }
}

fn serve_one(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut state = state.lock().unwrap();
    let exchange = state.exchanges.pop_front();
    let difference = match &exchange {
        Some(exchange) => difference(exchange, &request),
        None => Some("nothing more was asked".to_owned()),
    };
    if let Some(difference) = difference {
        state.wrong.push(format!("{} {}: {difference}", request.method, request.target));
    }
    let mut answer = Vec::new();
    match exchange.filter(|_| state.wrong.is_empty()) {
        Some(Exchange { status, answered, body, .. }) => {
            answer.extend_from_slice(format!("HTTP/1.1 {status} recorded\r\n").as_bytes());
            answered.iter().for_each(|(name, value)| answer.extend_from_slice(format!("{name}: {value}\r\n").as_bytes()));
            answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            answer.extend_from_slice(&body);
        }
        None => answer.extend_from_slice(b"HTTP/1.1 418 not recorded\r\nContent-Length: 0\r\n\r\n"),
    }
    let mut stream = stream;
    stream.write_all(&answer)?;
    Ok(true)
}

/// What a request differs in from the recorded one.
fn difference(exchange: &Exchange, request: &Request) -> Option<String> {
    let decoded = |target: &str| href::decode(target).unwrap().trim_end_matches('/').to_owned();
    if (&exchange.method, decoded(&exchange.target)) != (&request.method, decoded(&request.target)) {
        return Some(format!("recorded is {} {}", exchange.method, exchange.target));
    }
    let host = request.headers.get("host").cloned().unwrap_or_default();
    for name in MEANT {
        let Some(recorded) = exchange.asked.get(name) else { continue };
        // A multipart body has boundaries of our own, and a path that is not there is not there at any depth.
        if (name == "content-length" && exchange.method == "POST") || (name == "depth" && exchange.status == 404) {
            continue;
        }
        let sent = request.headers.get(name).map(String::as_str).unwrap_or_default();
        let same = match name {
            "destination" => decoded(&recorded.replace("HOST", &host)) == decoded(sent),
            _ => recorded.replace("HOST", &host) == sent,
        };
        if !same {
            return Some(format!("{name} was {recorded:?} and is {sent:?}"));
        }
    }
    let extra = CHANGES_THE_ANSWER.iter().find(|name| request.headers.contains_key(**name) && !exchange.asked.contains_key(**name));
    if let Some(name) = extra {
        return Some(format!("{name} was not sent"));
    }
    let is_verbatim = !exchange.sent.is_empty() && !exchange.sent.starts_with(b"<") && exchange.method == "PUT";
    if is_verbatim && exchange.sent != request.body {
        return Some("the body is another one".to_owned());
    }
    (exchange.method == "POST" && files_of(&exchange.sent) != files_of(&request.body)).then(|| "other files are sent".to_owned())
}

/// Path, MD5, time, size and content of each file of a bulk upload. A checksum of nothing but zeros was wrong on purpose.
fn files_of(body: &[u8]) -> Vec<[String; 5]> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let boundary = text.lines().next().unwrap_or_default().to_owned();
    let parts = text.split(&boundary).filter(|part| part.contains("\n\n"));
    parts
        .map(|part| {
            let (head, content) = part.split_once("\n\n").unwrap();
            let header = |name: &str| {
                let found = head.lines().filter_map(|line| line.split_once(": ")).find(|(told, _)| told.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            let path = header("x-file-path");
            let md5 = if path.ends_with("bad.txt") { String::new() } else { header("x-file-md5") };
            [path, md5, header("x-file-mtime"), header("content-length"), content.trim_end_matches('\n').to_owned()]
        })
        .collect()
}
