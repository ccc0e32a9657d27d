//! Whether a file of a service that tells no digest is one of the library: found out at the least cost that the owner allows.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::client::ClientError;
use crate::library::Original;
use crate::reconcile::Seen;
use crate::services::Trust;
use crate::services::delivery::{places, read_part};
use crate::types::{Digests, LocalVersion, RelPath, RemoteVersion, Sha1};

use super::merge::Open;
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// Finds the digests that the table asked for, and of new files of the service those that the library may have.
    pub(super) async fn find_digests(self: &Arc<Self>, open: Vec<Open>) -> Result<Vec<Open>, SyncError> {
        let found = stream::iter(open).map(|mut item| async move {
            let Seen::File(version) = item.row.remote.clone() else { return Ok(item) };
            match self.digests_of(&item, &version).await {
                Ok(Some(digests)) => {
                    self.learn(&item.remote, &version, digests).await?;
                    item.row.remote = Seen::File(RemoteVersion { digests: digests.into(), ..version });
                }
                Ok(None) => {}
                Err(error) if error.stops_everything() => return Err(SyncError::Client(error)),
                Err(error) => item.row.remote = Seen::Unknown(error.to_string()),
            }
            Ok(item)
        });
        let mut closed = Vec::new();
        let mut found = std::pin::pin!(found.buffer_unordered(self.options.parallel.max(1)));
        while let Some(item) = found.next().await {
            closed.push(item?);
        }
        Ok(closed)
    }

    /// None when it is none of the candidates, and what it is instead need not be known.
    async fn digests_of(&self, item: &Open, version: &RemoteVersion) -> Result<Option<Digests>, ClientError> {
        if let Some(sha1) = self.hashed_there(item, version).await? {
            match item.candidates.iter().find(|(_, here)| here.digests.sha1 == sha1 && version.size == Some(here.size)) {
                Some((_, here)) => return Ok(Some(here.digests)),
                None if !item.must_be_known => return Ok(None),
                None => {}
            }
        } else if self.service.sync.trust == Trust::Samples {
            for (path, here) in &item.candidates {
                if version.size == Some(here.size) && self.samples_agree(&item.remote, version, path, here).await? {
                    return Ok(Some(here.digests));
                }
            }
        }
        match item.must_be_known {
            true => self.client.digests(&item.remote, version).await.map(Some),
            false => Ok(None),
        }
    }

    /// What a Nextcloud says the file's bytes hash to, when that may tell that it is one of the candidates: one request, and proof where
    /// samples are none. None where it is not offered, or where everything is to be read.
    async fn hashed_there(&self, item: &Open, version: &RemoteVersion) -> Result<Option<Sha1>, ClientError> {
        let may_be_here = item.candidates.iter().any(|(_, here)| version.size == Some(here.size));
        if !may_be_here || self.service.sync.trust == Trust::Full || !self.client.is_cloud() {
            return Ok(None);
        }
        match self.client.recalculate(&item.remote).await {
            Err(error) if error.stops_everything() => Err(error),
            Err(error) => {
                tracing::debug!(service = %self.service.name, path = %item.remote, %error, "it does not tell the hash of a file");
                Ok(None)
            }
            told => told,
        }
    }

    /// Whether two files of the same size have the same bytes at their beginnings, their ends and between. A small file is compared whole.
    async fn samples_agree(
        &self,
        remote: &RelPath,
        version: &RemoteVersion,
        local: &RelPath,
        here: &LocalVersion,
    ) -> Result<bool, ClientError> {
        for (from, length) in places(here.size) {
            let Some(there) = self.client.part(remote, version, from, length).await? else { return Ok(false) };
            let source = Original { tree: self.tree.clone(), path: local.clone(), version: *here };
            let read = blocking(move || Ok(read_part(&source, from, length).ok())).await;
            // What cannot be read here, or has changed, is not the same.
            if !matches!(read, Ok(Some(bytes)) if bytes == there) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
