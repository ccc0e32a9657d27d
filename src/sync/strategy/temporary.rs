//! A temporary name, a proof there, and a MOVE into place.

use std::sync::Arc;

use crate::client::{ClientError, NotProven, Verified, verify};
use crate::reconcile::Step;
use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion};

use super::super::execute::{Execution, StepError};
use super::super::upload::Sending;
use super::{Upload, Way};

impl Execution {
    /// A name that holds a good file is never written to on a foreign server: a connection that breaks could leave half of it.
    /// The new version goes to a name of ours, is proven there, and takes the place by MOVE.
    pub(in crate::sync) async fn replace(
        self: &Arc<Self>,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Verified, StepError> {
        self.replace_by(self.way()?, step, source, expect).await
    }

    /// As [`Execution::replace`], the bytes going a certain way.
    pub(super) async fn replace_by(
        self: &Arc<Self>,
        way: Way,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Verified, StepError> {
        let temporary = self.temporary(&step.remote).await?;
        let placed = match self.prove_at(&temporary, way, step, source).await {
            Ok(proof) => self.take_the_place(&temporary, step, source, expect, &proof).await,
            Err(error) => Err(error),
        };
        match &placed {
            Ok(_) => self.is_settled(temporary.name()),
            Err(error) => {
                match error {
                    // A server that has not noticed the break yet may write it once more: the next run looks again.
                    StepError::Client(error) if error.may_have_arrived() => self.remove_remains_of(&temporary).await,
                    _ => self.remove_temporary(&temporary).await,
                }
                if way == Way::Chunks || self.goes_in_chunks(source).await {
                    // Nobody goes on with what was sent to this name.
                    self.give_up_pieces(&temporary).await?;
                }
            }
        }
        placed
    }

    async fn prove_at(self: &Arc<Self>, temporary: &RelPath, way: Way, step: &Step, source: &LocalVersion) -> Result<Verified, StepError> {
        // Nobody else uses a name like this one: whatever is there is ours.
        let upload = Upload { local: &step.local, remote: temporary, source, expect: &Expect::Absent };
        let receipt = self.send_by(way, upload).await?;
        let found = self.sync.client.look(temporary).await?.map(|found| (temporary.clone(), found));
        self.prove_one(source, found, Sending { local: &step.local, receipt: &receipt, was_free: true }).await
    }

    async fn take_the_place(
        &self,
        temporary: &RelPath,
        step: &Step,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        proof: &Verified,
    ) -> Result<Verified, StepError> {
        let now = self.sync.client.look(&step.remote).await?;
        let as_expected = match (expect, &now) {
            (Expect::Version(then), Some(now)) => now.unchanged_since(then),
            (Expect::Absent, None) | (Expect::Anything, _) => true,
            _ => false,
        };
        if !as_expected {
            return Err(StepError::Client(ClientError::Changed(step.remote.to_string())));
        }
        let there = now.clone().map_or(Expect::Absent, Expect::Version);
        let renamed = self.sync.client.rename(temporary, &step.remote, proof.version(), &there).await;
        if let Err(error) = &renamed
            && (error.stops_everything() || !self.took_the_place(temporary, &step.remote, now.as_ref()).await)
        {
            return Err(StepError::Client(error.clone()));
        }
        let found = self.sync.client.find(&step.remote).await?;
        // An earlier version of the same size looks like the new one. Where entity tags are coarse, so does the new one like the earlier.
        let looks_as_before = matches!((&now, &found), (Some(before), Some((_, found))) if found.unchanged_since(before));
        if looks_as_before && self.sync.client.look(temporary).await?.is_some() {
            return Err(StepError::NotProven(NotProven::NotReplaced));
        }
        let placed = verify::verify_listed(source, found).map_err(StepError::NotProven)?;
        Ok(placed.with(proof.evidence()))
    }

    /// Whether a MOVE was made although it was answered with an error: the temporary name is free, and what has the place is another file than
    /// before. It still has to be proven.
    async fn took_the_place(&self, temporary: &RelPath, place: &RelPath, before: Option<&RemoteVersion>) -> bool {
        let Ok(None) = self.sync.client.look(temporary).await else { return false };
        let Ok(Some(now)) = self.sync.client.look(place).await else { return false };
        before.is_none_or(|before| !now.unchanged_since(before))
    }
}
