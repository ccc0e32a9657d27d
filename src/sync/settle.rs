//! Conflicts and deletions.

use std::sync::Arc;

use crate::client::ClientError;
use crate::library::LibraryError;
use crate::reconcile::{Action, Step};
use crate::types::{Expect, LocalVersion, PathError, RelPath, RemoteVersion, Side};

use super::Noted;
use super::download::is_rejoined;
use super::execute::{Execution, StepError};
use super::record::Record;
use super::run::blocking;
use super::upload::Sending;

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
        let policy = self.sync.policy;
        if policy.upload && self.is_cut_upload((&step.local, &step.remote), local, remote).await {
            let proof = self.replace(step, local, &Expect::Version(remote.clone())).await?;
            self.count(|report| report.sent(local.size));
            return Ok(vec![Record::uploaded(&step.local, *local, &proof)]);
        }
        let mut records = Vec::new();
        let mut remote_copy = step.remote.clone();
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
            records.push(match policy.upload {
                true => Record::downloaded(&committed, &remote_copy, version),
                false => Record::kept_both(&committed, &step.local, *local, &step.remote, remote.clone()),
            });
        }
        if policy.upload {
            let answered = self.send(&step.local, &step.remote, local, &Expect::Absent).await?;
            let found = self.sync.client.find(&step.remote).await;
            let sending = Sending { local: &step.local, answered: answered.as_deref(), was_free: true };
            let proof = self.judge(local, found, sending).await?;
            records.push(Record::uploaded(&step.local, *local, &proof));
            self.count(|report| report.sent(local.size));
        }
        let reason = format!("changed on both sides; the service's version is kept as {}", copy.name());
        self.count(|report| report.conflicts.push(Noted { path: step.local.to_string(), reason }));
        Ok(records)
    }

    /// Follows a deletion of the other side.
    pub(super) async fn delete(self: &Arc<Self>, step: &Step) -> Result<Vec<Record>, StepError> {
        let mut record = Record::forgotten(&step.local);
        match &step.action {
            Action::Delete { side: Side::Remote, remote: Some(version), .. } => {
                self.unchanged(&step.remote, version).await?;
                self.sync.client.delete(&step.remote, &Expect::Version(version.clone())).await?;
                record = record.gone_there(&step.remote);
            }
            Action::Delete { side: Side::Local, .. } if is_rejoined(&self.sync.store, self.sync.service.id, step)? => return Ok(Vec::new()),
            Action::Delete { side: Side::Local, local: Some(version), .. } => {
                let (tree, path, version) = (self.sync.tree.clone(), step.local.clone(), *version);
                let removed = blocking(move || Ok(tree.remove_file(&path, &Expect::Version(version.into())))).await;
                match removed.map_err(|error| StepError::Refused(error.to_string()))? {
                    Ok(()) | Err(LibraryError::NotFound(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => return Err(StepError::Refused("nothing to delete".into())),
        }
        self.count(|report| report.deleted += 1);
        Ok(vec![record])
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
