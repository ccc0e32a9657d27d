//! Files on their way in.

use http::StatusCode;

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

/// A file on its way in. [`Intake::store`] is the commit; dropping it before leaves no trace.
pub(super) struct Intake {
    tree: Tree,
    path: RelPath,
    announced: Option<u64>,
    received: u64,
    gathered: Vec<u8>,
    arrived: Arrived,
}

/// What has been written so far; goes to a blocking thread and comes back.
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
        let arrived = Arrived { staged: None, promises: context.promises() };
        Self { tree, path, announced, received: 0, gathered, arrived }
    }

    /// Whether everything so far is in memory only.
    pub(super) fn is_small(&self) -> bool {
        self.arrived.staged.is_none() && self.announced.is_some_and(|size| size <= GATHER as u64)
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
        let (tree, path, bytes) = (self.tree.clone(), self.path.clone(), std::mem::take(&mut self.gathered));
        let arrived = std::mem::take(&mut self.arrived);
        let appended = blocking(move || append(&tree, arrived, &path, &bytes).map(|arrived| (arrived, bytes)));
        let (arrived, bytes) = appended.await.map_err(broken)?.map_err(|error| failed(&error))?;
        self.arrived = arrived;
        self.gathered = bytes;
        self.gathered.clear();
        Ok(())
    }

    /// Publishes the file, durably, when all of it came as promised and there is what is expected. Blocks.
    pub(super) fn store(self, expect: &Expect<OnDisk>, context: &Context) -> Answered<Stored> {
        let Self { tree, path, announced, received, gathered, arrived } = self;
        if let Some(announced) = announced.filter(|announced| *announced != received) {
            let reason = format!("Only {received} of {announced} bytes came; nothing was changed.\n");
            return Err(refuse(StatusCode::BAD_REQUEST, reason));
        }
        let Arrived { staged, promises } = append(&tree, arrived, &path, &gathered).map_err(|error| failed(&error))?;
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
fn meta_of(tree: &Tree, committed: &Committed) -> Meta {
    let known = tree.indexes(committed.path()).then_some(committed.version().digests);
    Meta::of(committed.stat(), known)
}

fn wrong_checksum(kind: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, format!("What came has another {kind} checksum than was promised; nothing was changed.\n"))
}

fn append(tree: &Tree, arrived: Arrived, path: &RelPath, bytes: &[u8]) -> Result<Arrived, LibraryError> {
    let Arrived { staged, mut promises } = arrived;
    let mut staged = match staged {
        Some(staged) => staged,
        None => tree.stage().map_err(|error| error.met_for(path))?,
    };
    promises.update(bytes);
    staged.write(bytes).map_err(|error| LibraryError::io(path, error))?;
    Ok(Arrived { staged: Some(staged), promises })
}
