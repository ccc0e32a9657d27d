//! Answers for people. What is printed for programs is the answer itself.

use std::fmt::Write as _;

use serde_json::Value;

use crate::accounts::{AppPassword, User};
use crate::operations::Command;
use crate::sync::{HeldBack, Noted, Report};

use super::{checkup, runs, services, shares};

/// The text for an answer.
pub(super) fn text(command: &Command, answer: &Value) -> String {
    match command {
        Command::Sync(_) => reports(answer),
        Command::Share(_) | Command::ShareList { .. } | Command::ShareRetry { .. } | Command::ShareCancel { .. } => {
            shares::text(command, answer)
        }
        Command::Status => status(answer),
        Command::Pause { .. } | Command::Resume { .. } | Command::Cancel { .. } | Command::History { .. } => runs::text(command, answer),
        Command::Care(care) => super::care::text(care, answer),
        Command::Index => index(answer),
        Command::Backup { to } => {
            format!(
                "{} holds the state, the key and the settings; keep it where nobody else can read it. Photos are not in it\n",
                to.display()
            )
        }
        // The command line waits for a login; these are for pages.
        Command::LoginBegin(_) | Command::LoginPoll { .. } | Command::LoginCancel { .. } => format!("{answer}\n"),
        Command::ServiceAdd(_)
        | Command::ServiceLogin(_)
        | Command::ServiceList
        | Command::ServiceShow { .. }
        | Command::ServiceSync { .. }
        | Command::ServiceUpload { .. }
        | Command::ServiceEdit { .. }
        | Command::ServiceUndo { .. }
        | Command::ServiceFolders { .. }
        | Command::ServiceExport { .. }
        | Command::ServiceImport(_)
        | Command::ServiceReseal { .. }
        | Command::ServiceRemove { .. } => services::text(command, answer),
        Command::ServiceTest { .. } => checkup::text(answer),
        Command::UserList => list(answer, "users", user, "no users yet; the first `twinlens serve` makes one\n"),
        Command::UserEdit { .. } => user(answer),
        Command::UserAdd(new) => format!("{} may log in now as {}\n", new.name, new.grant.role),
        Command::UserPassword { name, .. } => format!("the password of {name} is changed; app passwords stay as they are\n"),
        Command::UserRemove { name } => format!("{name} is removed\n"),
        Command::AppPasswordAdd { name, label } => {
            let (id, password) = (string(answer, "id"), string(answer, "password"));
            format!("{password}\n  logs {name} in on {label}; it is shown this once. Take it back with: twinlens user revoke {name} {id}\n")
        }
        Command::AppPasswordList { name } => list(answer, "app_passwords", app_password, &format!("{name} has no app passwords\n")),
        Command::AppPasswordRevoke { .. } => format!("{} is revoked\n", string(answer, "label")),
    }
}

pub(super) fn string(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

pub(super) fn list(answer: &Value, key: &str, line: impl Fn(&Value) -> String, none: &str) -> String {
    match answer[key].as_array() {
        Some(items) if !items.is_empty() => items.iter().map(line).collect(),
        _ => none.to_owned(),
    }
}

fn user(user: &Value) -> String {
    let Ok(User { name, role, folder, originals, import }) = serde_json::from_value(user.clone()) else { return String::new() };
    format!("{name}  {role}  root /{folder}  originals {originals}  import {import}\n")
}

fn app_password(app: &Value) -> String {
    let Ok(AppPassword { id, label, created, last_used }) = serde_json::from_value(app.clone()) else { return String::new() };
    let used = last_used.map_or_else(|| "never used".to_owned(), |day| format!("last used {day}"));
    format!("{id}  {label}  made {}  {used}\n", created.get(..10).unwrap_or_default())
}

fn index(answer: &Value) -> String {
    let mut text = format!(
        "{} files in the library; {} read ({}), {} gone since the last look\n",
        answer["files"],
        answer["hashed"],
        bytes(answer["bytes"].as_u64().unwrap_or(0)),
        answer["removed"]
    );
    for gap in answer["failed"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  not read: {}: {}", string(gap, "path"), string(gap, "reason"));
    }
    text
}

fn status(answer: &Value) -> String {
    let mut text = match answer["library"].as_str() {
        Some(library) => format!("library   {library}, {} files indexed\n", answer["files"]),
        None => "library   none yet; name it with: twinlens serve --library DIR\n".to_owned(),
    };
    let _ = match answer["url"].as_str() {
        Some(url) if answer["public"] == true => writeln!(text, "serving   {url} in public mode: no login, no WebDAV, no services"),
        Some(url) => writeln!(text, "serving   {url}"),
        None => writeln!(text, "serving   no"),
    };
    if let Some(waiting) = answer["thumbnails"]["waiting"].as_u64().filter(|waiting| *waiting > 0) {
        let _ = writeln!(text, "pictures  {} still to be made", several(waiting, "thumbnail"));
    }
    for file in answer["damaged"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "damaged   {}, found {}; see `twinlens index --verify`", string(file, "path"), string(file, "since"));
    }
    for service in answer["services"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "service   {}  {}  sync {}", string(service, "name"), string(service, "url"), string(service, "state"));
        text.push_str(&runs::now_and_next(service));
        match serde_json::from_value::<Report>(service["last_run"].clone()) {
            Ok(last) => text.extend(untold(last, service).map(|last| indent(&report(&last)))),
            Err(_) => text.push_str("    never synced\n"),
        }
    }
    text
}

