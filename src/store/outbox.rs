//! Messages for a program of the owner's: kept until they have arrived, in order, but not for ever and not any number of them.

use redb::{ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Number -> message.
const OUTBOX: TableDefinition<u64, &str> = TableDefinition::new("outbox");
/// Of more than so many the oldest are let go.
const MOST: u64 = 1000;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it was written, in seconds since 1970.
    pub at: i64,
    /// What is sent.
    pub body: String,
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(OUTBOX)?;
    Ok(())
}

/// Adds a message. How many were let go for it.
pub fn add(tx: &WriteTransaction, message: &Message) -> Result<u64, StoreError> {
    let mut outbox = tx.open_table(OUTBOX)?;
    let number = outbox.last()?.map_or(0, |(last, _)| last.value()) + 1;
    let text = serde_json::to_string(message).map_err(|_| StoreError::Damaged("a message that cannot be written"))?;
    outbox.insert(number, text.as_str())?;
    let mut dropped = 0;
    while outbox.len()? > MOST {
        outbox.pop_first()?;
        dropped += 1;
    }
    Ok(dropped)
}

/// The oldest message, with its number.
pub fn first(tx: &ReadTransaction) -> Result<Option<(u64, Message)>, StoreError> {
    let outbox = tx.open_table(OUTBOX)?;
    let Some((number, text)) = outbox.first()? else { return Ok(None) };
    let message = serde_json::from_str(text.value()).map_err(|_| StoreError::Damaged("a message"))?;
    Ok(Some((number.value(), message)))
}

/// How many wait.
pub fn count(tx: &ReadTransaction) -> Result<u64, StoreError> {
    Ok(tx.open_table(OUTBOX)?.len()?)
}

/// A message arrived, or is given up.
pub fn remove(tx: &WriteTransaction, number: u64) -> Result<(), StoreError> {
    tx.open_table(OUTBOX)?.remove(number)?;
    Ok(())
}

/// Nobody wants them any more.
pub fn clear(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(OUTBOX)?.retain(|_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn messages_are_kept_in_order_and_the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("s.redb");
        let store = Store::open(&place).unwrap();
        let body = |store: &Store| first(&store.read().unwrap()).unwrap().map(|(number, message)| (number, message.body));
        let add = |text: String| store.write(move |tx| add(tx, &Message { at: 7, body: text })).unwrap();
        assert_eq!((add("a".into()), add("b".into())), (0, 0));
        let (number, text) = body(&store).unwrap();
        assert_eq!(text, "a");
        store.write(move |tx| remove(tx, number)).unwrap();
        assert_eq!(body(&store).unwrap().1, "b");
        let dropped: u64 = (0..MOST).map(|number| add(number.to_string())).sum();
        assert_eq!((dropped, count(&store.read().unwrap()).unwrap()), (1, MOST));
        drop(store);
        let store = Store::open(&place).unwrap();
        assert_eq!(body(&store).unwrap().1, "0", "they are there after a restart");
        store.write(clear).unwrap();
        assert_eq!(body(&store), None);
    }
}
