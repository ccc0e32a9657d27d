//! Why a file was not delivered.

use std::io;

use crate::client::{ClientError, NotProven, SourceError};
use crate::store::StoreError;
use crate::types::RelPath;

/// A file that did not arrive, or of which it is not proven.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The service.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its bytes cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bytes that were read are not those that were meant.
    #[error("{0} was changed by somebody else meanwhile; it was left as it is")]
    SourceChanged(RelPath),
    /// What the system said while they were read.
    #[error("{path}: {source}")]
    Io {
        /// Of which file.
        path: String,
        /// What.
        source: io::Error,
    },
    /// It did not arrive as it was sent.
    #[error("{0}")]
    NotProven(NotProven),
    /// It was sent in several ways.
    #[error("{first}{}", others(*.ways))]
    InVain {
        /// How the first one failed.
        first: Box<DeliveryError>,
        /// How many others were tried.
        ways: u32,
    },
    /// It was not sent.
    #[error("{0}")]
    Refused(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeliveryError {
    /// What kind of failure it is, in one word that stays the same: for counting.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Client(error) => error.cause(),
            Self::Source(_) | Self::SourceChanged(_) | Self::Io { .. } => "library",
            Self::NotProven(_) => "not-proven",
            Self::InVain { first, .. } => first.cause(),
            Self::Refused(_) => "refused",
            Self::Store(_) => "run",
        }
    }
}

/// What is said of other ways that were tried.
pub(crate) fn others(ways: u32) -> String {
    match ways {
        0 => String::new(),
        1 => ". It was sent in one other way too, and that went wrong as well".to_owned(),
        ways => format!(". It was sent in {ways} other ways too, and they went wrong as well"),
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<R, F>(work: F) -> Result<R, DeliveryError>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, DeliveryError> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| DeliveryError::Refused(format!("a part of the program ended unexpectedly: {error}")))?
}
