//! What the connection doctor says, for people.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::output::string;

/// Where the sentences begin, and how wide they are.
const INDENT: usize = 34;
const WIDTH: usize = 90;

/// The answer to `service test`.
pub(super) fn text(answer: &Value) -> String {
    let name = string(answer, "name");
    let mut text = format!("{name}: {}\n", string(answer, "url"));
    for check in answer["checks"].as_array().into_iter().flatten() {
        let mark = match check["status"].as_str() {
            Some("ok") => "ok",
            Some("warning") => "WARNING",
            Some("failed") => "FAILED",
            _ => "-",
        };
        let lines = wrapped(&string(check, "text"));
        let mut lines = lines.iter();
        let _ = writeln!(text, "  {mark:<8}{:<24}{}", string(check, "title"), lines.next().map_or("", String::as_str));
        for line in lines {
            let _ = writeln!(text, "{:INDENT$}{line}", "");
        }
    }
    let kind = match answer["version"].as_str() {
        Some(version) => format!("{} {version}", string(answer, "kind")),
        None => string(answer, "kind"),
    };
    let end = match (answer["connected"] == true, answer["ok"] == true) {
        (false, _) => format!("{name} cannot be used as it is; the line that says FAILED tells why"),
        (true, false) => format!("{name} can be reached ({kind}), but not everything works; the lines that say FAILED tell what"),
        (true, true) => format!("{name} works ({kind})"),
    };
    let _ = writeln!(text, "{end}");
    text
}

/// What is known of a service besides its settings.
pub(super) fn known(service: &Value) -> String {
    let mut text = String::new();
    let reached = &service["reached"];
    if let (Some(last), Some(lowest)) = (reached["last"].as_str(), reached["lowest"].as_str()) {
        let _ = writeln!(text, "  proven by      {last} in the last run, {lowest} at the least");
    }
    let found = &service["found"];
    if let Some(at) = found["at"].as_i64().and_then(|at| Timestamp::from_second(at).ok()) {
        let way = found["way"].as_str().unwrap_or("no way");
        let _ = write!(text, "  examined       {}: uploads by {way}", at.to_string().chars().take(10).collect::<String>());
        let _ = match found["outdated"].as_str() {
            Some(why) => writeln!(text, "; not true any more, because {why}"),
            None => writeln!(text, ", checksums {}", found["checksums"].as_str().unwrap_or("unknown")),
        };
    }
    text
}

/// A text in lines of a bearable width.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_made_of_the_checks_and_long_sentences_are_wrapped() {
        let long = "word ".repeat(40);
        let answer = json!({ "name": "svc", "url": "http://h/", "ok": false, "connected": true, "kind": "apache", "version": "2.4", "checks": [
            { "id": "dns", "title": "DNS", "status": "ok", "text": "fine" },
            { "id": "write", "title": "write", "status": "failed", "text": long },
        ] });
        let text = text(&answer);
        assert!(
            text.contains("\n  ok      DNS                     fine\n") && text.contains("\n  FAILED  write                   word word"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= INDENT + WIDTH), "{text}");
        assert!(
            text.ends_with("svc can be reached (apache 2.4), but not everything works; the lines that say FAILED tell what\n"),
            "{text}"
        );
    }
}
