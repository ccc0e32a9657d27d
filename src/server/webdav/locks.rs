//! Locks (RFC 4918 section 6): in redb, so that they survive a restart; they expire, and there are never too many.
//!
//! One lock system serves all mounts: a file locked at `/originals/` is locked at `/webdav/originals/` too.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dav_server::davpath::DavPath;
use dav_server::ls::{DavLock, DavLockSystem, LsFuture};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xmltree::Element;

use crate::store::documents::LOCKS;
use crate::store::{Store, StoreError};
use crate::types::RelPath;

use super::fs::{Files, Place};

/// A lock that nobody refreshes ends after this time, if the client did not ask for less.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Without a Timeout header.
const DEFAULT: Duration = Duration::from_secs(600);
/// More locks than this at once are refused; and more than this of one user.
const LIMIT: usize = 10_000;
const LIMIT_OF_USER: usize = 1_000;

/// A lock as it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lock {
    token: String,
    /// The tree's name and the path in it, without slashes at the ends.
    place: String,
    /// The path as it was asked for, encoded, with its mount.
    root: String,
    principal: Option<String>,
    owner: Option<String>,
    /// Seconds since 1970.
    expires: u64,
    timeout: u64,
    shared: bool,
    deep: bool,
}

/// The locks of a node. Cheap to clone.
#[derive(Clone)]
pub(super) struct Locks {
    store: Store,
    held: Arc<Mutex<Vec<Lock>>>,
}

/// The locks as they are seen through one mount.
#[derive(Clone)]
pub(super) struct LockView {
    locks: Locks,
    files: Files,
    /// The request makes or removes the thing that it is about: then a lock on the folder that holds it counts (RFC 4918 section 7.4).
    membership: bool,
}

impl fmt::Debug for LockView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockView")
    }
}

/// The place of a path in a tree, as locks are kept by it: the tree's name and the path.
pub(super) fn place_in(root: &str, inside: &RelPath) -> String {
    format!("{root}/{inside}").trim_end_matches('/').to_owned()
}

impl LockView {
    pub(super) fn new(locks: Locks, files: Files) -> Self {
        Self { locks, files, membership: false }
    }

    pub(super) fn with_membership(self) -> Self {
        Self { membership: true, ..self }
    }

    /// All locks, without a mount.
    pub(super) fn all(&self) -> &Locks {
        &self.locks
    }

    /// Where a path is, whatever mount it was asked for at. The folder above all trees has a place of its own that holds them all.
    fn place_of(&self, path: &DavPath) -> String {
        match str::from_utf8(path.as_bytes()).map(|path| self.files.place(path)) {
            Ok(Ok(Place::Inside(root, inside))) => place_in(root.name, &inside),
            Ok(Ok(Place::Top)) => String::new(),
            // Nothing can be locked there.
            _ => "?".to_owned(),
        }
    }
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

    fn as_dav(&self) -> DavLock {
        let path = DavPath::new(&self.root).or_else(|_| DavPath::new("/")).unwrap_or_else(|_| unreachable!("`/` is a path"));
        let owner = self.owner.as_deref().and_then(|owner| Element::parse(owner.as_bytes()).ok());
        DavLock {
            token: self.token.clone(),
            path: Box::new(path),
            principal: self.principal.clone(),
            owner: owner.map(Box::new),
            timeout_at: Some(UNIX_EPOCH + Duration::from_secs(self.expires)),
            timeout: Some(Duration::from_secs(self.timeout)),
            shared: self.shared,
            deep: self.deep,
        }
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
        let now = now();
        if held.iter().any(|lock| lock.expires <= now) {
            // They are forgotten in the store when it is opened next.
            held.retain(|lock| lock.expires > now);
        }
        held
    }

    /// The locks at a place, on the folders above it that reach down to it, and, if `deep`, on everything below it.
    fn concerning(&self, place: &str, deep: bool) -> Vec<Lock> {
        let concerns = |lock: &&Lock| lock.covers(place) || deep && is_within(&lock.place, place);
        self.lock().iter().filter(concerns).cloned().collect()
    }

    async fn remember(&self, lock: Lock) {
        let store = self.store.clone();
        write_down(move || store.write(move |tx| LOCKS.put(tx, &lock.token.clone(), &lock))).await;
    }

    async fn forget(&self, locks: Vec<Lock>) {
        if !locks.is_empty() {
            let store = self.store.clone();
            write_down(move || store.write(move |tx| locks.iter().try_for_each(|lock| LOCKS.remove(tx, &lock.token).map(drop)))).await;
        }
    }

