//! The library of a node.

use std::path::Path;
use std::sync::PoisonError;

use crate::library::{Tree, check_marker, open_library};
use crate::store::{StoreError, meta};
use crate::types::LibraryId;

use super::blocking::blocking;
use super::restored::look_back;
use super::{Failure, Kind, Operations};

impl Operations {
    /// The library, opened when it is first needed. Looks every time whether the marker is still there.
    pub fn library(&self) -> Result<(Tree, LibraryId), Failure> {
        if let Some((tree, id)) = self.library.get() {
            check_marker(tree.root(), *id)?;
            return Ok((tree.clone(), *id));
        }
        let path = self.library_path.as_ref().ok_or_else(|| {
            Failure::usage(
                "no library is known yet; name it with --library DIR (or TWINLENS_LIBRARY), it is remembered by `twinlens serve`",
            )
            .of_kind(Kind::NoLibrary)
        })?;
        let _first = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = self.library.get() {
            return Ok(library.clone());
        }
        let opened = open_library(path, &self.store)?;
        look_back(&opened.0, &self.store, &self.services.list()?)?;
        Ok(self.library.get_or_init(|| opened).clone())
    }

    pub(crate) fn known_library_id(&self) -> Result<Option<LibraryId>, StoreError> {
        meta::library(&self.store.read()?)
    }

    /// Where the library is.
    pub fn library_path(&self) -> Option<&Path> {
        self.library_path.as_deref()
    }

    /// Whether the library and the state can be used at this moment.
    pub async fn ready(&self) -> Result<(), Failure> {
        let (store, known) = (self.store.clone(), self.library.get().map(|(tree, id)| (tree.clone(), *id)));
        blocking(move || {
            store.read()?;
            Ok(known.map_or(Ok(()), |(tree, id)| check_marker(tree.root(), id))?)
        })
        .await
    }
}
