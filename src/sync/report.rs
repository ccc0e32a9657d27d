//! What a run did, for people and programs. The names are fixed: scripts read them.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::Verified;
use crate::reconcile::{Plan, Skipped, Step, Why};
use crate::types::Evidence;

use super::foresight::{self, PlanGroup, PlannedGroup, SkippedGroup};

/// Skipped files that are named.
const NAMED: usize = 1000;
/// What it is called that a whole run was careful.
const CAREFUL: &str = "careful";

/// A path and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Noted {
    /// In the library, or on the service for what exists only there.
    pub path: String,
    /// One sentence.
    pub reason: String,
    /// The kind of reason, in a word that stays the same: of what failed `unreachable`, `timeout`, `not-proven`, `full`, ...; of what is left
    /// as it is `name-taken`, `raw-video`, ... A run of an earlier version did not tell it, and a conflict has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// The other path that the reason names, where it names one and a run tells of it: where the content is already, or whose name it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub other: Option<String>,
}

impl Noted {
    /// What is to be said of a path, and which kind of reason that is.
    pub(crate) fn new(path: impl ToString, cause: &str, reason: impl ToString) -> Self {
        Self { path: path.to_string(), reason: reason.to_string(), cause: Some(cause.to_owned()), other: None }
    }

    /// Why a plan leaves a path as it is.
    pub(super) fn left(path: impl ToString, why: &Why) -> Self {
        let other = match why {
            Why::SameContentAt { path } | Why::NameTaken { path } => Some(path.to_string()),
            _ => None,
        };
        Self { other, ..Self::new(path, foresight::code(why), why) }
    }
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// The kind, in a word that stays the same.
    pub cause: &'static str,
    /// One sentence.
    pub text: String,
}

/// What one filter holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldBack {
    /// Which filter; the same sentence as in `skipped`.
    pub reason: String,
    /// The same in a word: `raw-video`, `excluded`, `not-included`, `ignored`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// How many files.
    pub files: u64,
}

/// One step of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    /// `upload`, `download`, `move`, `move-folder`, `set-aside`, `copy`, `delete`, `trash`, `conflict`, `adopt`, `remember-deletion`, `forget`.
    pub action: String,
    /// What it is to its owner.
    #[serde(default)]
    pub group: PlanGroup,
    /// The path in the library.
    pub path: String,
    /// The path on the service, where it differs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remote_path: Option<String>,
    /// Bytes that travel.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// What a dry run would do, of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedTotal {
    /// How many steps.
    pub count: u64,
    /// Bytes that travel.
    pub bytes: u64,
}

impl From<&Step> for PlannedStep {
    fn from(step: &Step) -> Self {
        Self {
            action: step.verb().to_owned(),
            group: step.into(),
            path: step.local.to_string(),
            remote_path: (step.local != step.remote).then(|| step.remote.to_string()),
            bytes: step.bytes(),
            reason: step.why.to_string(),
        }
    }
}

