//! Large uploads in pieces that survive a restart. Nothing is remembered of them here: the name of an upload says which bytes it brings
//! where, so that a later run finds on the service what it has already sent.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::client::{ClientError, Receipt, Session};
use crate::library::LibraryError;
use crate::types::{Digests, Expect, Hasher, LocalVersion, RelPath, RemoteVersion};

use super::super::download::staging;
use super::super::execute::{Execution, StepError};
use super::put::open_source;

/// Files over this size are sent in pieces where the service offers that; and so large is a piece.
const CHUNK: u64 = 10 << 20;
/// Nextcloud takes no more pieces than these.
const CHUNKS: u64 = 10_000;

impl Execution {
    /// Whether a file goes in pieces that the service puts together at once.
    pub(in crate::sync) async fn goes_in_chunks(&self, source: &LocalVersion) -> bool {
        source.size > CHUNK && self.sync.client.capabilities().await.is_ok_and(|can| can.chunking)
    }

    /// Sends a large file in pieces, and only those that the service does not have. Returns what it answered.
    pub(in crate::sync) async fn send_in_chunks(
        self: &Arc<Self>,
        local: &RelPath,
        remote: &RelPath,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Receipt, StepError> {
        let can = self.sync.client.capabilities().await?;
        let size = CHUNK.min(can.largest_chunk.unwrap_or(CHUNK)).max(source.size.div_ceil(CHUNKS));
        let upload = self.pieces_of(remote);
        let version = Digests::of(format!("{} {} {size}", source.digests.content, source.size).as_bytes()).content.etag();
        let id = format!("{upload}{}", &version[..16]);
        let session =
            |id: &str| self.sync.client.session(id, remote, source.size).ok_or_else(|| StepError::Refused("it takes no pieces".into()));

        // Where uploads cannot be listed they are only found by name.
        let there = self.sync.client.sessions().await.unwrap_or_default();
        for outdated in there.iter().filter(|name| name.starts_with(&upload) && **name != id) {
            give_up(&session(outdated)?).await;
        }
        let session = session(&id)?;
        let mut known = HashMap::new();
        if there.contains(&id) || !session.begin().await? {
            match session.chunks().await? {
                Some(chunks) => known = chunks,
                None => drop(session.begin().await?),
            }
        }
        let resumed = !known.is_empty();
        match self.send_missing(&session, local, source, size, &known).await {
            Ok(()) => {}
            Err(error) => {
                // What breaks is gone on with; what cannot be right is not kept.
                if matches!(error, StepError::Library(_) | StepError::Client(ClientError::Corrupt(_))) {
                    give_up(&session).await;
                }
                return Err(error);
            }
        }
        let finished = self.finish_chunks(&session, remote, source, expect, can.node).await;
        if let Err(StepError::Client(error)) = &finished
            && !error.may_have_arrived()
            && !error.stops_everything()
        {
            give_up(&session).await;
            if resumed && !matches!(error, ClientError::Changed(_)) && !error.is_full() {
                // What an earlier run left there did not fit together.
                return Box::pin(self.send_in_chunks(local, remote, source, expect)).await;
            }
        }
        finished
    }

    /// How the names of all uploads to a path begin.
    fn pieces_of(&self, remote: &RelPath) -> String {
        let place = Digests::of(format!("{} {} {remote}", self.sync.library_id, self.sync.client.url()).as_bytes()).content.etag();
        format!("twinlens-{}-", &place[..16])
    }

    /// Throws away what was sent in pieces to these paths: the file arrived in another way.
    pub(super) async fn give_up_pieces(&self, paths: &[RelPath]) {
        let there = self.sync.client.sessions().await.unwrap_or_default();
        for path in paths {
            let begin = self.pieces_of(path);
            for id in there.iter().filter(|id| id.starts_with(&begin)) {
                if let Some(session) = self.sync.client.session(id, path, 0) {
                    give_up(&session).await;
                }
            }
        }
    }

    /// Reads the whole file, and sends the chunks of it that the service lacks.
    async fn send_missing(
        &self,
        session: &Session<'_>,
        local: &RelPath,
        source: &LocalVersion,
        size: u64,
        known: &HashMap<String, u64>,
    ) -> Result<(), StepError> {
        let (tree, path, version) = (self.sync.tree.clone(), local.clone(), *source);
        let mut reading =
            staging(move || Ok(Reading { file: open_source(&tree, &path, &version)?, path, hasher: Hasher::default() })).await?;
        for number in 0..source.size.div_ceil(size) {
            let length = size.min(source.size - number * size);
            let name = format!("{:05}", number + 1);
            let (next, bytes) = staging(move || reading.next(length)).await?;
            reading = next;
            if known.get(&name) != Some(&length) {
                session.put(&name, bytes).await?;
                self.moved_bytes(length);
            }
        }
        match reading.hasher.finish() == source.digests {
            true => Ok(()),
            false => Err(LibraryError::Changed(local.clone()).into()),
        }
    }

    /// Has the file put together. When the answer is lost, one looks whether it is there.
    async fn finish_chunks(
        &self,
        session: &Session<'_>,
        remote: &RelPath,
        source: &LocalVersion,
        expect: &Expect<RemoteVersion>,
        is_node: bool,
    ) -> Result<Receipt, StepError> {
        let mut patience = self.sync.client.patience();
        let mut again = false;
        loop {
            let error = match session.finish(source, expect, is_node).await {
                Ok(etag) => return Ok(etag.into()),
                Err(error) => error,
            };
            again |= error.may_have_arrived();
            if again
                && let Ok(Some((there, found))) = self.sync.client.find(remote).await
                && self.holds(&there, &found, source).await?
            {
                return Ok(Receipt::default());
            }
            // While it is put together it is locked, or the session seems to be gone.
            let at_work = matches!(&error, ClientError::Status { status, .. } if *status == StatusCode::LOCKED)
                || (again && matches!(error, ClientError::NotFound(_)));
            match patience.lasting(put_together_within(source.size)).filter(|_| at_work || error.may_have_arrived()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.into()),
            }
        }
    }
}

/// How long a server may need for that, at 4 MiB in a second.
fn put_together_within(size: u64) -> Duration {
    Duration::from_secs(size >> 22)
}

/// A file that is read chunk by chunk.
struct Reading {
    file: File,
    path: RelPath,
    hasher: Hasher,
}

impl Reading {
    fn next(mut self, length: u64) -> Result<(Self, Bytes), LibraryError> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => LibraryError::Changed(self.path.clone()),
            _ => LibraryError::Io { path: self.path.to_string(), source },
        })?;
        self.hasher.update(&bytes);
        Ok((self, bytes.into()))
    }
}

/// Throws away what was sent. Where that fails, the service does so itself after a day or two.
async fn give_up(session: &Session<'_>) {
    if let Err(error) = session.abort().await {
        tracing::warn!(%error, "an unfinished upload could not be removed from the service");
    }
}
