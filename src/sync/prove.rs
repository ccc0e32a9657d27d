//! How far the proof of an upload goes: as far as the service helps, and as far as the owner asks.

use crate::client::{NotProven, Verified, verify};
use crate::services::{Checksums, Verify};
use crate::types::{Evidence, LocalVersion, RelPath, RemoteVersion};

use super::compare::{places, read_part};
use super::execute::{Execution, StepError};
use super::run::blocking;
use super::upload::{Listed, Sending};

/// From this size on some of the bytes are read back where a service tells nothing but the size: it costs little beside the upload.
const SAMPLED: u64 = 16 << 20;

impl Execution {
    /// Proof that what was found is what was sent, resting on the best evidence that costs little; with `--verify full` on every byte.
    pub(super) async fn prove_one(&self, sent: &LocalVersion, found: Option<Listed>, sending: Sending<'_>) -> Result<Verified, StepError> {
        let mut proof = verify::verify_listed(sent, found.clone()).map_err(StepError::NotProven)?;
        let Some((path, listed)) = found else { return Ok(proof) };
        if let Some(evidence) = sending.receipt.evidence {
            proof = proof.with(evidence);
        }
        if let Some(evidence) = self.told(&listed) {
            proof = proof.with(evidence);
        }
        // Where nothing is told of the bytes, and somebody may have been at them since we were answered, they themselves must say.
        let other_tag = matches!((&sending.receipt.etag, &listed.etag), (Some(answered), Some(listed)) if answered != listed);
        if self.sync.service.sync.verify == Verify::Full || (other_tag && listed.digests.is_empty()) {
            return match self.sync.remote_digests(&path, &listed).await? == sent.digests {
                true => Ok(proof.with(Evidence::ReadBack)),
                false => Err(StepError::NotProven(NotProven::WrongChecksum)),
            };
        }
        match proof.evidence() {
            Evidence::Size => self.look_closer(&path, &listed, sent, sending.local).await.map(|evidence| proof.with(evidence)),
            _ => Ok(proof),
        }
    }

    /// What the checksums in the listings of this service are worth.
    fn told(&self, listed: &RemoteVersion) -> Option<Evidence> {
        if listed.digests.is_empty() {
            return None;
        }
        match self.sync.findings().checksums {
            _ if self.is_node => Some(Evidence::Computed),
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
        local: &RelPath,
    ) -> Result<Evidence, StepError> {
        if self.recalculates().await {
            match self.sync.client.recalculate(path).await {
                Ok(Some(sha1)) if sha1 == sent.digests.sha1 => return Ok(Evidence::Computed),
                Ok(Some(_)) => return Err(StepError::NotProven(NotProven::WrongChecksum)),
                Ok(None) => self.cannot_recalculate(),
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => tracing::debug!(service = %self.sync.service.name, %path, %error, "it did not compute the checksum"),
            }
        }
        if sent.size >= SAMPLED { self.samples(path, listed, sent, local).await } else { Ok(Evidence::Size) }
    }

    /// Whether the service computes checksums when it is asked to (`X-Recalculate-Hash`), as far as is known.
    async fn recalculates(&self) -> bool {
        if self.ways.never_recalculates() {
            return false;
        }
        self.sync.findings().recalculates || self.sync.client.capabilities().await.is_ok_and(|can| can.is_cloud() && !can.node)
    }

    fn cannot_recalculate(&self) {
        self.ways.recalculates_never();
    }

    /// Compares bytes at several places with the file that was sent. A service that sends no parts, or a file that has changed meanwhile,
    /// leaves it at the size.
    async fn samples(&self, path: &RelPath, listed: &RemoteVersion, sent: &LocalVersion, local: &RelPath) -> Result<Evidence, StepError> {
        for (from, length) in places(sent.size) {
            let Some(there) = self.sync.client.part(path, listed, from, length).await? else { return Ok(Evidence::Size) };
            let (tree, local, version) = (self.sync.tree.clone(), local.clone(), *sent);
            match blocking(move || Ok(read_part(&tree, &local, &version, from, length))).await? {
                Ok(here) if here == there => {}
                Ok(_) => return Err(StepError::NotProven(NotProven::WrongChecksum)),
                Err(_) => return Ok(Evidence::Size),
            }
        }
        Ok(Evidence::Samples)
    }
}
