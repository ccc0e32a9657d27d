//! Locks (RFC 4918 section 6): in redb, so that they survive a restart; they expire, and there are never too many.
//!
//! They are kept by place, not by URL: a file locked at `/originals/` is locked at `/webdav/originals/` too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::documents::LOCKS;
use crate::store::{Store, StoreError};
use crate::types::RelPath;

/// A lock that nobody refreshes ends after this time, if the client did not ask for less.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Without a Timeout header.
const DEFAULT: Duration = Duration::from_secs(600);
/// More locks than this at once are refused; and more than this of one user.
const LIMIT: usize = 10_000;
const LIMIT_OF_USER: usize = 1_000;

/// A lock as it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Lock {
    pub(super) token: String,
    /// The tree's name and the path in it, without slashes at the ends.
    pub(super) place: String,
    /// The path as it was asked for, encoded, with its mount.
    root: String,
    /// Whose it is.
    principal: Option<String>,
    /// The client's `owner` element, as XML that can stand anywhere.
    owner: Option<String>,
    /// Seconds since 1970.
    expires: u64,
    timeout: u64,
    shared: bool,
    deep: bool,
}

/// A lock that somebody wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) place: String,
    pub(super) root: String,
    pub(super) user: String,
    pub(super) owner: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) shared: bool,
    pub(super) deep: bool,
}

/// Why a lock is not given.
#[derive(Debug)]
pub(super) enum Denied {
    /// These are in the way.
    Conflict(Vec<Lock>),
    /// There are too many already.
    TooMany,
}

/// What a change does to a place.
#[derive(Debug, Clone)]
pub(super) struct Touch {
    place: String,
    deep: bool,
    membership: bool,
}

impl Touch {
    /// It changes this resource and nothing else.
    pub(super) fn itself(place: String) -> Self {
        Self { place, deep: false, membership: false }
    }

    /// It makes, replaces or removes this member of its folder, with everything below: a lock on the folder counts (section 7.4).
    pub(super) fn member(place: String) -> Self {
        Self { place, deep: true, membership: true }
    }
}

/// The locks of a node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Locks {
    store: Store,
    held: Arc<Mutex<Vec<Lock>>>,
}

