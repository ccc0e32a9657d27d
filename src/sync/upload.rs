//! Uploads: sent side by side, proven folder by folder, then recorded.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use http::StatusCode;

use crate::client::{ClientError, Verified, verify};
use crate::library::{LibraryError, Open, Tree};
use crate::reconcile::{Action, Step, Why};
use crate::services::Trust;
use crate::store::StoreError;
use crate::store::listed::{self, RemoteFolders};
use crate::store::remote::RemoteView;
use crate::types::{Digests, Expect, Hasher, LocalVersion, RelPath, RemoteVersion};

use super::Noted;
use super::execute::{Execution, StepError};
use super::record::Record;
use super::run::{SyncError, blocking};
use super::ways::Way;

/// Names longer than this, in bytes, may be refused only while they are being written: Nextcloud adds some 28.
const LONG: usize = 200;
const PIECE: usize = 256 << 10;

/// What the service has, under the name that it lists.
pub(super) type Listed = (RelPath, RemoteVersion);

/// What became of one file of a batch.
pub(super) enum Sent {
    /// The service said that it took it, perhaps with an entity tag; not proven yet.
    Unproven(Option<String>),
    /// Proven already.
    Proven(Verified),
    /// Not needed after all.
    Superfluous(RelPath),
}

/// A file that was sent, as far as it helps to judge what became of it.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    /// The file that was sent.
    pub local: &'a RelPath,
    /// The entity tag that the service answered to our PUT.
    pub answered: Option<&'a str>,
    /// Nothing had the name when we wrote to it.
    pub was_free: bool,
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
                    Some(Ok(Sent::Unproven(etag))) => unproven.push((step, etag)),
                    Some(Ok(Sent::Proven(proof))) => proven.push((step, proof)),
                    Some(Ok(Sent::Superfluous(at))) => {
                        let reason = Why::SameContentAt { path: at }.to_string();
                        self.count(|report| report.skip(Noted { path: step.local.to_string(), reason }));
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
                self.count(|report| report.sent(source.size));
            }
        }
        self.sync.record(records).await?;
        proven.iter().for_each(|(step, _)| self.finished(step, None));
        Ok(())
    }

    /// Looks at what was sent: in one listing when it is worth it, otherwise file by file.
    async fn prove(self: &Arc<Self>, sent: Vec<(Step, Option<String>)>, proven: &mut Vec<(Step, Verified)>) {
        let (steps, answered): (Vec<Step>, Vec<Option<String>>) = sent.into_iter().unzip();
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
        for (step, answered) in steps.into_iter().zip(answered) {
            let Action::Upload { source, expect } = &step.action else { continue };
            let was_free = matches!(expect, Expect::Absent);
            let sending = Sending { local: &step.local, answered: answered.as_deref(), was_free };
            match self.judge(source, found.remove(&step.remote).unwrap_or(Ok(None)), sending).await {
                Ok(proof) => proven.push((step, proof)),
                Err(error) => match self.try_other_ways(&step, source, expect, error).await {
                    Ok(proof) => proven.push((step, proof)),
                    Err(error) => self.failed(&step, &error),
                },
            }
        }
    }

    /// Proof, or the reason. What is wrong under a name that was free when we wrote to it is removed, if it is certainly ours.
    pub(super) async fn judge(
        &self,
        sent: &LocalVersion,
        found: Result<Option<Listed>, ClientError>,
        sending: Sending<'_>,
    ) -> Result<Verified, StepError> {
        let mut found = found?;
        if let Some((path, version)) = &mut found
            && version.digests.is_empty()
            && version.size == Some(sent.size)
            && let (Some(answered), Some(etag)) = (sending.answered, &version.etag)
            && answered != etag
        {
            // Somebody may have been at it since we were answered, and no checksum says: the bytes themselves must.
            version.digests = self.sync.remote_digests(path, version).await?.into();
        }
        if self.sync.service.sync.trust == Trust::Full
            && let Some((path, version)) = found.as_mut().filter(|(_, version)| version.size == Some(sent.size))
        {
            version.digests = self.sync.remote_digests(path, version).await?.into();
        }
        match verify::verify_listed(sent, found.clone()) {
            Ok(proof) => Ok(proof),
            Err(reason) => {
                if let Some((path, found)) = found.filter(|_| sending.was_free)
                    && self.is_ours(&path, sent, &found, sending).await
                {
                    self.remove_remains(&path, found).await;
                }
                Err(StepError::NotProven(reason))
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
        match expect {
            Expect::Absent if self.way()? == Way::TemporaryName => self.replace(step, source, expect).await.map(Sent::Proven),
            // In pieces it is put together aside, and takes the place at once.
            Expect::Version(_) if !self.is_node && !self.goes_in_chunks(source).await => {
                self.replace(step, source, expect).await.map(Sent::Proven)
            }
            _ => match self.send(&step.local, &step.remote, source, expect).await {
                // Some servers add to a name while it is being written, and so refuse to write what they can hold.
                Err(StepError::Client(ClientError::Status { .. })) if step.remote.name().len() > LONG => {
                    self.replace(step, source, expect).await.map(Sent::Proven)
                }
                sent => sent.map(Sent::Unproven),
            },
        }
    }

    /// A name that holds a good file is never written to on a foreign server: a connection that breaks could leave half of it.
    /// The new version goes to a name of ours, is proven there, and takes the place by MOVE.
    pub(super) async fn replace(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Verified, StepError> {
        let temporary = self.sync.temporary_name(&step.remote)?;
        let proven = async {
            self.send(&step.local, &temporary, source, &Expect::Absent).await?;
            let found = self.sync.client.look(&temporary).await?;
            verify::verify(&temporary, source, found).map_err(StepError::NotProven)
        };
        let proof = match proven.await {
            Ok(proof) => proof,
            Err(error) => {
                if let Ok(Some(found)) = self.sync.client.look(&temporary).await {
                    self.remove_remains(&temporary, found).await;
                }
                return Err(error);
            }
        };
        let put_in_place = async {
            let now = self.sync.client.look(&step.remote).await?;
            let as_expected = match (expect, &now) {
                (Expect::Version(then), Some(now)) => now.unchanged_since(then),
                (Expect::Absent, None) | (Expect::Anything, _) => true,
                _ => false,
            };
            if !as_expected {
                return Err(StepError::Client(ClientError::Changed(step.remote.to_string())));
            }
            let there = now.map_or(Expect::Absent, Expect::Version);
            self.sync.client.rename(&temporary, &step.remote, proof.version(), &there).await?;
            let found = self.sync.client.find(&step.remote).await?;
            verify::verify_listed(source, found).map_err(StepError::NotProven)
        };
        let placed = put_in_place.await;
        if placed.is_err() {
            self.remove_remains(&temporary, proof.version().clone()).await;
        }
        placed
    }

    pub(super) async fn remove_remains(&self, path: &RelPath, found: RemoteVersion) {
        if let Err(error) = self.sync.client.delete(path, &Expect::Version(found)).await {
            tracing::warn!(service = %self.sync.service.name, %path, %error, "the remains of an upload could not be removed");
        }
    }

    /// Whether what stands under a name that was free is what we put there and nobody else's since: it has the entity tag that we
    /// were answered, or it is a beginning of our file.
    pub(super) async fn is_ours(&self, path: &RelPath, sent: &LocalVersion, found: &RemoteVersion, sending: Sending<'_>) -> bool {
        if self.sync.is_temporary(path) {
            return true;
        }
        if let (Some(answered), Some(etag)) = (sending.answered, &found.etag) {
            return answered == etag;
        }
        match found.size {
            Some(0) => true,
            Some(size) if size < sent.size => self.is_beginning(path, found, size, sending.local).await.unwrap_or(false),
            _ => false,
        }
    }

    /// Whether the service's file is the first bytes of the local one.
    pub(super) async fn is_beginning(&self, path: &RelPath, found: &RemoteVersion, size: u64, local: &RelPath) -> Result<bool, StepError> {
        let there = self.sync.remote_digests(path, found).await?;
        let (tree, local) = (self.sync.tree.clone(), local.clone());
        let here =
            blocking(move || Ok(hash_beginning(&tree, &local, size))).await.map_err(|error| StepError::Refused(error.to_string()))??;
        Ok(there == here)
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
                    Err(ClientError::Status { status: StatusCode::METHOD_NOT_ALLOWED, .. }) | Ok(()) => {}
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

/// Reads the first bytes of a file.
fn hash_beginning(tree: &Tree, path: &RelPath, size: u64) -> Result<Digests, LibraryError> {
    let Open { file, .. } = tree.open_file(path)?;
    let mut file = file.take(size);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(source) => return Err(LibraryError::Io { path: path.to_string(), source }),
        }
    }
}
