//! A plain PUT, perhaps on a connection of its own. A request whose answer was lost is not sent again before one has looked what is there.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::client::{Client, ClientError, Payload, Receipt, Source};
use crate::types::{ContentHash, Expect, LocalVersion, RelPath, RemoteVersion};

use super::own::is_temporary;
use super::{Delivery, DeliveryError, Sending, Upload, blocking};

/// Files up to this size are read into memory and sent in one piece.
pub(crate) const WHOLE: u64 = 1 << 20;
const PIECE: usize = 256 << 10;

/// What stands under a name after a request whose fate is not known.
enum After {
    /// Our bytes: it arrived.
    Arrived,
    /// What was there before: it may be sent again.
    AsBefore,
    /// Something else.
    Other,
}

impl Delivery {
    /// Sends one file in one request.
    pub(super) async fn put(self: &Arc<Self>, client: &Client, upload: Upload<'_>) -> Result<Receipt, DeliveryError> {
        let Upload { from, local, remote, source, expect } = upload;
        if matches!(expect, Expect::Absent) {
            self.refuse_to_overwrite(remote).await?;
        }
        let payload = self.payload(from, local, source).await?;
        let (mut patience, mut again) = (self.client.patience(), false);
        loop {
            let error = match client.put(remote, source, expect, payload.clone()).await {
                Ok(receipt) => {
                    if source.size <= WHOLE {
                        self.moved_bytes(local, source.size);
                    }
                    return Ok(receipt);
                }
                Err(error) => error,
            };
            // The first one may have arrived after we looked: then the second finds it there.
            let unsure = error.may_have_arrived() || (again && matches!(error, ClientError::Changed(_)));
            let wait = if unsure { patience.broken() } else { None };
            if unsure {
                // A server that has not noticed the break yet may still be writing what came of it.
                tokio::time::sleep(wait.unwrap_or_else(|| patience.once_more())).await;
            }
            match self.look_after(upload, &error, unsure).await? {
                After::Arrived if unsure => {
                    self.moved_bytes(local, source.size);
                    return Ok(Receipt::default());
                }
                After::AsBefore if wait.is_some() => {}
                _ => return Err(error.into()),
            }
            again = true;
        }
    }

    /// Looks right before a new file is sent, where the service would not refuse to replace what somebody else has put there meanwhile.
    /// RACE: between this look and the PUT; such a service has no other way to say it.
    async fn refuse_to_overwrite(&self, remote: &RelPath) -> Result<(), DeliveryError> {
        if !self.overwrites.load(Ordering::Relaxed) || is_temporary(remote) {
            return Ok(());
        }
        match self.client.look(remote).await? {
            Some(_) => Err(ClientError::Changed(remote.to_string()).into()),
            None => Ok(()),
        }
    }

    /// Looks what became of a PUT that failed, and removes the beginning of our own file.
    async fn look_after(&self, upload: Upload<'_>, error: &ClientError, unsure: bool) -> Result<After, DeliveryError> {
        let Upload { from, remote, source, expect, .. } = upload;
        let etag = match error {
            ClientError::OtherBytes { etag, .. } => etag.clone(),
            _ => None,
        };
        let receipt = Receipt { etag, evidence: None };
        let refused = matches!(error, ClientError::Changed(_) | ClientError::NotFound(_) | ClientError::Busy { .. });
        if error.stops_everything() || (refused && !unsure) {
            return Ok(After::Other);
        }
        // When even looking fails, the failure of the PUT is the one to be told.
        let Ok(found) = self.client.find(remote).await else { return Ok(After::Other) };
        // It may have given the name another spelling.
        let Some((remote, found)) = &found else {
            return Ok(if matches!(expect, Expect::Absent) { After::AsBefore } else { After::Other });
        };
        if unsure && self.holds(remote, found, source).await? {
            return Ok(After::Arrived);
        }
        match expect {
            Expect::Absent if self.is_ours(remote, source, found, Sending { from, receipt: &receipt, was_free: true }).await => {
                self.remove_remains(remote, found.clone()).await;
                Ok(After::AsBefore)
            }
            Expect::Version(then) if found.unchanged_since(then) => Ok(After::AsBefore),
            _ => Ok(After::Other),
        }
    }

