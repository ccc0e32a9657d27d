//! Downloads: to a staging file, hashed on the way, compared with length and checksum, then published.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::{ClientError, Download};
use crate::library::{Committed, LibraryError, Ready, Staged, Tree, commit_all};
use crate::reconcile::outcome::deduplicates;
use crate::reconcile::{Action, Base, Step, Why};
use crate::store::baseline::Baseline;
use crate::store::listed::{self, FolderRow};
use crate::types::{ContentHash, Expect, LocalVersion, Mtime, RelPath, RemoteVersion, Side};

use super::execute::{Execution, StepError};
use super::record::Record;
use super::resume;
use super::room::Coming;
use super::run::{SyncError, blocking};

/// Bytes that are gathered before they are written and hashed on a blocking thread.
pub(super) const GATHER: usize = 1 << 20;
/// So many files are published together. Each is an open file until then.
const BATCH: usize = 300;
/// So many wait for that.
const WAITING: usize = 200;

/// A download that is complete and checked, but not yet published.
pub(super) struct Fetched {
    pub(super) staged: Staged,
    pub(super) version: RemoteVersion,
}

/// What is to become of a fetched file.
enum Fate {
    /// It is to be published; its name has this now.
    Publish(Expect<LocalVersion>),
    /// Nothing more is to be done than to record this.
    Record(Record),
    /// It was renamed on the service: the file that is here under this name gets its new one.
    Rename(RelPath, LocalVersion),
    /// It depends on a file of the same batch; the next batch takes it.
    Later,
}

/// A batch that is on the disk and is being written down.
#[derive(Default)]
struct Recording {
    contents: HashSet<ContentHash>,
    writing: Option<JoinHandle<Result<(), SyncError>>>,
}

impl Recording {
    async fn end(&mut self) -> Result<(), SyncError> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(SyncError::crashed)?,
            None => Ok(()),
        }
    }
}

impl Execution {
    /// Fetches files side by side; what has come meanwhile is published and recorded together, so that many small files cost the disk
    /// little more than one.
    pub(super) async fn download_all(self: &Arc<Self>, steps: Vec<Step>) -> Result<(), SyncError> {
        if steps.is_empty() {
            return Ok(());
        }
        let (ready, mut fetched) = mpsc::channel(WAITING);
        let parallel = self.sync.options.parallel.max(1);
        let fetch = async move {
            stream::iter(steps)
                .for_each_concurrent(parallel, |step| {
                    let ready = ready.clone();
                    async move {
                        let permit = self.permits.acquire().await;
                        let Action::Download { source, .. } = &step.action else { return };
                        if self.fatal().is_some() {
                            return;
                        }
                        self.sync.monitor.begins(&step);
                        match self.fetch(&step.remote, source).await {
                            // It is taken as soon as the batch before is on the disk; others may fetch meanwhile.
                            Ok(file) => {
                                drop(permit);
                                // The other end goes only with an error that is told there.
                                let _ = ready.send((step, file)).await;
                            }
                            Err(error) => {
                                if matches!(
                                    error,
                                    StepError::Client(ClientError::Corrupt(_) | ClientError::Changed(_) | ClientError::NotFound(_))
                                ) {
                                    self.doubt_listing(&step.remote).await;
                                }
                                self.failed(&step, &error);
                            }
                        }
                    }
                })
                .await;
        };
        let this = Arc::clone(self);
        // The channel ends with it.
        let publish = async move {
            let mut batch = Vec::new();
            // One batch is written down while the next one is published.
            let mut recording = Recording::default();
            loop {
                let room = BATCH.saturating_sub(batch.len()).max(1);
                if fetched.recv_many(&mut batch, room).await == 0 && batch.is_empty() {
                    return recording.end().await;
                }
                let (later, next) = this.publish_all(batch, &recording.contents).await?;
                recording.end().await?;
                (recording, batch) = (next, later);
            }
        };
        let ((), published) = tokio::join!(fetch, publish);
        published
    }

    /// A file is not what its folder's listing said: the next run lists that folder anew, even if its entity tag is still the same.
    async fn doubt_listing(&self, file: &RelPath) {
        let folders: Vec<RelPath> = file.ancestors().collect();
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        let anew = FolderRow { etag: None, ours: false };
        let doubted = blocking(move || {
            Ok(store.write_soon(move |tx| folders.iter().try_for_each(|folder| listed::put_folder(tx, service, folder, &anew)))?)
        });
        if let Err(error) = doubted.await {
            tracing::warn!(%file, %error, "its folder may not be listed anew by the next run");
        }
    }

