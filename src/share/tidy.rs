//! Folders that were made for shared files: they go when the last of these has expired and nobody else has put anything into them.

use crate::store::shares::{self, FileState};
use crate::types::RelPath;

use super::run::{Courier, FileError, blocking};

impl Courier {
    /// Remembers that a folder is of our making.
    pub(super) async fn made_folder(&self, folder: &RelPath) -> Result<(), FileError> {
        let (store, service, folder) = (self.store.clone(), self.service.id, folder.clone());
        Ok(blocking(move || store.write(move |tx| shares::made_folder(tx, service, &folder))).await?)
    }

    /// Removes the folders of our making that are empty by now, those further down first. What is still to be sent keeps its folder. What
    /// cannot be removed now is tried again when the next file has expired.
    pub(super) async fn tidy(&self) -> Result<(), FileError> {
        let (store, service) = (self.store.clone(), self.service.id);
        let mut folders = blocking(move || {
            let tx = store.read()?;
            let mut folders = shares::folders(&tx, service)?;
            for place in shares::due(&tx, service, i64::MAX, usize::MAX)? {
                if let Some(file) = shares::file(&tx, place)?.filter(|file| matches!(file.state, FileState::Waiting { .. })) {
                    folders.retain(|folder| file.wanted.strip_prefix(folder).is_none());
                }
            }
            Ok(folders)
        })
        .await?;
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.segments().count()));
        for folder in folders {
            let gone = match self.client.list(&folder).await {
                Ok(None) => Ok(true),
                Ok(Some(_)) => self.client.delete_empty_folder(&folder).await,
                Err(error) => Err(error),
            };
            match gone {
                Ok(false) => {}
                Ok(true) => {
                    let store = self.store.clone();
                    blocking(move || store.write(move |tx| shares::folder_is_gone(tx, service, &folder))).await?;
                }
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => tracing::warn!(service = %self.service.name, path = %folder, %error, "an empty folder could not be removed"),
            }
        }
        Ok(())
    }
}
