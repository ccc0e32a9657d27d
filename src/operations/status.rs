//! How things are, and how they were.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::scheduler::Standing;
use crate::services::Service;
use crate::store::documents::RUNS;
use crate::store::failures::{FailedFile, Failures};
use crate::store::history::{self, Run};
use crate::store::index::Index;
use crate::store::{Store, StoreError};
use crate::sync::Report;
use crate::types::RelPath;

use super::blocking::blocking;
use super::runs::Running;
use super::{Failure, Operations};

/// So many of the files that wait are named.
const NAMED: usize = 5;

impl Operations {
    /// The library, how much it holds, the services: what they are doing, their last and next runs, what failed and waits.
    pub async fn status(&self) -> Result<Value, Failure> {
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
        Ok(json!({
            "library": self.library_path().map(|path| path.display().to_string()),
            "files": files,
            "url": serving,
            "public": self.is_public(),
            "services": services,
            "damaged": damaged,
            "verified": verified,
        }))
    }

    /// The runs that are kept, the latest first; of one service when it is named; one run with what became of its files.
    pub async fn history(&self, name: Option<String>, run: Option<u64>) -> Result<Value, Failure> {
        let services = self.one_or_all(name).await?;
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let runs = history::runs(&tx)?.into_iter().filter_map(|(number, run)| {
                let service = services.iter().find(|(service, _)| service.id == run.service)?;
                Some((number, service.0.name.clone(), run))
            });
            let Some(wanted) = run else {
                return Ok(json!({ "runs": runs.map(|(number, service, run)| told(number, &service, &run)).collect::<Vec<_>>() }));
            };
            let found = runs.into_iter().find(|(number, _, _)| *number == wanted);
            let (number, service, run) = found.ok_or_else(|| {
                Failure::not_found(format!("there is no run {wanted}; see `twinlens history`, which keeps the latest ones"))
            })?;
            let files: Vec<_> = history::files(&tx, number)?
                .iter()
                .map(|file| json!({ "path": file.path, "action": file.verb, "bytes": file.bytes, "failure": file.failure }))
                .collect();
            Ok(json!({ "run": told(number, &service, &run), "files": files, "untold": run.untold }))
        })
        .await
    }
}

fn row(store: &Store, service: &Service, standing: &Standing, running: Option<&Running>, next: Option<i64>) -> Result<Value, StoreError> {
    let tx = store.read()?;
    let last: Option<Report> = RUNS.get(&tx, &service.id.0.to_string())?;
    let (mut count, mut named) = (0_u64, Vec::new());
    for item in Failures::open(&tx, service.id)?.all()? {
        let (path, failed) = item?;
        count += 1;
        if named.len() < NAMED {
            named.push(waiting(&path, &failed));
        }
    }
    let state = match (standing, service.sync.on) {
        (Standing { stopped: Some(_), .. }, _) => "stopped",
        (Standing { paused: true, .. }, _) => "paused",
        (_, true) => "on",
        (_, false) => "off",
    };
    Ok(json!({
        "name": service.name,
        "url": service.url,
        "on": service.sync.on,
        "state": state,
        "reason": standing.stopped.as_ref().map(|stopped| &stopped.reason),
        "running": running.map(|running| json!({
            "trigger": running.trigger.to_string(),
            "started": running.started.to_string(),
            "stopping": running.monitor.stopped().is_some(),
            "progress": running.monitor.progress(),
        })),
        "next_run": next.map(time),
        "failed_runs": standing.failures,
        "waiting": { "count": count, "first": named },
        "last_ended": standing.ended.map(time),
        "last_run": last,
    }))
}

fn waiting(path: &RelPath, failed: &FailedFile) -> Value {
    let FailedFile { verb, reason, attempts, first, next, .. } = failed;
    json!({ "path": path.as_str(), "action": verb, "reason": reason, "attempts": attempts, "first": time(*first), "next": time(*next) })
}

fn told(number: u64, service: &str, run: &Run) -> Value {
    let at = |milliseconds: i64| Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string();
    json!({
        "id": number,
        "service": service,
        "trigger": run.trigger,
        "started": at(run.started),
        "ended": at(run.ended),
        "seconds": (run.ended - run.started) as f64 / 1000.0,
        "counts": run.counts(),
        "error": run.error,
    })
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
