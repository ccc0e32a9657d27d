//! What `trash` prints for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::node::Care;

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
