//! Writing a zip while it is sent.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::names::Names;
use crate::library::{Kind, LibraryError, Open, Stat, Tree};
use crate::types::media::is_junk;
use crate::types::{Mtime, RelPath};

/// Bytes that are gathered before they are sent.
const PIECE: usize = 256 << 10;
/// From here on sizes need more than 32 bits; a little earlier, to be safe.
const LARGE: u64 = u32::MAX as u64 - (1 << 20);

/// Where a zip goes: gathered into pieces, to whoever downloads it.
pub(super) struct Outlet {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
    /// Nothing more goes out: a zip that is given up is ended all the same when its writer is dropped, as if it were whole.
    given_up: Arc<AtomicBool>,
}

impl Outlet {
    pub(super) fn new(pieces: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { pieces, gathered: Vec::new(), given_up: Arc::default() }
    }

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
pub(super) fn write(tree: &Tree, root: &RelPath, paths: &[RelPath], outlet: Outlet) {
    let pieces = outlet.pieces.clone();
    let ended = Archive::of(tree, outlet).write(root, paths);
    if let Err(error) = ended {
        if error.kind() != io::ErrorKind::BrokenPipe {
            tracing::error!(%error, "a zip was broken off");
        }
        // Whoever has gone away does not hear it.
        let _ = pieces.blocking_send(Err(error));
    }
}

/// A zip that is being written.
struct Archive<'a> {
    tree: &'a Tree,
    zip: ZipWriter<zip::write::StreamWriter<Outlet>>,
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
