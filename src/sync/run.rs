//! One run.

use std::sync::Arc;
use std::time::Instant;

use crate::client::{Client, ClientError, Flow};
use crate::events::Events;
use crate::library::{self, LibraryError, Tree};
use crate::reconcile::{Action, Coverage, Halt, Plan, Policy, Skipped, Step, Why, guard};
use crate::services::delivery::{Delivery, DeliveryError};
use crate::services::{Service, Trust};
use crate::store::{Store, StoreError, traces};
use crate::types::{LibraryId, RelPath};

use super::execute::Execution;
use super::filter::Filter;
use super::foresight::code;
use super::marker::Overlap;
use super::merge::Merge;
use super::names::Fitted;
use super::naming;
use super::observe::Observed;
use super::report::PlannedStep;
use super::rounds::Round;
use super::{Monitor, Report, Stop};

/// See [`Options::round`]: what a plan may hold in memory. Larger rounds need fewer looks at everything.
const ROUND: usize = 5_000;

/// How a run is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Only plan.
    pub dry_run: bool,
    /// Go past the guard.
    pub force: bool,
    /// Transfers at the same time.
    pub parallel: usize,
    /// New files on either side that are planned at once; it bounds the memory that a run needs.
    pub round: usize,
    /// Leave out what failed before and whose time has not come yet.
    pub patient: bool,
    /// In a dry run: tell what would be done in groups, with at most so many steps of each, instead of every step.
    pub preview: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { dry_run: false, force: false, parallel: 8, round: ROUND, patient: false, preview: None }
    }
}

/// Why a whole run stopped.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It looked like an accident.
    #[error("{0}")]
    Halted(Halt),
    /// The service is this library, or a part of it, or holds it.
    #[error("{0}")]
    SameLibrary(Overlap),
    /// Another library than the last time.
    #[error(
        "the service was library {then} when it was last synced, and is library {now} now: another disk or another library is behind the \
         same address. Nothing was changed. Bring the old one back; or, if the new one is meant, run the sync with --force: what was agreed \
         with the old one is forgotten then, and both sides are compared anew. That deletes nothing on either side: what is equal is joined, \
         what one side lacks is copied, also files that were once deleted there"
    )]
    OtherLibrary {
        /// In the last run.
        then: LibraryId,
        /// In this one.
        now: LibraryId,
    },
    /// The folder was there the last time.
    #[error(
        "the service has no folder /{0} any more, though files in it were in step: it was renamed, or is another place now. Nothing was \
         changed. Set the folder with `twinlens service sync NAME --folder /F`; or, if its files were deleted on purpose, run the sync with \
         --force: it is treated as empty then"
    )]
    FolderGone(RelPath),
    /// The folder to download from is not there.
    #[error("the service has no folder /{0}; set another with `twinlens service sync NAME --folder /F`, or create it there")]
    NoFolder(RelPath),
    /// A pattern of the service is none (any more).
    #[error("a pattern of this service cannot be understood: {0}; set others with `twinlens service sync NAME --exclude` or `--include`")]
    Pattern(String),
    /// The service failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop before it changed anything.
    #[error("{}", .0.text())]
    Stopped(Stop),
    /// A task of ours ended early.
    #[error("a part of the sync ended unexpectedly: {0}")]
    Crashed(String),
}

impl From<DeliveryError> for SyncError {
    fn from(error: DeliveryError) -> Self {
        match error {
            DeliveryError::Client(error) => error.into(),
            DeliveryError::Store(error) => error.into(),
            // Nothing else happens where nothing is sent.
            error => Self::Crashed(error.to_string()),
        }
    }
}

impl SyncError {
    /// What kind of failure it is, in one word that stays the same.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Client(error) => error.cause(),
            Self::Library(error) => error.cause(),
            Self::Store(StoreError::Full(_)) => "disk-full",
            Self::Stopped(stop) => stop.cause(),
            Self::Halted(_)
            | Self::SameLibrary(_)
            | Self::OtherLibrary { .. }
            | Self::FolderGone(_)
            | Self::NoFolder(_)
            | Self::Pattern(_)
            | Self::Store(_)
            | Self::Crashed(_) => "run",
        }
    }

    pub(super) fn crashed(error: tokio::task::JoinError) -> Self {
        Self::Crashed(error.to_string())
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<R, F>(work: F) -> Result<R, SyncError>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, SyncError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(SyncError::crashed)?
}

