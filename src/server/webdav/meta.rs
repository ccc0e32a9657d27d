//! What dav-server wants to know of a file.

use std::fmt;
use std::time::SystemTime;

use dav_server::fs::{DavMetaData, FsError, FsResult};

use crate::library::{Kind, LibraryError, Stat};
use crate::types::{ContentHash, Digests, Mtime};

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
    /// The folder that holds all trees has no times of its own; the oldest says "unchanged" to every client.
    pub(super) fn top() -> Self {
        Self::of(Stat::unknown_folder(Mtime(0)), None)
    }

    /// Something with the digests that the index knows of it.
    pub(super) fn of(stat: Stat, digests: Option<Digests>) -> Self {
        Self { stat, digests, folder_etag: None, opaque: false }
    }

    /// The same, as one thing without an inside.
    pub(super) fn opaque(self) -> Self {
        Self { opaque: true, ..self }
    }

    /// The opaque part of the entity tag.
    pub(super) fn opaque_etag(&self) -> Option<String> {
        match self.stat.kind {
            Kind::Folder => self.folder_etag.clone(),
            Kind::File => Some(FileTag::of(&self.stat, self.digests).to_string()),
        }
    }
}

/// The opaque part of a file's entity tag: the content hash where the index knows it.
pub(super) struct FileTag {
    hash: ContentHash,
}

impl FileTag {
    pub(super) fn of(stat: &Stat, digests: Option<Digests>) -> Self {
        let Stat { size, mtime, inode, .. } = stat;
        // A name that is not indexed, or a file that another program has just written.
        let stand_in = || ContentHash(*blake3::hash(format!("{size}-{}-{inode}", mtime.0).as_bytes()).as_bytes());
        Self { hash: digests.map_or_else(stand_in, |digests| digests.content) }
    }
}

impl fmt::Display for FileTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash.etag())
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
