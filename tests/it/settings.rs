//! `twinlens.toml`: a flag counts before a variable, a variable before the file, the file before the default.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::api::Client;
use crate::support::{Node, Sandbox, http, show, write};

fn settings(node: &Node) -> Value {
    serde_json::from_slice(&http("GET", &format!("{}/api/v1/settings", node.url()), &[], b"").body).unwrap()
}

/// The value of a setting and where it comes from.
fn one(settings: &Value, key: &str) -> (Value, String) {
    let all = settings["values"].as_array().unwrap();
    let setting = all.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no {key} in {settings:#}"));
    (setting["value"].clone(), setting["from"].as_str().unwrap().to_owned())
}

fn written(node: &Node, text: &str) {
    write(&node.data.join("twinlens.toml"), text.as_bytes());
}

fn refused(node: &Node, args: &[&str], text: &str) -> String {
    written(node, text);
    let output: Output = node.command(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}: {}", show(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_setting_is_a_line_and_a_flag_and_a_variable_count_before_it() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    let text = "# ours\ntrash_days = 7\nverify_interval = \"2d\"\nmax_upload = \"3M\"\nfinite_depth = true\n\
                trusted_proxy = [\"10.0.0.0/8\", \"192.168.0.0/16\"]\nscan_interval = \"off\"\n";
    written(&node, text);
    // The environment of the tests says where the library is; a flag says something else about the trash.
    node.serve_with(&["--trash-days", "9"]);
    let told = settings(&node);
    assert_eq!(one(&told, "trash_days"), (json!("9"), "flag".into()));
    assert_eq!(one(&told, "library"), (json!(node.library.to_str().unwrap()), "variable".into()));
    assert_eq!(one(&told, "verify_interval"), (json!("2d"), "file".into()));
    assert_eq!(one(&told, "finite_depth"), (json!("true"), "file".into()));
    assert_eq!(one(&told, "trusted_proxy"), (json!("10.0.0.0/8,192.168.0.0/16"), "file".into()));
    assert_eq!(one(&told, "import_quiet"), (json!("60s"), "default".into()));
    assert_eq!(one(&told, "url_prefix"), (Value::Null, "default".into()));
    assert_eq!(
        (&told["keep_trash"], &told["verify_interval"], &told["max_upload"], &told["scan_interval"]),
        (&json!(9 * 86_400), &json!(2 * 86_400), &json!(3 << 20), &Value::Null),
        "they are what the node goes by"
    );
    assert!(!told.to_string().contains("correct horse"));
}

#[test]
fn a_file_that_cannot_be_used_is_told_by_line_and_key() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (text, wanted) in [
        ("\nlisten = \"nowhere\"\n", "twinlens.toml:2: listen: "),
        ("trash_days = 0", "twinlens.toml:1: trash_days: "),
        ("public = \"yes\"", "public: it is true or false"),
        ("listen = true", "listen: it is a text or a number"),
        ("listen = [\"127.0.0.1:0\"]", "listen: it is one value, not a list"),
        ("max_streams = 1.5", "max_streams: it is a text, a whole number"),
        ("a = 1\nlisten", "twinlens.toml:2: "),
        ("[serve]\nlisten = \"127.0.0.1:0\"", "serve: there is no such setting"),
        ("trash-days = 3", "write trash_days"),
        ("admin_password = \"x\"", "secrets come from variables only"),
        ("data = \"/tmp\"", "cannot say where that is"),
    ] {
        let said = refused(&node, &serve, text);
        assert!(said.contains(wanted), "{text}: {said}");
        assert!(!node.data.join("state.redb").exists(), "nothing was begun");
    }
    // A command heeds it as well, and says so in JSON when it is asked to.
    written(&node, "lisen = 1");
    let output = node.command(&["status", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["error"].as_str().unwrap().contains("twinlens.toml:1: lisen: there is no such setting; there are"), "{told:#}");
    // A value that a flag overrules must make sense too.
    assert!(refused(&node, &["serve", "--listen", "127.0.0.1:0", "--trash-days", "3"], "trash_days = 0").contains("trash_days"));
}

#[test]
fn a_node_of_the_file_is_public_for_its_commands_too() {
    let sandbox = Sandbox::new();
    let node = sandbox.node("n");
    written(&node, "public = true\n");
    let output = node.command(&["service", "list"]).output().unwrap();
    assert!(show(&output).contains("public mode"), "{}", show(&output));
    let mut command = node.command(&["service", "list"]);
    assert!(command.env("TWINLENS_PUBLIC", "no").output().unwrap().status.success(), "the variable counts before it");
}

#[test]
fn what_can_be_changed_while_it_runs_is_changed_and_written_and_nothing_else() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    written(&node, "# ours\ntrash_days = 7 # a week\n");
    node.serve_with(&["--verify-interval", "1d"]);
    let admin = Client::admin(&node);
    let answer = admin.change("PATCH", "/settings", &json!({ "trash_days": "off", "scan_interval": "2h" }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = settings(&node);
    assert_eq!(one(&told, "trash_days"), (json!("off"), "file".into()));
    assert_eq!((&told["keep_trash"], &told["scan_interval"]), (&Value::Null, &json!(7200)));
    let text = || fs::read_to_string(node.data.join("twinlens.toml")).unwrap();
    assert_eq!(text(), "# ours\ntrash_days = \"off\" # a week\nscan_interval = \"2h\"\n");
    for (change, status, wanted) in [
        (json!({ "verify_interval": "2d" }), 409, "--verify-interval"),
        (json!({ "trash_days": "3", "verify_interval": "2d" }), 409, "--verify-interval"),
        (json!({ "trash_days": "never" }), 422, "trash_days"),
        (json!({ "listen": "127.0.0.1:0" }), 400, "listen"),
    ] {
        let answer = admin.change("PATCH", "/settings", &change);
        assert_eq!(answer.status, status, "{change}: {}", answer.text());
        assert!(answer.text().contains(wanted), "{change}: {}", answer.text());
    }
    assert_eq!(text(), "# ours\ntrash_days = \"off\" # a week\nscan_interval = \"2h\"\n", "nothing of what was refused");
    // After a restart it is as it was changed.
    node.stop();
    node.serve();
    let told = settings(&node);
    assert_eq!((one(&told, "scan_interval"), &told["keep_trash"]), ((json!("2h"), "file".into()), &Value::Null));
}
