//! What can go wrong with photos on disk.

use std::io;
use std::path::PathBuf;

use crate::reconcile::Coverage;
use crate::store::StoreError;
use crate::types::{LibraryId, RelPath};

use super::room::is_full;

/// A failed operation on a library. The text names the path and says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No such file or folder.
    #[error("{0} does not exist")]
    NotFound(RelPath),
    /// Something is there already.
    #[error("{0} exists already")]
    Exists(RelPath),
    /// The folder that should hold it is missing.
    #[error("the folder of {0} does not exist")]
    NoParent(RelPath),
    /// A folder where a file is needed, or the reverse.
    #[error("{0} is of the wrong kind (a folder in place of a file, or the reverse)")]
    WrongKind(RelPath),
    /// It is not what was expected: somebody else changed it meanwhile.
    #[error("{0} was changed by somebody else meanwhile; it was left as it is")]
    Changed(RelPath),
    /// A symbolic link leads out of the library, or the path is Twinlens's own.
    #[error("{0} does not lie inside the library")]
    Outside(RelPath),
    /// The new path, or one below it, would be longer than 4000 bytes.
    #[error("{0} would be too long, or a path below it")]
    TooLong(RelPath),
    /// The disk or the quota is full, but for what is kept for the node itself; that of the library, or that of the state.
    #[error(
        "there is no room left on the disk for {0}: the rest is kept for what Twinlens itself must write; make room on the disk of the library or of the data folder"
    )]
    Full(RelPath),
    /// Anything else that the system said.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// What.
        source: io::Error,
    },
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no library at this place.
    #[error("the library {} does not exist or is not a folder; create it, mount its disk, or name another with --library", .0.display())]
    Missing(PathBuf),
    /// It is there, but cannot be read or written.
    #[error("the library {} cannot be used: {reason}; check its owner and permissions", path.display())]
    Unusable {
        /// The root.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The state knows a library, but the marker is not there.
    #[error(
        "{} has no marker file .twinlens/library.toml, though it is known as a library: its disk is probably not mounted. Nothing was \
         changed. Mount it, or use another --data folder to begin with a new library; --force does not go past this", .0.display()
    )]
    NoMarker(PathBuf),
    /// The marker of another library.
    #[error(
        "{} is another library ({found}) than the one this --data folder belongs to ({expected}). Nothing was changed. Name the right \
         library, or use another --data folder; --force does not go past this", path.display()
    )]
    ForeignMarker {
        /// The root.
        path: PathBuf,
        /// In the marker.
        found: LibraryId,
        /// In the state.
        expected: LibraryId,
    },
    /// The marker is there but makes no sense.
    #[error("the marker {} cannot be understood ({reason}); restore it from a backup", path.display())]
    BadMarker {
        /// The marker file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl LibraryError {
    /// Whether it failed because another disk is mounted inside the library, and nothing can be renamed from one to the other.
    pub fn crosses_disks(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::CrossesDevices)
    }

    /// Whether it failed because there is no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Store(StoreError::Full(_)))
    }

    /// What kind of failure it is, in one word that stays the same.
    pub fn cause(&self) -> &'static str {
        if self.is_full() { "disk-full" } else { "library" }
    }

    /// The same error, said of the path that it was met for.
    pub fn met_for(self, path: &RelPath) -> Self {
        match self {
            Self::Io { source, .. } => Self::io(path, source),
            other => other,
        }
    }

    /// Why nothing is known of a path. What changes while it is read is left for a moment, and what leads out of the library on purpose;
    /// everything else is a failure.
    pub(super) fn note_in(&self, coverage: &mut Coverage, path: RelPath) {
        match self {
            Self::Changed(_) | Self::Outside(_) | Self::NotFound(_) => coverage.exclude(path, self.to_string()),
            _ => coverage.fail(path, self.to_string()),
        }
    }

    /// An error of the system while a file that is to have this path came in: nothing is wrong with the path itself.
    pub fn staging(path: &RelPath, source: io::Error) -> Self {
        if is_full(&source) { Self::Full(path.clone()) } else { Self::Io { path: path.to_string(), source } }
    }

    /// An error of the system at a path of the library.
    pub fn io(path: &RelPath, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(path.clone()),
            io::ErrorKind::AlreadyExists => Self::Exists(path.clone()),
            _ if is_full(&source) => Self::Full(path.clone()),
            io::ErrorKind::InvalidFilename => Self::TooLong(path.clone()),
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => Self::WrongKind(path.clone()),
            _ => Self::Io { path: path.to_string(), source },
        }
    }
}
