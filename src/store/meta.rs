//! Facts about the store itself: its format, its epoch, the change number, whose library it describes.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::LibraryId;

use super::StoreError;
use super::codec::{decode, encode};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// The format of the state that this program writes. 2: services know how files are shared with them, and people have sessions. A program
/// that knows only 1 would forget that.
pub const FORMAT: u8 = 2;
const FORMAT_KEY: &str = "format";
const EPOCH_KEY: &str = "epoch";
const CLOSED_KEY: &str = "closed";
const CHANGE_KEY: &str = "change";
const FLOOR_KEY: &str = "changes-floor";
const STATE_KEY: &str = "state";
const FILE_ID_KEY: &str = "last-file-id";
const LIBRARY_KEY: &str = "library";
const LIBRARY_PATH_KEY: &str = "library-path";
const IMPORT_PATH_KEY: &str = "import-path";
const SEAL_KEY: &str = "seal";
const SEAL_BEFORE_KEY: &str = "seal-before";
const SERVICE_KEY: &str = "last-service";

/// The format of a state; none for one that was not prepared yet.
pub(super) fn format(tx: &ReadTransaction) -> Result<Option<u8>, StoreError> {
    let table = match tx.open_table(TABLE) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let Some(value) = table.get(FORMAT_KEY)? else { return Ok(None) };
    value.value().first().copied().map(Some).ok_or(StoreError::Damaged("its format"))
}

/// Prepares a new state, or one of this format or an older one.
pub(super) fn prepare(tx: &WriteTransaction, found: Option<u8>) -> Result<(), StoreError> {
    let mut table = tx.open_table(TABLE)?;
    // From 1 to 2 nothing that is there changes.
    if found != Some(FORMAT) {
        table.insert(FORMAT_KEY, [FORMAT].as_slice())?;
    }
    // Taken out while the state is open: finding it here means that the last run closed it properly.
    if table.remove(CLOSED_KEY)?.is_none() {
        table.insert(EPOCH_KEY, Uuid::new_v4().as_bytes().as_slice())?;
    }
    if table.get(STATE_KEY)?.is_none() {
        table.insert(STATE_KEY, Uuid::new_v4().as_bytes().as_slice())?;
    }
    Ok(())
}

/// Writes down that nothing is lost: the epoch goes on.
pub(super) fn set_closed(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(TABLE)?.insert(CLOSED_KEY, [1_u8].as_slice())?;
    Ok(())
}

/// What a library and its state have in common as long as they are of one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// How often it was renewed.
    pub count: u64,
    /// Of this time only.
    pub id: Uuid,
}

/// The seal of this state, and the one before as long as the library may still have that.
pub fn seals(tx: &ReadTransaction) -> Result<(Option<Seal>, Option<Seal>), StoreError> {
    let table = tx.open_table(TABLE)?;
    let seal = |key| table.get(key)?.map(|value| decode(value.value())).transpose();
    Ok((seal(SEAL_KEY)?, seal(SEAL_BEFORE_KEY)?))
}

/// Gives this state a new seal, after its own and that of the library.
pub fn renew_seal(tx: &WriteTransaction, library: Option<Seal>) -> Result<Seal, StoreError> {
    let mut table = tx.open_table(TABLE)?;
    let own: Option<Seal> = table.get(SEAL_KEY)?.map(|value| decode(value.value())).transpose()?;
    let count = own.into_iter().chain(library).map(|seal| seal.count).max().unwrap_or(0) + 1;
    let seal = Seal { count, id: Uuid::new_v4() };
    table.insert(SEAL_KEY, encode(&seal)?.as_slice())?;
    if let Some(library) = library {
        table.insert(SEAL_BEFORE_KEY, encode(&library)?.as_slice())?;
    }
    Ok(seal)
}

/// The library has the new seal too.
pub fn sealed(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(TABLE)?.remove(SEAL_BEFORE_KEY)?;
    Ok(())
}

/// This state is older than what was told of it: its changes and numbers of files are no longer those that others know.
pub fn begin_anew(tx: &WriteTransaction) -> Result<(), StoreError> {
    let mut table = tx.open_table(TABLE)?;
    for key in [EPOCH_KEY, STATE_KEY] {
        table.insert(key, Uuid::new_v4().as_bytes().as_slice())?;
    }
    Ok(())
}

/// Where the changes of this state are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) epoch: Uuid,
    pub(super) latest: u64,
    pub(super) floor: u64,
}

