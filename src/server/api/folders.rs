//! Folders of the library, made.

use axum::extract::State;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::Login;
use crate::types::RelPath;

use super::asked::Json;
use super::caller::Person;
use super::problem::{Document, Problem};
use super::{Shared, Told, files};

/// A folder that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFolder {
    /// Its path; the folder above it must be there.
    #[schema(min_length = 1, max_length = 4000)]
    path: String,
}

/// A folder that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeFolder {
    /// Its path.
    path: RelPath,
}

/// Makes a folder.
#[utoipa::path(
    post, path = "/library/folders", tag = "library", request_body = NewFolder,
    responses(
        (status = 201, description = "It is there.", body = MadeFolder),
        (status = 409, description = "Something of this name is there already, the folder above it is not, or somebody has locked it.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn make_folder(
    Person(caller): Person,
    State(shared): State<Shared>,
    Json(new): Json<NewFolder>,
) -> Result<Told<MadeFolder>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let path = files::file_path(&new.path)?;
    match ask(&shared, caller.login, "MKCOL", &path).await {
        Err((StatusCode::METHOD_NOT_ALLOWED, _)) => {
            Err(Problem::new(StatusCode::CONFLICT, "taken", format!("There is something called {path} already.")))
        }
        Err((StatusCode::CONFLICT, _)) => {
            Err(Problem::new(StatusCode::CONFLICT, "wrong-state", format!("The folder that {path} is to be in is not there.")))
        }
        Err((_, problem)) => Err(problem),
        Ok(()) => Ok(Told(StatusCode::CREATED, MadeFolder { path })),
    }
}

/// Asks the WebDAV of the library, where rights and locks are looked after, for a change without a body.
pub(super) async fn ask(shared: &Shared, login: Login, method: &str, path: &RelPath) -> Result<(), (StatusCode, Problem)> {
    let bad = |problem: Problem| (StatusCode::BAD_REQUEST, problem);
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad(Problem::nothing_here()))?;
    let request = files::inner(method, path, &HeaderMap::new(), &[], axum::body::Body::empty()).map_err(bad)?;
    let answer = super::as_axum(shared.webdav.handle(request, login).await);
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err((status, files::as_problem(answer).await)) }
}
