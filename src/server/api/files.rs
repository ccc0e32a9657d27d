//! Files of the library: fetched, and stored once.
//!
//! Both go through the very WebDAV that clients use, so that rights, roots, locks, checksums and durability are the same. An upload with an
//! Idempotency-Key may be sent again: for a day the same key gets the same answer, and nothing is stored twice.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, ETAG, EXPECT, IF_MATCH, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::accounts::Login;
use crate::dav::href;
use crate::types::{ContentHash, RelPath};

use super::super::http::{Incoming, Limits};
use super::asked::Query;
use super::caller::{Person, Reader};
use super::once::{Attempt, Once};
use super::problem::Problem;
use super::thumbnail::FOR_EVER;
use super::{Shared, Told, blocking, library};

/// Which file is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFile {
    /// Its path, as whoever asks sees it.
    #[param(min_length = 1, max_length = 4000)]
    path: String,
}

/// Which file is meant, and perhaps which version of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfVersion {
    /// Its path, as whoever asks sees it.
    #[param(min_length = 1, max_length = 4000)]
    path: String,
    /// The BLAKE3 hash of the file, as the listing tells it: as long as it is that, the answer may be kept for ever.
    #[serde(default)]
    v: Option<String>,
}

/// A file that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) struct Stored {
    /// Its path.
    pub(super) path: RelPath,
    /// Bytes.
    pub(super) size: u64,
    /// Of its bytes, in hexadecimal.
    pub(super) blake3: Option<String>,
    /// Another file was there before; it is in the trash.
    replaced: bool,
}

/// A file's bytes. Ranges and conditions are as in HTTP.
#[utoipa::path(
    get, path = "/library/file", tag = "library", params(OfVersion),
    responses(
        (status = 200, description = "The file.", content_type = "*/*", body = Vec<u8>),
        (status = 206, description = "A part of it.", content_type = "*/*", body = Vec<u8>),
        (status = 304, description = "It is as it was."),
        (status = 404, description = "There is no such file.", content_type = "application/problem+json", body = super::problem::Document),
        (status = 412, description = "It is not as the request expects.", content_type = "application/problem+json", body = super::problem::Document),
        (status = 416, description = "There is no such part.", content_type = "application/problem+json", body = super::problem::Document),
    )
)]
pub(super) async fn fetch(
    Reader(caller): Reader,
    State(shared): State<Shared>,
    headers: HeaderMap,
    method: Method,
    Query(asked): Query<OfVersion>,
) -> Result<Response<axum::body::Body>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let path = file_path(&asked.path)?;
    let (tree, on_disk) = (shared.originals.clone(), caller.login.folder.join_path(&path));
    let stat = blocking(move || Ok(tree.stat(&tree.spelled(&on_disk))?)).await?;
    if !stat.is_some_and(|stat| stat.kind == crate::library::Kind::File) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such file."));
    }
    let kept = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let request = inner(method, &path, &headers, &kept, axum::body::Body::empty())?;
    let mut answer = super::as_axum(shared.webdav.handle(request, caller.login).await);
    if answer.status().is_client_error() || answer.status().is_server_error() {
        return Err(as_problem(answer).await);
    }
    // What is sent says itself what it is: it may have been replaced while we looked.
    let named = asked.v.as_deref().and_then(ContentHash::from_hex);
    if named.is_some_and(|named| answer.headers().get(ETAG).is_some_and(|tag| *tag == *format!("\"{}\"", named.etag()))) {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    }
    // Somebody's HTML or SVG must not act as a page of ours.
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// Stores a file, whole or not at all. Nothing is replaced, unless If-Match names the version that is to be. A Content-Digest (RFC 9530) or
/// another checksum is compared before anything is stored. `X-OC-MTime` is the time that the file is to have.
#[utoipa::path(
    put, path = "/library/file", tag = "library",
    params(
        OfFile,
        ("Idempotency-Key" = Option<String>, Header, description = "With the same key the upload may be sent again for a day, and is stored once."),
        ("Content-Digest" = Option<String>, Header, description = "sha-256=:BASE64:"),
        ("If-Match" = Option<String>, Header, description = "The entity tag of the version that is to be replaced."),
        ("X-OC-MTime" = Option<String>, Header, description = "Seconds since 1970."),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It was stored in the place of another.", body = Stored),
        (status = 201, description = "It was stored.", body = Stored),
        (status = 411, description = "The body has no length.", content_type = "application/problem+json", body = super::problem::Document),
        (status = 507, description = "There is no room.", content_type = "application/problem+json", body = super::problem::Document),
    )
)]
pub(super) async fn store(
    Person(caller): Person,
    State(shared): State<Shared>,
    Query(asked): Query<OfFile>,
    request: Request<axum::body::Body>,
) -> Result<Response<axum::body::Body>, Problem> {
    let (parts, body) = request.into_parts();
    let path = file_path(&asked.path)?;
    super::check(&shared.originals, &caller.login)?;
    let once = Once::of(&shared, &caller.login, &parts.headers, &path)?;
    let Some(once) = once else {
        let (status, stored) = put(&shared, &caller.login, &path, &parts.headers, body).await?;
        return Ok(Told(status, stored).into_response());
    };
    match once.begin().await? {
        Attempt::Answered(status, answer) => {
            let mut answer = Told(status, answer).into_response();
            answer.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            Ok(answer)
        }
        Attempt::Broken if !parts.headers.contains_key(IF_MATCH) && is_file(&shared, &caller.login, &path).await? => {
            // The earlier attempt may have stored it and not lived to say so: then it is there, with these bytes.
            let stored = compare(&shared, &caller.login, &path, body).await?;
            once.end(StatusCode::CREATED, &stored).await?;
            Ok(Told(StatusCode::CREATED, stored).into_response())
        }
        Attempt::Broken | Attempt::First => match put(&shared, &caller.login, &path, &parts.headers, body).await {
            Ok((status, stored)) => {
                once.end(status, &stored).await?;
                Ok(Told(status, stored).into_response())
            }
            Err(problem) => {
                once.give_up().await?;
                Err(problem)
            }
        },
    }
}