/// One run with one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The service.
    pub name: String,
    /// True when nothing was done, only planned.
    pub dry_run: bool,
    /// Files sent, and proven to have arrived.
    pub uploaded: u64,
    /// Files fetched, checked and published.
    pub downloaded: u64,
    /// Files renamed on either side instead of being sent.
    pub moved: u64,
    /// Files copied on either side instead of being sent.
    #[serde(default)]
    pub copied: u64,
    /// Files removed from either side.
    pub deleted: u64,
    /// Files that both sides had already.
    pub adopted: u64,
    /// Transfers whose content was proven.
    pub verified: u64,
    /// What the proofs of the uploads rest on: files by level.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub evidence: BTreeMap<Evidence, u64>,
    /// Bytes of files sent.
    pub bytes_up: u64,
    /// Bytes of files fetched.
    pub bytes_down: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Files of the library that were looked at on disk: none when a node that watches its library knew that nothing had been done there.
    #[serde(default)]
    pub looked_at: u64,
    /// How long it took.
    pub seconds: f64,
    /// Files that both sides had changed; both versions were kept.
    pub conflicts: Vec<Noted>,
    /// Files left as they are, and why: the first thousand.
    pub skipped: Vec<Noted>,
    /// All files left as they are.
    #[serde(default)]
    pub skipped_total: u64,
    /// Those of them that a filter holds back, on both sides alike.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub held_back: Vec<HeldBack>,
    /// All of them by the kinds of their reasons, with the first of each.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub skipped_groups: Vec<SkippedGroup>,
    /// Files that were to be transferred or changed and were not; the next run tries again.
    pub failed: Vec<Noted>,
    /// How many of them for which kind of reason: `unreachable`, `timeout`, `not-proven`, `full`, ...
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub causes: BTreeMap<String, u64>,
    /// Why the whole run stopped, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The kind of that, in a word that stays the same: as in `causes`, or `cancelled`, `suspended`; `run` if there is no other.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// True when it stopped because something could not be reached.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unreachable: bool,
    /// True when it stopped because the service refused the user and password.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub refused: bool,
    /// True when it was told to stop.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cancelled: bool,
    /// What would be done, in a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plan: Vec<PlannedStep>,
    /// The sums of the plan, by action.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub totals: BTreeMap<String, PlannedTotal>,
    /// What would be done, in a preview: in groups, with the first steps of each. There is no `plan` then.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<PlannedGroup>,
    /// So many steps of each group are told; none when it is no preview.
    #[serde(skip)]
    pub preview: Option<usize>,
    /// The pairs that were told.
    #[serde(skip)]
    pub joined: HashSet<u64>,
}

impl Report {
    /// True when everything that was to be done was done.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.error.is_none()
    }

    /// How it ended, in one word: `done`, `incomplete` (some files failed), `failed` (as a whole), `cancelled`.
    pub fn result(&self) -> &'static str {
        match self {
            Self { cancelled: true, .. } => "cancelled",
            Self { error: Some(_), .. } => "failed",
            _ if self.is_clean() => "done",
            _ => "incomplete",
        }
    }

    /// Counts a file that was sent and proven.
    pub(super) fn uploaded(&mut self, size: u64, proof: &Verified) {
        self.uploaded += 1;
        self.verified += 1;
        self.bytes_up += size;
        *self.evidence.entry(proof.evidence()).or_default() += 1;
    }

    /// Adds what a round would do. Nothing is recorded in between, so that two files which are one content may be joined by the rounds of both:
    /// that is told once.
    pub(crate) fn foresee(&mut self, mut steps: Vec<PlannedStep>) {
        let told = std::mem::take(&mut self.joined);
        steps.retain(|step| step.action != "adopt" || !told.contains(&foresight::mark(step)));
        let joined = steps.iter().filter(|step| step.action == "adopt").map(foresight::mark);
        self.joined = told.into_iter().chain(joined).collect();
        for step in &steps {
            let total = self.totals.entry(step.action.clone()).or_default();
            total.count += 1;
            total.bytes += step.bytes;
        }
        match self.preview {
            Some(rows) => steps.into_iter().for_each(|step| foresight::put(&mut self.groups, step, rows)),
            None => self.plan.extend(steps),
        }
    }

    /// Notes what a plan leaves as it is. What could not be read, here or on the service, is a failure: what is to be done with it is not
    /// known, and not done.
    pub(super) fn skip_all(&mut self, plan: &Plan) {
        for Skipped { path, why } in &plan.skipped {
            let noted = Noted::left(path, why);
            match why {
                Why::Unreadable { failed: true, .. } => self.failed.push(noted),
                _ => self.skip(noted),
            }
        }
    }

    /// Notes that a whole run was careful; that is no file.
    pub(crate) fn note_careful(&mut self, reason: &str) {
        let noted = Noted::new("/", CAREFUL, reason);
        self.count_skipped((CAREFUL, None), 0, std::slice::from_ref(&noted));
        self.skipped.push(noted);
    }

    /// Notes a file that is left as it is.
    pub(super) fn skip(&mut self, noted: Noted) {
        self.skipped_total += 1;
        let code = noted.cause.as_deref().unwrap_or("other");
        self.count_skipped((code, None), 1, std::slice::from_ref(&noted));
        self.name(noted);
    }

    /// Counts files that are not named.
    pub(super) fn skip_unnamed(&mut self, code: &str, files: u64) {
        if files > 0 {
            self.skipped_total += files;
            self.count_skipped((code, None), files, &[]);
        }
    }

    fn count_skipped(&mut self, (code, filter): (&str, Option<&HeldBack>), files: u64, first: &[Noted]) {
        let rows = self.preview.unwrap_or(foresight::NAMED);
        let group = foresight::group_of(&mut self.skipped_groups, code, filter);
        group.files += files;
        let room = rows.saturating_sub(group.first.len());
        group.first.extend(first.iter().take(room).cloned());
    }

    fn name(&mut self, noted: Noted) {
        if self.skipped.len() < NAMED {
            self.skipped.push(noted);
        }
    }

    /// Notes what filters hold back, which may be most of a library: the first of each by name, the rest by number. What could not be judged
    /// because something could not be read is a failure.
    pub(super) fn hold_back(&mut self, all: Vec<(HeldBack, Vec<Noted>, bool)>) {
        for (held, mut first, is_failure) in all {
            if is_failure {
                let more = held.files - first.len() as u64;
                if let Some(last) = first.last_mut().filter(|_| more > 0) {
                    last.reason += &format!("; and so it is with {more} more files");
                }
                self.failed.append(&mut first);
                continue;
            }
            self.skipped_total += held.files;
            self.count_skipped(("filter", Some(&held)), held.files, &first);
            first.into_iter().for_each(|noted| self.name(noted));
            self.held_back.push(held);
        }
    }
}

