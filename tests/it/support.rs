//! A sandbox for one test: folders, nodes as real processes, the command line, plain HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const PASSWORD: &str = "correct horse battery";

/// A folder that is removed at the end.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("tl-").tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A node of this name with an empty library, not yet serving.
    pub fn node(&self, name: &str) -> Node {
        let root = self.path().join(name);
        fs::create_dir_all(root.join("library")).unwrap();
        Node { library: root.join("library"), data: root.join("data"), ahead: None, programs: None, serving: None, peers: Mutex::default() }
    }
}

/// A node: a library, its data, and the serving process if there is one.
pub struct Node {
    pub library: PathBuf,
    pub data: PathBuf,
    /// The clock of its programs is so much ahead: `36h`.
    pub ahead: Option<&'static str>,
    /// The only folder where its programs find others.
    pub programs: Option<PathBuf>,
    serving: Option<(Child, Value)>,
    /// The data and libraries of the nodes that it was paired with.
    peers: Mutex<Vec<(PathBuf, PathBuf)>>,
}

impl Node {
    /// Serves on a free port.
    pub fn serve(&mut self) -> &mut Self {
        self.serve_with(&[])
    }

    pub fn serve_with(&mut self, extra: &[&str]) -> &mut Self {
        self.start(extra, Stdio::inherit());
        self
    }

    fn start(&mut self, extra: &[&str], stderr: Stdio) {
        let anywhere: &[&str] = if extra.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = self.command(&[&["serve", "--json"], anywhere].concat());
        child.args(extra).stdout(Stdio::piped()).stderr(stderr);
        let mut child = child.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started: Value = serde_json::from_str(&line).expect("the node did not start");
        assert!(started["url"].is_string(), "{started:#}");
        self.serving = Some((child, started));
    }

    /// Serves with its log in a file, whose place is the answer.
    pub fn serve_logged(&mut self, extra: &[&str]) -> PathBuf {
        let log = self.data.with_extension("log");
        self.start(extra, fs::File::create(&log).unwrap().into());
        log
    }

    /// Of the serving process.
    pub fn pid(&self) -> u32 {
        self.serving.as_ref().expect("the node does not serve").0.id()
    }

    pub fn url(&self) -> String {
        self.started("url")
    }

    /// The fingerprint of its certificate.
    pub fn fingerprint(&self) -> String {
        self.started("fingerprint")
    }

    /// What the node told when it began to serve.
    fn started(&self, key: &str) -> String {
        let (_, started) = self.serving.as_ref().expect("the node does not serve");
        started[key].as_str().unwrap_or_else(|| panic!("no {key} in {started:#}")).to_owned()
    }

    pub fn originals(&self) -> String {
        format!("{}/originals/", self.url())
    }

    /// Sends a signal and waits for the end.
    pub fn signal(&mut self, signal: &str) -> std::process::ExitStatus {
        let (mut child, _) = self.serving.take().unwrap();
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        child.wait().unwrap()
    }

    pub fn stop(&mut self) {
        assert!(self.signal("TERM").success(), "the node did not stop cleanly");
    }

