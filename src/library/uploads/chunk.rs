//! A chunk on its way in.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::tree::sync_parent;
use super::joined::Joined;
use super::{UploadError, Uploads, failed, locked};
use crate::library::Staged;

/// A chunk on its way in; dropping it leaves what was there before.
pub struct IncomingChunk {
    uploads: Uploads,
    session: PathBuf,
    name: String,
    room: u64,
    staged: Staged,
    joined: Arc<Mutex<Joined>>,
    way: Way,
}

/// Where the bytes go.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To the end of what is joined, for as long as it is our turn; so many bytes were there before.
    Joining { turn: u64, before: u64 },
    /// Into a file of their own.
    Aside,
}

impl IncomingChunk {
    pub(super) fn begin(
        uploads: &Uploads,
        session: PathBuf,
        joined: Arc<Mutex<Joined>>,
        name: &str,
        room: u64,
    ) -> Result<Self, UploadError> {
        let io = |error| failed(name, error);
        let tree = &uploads.inner.tree;
        // A chunk that lies aside already is replaced there.
        let is_aside = fs::exists(session.join(name)).map_err(io)?;
        let mut guard = locked(&joined);
        let (staged, way) = match guard.take_turn(name).filter(|_| !is_aside) {
            Some(turn) => {
                let staged = guard.go_on(tree).inspect_err(|_| guard.end_turn(turn)).map_err(io)?;
                let before = staged.size();
                (staged, Way::Joining { turn, before })
            }
            None => (tree.stage(), Way::Aside),
        };
        drop(guard);
        Ok(Self { uploads: uploads.clone(), session, name: name.to_owned(), room, staged, joined, way })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        if self.size() + bytes.len() as u64 > self.room {
            return Err(UploadError::NoRoom);
        }
        let _guard = match self.way {
            Way::Joining { turn, .. } => Some(locked(&self.joined)).filter(|joined| joined.is_turn(turn)).ok_or(UploadError::Busy)?.into(),
            Way::Aside => None,
        };
        self.staged.write(bytes).map_err(|error| failed(&self.name, error))
    }

    /// Bytes so far.
    fn size(&self) -> u64 {
        match self.way {
            Way::Joining { before, .. } => self.staged.size() - before,
            Way::Aside => self.staged.size(),
        }
    }

    /// Makes the chunk one of the session, durably, in the place of an earlier one of this name; says whether there was one.
    pub fn keep(mut self) -> Result<bool, UploadError> {
        self.staged.sync().map_err(|error| failed(&self.name, error))?;
        match self.way {
            Way::Joining { turn, .. } => self.join(turn).map(|()| false),
            Way::Aside => self.keep_aside(),
        }
    }

    fn join(&mut self, turn: u64) -> Result<(), UploadError> {
        let size = self.size();
        let mut joined = locked(&self.joined);
        // Whoever puts the file together takes the turn: then what is joined does not change.
        if !joined.is_turn(turn) || self.uploads.lock().busy.contains(&self.session) {
            return Err(UploadError::Busy);
        }
        joined.add(&self.name, &self.staged).map_err(|error| failed(&self.name, error))?;
        drop(joined);
        self.count(size, 0);
        Ok(())
    }

    fn keep_aside(mut self) -> Result<bool, UploadError> {
        let target = self.session.join(&self.name);
        let size = self.size();
        let io = |error: io::Error| failed(&self.name, error);
        let former = self.former().map_err(io)?;
        // Held while the name is given: what is being put together does not change.
        let state = self.uploads.lock();
        if state.busy.contains(&self.session) {
            return Err(UploadError::Busy);
        }
        self.staged.keep_as(&target).map_err(io)?;
        drop(state);
        sync_parent(&target).map_err(io)?;
        self.count(size, former.unwrap_or(0));
        Ok(former.is_some())
    }

    /// The size of the chunk that has this name already.
    fn former(&self) -> io::Result<Option<u64>> {
        match fs::metadata(self.session.join(&self.name)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let joined = locked(&self.joined);
                Ok(joined.pieces().iter().find(|piece| piece.chunk.name == self.name).map(|piece| piece.chunk.size))
            }
            Err(error) => Err(error),
        }
    }

    /// Counts what waits now.
    fn count(&self, more: u64, less: u64) {
        let mut state = self.uploads.lock();
        if let Some(waiting) = self.session.parent().and_then(|user| state.waiting.get_mut(user)) {
            *waiting = waiting.saturating_add(more).saturating_sub(less);
        }
    }
}

impl Drop for IncomingChunk {
    fn drop(&mut self) {
        let Way::Joining { turn, before } = self.way else { return };
        let mut joined = locked(&self.joined);
        // A chunk that was not added takes no room.
        if joined.is_at(turn, before)
            && let Err(error) = self.staged.cut(before)
        {
            tracing::warn!(session = %self.session.display(), %error, "what came of a chunk could not be removed");
        }
        joined.end_turn(turn);
    }
}
