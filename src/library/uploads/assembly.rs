//! The chunks of an upload as one file.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::{Chunk, UploadError, Uploads};

/// The chunks of a session as one file. Dropping it gives the session back as it was.
pub struct Assembly {
    uploads: Uploads,
    session: PathBuf,
    size: u64,
    chunks: Vec<PathBuf>,
}

impl Assembly {
    /// Of a session that nobody else puts together.
    pub(super) fn new(uploads: Uploads, session: PathBuf) -> Self {
        Self { uploads, session, size: 0, chunks: Vec::new() }
    }

    /// The same, of these chunks.
    pub(super) fn of(mut self, chunks: &[Chunk]) -> Self {
        self.size = chunks.iter().map(|chunk| chunk.size).sum();
        self.chunks = chunks.iter().map(|chunk| self.session.join(&chunk.name)).collect();
        self
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All bytes, one chunk after the other.
    pub fn reader(&self) -> impl Read + Send + use<> {
        Chunks { rest: self.chunks.clone().into_iter(), open: None }
    }

    /// Ends the session: the file is where it belongs.
    pub fn finish(self) {
        self.uploads.discard(&self.session);
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        self.uploads.lock().busy.remove(&self.session);
    }
}

struct Chunks {
    rest: std::vec::IntoIter<PathBuf>,
    open: Option<File>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                let read = file.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            match self.rest.next() {
                Some(place) => self.open = Some(File::open(place)?),
                None => return Ok(0),
            }
        }
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
