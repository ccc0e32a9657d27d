//! The services that there are: told, examined, set up for syncing, removed.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::client::{Client, Listing, Typed};
use crate::library::Patterns;
use crate::services::doctor::{self, Check, Watched};
use crate::services::{Findings, Reached, Service, SyncSettings};
use crate::sync::{Overlap, leads_to};
use crate::types::RelPath;

use super::blocking::blocking;
use super::runs::Note;
use super::{Failure, Limit, Operations, SyncChange};

/// Longest interval between runs: a week.
const INTERVAL_LIMIT: u32 = 7 * 24 * 60;

/// How long setting up a sync waits for the service to say what its folder is.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// The longest host that a service is called by.
const NAME_LIMIT: usize = 50;

/// A service, and what is known of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ToldService {
    /// How it is set up.
    #[serde(flatten)]
    pub service: Service,
    /// What a probe found out, if there was one.
    pub found: Option<Findings>,
    /// What the proofs of its uploads rested on, if there were any.
    pub reached: Option<Reached>,
}

/// What an examination of a service found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Tested {
    /// The service.
    pub name: String,
    /// Its WebDAV root.
    pub url: String,
    /// Everything is well.
    pub ok: bool,
    /// It can be reached, and the login is right.
    pub connected: bool,
    /// What kind of server it is, in one word.
    pub kind: String,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// The folders directly in the service's folder.
    pub folders: usize,
    /// The files directly in it.
    pub files: usize,
    /// What a probe found out, now or earlier.
    pub found: Option<Findings>,
    /// What the proofs of its uploads rested on, if there were any.
    pub reached: Option<Reached>,
    /// Every check, in order.
    pub checks: Vec<Check>,
}

impl Operations {
    pub(super) async fn refuse_own_library(&self, client: &Client, listing: &Listing) -> Result<(), Failure> {
        let Some(own) = self.known_library_id()? else { return Ok(()) };
        if leads_to(client, listing, own).await {
            return Err(Failure::wrong_state(Overlap::Same.to_string()));
        }
        Ok(())
    }

