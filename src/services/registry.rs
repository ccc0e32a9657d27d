//! The services of a node, in the store.

use crate::client::{Client, Endpoint};
use crate::store::documents::{self, CAUTIOUS, EVIDENCE, FINDINGS, MET, RUNS, SCHEDULE, SERVICES, UPLOAD_WAYS};
use crate::store::{Store, StoreError, baseline, failures, history, kinds, remote, shares, traces};
use crate::types::ServiceId;

use super::service::{Account, Before, Origin, Service, ServiceError, ServiceRow, check_name};
use super::{Carried, Imported, Kind, SecretError, SecretKey, SyncSettings};

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
    pub fn add(&self, name: &str, endpoint: &Endpoint, kind: Option<Kind>, origin: Origin) -> Result<Service, ServiceError> {
        self.check_new_name(name)?;
        let sealed_password = self.key.sealer()?.seal(&endpoint.password)?;
        let (key, endpoint) = (name.to_owned(), endpoint.clone());
        let added = self.store.write(move |tx| {
            if SERVICES.contains(tx, &key)? {
                return Ok(None);
            }
            let service = Service { kind, ..Service::new(documents::new_service_id(tx)?, &key, &endpoint) };
            let row = ServiceRow { service, sealed_password, origin, before: None };
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

    /// Changes the account of a service. `elsewhere`: it leads to another folder now, and what was agreed
    /// about the old one is forgotten. Nothing is sent to it.
    pub fn set_account(
        &self,
        name: &str,
        account: Account,
        (password, origin): (&str, Origin),
        elsewhere: bool,
    ) -> Result<Service, ServiceError> {
        let mut row = self.row(name)?;
        if account.name != name {
            self.check_new_name(&account.name)?;
        }
        let sealer = self.key.sealer()?;
        // One that cannot be opened any more is another one.
        let (sealed_password, origin) = match sealer.open(&row.sealed_password) {
            Ok(old) if old == password => (row.sealed_password.clone(), row.origin),
            _ => (sealer.seal(password)?, origin),
        };
        let old_password = std::mem::replace(&mut row.sealed_password, sealed_password);
        let old_origin = std::mem::replace(&mut row.origin, origin);
        let account_before = Account::of(&row.service);
        row.before = Some(Before { account: account_before, sealed_password: old_password, origin: old_origin, elsewhere });
        account.put_into(&mut row.service);
        self.replace(name, row, elsewhere)
    }

    /// Takes the last edit of a service's account back. Also tells whether that leads to another folder.
    pub fn undo(&self, name: &str) -> Result<(Service, bool), ServiceError> {
        let mut row = self.row(name)?;
        let nothing = || ServiceError::NothingToUndo(name.to_owned());
        let Before { account, sealed_password, origin, elsewhere } = row.before.take().ok_or_else(nothing)?;
        if account.name != name {
            self.check_new_name(&account.name)?;
        }
        (row.sealed_password, row.origin) = (sealed_password, origin);
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

    /// The app passwords that a service has made for us when its owner logged in with a browser: that of now, and that of before the last edit.
    /// With each comes whether nobody else can have it.
    pub fn granted(&self, name: &str) -> Result<Vec<(Endpoint, bool)>, ServiceError> {
        let row = self.row(name)?;
        let now = (Account::of(&row.service), row.sealed_password, row.origin);
        let before = row.before.map(|before| (before.account, before.sealed_password, before.origin));
        let mut granted: Vec<(Endpoint, bool)> = Vec::new();
        for (account, sealed, origin) in [Some(now), before].into_iter().flatten().filter(|(.., origin)| *origin != Origin::Given) {
            let password = self.key.sealer()?.open(&sealed)?;
            let Account { url, user, fingerprint, allow_http, .. } = account;
            if !granted.iter().any(|(known, _)| known.password == password) {
                granted.push((Endpoint { url, user, password, fingerprint, allow_http }, origin == Origin::Granted));
            }
        }
        Ok(granted)
    }

    /// Passwords of these services leave this node: that they were made for it alone is not true any more.
    pub(super) fn carried(&self, names: &[String]) -> Result<(), ServiceError> {
        let names = names.to_vec();
        Ok(self.store.write(move |tx| {
            for name in names {
                if let Some(row) = SERVICES.get_to_change::<ServiceRow>(tx, &name)?
                    && row.origin == Origin::Granted
                {
                    SERVICES.put(tx, &name, &ServiceRow { origin: Origin::Carried, ..row })?;
                }
            }
            Ok(())
        })?)
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
            rows.push(ServiceRow { service, sealed_password: sealer.seal(&password)?, origin: Origin::Given, before: None });
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
