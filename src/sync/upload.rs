//! Uploads: sent side by side, proven folder by folder, then recorded.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use http::StatusCode;

use crate::client::{ClientError, Receipt, Source, Verified};
use crate::library::Original;
use crate::reconcile::{Action, Step, Why};
use crate::services::delivery::{Delivered, Listed, Sending, Upload};
use crate::store::StoreError;
use crate::store::listed::{self, RemoteFolders};
use crate::store::remote::RemoteView;
use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion};

use super::execute::{Execution, StepError};
use super::record::Record;
use super::report::Noted;
use super::run::{SyncError, blocking};

/// What became of one file of a batch.
pub(super) enum Sent {
    /// The service said that it took it; not proven yet.
    Unproven(Receipt),
    /// Proven already.
    Proven(Verified),
    /// Not needed after all.
    Superfluous(RelPath),
}

impl Execution {
    /// Sends files into one folder, proves them, records what was proven.
    pub(super) async fn upload_batch(self: &Arc<Self>, mut steps: Vec<Step>) -> Result<(), SyncError> {
        let groups = match self.bulk_groups(&mut steps).await {
            Ok(groups) => groups,
            Err(error) => {
                tracing::debug!(service = %self.sync.service.name, %error, "it did not tell what it can");
                Vec::new()
            }
        };
        let alone = steps.into_iter().map(|step| vec![step]);
        let mut sending = FuturesUnordered::new();
        for group in groups.into_iter().chain(alone) {
            sending.push(async move {
                let _permit = self.permits.acquire().await;
                if self.fatal().is_some() {
                    return Vec::new();
                }
                let mut group = group;
                group.retain(|step| !self.left_for_want_of_room(&step.local));
                group.iter().for_each(|step| self.sync.monitor.begins(step));
                match group.len() {
                    0 => Vec::new(),
                    1 => {
                        let (step, sent) = self.upload_as_it_is(group.remove(0)).await;
                        vec![(step, Some(sent))]
                    }
                    _ => self.upload_group(group).await,
                }
            });
        }
        let (mut unproven, mut proven) = (Vec::new(), Vec::new());
        while let Some(done) = sending.next().await {
            for (step, sent) in done {
                match sent {
                    Some(Ok(Sent::Unproven(receipt))) => unproven.push((step, receipt)),
                    Some(Ok(Sent::Proven(proof))) => proven.push((step, proof)),
                    Some(Ok(Sent::Superfluous(at))) => {
                        let why = Why::SameContentAt { path: at };
                        self.count(|report| report.skip(Noted::left(&step.local, &why)));
                        self.finished(&step, None);
                    }
                    Some(Err(error)) => self.failed(&step, &error),
                    None => {}
                }
            }
        }
        drop(sending);
        self.prove(unproven, &mut proven).await;

        let mut records = Vec::new();
        for (step, proof) in &proven {
            if let Action::Upload { source, .. } = &step.action {
                records.push(Record::uploaded(&step.local, *source, proof));
                self.count(|report| report.uploaded(source.size, proof));
            }
        }
        self.sync.record(records).await?;
        self.sync.delivery.forget_settled().await?;
        proven.iter().for_each(|(step, _)| self.finished(step, None));
        Ok(())
    }

    /// Looks at what was sent: in one listing when it is worth it, otherwise file by file.
    async fn prove(self: &Arc<Self>, sent: Vec<(Step, Receipt)>, proven: &mut Vec<(Step, Verified)>) {
        let (steps, receipts): (Vec<Step>, Vec<Receipt>) = sent.into_iter().unzip();
        let Some(first) = steps.first() else { return };
        let folder = first.remote.parent().unwrap_or_default();
        let worth_it = steps.len() > 1 && !self.has_more_members(&folder, steps.len() * 3);
        let mut found: HashMap<RelPath, Result<Option<Listed>, ClientError>> = if worth_it {
            match self.members_there(&folder).await {
                Ok(mut there) => {
                    // What was found under one name is no proof for another one.
                    let mut take = |path: &RelPath| {
                        let mut forms = std::iter::once(path.clone()).chain(path.spellings());
                        forms.find_map(|form| there.remove_entry(&form))
                    };
                    steps.iter().map(|step| (step.remote.clone(), Ok(take(&step.remote)))).collect()
                }
                Err(error) => steps.iter().map(|step| (step.remote.clone(), Err(error.clone()))).collect(),
            }
        } else {
            let paths: Vec<_> = steps.iter().map(|step| step.remote.clone()).collect();
            stream::iter(paths)
                .map(|path| async move {
                    let found = self.sync.client.find(&path).await;
                    (path, found)
                })
                .buffer_unordered(self.sync.options.parallel)
                .collect()
                .await
        };
        for (step, receipt) in steps.into_iter().zip(receipts) {
            let Action::Upload { source, expect } = &step.action else { continue };
            let was_free = matches!(expect, Expect::Absent);
            let from = self.original(&step.local, source);
            let sending = Sending { from: &from, receipt: &receipt, was_free };
            let found = found.remove(&step.remote).unwrap_or(Ok(None));
            let proof = match self.sync.delivery.judge(source, found, sending).await {
                Err(error) => self.sync.delivery.repair(upload_of(&step, &from, source, expect), error).await,
                proof => proof,
            };
            match proof {
                Ok(proof) => proven.push((step, proof)),
                Err(error) => self.failed(&step, &error.into()),
            }
        }
    }