/// The place of a path in a tree, as locks are kept by it: the tree's name and the path. The folder above all trees is the empty place.
pub(super) fn place_in(root: &str, inside: &RelPath) -> String {
    format!("{root}/{inside}").trim_end_matches('/').to_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whether `place` is `folder` or lies below it.
fn is_within(place: &str, folder: &str) -> bool {
    folder.is_empty() || place.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Lock {
    fn covers(&self, place: &str) -> bool {
        self.place == place || self.deep && is_within(place, &self.place)
    }

    /// Whether it stops a change by somebody who does not hold it.
    fn stops(&self, touch: &Touch) -> bool {
        let folder = || touch.place.rsplit_once('/').is_some_and(|(folder, _)| self.place == folder);
        self.covers(&touch.place) || touch.deep && is_within(&self.place, &touch.place) || touch.membership && folder()
    }

    /// Whether it is this user's.
    pub(super) fn belongs_to(&self, user: &str) -> bool {
        self.principal.as_deref() == Some(user)
    }

    /// The `activelock` element, with the prefix `d`.
    pub(super) fn active(&self) -> String {
        use quick_xml::escape::escape;
        let (scope, depth) = (if self.shared { "shared" } else { "exclusive" }, if self.deep { "infinity" } else { "0" });
        format!(
            "<d:activelock><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype><d:depth>{depth}</d:depth>\
             {}<d:timeout>Second-{}</d:timeout><d:locktoken><d:href>{}</d:href></d:locktoken><d:lockroot><d:href>{}</d:href></d:lockroot>\
             </d:activelock>",
            self.owner.as_deref().map(without_declaration).unwrap_or_default(),
            self.expires.saturating_sub(now()),
            escape(self.token.as_str()),
            escape(self.root.as_str()),
        )
    }
}

impl Locks {
    /// The locks that an earlier run left, as far as they have not expired.
    pub(super) fn open(store: Store) -> Result<Self, StoreError> {
        let all = LOCKS.all::<Lock>(&store.read()?)?.into_iter().map(|(_, lock)| lock);
        let (held, expired): (Vec<_>, Vec<_>) = all.partition(|lock| lock.expires > now());
        if !expired.is_empty() {
            store.write(move |tx| expired.iter().try_for_each(|lock| LOCKS.remove(tx, &lock.token).map(drop)))?;
        }
        Ok(Self { store, held: Arc::new(Mutex::new(held)) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lock>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_empty() {
            let now = now();
            // They are forgotten in the store when it is opened next.
            held.retain(|lock| lock.expires > now);
        }
        held
    }

    /// The locks that stop somebody with these tokens from a change; none when there is nothing in the way. A token counts only for the user
    /// whose lock it is (section 6.4).
    pub(super) fn in_the_way(&self, touch: &Touch, user: &str, tokens: &[String]) -> Vec<Lock> {
        let held = self.lock();
        let (ours, others): (Vec<&Lock>, Vec<&Lock>) =
            held.iter().filter(|lock| lock.stops(touch)).partition(|lock| lock.belongs_to(user) && tokens.contains(&lock.token));
        // Of several shared locks on one resource holding one is enough; an exclusive lock of somebody else forbids the write.
        let shared_with_us = |other: &Lock| other.shared && ours.iter().any(|own| own.covers(&other.place));
        others.into_iter().filter(|other| !shared_with_us(other)).cloned().collect()
    }

    /// Whether a place is locked with this very token.
    pub(super) fn holds(&self, place: &str, token: &str) -> bool {
        self.lock().iter().any(|lock| lock.token == token && lock.covers(place))
    }

    /// The lock with this token, if it covers a place.
    pub(super) fn find(&self, place: &str, token: &str) -> Option<Lock> {
        self.lock().iter().find(|lock| lock.token == token && lock.covers(place)).cloned()
    }

    /// Gives a lock, durably.
    pub(super) async fn grant(&self, wanted: Wanted) -> Result<Lock, Denied> {
        let Wanted { place, root, user, owner, timeout, shared, deep } = wanted;
        let timeout = timeout.unwrap_or(DEFAULT).min(LONGEST).as_secs();
        let (token, expires) = (Uuid::new_v4().urn().to_string(), now() + timeout);
        let lock = Lock { token, place, root, principal: Some(user), owner, expires, timeout, shared, deep };
        {
            let mut held = self.lock();
            let meets = |other: &&Lock| other.covers(&lock.place) || deep && is_within(&other.place, &lock.place);
            let conflicts: Vec<Lock> = held.iter().filter(meets).filter(|other| !(shared && other.shared)).cloned().collect();
            if !conflicts.is_empty() {
                return Err(Denied::Conflict(conflicts));
            }
            let own = held.iter().filter(|other| other.principal == lock.principal).count();
            if held.len() >= LIMIT || own >= LIMIT_OF_USER {
                tracing::warn!(locks = held.len(), "no more locks are given");
                return Err(Denied::TooMany);
            }
            held.push(lock.clone());
        }
        self.remember(lock.clone()).await;
        Ok(lock)
    }

    /// Lets a lock last anew, for as long as before if no time is given.
    pub(super) async fn refresh(&self, token: &str, timeout: Option<Duration>) -> Option<Lock> {
        let lock = {
            let mut held = self.lock();
            let lock = held.iter_mut().find(|lock| lock.token == token)?;
            lock.timeout = timeout.map_or(lock.timeout, |timeout| timeout.min(LONGEST).as_secs());
            lock.expires = now() + lock.timeout;
            lock.clone()
        };
        self.remember(lock.clone()).await;
        Some(lock)
    }

    /// Ends a lock.
    pub(super) async fn release(&self, token: &str) {
        self.forget(|lock| lock.token == token).await;
    }

    /// Ends the locks on a place and everything below it: what was removed or moved away is not locked any more (section 7.5, 9.6).
    pub(super) async fn release_below(&self, place: &str) {
        self.forget(|lock| is_within(&lock.place, place)).await;
    }

    async fn remember(&self, lock: Lock) {
        let store = self.store.clone();
        write_down(move || store.write(move |tx| LOCKS.put(tx, &lock.token.clone(), &lock))).await;
    }

    async fn forget(&self, which: impl Fn(&Lock) -> bool) {
        let gone: Vec<Lock> = self.lock().extract_if(.., |lock| which(lock)).collect();
        if !gone.is_empty() {
            let store = self.store.clone();
            write_down(move || store.write(move |tx| gone.iter().try_for_each(|lock| LOCKS.remove(tx, &lock.token).map(drop)))).await;
        }
    }

    /// The `activelock` elements of a place, as XML with the prefix `d`.
    pub(super) fn active(&self, place: &str) -> String {
        self.lock().iter().filter(|lock| lock.covers(place)).map(Lock::active).collect()
    }
}

/// Writes on a blocking thread. A lock that could not be written down still holds until the next start.
async fn write_down(work: impl FnOnce() -> Result<(), StoreError> + Send + 'static) {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a lock could not be written down"),
        Err(error) => tracing::error!(%error, "a lock could not be written down"),
    }
}

/// An owner element that an earlier version stored begins with an XML declaration.
fn without_declaration(xml: &str) -> &str {
    match xml.split_once("?>") {
        Some((head, rest)) if head.starts_with("<?xml") => rest.trim_start(),
        _ => xml,
    }
}
