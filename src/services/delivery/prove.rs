//! How far the proof of an upload goes: as far as the service helps, and as far as the owner asks.

use std::sync::Arc;

use crate::client::{NotProven, Source, Verified, verify};
use crate::types::{Evidence, LocalVersion, RelPath, RemoteVersion};

use super::super::{Checksums, Verify};
use super::samples::{places, read_part};
use super::{Delivery, DeliveryError, Listed, Sending, blocking};

/// From this size on some of the bytes are read back where a service tells nothing but the size: it costs little beside the upload.
const SAMPLED: u64 = 16 << 20;

impl Delivery {
    /// Proof that what was found is what was sent, resting on the best evidence that costs little; with `--verify full` on every byte.
    pub(crate) async fn prove_one(
        &self,
        sent: &LocalVersion,
        found: Option<Listed>,
        sending: Sending<'_>,
    ) -> Result<Verified, DeliveryError> {
        let mut proof = verify::verify_listed(sent, found.clone()).map_err(DeliveryError::NotProven)?;
        let Some((path, listed)) = found else { return Ok(proof) };
        if let Some(evidence) = sending.receipt.evidence {
            proof = proof.with(evidence);
        }
        if let Some(evidence) = self.told(&listed) {
            proof = proof.with(evidence);
        }
        // Where nothing is told of the bytes, and somebody may have been at them since we were answered, they themselves must say.
        let other_tag = matches!((&sending.receipt.etag, &listed.etag), (Some(answered), Some(listed)) if answered != listed);
        if self.service.sync.verify == Verify::Full || (other_tag && listed.digests.is_empty()) {
            return match self.client.digests(&path, &listed).await? == sent.digests {
                true => Ok(proof.with(Evidence::ReadBack)),
                false => Err(DeliveryError::NotProven(NotProven::WrongChecksum)),
            };
        }
        match proof.evidence() {
            Evidence::Size => self.look_closer(&path, &listed, sent, sending.from).await.map(|evidence| proof.with(evidence)),
            _ => Ok(proof),
        }
    }

    /// What the checksums in the listings of this service are worth.
    fn told(&self, listed: &RemoteVersion) -> Option<Evidence> {
        if listed.digests.is_empty() {
            return None;
        }
        match self.findings().checksums {
            _ if self.is_node() => Some(Evidence::Computed),
            Checksums::Computed => Some(Evidence::Computed),
            Checksums::Verified => Some(Evidence::ServerVerified),
            Checksums::Echoed | Checksums::None | Checksums::Unknown => None,
        }
    }

    /// What can be had for little where the service told no more than the size.
    async fn look_closer(
        &self,
        path: &RelPath,
        listed: &RemoteVersion,
        sent: &LocalVersion,
        from: &Arc<dyn Source>,
    ) -> Result<Evidence, DeliveryError> {
        if self.recalculates().await {
            match self.client.recalculate(path).await {
                Ok(Some(sha1)) if sha1 == sent.digests.sha1 => return Ok(Evidence::Computed),
                Ok(Some(_)) => return Err(DeliveryError::NotProven(NotProven::WrongChecksum)),
                Ok(None) => self.cannot_recalculate(),
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => tracing::debug!(service = %self.service.name, %path, %error, "it did not compute the checksum"),
            }
        }
        if sent.size >= SAMPLED { self.samples(path, listed, sent, from).await } else { Ok(Evidence::Size) }
    }

    /// Whether the service computes checksums when it is asked to (`X-Recalculate-Hash`), as far as is known.
    async fn recalculates(&self) -> bool {
        if self.ways.never_recalculates() {
            return false;
        }
        self.findings().recalculates || self.client.capabilities().await.is_ok_and(|can| can.is_cloud() && !can.node)
    }

    fn cannot_recalculate(&self) {
        self.ways.recalculates_never();
    }

    /// Compares bytes at several places with the file that was sent. A service that sends no parts, or a file that has changed meanwhile,
    /// leaves it at the size.
    async fn samples(
        &self,
        path: &RelPath,
        listed: &RemoteVersion,
        sent: &LocalVersion,
        from: &Arc<dyn Source>,
    ) -> Result<Evidence, DeliveryError> {
        for (start, length) in places(sent.size) {
            let Some(there) = self.client.part(path, listed, start, length).await? else { return Ok(Evidence::Size) };
            let source = Arc::clone(from);
            match blocking(move || read_part(&*source, start, length)).await {
                Ok(here) if here == there => {}
                Ok(_) => return Err(DeliveryError::NotProven(NotProven::WrongChecksum)),
                Err(_) => return Ok(Evidence::Size),
            }
        }
        Ok(Evidence::Samples)
    }
}
