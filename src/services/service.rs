//! Services in the store.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Endpoint, Fingerprint, Rate};
use crate::reconcile::{Deletes, Policy};
use crate::store::documents::{self, CAUTIOUS, EVIDENCE, FINDINGS, MET, RUNS, SCHEDULE, SERVICES, UPLOAD_WAYS};
use crate::store::{Store, StoreError, baseline, failures, history, kinds, remote, shares, traces};
use crate::types::{RelPath, ServiceId};

use super::{SecretError, SecretKey, UploadSettings, Window};

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
    /// How it is synced.
    pub sync: SyncSettings,
    /// What is done with files that are shared with it.
    #[serde(default)]
    pub upload: UploadSettings,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ServiceRow {
    #[serde(flatten)]
    pub(super) service: Service,
    sealed_password: Vec<u8>,
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
    /// Its address or account does not work.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Its password cannot be stored or read.
    #[error(transparent)]
    Secret(#[from] SecretError),
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
    pub fn add(&self, name: &str, endpoint: &Endpoint) -> Result<Service, ServiceError> {
        self.check_new_name(name)?;
        let sealed_password = self.key.seal(&endpoint.password)?;
        let (key, endpoint) = (name.to_owned(), endpoint.clone());
        let added = self.store.write(move |tx| {
            if SERVICES.contains(tx, &key)? {
                return Ok(None);
            }
            let service = Service {
                id: documents::new_service_id(tx)?,
                name: key.clone(),
                url: endpoint.url,
                user: endpoint.user,
                fingerprint: endpoint.fingerprint,
                allow_http: endpoint.allow_http,
                sync: SyncSettings::default(),
                upload: UploadSettings::default(),
            };
            let row = ServiceRow { service, sealed_password };
            SERVICES.put(tx, &key, &row)?;
            Ok(Some(row.service))
        })?;
        added.ok_or_else(|| ServiceError::Taken(name.to_owned()))
    }

    /// Whether a service of this name could be added.
    pub fn check_new_name(&self, name: &str) -> Result<(), ServiceError> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
            return Err(ServiceError::BadName);
        }
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
                baseline::clear(tx, row.service.id)?;
                remote::clear(tx, row.service.id)?;
                failures::clear(tx, row.service.id)?;
                MET.remove(tx, &row.service.id.0.to_string())?;
                kinds::clear(tx, row.service.id)?;
                FINDINGS.remove(tx, &row.service.id.0.to_string())?;
                UPLOAD_WAYS.remove(tx, &row.service.id.0.to_string())?;
            }
            if moved || proves_otherwise {
                EVIDENCE.remove(tx, &row.service.id.0.to_string())?;
            }
            SERVICES.put(tx, &key, &row)
        })?;
        Ok(service)
    }

    /// Changes the account of a service, or its pinned certificate: what is none stays. Nothing is sent to it.
    pub fn set_account(
        &self,
        name: &str,
        user: Option<String>,
        password: Option<&str>,
        fingerprint: Option<Fingerprint>,
        allow_http: Option<bool>,
    ) -> Result<Service, ServiceError> {
        let mut row = self.row(name)?;
        if let Some(password) = password {
            row.sealed_password = self.key.seal(password)?;
        }
        row.service.user = user.unwrap_or(row.service.user);
        row.service.fingerprint = fingerprint.or(row.service.fingerprint);
        row.service.allow_http = allow_http.unwrap_or(row.service.allow_http);
        let (key, service) = (name.to_owned(), row.service.clone());
        self.store.write(move |tx| SERVICES.put(tx, &key, &row))?;
        Ok(service)
    }

    /// The address and account of a service, with its password.
    pub fn endpoint(&self, name: &str) -> Result<Endpoint, ServiceError> {
        let row = self.row(name)?;
        let password = self.key.open_sealed(&row.sealed_password)?;
        let Service { url, user, fingerprint, allow_http, .. } = row.service;
        Ok(Endpoint { url, user, password, fingerprint, allow_http })
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
        Ok(Client::new(&self.endpoint(name)?)?)
    }

    pub(super) fn row(&self, name: &str) -> Result<ServiceRow, ServiceError> {
        SERVICES.get(&self.store.read()?, name)?.ok_or_else(|| ServiceError::Unknown(name.to_owned()))
    }
}