/// The last run without what was told of the service already: why it is stopped, and which files wait and why. None when that is all.
fn untold(mut last: Report, service: &Value) -> Option<Report> {
    if last.error.is_some() && last.error.as_deref() == service["reason"].as_str() {
        last.error = None;
        if last.requests == 0 {
            return None;
        }
    }
    // A run that left such a file alone says in its reason why it failed before.
    let told = |one: &Noted| {
        let mut first = service["waiting"]["first"].as_array().into_iter().flatten();
        first.any(|file| file["path"] == one.path && file["reason"].as_str().is_some_and(|reason| one.reason.contains(reason)))
    };
    last.failed.retain(|failed| !told(failed));
    last.skipped_total -= last.skipped.extract_if(.., |skipped| told(skipped)).count() as u64;
    Some(last)
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn reports(answer: &Value) -> String {
    let reports: Vec<Report> = serde_json::from_value(answer["services"].clone()).unwrap_or_default();
    reports.iter().map(report).collect()
}

/// Skipped files that have a line of their own; `--json` tells of more.
const LINES: usize = 100;

/// A report in words.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    if let Some(error) = &report.error {
        let _ = writeln!(text, "{}: stopped: {error}", report.name);
    }
    if report.dry_run {
        let travels = |action: &str| report.totals.get(action).map_or(0, |total| total.bytes);
        let _ = writeln!(
            text,
            "{}: {} planned ({} to upload, {} to download{}), nothing was changed",
            report.name,
            several(report.plan.len() as u64, "step"),
            bytes(travels("upload")),
            bytes(travels("download")),
            if travels("conflict") > 0 { format!(", {} of both versions in conflicts", bytes(travels("conflict"))) } else { String::new() }
        );
        for step in &report.plan {
            let at = step.remote_path.as_deref().map(|path| format!(" (there: {path})")).unwrap_or_default();
            let size = if step.bytes > 0 { format!(", {}", bytes(step.bytes)) } else { String::new() };
            // Where a file is removed is what its owner wants to know first.
            let action = match step.action.as_str() {
                "delete" => "delete there",
                "trash" => "trash here",
                action => action,
            };
            let _ = writeln!(text, "  {action:<17} {}{at}: {}{size}", step.path, step.reason);
        }
    } else if report.error.is_none() || report.requests > 0 {
        let _ = writeln!(
            text,
            "{}: {} uploaded ({}), {} downloaded ({}), {} moved, {} deleted, {} already there; {} proven; {}, {} skipped, {} failed; {}, {:.1} s",
            report.name,
            report.uploaded,
            bytes(report.bytes_up),
            report.downloaded,
            bytes(report.bytes_down),
            report.moved,
            report.deleted,
            report.adopted,
            report.verified,
            several(report.conflicts.len() as u64, "conflict"),
            report.skipped_total,
            report.failed.len(),
            several(report.requests, "request"),
            report.seconds
        );
        if !report.evidence.is_empty() {
            let levels = report.evidence.iter().map(|(level, files)| format!("{} by {level}", several(*files, "file")));
            let _ = writeln!(text, "  uploads proven: {}", levels.collect::<Vec<_>>().join(", "));
        }
    }
    for HeldBack { reason, files, .. } in &report.held_back {
        let first: Vec<&str> = report.skipped.iter().filter(|one| one.reason == *reason).map(|one| one.path.as_str()).take(3).collect();
        let more = if *files > first.len() as u64 { ", ..." } else { "" };
        let _ = writeln!(text, "  held back: {}: {reason}: {}{more}", several(*files, "file"), first.join(", "));
    }
    let held = |one: &&Noted| !report.held_back.iter().any(|held| held.reason == one.reason);
    let skipped: Vec<Noted> = report.skipped.iter().filter(held).take(LINES).cloned().collect();
    for (word, list) in [("conflict", &report.conflicts), ("skipped", &skipped), ("failed", &report.failed)] {
        for Noted { path, reason, .. } in list {
            let _ = writeln!(text, "  {word}: {path}: {reason}");
        }
    }
    let named = skipped.len() as u64 + report.held_back.iter().map(|held| held.files).sum::<u64>();
    if report.skipped_total > named {
        let _ = writeln!(text, "  skipped: {} more", report.skipped_total - named);
    }
    text
}

