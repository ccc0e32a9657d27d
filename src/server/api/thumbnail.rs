//! Small pictures of the library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::dav::conditions::{Selected, Verdict, judge};
use crate::library::{Kind, Rendition, RenditionError, Wish};
use crate::types::Gps;

use super::asked::Query;
use super::caller::Person;
use super::problem::{Document, Problem};
use super::{Shared, blocking, library};

/// So many pictures are decoded at once: each may need hundreds of MiB.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// The side of the square that a thumbnail fits into, in pixels. A few sizes only, so that they can be kept.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
enum Side {
    /// For lists.
    #[serde(rename = "160")]
    Small,
    /// For grids.
    #[default]
    #[serde(rename = "320")]
    Grid,
    /// For grids on fine screens.
    #[serde(rename = "640")]
    Fine,
    /// For a whole screen.
    #[serde(rename = "1280")]
    Screen,
    /// For a whole fine screen.
    #[serde(rename = "2560")]
    Large,
}

impl Side {
    fn pixels(self) -> u32 {
        match self {
            Self::Small => 160,
            Self::Grid => 320,
            Self::Fine => 640,
            Self::Screen => 1280,
            Self::Large => 2560,
        }
    }
}

/// Which picture, and how large.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfPicture {
    /// The picture.
    path: String,
    /// The side of the square that it fits into, in pixels; 320 unless said otherwise.
    #[serde(default)]
    #[param(inline)]
    size: Side,
}

/// Ends the work for somebody who has gone away.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A small JPEG of a picture: upright, without the place where it was taken; of a RAW file what its camera put into it. Its entity tag is that of
/// the picture's content.
#[utoipa::path(
    get, path = "/library/thumbnail", tag = "library", params(OfPicture),
    responses(
        (status = 200, description = "The picture.", content_type = "image/jpeg", body = Vec<u8>),
        (status = 304, description = "The entity tag in If-None-Match is still that of the picture."),
        (status = 404, description = "There is no such file.", content_type = "application/problem+json", body = Document),
        (status = 422, description = "No picture can be made of it; `code` is `no-rendition`.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn show(
    Person(caller): Person,
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(asked): Query<OfPicture>,
) -> Result<Response<axum::body::Body>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let (side, shown) = (asked.size.pixels(), library::path("path", &asked.path)?);
    let tree = shared.originals.clone();
    let place = caller.login.folder.join_path(&shown);
    let found = blocking(move || {
        let path = tree.spelled(&place);
        let stat = tree.stat(&path).ok().flatten().filter(|stat| stat.kind == Kind::File);
        let stat = stat.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such file."))?;
        Ok((tree.view()?.digests(&path, &stat)?, tree, path))
    });
    let (digests, tree, path) = found.await?;
    let tag = digests.map(|digests| format!("\"{}-{side}\"", digests.content.etag()));
    // It has no date of its own: only its tag tells whether it is the same.
    if let Some(etag) = &tag
        && judge(&headers, Selected { etag, modified: i64::MAX }) == Verdict::NotModified
    {
        return Ok(finished(StatusCode::NOT_MODIFIED, Some(etag), Vec::new()));
    }
    let turn = DECODERS.acquire().await.map_err(|_| Problem::nothing_here())?;
    let stop = Arc::new(AtomicBool::new(false));
    let gone = Gone(Arc::clone(&stop));
    let made = blocking(move || {
        let _turn = turn;
        match tree.rendition(&path, Wish { fit: side, gps: Gps::Remove }, &stop) {
            Ok(Rendition::Made(jpeg)) => Ok(jpeg),
            // Only where the place may stay.
            Ok(Rendition::AsItIs) => Err(Problem::nothing_here()),
            Err(RenditionError::Library(error)) => Err(error.into()),
            Err(error) => {
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no-rendition", format!("There is no picture of it: {error}.")))
            }
        }
    });
    let jpeg = made.await?;
    drop(gone);
    Ok(finished(StatusCode::OK, tag.as_deref(), jpeg))
}

fn finished(status: StatusCode, tag: Option<&str>, jpeg: Vec<u8>) -> Response<axum::body::Body> {
    let mut answer = Response::new(axum::body::Body::from(jpeg));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // It may be kept, and is asked for again: a right that is taken away counts at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        headers.insert(ETAG, tag);
    }
    answer
}
