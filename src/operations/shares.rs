//! Sharing: chosen files are sent to a service, and removed from it again when they expire.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::library;
use crate::scheduler::{Standing, Stopped};
use crate::services::{Service, UploadSettings};
use crate::share::{self, Counts, Courier, Ended, Stop};
use crate::store::shares::{self, FileState, Share, SharedFile};
use crate::types::{Expires, Gps, RelPath, ServiceId, Size, Unfit};

use super::chosen::chosen;
use super::command::document;
use super::uploads::remote_folder;
use super::{ExitCode, Failure, Note, Operations, blocking};

/// Files that are to be shared; what is none is as it was set up for the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShareRequest {
    /// Files and folders, absolute or relative to the library, or else to `from`.
    pub paths: Vec<String>,
    /// The folder in which somebody typed the paths.
    pub from: Option<PathBuf>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedName {
    /// The path in the library.
    pub path: String,
    /// Where it is, below the service's WebDAV root.
    pub at: String,
}

/// How far a share is, and what became of its files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
            let files = chosen(&tree, &store, &request.paths, request.from.as_deref())?;
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

    /// All shares, the latest first; or one with its files.
    pub async fn shares(&self, number: Option<u64>) -> Result<Value, Failure> {
        let services = self.services().await?;
        let name = move |id: ServiceId| services.iter().find(|service| service.id == id).map(|service| service.name.clone());
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let Some(number) = number else {
                let all = shares::all(&tx)?.into_iter().rev().filter_map(|(number, share)| Some((name(share.service)?, number, share)));
                let told = all.map(|(name, number, share)| {
                    let mut report = report(&tx, name, number, &share)?;
                    // There may be many of them; one share with its files tells them.
                    report.renamed.clear();
                    report.skipped_files.clear();
                    document(&report)
                });
                return Ok(json!({ "shares": told.collect::<Result<Vec<_>, _>>()? }));
            };
            let unknown = || Failure::usage(format!("there is no share {number}; see `twinlens share list`"));
            let share = shares::get(&tx, number)?.ok_or_else(unknown)?;
            let mut told = document(&report(&tx, name(share.service).ok_or_else(unknown)?, number, &share)?)?;
            let files: Result<Vec<_>, Failure> = shares::files(&tx, number)?.map(|item| Ok(told_file(&item?.1))).collect();
            told["files"] = Value::Array(files?);
            Ok(told)
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
                let service = service.ok_or_else(|| Failure::usage(format!("there is no share {number}; see `twinlens share list`")))?;
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
        let id = service.id;
        let ended = Courier::new(library, self.store.clone(), client, service, how)?.carry_out().await?;
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
        Some(why) => Err(Failure::usage(why)),
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

fn told_file(file: &SharedFile) -> Value {
    let SharedFile { path, state, .. } = file;
    let path = path.as_str();
    match state {
        FileState::Waiting { failed: None } => json!({ "path": path, "state": "waiting" }),
        FileState::Waiting { failed: Some(retry) } => {
            json!({ "path": path, "state": "failed", "reason": retry.reason, "attempts": retry.attempts, "next": time(retry.next) })
        }
        FileState::Sent(sent) => json!({
            "path": path,
            "state": "uploaded",
            "at": format!("/{}", sent.at),
            "bytes": sent.version.size,
            "proof": sent.evidence,
            "arrived": time(sent.arrived),
            "expires": sent.expires.map(time),
            "reason": sent.failed.as_ref().map(|retry| &retry.reason),
        }),
        FileState::There { at, .. } => json!({ "path": path, "state": "already-there", "at": format!("/{at}") }),
        FileState::Skipped { reason } => json!({ "path": path, "state": "skipped", "reason": reason }),
        FileState::Cancelled => json!({ "path": path, "state": "cancelled" }),
        FileState::Removed { at, when } => json!({ "path": path, "state": "expired", "at": format!("/{at}"), "removed": time(*when) }),
        FileState::Left { at, reason } => json!({ "path": path, "state": "left", "at": format!("/{at}"), "reason": reason }),
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
