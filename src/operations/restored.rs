//! When the state or the library was put back from a backup: nothing is lost, and nothing is deleted for it.

use serde_json::Value;

use crate::library::{Past, Tree};
use crate::reconcile::Deletes;
use crate::services::Service;
use crate::store::documents::CAUTIOUS;
use crate::store::{Store, StoreError, baseline, listed, meta};
use crate::sync::Report;
use crate::types::ServiceId;

use super::Failure;

const CAREFUL: &str = "the index was put back from a backup: in this one run no deletion was followed";

/// Looks whether the state and a library that is opened are of one time, and prepares the next syncs if not.
pub(crate) fn look_back(tree: &Tree, store: &Store, services: &[Service]) -> Result<(), Failure> {
    let ids: Vec<ServiceId> = services.iter().map(|service| service.id).collect();
    match tree.past()? {
        Past::Together => {}
        Past::OlderState => {
            tracing::warn!(
                "the index is older than the library: it was put back from a backup. Everything is looked at again, and the next sync with \
                 each service follows no deletions"
            );
            store.write(move |tx| {
                meta::begin_anew(tx)?;
                ids.iter().try_for_each(|id| CAUTIOUS.put(tx, &id.0.to_string(), &Value::Null))
            })?;
        }
        Past::OlderLibrary => {
            tracing::warn!(
                "the library is older than its index: it was put back from a backup. What each service has besides is fetched again, and \
                 where both differ both versions are kept"
            );
            store.write(move |tx| ids.iter().try_for_each(|id| baseline::distrust(tx, *id)))?;
        }
    }
    Ok(tree.renew_seal()?)
}

/// The settings that the next sync with a service is to be done with, and whether they are other ones than the owner's.
pub(crate) fn carefully(store: &Store, service: &mut Service) -> Result<bool, StoreError> {
    let careful = CAUTIOUS.get::<Value>(&store.read()?, &service.id.0.to_string())?.is_some();
    if careful {
        service.sync.deletes = Deletes::Ignore;
    }
    Ok(careful)
}

/// A careful sync came to its end: what is deleted from now on is followed again.
pub(crate) fn looked(store: &Store, service: ServiceId, report: &mut Report) -> Result<(), StoreError> {
    report.note_careful(CAREFUL);
    if report.dry_run || report.error.is_some() {
        return Ok(());
    }
    store.write(move |tx| {
        CAUTIOUS.remove(tx, &service.0.to_string())?;
        // The next run says what it left, not what this one did.
        listed::unsettle(tx, service)
    })
}
