//! What is told of shares.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::{ExitCode, Failure};
use crate::share::Counts;
use crate::store::shares::{self, FileState, Retry, Share, SharedFile};
use crate::types::{Evidence, Expires, Gps, RelPath, Size, Unfit};

/// Files that are to be shared; what is none is as it was set up for the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShareRequest {
    /// Files and folders, absolute or relative to the library, or else to `from`.
    pub paths: Vec<String>,
    /// The folder in which somebody typed the paths.
    pub from: Option<String>,
    /// The service.
    pub to: String,
    /// The folder there.
    pub folder: Option<String>,
    /// How large pictures are sent.
    pub size: Option<Size>,
    /// How long they stay.
    pub expires: Option<Expires>,
    /// What becomes of files that cannot be sent in that size.
    pub unfit: Option<Unfit>,
    /// Whether the JPEGs that are made tell where a picture was taken.
    pub gps: Option<Gps>,
    /// Only remember it; a serving node sends them.
    pub background: bool,
}

/// A file with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedNote {
    /// The path in the library.
    pub path: String,
    /// Why.
    pub reason: String,
    /// The kind of reason of what failed, in a word that stays the same: `unreachable`, `timeout`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it is tried again, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A file that has another name on the service than it would have had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedName {
    /// The path in the library.
    pub path: String,
    /// Where it is, below the service's WebDAV root.
    pub at: String,
}

/// How far a share is, and what became of its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareReport {
    /// Its number.
    pub share: u64,
    /// The service.
    pub service: String,
    /// When it was asked for.
    pub created: String,
    /// The folder there, below the service's WebDAV root.
    pub folder: String,
    /// How large pictures are sent.
    pub size: Size,
    /// How long they stay.
    pub expires: Expires,
    /// How many files are how far.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes that are on the service for it.
    pub bytes: u64,
    /// How many of them are proven how.
    pub evidence: BTreeMap<String, u64>,
    /// When the first of them is removed.
    pub removed_from: Option<String>,
    /// Files whose names were taken.
    pub renamed: Vec<SharedName>,
    /// Files that are not sent, and why.
    pub skipped_files: Vec<SharedNote>,
    /// Files that failed and are tried again.
    pub failed_files: Vec<SharedNote>,
    /// Files that have expired and are left on the service.
    pub left_files: Vec<SharedNote>,
    /// Why sending stopped as a whole, if it did.
    pub error: Option<String>,
    /// The service could not be reached.
    pub unreachable: bool,
    /// Something that its owner may not expect.
    pub warning: Option<String>,
}

/// All shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareList {
    /// The latest first.
    pub shares: Vec<ShareReport>,
}

/// A file of a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldFile {
    /// The path in the library.
    pub path: String,
    /// `waiting`, `failed`, `uploaded`, `already-there`, `skipped`, `cancelled`, `expired` or `left`.
    pub state: String,
    /// Where it is or was, below the service's WebDAV root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How many bytes were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What the proof of the upload rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Evidence>,
    /// When it was proven to have arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<String>,
    /// When it is to be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
    /// Why it failed, was skipped or is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A share with its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldShare {
    /// How far it is.
    #[serde(flatten)]
    pub report: ShareReport,
    /// Every file.
    pub files: Vec<ToldFile>,
}

impl ShareReport {
    /// The exit code that it means.
    pub(in crate::operations) fn exit_code(&self) -> ExitCode {
        match (self.counts.waiting + self.counts.failed, &self.error) {
            (_, Some(_)) if self.unreachable && self.counts.uploaded == 0 => ExitCode::Unreachable,
            (0, None) => ExitCode::Done,
            _ => ExitCode::Failures,
        }
    }
}
pub(super) fn report(tx: &redb::ReadTransaction, service: String, number: u64, share: &Share) -> Result<ShareReport, Failure> {
    let mut report = ShareReport {
        share: number,
        service,
        created: time(share.created),
        folder: format!("/{}", share.folder),
        size: share.size,
        expires: share.expires,
        ..ShareReport::default()
    };
    let mut first = None;
    for item in shares::files(tx, number)? {
        let (_, SharedFile { path, wanted, state, .. }) = item?;
        report.counts.count(&state);
        let noted = |reason: &str| SharedNote { path: path.to_string(), reason: reason.to_owned(), cause: None, next: None };
        let again = |retry: &Retry, before: &str| {
            let (cause, next) = (retry.cause.clone(), Some(time(retry.next)));
            SharedNote { cause, next, ..noted(&format!("{before}{}", retry.reason)) }
        };
        match &state {
            FileState::Waiting { failed: Some(retry) } => report.failed_files.push(again(retry, "")),
            FileState::Skipped { reason } => report.skipped_files.push(noted(reason)),
            FileState::Left { reason, .. } => report.left_files.push(noted(reason)),
            FileState::Sent(sent) => {
                report.bytes += sent.version.size.unwrap_or(0);
                *report.evidence.entry(sent.evidence.name().to_owned()).or_default() += 1;
                first = [first, sent.expires].into_iter().flatten().min();
                if let Some(retry) = &sent.failed {
                    report.failed_files.push(again(retry, "it has expired and could not be removed: "));
                }
                if sent.at.stem_and_extension().0 != wanted.stem_and_extension().0 {
                    report.renamed.push(SharedName { path: path.to_string(), at: format!("/{}", sent.at) });
                }
            }
            FileState::Waiting { failed: None } | FileState::There { .. } | FileState::Cancelled | FileState::Removed { .. } => {}
        }
    }
    report.removed_from = first.map(time);
    Ok(report)
}

pub(super) fn told_file(file: &SharedFile) -> ToldFile {
    let SharedFile { path, state, .. } = file;
    let told = |state: &str| ToldFile { path: path.to_string(), state: state.to_owned(), ..ToldFile::default() };
    let place = |at: &RelPath| Some(format!("/{at}"));
    match state {
        FileState::Waiting { failed: None } => told("waiting"),
        FileState::Waiting { failed: Some(retry) } => {
            ToldFile { reason: Some(retry.reason.clone()), attempts: Some(retry.attempts), next: Some(time(retry.next)), ..told("failed") }
        }
        FileState::Sent(sent) => ToldFile {
            at: place(&sent.at),
            bytes: sent.version.size,
            proof: Some(sent.evidence),
            arrived: Some(time(sent.arrived)),
            expires: sent.expires.map(time),
            reason: sent.failed.as_ref().map(|retry| retry.reason.clone()),
            ..told("uploaded")
        },
        FileState::There { at, .. } => ToldFile { at: place(at), ..told("already-there") },
        FileState::Skipped { reason } => ToldFile { reason: Some(reason.clone()), ..told("skipped") },
        FileState::Cancelled => told("cancelled"),
        FileState::Removed { at, when } => ToldFile { at: place(at), removed: Some(time(*when)), ..told("expired") },
        FileState::Left { at, reason } => ToldFile { at: place(at), reason: Some(reason.clone()), ..told("left") },
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
