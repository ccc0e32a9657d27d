//! Files and folders as one download: a zip that is made while it is sent, so that it needs no room and can begin at once.
//!
//! Nothing is compressed: photos are already. What is chosen is told by POST, with the session's token; the browser then goes to the address that
//! is answered, which only the same user can use, for a while. A file that cannot be read to its end breaks the download off: a browser shows
//! that, and no zip is short without saying so.

mod archive;
mod names;
mod turns;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::types::RelPath;

use self::archive::Outlet;
use self::names::{disposition, portable};
use self::turns::Turns;
use super::asked::{Json, Path};
use super::caller::Person;
use super::files;
use super::problem::{Document, Problem};
use super::{Shared, Told, blocking};

/// So many paths are taken at once.
const MOST: usize = 10_000;
/// A choice can be downloaded for so long.
const KEPT: Duration = Duration::from_secs(3600);
/// So many of them are kept, of all users and of one.
const CHOICES: usize = 1000;
const OF_ONE: usize = 50;
/// Pieces that wait for the network.
const WAITING: usize = 4;

/// What is to be downloaded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ZipChoice {
    /// Files, and folders with everything in them.
    #[schema(min_items = 1, max_items = 10000)]
    paths: Vec<String>,
    /// What the zip is to be called, without `.zip`; the name of a single path, or `photos`, unless said otherwise.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
}

/// Where it can be downloaded.
#[derive(Serialize, ToSchema)]
pub(super) struct ZipOffer {
    /// It.
    id: String,
    /// Where to go, below the root of the API.
    path: String,
    /// What the file will be called.
    name: String,
    /// Until then.
    expires: String,
}

/// A choice that somebody made.
#[derive(Clone)]
struct Choice {
    user: String,
    paths: Vec<RelPath>,
    name: String,
    until: Instant,
}

/// The choices that can be downloaded, by their ids, and who downloads.
#[derive(Default)]
pub(super) struct Zips {
    choices: Mutex<BTreeMap<String, Choice>>,
    turns: Turns,
}

impl Zips {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Choice>> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, id: &str, choice: Choice) -> Result<(), Problem> {
        let mut choices = self.lock();
        choices.retain(|_, choice| choice.until > Instant::now());
        let of_one = choices.values().filter(|other| other.user == choice.user).count();
        if of_one >= OF_ONE || choices.len() >= CHOICES {
            let detail = "Too much was chosen for download in the last hour; download some of it, or come back later.";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).retry_after(60));
        }
        choices.insert(id.to_owned(), choice);
        Ok(())
    }

    fn get(&self, id: &str, user: &str) -> Option<Choice> {
        self.lock().get(id).filter(|choice| choice.user == user && choice.until > Instant::now()).cloned()
    }
}

/// Chooses files and folders to be downloaded as one zip. A GET of the path that is answered sends it, for an hour, to the same user only.
#[utoipa::path(
    post, path = "/library/zip", tag = "library", request_body = ZipChoice,
    responses((status = 201, description = "Where it can be downloaded.", body = ZipOffer))
)]
pub(super) async fn choose(
    Person(caller): Person,
    State(shared): State<Shared>,
    Json(choice): Json<ZipChoice>,
) -> Result<Told<ZipOffer>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    if choice.paths.is_empty() || choice.paths.len() > MOST {
        return Err(Problem::bad_field("paths", format!("it names between 1 and {MOST} files and folders")));
    }
    let named = choice.paths.iter().enumerate().map(|(at, path)| {
        files::file_path(path).map_err(|problem| Problem::bad_field(format!("paths[{at}]"), problem.detail().to_owned()))
    });
    let mut paths = named.collect::<Result<Vec<RelPath>, _>>()?;
    let mut seen = HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    let name = match (choice.name, &paths[..]) {
        (Some(name), _) if name.trim().is_empty() || name.chars().count() > 200 => {
            return Err(Problem::bad_field("name", "it has between 1 and 200 characters"));
        }
        (Some(name), _) => portable(name.trim()),
        (None, [one]) => portable(one.name()),
        (None, _) => "photos".to_owned(),
    };
    let (tree, root, all) = (shared.originals.clone(), caller.login.folder.clone(), paths.clone());
    blocking(move || {
        for (at, path) in all.iter().enumerate() {
            if tree.stat(&tree.spelled(&root.join_path(path)))?.is_none() {
                let problem = Problem::new(StatusCode::NOT_FOUND, "not-found", format!("There is no {path}."));
                return Err(problem.about(format!("paths[{at}]"), "it is not there"));
            }
        }
        Ok(())
    })
    .await?;
    let id = Uuid::new_v4().simple().to_string();
    let name = format!("{name}.zip");
    let expires = (Timestamp::now() + KEPT).to_string();
    shared.zips.keep(&id, Choice { user: caller.login.user, paths, name: name.clone(), until: Instant::now() + KEPT })?;
    Ok(Told(StatusCode::CREATED, ZipOffer { path: format!("/library/zip/{id}"), id, name, expires }))
}

/// The zip that was chosen. It has no length, because it is made while it is sent; when it breaks off, a file could not be read.
#[utoipa::path(
    get, path = "/library/zip/{id}", tag = "library", params(("id" = String, Path, description = "What was chosen.")),
    responses(
        (status = 200, description = "The zip.", content_type = "application/zip", body = Vec<u8>),
        (status = 404, description = "Nothing was chosen by this id, or it was long ago, or by somebody else.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn download(
    Person(caller): Person,
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Response<axum::body::Body>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let choice = shared.zips.get(&id, &caller.login.user).ok_or_else(Problem::nothing_here)?;
    let turn = shared.zips.turns.take(&caller.login.user).ok_or_else(|| {
        let detail = "Several zips are being downloaded already; wait until one of them is done.";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).retry_after(10)
    })?;
    let (pieces, coming) = mpsc::channel(WAITING);
    let (tree, root, paths) = (shared.originals.clone(), caller.login.folder, choice.paths);
    tokio::task::spawn_blocking(move || {
        archive::write(&tree, &root, &paths, Outlet::new(pieces));
        drop(turn);
    });
    let body = stream::unfold(coming, |mut coming| async { coming.recv().await.map(|piece| (piece, coming)) });
    let mut answer = Response::new(axum::body::Body::from_stream(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_DISPOSITION, disposition(&choice.name));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(answer)
}
