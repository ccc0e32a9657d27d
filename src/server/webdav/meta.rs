//! What dav-server wants to know of a file.

use std::time::SystemTime;

use dav_server::fs::{DavMetaData, FsError, FsResult};

use crate::library::{Kind, LibraryError, Stat};
use crate::types::{Digests, Mtime};

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) stat: Stat,
    pub(super) digests: Option<Digests>,
    /// A folder's entity tag, which changes with everything below; none where nobody should see one.
    pub(super) folder_etag: Option<String>,
    /// Shown to dav-server as if it were a file.
    pub(super) opaque: bool,
}

impl Meta {
    /// The top folder has no times of its own; the oldest says "unchanged" to every client.
    pub(super) const TOP: Self =
        Self { stat: Stat { kind: Kind::Folder, size: 0, mtime: Mtime(0), inode: 0 }, digests: None, folder_etag: None, opaque: false };

    /// Something with the digests that the index knows of it.
    pub(super) fn of(stat: Stat, digests: Option<Digests>) -> Self {
        Self { stat, digests, folder_etag: None, opaque: false }
    }

    /// The same, as one thing without an inside.
    pub(super) fn opaque(self) -> Self {
        Self { opaque: true, ..self }
    }

    /// The opaque part of the entity tag: the content hash where the index knows it.
    pub(super) fn opaque_etag(&self) -> Option<String> {
        match (self.stat.kind, self.digests) {
            (Kind::Folder, _) => self.folder_etag.clone(),
            (Kind::File, Some(digests)) => Some(digests.content.etag()),
            // A name that is not indexed, or a file that another program has just written.
            (Kind::File, None) => {
                let Stat { size, mtime, inode, .. } = self.stat;
                let text = format!("{size}-{}-{inode}", mtime.0);
                Some(blake3::hash(text.as_bytes()).to_hex()[..32].to_owned())
            }
        }
    }
}

impl DavMetaData for Meta {
    fn len(&self) -> u64 {
        self.stat.size
    }

    fn modified(&self) -> FsResult<SystemTime> {
        // HTTP has no dates before 1970, and dav-server panics on one.
        Ok(self.stat.mtime.max(Mtime(0)).into())
    }

    fn is_dir(&self) -> bool {
        self.stat.kind == Kind::Folder && !self.opaque
    }

    fn etag(&self) -> Option<String> {
        self.opaque_etag()
    }
}

/// The nearest of dav-server's errors.
pub(super) fn fs_error(error: &LibraryError) -> FsError {
    match error {
        LibraryError::NotFound(_) | LibraryError::NoParent(_) => FsError::NotFound,
        LibraryError::Exists(_) => FsError::Exists,
        LibraryError::Outside(_) | LibraryError::WrongKind(_) => FsError::Forbidden,
        LibraryError::Full(_) => FsError::InsufficientStorage,
        LibraryError::TooLong(_) => FsError::PathTooLong,
        other => {
            tracing::error!(error = %other, "a request failed");
            FsError::GeneralFailure
        }
    }
}
