//! Chunked upload v2: MKCOL a session, PUT its chunks in any order, MOVE `.file` to where the file belongs.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;

use crate::accounts::Login;
use crate::dav::href;
use crate::library::{Chunk, IncomingChunk, Tree, UploadError, Uploads};
use crate::types::Mtime;

use super::super::http::{Body, Incoming, NOT_THERE, discard, text};
use super::super::webdav::{Gathering, Promises, Refused, Sink, destination, status_of};
use super::Cloud;
use super::answers::{Base, empty};
use super::collections::{Entry, Value, listing};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// The name that stands for all chunks together.
const WHOLE: &str = ".file";

impl Cloud {
    pub(super) async fn answer_upload(&self, rest: &[String], request: Request<Incoming>, login: Login, base: &Base) -> Response<Body> {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (user, below) = match rest.split_first() {
            Some((user, _)) if *user != login.user => return refuse(request, StatusCode::FORBIDDEN, "These are somebody else's.\n").await,
            Some((user, below)) => ((*user).to_owned(), below),
            None => (login.user.clone(), &[][..]),
        };
        if !self.webdav.originals().is_there() {
            return refuse(request, StatusCode::SERVICE_UNAVAILABLE, NOT_THERE).await;
        }
        let rights = self.webdav.home_rights(&login);
        let method = request.method().clone();
        if !(rights.add || rights.change) {
            return refuse(request, StatusCode::FORBIDDEN, "You have no right to upload.\n").await;
        }
        match (method.as_str(), below) {
            ("OPTIONS", _) => options(),
            ("PROPFIND", []) => {
                let sessions = self.with(&user, |uploads, user| Ok(uploads.sessions(user))).await.unwrap_or_default();
                let members = sessions.into_iter().map(|(id, changed)| session_entry(base, &user, &id, changed)).collect();
                listing(request, Entry::folder(session_href(base, &user, ""), &user), members).await
            }
            ("PROPFIND", [id]) => match self.with_id(&user, id, |uploads, user, id| uploads.chunks(user, id)).await {
                Ok(chunks) => {
                    let members = chunks.iter().map(|chunk| chunk_entry(base, &user, id, chunk)).collect();
                    listing(request, Entry::folder(format!("{}/", session_href(base, &user, id)), id), members).await
                }
                Err(error) => answer_of(&error),
            },
            ("MKCOL", [id]) => self.begin(&user, id, request.headers(), &login).await,
            ("DELETE", [id]) => match self.with_id(&user, id, |uploads, user, id| uploads.abort(user, id)).await {
                Ok(()) => empty(StatusCode::NO_CONTENT),
                Err(error) => answer_of(&error),
            },
            ("PUT", [_, WHOLE]) => refuse(request, StatusCode::FORBIDDEN, "This is all chunks together; it cannot be written.\n").await,
            ("PUT", [id, name]) => self.receive(&user, id, name, request).await,
            ("DELETE", [id, name]) => {
                let name = (*name).to_owned();
                match self.with_id(&user, id, move |uploads, user, id| uploads.remove_chunk(user, id, &name)).await {
                    Ok(()) => empty(StatusCode::NO_CONTENT),
                    Err(error) => answer_of(&error),
                }
            }
            ("MOVE", [id, WHOLE]) => self.finish(&user, id, request.headers(), login).await,
            ("MKCOL", [_, _]) => text(StatusCode::FORBIDDEN, "There are no folders in an upload.\n"),
            ("PUT" | "MKCOL" | "DELETE" | "MOVE" | "PROPFIND", [_, _, ..]) => {
                refuse(request, StatusCode::NOT_FOUND, "There is no such chunk.\n").await
            }
            (_, _) if method == Method::GET || method == Method::HEAD => text(StatusCode::NOT_FOUND, "Chunks cannot be read.\n"),
            _ => refuse(request, StatusCode::METHOD_NOT_ALLOWED, "This is not answered for uploads.\n").await,
        }
    }