/// What one round does.
struct Planned {
    plan: Plan,
    /// Uploads that go last, one by one.
    late: Vec<Step>,
    /// Nothing was left undecided.
    sure: bool,
    next: Option<Round>,
}

/// A sync of the library with one service.
pub struct Sync {
    pub(super) filter: Arc<Filter>,
    pub(super) tree: Tree,
    pub(super) library_id: LibraryId,
    pub(super) store: Store,
    /// Rooted at the service's folder.
    pub(super) client: Client,
    /// Rooted at the service's WebDAV root.
    pub(super) root: Client,
    pub(super) service: Service,
    pub(super) policy: Policy,
    pub(super) options: Options,
    pub(super) events: Events,
    pub(super) monitor: Monitor,
    /// How files get there.
    pub(super) delivery: Arc<Delivery>,
}

impl Sync {
    /// Prepares a run, watched and stopped by `monitor`. `client` is rooted at the service's WebDAV root. Nothing is sent yet.
    pub fn new(
        (tree, library_id): (Tree, LibraryId),
        store: Store,
        client: Client,
        service: Service,
        options: Options,
        (events, monitor): (Events, Monitor),
    ) -> Result<Self, SyncError> {
        let policy = service.sync.policy();
        let root = client.with_flow(Flow::new(service.sync.rate, monitor.told()));
        let client = root.at(&service.sync.folder)?;
        let filter = Arc::new(Filter::new(&service.sync, &tree).map_err(SyncError::Pattern)?);
        let into = (root.clone(), service.sync.folder.clone());
        let delivery = Arc::new(Delivery::new(into, service.clone(), (store.clone(), traces::SYNC), library_id)?);
        Ok(Self { filter, tree, library_id, store, client, root, service, policy, options, events, monitor, delivery })
    }

    /// Observes, plans, and unless it is a dry run executes. What concerns single files is in the report.
    pub async fn run(self) -> Result<Report, SyncError> {
        let started = Instant::now();
        let sync = Arc::new(self);
        let outcome = tokio::select! {
            outcome = sync.run_inner() => outcome,
            // Both sides are still being looked at, and nothing was changed.
            stop = sync.monitor.may_be_dropped() => Err(SyncError::Stopped(stop)),
        };
        let remembered = sync.remember_failures().await;
        let mut report = outcome?;
        remembered?;
        sync.remember_evidence(&report).await?;
        report.cancelled = report.error.is_some() && sync.monitor.stopped().is_some();
        report.seconds = started.elapsed().as_secs_f64();
        report.requests = sync.client.requests();
        Ok(report)
    }

    async fn run_inner(self: &Arc<Self>) -> Result<Report, SyncError> {
        if !self.options.dry_run {
            self.sweep().await?;
        }
        let (scanned, observed) = tokio::join!(self.observe_local(), self.observe_remote());
        let (scanned, observed) = (scanned?, observed?);
        self.check_marker().await?;
        self.meet(&observed).await?;
        let state = self.state(&scanned).await?;
        let whole = scanned.coverage.gaps().next().is_none() && observed.is_whole();
        if whole
            && !observed.changed
            && let Some(last) = self.settled(&state).await?
        {
            return Ok(Report { looked_at: scanned.files, ..self.nothing_to_do(last, &observed) });
        }
        let coverage = (scanned.coverage, observed.coverage.clone());
        let (name, dry_run) = (self.service.name.clone(), self.options.dry_run);
        let mut report = Report { name, dry_run, looked_at: scanned.files, preview: self.options.preview, ..Report::default() };
        observed.unnamable.iter().cloned().for_each(|noted| report.skip(noted));
        // A folder that is not there yet does not say whose it will be.
        let is_node = observed.is_node || (observed.is_missing && self.client.capabilities().await.is_ok_and(|can| can.node));
        let execution = Execution::new(Arc::clone(self), is_node, report);
        let mut all_seen = whole;
        let mut round = Some(Round::first(self.options.round));
        while let Some(now) = round.take().filter(|_| execution.fatal().is_none()) {
            let is_first = now.is_first();
            match self.round(&execution, &observed, &coverage, now).await {
                Ok((sure, next)) => {
                    all_seen &= sure;
                    round = next;
                }
                Err(error) if is_first || self.options.dry_run => return Err(error),
                Err(error) => execution.break_off(&error),
            }
        }
        let report = execution.report();
        if all_seen && report.is_clean() && !self.options.dry_run {
            self.settle(state).await?;
        }
        Ok(report)
    }

