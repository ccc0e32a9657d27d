//! Small new files, many in one request, where the service takes that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::client::{ClientError, Member, Receipt, Source, bulk_takes};
use crate::reconcile::{Action, Step};
use crate::services::delivery::{WHOLE, read_whole};
use crate::types::{Evidence, Expect, LocalVersion, RelPath, RemoteVersion, Side};

use super::execute::{Execution, StepError};
use super::run::blocking;
use super::upload::Sent;

/// The most files in one request, and their bytes: what is held in memory, and sent again when a request breaks off.
const FILES: usize = 100;
const BYTES: u64 = 8 << 20;

impl Execution {
    /// Takes out of `steps`, which are uploads into one folder, those that may go in bulk, and gives them back in groups for one request each.
    pub(super) async fn bulk_groups(&self, steps: &mut Vec<Step>) -> Result<Vec<Vec<Step>>, ClientError> {
        let small = |step: &Step| match &step.action {
            Action::Upload { source, expect: Expect::Absent } => source.size <= WHOLE && bulk_takes(&step.remote),
            _ => false,
        };
        // One file alone is as well off with a PUT.
        if steps.iter().filter(|step| small(step)).count() < 2 || !self.sync.client.capabilities().await?.bulk {
            return Ok(Vec::new());
        }
        let (bulk, single): (Vec<Step>, Vec<Step>) = std::mem::take(steps).into_iter().partition(small);
        *steps = single;
        let mut groups: Vec<Vec<Step>> = Vec::new();
        let mut bytes = BYTES;
        for step in bulk {
            bytes += step.bytes();
            match groups.last_mut().filter(|group| group.len() < FILES && bytes <= BYTES) {
                Some(group) => group.push(step),
                None => {
                    bytes = step.bytes();
                    groups.push(vec![step]);
                }
            }
        }
        Ok(groups)
    }

    /// Sends a group in one request. What did not go that way goes by itself.
    pub(super) async fn upload_group(self: &Arc<Self>, group: Vec<Step>) -> Vec<(Step, Option<Result<Sent, StepError>>)> {
        let mut done = Vec::new();
        let mut alone = Vec::new();
        let mut sources = Vec::new();
        for step in group {
            let Action::Upload { source, .. } = &step.action else { continue };
            if let Some(at) = self.found_here(&step.local, source.digests.content) {
                done.push((step, Some(Ok(Sent::Superfluous(at)))));
            } else {
                sources.push((*source, step));
            }
        }
        match self.send_group(&mut sources, &mut alone).await {
            Ok(sent) => done.extend(sent.into_iter().map(|(step, sent)| (step, Some(sent)))),
            Err(error) => {
                tracing::debug!(service = %self.sync.service.name, %error, "files could not be sent together");
                alone.extend(sources.into_iter().map(|(_, step)| step));
            }
        }
        for step in alone {
            if self.fatal().is_some() || self.left_for_want_of_room(&step.local) {
                done.push((step, None));
            } else {
                let (step, sent) = self.upload_as_it_is(step).await;
                done.push((step, Some(sent)));
            }
        }
        done
    }

    /// Sends what can be read and is not there. On an error `sources` still holds what was to be sent.
    async fn send_group(
        self: &Arc<Self>,
        sources: &mut Vec<(LocalVersion, Step)>,
        alone: &mut Vec<Step>,
    ) -> Result<Vec<(Step, Result<Sent, StepError>)>, StepError> {
        let Some(folder) = sources.first().map(|(_, step)| step.remote.parent().unwrap_or_default()) else { return Ok(Vec::new()) };
        self.ensure_folder(&folder).await?;
        if !self.is_node {
            // A cloud replaces what is there. A PUT by itself does not.
            let there: HashSet<RelPath> = self.members_there(&folder).await?.into_keys().collect();
            alone.extend(sources.extract_if(.., |(_, step)| there.contains(&step.remote)).map(|(_, step)| step));
        }
        let wanted: Vec<_> =
            sources.iter().map(|(source, step)| (self.original(&step.local, source), step.local.clone(), *source)).collect();
        let whole = |(from, path, version): &(Arc<dyn Source>, RelPath, LocalVersion)| read_whole(&**from, path, version).ok();
        let read = blocking(move || Ok(wanted.iter().map(whole).collect::<Vec<_>>()));
        let mut read = read.await?.into_iter();
        let mut files = Vec::new();
        // What has changed meanwhile is looked at again where it goes alone.
        let unread = sources.extract_if(.., |(source, step)| match read.next().flatten() {
            Some(bytes) => {
                files.push((step.remote.clone(), *source, bytes));
                false
            }
            None => true,
        });
        alone.extend(unread.map(|(_, step)| step));
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let results = match self.sync.client.bulk(files).await {
            Ok(results) => results,
            Err(error) if may_be_there(&error) => {
                tracing::debug!(service = %self.sync.service.name, %error, "files were sent together; looking what became of them");
                return self.find_arrived(&folder, sources, alone).await;
            }
            Err(error) => return Err(error.into()),
        };
        let mut sent = Vec::new();
        for ((source, step), (_, result)) in std::mem::take(sources).into_iter().zip(results) {
            match result {
                Ok(etag) => {
                    self.moved_bytes((Side::Local, &step.local), source.size);
                    // Each part is taken only when its checksum is that of its bytes.
                    let receipt = Receipt { etag, evidence: Some(Evidence::ServerVerified) };
                    sent.push((step, Ok(Sent::Unproven(receipt))));
                }
                Err(error) if error.is_full() => sent.push((step, Err(error.into()))),
                Err(_) => alone.push(step),
            }
        }
        Ok(sent)
    }

    /// The answer was lost, or an error: what is there need not be sent again, and what is there of a file is removed. Nothing had these names
    /// right before.
    async fn find_arrived(
        &self,
        folder: &RelPath,
        sources: &mut Vec<(LocalVersion, Step)>,
        alone: &mut Vec<Step>,
    ) -> Result<Vec<(Step, Result<Sent, StepError>)>, StepError> {
        let there = self.members_there(folder).await?;
        let mut sent = Vec::new();
        for (source, step) in std::mem::take(sources) {
            let arrived = match there.get(&step.remote) {
                Some(found) => self.sync.delivery.holds(&step.remote, found, &source).await?,
                None => false,
            };
            if arrived {
                self.moved_bytes((Side::Local, &step.local), source.size);
                sent.push((step, Ok(Sent::Unproven(Receipt::default()))));
                continue;
            }
            if let Some(found) = there.get(&step.remote)
                && self.sync.delivery.is_beginning(&step.remote, found, &source, &self.original(&step.local, &source)).await
            {
                self.sync.delivery.remove_remains(&step.remote, found.clone()).await;
            }
            alone.push(step);
        }
        Ok(sent)
    }

    /// The files that the service lists in a folder.
    pub(super) async fn members_there(&self, folder: &RelPath) -> Result<HashMap<RelPath, RemoteVersion>, ClientError> {
        let members = self.sync.client.list(folder).await?.unwrap_or_default().members;
        let files = members.into_iter().filter_map(|member| match member {
            Member::File(path, version) => Some((path, version)),
            Member::Folder(..) => None,
        });
        Ok(files.collect())
    }
}

/// Whether some of the files of a request may be there although it failed.
fn may_be_there(error: &ClientError) -> bool {
    match error {
        ClientError::Status { status, .. } => status.is_server_error() && !error.is_full(),
        ClientError::Corrupt(_) | ClientError::Malformed(_) => true,
        error => error.may_have_arrived(),
    }
}
