//! Uploads that can be gone on with: by a browser whose connection broke, or after a restart of either side.
//!
//! To begin one says what comes, in JSON. What follows is as in the draft of the IETF (draft-ietf-httpbis-resumable-upload): HEAD tells how far
//! it is, PATCH appends at an Upload-Offset, DELETE gives it up. The pieces lie where those of Nextcloud's clients lie, and the file is
//! published by the very way of a PUT: rights, locks, checksums, durability.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Login;
use crate::dav::href;
use crate::library::{Assembly, Kind, Tree, UploadError, Uploads};
use crate::operations::moment;
use crate::types::{Mtime, RelPath};

use super::super::cloud::{Taking, refused};
use super::super::webdav::{Gathering, Promises, Refused, Sink as _};
use super::asked::{Json, Path};
use super::caller::Person;
use super::files::{self, Stored};
use super::problem::{Document, Problem};
use super::{Shared, Told, blocking, told};

/// No file is larger.
const LARGEST: u64 = 1 << 40;
/// So many names are tried for a file whose name is taken.
const NAMES: u32 = 1000;
/// What became of so many uploads is remembered, for those whose answer did not arrive.
const REMEMBERED: usize = 1000;
/// Seconds after which there may be room for another unfinished upload.
const WAIT_FOR_ENDED: u64 = 60;
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

/// What became of uploads that are over, as long as the node runs.
#[derive(Default)]
pub(super) struct Published(Mutex<VecDeque<(String, Upload)>>);

impl Published {
    fn keep(&self, user: &str, upload: &Upload) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back((user.to_owned(), upload.clone()));
    }

    fn get(&self, user: &str, id: &str) -> Option<Upload> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(owner, upload)| owner == user && upload.id == id).map(|(_, upload)| upload.clone())
    }
}

/// What lies in a session.
struct Session {
    about: NewUpload,
    upload: Upload,
}

impl Session {
    fn read(uploads: &Uploads, user: &str, id: &str, changed: Option<Mtime>) -> Result<Self, Problem> {
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

fn in_words(error: &UploadError) -> Problem {
    match error {
        // There may be room enough: what is missing is that somebody ends some.
        UploadError::TooMany => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", format!("{error}.")).retry_after(WAIT_FOR_ENDED),
        error => of_refused(refused(error)),
    }
}

/// Why a piece is not taken. One more will not be either when the others are over: there are too many of this very upload.
fn of_piece(error: &UploadError) -> Problem {
    match error {
        UploadError::TooMany => {
            let detail = "It came in too many pieces; give it up, and begin it again with larger ones.";
            Problem::new(StatusCode::CONFLICT, "too-many-pieces", detail)
        }
        error => in_words(error),
    }
}

fn of_refused((status, reason): Refused) -> Problem {
    let text = reason.trim_end().to_owned();
    match status {
        StatusCode::NOT_FOUND => no_upload(),
        StatusCode::INSUFFICIENT_STORAGE => Problem::new(status, "full", text),
        StatusCode::LOCKED => Problem::new(StatusCode::CONFLICT, "in-progress", text),
        StatusCode::INTERNAL_SERVER_ERROR => Problem::new(status, "failed", text),
        _ => Problem::bad("bad-request", text),
    }
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

fn too_many(left: u64) -> Problem {
    Problem::bad("too-many-bytes", format!("The file was said to have only {left} bytes more; nothing of this was kept."))
}

/// Takes the bytes of a piece, and keeps them: also those that came before the connection broke. Too many, or others than promised, are not
/// kept.
async fn receive(
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

/// Publishes what has come. It goes on when the client hangs up meanwhile.
async fn store(shared: Shared, login: Login, session: Session) -> Result<Upload, Problem> {
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
        let answer = super::as_axum(shared.webdav.put_given(&address(&target), headers, give, login.clone()).await);
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
