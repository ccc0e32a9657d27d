//! Connecting services by what a person types, and editing them later.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::client::{Client, Endpoint, Listing, Member, Typed};
use crate::scheduler::Standing;
use crate::services::discovery::{Found, Tried, Wanted, discover};
use crate::services::{Account, Kind, Origin, RETRIES_LIMIT, Service, ServiceError};
use crate::sync;
use crate::types::RelPath;

use super::blocking::blocking;
use super::runs::Note;
use super::{AccountChange, Failure, NewService, Operations, ToldService, failure};

/// So many folders are told of a service that was found.
const FOLDERS: usize = 100;

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Discovered {
    /// What kind of server it is, in one word.
    pub kind: String,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// The WebDAV address that is used.
    pub url: String,
    /// Nothing is encrypted on the way.
    pub plain_http: bool,
    /// The folders in its root, sorted; the first hundred.
    pub folders: Vec<String>,
    /// How many there are.
    pub folders_total: usize,
    /// How many files are in its root.
    pub files: usize,
    /// What was tried.
    pub tried: Vec<Tried>,
}

/// A service that was added.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Connected {
    /// The service.
    #[serde(flatten)]
    pub service: Service,
    /// What was found.
    pub discovered: Discovered,
}

/// A service that was edited.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Edited {
    /// The service as it is now.
    #[serde(flatten)]
    pub service: ToldService,
    /// It leads to another folder than before: what was agreed with that one is forgotten, and the next sync compares everything anew.
    pub forgotten: bool,
    /// Why it does not work; it was kept all the same.
    pub broken: Option<String>,
    /// What was found, when another address was looked for.
    pub discovered: Option<Discovered>,
}

/// An account that works, or that its owner keeps although it does not.
struct Trial {
    endpoint: Endpoint,
    kind: Option<Kind>,
    listing: Option<Listing>,
    discovered: Option<Discovered>,
    broken: Option<String>,
}

impl Discovered {
    /// What is told of a service that was found.
    pub(super) fn of(found: &mut Found) -> Self {
        let members = &found.listing.members;
        let mut folders: Vec<String> = members
            .iter()
            .filter_map(|member| match member {
                Member::Folder(path, _) => Some(path.name().to_owned()),
                Member::File(..) => None,
            })
            .collect();
        folders.sort();
        let (folders_total, files) = (folders.len(), members.len() - folders.len());
        folders.truncate(FOLDERS);
        let url = found.endpoint.url.clone();
        let tried = std::mem::take(&mut found.tried);
        let (kind, version) = (found.kind.clone(), found.version.clone());
        Self { kind, version, plain_http: url.starts_with("http:"), url, folders, folders_total, files, tried }
    }
}

/// Looks at the root of a service: what must work before anything else can.
async fn try_out(client: &Client) -> Result<Listing, Failure> {
    match client.list(&RelPath::root()).await? {
        Some(listing) => Ok(listing),
        None => {
            let message = format!(
                "{} answers, but there is no folder at that address; give the WebDAV address of the service, such as .../originals/ or \
                 .../remote.php/dav/files/USER/",
                client.url()
            );
            Err(Failure::unreachable(message).of_kind(failure::Kind::ServiceUnreachable).about("url"))
        }
    }
}

impl Operations {
    /// Finds a service at an address as a person types it, and adds it. When it does not work, nothing is changed.
    pub async fn add_service(&self, new: NewService) -> Result<Connected, Failure> {
        self.find_and_add(new, None).await
    }

    /// The same; who looks on is told what is tried as it happens.
    pub(super) async fn find_and_add(&self, new: NewService, watched: Option<watch::Sender<Vec<Tried>>>) -> Result<Connected, Failure> {
        let NewService { name, url, user, password, fingerprint, allow_http, kind } = new;
        self.services.check_new_name(&name)?;
        let typed = Typed::parse(&url)?;
        let user = if user.is_empty() { typed.user.clone().unwrap_or_default() } else { user };
        let password = if password.is_empty() { typed.password.clone().unwrap_or_default() } else { password };
        let found = discover(&Wanted { typed, user, password, fingerprint, allow_http, kind }, watched).await?;
        self.add_found(name, found, kind, Origin::Given).await
    }

