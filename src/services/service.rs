//! One service: its account, and how it is written down.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::{ClientError, Endpoint, Fingerprint, Waits};
use crate::store::StoreError;
use crate::types::ServiceId;

use super::{Kind, PortableError, SecretError, SyncSettings, Timeout, UploadSettings};

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
    pub(super) sealed_password: Vec<u8>,
    /// Where the password comes from.
    #[serde(default)]
    pub(super) origin: Origin,
    /// The account before the last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Before>,
}

/// Where a password comes from, and so what becomes of it when its service is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Its owner gave it.
    #[default]
    Given,
    /// The service made it for us when its owner logged in with a browser.
    Granted,
    /// So it did, and it was exported since: another node may use it.
    Carried,
}

/// An account as it was.
#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) account: Account,
    pub(super) sealed_password: Vec<u8>,
    #[serde(default)]
    pub(super) origin: Origin,
    /// The edit led to another folder: what was agreed with this one was forgotten.
    pub(super) elsewhere: bool,
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

    pub(super) fn put_into(self, service: &mut Service) {
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
/// Whether a service may have this name.
pub fn check_name(name: &str) -> Result<(), ServiceError> {
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Err(ServiceError::BadName);
    }
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
