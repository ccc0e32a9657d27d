//! What broken uploads leave on a service under temporary names of ours.
//!
//! A server that has not yet noticed that a connection broke may write what came of a request after we have looked and tidied up, and a run
//! that is killed tidies up nothing. Nothing is remembered of that here: a temporary name says whose it is, and the next look finds it.

use crate::types::{Expect, RelPath, RemoteVersion};

use super::execute::StepError;
use super::run::Sync;

const PREFIX: &str = ".twinlens-up-";

impl Sync {
    /// The beginning of all temporary names that this library uses with this service. Two runs with one service never overlap.
    fn own_prefix(&self) -> String {
        let whose = format!("{} {}", self.library_id, self.service.id.0);
        format!("{PREFIX}{}-", &blake3::hash(whose.as_bytes()).to_hex()[..8])
    }

    /// A name beside this one that nobody else uses: the same for the same file, so that the next attempt finds what one could not remove.
    pub(super) fn temporary_name(&self, path: &RelPath) -> Result<RelPath, StepError> {
        let place = blake3::hash(path.as_str().as_bytes()).to_hex();
        let name = format!("{}{}", self.own_prefix(), &place[..8]);
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
