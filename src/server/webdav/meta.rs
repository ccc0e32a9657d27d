//! What is told of a file or folder.

use crate::library::{Kind, LibraryError, Stat};
use crate::types::{Digests, Mtime};

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) stat: Stat,
    pub(super) digests: Option<Digests>,
    /// A folder's entity tag, which changes with everything below; none where nobody should see one.
    pub(super) folder_etag: Option<String>,
}

impl Meta {
    /// The top folder has no times of its own; the oldest says "unchanged" to every client.
    pub(super) const TOP: Self =
        Self { stat: Stat { kind: Kind::Folder, size: 0, mtime: Mtime(0), inode: 0 }, digests: None, folder_etag: None };

    /// Something with the digests that the index knows of it.
    pub(super) fn of(stat: Stat, digests: Option<Digests>) -> Self {
        Self { stat, digests, folder_etag: None }
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

/// Why something cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FsError {
    /// Nothing is there.
    #[error("it does not exist")]
    NotFound,
    /// It cannot be read, or must not be.
    #[error("it cannot be read")]
    Forbidden,
    /// The log says more.
    #[error("something went wrong")]
    GeneralFailure,
}

/// The kind of an error; an unexpected one is written to the log.
pub(super) fn fs_error(error: &LibraryError) -> FsError {
    match error {
        LibraryError::NotFound(_) | LibraryError::NoParent(_) => FsError::NotFound,
        LibraryError::Outside(_) | LibraryError::WrongKind(_) | LibraryError::TooLong(_) => FsError::Forbidden,
        other => {
            tracing::error!(error = %other, "a request failed");
            FsError::GeneralFailure
        }
    }
}
