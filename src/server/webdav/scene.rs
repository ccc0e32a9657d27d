//! What is the same for all resources of a tree in one answer, and their numbers, looked up for a folder at once.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter::Peekable;

use http::{Response, StatusCode};
use uuid::Uuid;

use crate::dav::sync;
use crate::library::{Folder, LibraryError, Tree, View};
use crate::store::StoreError;
use crate::types::RelPath;

use super::super::http::{Body, text};
use super::fs::Root;
use super::live::Needs;

/// A tree, as somebody who asks sees it.
pub(super) struct Scene {
    state: Uuid,
    /// The numbers of the user's favourites, if they matter.
    favorites: HashSet<u64>,
    /// Bytes that may be added, if that matters.
    pub(super) room: Option<u64>,
}

impl Scene {
    pub(super) fn new(root: &Root, view: &View, user: &str, needs: Needs) -> Result<Self, LibraryError> {
        let favorites = match view.ids().filter(|_| needs.favorites) {
            Some(ids) => ids.favorites(user)?,
            None => HashSet::new(),
        };
        Ok(Self { state: view.state_id(), favorites, room: if needs.room { root.tree.room() } else { None } })
    }

    /// Changes when the state was lost and made anew, and only then: Nextcloud's clients take care that nothing is lost by that.
    pub(super) fn fingerprint(&self) -> String {
        self.state.simple().to_string()
    }

    /// A number in Nextcloud's long form.
    pub(super) fn oc_id(&self, number: u64) -> String {
        oc_id(number, self.state)
    }

    pub(super) fn is_favorite(&self, number: Option<u64>) -> bool {
        number.is_some_and(|number| self.favorites.contains(&number))
    }
}

/// A number as Nextcloud writes it: at least eight digits, and the id of the server's state behind them.
pub(super) fn oc_id(number: u64, state: Uuid) -> String {
    let state = state.simple().to_string();
    format!("{number:08}tl{}", &state[..10])
}

/// The token of the latest change in a folder (RFC 6578 section 4).
pub(super) fn sync_token(view: &View, folder: &RelPath) -> Result<Option<String>, LibraryError> {
    let Some(changes) = view.changes() else { return Ok(None) };
    // What is older than the floor would be refused.
    let number = changes.of_folder(folder)?.max(changes.floor());
    Ok(Some(sync::token(changes.epoch(), number)))
}

/// A listing without the numbers that were asked for would be a wrong one: clients of Nextcloud know files by them.
pub(super) fn no_numbers() -> Response<Body> {
    text(
        StatusCode::INSUFFICIENT_STORAGE,
        "What was not listed with its id before could be given none: there is no room left on the disk of the node's state; make some. \
         Without ids all can be listed.\n",
    )
}

/// The number of one file or folder, as far as it matters.
pub(super) fn number_of(tree: &Tree, view: &View, path: &RelPath, needs: Needs) -> Result<Option<u64>, LibraryError> {
    match view.ids() {
        Some(_) if needs.ids => Ok(tree.file_ids(vec![path.clone()])?.pop()),
        Some(ids) if needs.favorites => Ok(ids.get(path)?),
        _ => Ok(None),
    }
}

/// Gives numbers to all members of a folder that have none yet, in one write.
pub(super) fn number_members(tree: &Tree, path: &RelPath, folder: &Folder) -> Result<(), LibraryError> {
    let view = tree.view()?;
    let Some(ids) = view.ids() else { return Ok(()) };
    let mut numbers = Numbers { members: ids.members(path, "")?.peekable() };
    let mut without = Vec::new();
    for at in 0..folder.len() {
        let name = folder.name(at);
        if numbers.of(name)?.is_none() {
            // A path that would be too long is not listed either.
            without.extend(path.join(name).ok());
        }
    }
    drop(numbers);
    drop(view);
    if !without.is_empty() {
        tree.file_ids(without)?;
    }
    Ok(())
}

/// A name in a folder with its number.
type Member = Result<(String, u64), StoreError>;

/// The numbers of a folder's members, in the order of their names: cheaper than looking up each.
pub(super) struct Numbers<I: Iterator<Item = Member>> {
    members: Peekable<I>,
}

impl<I: Iterator<Item = Member>> Numbers<I> {
    pub(super) fn new(members: I) -> Self {
        Self { members: members.peekable() }
    }

    /// The number of a name, which must come after all that were asked for before.
    pub(super) fn of(&mut self, name: &str) -> Result<Option<u64>, LibraryError> {
        loop {
            match self.members.peek() {
                None => return Ok(None),
                Some(Ok((found, number))) => match found.as_str().cmp(name) {
                    Ordering::Less => drop(self.members.next()),
                    Ordering::Equal => return Ok(Some(*number)),
                    Ordering::Greater => return Ok(None),
                },
                Some(Err(_)) => match self.members.next() {
                    Some(Err(error)) => return Err(error.into()),
                    _ => return Ok(None),
                },
            }
        }
    }
}
