//! The folders of a service, one level at a time, so that its owner can choose one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::{ClientError, Member};
use crate::types::RelPath;

use super::{Failure, Kind, Operations};

/// So many folders are told at once.
const LIMIT: usize = 10_000;

/// The folders in a folder of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Folders {
    /// The service.
    pub name: String,
    /// The folder, below the service's WebDAV root.
    pub path: RelPath,
    /// It was made just now.
    pub created: bool,
    /// The names of the folders in it, as they are there, sorted.
    pub folders: Vec<String>,
    /// There are more, which are not told.
    pub more: bool,
    /// How many files are in it.
    pub files: usize,
    /// What is in it and cannot be used, with reasons.
    pub unusable: Vec<(String, String)>,
}

impl Operations {
    /// The folders in a folder of a service. With `create` it is made first, if it is not there; the folder above it must be.
    pub async fn folders(&self, name: String, path: String, create: bool) -> Result<Folders, Failure> {
        let path = RelPath::parse_lenient(&path)
            .map_err(|error| Failure::usage(format!("path: {path} cannot be a folder: {error}")).about("path"))?;
        let client = self.services.client(&name)?;
        let mut created = false;
        let mut listing = client.list(&path).await?;
        if listing.is_none() && create {
            match client.create_folder(&path).await {
                Err(ClientError::NotFound(_)) => return Err(no_way(&path)),
                Err(ClientError::Status { status, .. }) if status.as_u16() == 409 => return Err(no_way(&path)),
                made => drop(made?),
            }
            created = true;
            listing = client.list(&path).await?;
        }
        let Some(listing) = listing else {
            return Err(Failure::unreachable(format!("{name} has no folder /{path}; --create makes it"))
                .of_kind(Kind::NotFound)
                .about("path"));
        };
        let (mut folders, mut files) = (Vec::new(), 0);
        for member in listing.members {
            match member {
                Member::Folder(path, _) => folders.push(path.name().to_owned()),
                Member::File(..) => files += 1,
            }
        }
        folders.sort();
        let more = folders.len() > LIMIT;
        folders.truncate(LIMIT);
        let strange = listing.unusable.into_iter().map(|(path, why)| (path.name().to_owned(), why));
        let unusable = strange.chain(listing.unnamable).take(LIMIT).collect();
        Ok(Folders { name, path, created, folders, more, files, unusable })
    }
}

/// Only one folder is made at a time, so that a slip makes no tree.
fn no_way(path: &RelPath) -> Failure {
    let message = format!("/{path} cannot be made, because the folder above it is not there; make that first");
    Failure::unreachable(message).of_kind(Kind::NotFound).about("path")
}
