//! The passwords of services: sealed at rest, taken along in a document, and shown nowhere.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Node, PASSWORD, Sandbox, assert_counts, show, tree};

/// Of a user of the peer: nothing else has it.
const SECRET: &str = "Zugang-4711:x";
const PASSPHRASE: &str = "a phrase for the way";

fn run(node: &Node, env: &[(&str, &str)], args: &[&str], input: &str) -> Output {
    let mut command = node.command(args);
    command.envs(env.iter().copied());
    let (mut command, input) = (command, input.to_owned());
    use std::io::Write as _;
    use std::process::Stdio;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses early does not read.
    let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    assert!(output.status.code() == Some(code) && show(output).contains(words), "{code}, {words:?}: {}", show(output));
}

/// A peer with a user whose password is the secret.
fn peer(sandbox: &Sandbox) -> Node {
    let mut peer = sandbox.node("p");
    peer.put("2024/a.jpg", "a");
    peer.serve();
    let added = peer.run_with_password(&["user", "add", "anna", "--password-stdin"], SECRET);
    assert!(added.status.success(), "{}", show(&added));
    peer
}

#[test]
fn a_password_is_shown_nowhere() {
    let sandbox = Sandbox::new();
    let (peer, mut node) = (peer(&sandbox), sandbox.node("n"));
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("anna:{SECRET}"));
    let in_url = SECRET.replace(':', "%3A");
    let traces = |text: &str| [SECRET, &encoded, &in_url, "Zugang-4711"].iter().any(|secret| text.contains(secret));
    let host = peer.url().replace("http://", "");
    let closed = format!("http://anna:{in_url}@127.0.0.1:1/dav/");
    let typo = format!("ftp://anna:{in_url}@{host}/");
    let slash = "https://anna:Zugang-4711/x@h";
    let with = format!("anna:{in_url}@{host}");
    let round = |node: &Node| {
        let mut said = String::new();
        let commands: &[(&[&str], &str)] = &[
            (&["service", "add", "svc", &host, "--user", "anna", "--password-stdin"], SECRET),
            (&["service", "add", "url", &with], ""),
            (&["service", "add", "no", &closed], ""),
            (&["service", "add", "no", &typo], ""),
            (&["service", "add", "no", slash], ""),
            (&["service", "add", "no", &host, "--user", "eve", "--password-stdin"], SECRET),
            (&["service", "list"], ""),
            (&["service", "show", "url"], ""),
            (&["service", "folders", "svc", "/2024"], ""),
            (&["service", "sync", "svc", "--on", "--upload", "yes"], ""),
            (&["service", "test", "svc"], ""),
            (&["sync"], ""),
            (&["service", "edit", "svc", "--password-stdin"], SECRET),
            (&["service", "edit", "svc", "--url", &closed], ""),
            (&["service", "edit", "svc", "--url", &closed, "--keep"], ""),
            (&["sync"], ""),
            (&["service", "edit", "svc", "--undo"], ""),
            (&["service", "export", "--passphrase-stdin"], PASSPHRASE),
            (&["status"], ""),
            (&["history"], ""),
            (&["service", "remove", "url"], ""),
            (&["service", "remove", "svc"], ""),
        ];
        for (args, input) in commands {
            for json in [&[][..], &["--json"]] {
                said += &show(&run(node, &[("TWINLENS_LOG", "trace")], &[args, json].concat(), input));
            }
        }
        said
    };
    let said = round(&node);
    assert!(said.contains("TRACE") && said.contains("uploaded") && said.contains("\"sealed\""), "not everything was said");
    let leak = said.lines().find(|line| traces(line));
    assert_eq!(leak, None);
    let log = node.serve_logged(&["-vvv"]);
    let said = round(&node);
    assert_eq!(said.lines().find(|line| traces(line)), None);
    // What its processes were started with.
    let arguments = std::fs::read(format!("/proc/{}/cmdline", node.pid())).unwrap_or_default();
    assert!(!traces(&String::from_utf8_lossy(&arguments)));
    node.stop();
    let on_disk = tree(&node.data);
    assert!(on_disk.contains_key("state.redb") && on_disk.contains_key("secret.key"));
    assert_eq!(on_disk.iter().find(|(_, text)| traces(text)).map(|(path, _)| path), None);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("TRACE"), "{log}");
    assert_eq!(log.lines().find(|line| traces(line)), None);
}

