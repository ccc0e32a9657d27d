//! An upload that is here whole becomes a file of the library.

use std::sync::Arc;

use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::accounts::Login;
use crate::library::{Assembly, Kind, Tree};
use crate::types::RelPath;

use super::super::super::cloud::refused;
use super::super::files::{self, Stored};
use super::super::problem::Problem;
use super::super::{Shared, blocking};
use super::session::{Session, in_words};
use super::{NewUpload, OnClash, Upload, Uploaded, address, bad_digest, modified, taken};

/// So many names are tried for a file whose name is taken.
const NAMES: u32 = 1000;

/// Publishes what has come. It goes on when the client hangs up meanwhile.
pub(super) async fn store(shared: Shared, login: Login, session: Session) -> Result<Upload, Problem> {
    let work = tokio::spawn(async move {
        let Session { about, upload } = session;
        let (uploads, user, id, size) = (shared.uploads.clone(), login.user.clone(), upload.id.clone(), about.size);
        let assembly = blocking(move || uploads.assemble(&user, &id, Some(size)).map_err(|error| in_words(&error))).await?;
        let assembly = Arc::new(assembly);
        let stored = place(&shared, &login, &about, &upload.path, &assembly).await?;
        let ended = Upload { path: stored.path.clone(), complete: true, stored: Some(stored), expires: None, ..upload };
        shared.published.keep(&login.user, &ended);
        blocking(move || {
            assembly.finish();
            Ok(())
        })
        .await?;
        Ok(ended)
    });
    work.await.map_err(|error| Problem::failed(&error))?
}

/// Stores the file under its name or, where that is wished, under the first free one.
async fn place(shared: &Shared, login: &Login, about: &NewUpload, path: &RelPath, assembly: &Arc<Assembly>) -> Result<Uploaded, Problem> {
    for number in 1..=NAMES {
        let target = if number == 1 { path.clone() } else { path.with_note(&number.to_string()) };
        if about.on_clash != OnClash::Refuse
            && let Some(same) = same(shared, login, about.size, &target, assembly).await?
        {
            return Ok(same);
        }
        let headers = headers(about)?;
        let parts = Arc::clone(assembly);
        let give = move |tree: &Tree| parts.put_together(tree).map_err(|error| refused(&error));
        let answer = super::super::as_axum(shared.webdav.put_given(&address(&target), headers, give, login.clone()).await);
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => {
                let Stored { path, size, blake3, .. } = files::stored(shared, login, &target, false).await?;
                return Ok(Uploaded { path, size, blake3, skipped: false });
            }
            // A folder may have the name as well.
            StatusCode::PRECONDITION_FAILED | StatusCode::METHOD_NOT_ALLOWED if about.on_clash == OnClash::Number => {}
            StatusCode::PRECONDITION_FAILED | StatusCode::METHOD_NOT_ALLOWED => return Err(taken(&target)),
            _ => return Err(files::as_problem(answer).await),
        }
    }
    Err(taken(path))
}

/// What is there, when it is the very same file.
async fn same(shared: &Shared, login: &Login, size: u64, target: &RelPath, assembly: &Arc<Assembly>) -> Result<Option<Uploaded>, Problem> {
    let (tree, on_disk) = (shared.originals.clone(), login.folder.join_path(target));
    let (assembly, path) = (Arc::clone(assembly), target.clone());
    blocking(move || {
        let on_disk = tree.spelled(&on_disk);
        let Some(stat) = tree.stat(&on_disk)?.filter(|stat| stat.kind == Kind::File && stat.size == size) else { return Ok(None) };
        let Some(there) = tree.view()?.digests(&on_disk, &stat)? else { return Ok(None) };
        let here = assembly.put_together(&tree).map_err(|error| in_words(&error))?.digests();
        let blake3 = Some(there.content.to_string());
        Ok((there.content == here.content).then_some(Uploaded { path, size, blake3, skipped: true }))
    })
    .await
}

/// What a PUT of the file would say.
fn headers(about: &NewUpload) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    if let Some(seconds) = modified(about)? {
        headers.insert("x-oc-mtime", HeaderValue::from(seconds));
    }
    if let Some(digest) = &about.digest {
        headers.insert("content-digest", HeaderValue::from_str(digest).map_err(|_| bad_digest())?);
    }
    if about.folders {
        headers.insert("x-nc-webdav-auto-mkcol", HeaderValue::from_static("1"));
    }
    Ok(headers)
}
