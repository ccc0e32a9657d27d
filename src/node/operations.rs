//! What a node can do, as typed calls.

use serde_json::{Value, json};

use crate::accounts::{AppPassword, GrantChange, NewAppPassword, User};
use crate::client::{Client, Endpoint, Listing, Member};
use crate::library::{self, Patterns};
use crate::services::{Service, SyncSettings};
use crate::store::documents::RUNS;
use crate::sync::{Options, Overlap, Report, Sync, leads_to};
use crate::types::RelPath;

use super::{Failure, NewService, NewUser, Node, SyncChange, SyncRequest, restored};

/// Longest interval between runs: a week.
const INTERVAL_LIMIT: u32 = 7 * 24 * 60;

/// How long setting up a sync waits for the service to say what its folder is.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

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
        let client = Client::new(&endpoint)?;
        let listing = try_out(&client).await?;
        self.refuse_own_library(&client, &listing).await?;
        let services = self.services.clone();
        blocking(move || Ok(services.add(&name, &endpoint)?)).await
    }

    async fn refuse_own_library(&self, client: &Client, listing: &Listing) -> Result<(), Failure> {
        let Some(own) = self.known_library_id()? else { return Ok(()) };
        if leads_to(client, listing, own).await {
            return Err(Failure::usage(Overlap::Same.to_string()));
        }
        Ok(())
    }

    /// Looks whether a folder that is to be synced is this very library. When the service is not there, the next sync finds out.
    async fn refuse_own_folder(&self, name: &str, folder: &RelPath) -> Result<(), Failure> {
        let client = self.services.client(name)?.at(folder)?;
        let look = async {
            match client.list(&RelPath::root()).await {
                Ok(Some(listing)) => self.refuse_own_library(&client, &listing).await,
                _ => Ok(()),
            }
        };
        tokio::time::timeout(LOOK, look).await.unwrap_or(Ok(()))
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
        let folders = listing.members.iter().filter(|member| matches!(member, Member::Folder(..))).count();
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
        blocking(move || Ok(services.remove(&name)?)).await
    }

    /// Changes how a service is synced.
    pub async fn change_sync(&self, name: String, change: SyncChange) -> Result<Service, Failure> {
        if let Some(folder) = change.folder.as_deref().and_then(|text| RelPath::parse_lenient(text).ok()) {
            self.refuse_own_folder(&name, &folder).await?;
        }
        let services = self.services.clone();
        blocking(move || {
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
                include: patterns(change.include)?.unwrap_or(old.include),
                exclude: patterns(change.exclude)?.unwrap_or(old.exclude),
            };
            if sync.on && !sync.download && !sync.upload {
                return Err(Failure::usage("with neither download nor upload there is nothing to sync; use --off to switch it off"));
            }
            Ok(services.set_sync(&name, sync)?)
        })
        .await
    }

    /// Syncs now, one service after the other. A service that fails as a whole has the reason in its report.
    pub async fn sync(&self, request: SyncRequest) -> Result<Vec<Report>, Failure> {
        let chosen = self.chosen(&request.names).await?;
        let mut reports = Vec::new();
        for service in chosen {
            let options = Options { dry_run: request.dry_run, force: request.force, parallel: self.parallel };
            let id = service.id;
            let _turn = self.turn(&service)?;
            let (name, dry_run) = (service.name.clone(), request.dry_run);
            let report = match self.sync_one(service, options).await {
                Ok(report) => report,
                Err(failure) => Report {
                    name,
                    dry_run,
                    unreachable: failure.code == super::ExitCode::Unreachable,
                    error: Some(failure.message),
                    ..Report::default()
                },
            };
            if !dry_run {
                let (store, last) = (self.store.clone(), report.clone());
                blocking(move || Ok(store.write(move |tx| RUNS.put(tx, &id.0.to_string(), &last))?)).await?;
            }
            reports.push(report);
        }
        Ok(reports)
    }

    async fn chosen(&self, names: &[String]) -> Result<Vec<Service>, Failure> {
        let all = self.services().await?;
        if names.is_empty() {
            let on: Vec<_> = all.into_iter().filter(|service| service.sync.on).collect();
            if on.is_empty() {
                return Err(Failure::usage(
                    "no service has sync switched on; add one with `twinlens service add` and set it up with `twinlens service sync NAME --on`",
                ));
            }
            return Ok(on);
        }
        names
            .iter()
            .map(|name| {
                let found = all.iter().find(|service| service.name == *name).cloned();
                found.ok_or_else(|| crate::services::ServiceError::Unknown(name.clone()).into())
            })
            .collect()
    }

    async fn sync_one(&self, mut service: Service, options: Options) -> Result<Report, Failure> {
        let library = self.library()?;
        let (id, careful) = (service.id, restored::carefully(&self.store, &mut service)?);
        let client = self.services.client(&service.name)?;
        let sync = Sync::new(library, self.store.clone(), client, service, options, self.events.clone())?;
        let mut report = sync.run().await?;
        if careful {
            restored::looked(&self.store, id, &mut report)?;
        }
        Ok(report)
    }

    /// Brings the index up to date with the disk.
    pub async fn index(&self) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        let events = self.events.clone();
        let report = blocking(move || Ok(library::scan(&tree, &events)?)).await?;
        let failed: Vec<_> = report.coverage.gaps().map(|(path, reason)| json!({ "path": path.as_str(), "reason": reason })).collect();
        Ok(json!({
            "files": report.files,
            "hashed": report.hashed,
            "bytes": report.bytes,
            "removed": report.removed,
            "failed": failed,
        }))
    }

    /// The library, how much it holds, the services and their last runs.
    pub async fn status(&self) -> Result<Value, Failure> {
        let services = self.services().await?;
        let store = self.store.clone();
        let (files, runs) = blocking(move || {
            let tx = store.read()?;
            let files = crate::store::index::Index::open(&tx)?.len()?;
            let runs: Vec<Option<Report>> =
                services.iter().map(|service| RUNS.get(&tx, &service.id.0.to_string())).collect::<Result<_, _>>()?;
            let rows = services
                .into_iter()
                .zip(runs)
                .map(|(service, last)| json!({ "name": service.name, "url": service.url, "on": service.sync.on, "last_run": last }));
            Ok((files, rows.collect::<Vec<_>>()))
        })
        .await?;
        let (damaged, verified) = self.health().await?;
        Ok(json!({
            "library": self.library_path().map(|path| path.display().to_string()),
            "files": files,
            "url": self.url(),
            "public": self.is_public(),
            "services": runs,
            "damaged": damaged,
            "verified": verified,
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

/// Patterns for file names; empty ones count for nothing, so that a single empty one clears the list.
fn patterns(given: Option<Vec<String>>) -> Result<Option<Vec<String>>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let given: Vec<String> = given.into_iter().filter(|pattern| !pattern.trim().is_empty()).collect();
    match Patterns::parse(given.iter().map(String::as_str)) {
        Ok(_) => Ok(Some(given)),
        Err(error) => Err(Failure::usage(format!("a pattern cannot be understood: {error}"))),
    }
}
