//! Figures for Prometheus: what was done since the start, and how things are.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::store::damage;
use crate::store::failures::Failures;
use crate::store::index::Index;
use crate::sync::Report;

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

    fn register(&self, registry: &mut Registry) {
        registry.register("sync_runs", "Syncs that ended, by how", self.runs.clone());
        registry.register("sync_files", "Files that were transferred, changed or joined, by action", self.files.clone());
        registry.register_with_unit("sync_transferred", "Bytes of files that were transferred", Unit::Bytes, self.bytes.clone());
        registry.register("sync_requests", "HTTP requests to services", self.requests.clone());
        registry.register("sync_proofs", "Uploads that were proven, by what the proof rests on", self.proofs.clone());
        registry.register("sync_failures", "Files that failed, by kind of reason", self.failures.clone());
    }
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Moment {
    files: u64,
    damaged: u64,
    /// Of each service: its name, the age of its last sync that went through, the files that failed and wait, whether it is being synced.
    services: Vec<(String, Option<i64>, u64, bool)>,
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
        let (ages, waiting, running) =
            (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for (name, age, count, runs) in &self.services {
            let labels = vec![("service", name.clone())];
            if let Some(age) = age {
                ages.get_or_create(&labels).set(*age);
            }
            waiting.get_or_create(&labels).set(i64::try_from(*count).unwrap_or(i64::MAX));
            running.get_or_create(&labels).set(i64::from(*runs));
        }
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
                Ok((service.name, standing.done.map(|at| now - at), waiting, running))
            });
            let services = services.collect::<Result<_, Failure>>()?;
            Ok(Moment { files: Index::open(&tx)?.len()?, damaged: damage::all(&tx)?.len() as u64, services })
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