    /// Publishes fetched files and begins to record that. Comes back with those that have to wait for others: of them, or of those with
    /// `contents` that are still being recorded.
    async fn publish_all(
        self: &Arc<Self>,
        batch: Vec<(Step, Fetched)>,
        contents: &HashSet<ContentHash>,
    ) -> Result<(Vec<(Step, Fetched)>, Recording), SyncError> {
        let mut claimed = contents.clone();
        let (mut later, mut records, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let mut ready = Vec::new();
        for (step, file) in batch {
            match self.fate(&step, &file, &mut claimed) {
                Ok(Fate::Publish(expect)) => ready.push((step, file, expect)),
                Ok(Fate::Record(record)) => {
                    records.push(record);
                    done.push(step);
                }
                Ok(Fate::Rename(from, here)) => match self.follow_rename(&step, &file, from, here).await {
                    Ok(record) => {
                        records.push(record);
                        done.push(step);
                    }
                    Err(error) => self.failed(&step, &error),
                },
                Ok(Fate::Later) => later.push((step, file)),
                Err(error) => self.failed(&step, &error),
            }
        }
        claimed.retain(|content| !contents.contains(content));
        self.commit_group(ready, &mut records, &mut done).await?;
        let execution = Arc::clone(self);
        let writing = tokio::spawn(async move { execution.write_down(records, done).await });
        Ok((later, Recording { contents: claimed, writing: Some(writing) }))
    }

    /// Records what was done, and tells of it.
    async fn write_down(&self, records: Vec<Record>, done: Vec<Step>) -> Result<(), SyncError> {
        self.sync.record(records).await?;
        done.iter().for_each(|step| self.finished(step, None));
        Ok(())
    }

    /// Publishes fetched files together, each at its local path, where this must be now; records that and what else was done.
    pub(super) async fn publish_group(
        &self,
        ready: Vec<(Step, Fetched, Expect<LocalVersion>)>,
        mut records: Vec<Record>,
        mut done: Vec<Step>,
    ) -> Result<(), SyncError> {
        self.commit_group(ready, &mut records, &mut done).await?;
        self.write_down(records, done).await
    }

    async fn commit_group(
        &self,
        ready: Vec<(Step, Fetched, Expect<LocalVersion>)>,
        records: &mut Vec<Record>,
        done: &mut Vec<Step>,
    ) -> Result<(), SyncError> {
        let mut versions = Vec::new();
        let mut group = Vec::new();
        for (step, Fetched { staged, version }, expect) in ready {
            let path = step.local.clone();
            let mtime = version.modified.map(Mtime::from_seconds);
            group.push(Ready { staged, path, expect: expect.map(Into::into), mtime });
            versions.push((step, version));
        }
        let tree = self.sync.tree.clone();
        let committed = blocking(move || {
            for folder in group.iter().filter_map(|ready| ready.path.parent()).collect::<BTreeSet<_>>() {
                // Whoever needs it finds that it is missing.
                if let Err(error) = tree.create_folders(&folder) {
                    tracing::debug!(%folder, %error, "a folder could not be created");
                }
            }
            Ok(commit_all(&tree, group))
        })
        .await?;
        for ((step, version), committed) in versions.into_iter().zip(committed) {
            match committed {
                Ok(committed) => {
                    self.count(|report| {
                        report.downloaded += 1;
                        report.verified += 1;
                        report.bytes_down += committed.version().size;
                    });
                    records.push(Record::downloaded(&committed, &step.remote, version));
                    done.push(step);
                }
                Err(error) => match error.into() {
                    error if self.is_done_by_now(&step, &error).await => done.push(step),
                    error => self.failed(&step, &error),
                },
            }
        }
        Ok(())
    }

    /// What becomes of a fetched file: nothing new, the same as one that is here, or a file to be published. `contents` are those that will be
    /// published with the batch.
    fn fate(&self, step: &Step, file: &Fetched, contents: &mut HashSet<ContentHash>) -> Result<Fate, StepError> {
        let Action::Download { source, expect } = &step.action else {
            return Err(StepError::Refused("not a download".into()));
        };
        let digests = file.staged.digests();
        if deduplicates(&step.remote) && step.why == Why::New && contents.contains(&digests.content) {
            return Ok(Fate::Later);
        }
        // A service without digests may hold the same bytes several times, and some that we were about to send.
        if source.digests.is_empty() {
            self.found_there(digests.content, &step.remote);
        }
        if let Some(record) = self.nothing_new(step, file, expect)? {
            self.count(|report| report.adopted += 1);
            return Ok(Fate::Record(record));
        }
        if step.why == Why::New
            && let Some(at) = self.library_has(&step.remote, digests)?
        {
            if let Some(here) = self.was_partner(digests, &at)? {
                contents.insert(digests.content);
                return Ok(Fate::Rename(at, here));
            }
            return Ok(Fate::Record(self.join(step, file, at)));
        }
        contents.insert(digests.content);
        Ok(Fate::Publish(expect.clone()))
    }

    /// Brings a remote file into a staging file and checks it against everything that is known of it. What breaks is begun again, or gone
    /// on with when it is large.
    pub(super) async fn fetch(self: &Arc<Self>, remote: &RelPath, source: &RemoteVersion) -> Result<Fetched, StepError> {
        if source.size.is_some_and(|size| size >= resume::LARGE) {
            let staged = self.fetch_large(remote, source).await?;
            return Ok(Fetched { staged, version: source.clone() });
        }
        let mut coming = self.room_here(remote, source.size.unwrap_or(0)).await?;
        let mut patience = self.sync.client.patience();
        loop {
            match self.fetch_once(remote, source, &mut coming).await {
                Err(StepError::Client(error))
                    if error.may_have_arrived()
                        && let Some(wait) = patience.broken() =>
                {
                    tokio::time::sleep(wait).await;
                }
                done => return done,
            }
        }
    }

    async fn fetch_once(self: &Arc<Self>, remote: &RelPath, source: &RemoteVersion, coming: &mut Coming<'_>) -> Result<Fetched, StepError> {
        let mut download = self.sync.client.get(remote, source).await?;
        let tree = self.sync.tree.clone();
        let mut staged: Option<Staged> = None;
        let mut gathered: Vec<u8> = Vec::new();
        loop {
            let piece = download.next().await?;
            let end = piece.is_none();
            if let Some(piece) = piece {
                self.moved_bytes((Side::Remote, remote), piece.len() as u64);
                gathered.extend_from_slice(&piece);
            }
            if end && staged.is_none() && gathered.len() <= Staged::SMALL {
                // It stays in memory: no other thread is needed.
                staged = Some(append(&tree, remote, None, &gathered)?);
            } else if end || gathered.len() >= GATHER {
                let (tree, remote, bytes, held) = (tree.clone(), remote.clone(), std::mem::take(&mut gathered), staged.take());
                let here = staging(move || append(&tree, &remote, held, &bytes)).await?;
                coming.left(source.size.unwrap_or(0).saturating_sub(here.size()));
                staged = Some(here);
            }
            if end {
                break;
            }
        }
        let staged = staged.ok_or_else(|| StepError::Refused("nothing came".into()))?;
        check(remote, source, &staged, &download)?;
        Ok(Fetched { staged, version: source.clone() })
    }

    /// Publishes a fetched file under a path of the library.
    pub(super) async fn publish(
        &self,
        fetched: Fetched,
        target: RelPath,
        expect: Expect<LocalVersion>,
    ) -> Result<(Committed, RemoteVersion), StepError> {
        let tree = self.sync.tree.clone();
        let Fetched { staged, version } = fetched;
        let mtime = version.modified.map(Mtime::from_seconds);
        let committed = staging(move || {
            if let Some(parent) = target.parent() {
                tree.create_folders(&parent)?;
            }
            staged.commit(&target, &expect.map(Into::into), mtime)
        });
        Ok((committed.await?, version))
    }

    /// A change that was none: the service tells another entity tag for the bytes that both sides agreed on, or for the bytes of a file
    /// that was deleted here. Only the agreement is renewed.
    fn nothing_new(&self, step: &Step, fetched: &Fetched, expect: &Expect<LocalVersion>) -> Result<Option<Record>, StepError> {
        let digests = fetched.staged.digests();
        let version = RemoteVersion { digests: digests.into(), ..fetched.version.clone() };
        if let Expect::Version(here) = expect {
            return Ok(Record::adopted(&step.local, *here, &step.remote, version));
        }
        let base = Baseline::open(&self.sync.store.read()?, self.sync.service.id)?.get(&step.local)?.map(|row| row.base());
        Ok(match base {
            Some(Base { remote: Some(then), .. }) if then.digests.agree(&digests.into()) == Some(true) => {
                Some(Record::tombstone(&step.local, &step.remote, Base { local: None, remote: Some(version) }))
            }
            _ => None,
        })
    }
}

/// Compares what came with everything that is known of it.
pub(super) fn check(remote: &RelPath, source: &RemoteVersion, staged: &Staged, download: &Download) -> Result<(), ClientError> {
    download.is_no_page(remote)?;
    if let Some(expected) = download.length.or(source.size)
        && expected != staged.size()
    {
        return Err(ClientError::Corrupt(format!("only {} of {expected} bytes of {remote} came", staged.size())));
    }
    let digests = staged.digests();
    for told in [&source.digests, &download.digests] {
        if told.agree(&digests.into()) == Some(false) {
            let text = format!("what came of {remote} is not what the service says it has: the checksum differs");
            return Err(ClientError::Corrupt(text));
        }
    }
    Ok(())
}

/// Appends what has come of a remote file.
pub(super) fn append(tree: &Tree, remote: &RelPath, staged: Option<Staged>, bytes: &[u8]) -> Result<Staged, LibraryError> {
    let mut staged = match staged {
        Some(staged) => staged,
        None => tree.stage(),
    };
    staged.write(bytes).map_err(|error| LibraryError::staging(remote, error))?;
    Ok(staged)
}

/// Work on staged files, on a blocking thread.
pub(super) async fn staging<R: Send + 'static>(work: impl FnOnce() -> Result<R, LibraryError> + Send + 'static) -> Result<R, StepError> {
    let done = blocking(move || Ok(work())).await.map_err(|error| StepError::Refused(error.to_string()))?;
    Ok(done?)
}
