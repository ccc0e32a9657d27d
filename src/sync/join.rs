//! Files that come from a service that tells no digests, and turn out to be here already under another name.

use std::collections::HashSet;

use crate::reconcile::outcome::deduplicates;
use crate::reconcile::{Action, Plan, Step, Why};
use crate::store::Store;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::types::{Digests, Expect, LocalVersion, RelPath, RemoteVersion, ServiceId, Side};

use super::download::Fetched;
use super::execute::{Execution, StepError};
use super::moves::rename_here;
use super::record::Record;
use super::report::Noted;

/// The local paths of the files that are gone from the service since both sides were in step.
pub(super) fn gone_there(plan: &Plan) -> HashSet<RelPath> {
    let gone = |step: &&Step| match &step.action {
        Action::Delete { side, .. } => *side == Side::Local,
        Action::Tombstone { local, remote } => local.is_some() && remote.is_none(),
        _ => false,
    };
    plan.steps.iter().filter(gone).map(|step| step.local.clone()).collect()
}

impl Execution {
    /// A path of the library that holds this content already.
    pub(super) fn library_has(&self, remote: &RelPath, digests: Digests) -> Result<Option<RelPath>, StepError> {
        if !deduplicates(remote) {
            return Ok(None);
        }
        let at = Index::open(&self.sync.store.read()?)?.holding(&digests.into())?;
        Ok(at.filter(|at| !self.sync.filter.hides(at)))
    }

    /// What is at `at`, when it was in step with a file that is gone from the service in this run: what came with the same content is that
    /// file, renamed there by a copy and a deletion.
    pub(super) fn was_partner(&self, digests: Digests, at: &RelPath) -> Result<Option<LocalVersion>, StepError> {
        if !self.sync.policy.keep_names || !self.is_gone_there(at) {
            return Ok(None);
        }
        let tx = self.sync.store.read()?;
        // Not there any more when another file of this run has got it already.
        let agreed = Baseline::open(&tx, self.sync.service.id)?.get(at)?.and_then(|row| row.base().local);
        let here = Index::open(&tx)?.get(at)?.map(|row| row.version());
        Ok(here.filter(|here| here.digests == digests && agreed.is_some_and(|agreed| agreed.digests == digests)))
    }

    /// Gives a file of the library the name that it got on the service. Under two names, a new file with the old one could never come.
    pub(super) async fn follow_rename(
        &self,
        step: &Step,
        fetched: &Fetched,
        from: RelPath,
        here: LocalVersion,
    ) -> Result<Record, StepError> {
        let version = RemoteVersion { digests: fetched.staged.digests().into(), ..fetched.version.clone() };
        let (tree, old, to) = (self.sync.tree.clone(), from.clone(), step.local.clone());
        self.disk(move || rename_here(&tree, &old, &to, Expect::Absent)).await?;
        self.count(|report| report.moved += 1);
        let record = Record::adopted(&step.local, here, &step.remote, version);
        let record = record.ok_or_else(|| StepError::Refused("it was renamed, and is looked at again next time".into()))?;
        Ok(record.replacing(Some(&from)))
    }

    /// The content turned out to be here under another name: no second copy. Both are joined when the local file has no
    /// partner on this service yet.
    pub(super) fn join(&self, step: &Step, fetched: &Fetched, at: RelPath) -> Record {
        let why = Why::SameContentAt { path: at.clone() };
        self.count(|report| {
            report.adopted += 1;
            report.skip(Noted::left(&step.remote, &why));
        });
        let partner = free_partner(&self.sync.store, self.sync.service.id, &at);
        let version = RemoteVersion { digests: fetched.staged.digests().into(), ..fetched.version.clone() };
        let adopted = partner.and_then(|local| Record::adopted(&at, local, &step.remote, version.clone()));
        adopted.unwrap_or_else(|| Record::learned(&step.remote, version))
    }
}

/// The local version at a path, when no file of the service is joined to it, or one that is no more: it was renamed there, and its listing
/// did not tell its content.
fn free_partner(store: &Store, service: ServiceId, at: &RelPath) -> Option<LocalVersion> {
    let tx = store.read().ok()?;
    let taken = Baseline::open(&tx, service).ok()?.get(at).ok()?;
    let view = RemoteView::open(&tx, service).ok()?;
    let row = Index::open(&tx).ok()?.get(at).ok()??;
    let is_free = match taken {
        None => true,
        Some(taken) => view.get(taken.remote_path(at)).ok()?.is_none(),
    };
    is_free.then(|| row.version())
}

/// Whether a download of this run has joined a local file to another one of the service, perhaps under a new name: it is not gone from there.
pub(super) fn is_rejoined(store: &Store, service: ServiceId, step: &Step) -> Result<bool, StepError> {
    let row = Baseline::open(&store.read()?, service)?.get(&step.local)?;
    Ok(row.is_none_or(|row| !row.is_tombstone() && row.remote_path(&step.local) != &step.remote))
}