    /// Looks whether a folder that is to be synced is this very library. When the service is not there, the next sync finds out.
    pub(super) async fn refuse_own_folder(&self, name: &str, folder: &RelPath) -> Result<(), Failure> {
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

    /// A free name for a service at an address: its host, with a number where that is taken.
    pub async fn suggest_name(&self, url: &str) -> Result<String, Failure> {
        let typed = Typed::parse(url)?;
        let host = typed.url().split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default().to_owned();
        // An IPv6 address, or a name that is too long for a service.
        let host = if host.is_empty() || host.starts_with('[') || host.len() > NAME_LIMIT { "service".to_owned() } else { host };
        let taken: BTreeSet<String> = self.services().await?.into_iter().map(|service| service.name).collect();
        let names = std::iter::once(host.clone()).chain((2..).map(|number: u32| format!("{host} {number}")));
        Ok(names.into_iter().find(|name| !taken.contains(name)).unwrap_or(host))
    }

    /// One service.
    pub async fn service(&self, name: String) -> Result<Service, Failure> {
        let services = self.services.clone();
        blocking(move || Ok(services.get(&name)?)).await
    }

    /// What is told of a service: how it is set up, what was found out about it, what the proofs of its uploads rested on.
    pub(crate) async fn told_service(&self, service: Service) -> Result<ToldService, Failure> {
        let store = self.store.clone();
        blocking(move || {
            let (found, reached) = (Findings::read(&store, service.id)?, Reached::read(&store, service.id)?);
            Ok(ToldService { service, found, reached })
        })
        .await
    }

    /// The same of all services.
    pub(crate) async fn told_services(&self) -> Result<Vec<ToldService>, Failure> {
        let mut told = Vec::new();
        for service in self.services().await? {
            told.push(self.told_service(service).await?);
        }
        Ok(told)
    }

    /// Examines a service. What a probe finds out about uploads is remembered, and used by them. By itself the probe writes only to services
    /// that are uploaded to.
    pub async fn test_service(&self, name: String, write: Option<bool>) -> Result<Tested, Failure> {
        self.examine(name, write, None).await
    }

    /// The same; who looks on is told each check as it happens.
    pub(super) async fn examine(&self, name: String, write: Option<bool>, watched: Option<Watched>) -> Result<Tested, Failure> {
        let service = self.service(name.clone()).await?;
        let client = self.services.client(&name)?;
        let may_write = match write {
            Some(true) => Ok(()),
            Some(false) => Err("not tried: --no-write"),
            None if service.sync.upload => Ok(()),
            None => Err(
                "not tried, because nothing is uploaded to this service; with --write it is tried with small files that are removed again",
            ),
        };
        let checkup = doctor::examine(&client, &service, &self.store, may_write, watched).await;
        let (store, id, findings) = (self.store.clone(), service.id, checkup.findings.clone());
        let (before, reached) = blocking(move || {
            let before = Findings::read(&store, id)?;
            if let Some(findings) = findings {
                findings.write(&store, id)?;
            }
            Ok((before, Reached::read(&store, id)?))
        })
        .await?;
        Ok(Tested {
            name,
            url: client.url().to_owned(),
            ok: checkup.is_well(),
            connected: checkup.is_connected(),
            found: checkup.findings.or(before),
            reached,
            kind: checkup.kind,
            version: checkup.version,
            folders: checkup.folders,
            files: checkup.files,
            checks: checkup.checks,
        })
    }

    /// Changes how a service is synced.
    pub async fn change_sync(&self, name: String, change: SyncChange) -> Result<Service, Failure> {
        if let Some(folder) = change.folder.as_deref().and_then(|text| RelPath::parse_lenient(text).ok()) {
            self.refuse_own_folder(&name, &folder).await?;
        }
        let services = self.services.clone();
        let changed = blocking(move || {
            let old = services.get(&name)?.sync;
            // Whoever sets something up means to use it.
            let set_up = change != SyncChange::default();
            let folder = match change.folder {
                Some(text) => RelPath::parse_lenient(&text)
                    .map_err(|error| Failure::usage(format!("the folder {text} cannot be used: {error}")).about("folder"))?,
                None => old.folder,
            };
            let interval_minutes = change.interval_minutes.unwrap_or(old.interval_minutes);
            let sync = SyncSettings {
                on: change.on.unwrap_or(old.on || set_up),
                folder,
                interval_minutes,
                download: change.download.unwrap_or(old.download),
                upload: change.upload.unwrap_or(old.upload),
                keep_names: change.keep_names.unwrap_or(old.keep_names),
                raw_and_video: change.raw_and_video.unwrap_or(old.raw_and_video),
                deletes: change.deletes.unwrap_or(old.deletes),
                trust: change.trust.unwrap_or(old.trust),
                verify: change.verify.unwrap_or(old.verify),
                rate: change.rate.map_or(old.rate, Limit::into),
                window: change.window.map_or(old.window, Limit::into),
                include: patterns("include", change.include)?.unwrap_or(old.include),
                exclude: patterns("exclude", change.exclude)?.unwrap_or(old.exclude),
            };
            check_sync(&sync)?;
            Ok(services.set_sync(&name, sync)?)
        })
        .await;
        self.runs.tell(Note::Settings);
        changed
    }
}

/// Whether a service can be synced so.
pub(super) fn check_sync(sync: &SyncSettings) -> Result<(), Failure> {
    if !(1..=INTERVAL_LIMIT).contains(&sync.interval_minutes) {
        return Err(Failure::usage("the interval is between one minute (1m) and a week (7d)").about("interval_minutes"));
    }
    if sync.on && !sync.download && !sync.upload {
        return Err(
            Failure::usage("with neither download nor upload there is nothing to sync; use --off to switch it off").about("download")
        );
    }
    patterns("include", Some(sync.include.clone()))?;
    patterns("exclude", Some(sync.exclude.clone()))?;
    Ok(())
}

/// Patterns for file names; empty ones count for nothing, so that a single empty one clears the list.
fn patterns(field: &str, given: Option<Vec<String>>) -> Result<Option<Vec<String>>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let given: Vec<String> = given.into_iter().filter(|pattern| !pattern.trim().is_empty()).collect();
    match Patterns::parse(given.iter().map(String::as_str)) {
        Ok(_) => Ok(Some(given)),
        Err(error) => Err(Failure::usage(format!("a pattern cannot be understood: {error}")).about(field)),
    }
}
