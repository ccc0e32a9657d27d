//! Services in the store.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Endpoint, Fingerprint, Rate, Waits};
use crate::reconcile::{Deletes, Policy};
use crate::store::documents::{self, CAUTIOUS, EVIDENCE, FINDINGS, MET, RUNS, SCHEDULE, SERVICES, UPLOAD_WAYS};
use crate::store::{Store, StoreError, baseline, failures, history, kinds, remote, shares, traces};
use crate::types::{RelPath, ServiceId};

use super::{Carried, Imported, Kind, PortableError, SecretError, SecretKey, Timeout, UploadSettings, Window};

/// What is enough to believe that a file of the service is the same as one of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The checksum that the service tells; where it tells none, the size and the bytes at four places of the file.
    #[default]
    Samples,
    /// The checksum that the service tells; where it tells none, every byte is read.
    Checksum,
    /// Nothing but every byte.
    Full,
}

/// How far the proof of an upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// As far as the service helps: what it hashed or compared itself, otherwise the size, of large files also some of the bytes.
    #[default]
    Auto,
    /// Every byte is read back.
    Full,
}

/// How a service is synced. The defaults are safe: download, do not upload, follow no deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SyncSettings {
    /// Whether it takes part in a sync of all services.
    pub on: bool,
    /// The folder on the service, below its WebDAV root.
    pub folder: RelPath,
    /// Minutes between runs of a serving node.
    pub interval_minutes: u32,
    /// Fetch what is new there.
    pub download: bool,
    /// Send what is new here.
    pub upload: bool,
    /// Keep remote paths; otherwise downloads are named by capture date.
    pub keep_names: bool,
    /// Sync RAW files and videos too.
    pub raw_and_video: bool,
    /// What a deletion on one side does on the other.
    pub deletes: Deletes,
    /// How much is compared before two files count as the same.
    pub trust: Trust,
    /// How far the proof of an upload goes.
    pub verify: Verify,
    /// How fast files may travel.
    pub rate: Option<Rate>,
    /// The hours in which runs may begin by themselves; they are suspended when these are over.
    pub window: Option<Window>,
    /// Patterns in the syntax of `.gitignore`; when there are any, only files that match one take part.
    pub include: Vec<String>,
    /// Patterns in the same syntax; files that match one take no part.
    pub exclude: Vec<String>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            on: false,
            folder: RelPath::root(),
            interval_minutes: 24 * 60,
            download: true,
            upload: false,
            keep_names: true,
            raw_and_video: true,
            deletes: Deletes::Ignore,
            trust: Trust::default(),
            verify: Verify::default(),
            rate: None,
            window: None,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl SyncSettings {
    /// What reconcile needs of it.
    pub fn policy(&self) -> Policy {
        Policy { download: self.download, upload: self.upload, deletes: self.deletes, keep_names: self.keep_names }
    }
}

/// A remote account, without its password.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Stays when everything else changes.
    pub id: ServiceId,
    /// The owner's name for it.
    pub name: String,
    /// Its WebDAV root.
    pub url: String,
    /// The account.
    pub user: String,
    /// The pinned certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks.
    #[serde(default)]
    pub allow_http: bool,
    /// What kind of server it is, as it was recognised or as the owner says.
    #[serde(default, rename = "type")]
    pub kind: Option<Kind>,
    /// How long it may be silent.
    #[serde(default)]
    pub timeout: Timeout,
    /// How often a request is sent again that broke.
    #[serde(default = "usual_retries")]
    pub retries: u32,
    /// How it is synced.
    pub sync: SyncSettings,
    /// What is done with files that are shared with it.
    #[serde(default)]
    pub upload: UploadSettings,
}

/// More than this is of no use: all waiting for one request is bounded too.
pub const RETRIES_LIMIT: u32 = 20;

fn usual_retries() -> u32 {
    Waits::default().broken
}

impl Service {
    /// A service as it is when it was just added.
    pub fn new(id: ServiceId, name: &str, endpoint: &Endpoint) -> Self {
        let Endpoint { url, user, fingerprint, allow_http, .. } = endpoint.clone();
        Self {
            id,
            name: name.to_owned(),
            url,
            user,
            fingerprint,
            allow_http,
            kind: None,
            timeout: Timeout::default(),
            retries: usual_retries(),
            sync: SyncSettings::default(),
            upload: UploadSettings::default(),
        }
    }

