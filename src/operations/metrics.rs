//! Figures for Prometheus: what was done since the start, and how things are.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::share::Tally;
use crate::store::failures::Failures;
use crate::store::index::Index;
use crate::store::shares::{self, FileState};
use crate::store::{StoreError, damage, outbox};
use crate::sync::Report;
use crate::types::ServiceId;

use super::blocking::blocking;
use super::{Failure, Operations};

/// Names and values, such as `service="attic"`.
type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// What was done since the start. Runs are counted when they end.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    runs: Counters,
    files: Counters,
    bytes: Counters,
    requests: Counters,
    proofs: Counters,
    failures: Counters,
    shared: Counters,
    shared_bytes: Counters,
    share_failures: Counters,
}

impl Metrics {
    /// A run ended.
    pub(crate) fn count(&self, report: &Report) {
        let of = |name, value: &str| vec![("service", report.name.clone()), (name, value.to_owned())];
        self.runs.get_or_create(&of("result", report.result())).inc();
        for (action, files) in [
            ("upload", report.uploaded),
            ("download", report.downloaded),
            ("move", report.moved),
            ("copy", report.copied),
            ("delete", report.deleted),
            ("adopt", report.adopted),
        ] {
            self.files.get_or_create(&of("action", action)).inc_by(files);
        }
        self.bytes.get_or_create(&of("direction", "up")).inc_by(report.bytes_up);
        self.bytes.get_or_create(&of("direction", "down")).inc_by(report.bytes_down);
        self.requests.get_or_create(&vec![("service", report.name.clone())]).inc_by(report.requests);
        for (level, files) in &report.evidence {
            self.proofs.get_or_create(&of("evidence", level.name())).inc_by(*files);
        }
        for (reason, files) in &report.causes {
            self.failures.get_or_create(&of("reason", reason)).inc_by(*files);
        }
    }

