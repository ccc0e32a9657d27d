//! Open files: one kind for reading, one for writing.

use std::fmt;
use std::fs::File;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture};
use http::StatusCode;

use crate::library::{LibraryError, OnDisk, Staged, Tree};
use crate::types::{Expect, RelPath};

use super::context::Context;
use super::meta::{Meta, fs_error};
use super::promised::Promises;

/// Bytes that are gathered before they are written and hashed on a blocking thread. A smaller file is written in one go.
const GATHER: usize = 1 << 20;

/// Runs `work` where it may block.
pub(super) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, FsError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a request ended unexpectedly");
        FsError::GeneralFailure
    })
}

/// A file being served. Replacing it meanwhile does not disturb: the open file is the old one.
#[derive(Debug)]
pub(super) struct Reading {
    file: Arc<File>,
    meta: Meta,
    position: u64,
}

impl Reading {
    pub(super) fn new(file: File, meta: Meta) -> Self {
        Self { file: Arc::new(file), meta, position: 0 }
    }
}

impl DavFile for Reading {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let meta: Box<dyn DavMetaData> = Box::new(self.meta.clone());
        Box::pin(async { Ok(meta) })
    }

    fn write_buf(&mut self, _: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    fn write_bytes(&mut self, _: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    fn read_bytes(&mut self, count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async move {
            let (file, position) = (Arc::clone(&self.file), self.position);
            let bytes = blocking(move || {
                let mut bytes = vec![0; count];
                // A file that became shorter meanwhile breaks the answer off; dav-server would fill it up with zeros.
                file.read_exact_at(&mut bytes, position).map(|()| bytes)
            });
            let bytes = bytes.await?.map_err(|error| {
                tracing::error!(%error, "a file could not be read on");
                FsError::GeneralFailure
            })?;
            self.position += bytes.len() as u64;
            Ok(bytes.into())
        })
    }

    fn seek(&mut self, position: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(async move {
            match position {
                SeekFrom::Start(position) if position <= self.meta.stat.size => self.position = position,
                _ => return Err(FsError::GeneralFailure),
            }
            Ok(self.position)
        })
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A file on its way in. `flush`, which dav-server calls at the end of the body, is the commit; dropping it before leaves no trace.
pub(super) struct Writing {
    tree: Tree,
    path: RelPath,
    context: Context,
    expect: Expect<OnDisk>,
    announced: Option<u64>,
    gathered: Vec<u8>,
    received: u64,
    arrived: Arrived,
    stored: Option<Meta>,
}

/// What has been written so far; goes to a blocking thread and comes back.
#[derive(Default)]
struct Arrived {
    staged: Option<Staged>,
    promises: Promises,
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writing").field(&self.path).finish()
    }
}

impl Writing {
    pub(super) fn new(tree: Tree, path: RelPath, context: Context, expect: Expect<OnDisk>, announced: Option<u64>) -> Self {
        let announced = announced.or(context.expected_length());
        let gathered = Vec::with_capacity(announced.map_or(64 << 10, |size| size.min(GATHER as u64)) as usize);
        let arrived = Arrived { staged: None, promises: context.promises() };
        Self { tree, path, context, expect, announced, gathered, received: 0, arrived, stored: None }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.received += bytes.len() as u64;
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHER {
            return Ok(());
        }
        let (tree, path, bytes) = (self.tree.clone(), self.path.clone(), std::mem::take(&mut self.gathered));
        let arrived = std::mem::take(&mut self.arrived);
        let appended = blocking(move || append(&tree, arrived, &path, &bytes).map(|arrived| (arrived, bytes))).await?;
        let (arrived, bytes) = appended.map_err(|error| self.fail(&error))?;
        self.arrived = arrived;
        self.gathered = bytes;
        self.gathered.clear();
        Ok(())
    }

    fn fail(&self, error: &LibraryError) -> FsError {
        self.context.explain(error);
        fs_error(error)
    }

    async fn commit(&mut self) -> Result<(), FsError> {
        if let Some(announced) = self.announced.filter(|announced| *announced != self.received) {
            let reason = format!("Only {} of {announced} bytes came; nothing was changed.\n", self.received);
            self.context.refuse(StatusCode::BAD_REQUEST, reason);
            return Err(FsError::GeneralFailure);
        }
        let (tree, path, expect, context) = (self.tree.clone(), self.path.clone(), self.expect.clone(), self.context.clone());
        let (bytes, arrived) = (std::mem::take(&mut self.gathered), std::mem::take(&mut self.arrived));
        let stored = blocking(move || {
            let Arrived { staged, promises } = append(&tree, arrived, &path, &bytes)?;
            let Some(staged) = staged else { return Ok(None) };
            let digests = staged.digests();
            context.set_hashes(promises.answers(&digests.sha1));
            if let Some(kind) = promises.broken(&digests.sha1) {
                let reason = format!("What came has another {kind} checksum than was promised; nothing was changed.\n");
                context.refuse(StatusCode::BAD_REQUEST, reason);
                return Ok(None);
            }
            let committed = staged.commit(&path, &expect, context.mtime())?;
            context.set_received(digests);
            let version = committed.version();
            if version.size == 0 && committed.replaced() {
                tracing::warn!(%path, "an empty upload replaced a file; the file is in the trash");
            }
            // The same tag that a look at the file will tell.
            let known = tree.indexes(&path).then_some(digests);
            Ok(Some(Meta::of(committed.stat(), known)))
        });
        match stored.await? {
            Ok(Some(meta)) => {
                self.stored = Some(meta);
                Ok(())
            }
            Ok(None) => Err(FsError::GeneralFailure),
            Err(error) => Err(self.fail(&error)),
        }
    }
}

fn append(tree: &Tree, arrived: Arrived, path: &RelPath, bytes: &[u8]) -> Result<Arrived, LibraryError> {
    let Arrived { staged, mut promises } = arrived;
    let mut staged = match staged {
        Some(staged) => staged,
        None => tree.stage()?,
    };
    promises.update(bytes);
    staged.write(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => LibraryError::Full(path.clone()),
        _ => LibraryError::Io { path: path.to_string(), source: error },
    })?;
    Ok(Arrived { staged: Some(staged), promises })
}

impl DavFile for Writing {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(async {
            match &self.stored {
                Some(meta) => Ok(Box::new(meta.clone()) as Box<dyn DavMetaData>),
                None => Err(FsError::NotFound),
            }
        })
    }

    fn write_buf(&mut self, mut buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async move {
            while buf.has_remaining() {
                let piece = Bytes::copy_from_slice(buf.chunk());
                buf.advance(piece.len());
                self.take(&piece).await?;
            }
            Ok(())
        })
    }

    fn write_bytes(&mut self, bytes: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async move { self.take(&bytes).await })
    }

    fn read_bytes(&mut self, _: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    /// Partial writes (`Content-Range`, PATCH) are refused: a photo is replaced whole or not at all.
    fn seek(&mut self, _: SeekFrom) -> FsFuture<'_, u64> {
        self.context.refuse(StatusCode::BAD_REQUEST, "Parts of a file cannot be written; send the whole file.\n");
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        Box::pin(self.commit())
    }
}
