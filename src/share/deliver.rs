//! Delivery and proof.

use crate::client::{Payload, Verified, verify};
use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion};

use super::content::Content;
use super::run::{Courier, FileError};

impl Courier {
    pub(super) async fn deliver(&self, content: &Content, at: &RelPath) -> Result<Verified, FileError> {
        let source = std::sync::Arc::clone(&content.source);
        let bytes = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let mut opened = source.open().map_err(|error| FileError::Refused(error.to_string()))?;
            std::io::Read::read_to_end(&mut opened, &mut bytes).map_err(|error| FileError::Refused(error.to_string()))?;
            Ok::<_, FileError>(bytes)
        });
        let bytes = bytes.await.unwrap_or(Err(FileError::Stopped))?;
        self.client.put(at, &content.version, &Expect::Absent, Payload::Whole(bytes.into())).await?;
        let found = self.client.find(at).await?;
        verify::verify_listed(&content.version, found).map_err(FileError::NotProven)
    }

    pub(super) async fn what_became_of_it(&self, at: &RelPath, content: &Content) -> Result<Option<Verified>, FileError> {
        let Some((at, found)) = self.client.find(at).await? else { return Ok(None) };
        if self.holds(&at, &found, &content.version).await? {
            return verify::verify_listed(&content.version, Some((at, found))).map(Some).map_err(FileError::NotProven);
        }
        Ok(None)
    }

    pub(super) async fn holds(&self, at: &RelPath, found: &RemoteVersion, version: &LocalVersion) -> Result<bool, FileError> {
        if found.size != Some(version.size) {
            return Ok(false);
        }
        Ok(match found.digests.agree(&version.digests.into()) {
            Some(same) => same,
            None => self.client.digests(at, found).await? == version.digests,
        })
    }
}
