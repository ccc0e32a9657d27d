//! Files whose bytes changed while nobody wrote them, and how far the last look for such damage came.

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::{Digests, LocalVersion, Mtime, RelPath};

use super::StoreError;
use super::documents::{DAMAGE, PASSES};
use super::index::{FileRow, Index};

/// A damaged file. Its row in the index stays that of the good bytes: for nobody is it a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Bytes, then as now.
    pub size: u64,
    /// Last modified, then as now.
    pub mtime: Mtime,
    /// Of the file.
    pub inode: u64,
    /// Of the good bytes.
    pub good: Digests,
    /// Of those that are there.
    pub found: Digests,
    /// When that was found, in seconds since 1970.
    pub since: i64,
}

impl Damage {
    /// The version that was good.
    pub fn version(&self) -> LocalVersion {
        LocalVersion { size: self.size, mtime: self.mtime, digests: self.good }
    }

    /// Whether the index still says what the bytes were compared with. If not, the file was written anew since.
    fn is_of(&self, row: &FileRow) -> bool {
        (self.size, self.mtime, self.inode, self.good) == (row.size, row.mtime, row.inode, row.digests)
    }
}

/// The damaged files.
pub fn all(tx: &ReadTransaction) -> Result<Vec<(RelPath, Damage)>, StoreError> {
    marked(tx, false)
}

/// The damaged files, and those that are not where they were: they may turn up under another name.
pub fn all_and_lost(tx: &ReadTransaction) -> Result<Vec<(RelPath, Damage)>, StoreError> {
    marked(tx, true)
}

fn marked(tx: &ReadTransaction, lost: bool) -> Result<Vec<(RelPath, Damage)>, StoreError> {
    let index = Index::open(tx)?;
    let mut found = Vec::new();
    for (path, damage) in DAMAGE.all::<Damage>(tx)? {
        let path = RelPath::parse(&path).map_err(|_| StoreError::Damaged("a path"))?;
        if index.get(&path)?.map_or(lost, |row| damage.is_of(&row)) {
            found.push((path, damage));
        }
    }
    Ok(found)
}

/// Writes down that a file is damaged; since when stays as it was.
pub fn put(tx: &WriteTransaction, path: &RelPath, damage: &Damage) -> Result<(), StoreError> {
    let known: Option<Damage> = DAMAGE.get_to_change(tx, path.as_str())?;
    let since = known.filter(|known| known.good == damage.good).map_or(damage.since, |known| known.since);
    DAMAGE.put(tx, path.as_str(), &Damage { since, ..damage.clone() })
}

/// It is not damaged any more.
pub fn remove(tx: &WriteTransaction, path: &RelPath) -> Result<(), StoreError> {
    DAMAGE.remove(tx, path.as_str()).map(drop)
}

/// How far the looks at every byte came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pass {
    /// The last file that the pass under way has read; none between two.
    pub after: Option<RelPath>,
    /// When the last whole pass ended, or the first was put off, in seconds since 1970.
    pub ended: Option<i64>,
    /// Whether there ever was a whole pass.
    pub whole: bool,
}

const PASS: &str = "library";

impl Pass {
    /// As it was written down last.
    pub fn read(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(PASSES.get(tx, PASS)?.unwrap_or_default())
    }

    /// Writes it down.
    pub fn write(&self, tx: &WriteTransaction) -> Result<(), StoreError> {
        PASSES.put(tx, PASS, self)
    }
}
