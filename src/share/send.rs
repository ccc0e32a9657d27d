//! Sending one file.

use std::sync::Arc;

use crate::client::{ClientError, Verified};
use crate::store::shares::{self, Begun, FileState, SentFile, Share, SharedFile};
use crate::types::{Expect, RelPath};

use super::content::{Choice, Content};
use super::names::as_jpeg;
use super::place::Place;
use super::run::{Courier, FileError, blocking};

impl Courier {
    /// Sends a file, unless it is there. Where it goes is written down before.
    pub(super) async fn send(&self, share: &Share, file: &mut SharedFile, place: (u64, u32)) -> Result<FileState, FileError> {
        let content = match self.content(share, &file.path).await? {
            Choice::Send(content) => content,
            Choice::Skip(reason) => return Ok(FileState::Skipped { reason }),
        };
        self.check_room()?;
        let turn = Arc::clone(self.turns.lock().await.entry(content.version.digests.content).or_default());
        let _turn = turn.lock().await;
        let wanted = match content.made {
            true => as_jpeg(&file.wanted).map_err(|error| FileError::Refused(error.to_string()))?,
            false => file.wanted.clone(),
        };
        if let Some(begun) = file.begun.take()
            && let Some(proof) = self.go_on(&file.path, begun, &content).await?
        {
            return Ok(self.sent(share, &proof).await);
        }
        let at = match self.place(&wanted, &content.version).await? {
            Place::Free(at) => at,
            Place::There(at) => return Ok(FileState::There { at, expires: share.expires.after(self.store.clock().seconds()) }),
        };
        file.begun = Some(Begun { at: at.clone(), version: content.version });
        let (store, service, begun) = (self.store.clone(), share.service, file.clone());
        let is_wanted = blocking(move || {
            store.write(move |tx| match shares::file_to_change(tx, place)? {
                Some(SharedFile { state: FileState::Waiting { .. }, .. }) => shares::put(tx, service, place, &begun).map(|()| true),
                _ => Ok(false),
            })
        });
        if !is_wanted.await? {
            // Its owner has cancelled it meanwhile; that is what stays written down.
            self.look_again(&at.parent().unwrap_or_default()).await;
            return Ok(FileState::Cancelled);
        }
        match self.deliver(&file.path, &content, &at).await {
            Ok(proof) => Ok(self.sent(share, &proof).await),
            Err(error) => {
                self.notice_room(&error);
                self.look_again(&at.parent().unwrap_or_default()).await;
                Err(error)
            }
        }
    }

    /// Looks what became of an upload that was begun before: proof, when it arrived after all. What it has left there is removed: nothing else had
    /// that name.
    async fn go_on(&self, local: &RelPath, begun: Begun, content: &Content) -> Result<Option<Verified>, FileError> {
        if begun.version.digests == content.version.digests {
            return match self.what_became_of_it(local, &begun.at, content).await {
                Ok(proof) => Ok(proof),
                // Somebody else has put something there; ours gets another name.
                Err(FileError::Client(ClientError::Changed(_))) => Ok(None),
                Err(error) => Err(error),
            };
        }
        // The file is another one by now. What arrived of the earlier one is not needed.
        if let Some((at, found)) = self.client.find(&begun.at).await?
            && self.holds(&at, &found, &begun.version).await?
        {
            self.client.delete(&at, &Expect::Version(found)).await?;
        }
        Ok(None)
    }

    async fn sent(&self, share: &Share, proof: &Verified) -> FileState {
        let arrived = self.store.clock().seconds();
        self.is_there(proof.path(), proof.version()).await;
        FileState::Sent(Box::new(SentFile {
            at: proof.path().clone(),
            version: proof.version().clone(),
            evidence: proof.evidence(),
            arrived,
            expires: share.expires.after(arrived),
            failed: None,
        }))
    }
}
