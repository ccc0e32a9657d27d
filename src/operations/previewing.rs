//! What a sync with a service would do, found out in the background: in groups, with sums and the first rows of each.
//!
//! To look at both sides can take minutes. Whoever asked may go away and come back; what came of it is kept in memory until the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::scheduler::Trigger;
use crate::services::Service;
use crate::sync::{Noted, Options, PlannedGroup, Report, SkippedGroup, Stop};
use crate::types::ServiceId;

use super::{Failure, Operations};

/// So many rows of each group are told, unless said otherwise; and at the most.
const ROWS: u32 = 20;
const MOST: u32 = 100;

/// How far a preview is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreviewState {
    /// Another run with the service goes on; it begins when that has ended.
    Waiting,
    /// Both sides are being looked at.
    Looking,
    /// It is known what a sync would do.
    Ready,
    /// It could not be found out.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// What a sync with a service would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// The service.
    pub service: String,
    /// How far it is. What follows is empty until it is ready.
    pub state: PreviewState,
    /// When it was asked for.
    pub started: String,
    /// When it was known.
    pub ended: Option<String>,
    /// Why it could not be found out: also that the guard would halt.
    pub error: Option<String>,
    /// The steps in groups; groups without steps are left out.
    pub groups: Vec<PlannedGroup>,
    /// What would be left as it is, by the kinds of reasons.
    pub skipped: Vec<SkippedGroup>,
    /// So many files all together.
    pub skipped_total: u64,
    /// What could not be read, and is therefore left alone: the first of it.
    pub unreadable: Vec<Noted>,
    /// So much all together.
    pub unreadable_total: u64,
}

impl Preview {
    fn begun(service: &str, now: Timestamp) -> Self {
        Self {
            service: service.to_owned(),
            state: PreviewState::Waiting,
            started: now.to_string(),
            ended: None,
            error: None,
            groups: Vec::new(),
            skipped: Vec::new(),
            skipped_total: 0,
            unreadable: Vec::new(),
            unreadable_total: 0,
        }
    }

    fn ended(self, mut report: Report, rows: usize, now: Timestamp) -> Self {
        let state = match (&report.error, report.cancelled) {
            (_, true) => PreviewState::Cancelled,
            (Some(_), false) => PreviewState::Failed,
            (None, false) => PreviewState::Ready,
        };
        let unreadable_total = report.failed.len() as u64;
        report.failed.truncate(rows);
        Self {
            state,
            ended: Some(now.to_string()),
            error: report.error,
            groups: report.groups,
            skipped: report.skipped_groups,
            skipped_total: report.skipped_total,
            unreadable: report.failed,
            unreadable_total,
            ..self
        }
    }

    fn is_over(&self) -> bool {
        !matches!(self.state, PreviewState::Waiting | PreviewState::Looking)
    }
}

/// The latest preview of each service.
#[derive(Default)]
pub(super) struct Previews(Mutex<HashMap<ServiceId, Kept>>);

struct Kept {
    preview: Preview,
    /// Which one it is: one that was cancelled may still be ending when the next one has begun.
    number: u64,
    stop: watch::Sender<bool>,
}

impl Previews {
    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, id: ServiceId, number: u64, change: impl FnOnce(Preview) -> Preview) {
        let mut all = self.lock();
        if let Some(kept) = all.get_mut(&id).filter(|kept| kept.number == number && !kept.preview.is_over()) {
            kept.preview = change(kept.preview.clone());
        }
    }
}

/// Returns when it is to stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // Whoever could say so is there until it is over.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

impl Operations {
    /// Begins to find out what a sync with a service would do, telling at most `rows` rows of each group. One that is under way is gone on with.
    pub async fn begin_preview(self: &Arc<Self>, name: String, rows: Option<u32>) -> Result<Preview, Failure> {
        let rows = rows.unwrap_or(ROWS);
        if !(1..=MOST).contains(&rows) {
            return Err(Failure::usage(format!("between 1 and {MOST} rows of each group are told")).about("rows"));
        }
        let service = self.service(name).await?;
        let (number, stopped, begun) = {
            let mut all = self.previews.lock();
            let before = all.get(&service.id);
            if let Some(kept) = before.filter(|kept| !kept.preview.is_over()) {
                return Ok(kept.preview.clone());
            }
            let number = before.map_or(0, |kept| kept.number + 1);
            let (stop, stopped) = watch::channel(false);
            let preview = Preview::begun(&service.name, self.store.clock().now());
            all.insert(service.id, Kept { preview: preview.clone(), number, stop });
            (number, stopped, preview)
        };
        let node = Arc::clone(self);
        tokio::spawn(async move { node.preview(service, number, rows as usize, stopped).await });
        Ok(begun)
    }

    async fn preview(self: Arc<Self>, service: Service, number: u64, rows: usize, mut stopped: watch::Receiver<bool>) {
        let id = service.id;
        let turn = tokio::select! {
            turn = self.runs.turn(id, Trigger::Preview) => turn,
            () = told(&mut stopped) => return,
        };
        self.previews.change(id, number, |preview| Preview { state: PreviewState::Looking, ..preview });
        let monitor = turn.monitor();
        let options = Options { dry_run: true, preview: Some(rows), parallel: self.parallel, ..Options::default() };
        // It may have been set up in another way while we waited.
        let run = async {
            match self.service(service.name.clone()).await {
                Ok(service) => self.carry_out(turn, service, options, Trigger::Preview).await,
                Err(failure) => Report { error: Some(failure.message), ..Report::default() },
            }
        };
        let mut run = std::pin::pin!(run);
        let report = tokio::select! {
            report = &mut run => report,
            () = told(&mut stopped) => {
                monitor.stop(Stop::Cancelled);
                run.await
            }
        };
        let now = self.store.clock().now();
        self.previews.change(id, number, |preview| preview.ended(report, rows, now));
    }

    /// The latest preview of a service.
    pub async fn get_preview(&self, name: String) -> Result<Preview, Failure> {
        let service = self.service(name).await?;
        let preview = self.previews.lock().get(&service.id).map(|kept| kept.preview.clone());
        // Its name may be another one by now.
        let named = preview.map(|preview| Preview { service: service.name.clone(), ..preview });
        named.ok_or_else(|| Failure::not_found(format!("no preview of {} was asked for since the node was started", service.name)))
    }

    /// Stops a preview that is under way; one that is over stays as it is.
    pub async fn cancel_preview(&self, name: String) -> Result<Preview, Failure> {
        let service = self.service(name.clone()).await?;
        let now = self.store.clock().now().to_string();
        if let Some(kept) = self.previews.lock().get_mut(&service.id).filter(|kept| !kept.preview.is_over()) {
            kept.stop.send_replace(true);
            kept.preview.state = PreviewState::Cancelled;
            kept.preview.ended = Some(now);
        }
        self.get_preview(name).await
    }
}
