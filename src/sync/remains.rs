//! What broken uploads leave on a service: files under temporary names of ours, and beginnings of files under their own names.
//!
//! A server that has not yet noticed that a connection broke may write what came of a request after we have looked and tidied up, and a run
//! that is killed tidies up nothing. Nothing is remembered of that here: a temporary name says whose it is, and the next look finds it.

use std::sync::Arc;

use uuid::Uuid;

use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion};

use super::execute::{Execution, StepError};
use super::run::Sync;

const PREFIX: &str = ".twinlens-up-";

impl Sync {
    /// The beginning of all temporary names that this library uses with this service. Two runs with one service never overlap.
    fn own_prefix(&self) -> String {
        let whose = format!("{} {}", self.library_id, self.service.id.0);
        format!("{PREFIX}{}-", &blake3::hash(whose.as_bytes()).to_hex()[..8])
    }

    /// A name beside this one that nobody else uses.
    pub(super) fn temporary_name(&self, path: &RelPath) -> Result<RelPath, StepError> {
        let token = Uuid::new_v4().simple().to_string();
        let name = format!("{}{}", self.own_prefix(), &token[..8]);
        path.with_name(&name).map_err(|error| StepError::Refused(error.to_string()))
    }

    /// Whether a name is a temporary one of ours: whatever is there is ours.
    pub(super) fn is_temporary(&self, path: &RelPath) -> bool {
        path.name().starts_with(&self.own_prefix())
    }

    /// Removes what earlier runs left under temporary names. Nothing depends on it: what goes wrong is logged, and found again.
    pub(super) async fn sweep(&self, remains: &[(RelPath, RemoteVersion)]) {
        for (path, version) in remains {
            match self.client.delete(path, &Expect::Version(version.clone())).await {
                Ok(()) => tracing::info!(service = %self.service.name, %path, "the remains of an earlier upload were removed"),
                Err(error) => tracing::warn!(service = %self.service.name, %path, %error, "the remains of an upload could not be removed"),
            }
        }
    }
}

impl Execution {
    /// Whether the service's file is nothing but a beginning of the local one: what came of an upload that broke. All of its bytes are here.
    pub(super) async fn is_cut_upload(self: &Arc<Self>, path: (&RelPath, &RelPath), local: &LocalVersion, remote: &RemoteVersion) -> bool {
        let (here, there) = path;
        // A node shows a file only when it is complete.
        let Some(size) = remote.size.filter(|size| !self.is_node && *size < local.size) else { return false };
        let is_beginning = match size {
            0 => Ok(true),
            _ => self.is_beginning(there, remote, size, here).await,
        };
        is_beginning.unwrap_or_else(|error| {
            tracing::debug!(%there, %error, "whether it is the beginning of an upload could not be found out");
            false
        })
    }
}
