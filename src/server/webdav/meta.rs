//! What is told of a file or folder.

use std::fmt;

use crate::library::{Kind, LibraryError, Stat};
use crate::types::{ContentHash, Digests};

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) stat: Stat,
    pub(super) digests: Option<Digests>,
    /// A folder's entity tag, which changes with everything below; none where nobody should see one.
    pub(super) folder_etag: Option<String>,
}

impl Meta {
    /// Something with the digests that the index knows of it.
    pub(super) fn of(stat: Stat, digests: Option<Digests>) -> Self {
        Self { stat, digests, folder_etag: None }
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

/// Why something cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FsError {
    /// Nothing is there.
    #[error("it does not exist")]
    NotFound,
    /// It cannot be read, or must not be.
    #[error("it cannot be read")]
    Forbidden,
    /// There is no room.
    #[error("there is no room left on the disk")]
    Full,
    /// The log says more.
    #[error("something went wrong")]
    GeneralFailure,
}

/// The kind of an error; an unexpected one is written to the log.
pub(super) fn fs_error(error: &LibraryError) -> FsError {
    match error {
        LibraryError::NotFound(_) | LibraryError::NoParent(_) => FsError::NotFound,
        LibraryError::Outside(_) | LibraryError::WrongKind(_) | LibraryError::TooLong(_) => FsError::Forbidden,
        full if full.is_full() => {
            tracing::warn!(error = %full, "a request failed");
            FsError::Full
        }
        other => {
            tracing::error!(error = %other, "a request failed");
            FsError::GeneralFailure
        }
    }
}
