//! What is known of pictures and videos by their content: how large they are, when they were taken, how long they last. All of it can be found out again.

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::ContentHash;

use super::codec::{decode, encode};
use super::index::Index;
use super::{Store, StoreError};

/// By content. Programs that do not know this table leave it alone.
const PICTURES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pictures-2");
/// Without how long videos last. What was in it is found out again.
const EARLIER: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pictures");
/// So many rows are looked at before others may write.
const SOME: usize = 10_000;

/// What is known of a content. An empty one says that it was looked at and tells nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRow {
    /// Width and height as it is to be seen, in pixels.
    pub size: Option<(u32, u32)>,
    /// When it was taken, in the camera's time, as `2019-07-14T05:21:08`.
    pub taken: Option<String>,
    /// How long a video lasts, in milliseconds.
    pub lasts: Option<u64>,
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(PICTURES)?;
    tx.delete_table(EARLIER)?;
    Ok(())
}

/// Keeps what is known of contents.
pub fn put(tx: &WriteTransaction, rows: &[(ContentHash, PictureRow)]) -> Result<(), StoreError> {
    let mut table = tx.open_table(PICTURES)?;
    for (content, row) in rows {
        table.insert(content.0.as_slice(), encode(row)?.as_slice())?;
    }
    Ok(())
}

/// Forgets the contents that the index does not hold any more; returns how many. Blocks.
pub fn forget_strangers(store: &Store) -> Result<u64, StoreError> {
    let (mut forgotten, mut start) = (0, Vec::new());
    loop {
        let tx = store.read()?;
        let (index, table) = (Index::open(&tx)?, tx.open_table(PICTURES)?);
        let (mut strangers, mut last) = (Vec::new(), None);
        for item in table.range(start.as_slice()..)?.take(SOME) {
            let key = item?.0.value().to_vec();
            let content = content_of(&key)?;
            if !index.has_content(&content, &Default::default())? {
                strangers.push(content);
            }
            last = Some(key);
        }
        forgotten += strangers.len() as u64;
        if !strangers.is_empty() {
            store.write_soon(move |tx| {
                let mut table = tx.open_table(PICTURES)?;
                strangers.iter().try_for_each(|content| table.remove(content.0.as_slice()).map(drop))?;
                Ok(())
            })?;
        }
        let Some(last) = last else { return Ok(forgotten) };
        start = [&last[..], b"\0"].concat();
    }
}

fn content_of(key: &[u8]) -> Result<ContentHash, StoreError> {
    key.try_into().map(ContentHash).map_err(|_| StoreError::Damaged("the key of a picture"))
}

/// Reads what is known.
pub struct Pictures(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Pictures {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self(tx.open_table(PICTURES)?))
    }

    /// What is known of a content; none when it was never looked at.
    pub fn get(&self, content: &ContentHash) -> Result<Option<PictureRow>, StoreError> {
        self.0.get(content.0.as_slice())?.map(|row| decode(row.value())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::{self, FileRow};
    use crate::types::{Digests, Mtime, RelPath};

    #[test]
    fn what_the_index_does_not_hold_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        let [known, stranger] = [Digests::of(b"known"), Digests::of(b"stranger")];
        let row = PictureRow { size: Some((40, 30)), taken: Some("2019-07-14T05:21:08".into()), lasts: Some(61_000) };
        let rows = vec![(known.content, row.clone()), (stranger.content, PictureRow::default())];
        let file = FileRow { size: 5, mtime: Mtime::from_seconds(1), inode: 1, digests: known, change: 0 };
        store.write(move |tx| put(tx, &rows).and_then(|()| index::put(tx, &RelPath::parse("a.jpg").unwrap(), file))).unwrap();
        assert_eq!(forget_strangers(&store).unwrap(), 1);
        let pictures = Pictures::open(&store.read().unwrap()).unwrap();
        assert_eq!((pictures.get(&known.content).unwrap(), pictures.get(&stranger.content).unwrap()), (Some(row), None));
        assert_eq!(forget_strangers(&store).unwrap(), 0);
    }
}
