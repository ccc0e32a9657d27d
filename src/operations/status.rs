//! How things are, and how they were.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::scheduler::{Standing, Trigger};
use crate::services::Service;
use crate::store::documents::RUNS;
use crate::store::failures::{FailedFile, Failures};
use crate::store::history::{self, FileOutcome, Run, SkippedFile};
use crate::store::index::Index;
use crate::store::{Store, StoreError};
use crate::sync::{Moving, Noted, Pace, Progress, Report};
use crate::types::RelPath;

use super::blocking::blocking;
use super::runs::Running;
use super::thumbnails::ThumbnailStatus;
use super::verify::Hurt;
use super::{Failure, Operations};

/// So many of the files that wait are named.
const NAMED: usize = 5;

/// How things are.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Status {
    /// Where the library is.
    pub library: Option<String>,
    /// Files in it.
    pub files: u64,
    /// The address that the node serves on.
    pub url: Option<String>,
    /// Nobody logs in.
    pub public: bool,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// Files that are damaged.
    pub damaged: Vec<Hurt>,
    /// When every byte was read for the last time.
    pub verified: Option<String>,
    /// How far the thumbnails are.
    pub thumbnails: Option<ThumbnailStatus>,
}

/// Whether a service is synced by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncState {
    /// It is.
    On,
    /// It is not.
    Off,
    /// Not until it is resumed.
    Paused,
    /// Not until its owner did something about the reason.
    Stopped,
}

/// How things are with a service.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its WebDAV root.
    pub url: String,
    /// It takes part in a sync of all services.
    pub on: bool,
    /// Whether it is synced by itself.
    pub state: SyncState,
    /// Why it is stopped.
    pub reason: Option<String>,
    /// The run that goes on.
    pub running: Option<Going>,
    /// When the next one begins.
    pub next_run: Option<String>,
    /// How many runs failed one after the other.
    pub failed_runs: u32,
    /// Files that failed and are to be tried again.
    pub waiting: Waiting,
    /// When the last run ended.
    pub last_ended: Option<String>,
    /// What the last run did.
    pub last_run: Option<Report>,
}

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Going {
    /// Why it began.
    pub trigger: String,
    /// When.
    pub started: String,
    /// It was told to stop.
    pub stopping: bool,
    /// How far it came.
    pub progress: Progress,
    /// How fast it goes.
    #[serde(flatten)]
    pub pace: Pace,
    /// The files that are on their way: at most 50.
    pub files: Vec<Moving>,
    /// It only finds out what a sync would do.
    pub preview: bool,
}

/// Files that failed and are to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Waiting {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<WaitingFile>,
}

/// A file that failed and is to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingFile {
    /// In the library, or on the service for what exists only there.
    pub path: RelPath,
    /// `upload`, `download`, ...
    pub action: String,
    /// Why it failed.
    pub reason: String,
    /// The kind of reason, in a word that stays the same: `unreachable`, `timeout`, ... Not known of what an earlier version tried last.
    pub cause: Option<String>,
    /// How often.
    pub attempts: u32,
    /// When it failed for the first time.
    pub first: String,
    /// When it is tried again.
    pub next: String,
}

/// The same, with the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingOf {
    /// With which service.
    pub service: String,
    /// The file.
    #[serde(flatten)]
    pub file: WaitingFile,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ToldRun {
    /// Its number.
    pub id: u64,
    /// With which service.
    pub service: String,
    /// Why it began.
    pub trigger: String,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// How long it took.
    pub seconds: f64,
    /// The counts of its report, by their names there.
    pub counts: BTreeMap<String, u64>,
    /// Why the whole run stopped, if it did.
    pub error: Option<String>,
    /// The kind of that, in a word that stays the same, as in a report. Not known of runs of an earlier version.
    pub cause: Option<String>,
}

/// What became of a file in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunFile {
    /// In the library, or on the service for what exists only there.
    pub path: String,
    /// `upload`, `download`, ...
    pub action: String,
    /// Bytes that were to travel.
    pub bytes: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The kind of that, in a word that stays the same: `unreachable`, `timeout`, ... Not known of runs of an earlier version.
    pub cause: Option<String>,
}

/// A run with its files.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OneRun {
    /// The run.
    pub run: ToldRun,
    /// In the order in which they ended.
    pub files: Vec<RunFile>,
    /// Of how many more it is not kept what became of them.
    pub untold: u64,
}

/// What a run left as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedOfRun {
    /// In the order in which it was noticed. A run names the first thousand.
    pub skipped: Vec<Noted>,
    /// So many files all together.
    pub total: u64,
    /// The place of the last one, if there are more.
    pub next: Option<u32>,
}

impl Operations {
    /// The library, how much it holds, the services: what they are doing, their last and next runs, what failed and waits.
    pub async fn status(&self) -> Result<Status, Failure> {
        let serving = self.url();
        let mut rows = Vec::new();
        for (service, standing) in self.services_and_standings().await? {
            let running = self.runs.of(service.id);
            let next = serving.as_ref().and_then(|_| self.next_run(&service, &standing));
            rows.push((service, standing, running, next));
        }
        let store = self.store.clone();
        let (files, services) = blocking(move || {
            let files = Index::open(&store.read()?)?.len()?;
            let rows = rows.iter().map(|(service, standing, running, next)| row(&store, service, standing, running.as_ref(), *next));
            Ok((files, rows.collect::<Result<Vec<_>, _>>()?))
        })
        .await?;
        let (damaged, verified) = self.health().await?;
        let library = self.library_path().map(|path| path.display().to_string());
        let thumbnails = Some(self.thumbnail_status()).filter(|_| self.url().is_some());
        Ok(Status { library, files, url: serving, public: self.is_public(), services, damaged, verified, thumbnails })
    }

