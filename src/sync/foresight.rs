//! A plan as its owner looks at it: in groups, with sums, and the first rows of each. What it holds does not grow with the plan.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::reconcile::{Action, Step, Why};
use crate::types::{Expect, Side};

use super::report::{HeldBack, Noted, PlannedStep};

/// So many of what is left as it is are named in each group, unless a preview asks for more.
pub(super) const NAMED: usize = 20;

/// The group of files whose names cannot be used here.
pub(super) const UNNAMABLE: &str = "unnamable";

/// What a step is to its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanGroup {
    /// A new file is sent.
    Uploads,
    /// A new file is fetched.
    Downloads,
    /// A newer version is sent, in the place of the one there.
    UpdatesThere,
    /// A newer version is fetched; the one here goes to the trash.
    UpdatesHere,
    /// Renamed, or copied within one side: nothing travels.
    Moves,
    /// Removed from the service.
    DeletesThere,
    /// Moved to the trash here.
    DeletesHere,
    /// Both versions are kept.
    Conflicts,
    /// Both sides have it already.
    Equal,
    /// Something is only written down.
    #[default]
    Notes,
}

impl From<&Step> for PlanGroup {
    fn from(step: &Step) -> Self {
        match &step.action {
            Action::Upload { expect: Expect::Absent, .. } => Self::Uploads,
            Action::Upload { .. } => Self::UpdatesThere,
            Action::Download { expect: Expect::Absent, .. } => Self::Downloads,
            Action::Download { .. } => Self::UpdatesHere,
            Action::Move { .. } | Action::MoveFolder { .. } | Action::Park { .. } | Action::Copy { .. } => Self::Moves,
            Action::Delete { side: Side::Remote, .. } => Self::DeletesThere,
            Action::Delete { side: Side::Local, .. } => Self::DeletesHere,
            Action::Conflict { .. } => Self::Conflicts,
            Action::Adopt { .. } => Self::Equal,
            Action::Tombstone { .. } | Action::Forget => Self::Notes,
        }
    }
}

/// The steps of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedGroup {
    /// Which.
    pub group: PlanGroup,
    /// How many steps.
    pub count: u64,
    /// Bytes that travel.
    pub bytes: u64,
    /// The first of them.
    pub first: Vec<PlannedStep>,
}

/// Files that are left as they are for one kind of reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedGroup {
    /// In a word that stays the same: `filter`, `upload-off`, `download-off`, `same-content-at`, `name-taken`, `emptied`, `left-parked`,
    /// `unreadable`, `unnamable`, `refused-name`, `waiting`, `careful`.
    pub code: String,
    /// Which filter, in one sentence; of one only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter: Option<String>,
    /// The same in a word: `raw-video`, `excluded`, `not-included`, `ignored`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub filter_code: Option<String>,
    /// How many files.
    pub files: u64,
    /// The first of them.
    pub first: Vec<Noted>,
}

/// In which group a reason is.
pub(super) fn code(why: &Why) -> &'static str {
    match why {
        Why::UploadOff => "upload-off",
        Why::DownloadOff => "download-off",
        Why::SameContentAt { .. } => "same-content-at",
        Why::NameTaken { .. } => "name-taken",
        Why::Emptied { .. } => "emptied",
        Why::LeftParked { .. } => "left-parked",
        Why::Unreadable { .. } => "unreadable",
        Why::New
        | Why::Changed
        | Why::EditBeatsDeletion
        | Why::BothChanged
        | Why::SameContent
        | Why::Moved
        | Why::NameWanted
        | Why::NamesWanted
        | Why::InTheWay
        | Why::Deleted => "other",
    }
}

/// The group of this reason.
pub(super) fn group_of<'a>(groups: &'a mut Vec<SkippedGroup>, code: &str, filter: Option<&HeldBack>) -> &'a mut SkippedGroup {
    let sentence = filter.map(|held| &held.reason);
    let at = groups.iter().position(|group| group.code == code && group.filter.as_ref() == sentence).unwrap_or_else(|| {
        let (filter, filter_code) = (sentence.cloned(), filter.and_then(|held| held.cause.clone()));
        groups.push(SkippedGroup { code: code.to_owned(), filter, filter_code, files: 0, first: Vec::new() });
        groups.len() - 1
    });
    &mut groups[at]
}

/// Puts a step into its group.
pub(super) fn put(groups: &mut Vec<PlannedGroup>, step: PlannedStep, rows: usize) {
    let at = groups.binary_search_by_key(&step.group, |group| group.group).unwrap_or_else(|at| {
        groups.insert(at, PlannedGroup { group: step.group, count: 0, bytes: 0, first: Vec::new() });
        at
    });
    let group = &mut groups[at];
    group.count += 1;
    group.bytes += step.bytes;
    if group.first.len() < rows {
        group.first.push(step);
    }
}

/// Stands for the pair of files that a step joins.
pub(super) fn mark(step: &PlannedStep) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&step.path, &step.remote_path).hash(&mut hasher);
    hasher.finish()
}
