//! Connecting a service by logging in with a browser (login flow v2 of Nextcloud).

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::cloud::{anonymous, field};
use crate::connect::{Site, dav, logged_in, nextcloud};
use crate::support::{Node, PASSWORD, Sandbox};

/// A command that waits for a login: the page that it told, and the process.
pub struct Login {
    pub page: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Login {
    #[track_caller]
    pub fn begin(node: &Node, args: &[&str]) -> Self {
        let mut child = node.command(&[&["service"], args, &["--browser", "--json"]].concat());
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no document: {line}"));
        assert_eq!(told["event"], "login", "{told}");
        Self { page: told["url"].as_str().unwrap().to_owned(), child, stdout }
    }

    /// Waits for the end: the exit code, the answer, and everything that was said.
    pub fn end(mut self) -> (Option<i32>, Value, String) {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let answer = serde_json::from_str(&said).unwrap_or_default();
        (output.status.code(), answer, said + &String::from_utf8_lossy(&output.stderr))
    }
}

/// Logs in on the page of a node.
pub fn grant(page: &str) {
    let form = field(&anonymous("GET", page, &[], b"").text(), "form");
    let body = format!("form={form}&user=admin&password={}", PASSWORD.replace(' ', "+"));
    let kind = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(anonymous("POST", page, &kind, body.as_bytes()).status, 200);
}

#[test]
fn a_browser_connects_a_node_and_gives_it_another_password_later() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.put("a.jpg", "a");
    peer.serve();
    let host = peer.url().replace("http://", "");
    let login = Login::begin(&node, &["add", "svc", &host]);
    assert!(login.page.starts_with(&peer.url()), "{}", login.page);
    grant(&login.page);
    let (code, answer, said) = login.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((&answer["state"], &answer["url"], &answer["user"]), (&json!("added"), &json!(peer.originals()), &json!("admin")));
    assert_eq!(answer["discovered"]["files"], 1);
    node.run(&["service", "sync", "svc", "--on"]);
    node.sync();
    let apps = || peer.run(&["user", "app-passwords", "admin"])["app_passwords"].as_array().unwrap().clone();
    assert_eq!(apps().len(), 1, "{:?}", apps());
    assert!(apps()[0]["label"].as_str().unwrap().contains("twinlens"), "{:?}", apps());

    // It was taken back there: another one is made, through the running node this time.
    peer.run(&["user", "revoke", "admin", apps()[0]["id"].as_str().unwrap()]);
    node.serve();
    node.sync_expecting(3, &[]);
    let login = Login::begin(&node, &["edit", "svc"]);
    grant(&login.page);
    let (code, answer, said) = login.end();
    assert_eq!((code, &answer["state"], &answer["forgotten"]), (Some(0), &json!("edited"), &json!(false)), "{said}");
    node.sync();
}

/// A Nextcloud that calls itself something else, as behind a proxy, and grants the login at the third question.
fn scripted(server: &'static str, poll_host: &'static str) -> Site {
    let mut asked = 0;
    let mut files = nextcloud("/");
    Site::new(move |request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/index.php/login/v2") => {
            let told = json!({ "poll": { "token": "p/o+l", "endpoint": format!("{poll_host}/login/v2/poll") }, "login": format!("{server}/login/v2/flow/x") });
            (200, Vec::new(), told.to_string())
        }
        ("POST", "/login/v2/poll") if request.body == b"token=p%2Fo%2Bl" => {
            asked += 1;
            match asked {
                1 => (404, Vec::new(), "[]".into()),
                2 => (503, Vec::new(), String::new()),
                _ => (200, Vec::new(), json!({ "server": server, "loginName": "anna", "appPassword": PASSWORD }).to_string()),
            }
        }
        _ if request.headers.contains_key("authorization") && !logged_in(request, "anna", PASSWORD) => dav(request, "nobody", &[]),
        _ => files(request),
    })
}

#[test]
fn what_is_granted_goes_to_the_server_that_was_asked() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let site = scripted("https://cloud.invalid", "http://elsewhere.invalid");
    let login = Login::begin(&node, &["add", "svc", &site.host]);
    assert_eq!(login.page, "https://cloud.invalid/login/v2/flow/x");
    let (code, answer, said) = login.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(answer["url"], format!("http://{}/remote.php/dav/files/anna/", site.host));
    assert_eq!((&answer["type"], &answer["user"]), (&json!("nextcloud"), &json!("anna")));
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
fn a_login_that_is_not_granted_changes_nothing() {
    let sandbox = Sandbox::new();
    let (mut node, mut peer) = (sandbox.node("n"), sandbox.node("p"));
    peer.serve();
    let fails = |node: &Node, code: i32, args: &[&str]| {
        node.run_expecting(code, &[&["service"], args, &["--browser"]].concat())["error"].as_str().unwrap().to_owned()
    };
    let dull = Site::new(|_| (404, Vec::new(), String::new()));
    let error = fails(&node, 3, &["add", "svc", &dull.host]);
    assert!(error.contains("There is no Nextcloud") && error.contains("--user"), "{error}");
    let mut old = nextcloud("/");
    let old = Site::new(move |request| old(request));
    let error = fails(&node, 3, &["add", "svc", &old.host]);
    assert!(error.contains("login with a browser") && error.contains("404"), "{error}");
    let script = Site::new(|request| match request.method.as_str() {
        "POST" => (200, Vec::new(), json!({ "poll": { "token": "t", "endpoint": "/p" }, "login": "javascript:alert(1)" }).to_string()),
        _ => nextcloud("/")(request),
    });
    let error = fails(&node, 3, &["add", "svc", &script.host]);
    assert!(error.contains("cannot be understood"), "{error}");
    fails(&node, 2, &["edit", "svc"]);

    // Whoever goes away gives the login up; the node goes on.
    node.serve();
    let mut login = Login::begin(&node, &["add", "svc", &peer.url()]);
    login.child.kill().unwrap();
    login.child.wait().unwrap();
    grant(&login.page);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(node.run(&["service", "list"])["services"], json!([]));
    assert_eq!(peer.run(&["user", "app-passwords", "admin"])["app_passwords"], json!([]));
}
