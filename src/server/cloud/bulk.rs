//! Bulk upload: many small files in one request, each with a result of its own.
//!
//! Nextcloud fails the whole request for one wrong checksum; here only that file fails. Files are published in groups that share a sync of
//! the disk: a result that says that a file is stored means that it is durable. Of a request that breaks off, groups that were published
//! before stay.

use http::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::accounts::Login;
use crate::library::{Committed, LibraryError, Ready, Staged, Tree, commit_all};
use crate::types::media::is_own;
use crate::types::{Mtime, RelPath};

use super::super::http::{Body, Incoming, NOT_THERE, discard, text};
use super::super::webdav::{Place, Promises, Refused, etag_of, numbers_of, status_of};
use super::Cloud;
use super::answers::json;
use super::multipart::{Malformed, Parts, boundary};

/// So many files are published together; each of them is open meanwhile.
const GROUP: usize = 64;
/// So many bytes of them wait in memory; what is larger goes to disk as it comes.
const GATHER: usize = 1 << 20;
const GROUP_BYTES: usize = 8 << 20;
/// More files in one request fail, each by itself.
const FILES: usize = 10_000;

/// Nextcloud's wish that missing folders be made; of the request, or of one file.
const AUTO_MKCOL: &str = "x-nc-webdav-auto-mkcol";

/// A file that is coming or has come.
struct Arrived {
    headers: HeaderMap,
    path: RelPath,
    size: u64,
    mtime: Option<Mtime>,
    promises: Promises,
    staged: Option<Staged>,
    /// What is not on disk yet.
    rest: Vec<u8>,
}

/// A part: the file that it is, or why it is not taken. Its bytes are read either way.
struct Part {
    /// As the client wrote it: the name of its result.
    name: String,
    file: Result<Arrived, Refused>,
}

/// A file and where it goes, or why it goes nowhere; with the name of its result.
type Judged = (String, Result<(Arrived, Place), Refused>);

type Results = Map<String, Value>;

impl Cloud {
    pub(super) async fn bulk(&self, request: Request<Incoming>, login: &Login) -> Response<Body> {
        let Some(boundary) = boundary(request.headers()) else {
            discard(request.into_body()).await;
            return text(StatusCode::BAD_REQUEST, "This is no multipart/related with a boundary.\n");
        };
        if !self.webdav.originals().is_there() {
            discard(request.into_body()).await;
            return text(StatusCode::SERVICE_UNAVAILABLE, NOT_THERE);
        }
        let rights = self.webdav.home_rights(login);
        if !rights.add && !rights.change {
            discard(request.into_body()).await;
            return text(StatusCode::FORBIDDEN, "You have no right to upload here.\n");
        }
        let (head, body) = request.into_parts();
        match self.take_all(Parts::new(body, &boundary), &head.headers, login).await {
            Ok(results) => json(StatusCode::OK, &Value::Object(results)),
            Err((status, reason)) => text(status, format!("The request cannot be read: {reason}.\n")),
        }
    }

    async fn take_all(&self, mut parts: Parts<Incoming>, common: &HeaderMap, login: &Login) -> Result<Results, Malformed> {
        let (mut results, mut group, mut seen) = (Results::new(), Vec::new(), 0);
        while let Some((headers, size)) = parts.next().await? {
            seen += 1;
            let mut part = begin(headers, common, size, seen <= FILES);
            loop {
                let bytes = parts.bytes().await?;
                if bytes.is_empty() {
                    break;
                }
                if let Ok(arrived) = &mut part.file {
                    arrived.rest.extend_from_slice(bytes);
                    if arrived.rest.len() >= GATHER {
                        part = self.write(part).await;
                    }
                }
            }
            group.push(part);
            let waiting: usize = group.iter().filter_map(|part| part.file.as_ref().ok()).map(|arrived| arrived.rest.len()).sum();
            if group.len() >= GROUP || waiting >= GROUP_BYTES {
                self.publish(std::mem::take(&mut group), login, &mut results).await;
            }
        }
        self.publish(group, login, &mut results).await;
        Ok(results)
    }

    /// Writes what has come of a large file to disk.
    async fn write(&self, part: Part) -> Part {
        let (tree, name) = (self.webdav.originals().clone(), part.name.clone());
        let written = tokio::task::spawn_blocking(move || Part { file: part.file.and_then(|arrived| append(&tree, arrived)), ..part });
        written.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request ended unexpectedly");
            Part { name, file: Err(unexpected()) }
        })
    }

    /// Publishes a group, and adds what came of it to the results.
    async fn publish(&self, group: Vec<Part>, login: &Login, results: &mut Results) {
        let mut judged = Vec::with_capacity(group.len());
        for Part { name, file } in group {
            let file = match file {
                Ok(arrived) => self.webdav.place(&arrived.path, &arrived.headers, login).await.map(|target| (arrived, target)),
                Err(refused) => Err(refused),
            };
            judged.push((name, file));
        }
        let names: Vec<String> = judged.iter().map(|(name, _)| name.clone()).collect();
        let tree = self.webdav.originals().clone();
        match tokio::task::spawn_blocking(move || store(&tree, judged)).await {
            Ok(stored) => results.extend(stored),
            Err(error) => {
                tracing::error!(%error, "a request ended unexpectedly");
                results.extend(names.into_iter().map(|name| (name, failure(&unexpected()))));
            }
        }
    }
}

