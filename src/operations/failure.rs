//! How a command fails: one sentence and an exit code.

use serde::{Deserialize, Serialize};

use crate::accounts::AccountError;
use crate::client::ClientError;
use crate::library::LibraryError;
use crate::services::{SecretError, ServiceError};
use crate::share::ShareError;
use crate::store::StoreError;
use crate::sync::SyncError;

/// The exit codes of the program; scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitCode {
    /// Everything was done.
    Done = 0,
    /// Finished, but with failures, each named.
    Failures = 1,
    /// Wrong usage.
    Usage = 2,
    /// Could not start, or not reach what it needs.
    Unreachable = 3,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure.
    pub code: ExitCode,
    /// What happened, to what, and what to do.
    pub message: String,
}

impl Failure {
    /// The user asked for something that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Usage, message: message.into() }
    }

    /// Something that is needed is not there.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { code: ExitCode::Unreachable, message: message.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::BadUrl(_) | ClientError::PlainHttp { .. } => Self::usage(error.to_string()),
            _ => Self::unreachable(error.to_string()),
        }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Unknown(_) | ServiceError::Taken(_) | ServiceError::BadName => Self::usage(error.to_string()),
            ServiceError::Client(error) => error.into(),
            ServiceError::Secret(_) | ServiceError::Store(_) => Self::unreachable(error.to_string()),
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Hash(_) | AccountError::Store(_) => Self::unreachable(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Client(error) => error.into(),
            ShareError::Store(error) => error.into(),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Client(error) => error.into(),
            SyncError::Library(_) | SyncError::Store(_) => Self::unreachable(error.to_string()),
            SyncError::Halted(_)
            | SyncError::SameLibrary(_)
            | SyncError::OtherLibrary { .. }
            | SyncError::FolderGone(_)
            | SyncError::NoFolder(_)
            | SyncError::Pattern(_)
            | SyncError::Stopped(_)
            | SyncError::Crashed(_) => Self { code: ExitCode::Failures, message: error.to_string() },
        }
    }
}
