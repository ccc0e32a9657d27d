//! What waits, what was done, and what is not to be done any more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::shares::{self, FileState, SharedFile};
use crate::store::{Store, StoreError};

/// Shares with which nothing is to be done any more are remembered for so long, in seconds.
const REMEMBERED: i64 = 30 * 24 * 3600;

/// How many files of a share are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Not sent yet, and never failed.
    pub waiting: u64,
    /// Not sent yet, failed, and to be tried again.
    pub failed: u64,
    /// On the service, sent from here.
    pub uploaded: u64,
    /// The same content was there.
    pub already_there: u64,
    /// Not sent, by the owner's choice.
    pub skipped: u64,
    /// Not sent, because somebody said so.
    pub cancelled: u64,
    /// Removed from the service when they expired.
    pub expired: u64,
    /// Expired, and left on the service.
    pub left: u64,
}

impl Counts {
    /// Counts a file.
    pub fn count(&mut self, state: &FileState) {
        self.total += 1;
        *match state {
            FileState::Waiting { failed: None } => &mut self.waiting,
            FileState::Waiting { failed: Some(_) } => &mut self.failed,
            FileState::Sent(_) => &mut self.uploaded,
            FileState::There { .. } => &mut self.already_there,
            FileState::Skipped { .. } => &mut self.skipped,
            FileState::Cancelled => &mut self.cancelled,
            FileState::Removed { .. } => &mut self.expired,
            FileState::Left { .. } => &mut self.left,
        } += 1;
    }
}

/// How far a share is.
pub fn counts(store: &Store, number: u64) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    for item in shares::files(&store.read()?, number)? {
        counts.count(&item?.1.state);
    }
    Ok(counts)
}

/// Changes those files of a share of which `change` makes something else; how many these were.
fn change(store: &Store, number: u64, change: impl Fn(&FileState) -> Option<FileState> + Send + 'static) -> Result<u64, StoreError> {
    let tx = store.read()?;
    let Some(share) = shares::get(&tx, number)? else { return Ok(0) };
    let mut places = Vec::new();
    for item in shares::files(&tx, number)? {
        let (place, file) = item?;
        places.extend(change(&file.state).map(|_| (number, place)));
    }
    store.write(move |tx| {
        let mut changed = 0;
        for place in places {
            // It may have been sent since.
            if let Some(file) = shares::file_to_change(tx, place)?
                && let Some(state) = change(&file.state)
            {
                shares::put(tx, share.service, place, &SharedFile { state, ..file })?;
                changed += 1;
            }
        }
        Ok(changed)
    })
}

/// What failed is tried again at once; how many files that are.
pub fn retry(store: &Store, number: u64) -> Result<u64, StoreError> {
    change(store, number, |state| match state {
        FileState::Waiting { failed: Some(retry) } => {
            let retry = shares::Retry { next: 0, ..retry.clone() };
            Some(FileState::Waiting { failed: Some(retry) })
        }
        FileState::Sent(sent) if sent.failed.is_some() => {
            let mut sent = sent.clone();
            if let Some(retry) = &mut sent.failed {
                retry.next = 0;
            }
            Some(FileState::Sent(sent))
        }
        _ => None,
    })
}

/// What was not sent yet is not sent any more; how many files that are. What is on the service stays, and expires as it was to.
pub fn cancel(store: &Store, number: u64) -> Result<u64, StoreError> {
    change(store, number, |state| matches!(state, FileState::Waiting { .. }).then_some(FileState::Cancelled))
}

/// Forgets old shares with which nothing is to be done any more.
pub fn prune(store: &Store) -> Result<(), StoreError> {
    let tx = store.read()?;
    let old = store.clock().seconds().saturating_sub(REMEMBERED);
    for (number, share) in shares::all(&tx)? {
        if share.created > old {
            continue;
        }
        let mut is_over = true;
        for item in shares::files(&tx, number)? {
            let (_, file) = item?;
            is_over &= match &file.state {
                FileState::Waiting { .. } => false,
                FileState::Sent(sent) => sent.expires.is_none(),
                FileState::There { expires, .. } => expires.is_none_or(|expires| expires < old),
                FileState::Removed { when, .. } => *when <= old,
                FileState::Skipped { .. } | FileState::Cancelled | FileState::Left { .. } => true,
            };
        }
        if is_over {
            store.write(move |tx| shares::remove(tx, number))?;
        }
    }
    Ok(())
}
