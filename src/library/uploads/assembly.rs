//! The chunks of an upload as one file.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::joined::{Joined, Piece};
use super::{Chunk, Tree, UploadError, Uploads, failed, locked};
use crate::library::Staged;

/// A chunk, and where its bytes are: in the file of those that are joined, or else in a file of its own.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) chunk: Chunk,
    pub(super) joined: Option<Piece>,
}

/// The chunks of a session as one file. Dropping it gives the session back as it was.
pub struct Assembly {
    uploads: Uploads,
    session: PathBuf,
    parts: Vec<Part>,
    joined: Option<Arc<Mutex<Joined>>>,
}

impl Assembly {
    /// Of a session that nobody else puts together.
    pub(super) fn new(uploads: Uploads, session: PathBuf) -> Self {
        Self { uploads, session, parts: Vec::new(), joined: None }
    }

    /// The same, of these chunks.
    pub(super) fn of(mut self, joined: Arc<Mutex<Joined>>, parts: Vec<Part>) -> Self {
        (self.joined, self.parts) = (Some(joined), parts);
        self
    }

    /// The whole file, ready to be published in `tree`. When the chunks came in their order that is the file that they were written to;
    /// what came otherwise is copied.
    pub fn put_together(&self, tree: &Tree) -> Result<Staged, UploadError> {
        let name = self.session.file_name().unwrap_or_default().to_string_lossy();
        let io = |error| failed(&name, error);
        let Some(joined) = &self.joined else { return Err(UploadError::NoSession) };
        let mut joined = locked(joined);
        let own = &self.uploads.inner.tree;
        let chunks: Vec<Chunk> = self.parts.iter().map(|part| part.chunk.clone()).collect();
        let (mut staged, rest) = if own.root() == tree.root() && joined.begins(&chunks) {
            (joined.whole(own).map_err(io)?, &self.parts[joined.pieces().len()..])
        } else {
            (tree.stage(), &self.parts[..])
        };
        self.append(rest, &joined, &mut staged).map_err(io)?;
        Ok(staged)
    }

    fn append(&self, parts: &[Part], joined: &Joined, staged: &mut Staged) -> io::Result<()> {
        for part in parts {
            match &part.joined {
                Some(piece) => staged.fill_with(&mut joined.read(piece)?, piece.chunk.size)?,
                None => staged.fill(&mut File::open(self.session.join(&part.chunk.name))?)?,
            }
        }
        Ok(())
    }

    /// Ends the session: the file is where it belongs.
    pub fn finish(&self) {
        self.uploads.discard(&self.session);
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        // A file that was published, or got lost on the way there, is not gone on with.
        let is_gone = self.joined.as_ref().is_some_and(|joined| !locked(joined).is_there());
        let mut state = self.uploads.lock();
        if is_gone {
            state.joined.remove(&self.session);
        }
        state.busy.remove(&self.session);
    }
}

/// Whether the chunks are all there is: by the announced total, or else by their names, which count from 0 or 1 or tell where a chunk
/// begins. A Nextcloud stores a shorter file when one is missing; here nothing is stored.
pub(super) fn check_whole(chunks: &[Chunk], total: Option<u64>) -> Result<(), UploadError> {
    let size: u64 = chunks.iter().map(|chunk| chunk.size).sum();
    let incomplete = |expected: String| UploadError::Incomplete { found: size, expected };
    if let Some(total) = total {
        return if size == total { Ok(()) } else { Err(incomplete(format!("but the file is said to have {total}"))) };
    }
    let starts: Vec<u64> = chunks.iter().filter_map(|chunk| chunk.name.split('-').next()?.parse().ok()).collect();
    let first = starts.first().copied().unwrap_or(u64::MAX);
    let counted = first <= 1 && starts.iter().zip(first..).all(|(start, number)| *start == number);
    let begin = chunks.iter().scan(0, |at, chunk| Some(std::mem::replace(at, *at + chunk.size)));
    let placed = !starts.is_empty() && starts.iter().copied().eq(begin);
    if starts.len() == chunks.len() && (counted || placed) { Ok(()) } else { Err(incomplete("and one is missing between them".into())) }
}

/// A number (Nextcloud, ownCloud), or the bytes that it holds (`START-END`: rclone, Nextcloud for Android).
pub(super) fn is_chunk_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    parts.len() <= 2 && parts.iter().all(|part| (1..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// 9 comes before 10, and 0010 is 10.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let key = |name: &str| name.split('-').map(|part| part.parse::<u128>().unwrap_or(0)).collect::<Vec<_>>();
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}