    /// Whether the service has these bytes at a path. Where it tells no checksum they are read back.
    pub(crate) async fn holds(&self, remote: &RelPath, found: &RemoteVersion, source: &LocalVersion) -> Result<bool, DeliveryError> {
        if found.size != Some(source.size) {
            return Ok(false);
        }
        Ok(match found.digests.agree(&source.digests.into()) {
            Some(same) => same,
            None => self.client.digests(remote, found).await? == source.digests,
        })
    }

    /// The file that the plan was made from; another content is an error, before or while it is sent.
    async fn payload(self: &Arc<Self>, from: &Arc<dyn Source>, path: &RelPath, version: &LocalVersion) -> Result<Payload, DeliveryError> {
        let (from, path, version) = (Arc::clone(from), path.clone(), *version);
        if version.size <= WHOLE {
            return Ok(Payload::Whole(blocking(move || read_whole(&*from, &path, &version)).await?));
        }
        let (delivery, of) = (Arc::clone(self), path.clone());
        // What is on its way counts, so that a large file does not look like a stop.
        let count = move |piece: &Bytes| delivery.moved_bytes(&of, piece.len() as u64);
        Ok(in_pieces(version.size, move |send| read_pieces(&*from, &path, &version, send), count))
    }
}

/// So many bytes that `read` gives piece by piece, as often as they are sent. It blocks, and ends when there is nobody to give to.
pub(super) fn in_pieces(
    size: u64,
    read: impl Fn(&mut dyn FnMut(Bytes) -> ControlFlow<()>) -> io::Result<()> + Send + Sync + 'static,
    taken: impl Fn(&Bytes) + Clone + Send + Sync + 'static,
) -> Payload {
    let read = Arc::new(read);
    Payload::Pieces(
        size,
        Arc::new(move || {
            let (pieces, receiver) = mpsc::channel(4);
            let read = Arc::clone(&read);
            tokio::task::spawn_blocking(move || {
                let mut send = |piece| match pieces.blocking_send(Ok(piece)) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                };
                if let Err(error) = read(&mut send) {
                    // The receiver is gone when the request ended first; it has its own error then.
                    let _ = pieces.blocking_send(Err(error));
                }
            });
            let taken = taken.clone();
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|piece| (piece, receiver)) })
                .inspect(move |piece: &io::Result<Bytes>| piece.iter().for_each(&taken))
                .boxed()
        }),
    )
}

/// All of a file of this version.
pub(crate) fn read_whole(from: &dyn Source, path: &RelPath, version: &LocalVersion) -> Result<Bytes, DeliveryError> {
    let mut file = from.open()?;
    let mut bytes = Vec::with_capacity(version.size as usize + 1);
    let read = file.by_ref().take(version.size + 1).read_to_end(&mut bytes);
    read.map_err(|source| DeliveryError::Io { path: path.to_string(), source })?;
    if bytes.len() as u64 != version.size {
        return Err(DeliveryError::SourceChanged(path.clone()));
    }
    Ok(bytes.into())
}

fn read_pieces(
    from: &dyn Source,
    path: &RelPath,
    version: &LocalVersion,
    send: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut file = from.open().map_err(io::Error::other)?;
    let mut hasher = blake3::Hasher::new();
    let mut left = version.size;
    while left > 0 {
        let piece = read_piece(&mut file, left)?;
        hasher.update(&piece);
        left -= piece.len() as u64;
        // The last piece goes out only when the whole was what was promised: a changed file becomes a short request, which no server takes.
        if left == 0 && ContentHash(*hasher.finalize().as_bytes()) != version.digests.content {
            return Err(io::Error::other(DeliveryError::SourceChanged(path.clone())));
        }
        if send(piece).is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The next bytes of a file, of which so many are left.
pub(super) fn read_piece(file: &mut dyn Read, left: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
    file.read_exact(&mut piece)?;
    Ok(piece.into())
}