    async fn begin(&self, user: &str, id: &str, headers: &HeaderMap, login: &Login) -> Response<Body> {
        // Said early, so that nobody sends gigabytes in vain.
        if let Some(value) = headers.get(DESTINATION) {
            match value.to_str().ok().and_then(destination) {
                Some(path) if self.webdav.may_reach(&path, login) => {}
                Some(_) => return text(StatusCode::FORBIDDEN, "The Destination is not a place of yours.\n"),
                None => return text(StatusCode::BAD_REQUEST, "There is no usable Destination.\n"),
            }
        }
        let announced = total(headers).unwrap_or(0);
        match self.with_id(user, id, move |uploads, user, id| uploads.begin(user, id, announced)).await {
            Ok(()) => empty(StatusCode::CREATED),
            Err(error) => answer_of(&error),
        }
    }

    async fn receive(&self, user: &str, id: &str, name: &str, request: Request<Incoming>) -> Response<Body> {
        let announced = number(request.headers(), CONTENT_LENGTH);
        let promises = match Promises::of(request.headers()) {
            Ok(promises) => promises,
            Err(reason) => return refuse(request, StatusCode::BAD_REQUEST, reason).await,
        };
        let owned = name.to_owned();
        let begun = self.with_id(user, id, move |uploads, user, id| uploads.receive(user, id, &owned, announced.unwrap_or(0))).await;
        let chunk = match begun {
            Ok(chunk) => chunk,
            Err(error) => {
                discard(request.into_body()).await;
                return answer_of(&error);
            }
        };
        let taking = Gathering::new(Taking { chunk, promises: promises.alone() }, announced);
        match take(taking, request.into_body()).await {
            Ok(replaced) => empty(if replaced { StatusCode::NO_CONTENT } else { StatusCode::CREATED }),
            Err((status, reason)) => text(status, reason),
        }
    }

    /// MOVE of `.file`. It goes on when the client hangs up meanwhile: what it asked for is done all the same, and seen when it looks again.
    async fn finish(&self, user: &str, id: &str, headers: &HeaderMap, login: Login) -> Response<Body> {
        let Some(target) = headers.get(DESTINATION).and_then(|value| destination(value.to_str().ok()?)) else {
            return text(StatusCode::BAD_REQUEST, "There is no usable Destination.\n");
        };
        let total = total(headers);
        let assembled = self.with_id(user, id, move |uploads, user, id| uploads.assemble(user, id, total)).await;
        let assembly = match assembled {
            Ok(assembly) => assembly,
            Err(error) => return answer_of(&error),
        };
        let (webdav, headers, assembly) = (self.webdav.clone(), headers.clone(), Arc::new(assembly));
        let work = tokio::spawn(async move {
            let parts = Arc::clone(&assembly);
            let give = move |tree: &Tree| parts.put_together(tree).map_err(|error| refused(&error));
            let answer = webdav.put_given(&target, headers, give, login).await;
            let ended = answer.status().is_success();
            let cleaned = tokio::task::spawn_blocking(move || {
                if ended {
                    assembly.finish();
                }
            });
            if let Err(error) = cleaned.await {
                tracing::error!(%error, "a finished upload could not be removed");
            }
            answer
        });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended unexpectedly");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be put together; the log says why.\n")
        })
    }

    /// Runs `work` where it may block.
    async fn with<R: Send + 'static>(
        &self,
        user: &str,
        work: impl FnOnce(&Uploads, &str) -> Result<R, UploadError> + Send + 'static,
    ) -> Result<R, UploadError> {
        let (uploads, user) = (self.uploads.clone(), user.to_owned());
        tokio::task::spawn_blocking(move || work(&uploads, &user)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended unexpectedly");
            Err(UploadError::Busy)
        })
    }

    async fn with_id<R: Send + 'static>(
        &self,
        user: &str,
        id: &str,
        work: impl FnOnce(&Uploads, &str, &str) -> Result<R, UploadError> + Send + 'static,
    ) -> Result<R, UploadError> {
        let id = id.to_owned();
        self.with(user, move |uploads, user| work(uploads, user, &id)).await
    }
}

