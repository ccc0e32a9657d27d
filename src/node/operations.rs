//! What a node can do, as typed calls.

use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::accounts::{AppPassword, GrantChange, NewAppPassword, User};
use crate::client::{Client, Endpoint, Listing, Member};
use crate::library;
use crate::scheduler::Standing;
use crate::services::{Service, SyncSettings};
use crate::sync::Stop;
use crate::types::RelPath;

use super::runs::Note;
use super::{AccountChange, Failure, Limit, NewService, NewUser, Node, SyncChange};

/// Longest interval between runs: a week.
const INTERVAL_LIMIT: u32 = 7 * 24 * 60;

/// Runs `work` where it may block.
pub(super) async fn blocking<R, F>(work: F) -> Result<R, Failure>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, Failure> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::unreachable(format!("a part of the program ended unexpectedly: {error}")))?
}

/// Looks at the root of a service: what must work before anything else can.
async fn try_out(client: &Client) -> Result<Listing, Failure> {
    match client.list(&RelPath::root()).await? {
        Some(listing) => Ok(listing),
        None => Err(Failure::unreachable(format!(
            "{} answers, but there is no folder at that address; give the WebDAV address of the service, such as .../originals/ or \
             .../remote.php/dav/files/USER/",
            client.url()
        ))),
    }
}

impl Node {
    /// Adds a service after trying it. When it does not work, nothing is changed.
    pub async fn add_service(&self, new: NewService) -> Result<Service, Failure> {
        let NewService { name, url, user, password, fingerprint } = new;
        self.services.check_new_name(&name)?;
        let endpoint = Endpoint { url: url.trim().to_owned(), user, password, fingerprint };
        let listing = try_out(&Client::new(&endpoint)?).await?;
        self.refuse_own_library(&listing)?;
        let services = self.services.clone();
        let added = blocking(move || Ok(services.add(&name, &endpoint)?)).await;
        self.runs.tell(Note::Settings);
        added
    }

    /// Changes the account of a service after trying it. When it does not work, nothing is changed. A service that had refused the old password
    /// is synced again.
    pub async fn edit_service(&self, name: String, change: AccountChange) -> Result<Service, Failure> {
        let AccountChange { user, password, fingerprint } = change;
        let old = self.services.endpoint(&name)?;
        let new = Endpoint {
            user: user.clone().unwrap_or(old.user),
            password: password.clone().unwrap_or(old.password),
            fingerprint: fingerprint.or(old.fingerprint),
            ..old
        };
        try_out(&Client::new(&new)?).await?;
        let (services, store) = (self.services.clone(), self.store.clone());
        let changed = blocking(move || {
            let service = services.set_account(&name, user, password.as_deref(), fingerprint)?;
            Standing::change(&store, service.id, |standing| Standing {
                stopped: None,
                failures: 0,
                retry_at: None,
                ended: None,
                ..standing
            })?;
            Ok(service)
        })
        .await;
        self.runs.tell(Note::Settings);
        changed
    }

    fn refuse_own_library(&self, listing: &Listing) -> Result<(), Failure> {
        let own = self.known_library_id()?.map(|id| id.to_string());
        if own.is_some() && listing.library_id == own {
            return Err(Failure::usage(crate::sync::SyncError::SameLibrary.to_string()));
        }
        Ok(())
    }

    /// All services.
    pub async fn services(&self) -> Result<Vec<Service>, Failure> {
        let services = self.services.clone();
        blocking(move || Ok(services.list()?)).await
    }

    /// One service.
    pub async fn service(&self, name: String) -> Result<Service, Failure> {
        let services = self.services.clone();
        blocking(move || Ok(services.get(&name)?)).await
    }

    /// Tries a service: connects, logs in, lists its root.
    pub async fn test_service(&self, name: String) -> Result<Value, Failure> {
        let client = self.services.client(&name)?;
        let listing = try_out(&client).await?;
        let folders = listing.members.iter().filter(|member| matches!(member, Member::Folder(_))).count();
        let kind = if listing.library_id.is_some() { "twinlens" } else { "webdav" };
        Ok(json!({
            "name": name,
            "url": client.url(),
            "ok": true,
            "kind": kind,
            "folders": folders,
            "files": listing.members.len() - folders,
        }))
    }

