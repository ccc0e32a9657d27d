//! The index, the changes and the properties as they were at one moment, opened once and shared by everybody who reads until the next commit:
//! opening tables anew costs more than a request reads from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadTransaction, ReadableDatabase as _};
use uuid::Uuid;

use super::changes::Changes;
use super::ids::Ids;
use super::index::Index;
use super::pictures::Pictures;
use super::properties::{Area, Properties};
use super::{StoreError, meta};

/// Everything that a listing reads.
pub struct Snapshot {
    /// What the library holds.
    pub index: Index,
    /// What changed in it.
    pub changes: Changes,
    /// The numbers of files and folders.
    pub ids: Ids,
    /// What is known of pictures.
    pub pictures: Pictures,
    /// The id of the state: another one when it was lost and made anew.
    pub state_id: Uuid,
    originals: Properties,
    import: Properties,
}

impl Snapshot {
    fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            index: Index::open(tx)?,
            changes: Changes::open(tx)?,
            ids: Ids::open(tx)?,
            pictures: Pictures::open(tx)?,
            state_id: meta::state_id(tx)?,
            originals: Properties::open(tx, Area::Originals)?,
            import: Properties::open(tx, Area::Import)?,
        })
    }

    /// The dead properties of a tree.
    pub fn properties(&self, area: Area) -> &Properties {
        match area {
            Area::Originals => &self.originals,
            Area::Import => &self.import,
        }
    }
}

/// The snapshot that is shared at the moment. It is let go at each commit, so that redb can use the room of replaced pages again.
#[derive(Default)]
pub(super) struct Shared {
    current: Mutex<Option<Arc<Snapshot>>>,
    commits: AtomicU64,
}

impl Shared {
    pub(super) fn get(&self, database: &Database) -> Result<Arc<Snapshot>, StoreError> {
        let current = self.lock().clone();
        if let Some(snapshot) = current {
            return Ok(snapshot);
        }
        let before = self.commits.load(Ordering::SeqCst);
        let snapshot = Arc::new(Snapshot::open(&database.begin_read()?)?);
        let mut current = self.lock();
        // RACE: a commit in between makes it old news, good for this reader, who began before, but not for later ones.
        if self.commits.load(Ordering::SeqCst) == before {
            *current = Some(Arc::clone(&snapshot));
        }
        Ok(snapshot)
    }

    /// To be called after each commit, before anybody is told of it.
    pub(super) fn committed(&self) {
        let mut current = self.lock();
        self.commits.fetch_add(1, Ordering::SeqCst);
        *current = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Snapshot>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
