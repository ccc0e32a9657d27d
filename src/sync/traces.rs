//! Files of ours on a service. Their names are written down before they are made, and what a run that was killed left there is removed by the
//! next one: that and nothing else, because another node may be at work there at this moment.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::client::ClientError;
use crate::reconcile::Base;
use crate::services::doctor;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::traces::{self, Trace};
use crate::store::{StoreError, listed};
use crate::types::{ContentHash, Expect, RelPath};

use super::execute::{Execution, StepError};
use super::run::{Sync, SyncError, blocking};

/// Names of ours that are certainly not on the service any more.
#[derive(Debug, Default)]
pub(super) struct Settled(Mutex<Vec<String>>);

impl Settled {
    fn add(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const PREFIX: &str = ".twinlens-";

/// Whether a name that we have written to is a temporary one of ours: whatever is there is ours.
pub(super) fn is_temporary(path: &RelPath) -> bool {
    path.name().starts_with(PREFIX)
}

/// A name that nobody else uses, and no side syncs.
fn own_name() -> String {
    format!("{PREFIX}{}", &Uuid::new_v4().simple().to_string()[..12])
}

impl Sync {
    /// Writes down, durably, that something of ours is going to be on the service.
    pub(super) async fn leave_trace(&self, trace: Trace) -> Result<(), SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || {
            if traces::get(&store.read()?, service, trace.name())?.as_ref() == Some(&trace) {
                return Ok(());
            }
            Ok(store.write(move |tx| traces::put(tx, service, &trace))?)
        })
        .await
    }

    /// These are not there any more.
    pub(super) async fn forget_traces(&self, names: Vec<String>) -> Result<(), SyncError> {
        if names.is_empty() {
            return Ok(());
        }
        let (store, service) = (self.store.clone(), self.service.id);
        let forget = move |tx: &redb::WriteTransaction| names.iter().try_for_each(|name| traces::remove(tx, service, name));
        blocking(move || Ok(store.write_soon(forget)?)).await
    }

    /// Removes what earlier runs left on the service. What cannot be removed now is tried again by the next run; only a service that is out of
    /// reach ends this one.
    pub(super) async fn sweep(&self) -> Result<(), SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        let left = blocking(move || Ok(traces::all(&store.read()?, service)?)).await?;
        let mut gone = Vec::new();
        for trace in left {
            let swept = match &trace {
                // Of somebody who is at work with the service at this moment.
                Trace::Copy { at } if doctor::examines_with(at.name()) => Ok(false),
                Trace::Copy { at } => self.remove_copy_of_ours(at).await,
                Trace::Between { at, from } => self.give_back(at, from).await.map(|()| true),
                Trace::Session { id, local, content } => match self.is_abandoned(local, content)? {
                    true => self.throw_away(id).await.map(|()| true),
                    false => Ok(false),
                },
            };
            match swept {
                Ok(true) => gone.push(trace.name().to_owned()),
                Ok(false) => {}
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => {
                    let name = trace.name();
                    tracing::warn!(service = %self.service.name, name, %error, "what an earlier run left there could not be removed yet");
                }
            }
        }
        self.forget_traces(gone).await
    }

    async fn remove_copy_of_ours(&self, at: &RelPath) -> Result<bool, ClientError> {
        if self.root.look(at).await?.is_none() {
            return Ok(true);
        }
        let removed = self.remove_for_certain(at).await?;
        self.touched(at).await?;
        Ok(removed)
    }

    /// Removes a file of ours, a path below the service's WebDAV root, and looks whether it is gone.
    pub(super) async fn remove_for_certain(&self, at: &RelPath) -> Result<bool, ClientError> {
        self.root.delete(at, &Expect::Anything).await?;
        Ok(self.root.look(at).await?.is_none())
    }

    /// Gives what was on its way its old name again. The next look finds the rename as it was before.
    async fn give_back(&self, at: &RelPath, from: &RelPath) -> Result<(), ClientError> {
        match self.root.look(at).await {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => self.root.rename(at, from, &found, &Expect::Absent).await?,
            // It is a folder.
            Err(_) => match self.root.list(at).await? {
                None => return Ok(()),
                Some(_) => self.root.rename_folder(at, from).await?,
            },
        }
        self.touched(at).await
    }

    /// Whether nothing is going to go on with an upload in pieces: its file is another one by now, or is there.
    fn is_abandoned(&self, local: &RelPath, content: &ContentHash) -> Result<bool, StoreError> {
        let tx = self.store.read()?;
        let here = Index::open(&tx)?.get(local)?.map(|row| row.digests.content);
        let agreed = Baseline::open(&tx, self.service.id)?.get(local)?.map(|row| row.base());
        let is_there = matches!(agreed, Some(Base { local: Some(then), remote: Some(_) }) if then.digests.content == *content);
        Ok(here.as_ref() != Some(content) || is_there)
    }

    async fn throw_away(&self, id: &str) -> Result<(), ClientError> {
        match self.client.session(id, &RelPath::root(), 0) {
            Some(session) => session.abort().await,
            // It is no cloud any more.
            None => Ok(()),
        }
    }

    /// We changed something in the folder of this path: that needs no closer look.
    async fn touched(&self, path: &RelPath) -> Result<(), ClientError> {
        let Some(folder) = path.parent().unwrap_or_default().strip_prefix(&self.service.sync.folder) else { return Ok(()) };
        let (store, service) = (self.store.clone(), self.service.id);
        let noted = blocking(move || Ok(store.write_soon(move |tx| listed::wrote_in(tx, service, &folder))?)).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the folder will be looked at more closely");
        }
        Ok(())
    }
}

