//! What follows a change that went well: the number of the file for clients that keep it, and a favourite where that was asked for.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use crate::accounts::Login;
use crate::types::RelPath;

use super::super::http::Body;
use super::file::blocking;
use super::fs::{Files, Place};
use super::meta::{FsError, fs_error};
use super::mount::{Below, Mount, Mounts, destination};
use super::scene::oc_id;

const OC_FILEID: HeaderName = HeaderName::from_static("oc-fileid");

/// Where the clients of Nextcloud and ownCloud come in: they keep the numbers of files.
const CLOUD: &str = "/remote.php/";

/// What is to be done once a request went well.
pub(super) struct Afterwards {
    /// What it is about then.
    target: Option<(Files, RelPath)>,
    wants_number: bool,
    /// Whose favourite it becomes.
    favorite_of: Option<String>,
}

impl Afterwards {
    pub(super) fn of<B>(mounts: &Mounts, (mount, below): (&Mount, &Below), request: &Request<B>, login: &Login) -> Self {
        let nothing = Self { target: None, wants_number: false, favorite_of: None };
        let headers = request.headers();
        let moves = matches!(request.method().as_str(), "MOVE" | "COPY");
        if !moves && !matches!(request.method().as_str(), "PUT" | "MKCOL") {
            return nothing;
        }
        if !moves {
            return Self::of_upload((mount, below), headers, login);
        }
        if !mount.prefix.starts_with(CLOUD) {
            return nothing;
        }
        let target = headers.get("destination").and_then(|value| value.to_str().ok()).and_then(destination).and_then(|path| {
            let (mount, below) = mounts.find(&path, login).ok()?;
            let path = mount.files.spelled(&below.path);
            Some((mount.files, path))
        });
        Self { target, wants_number: true, ..nothing }
    }

    /// Of what has just come, with these headers.
    pub(super) fn of_upload((mount, below): (&Mount, &Below), headers: &HeaderMap, login: &Login) -> Self {
        let likes = headers.get("x-favorite").is_some_and(|value| value == "1");
        let wants_number = mount.prefix.starts_with(CLOUD);
        let target = (likes || wants_number).then(|| (mount.files.clone(), below.path.clone()));
        Self { target, wants_number, favorite_of: likes.then(|| login.user.clone()) }
    }

    /// The answer with what else there is to tell. The change itself is done: what fails here is for the log.
    pub(super) async fn complete(self, mut answer: Response<Body>) -> Response<Body> {
        let Some((files, path)) = self.target.filter(|_| answer.status().is_success()) else { return answer };
        let (wants_number, favorite_of) = (self.wants_number, self.favorite_of);
        let found = blocking(move || {
            let Place::Inside(root, inside) = files.place(path.as_str())? else { return Err(FsError::NotFound) };
            if let Some(user) = favorite_of {
                root.tree.set_favorite(&user, &inside, true).map_err(|error| fs_error(&error))?;
            }
            if !wants_number {
                return Ok(None);
            }
            let numbers = root.tree.file_ids(vec![inside.clone()]).map_err(|error| fs_error(&error))?;
            let state = root.tree.view().map_err(|error| fs_error(&error))?.state_id();
            Ok(numbers.first().map(|number| oc_id(*number, state)))
        });
        match found.await.and_then(|found| found) {
            Ok(number) => {
                if let Some(value) = number.and_then(|number| HeaderValue::from_str(&number).ok()) {
                    answer.headers_mut().insert(OC_FILEID, value);
                }
            }
            // Somebody else may have moved it away by now.
            Err(FsError::NotFound) => {}
            Err(error) => tracing::warn!(%error, "a change went well, but its file's number or its favourite could not be written"),
        }
        answer
    }
}
