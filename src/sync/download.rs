//! Downloads: to a staging file, hashed on the way, compared with length and checksum, then published.

use std::sync::Arc;

use crate::client::ClientError;
use crate::library::{Committed, LibraryError, Staged, Tree, capture_name};
use crate::reconcile::outcome::deduplicates;
use crate::reconcile::{Base, Step, Why};
use crate::store::Store;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::types::{Digests, Expect, LocalVersion, Mtime, RelPath, RemoteVersion, ServiceId};

use super::Noted;
use super::execute::{Execution, StepError};
use super::record::Record;
use super::run::blocking;

/// Bytes that are gathered before they are written and hashed on a blocking thread.
pub(super) const GATHER: usize = 1 << 20;

/// A download that is complete and checked, but not yet published.
pub(super) struct Fetched {
    staged: Staged,
    version: RemoteVersion,
}

impl Execution {
    /// Fetches a file, publishes it, and records that.
    pub(super) async fn download(
        self: &Arc<Self>,
        step: &Step,
        source: &RemoteVersion,
        expect: &Expect<LocalVersion>,
    ) -> Result<(), StepError> {
        let fetched = self.fetch(&step.remote, source).await?;
        // A service without digests may hold the same bytes several times. Whoever comes later must see the first one's record.
        let mut turn = None;
        if source.digests.is_empty() {
            let digests = fetched.staged.digests();
            turn = Some(self.turn_of(digests.content).lock_owned().await);
            self.found_there(digests.content, &step.remote);
            self.sync.learn(&step.remote, source, digests).await?;
        }
        let records = self.settle_download(step, fetched, expect).await?;
        self.sync.record(records).await?;
        drop(turn);
        Ok(())
    }

    /// What becomes of a fetched file: nothing new, the same as one that is here, or a file to be published.
    async fn settle_download(&self, step: &Step, fetched: Fetched, expect: &Expect<LocalVersion>) -> Result<Vec<Record>, StepError> {
        let (size, digests) = (fetched.staged.size(), fetched.staged.digests());
        if let Some(record) = self.nothing_new(step, &fetched, expect)? {
            self.count(|report| report.adopted += 1);
            return Ok(vec![record]);
        }
        if step.why == Why::New
            && let Some(at) = self.library_has(&step.remote, digests)?
        {
            return Ok(self.join(step, &fetched, at));
        }
        let (target, expect) = match (&step.why, self.sync.policy.keep_names) {
            (Why::New, false) => (self.name_by_date(&fetched, &step.remote).await?, Expect::Absent),
            _ => (step.local.clone(), expect.clone()),
        };
        let (committed, version) = self.publish(fetched, target, expect).await?;
        self.count(|report| {
            report.downloaded += 1;
            report.verified += 1;
            report.bytes_down += size;
        });
        Ok(vec![Record::downloaded(&committed, &step.remote, version)])
    }

    /// Brings a remote file into a staging file and checks it against everything that is known of it.
    pub(super) async fn fetch(self: &Arc<Self>, remote: &RelPath, source: &RemoteVersion) -> Result<Fetched, StepError> {
        let mut download = self.sync.client.get(remote, source).await?;
        let tree = self.sync.tree.clone();
        let mut staged: Option<Staged> = None;
        let mut gathered: Vec<u8> = Vec::new();
        loop {
            let piece = download.next().await?;
            let end = piece.is_none();
            if let Some(piece) = piece {
                self.moved_bytes(piece.len() as u64);
                gathered.extend_from_slice(&piece);
            }
            if end || gathered.len() >= GATHER {
                let (tree, bytes, held) = (tree.clone(), std::mem::take(&mut gathered), staged.take());
                staged = Some(staging(move || append(&tree, held, &bytes)).await?);
            }
            if end {
                break;
            }
        }
        let staged = staged.ok_or_else(|| StepError::Refused("nothing came".into()))?;
        if let Some(expected) = download.length.or(source.size)
            && expected != staged.size()
        {
            let text = format!("only {} of {expected} bytes of {remote} came", staged.size());
            return Err(ClientError::Corrupt(text).into());
        }
        let digests = staged.digests();
        for told in [&source.digests, &download.digests] {
            if told.agree(&digests.into()) == Some(false) {
                let text = format!("what came of {remote} is not what the service says it has: the checksum differs");
                return Err(ClientError::Corrupt(text).into());
            }
        }
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

    /// A path of the library that holds this content already.
    fn library_has(&self, remote: &RelPath, digests: Digests) -> Result<Option<RelPath>, StepError> {
        if !deduplicates(remote) {
            return Ok(None);
        }
        Ok(Index::open(&self.sync.store.read()?)?.holding(&digests.into())?)
    }

    /// The content turned out to be here under another name: no second copy. Both are joined when the local file has no
    /// partner on this service yet.
    fn join(&self, step: &Step, fetched: &Fetched, at: RelPath) -> Vec<Record> {
        let reason = Why::SameContentAt { path: at.clone() }.to_string();
        self.count(|report| {
            report.adopted += 1;
            report.skipped.push(Noted { path: step.remote.to_string(), reason });
        });
        let partner = free_partner(&self.sync.store, self.sync.service.id, &at);
        let version = RemoteVersion { digests: fetched.staged.digests().into(), ..fetched.version.clone() };
        partner.and_then(|local| Record::adopted(&at, local, &step.remote, version)).into_iter().collect()
    }

    /// A free name by capture date; the same date and bytes as a file that is there get a number.
    async fn name_by_date(&self, fetched: &Fetched, remote: &RelPath) -> Result<RelPath, StepError> {
        let (tree, place, original) = (self.sync.tree.clone(), fetched.staged.place().to_owned(), remote.clone());
        let mtime = fetched.version.modified.map(Mtime::from_seconds).unwrap_or_default();
        staging(move || {
            let io = |source| LibraryError::Io { path: original.to_string(), source };
            let name = capture_name(&place, &original, mtime).map_err(io)?;
            let (stem, extension) = name.stem_and_extension();
            let dot = if extension.is_empty() { "" } else { "." };
            let mut free = name.clone();
            for number in 1..100_000 {
                if tree.stat(&free)?.is_none() {
                    break;
                }
                let numbered = name.with_name(&format!("{stem}.{number:05}{dot}{extension}"));
                free = numbered.map_err(|error| io(std::io::Error::other(error)))?;
            }
            Ok(free)
        })
        .await
    }
}

/// The local version at a path, when no file of the service is joined to it yet.
fn free_partner(store: &Store, service: ServiceId, at: &RelPath) -> Option<LocalVersion> {
    let tx = store.read().ok()?;
    let taken = Baseline::open(&tx, service).ok()?.get(at).ok()?;
    let row = Index::open(&tx).ok()?.get(at).ok()??;
    taken.is_none().then(|| row.version())
}

pub(super) fn append(tree: &Tree, staged: Option<Staged>, bytes: &[u8]) -> Result<Staged, LibraryError> {
    let mut staged = match staged {
        Some(staged) => staged,
        None => tree.stage()?,
    };
    let written = staged.write(bytes);
    written.map_err(|source| LibraryError::Io { path: "a download".into(), source })?;
    Ok(staged)
}

/// Work on staged files, on a blocking thread.
async fn staging<R: Send + 'static>(work: impl FnOnce() -> Result<R, LibraryError> + Send + 'static) -> Result<R, StepError> {
    let done = blocking(move || Ok(work())).await.map_err(|error| StepError::Refused(error.to_string()))?;
    Ok(done?)
}