impl Execution {
    /// A name of ours beside a path, for a copy.
    pub(super) async fn temporary(&self, beside: &RelPath) -> Result<RelPath, StepError> {
        let at = own_path(beside)?;
        self.sync.leave_trace(Trace::Copy { at: self.sync.service.sync.folder.join_path(&at) }).await?;
        Ok(at)
    }

    /// A name of ours for a file or folder on its way to `to`.
    pub(super) async fn between(&self, from: &RelPath, to: &RelPath) -> Result<RelPath, StepError> {
        let (at, folder) = (own_path(to)?, &self.sync.service.sync.folder);
        self.sync.leave_trace(Trace::Between { at: folder.join_path(&at), from: folder.join_path(from) }).await?;
        Ok(at)
    }

    /// Nothing of ours has this name any more.
    pub(super) fn is_settled(&self, name: &str) {
        self.settled.add(name);
    }

    /// Forgets what is not there any more.
    pub(super) async fn forget_settled(&self) -> Result<(), SyncError> {
        self.sync.forget_traces(self.settled.take()).await
    }

    /// Removes a file of ours that may come back: its trace stays.
    pub(super) async fn remove_remains_of(&self, path: &RelPath) {
        if let Err(error) = self.sync.remove_for_certain(&self.sync.service.sync.folder.join_path(path)).await {
            tracing::warn!(service = %self.sync.service.name, %path, %error, "a file of ours will be removed by the next run");
        }
    }

    /// Removes a file of ours, which need not be there. What it is need not be known: nobody else uses its name.
    pub(super) async fn remove_temporary(&self, path: &RelPath) {
        match self.sync.remove_for_certain(&self.sync.service.sync.folder.join_path(path)).await {
            Ok(true) => self.is_settled(path.name()),
            Ok(false) => tracing::warn!(service = %self.sync.service.name, %path, "a file of ours will be removed by the next run"),
            Err(error) => {
                tracing::warn!(service = %self.sync.service.name, %path, %error, "a file of ours will be removed by the next run");
            }
        }
    }
}

fn own_path(beside: &RelPath) -> Result<RelPath, StepError> {
    beside.with_name(&own_name()).map_err(|error| StepError::Refused(error.to_string()))
}
