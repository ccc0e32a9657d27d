//! Uploads in pieces (Nextcloud's chunked upload v2): chunks arrive in any order, also after a restart, and become one file at the end.
//!
//! They lie in `.twinlens/uploads/USER/ID/`, on the file system of the library: those that come in their order in one file, the others as
//! files of their own. A chunk is there whole and durable, or not at all. A session that nobody adds to for 24 hours is swept.

mod assembly;
mod chunk;
mod joined;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use crate::types::Mtime;

use super::room::{NAME, is_full};
use super::tree::sync_parent;
use super::{LibraryError, Tree};

pub use self::assembly::Assembly;
use self::assembly::{Part, check_whole, is_chunk_name, natural};
pub use self::chunk::IncomingChunk;
use self::joined::Joined;

/// A session without a new chunk for so long is swept.
const EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// More sessions of one user than this at once are refused.
const SESSIONS: usize = 128;
/// As many chunks as Nextcloud allows.
const CHUNKS: usize = 10_000;
/// So many bytes of one user may wait to become files.
const BYTES: u64 = 1 << 40;
/// No chunk has such a name.
const ABOUT: &str = "about";
/// Names of sessions are short.
const ID_LIMIT: usize = 128;

/// What can go wrong with an upload in pieces.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No such session: it was never begun, has ended or has expired.
    #[error("there is no such upload; it has ended or expired, begin it again")]
    NoSession,
    /// No such chunk.
    #[error("there is no such chunk")]
    NoChunk,
    /// The session is there already.
    #[error("there is such an upload already")]
    Exists,
    /// The name of a session or chunk.
    #[error("this name cannot be used for an upload or a chunk")]
    BadName,
    /// The user has too many sessions, or the session too many chunks.
    #[error("there are too many uploads or chunks already; finish or delete some")]
    TooMany,
    /// The user has too many bytes waiting, or the disk has no room for them.
    #[error(
        "there is no room for this upload: the rest of the disk is kept for what Twinlens itself must write; make room there, or end other uploads"
    )]
    NoRoom,
    /// The session is being put together, or removed.
    #[error("this upload is being put together just now")]
    Busy,
    /// The chunks are not the whole file.
    #[error("the chunks do not add up: there are {found} bytes, {expected}")]
    Incomplete {
        /// How many bytes there are.
        found: u64,
        /// What should be there, in words.
        expected: String,
    },
    /// The disk or the state.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

/// A chunk that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it came.
    pub mtime: Mtime,
}

/// The unfinished uploads of a library, as long as somebody else has them open.
pub struct WeakUploads(Weak<Inner>);

impl WeakUploads {
    /// The uploads, if they are still open.
    pub fn upgrade(&self) -> Option<Uploads> {
        self.0.upgrade().map(|inner| Uploads { inner })
    }
}

/// The unfinished uploads of a library. Cheap to clone.
#[derive(Clone)]
pub struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    tree: Tree,
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Sessions that are being put together.
    busy: HashSet<PathBuf>,
    /// Bytes that wait in all sessions of a user, where they have been counted.
    waiting: HashMap<PathBuf, u64>,
    /// What is joined already in sessions that were looked at.
    joined: HashMap<PathBuf, Arc<Mutex<Joined>>>,
}

impl Uploads {
    /// The unfinished uploads of this library; what has expired is swept.
    pub fn open(tree: Tree) -> Self {
        let root = tree.own().join("uploads");
        let uploads = Self { inner: Arc::new(Inner { tree, root, state: Mutex::default() }) };
        uploads.sweep();
        uploads
    }

    /// For who must not keep them open.
    pub fn downgrade(&self) -> WeakUploads {
        WeakUploads(Arc::downgrade(&self.inner))
    }

    /// Removes every session that has expired. What cannot be removed is logged.
    pub fn sweep(&self) {
        for user in folders(&self.inner.root) {
            for session in folders(&user) {
                if self.has_expired(&session) {
                    tracing::info!(place = %session.display(), "an unfinished upload has expired");
                    self.discard(&session);
                }
            }
            // It stays when there is something in it.
            let _ = fs::remove_dir(&user);
        }
    }

