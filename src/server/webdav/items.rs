//! The resources of an answer, with what is asked of them looked up: for a whole folder at once, and only what is asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dav_server::fs::FsError;
use uuid::Uuid;

use crate::accounts::Rights;
use crate::dav::multistatus::Document;
use crate::library::{Kind, LibraryError, View};
use crate::store::folders::Folder;
use crate::store::properties::Property;
use crate::types::{LibraryId, Mtime, RelPath};

use super::fs::Root;
use super::live::{Needs, Wanted};
use super::locks::{Locks, place_in};
use super::meta::{Meta, fs_error};

/// One resource of the answer.
pub(super) struct Item {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) meta: Result<Meta, FsError>,
    /// The tree's name and the path in it: what locks are kept by.
    pub(super) place: String,
    /// The folder that a tree is mounted at.
    pub(super) is_root: bool,
    pub(super) properties: Vec<Property>,
    /// The number that stays with it.
    pub(super) id: Option<u64>,
    pub(super) favorite: bool,
    /// What is known of a folder of the library.
    pub(super) below: Option<Folder>,
    pub(super) created: Option<Mtime>,
    pub(super) scene: Arc<Scene>,
    /// It was told before, as a member of its parent.
    pub(super) told: bool,
}

impl Item {
    pub(super) fn is_folder(&self) -> bool {
        self.meta.as_ref().is_ok_and(|meta| meta.stat.kind == Kind::Folder)
    }

    /// The folder that holds the trees, and the trees in it.
    pub(super) fn of_top(href: String, name: &str, meta: Result<Meta, FsError>, scene: Arc<Scene>) -> Self {
        Self {
            href,
            name: name.to_owned(),
            meta,
            place: name.to_owned(),
            is_root: true,
            properties: Vec::new(),
            id: None,
            favorite: false,
            below: None,
            created: None,
            scene,
            told: false,
        }
    }

    /// Writes what is wanted of it.
    pub(super) fn write(&self, document: &mut Document, wanted: &Wanted, locks: &Locks) -> std::io::Result<()> {
        if self.told {
            return Ok(());
        }
        let Ok(meta) = &self.meta else { return document.failure(&self.href, http::StatusCode::FORBIDDEN) };
        let (found, missing) = wanted.values(self, meta, locks);
        document.resource(&self.href, &found, &missing)
    }
}

/// What is the same for all resources of a tree in one answer.
pub(super) struct Scene {
    /// Who asks.
    pub(super) user: String,
    /// What they may do.
    pub(super) rights: Rights,
    /// The library's id, if it is one.
    pub(super) library: Option<LibraryId>,
    /// Changes when the state was lost: what stands behind the numbers in `oc:id`, and `oc:data-fingerprint`.
    pub(super) fingerprint: String,
    /// Bytes that the disk has left, if that is asked for.
    pub(super) room: Option<u64>,
    /// The epoch of the changes, and the first position that is complete.
    changes: Option<(Uuid, u64)>,
}

impl Scene {
    /// Of the folder that holds the trees.
    pub(super) fn of_top(user: &str) -> Self {
        let rights = Rights::READ;
        Self { user: user.to_owned(), rights, library: None, fingerprint: String::new(), room: None, changes: None }
    }

    pub(super) fn new(root: &Root, view: &View, user: &str, needs: Needs) -> Self {
        Self {
            user: user.to_owned(),
            rights: root.rights,
            library: root.library,
            fingerprint: view.state_id().simple().to_string(),
            room: if needs.room { root.tree.free_bytes() } else { None },
            changes: view.changes().map(|changes| (changes.epoch(), changes.floor())),
        }
    }

    /// A number in Nextcloud's long form.
    pub(super) fn oc_id(&self, id: u64) -> String {
        oc_id(id, &self.fingerprint)
    }

    /// Epoch and number of a position from which the changes of a folder that changed last at `changed` are complete.
    pub(super) fn position(&self, changed: u64) -> Option<(Uuid, u64)> {
        self.changes.map(|(epoch, floor)| (epoch, changed.max(floor)))
    }
}

