//! Files and folders as one download: a zip that is made while it is sent, so that it needs no room and can begin at once.
//!
//! Nothing is compressed: photos are already. What is chosen is told by POST, with the session's token; the browser then goes to the address that
//! is answered, which only the same user can use, for a while. A file that cannot be read to its end breaks the download off: a browser shows
//! that, and no zip is short without saying so.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, ZipWriter};
use axum::extract::State;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::library::{Kind, LibraryError, Open, Stat, Tree};
use crate::types::media::is_junk;
use crate::types::{Mtime, RelPath};

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
/// So many zips are sent at once.
const AT_ONCE: usize = 4;
/// Bytes that are gathered before they are sent.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the network.
const WAITING: usize = 4;
/// From here on sizes need more than 32 bits; a little earlier, to be safe.
const LARGE: u64 = u32::MAX as u64 - (1 << 20);
/// What may stand unencoded in the parameter of a header (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
pub(super) struct Zips {
    choices: Mutex<BTreeMap<String, Choice>>,
    turns: Arc<Semaphore>,
}

impl Default for Zips {
    fn default() -> Self {
        Self { choices: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
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
    let turn = Arc::clone(&shared.zips.turns).try_acquire_owned().map_err(|_| {
        let detail = "Several zips are being downloaded already; wait until one of them is done.";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).retry_after(10)
    })?;
    let (pieces, coming) = mpsc::channel(WAITING);
    let (tree, root, paths) = (shared.originals.clone(), caller.login.folder, choice.paths);
    tokio::task::spawn_blocking(move || {
        write(&tree, &root, &paths, Outlet { pieces, gathered: Vec::new(), given_up: Arc::default() }, turn)
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

/// `attachment` with the name, in ASCII for old clients (RFC 6266) and as it is (RFC 8187).
fn disposition(name: &str) -> HeaderValue {
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' }).collect();
    let text = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Where a zip goes: gathered into pieces, to whoever downloads it.
struct Outlet {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
    /// Nothing more goes out: a zip that is given up is ended all the same when its writer is dropped, as if it were whole.
    given_up: Arc<AtomicBool>,
}

impl Outlet {
    fn send(&mut self) -> io::Result<()> {
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(bytes.len());
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.send().inspect_err(|_| self.given_up.store(true, Ordering::Relaxed))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a zip to its end, or breaks the download off.
fn write(tree: &Tree, root: &RelPath, paths: &[RelPath], outlet: Outlet, turn: OwnedSemaphorePermit) {
    let pieces = outlet.pieces.clone();
    let ended = Archive::of(tree, outlet).write(root, paths);
    if let Err(error) = ended {
        if error.kind() != io::ErrorKind::BrokenPipe {
            tracing::error!(%error, "a zip was broken off");
        }
        // Whoever has gone away does not hear it.
        let _ = pieces.blocking_send(Err(error));
    }
    drop(turn);
}

/// A zip that is being written.
struct Archive<'a> {
    tree: &'a Tree,
    zip: ZipWriter<::zip::write::StreamWriter<Outlet>>,
    given_up: Arc<AtomicBool>,
    buffer: Vec<u8>,
}

impl<'a> Archive<'a> {
    fn of(tree: &'a Tree, outlet: Outlet) -> Self {
        let given_up = Arc::clone(&outlet.given_up);
        Self { tree, zip: ZipWriter::new_stream(outlet), given_up, buffer: vec![0; PIECE] }
    }

    fn write(mut self, root: &RelPath, paths: &[RelPath]) -> io::Result<()> {
        self.all(root, paths).inspect_err(|_| self.given_up.store(true, Ordering::Relaxed))?;
        let mut outlet = self.zip.finish().map_err(io::Error::from)?.into_inner();
        outlet.send()
    }

    fn all(&mut self, root: &RelPath, paths: &[RelPath]) -> io::Result<()> {
        let mut names = Names::default();
        for path in paths {
            let place = self.tree.spelled(&root.join_path(path));
            let stat = self.tree.stat(&place).map_err(io::Error::other)?;
            let stat = stat.ok_or_else(|| io::Error::other(LibraryError::NotFound(place.clone())))?;
            let name = names.free(path.name());
            self.entry(&place, &stat, &name)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &RelPath, stat: &Stat, name: &str) -> io::Result<()> {
        if stat.kind == Kind::File {
            return self.file(path, name);
        }
        self.zip.add_directory(name, options(stat.mtime)).map_err(io::Error::from)?;
        let listing = self.tree.folder(path).map_err(io::Error::other)?;
        if let Some((shown, why)) = listing.unreadable().first() {
            return Err(io::Error::other(format!("{path}: {shown}: {why}")));
        }
        let mut names = Names::default();
        for member in (0..listing.len()).map(|at| listing.name(at)).filter(|member| !is_junk(member)) {
            // What went meanwhile, or is nothing that is ever served, was never chosen.
            let Some(stat) = listing.stat(member).map_err(io::Error::other)? else { continue };
            let below = path.join(member).map_err(io::Error::other)?;
            let inner = format!("{name}/{}", names.free(member));
            self.entry(&below, &stat, &inner)?;
        }
        Ok(())
    }

    /// Exactly as many bytes as the file had when it was opened.
    fn file(&mut self, path: &RelPath, name: &str) -> io::Result<()> {
        let Open { mut file, stat } = self.tree.open_file(path).map_err(io::Error::other)?;
        self.zip.start_file(name, options(stat.mtime).large_file(stat.size >= LARGE)).map_err(io::Error::from)?;
        let mut left = stat.size;
        loop {
            let read = file.read(&mut self.buffer).map_err(|error| io::Error::other(LibraryError::io(path, error)))?;
            if read as u64 > left || (read == 0 && left > 0) {
                return Err(io::Error::other(LibraryError::Changed(path.clone())));
            }
            if read == 0 {
                return Ok(());
            }
            left -= read as u64;
            self.zip.write_all(&self.buffer[..read])?;
        }
    }
}

fn options(mtime: Mtime) -> SimpleFileOptions {
    let at = Timestamp::from_nanosecond(i128::from(mtime.0)).unwrap_or_default().to_zoned_datetime(TimeZone::system());
    let part = |number: i8| u8::try_from(number).unwrap_or(0);
    let time = u16::try_from(at.year()).ok().and_then(|year| {
        DateTime::from_date_and_time(year, part(at.month()), part(at.day()), part(at.hour()), part(at.minute()), part(at.second())).ok()
    });
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o644);
    options.last_modified_time(time.unwrap_or_default())
}

/// The names of one folder of a zip: each once, also where case and Unicode forms do not count, and each one that Windows takes.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn free(&mut self, name: &str) -> String {
        let name = portable(name);
        let (stem, dot, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, ".", extension),
            _ => (name.as_str(), "", ""),
        };
        let numbered = |number: u64| if number == 1 { name.clone() } else { format!("{stem} ({number}){dot}{extension}") };
        let mut free = (1..).map(numbered);
        loop {
            let name = free.next().unwrap_or_default();
            if self.0.insert(name.nfc().flat_map(char::to_lowercase).nfc().collect()) {
                return name;
            }
        }
    }
}

/// A name that every system takes: none of the characters that mean something to Windows, no dot or space at its end, no device.
fn portable(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    if safe.ends_with(['.', ' ']) {
        safe.pop();
        safe.push('_');
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => format!("_{safe}"),
        _ if numbered("COM") || numbered("LPT") => format!("_{safe}"),
        _ if safe.is_empty() => "_".to_owned(),
        _ => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_every_system_takes_them_and_each_is_there_once() {
        let mut names = Names::default();
        let given = ["a.jpg", "A.JPG", "a (2).jpg", "C:evil", "nul.txt", "COM1", "x.", "..", "ü", "u\u{308}", "a\\b", ".hidden", ".hidden"];
        let free: Vec<String> = given.iter().map(|name| names.free(name)).collect();
        let expected = [
            "a.jpg",
            "A (2).JPG",
            "a (2) (2).jpg",
            "C_evil",
            "_nul.txt",
            "_COM1",
            "x_",
            "._",
            "ü",
            "u\u{308} (2)",
            "a_b",
            ".hidden",
            ".hidden (2)",
        ];
        assert_eq!(free, expected);
    }

    #[test]
    fn the_name_of_a_download_is_told_to_old_clients_and_new_ones() {
        let told = disposition("Bücher \"x\"\r\n.zip");
        assert_eq!(told, "attachment; filename=\"B_cher _x___.zip\"; filename*=UTF-8''B%C3%BCcher%20%22x%22%0D%0A.zip");
    }
}
