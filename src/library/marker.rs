//! The marker file: proof that the right disk is mounted.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::folders::Folders;
use crate::store::properties::Area;
use crate::store::{Store, meta};
use crate::types::media::OWN_FOLDER;
use crate::types::{LibraryId, RelPath};

use super::{LibraryError, Tree};

const NAME: &str = "library.toml";
const COMMENT: &str = "# Twinlens keeps this file to be sure that this disk is mounted and which library it holds.\n\
                       # Do not remove or copy it.\n";

#[derive(Serialize, Deserialize)]
struct Marker {
    id: LibraryId,
}

/// Opens the library at `root` for this state. The first time it gets a marker; later both must agree.
pub fn open_library(root: &Path, store: &Store) -> Result<(Tree, LibraryId), LibraryError> {
    let metadata = fs::metadata(root).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LibraryError::Missing(root.to_owned()),
        _ => unusable(root, &error),
    })?;
    if !metadata.is_dir() {
        return Err(LibraryError::Missing(root.to_owned()));
    }
    fs::read_dir(root).map_err(|error| unusable(root, &error))?;
    let expected = meta::library(&store.read()?)?;
    let own = root.join(OWN_FOLDER);
    let id = match (read(&own.join(NAME))?, expected) {
        (Some(found), Some(expected)) if found != expected => {
            return Err(LibraryError::ForeignMarker { path: root.to_owned(), found, expected });
        }
        (None, Some(_)) => return Err(LibraryError::NoMarker(root.to_owned())),
        (Some(found), _) => found,
        (None, None) => create(&own, NAME).map_err(|error| unusable(root, &error))?,
    };
    let tree = Tree::open(root, store.clone(), Area::Originals).map_err(|error| unusable(root, &error))?;
    if expected.is_none() {
        store.write(move |tx| meta::set_library(tx, id))?;
    }
    Ok((tree, id))
}

/// Looks again whether the marker of a library that was opened earlier is still there: its disk may be gone since.
pub fn check_marker(root: &Path, expected: LibraryId) -> Result<(), LibraryError> {
    match read(&root.join(OWN_FOLDER).join(NAME))? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(LibraryError::ForeignMarker { path: root.to_owned(), found, expected }),
        None => Err(LibraryError::NoMarker(root.to_owned())),
    }
}

/// Whether the library's disk does not tell upper from lower case.
pub fn folds_case(tree: &Tree) -> bool {
    fs::symlink_metadata(tree.root().join(OWN_FOLDER.to_uppercase())).is_ok()
}

/// The library that a marker's text names, if it is one.
pub fn marker_of(text: &str) -> Option<LibraryId> {
    toml::from_str::<Marker>(text).ok().map(|marker| marker.id)
}

/// Where something was found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// In this folder of the library.
    Inside(RelPath),
    /// In this folder above the library.
    Above(PathBuf),
}

/// Looks in every known folder of the library, and in those above its root, for the marker of a library.
pub fn find_marker(tree: &Tree, wanted: LibraryId) -> Result<Option<Found>, LibraryError> {
    find(tree, |folder| matches!(read(&folder.join(OWN_FOLDER).join(NAME)), Ok(Some(id)) if id == wanted))
}

/// The same for a file of ours that was put somewhere else. Where it is found it is removed, and so leaves no trace in a trash.
pub fn take_probe(tree: &Tree, name: &str) -> Result<Option<Found>, LibraryError> {
    find(tree, |folder| {
        let place = folder.join(name);
        // Where it may not be removed, the service removes it.
        let found = fs::symlink_metadata(&place).is_ok();
        if found && let Err(error) = fs::remove_file(&place) {
            tracing::debug!(path = %place.display(), %error, "a file of ours is left for the service to remove");
        }
        found
    })
}

fn find(tree: &Tree, is_in: impl Fn(&Path) -> bool) -> Result<Option<Found>, LibraryError> {
    let folders = Folders::open(&tree.store().read()?)?;
    for folder in std::iter::once(Ok(RelPath::root())).chain(folders.told()?) {
        let folder = folder?;
        if is_in(&tree.root().join(folder.as_str())) {
            return Ok(Some(Found::Inside(folder)));
        }
    }
    Ok(tree.root().ancestors().skip(1).find(|folder| is_in(folder)).map(|folder| Found::Above(folder.to_owned())))
}

/// A file in the library's root that is there for a moment, so that one can see whether it shows elsewhere.
pub struct Probe(PathBuf);

impl Probe {
    /// Makes it. It is not indexed, watched or synced.
    pub fn new(tree: &Tree, name: &str, text: &str) -> Result<Self, LibraryError> {
        let place = tree.root().join(name);
        let io = |source| LibraryError::Io { path: name.to_owned(), source };
        fs::File::create_new(&place).and_then(|mut file| file.write_all(text.as_bytes())).map_err(io)?;
        Ok(Self(place))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a file of ours could not be removed; it can be deleted");
        }
    }
}

fn unusable(root: &Path, error: &io::Error) -> LibraryError {
    LibraryError::Unusable { path: root.to_owned(), reason: error.to_string() }
}

fn read(path: &Path) -> Result<Option<LibraryId>, LibraryError> {
    let bad = |reason: String| LibraryError::BadMarker { path: path.to_owned(), reason };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(error.to_string())),
    };
    let marker: Marker = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
    Ok(Some(marker.id))
}

fn create(own: &Path, name: &str) -> io::Result<LibraryId> {
    fs::create_dir_all(own)?;
    let marker = Marker { id: LibraryId::random() };
    let text = toml::to_string(&marker).map_err(io::Error::other)?;
    let unfinished = own.join(format!("{name}.new"));
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(format!("{COMMENT}{text}").as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, own.join(name))?;
    fs::File::open(own)?.sync_all()?;
    Ok(marker.id)
}
