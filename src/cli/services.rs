//! What is said of services, for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::operations::Command;

use super::output::{bytes, interval, list, several, string};
use super::{checkup, shares};

/// The text for an answer.
pub(super) fn text(command: &Command, answer: &Value) -> String {
    match command {
        Command::ServiceAdd(_) => added(answer),
        Command::ServiceLogin(_) if answer["state"] == "edited" => edited(answer),
        Command::ServiceLogin(_) => added(answer),
        Command::ServiceList => {
            let line = |service: &Value| {
                let sync = if service["sync"]["on"] == true { "sync on" } else { "sync off" };
                let proof = service["reached"]["last"].as_str().map(|level| format!("  proven by {level}")).unwrap_or_default();
                let shared = shares::in_short(&service["upload"]);
                format!("{}  {}  {sync}  {shared}{proof}\n", string(service, "name"), string(service, "url"))
            };
            list(answer, "services", line, "no services yet; add one with: twinlens service add NAME URL --user U\n")
        }
        Command::ServiceEdit { .. } | Command::ServiceUndo { .. } => edited(answer),
        Command::ServiceFolders { .. } => folders(answer),
        Command::ServiceExport { .. } => format!("{answer:#}\n"),
        Command::ServiceImport(_) => {
            let names = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            let mut text = String::new();
            for (key, said) in [
                ("added", "added"),
                ("replaced", "replaced"),
                ("forgotten", "leads to another folder now, so the next sync compares everything anew and takes nothing for a deletion"),
            ] {
                let names = names(key);
                if !names.is_empty() {
                    let _ = writeln!(text, "{names}: {said}");
                }
            }
            text
        }
        Command::ServiceReseal { .. } => {
            let (count, key) = (several(answer["passwords"].as_u64().unwrap_or(0), "password"), string(answer, "key"));
            let rest = if key == "secret.key" { "" } else { "; the file secret.key is not needed any more" };
            format!("{count} sealed anew with {key}{rest}\n")
        }
        Command::ServiceRemove { name } => {
            let mut text = format!("{name} is removed; photos stay where they are, on both sides\n");
            if answer["app_password"] == "revoked" {
                text.push_str("The app password that it had made for this node is taken back there\n");
            }
            for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let _ = writeln!(text, "{warning}");
            }
            text
        }
        _ => service(answer),
    }
}

fn added(answer: &Value) -> String {
    let name = string(answer, "name");
    let mut text = format!("{name} is connected: {}\n", found(&answer["discovered"]));
    text.push_str(&in_root(&answer["discovered"]));
    let _ = writeln!(text, "Set up what is synced with: twinlens service sync {name} --on");
    text
}

/// What it is and where.
fn found(discovered: &Value) -> String {
    let version = discovered["version"].as_str().map(|version| format!(" {version}")).unwrap_or_default();
    let plain = if discovered["plain_http"] == true { " (plain http: nothing is encrypted)" } else { "" };
    format!("{}{version} at {}{plain}", string(discovered, "kind"), string(discovered, "url"))
}

/// The folders that are there.
fn in_root(discovered: &Value) -> String {
    let names: Vec<&str> = discovered["folders"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let more = discovered["folders_total"].as_u64().unwrap_or(0).saturating_sub(names.len() as u64);
    let mut text = format!("  {} in its root\n", several(discovered["files"].as_u64().unwrap_or(0), "file"));
    for name in names {
        let _ = writeln!(text, "  /{name}/");
    }
    if more > 0 {
        let _ = writeln!(text, "  and {} more", several(more, "folder"));
    }
    text
}

fn edited(answer: &Value) -> String {
    let name = string(answer, "name");
    let mut text = String::new();
    if answer["discovered"].is_object() {
        let _ = writeln!(text, "found: {}", found(&answer["discovered"]));
    }
    if let Some(reason) = answer["broken"].as_str() {
        let _ = writeln!(
            text,
            "This does not work, and was kept all the same: {reason}\nTake it back with: twinlens service edit {name} --undo"
        );
    }
    if answer["forgotten"] == true {
        let _ = writeln!(
            text,
            "It leads to another folder than before. What was agreed with the old one is forgotten: the next sync compares everything anew, \
             and takes nothing for a deletion"
        );
    }
    text + &service(answer)
}

fn folders(answer: &Value) -> String {
    let (path, name) = (string(answer, "path"), string(answer, "name"));
    let files = several(answer["files"].as_u64().unwrap_or(0), "file");
    let made = if answer["created"] == true { "made just now; " } else { "" };
    let mut text = format!("/{path} of {name}: {made}{files}\n");
    let below = if path.is_empty() { String::new() } else { format!("/{path}") };
    for folder in answer["folders"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(text, "  {below}/{folder}");
    }
    if answer["more"] == true {
        let _ = writeln!(text, "  and more than can be told");
    }
    for strange in answer["unusable"].as_array().into_iter().flatten() {
        let _ =
            writeln!(text, "  cannot be used: {}: {}", strange[0].as_str().unwrap_or_default(), strange[1].as_str().unwrap_or_default());
    }
    text
}

fn service(service: &Value) -> String {
    let sync = &service["sync"];
    let yes = |key: &str| if sync[key] == true { "yes" } else { "no" };
    let mut text =
        format!("{}\n  address        {}\n  user           {}\n", string(service, "name"), string(service, "url"), string(service, "user"));
    let timeout = string(service, "timeout");
    let timeout = if timeout.bytes().all(|byte| byte.is_ascii_digit()) { format!("{timeout} seconds") } else { timeout };
    let _ = writeln!(text, "  type           {}", service["type"].as_str().unwrap_or("not known"));
    let _ = writeln!(text, "  time-out       {timeout}\n  retries        {}", service["retries"]);
    if let Some(fingerprint) = service["fingerprint"].as_str() {
        let _ = writeln!(text, "  certificate    {fingerprint}");
    }
    let _ = write!(
        text,
        "  sync           {}\n  folder         /{}\n  interval       {}\n  download       {}\n  upload         {}\n  keep names     {}\n  \
         RAW and video  {}\n  deletes        {}\n  trust          {}\n  verify         {}\n  rate           {}\n  \
         hours          {}\n",
        if sync["on"] == true { "on" } else { "off" },
        string(sync, "folder"),
        interval(sync["interval_minutes"].as_u64().unwrap_or(0)),
        yes("download"),
        yes("upload"),
        yes("keep_names"),
        yes("raw_and_video"),
        string(sync, "deletes"),
        string(sync, "trust"),
        string(sync, "verify"),
        sync["rate"].as_u64().map_or_else(|| "no limit".to_owned(), |rate| format!("{} a second", bytes(rate))),
        sync["window"].as_str().unwrap_or("all day"),
    );
    text.push_str(&shares::settings(&service["upload"]));
    text.push_str(&checkup::known(service));
    for (title, key) in [("only", "include"), ("leave out", "exclude")] {
        let patterns: Vec<&str> = sync[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !patterns.is_empty() {
            let _ = writeln!(text, "  {title:<13}  {}", patterns.join("  "));
        }
    }
    text
}
