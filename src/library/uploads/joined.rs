//! The chunks of a session that came in their order: they lie in one file, one after the other, so that there is little left to do when the
//! upload ends. Beside it is a list with a line for each: a chunk is there when its line is, and its line is written when its bytes are durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::library::Staged;
use crate::types::{Hasher, Mtime};

use super::super::tree::sync_parent;
use super::{Chunk, Tree, is_chunk_name};

/// No chunk has such a name.
const FILE: &str = "joined";
const LIST: &str = "joined.list";
/// In the list, in the place of a size: the chunk was taken back.
const TAKEN_BACK: &str = "-";

/// One chunk in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) chunk: Chunk,
    pub(super) start: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.chunk.size
    }
}

/// What lies in the file.
#[derive(Debug)]
pub(super) struct Joined {
    session: PathBuf,
    pieces: Vec<Piece>,
    /// Where the next chunk begins. What follows there in the file is of nobody.
    end: u64,
    /// So long is the list.
    listed: u64,
    /// The digests of everything before `end`, as far as they are known: not after a restart.
    hasher: Option<Hasher>,
    /// Whose turn it is to write. It changes whenever somebody takes it.
    turn: u64,
    /// The chunk that is being written.
    writing: Option<String>,
    /// A piece in the middle was taken back: nothing more is joined.
    torn: bool,
}

