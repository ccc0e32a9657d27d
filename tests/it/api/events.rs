//! Live events.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Client, problem};
use crate::support::{Node, Sandbox};

/// A stream of events that is being read.
struct Listener(BufReader<TcpStream>);

/// One event: its id, its name, its data.
type Heard = (String, String, Value);

impl Listener {
    fn of(client: &Client, path: &str) -> Self {
        let mut lines = BufReader::new(client.send("GET", path, b""));
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line.trim() != "" {
            line.clear();
            lines.read_line(&mut line).unwrap();
        }
        Self(lines)
    }

    /// The next event; none when the stream has ended.
    fn next(&mut self) -> Option<Heard> {
        let (mut id, mut name, mut data) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let line = line.trim();
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("event: ") {
                name = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(text).unwrap());
            } else if line.is_empty()
                && let Some(data) = data.take()
            {
                return Some((id, name, data));
            }
        }
    }

    #[track_caller]
    fn until(&mut self, name: &str) -> Heard {
        loop {
            let heard = self.next().unwrap_or_else(|| panic!("the stream ended before {name}"));
            if heard.1 == name {
                return heard;
            }
        }
    }
}

fn paired(sandbox: &Sandbox) -> (Node, Node) {
    let (mut here, mut there) = (sandbox.node("here"), sandbox.node("there"));
    here.put("a.jpg", "one");
    here.serve();
    there.serve();
    here.pair(&there, &["--upload", "yes"]);
    (here, there)
}

#[test]
fn a_sync_is_followed_and_who_comes_back_hears_what_was_missed() {
    let sandbox = Sandbox::new();
    let (mut here, _there) = paired(&sandbox);
    let admin = Client::admin(&here);
    let mut listener = Listener::of(&admin, "/events");
    assert_eq!(listener.next().unwrap().1, "ready");
    here.sync();
    let (_, _, started) = listener.until("started");
    let service = started["service"].as_str().unwrap().to_owned();
    let (id, _, step) = listener.until("step");
    assert_eq!((&step["path"], &step["verb"]), (&json!("a.jpg"), &json!("upload")));
    drop(listener);
    here.sync();
    // From the step on: the end of the first sync, then the second one.
    let mut back = Listener::of(&admin.with("Last-Event-ID", &id), "/events");
    assert_eq!(back.next().unwrap().1, "ready");
    let mut names = vec![back.until("ended").1];
    names.push(back.until("started").1);
    let (last, _, ended) = back.until("ended");
    assert_eq!((&ended["service"], names.len()), (&json!(service), 2));
    // The same by the query, of one service; and of one that there is not.
    let mut of_service = Listener::of(&admin, &format!("/events?service={service}&after={id}"));
    of_service.next();
    assert!(of_service.next().unwrap().2["service"] == service);
    let mut of_none = Listener::of(&admin, &format!("/events?service=none&after={id}"));
    assert_eq!(of_none.next().unwrap().1, "ready");
    // A stop ends the streams in order.
    here.stop();
    assert!(of_none.next().is_none() && std::iter::from_fn(|| back.next()).count() < 1000);
    here.serve();
    // After a restart nobody knows what was missed.
    for lost in [last.as_str(), "nonsense"] {
        let mut listener = Listener::of(&Client::admin(&here).with("Last-Event-ID", lost), "/events");
        assert_eq!((listener.next().unwrap().1, listener.next().unwrap().1), ("ready".into(), "missed".into()), "{lost}");
    }
    assert_eq!(problem(&Client::admin(&here).get("/events?since=1")), (400, "bad-query".into()));
}

#[test]
fn whoever_may_no_longer_hears_nothing_more() {
    let sandbox = Sandbox::new();
    let (here, _there) = paired(&sandbox);
    let admin = Client::admin(&here);
    super::add_user(&here, "anna", json!({ "role": "admin" }));
    let listen = |client: &Client| {
        let mut listener = Listener::of(client, "/events");
        assert_eq!(listener.next().unwrap().1, "ready");
        listener
    };
    let nobody = Client::of(&here);
    let by_session = || nobody.by_session("anna", "a password of theirs");
    let stays = listen(&nobody.by_session("admin", crate::support::PASSWORD));
    // Signed out, another password, another role, removed.
    let leaving = by_session();
    let mut gone = vec![listen(&leaving)];
    assert_eq!(leaving.delete("/session").status, 204);
    let by_password = nobody.by_password("anna", "a password of theirs");
    gone.extend([listen(&by_session()), listen(&by_password)]);
    assert_eq!(admin.change("PUT", "/users/anna/password", &json!({ "password": "another password" })).status, 200);
    let demoted = nobody.by_session("anna", "another password");
    gone.push(listen(&demoted));
    assert_eq!(admin.change("PATCH", "/users/anna", &json!({ "role": "user" })).status, 200);
    here.sync();
    for (number, mut listener) in gone.into_iter().enumerate() {
        assert!(listener.next().is_none(), "{number}");
    }
    let mut stays = stays;
    stays.until("ended");
}