    /// Plans a round and carries it out. Tells whether nothing was left undecided, and what comes next.
    async fn round(
        self: &Arc<Self>,
        execution: &Arc<Execution>,
        observed: &Observed,
        coverage: &(Coverage, Coverage),
        now: Round,
    ) -> Result<(bool, Option<Round>), SyncError> {
        let is_first = now.is_first();
        let Planned { plan, late, sure, next } = self.plan(execution, observed, coverage, now).await?;
        if self.options.dry_run {
            let mut steps: Vec<PlannedStep> = plan.steps.iter().chain(&late).map(Into::into).collect();
            naming::foretell(&mut steps, &self.policy);
            execution.count(|report| report.foresee(steps));
            return Ok((sure, next));
        }
        if !plan.steps.is_empty() || !late.is_empty() {
            self.rule_out_itself(observed).await?;
        }
        if plan.steps.iter().chain(&late).any(|step| matches!(step.action, Action::Upload { .. })) {
            self.recall_findings().await?;
        }
        if is_first {
            self.monitor.acts().map_err(SyncError::Stopped)?;
        }
        let to_come = next.as_ref().map_or((0, 0), Round::left);
        execution.carry_out(plan, late, to_come).await?;
        Ok((sure, next))
    }

    /// Decides what a round does, and notes in the report what is left as it is.
    async fn plan(
        self: &Arc<Self>,
        execution: &Execution,
        observed: &Observed,
        coverage: &(Coverage, Coverage),
        round: Round,
    ) -> Result<Planned, SyncError> {
        let is_first = round.is_first();
        let merge = {
            let (store, service, coverage) = (self.store.clone(), self.service.clone(), coverage.clone());
            // A node tells what everything is.
            let trust = match service.sync.trust {
                Trust::Samples if observed.is_node => Trust::Checksum,
                trust => trust,
            };
            let (policy, filter) = ((self.policy, trust), Arc::clone(&self.filter));
            blocking(move || Ok(Arc::new(Merge::open(&store, service.id, policy, filter, coverage, round)?))).await?
        };
        let now = self.store.clock().here().strftime("%Y-%m-%d %H%M%S").to_string();
        let (collector, collected) = self.collect(&merge, &format!("conflict {} {now}", self.service.name)).await?;
        let closed = self.find_digests(collected.open).await?;
        let deciding = Arc::clone(&merge);
        let outcome = blocking(move || Ok(deciding.finish(collector, closed)?)).await?;
        let approved = guard::guard(outcome, self.options.force).map_err(SyncError::Halted)?;
        let mut plan = {
            let (sync, mut plan) = (Arc::clone(self), Plan::from(approved));
            blocking(move || sync.name_uploads(&mut plan).map(|()| plan)).await?
        };
        let next = collected.next;
        let left = self.leave_for_later(&mut plan, next.is_none()).await?;
        let Fitted { plan, late, refused } = self.fit_names(plan).await?;
        // What is in the way of a new file is renamed as soon as it is in step.
        let may_change = |skipped: &Skipped| matches!(skipped.why, Why::Unreadable { .. } | Why::NameTaken { .. });
        let sure = self.filter.is_sure() && left.is_empty() && !plan.skipped.iter().any(may_change);
        execution.count(|report| {
            report.skip_all(&plan);
            // Where both directions are off nothing is synced at all.
            report.skip_unnamed(code(if self.policy.upload { &Why::DownloadOff } else { &Why::UploadOff }), collected.unnamed);
            left.into_iter().for_each(|noted| report.skip(noted));
            refused.into_iter().for_each(|noted| report.skip(noted));
            if is_first {
                report.hold_back(self.filter.held_back());
            }
        });
        Ok(Planned { plan, late, sure, next })
    }

    /// Looks again whether the library's disk is still there: one that went away meanwhile looks like many deletions.
    pub(super) async fn check_marker(&self) -> Result<(), SyncError> {
        let (tree, id) = (self.tree.clone(), self.library_id);
        blocking(move || Ok(library::check_marker(tree.root(), id)?)).await
    }
}
