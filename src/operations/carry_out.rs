//! One run with a service, from its turn to its history.

use std::sync::Arc;

use jiff::Timestamp;

use crate::client::ClientError;
use crate::events::Event;
use crate::scheduler::{Ending, Standing, Trigger};
use crate::services::{Service, ServiceError};
use crate::store::documents::RUNS;
use crate::store::history::{self, Run, SkippedFile};
use crate::sync::{Monitor, Noted, Options, Report, Stop, Sync, SyncError, next_retry};

use super::blocking::blocking;
use super::ended::{Ended, counts};
use super::restored;
use super::runs::{Note, Turn};
use super::{ExitCode, Failure, Kind, Operations};

impl Operations {
    /// Runs a sync whose turn it is, and writes down what became of it. A service that fails as a whole has the reason in its report.
    pub(crate) async fn carry_out(self: &Arc<Self>, turn: Turn, service: Service, options: Options, trigger: Trigger) -> Report {
        if !options.dry_run {
            self.runs.tell(Note::Started(service.id, trigger));
        }
        self.events.publish(Event::Started { service: service.name.clone(), trigger: trigger.to_string() });
        let started = self.store.clock().now();
        let monitor = turn.monitor();
        let report = self.sync_one(&service, options, &monitor).await;
        if !options.dry_run {
            self.metrics.count(&report);
        }
        if !options.dry_run
            && let Err(error) = self.write_down(&service, trigger, started, &report, &monitor).await
        {
            tracing::error!(service = %service.name, %error, "what a sync did could not be written down");
            // The scheduler must know all the same that it is over.
            let ending = ending(&report, &monitor);
            let interval = std::time::Duration::from_secs(60) * service.sync.interval_minutes;
            let standing = Standing::default().after(&ending, self.store.clock().seconds(), interval);
            self.runs.tell(Note::Ended(service.id, ending, standing));
        }
        if !options.dry_run {
            let times = (started.to_string(), self.store.clock().now().to_string());
            // An error means that nobody listens.
            let _ = self.ended.send(Arc::new(Ended::of(&service, trigger, times, &report)));
        }
        self.events.publish(Event::Ended { service: service.name, failure: report.error.clone() });
        report
    }

    async fn sync_one(&self, service: &Service, options: Options, monitor: &Monitor) -> Report {
        let run = async {
            let library = self.library()?;
            let client = self.services.client(&service.name)?;
            let watched = (self.events.clone(), monitor.clone());
            let (mut service, store) = (service.clone(), self.store.clone());
            let (service, careful) =
                blocking(move || Ok(restored::carefully(&store, &mut service).map(|careful| (service, careful))?)).await?;
            let id = service.id;
            let mut report = Sync::new(library, self.store.clone(), client, service, options, watched)?.run().await?;
            if careful {
                let store = self.store.clone();
                report = blocking(move || Ok(restored::looked(&store, id, &mut report).map(|()| report)?)).await?;
            }
            Ok(report)
        };
        run.await.unwrap_or_else(|Broken { refused, cancelled, cause, failure }| Report {
            name: service.name.clone(),
            dry_run: options.dry_run,
            unreachable: failure.code == ExitCode::Unreachable,
            refused,
            cancelled,
            error: Some(failure.message),
            cause: Some(cause.to_owned()),
            ..Report::default()
        })
    }

    /// The last report, the history, and what the scheduler must know.
    async fn write_down(
        &self,
        service: &Service,
        trigger: Trigger,
        started: Timestamp,
        report: &Report,
        monitor: &Monitor,
    ) -> Result<(), Failure> {
        let (id, store, last) = (service.id, self.store.clone(), report.clone());
        let ending = ending(report, monitor);
        let interval = std::time::Duration::from_secs(60) * service.sync.interval_minutes;
        let outcomes = monitor.outcomes();
        let ended = self.store.clock().now();
        let run = Run {
            service: id,
            started: started.as_millisecond(),
            ended: ended.as_millisecond(),
            trigger: trigger.to_string(),
            counts: counts(report),
            error: report.error.clone(),
            untold: outcomes.untold,
            cause: report.cause.clone(),
        };
        let skipped: Vec<SkippedFile> = report.skipped.iter().map(to_keep).collect();
        let how = ending.clone();
        let standing = blocking(move || {
            let files_at = next_retry(&store, id)?;
            store.write(move |tx| {
                RUNS.put(tx, &id.0.to_string(), &last)?;
                history::put(tx, &run, &outcomes.files, &skipped)
            })?;
            let now = ended.as_second();
            Ok(Standing::change(&store, id, move |standing| Standing { files_at, ..standing.after(&how, now, interval) })?)
        })
        .await?;
        self.runs.tell(Note::Ended(id, ending, standing));
        Ok(())
    }
}

/// A run that stopped as a whole.
struct Broken {
    refused: bool,
    cancelled: bool,
    /// As in [`SyncError::cause`].
    cause: &'static str,
    failure: Failure,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        let cause = match failure.kind {
            Kind::NoLibrary => "library",
            Kind::Full => "disk-full",
            _ => "run",
        };
        Self { refused: false, cancelled: false, cause, failure }
    }
}

impl From<ServiceError> for Broken {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Client(error) => SyncError::Client(error).into(),
            error => Failure::from(error).into(),
        }
    }
}

impl From<SyncError> for Broken {
    fn from(error: SyncError) -> Self {
        let refused = matches!(error, SyncError::Client(ClientError::Unauthorized));
        let cancelled = matches!(error, SyncError::Stopped(_));
        Self { refused, cancelled, cause: error.cause(), failure: error.into() }
    }
}

fn to_keep(Noted { path, reason, cause, .. }: &Noted) -> SkippedFile {
    SkippedFile { path: path.clone(), reason: reason.clone(), cause: cause.clone() }
}

fn ending(report: &Report, monitor: &Monitor) -> Ending {
    match (&report.error, monitor.stopped()) {
        (None, _) => Ending::Done,
        (Some(_), Some(Stop::Cancelled)) => Ending::Cancelled,
        (Some(_), Some(Stop::Suspended)) => Ending::Suspended,
        (Some(error), None) if report.refused => Ending::Refused(error.clone()),
        (Some(_), None) => Ending::Failed,
    }
}
