//! Who may: users, app passwords, guesses, public mode.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Answer, Node, PASSWORD, Sandbox, eventually, http, http_as, read_answer, send_head, show};

const ANNAS: &str = "anna's own password";

/// The status of a request for the library's root.
fn status(node: &Node, user: &str, password: &str) -> u16 {
    http_as(user, password, "PROPFIND", &node.originals(), &[("Depth", "0")], b"").status
}

#[track_caller]
fn add(node: &Node, name: &str, options: &[&str]) -> Value {
    let output = add_with(node, name, options);
    assert_eq!(output.status.code(), Some(0), "{}", show(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn add_with(node: &Node, name: &str, options: &[&str]) -> Output {
    node.run_with_password(&[&["user", "add", name, "--json", "--password-stdin"], options].concat(), ANNAS)
}

fn rights(words: &str) -> Value {
    let has = |word| words.split(',').any(|given| given == word);
    json!({ "read": has("read"), "add": has("add"), "change": has("change"), "delete": has("delete") })
}

const ALL: &str = "read,add,change,delete";

#[test]
fn users_have_roles_a_root_and_rights() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let anna = add(&node, "anna", &["--folder", "/Family/Anna/", "--originals", "read,add", "--import", "none"]);
    let expected =
        json!({ "name": "anna", "role": "user", "folder": "Family/Anna", "originals": rights("read,add"), "import": rights("") });
    assert_eq!(anna, expected);
    add(&node, "vera", &["--role", "viewer"]);
    let admin = json!({ "name": "admin", "role": "admin", "folder": "", "originals": rights(ALL), "import": rights(ALL) });
    let vera = json!({ "name": "vera", "role": "viewer", "folder": "", "originals": rights("read"), "import": rights("read") });
    assert_eq!(node.run(&["user", "list"])["users"], json!([admin, anna, vera]));

    let edited = node.run(&["user", "edit", "anna", "--originals", "default", "--import", "read,add"]);
    assert_eq!((&edited["originals"], &edited["import"], &edited["folder"]), (&rights(ALL), &rights("read,add"), &json!("Family/Anna")));
    // The change holds for the next request of somebody who was logged in already.
    assert_eq!(status(&node, "vera", ANNAS), 207);
    let put = |name: &str| http_as("vera", ANNAS, "PUT", &format!("{}{name}", node.originals()), &[], b"x").status;
    assert_eq!(put("a.jpg"), 403);
    node.run(&["user", "edit", "vera", "--role", "user"]);
    assert_eq!(put("a.jpg"), 201);
    node.run(&["user", "edit", "vera", "--role", "viewer"]);
    assert_eq!(put("b.jpg"), 403);
    let list = show(&node.command(&["user", "list"]).output().unwrap());
    assert!(list.contains("anna  user  root /Family/Anna  originals all  import read,add\n"), "{list}");
}

#[test]
fn what_no_user_can_be_is_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    for (options, reason) in [
        (&["--originals", "read,write"][..], "there is no right write"),
        (&["--folder", "a/../b"], "cannot be a folder"),
        (&["--folder", ".twinlens/trash"], "Twinlens itself"),
        (&["--role", "viewer", "--originals", "read,add"], "a viewer only reads"),
        (&["--role", "admin", "--originals", "read"], "an admin always has"),
        (&["--role", "admin", "--folder", "a"], "an admin always has"),
    ] {
        let output = add_with(&node, "eve", options);
        assert!(output.status.code() == Some(2) && show(&output).contains(reason), "{options:?}: {}", show(&output));
    }
    add(&node, "anna", &["--folder", "anna"]);
    for (arguments, reason) in [
        (&["user", "edit", "admin", "--role", "user"][..], "the only admin"),
        (&["user", "edit", "admin", "--import", "read"], "an admin always has"),
        (&["user", "edit", "anna", "--role", "admin"], "--folder /"),
        (&["user", "edit", "anna"], "nothing to change"),
        (&["user", "edit", "eve", "--role", "user"], "no user eve"),
    ] {
        let refused = node.run_expecting(2, arguments);
        assert!(refused["error"].as_str().unwrap().contains(reason), "{arguments:?}: {refused}");
    }
    let promoted = node.run(&["user", "edit", "anna", "--role", "admin", "--folder", "/"]);
    assert_eq!((&promoted["role"], &promoted["folder"]), (&json!("admin"), &json!("")));
    // Now there is another one.
    node.run(&["user", "edit", "admin", "--role", "user"]);
    assert_eq!(node.run(&["user", "list"])["users"].as_array().unwrap().len(), 2);
}

#[test]
fn app_passwords_are_made_used_listed_and_revoked() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    add(&node, "anna", &[]);
    let made = node.run(&["user", "app-password", "anna", "Phone"]);
    let password = made["password"].as_str().unwrap();
    let groups: Vec<_> = password.split('-').map(str::len).collect();
    assert_eq!((&made["user"], &made["label"], groups), (&json!("anna"), &json!("Phone"), vec![5; 5]));
    let unused = node.run(&["user", "app-passwords", "anna"]);
    assert_eq!((&unused["user"], &unused["app_passwords"][0]["last_used"]), (&json!("anna"), &Value::Null));

    assert_eq!((status(&node, "anna", password), status(&node, "anna", ANNAS)), (207, 207));
    assert_eq!(status(&node, "admin", password), 401, "it is Anna's alone");
    eventually("noting the use", || node.run(&["user", "app-passwords", "anna"])["app_passwords"][0]["last_used"].is_string());
    let laptop = node.run(&["user", "app-password", "anna", "Laptop"])["password"].as_str().unwrap().to_owned();
    let listed = node.run(&["user", "app-passwords", "anna"]);
    assert!(listed["app_passwords"].as_array().unwrap().len() == 2 && !listed.to_string().contains(password), "{listed:#}");

    // Another password of her own changes nothing for her devices; taking one back does, at the very next request.
    assert!(node.run_with_password(&["user", "passwd", "anna", "--password-stdin"], "another password").status.success());
    assert_eq!(status(&node, "anna", password), 207);
    let revoked = node.run(&["user", "revoke", "anna", "Phone"]);
    assert_eq!((&revoked["revoked"], &revoked["label"]), (&made["id"], &json!("Phone")));
    assert_eq!((status(&node, "anna", password), status(&node, "anna", &laptop)), (401, 207));
    assert_eq!(node.run(&["user", "app-passwords", "anna"])["app_passwords"].as_array().unwrap().len(), 1);
    for arguments in [&["user", "revoke", "anna", "Phone"], &["user", "revoke", "eve", "Phone"], &["user", "app-password", "eve", "Phone"]]
    {
        node.run_expecting(2, arguments);
    }

    // They are there after a restart, and can be revoked without a running node.
    node.stop();
    node.serve();
    assert_eq!(status(&node, "anna", &laptop), 207);
    node.stop();
    node.run(&["user", "revoke", "anna", "Laptop"]);
    node.serve();
    assert_eq!(status(&node, "anna", &laptop), 401);
}