    /// The program with this node's folders.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = twinlens();
        command.args(args).env("TWINLENS_DATA", &self.data).env("TWINLENS_LIBRARY", &self.library);
        command.envs(self.ahead.map(|ahead| ("TWINLENS_CLOCK_SHIFT", ahead)));
        command.envs(self.programs.as_ref().map(|programs| ("PATH", programs)));
        command
    }

    /// Runs a command and expects this exit code; the answer is the JSON document.
    #[track_caller]
    pub fn run_expecting(&self, code: i32, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", show(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", show(&output)))
    }

    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Value {
        self.run_expecting(0, args)
    }

    /// Connects a service with the test password.
    #[track_caller]
    pub fn add_service(&self, name: &str, url: &str) -> Output {
        self.run_with_password(&["service", "add", name, url, "--user", "admin", "--password-stdin"], PASSWORD)
    }

    pub fn run_with_password(&self, args: &[&str], password: &str) -> Output {
        let mut child = self.command(args);
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        // A command that refuses early does not read the password.
        let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Connects to another node and sets up a two-way sync.
    #[track_caller]
    pub fn pair(&self, other: &Node, options: &[&str]) {
        self.connect("peer", &other.originals(), options);
        self.peers.lock().unwrap().push((other.data.clone(), other.library.clone()));
    }

    #[track_caller]
    pub fn connect(&self, name: &str, url: &str, options: &[&str]) {
        let added = self.add_service(name, url);
        assert!(added.status.success(), "{}", show(&added));
        let two_way = ["service", "sync", name, "--on", "--download", "yes", "--upload", "yes"];
        self.run(&two_way);
        if !options.is_empty() {
            self.run(&[&["service", "sync", name], options].concat());
        }
    }

    /// Syncs with everything; every file must have gone well.
    #[track_caller]
    pub fn sync(&self) -> Value {
        self.sync_expecting(0, &[])
    }

    #[track_caller]
    pub fn sync_expecting(&self, code: i32, options: &[&str]) -> Value {
        // A node tells its peers what its index knows; by itself it notices within seconds what is done to its disk.
        for (data, library) in self.peers.lock().unwrap().iter().filter(|(data, _)| data.join("control.sock").exists()) {
            let peer =
                Node { library: library.clone(), data: data.clone(), ahead: None, programs: None, serving: None, peers: Mutex::default() };
            let indexed = peer.command(&["index", "--json"]).output().unwrap();
            assert!(matches!(indexed.status.code(), Some(0 | 3)), "{}", show(&indexed));
        }
        self.run_expecting(code, &[&["sync"], options].concat())["services"][0].clone()
    }

    pub fn put(&self, path: &str, content: &str) {
        write(&self.library.join(path), content.as_bytes());
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.library.join(path)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        let to = self.library.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.library.join(from), to).unwrap();
    }

    /// The library as paths and contents, without what is Twinlens's own.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = tree(&self.library);
        files.retain(|path, _| !path.starts_with(".twinlens/"));
        files
    }

    /// The contents in the trash.
    pub fn trashed(&self) -> Vec<String> {
        tree(&self.library.join(".twinlens/trash")).into_values().collect()
    }

    /// Unfinished transfers that were left behind.
    pub fn left_behind(&self) -> Vec<String> {
        tree(&self.library.join(".twinlens/incoming")).into_keys().collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.serving.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn twinlens() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinlens"));
    command.env("TWINLENS_ADMIN_PASSWORD", PASSWORD).env_remove("TWINLENS_LOG").stdin(Stdio::null());
    command
}

pub fn show(output: &Output) -> String {
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A file of the sample library.
#[track_caller]
pub fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)).unwrap()
}

pub fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// All files below a folder. What is renamed or removed while one looks is not there.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                match fs::read(entry.path()) {
                    Ok(content) => drop(files.insert(path, String::from_utf8_lossy(&content).into_owned())),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{path}: {error}"),
                }
            }
        }
    }
    files
}

#[track_caller]
pub fn assert_files(node: &Node, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
    assert_eq!(node.files(), expected);
}

/// Checks the counts of a report that are named; the others must be zero.
#[track_caller]
pub fn assert_counts(report: &Value, expected: &[(&str, u64)]) {
    for key in ["uploaded", "downloaded", "moved", "deleted", "adopted"] {
        let wanted = expected.iter().find(|(name, _)| *name == key).map_or(0, |(_, count)| *count);
        assert_eq!(report[key], wanted, "{key} in {report:#}");
    }
}

/// An HTTP request, as a server of a test reads it. The names of headers are in lower case.
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// Serves `state` on a free port, a thread for each connection, until the test ends; the address. A connection ends when `serve_one` says so,
/// or fails: a client that closes early ends its thread.
pub fn serve_state<S: Send + 'static>(state: &Arc<Mutex<S>>, serve_one: fn(&TcpStream, &Mutex<S>) -> std::io::Result<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, state) = (stream.unwrap(), Arc::clone(&state));
            std::thread::spawn(move || while serve_one(&stream, &state).unwrap_or(false) {});
        }
    });
    address
}

/// The next request on a connection; none when it was closed.
pub fn read_request(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, target, headers, body }))
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request on a connection of its own, logged in as admin.
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http_as("admin", PASSWORD, method, url, headers, body)
}

pub fn http_as(user: &str, password: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    headers.push(("Content-Length", &length));
    let mut stream = send_head(user, password, method, url, &headers);
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(body);
    read_answer(&mut stream)
}

/// Sends the head of a request only.
pub fn send_head(user: &str, password: &str, method: &str, url: &str, headers: &[(&str, &str)]) -> TcpStream {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
    let path = if path.is_empty() { "/" } else { path };
    let credentials = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{user}:{password}"));
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

pub fn read_answer(stream: &mut impl std::io::Read) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer has come is no matter.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {bytes:?}"));
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<_, _> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut body = bytes[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        body = unchunk(&body);
    }
    Answer { status, headers, body }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}

/// Waits until something is true.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let started = Instant::now();
    while !check() {
        assert!(started.elapsed() < Duration::from_secs(90), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a peer program is installed. A missing one is said by name, and is a failure with TWINLENS_REQUIRE_PEERS=1.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|path| path.join(program).is_file()))
        || Path::new("/usr/sbin").join(program).is_file();
    found || is_missing(program)
}

/// Says by name what is not installed. Never true.
pub fn is_missing(what: &str) -> bool {
    assert!(std::env::var_os("TWINLENS_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{what} is required and not installed");
    eprintln!("skipped: {what} is not installed");
    false
}
