//! Emptying: the only way in which files really go.

use std::fs;
use std::io;

use jiff::Timestamp;

use crate::library::LibraryError;

use super::list::{Removal, Trash, Trashed};

/// What emptying the trash did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emptied {
    /// Files that are gone for good.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be removed, and why.
    pub failed: Vec<(String, String)>,
}

impl Trash {
    /// Removes for good what was put there before a moment. What did not come there by this program is left alone.
    pub fn empty(&self, before: Timestamp) -> Result<Emptied, LibraryError> {
        let mut emptied = Emptied::default();
        for removal in self.removals()?.into_iter().filter(|removal| removal.at < before) {
            let mut files: Vec<Trashed> = Vec::new();
            self.files_of(&removal, &mut files)?;
            match self.remove(&removal) {
                Ok(()) => {
                    emptied.files += files.len() as u64;
                    emptied.bytes += files.iter().map(|file| file.size).sum::<u64>();
                }
                Err(error) => emptied.failed.push((removal.id(), error.to_string())),
            }
        }
        Ok(emptied)
    }

    /// What is below is removed without following links, in it or put there meanwhile.
    fn remove(&self, removal: &Removal) -> io::Result<()> {
        match fs::remove_dir_all(self.place(&removal.id())) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        // The day goes with its last removal; one that is not empty stays.
        match fs::remove_dir(self.place(&removal.day)) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }
}
