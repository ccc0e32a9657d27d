//! What is told of a run with a service when it has ended.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::scheduler::Trigger;
use crate::services::Service;
use crate::sync::{Noted, Report};

/// So many of the files that failed are named.
const NAMED: usize = 20;
/// What a run does without having anything to do.
const IDLE: [&str; 3] = ["requests", "skipped", "skipped_total"];

/// A run that has ended. The names are fixed: webhooks read them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    /// Always `sync-ended`.
    pub event: &'static str,
    /// The service.
    pub service: String,
    /// Why it began.
    pub trigger: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// `done`, `incomplete` (some files failed), `failed` (as a whole), `cancelled`.
    pub result: &'static str,
    /// The counts of its report.
    pub counts: BTreeMap<String, u64>,
    /// Why the whole run stopped, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of that, in a word that stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The first of the files that failed.
    pub failed: Vec<Noted>,
}

impl Ended {
    pub(super) fn of(service: &Service, trigger: Trigger, (started, ended): (String, String), report: &Report) -> Self {
        Self {
            event: "sync-ended",
            service: service.name.clone(),
            trigger: trigger.to_string(),
            started,
            ended,
            result: report.result(),
            counts: counts(report).into_iter().collect(),
            error: report.error.clone(),
            cause: report.cause.clone(),
            failed: report.failed.iter().take(NAMED).cloned().collect(),
        }
    }

    /// Whether anything was done, or failed.
    pub fn is_news(&self) -> bool {
        self.result != "done" || self.counts.iter().any(|(name, count)| *count > 0 && !IDLE.contains(&name.as_str()))
    }
}

/// The counts of a report by their names.
pub(super) fn counts(report: &Report) -> Vec<(String, u64)> {
    let counts = [
        ("uploaded", report.uploaded),
        ("downloaded", report.downloaded),
        ("moved", report.moved),
        ("deleted", report.deleted),
        ("adopted", report.adopted),
        ("bytes_up", report.bytes_up),
        ("bytes_down", report.bytes_down),
        ("requests", report.requests),
        ("conflicts", report.conflicts.len() as u64),
        ("skipped", report.skipped.len() as u64),
        ("skipped_total", report.skipped_total),
        ("failed", report.failed.len() as u64),
    ];
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}
