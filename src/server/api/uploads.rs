//! Uploads that can be gone on with: by a browser whose connection broke, or after a restart of either side.
//!
//! To begin one says what comes, in JSON. What follows is as in the draft of the IETF (draft-ietf-httpbis-resumable-upload): HEAD tells how far
//! it is, PATCH appends at an Upload-Offset, DELETE gives it up. The pieces lie where those of Nextcloud's clients lie, and the file is
//! published by the very way of a PUT: rights, locks, checksums, durability.

mod receiving;
mod session;
mod storing;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Login;
use crate::dav::href;
use crate::library::Kind;
use crate::types::RelPath;

pub(super) use self::session::Published;

use self::receiving::{receive, too_many};
use self::session::{Session, in_words};
use self::storing::store;
use super::super::webdav::Promises;
use super::asked::{Json, Path};
use super::caller::Person;
use super::files;
use super::problem::{Document, Problem};
use super::{Shared, Told, blocking, told};

/// No file is larger.
const LARGEST: u64 = 1 << 40;
const OFFSET: &str = "upload-offset";
const PART: &str = "application/partial-upload";

/// What becomes of an upload whose name is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnClash {
    /// It is refused.
    #[default]
    Refuse,
    /// It is done with when the same bytes are there already; otherwise it is refused.
    SkipSame,
    /// It is done with when the same bytes are there already; otherwise it gets a free name: `a (2).jpg`.
    Number,
}

/// An upload that is to be begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUpload {
    /// The path of the file.
    #[schema(min_length = 1, max_length = 4000)]
    path: String,
    /// Bytes.
    #[schema(maximum = 1099511627776_u64)]
    size: u64,
    /// When it was last modified, in RFC 3339.
    #[serde(default)]
    modified: Option<String>,
    /// What becomes of it when its name is taken.
    #[serde(default)]
    on_clash: OnClash,
    /// A digest of all of it, as in Content-Digest (RFC 9530): `sha-256=:BASE64:`. Another one is not stored.
    #[serde(default)]
    digest: Option<String>,
    /// Make the folders above it that are not there.
    #[serde(default)]
    folders: bool,
}

/// An upload that is under way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Upload {
    /// By which it is gone on with.
    id: String,
    /// The path of the file.
    path: RelPath,
    /// Bytes that it will have.
    size: u64,
    /// When the file was last modified, as it was said in the beginning: by this, path and size somebody knows whether it is theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    /// Bytes that are here, durably: where to go on.
    offset: u64,
    /// It is stored, and over.
    complete: bool,
    /// What was stored, when it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Uploaded>,
    /// When it is given up, if nothing more comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// Uploads that are under way.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadList {
    /// Those of whoever asks.
    uploads: Vec<Upload>,
}

/// A file that was uploaded.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Uploaded {
    /// Its path.
    path: RelPath,
    /// Bytes.
    size: u64,
    /// Of its bytes, in hexadecimal.
    blake3: Option<String>,
    /// Nothing was stored: the same bytes were there already, under this name.
    skipped: bool,
}

/// How an upload that is here whole is to be stored after all; what is none is as it was said in the beginning.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publishing {
    /// Another path.
    #[serde(default)]
    path: Option<String>,
    /// What becomes of it when its name is taken.
    #[serde(default)]
    on_clash: Option<OnClash>,
    /// Make the folders above it that are not there.
    #[serde(default)]
    folders: Option<bool>,
}

