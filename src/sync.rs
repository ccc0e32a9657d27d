//! Two-way sync of the library with one service: observe, reconcile, guard, plan, execute, verify, record.
//!
//! Rank 4. Promises:
//! - nothing is recorded before it was verified ([`record`] takes receipts, not hopes);
//! - no step depends on the memory of an earlier run: after a crash the next run looks again and adopts what is equal;
//! - one failing file never stops another; what failed, was skipped or conflicted is in the [`Report`] with its path and reason.

mod bulk;
mod compare;
mod conflicts;
mod download;
mod execute;
mod filter;
mod findings;
mod foresight;
mod goals;
mod join;
mod kinds;
mod leftovers;
mod marker;
mod meanwhile;
mod mend;
mod merge;
mod monitor;
mod moves;
mod names;
mod naming;
mod observe;
mod record;
mod report;
mod resume;
mod retry_later;
mod room;
mod rounds;
mod run;
mod settle;
mod settled;
mod stream;
mod traces;
mod upload;
mod walk;

pub use conflicts::{Conflict, Version, conflicts};
pub use foresight::{PlanGroup, PlannedGroup, SkippedGroup};
pub use marker::{Overlap, leads_to, met};
pub use mend::mend;
pub use monitor::{Monitor, Moving, Outcomes, Pace, Progress, Stop};
pub use report::{HeldBack, Noted, PlannedStep, PlannedTotal, Report};
pub use retry_later::next_retry;
pub use run::{Options, Sync, SyncError};
