//! What a service has kept of an upload that went wrong: proof after all, remains of ours, or somebody else's file.

use std::io::Read as _;
use std::sync::Arc;

use crate::client::{ClientError, Receipt, Source, Verified};
use crate::types::{Digests, Expect, Hasher, KnownDigests, LocalVersion, RelPath, RemoteVersion};

use super::own::is_temporary;
use super::{Delivery, DeliveryError, Sending, Upload, blocking};

const PIECE: usize = 256 << 10;

impl Delivery {
    /// Looks under a name that was free when we wrote to it: proof, when our bytes are there after all; otherwise nothing is there any more, or
    /// it is an error.
    pub(crate) async fn what_became_of_it(&self, upload: Upload<'_>) -> Result<Option<Verified>, DeliveryError> {
        let Upload { from, remote, source, expect, .. } = upload;
        if !matches!(expect, Expect::Absent) {
            return Ok(None);
        }
        let Some((at, found)) = self.client.find(remote).await? else { return Ok(None) };
        let receipt = Receipt::default();
        let sending = Sending { from, receipt: &receipt, was_free: true };
        if self.holds(&at, &found, source).await? {
            return self.prove_one(source, Some((at, found)), sending).await.map(Some);
        }
        if self.is_ours(&at, source, &found, sending).await {
            self.remove_remains(&at, found).await;
            return Ok(None);
        }
        Err(ClientError::Changed(remote.to_string()).into())
    }

    pub(crate) async fn remove_remains(&self, path: &RelPath, found: RemoteVersion) {
        if let Err(error) = self.client.delete(path, &Expect::Version(found)).await {
            tracing::warn!(service = %self.service.name, %path, %error, "the remains of an upload could not be removed");
        }
    }

    /// Whether what stands under a name that was free is what we put there and nobody else's since: it has the entity tag that we
    /// were answered, or it is a beginning of our file.
    pub(crate) async fn is_ours(&self, path: &RelPath, sent: &LocalVersion, found: &RemoteVersion, sending: Sending<'_>) -> bool {
        if is_temporary(path) {
            return true;
        }
        if let (Some(answered), Some(etag)) = (&sending.receipt.etag, &found.etag)
            && answered == etag
        {
            return true;
        }
        self.is_beginning(path, found, sent, sending.from).await
    }

    /// Whether the service's file is the first bytes of the local one, and shorter: an upload that broke off. Nothing in it is lost when the
    /// whole takes its place. What cannot be read is none.
    pub(crate) async fn is_beginning(&self, path: &RelPath, found: &RemoteVersion, whole: &LocalVersion, from: &Arc<dyn Source>) -> bool {
        match found.size {
            Some(0) => whole.size > 0,
            Some(size) if size < whole.size => self.begins_with(path, found, size, from).await.unwrap_or(false),
            _ => false,
        }
    }

    async fn begins_with(&self, path: &RelPath, found: &RemoteVersion, size: u64, from: &Arc<dyn Source>) -> Result<bool, DeliveryError> {
        // A cloud tells the checksum that it was told, of the whole.
        let found = RemoteVersion { digests: KnownDigests::default(), ..found.clone() };
        let there = self.client.digests(path, &found).await?;
        let (from, name) = (Arc::clone(from), path.to_string());
        Ok(there == blocking(move || hash_beginning(&*from, name, size)).await?)
    }
}

/// Reads the first bytes of a file.
fn hash_beginning(from: &dyn Source, path: String, size: u64) -> Result<Digests, DeliveryError> {
    let mut file = from.open()?.take(size);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(source) => return Err(DeliveryError::Io { path, source }),
        }
    }
}