    /// Whether an UNLOCK is for the lock of another user.
    pub(super) fn is_anothers<B>(&self, request: &http::Request<B>, user: &str) -> bool {
        let token = request.headers().get("lock-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = token.trim().trim_matches(['<', '>']);
        self.lock().iter().any(|lock| lock.token == token && lock.principal.as_deref() != Some(user))
    }
}

/// An owner element as XML that can stand anywhere. dav-server gives it the prefix `D` without declaring that.
fn self_contained(owner: &Element) -> Option<String> {
    let mut owner = owner.clone();
    let mut namespaces = owner.namespaces.take().unwrap_or_else(xmltree::Namespace::empty);
    namespaces.put("D", "DAV:");
    owner.namespaces = Some(namespaces);
    let mut xml = Vec::new();
    owner.write(&mut xml).ok()?;
    String::from_utf8(xml).ok()
}

/// Writes on a blocking thread. A lock that could not be written down still holds until the next start.
async fn write_down(work: impl FnOnce() -> Result<(), StoreError> + Send + 'static) {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a lock could not be written down"),
        Err(error) => tracing::error!(%error, "a lock could not be written down"),
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> LsFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl DavLockSystem for LockView {
    fn lock(
        &self,
        path: &DavPath,
        principal: Option<&str>,
        owner: Option<&Element>,
        timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        let place = self.place_of(path);
        let timeout = timeout.unwrap_or(DEFAULT).min(LONGEST).as_secs();
        let owner = owner.and_then(self_contained);
        let lock = Lock {
            token: Uuid::new_v4().urn().to_string(),
            root: path.with_prefix().as_url_string(),
            principal: principal.map(str::to_owned),
            owner,
            expires: now() + timeout,
            timeout,
            shared,
            deep,
            place,
        };
        let mut held = self.locks.lock();
        let in_the_way = |other: &&Lock| {
            let meets = other.covers(&lock.place) || deep && is_within(&other.place, &lock.place);
            meets && !(shared && other.shared)
        };
        if let Some(other) = held.iter().find(in_the_way) {
            return ready(Err(other.as_dav()));
        }
        let own = held.iter().filter(|other| other.principal == lock.principal).count();
        if held.len() >= LIMIT || own >= LIMIT_OF_USER {
            tracing::warn!(locks = held.len(), "no more locks are given");
            return ready(Err(lock.as_dav()));
        }
        held.push(lock.clone());
        drop(held);
        let given = lock.as_dav();
        Box::pin(async move {
            self.locks.remember(lock).await;
            Ok(given)
        })
    }

    fn unlock(&self, path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        let place = self.place_of(path);
        let mut held = self.locks.lock();
        let found = held.iter().position(|lock| lock.token == token && lock.covers(&place));
        let removed = found.map(|at| held.swap_remove(at));
        drop(held);
        Box::pin(async move {
            self.locks.forget(vec![removed.ok_or(())?]).await;
            Ok(())
        })
    }

    fn refresh(&self, path: &DavPath, token: &str, timeout: Option<Duration>) -> LsFuture<'_, Result<DavLock, ()>> {
        let place = self.place_of(path);
        let mut held = self.locks.lock();
        let found = held.iter_mut().find(|lock| lock.token == token && lock.covers(&place));
        let refreshed = found.map(|lock| {
            lock.timeout = timeout.map_or(lock.timeout, |timeout| timeout.min(LONGEST).as_secs());
            lock.expires = now() + lock.timeout;
            lock.clone()
        });
        drop(held);
        Box::pin(async move {
            let lock = refreshed.ok_or(())?;
            let dav = lock.as_dav();
            self.locks.remember(lock).await;
            Ok(dav)
        })
    }

    fn check(
        &self,
        path: &DavPath,
        principal: Option<&str>,
        ignore_principal: bool,
        deep: bool,
        submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        let place = self.place_of(path);
        let mut held = self.locks.concerning(&place, deep);
        if self.membership
            && !ignore_principal
            && let Some((folder, _)) = place.rsplit_once('/')
        {
            let above = self.locks.concerning(folder, false);
            held.extend(above.into_iter().filter(|lock| lock.place == folder && !lock.deep));
        }
        if ignore_principal && let [token] = submitted_tokens {
            // An If header asks whether the resource is locked with this very token.
            let matches = held.iter().any(|lock| lock.token == *token);
            let no_such = || Lock { token: token.clone(), place: place.clone(), ..Lock::default() }.as_dav();
            return ready(if matches { Ok(()) } else { Err(held.first().map_or_else(no_such, Lock::as_dav)) });
        }
        let is_ours = |lock: &Lock| submitted_tokens.contains(&lock.token) && (ignore_principal || lock.principal.as_deref() == principal);
        let (ours, others): (Vec<&Lock>, Vec<&Lock>) = held.iter().partition(|lock| is_ours(lock));
        // Of several shared locks on one resource holding one is enough; an exclusive lock of somebody else forbids the write.
        let forbids = |other: &&&Lock| !other.shared || !ours.iter().any(|own| own.covers(&other.place));
        ready(others.iter().find(forbids).map_or(Ok(()), |lock| Err(lock.as_dav())))
    }

    fn discover(&self, path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        ready(self.locks.concerning(&self.place_of(path), false).iter().map(Lock::as_dav).collect())
    }

    fn delete(&self, path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        let place = self.place_of(path);
        let mut held = self.locks.lock();
        let (gone, live): (Vec<_>, Vec<_>) = std::mem::take(&mut *held).into_iter().partition(|lock| is_within(&lock.place, &place));
        *held = live;
        drop(held);
        Box::pin(async move {
            self.locks.forget(gone).await;
            Ok(())
        })
    }
}

impl Locks {
    /// The `activelock` elements of a place, as XML with the prefix `d`.
    pub(super) fn active(&self, place: &str) -> String {
        use quick_xml::escape::escape;
        let mut xml = String::new();
        for lock in self.concerning(place, false) {
            let (scope, depth) = (if lock.shared { "shared" } else { "exclusive" }, if lock.deep { "infinity" } else { "0" });
            let left = lock.expires.saturating_sub(now());
            let dav = lock.as_dav();
            xml.push_str(&format!(
                "<d:activelock><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype><d:depth>{depth}</d:depth>\
                 <d:timeout>Second-{left}</d:timeout><d:locktoken><d:href>{}</d:href></d:locktoken><d:lockroot><d:href>{}</d:href></d:lockroot>\
                 {}</d:activelock>",
                escape(lock.token.as_str()),
                escape(dav.path.with_prefix().as_url_string()),
                lock.owner.as_deref().map(without_declaration).unwrap_or_default(),
            ));
        }
        xml
    }
}

/// A stored owner element begins with an XML declaration.
fn without_declaration(xml: &str) -> &str {
    match xml.split_once("?>") {
        Some((head, rest)) if head.starts_with("<?xml") => rest.trim_start(),
        _ => xml,
    }
}