    /// How patient a client of it is.
    pub fn waits(&self) -> Waits {
        Waits { idle: self.timeout.idle(), broken: self.retries, ..Waits::default() }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ServiceRow {
    #[serde(flatten)]
    pub(super) service: Service,
    sealed_password: Vec<u8>,
    /// The account before the last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
}

/// An account as it was.
#[derive(Serialize, Deserialize)]
struct Before {
    account: Account,
    sealed_password: Vec<u8>,
    /// The edit led to another folder: what was agreed with this one was forgotten.
    elsewhere: bool,
}

/// Everything about a service that its owner can edit, without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The owner's name for it.
    pub name: String,
    /// Its WebDAV root.
    pub url: String,
    /// The account there.
    pub user: String,
    /// The pinned certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks.
    pub allow_http: bool,
    /// What kind of server it is.
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// How long it may be silent.
    pub timeout: Timeout,
    /// How often a request is sent again that broke.
    pub retries: u32,
}

impl Account {
    /// That of a service.
    pub fn of(service: &Service) -> Self {
        let Service { name, url, user, fingerprint, allow_http, kind, timeout, retries, .. } = service.clone();
        Self { name, url, user, fingerprint, allow_http, kind, timeout, retries }
    }

    fn put_into(self, service: &mut Service) {
        let Self { name, url, user, fingerprint, allow_http, kind, timeout, retries } = self;
        *service = Service {
            name,
            url,
            user,
            fingerprint,
            allow_http,
            kind,
            timeout,
            retries,
            id: service.id,
            sync: service.sync.clone(),
            upload: service.upload.clone(),
        };
    }
}

/// What can go wrong with services.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such service.
    #[error("there is no service {0}; see `twinlens service list`")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a service {0} already; choose another name, or remove it first")]
    Taken(String),
    /// The name cannot be used.
    #[error("a service name has 1 to 64 characters, without control characters, `/` and `\\`")]
    BadName,
    /// Nothing was edited, or it was undone already.
    #[error("{0} was not edited since it was added, or the last edit was undone already")]
    NothingToUndo(String),
    /// Its address or account does not work.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its password cannot be stored or read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A document of services, or its passphrase, is wrong.
    #[error(transparent)]
    Portable(#[from] PortableError),
    /// Services of a document have names that are taken.
    #[error("there are services of these names already: {0}. --replace replaces them; nothing was changed")]
    Clash(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The services of a node. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    pub(super) store: Store,
    key: SecretKey,
}

impl Services {
    /// The services in this store, their passwords under this key.
    pub fn new(store: Store, key: SecretKey) -> Self {
        Self { store, key }
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<Service>, ServiceError> {
        let rows = SERVICES.all::<ServiceRow>(&self.store.read()?)?;
        Ok(rows.into_iter().map(|(_, row)| row.service).collect())
    }

    /// The service of this name.
    pub fn get(&self, name: &str) -> Result<Service, ServiceError> {
        self.row(name).map(|row| row.service)
    }

    /// Adds a service. Nothing is sent to it.
    pub fn add(&self, name: &str, endpoint: &Endpoint, kind: Option<Kind>) -> Result<Service, ServiceError> {
        self.check_new_name(name)?;
        let sealed_password = self.key.sealer()?.seal(&endpoint.password)?;
        let (key, endpoint) = (name.to_owned(), endpoint.clone());
        let added = self.store.write(move |tx| {
            if SERVICES.contains(tx, &key)? {
                return Ok(None);
            }
            let service = Service { kind, ..Service::new(documents::new_service_id(tx)?, &key, &endpoint) };
            let row = ServiceRow { service, sealed_password, before: None };
            SERVICES.put(tx, &key, &row)?;
            Ok(Some(row.service))
        })?;
        added.ok_or_else(|| ServiceError::Taken(name.to_owned()))
    }

    /// Whether a service of this name could be added.
    pub fn check_new_name(&self, name: &str) -> Result<(), ServiceError> {
        check_name(name)?;
        match SERVICES.get::<ServiceRow>(&self.store.read()?, name)? {
            Some(_) => Err(ServiceError::Taken(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Changes how a service is synced. Another folder is another agreement: what was agreed about the old one is forgotten.
    pub fn set_sync(&self, name: &str, sync: SyncSettings) -> Result<Service, ServiceError> {
        let mut row = self.row(name)?;
        let moved = row.service.sync.folder != sync.folder;
        let proves_otherwise = row.service.sync.verify != sync.verify;
        row.service.sync = sync;
        let service = row.service.clone();
        let key = name.to_owned();
        self.store.write(move |tx| {
            if moved {
                forget(tx, row.service.id)?;
            }
            if moved || proves_otherwise {
                EVIDENCE.remove(tx, &row.service.id.0.to_string())?;
            }
            SERVICES.put(tx, &key, &row)
        })?;
        Ok(service)
    }

    /// Changes the account of a service; without a password the old one stays. `elsewhere`: it leads to another folder now, and what was agreed
    /// about the old one is forgotten. Nothing is sent to it.
    pub fn set_account(&self, name: &str, account: Account, password: Option<&str>, elsewhere: bool) -> Result<Service, ServiceError> {
        let mut row = self.row(name)?;
        if account.name != name {
            self.check_new_name(&account.name)?;
        }
        let sealed = match password {
            Some(password) => Some(self.key.sealer()?.seal(password)?),
            None => None,
        };
        let sealed_password = sealed.unwrap_or_else(|| row.sealed_password.clone());
        let old_password = std::mem::replace(&mut row.sealed_password, sealed_password);
        row.before = Some(Before { account: Account::of(&row.service), sealed_password: old_password, elsewhere });
        account.put_into(&mut row.service);
        self.replace(name, row, elsewhere)
    }

    /// Takes the last edit of a service's account back. Also tells whether that leads to another folder.
    pub fn undo(&self, name: &str) -> Result<(Service, bool), ServiceError> {
        let mut row = self.row(name)?;
        let nothing = || ServiceError::NothingToUndo(name.to_owned());
        let Before { account, sealed_password, elsewhere } = row.before.take().ok_or_else(nothing)?;
        if account.name != name {
            self.check_new_name(&account.name)?;
        }
        row.sealed_password = sealed_password;
        account.put_into(&mut row.service);
        Ok((self.replace(name, row, elsewhere)?, elsewhere))
    }

    /// Puts a row in the place of the one of this name.
    fn replace(&self, name: &str, row: ServiceRow, elsewhere: bool) -> Result<Service, ServiceError> {
        let (old, service) = (name.to_owned(), row.service.clone());
        let free = self.store.write(move |tx| {
            let name = row.service.name.clone();
            if name != old {
                if SERVICES.contains(tx, &name)? {
                    return Ok(false);
                }
                SERVICES.remove(tx, &old)?;
            }
            if elsewhere {
                forget(tx, row.service.id)?;
                EVIDENCE.remove(tx, &row.service.id.0.to_string())?;
            }
            SERVICES.put(tx, &name, &row)?;
            Ok(true)
        })?;
        if free { Ok(service) } else { Err(ServiceError::Taken(service.name)) }
    }

    /// The address and account of a service, with its password.
    pub fn endpoint(&self, name: &str) -> Result<Endpoint, ServiceError> {
        let row = self.row(name)?;
        let password = self.key.sealer()?.open(&row.sealed_password)?;
        let Service { url, user, fingerprint, allow_http, .. } = row.service;
        Ok(Endpoint { url, user, password, fingerprint, allow_http })
    }

    /// The same without the password.
    pub fn endpoint_without_password(&self, name: &str) -> Result<Endpoint, ServiceError> {
        let Service { url, user, fingerprint, allow_http, .. } = self.get(name)?;
        Ok(Endpoint { url, user, password: String::new(), fingerprint, allow_http })
    }

    /// Whether the key of the passwords is there and the right one.
    pub fn check_key(&self) -> Result<(), SecretError> {
        self.key.check()
    }

    /// Adds the services of a document, all or none of them.
    pub fn import(&self, carried: Vec<Carried>, replace: bool) -> Result<Imported, ServiceError> {
        let sealer = self.key.sealer()?;
        let mut rows = Vec::new();
        for Carried { service, password } in carried {
            rows.push(ServiceRow { service, sealed_password: sealer.seal(&password)?, before: None });
        }
        let outcome = self.store.write(move |tx| {
            let (mut imported, mut clashes) = (Imported::default(), Vec::new());
            for row in &rows {
                if !replace && SERVICES.contains(tx, &row.service.name)? {
                    clashes.push(row.service.name.clone());
                }
            }
            if !clashes.is_empty() {
                return Ok(Err(clashes));
            }
            for mut row in rows {
                let name = row.service.name.clone();
                match SERVICES.get_to_change::<ServiceRow>(tx, &name)? {
                    Some(old) => {
                        row.service.id = old.service.id;
                        let place = |service: &Service| (service.url.clone(), service.user.clone(), service.sync.folder.clone());
                        if place(&old.service) != place(&row.service) {
                            forget(tx, old.service.id)?;
                            EVIDENCE.remove(tx, &old.service.id.0.to_string())?;
                            imported.forgotten.push(name.clone());
                        }
                        imported.replaced.push(name.clone());
                    }
                    None => {
                        row.service.id = documents::new_service_id(tx)?;
                        imported.added.push(name.clone());
                    }
                }
                SERVICES.put(tx, &name, &row)?;
            }
            Ok(Ok(imported))
        })?;
        outcome.map_err(|clashes| ServiceError::Clash(clashes.join(", ")))
    }

    /// Seals all passwords with the key that is given now; `old` is the secret before, where it is another one. One that cannot be opened
    /// leaves everything as it was. How many there were, and where the key is.
    pub fn reseal(&self, old: Option<&str>) -> Result<(usize, &'static str), ServiceError> {
        let change = self.key.change(&self.store, old)?;
        let mut rows = SERVICES.all::<ServiceRow>(&self.store.read()?)?;
        for (_, row) in &mut rows {
            row.sealed_password = change.anew(&row.sealed_password)?;
            if let Some(earlier) = &mut row.before {
                earlier.sealed_password = change.anew(&earlier.sealed_password)?;
            }
        }
        let count = rows.len();
        self.store.write(move |tx| {
            for (name, row) in &rows {
                SERVICES.put(tx, name, row)?;
            }
            change.tell(tx)
        })?;
        Ok((count, self.key.origin()))
    }

    /// Removes a service and what was agreed with it. Photos stay where they are, on both sides.
    pub fn remove(&self, name: &str) -> Result<(), ServiceError> {
        let id = self.get(name)?.id;
        let key = name.to_owned();
        Ok(self.store.write(move |tx| {
            baseline::clear(tx, id)?;
            remote::clear(tx, id)?;
            failures::clear(tx, id)?;
            history::clear(tx, id)?;
            kinds::clear(tx, id)?;
            traces::SYNC.clear(tx, id)?;
            traces::SHARE.clear(tx, id)?;
            shares::clear(tx, id)?;
            RUNS.remove(tx, &id.0.to_string())?;
            UPLOAD_WAYS.remove(tx, &id.0.to_string())?;
            FINDINGS.remove(tx, &id.0.to_string())?;
            EVIDENCE.remove(tx, &id.0.to_string())?;
            CAUTIOUS.remove(tx, &id.0.to_string())?;
            SCHEDULE.remove(tx, &id.0.to_string())?;
            MET.remove(tx, &id.0.to_string())?;
            SERVICES.remove(tx, &key)?;
            Ok(())
        })?)
    }

    /// A client of the service's WebDAV root.
    pub fn client(&self, name: &str) -> Result<Client, ServiceError> {
        let waits = self.get(name)?.waits();
        Ok(Client::new(&self.endpoint(name)?)?.with_waits(waits))
    }

    pub(super) fn row(&self, name: &str) -> Result<ServiceRow, ServiceError> {
        SERVICES.get(&self.store.read()?, name)?.ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }
}

/// Whether a service may have this name.
pub fn check_name(name: &str) -> Result<(), ServiceError> {
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Err(ServiceError::BadName);
    }
    Ok(())
}

/// Forgets what was agreed about the folder of a service.
fn forget(tx: &redb::WriteTransaction, id: ServiceId) -> Result<(), StoreError> {
    baseline::clear(tx, id)?;
    remote::clear(tx, id)?;
    failures::clear(tx, id)?;
    kinds::clear(tx, id)?;
    let key = id.0.to_string();
    MET.remove(tx, &key)?;
    FINDINGS.remove(tx, &key)?;
    UPLOAD_WAYS.remove(tx, &key)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_row_of_an_earlier_version_is_read() {
        let old = r#"{"id":1,"name":"a","url":"http://h/","user":"u","fingerprint":null,"sync":{"on":true},"sealed_password":[1,2]}"#;
        let row: ServiceRow = serde_json::from_str(old).unwrap();
        assert_eq!((row.service.timeout, row.service.retries, row.service.kind), (Timeout::Default, 3, None));
        assert!(row.before.is_none() && row.service.sync.download && !row.service.sync.upload);
    }

    #[test]
    fn a_client_is_as_patient_as_its_owner_says() {
        let endpoint = Endpoint { url: String::new(), user: String::new(), password: String::new(), fingerprint: None, allow_http: false };
        let service = Service { timeout: Timeout::Low, retries: 7, ..Service::new(ServiceId(1), "a", &endpoint) };
        assert_eq!((service.waits().idle, service.waits().broken), (Duration::from_secs(30), 7));
    }
}
