//! Names that are the same and are written differently, and names that one side cannot hold. Nothing is ever renamed because of them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use http::StatusCode;

use crate::client::ClientError;
use crate::library::{self, LibraryError};
use crate::reconcile::{Action, Plan, Step};
use crate::store::StoreError;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::listed::RemoteFolders;
use crate::store::remote::RemoteView;
use crate::types::{Expect, RelPath, Side};

use super::report::Noted;
use crate::services::delivery::oddity;

use super::execute::{Execution, StepError};
use super::run::{Sync, SyncError, blocking};

/// Joins a file whose name is composed on one side and decomposed on the other (NFC and NFD): macOS, some servers and some file systems
/// change the form of a name on their own.
pub(super) struct Spelled<'a> {
    pub index: &'a Index,
    pub view: &'a RemoteView,
    pub baseline: &'a Baseline,
}

impl Spelled<'_> {
    /// Where the service has the file of this row, which it does not have at `expected`, under another form of its name.
    pub(super) fn remote(&self, local: &RelPath, expected: &RelPath) -> Result<Option<RelPath>, StoreError> {
        for form in expected.spellings() {
            let free = |owner: Option<RelPath>| owner.is_none_or(|owner| owner == *local);
            let alone = form == *local || (self.index.get(&form)?.is_none() && self.baseline.get(&form)?.is_none());
            if alone && self.view.get(&form)?.is_some() && free(self.baseline.elsewhere(&form)?) {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    /// Where the library has the file of this row under another form of its name.
    pub(super) fn local(&self, expected: &RelPath) -> Result<Option<RelPath>, StoreError> {
        for form in expected.spellings() {
            if self.index.get(&form)?.is_some() && self.baseline.get(&form)?.is_none() && self.free_there(&form, expected)? {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    /// Whether nothing is on the service under this form of a name but the file of the row itself.
    fn free_there(&self, form: &RelPath, row: &RelPath) -> Result<bool, StoreError> {
        let owner = self.baseline.elsewhere(form)?;
        Ok(self.view.get(form)?.is_none() || owner.as_ref() == Some(row))
    }

    /// Whether what is at a path without an agreement is the file of another row, of which this is another form of the name.
    pub(super) fn belongs_elsewhere(&self, path: &RelPath, is_here: bool, is_there: bool) -> Result<bool, StoreError> {
        for form in path.spellings() {
            let (row, here) = (self.baseline.get(&form)?, self.index.get(&form)?.is_some());
            let expected = row.as_ref().map_or(&form, |row| row.remote_path(&form));
            if is_there && !is_here && (row.is_some() || here) {
                let found = self.view.get(expected)?.is_none() && self.remote(&form, expected)?.as_ref() == Some(path);
                if found {
                    return Ok(true);
                }
            }
            if is_here && row.is_some() && !here && self.local(&form)?.as_ref() == Some(path) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Why a file is not downloaded.
const FOLDS_HERE: &str = "the library's disk does not tell upper from lower case, and has another file of this name; rename one of them";

/// A plan whose names both sides can hold, as far as that is known.
pub(super) struct Fitted {
    pub plan: Plan,
    /// Uploads under names that differ from others only in the case of their letters. They go last, one after the other.
    pub late: Vec<Step>,
    /// What is not carried because of its name.
    pub refused: Vec<Noted>,
}

impl Sync {
    /// Fits the new names of a plan to the sides that get them.
    pub(super) async fn fit_names(&self, plan: Plan) -> Result<Fitted, SyncError> {
        let mut fitted = Fitted { plan, late: Vec::new(), refused: Vec::new() };
        if fitted.plan.steps.iter().any(|step| new_name(step, Side::Remote).is_some()) {
            self.refuse_forbidden(&mut fitted).await?;
        }
        let (tree, store, service) = (self.tree.clone(), self.store.clone(), self.service.id);
        blocking(move || {
            let tx = store.read()?;
            let (view, folders) = (RemoteView::open(&tx, service)?, RemoteFolders::open(&tx, service)?);
            let is_there = |folder: &RelPath| folders.get(folder).is_ok_and(|row| row.is_some());
            for step in &mut fitted.plan.steps {
                if new_name(step, Side::Remote).is_some() {
                    step.remote = step.remote.respelled(is_there);
                } else if new_name(step, Side::Local).is_some() {
                    step.local = step.local.respelled(|folder| matches!(tree.stat(folder), Ok(Some(_))));
                }
            }
            let members = |folder: &RelPath| {
                let mut members: Vec<RelPath> = folders.members(folder)?.into_keys().collect();
                view.members(folder, "")?.try_for_each(|item| item.map(|(path, _)| members.push(path)))?;
                Ok::<_, SyncError>(members)
            };
            let clashing = clashes(&fitted.plan.steps, Side::Remote, members)?;
            fitted.late = take(&mut fitted.plan.steps, Side::Remote, &clashing);
            if library::folds_case(&tree) {
                let members = |folder: &RelPath| match tree.list(folder) {
                    Ok(members) => Ok(members.into_iter().map(|member| member.path).collect()),
                    Err(LibraryError::NotFound(_) | LibraryError::WrongKind(_)) => Ok(Vec::new()),
                    Err(error) => Err(error.into()),
                };
                let clashing = clashes(&fitted.plan.steps, Side::Local, members)?;
                let taken = take(&mut fitted.plan.steps, Side::Local, &clashing).into_iter();
                fitted.refused.extend(taken.map(|step| Noted::new(&step.remote, "refused-name", FOLDS_HERE)));
            }
            Ok(fitted)
        })
        .await
    }

    /// Leaves out what the service says that it takes from nobody.
    async fn refuse_forbidden(&self, fitted: &mut Fitted) -> Result<(), SyncError> {
        let rules = &self.root.capabilities().await?.names;
        fitted.plan.steps.retain(|step| {
            let reason = new_name(step, Side::Remote).and_then(|name| rules.refusal(name));
            let noted = reason.map(|reason| Noted::new(&step.local, "refused-name", reason));
            let fits = noted.is_none();
            fitted.refused.extend(noted);
            fits
        });
        Ok(())
    }
}

/// The name that a step makes on a side, where nothing has it yet.
fn new_name(step: &Step, side: Side) -> Option<&RelPath> {
    let makes = match (&step.action, side) {
        (Action::Upload { expect: Expect::Absent, .. }, Side::Remote) | (Action::Download { expect: Expect::Absent, .. }, Side::Local) => {
            true
        }
        (Action::Move { side: at, replaces: None, .. } | Action::Copy { side: at, replaces: None, .. }, side) => *at == side,
        _ => false,
    };
    makes.then(|| step.at(side))
}

/// A path as a side sees it that does not tell upper from lower case, nor one Unicode form from another.
fn folded(path: &RelPath) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    match path.as_str().is_ascii() {
        true => path.as_str().to_ascii_lowercase(),
        false => path.as_str().nfc().flat_map(char::to_lowercase).collect(),
    }
}

/// The new names of transfers that such a side could not tell from another name: from one that is there, or from one that comes earlier.
/// `members` lists what is directly in a folder.
fn clashes(
    steps: &[Step],
    side: Side,
    members: impl Fn(&RelPath) -> Result<Vec<RelPath>, SyncError>,
) -> Result<HashSet<RelPath>, SyncError> {
    let transfers = steps.iter().filter(|step| matches!(step.action, Action::Upload { .. } | Action::Download { .. }));
    // Hashes of names instead of names, because there may be very many. Two that are alike by chance cost a request.
    let (hasher, mut names, mut there) = (RandomState::new(), HashMap::new(), HashSet::new());
    let mut listed = HashSet::new();
    let mut clashing = HashSet::new();
    for path in transfers.filter_map(|step| new_name(step, side)) {
        let mut prefixes: Vec<RelPath> = std::iter::once(path.clone()).chain(path.ancestors()).filter(|p| !p.is_root()).collect();
        prefixes.reverse();
        for prefix in prefixes {
            let parent = prefix.parent().unwrap_or_default();
            if !listed.contains(&parent) {
                for member in members(&parent)? {
                    names.insert(hasher.hash_one(folded(&member)), hasher.hash_one(&member));
                    there.insert(hasher.hash_one(&member));
                }
                listed.insert(parent);
            }
            let own = hasher.hash_one(&prefix);
            if *names.entry(hasher.hash_one(folded(&prefix))).or_insert(own) != own && !there.contains(&own) {
                clashing.insert(path.clone());
                break;
            }
        }
    }
    Ok(clashing)
}

/// Takes the steps with these names out of a plan.
fn take(steps: &mut Vec<Step>, side: Side, clashing: &HashSet<RelPath>) -> Vec<Step> {
    if clashing.is_empty() {
        return Vec::new();
    }
    let clashes = |step: &Step| new_name(step, side).is_some_and(|name| clashing.contains(name));
    let (taken, rest) = std::mem::take(steps).into_iter().partition(clashes);
    *steps = rest;
    taken
}

impl Execution {
    /// Uploads under names that a server that folds case would take for others: each only after a look whether it does.
    pub(super) async fn upload_late(self: &Arc<Self>, steps: Vec<Step>) -> Result<(), SyncError> {
        for step in steps {
            if self.fatal().is_some() {
                break;
            }
            match self.is_taken(&step.remote).await {
                Ok(None) => self.upload_batch(vec![step]).await?,
                Ok(Some(prefix)) => {
                    let reason = format!(
                        "the service does not tell upper from lower case, or one form of a letter from another: it takes {prefix} for a name that \
                         it has already. Nothing was overwritten; rename one of them"
                    );
                    self.failed(&step, &StepError::Refused(reason));
                }
                Err(error) => self.failed(&step, &error),
            }
        }
        Ok(())
    }

    /// The first part of a new path that the service has already, though it lists no such name.
    async fn is_taken(&self, path: &RelPath) -> Result<Option<RelPath>, StepError> {
        let mut prefixes: Vec<RelPath> = std::iter::once(path.clone()).chain(path.ancestors()).filter(|p| !p.is_root()).collect();
        prefixes.reverse();
        for prefix in prefixes {
            if self.has_folder(&prefix)? {
                continue;
            }
            match self.sync.client.look(&prefix).await {
                Ok(None) => return Ok(None),
                Ok(Some(_)) => return Ok(Some(prefix)),
                // It is a folder, or it is called otherwise.
                Err(ClientError::Status { status: StatusCode::CONFLICT, .. } | ClientError::Redirect(_) | ClientError::Outside(_)) => {
                    return Ok(Some(prefix));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

/// Why a step failed; where its name may be the reason, that is said.
pub(super) fn explained(step: &Step, error: &StepError) -> String {
    let reason = error.to_string();
    let first = match error {
        StepError::InVain { first, .. } => first,
        error => error,
    };
    let StepError::Client(ClientError::Status { status, .. }) = first else { return reason };
    let may_be_the_name = matches!(status.as_u16(), 400 | 403 | 405 | 406 | 409 | 414 | 415 | 422 | 500 | 507);
    match new_name(step, Side::Remote).filter(|_| may_be_the_name).and_then(oddity) {
        Some(oddity) => format!("{reason}. Perhaps it does not take this name: {oddity}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::Why;
    use crate::types::{Digests, LocalVersion, Mtime};

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn upload(text: &str) -> Step {
        let source = LocalVersion { size: 1, mtime: Mtime(0), digests: Digests::of(text.as_bytes()) };
        let action = Action::Upload { source, expect: Expect::Absent };
        Step { local: path(text), remote: path(text), action, why: Why::New }
    }

    #[test]
    fn names_that_differ_only_in_case_or_form_clash_with_what_is_there_and_with_each_other() {
        let steps = ["a.jpg", "A.jpg", "New/x.jpg", "new/y.jpg", "There/z.jpg", "there/q.jpg", "\u{e9}.jpg", "E\u{301}.jpg"].map(upload);
        let members = |folder: &RelPath| Ok(if folder.is_root() { vec![path("a.JPG"), path("there")] } else { Vec::new() });
        let found = clashes(&steps, Side::Remote, members).unwrap();
        let mut names: Vec<_> = found.iter().map(RelPath::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["A.jpg", "E\u{301}.jpg", "There/z.jpg", "a.jpg", "new/y.jpg"]);
        let mut steps = steps.to_vec();
        assert_eq!((take(&mut steps, Side::Remote, &found).len(), steps.len()), (5, 3));
    }
}
