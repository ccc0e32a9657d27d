//! WsgiDAV, a server in Python.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::peers::{Server, free_port, listening};
use crate::support::{PASSWORD, Sandbox, have};

use super::story::{Habits, tell};

#[test]
fn wsgidav_tells_the_whole_story() {
    if !have("wsgidav") {
        return;
    }
    let sandbox = Sandbox::new();
    let files = sandbox.path().join("served");
    fs::create_dir_all(&files).unwrap();
    let (port, config) = (free_port(), sandbox.path().join("wsgidav.json"));
    let settings = json!({
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": { "/": files },
        "http_authenticator": { "accept_basic": true, "accept_digest": false, "default_to_digest": false },
        "simple_dc": { "user_mapping": { "*": { "admin": { "password": PASSWORD } } } },
        "verbose": 1,
    });
    fs::write(&config, settings.to_string()).unwrap();
    let running = listening(Command::new("wsgidav").arg("--config").arg(&config), port);
    let server = Server { url: format!("http://127.0.0.1:{port}/"), files, parts: vec![running] };
    tell(&sandbox, &server, Habits::plain("WsgiDAV", "wsgidav"));
}
