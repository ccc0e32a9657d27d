//! Sharing: chosen files are sent to a service, and removed from it again when they expire.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use utoipa::ToSchema;

use crate::library;
use crate::scheduler::{Standing, Stopped};
use crate::services::{Service, UploadSettings};
use crate::share::{self, Counts, Courier, Ended, Stop};
use crate::store::shares::{self, FileState, Share, SharedFile};
use crate::types::{Evidence, Expires, Gps, RelPath, ServiceId, Size, Unfit};

use super::chosen::chosen;
use super::sending::{UnderWay, watched};
use super::uploads::remote_folder;
use super::{ExitCode, Failure, Note, Operations, blocking};

/// Files that are to be shared; what is none is as it was set up for the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ShareRequest {
    /// Files and folders, absolute or relative to the library, or else to `from`.
    pub paths: Vec<String>,
    /// The folder in which somebody typed the paths.
    pub from: Option<String>,
    /// The service.
    pub to: String,
    /// The folder there.
    pub folder: Option<String>,
    /// How large pictures are sent.
    pub size: Option<Size>,
    /// How long they stay.
    pub expires: Option<Expires>,
    /// What becomes of files that cannot be sent in that size.
    pub unfit: Option<Unfit>,
    /// Whether the JPEGs that are made tell where a picture was taken.
    pub gps: Option<Gps>,
    /// Only remember it; a serving node sends them.
    pub background: bool,
}

/// A file with a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedNote {
    /// The path in the library.
    pub path: String,
    /// Why.
    pub reason: String,
    /// When it is tried again, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A file that has another name on the service than it would have had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedName {
    /// The path in the library.
    pub path: String,
    /// Where it is, below the service's WebDAV root.
    pub at: String,
}

/// How far a share is, and what became of its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareReport {
    /// Its number.
    pub share: u64,
    /// The service.
    pub service: String,
    /// When it was asked for.
    pub created: String,
    /// The folder there, below the service's WebDAV root.
    pub folder: String,
    /// How large pictures are sent.
    pub size: Size,
    /// How long they stay.
    pub expires: Expires,
    /// How many files are how far.
    #[serde(flatten)]
    pub counts: Counts,
    /// Bytes that are on the service for it.
    pub bytes: u64,
    /// How many of them are proven how.
    pub evidence: std::collections::BTreeMap<String, u64>,
    /// When the first of them is removed.
    pub removed_from: Option<String>,
    /// Files whose names were taken.
    pub renamed: Vec<SharedName>,
    /// Files that are not sent, and why.
    pub skipped_files: Vec<SharedNote>,
    /// Files that failed and are tried again.
    pub failed_files: Vec<SharedNote>,
    /// Files that have expired and are left on the service.
    pub left_files: Vec<SharedNote>,
    /// Why sending stopped as a whole, if it did.
    pub error: Option<String>,
    /// The service could not be reached.
    pub unreachable: bool,
    /// Something that its owner may not expect.
    pub warning: Option<String>,
}

/// All shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShareList {
    /// The latest first.
    pub shares: Vec<ShareReport>,
}

/// A file of a share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldFile {
    /// The path in the library.
    pub path: String,
    /// `waiting`, `failed`, `uploaded`, `already-there`, `skipped`, `cancelled`, `expired` or `left`.
    pub state: String,
    /// Where it is or was, below the service's WebDAV root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// How many bytes were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What the proof of the upload rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Evidence>,
    /// When it was proven to have arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<String>,
    /// When it is to be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
    /// Why it failed, was skipped or is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A share with its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ToldShare {
    /// How far it is.
    #[serde(flatten)]
    pub report: ShareReport,
    /// Every file.
    pub files: Vec<ToldFile>,
}

impl ShareReport {
    /// The exit code that it means.
    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.counts.waiting + self.counts.failed, &self.error) {
            (_, Some(_)) if self.unreachable && self.counts.uploaded == 0 => ExitCode::Unreachable,
            (0, None) => ExitCode::Done,
            _ => ExitCode::Failures,
        }
    }
}

/// Who sends: one run a service at a time.
#[derive(Default)]
pub(crate) struct Sharing {
    turns: Mutex<HashMap<ServiceId, Arc<tokio::sync::Mutex<()>>>>,
    stop: Stop,
    /// Rung when something was added.
    pub(crate) wake: Notify,
    pub(super) under_way: UnderWay,
}

