//! Files that failed are left alone for longer and longer, so that what cannot go well does not cost every run anew.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::reconcile::{Action, Plan, Step};
use crate::store::failures::{self, FailedFile, Failures};
use crate::store::{Store, StoreError};
use crate::types::{RelPath, ServiceId};

use super::report::{Noted, Reason};
use super::run::{Sync, SyncError, blocking};

/// What failed before this run, and what this run makes of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    before: HashMap<RelPath, FailedFile>,
    /// Of these there was a step in some round, left out or not.
    seen: HashSet<RelPath>,
    failed: Vec<(RelPath, FailedFile)>,
    forgotten: Vec<RelPath>,
}

impl Ledger {
    pub(super) fn done(&mut self, path: &RelPath) {
        self.forgotten.extend(self.before.remove(path).map(|_| path.clone()));
    }

    pub(super) fn failed(&mut self, step: &Step, Reason { cause, text }: &Reason, now: i64) {
        let failed = FailedFile::new(step.verb(), versions(step), (cause, text), now).after(self.before.get(&step.local), now);
        self.failed.push((step.local.clone(), failed));
    }
}

/// Stands for the versions that a step concerns.
fn versions(step: &Step) -> [u8; 16] {
    let concerned = match &step.action {
        // The name of the copy has the time in it.
        Action::Conflict { local, remote, .. } => format!("{local:?} {remote:?}"),
        action => format!("{action:?}"),
    };
    let mut short = [0; 16];
    blake3::Hasher::new().update(step.remote.as_str().as_bytes()).update(concerned.as_bytes()).finalize_xof().fill(&mut short);
    short
}

/// Whether a step can be left out without another one depending on it.
fn stands_alone(step: &Step) -> bool {
    matches!(step.action, Action::Upload { .. } | Action::Download { .. } | Action::Conflict { .. } | Action::Delete { .. })
}

impl Sync {
    /// Takes out of a plan what failed before and whose time has not come yet; what is left out is told. A run that somebody asked for leaves
    /// nothing out. What failed before and is no longer to be done is forgotten, when the plan is that of the last round.
    pub(super) async fn leave_for_later(&self, plan: &mut Plan, last: bool) -> Result<Vec<Noted>, SyncError> {
        let (store, id) = (self.store.clone(), self.service.id);
        let before: HashMap<RelPath, FailedFile> =
            blocking(move || Ok(Failures::open(&store.read()?, id)?.all()?.collect::<Result<_, _>>()?)).await?;
        if before.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.store.clock().seconds();
        let mut left = Vec::new();
        let mut seen = HashSet::new();
        plan.steps.retain(|step| {
            let Some(failed) = before.get(&step.local) else { return true };
            if !failed.is(step.verb(), versions(step)) {
                return true;
            }
            seen.insert(step.local.clone());
            let waits = self.options.patient && failed.next > now && stands_alone(step);
            if waits {
                left.push(Noted::new(&step.local, "waiting", waiting(failed)));
            }
            !waits
        });
        self.monitor.with_ledger(|ledger| {
            let (same, other): (HashMap<_, _>, HashMap<_, _>) = before.into_iter().partition(|(path, _)| seen.contains(path));
            ledger.before.extend(same);
            ledger.seen.extend(seen);
            ledger.forgotten.extend(other.into_keys().filter(|path| last && !ledger.seen.contains(path)));
        });
        Ok(left)
    }

    /// Writes down what failed and what did not any more.
    pub(super) async fn remember_failures(&self) -> Result<(), SyncError> {
        let (failed, forgotten) =
            self.monitor.with_ledger(|ledger| (std::mem::take(&mut ledger.failed), std::mem::take(&mut ledger.forgotten)));
        if failed.is_empty() && forgotten.is_empty() {
            return Ok(());
        }
        let (store, id) = (self.store.clone(), self.service.id);
        blocking(move || {
            Ok(store.write(move |tx| {
                forgotten.iter().try_for_each(|path| failures::remove(tx, id, path))?;
                failed.iter().try_for_each(|(path, row)| failures::put(tx, id, path, row))
            })?)
        })
        .await
    }
}

/// What the owner reads of a file that waits.
fn waiting(failed: &FailedFile) -> String {
    let next = Timestamp::from_second(failed.next).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    let often = match failed.attempts {
        1 => "once".to_owned(),
        attempts => format!("{attempts} times"),
    };
    format!("failed {often} ({}); it is tried again {}", failed.reason, next.strftime("%Y-%m-%d %H:%M:%S"))
}

/// When the first of the files that failed with a service is tried again, in seconds since 1970.
pub fn next_retry(store: &Store, service: ServiceId) -> Result<Option<i64>, StoreError> {
    let mut next = None;
    for item in Failures::open(&store.read()?, service)?.all()? {
        let (_, failed) = item?;
        next = Some(next.map_or(failed.next, |next: i64| next.min(failed.next)));
    }
    Ok(next)
}
