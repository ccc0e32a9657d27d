//! What is done with files that are shared with a service.

use crate::services::{Service, UploadSettings};
use crate::types::RelPath;

use super::{Failure, Operations, UploadChange, blocking};

impl Operations {
    /// Changes what is done with files that are shared with a service. When the change makes no sense, nothing is changed.
    pub async fn change_upload(&self, name: String, change: UploadChange) -> Result<Service, Failure> {
        let folder = change.folder.as_deref().map(remote_folder).transpose()?;
        if let Some(folder) = &folder {
            self.refuse_own_folder(&name, folder).await?;
        }
        let services = self.services.clone();
        blocking(move || {
            let old = services.get(&name)?.upload;
            let upload = UploadSettings {
                on: change.on.unwrap_or(old.on),
                folder: folder.unwrap_or(old.folder),
                size: change.size.unwrap_or(old.size),
                expires: change.expires.unwrap_or(old.expires),
                unfit: change.unfit.unwrap_or(old.unfit),
                gps: change.gps.unwrap_or(old.gps),
            };
            if let Some(why) = upload.contradiction() {
                return Err(Failure::usage(why).about("gps"));
            }
            Ok(services.set_upload(&name, upload)?)
        })
        .await
    }
}

/// A folder of a service, as an owner types it.
pub(super) fn remote_folder(text: &str) -> Result<RelPath, Failure> {
    RelPath::parse_lenient(text).map_err(|error| Failure::usage(format!("the folder {text} cannot be used: {error}")).about("folder"))
}
