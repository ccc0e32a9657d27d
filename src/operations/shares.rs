//! Sharing: chosen files are sent to a service, and removed from it again when they expire.

mod sharing;
mod told;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::library;
use crate::scheduler::{Standing, Stopped};
use crate::services::{Service, UploadSettings};
use crate::share::{self, Courier, Ended, Stop};
use crate::store::shares::{self, Share};
use crate::types::RelPath;

use super::chosen::chosen;
use super::sending::watched;
use super::uploads::remote_folder;
use super::{Failure, Note, Operations, blocking};
pub(super) use sharing::Quiet;
pub(crate) use sharing::Sharing;
pub use told::{ShareList, ShareReport, ShareRequest, SharedName, SharedNote, ToldFile, ToldShare};
use told::{report, told_file};

impl Operations {
    /// Shares files, and waits until they were sent or have failed; what failed is tried again by a serving node. When nobody waits any more it
    /// goes on.
    pub async fn share(self: &Arc<Self>, request: ShareRequest) -> Result<ShareReport, Failure> {
        let service = self.service(request.to.clone()).await?;
        let upload = upload_settings(&service, &request)?;
        let background = request.background;
        let ((tree, _), store, events, id) = (self.library()?, self.store.clone(), self.events.clone(), service.id);
        let number = blocking(move || {
            library::up_to_date(&tree, &events, &AtomicBool::new(false))?;
            let files = chosen(&tree, &store, &request.paths, request.from.as_deref().map(Path::new))?;
            let UploadSettings { folder, size, expires, unfit, gps, .. } = upload;
            let share = Share { service: id, created: store.clock().seconds(), folder, size, expires, unfit, gps };
            let files = files.into_iter().map(|(path, name)| (path, share.folder.join_path(&name))).collect();
            Ok(store.write(move |tx| shares::add(tx, &share, files))?)
        })
        .await?;
        self.sharing.wake.notify_one();
        let ended = match background {
            true => Ended::default(),
            false => self.send_now(service.clone()).await?,
        };
        self.reported(service, number, ended).await
    }

