//! The API, as its clients use it: through real HTTP.

mod activity;
mod badges;
mod discard;
mod events;
mod fuzz;
mod library;
mod lists;
mod manage;
mod refusals;
mod resumable;
mod session;
mod walls;
mod zip;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Node, PASSWORD, read_answer};

/// Somebody at the API: an address, and headers that every request carries.
#[derive(Clone)]
pub struct Client {
    host: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Nobody yet.
    pub fn of(node: &Node) -> Self {
        Self { host: node.url().strip_prefix("http://").unwrap().to_owned(), headers: Vec::new() }
    }

    /// The admin, by password.
    pub fn admin(node: &Node) -> Self {
        Self::of(node).by_password("admin", PASSWORD)
    }

    pub fn by_password(&self, user: &str, password: &str) -> Self {
        use base64::Engine as _;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.with("Authorization", &format!("Basic {credentials}"))
    }

    /// By a session: the cookie, and the token for changes.
    pub fn by_session(&self, user: &str, password: &str) -> Self {
        let answer = self.post("/session", &json!({ "user": user, "password": password }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.headers["set-cookie"].split(';').next().unwrap().to_owned();
        self.with("Cookie", &cookie).with("X-CSRF-Token", json_of(&answer)["csrf_token"].as_str().unwrap())
    }

    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.headers.retain(|(other, _)| other != name);
        with.headers.push((name.to_owned(), value.to_owned()));
        with
    }

    pub fn without(&self, name: &str) -> Self {
        let mut without = self.clone();
        without.headers.retain(|(other, _)| other != name);
        without
    }

    /// Sends a request and leaves the connection open.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> TcpStream {
        self.send_to(method, &format!("/api/v1{path}"), body)
    }

    /// The same to any path of the node.
    pub fn send_to(&self, method: &str, path: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(90))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(body);
        stream
    }

    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        read_answer(&mut self.send(method, path, body))
    }

    /// A page of the node.
    pub fn page(&self, path: &str) -> Answer {
        read_answer(&mut self.send_to("GET", path, b""))
    }

    /// A form that is sent to a page.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        read_answer(&mut self.with("Content-Type", "application/x-www-form-urlencoded").send_to("POST", path, body.as_bytes()))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, b"")
    }

    pub fn change(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.with("Content-Type", "application/json").ask(method, path, body.to_string().as_bytes())
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.change("POST", path, body)
    }

    /// The document of a GET that goes well.
    #[track_caller]
    pub fn document(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        json_of(&answer)
    }
}

#[track_caller]
pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {} {}", answer.status, answer.text()))
}

/// Status and code of a refusal; its form is looked at as well.
#[track_caller]
pub fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.headers.get("content-type").map(String::as_str), Some("application/problem+json"), "{answer:?}");
    let document = json_of(answer);
    let code = document["code"].as_str().unwrap().to_owned();
    assert_eq!(document["status"], answer.status, "{document}");
    assert_eq!(document["type"], format!("urn:twinlens:problem:{code}"));
    assert!(document["title"].is_string() && !document["detail"].as_str().unwrap().is_empty(), "{document}");
    (answer.status, code)
}

/// The fields that a refusal names.
#[track_caller]
pub fn fields(answer: &Answer) -> Vec<String> {
    json_of(answer)["errors"].as_array().into_iter().flatten().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

/// A user with this password, made by the admin.
#[track_caller]
pub fn add_user(node: &Node, name: &str, more: Value) -> Client {
    let mut user = json!({ "name": name, "password": "a password of theirs", "role": "user" });
    user.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let added = Client::admin(node).post("/users", &user);
    assert_eq!(added.status, 201, "{}", added.text());
    Client::of(node).by_password(name, "a password of theirs")
}