    /// The runs that are kept, the latest first; of one service when it is named.
    pub async fn runs(&self, name: Option<String>) -> Result<Vec<ToldRun>, Failure> {
        let services = self.one_or_all(name).await?;
        let store = self.store.clone();
        blocking(move || {
            let runs = history::runs(&store.read()?)?.into_iter().filter_map(|(number, run)| {
                let service = services.iter().find(|(service, _)| service.id == run.service)?;
                Some(told(number, &service.0.name, &run))
            });
            Ok(runs.collect())
        })
        .await
    }

    /// One run with what became of its files; of one service when it is named.
    pub async fn run(&self, name: Option<String>, wanted: u64) -> Result<OneRun, Failure> {
        let found = self.find_run(name, wanted).await?;
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            // It may have been let go meanwhile; then nothing is known of its files any more.
            let untold = history::runs(&tx)?.into_iter().find(|(number, _)| *number == wanted).map_or(0, |(_, run)| run.untold);
            let files = history::files(&tx, wanted)?.into_iter();
            let files =
                files.map(|FileOutcome { path, verb, bytes, failure, cause }| RunFile { path, action: verb, bytes, failure, cause });
            Ok(OneRun { run: found, files: files.collect(), untold })
        })
        .await
    }

    /// What a run left as it was: at most `most` files after the place `after`, each with its place; of one service when it is named.
    pub async fn skipped(&self, name: Option<String>, wanted: u64, after: Option<u32>, most: usize) -> Result<SkippedOfRun, Failure> {
        let run = self.find_run(name, wanted).await?;
        let count = |name: &str| run.counts.get(name).copied();
        let total = count("skipped_total").or_else(|| count("skipped")).unwrap_or(0);
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let mut rows = history::skipped(&tx, wanted, after)?;
            let skipped = rows.by_ref().take(most).collect::<Result<Vec<_>, _>>()?;
            let next = rows.next().and(skipped.last()).map(|(place, _)| *place);
            let told = |SkippedFile { path, reason, cause }| Noted { path, reason, cause, other: None };
            let skipped = skipped.into_iter().map(|(_, file)| told(file)).collect();
            Ok(SkippedOfRun { skipped, total, next })
        })
        .await
    }

    async fn find_run(&self, name: Option<String>, wanted: u64) -> Result<ToldRun, Failure> {
        let found = self.runs(name).await?.into_iter().find(|run| run.id == wanted);
        found.ok_or_else(|| Failure::not_found(format!("there is no run {wanted}; see `twinlens history`, which keeps the latest ones")))
    }

    /// Files that failed and are to be tried again; of one service when it is named.
    pub async fn waiting(&self, name: Option<String>) -> Result<Vec<WaitingOf>, Failure> {
        let services = self.one_or_all(name).await?;
        let store = self.store.clone();
        blocking(move || {
            let (tx, mut all) = (store.read()?, Vec::new());
            for (service, _) in services {
                for item in Failures::open(&tx, service.id)?.all()? {
                    let (path, failed) = item?;
                    all.push(WaitingOf { service: service.name.clone(), file: waiting(&path, &failed) });
                }
            }
            Ok(all)
        })
        .await
    }
}

fn row(
    store: &Store,
    service: &Service,
    standing: &Standing,
    running: Option<&Running>,
    next: Option<i64>,
) -> Result<ServiceStatus, StoreError> {
    let tx = store.read()?;
    let last: Option<Report> = RUNS.get(&tx, &service.id.0.to_string())?;
    let (mut count, mut first) = (0_u64, Vec::new());
    for item in Failures::open(&tx, service.id)?.all()? {
        let (path, failed) = item?;
        count += 1;
        if first.len() < NAMED {
            first.push(waiting(&path, &failed));
        }
    }
    let state = match (standing, service.sync.on) {
        (Standing { stopped: Some(_), .. }, _) => SyncState::Stopped,
        (Standing { paused: true, .. }, _) => SyncState::Paused,
        (_, true) => SyncState::On,
        (_, false) => SyncState::Off,
    };
    Ok(ServiceStatus {
        name: service.name.clone(),
        url: service.url.clone(),
        on: service.sync.on,
        state,
        reason: standing.stopped.as_ref().map(|stopped| stopped.reason.clone()),
        running: running.map(|running| Going {
            trigger: running.trigger.to_string(),
            started: running.started.to_string(),
            stopping: running.monitor.stopped().is_some(),
            progress: running.monitor.progress(),
            pace: running.monitor.pace(),
            files: running.monitor.moving(),
            preview: running.trigger == Trigger::Preview,
        }),
        next_run: next.map(time),
        failed_runs: standing.failures,
        waiting: Waiting { count, first },
        last_ended: standing.ended.map(time),
        last_run: last,
    })
}

fn waiting(path: &RelPath, failed: &FailedFile) -> WaitingFile {
    let FailedFile { verb, reason, cause, attempts, first, next, .. } = failed.clone();
    WaitingFile { path: path.clone(), action: verb, reason, cause, attempts, first: time(first), next: time(next) }
}

fn told(number: u64, service: &str, run: &Run) -> ToldRun {
    let at = |milliseconds: i64| Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string();
    ToldRun {
        id: number,
        service: service.to_owned(),
        trigger: run.trigger.clone(),
        started: at(run.started),
        ended: at(run.ended),
        seconds: (run.ended - run.started) as f64 / 1000.0,
        counts: run.counts.iter().cloned().collect(),
        error: run.error.clone(),
        cause: run.cause.clone(),
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
