//! A temporary name, a proof there, and a MOVE into place.

use std::sync::Arc;

use crate::client::{ClientError, NotProven, Verified, verify};
use crate::types::{Expect, RelPath, RemoteVersion};

use super::{Delivery, DeliveryError, Sending, Upload, Way};

impl Delivery {
    /// A name that holds a good file is never written to on a foreign server: a connection that breaks could leave half of it.
    /// The new version goes to a name of ours, is proven there, and takes the place by MOVE.
    pub(crate) async fn replace(self: &Arc<Self>, upload: Upload<'_>) -> Result<Verified, DeliveryError> {
        self.replace_by(self.way()?, upload).await
    }

    /// As [`Delivery::replace`], the bytes going a certain way.
    pub(super) async fn replace_by(self: &Arc<Self>, way: Way, upload: Upload<'_>) -> Result<Verified, DeliveryError> {
        let temporary = self.temporary(upload.remote).await?;
        let placed = match self.prove_at(&temporary, way, upload).await {
            Ok(proof) => self.take_the_place(&temporary, upload, &proof).await,
            Err(error) => Err(error),
        };
        match &placed {
            Ok(_) => self.is_settled(temporary.name()),
            Err(error) => {
                match error {
                    // A server that has not noticed the break yet may write it once more: the next run looks again.
                    DeliveryError::Client(error) if error.may_have_arrived() => self.remove_remains_of(&temporary).await,
                    _ => self.remove_temporary(&temporary).await,
                }
                if way == Way::Chunks || self.goes_in_chunks(upload.source).await {
                    // Nobody goes on with what was sent to this name.
                    self.give_up_pieces(&temporary).await?;
                }
            }
        }
        placed
    }

    async fn prove_at(self: &Arc<Self>, temporary: &RelPath, way: Way, upload: Upload<'_>) -> Result<Verified, DeliveryError> {
        // Nobody else uses a name like this one: whatever is there is ours.
        let receipt = self.send_by(way, Upload { remote: temporary, expect: &Expect::Absent, ..upload }).await?;
        let found = self.client.look(temporary).await?.map(|found| (temporary.clone(), found));
        self.prove_one(upload.source, found, Sending { from: upload.from, receipt: &receipt, was_free: true }).await
    }

    async fn take_the_place(&self, temporary: &RelPath, upload: Upload<'_>, proof: &Verified) -> Result<Verified, DeliveryError> {
        let Upload { remote, source, expect, .. } = upload;
        let now = self.client.look(remote).await?;
        let as_expected = match (expect, &now) {
            (Expect::Version(then), Some(now)) => now.unchanged_since(then),
            (Expect::Absent, None) | (Expect::Anything, _) => true,
            _ => false,
        };
        if !as_expected {
            return Err(DeliveryError::Client(ClientError::Changed(remote.to_string())));
        }
        let there = now.clone().map_or(Expect::Absent, Expect::Version);
        let renamed = self.client.rename(temporary, remote, proof.version(), &there).await;
        if let Err(error) = &renamed
            && (error.stops_everything() || !self.took_the_place(temporary, remote, now.as_ref()).await)
        {
            return Err(DeliveryError::Client(error.clone()));
        }
        let found = self.client.find(remote).await?;
        // An earlier version of the same size looks like the new one. Where entity tags are coarse, so does the new one like the earlier.
        let looks_as_before = matches!((&now, &found), (Some(before), Some((_, found))) if found.unchanged_since(before));
        if looks_as_before && self.client.look(temporary).await?.is_some() {
            return Err(DeliveryError::NotProven(NotProven::NotReplaced));
        }
        let placed = verify::verify_listed(source, found).map_err(DeliveryError::NotProven)?;
        Ok(placed.with(proof.evidence()))
    }

    /// Whether a MOVE was made although it was answered with an error: the temporary name is free, and what has the place is another file than
    /// before. It still has to be proven.
    async fn took_the_place(&self, temporary: &RelPath, place: &RelPath, before: Option<&RemoteVersion>) -> bool {
        let Ok(None) = self.client.look(temporary).await else { return false };
        let Ok(Some(now)) = self.client.look(place).await else { return false };
        before.is_none_or(|before| !now.unchanged_since(before))
    }
}
