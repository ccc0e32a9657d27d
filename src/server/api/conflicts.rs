//! Conflict copies.

use axum::extract::State;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::operations::{Keep, RemoteCopy, Resolved, ToldConflict};
use crate::types::{RelPath, magic};

use super::asked::{Json, Query};
use super::caller::{Admin, Keeper};
use super::library;
use super::page::Page;
use super::problem::{Document, Problem};
use super::{Shared, Told, told};

/// A picture that is larger is not fetched just to be looked at.
const LARGEST: u64 = 100 << 20;
/// So many are fetched at once.
static FETCHES: Semaphore = Semaphore::const_new(4);

/// Which version is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfCopy {
    /// The conflict copy.
    copy: String,
    /// The service that holds it.
    service: String,
}

/// A page of the conflict copies that exist.
#[derive(Serialize, ToSchema)]
pub(super) struct ConflictPage {
    conflicts: Vec<ToldConflict>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What somebody decided about a conflict.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The file, or the copy.
    path: RelPath,
    /// Which version stays.
    keep: Keep,
}

/// The conflict copies that exist now, with both versions.
#[utoipa::path(
    get, path = "/conflicts", tag = "conflicts", params(Page),
    responses((status = 200, description = "In the order of their paths.", body = ConflictPage))
)]
pub(super) async fn list(_: Keeper, State(shared): State<Shared>, Query(page): Query<Page>) -> Result<Told<ConflictPage>, Problem> {
    page.rows()?;
    let (conflicts, next) = page.of(shared.operations.list_conflicts().await?.conflicts, |conflict| conflict.copy.clone())?;
    told(ConflictPage { conflicts, next })
}

/// Carries out what was decided. What is given up goes to the trash; the next sync carries it over.
#[utoipa::path(
    post, path = "/conflicts/resolve", tag = "conflicts", request_body = Decision,
    responses((status = 200, description = "What there is now.", body = Resolved))
)]
pub(super) async fn resolve(_: Keeper, State(shared): State<Shared>, Json(decision): Json<Decision>) -> Result<Told<Resolved>, Problem> {
    told(shared.operations.resolve_conflict(decision.path, decision.keep).await?)
}

/// The picture of a conflict copy that a service holds, fetched from there as it is, to be looked at beside the one that is here. Only what its
/// bytes show to be a picture, of at most 100 MiB; a browser can do nothing else with it.
#[utoipa::path(
    get, path = "/conflicts/remote", tag = "conflicts", params(OfCopy),
    responses(
        (status = 200, description = "The picture.", content_type = "image/*", body = Vec<u8>),
        (status = 404, description = "The service has no such conflict copy.", content_type = "application/problem+json", body = Document),
        (status = 422, description = "It is no picture, or too large (`code` is `no-rendition`), or the service did not give it.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn fetch_remote(
    _: Admin,
    State(shared): State<Shared>,
    Query(asked): Query<OfCopy>,
) -> Result<Response<axum::body::Body>, Problem> {
    let copy = library::path("copy", &asked.copy)?;
    let turn = FETCHES.acquire().await.map_err(|_| Problem::nothing_here())?;
    let RemoteCopy { path, size, mut download } = shared.operations.fetch_conflict(copy, asked.service).await?;
    if size.is_some_and(|size| size > LARGEST) {
        return Err(no_picture(format!("{path} is too large to be fetched just to be looked at")));
    }
    let mut head = Vec::new();
    while head.len() < magic::ENOUGH {
        match download.next().await.map_err(crate::operations::Failure::from)? {
            Some(piece) => head.extend_from_slice(&piece),
            None => break,
        }
    }
    let Some(kind) = magic::picture(&head) else {
        return Err(no_picture(format!("what the service has as {path} is no picture that can be shown")));
    };
    let begun = (Some(Bytes::from(head)), download, LARGEST, turn);
    let pieces = stream::unfold(begun, move |(head, mut download, left, turn)| async move {
        let piece = match head {
            Some(head) => Ok(head),
            // An end before the announced length, and more than that, are errors: they break the answer off.
            None => download.next().await.map_err(std::io::Error::other).transpose()?,
        };
        let size = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let piece = if size > left { Err(std::io::Error::other("it is larger than it was said to be")) } else { piece };
        Some((piece, (None, download, left.saturating_sub(size), turn)))
    });
    let mut answer = Response::new(axum::body::Body::from_stream(pieces));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(answer)
}

fn no_picture(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no-rendition", format!("There is no picture of it: {detail}."))
}
