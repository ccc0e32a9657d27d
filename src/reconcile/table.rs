//! The decision table: one path, both sides, what they last agreed on.

use crate::types::{LocalVersion, RemoteVersion, Side};

use super::{Covered, Deletes, Policy, Why};

/// What one side shows at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<V> {
    /// Certainly nothing.
    Absent(Covered),
    /// A file.
    File(V),
    /// Could not be read, for this reason. Never taken for an absence.
    Unknown(String),
}

impl<V> Seen<V> {
    fn file(&self) -> Option<&V> {
        match self {
            Seen::File(version) => Some(version),
            _ => None,
        }
    }
}

/// What both sides agreed on when they were last in step. A missing half is a tombstone: that side deleted the file,
/// and it is not brought back from the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// What the library held.
    pub local: Option<LocalVersion>,
    /// What the service held.
    pub remote: Option<RemoteVersion>,
}

/// Everything that is known about one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The last agreement, if there was one.
    pub base: Option<Base>,
    /// The library now.
    pub local: Seen<LocalVersion>,
    /// The service now.
    pub remote: Seen<RemoteVersion>,
}

/// What is to be done about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// In step.
    Nothing,
    /// Send the local file.
    Upload(Why),
    /// Fetch the remote file.
    Download(Why),
    /// Both hold the same content: record it.
    Adopt,
    /// Both hold different content that the other has not seen: keep both.
    Conflict,
    /// Ask for the digest of this side's file, then decide again.
    NeedDigest(Side),
    /// Remove the file from this side, because the other side deleted it.
    Delete(Side),
    /// Remember that this side deleted the file; leave the other side as it is.
    Tombstone(Side),
    /// The file is gone from both sides: drop the row.
    Forget,
    /// Leave everything as it is, and say so.
    Skip(Why),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Same,
    Changed,
    Gone,
}

/// Decides one row. Pure: the same row and policy always give the same decision.
pub fn decide(row: &Row, policy: &Policy) -> Decision {
    if let Seen::Unknown(reason) = &row.local {
        return Decision::Skip(Why::Unreadable { side: Side::Local, reason: reason.clone(), failed: true });
    }
    if let Seen::Unknown(reason) = &row.remote {
        return Decision::Skip(Why::Unreadable { side: Side::Remote, reason: reason.clone(), failed: true });
    }
    project(two_way(row, policy.deletes), policy)
}

/// The table of both directions. Neither side is unknown here.
fn two_way(row: &Row, deletes: Deletes) -> Decision {
    let (local, remote) = (row.local.file(), row.remote.file());
    let Some(base) = &row.base else {
        return match (local, remote) {
            (None, None) => Decision::Nothing,
            (Some(_), None) => Decision::Upload(Why::New),
            (None, Some(_)) => Decision::Download(Why::New),
            (Some(local), Some(remote)) => compare(local, remote),
        };
    };

    let local_change = change(base.local.as_ref(), local, |now, then| now.digests.content == then.digests.content);
    let remote_change = change(base.remote.as_ref(), remote, RemoteVersion::unchanged_since);
    // A side that had deleted the file and shows one again: nothing says that it is a newer version of what the other side kept.
    let came_back = |half: bool, change| !half && change == Change::Changed;
    let reappeared = came_back(base.local.is_some(), local_change) || came_back(base.remote.is_some(), remote_change);
    match (local_change, remote_change) {
        _ if local.is_none() && remote.is_none() => Decision::Forget,
        (Change::Same, Change::Same) => Decision::Nothing,
        _ if reappeared && let (Some(local), Some(remote)) = (local, remote) => compare(local, remote),
        (Change::Changed, Change::Same | Change::Gone) if emptied(base.local.map(|was| was.size), local.map(|now| now.size)) => {
            Decision::Skip(Why::Emptied { side: Side::Local })
        }
        (Change::Same | Change::Gone, Change::Changed)
            if emptied(base.remote.as_ref().and_then(|was| was.size), remote.and_then(|now| now.size)) =>
        {
            Decision::Skip(Why::Emptied { side: Side::Remote })
        }
        (Change::Changed, Change::Same) => one_sided(local, remote, Decision::Upload(Why::Changed)),
        (Change::Same, Change::Changed) => one_sided(local, remote, Decision::Download(Why::Changed)),
        (Change::Changed, Change::Changed) => match (local, remote) {
            (Some(local), Some(remote)) => match compare(local, remote) {
                // Perhaps the service only tells another entity tag for what it had.
                Decision::Conflict if perhaps_the_same(Some(remote), base.remote.as_ref()) => Decision::NeedDigest(Side::Remote),
                decision => decision,
            },
            _ => Decision::Nothing,
        },
        (Change::Gone, Change::Changed) if perhaps_the_same(remote, base.remote.as_ref()) => Decision::NeedDigest(Side::Remote),
        (Change::Gone, Change::Changed) => Decision::Download(Why::EditBeatsDeletion),
        (Change::Changed, Change::Gone) => Decision::Upload(Why::EditBeatsDeletion),
        (Change::Gone, _) => deleted(Side::Local, deletes),
        (_, Change::Gone) => deleted(Side::Remote, deletes),
    }
}

