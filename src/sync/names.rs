//! Names that are the same and are written differently, and names that one side cannot hold. Nothing is ever renamed because of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use http::StatusCode;

use crate::client::ClientError;
use crate::library;
use crate::reconcile::{Action, Plan, Step};
use crate::store::StoreError;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::types::{Expect, RelPath, Side};

use super::Noted;
use super::execute::{Execution, StepError};
use super::observe::Observed;
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
    pub(super) async fn fit_names(&self, plan: Plan, observed: &Observed) -> Result<Fitted, SyncError> {
        let mut fitted = Fitted { plan, late: Vec::new(), refused: Vec::new() };
        if fitted.plan.steps.iter().any(|step| new_name(step, Side::Remote).is_some()) {
            self.refuse_forbidden(&mut fitted).await?;
        }
        let folders: HashSet<RelPath> = observed.folders.keys().cloned().collect();
        let (tree, store, service) = (self.tree.clone(), self.store.clone(), self.service.id);
        blocking(move || {
            for step in &mut fitted.plan.steps {
                if new_name(step, Side::Remote).is_some() {
                    step.remote = step.remote.respelled(|folder| folders.contains(folder));
                } else if new_name(step, Side::Local).is_some() {
                    step.local = step.local.respelled(|folder| matches!(tree.stat(folder), Ok(Some(_))));
                }
            }
            let tx = store.read()?;
            let (index, view) = (Index::open(&tx)?, RemoteView::open(&tx, service)?);
            let there = |folder: &RelPath| Ok(view.members(folder, "")?.map(|item| Ok(item?.0)).collect::<Result<Vec<_>, StoreError>>()?);
            let clashing = clashes(&fitted.plan.steps, Side::Remote, &folders, there)?;
            if library::folds_case(&tree) {
                let here =
                    |folder: &RelPath| Ok(index.members(folder, "")?.map(|item| Ok(item?.0)).collect::<Result<Vec<_>, StoreError>>()?);
                let folders = index.folders()?.into_iter().collect();
                let clashing = clashes(&fitted.plan.steps, Side::Local, &folders, here)?;
                for (step, other) in take(&mut fitted.plan.steps, &clashing) {
                    let reason = format!("the library's disk takes this name for {other}, which it has already; rename one of them");
                    fitted.refused.push(Noted { path: step.remote.to_string(), reason });
                }
            }
            fitted.late = take(&mut fitted.plan.steps, &clashing).into_iter().map(|(step, _)| step).collect();
            Ok(fitted)
        })
        .await
    }

    /// Leaves out what the service says that it takes from nobody.
    async fn refuse_forbidden(&self, fitted: &mut Fitted) -> Result<(), SyncError> {
        let Some(rules) = self.root.name_rules().await? else { return Ok(()) };
        fitted.plan.steps.retain(|step| {
            let reason = new_name(step, Side::Remote).and_then(|name| rules.refusal(name));
            let noted = reason.map(|reason| Noted { path: step.local.to_string(), reason });
            let fits = noted.is_none();
            fitted.refused.extend(noted);
            fits
        });
        Ok(())
    }
}

/// The name that a step makes on a side, where nothing has it yet.
fn new_name(step: &Step, side: Side) -> Option<&RelPath> {
    match (&step.action, side) {
        (Action::Upload { expect: Expect::Absent, .. } | Action::Move { side: Side::Remote, .. }, Side::Remote) => Some(&step.remote),
        (Action::Download { expect: Expect::Absent, .. } | Action::Move { side: Side::Local, .. }, Side::Local) => Some(&step.local),
        _ => None,
    }
}

/// A path as a side sees it that does not tell upper from lower case, nor one Unicode form from another.
fn folded(path: &RelPath) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    match path.as_str().is_ascii() {
        true => path.as_str().to_ascii_lowercase(),
        false => path.as_str().nfc().flat_map(char::to_lowercase).collect(),
    }
}

/// The new names of transfers that such a side could not tell from another name: from one that is there, or from one that comes earlier. Each
/// with the other one.
fn clashes(
    steps: &[Step],
    side: Side,
    folders: &HashSet<RelPath>,
    members: impl Fn(&RelPath) -> Result<Vec<RelPath>, StoreError>,
) -> Result<HashMap<RelPath, RelPath>, StoreError> {
    let is_transfer = |step: &&Step| !matches!(step.action, Action::Move { .. });
    let new: Vec<&RelPath> = steps.iter().filter(is_transfer).filter_map(|step| new_name(step, side)).collect();
    let mut known: HashMap<String, RelPath> = folders.iter().map(|folder| (folded(folder), folder.clone())).collect();
    let parents: BTreeSet<RelPath> = new.iter().filter_map(|path| path.parent()).collect();
    // The same folder in another case is where such a side would put the file.
    let others: BTreeSet<RelPath> = parents.iter().filter_map(|parent| known.get(&folded(parent)).cloned()).collect();
    for folder in parents.union(&others).filter(|folder| folders.contains(folder)) {
        known.extend(members(folder)?.into_iter().map(|path| (folded(&path), path)));
    }
    let mut clashing = HashMap::new();
    for path in new {
        let mut prefixes: Vec<RelPath> = std::iter::once(path.clone()).chain(path.ancestors()).filter(|p| !p.is_root()).collect();
        prefixes.reverse();
        for prefix in prefixes.into_iter().filter(|prefix| !folders.contains(prefix)) {
            let other = known.entry(folded(&prefix)).or_insert_with(|| prefix.clone());
            if *other != prefix {
                clashing.insert(path.clone(), other.clone());
                break;
            }
        }
    }
    Ok(clashing)
}