/// A number as Nextcloud writes it: at least eight digits, and the id of the server's state.
pub(super) fn oc_id(id: u64, state: &str) -> String {
    format!("{id:08}tl{}", state.get(..10).unwrap_or(state))
}

/// Looks resources of a tree up.
pub(super) struct Describe<'a> {
    root: &'a Root,
    view: &'a View,
    needs: Needs,
    favorites: HashSet<u64>,
    scene: Arc<Scene>,
}

impl<'a> Describe<'a> {
    pub(super) fn new(root: &'a Root, view: &'a View, user: &str, needs: Needs) -> Result<Self, FsError> {
        let favorites = match view.ids().filter(|_| needs.favorites) {
            Some(ids) => ids.favorites(user).map_err(store_error)?,
            None => HashSet::new(),
        };
        let dead = needs.dead && !view.properties().is_empty().map_err(store_error)?;
        let needs = Needs { dead, ..needs };
        Ok(Self { root, view, needs, favorites, scene: Arc::new(Scene::new(root, view, user, needs)) })
    }

    /// One resource; `id` is its number, as far as [`Describe::numbers`] told it.
    pub(super) fn item(&self, href: String, path: &RelPath, meta: Result<Meta, FsError>, id: Option<u64>) -> Result<Item, FsError> {
        let is_folder = meta.as_ref().is_ok_and(|meta| meta.stat.kind == Kind::Folder);
        let properties = match self.needs.dead {
            true => self.view.properties().of(path).map_err(store_error)?,
            false => Vec::new(),
        };
        let below = match self.view.changes().filter(|_| self.needs.folders && is_folder) {
            Some(changes) => Some(changes.folders().get(path).map_err(store_error)?.unwrap_or_default()),
            None => None,
        };
        let is_root = *path == self.root.base;
        Ok(Item {
            href,
            // The root's own name is not the business of somebody who has only that.
            name: if is_root { self.root.name.to_owned() } else { path.name().to_owned() },
            meta,
            place: place_in(self.root.name, path),
            is_root,
            properties,
            id: id.filter(|_| self.needs.ids),
            favorite: id.is_some_and(|id| self.favorites.contains(&id)),
            below,
            created: if self.needs.created { self.root.tree.created(path) } else { None },
            scene: Arc::clone(&self.scene),
            told: false,
        })
    }

    /// The numbers of resources, as far as anybody asks: all of these lie at or directly in `folder`, if there is one.
    pub(super) fn numbers(&self, paths: &[&RelPath], folder: Option<&RelPath>) -> Result<Vec<Option<u64>>, FsError> {
        let Some(ids) = self.view.ids().filter(|_| self.needs.ids || !self.favorites.is_empty()) else {
            return Ok(vec![None; paths.len()]);
        };
        let mut found = match folder {
            // One walk through the members is cheaper than a look-up for each.
            Some(folder) if paths.len() > 8 => {
                let members: HashMap<String, u64> = ids.members(folder).and_then(Iterator::collect).map_err(store_error)?;
                let itself = ids.get(folder).map_err(store_error)?;
                let number = |path: &&RelPath| if *path == folder { itself } else { members.get(path.name()).copied() };
                paths.iter().map(number).collect()
            }
            _ => paths.iter().map(|path| ids.get(path).map_err(store_error)).collect::<Result<Vec<_>, _>>()?,
        };
        if self.needs.ids {
            let without: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
            if !without.is_empty() {
                let new = without.iter().map(|at| paths[*at].clone()).collect();
                let new = self.root.tree.file_ids(new).map_err(|error| fs_error(&error))?;
                without.iter().zip(new).for_each(|(at, id)| found[*at] = Some(id));
            }
        }
        Ok(found)
    }
}

fn store_error(error: crate::store::StoreError) -> FsError {
    fs_error(&LibraryError::from(error))
}
