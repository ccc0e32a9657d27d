//! Files of ours on a service. Their names are written down before they are made, and what a run that was killed left there is removed by the
//! next one: that and nothing else, because another node may be at work there at this moment.

use crate::client::ClientError;
use crate::reconcile::Base;
use crate::services::delivery::own_path;
use crate::services::doctor;
use crate::store::baseline::Baseline;
use crate::store::index::Index;
use crate::store::traces::Trace;
use crate::store::{StoreError, listed};
use crate::types::{ContentHash, Expect, RelPath};

use super::execute::{Execution, StepError};
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// Removes what earlier runs left on the service. What cannot be removed now is tried again by the next run; only a service that is out of
    /// reach ends this one.
    pub(super) async fn sweep(&self) -> Result<(), SyncError> {
        let mut gone = Vec::new();
        for trace in self.delivery.all_traces().await? {
            let removed = match &trace {
                // Of somebody who is at work with the service at this moment.
                Trace::Copy { at } if doctor::examines_with(at.name()) => Ok(false),
                Trace::Copy { at } => self.remove_copy_of_ours(at).await,
                Trace::Between { at, from } => self.give_back(at, from).await.map(|()| true),
                Trace::Session { id, local, content } => match self.is_abandoned(local, content)? {
                    true => self.delivery.throw_away(id).await.map(|()| true),
                    false => Ok(false),
                },
            };
            gone.extend(self.delivery.swept(&trace, removed)?);
        }
        Ok(self.delivery.forget_traces(gone).await?)
    }

    async fn remove_copy_of_ours(&self, at: &RelPath) -> Result<bool, ClientError> {
        if self.root.look(at).await?.is_none() {
            return Ok(true);
        }
        let removed = self.delivery.remove_for_certain(at).await?;
        self.touched(at).await?;
        Ok(removed)
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
    /// A name of ours for a file or folder on its way to `to`.
    pub(super) async fn between(&self, from: &RelPath, to: &RelPath) -> Result<RelPath, StepError> {
        let (at, folder) = (own_path(to)?, &self.sync.service.sync.folder);
        self.sync.delivery.leave_trace(Trace::Between { at: folder.join_path(&at), from: folder.join_path(from) }).await?;
        Ok(at)
    }
}
