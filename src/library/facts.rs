//! What is told of files and folders besides their content: numbers that stay with them, favourites, when they were made.

use crate::store::ids;
use crate::types::{Mtime, RelPath};

use super::beneath::{self, Way};
use super::{LibraryError, Tree};

impl Tree {
    /// The numbers of these paths, which stay with them whatever they are called later; those without get one. Nothing for a tree without an
    /// index.
    pub fn file_ids(&self, paths: Vec<RelPath>) -> Result<Vec<u64>, LibraryError> {
        let view = self.view()?;
        let Some(known) = view.ids() else { return Ok(Vec::new()) };
        let known: Result<Vec<_>, _> = paths.iter().map(|path| known.get(path)).collect();
        if let Some(all) = known?.into_iter().collect() {
            return Ok(all);
        }
        drop(view);
        Ok(self.store().write(move |tx| ids::assign(tx, &paths))?)
    }

    /// Makes a file or folder a favourite of a user, or not any more.
    pub fn set_favorite(&self, user: &str, path: &RelPath, is: bool) -> Result<(), LibraryError> {
        if self.view()?.ids().is_none() {
            return Err(LibraryError::WrongKind(path.clone()));
        }
        let (user, path) = (user.to_owned(), path.clone());
        Ok(self.store().write(move |tx| {
            let numbers = ids::assign(tx, &[path])?;
            numbers.into_iter().try_for_each(|number| ids::set_favorite(tx, &user, number, is))
        })?)
    }

    /// When a file or folder was made, where the file system knows.
    pub fn created(&self, path: &RelPath) -> Option<Mtime> {
        match beneath::handle(self.root(), path) {
            Ok(Way::Found(handle)) => handle.metadata().ok()?.created().ok().map(Mtime::from),
            _ => None,
        }
    }
}
