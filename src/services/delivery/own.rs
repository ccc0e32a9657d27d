//! Files of ours on a service: their names are written down before they are made.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::client::ClientError;
use crate::store::traces::Trace;
use crate::types::{Expect, RelPath};

use super::{Delivery, DeliveryError, blocking};

/// Names of ours that are certainly not on the service any more.
#[derive(Debug, Default)]
pub(super) struct Settled(Mutex<Vec<String>>);

const PREFIX: &str = ".twinlens-";

/// Whether a name that we have written to is a temporary one of ours: whatever is there is ours.
pub(crate) fn is_temporary(path: &RelPath) -> bool {
    path.name().starts_with(PREFIX)
}

/// A name beside a path that nobody else uses, and no side syncs.
pub(crate) fn own_path(beside: &RelPath) -> Result<RelPath, DeliveryError> {
    let name = format!("{PREFIX}{}", &Uuid::new_v4().simple().to_string()[..12]);
    beside.with_name(&name).map_err(|error| DeliveryError::Refused(error.to_string()))
}

impl Delivery {
    /// Writes down, durably, that something of ours is going to be on the service.
    pub(crate) async fn leave_trace(&self, trace: Trace) -> Result<(), DeliveryError> {
        let (store, service, traces) = (self.store.clone(), self.service.id, self.traces);
        blocking(move || {
            if traces.get(&store.read()?, service, trace.name())?.as_ref() == Some(&trace) {
                return Ok(());
            }
            Ok(store.write(move |tx| traces.put(tx, service, &trace))?)
        })
        .await
    }

    /// These are not there any more.
    pub(crate) async fn forget_traces(&self, names: Vec<String>) -> Result<(), DeliveryError> {
        if names.is_empty() {
            return Ok(());
        }
        let (store, service, traces) = (self.store.clone(), self.service.id, self.traces);
        let forget = move |tx: &redb::WriteTransaction| names.iter().try_for_each(|name| traces.remove(tx, service, name));
        blocking(move || Ok(store.write_soon(forget)?)).await
    }

    /// Everything of ours that may be there.
    pub(crate) async fn all_traces(&self) -> Result<Vec<Trace>, DeliveryError> {
        let (store, service, traces) = (self.store.clone(), self.service.id, self.traces);
        blocking(move || Ok(traces.all(&store.read()?, service)?)).await
    }

    /// What came of removing something that an earlier run left on the service: its name when nothing is there any more. What cannot be removed
    /// now is tried again by the next run; only a service that is out of reach ends this one.
    pub(crate) fn swept(&self, trace: &Trace, removed: Result<bool, ClientError>) -> Result<Option<String>, ClientError> {
        let name = trace.name();
        match removed {
            Ok(removed) => Ok(removed.then(|| name.to_owned())),
            Err(error) if error.stops_everything() => Err(error),
            Err(error) => {
                tracing::warn!(service = %self.service.name, name, %error, "what an earlier run left there could not be removed yet");
                Ok(None)
            }
        }
    }

    /// Removes a file of ours, a path below the service's WebDAV root, and looks whether it is gone.
    pub(crate) async fn remove_for_certain(&self, at: &RelPath) -> Result<bool, ClientError> {
        self.root.delete(at, &Expect::Anything).await?;
        Ok(self.root.look(at).await?.is_none())
    }

    /// Throws away an upload in pieces.
    pub(crate) async fn throw_away(&self, id: &str) -> Result<(), ClientError> {
        match self.client.session(id, &RelPath::root(), 0) {
            Some(session) => session.abort().await,
            // It is no cloud any more.
            None => Ok(()),
        }
    }

    /// A name of ours beside a path, for a copy.
    pub(crate) async fn temporary(&self, beside: &RelPath) -> Result<RelPath, DeliveryError> {
        let at = own_path(beside)?;
        self.leave_trace(Trace::Copy { at: self.folder.join_path(&at) }).await?;
        Ok(at)
    }

    /// Nothing of ours has this name any more.
    pub(crate) fn is_settled(&self, name: &str) {
        self.settled.0.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Forgets what is not there any more.
    pub(crate) async fn forget_settled(&self) -> Result<(), DeliveryError> {
        let settled = std::mem::take(&mut *self.settled.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.forget_traces(settled).await
    }

    /// Removes a file of ours that may come back: its trace stays.
    pub(super) async fn remove_remains_of(&self, path: &RelPath) {
        if let Err(error) = self.remove_for_certain(&self.folder.join_path(path)).await {
            tracing::warn!(service = %self.service.name, %path, %error, "a file of ours will be removed by the next run");
        }
    }

    /// Removes a file of ours, which need not be there. What it is need not be known: nobody else uses its name.
    pub(crate) async fn remove_temporary(&self, path: &RelPath) {
        match self.remove_for_certain(&self.folder.join_path(path)).await {
            Ok(true) => self.is_settled(path.name()),
            Ok(false) => tracing::warn!(service = %self.service.name, %path, "a file of ours will be removed by the next run"),
            Err(error) => {
                tracing::warn!(service = %self.service.name, %path, %error, "a file of ours will be removed by the next run");
            }
        }
    }
}
