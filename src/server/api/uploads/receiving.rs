//! The bytes of a piece.

use http_body_util::BodyExt as _;

use crate::accounts::Login;

use super::super::super::cloud::Taking;
use super::super::super::webdav::{Gathering, Promises, Sink as _};
use super::super::problem::Problem;
use super::super::{Shared, blocking};
use super::session::{in_words, of_piece, of_refused};

pub(super) fn too_many(left: u64) -> Problem {
    Problem::bad("too-many-bytes", format!("The file was said to have only {left} bytes more; nothing of this was kept."))
}

/// Takes the bytes of a piece, and keeps them: also those that came before the connection broke. Too many, or others than promised, are not
/// kept.
pub(super) async fn receive(
    shared: &Shared,
    login: &Login,
    (id, offset, left): (&str, u64, u64),
    announced: Option<u64>,
    (promises, mut body): (Promises, axum::body::Body),
) -> Result<(), Problem> {
    let (uploads, user, session) = (shared.uploads.clone(), login.user.clone(), id.to_owned());
    let begin = move || uploads.receive(&user, &session, &offset.to_string(), announced.unwrap_or(0)).map_err(|error| of_piece(&error));
    let chunk = blocking(begin).await?;
    let mut taking = Gathering::new(Taking { chunk, promises: promises.alone() }, announced);
    let (mut came, mut whole) = (0, true);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            whole = false;
            break;
        };
        let Some(bytes) = frame.data_ref() else { continue };
        came += bytes.len() as u64;
        if came > left {
            return Err(too_many(left));
        }
        taking.take(bytes).await.map_err(of_refused)?;
    }
    let (mut taking, rest) = taking.end().await.map_err(of_refused)?;
    if came == 0 {
        return Ok(());
    }
    blocking(move || {
        taking.append(&rest).map_err(of_refused)?;
        let Taking { chunk, promises } = taking;
        // What was promised of the whole piece says nothing of a part of it.
        if let Some(kind) = promises.broken_alone().filter(|_| whole) {
            let reason = format!("What came has another {kind} checksum than was promised; it was not kept.");
            return Err(Problem::bad_field("Content-Digest", reason));
        }
        chunk.keep().map(drop).map_err(|error| in_words(&error))
    })
    .await
}