impl Joined {
    /// What an earlier process has left of it, or nothing.
    pub(super) fn open(session: &Path) -> io::Result<Self> {
        let mut joined = Self {
            session: session.to_owned(),
            pieces: Vec::new(),
            end: 0,
            listed: 0,
            hasher: Some(Hasher::default()),
            turn: 0,
            writing: None,
            torn: false,
        };
        let list = session.join(LIST);
        let (text, mtime) = match fs::read_to_string(&list) {
            Ok(text) => (text, fs::metadata(&list)?.modified().map_or(Mtime(0), Mtime::from)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(joined),
            Err(error) => return Err(error),
        };
        for line in text.split_inclusive('\n') {
            // A line that was not written to its end was not answered for either.
            if !joined.replay(line, mtime) {
                break;
            }
            joined.listed += line.len() as u64;
        }
        joined.hasher = joined.pieces.is_empty().then(Hasher::default);
        if joined.is_there() {
            return Ok(joined);
        }
        // The file has become a photo, and then the session was to be removed.
        fs::remove_file(&list)?;
        sync_parent(&list)?;
        Self::open(session)
    }

    fn replay(&mut self, line: &str, mtime: Mtime) -> bool {
        let Some((name, size)) = line.strip_suffix('\n').and_then(|line| line.split_once(' ')) else { return false };
        if !is_chunk_name(name) {
            return false;
        }
        match size.parse() {
            Ok(size) => self.push(Chunk { name: name.to_owned(), size, mtime }),
            Err(_) if size == TAKEN_BACK => self.forget(name),
            Err(_) => return false,
        }
        true
    }

    /// Whether the file still has all its pieces.
    pub(super) fn is_there(&self) -> bool {
        self.pieces.is_empty() || fs::metadata(self.place()).is_ok_and(|metadata| metadata.len() >= self.end)
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn place(&self) -> PathBuf {
        self.session.join(FILE)
    }

    /// Whether these are the first of `chunks`, in their order.
    pub(super) fn begins(&self, chunks: &[Chunk]) -> bool {
        let here = self.pieces.iter().map(|piece| &piece.chunk);
        !self.torn && !self.pieces.is_empty() && here.eq(chunks.iter().take(self.pieces.len()))
    }

    /// Takes the turn to write a chunk, if it is the next one. Who writes the same chunk already has broken off, and loses it.
    pub(super) fn take_turn(&mut self, name: &str) -> Option<u64> {
        let is_free = self.writing.as_deref().is_none_or(|writing| writing == name);
        (is_free && !self.torn && self.is_next(name)).then(|| {
            self.writing = Some(name.to_owned());
            self.turn += 1;
            self.turn
        })
    }

    /// Chunks are counted, or have the names of their places. That others come between two of them later is seen in the end.
    fn is_next(&self, name: &str) -> bool {
        let number = |name: &str| name.split('-').next().and_then(|number| number.parse::<u64>().ok());
        let Some(this) = number(name) else { return false };
        match self.pieces.last() {
            None => this <= 1,
            Some(last) => {
                let counted = !name.contains('-') && number(&last.chunk.name).and_then(|last| last.checked_add(1)) == Some(this);
                (counted || this == self.end) && !self.pieces.iter().any(|piece| piece.chunk.name == name)
            }
        }
    }

    /// Whether it is still the turn of who took it.
    pub(super) fn is_turn(&self, turn: u64) -> bool {
        self.turn == turn && self.writing.is_some()
    }

    /// Whether nothing was added since it was this long, by whoever has this turn.
    pub(super) fn is_at(&self, turn: u64, end: u64) -> bool {
        self.is_turn(turn) && self.end == end
    }

    /// Ends a turn. What was written and not added is of nobody.
    pub(super) fn end_turn(&mut self, turn: u64) {
        if self.turn == turn {
            self.writing = None;
        }
    }

    /// Takes the turn from whoever has it.
    pub(super) fn stop_writing(&mut self) {
        self.turn += 1;
        self.writing = None;
    }

    /// The file, to go on with after the last piece.
    pub(super) fn go_on(&self, tree: &Tree) -> io::Result<Staged> {
        let place = self.place();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&place)?;
        // Digests that are not known are found in the end: those from here on are of no use then.
        let hasher = self.hasher.clone().unwrap_or_default();
        Staged::go_on(tree.clone(), place, file, (hasher, self.end))
    }

    /// The file with the digests of everything that was joined, which are found anew if need be.
    pub(super) fn whole(&mut self, tree: &Tree) -> io::Result<Staged> {
        if self.hasher.is_none() {
            let mut hasher = Hasher::default();
            self.go_on(tree)?.read_again(|piece| hasher.update(piece))?;
            self.hasher = Some(hasher);
        }
        self.go_on(tree)
    }

    /// Adds the chunk that was written to `staged`, and is durable there.
    pub(super) fn add(&mut self, name: &str, staged: &Staged) -> io::Result<()> {
        let size = staged.size().saturating_sub(self.end);
        self.write_line(&format!("{name} {size}\n"))?;
        let hasher = self.hasher.is_some().then(|| staged.hasher());
        self.push(Chunk { name: name.to_owned(), size, mtime: SystemTime::now().into() });
        self.hasher = hasher;
        Ok(())
    }

    /// Takes back a chunk. False when it is not here.
    pub(super) fn take_back(&mut self, name: &str) -> io::Result<bool> {
        if !self.pieces.iter().any(|piece| piece.chunk.name == name) {
            return Ok(false);
        }
        self.stop_writing();
        self.write_line(&format!("{name} {TAKEN_BACK}\n"))?;
        self.forget(name);
        Ok(true)
    }

    fn push(&mut self, chunk: Chunk) {
        let start = self.end;
        self.end += chunk.size;
        self.pieces.push(Piece { chunk, start });
    }

    fn forget(&mut self, name: &str) {
        let Some(at) = self.pieces.iter().position(|piece| piece.chunk.name == name) else { return };
        let is_last = at + 1 == self.pieces.len();
        let piece = self.pieces.remove(at);
        if is_last && !self.torn {
            self.end = piece.start;
            self.hasher = self.pieces.is_empty().then(Hasher::default);
        } else {
            self.torn = true;
        }
    }

    /// Appends a line to the list, durably.
    fn write_line(&mut self, line: &str) -> io::Result<()> {
        let list = self.session.join(LIST);
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&list)?;
        // What a crash left of a line goes.
        file.set_len(self.listed)?;
        file.seek(SeekFrom::Start(self.listed))?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if self.listed == 0 {
            // Both names are new.
            sync_parent(&list)?;
        } else {
            // By its time one sees that somebody goes on with the session.
            File::open(&self.session)?.set_modified(SystemTime::now())?;
        }
        self.listed += line.len() as u64;
        Ok(())
    }