#[test]
fn the_right_password_is_welcome_while_wrong_ones_wait() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    add(&node, "anna", &[]);
    let phone = node.run(&["user", "app-password", "anna", "Phone"])["password"].as_str().unwrap().to_owned();
    let guess = |n: usize| send_head("anna", &format!("wrong guess {n}"), "GET", &node.originals(), &[]);
    let refused = |answer: &Answer| -> bool {
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        assert_eq!(answer.status == 429, answer.headers.contains_key("retry-after"), "{answer:?}");
        answer.status == 429
    };
    for n in 0..4 {
        assert!(!refused(&read_answer(&mut guess(n))), "the first few are typing errors");
    }
    let mut pending: Vec<_> = (4..24).map(guess).collect();
    // Anna was not here before: her password is among guesses that nobody has looked at yet, and others that are held back.
    assert_eq!(status(&node, "anna", &phone), 207);
    assert_eq!(status(&node, "anna", ANNAS), 207);
    assert_eq!(status(&node, "anna", ANNAS), 207);
    assert_eq!(status(&node, "admin", PASSWORD), 207);
    // The end of the node is not held back by pauses.
    node.stop();
    let slowed = pending.iter_mut().map(read_answer).filter(refused).count();
    assert!(slowed > 0, "nobody was slowed down");
}

#[test]
fn in_public_mode_nothing_is_there_that_needs_a_login() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.put("a.jpg", "a");
    // Set up before, as usual.
    node.serve();
    add(&node, "anna", &[]);
    node.stop();
    node.serve_with(&["--public"]);
    for path in ["/livez", "/readyz"] {
        assert_eq!(http("GET", &format!("{}{path}", node.url()), &[], b"").status, 200, "{path}");
    }
    for (user, password) in [("anna", ANNAS), ("admin", PASSWORD), ("nobody", "nothing at all")] {
        let answer = http_as(user, password, "GET", &format!("{}a.jpg", node.originals()), &[], b"");
        assert!(matches!(answer.status, 401 | 403), "{user}: {answer:?}");
    }
    for arguments in [
        &["user", "list"][..],
        &["user", "edit", "anna", "--role", "admin"],
        &["user", "remove", "anna"],
        &["user", "app-password", "anna", "Phone"],
        &["user", "app-passwords", "anna"],
        &["user", "revoke", "anna", "Phone"],
        &["service", "list"],
        &["service", "show", "peer"],
        &["service", "test", "peer"],
        &["service", "remove", "peer"],
        &["service", "sync", "peer", "--on"],
        &["sync"],
    ] {
        let refused = node.run_expecting(2, arguments);
        assert!(refused["error"].as_str().unwrap().contains("runs in public mode"), "{arguments:?}: {refused}");
    }
    for arguments in [&["user", "add", "eve", "--password-stdin"][..], &["user", "passwd", "anna", "--password-stdin"]] {
        let refused = node.run_with_password(arguments, "a new password");
        assert!(refused.status.code() == Some(2) && show(&refused).contains("runs in public mode"), "{}", show(&refused));
    }
    let refused = node.add_service("peer", &node.originals());
    assert!(refused.status.code() == Some(2) && show(&refused).contains("runs in public mode"), "{}", show(&refused));
    assert_eq!(node.run(&["status"])["public"], true);
    assert_eq!(node.run(&["index"])["files"], 1);

    // Without a running node, and after it, everything is as it was.
    node.stop();
    assert_eq!(node.run(&["user", "list"])["users"].as_array().unwrap().len(), 2);
    node.serve();
    assert_eq!(status(&node, "anna", ANNAS), 207);
}

#[test]
fn a_node_that_was_only_ever_public_has_no_users() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(&["--public"]);
    assert_ne!(status(&node, "admin", PASSWORD), 207);
    node.stop();
    assert_eq!(node.run(&["user", "list"])["users"], json!([]));
    node.serve();
    assert_eq!(status(&node, "admin", PASSWORD), 207);
}
