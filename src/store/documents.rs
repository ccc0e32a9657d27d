//! Small documents as JSON, so that a later version can add fields: services, users, app passwords, the last runs.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::ServiceId;

use super::{StoreError, meta};

/// A table of documents, by name.
#[derive(Clone, Copy)]
pub struct Documents(TableDefinition<'static, &'static str, &'static str>);

/// Remote accounts, by their names.
pub const SERVICES: Documents = Documents(TableDefinition::new("services"));
/// People, by their names.
pub const USERS: Documents = Documents(TableDefinition::new("users"));
/// The app passwords of each user, by the user's name.
pub const APP_PASSWORDS: Documents = Documents(TableDefinition::new("app_passwords"));
/// Sessions of browsers, by the hashes of their ids.
pub const SESSIONS: Documents = Documents(TableDefinition::new("sessions"));
/// What was answered to uploads that may be sent again, by the hashes of user and key.
pub const ANSWERED: Documents = Documents(TableDefinition::new("answered"));
/// WebDAV locks, by their tokens.
pub const LOCKS: Documents = Documents(TableDefinition::new("locks"));
/// Damaged files, by their paths.
pub(super) const DAMAGE: Documents = Documents(TableDefinition::new("damage"));
/// How far the looks at every byte came.
pub(super) const PASSES: Documents = Documents(TableDefinition::new("verify-passes"));
/// Services whose next sync follows no deletions, by their ids.
pub const CAUTIOUS: Documents = Documents(TableDefinition::new("cautious"));
/// The report of each service's last run, by the service's id.
pub const RUNS: Documents = Documents(TableDefinition::new("runs"));
/// When each service was run, failed, was paused or stopped, by the service's id.
pub const SCHEDULE: Documents = Documents(TableDefinition::new("schedule"));
/// How far the looks at each service came, by the service's id.
pub(super) const LISTED: Documents = Documents(TableDefinition::new("listed"));

/// What is known of the library behind each service, by the service's id.
pub const MET: Documents = Documents(TableDefinition::new("met"));
/// How uploads work with a service, where the usual way does not; by the service's id.
pub const UPLOAD_WAYS: Documents = Documents(TableDefinition::new("upload_ways"));

/// What the probe of the connection doctor found, by the service's id.
pub const FINDINGS: Documents = Documents(TableDefinition::new("findings"));
/// What the proofs of uploads rested on, by the service's id.
pub const EVIDENCE: Documents = Documents(TableDefinition::new("evidence"));

/// By which a wrong TWINLENS_SECRET is noticed; nothing where the key is in a file.
pub const SECRET: Documents = Documents(TableDefinition::new("secret"));

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    let of_services = [SERVICES, RUNS, LISTED, MET, CAUTIOUS, SCHEDULE, UPLOAD_WAYS, FINDINGS, EVIDENCE, SECRET];
    for documents in of_services.into_iter().chain([USERS, APP_PASSWORDS, SESSIONS, ANSWERED, LOCKS, DAMAGE, PASSES]) {
        tx.open_table(documents.0)?;
    }
    Ok(())
}

/// A new id for a service, never given before.
pub fn new_service_id(tx: &WriteTransaction) -> Result<ServiceId, StoreError> {
    meta::next_service(tx).map(ServiceId)
}

impl Documents {
    /// The document of this name.
    pub fn get<T: DeserializeOwned>(self, tx: &ReadTransaction, name: &str) -> Result<Option<T>, StoreError> {
        tx.open_table(self.0)?.get(name)?.map(|text| from_json(text.value())).transpose()
    }

    /// All documents, by name.
    pub fn all<T: DeserializeOwned>(self, tx: &ReadTransaction) -> Result<Vec<(String, T)>, StoreError> {
        read_all(&tx.open_table(self.0)?)
    }

    /// The document of this name, as a transaction that is going to change it sees it.
    pub fn get_to_change<T: DeserializeOwned>(self, tx: &WriteTransaction, name: &str) -> Result<Option<T>, StoreError> {
        tx.open_table(self.0)?.get(name)?.map(|text| from_json(text.value())).transpose()
    }

    /// All documents, as a transaction that is going to change some sees them.
    pub fn all_to_change<T: DeserializeOwned>(self, tx: &WriteTransaction) -> Result<Vec<(String, T)>, StoreError> {
        read_all(&tx.open_table(self.0)?)
    }

    /// Whether a document of this name is there, as the transaction sees it.
    pub fn contains(self, tx: &WriteTransaction, name: &str) -> Result<bool, StoreError> {
        Ok(tx.open_table(self.0)?.get(name)?.is_some())
    }

    /// Writes a document.
    pub fn put<T: Serialize>(self, tx: &WriteTransaction, name: &str, document: &T) -> Result<(), StoreError> {
        let text = serde_json::to_string(document).map_err(|_| StoreError::Damaged("a document that cannot be written"))?;
        tx.open_table(self.0)?.insert(name, text.as_str())?;
        Ok(())
    }

    /// Removes a document; true when it was there.
    pub fn remove(self, tx: &WriteTransaction, name: &str) -> Result<bool, StoreError> {
        Ok(tx.open_table(self.0)?.remove(name)?.is_some())
    }
}

fn read_all<T: DeserializeOwned>(table: &impl ReadableTable<&'static str, &'static str>) -> Result<Vec<(String, T)>, StoreError> {
    let mut all = Vec::new();
    for item in table.iter()? {
        let (name, text) = item?;
        all.push((name.value().to_owned(), from_json(text.value())?));
    }
    Ok(all)
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Damaged("a document"))
}