    /// All shares, the latest first.
    pub async fn shares(&self) -> Result<ShareList, Failure> {
        let services = self.services().await?;
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let name = |id| services.iter().find(|service| service.id == id).map(|service| service.name.clone());
            let all = shares::all(&tx)?.into_iter().rev().filter_map(|(number, share)| Some((name(share.service)?, number, share)));
            let told = all.map(|(name, number, share)| {
                // There may be many of them; one share with its files tells them.
                let report = report(&tx, name, number, &share)?;
                Ok(ShareReport { renamed: Vec::new(), skipped_files: Vec::new(), ..report })
            });
            Ok(ShareList { shares: told.collect::<Result<_, Failure>>()? })
        })
        .await
    }

    /// One share with its files.
    pub async fn told_share(&self, number: u64) -> Result<ToldShare, Failure> {
        let services = self.services().await?;
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let share = shares::get(&tx, number)?.ok_or_else(|| unknown(number))?;
            let service = services.iter().find(|service| service.id == share.service).ok_or_else(|| unknown(number))?;
            let report = report(&tx, service.name.clone(), number, &share)?;
            let files = shares::files(&tx, number)?.map(|item| Ok(told_file(&item?.1))).collect::<Result<_, Failure>>()?;
            Ok(ToldShare { report, files })
        })
        .await
    }

    /// Tries what failed again, of one share or of all, and waits.
    pub async fn retry_shares(self: &Arc<Self>, number: Option<u64>) -> Result<Vec<ShareReport>, Failure> {
        let mut reports = Vec::new();
        for (service, numbers) in self.shares_of(number).await? {
            let (store, all) = (self.store.clone(), numbers.clone());
            blocking(move || Ok(all.into_iter().try_for_each(|number| share::retry(&store, number).map(drop))?)).await?;
            let ended = self.send_now(service.clone()).await?;
            for number in numbers {
                reports.push(self.reported(service.clone(), number, ended.clone()).await?);
            }
        }
        Ok(reports)
    }

    /// Has what failed tried again by a serving node, of one share or of all, and does not wait for it. Returns how many files that are.
    pub async fn retry_shares_soon(&self, number: Option<u64>) -> Result<u64, Failure> {
        let numbers: Vec<u64> = self.shares_of(number).await?.into_iter().flat_map(|(_, numbers)| numbers).collect();
        let store = self.store.clone();
        let count =
            blocking(move || Ok(numbers.into_iter().try_fold(0, |sum, number| share::retry(&store, number).map(|count| sum + count))?))
                .await?;
        self.sharing.wake.notify_one();
        Ok(count)
    }

    /// What was not sent yet is not sent any more, of one share or of all. Returns how many files that are.
    pub async fn cancel_shares(&self, number: Option<u64>) -> Result<u64, Failure> {
        let numbers: Vec<u64> = self.shares_of(number).await?.into_iter().flat_map(|(_, numbers)| numbers).collect();
        let store = self.store.clone();
        blocking(move || Ok(numbers.into_iter().try_fold(0, |sum, number| share::cancel(&store, number).map(|count| sum + count))?)).await
    }

    /// The shares that something may still be done with, by service.
    async fn shares_of(&self, number: Option<u64>) -> Result<Vec<(Service, Vec<u64>)>, Failure> {
        let (services, store) = (self.services().await?, self.store.clone());
        blocking(move || {
            let tx = store.read()?;
            if let Some(number) = number {
                let share = shares::get(&tx, number)?;
                let service = share.and_then(|share| services.into_iter().find(|service| service.id == share.service));
                let service = service.ok_or_else(|| unknown(number))?;
                return Ok(vec![(service, vec![number])]);
            }
            let mut all = Vec::new();
            for service in services {
                let mut numbers = Vec::new();
                for (number, _) in shares::all(&tx)?.into_iter().filter(|(_, share)| share.service == service.id) {
                    let counts = share::counts(&store, number)?;
                    numbers.extend((counts.waiting + counts.failed > 0).then_some(number));
                }
                all.extend((!numbers.is_empty()).then_some((service, numbers)));
            }
            Ok(all)
        })
        .await
    }

    /// Does what is due with a service, also when nobody waits for it any more.
    async fn send_now(self: &Arc<Self>, service: Service) -> Result<Ended, Failure> {
        let node = Arc::clone(self);
        let sent = tokio::spawn(async move { node.carry_out_shares(service).await });
        sent.await.map_err(|error| Failure::unreachable(format!("a part of the program ended unexpectedly: {error}")))?
    }

    /// Does what is due with a service, when its turn comes. Where the service is changed meanwhile, it goes on with what it is then.
    pub(crate) async fn carry_out_shares(&self, service: Service) -> Result<Ended, Failure> {
        loop {
            let Some(turn) = self.sharing.turn(service.id).await else {
                return Ok(Ended { error: Some("the node is being stopped; it goes on by itself".into()), ..Ended::default() });
            };
            // It may have been set up in another way while we waited, called otherwise, or be gone.
            let now = self.services().await?.into_iter().find(|now| now.id == service.id).ok_or_else(|| removed(&service.name))?;
            let ended = self.carry_out_now(now, turn.stop.clone()).await?;
            if !turn.stop.is_stopped() {
                return Ok(ended);
            }
        }
    }

    async fn carry_out_now(&self, service: Service, stop: Stop) -> Result<Ended, Failure> {
        let (library, client) = (self.library()?, self.services.client(&service.name)?);
        let (id, name, store) = (service.id, service.name.clone(), self.store.clone());
        let how = (self.parallel, self.events.clone(), stop);
        let courier = Courier::new(library, store.clone(), client, service, how)?;
        let ended = watched(&self.sharing.under_way, &self.events, &name, courier.carry_out()).await?;
        self.metrics.count_share(&name, &ended.tally);
        match &ended.error {
            Some(reason) if ended.refused => {
                let (reason, since) = (reason.clone(), store.clock().seconds());
                let stopped = Some(Stopped { reason, since });
                blocking(move || Ok(Standing::change(&store, id, |standing| Standing { stopped, ..standing })?)).await?;
                self.runs.tell(Note::Settings);
            }
            _ => blocking(move || Ok(share::prune(&store)?)).await?,
        }
        Ok(ended)
    }

    async fn reported(&self, service: Service, number: u64, ended: Ended) -> Result<ShareReport, Failure> {
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let Some(share) = shares::get(&tx, number)? else {
                return Err(removed(&service.name));
            };
            let warning = comes_back(&service, &share.folder);
            let told = report(&tx, service.name, number, &share)?;
            Ok(ShareReport { error: ended.error, unreachable: ended.unreachable, warning, ..told })
        })
        .await
    }
}

fn removed(name: &str) -> Failure {
    Failure::wrong_state(format!("the service {name} was removed meanwhile, with what was to be sent"))
}

fn unknown(number: u64) -> Failure {
    Failure::not_found(format!("there is no share {number}; see `twinlens share list`"))
}

/// How the files of a request are sent.
fn upload_settings(service: &Service, request: &ShareRequest) -> Result<UploadSettings, Failure> {
    let set = &service.upload;
    if !set.on {
        let name = &service.name;
        return Err(Failure::usage(format!(
            "sharing with {name} is switched off; switch it on with `twinlens service upload {name} --on`"
        )));
    }
    let upload = UploadSettings {
        on: true,
        folder: request.folder.as_deref().map(remote_folder).transpose()?.unwrap_or_else(|| set.folder.clone()),
        size: request.size.unwrap_or(set.size),
        expires: request.expires.unwrap_or(set.expires),
        unfit: request.unfit.unwrap_or(set.unfit),
        gps: request.gps.unwrap_or(set.gps),
    };
    match upload.contradiction() {
        Some(why) => Err(Failure::usage(why).about("gps")),
        None => Ok(upload),
    }
}

/// What is sent into a folder that is synced comes back from there.
fn comes_back(service: &Service, folder: &RelPath) -> Option<String> {
    let synced = service.sync.on && service.sync.download && folder.strip_prefix(&service.sync.folder).is_some();
    synced.then(|| {
        format!(
            "/{folder} lies in the folder of {} that is synced: JPEGs that were made are downloaded from there by the next sync. Share into a \
             folder outside, or leave it out with `twinlens service sync {} --exclude`",
            service.name, service.name
        )
    })
}
