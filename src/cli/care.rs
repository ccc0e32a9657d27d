//! What `trash`, `conflicts` and `tombstones` print for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::operations::Care;

use super::output::{bytes, list, string};

pub(super) fn text(care: &Care, answer: &Value) -> String {
    let mut text = match care {
        Care::TrashList => list(answer, "files", trashed, "the trash is empty\n"),
        Care::TrashRestore { .. } => {
            let line = |file: &Value| match string(file, "path") == string(file, "was") {
                true => format!("{} is back\n", string(file, "path")),
                false => format!("{} is back as {}\n", string(file, "was"), string(file, "path")),
            };
            let kept = |file: &Value| format!("{} stays in the trash: {}\n", string(file, "path"), string(file, "reason"));
            list(answer, "restored", line, "") + &list(answer, "kept", kept, "")
        }
        Care::TrashEmpty { .. } => {
            let (removed, size) = (&answer["removed"], bytes(answer["bytes"].as_u64().unwrap_or(0)));
            match answer["left"].as_u64() {
                Some(left) if left > 0 => format!("{removed} files ({size}) are gone for good; {left} stay (--all for all)\n"),
                _ => format!("{removed} files ({size}) are gone for good\n"),
            }
        }
        Care::Verify => {
            let size = bytes(answer["bytes"].as_u64().unwrap_or(0));
            let line = |file: &Value| match file["mended_from"].as_str() {
                Some(service) => {
                    format!("{} was damaged; a good copy came from {service}, the damaged one is in the trash\n", string(file, "path"))
                }
                None => format!(
                    "{0} is damaged: {1}; it is not synced. If it is as it should be: twinlens index --accept '{0}'\n",
                    string(file, "path"),
                    string(file, "reason")
                ),
            };
            format!("{} files were read ({size})\n", answer["files"]) + &list(answer, "damaged", line, "nothing is damaged\n")
        }
        Care::Accept { .. } => {
            let accepted = answer["accepted"].as_array().into_iter().flatten().filter_map(Value::as_str);
            accepted.map(|path| format!("{path} is taken as it is\n")).collect()
        }
        Care::Conflicts => list(answer, "conflicts", conflict, "no conflict copies\n"),
        Care::Resolve { .. } => {
            let now = answer["now"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" and ");
            let mut text = format!("there is now {now}; the next sync carries it over\n");
            for service in answer["stays_on"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let _ = writeln!(text, "{service} keeps its copy: deletions are not followed there (--deletes ignore)");
            }
            text
        }
        Care::Tombstones { .. } => {
            let line =
                |row: &Value| format!("{}  deleted {:<5}  {}\n", string(row, "service"), string(row, "deleted"), string(row, "path"));
            list(answer, "tombstones", line, "no deletions are remembered\n")
        }
        Care::ForgetTombstones { .. } => {
            let count = answer["forgotten"].as_array().map_or(0, Vec::len);
            if count == 0 {
                return format!("no deletion is remembered of {}\n", string(answer, "service"));
            }
            format!("{count} deletions are forgotten; the next sync with {} may bring those files back\n", string(answer, "service"))
        }
    };
    for failed in answer["failed"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "not done: {}: {}", string(failed, "path"), string(failed, "reason"));
    }
    text
}

fn trashed(file: &Value) -> String {
    let why = file["why"].as_str().unwrap_or("");
    let size = bytes(file["size"].as_u64().unwrap_or(0));
    format!("{}  {:<8}  {:>10}  {}\n", string(file, "id"), why, size, string(file, "path"))
}

fn conflict(row: &Value) -> String {
    let version = |key: &str| match row[key].as_object() {
        Some(_) => {
            let version = &row[key];
            let hash: String = string(version, "blake3").chars().take(12).collect();
            let from = match version["from"]["side"].as_str() {
                Some("library") => ", from this library".to_owned(),
                Some(_) => format!(", from {}", string(&version["from"], "service")),
                None => String::new(),
            };
            format!("{}, {}, {hash}{from}", bytes(version["size"].as_u64().unwrap_or(0)), string(version, "modified"))
        }
        None => "gone".to_owned(),
    };
    let only = if row["here"] == true { "" } else { " (not here)" };
    format!(
        "{}\n  this   {}\n  other  {}\n  as     {}{only}\n",
        string(row, "path"),
        version("this"),
        version("other"),
        string(row, "copy")
    )
}
