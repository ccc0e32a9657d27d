//! Knowing without looking that there is nothing to do.

use crate::library::ScanReport;
use crate::store::changes::Changes;
use crate::store::documents::RUNS;
use crate::store::listed::{Listed, Settled};

use super::Report;
use super::observe::Observed;
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// What a run depends on besides the service's listing, as it is now.
    pub(super) async fn state(&self, scanned: &ScanReport) -> Result<Settled, SyncError> {
        let (store, sync, ignore) = (self.store.clone(), self.service.sync.clone(), scanned.ignore_state());
        blocking(move || {
            let changes = Changes::open(&store.read()?)?;
            // Another version may decide otherwise.
            let settings = format!("{} {sync:?} {ignore:x}", env!("CARGO_PKG_VERSION"));
            Ok(Settled { library: (changes.epoch(), changes.latest()), settings })
        })
        .await
    }

    /// The report of the last run, if that went well, an earlier one or it left nothing to do, and everything is as it was then.
    pub(super) async fn settled(&self, state: &Settled) -> Result<Option<Report>, SyncError> {
        let (store, service, state) = (self.store.clone(), self.service.id, state.clone());
        blocking(move || {
            let tx = store.read()?;
            if Listed::read(&tx, service)?.settled != Some(state) {
                return Ok(None);
            }
            // A run that failed as a whole says nothing of what is left as it is.
            let last: Option<Report> = RUNS.get(&tx, &service.0.to_string())?;
            Ok(last.filter(|last| last.error.is_none()))
        })
        .await
    }

    /// This run left nothing to do.
    pub(super) async fn settle(&self, state: Settled) -> Result<(), SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || {
            let listed = Listed { settled: Some(state), ..Listed::read(&store.read()?, service)? };
            Ok(store.write_soon(move |tx| listed.write(tx, service))?)
        })
        .await
    }

    /// The report of a run that had nothing to do. What is left as it is has not changed since the last one.
    pub(super) fn nothing_to_do(&self, last: Report, observed: &Observed) -> Report {
        let Report { name, skipped, skipped_total, held_back, skipped_groups, .. } = last;
        let dry_run = self.options.dry_run;
        let mut report = Report { name, dry_run, skipped, skipped_total, held_back, skipped_groups, ..Report::default() };
        for noted in &observed.unnamable {
            if !report.skipped.contains(noted) {
                report.skip(noted.clone());
            }
        }
        report
    }
}