    pub(super) async fn upload(self: &Arc<Self>, step: &Step) -> Result<Sent, StepError> {
        let Action::Upload { source, expect } = &step.action else {
            return Err(StepError::Refused("not an upload".into()));
        };
        if matches!(expect, Expect::Absent)
            && let Some(at) = self.found_here(&step.local, source.digests.content)
        {
            return Ok(Sent::Superfluous(at));
        }
        self.ensure_folder(&step.remote.parent().unwrap_or_default()).await?;
        let from = self.original(&step.local, source);
        Ok(match self.sync.delivery.deliver(upload_of(step, &from, source, expect)).await? {
            Delivered::Unproven(receipt) => Sent::Unproven(receipt),
            Delivered::Proven(proof) => Sent::Proven(proof),
        })
    }

    /// A file of the library, to be sent.
    pub(super) fn original(&self, path: &RelPath, version: &LocalVersion) -> Arc<dyn Source> {
        Arc::new(Original { tree: self.sync.tree.clone(), path: path.clone(), version: *version })
    }

    /// Whether a folder of the service had more files than that when it was listed. One that cannot be looked up counts as large.
    fn has_more_members(&self, folder: &RelPath, limit: usize) -> bool {
        let more = || {
            let view = RemoteView::open(&self.sync.store.read()?, self.sync.service.id)?;
            Ok::<_, StoreError>(view.members(folder, "")?.nth(limit).is_some())
        };
        more().unwrap_or(true)
    }

    /// Whether a folder is there, as far as the last look and our own work tell.
    pub(super) fn has_folder(&self, folder: &RelPath) -> Result<bool, StoreError> {
        Ok(RemoteFolders::open(&self.sync.store.read()?, self.sync.service.id)?.get(folder)?.is_some())
    }

    /// Creates a folder on the service, and those above it.
    pub(super) async fn ensure_folder(&self, folder: &RelPath) -> Result<(), StepError> {
        if self.has_folder(folder)? {
            return Ok(());
        }
        let _turn = self.creating.lock().await;
        let mut missing = Vec::new();
        for folder in std::iter::once(folder.clone()).chain(folder.ancestors()) {
            if self.has_folder(&folder)? {
                break;
            }
            missing.push(folder);
        }
        missing.reverse();
        for folder in &missing {
            if folder.is_root() {
                let root = &self.sync.service.sync.folder;
                let mut above: Vec<RelPath> = std::iter::once(root.clone()).chain(root.ancestors()).filter(|f| !f.is_root()).collect();
                while let Some(folder) = above.pop() {
                    self.sync.root.create_folder(&folder).await?;
                }
            } else {
                match self.sync.client.create_folder(folder).await {
                    Err(ClientError::Status { status: StatusCode::METHOD_NOT_ALLOWED, .. }) | Ok(_) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        let noted = blocking(move || {
            Ok(store.write_soon(move |tx| {
                listed::found_folders(tx, service, &missing)?;
                missing.iter().try_for_each(|folder| listed::wrote_in(tx, service, folder))
            })?)
        });
        Ok(noted.await?)
    }
}

/// A step as it is delivered.
pub(super) fn upload_of<'a>(
    step: &'a Step,
    from: &'a Arc<dyn Source>,
    source: &'a LocalVersion,
    expect: &'a Expect<RemoteVersion>,
) -> Upload<'a> {
    Upload { from, local: &step.local, remote: &step.remote, source, expect }
}
