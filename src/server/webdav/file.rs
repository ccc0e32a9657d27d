//! Files on their way in.

use http::StatusCode;
use tokio::task::JoinHandle;

use crate::library::{Committed, LibraryError, OnDisk, Staged, Tree};
use crate::types::{Digests, Expect, RelPath};

use super::context::Context;
use super::meta::{FsError, Meta};
use super::promised::Promises;
use super::refusal::{Answered, Refusal, broken, failed, refuse};

/// Bytes that are gathered before they are written and hashed on a blocking thread. A smaller file is written in one go.
pub(super) const GATHER: usize = 1 << 20;

/// Runs `work` where it may block.
pub(super) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, FsError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request ended unexpectedly");
        FsError::GeneralFailure
    })
}

/// A file on its way in; dropping it leaves no trace.
pub(super) struct Intake {
    tree: Tree,
    path: RelPath,
    announced: Option<u64>,
    received: u64,
    gathered: Vec<u8>,
    arrived: Arriving,
}

/// What has been written so far, or is being written on a blocking thread.
enum Arriving {
    Here(Box<Arrived>),
    Busy(JoinHandle<Result<Returned, LibraryError>>),
}

/// What comes back from the blocking thread: what has been written, and a buffer that can be used again.
type Returned = (Box<Arrived>, Vec<u8>);

impl Default for Arriving {
    fn default() -> Self {
        Self::Here(Box::default())
    }
}

/// What has been written so far.
#[derive(Default)]
struct Arrived {
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
        let gathered = Vec::with_capacity(announced.map_or(64 << 10, |size| size.min(GATHER as u64)) as usize);
        let arrived = Arriving::Here(Box::new(Arrived { staged: None, promises: context.promises() }));
        Self { tree, path, announced, received: 0, gathered, arrived }
    }

    /// Whether everything so far is in memory only.
    pub(super) fn is_small(&self) -> bool {
        matches!(&self.arrived, Arriving::Here(arrived) if arrived.staged.is_none())
            && self.announced.is_some_and(|size| size <= GATHER as u64)
    }

    /// Takes more of the body.
    pub(super) async fn take(&mut self, bytes: &[u8]) -> Answered<()> {
        self.received += bytes.len() as u64;
        if let Some(announced) = self.announced.filter(|announced| *announced < self.received) {
            let reason = format!("More than the announced {announced} bytes came; nothing was changed.\n");
            return Err(refuse(StatusCode::BAD_REQUEST, reason));
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHER || self.is_small() {
            return Ok(());
        }
        self.hand_on().await
    }

    /// Gives what was gathered to a blocking thread, which writes and hashes it while more comes.
    async fn hand_on(&mut self) -> Answered<()> {
        let (mut arrived, mut spare) = self.come_back().await?;
        std::mem::swap(&mut self.gathered, &mut spare);
        self.gathered.clear();
        let (tree, path, bytes) = (self.tree.clone(), self.path.clone(), spare);
        self.arrived = Arriving::Busy(tokio::task::spawn_blocking(move || {
            arrived.append(&tree, &path, &bytes)?;
            Ok((arrived, bytes))
        }));
        Ok(())
    }

    /// Waits for what was handed on.
    async fn come_back(&mut self) -> Answered<Returned> {
        match std::mem::take(&mut self.arrived) {
            Arriving::Here(arrived) => Ok((arrived, Vec::with_capacity(GATHER + (64 << 10)))),
            Arriving::Busy(handle) => handle.await.map_err(broken)?.map_err(|error| failed(&error)),
        }
    }

    /// The file with its whole body, ready to be stored.
    pub(super) async fn end(mut self) -> Answered<Whole> {
        let (arrived, _) = self.come_back().await?;
        let Self { tree, path, announced, received, gathered, .. } = self;
        if let Some(announced) = announced.filter(|announced| *announced != received) {
            let reason = format!("Only {received} of {announced} bytes came; nothing was changed.\n");
            return Err(refuse(StatusCode::BAD_REQUEST, reason));
        }
        Ok(Whole { tree, path, gathered, arrived })
    }
}

/// A file all of which has come. Dropping it leaves no trace.
pub(super) struct Whole {
    tree: Tree,
    path: RelPath,
    gathered: Vec<u8>,
    arrived: Box<Arrived>,
}

impl Whole {
    /// Publishes the file, durably, when it is what was promised and there is what is expected. Blocks.
    pub(super) fn store(self, expect: &Expect<OnDisk>, context: &Context) -> Answered<Stored> {
        let Self { tree, path, gathered, mut arrived } = self;
        arrived.append(&tree, &path, &gathered).map_err(|error| failed(&error))?;
        let Arrived { staged, promises } = *arrived;
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

impl Arrived {
    fn append(&mut self, tree: &Tree, path: &RelPath, bytes: &[u8]) -> Result<(), LibraryError> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            None => self.staged.insert(tree.stage()),
        };
        self.promises.update(bytes);
        staged.write(bytes).map_err(|error| LibraryError::io(path, error))
    }
}