    /// Adds a service that was found.
    pub(super) async fn add_found(&self, name: String, mut found: Found, kind: Option<Kind>, origin: Origin) -> Result<Connected, Failure> {
        self.refuse_own_library(&found.client, &found.listing).await?;
        let kind = kind.unwrap_or_else(|| Kind::of(&found.kind));
        let discovered = Discovered::of(&mut found);
        let services = self.services.clone();
        let service = blocking(move || Ok(services.add(&name, &found.endpoint, Some(kind), origin)?)).await?;
        self.runs.tell(Note::Settings);
        Ok(Connected { service, discovered })
    }

    /// Changes the account of a service after trying it. When it does not work, nothing is changed, unless it is to be kept all the same. A
    /// service that had refused the old password is synced again. When it leads to another folder, what was agreed about the old one is
    /// forgotten, so that nothing is taken for a deletion.
    pub async fn edit_service(&self, name: String, change: AccountChange) -> Result<Edited, Failure> {
        self.edit_with(name, change, Origin::Given).await
    }

    /// The same; a new password is of this origin.
    pub(super) async fn edit_with(&self, name: String, change: AccountChange, origin: Origin) -> Result<Edited, Failure> {
        let old = self.service(name.clone()).await?;
        if let Some(new) = change.name.as_ref().filter(|new| **new != name) {
            self.services.check_new_name(new)?;
        }
        if change.retries.is_some_and(|retries| retries > RETRIES_LIMIT) {
            return Err(Failure::usage(format!("retries: between 0 and {RETRIES_LIMIT}")).about("retries"));
        }
        let tested = self.tested(&old, &change).await?;
        let elsewhere = self.leads_elsewhere(&old, &tested).await?;
        // A run that goes on must not write down anything about a folder that is not the service's any more.
        let turns = match elsewhere {
            true => Some(self.end_runs(old.id).await),
            false => None,
        };
        let password = tested.endpoint.password;
        let account = Account {
            name: change.name.unwrap_or_else(|| name.clone()),
            url: tested.endpoint.url,
            user: tested.endpoint.user,
            fingerprint: tested.endpoint.fingerprint,
            allow_http: tested.endpoint.allow_http,
            kind: tested.kind,
            timeout: change.timeout.unwrap_or(old.timeout),
            retries: change.retries.unwrap_or(old.retries),
        };
        let services = self.services.clone();
        let service = blocking(move || Ok(services.set_account(&name, account, (&password, origin), elsewhere)?)).await?;
        drop(turns);
        self.begin_anew(&service).await?;
        let service = self.told_service(service).await?;
        Ok(Edited { service, forgotten: elsewhere, broken: tested.broken, discovered: tested.discovered })
    }

    /// Takes the last edit of a service's account back. Nothing is sent to it.
    pub async fn undo_edit(&self, name: String) -> Result<Edited, Failure> {
        let old = self.service(name.clone()).await?;
        let turns = self.end_runs(old.id).await;
        let services = self.services.clone();
        let (service, forgotten) = blocking(move || Ok(services.undo(&name)?)).await?;
        drop(turns);
        self.begin_anew(&service).await?;
        let service = self.told_service(service).await?;
        Ok(Edited { service, forgotten, broken: None, discovered: None })
    }

    /// What stopped a service before says nothing about its new account.
    async fn begin_anew(&self, service: &Service) -> Result<(), Failure> {
        let (store, id) = (self.store.clone(), service.id);
        blocking(move || {
            Ok(Standing::change(&store, id, |standing| Standing { stopped: None, failures: 0, retry_at: None, ended: None, ..standing })?)
        })
        .await?;
        self.runs.tell(Note::Settings);
        Ok(())
    }