/// `1 file`, `2 files`.
pub(super) fn several(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Minutes in the largest unit that fits.
pub(super) fn interval(minutes: u64) -> String {
    match minutes {
        minutes if minutes > 0 && minutes.is_multiple_of(24 * 60) => several(minutes / (24 * 60), "day"),
        minutes if minutes > 0 && minutes.is_multiple_of(60) => several(minutes / 60, "hour"),
        minutes => several(minutes, "minute"),
    }
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_tells_how_much_travels_and_where_a_file_is_removed() {
        let step = |action: &str, bytes: u64| crate::sync::PlannedStep {
            action: action.into(),
            group: crate::sync::PlanGroup::default(),
            path: format!("{action}.jpg"),
            remote_path: None,
            bytes,
            reason: "why".into(),
        };
        let plan =
            vec![step("upload", 2000), step("upload", 48), step("download", 3), step("conflict", 9), step("delete", 0), step("trash", 0)];
        let mut planned = Report { name: "svc".into(), dry_run: true, ..Report::default() };
        planned.foresee(plan);
        let text = report(&planned);
        let first = "svc: 6 steps planned (2.00 KiB to upload, 3 B to download, 9 B of both versions in conflicts), nothing was changed";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("delete there      delete.jpg: why\n") && text.contains("trash here        trash.jpg: why\n"), "{text}");
    }

    #[test]
    fn status_tells_every_reason_once() {
        let text = |reason: Option<&str>, last: Report, waiting: &[(&str, &str)]| {
            let first: Vec<Value> = waiting.iter().map(|(path, reason)| serde_json::json!({ "path": path, "reason": reason })).collect();
            let waiting = serde_json::json!({ "count": first.len(), "first": first });
            let service = serde_json::json!({ "name": "svc", "reason": reason, "waiting": waiting, "last_run": last });
            status(&serde_json::json!({ "services": [service] }))
        };
        let count = |text: &str, word: &str| text.matches(word).count();
        let noted = |path: &str, reason: &str| Noted { path: path.into(), reason: reason.into(), cause: None, other: None };
        let stopped = Report { name: "svc".into(), error: Some("a long error".into()), ..Report::default() };
        let told = text(Some("a long error"), stopped.clone(), &[]);
        assert_eq!((count(&told, "a long error"), count(&told, "uploaded")), (1, 0), "{told}");
        let told = text(None, stopped, &[]);
        assert_eq!(count(&told, "a long error"), 1, "{told}");
        let failed = vec![noted("a.jpg", "no room"), noted("b.jpg", "too long")];
        let skipped = vec![noted("c.jpg", "failed 2 times (it is busy); it is tried again soon"), noted("d.jpg", "left out")];
        let last = Report { name: "svc".into(), failed, skipped, skipped_total: 2, ..Report::default() };
        let told = text(None, last, &[("a.jpg", "no room"), ("c.jpg", "it is busy")]);
        for reason in ["no room", "too long", "it is busy", "left out"] {
            assert_eq!(count(&told, reason), 1, "{reason}: {told}");
        }
        assert_eq!(count(&told, "more"), 0, "{told}");
    }

    #[test]
    fn times_and_counts_are_as_people_say_them() {
        assert_eq!([several(0, "file"), several(1, "file"), several(2, "file")], ["0 files", "1 file", "2 files"]);
        assert_eq!([interval(1440), interval(120), interval(90), interval(1)], ["1 day", "2 hours", "90 minutes", "1 minute"]);
    }
}
