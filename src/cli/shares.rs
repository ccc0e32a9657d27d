//! Sharing in words.

use std::fmt::Write as _;

use serde_json::Value;

use crate::operations::{Command, ShareReport, SharedName, SharedNote};
use crate::share::Counts;

use super::output::{bytes, list, several, string};

/// How a service is set up for sharing.
pub(super) fn settings(upload: &Value) -> String {
    format!(
        "  share          {}\n  share folder   /{}\n  share size     {}\n  share expires  {}\n  unfit files    {}\n  place (GPS)    {}\n",
        if upload["on"] == true { "on" } else { "off" },
        string(upload, "folder"),
        string(upload, "size"),
        string(upload, "expires"),
        string(upload, "unfit"),
        string(upload, "gps"),
    )
}

/// The same in a few words.
pub(super) fn in_short(upload: &Value) -> String {
    if upload["on"] != true {
        return "share off".to_owned();
    }
    format!("share to /{} ({}, {})", string(upload, "folder"), string(upload, "size"), string(upload, "expires"))
}

/// The text for an answer about what is shared.
pub(super) fn text(command: &Command, answer: &Value) -> String {
    match command {
        Command::Share(_) => of_report(answer),
        Command::ShareList { share: Some(_) } => {
            let mut text = of_report(answer);
            for file in answer["files"].as_array().into_iter().flatten() {
                let at = file["at"].as_str().map(|at| format!(" -> {at}")).unwrap_or_default();
                let expires = file["expires"].as_str().map(|when| format!(", until {when}")).unwrap_or_default();
                let _ = writeln!(text, "  {:<13}  {}{at}{expires}", string(file, "state"), string(file, "path"));
            }
            text
        }
        Command::ShareCancel { .. } => match answer["cancelled"].as_u64().unwrap_or(0) {
            0 => "nothing was waiting to be sent\n".to_owned(),
            count => format!("cancelled: {} will not be sent; what is on the service stays until it expires\n", several(count, "file")),
        },
        Command::ShareRetry { .. } => list(answer, "shares", of_report, "nothing waits to be sent\n"),
        _ => list(answer, "shares", of_report, "nothing was shared yet; share files with: twinlens share PATH... --to NAME\n"),
    }
}

fn of_report(answer: &Value) -> String {
    let Ok(report) = serde_json::from_value::<ShareReport>(answer.clone()) else { return String::new() };
    let Counts { total, waiting, failed, uploaded, already_there, skipped, cancelled, expired, left } = report.counts;
    let mut text = String::new();
    if let Some(error) = &report.error {
        let _ = writeln!(text, "{}: stopped: {error}", report.service);
    }
    let told = [
        (uploaded, "uploaded"),
        (already_there, "already there"),
        (waiting, "waiting"),
        (failed, "failed"),
        (skipped, "skipped"),
        (cancelled, "cancelled"),
        (expired, "expired and removed"),
        (left, "expired and left"),
    ];
    let told: Vec<_> = told.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let _ = writeln!(
        text,
        "share {}: {} to {} {} ({}, expires {}): {}; {}",
        report.share,
        several(total, "file"),
        report.service,
        report.folder,
        report.size,
        report.expires,
        told.join(", "),
        bytes(report.bytes),
    );
    if !report.evidence.is_empty() {
        let levels = report.evidence.iter().map(|(level, files)| format!("{} by {level}", several(*files, "file")));
        let _ = writeln!(text, "  uploads proven: {}", levels.collect::<Vec<_>>().join(", "));
    }
    if waiting > 0 {
        text.push_str("  what waits is sent by a serving node; or now, with: twinlens share retry\n");
    }
    if let Some(when) = &report.removed_from {
        let _ = writeln!(text, "  removed from the service from {when} on");
    }
    for SharedName { path, at } in &report.renamed {
        let _ = writeln!(text, "  renamed: {path}: it is {at} there, because its name was taken");
    }
    for (word, notes) in [("skipped", &report.skipped_files), ("failed", &report.failed_files), ("left", &report.left_files)] {
        for SharedNote { path, reason, next, .. } in notes {
            let next = next.as_ref().map(|next| format!(" (next try {next}, or `twinlens share retry`)")).unwrap_or_default();
            let _ = writeln!(text, "  {word}: {path}: {reason}{next}");
        }
    }
    if let Some(warning) = &report.warning {
        let _ = writeln!(text, "  note: {warning}");
    }
    text
}