#[test]
fn a_pair_is_foreseen_once_and_anything_else_as_often_as_it_is() {
    let step = |action: &str, path: &str| PlannedStep {
        action: action.to_owned(),
        group: PlanGroup::default(),
        path: path.to_owned(),
        remote_path: Some("there.jpg".to_owned()),
        bytes: 0,
        reason: String::new(),
    };
    let mut report = Report::default();
    for round in [["1.jpg", "2.jpg"], ["2.jpg", "3.jpg"]] {
        report.foresee(round.into_iter().flat_map(|path| [step("adopt", path), step("upload", path)]).collect());
    }
    let told = |action: &str| report.plan.iter().filter(|step| step.action == action).map(|step| step.path.as_str()).collect::<Vec<_>>();
    assert_eq!((told("adopt"), told("upload").len()), (vec!["1.jpg", "2.jpg", "3.jpg"], 4));
}

#[test]
fn a_preview_counts_everything_and_holds_little() {
    let step = |group: PlanGroup, number: usize| PlannedStep {
        action: "upload".to_owned(),
        group,
        path: format!("{number}.jpg"),
        remote_path: None,
        bytes: 3,
        reason: String::new(),
    };
    let mut report = Report { preview: Some(2), ..Report::default() };
    (0..5).for_each(|number| report.foresee(vec![step(PlanGroup::Conflicts, number), step(PlanGroup::Uploads, number)]));
    let told: Vec<_> = report.groups.iter().map(|group| (group.group, group.count, group.bytes, group.first.len())).collect();
    assert_eq!(told, [(PlanGroup::Uploads, 5, 15, 2), (PlanGroup::Conflicts, 5, 15, 2)]);
    assert!(report.plan.is_empty());
    let noted = |number: usize| Noted::new(number, "name-taken", "why");
    (0..5).for_each(|number| report.skip(noted(number)));
    report.skip_unnamed("upload-off", 7);
    let held = HeldBack { reason: "RAW".into(), cause: Some("raw-video".into()), files: 9 };
    report.hold_back(vec![(held, vec![noted(6), noted(7), noted(8)], false)]);
    let told: Vec<_> = report.skipped_groups.iter().map(|group| (group.code.as_str(), group.files, group.first.len())).collect();
    assert_eq!(told, [("name-taken", 5, 2), ("upload-off", 7, 0), ("filter", 9, 2)]);
    assert_eq!((report.skipped_total, report.skipped.len()), (21, 8));
}