/// What the headers of a part say; `common` are those of the request.
fn begin(mut headers: HeaderMap, common: &HeaderMap, size: u64, taken: bool) -> Part {
    let told = headers.get("x-file-path").map(|value| String::from_utf8(value.as_bytes().to_vec()));
    let name = match told {
        Some(Ok(name)) => name,
        Some(Err(_)) => return Part { name: "?".into(), file: Err((StatusCode::BAD_REQUEST, "its path is not UTF-8".into())) },
        None => return Part { name: "?".into(), file: Err((StatusCode::BAD_REQUEST, "it has no X-File-Path".into())) },
    };
    if let Some(value) = common.get(AUTO_MKCOL) {
        headers.entry(AUTO_MKCOL).or_insert_with(|| value.clone());
    }
    let file = match taken {
        true => arrived(&name, headers, size).map_err(|reason| (StatusCode::BAD_REQUEST, reason)),
        false => Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a request may bring {FILES} files"))),
    };
    Part { name, file }
}

fn arrived(name: &str, mut headers: HeaderMap, size: u64) -> Result<Arrived, String> {
    let path = RelPath::parse_lenient(name).map_err(|error| format!("its path cannot be used: {error}"))?;
    if path.segments().next().is_some_and(is_own) {
        return Err("its path cannot be used".into());
    }
    if let Some(md5) = headers.remove("x-file-md5") {
        let md5 = format!("MD5:{}", md5.to_str().unwrap_or_default());
        // A client that sends both means both.
        let both = match headers.get("oc-checksum").and_then(|value| value.to_str().ok()) {
            Some(other) => format!("{other} {md5}"),
            None => md5,
        };
        headers.insert("oc-checksum", both.parse().map_err(|_| "its X-File-MD5 is none".to_owned())?);
    }
    let promises = Promises::of(&headers).map_err(|reason| reason.trim_end().replace("OC-Checksum", "its checksum"))?;
    let mtime = match headers.get("x-oc-mtime").or_else(|| headers.get("x-file-mtime")).map(|value| value.to_str().unwrap_or_default()) {
        Some(text) => Some(Mtime::parse_oc_mtime(text).ok_or("its time is no number of seconds")?),
        None => None,
    };
    let rest = Vec::with_capacity(usize::try_from(size).unwrap_or(GATHER).min(GATHER));
    Ok(Arrived { headers, path, size, mtime, promises, staged: None, rest })
}

/// Moves what has come of a file to disk.
fn append(tree: &Tree, mut arrived: Arrived) -> Result<Arrived, Refused> {
    let refused = |error: LibraryError| (status_of(&error), error.to_string());
    let mut staged = match arrived.staged.take() {
        Some(staged) => staged,
        None => {
            // Of one that does not fit, nothing is written.
            tree.check_room(&arrived.path, arrived.size).map_err(refused)?;
            tree.stage()
        }
    };
    arrived.promises.update(&arrived.rest);
    staged.write(&arrived.rest).map_err(|error| refused(LibraryError::staging(&arrived.path, error)))?;
    arrived.rest.clear();
    Ok(Arrived { staged: Some(staged), ..arrived })
}

/// Writes, checks and publishes the files of a group.
fn store(tree: &Tree, group: Vec<Judged>) -> Vec<(String, Value)> {
    let (mut ready, mut names, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for (name, file) in group {
        match file.and_then(|(arrived, target)| prepare(tree, arrived, target)) {
            Ok(file) => {
                names.push((name, file.mtime.is_some()));
                ready.push(file);
            }
            Err(refused) => results.push((name, failure(&refused))),
        }
    }
    let committed = commit_all(tree, ready);
    let stored: Vec<_> = committed.iter().flatten().map(|committed| committed.path().clone()).collect();
    // Without numbers the client asks for them later.
    let mut numbers = numbers_of(tree, stored).unwrap_or_else(|error| {
        tracing::warn!(%error, "files were stored, but got no numbers");
        Vec::new()
    });
    numbers.reverse();
    results.extend(names.into_iter().zip(committed).map(|((name, timed), committed)| {
        let result = match committed {
            Ok(committed) => success(tree, &committed, timed, numbers.pop()),
            Err(error) => failure(&(status_of(&error), error.to_string())),
        };
        (name, result)
    }));
    results
}

/// What a PUT tells in headers.
fn success(tree: &Tree, committed: &Committed, timed: bool, number: Option<String>) -> Value {
    let mut result = json!({ "error": false, "etag": etag_of(tree, committed) });
    if let Some(number) = number {
        result["fileid"] = json!(number);
    }
    if timed {
        result["X-OC-MTime"] = json!("accepted");
    }
    result
}

fn prepare(tree: &Tree, arrived: Arrived, target: Place) -> Result<Ready, Refused> {
    let Arrived { mtime, promises, staged, .. } = append(tree, arrived)?;
    let Some(staged) = staged else { return Err(unexpected()) };
    if let Some(kind) = promises.broken(&staged.digests().sha1) {
        return Err((StatusCode::BAD_REQUEST, format!("what came has another {kind} checksum than was promised")));
    }
    Ok(Ready { staged, path: target.path, expect: target.expect, mtime })
}

fn failure((status, reason): &Refused) -> Value {
    if status.is_server_error() {
        tracing::error!(%reason, "a file of a bulk upload could not be stored");
    }
    json!({ "error": true, "status": status.as_u16(), "message": reason })
}

fn unexpected() -> Refused {
    (StatusCode::INTERNAL_SERVER_ERROR, "it ended unexpectedly".to_owned())
}
