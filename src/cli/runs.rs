//! Runs in words: those that go on, that were, that will be.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::operations::Command;

use super::output::{bytes, several};

/// The text for an answer about runs.
pub(super) fn text(command: &Command, answer: &Value) -> String {
    let names = |key: &str| {
        let names = answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(", ")
    };
    match command {
        Command::Pause { .. } => match names("paused") {
            none if none.is_empty() => "there is no service to pause\n".to_owned(),
            names => format!("paused: {names}; until `twinlens resume` nothing is synced by itself\n"),
        },
        Command::Resume { .. } => match names("resumed") {
            none if none.is_empty() => "there is no service to resume\n".to_owned(),
            names => format!("resumed: {names}\n"),
        },
        Command::Cancel { .. } => match names("cancelled") {
            none if none.is_empty() => "no sync is running\n".to_owned(),
            names => format!("cancelled: {names}; what is done stays done\n"),
        },
        _ => history(answer),
    }
}

fn history(answer: &Value) -> String {
    if let Some(run) = answer.get("run") {
        let mut text = line(run);
        for file in answer["files"].as_array().into_iter().flatten() {
            let size = file["bytes"].as_u64().filter(|size| *size > 0).map(|size| format!(", {}", bytes(size))).unwrap_or_default();
            let end = file["failure"].as_str().map_or_else(|| "done".to_owned(), |failure| format!("failed: {failure}"));
            let _ = writeln!(text, "  {:<17} {}{size}: {end}", word(file, "action"), word(file, "path"));
        }
        if let Some(untold) = answer["untold"].as_u64().filter(|untold| *untold > 0) {
            let _ = writeln!(text, "  and {untold} more, of which it is not kept what became of them");
        }
        return text;
    }
    match answer["runs"].as_array() {
        Some(runs) if !runs.is_empty() => runs.iter().map(line).collect(),
        _ => "nothing was synced yet\n".to_owned(),
    }
}

fn line(run: &Value) -> String {
    let counts = &run["counts"];
    let told = [
        ("uploaded", "uploaded"),
        ("downloaded", "downloaded"),
        ("moved", "moved"),
        ("deleted", "deleted"),
        ("adopted", "already there"),
        ("failed", "failed"),
    ];
    let told: Vec<_> = told
        .iter()
        .filter_map(|(key, word)| counts[*key].as_u64().filter(|count| *count > 0).map(|count| format!("{count} {word}")))
        .collect();
    let stopped = run["error"].as_str().map(|error| format!("stopped: {error}"));
    let told = match (told.is_empty(), stopped) {
        (true, None) => "nothing to do".to_owned(),
        (true, Some(stopped)) => stopped,
        (false, None) => told.join(", "),
        (false, Some(stopped)) => format!("{}; {stopped}", told.join(", ")),
    };
    format!(
        "{:>5}  {}  {}  {} ({:.1} s): {told}\n",
        run["id"].as_u64().unwrap_or(0),
        time(&run["started"]),
        word(run, "service"),
        word(run, "trigger"),
        run["seconds"].as_f64().unwrap_or(0.0)
    )
}

/// What a service is doing, what comes next, and what waits.
pub(super) fn now_and_next(service: &Value) -> String {
    let mut text = String::new();
    if let Some(running) = service["running"].as_object() {
        let progress = &running["progress"];
        let count = |key: &str| progress[key].as_u64().unwrap_or(0);
        let how_far = match count("files_total") {
            0 => "looking at both sides".to_owned(),
            total => {
                format!("{} of {total} files, {} of {}", count("files"), bytes(count("bytes")), bytes(count("bytes_total")))
            }
        };
        let stopping = if running["stopping"] == true { ", stopping" } else { "" };
        let (since, trigger) = (time(&running["started"]), running["trigger"].as_str().unwrap_or_default());
        let _ = writeln!(text, "    running since {since} ({trigger}): {how_far}{stopping}");
    }
    if let Some(reason) = service["reason"].as_str() {
        let name = word(service, "name");
        let _ = writeln!(text, "    stopped: {reason}. To try it again: twinlens sync {name}");
    }
    if let Some(failures) = service["failed_runs"].as_u64().filter(|failures| *failures > 0) {
        let runs = if failures == 1 { "run".to_owned() } else { format!("{failures} runs") };
        let _ = writeln!(text, "    the last {runs} failed");
    }
    if service["next_run"].is_string() {
        let _ = writeln!(text, "    next run {}", time(&service["next_run"]));
    }
    if let Some(count) = service["waiting"]["count"].as_u64().filter(|count| *count > 0) {
        let _ = writeln!(text, "    {} failed, to be tried again (now: twinlens sync):", several(count, "file"));
        let first = service["waiting"]["first"].as_array().into_iter().flatten();
        let mut named = 0;
        for file in first {
            named += 1;
            let (action, path, reason) = (word(file, "action"), word(file, "path"), word(file, "reason"));
            let _ = writeln!(text, "      {action} {path}: {reason} ({} times; next try {})", file["attempts"], time(&file["next"]));
        }
        if count > named {
            let _ = writeln!(text, "      and {} more", count - named);
        }
    }
    text
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A time as the owner's clock shows it.
fn time(value: &Value) -> String {
    let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    time.map(|time| time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_stopped_had_something_to_do() {
        let run = |uploaded: u64, error: Option<&str>| {
            line(
                &serde_json::json!({ "id": 1, "service": "svc", "trigger": "by hand", "counts": { "uploaded": uploaded }, "error": error }),
            )
        };
        assert!(run(0, None).ends_with(": nothing to do\n"));
        assert!(run(0, Some("no answer")).ends_with("s): stopped: no answer\n"), "{}", run(0, Some("no answer")));
        assert!(run(2, Some("no answer")).ends_with(": 2 uploaded; stopped: no answer\n"));
    }
}
