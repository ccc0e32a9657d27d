//! Large uploads in pieces that survive a restart. Nothing is remembered of them here: the name of an upload says which bytes it brings
//! where, so that a later run finds on the service what it has already sent.

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use sha1::Digest as _;

use crate::client::{Begun, ClientError, Receipt, Session, Source};
use crate::store::traces::Trace;
use crate::types::{ContentHash, Digests, LocalVersion, RelPath, Sha1};

use super::put::{in_pieces, read_piece};
use super::{Delivery, DeliveryError, Upload, blocking};

/// Files over this size are sent in pieces where the service offers that; and so large is a piece.
const CHUNK: u64 = 10 << 20;
/// Nextcloud takes no more pieces than these.
const CHUNKS: u64 = 10_000;

impl Delivery {
    /// Whether a file goes in pieces that the service puts together at once.
    pub(crate) async fn goes_in_chunks(&self, source: &LocalVersion) -> bool {
        source.size > CHUNK && self.client.capabilities().await.is_ok_and(|can| can.chunking)
    }

    /// Sends a large file in pieces, and only those that the service does not have. Returns what it answered.
    pub(super) async fn send_in_chunks(self: &Arc<Self>, upload: Upload<'_>) -> Result<Receipt, DeliveryError> {
        let Upload { local, remote, source, .. } = upload;
        let can = self.client.capabilities().await?;
        let size = CHUNK.min(can.largest_chunk.unwrap_or(CHUNK)).max(source.size.div_ceil(CHUNKS));
        let to_here = self.pieces_of(remote);
        let version = Digests::of(format!("{} {} {size}", source.digests.content, source.size).as_bytes()).content.etag();
        let id = format!("{to_here}{}", &version[..16]);
        let session =
            |id: &str| self.client.session(id, remote, source.size).ok_or_else(|| DeliveryError::Refused("it takes no pieces".into()));

        // Where uploads cannot be listed they are only found by name.
        let there = self.client.sessions().await.unwrap_or_default();
        for outdated in there.iter().filter(|name| name.starts_with(&to_here) && **name != id) {
            self.give_up(outdated, &session(outdated)?).await?;
        }
        let session = session(&id)?;
        self.leave_trace(Trace::Session { id: id.clone(), local: local.clone(), content: source.digests.content }).await?;
        let mut known = HashMap::new();
        if there.contains(&id) || matches!(session.begin().await?, Begun::Before(_)) {
            known = match session.chunks().await? {
                Some(chunks) => chunks,
                None => match session.begin().await? {
                    Begun::Now => HashMap::new(),
                    Begun::Before(refused) => return Err(refused.into()),
                },
            }
        }
        let resumed = !known.is_empty();
        match self.send_missing(&session, upload, (size, can.node), &known).await {
            Ok(()) => {}
            Err(error) => {
                // What breaks is gone on with; what cannot be right is not kept.
                if matches!(
                    error,
                    DeliveryError::Source(_)
                        | DeliveryError::SourceChanged(_)
                        | DeliveryError::Io { .. }
                        | DeliveryError::Client(ClientError::Corrupt(_) | ClientError::OtherBytes { .. })
                ) {
                    self.give_up(&id, &session).await?;
                }
                return Err(error);
            }
        }
        let finished = self.finish_chunks(&session, upload, can.node).await;
        if finished.is_ok() {
            self.is_settled(&id);
        }
        if let Err(DeliveryError::Client(error)) = &finished
            && !error.may_have_arrived()
            && !error.stops_everything()
        {
            self.give_up(&id, &session).await?;
            if resumed && !matches!(error, ClientError::Changed(_)) && !error.is_full() {
                // What an earlier run left there did not fit together.
                return Box::pin(self.send_in_chunks(upload)).await;
            }
        }
        finished
    }

    /// How the names of all uploads to a path begin.
    fn pieces_of(&self, remote: &RelPath) -> String {
        let place = Digests::of(format!("{} {} {remote}", self.library_id, self.client.url()).as_bytes()).content.etag();
        format!("twinlens-{}-", &place[..16])
    }

    /// Throws away what was sent in pieces to a path: the file arrived in another way.
    pub(super) async fn give_up_pieces(&self, remote: &RelPath) -> Result<(), DeliveryError> {
        let (begin, there) = (self.pieces_of(remote), self.client.sessions().await.unwrap_or_default());
        for id in there.iter().filter(|id| id.starts_with(&begin)) {
            if let Some(session) = self.client.session(id, remote, 0) {
                self.give_up(id, &session).await?;
            }
        }
        Ok(())
    }