    /// The bytes of a piece.
    pub(super) fn read(&self, piece: &Piece) -> io::Result<impl io::Read + use<>> {
        let mut file = File::open(self.place())?;
        file.seek(SeekFrom::Start(piece.start))?;
        Ok(io::Read::take(file, piece.end() - piece.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(joined: &Joined) -> Vec<(&str, u64, u64)> {
        joined.pieces.iter().map(|piece| (piece.chunk.name.as_str(), piece.start, piece.chunk.size)).collect()
    }

    fn left(list: &[u8], bytes: usize) -> (tempfile::TempDir, Joined) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LIST), list).unwrap();
        fs::write(folder.path().join(FILE), vec![b'x'; bytes]).unwrap();
        let joined = Joined::open(folder.path()).unwrap();
        (folder, joined)
    }

    #[test]
    fn every_beginning_of_a_list_tells_whole_chunks_only() {
        let list = b"00001 5\n00002 7\n00002 -\n00002 3\n";
        for length in 0..=list.len() {
            let (_folder, joined) = left(&list[..length], 20);
            let expected: &[_] = match length {
                0..8 => &[],
                8..16 => &[("00001", 0, 5)],
                16..24 => &[("00001", 0, 5), ("00002", 5, 7)],
                24..32 => &[("00001", 0, 5)],
                _ => &[("00001", 0, 5), ("00002", 5, 3)],
            };
            assert_eq!(names(&joined), expected, "{length}");
        }
        let (_folder, joined) = left(b"00001 5\n\0\0\0\0\0\0\0\0", 20);
        assert_eq!(names(&joined), [("00001", 0, 5)]);
    }

    #[test]
    fn what_follows_a_torn_line_is_seen_by_the_next_process() {
        let (folder, mut joined) = left(b"1 5\n2 1", 20);
        joined.write_line("2 4\n").unwrap();
        assert_eq!(names(&Joined::open(folder.path()).unwrap()), [("1", 0, 5), ("2", 5, 4)]);
    }

    #[test]
    fn a_list_whose_file_is_gone_tells_nothing() {
        let (folder, joined) = left(b"1 5\n2 7\n", 11);
        assert_eq!(names(&joined), []);
        assert!(!folder.path().join(LIST).exists());
    }

    #[test]
    fn a_piece_from_the_middle_leaves_a_tear() {
        let (folder, mut joined) = left(b"1 5\n2 7\n3 1\n", 13);
        assert!(joined.take_back("2").unwrap() && !joined.take_back("2").unwrap());
        for mut joined in [joined, Joined::open(folder.path()).unwrap()] {
            assert_eq!(names(&joined), [("1", 0, 5), ("3", 12, 1)]);
            assert_eq!(joined.take_turn("4"), None);
            assert!(!joined.begins(&joined.pieces.iter().map(|piece| piece.chunk.clone()).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn only_the_next_chunk_is_joined() {
        let next = |list: &str, name: &str| left(list.as_bytes(), 30).1.take_turn(name).is_some();
        for (list, name) in
            [("", "0"), ("", "00001"), ("", "0-9"), ("1 5\n", "2"), ("0009 5\n", "0010"), ("0 5\n5 5\n", "10"), ("0-4 5\n", "5-9")]
        {
            assert!(next(list, name), "{name} after {list}");
        }
        for (list, name) in [("", "2"), ("1 5\n", "3"), ("1 5\n", "1"), ("1 5\n", "0"), ("0-4 5\n", "1-1"), ("0-4 5\n", "0")] {
            assert!(!next(list, name), "{name} after {list}");
        }
    }

    #[test]
    fn who_comes_again_with_a_chunk_takes_the_turn() {
        let (_folder, mut joined) = left(b"1 5\n", 5);
        let first = joined.take_turn("2").unwrap();
        assert_eq!(joined.take_turn("3"), None);
        let second = joined.take_turn("2").unwrap();
        joined.end_turn(first);
        assert!(!joined.is_turn(first) && joined.is_turn(second));
        joined.stop_writing();
        assert!(!joined.is_turn(second));
    }
}
