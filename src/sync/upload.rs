//! Uploads: sent side by side, proven folder by folder, then recorded.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use http::StatusCode;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::client::{ClientError, Member, Upload, Verified, verify};
use crate::library::{LibraryError, Tree};
use crate::reconcile::outcome::deduplicates;
use crate::reconcile::{Action, Step, Why};
use crate::store::baseline::Baseline;
use crate::types::{Expect, Hasher, LocalVersion, RelPath, RemoteVersion};

use super::Noted;
use super::execute::{Execution, StepError};
use super::record::Record;
use super::run::{SyncError, blocking};

/// Files up to this size are read into memory and sent in one piece.
const WHOLE: u64 = 1 << 20;
const PIECE: usize = 256 << 10;

/// What became of one file of a batch.
enum Sent {
    /// The service said that it took it; not proven yet.
    Unproven,
    /// Proven already.
    Proven(Verified),
    /// Not needed after all.
    Superfluous(RelPath),
}

impl Execution {
    /// Sends files into one folder, proves them, records what was proven.
    pub(super) async fn upload_batch(self: &Arc<Self>, steps: Vec<Step>) -> Result<(), SyncError> {
        let mut sending = FuturesUnordered::new();
        for step in steps {
            sending.push(async move {
                let _permit = self.permits.acquire().await;
                let sent = if self.fatal().is_some() { None } else { Some(self.upload(&step).await) };
                (step, sent)
            });
        }
        let (mut unproven, mut proven) = (Vec::new(), Vec::new());
        while let Some((step, sent)) = sending.next().await {
            match sent {
                Some(Ok(Sent::Unproven)) => unproven.push(step),
                Some(Ok(Sent::Proven(proof))) => proven.push((step, proof)),
                Some(Ok(Sent::Superfluous(at))) => {
                    let reason = Why::SameContentAt { path: at }.to_string();
                    self.count(|report| report.skipped.push(Noted { path: step.local.to_string(), reason }));
                    self.finished(&step, None);
                }
                Some(Err(error)) => self.failed(&step, &error),
                None => {}
            }
        }
        drop(sending);
        self.prove(unproven, &mut proven).await;

        let mut records = Vec::new();
        for (step, proof) in &proven {
            if let Action::Upload { source, .. } = &step.action {
                records.push(Record::uploaded(&step.local, *source, proof));
                self.count(|report| {
                    report.uploaded += 1;
                    report.verified += 1;
                    report.bytes_up += source.size;
                });
            }
        }
        self.sync.record(records).await?;
        proven.iter().for_each(|(step, _)| self.finished(step, None));
        Ok(())
    }

    /// Looks at what was sent: in one listing when it is worth it, otherwise file by file.
    async fn prove(self: &Arc<Self>, steps: Vec<Step>, proven: &mut Vec<(Step, Verified)>) {
        let Some(first) = steps.first() else { return };
        let folder = first.remote.parent().unwrap_or_default();
        let members = self.listed.get(&folder).copied().unwrap_or(0) + steps.len();
        let found: HashMap<RelPath, Result<Option<RemoteVersion>, ClientError>> = if steps.len() * 4 >= members && steps.len() > 1 {
            match self.sync.client.list(&folder).await {
                Ok(listing) => {
                    let members = listing.unwrap_or_default().members.into_iter();
                    let mut there: HashMap<_, _> = members
                        .filter_map(|member| match member {
                            Member::File(path, version) => Some((path, version)),
                            Member::Folder(_) => None,
                        })
                        .collect();
                    steps.iter().map(|step| (step.remote.clone(), Ok(there.remove(&step.remote)))).collect()
                }
                Err(error) => steps.iter().map(|step| (step.remote.clone(), Err(error.clone()))).collect(),
            }
        } else {
            let paths: Vec<_> = steps.iter().map(|step| step.remote.clone()).collect();
            stream::iter(paths)
                .map(|path| async move {
                    let found = self.sync.client.look(&path).await;
                    (path, found)
                })
                .buffer_unordered(self.sync.options.parallel)
                .collect()
                .await
        };
        let mut found = found;
        for step in steps {
            let Action::Upload { source, expect } = &step.action else { continue };
            match self.judge(&step.remote, source, expect, found.remove(&step.remote).unwrap_or(Ok(None))).await {
                Ok(proof) => proven.push((step, proof)),
                Err(error) => self.failed(&step, &error),
            }
        }
    }

