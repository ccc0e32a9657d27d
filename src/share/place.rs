//! Where on the service a file goes: its folder, which is made when it is missing, and a name that nothing else has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::client::Member;
use crate::types::{LocalVersion, RelPath, RemoteVersion};

use super::names::{folded, is_numbered, numbered};
use super::run::{Courier, FileError};

/// More numbers are not tried.
const NUMBERS: u32 = 10_000;

/// What is known of the folders that are sent to.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<RelPath, Arc<Mutex<Option<Names>>>>>);

/// What has which name, names that may be one being one.
type Names = HashMap<String, Taken>;

#[derive(Clone)]
enum Taken {
    File(RelPath, RemoteVersion),
    /// A folder, or a file that is just being sent.
    Other,
}

/// Where a file goes.
pub(super) enum Place {
    /// To a name that nothing has.
    Free(RelPath),
    /// The same content is at this path.
    There(RelPath),
}

impl Courier {
    /// Finds a place for a content, and keeps its name from others.
    pub(super) async fn place(&self, wanted: &RelPath, version: &LocalVersion) -> Result<Place, FileError> {
        let folder = wanted.parent().unwrap_or_default();
        let names = Arc::clone(self.places.0.lock().await.entry(folder.clone()).or_default());
        let mut at_first = true;
        for number in 1..NUMBERS {
            let name = numbered(wanted, number).map_err(|error| FileError::Refused(error.to_string()))?;
            let taken = {
                let mut names = names.lock().await;
                let names = match &mut *names {
                    Some(names) => names,
                    none => none.insert(self.names_in(&folder).await?),
                };
                match names.entry(folded(name.name())) {
                    Entry::Vacant(free) => {
                        free.insert(Taken::Other);
                        return Ok(Place::Free(name));
                    }
                    Entry::Occupied(taken) => taken.get().clone(),
                }
            };
            if let Taken::File(at, found) = taken
                && self.holds(&at, &found, version).await?
            {
                return Ok(Place::There(at));
            }
            if std::mem::take(&mut at_first)
                && let Some(at) = self.under_a_number(&names, wanted, version).await?
            {
                return Ok(Place::There(at));
            }
        }
        Err(FileError::Refused(format!("there are too many files of the name {} in /{folder} on the service", wanted.name())))
    }

    /// Where the same content is under the name with a number, also behind a number that is free.
    async fn under_a_number(
        &self,
        names: &Mutex<Option<Names>>,
        wanted: &RelPath,
        version: &LocalVersion,
    ) -> Result<Option<RelPath>, FileError> {
        let numbered = |taken: &Taken| match taken {
            Taken::File(at, found) if found.size == Some(version.size) && is_numbered(at, wanted) => Some((at.clone(), found.clone())),
            _ => None,
        };
        let candidates: Vec<_> = names.lock().await.iter().flatten().filter_map(|(_, taken)| numbered(taken)).collect();
        for (at, found) in candidates {
            if self.holds(&at, &found, version).await? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// A name is free again, or another file has it by now than was known.
    pub(super) async fn look_again(&self, folder: &RelPath) {
        self.places.0.lock().await.remove(folder);
    }

    /// From now on a file is known to be there.
    pub(super) async fn is_there(&self, at: &RelPath, version: &RemoteVersion) {
        let folder = at.parent().unwrap_or_default();
        let names = self.places.0.lock().await.get(&folder).cloned();
        if let Some(names) = names
            && let Some(names) = &mut *names.lock().await
        {
            names.insert(folded(at.name()), Taken::File(at.clone(), version.clone()));
        }
    }

    async fn names_in(&self, folder: &RelPath) -> Result<Names, FileError> {
        let Some(listing) = self.client.list(folder).await? else {
            self.make_folder(folder).await?;
            return Ok(Names::new());
        };
        let mut names = Names::new();
        for member in listing.members {
            let (path, taken) = match member {
                Member::File(path, version) => (path.clone(), Taken::File(path, version)),
                Member::Folder(path, _) => (path, Taken::Other),
            };
            names.insert(folded(path.name()), taken);
        }
        names.extend(listing.unusable.into_iter().map(|(path, _)| (folded(path.name()), Taken::Other)));
        Ok(names)
    }

    /// Makes a folder and those above it, one at a time.
    async fn make_folder(&self, folder: &RelPath) -> Result<(), FileError> {
        let _turn = self.making.lock().await;
        let mut missing = vec![folder.clone()];
        for above in folder.ancestors().filter(|above| !above.is_root()) {
            if self.client.list(&above).await?.is_some() {
                break;
            }
            missing.push(above);
        }
        for folder in missing.iter().rev().filter(|folder| !folder.is_root()) {
            if self.client.create_folder(folder).await? {
                self.made_folder(folder).await?;
            }
        }
        Ok(())
    }
}
