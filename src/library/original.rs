//! A file of the library that is to be sent.

use crate::client::{Opened, Source, SourceError};
use crate::types::{LocalVersion, RelPath};

use super::{LibraryError, Open, Tree};

/// A file of a certain version, as far as its size and time tell.
#[derive(Debug, Clone)]
pub struct Original {
    /// Where it lies.
    pub tree: Tree,
    /// Its path.
    pub path: RelPath,
    /// The version that is meant.
    pub version: LocalVersion,
}

impl Source for Original {
    fn open(&self) -> Result<Box<dyn Opened>, SourceError> {
        let open = || {
            let Open { file, stat } = self.tree.open_file(&self.path)?;
            match (stat.size, stat.mtime) == (self.version.size, self.version.mtime) {
                true => Ok(file),
                false => Err(LibraryError::Changed(self.path.clone())),
            }
        };
        match open() {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(SourceError(Box::new(error))),
        }
    }
}