    /// Proof, or the reason. What is wrong under a name that was free (`was`) when we wrote to it is ours, and is removed.
    pub(super) async fn judge(
        &self,
        path: &RelPath,
        sent: &LocalVersion,
        was: &Expect<RemoteVersion>,
        found: Result<Option<RemoteVersion>, ClientError>,
    ) -> Result<Verified, StepError> {
        let found = found?;
        match verify::verify(path, sent, found.clone()) {
            Ok(proof) => Ok(proof),
            Err(reason) => {
                if let (Expect::Absent, Some(found)) = (was, found) {
                    self.remove_remains(path, found).await;
                }
                Err(StepError::NotProven(reason))
            }
        }
    }

    async fn upload(self: &Arc<Self>, step: &Step) -> Result<Sent, StepError> {
        let Action::Upload { source, expect } = &step.action else {
            return Err(StepError::Refused("not an upload".into()));
        };
        if matches!(expect, Expect::Absent)
            && let Some(at) = self.arrived_meanwhile(step, source)?
        {
            return Ok(Sent::Superfluous(at));
        }
        self.ensure_folder(&step.remote.parent().unwrap_or_default()).await?;
        match expect {
            Expect::Version(_) if !self.is_node => self.replace(step, source, expect).await.map(Sent::Proven),
            _ => self.send(&step.local, &step.remote, source, expect).await.map(|()| Sent::Unproven),
        }
    }

    /// Whether an earlier step of this run found the content on the other side, under a name that told nothing.
    fn arrived_meanwhile(&self, step: &Step, source: &LocalVersion) -> Result<Option<RelPath>, StepError> {
        if !deduplicates(&step.local) {
            return Ok(None);
        }
        let baseline = Baseline::open(&self.sync.store.read()?, self.sync.service.id)?;
        Ok(baseline.holding(&source.digests.into())?.into_iter().next())
    }

    /// A name that holds a good file is never written to on a foreign server: a connection that breaks could leave half of it.
    /// The new version goes to a name of ours, is proven there, and takes the place by MOVE.
    pub(super) async fn replace(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Verified, StepError> {
        let token = Uuid::new_v4().simple().to_string();
        let name = format!(".twinlens-{}.part", &token[..12]);
        let temporary = step.remote.with_name(&name).map_err(|error| StepError::Refused(error.to_string()))?;
        self.send(&step.local, &temporary, source, &Expect::Absent).await?;
        let found = self.sync.client.look(&temporary).await;
        let proof = self.judge(&temporary, source, &Expect::Absent, found).await?;
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
            let found = self.sync.client.look(&step.remote).await?;
            verify::verify(&step.remote, source, found).map_err(StepError::NotProven)
        };
        let placed = put_in_place.await;
        if placed.is_err() {
            self.remove_remains(&temporary, proof.version().clone()).await;
        }
        placed
    }

    async fn remove_remains(&self, path: &RelPath, found: RemoteVersion) {
        if let Err(error) = self.sync.client.delete(path, &Expect::Version(found)).await {
            tracing::warn!(service = %self.sync.service.name, %path, %error, "the remains of an upload could not be removed");
        }
    }

