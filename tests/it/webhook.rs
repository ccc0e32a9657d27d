//! What the webhook did not take is kept, and told after a restart.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Node, Sandbox, eventually, http, read_request, serve_state};

/// A webhook that answers with a status, and what it heard with each.
struct Hook {
    status: &'static str,
    heard: Vec<(&'static str, Value)>,
}

fn hear(mut stream: &TcpStream, hook: &Mutex<Hook>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut hook = hook.lock().unwrap();
    let status = hook.status;
    hook.heard.push((status, serde_json::from_slice(&request.body).unwrap()));
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
    Ok(true)
}

struct Scene {
    node: Node,
    hook: Arc<Mutex<Hook>>,
    url: String,
}

impl Scene {
    /// A node that serves, whose syncs all fail, with a webhook that answers so.
    fn new(sandbox: &Sandbox, status: &'static str) -> Self {
        let (node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
        peer.serve();
        node.connect("svc", &peer.originals(), &["--off"]);
        peer.stop();
        let hook = Arc::new(Mutex::new(Hook { status, heard: Vec::new() }));
        let url = format!("http://{}/", serve_state(&hook, hear));
        let mut scene = Self { node, hook, url };
        scene.serve();
        scene
    }

    fn serve(&mut self) {
        let url = self.url.clone();
        self.node.serve_with(&["--webhook", &url, "--import-quiet", "off"]);
    }

    fn sync(&self) {
        self.node.run_expecting(3, &["sync", "svc"]);
    }

    /// Everything that was heard with this status.
    fn heard(&self, status: &str) -> Vec<Value> {
        self.hook.lock().unwrap().heard.iter().filter(|(said, _)| *said == status).map(|(_, body)| body.clone()).collect()
    }

    fn waiting(&self) -> String {
        let text = http("GET", &format!("{}/metrics", self.node.url()), &[], b"").text();
        text.lines().find(|line| line.starts_with("twinlens_webhook_waiting_messages ")).unwrap().to_owned()
    }
}

const BUSY: &str = "503 Busy";
const GOOD: &str = "204 No Content";

#[test]
fn messages_outlive_the_node_and_come_in_order() {
    let sandbox = Sandbox::new();
    let mut scene = Scene::new(&sandbox, BUSY);
    scene.sync();
    scene.sync();
    eventually("one is refused", || !scene.heard(BUSY).is_empty());
    assert_eq!(scene.waiting(), "twinlens_webhook_waiting_messages 2");
    scene.node.stop();
    scene.serve();
    scene.sync();
    eventually("all three wait", || scene.waiting().ends_with(" 3"));
    // Killed, it forgets none of them either.
    scene.node.signal("KILL");
    scene.hook.lock().unwrap().status = GOOD;
    scene.serve();
    eventually("all are told", || scene.heard(GOOD).len() >= 3);
    eventually("nothing waits", || scene.waiting().ends_with(" 0"));
    let told = scene.heard(GOOD);
    assert_eq!(told.len(), 3, "each once: {told:#?}");
    let mut times: Vec<_> = told.iter().map(|message| message["started"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told[0], scene.heard(BUSY)[0]);
    times.dedup();
    assert!(times.len() == 3 && times.is_sorted(), "{times:?}");
}

#[test]
fn what_is_old_is_not_told_any_more_and_neither_is_it_to_nobody() {
    let sandbox = Sandbox::new();
    let mut scene = Scene::new(&sandbox, BUSY);
    scene.sync();
    eventually("it is refused", || !scene.heard(BUSY).is_empty());
    scene.node.stop();
    scene.hook.lock().unwrap().status = GOOD;
    scene.node.ahead = Some("100h");
    scene.serve();
    eventually("it is let go", || scene.waiting().ends_with(" 0"));
    assert_eq!(scene.heard(GOOD), Vec::<Value>::new());
    // A node that has no webhook any more keeps nothing for one.
    scene.hook.lock().unwrap().status = BUSY;
    scene.sync();
    eventually("it waits", || scene.waiting().ends_with(" 1"));
    scene.node.stop();
    scene.node.serve();
    assert_eq!(scene.waiting(), "twinlens_webhook_waiting_messages 0");
}
