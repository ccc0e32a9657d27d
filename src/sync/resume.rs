//! Large downloads: what has come is kept, and gone on with after a break, in this run or in a later one.

use std::sync::Arc;

use crate::client::{ClientError, Download};
use crate::library::{LibraryError, Staged};
use crate::types::{Digests, RelPath, RemoteVersion, ServiceId, Side};

use super::download::{GATHER, check, staging};
use super::execute::{Execution, StepError};
use super::room::Coming;

/// From this size on it is worth to keep what has come.
pub(super) const LARGE: u64 = 8 << 20;

impl Execution {
    /// Brings a large file into a staging file that outlives a break, and checks it against everything that is known of it.
    pub(super) async fn fetch_large(self: &Arc<Self>, remote: &RelPath, source: &RemoteVersion) -> Result<Staged, StepError> {
        let (tree, key) = (self.sync.tree.clone(), key(self.sync.service.id, remote, source));
        let mut held = Held(Some(staging(move || Staged::resume(&tree, &key)).await?));
        let wanted = source.size.unwrap_or_default();
        let mut coming = self.room_here(remote, wanted.saturating_sub(held.size())).await?;
        let mut patience = self.sync.client.patience();
        loop {
            let before = held.size();
            let error = match self.go_on(remote, source, &mut held, &mut coming).await {
                Ok(None) => return held.0.ok_or_else(lost),
                // What was there already was not a part of it after all.
                Ok(Some(_)) if before > 0 => {
                    held.change(remote, Staged::restart).await?;
                    continue;
                }
                Ok(Some(wrong)) => {
                    held.0.into_iter().for_each(Staged::discard);
                    return Err(wrong.into());
                }
                Err(StepError::Client(error)) if error.may_have_arrived() => error,
                Err(error) => return Err(error),
            };
            if held.size() > before {
                patience = self.sync.client.patience();
            }
            match patience.broken() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.into()),
            }
        }
    }

    /// Fetches what is missing. The answer is what is wrong with the whole, if anything.
    async fn go_on(
        &self,
        remote: &RelPath,
        source: &RemoteVersion,
        held: &mut Held,
        coming: &mut Coming<'_>,
    ) -> Result<Option<ClientError>, StepError> {
        let wanted = source.size.unwrap_or_default();
        let complete = held.0.as_ref().filter(|staged| staged.size() == wanted);
        if complete.is_some_and(|staged| source.digests.agree(&staged.digests().into()) == Some(true)) {
            // All of it had come when it broke.
            return Ok(None);
        }
        // Of what came whole and cannot be proven by its digest nobody knows which version it is.
        let from = if held.size() < wanted { held.size() } else { 0 };
        let mut download = self.sync.client.get_from(remote, source, from).await?;
        if download.start != held.size() {
            held.change(remote, Staged::restart).await?;
        }
        let mut ended = false;
        while !ended {
            let mut gathered = Vec::with_capacity(GATHER);
            let more = self.next_pieces(remote, &mut download, &mut gathered).await;
            ended = !matches!(more, Ok(true));
            // What came before a break counts too.
            held.change(remote, move |staged| staged.write(&gathered)).await?;
            coming.left(wanted.saturating_sub(held.size()));
            more?;
        }
        let staged = held.0.as_ref().ok_or_else(lost)?;
        Ok(check(remote, source, staged, &download).err())
    }

    /// Gathers pieces until they are worth writing; false at the end.
    async fn next_pieces(&self, remote: &RelPath, download: &mut Download, gathered: &mut Vec<u8>) -> Result<bool, ClientError> {
        while gathered.len() < GATHER {
            let Some(piece) = download.next().await? else { return Ok(false) };
            self.moved_bytes((Side::Remote, remote), piece.len() as u64);
            gathered.extend_from_slice(&piece);
        }
        Ok(true)
    }
}

/// A staging file that goes to a blocking thread and comes back; it is gone when it could not be written.
struct Held(Option<Staged>);

impl Held {
    fn size(&self) -> u64 {
        self.0.as_ref().map_or(0, Staged::size)
    }

    async fn change(
        &mut self,
        remote: &RelPath,
        work: impl FnOnce(&mut Staged) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), StepError> {
        let mut staged = self.0.take().ok_or_else(lost)?;
        let remote = remote.clone();
        let changed = staging(move || {
            work(&mut staged).map_err(|error| LibraryError::staging(&remote, error))?;
            Ok(staged)
        });
        self.0 = Some(changed.await?);
        Ok(())
    }
}

fn lost() -> StepError {
    StepError::Refused("its staging file is gone".into())
}

/// The name of what has come of a file: of this very version of it.
fn key(service: ServiceId, remote: &RelPath, source: &RemoteVersion) -> String {
    let text = format!("{service:?} {:?} {:?} {:?} {:?} {remote}", source.size, source.etag, source.modified, source.digests);
    Digests::of(text.as_bytes()).content.etag()
}
