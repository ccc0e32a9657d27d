//! What is sent: a file, or bytes that were made of one.

use std::io::{Cursor, Read, Seek};

use bytes::Bytes;

/// Bytes that can be read again whenever they are sent again.
pub trait Source: Send + Sync {
    /// Opens them at their beginning. Blocks. Another content than before is an error.
    fn open(&self) -> Result<Box<dyn Opened>, SourceError>;
}

/// A source that was opened.
pub trait Opened: Read + Seek + Send {}

impl<T: Read + Seek + Send> Opened for T {}

/// Why a source cannot be read. What it is, whoever made the source knows.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(pub Box<dyn std::error::Error + Send + Sync>);

/// Bytes in memory.
impl Source for Bytes {
    fn open(&self) -> Result<Box<dyn Opened>, SourceError> {
        Ok(Box::new(Cursor::new(self.clone())))
    }
}