pub(super) fn position(tx: &ReadTransaction) -> Result<Position, StoreError> {
    let table = tx.open_table(TABLE)?;
    let epoch = table.get(EPOCH_KEY)?.and_then(|value| Uuid::from_slice(value.value()).ok()).ok_or(StoreError::Damaged("the epoch"))?;
    Ok(Position { epoch, latest: number(&table, CHANGE_KEY)?, floor: number(&table, FLOOR_KEY)? })
}

/// The latest change number.
pub(super) fn latest_change(tx: &WriteTransaction) -> Result<u64, StoreError> {
    number(&tx.open_table(TABLE)?, CHANGE_KEY)
}

/// Up to which change number it is not known any more what all was gone.
pub(super) fn floor(tx: &WriteTransaction) -> Result<u64, StoreError> {
    number(&tx.open_table(TABLE)?, FLOOR_KEY)
}

pub(super) fn set_floor(tx: &WriteTransaction, floor: u64) -> Result<(), StoreError> {
    tx.open_table(TABLE)?.insert(FLOOR_KEY, floor.to_be_bytes().as_slice())?;
    Ok(())
}

/// The id of this very state: another one when the state was lost and made anew, the same after a crash.
pub fn state_id(tx: &ReadTransaction) -> Result<Uuid, StoreError> {
    let table = tx.open_table(TABLE)?;
    let id = table.get(STATE_KEY)?.and_then(|value| Uuid::from_slice(value.value()).ok());
    id.ok_or(StoreError::Damaged("the id of the state"))
}

/// Takes so many new file ids; the first is returned, the others follow it.
pub(super) fn take_file_ids(tx: &WriteTransaction, count: u64) -> Result<u64, StoreError> {
    let mut table = tx.open_table(TABLE)?;
    let last = number(&table, FILE_ID_KEY)?;
    table.insert(FILE_ID_KEY, (last + count).to_be_bytes().as_slice())?;
    Ok(last + 1)
}

/// The places that a node serves, remembered so that commands need not be told again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The library's root.
    pub library: Option<String>,
    /// The import folder.
    pub import: Option<String>,
}

/// What library this state describes.
pub fn library(tx: &ReadTransaction) -> Result<Option<LibraryId>, StoreError> {
    let table = tx.open_table(TABLE)?;
    let Some(value) = table.get(LIBRARY_KEY)? else { return Ok(None) };
    let id = Uuid::from_slice(value.value()).map_err(|_| StoreError::Damaged("the library id"))?;
    Ok(Some(LibraryId(id)))
}

/// Binds this state to a library.
pub fn set_library(tx: &WriteTransaction, id: LibraryId) -> Result<(), StoreError> {
    tx.open_table(TABLE)?.insert(LIBRARY_KEY, id.0.as_bytes().as_slice())?;
    Ok(())
}

/// The remembered places.
pub fn places(tx: &ReadTransaction) -> Result<Places, StoreError> {
    let table = tx.open_table(TABLE)?;
    let text = |key| -> Result<Option<String>, StoreError> {
        let Some(value) = table.get(key)? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(value.value()).into_owned()))
    };
    Ok(Places { library: text(LIBRARY_PATH_KEY)?, import: text(IMPORT_PATH_KEY)? })
}

/// Remembers places; those that are none stay as they were.
pub fn set_places(tx: &WriteTransaction, places: &Places) -> Result<(), StoreError> {
    let mut table = tx.open_table(TABLE)?;
    for (key, place) in [(LIBRARY_PATH_KEY, &places.library), (IMPORT_PATH_KEY, &places.import)] {
        if let Some(place) = place {
            table.insert(key, place.as_bytes())?;
        }
    }
    Ok(())
}

/// The next change number of the index: one for every change, never the same again within an epoch.
pub(super) fn next_change(tx: &WriteTransaction) -> Result<u64, StoreError> {
    next(tx, CHANGE_KEY)
}

/// The next id for a service.
pub(super) fn next_service(tx: &WriteTransaction) -> Result<u32, StoreError> {
    u32::try_from(next(tx, SERVICE_KEY)?).map_err(|_| StoreError::Damaged("the service numbers"))
}

fn next(tx: &WriteTransaction, key: &str) -> Result<u64, StoreError> {
    let mut table = tx.open_table(TABLE)?;
    let last = number(&table, key)?;
    table.insert(key, (last + 1).to_be_bytes().as_slice())?;
    Ok(last + 1)
}

/// A counter; 0 before its first use.
fn number(table: &impl ReadableTable<&'static str, &'static [u8]>, key: &str) -> Result<u64, StoreError> {
    match table.get(key)? {
        Some(value) => Ok(u64::from_be_bytes(value.value().try_into().map_err(|_| StoreError::Damaged("a counter"))?)),
        None => Ok(0),
    }
}
