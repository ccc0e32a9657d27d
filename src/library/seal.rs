//! The seal: which is newer, the state or the library it describes.
//!
//! Both hold the same seal, and it is renewed whenever the library is opened and from time to time while it is served. When one of them is
//! put back from a backup, the seals differ, and the higher count tells which one stayed. Without that, an older state would take what
//! happened since for changes of today, and count its changes with numbers that were given before.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::store::meta::{self, Seal};

use super::{LibraryError, Tree};

const NAME: &str = "seal.toml";
const COMMENT: &str = "# By this Twinlens notices that the library or its index was put back from a backup. Do not change it.\n";

/// What the seals tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// State and library are of one time, or they were never sealed.
    Together,
    /// The state is older than the library.
    OlderState,
    /// The library is older than the state.
    OlderLibrary,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct File(Seal);

impl Tree {
    /// Compares the seals of the library and its state.
    pub fn past(&self) -> Result<Past, LibraryError> {
        let (sealed, before) = meta::seals(&self.store().read()?)?;
        let (Some(state), Some(library)) = (sealed, self.seal()?) else { return Ok(Past::Together) };
        if library == state || Some(library) == before {
            return Ok(Past::Together);
        }
        Ok(if library.count >= state.count { Past::OlderState } else { Past::OlderLibrary })
    }

    /// Gives both a new seal.
    pub fn renew_seal(&self) -> Result<(), LibraryError> {
        let library = self.seal()?;
        // The state first, with the old one beside the new: a crash in between is no restored backup.
        let seal = self.store().write(move |tx| meta::renew_seal(tx, library))?;
        self.write_seal(seal).map_err(|error| self.failed(error))?;
        // Lost in a crash, this only means that the seal before this one is good too.
        Ok(self.store().write_soon(meta::sealed)?)
    }

    fn seal(&self) -> Result<Option<Seal>, LibraryError> {
        match fs::read_to_string(self.seal_place()) {
            Ok(text) => match toml::from_str(&text) {
                Ok(File(seal)) => Ok(Some(seal)),
                Err(error) => {
                    tracing::warn!(place = %self.seal_place().display(), %error, "the seal cannot be understood and is made anew");
                    Ok(None)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn write_seal(&self, seal: Seal) -> io::Result<()> {
        let text = toml::to_string(&File(seal)).map_err(io::Error::other)?;
        let unfinished = self.own().join(format!("{NAME}.new"));
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(format!("{COMMENT}{text}").as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, self.seal_place())?;
        super::tree::sync_parent(&self.seal_place())
    }

    fn seal_place(&self) -> PathBuf {
        self.own().join(NAME)
    }

    fn failed(&self, source: io::Error) -> LibraryError {
        LibraryError::Io { path: self.seal_place().display().to_string(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::open_library;
    use crate::store::Store;

    #[test]
    fn what_is_put_back_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let (root, state, kept) = (folder.path().join("l"), folder.path().join("s.redb"), folder.path().join("kept.redb"));
        fs::create_dir(&root).unwrap();
        let open = || open_library(&root, &Store::open(&state).unwrap()).unwrap().0;
        let seal = root.join(".twinlens").join(NAME);
        let tree = open();
        assert_eq!(tree.past().unwrap(), Past::Together);
        tree.renew_seal().unwrap();
        drop(tree);
        fs::copy(&state, &kept).unwrap();
        let early = fs::read(&seal).unwrap();
        for _ in 0..2 {
            let tree = open();
            assert_eq!(tree.past().unwrap(), Past::Together);
            tree.renew_seal().unwrap();
        }
        let late = fs::read(&seal).unwrap();
        fs::write(&seal, &early).unwrap();
        assert_eq!(open().past().unwrap(), Past::OlderLibrary);
        fs::write(&seal, &late).unwrap();
        fs::copy(&kept, &state).unwrap();
        let tree = open();
        assert_eq!(tree.past().unwrap(), Past::OlderState);
        // Once it is sealed, both go on together, whichever was older.
        tree.renew_seal().unwrap();
        drop(tree);
        assert_eq!(open().past().unwrap(), Past::Together);
    }

    #[test]
    fn a_crash_while_sealing_is_no_restored_backup() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("l");
        fs::create_dir(&root).unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let (tree, _) = open_library(&root, &store).unwrap();
        tree.renew_seal().unwrap();
        let library = tree.seal().unwrap();
        store.write(move |tx| meta::renew_seal(tx, library)).unwrap();
        assert_eq!(tree.past().unwrap(), Past::Together);
    }
}