/// Takes the steps with these names out of a plan.
fn take(steps: &mut Vec<Step>, clashing: &HashMap<RelPath, RelPath>) -> Vec<(Step, RelPath)> {
    if clashing.is_empty() {
        return Vec::new();
    }
    let (mut taken, mut rest) = (Vec::new(), Vec::new());
    for step in std::mem::take(steps) {
        let name = new_name(&step, Side::Remote).or(new_name(&step, Side::Local));
        match name.and_then(|name| clashing.get(name)).cloned() {
            Some(other) => taken.push((step, other)),
            None => rest.push(step),
        }
    }
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
                Err(error) => self.failed(&step, &StepError::Client(error)),
            }
        }
        Ok(())
    }

    /// The first part of a new path that the service has already, though it lists no such name.
    async fn is_taken(&self, path: &RelPath) -> Result<Option<RelPath>, ClientError> {
        let mut prefixes: Vec<RelPath> = std::iter::once(path.clone()).chain(path.ancestors()).filter(|p| !p.is_root()).collect();
        prefixes.reverse();
        for prefix in prefixes {
            if self.listed.contains_key(&prefix) || self.created.lock().await.contains(&prefix) {
                continue;
            }
            match self.sync.client.look(&prefix).await {
                Ok(None) => return Ok(None),
                Ok(Some(_)) => return Ok(Some(prefix)),
                // It is a folder, or it is called otherwise.
                Err(ClientError::Status { status: StatusCode::CONFLICT, .. } | ClientError::Redirect(_) | ClientError::Outside(_)) => {
                    return Ok(Some(prefix));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Why a step failed; where its name may be the reason, that is said.
pub(super) fn explained(step: &Step, error: &StepError) -> String {
    let reason = error.to_string();
    let StepError::Client(ClientError::Status { status, .. }) = error else { return reason };
    let may_be_the_name = matches!(status.as_u16(), 400 | 403 | 405 | 406 | 409 | 414 | 415 | 422 | 500 | 507);
    match new_name(step, Side::Remote).filter(|_| may_be_the_name).and_then(oddity) {
        Some(oddity) => format!("{reason}. Perhaps it does not take this name: {oddity}"),
        None => reason,
    }
}

/// What some servers do not like about a path.
fn oddity(path: &RelPath) -> Option<String> {
    const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];
    path.segments().find_map(|name| {
        let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
        let reserved = RESERVED.contains(&stem.trim_end_matches(|c: char| c.is_ascii_digit())) && stem.len() <= 4;
        if let Some(c) = name.chars().find(|c| "<>:\"|?*".contains(*c)) {
            Some(format!("{name} has the character {c}"))
        } else if name.ends_with(['.', ' ']) {
            Some(format!("\"{name}\" ends with a dot or a space"))
        } else if reserved {
            Some(format!("{name} is reserved on Windows"))
        } else if name.len() > 140 {
            Some(format!("it is {} bytes long", name.len()))
        } else if name.starts_with('.') {
            Some(format!("{name} begins with a dot"))
        } else {
            name.chars().find(|c| u32::from(*c) > 0xffff).map(|c| format!("{name} has the character {c}"))
        }
    })
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
        let folders = ["", "there"].map(path).into_iter().collect();
        let members = |folder: &RelPath| Ok(if folder.is_root() { vec![path("a.JPG")] } else { Vec::new() });
        let found = clashes(&steps, Side::Remote, &folders, members).unwrap();
        let mut names: Vec<_> = found.iter().map(|(path, other)| (path.as_str(), other.as_str())).collect();
        names.sort_unstable();
        let expected =
            [("A.jpg", "a.JPG"), ("E\u{301}.jpg", "\u{e9}.jpg"), ("There/z.jpg", "there"), ("a.jpg", "a.JPG"), ("new/y.jpg", "New")];
        assert_eq!(names, expected);
        let mut steps = steps.to_vec();
        assert_eq!((take(&mut steps, &found).len(), steps.len()), (5, 3));
    }

    #[test]
    fn what_servers_do_not_like_is_named() {
        for (name, word) in
            [("a:b.jpg", "character :"), ("a. ", "space"), ("CON.txt", "reserved"), ("x/lpt1", "reserved"), (".a", "dot"), ("🔥.jpg", "🔥")]
        {
            assert!(oddity(&path(name)).is_some_and(|text| text.contains(word)), "{name}");
        }
        assert!(oddity(&path(&"x".repeat(150))).is_some_and(|text| text.contains("150")));
        for name in ["a.jpg", "conference.jpg", "comma.jpg", "M\u{fc}ller & co/x.jpg"] {
            assert_eq!(oddity(&path(name)), None);
        }
    }
}
