//! Syncing by hand: now, not now, not any more.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::library;
use crate::scheduler::{Standing, Trigger};
use crate::services::{Service, ServiceError};
use crate::sync::{Options, Report, Stop};
use crate::types::ServiceId;

use super::blocking::blocking;
use super::runs::{Note, Runs};
use super::{Failure, Operations, SyncChange, SyncRequest};

/// How many services are synced at once when several are asked for.
const AT_ONCE: usize = 3;

/// Stops a run whose end nobody waits for any more: whoever asked for it went away.
struct Waiting {
    runs: Arc<Runs>,
    id: ServiceId,
    over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.runs.stop(self.id, Stop::Cancelled);
        }
    }
}

impl Operations {
    /// Syncs now, several services at once, after the runs with them that go on. A service that fails as a whole has the reason in its
    /// report. When this is dropped the runs are cancelled.
    pub async fn sync(self: &Arc<Self>, request: SyncRequest) -> Result<Vec<Report>, Failure> {
        let chosen = self.chosen(&request.names).await?;
        let options = Options { dry_run: request.dry_run, force: request.force, parallel: self.parallel, ..Options::default() };
        let named = !request.names.is_empty();
        if chosen.len() > 1 {
            // Otherwise each of them would read what is new in the library.
            let ((tree, _), events) = (self.library()?, self.events.clone());
            blocking(move || Ok(library::up_to_date(&tree, &events, &AtomicBool::new(false))?)).await?;
        }
        let runs = chosen.into_iter().map(|(service, standing)| async move {
            match standing.stopped.filter(|_| !named) {
                // Asking again and again with a wrong password locks people out.
                Some(stopped) => Ok(refused_before(&service, stopped.reason, options.dry_run)),
                None => self.sync_when_free(service, options).await,
            }
        });
        let reports: Vec<_> = stream::iter(runs).buffered(AT_ONCE).collect().await;
        reports.into_iter().collect()
    }

    /// Begins to sync, and does not wait for it. Returns the services.
    pub async fn start_sync(self: &Arc<Self>, request: SyncRequest) -> Result<Vec<String>, Failure> {
        let chosen = self.chosen(&request.names).await?;
        let node = Arc::clone(self);
        tokio::spawn(async move {
            // What became of each is in its report; this is about what stopped all of them.
            if let Err(error) = node.sync(request).await {
                tracing::error!(%error, "a sync did not begin");
            }
        });
        Ok(chosen.into_iter().map(|(service, _)| service.name).collect())
    }

    /// Switches sync with a service on, and begins with it at once.
    pub async fn switch_on(self: &Arc<Self>, name: String) -> Result<(), Failure> {
        let service = self.service(name.clone()).await?;
        // Taken before, because the scheduler begins too when it hears of it. A run that goes on already is one.
        let turn = self.runs.try_turn(service.id, Trigger::Manual);
        let service = self.change_sync(name, SyncChange { on: Some(true), ..SyncChange::default() }).await?;
        if let Some(turn) = turn {
            let node = Arc::clone(self);
            let options = Options { parallel: self.parallel, ..Options::default() };
            tokio::spawn(async move { node.carry_out(turn, service, options, Trigger::Manual).await });
        }
        Ok(())
    }

    pub(super) async fn sync_when_free(self: &Arc<Self>, service: Service, options: Options) -> Result<Report, Failure> {
        let turn = self.runs.turn(service.id, Trigger::Manual).await;
        // It may have been set up in another way while we waited.
        let service = self.service(service.name).await?;
        let mut waiting = Waiting { runs: Arc::clone(&self.runs), id: service.id, over: false };
        let node = Arc::clone(self);
        let run = tokio::spawn(async move { node.carry_out(turn, service, options, Trigger::Manual).await });
        let report = run.await;
        waiting.over = true;
        report.map_err(|error| Failure::unreachable(format!("the sync ended unexpectedly: {error}")))
    }

    /// The services of these names; all that are switched on and not paused when there are none.
    async fn chosen(&self, names: &[String]) -> Result<Vec<(Service, Standing)>, Failure> {
        let all = self.services_and_standings().await?;
        if !names.is_empty() {
            return names.iter().map(|name| one(&all, name)).collect();
        }
        let on: Vec<_> = all.into_iter().filter(|(service, _)| service.sync.on).collect();
        if on.is_empty() {
            return Err(Failure::wrong_state(
                "no service has sync switched on; add one with `twinlens service add` and set it up with `twinlens service sync NAME --on`",
            ));
        }
        let awake: Vec<_> = on.into_iter().filter(|(_, standing)| !standing.paused).collect();
        if awake.is_empty() {
            return Err(Failure::wrong_state("all services are paused; name the one to be synced, or resume them with `twinlens resume`"));
        }
        Ok(awake)
    }

    /// The service of this name, or all of them.
    pub(crate) async fn one_or_all(&self, name: Option<String>) -> Result<Vec<(Service, Standing)>, Failure> {
        let all = self.services_and_standings().await?;
        match name {
            Some(name) => Ok(vec![one(&all, &name)?]),
            None => Ok(all),
        }
    }

    /// A service, or all of them, are not synced by themselves until they are resumed; a run that goes on is suspended. Returns their names.
    pub async fn pause(&self, name: Option<String>) -> Result<Vec<String>, Failure> {
        self.set_paused(name, true).await
    }

    /// A service, or all of them, are synced by themselves again. Returns their names.
    pub async fn resume(&self, name: Option<String>) -> Result<Vec<String>, Failure> {
        self.set_paused(name, false).await
    }

    async fn set_paused(&self, name: Option<String>, paused: bool) -> Result<Vec<String>, Failure> {
        let services = self.one_or_all(name).await?;
        let (store, ids) = (self.store.clone(), services.iter().map(|(service, _)| service.id).collect::<Vec<_>>());
        blocking(move || {
            Ok(ids.into_iter().try_for_each(|id| Standing::change(&store, id, move |old| Standing { paused, ..old }).map(drop))?)
        })
        .await?;
        self.runs.tell(Note::Settings);
        if paused {
            for (service, _) in &services {
                self.runs.stop(service.id, Stop::Suspended);
            }
        }
        Ok(services.into_iter().map(|(service, _)| service.name).collect())
    }

    /// Stops the run with a service, or all runs. Returns the names of the services whose runs are stopped; they end a moment later.
    pub async fn cancel(&self, name: Option<String>) -> Result<Vec<String>, Failure> {
        let services = self.one_or_all(name).await?.into_iter();
        Ok(services.filter(|(service, _)| self.runs.stop(service.id, Stop::Cancelled)).map(|(service, _)| service.name).collect())
    }
}

fn one(all: &[(Service, Standing)], name: &str) -> Result<(Service, Standing), Failure> {
    let found = all.iter().find(|(service, _)| service.name == name).cloned();
    found.ok_or_else(|| ServiceError::Unknown(name.to_owned()).into())
}

fn refused_before(service: &Service, reason: String, dry_run: bool) -> Report {
    let name = service.name.clone();
    let error = format!("{reason}. It was not asked again, so that nobody is locked out; to try it, say `twinlens sync {name}`");
    Report { name, dry_run, refused: true, unreachable: true, error: Some(error), cause: Some("unauthorized".into()), ..Report::default() }
}