/// A chunk that is being taken.
pub(in crate::server) struct Taking {
    pub(in crate::server) chunk: IncomingChunk,
    pub(in crate::server) promises: Promises,
}

impl Sink for Taking {
    type Error = Refused;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.promises.update(bytes);
        self.chunk.write(bytes).map_err(|error| refused(&error))
    }

    fn broken() -> Refused {
        (StatusCode::INTERNAL_SERVER_ERROR, "The chunk could not be kept; the log says why.\n".into())
    }
}

/// Takes the body of a chunk; what was there before stays until all of it has come.
async fn take(mut taking: Gathering<Taking>, mut body: Incoming) -> Result<bool, Refused> {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err((StatusCode::BAD_REQUEST, "The chunk did not come whole; it was not kept.\n".into()));
        };
        if let Some(data) = frame.data_ref()
            && let Err(refused) = taking.take(data).await
        {
            discard(body).await;
            return Err(refused);
        }
    }
    let (mut taking, rest) = taking.end().await?;
    let kept = tokio::task::spawn_blocking(move || {
        taking.append(&rest)?;
        let Taking { chunk, promises } = taking;
        if let Some(kind) = promises.broken_alone() {
            let reason = format!("What came has another {kind} checksum than was promised; the chunk was not kept.\n");
            return Err((StatusCode::BAD_REQUEST, reason));
        }
        chunk.keep().map_err(|error| refused(&error))
    });
    kept.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request ended unexpectedly");
        Err(Taking::broken())
    })
}

/// An answer before the body was read: it is read all the same, so that the client hears the answer.
async fn refuse(request: Request<Incoming>, status: StatusCode, reason: impl Into<String>) -> Response<Body> {
    discard(request.into_body()).await;
    text(status, reason)
}

fn answer_of(error: &UploadError) -> Response<Body> {
    let (status, reason) = refused(error);
    text(status, reason)
}

pub(in crate::server) fn refused(error: &UploadError) -> Refused {
    let status = match error {
        UploadError::NoSession | UploadError::NoChunk => StatusCode::NOT_FOUND,
        UploadError::Exists => StatusCode::METHOD_NOT_ALLOWED,
        UploadError::BadName | UploadError::Incomplete { .. } => StatusCode::BAD_REQUEST,
        UploadError::TooMany | UploadError::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
        UploadError::Busy => StatusCode::LOCKED,
        UploadError::Library(error) => status_of(error),
    };
    if status.is_server_error() {
        tracing::error!(%error, "an upload in pieces failed");
    }
    (status, format!("{error}.\n"))
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The size that the whole file is said to have.
fn total(headers: &HeaderMap) -> Option<u64> {
    number(headers, HeaderName::from_static("oc-total-length"))
}

fn options() -> Response<Body> {
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert("dav", HeaderValue::from_static("1, 3"));
    answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("OPTIONS, PROPFIND, MKCOL, PUT, MOVE, DELETE"));
    answer
}

fn session_href(base: &Base, user: &str, id: &str) -> String {
    base.href(&format!("/remote.php/dav/uploads/{}/{}", href::encode_text(user), href::encode_text(id)))
}

fn session_entry(base: &Base, user: &str, id: &str, changed: Mtime) -> Entry {
    Entry::folder(format!("{}/", session_href(base, user, id)), id).with("d:getlastmodified", date(changed))
}

fn chunk_entry(base: &Base, user: &str, id: &str, chunk: &Chunk) -> Entry {
    let href = format!("{}/{}", session_href(base, user, id), chunk.name);
    let properties = vec![
        ("d:resourcetype", Value::Elements(String::new())),
        ("d:displayname", Value::Text(chunk.name.clone())),
        ("d:getcontentlength", Value::Text(chunk.size.to_string())),
        ("d:getlastmodified", date(chunk.mtime)),
    ];
    Entry { href, properties }
}

fn date(mtime: Mtime) -> Value {
    Value::Text(httpdate::fmt_http_date(mtime.max(Mtime(0)).into()))
}