    /// A run of shares with a service ended.
    pub(crate) fn count_share(&self, service: &str, tally: &Tally) {
        let of = |name, value: &str| vec![("service", service.to_owned()), (name, value.to_owned())];
        self.shared.get_or_create(&of("action", "send")).inc_by(tally.sent);
        self.shared.get_or_create(&of("action", "remove")).inc_by(tally.removed);
        self.shared_bytes.get_or_create(&vec![("service", service.to_owned())]).inc_by(tally.bytes);
        for (reason, files) in &tally.failed {
            self.share_failures.get_or_create(&of("reason", reason)).inc_by(*files);
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("sync_runs", "Syncs that ended, by how", self.runs.clone());
        registry.register("sync_files", "Files that were transferred, changed or joined, by action", self.files.clone());
        registry.register_with_unit("sync_transferred", "Bytes of files that were transferred", Unit::Bytes, self.bytes.clone());
        registry.register("sync_requests", "HTTP requests to services", self.requests.clone());
        registry.register("sync_proofs", "Uploads that were proven, by what the proof rests on", self.proofs.clone());
        registry.register("sync_failures", "Files that failed, by kind of reason", self.failures.clone());
        registry.register("share_files", "Shared files that were sent, or removed when they had expired", self.shared.clone());
        registry.register_with_unit("share_sent", "Bytes of shared files that were sent", Unit::Bytes, self.shared_bytes.clone());
        registry.register("share_failures", "Shared files that failed, by kind of reason", self.share_failures.clone());
    }
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Moment {
    files: u64,
    damaged: u64,
    services: Vec<OfService>,
    /// Messages to the webhook that wait.
    messages: u64,
}

/// How things are with a service.
struct OfService {
    name: String,
    /// Of its last sync that went through.
    age: Option<i64>,
    /// Files that failed and wait.
    waiting: u64,
    running: bool,
    shares: Queue,
}

/// How many shared files are how far.
#[derive(Default)]
struct Queue {
    waiting: u64,
    failed: u64,
    expiring: u64,
}

fn queue(tx: &redb::ReadTransaction, service: ServiceId) -> Result<Queue, StoreError> {
    let mut queue = Queue::default();
    for place in shares::due(tx, service, i64::MAX, usize::MAX)? {
        match shares::file(tx, place)?.map(|file| file.state) {
            Some(FileState::Waiting { failed: None }) => queue.waiting += 1,
            Some(FileState::Waiting { failed: Some(_) }) => queue.failed += 1,
            Some(FileState::Sent(_)) => queue.expiring += 1,
            _ => {}
        }
    }
    Ok(queue)
}

fn gauge(value: u64) -> Gauge<i64> {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    gauge
}

impl Moment {
    fn register(&self, registry: &mut Registry) {
        registry.register("index_files", "Files of the library that the index knows", gauge(self.files));
        registry.register("damaged_files", "Files whose bytes changed on disk by themselves", gauge(self.damaged));
        registry.register("webhook_waiting_messages", "Messages that the webhook has not taken yet", gauge(self.messages));
        let [ages, waiting, running, queued] = std::array::from_fn(|_| Family::<Labels, Gauge>::default());
        for OfService { name, age, waiting: count, running: runs, shares } in &self.services {
            let labels = vec![("service", name.clone())];
            if let Some(age) = age {
                ages.get_or_create(&labels).set(*age);
            }
            waiting.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
            running.get_or_create(&labels).set(i64::from(*runs));
            for (state, files) in [("waiting", shares.waiting), ("failed", shares.failed), ("expiring", shares.expiring)] {
                let labels = vec![("service", name.clone()), ("state", state.to_owned())];
                queued.get_or_create(&labels).set(i64::try_from(files).unwrap_or(i64::MAX));
            }
        }
        registry.register("share_queue_files", "Shared files that are to be sent, failed and are tried again, or expire some day", queued);
        registry.register_with_unit(
            "sync_age",
            "Time since the last sync that went through; single files may have failed",
            Unit::Seconds,
            ages,
        );
        registry.register("sync_waiting_files", "Files that failed and are tried again later", waiting);
        registry.register("sync_running", "1 while the service is being synced", running);
    }
}

impl Operations {
    /// Everything in the text format of OpenMetrics 1.0.
    pub async fn metrics(&self) -> Result<String, Failure> {
        let mut rows = Vec::new();
        for (service, standing) in self.services_and_standings().await? {
            rows.push((self.runs.of(service.id).is_some(), service, standing));
        }
        let store = self.store.clone();
        let moment = blocking(move || {
            let (tx, now) = (store.read()?, store.clock().seconds());
            let services = rows.into_iter().map(|(running, service, standing)| {
                let waiting = Failures::open(&tx, service.id)?.all()?.count() as u64;
                let shares = queue(&tx, service.id)?;
                Ok(OfService { name: service.name, age: standing.done.map(|at| now - at), waiting, running, shares })
            });
            let services = services.collect::<Result<_, Failure>>()?;
            Ok(Moment { files: Index::open(&tx)?.len()?, damaged: damage::all(&tx)?.len() as u64, services, messages: outbox::count(&tx)? })
        })
        .await?;
        let mut registry = Registry::with_prefix("twinlens");
        self.metrics.register(&mut registry);
        moment.register(&mut registry);
        self.register_thumbnails(&mut registry);
        let refused = Counter::<u64>::default();
        refused.inc_by(self.logins.refused());
        registry.register("logins_refused", "Logins with a wrong password or an unknown user", refused);
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| Failure::unreachable(format!("the metrics cannot be written: {error}")))?;
        Ok(text)
    }

    fn register_thumbnails(&self, registry: &mut Registry) {
        let counter = |value: u64| {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            counter
        };
        let told = self.thumbnail_status();
        registry.register("thumbnails_waiting", "Thumbnails that are still to be made in the background", gauge(told.waiting));
        registry.register("thumbnails_made", "Thumbnails that were made", counter(told.made));
        registry.register("thumbnails_refused", "Files of which no thumbnail could be made", counter(told.refused));
        registry.register_with_unit("thumbnails_kept", "Bytes of thumbnails that are kept", Unit::Bytes, gauge(told.bytes));
    }
}
