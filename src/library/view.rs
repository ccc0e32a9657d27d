//! What the state knows of a tree at one moment.

use std::sync::Arc;

use uuid::Uuid;

use crate::store::changes::Changes;
use crate::store::ids::Ids;
use crate::store::index::Index;
use crate::store::pictures::PictureRow;
use crate::store::properties::{Area, Properties};
use crate::store::snapshot::Snapshot;
use crate::types::{ContentHash, Digests, RelPath};

use super::taken::from_name;
use super::tree::Stat;
use super::{LibraryError, Tree};

/// The index, the changes and the dead properties of a tree, all of the same moment. For one request: what it was made from stays as it was.
pub struct View {
    snapshot: Arc<Snapshot>,
    area: Area,
}

impl View {
    /// The index; none for a tree without one.
    pub fn index(&self) -> Option<&Index> {
        (self.area == Area::Originals).then_some(&self.snapshot.index)
    }

    /// What changed; none for a tree without an index.
    pub fn changes(&self) -> Option<&Changes> {
        (self.area == Area::Originals).then_some(&self.snapshot.changes)
    }

    /// The numbers of files and folders; none for a tree without an index.
    pub fn ids(&self) -> Option<&Ids> {
        (self.area == Area::Originals).then_some(&self.snapshot.ids)
    }

    /// What is known of a picture with this content. When it was taken, its name tells where it does not tell itself.
    pub fn picture(&self, content: &ContentHash, name: &str) -> Result<Option<PictureRow>, LibraryError> {
        let Some(mut row) = self.snapshot.pictures.get(content)? else { return Ok(None) };
        row.taken = row.taken.or_else(|| from_name(name).map(|date| date.to_string()));
        Ok(Some(row))
    }

    /// The id of the state: another one when it was lost and made anew.
    pub fn state_id(&self) -> Uuid {
        self.snapshot.state_id
    }

    /// The dead properties.
    pub fn properties(&self) -> &Properties {
        self.snapshot.properties(self.area)
    }

    /// The digests of a file, when the index knows it as it is now.
    pub fn digests(&self, path: &RelPath, stat: &Stat) -> Result<Option<Digests>, LibraryError> {
        let Some(index) = self.index() else { return Ok(None) };
        Ok(index.get(path)?.filter(|row| stat.matches(row)).map(|row| row.digests))
    }
}

impl Tree {
    /// What the state knows of this tree now.
    pub fn view(&self) -> Result<View, LibraryError> {
        Ok(View { snapshot: self.store().snapshot()?, area: self.area() })
    }
}
