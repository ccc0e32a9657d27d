//! Files on their way in.

use crate::library::{Committed, LibraryError, OnDisk, Staged, Tree};
use crate::types::{Digests, Expect, RelPath};
use http::StatusCode;

use super::context::Context;
use super::gather::{Gathering, Sink};
use super::meta::{FsError, Meta};
use super::promised::Promises;
use super::refusal::{Answered, Refusal, broken, failed, refuse};

/// Runs `work` where it may block.
pub(super) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, FsError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request ended unexpectedly");
        FsError::GeneralFailure
    })
}

/// A file on its way in; dropping it leaves no trace.
pub(super) struct Intake {
    announced: Option<u64>,
    received: u64,
    gathering: Gathering<Arrived>,
}

/// What has been written so far.
struct Arrived {
    tree: Tree,
    path: RelPath,
    staged: Option<Staged>,
    promises: Promises,
}

/// What was stored.
pub(super) struct Stored {
    pub(super) meta: Meta,
    pub(super) digests: Digests,
    /// The checksums that were asked for: kind and hexadecimal digits.
    pub(super) hashes: Vec<(&'static str, String)>,
    /// An earlier file went to the trash for it.
    pub(super) replaced: bool,
}

impl Intake {
    pub(super) fn new(tree: Tree, path: RelPath, context: &Context) -> Self {
        let announced = context.announced();
        let arrived = Arrived { tree, path, staged: None, promises: context.promises() };
        Self { announced, received: 0, gathering: Gathering::new(arrived, announced) }
    }

    /// Whether everything so far is in memory only.
    pub(super) fn is_small(&self) -> bool {
        self.gathering.is_small()
    }

    /// Takes more of the body.
    pub(super) async fn take(&mut self, bytes: &[u8]) -> Answered<()> {
        self.received += bytes.len() as u64;
        if let Some(announced) = self.announced.filter(|announced| *announced < self.received) {
            let reason = format!("More than the announced {announced} bytes came; nothing was changed.\n");
            return Err(refuse(StatusCode::BAD_REQUEST, reason));
        }
        self.gathering.take(bytes).await
    }

    /// The file with its whole body, ready to be stored.
    pub(super) async fn end(self) -> Answered<Whole> {
        let (arrived, gathered) = self.gathering.end().await?;
        let received = self.received;
        if let Some(announced) = self.announced.filter(|announced| *announced != received) {
            let reason = format!("Only {received} of {announced} bytes came; nothing was changed.\n");
            return Err(refuse(StatusCode::BAD_REQUEST, reason));
        }
        Ok(Whole { arrived, gathered })
    }
}

/// A file all of which has come. Dropping it leaves no trace.
pub(super) struct Whole {
    arrived: Arrived,
    gathered: Vec<u8>,
}

impl Whole {
    /// Of a file that is staged already. Blocks when something else than SHA-1 is promised of it, for then it is read once more.
    pub(super) fn of(mut staged: Staged, tree: Tree, path: RelPath, context: &Context) -> Answered<Self> {
        let mut promises = context.promises();
        if promises.need_bytes() {
            staged.read_again(|piece| promises.update(piece)).map_err(|error| failed(&LibraryError::io(&path, error)))?;
        }
        Ok(Self { arrived: Arrived { tree, path, staged: Some(staged), promises }, gathered: Vec::new() })
    }

    /// Publishes the file, durably, when it is what was promised and there is what is expected. Blocks.
    pub(super) fn store(self, expect: &Expect<OnDisk>, context: &Context) -> Answered<Stored> {
        let Self { mut arrived, gathered } = self;
        arrived.append(&gathered)?;
        let Arrived { tree, path, staged, promises } = arrived;
        let Some(staged) = staged else { return Err(broken(())) };
        let digests = staged.digests();
        let hashes = promises.answers(&digests.sha1);
        if let Some(kind) = promises.broken(&digests.sha1) {
            return Err(wrong_checksum(kind));
        }
        let committed = staged.commit(&path, expect, context.mtime()).map_err(|error| failed(&error))?;
        if committed.version().size == 0 && committed.replaced() {
            tracing::warn!(%path, "an empty upload replaced a file; the file is in the trash");
        }
        Ok(Stored { meta: meta_of(&tree, &committed), digests, hashes, replaced: committed.replaced() })
    }
}

/// A file as the next look at it will tell it.
pub(super) fn meta_of(tree: &Tree, committed: &Committed) -> Meta {
    let known = tree.indexes(committed.path()).then_some(committed.version().digests);
    Meta::of(committed.stat(), known)
}

fn wrong_checksum(kind: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, format!("What came has another {kind} checksum than was promised; nothing was changed.\n"))
}

impl Sink for Arrived {
    type Error = Refusal;

    fn append(&mut self, bytes: &[u8]) -> Answered<()> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            None => self.staged.insert(self.tree.stage()),
        };
        self.promises.update(bytes);
        staged.write(bytes).map_err(|error| failed(&LibraryError::staging(&self.path, error)))
    }

    fn broken() -> Refusal {
        broken(())
    }
}