    /// Removes a service and what was agreed with it; photos stay where they are.
    pub async fn remove_service(&self, name: String) -> Result<(), Failure> {
        let services = self.services.clone();
        let running = services.get(&name).ok().and_then(|service| self.runs.of(service.id));
        running.into_iter().for_each(|running| running.monitor.stop(Stop::Cancelled));
        let removed = blocking(move || Ok(services.remove(&name)?)).await;
        self.runs.tell(Note::Settings);
        removed
    }

    /// Changes how a service is synced.
    pub async fn change_sync(&self, name: String, change: SyncChange) -> Result<Service, Failure> {
        let services = self.services.clone();
        let changed = blocking(move || {
            let old = services.get(&name)?.sync;
            // Whoever sets something up means to use it.
            let set_up = change != SyncChange::default();
            let folder = match change.folder {
                Some(text) => {
                    RelPath::parse_lenient(&text).map_err(|error| Failure::usage(format!("the folder {text} cannot be used: {error}")))?
                }
                None => old.folder,
            };
            let interval_minutes = change.interval_minutes.unwrap_or(old.interval_minutes);
            if !(1..=INTERVAL_LIMIT).contains(&interval_minutes) {
                return Err(Failure::usage("the interval is between one minute (1m) and a week (7d)"));
            }
            let sync = SyncSettings {
                on: change.on.unwrap_or(old.on || set_up),
                folder,
                interval_minutes,
                download: change.download.unwrap_or(old.download),
                upload: change.upload.unwrap_or(old.upload),
                keep_names: change.keep_names.unwrap_or(old.keep_names),
                raw_and_video: change.raw_and_video.unwrap_or(old.raw_and_video),
                deletes: change.deletes.unwrap_or(old.deletes),
                rate: change.rate.map_or(old.rate, Limit::into),
                window: change.window.map_or(old.window, Limit::into),
            };
            if sync.on && !sync.download && !sync.upload {
                return Err(Failure::usage("with neither download nor upload there is nothing to sync; use --off to switch it off"));
            }
            Ok(services.set_sync(&name, sync)?)
        })
        .await;
        self.runs.tell(Note::Settings);
        changed
    }

    /// Brings the index up to date with the disk.
    pub async fn index(&self) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        let events = self.events.clone();
        let report = blocking(move || Ok(library::scan_quiet(&tree, &events, &AtomicBool::new(false))?)).await?;
        let growing = report.growing.iter().map(|path| (path, library::GROWING));
        let failed = report.coverage.gaps().chain(growing).map(|(path, reason)| json!({ "path": path.as_str(), "reason": reason }));
        let failed: Vec<_> = failed.collect();
        Ok(json!({
            "files": report.files,
            "hashed": report.hashed,
            "bytes": report.bytes,
            "removed": report.removed,
            "failed": failed,
        }))
    }

    /// Adds a user.
    pub async fn add_user(&self, new: NewUser) -> Result<User, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.add(&new.name, new.grant, &new.password)?)).await
    }

    /// All users.
    pub async fn users(&self) -> Result<Vec<User>, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.list()?)).await
    }

    /// Gives a user another password.
    pub async fn set_password(&self, name: String, password: String) -> Result<(), Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.set_password(&name, &password)?)).await
    }

    /// Changes what a user may do.
    pub async fn edit_user(&self, name: String, change: GrantChange) -> Result<User, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.edit(&name, change)?)).await
    }

    /// Removes a user and their app passwords.
    pub async fn remove_user(&self, name: String) -> Result<(), Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.remove(&name)?)).await
    }

    /// Makes an app password for a user.
    pub async fn create_app_password(&self, user: String, label: String) -> Result<NewAppPassword, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.create_app_password(&user, &label)?)).await
    }

    /// The app passwords of a user.
    pub async fn app_passwords(&self, user: String) -> Result<Vec<AppPassword>, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.app_passwords(&user)?)).await
    }

    /// Takes an app password back, by its id or its label.
    pub async fn revoke_app_password(&self, user: String, app: String) -> Result<AppPassword, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.revoke_app_password(&user, &app)?)).await
    }
}
