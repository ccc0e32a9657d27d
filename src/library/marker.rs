//! The marker file: proof that the right disk is mounted.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::store::properties::Area;
use crate::store::{Store, meta};
use crate::types::LibraryId;

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
    let own = root.join(crate::types::media::OWN_FOLDER);
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
    match read(&root.join(crate::types::media::OWN_FOLDER).join(NAME))? {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(LibraryError::ForeignMarker { path: root.to_owned(), found, expected }),
        None => Err(LibraryError::NoMarker(root.to_owned())),
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