impl IntoResponse for Upload {
    fn into_response(self) -> Response<axum::body::Body> {
        let headers = [
            (OFFSET, HeaderValue::from(self.offset)),
            ("upload-length", HeaderValue::from(self.size)),
            ("upload-complete", HeaderValue::from_static(if self.complete { "?1" } else { "?0" })),
        ];
        let mut answer = Told(StatusCode::OK, self).into_response();
        headers.into_iter().for_each(|(name, value)| drop(answer.headers_mut().insert(name, value)));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

/// Whoever may add files to the library.
fn may_add(shared: &Shared, login: &Login) -> Result<(), Problem> {
    super::check(&shared.originals, login)?;
    if shared.webdav.home_rights(login).add { Ok(()) } else { Err(Problem::forbidden("You have no right to add files to the library.")) }
}

/// Begins an upload that can be gone on with: by PATCH to the id that is answered, up to a day after the last piece. A user has at most 128.
#[utoipa::path(
    post, path = "/uploads", tag = "uploads", request_body = NewUpload,
    responses(
        (status = 201, description = "It can begin.", body = Upload),
        (status = 409, description = "The name is taken.", content_type = "application/problem+json", body = Document),
        (status = 507, description = "There is no room.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn begin_upload(
    Person(caller): Person,
    State(shared): State<Shared>,
    Json(new): Json<NewUpload>,
) -> Result<Response<axum::body::Body>, Problem> {
    may_add(&shared, &caller.login)?;
    let path = files::file_path(&new.path)?;
    modified(&new)?;
    if new.size > LARGEST {
        return Err(Problem::bad_field("size", "no file is that large"));
    }
    if let Some(digest) = &new.digest {
        let mut headers = HeaderMap::new();
        headers.insert("content-digest", HeaderValue::from_str(digest).map_err(|_| bad_digest())?);
        Promises::of(&headers).map_err(|_| bad_digest())?;
    }
    if !shared.webdav.may_reach(&address(&path), &caller.login) {
        return Err(Problem::forbidden("You have no right to store this file there."));
    }
    let (tree, on_disk) = (shared.originals.clone(), caller.login.folder.join_path(&path));
    let (uploads, user, about) = (shared.uploads.clone(), caller.login.user.clone(), new);
    let upload = blocking(move || {
        let there = tree.stat(&tree.spelled(&on_disk))?;
        let is_other = there.is_some_and(|stat| stat.kind != Kind::File || stat.size != about.size || about.on_clash == OnClash::Refuse);
        // Said early, so that nobody sends gigabytes in vain.
        if is_other && about.on_clash != OnClash::Number {
            return Err(taken(&path));
        }
        let text = serde_json::to_vec(&about).map_err(|error| Problem::failed(&error))?;
        let id = Uuid::new_v4().simple().to_string();
        uploads.begin(&user, &id, about.size).map_err(|error| in_words(&error))?;
        if let Err(error) = uploads.describe(&user, &id, &text) {
            // What cannot be removed either is swept after a day.
            let _ = uploads.abort(&user, &id);
            return Err(in_words(&error));
        }
        Session::read(&uploads, &user, &id, None).map(|session| session.upload)
    })
    .await?;
    let mut answer = upload.into_response();
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}

fn bad_digest() -> Problem {
    Problem::bad_field("digest", "it is no digest as in Content-Digest: sha-256=:BASE64:")
}

fn taken(path: &RelPath) -> Problem {
    Problem::new(StatusCode::CONFLICT, "taken", format!("There is something called {path} already; nothing was changed."))
        .about("path", "something of this name is there")
}

fn modified(new: &NewUpload) -> Result<Option<i64>, Problem> {
    let Some(text) = &new.modified else { return Ok(None) };
    let at: Timestamp = text.parse().map_err(|_| Problem::bad_field("modified", "it is no time in RFC 3339"))?;
    Ok(Some(at.as_second()))
}

/// Where a file is in the WebDAV of the library.
fn address(path: &RelPath) -> String {
    format!("/originals/{}", href::encode(path))
}

/// The uploads that are under way, of whoever asks: what a page that was closed can go on with, when it is given the same files again.
#[utoipa::path(get, path = "/uploads", tag = "uploads", responses((status = 200, description = "At most 128.", body = UploadList)))]
pub(super) async fn list(Person(caller): Person, State(shared): State<Shared>) -> Result<Told<UploadList>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let (uploads, user) = (shared.uploads.clone(), caller.login.user);
    let found = blocking(move || {
        let all = uploads.sessions(&user).into_iter();
        Ok(all.filter_map(|(id, changed)| Some(Session::read(&uploads, &user, &id, Some(changed)).ok()?.upload)).collect())
    });
    told(UploadList { uploads: found.await? })
}

async fn read(shared: &Shared, login: &Login, id: String) -> Result<Session, Problem> {
    let (uploads, user) = (shared.uploads.clone(), login.user.clone());
    blocking(move || Session::read(&uploads, &user, &id, None)).await
}

/// How far an upload is; HEAD tells it in the headers Upload-Offset, Upload-Length and Upload-Complete.
#[utoipa::path(
    get, path = "/uploads/{id}", tag = "uploads", params(("id" = String, Path, description = "The upload.")),
    responses((status = 200, description = "As far as it is.", body = Upload))
)]
pub(super) async fn show(Person(caller): Person, State(shared): State<Shared>, Path(id): Path<String>) -> Result<Upload, Problem> {
    super::check(&shared.originals, &caller.login)?;
    match shared.published.get(&caller.login.user, &id) {
        Some(done) => Ok(done),
        None => Ok(read(&shared, &caller.login, id).await?.upload),
    }
}

