//! What is known of an upload that is under way or over, and why one is refused.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use crate::library::{UploadError, Uploads};
use crate::operations::moment;
use crate::types::Mtime;

use super::super::super::cloud::refused;
use super::super::super::webdav::Refused;
use super::super::files;
use super::super::problem::Problem;
use super::{NewUpload, Upload};

/// What became of so many uploads is remembered, for those whose answer did not arrive.
const REMEMBERED: usize = 1000;
/// Seconds after which there may be room for another unfinished upload.
const WAIT_FOR_ENDED: u64 = 60;

/// What became of uploads that are over, as long as the node runs.
#[derive(Default)]
pub(in super::super) struct Published(Mutex<VecDeque<(String, Upload)>>);

impl Published {
    pub(super) fn keep(&self, user: &str, upload: &Upload) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back((user.to_owned(), upload.clone()));
    }

    pub(super) fn get(&self, user: &str, id: &str) -> Option<Upload> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(owner, upload)| owner == user && upload.id == id).map(|(_, upload)| upload.clone())
    }
}

/// What lies in a session.
pub(super) struct Session {
    pub(super) about: NewUpload,
    pub(super) upload: Upload,
}

impl Session {
    pub(super) fn read(uploads: &Uploads, user: &str, id: &str, changed: Option<Mtime>) -> Result<Self, Problem> {
        let about = uploads.description(user, id).map_err(|error| in_words(&error))?;
        // One of a Nextcloud client's is none of ours, and neither is one that was not written down to its end.
        let about: NewUpload = about.and_then(|about| serde_json::from_slice(&about).ok()).ok_or_else(no_upload)?;
        let chunks = uploads.chunks(user, id).map_err(|error| in_words(&error))?;
        let offset = chunks.iter().map(|chunk| chunk.size).sum();
        let latest = chunks.iter().map(|chunk| chunk.mtime).max().or(changed);
        let expires = moment(Uploads::expires(latest.unwrap_or_else(|| std::time::SystemTime::now().into())));
        let path = files::file_path(&about.path)?;
        let modified = about.modified.clone();
        let upload = Upload { id: id.to_owned(), path, size: about.size, modified, offset, complete: false, stored: None, expires };
        Ok(Self { about, upload })
    }
}

fn no_upload() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such upload; it has ended or expired. Begin it again.")
}

pub(super) fn in_words(error: &UploadError) -> Problem {
    match error {
        // There may be room enough: what is missing is that somebody ends some.
        UploadError::TooMany => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", format!("{error}.")).retry_after(WAIT_FOR_ENDED),
        error => of_refused(refused(error)),
    }
}

/// Why a piece is not taken. One more will not be either when the others are over: there are too many of this very upload.
pub(super) fn of_piece(error: &UploadError) -> Problem {
    match error {
        UploadError::TooMany => {
            let detail = "It came in too many pieces; give it up, and begin it again with larger ones.";
            Problem::new(StatusCode::CONFLICT, "too-many-pieces", detail)
        }
        error => in_words(error),
    }
}

pub(super) fn of_refused((status, reason): Refused) -> Problem {
    let text = reason.trim_end().to_owned();
    match status {
        StatusCode::NOT_FOUND => no_upload(),
        StatusCode::INSUFFICIENT_STORAGE => Problem::new(status, "full", text),
        StatusCode::LOCKED => Problem::new(StatusCode::CONFLICT, "in-progress", text),
        StatusCode::INTERNAL_SERVER_ERROR => Problem::new(status, "failed", text),
        _ => Problem::bad("bad-request", text),
    }
}
