//! A service without room (507, or a quota): nothing more is sent in this run, which is said once; everything else goes on.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::types::RelPath;

use super::Noted;
use super::execute::{Execution, StepError};

/// Whether the service has room left.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Why there is none.
    none: OnceLock<String>,
    /// How many uploads were not tried for want of it, and one of them.
    left: Mutex<Option<(RelPath, u64)>>,
}

impl Room {
    /// Why there is none, if there is none.
    pub(super) fn reason(&self) -> Option<String> {
        self.none.get().cloned()
    }
}

impl Execution {
    /// Takes note when an upload failed because there was no room.
    pub(super) fn notice_room(&self, error: &StepError) {
        if let StepError::Client(client) = error
            && client.is_full()
        {
            self.room.none.get_or_init(|| error.to_string());
        }
    }

    /// An upload that need not be tried: the service has no room.
    pub(super) fn left_for_want_of_room(&self, path: &RelPath) -> bool {
        let full = self.room.none.get().is_some();
        if full {
            self.left().get_or_insert_with(|| (path.clone(), 0)).1 += 1;
        }
        full
    }

    fn left(&self) -> MutexGuard<'_, Option<(RelPath, u64)>> {
        self.room.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be said of the uploads that were not tried.
    pub(super) fn tell_room(&self) {
        if let (Some((path, left)), Some(reason)) = (self.left().take(), self.room.none.get()) {
            let others = match left - 1 {
                0 => String::new(),
                1 => " and 1 more file".to_owned(),
                others => format!(" and {others} more files"),
            };
            let reason = format!("{reason}; this{others} will be sent by a later run, when there is room");
            self.count(|report| report.failed.push(Noted { path: path.to_string(), reason }));
        }
    }
}
