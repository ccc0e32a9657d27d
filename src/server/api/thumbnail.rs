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
use crate::library::{Kept, Kind, Made, RenditionError};
use crate::types::{ContentHash, RelPath};

use super::asked::Query;
use super::caller::Reader;
use super::problem::{Document, Problem};
use super::{Shared, blocking, library};

/// So many pictures are made at once for those who wait for them; others use the processors too.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// Of an answer to a URL that names its content. Nobody but the one who asked may keep it.
pub(super) const FOR_EVER: &str = "private, max-age=31536000, immutable";

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
    /// The BLAKE3 hash of the picture, as the listing tells it: as long as it is that, the answer may be kept for ever.
    #[serde(default)]
    v: Option<String>,
}

/// Ends the work for somebody who has gone away.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is there of a picture.
enum Found {
    /// What whoever asks has already.
    Same,
    Kept(Vec<u8>),
    /// It is to be made of this file.
    Missing(RelPath),
}

/// A small JPEG of a picture: upright, without the place where it was taken; of a RAW file what its camera put into it, of a video one of its
/// pictures. HEIC, AVIF, JPEG XL and videos need a program on the node's machine that decodes them. Its entity tag is that of the picture's
/// content.
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
    Reader(caller): Reader,
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(asked): Query<OfPicture>,
) -> Result<Response<axum::body::Body>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let (side, shown) = (asked.size.pixels(), library::path("path", &asked.path)?);
    let (tree, thumbnails) = (shared.originals.clone(), Arc::clone(&shared.operations.thumbnails));
    let place = caller.login.folder.join_path(&shown);
    let found = blocking(move || {
        let path = tree.spelled(&place);
        let stat = tree.stat(&path).ok().flatten().filter(|stat| stat.kind == Kind::File);
        let stat = stat.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such file."))?;
        let Some(content) = tree.view()?.digests(&path, &stat)?.map(|digests| digests.content) else {
            return Ok((None, Found::Missing(path)));
        };
        // It has no date of its own: only its tag tells whether it is the same.
        let etag = &tag(&content, side);
        let found = match judge(&headers, Selected { etag, modified: i64::MAX }) {
            Verdict::NotModified => Found::Same,
            _ => match thumbnails.kept(&content, side) {
                Some(Kept::Picture(jpeg)) => Found::Kept(jpeg),
                Some(Kept::Refusal(reason)) => return Err(none(&reason)),
                None => Found::Missing(path),
            },
        };
        Ok((Some(content), found))
    });
    let (content, found) = found.await?;
    let (status, jpeg, content) = match found {
        Found::Same => (StatusCode::NOT_MODIFIED, Vec::new(), content),
        Found::Kept(jpeg) => (StatusCode::OK, jpeg, content),
        Found::Missing(path) => {
            let made = make(&shared, path, content, side).await?;
            (StatusCode::OK, made.jpeg, content.filter(|_| made.sure))
        }
    };
    let mut answer = Response::new(axum::body::Body::from(jpeg));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, keeping(asked.v.as_deref(), content.as_ref()));
    if let Some(tag) = content.and_then(|content| HeaderValue::from_str(&tag(&content, side)).ok()) {
        headers.insert(ETAG, tag);
    }
    Ok(answer)
}

async fn make(shared: &Shared, path: RelPath, content: Option<ContentHash>, side: u32) -> Result<Made, Problem> {
    let stop = Arc::new(AtomicBool::new(false));
    let _gone = Gone(Arc::clone(&stop));
    let (tree, thumbnails) = (shared.originals.clone(), Arc::clone(&shared.operations.thumbnails));
    let _wanted = shared.operations.thumbnails.wanted();
    let turn = DECODERS.acquire().await.map_err(|_| Problem::nothing_here())?;
    blocking(move || {
        let _turn = turn;
        thumbnails.make(&tree, &path, content.as_ref(), side, &stop).map_err(|error| match error {
            RenditionError::Library(error) => error.into(),
            error => none(&error.to_string()),
        })
    })
    .await
}

fn none(reason: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no-rendition", format!("There is no picture of it: {reason}."))
}

fn tag(content: &ContentHash, side: u32) -> String {
    format!("\"{}-{side}\"", content.etag())
}

/// How long an answer may be kept: for ever when the URL names the content that it is of. Otherwise it is asked for again each time, so that
/// a right that is taken away counts at once.
fn keeping(named: Option<&str>, content: Option<&ContentHash>) -> HeaderValue {
    let is_that = named.and_then(ContentHash::from_hex).is_some_and(|named| Some(&named) == content);
    HeaderValue::from_static(if is_that { FOR_EVER } else { "private, no-cache" })
}
