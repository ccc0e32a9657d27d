//! `rclone serve webdav`.

use std::fs;
use std::process::Command;

use crate::peers::{Server, free_port, listening};
use crate::support::{PASSWORD, Sandbox, have};

use super::story::{Habits, tell};

#[test]
fn rclone_serve_webdav_tells_the_whole_story() {
    if !have("rclone") {
        return;
    }
    let sandbox = Sandbox::new();
    let files = sandbox.path().join("served");
    fs::create_dir_all(&files).unwrap();
    let port = free_port();
    let mut command = Command::new("rclone");
    command.env("RCLONE_CONFIG", sandbox.path().join("rclone.conf")).args(["serve", "webdav"]).arg(&files);
    command.args(["--addr", &format!("127.0.0.1:{port}"), "--user", "admin", "--pass", PASSWORD]);
    let server = Server { url: format!("http://127.0.0.1:{port}/"), files, parts: vec![listening(&mut command, port)] };
    tell(&sandbox, &server, Habits { conditions: false, ..Habits::plain("rclone serve webdav", "rclone") });
}