/// Appends bytes. What came before a connection broke counts. With the last byte the file is stored; when that is refused, the bytes stay, and
/// POST stores them otherwise.
#[utoipa::path(
    patch, path = "/uploads/{id}", tag = "uploads",
    params(
        ("id" = String, Path, description = "The upload."),
        ("Upload-Offset" = u64, Header, description = "Where the bytes belong: as many as are there."),
        ("Content-Digest" = Option<String>, Header, description = "Of the bytes of this request: sha-256=:BASE64:"),
    ),
    request_body(content = Vec<u8>, content_type = "application/partial-upload"),
    responses(
        (status = 200, description = "They are kept; when it is complete, the file is stored.", body = Upload),
        (status = 409, description = "They do not belong there (`offset-mismatch`; the header Upload-Offset says where to go on), there were 10,000 pieces already (`too-many-pieces`), or the name is taken.", content_type = "application/problem+json", body = Document),
        (status = 507, description = "There is no room.", content_type = "application/problem+json", body = Document),
    )
)]
pub(super) async fn append(
    Person(caller): Person,
    State(shared): State<Shared>,
    Path(id): Path<String>,
    request: Request<axum::body::Body>,
) -> Result<Upload, Problem> {
    may_add(&shared, &caller.login)?;
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.eq_ignore_ascii_case(PART) {
        let detail = format!("Pieces of an upload come with `Content-Type: {PART}`.");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-a-part", detail.clone()).about("Content-Type", detail));
    }
    let number = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let offset = number(OFFSET).ok_or_else(|| Problem::bad_field("Upload-Offset", "it says how many bytes are there already"))?;
    let Session { about, upload } = match shared.published.get(&caller.login.user, &id) {
        // The answer to the last piece was lost.
        Some(done) if offset == done.size => return Ok(done),
        _ => read(&shared, &caller.login, id.clone()).await?,
    };
    if offset != upload.offset {
        let detail = format!("The upload goes on at {}, not at {offset}.", upload.offset);
        let problem = Problem::new(StatusCode::CONFLICT, "offset-mismatch", detail.clone()).about("Upload-Offset", detail);
        return Err(problem.header(http::HeaderName::from_static(OFFSET), HeaderValue::from(upload.offset)));
    }
    let left = about.size - upload.offset.min(about.size);
    let announced = number(CONTENT_LENGTH.as_str());
    if announced.is_some_and(|announced| announced > left) {
        return Err(too_many(left));
    }
    let promises = Promises::of(&parts.headers).map_err(|reason| Problem::bad_field("Content-Digest", reason.trim_end()))?;
    if left > 0 && announced != Some(0) {
        receive(&shared, &caller.login, (&id, offset, left), announced, (promises, body)).await?;
    }
    let session = read(&shared, &caller.login, id).await?;
    match session.upload.offset == session.about.size {
        true => store(shared, caller.login, session).await,
        false => Ok(session.upload),
    }
}

/// Stores an upload that is here whole and could not be stored as it was said in the beginning.
#[utoipa::path(
    post, path = "/uploads/{id}", tag = "uploads", params(("id" = String, Path, description = "The upload.")), request_body = Publishing,
    responses((status = 200, description = "It is stored.", body = Upload))
)]
pub(super) async fn publish(
    Person(caller): Person,
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Json(publishing): Json<Publishing>,
) -> Result<Upload, Problem> {
    may_add(&shared, &caller.login)?;
    if let Some(done) = shared.published.get(&caller.login.user, &id) {
        return Ok(done);
    }
    let mut session = read(&shared, &caller.login, id).await?;
    if session.upload.offset != session.about.size {
        let detail = format!("Only {} of {} bytes have come.", session.upload.offset, session.about.size);
        return Err(Problem::new(StatusCode::CONFLICT, "wrong-state", detail));
    }
    if let Some(path) = publishing.path {
        session.upload.path = files::file_path(&path)?;
    }
    session.about.on_clash = publishing.on_clash.unwrap_or(session.about.on_clash);
    session.about.folders = publishing.folders.unwrap_or(session.about.folders);
    store(shared, caller.login, session).await
}

/// Gives an upload up; what came of it is removed.
#[utoipa::path(
    delete, path = "/uploads/{id}", tag = "uploads", params(("id" = String, Path, description = "The upload.")),
    responses((status = 200, description = "As far as it had come.", body = Upload))
)]
pub(super) async fn give_up(Person(caller): Person, State(shared): State<Shared>, Path(id): Path<String>) -> Result<Upload, Problem> {
    super::check(&shared.originals, &caller.login)?;
    let session = read(&shared, &caller.login, id.clone()).await?;
    let (uploads, user) = (shared.uploads.clone(), caller.login.user);
    blocking(move || uploads.abort(&user, &id).map_err(|error| in_words(&error))).await?;
    Ok(session.upload)
}