impl Sharing {
    fn turn(&self, service: ServiceId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(service).or_default())
    }

    /// Breaks off what is being sent, and waits until that is so.
    pub(crate) async fn stop(&self) {
        self.stop.stop();
        let turns: Vec<_> = self.turns.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for turn in turns {
            drop(turn.lock().await);
        }
    }
}

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

    /// Does what is due with a service, when its turn comes.
    pub(crate) async fn carry_out_shares(&self, service: Service) -> Result<Ended, Failure> {
        let turn = self.sharing.turn(service.id);
        let _turn = turn.lock().await;
        if self.sharing.stop.is_stopped() {
            return Ok(Ended { error: Some("the node is being stopped; it goes on by itself".into()), ..Ended::default() });
        }
        // It may have been set up in another way while we waited.
        let service = self.service(service.name).await?;
        let (library, client) = (self.library()?, self.services.client(&service.name)?);
        let how = (self.parallel, self.events.clone(), self.sharing.stop.clone());
        let (id, name) = (service.id, service.name.clone());
        let courier = Courier::new(library, self.store.clone(), client, service, how)?;
        let ended = watched(&self.sharing.under_way, &self.events, &name, courier.carry_out()).await?;
        let store = self.store.clone();
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
                return Err(Failure::usage(format!("the service {} was removed meanwhile, with what was to be sent", service.name)));
            };
            let warning = comes_back(&service, &share.folder);
            let told = report(&tx, service.name, number, &share)?;
            Ok(ShareReport { error: ended.error, unreachable: ended.unreachable, warning, ..told })
        })
        .await
    }
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

fn report(tx: &redb::ReadTransaction, service: String, number: u64, share: &Share) -> Result<ShareReport, Failure> {
    let mut report = ShareReport {
        share: number,
        service,
        created: time(share.created),
        folder: format!("/{}", share.folder),
        size: share.size,
        expires: share.expires,
        ..ShareReport::default()
    };
    let mut first = None;
    for item in shares::files(tx, number)? {
        let (_, SharedFile { path, wanted, state, .. }) = item?;
        report.counts.count(&state);
        let noted =
            |reason: &str, next: Option<i64>| SharedNote { path: path.to_string(), reason: reason.to_owned(), next: next.map(time) };
        match &state {
            FileState::Waiting { failed: Some(retry) } => report.failed_files.push(noted(&retry.reason, Some(retry.next))),
            FileState::Skipped { reason } => report.skipped_files.push(noted(reason, None)),
            FileState::Left { reason, .. } => report.left_files.push(noted(reason, None)),
            FileState::Sent(sent) => {
                report.bytes += sent.version.size.unwrap_or(0);
                *report.evidence.entry(sent.evidence.name().to_owned()).or_default() += 1;
                first = [first, sent.expires].into_iter().flatten().min();
                if let Some(retry) = &sent.failed {
                    report
                        .failed_files
                        .push(noted(&format!("it has expired and could not be removed: {}", retry.reason), Some(retry.next)));
                }
                if sent.at.stem_and_extension().0 != wanted.stem_and_extension().0 {
                    report.renamed.push(SharedName { path: path.to_string(), at: format!("/{}", sent.at) });
                }
            }
            FileState::Waiting { failed: None } | FileState::There { .. } | FileState::Cancelled | FileState::Removed { .. } => {}
        }
    }
    report.removed_from = first.map(time);
    Ok(report)
}

fn told_file(file: &SharedFile) -> ToldFile {
    let SharedFile { path, state, .. } = file;
    let told = |state: &str| ToldFile { path: path.to_string(), state: state.to_owned(), ..ToldFile::default() };
    let place = |at: &RelPath| Some(format!("/{at}"));
    match state {
        FileState::Waiting { failed: None } => told("waiting"),
        FileState::Waiting { failed: Some(retry) } => {
            ToldFile { reason: Some(retry.reason.clone()), attempts: Some(retry.attempts), next: Some(time(retry.next)), ..told("failed") }
        }
        FileState::Sent(sent) => ToldFile {
            at: place(&sent.at),
            bytes: sent.version.size,
            proof: Some(sent.evidence),
            arrived: Some(time(sent.arrived)),
            expires: sent.expires.map(time),
            reason: sent.failed.as_ref().map(|retry| retry.reason.clone()),
            ..told("uploaded")
        },
        FileState::There { at, .. } => ToldFile { at: place(at), ..told("already-there") },
        FileState::Skipped { reason } => ToldFile { reason: Some(reason.clone()), ..told("skipped") },
        FileState::Cancelled => told("cancelled"),
        FileState::Removed { at, when } => ToldFile { at: place(at), removed: Some(time(*when)), ..told("expired") },
        FileState::Left { at, reason } => ToldFile { at: place(at), reason: Some(reason.clone()), ..told("left") },
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