    /// Sends one file. When the service breaks off, a shorter remainder under a name that was free is removed.
    pub(super) async fn send(
        self: &Arc<Self>,
        local: &RelPath,
        remote: &RelPath,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<(), StepError> {
        let sent = match self.read_source(local, source).await? {
            Upload::Whole(bytes) => {
                let whole: Upload<stream::Empty<_>> = Upload::Whole(bytes);
                self.sync.client.put(remote, source, expect, whole).await
            }
            Upload::Stream(stream) => self.sync.client.put(remote, source, expect, Upload::Stream(stream)).await,
        };
        match sent {
            Ok(_) => {
                self.moved_bytes(source.size);
                Ok(())
            }
            Err(error) => {
                let refused = matches!(error, ClientError::Changed(_) | ClientError::NotFound(_)) || error.stops_everything();
                if matches!(expect, Expect::Absent)
                    && !refused
                    && let Ok(Some(found)) = self.sync.client.look(remote).await
                    && found.size.is_some_and(|size| size < source.size)
                {
                    self.remove_remains(remote, found).await;
                }
                Err(error.into())
            }
        }
    }

    /// Opens the file that the plan was made from; another content is an error, before or while it is sent.
    async fn read_source(
        &self,
        path: &RelPath,
        version: &LocalVersion,
    ) -> Result<Upload<impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + use<>>, StepError> {
        let (tree, path, version) = (self.sync.tree.clone(), path.clone(), *version);
        if version.size <= WHOLE {
            let read = blocking(move || Ok(read_whole(&tree, &path, &version))).await;
            return Ok(Upload::Whole(read.map_err(|error| StepError::Refused(error.to_string()))??));
        }
        let (pieces, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read_pieces(&tree, &path, &version, &pieces) {
                // The receiver is gone when the request ended first; it has its own error then.
                let _ = pieces.blocking_send(Err(error));
            }
        });
        Ok(Upload::Stream(stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|piece| (piece, receiver)) })))
    }

    /// Creates a folder on the service, and those above it.
    pub(super) async fn ensure_folder(&self, folder: &RelPath) -> Result<(), StepError> {
        if self.listed.contains_key(folder) {
            return Ok(());
        }
        let mut created = self.created.lock().await;
        let mut missing: Vec<RelPath> = std::iter::once(folder.clone())
            .chain(folder.ancestors())
            .take_while(|folder| !created.contains(folder) && !self.listed.contains_key(folder))
            .collect();
        while let Some(folder) = missing.pop() {
            if folder.is_root() {
                let root = &self.sync.service.sync.folder;
                let mut above: Vec<RelPath> = std::iter::once(root.clone()).chain(root.ancestors()).filter(|f| !f.is_root()).collect();
                while let Some(folder) = above.pop() {
                    self.sync.root.create_folder(&folder).await?;
                }
            } else {
                match self.sync.client.create_folder(&folder).await {
                    Err(ClientError::Status { status: StatusCode::METHOD_NOT_ALLOWED, .. }) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            created.insert(folder);
        }
        Ok(())
    }
}

fn read_whole(tree: &Tree, path: &RelPath, version: &LocalVersion) -> Result<Bytes, LibraryError> {
    let (mut file, stat) = tree.open_file(path)?;
    let mut bytes = Vec::with_capacity(version.size as usize + 1);
    let read = file.by_ref().take(version.size + 1).read_to_end(&mut bytes);
    read.map_err(|source| LibraryError::Io { path: path.to_string(), source })?;
    if (stat.size, stat.mtime) != (version.size, version.mtime) || bytes.len() as u64 != version.size {
        return Err(LibraryError::Changed(path.clone()));
    }
    Ok(bytes.into())
}

fn read_pieces(tree: &Tree, path: &RelPath, version: &LocalVersion, pieces: &mpsc::Sender<std::io::Result<Bytes>>) -> std::io::Result<()> {
    let changed = || std::io::Error::other(LibraryError::Changed(path.clone()));
    let (mut file, stat) = tree.open_file(path).map_err(std::io::Error::other)?;
    if (stat.size, stat.mtime) != (version.size, version.mtime) {
        return Err(changed());
    }
    let mut hasher = Hasher::default();
    let mut left = version.size;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(left as usize)];
        file.read_exact(&mut piece)?;
        hasher.update(&piece);
        left -= piece.len() as u64;
        // The last piece goes out only when the whole was what was promised: a changed file becomes a short request, which no server takes.
        if left == 0 && hasher.clone().finish() != version.digests {
            return Err(changed());
        }
        if pieces.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
