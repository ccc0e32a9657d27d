//! The browser as a process, and the DevTools protocol on its pipes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::LIMIT;
use super::device::Look;
use super::page::Page;
use super::watch::Watch;
use crate::support::is_missing;

/// A browser of one test, with a profile of its own. It ends with the test, whatever becomes of that.
pub struct Browser {
    wire: Rc<Wire>,
}

impl Browser {
    /// None where no Chromium is installed, which is said by name.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let Some(program) = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| in_path(name)) else {
            is_missing("chromium");
            return None;
        };
        Some(Self { wire: Rc::new(Wire::new(&program)) })
    }

    /// An empty page of somebody who was never here: without cookies, without a cache.
    #[track_caller]
    pub fn page(&self, look: Look) -> Page {
        Page::open(&self.wire, look)
    }
}

/// A file of this name in a folder of PATH.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Calls and their answers. What happens meanwhile goes to the watch of its session.
pub(super) struct Wire {
    child: Child,
    to: RefCell<ChildStdin>,
    from: Receiver<Value>,
    last: Cell<u64>,
    answers: RefCell<BTreeMap<u64, Value>>,
    pub(super) watches: RefCell<HashMap<String, Watch>>,
    profile: tempfile::TempDir,
}

impl Wire {
    #[track_caller]
    fn new(program: &Path) -> Self {
        let profile = tempfile::Builder::new().prefix("tl-chromium-").tempdir().unwrap();
        // The browser reads the descriptor 3 and writes to 4, and ends when 3 does: also when a test is killed.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]).arg(program);
        command.args(["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu"]);
        command.args(["--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--disable-breakpad", "--disable-extensions", "--hide-scrollbars", "--force-color-profile=srgb"]);
        // Nothing but this machine can be reached.
        command.arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE [::1]");
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        if rustix::process::getuid().is_root() {
            command.arg("--no-sandbox");
        }
        let log = std::fs::File::create(profile.path().join("stderr")).unwrap();
        command.env("HOME", profile.path()).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(from).split(0) {
                let Ok(message) = message.map(|bytes| serde_json::from_slice(&bytes).unwrap()) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            to: RefCell::new(to),
            from: receiver,
            last: Cell::default(),
            answers: RefCell::default(),
            watches: RefCell::default(),
            profile,
        }
    }

    /// A folder for what this session downloads.
    pub(super) fn downloads(&self, context: &str) -> PathBuf {
        self.profile.path().join("downloads").join(context)
    }

    /// Sends a call; its number.
    pub(super) fn send(&self, session: Option<&str>, method: &str, params: &Value) -> u64 {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        // A browser that is gone is noticed when no answer comes.
        let _ = self.to.borrow_mut().write_all(format!("{message}\0").as_bytes());
        id
    }

    /// The answer to a call; the protocol's own words when it fails.
    #[track_caller]
    pub(super) fn call(&self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.send(session, method, params);
        self.answer(id).map_err(|error| format!("{method}: {error}"))
    }

    /// Waits for the answer to what was sent.
    #[track_caller]
    pub(super) fn answer(&self, id: u64) -> Result<Value, String> {
        let mut answer = loop {
            if let Some(answer) = self.answers.borrow_mut().remove(&id) {
                break answer;
            }
            self.hear();
        };
        match answer.get("error") {
            Some(error) => Err(error["message"].as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Takes one message in.
    #[track_caller]
    pub(super) fn hear(&self) {
        let mut message = match self.from.recv_timeout(LIMIT) {
            Ok(message) => message,
            Err(error) => {
                let said = std::fs::read_to_string(self.profile.path().join("stderr")).unwrap_or_default();
                let said: Vec<_> = said.lines().filter(|line| !line.contains("dbus")).collect();
                panic!("Chromium says nothing ({error}): {}", said.join("\n"))
            }
        };
        if let Some(id) = message["id"].as_u64() {
            self.answers.borrow_mut().insert(id, message);
            return;
        }
        let (Some(session), Some(method)) = (message["sessionId"].as_str(), message["method"].as_str()) else { return };
        let reply = self.watches.borrow_mut().get_mut(session).and_then(|watch| watch.hear(method, &message["params"]));
        if let Some((method, params)) = reply {
            let session = message["sessionId"].take();
            self.send(session.as_str(), method, &params);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // All of its processes: they are a group.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}