    /// Begins a session; `announced` is the size that the file is said to get.
    pub fn begin(&self, user: &str, id: &str, announced: u64) -> Result<(), UploadError> {
        let place = self.place(user, id)?;
        if self.has_expired(&place) {
            self.discard(&place);
        }
        let above = self.user_place(user);
        if folders(&above).count() >= SESSIONS && !place.is_dir() {
            return Err(UploadError::TooMany);
        }
        self.check_room(user, announced)?;
        fs::create_dir_all(&above).map_err(|error| failed(id, error))?;
        fs::create_dir(&place).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => UploadError::Exists,
            _ => failed(id, error),
        })?;
        // Somebody may have looked at an earlier one while it was being removed.
        self.lock().joined.remove(&place);
        [&above, &place].iter().try_for_each(|place| sync_parent(place)).map_err(|error| failed(id, error))
    }

    /// Writes down, durably, what a session is for. It goes with it.
    pub fn describe(&self, user: &str, id: &str, about: &[u8]) -> Result<(), UploadError> {
        let place = self.session(user, id)?.join(ABOUT);
        let written = fs::File::create(&place).and_then(|mut file| file.write_all(about).and_then(|()| file.sync_all()));
        written.and_then(|()| sync_parent(&place)).map_err(|error| failed(id, error))
    }

    /// What was written down of a session; none of one that was begun without.
    pub fn description(&self, user: &str, id: &str) -> Result<Option<Vec<u8>>, UploadError> {
        match fs::read(self.session(user, id)?.join(ABOUT)) {
            Ok(about) => Ok(Some(about)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(id, error)),
        }
    }

    /// When a session that nobody adds to is swept.
    pub fn expires(changed: Mtime) -> Mtime {
        Mtime::from(SystemTime::from(changed) + EXPIRY)
    }

    /// The sessions of a user, with the time of the last change.
    pub fn sessions(&self, user: &str) -> Vec<(String, Mtime)> {
        let live = folders(&self.user_place(user)).filter(|place| !self.has_expired(place));
        let mut sessions: Vec<_> = live
            .filter_map(|place| {
                let changed = fs::metadata(&place).and_then(|metadata| metadata.modified()).ok()?;
                Some((place.file_name()?.to_str()?.to_owned(), Mtime::from(changed)))
            })
            .collect();
        sessions.sort();
        sessions
    }

    /// The chunks of a session, in the order that they will be put together.
    pub fn chunks(&self, user: &str, id: &str) -> Result<Vec<Chunk>, UploadError> {
        let parts = self.parts(&self.session(user, id)?).map_err(|error| failed(id, error))?;
        Ok(parts.into_iter().map(|part| part.chunk).collect())
    }

    /// Begins a chunk, which takes its name when it is kept.
    pub fn receive(&self, user: &str, id: &str, name: &str, announced: u64) -> Result<IncomingChunk, UploadError> {
        let session = self.session(user, id)?;
        if !is_chunk_name(name) {
            return Err(UploadError::BadName);
        }
        if self.lock().busy.contains(&session) {
            return Err(UploadError::Busy);
        }
        let joined = self.joined(&session).map_err(|error| failed(id, error))?;
        let parts = fs::read_dir(&session).map_err(|error| failed(id, error))?.count() + locked(&joined).pieces().len();
        if parts >= CHUNKS && !self.parts(&session).map_err(|error| failed(id, error))?.iter().any(|part| part.chunk.name == name) {
            return Err(UploadError::TooMany);
        }
        let room = self.check_room(user, announced)?;
        IncomingChunk::begin(self, session, joined, name, room)
    }

    /// Takes back one chunk.
    pub fn remove_chunk(&self, user: &str, id: &str, name: &str) -> Result<(), UploadError> {
        let session = self.session(user, id)?;
        if !is_chunk_name(name) {
            return Err(UploadError::NoChunk);
        }
        if self.lock().busy.contains(&session) {
            return Err(UploadError::Busy);
        }
        self.lock().waiting.remove(&self.user_place(user));
        let joined = self.joined(&session).map_err(|error| failed(id, error))?;
        let was_joined = locked(&joined).take_back(name).map_err(|error| failed(id, error))?;
        match fs::remove_file(session.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && was_joined => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(UploadError::NoChunk),
            removed => removed.map_err(|error| failed(id, error)),
        }
    }

    /// Ends a session without a file.
    pub fn abort(&self, user: &str, id: &str) -> Result<(), UploadError> {
        let session = self.session(user, id)?;
        if self.lock().busy.contains(&session) {
            return Err(UploadError::Busy);
        }
        self.discard(&session);
        Ok(())
    }

    /// The chunks as one file, which nobody else can change meanwhile. Without `total`, the names of the chunks must show that none is
    /// missing.
    pub fn assemble(&self, user: &str, id: &str, total: Option<u64>) -> Result<Assembly, UploadError> {
        let session = self.session(user, id)?;
        if !self.lock().busy.insert(session.clone()) {
            return Err(UploadError::Busy);
        }
        // From here on dropping it frees the session.
        let assembly = Assembly::new(self.clone(), session.clone());
        let joined = self.joined(&session).map_err(|error| failed(id, error))?;
        // Who still sends a chunk finds the session busy.
        locked(&joined).stop_writing();
        let parts = self.parts(&session).map_err(|error| failed(id, error))?;
        let chunks: Vec<Chunk> = parts.iter().map(|part| part.chunk.clone()).collect();
        check_whole(&chunks, total)?;
        Ok(assembly.of(joined, parts))
    }

    /// What is joined in a session.
    fn joined(&self, session: &Path) -> io::Result<Arc<Mutex<Joined>>> {
        if let Some(joined) = self.lock().joined.get(session) {
            return Ok(Arc::clone(joined));
        }
        let opened = Joined::open(session)?;
        // Somebody else may have opened it meanwhile, and gone on with it.
        Ok(Arc::clone(self.lock().joined.entry(session.to_owned()).or_insert_with(|| Arc::new(Mutex::new(opened)))))
    }

    /// The chunks of a session in their order. One that came again takes the place of the one that was joined.
    fn parts(&self, session: &Path) -> io::Result<Vec<Part>> {
        let mut parts = HashMap::new();
        let joined = self.joined(session)?;
        for piece in locked(&joined).pieces() {
            parts.insert(piece.chunk.name.clone(), Part { chunk: piece.chunk.clone(), joined: Some(piece.clone()) });
        }
        for entry in fs::read_dir(session)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_chunk_name(name)) {
                let metadata = entry.metadata()?;
                let mtime = metadata.modified().map_or(Mtime(0), Mtime::from);
                let chunk = Chunk { name: name.to_owned(), size: metadata.len(), mtime };
                parts.insert(name.to_owned(), Part { chunk, joined: None });
            }
        }
        let mut parts: Vec<Part> = parts.into_values().collect();
        parts.sort_by(|a, b| natural(&a.chunk.name, &b.chunk.name));
        Ok(parts)
    }

    /// Whether there is room for so many bytes more; how many more it is.
    fn check_room(&self, user: &str, bytes: u64) -> Result<u64, UploadError> {
        let user = self.user_place(user);
        let known = self.lock().waiting.get(&user).copied();
        let waiting = known.unwrap_or_else(|| {
            let parts = folders(&user).flat_map(|session| self.parts(&session).unwrap_or_default());
            let counted = parts.map(|part| part.chunk.size).sum();
            self.lock().waiting.insert(user, counted);
            counted
        });
        let room = BYTES.saturating_sub(waiting).min(self.inner.tree.room().unwrap_or(u64::MAX));
        if bytes.saturating_add(NAME) > room { Err(UploadError::NoRoom) } else { Ok(room) }
    }

    fn user_place(&self, user: &str) -> PathBuf {
        // A user's name may have characters that file names cannot have.
        self.inner.root.join(&blake3::hash(user.as_bytes()).to_hex()[..32])
    }

    fn place(&self, user: &str, id: &str) -> Result<PathBuf, UploadError> {
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > ID_LIMIT || id.starts_with('.') || !id.chars().all(usable) {
            return Err(UploadError::BadName);
        }
        Ok(self.user_place(user).join(id))
    }

    /// The place of a session that is there and has not expired.
    fn session(&self, user: &str, id: &str) -> Result<PathBuf, UploadError> {
        let place = self.place(user, id).map_err(|_| UploadError::NoSession)?;
        if !place.is_dir() {
            return Err(UploadError::NoSession);
        }
        if self.has_expired(&place) {
            self.discard(&place);
            return Err(UploadError::NoSession);
        }
        Ok(place)
    }

    fn has_expired(&self, session: &Path) -> bool {
        let changed = fs::metadata(session).and_then(|metadata| metadata.modified());
        let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        age.is_some_and(|age| age > EXPIRY) && !self.lock().busy.contains(session)
    }

    fn discard(&self, session: &Path) {
        if let Some(user) = session.parent() {
            self.lock().waiting.remove(user);
        }
        match fs::remove_dir_all(session) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(place = %session.display(), %error, "an upload that has ended could not be removed");
            }
            _ => {}
        }
        self.lock().joined.remove(session);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folders in a folder; none when it is not there.
fn folders(place: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn failed(id: &str, error: io::Error) -> UploadError {
    match error.kind() {
        _ if is_full(&error) => UploadError::NoRoom,
        io::ErrorKind::NotFound => UploadError::NoSession,
        _ => LibraryError::Io { path: format!("the upload {id}"), source: error }.into(),
    }
}

fn locked(joined: &Mutex<Joined>) -> MutexGuard<'_, Joined> {
    joined.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
