//! No room. A service without (507, or a quota): nothing more is sent in this run. The library without: what does not fit is not fetched. Either is
//! said once, and everything else goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::library::Staged;
use crate::reconcile::Step;
use crate::types::RelPath;

use super::download::staging;
use super::execute::{Execution, StepError};
use super::report::{Noted, Reason};

/// Whether either side has room left.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Why the service has none.
    none: OnceLock<Reason>,
    /// What was not sent for want of it.
    unsent: Mutex<Option<Left>>,
    /// What did not fit into the library.
    unfetched: Mutex<Option<Left>>,
    /// Bytes that are being fetched and are not there yet.
    coming: AtomicU64,
}

/// Files that are left for a later run.
#[derive(Debug)]
struct Left {
    first: RelPath,
    reason: Reason,
    count: u64,
}

/// Bytes of a file that is being fetched, as long as they are not there: nobody else can have the room for them.
pub(super) struct Coming<'a> {
    all: &'a AtomicU64,
    bytes: u64,
}

impl Coming<'_> {
    /// So many are still to come; the answer is how many of all files are.
    pub(super) fn left(&mut self, bytes: u64) -> u64 {
        let more = bytes.wrapping_sub(self.bytes);
        self.bytes = bytes;
        self.all.fetch_add(more, Ordering::Relaxed).wrapping_add(more)
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.left(0);
    }
}

impl Room {
    /// Why the service has none, if it has none.
    pub(super) fn reason(&self) -> Option<String> {
        self.none.get().map(|reason| reason.text.clone())
    }
}

impl Execution {
    /// Takes note when an upload failed because there was no room.
    pub(super) fn notice_room(&self, error: &StepError) {
        if let StepError::Client(client) = error
            && client.is_full()
        {
            self.room.none.get_or_init(|| Reason { cause: error.cause(), text: error.to_string() });
        }
    }

    /// An upload that need not be tried: the service has no room.
    pub(super) fn left_for_want_of_room(&self, path: &RelPath) -> bool {
        let reason = self.room.none.get();
        if let Some(reason) = reason {
            count(&self.room.unsent, path, reason);
        }
        reason.is_some()
    }

    /// Whether the library has room for so many bytes of a remote file, and for those that others are fetching: to be asked before they are
    /// fetched. The few that stay in memory are asked for when they are stored, unless it is known that room is short.
    pub(super) async fn room_here(&self, remote: &RelPath, bytes: u64) -> Result<Coming<'_>, StepError> {
        let mut coming = Coming { all: &self.room.coming, bytes: 0 };
        if bytes > Staged::SMALL as u64 || lock(&self.room.unfetched).is_some() {
            let all = coming.left(bytes);
            let (tree, remote) = (self.sync.tree.clone(), remote.clone());
            staging(move || tree.check_room(&remote, all)).await?;
        }
        Ok(coming)
    }

    /// Takes note of a file that does not fit into the library. It has not failed: others that are smaller may fit, and the next run takes it.
    pub(super) fn left_out_here(&self, step: &Step, error: &StepError) {
        let reason = Reason { cause: error.cause(), text: error.to_string() };
        if count(&self.room.unfetched, &step.local, &reason) == 1 {
            tracing::warn!(service = %self.sync.service.name, path = %step.local, reason = reason.text, "files do not fit into the library");
        }
        self.count(|report| *report.causes.entry(reason.cause.to_owned()).or_default() += 1);
        self.finished(step, Some(reason));
    }

    /// What is to be said of the files that were left.
    pub(super) fn tell_room(&self) {
        for (left, done) in [(&self.room.unsent, "sent"), (&self.room.unfetched, "fetched")] {
            let Some(Left { first, reason, count }) = lock(left).take() else { continue };
            let others = match count - 1 {
                0 => String::new(),
                1 => " and 1 more file".to_owned(),
                others => format!(" and {others} more files"),
            };
            let told = format!("{}; this{others} will be {done} by a later run, when there is room", reason.text);
            self.count(|report| report.failed.push(Noted::new(first, reason.cause, told)));
        }
    }
}

/// Counts a file; the answer is how many there are.
fn count(left: &Mutex<Option<Left>>, path: &RelPath, reason: &Reason) -> u64 {
    let mut left = lock(left);
    let left = left.get_or_insert_with(|| Left { first: path.clone(), reason: reason.clone(), count: 0 });
    left.count += 1;
    left.count
}

fn lock(left: &Mutex<Option<Left>>) -> MutexGuard<'_, Option<Left>> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}
