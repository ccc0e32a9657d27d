//! Conflicts and deletions.

use std::sync::Arc;

use crate::client::{ClientError, Verified};
use crate::reconcile::{Action, Step};
use crate::services::delivery::{DeliveryError, Sending, Upload};
use crate::store::origins::Origin;
use crate::types::{Expect, LocalVersion, PathError, RelPath, RemoteVersion, Side};

use super::Noted;
use super::execute::{Execution, StepError};
use super::join::is_rejoined;
use super::record::Record;
use super::run::blocking;
use super::upload::upload_of;

impl Execution {
    /// Both sides changed. The service's version goes to the name of the conflict copy, on every side that may be written; then the local
    /// version takes the name. Breaking off at any point leaves both versions, and the next run goes on from there.
    pub(super) async fn keep_both(
        self: &Arc<Self>,
        step: &Step,
        local: &LocalVersion,
        remote: &RemoteVersion,
        copy: &RelPath,
    ) -> Result<Vec<Record>, StepError> {
        let (policy, from) = (self.sync.policy, self.original(&step.local, local));
        if policy.upload && self.sync.delivery.is_beginning(&step.remote, remote, local, &from).await {
            // No second version, but an upload that broke off: nothing of it is lost.
            let expect = Expect::Version(remote.clone());
            let proof = self.sync.delivery.replace(upload_of(step, &from, local, &expect)).await?;
            self.count(|report| report.uploaded(local.size, &proof));
            return Ok(vec![Record::uploaded(&step.local, *local, &proof)]);
        }
        let mut records = Vec::new();
        let mut remote_copy = step.remote.clone();
        let mut origin = Origin { here: Some(local.digests.content), there: Some((self.sync.service.id, remote.digests)) };
        if policy.upload {
            remote_copy = copy_there(step, copy).map_err(|error| StepError::Refused(error.to_string()))?;
            self.unchanged(&step.remote, remote).await?;
            self.sync.client.rename(&step.remote, &remote_copy, remote, &Expect::Absent).await?;
        }
        if policy.download {
            let source = self.sync.client.look(&remote_copy).await?.ok_or_else(|| vanished(&remote_copy))?;
            let fetched = self.fetch(&remote_copy, &RemoteVersion { digests: remote.digests, ..source }).await?;
            let (committed, version) = self.publish(fetched, copy.clone(), Expect::Absent).await?;
            self.count(|report| {
                report.downloaded += 1;
                report.verified += 1;
                report.bytes_down += committed.version().size;
            });
            origin.there = Some((self.sync.service.id, committed.version().digests.into()));
            let record = match policy.upload {
                true => Record::downloaded(&committed, &remote_copy, version),
                false => Record::kept_both(&committed, &step.local, *local, &step.remote, remote.clone()),
            };
            records.push(record.with_copy(committed.path().clone(), origin));
        }
        if policy.upload {
            let upload = upload_of(step, &from, local, &Expect::Absent);
            let proof = match self.send_and_prove(upload).await {
                Err(error) => self.sync.delivery.repair(upload, error).await?,
                Ok(proof) => proof,
            };
            let record = Record::uploaded(&step.local, *local, &proof);
            // A copy that is only there is known by its name there.
            records.push(if policy.download { record } else { record.with_copy(remote_copy, origin) });
            self.count(|report| report.uploaded(local.size, &proof));
        }
        let reason = format!("changed on both sides; the service's version is kept as {}", copy.name());
        self.count(|report| report.conflicts.push(Noted { path: step.local.to_string(), reason, cause: None, other: None }));
        Ok(records)
    }

    async fn send_and_prove(self: &Arc<Self>, upload: Upload<'_>) -> Result<Verified, DeliveryError> {
        let receipt = self.sync.delivery.send(upload).await?;
        let found = self.sync.client.find(upload.remote).await;
        self.sync.delivery.judge(upload.source, found, Sending { from: upload.from, receipt: &receipt, was_free: true }).await
    }

    /// Follows a deletion of the other side.
    pub(super) async fn delete(self: &Arc<Self>, step: &Step) -> Result<Vec<Record>, StepError> {
        let (deleted, record) = match &step.action {
            Action::Delete { side: Side::Remote, remote: Some(version), .. } => {
                (self.delete_there(&step.remote, version).await, Record::forgotten(&step.local).gone_there(&step.remote))
            }
            Action::Delete { side: Side::Local, .. } if is_rejoined(&self.sync.store, self.sync.service.id, step)? => return Ok(Vec::new()),
            Action::Delete { side: Side::Local, local: Some(version), .. } => {
                (self.delete_here(&step.local, *version).await, Record::forgotten(&step.local))
            }
            _ => return Err(StepError::Refused("nothing to delete".into())),
        };
        match deleted {
            Ok(()) => self.count(|report| report.deleted += 1),
            Err(error) if self.is_done_by_now(step, &error).await => {}
            Err(error) => return Err(error),
        }
        Ok(vec![record])
    }

    async fn delete_there(&self, path: &RelPath, version: &RemoteVersion) -> Result<(), StepError> {
        self.unchanged(path, version).await?;
        self.sync.client.delete(path, &Expect::Version(version.clone())).await?;
        self.expect_gone(path, version).await
    }

    async fn delete_here(&self, path: &RelPath, version: LocalVersion) -> Result<(), StepError> {
        let (tree, path) = (self.sync.tree.clone(), path.clone());
        let removed = blocking(move || Ok(tree.remove_file(&path, &Expect::Version(version.into())))).await;
        Ok(removed.map_err(|error| StepError::Refused(error.to_string()))??)
    }

    /// A success is no proof of a deletion either: a file that is taken for deleted and is still there would come back as a new one.
    async fn expect_gone(&self, path: &RelPath, version: &RemoteVersion) -> Result<(), StepError> {
        match self.sync.client.look(path).await? {
            Some(now) if !self.is_node && now.unchanged_since(version) => {
                Err(StepError::Refused("the service said that it deleted the file, but still has it".into()))
            }
            _ => Ok(()),
        }
    }

    /// Looks once more, right before an effect, that the service still has what the plan was made from. Not every server honours If-Match.
    pub(super) async fn unchanged(&self, path: &RelPath, then: &RemoteVersion) -> Result<RemoteVersion, StepError> {
        match self.sync.client.look(path).await? {
            Some(now) if now.unchanged_since(then) => Ok(now),
            Some(_) => Err(ClientError::Changed(path.to_string()).into()),
            None => Err(vanished(path)),
        }
    }
}

pub(super) fn vanished(path: &RelPath) -> StepError {
    ClientError::NotFound(path.to_string()).into()
}

/// The conflict copy on the service: called as it is here, or, where a file has another name there, as that with the same note.
fn copy_there(step: &Step, copy: &RelPath) -> Result<RelPath, PathError> {
    let (copied, _) = copy.stem_and_extension();
    let note = copied.strip_prefix(step.local.stem_and_extension().0).and_then(|note| note.strip_prefix(" (")?.strip_suffix(')'));
    match note {
        Some(note) if step.local.name() != step.remote.name() => Ok(step.remote.with_note(note)),
        _ => step.remote.with_name(copy.name()),
    }
}
