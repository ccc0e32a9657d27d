//! What a service has kept of an upload that went wrong: proof after all, remains of ours, or somebody else's file.

use std::io::Read as _;
use std::sync::Arc;

use crate::client::{ClientError, Receipt, Verified};
use crate::library::{LibraryError, Open, Tree};
use crate::reconcile::Step;
use crate::types::{Digests, Expect, Hasher, KnownDigests, LocalVersion, RelPath, RemoteVersion};

use super::super::execute::{Execution, StepError};
use super::super::run::blocking;
use super::super::traces::is_temporary;
use super::super::upload::Sending;

const PIECE: usize = 256 << 10;

impl Execution {
    /// Looks under a name that was free when we wrote to it: proof, when our bytes are there after all; otherwise nothing is there any more, or
    /// it is an error.
    pub(in crate::sync) async fn what_became_of_it(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Option<Verified>, StepError> {
        if !matches!(expect, Expect::Absent) {
            return Ok(None);
        }
        let Some((at, found)) = self.sync.client.find(&step.remote).await? else { return Ok(None) };
        let receipt = Receipt::default();
        let sending = Sending { local: &step.local, receipt: &receipt, was_free: true };
        if self.holds(&at, &found, source).await? {
            return self.prove_one(source, Some((at, found)), sending).await.map(Some);
        }
        if self.is_ours(&at, source, &found, sending).await {
            self.remove_remains(&at, found).await;
            return Ok(None);
        }
        Err(ClientError::Changed(step.remote.to_string()).into())
    }

    pub(in crate::sync) async fn remove_remains(&self, path: &RelPath, found: RemoteVersion) {
        if let Err(error) = self.sync.client.delete(path, &Expect::Version(found)).await {
            tracing::warn!(service = %self.sync.service.name, %path, %error, "the remains of an upload could not be removed");
        }
    }

    /// Whether what stands under a name that was free is what we put there and nobody else's since: it has the entity tag that we
    /// were answered, or it is a beginning of our file.
    pub(in crate::sync) async fn is_ours(&self, path: &RelPath, sent: &LocalVersion, found: &RemoteVersion, sending: Sending<'_>) -> bool {
        if is_temporary(path) {
            return true;
        }
        if let (Some(answered), Some(etag)) = (&sending.receipt.etag, &found.etag)
            && answered == etag
        {
            return true;
        }
        self.is_beginning(path, found, sent, sending.local).await
    }

    /// Whether the service's file is the first bytes of the local one, and shorter: an upload that broke off. Nothing in it is lost when the
    /// whole takes its place. What cannot be read is none.
    pub(in crate::sync) async fn is_beginning(&self, path: &RelPath, found: &RemoteVersion, whole: &LocalVersion, local: &RelPath) -> bool {
        match found.size {
            Some(0) => whole.size > 0,
            Some(size) if size < whole.size => self.begins_with(path, found, size, local).await.unwrap_or(false),
            _ => false,
        }
    }

    async fn begins_with(&self, path: &RelPath, found: &RemoteVersion, size: u64, local: &RelPath) -> Result<bool, StepError> {
        // A cloud tells the checksum that it was told, of the whole.
        let found = RemoteVersion { digests: KnownDigests::default(), ..found.clone() };
        let there = self.sync.remote_digests(path, &found).await?;
        let (tree, local) = (self.sync.tree.clone(), local.clone());
        let here =
            blocking(move || Ok(hash_beginning(&tree, &local, size))).await.map_err(|error| StepError::Refused(error.to_string()))??;
        Ok(there == here)
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
