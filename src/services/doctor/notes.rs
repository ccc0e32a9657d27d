//! What the probe is about to put on a service is written down before: if it is killed, the next sync removes it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::traces::{self, Trace};
use crate::store::{Store, StoreError};
use crate::types::{RelPath, ServiceId};

use super::super::Service;

/// The names of all examinations of this process, which is the only one that has the store.
static AT_WORK: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether a file of this name belongs to an examination that is not over.
pub fn examines_with(name: &str) -> bool {
    lock(&AT_WORK).contains(name)
}

/// Names that may have something of ours, in a folder of a service.
pub(super) struct Notes {
    store: Store,
    service: ServiceId,
    /// The folder, below the WebDAV root.
    place: RelPath,
    written: Mutex<Vec<RelPath>>,
}

impl Notes {
    pub(super) fn new(store: &Store, service: &Service, place: RelPath) -> Self {
        Self { store: store.clone(), service: service.id, place, written: Mutex::default() }
    }

    /// Writes a name down, durably.
    pub(super) async fn begin(&self, path: &RelPath) -> Result<(), String> {
        lock(&AT_WORK).insert(path.name().to_owned());
        lock(&self.written).push(path.clone());
        let trace = Trace::Copy { at: self.place.join_path(path) };
        let (store, service) = (self.store.clone(), self.service);
        in_store(move || store.write(move |tx| traces::SYNC.put(tx, service, &trace))).await
    }

    /// The names that were written down and may have something.
    pub(super) fn all(&self) -> Vec<RelPath> {
        lock(&self.written).clone()
    }

    /// Nothing has these names any more.
    pub(super) async fn end(&self, gone: Vec<RelPath>) -> Result<(), String> {
        let (store, service) = (self.store.clone(), self.service);
        let forget = move |tx: &redb::WriteTransaction| gone.iter().try_for_each(|path| traces::SYNC.remove(tx, service, path.name()));
        in_store(move || store.write_soon(forget)).await
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let mut at_work = lock(&AT_WORK);
        for path in self.all() {
            at_work.remove(path.name());
        }
    }
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn in_store(work: impl FnOnce() -> Result<(), StoreError> + Send + 'static) -> Result<(), String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