#[test]
fn a_secret_of_the_environment_takes_the_place_of_the_key_file() {
    let sandbox = Sandbox::new();
    let (peer, node) = (peer(&sandbox), sandbox.node("n"));
    let secret = [("TWINLENS_SECRET", "a long enough passphrase")];
    let wrong = [("TWINLENS_SECRET", "another long passphrase")];
    let other = [("TWINLENS_SECRET", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")];
    let originals = peer.originals();
    let add = ["service", "add", "svc", &originals, "--user", "anna", "--password-stdin"];
    let sync = |env: &[(&str, &str)]| run(&node, env, &["sync", "svc"], "");
    says(&run(&node, &[("TWINLENS_SECRET", "short")], &add, SECRET), 3, "at least 12 characters");
    says(&run(&node, &secret, &add, SECRET), 0, "svc is connected");
    assert!(!node.data.join("secret.key").exists());
    says(&run(&node, &secret, &["service", "sync", "svc", "--on"], ""), 0, "svc");
    says(&sync(&secret), 0, "1 downloaded");
    // Without it, and with another, it says so, and loses nothing.
    says(&sync(&[]), 3, "TWINLENS_SECRET, which is not set");
    says(&sync(&wrong), 3, "TWINLENS_SECRET is not the one");
    says(&run(&node, &[], &["service", "list"], ""), 0, "svc");
    says(&run(&node, &wrong, &["serve", "--listen", "127.0.0.1:0"], ""), 3, "TWINLENS_SECRET is not the one");
    says(&run(&node, &wrong, &["service", "edit", "svc", "--password-stdin"], SECRET), 3, "TWINLENS_SECRET is not the one");
    says(&sync(&secret), 0, "svc");
    // Another secret.
    says(&run(&node, &other, &["service", "reseal"], ""), 3, "TWINLENS_SECRET is not the one");
    let with = |new: [(&'static str, &'static str); 1], old: [(&'static str, &'static str); 1]| [new[0], ("TWINLENS_OLD_SECRET", old[0].1)];
    says(&run(&node, &with(other, wrong), &["service", "reseal"], ""), 3, "TWINLENS_SECRET is not the one");
    says(&sync(&secret), 0, "svc");
    says(&run(&node, &with(other, secret), &["service", "reseal"], ""), 0, "1 password sealed anew with TWINLENS_SECRET");
    says(&sync(&secret), 3, "TWINLENS_SECRET is not the one");
    says(&sync(&other), 0, "svc");
    // To a file, and back.
    says(&run(&node, &[("TWINLENS_OLD_SECRET", other[0].1)], &["service", "reseal"], ""), 0, "sealed anew with secret.key");
    says(&sync(&[]), 0, "svc");
    says(&sync(&secret), 3, "twinlens service reseal");
    says(&run(&node, &secret, &["service", "reseal"], ""), 0, "secret.key is not needed any more");
    std::fs::remove_file(node.data.join("secret.key")).unwrap();
    says(&sync(&secret), 0, "svc");
}

#[test]
fn services_move_to_another_node_in_a_document() {
    let sandbox = Sandbox::new();
    let (peer, node, mut other) = (peer(&sandbox), sandbox.node("n"), sandbox.node("o"));
    let originals = peer.originals();
    for name in ["one", "two"] {
        let added = run(&node, &[], &["service", "add", name, &originals, "--user", "anna", "--password-stdin"], SECRET);
        assert!(added.status.success(), "{}", show(&added));
    }
    node.run(&["service", "sync", "one", "--on", "--interval", "2h", "--exclude", "*.psd"]);
    node.run(&["service", "edit", "one", "--timeout", "low", "--retries", "1"]);
    says(&run(&node, &[], &["service", "export", "--passphrase-stdin"], "short"), 2, "8 characters");
    says(&run(&node, &[], &["service", "export", "three", "--passphrase-stdin"], PASSPHRASE), 2, "no service three");
    let exported = run(&node, &[], &["service", "export", "--passphrase-stdin"], PASSPHRASE);
    let document: Value = serde_json::from_slice(&exported.stdout).unwrap();
    assert_eq!((&document["version"], &document["services"][0]["sync"]["interval_minutes"]), (&json!(1), &json!(120)));
    assert!(!document.to_string().contains(SECRET));
    let file = sandbox.path().join("services.json");
    let file = file.to_str().unwrap();
    let import = |node: &Node, document: &Value, passphrase: &str, extra: &[&str]| {
        std::fs::write(file, document.to_string()).unwrap();
        run(node, &[], &[&["service", "import", file, "--passphrase-stdin"], extra].concat(), passphrase)
    };
    let services = |node: &Node| node.run(&["service", "list"])["services"].clone();

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = document.clone();
        change(&mut document);
        document
    };
    for (document, passphrase, words) in [
        (document.clone(), "another phrase", "passphrase is wrong"),
        (changed(&|it| it["services"][0]["url"] = json!("http://127.0.0.1:1/")), PASSPHRASE, "were changed"),
        (changed(&|it| drop(it["services"].as_array_mut().unwrap().pop())), PASSPHRASE, "were changed"),
        (changed(&|it| it["version"] = json!(2)), PASSPHRASE, "newer version"),
        (changed(&|it| it["sealed"] = json!("AAAA")), PASSPHRASE, "passphrase is wrong, or"),
        (changed(&|it| it["kdf"]["memory_kib"] = json!(4_000_000_000_u32)), PASSPHRASE, "costs too much"),
        (json!({ "twinlens": "something" }), PASSPHRASE, "no document of"),
        (json!([1, 2]), PASSPHRASE, "no document of"),
    ] {
        let output = import(&other, &document, passphrase, &[]);
        assert!(matches!(output.status.code(), Some(2 | 3)) && show(&output).contains(words), "{words:?}: {}", show(&output));
        assert_eq!(services(&other), json!([]));
    }
    says(&run(&other, &[], &["service", "import", "/no/such/file", "--passphrase-stdin"], PASSPHRASE), 2, "cannot be read");

    // Through a running node.
    other.serve();
    says(&import(&other, &document, PASSPHRASE, &[]), 0, "one, two: added");
    let told = other.run(&["service", "show", "one"]);
    assert_eq!((&told["timeout"], &told["retries"], &told["sync"]["exclude"]), (&json!("low"), &json!(1), &json!(["*.psd"])));
    assert_counts(&other.sync(), &[("downloaded", 1)]);
    // Names that are taken: nothing of it, or all of it.
    other.run(&["service", "remove", "two"]);
    let before = services(&other);
    says(&import(&other, &document, PASSPHRASE, &[]), 2, "names already: one.");
    assert_eq!(services(&other), before);
    says(&import(&other, &document, PASSPHRASE, &["--replace"]), 0, "one: replaced");
    // The same folder: what was agreed is kept.
    assert_counts(&other.sync(), &[]);
    assert_eq!(services(&other).as_array().unwrap().len(), 2);
}

#[test]
fn in_public_mode_there_are_no_services_and_no_secrets() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve_with(&["--public"]);
    let file = sandbox.path().join("services.json");
    std::fs::write(&file, "{}").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let commands: &[&[&str]] = &[
        &["service", "add", "s", "127.0.0.1:1", "--user", "u", "--password-stdin"],
        &["service", "add", "s", "127.0.0.1:1", "--browser"],
        &["service", "list"],
        &["service", "edit", "s", "--undo"],
        &["service", "edit", "s", "--timeout", "low"],
        &["service", "folders", "s"],
        &["service", "export", "--passphrase-stdin"],
        &["service", "import", &file, "--passphrase-stdin"],
        &["service", "reseal"],
        &["user", "list"],
        &["sync"],
    ];
    for args in commands {
        says(&node.run_with_password(args, PASSWORD), 2, "public mode");
    }
    node.stop();
    // The same setting holds for the command line where it is the machine's; otherwise nothing is served, and the owner is at home.
    for args in commands {
        says(&run(&node, &[("TWINLENS_PUBLIC", "true")], args, PASSWORD), 2, "public mode");
    }
    assert_eq!(node.run(&["service", "list"])["services"], json!([]));
    says(&run(&node, &[("TWINLENS_PUBLIC", "no")], &["service", "list"], ""), 0, "no services yet");
}