    /// Tries an account as it would be after a change, if the change is about the connection.
    async fn tested(&self, old: &Service, change: &AccountChange) -> Result<Trial, Failure> {
        // A password that cannot be read any more can be replaced.
        let before = match self.services.endpoint(&old.name) {
            Err(ServiceError::Secret(_)) if change.password.is_some() => self.services.endpoint_without_password(&old.name)?,
            endpoint => endpoint?,
        };
        let typed = Typed::parse(change.url.as_deref().unwrap_or(&before.url))?;
        let other_host = host_of(typed.url()) != host_of(&before.url);
        let password = change.password.clone().or_else(|| typed.password.clone());
        if other_host && password.is_none() && !before.user.is_empty() {
            return Err(
                Failure::usage("url: another host gets the password only when it is given again; add --password-stdin").about("password")
            );
        }
        let wanted = Wanted {
            user: change.user.clone().or_else(|| typed.user.clone()).unwrap_or_else(|| before.user.clone()),
            password: password.unwrap_or_else(|| before.password.clone()),
            // A certificate is that of a host.
            fingerprint: change.fingerprint.or(before.fingerprint.filter(|_| !other_host)),
            allow_http: change.allow_http.unwrap_or(before.allow_http),
            kind: change.kind,
            typed,
        };
        let as_typed = Endpoint {
            url: if change.url.is_some() { wanted.typed.url().to_owned() } else { before.url.clone() },
            user: wanted.user.clone(),
            password: wanted.password.clone(),
            fingerprint: wanted.fingerprint,
            allow_http: wanted.allow_http,
        };
        let kind = change.kind.or(old.kind);
        let nothing = Trial { endpoint: as_typed, kind, listing: None, discovered: None, broken: None };
        let searches = change.url.is_some() || change.kind.is_some() || change.user.as_ref().is_some_and(|user| *user != before.user);
        let looks = change.password.is_some() || change.fingerprint.is_some() || change.allow_http.is_some();
        let outcome = if searches {
            match discover(&wanted, None).await {
                Ok(mut found) => {
                    let kind = Some(change.kind.unwrap_or_else(|| Kind::of(&found.kind)));
                    let discovered = Some(Discovered::of(&mut found));
                    Ok((found.client, Trial { endpoint: found.endpoint, kind, listing: Some(found.listing), discovered, broken: None }))
                }
                Err(missed) => Err((missed.into(), nothing)),
            }
        } else if looks {
            let looked = async {
                let client = Client::new(&nothing.endpoint)?.with_waits(old.waits());
                let listing = try_out(&client).await?;
                Ok::<_, Failure>((client, listing))
            };
            match looked.await {
                Ok((client, listing)) => Ok((client, Trial { listing: Some(listing), ..nothing })),
                Err(failure) => Err((failure, nothing)),
            }
        } else {
            return Ok(nothing);
        };
        match outcome {
            Ok((client, tested)) => {
                if let Some(listing) = &tested.listing {
                    self.refuse_own_library(&client, listing).await?;
                }
                Ok(tested)
            }
            Err((failure, tested)) if change.keep => {
                // What no client can be made of cannot be kept.
                Client::new(&tested.endpoint)?;
                Ok(Trial { broken: Some(failure.message), ..tested })
            }
            Err((failure, _)) => {
                Err(Failure { message: format!("{}\nNothing was changed; --keep changes it all the same", failure.message), ..failure })
            }
        }
    }

    /// Whether an account leads to another folder than the one with which was synced before. When nobody can know, it does.
    async fn leads_elsewhere(&self, old: &Service, tested: &Trial) -> Result<bool, Failure> {
        let new = &tested.endpoint;
        if new.url == old.url && new.user == old.user {
            return Ok(false);
        }
        // Another user may have another root, whatever the address.
        if new.user != old.user {
            return Ok(true);
        }
        let before = Client::new(&Endpoint { url: old.url.clone(), password: String::new(), allow_http: true, ..new.clone() })?;
        let now = Client::new(&Endpoint { password: String::new(), allow_http: true, ..new.clone() })?;
        let same_place = now.place().is_some() && now.place() == before.place();
        // http and https of one host are one server where both have their usual ports.
        if authority(&old.url) == authority(&new.url) && (same_place || now.path() == before.path()) {
            return Ok(false);
        }
        let told = tested.listing.as_ref().and_then(|listing| listing.library_id.as_ref()?.parse().ok());
        let (store, id) = (self.store.clone(), old.id);
        let met = blocking(move || Ok(sync::met(&store, id)?)).await?;
        Ok(!(same_place && told.is_some() && told == met))
    }
}

fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest.split('/').next().unwrap_or_default())
}

/// The host of an address without a login in it.
fn host_of(url: &str) -> &str {
    let authority = authority(url);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}
