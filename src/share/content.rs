//! What is sent of a file: itself, or a JPEG of the wanted size.

use std::sync::Arc;

use bytes::Bytes;

use crate::client::Source;
use crate::library::{Original, Rendition, RenditionError, Wish};
use crate::store::index::Index;
use crate::store::shares::Share;
use crate::types::{Digests, Gps, LocalVersion, MediaKind, RelPath, Unfit};

use super::run::{Courier, FileError, blocking};

/// What is sent.
pub(super) struct Content {
    pub source: Arc<dyn Source>,
    pub version: LocalVersion,
    /// It is a JPEG that was made of the file.
    pub made: bool,
}

/// What is to be done with a file.
pub(super) enum Choice {
    Send(Content),
    /// It is not sent, for this reason.
    Skip(String),
}

const GONE: &str = "it is not in the library any more";
const SIDECAR: &str = "it belongs to an original, and no original is sent; only pictures are sent in a size";

impl Courier {
    /// What is sent of a file of the library.
    pub(super) async fn content(&self, share: &Share, path: &RelPath) -> Result<Choice, FileError> {
        let (store, tree, at) = (self.store.clone(), self.tree.clone(), path.clone());
        let known = blocking(move || Ok((Index::open(&store.read()?)?.get(&at)?.map(|row| row.version()), tree.kind(&at)))).await?;
        let (Some(version), kind) = known else { return Ok(Choice::Skip(GONE.into())) };
        let original =
            Content { source: Arc::new(Original { tree: self.tree.clone(), path: path.clone(), version }), version, made: false };
        let Some(fit) = share.size.pixels() else { return Ok(Choice::Send(original)) };
        let why = match kind? {
            MediaKind::Sidecar => return Ok(Choice::Skip(SIDECAR.into())),
            MediaKind::Raw if share.unfit != Unfit::Jpeg => "it is a RAW file".to_owned(),
            _ => match self.rendition(path, Wish { fit, gps: share.gps }).await {
                Ok(Rendition::AsItIs) => return Ok(Choice::Send(original)),
                Ok(Rendition::Made(bytes)) => {
                    let (bytes, mtime) = (Bytes::from(bytes), version.mtime);
                    let made = LocalVersion { size: bytes.len() as u64, mtime, digests: Digests::of(&bytes) };
                    return Ok(Choice::Send(Content { source: Arc::new(bytes), version: made, made: true }));
                }
                Err(RenditionError::Stopped) => return Err(FileError::Stopped),
                Err(RenditionError::Library(error)) => return Err(error.into()),
                Err(error) => error.to_string(),
            },
        };
        Ok(match share.unfit {
            // What is sent as it is tells where it was taken.
            Unfit::Original if share.gps == Gps::Keep => Choice::Send(original),
            _ => Choice::Skip(why),
        })
    }

    /// A picture is decoded whole, so few are at once.
    async fn rendition(&self, path: &RelPath, wish: Wish) -> Result<Rendition, RenditionError> {
        let _permit = self.pictures.acquire().await;
        let (tree, path, stop) = (self.tree.clone(), path.clone(), self.stop.clone());
        let made = tokio::task::spawn_blocking(move || tree.rendition(&path, wish, stop.flag())).await;
        // A decoder that panicked met a file that it cannot decode.
        made.unwrap_or_else(|error| Err(RenditionError::Undecodable(error.to_string())))
    }
}