    /// Reads the whole file, and sends the chunks of it that the service lacks.
    async fn send_missing(
        &self,
        session: &Session<'_>,
        upload: Upload<'_>,
        (size, is_node): (u64, bool),
        known: &HashMap<String, u64>,
    ) -> Result<(), DeliveryError> {
        let Upload { from, local, source, .. } = upload;
        let mut before = blake3::Hasher::new();
        for number in 0..source.size.div_ceil(size) {
            let start = number * size;
            let length = size.min(source.size - start);
            let name = format!("{:05}", number + 1);
            let chunk = Chunk { from: Arc::clone(from), path: local.clone(), start, length };
            if known.get(&name) == Some(&length) {
                before = blocking(move || chunk.hash_after(before)).await?;
                continue;
            }
            // A node proves the whole in the end, and computes nothing twice; others may look at each chunk only.
            let sha1 = match is_node {
                true => None,
                false => {
                    let chunk = chunk.clone();
                    Some(blocking(move || chunk.sha1()).await?)
                }
            };
            let after = Arc::new(Mutex::new(None));
            let sent = Arc::clone(&after);
            let read = move |send: &mut dyn FnMut(Bytes) -> ControlFlow<()>| {
                let (mut hasher, mut left) = (before.clone(), length);
                let read = chunk.read(|piece| {
                    hasher.update(&piece);
                    left -= piece.len() as u64;
                    if left == 0 {
                        // Before the last of it goes out: the answer may be here at once.
                        *sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(hasher.clone());
                    }
                    send(piece)
                });
                read.map_err(io::Error::other)?;
                Ok(())
            };
            let put = session.put(&name, in_pieces(length, read, |_| {}), sha1).await;
            if matches!(put, Err(ClientError::Source(_))) {
                // A file that was changed is begun anew; what was only stopped is gone on with.
                let from = Arc::clone(from);
                blocking(move || Ok(from.open().map(drop)?)).await?;
            }
            put?;
            self.moved_bytes(local, length);
            let hashed = after.lock().unwrap_or_else(PoisonError::into_inner).take();
            before = hashed.ok_or_else(|| DeliveryError::Refused("the service answered before it had a whole piece".into()))?;
        }
        match ContentHash(*before.finalize().as_bytes()) == source.digests.content {
            true => Ok(()),
            false => Err(DeliveryError::SourceChanged(local.clone())),
        }
    }

    /// Throws away what was sent. Where that fails, a later run does so, or the service itself after a day or two.
    async fn give_up(&self, id: &str, session: &Session<'_>) -> Result<(), DeliveryError> {
        match session.abort().await {
            // At once: it may be begun again.
            Ok(()) => self.forget_traces(vec![id.to_owned()]).await?,
            Err(error) => tracing::warn!(%error, "an unfinished upload could not be removed from the service"),
        }
        Ok(())
    }

    /// Has the file put together. When the answer is lost, one looks whether it is there.
    async fn finish_chunks(&self, session: &Session<'_>, upload: Upload<'_>, is_node: bool) -> Result<Receipt, DeliveryError> {
        let Upload { remote, source, expect, .. } = upload;
        let mut patience = self.client.patience();
        let mut again = false;
        loop {
            let error = match session.finish(source, expect, is_node).await {
                Ok(etag) => return Ok(etag.into()),
                Err(error) => error,
            };
            again |= error.may_have_arrived();
            if again
                && let Ok(Some((there, found))) = self.client.find(remote).await
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

/// A part of a local file.
#[derive(Clone)]
struct Chunk {
    from: Arc<dyn Source>,
    path: RelPath,
    start: u64,
    length: u64,
}

impl Chunk {
    /// Gives its bytes to `take` until that has enough; says whether it took them all. Blocks, as the others do.
    fn read(&self, mut take: impl FnMut(Bytes) -> ControlFlow<()>) -> Result<bool, DeliveryError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => DeliveryError::SourceChanged(self.path.clone()),
            _ => DeliveryError::Io { path: self.path.to_string(), source },
        };
        let mut file = self.from.open()?;
        file.seek(SeekFrom::Start(self.start)).map_err(failed)?;
        let mut left = self.length;
        while left > 0 {
            let piece = read_piece(&mut file, left).map_err(failed)?;
            left -= piece.len() as u64;
            if take(piece).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sha1(&self) -> Result<Sha1, DeliveryError> {
        let mut sum = sha1::Sha1::new();
        self.read(|piece| {
            sum.update(&piece);
            ControlFlow::Continue(())
        })?;
        Ok(Sha1(sum.finalize().into()))
    }

    /// The hash of everything up to its end, from that of everything before it.
    fn hash_after(&self, mut before: blake3::Hasher) -> Result<blake3::Hasher, DeliveryError> {
        self.read(|piece| {
            before.update(&piece);
            ControlFlow::Continue(())
        })?;
        Ok(before)
    }
}