pub(super) fn file_path(text: &str) -> Result<RelPath, Problem> {
    let path = library::path("path", text)?;
    if path.is_root() { Err(Problem::bad_field("path", "it is empty")) } else { Ok(path) }
}

/// The request to the WebDAV of the library that this one is.
pub(super) fn inner(
    method: Method,
    path: &RelPath,
    headers: &HeaderMap,
    kept: &[&'static str],
    body: axum::body::Body,
) -> Result<Request<Incoming>, Problem> {
    let body = Incoming::mounted(body.map_err(std::io::Error::other).boxed_unsync(), headers, &Limits::default());
    let request = Request::builder().method(method).uri(format!("/originals/{}", href::encode(path))).body(body);
    let mut request = request.map_err(|_| Problem::bad_field("path", "it cannot be written as a URL"))?;
    for name in kept {
        for value in headers.get_all(*name) {
            request.headers_mut().append(*name, value.clone());
        }
    }
    Ok(request)
}

async fn put(
    shared: &Shared,
    login: &Login,
    path: &RelPath,
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<(StatusCode, Stored), Problem> {
    let kept = [
        CONTENT_LENGTH.as_str(),
        "content-encoding",
        "content-range",
        "content-digest",
        "digest",
        "content-md5",
        "oc-checksum",
        "x-oc-mtime",
        EXPECT.as_str(),
        IF_MATCH.as_str(),
    ];
    let mut request = inner(Method::PUT, path, headers, &kept, body)?;
    if !headers.contains_key(IF_MATCH) {
        request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
    }
    let answer = super::as_axum(shared.webdav.handle(request, login.clone()).await);
    let replaced = match answer.status() {
        StatusCode::CREATED => false,
        StatusCode::NO_CONTENT => true,
        _ => return Err(as_problem(answer).await),
    };
    let stored = stored(shared, login, path, replaced).await?;
    Ok((if replaced { StatusCode::OK } else { StatusCode::CREATED }, stored))
}

/// What is told of a file that is there.
pub(super) async fn stored(shared: &Shared, login: &Login, path: &RelPath, replaced: bool) -> Result<Stored, Problem> {
    let (tree, on_disk, path) = (shared.originals.clone(), login.folder.join_path(path), path.clone());
    blocking(move || {
        let on_disk = tree.spelled(&on_disk);
        let stat = tree.stat(&on_disk)?.ok_or_else(|| Problem::new(StatusCode::CONFLICT, "wrong-state", "It is gone again."))?;
        let digests = tree.view()?.digests(&on_disk, &stat)?;
        Ok(Stored { path, size: stat.size, blake3: digests.map(|digests| digests.content.to_string()), replaced })
    })
    .await
}

async fn is_file(shared: &Shared, login: &Login, path: &RelPath) -> Result<bool, Problem> {
    let (tree, on_disk) = (shared.originals.clone(), login.folder.join_path(path));
    blocking(move || Ok(tree.stat(&tree.spelled(&on_disk))?.is_some())).await
}

/// Whether a body is the file that is there.
async fn compare(shared: &Shared, login: &Login, path: &RelPath, mut body: axum::body::Body) -> Result<Stored, Problem> {
    let mut hasher = blake3::Hasher::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad("bad-body", "The request body did not come."))?;
        if let Some(bytes) = frame.data_ref() {
            hasher.update(bytes);
        }
    }
    let there = stored(shared, login, path, false).await?;
    match &there.blake3 {
        Some(content) if *content == hasher.finalize().to_hex().as_str() => Ok(there),
        _ => Err(Problem::new(StatusCode::CONFLICT, "taken", "Another file is there already; nothing was changed.")),
    }
}

/// A refusal of WebDAV in the form of the API.
pub(super) async fn as_problem(answer: Response<axum::body::Body>) -> Problem {
    let status = answer.status();
    let text = match answer.into_body().collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim().to_owned(),
        Err(_) => String::new(),
    };
    let is_text = !text.is_empty() && !text.starts_with('<');
    let or = |words: &str| if is_text { text.clone() } else { words.to_owned() };
    match status.as_u16() {
        403 => Problem::new(status, "no-right", or("You have no right to do this.")),
        404 => Problem::new(status, "not-found", or("There is no such file.")),
        405 | 409 => Problem::new(StatusCode::CONFLICT, "wrong-state", or("There is no such folder, or something else is in the place.")),
        412 => Problem::new(
            StatusCode::CONFLICT,
            "taken",
            "Another file is there already, or not the version that was expected; nothing was changed.",
        ),
        423 => Problem::new(StatusCode::CONFLICT, "locked", or("Somebody has locked it.")),
        400 => Problem::new(status, "bad-request", or("The request cannot be used.")),
        507 => Problem::new(status, "full", or("There is no room.")),
        416 => Problem::new(status, "no-such-part", or("There is no such part.")),
        _ => Problem::new(status, "refused", or("It was refused.")),
    }
}