/// A file that both sides hold, of which neither knows the other's.
fn compare(local: &LocalVersion, remote: &RemoteVersion) -> Decision {
    match local.is(remote) {
        Some(true) => Decision::Adopt,
        Some(false) => Decision::Conflict,
        None => Decision::NeedDigest(Side::Remote),
    }
}

/// A change on one side only; nothing needs to travel when it made both sides equal.
fn one_sided(local: Option<&LocalVersion>, remote: Option<&RemoteVersion>, travel: Decision) -> Decision {
    match (local, remote) {
        (Some(local), Some(remote)) if local.is(remote) == Some(true) => Decision::Adopt,
        _ => travel,
    }
}

/// Whether only the digest, which is not known, can tell that a file of the service is still the one that it was: a server that was moved or
/// upgraded tells other entity tags for the same bytes.
fn perhaps_the_same(now: Option<&RemoteVersion>, then: Option<&RemoteVersion>) -> bool {
    now.zip(then).is_some_and(|(now, then)| now.size == then.size && now.digests.is_empty() && !then.digests.is_empty())
}

/// An empty file never replaces one that had content: it is what a broken transfer leaves, not an edit.
fn emptied(was: Option<u64>, now: Option<u64>) -> bool {
    was.is_some_and(|size| size > 0) && now == Some(0)
}

fn change<V>(then: Option<&V>, now: Option<&V>, unchanged: impl Fn(&V, &V) -> bool) -> Change {
    match (then, now) {
        (None, None) => Change::Same,
        (Some(_), None) => Change::Gone,
        (None, Some(_)) => Change::Changed,
        (Some(then), Some(now)) if unchanged(now, then) => Change::Same,
        (Some(_), Some(_)) => Change::Changed,
    }
}

fn deleted(by: Side, deletes: Deletes) -> Decision {
    match deletes {
        Deletes::Ignore => Decision::Tombstone(by),
        Deletes::Trash => Decision::Delete(by.other()),
    }
}

/// What is left of a decision when one direction is switched off.
fn project(decision: Decision, policy: &Policy) -> Decision {
    match decision {
        Decision::Upload(_) if !policy.upload => Decision::Skip(Why::UploadOff),
        Decision::Download(_) if !policy.download => Decision::Skip(Why::DownloadOff),
        Decision::Conflict if !policy.download && !policy.upload => Decision::Skip(Why::DownloadOff),
        Decision::Delete(Side::Remote) if !policy.upload => Decision::Tombstone(Side::Local),
        Decision::Delete(Side::Local) if !policy.download => Decision::Tombstone(Side::Remote),
        other => other,
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
