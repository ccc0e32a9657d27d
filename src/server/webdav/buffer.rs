//! Reading files into buffers that are used again: fresh memory for each piece would cost more than the reading.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The size of a buffer, and of the pieces that files are sent in.
pub(super) const PIECE: usize = 128 << 10;
/// So many unused buffers are kept.
const KEPT: usize = 64;

static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer with something in it; goes back to the others when the last reader lets go of it.
struct Filled {
    /// None only while it is dropped.
    buffer: Option<Box<[u8]>>,
    length: usize,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_deref().and_then(|buffer| buffer.get(..self.length)).unwrap_or_default()
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = self.buffer.take().filter(|_| pool.len() < KEPT) {
            pool.push(buffer);
        }
    }
}

fn take() -> Box<[u8]> {
    let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
    kept.unwrap_or_else(|| vec![0; PIECE].into())
}

/// Reads exactly `length` bytes, at most [`PIECE`], from a place in a file. A file that became shorter is an error: what it was promised to be
/// cannot be sent any more.
pub(super) async fn read(file: &Arc<File>, at: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = take();
    if !read_cached(file, at, &mut buffer[..length]) {
        let file = Arc::clone(file);
        buffer = tokio::task::spawn_blocking(move || file.read_exact_at(&mut buffer[..length], at).map(|()| buffer))
            .await
            .map_err(io::Error::other)??;
    }
    Ok(Bytes::from_owner(Filled { buffer: Some(buffer), length }))
}

/// Reads what lies in the system's cache; false when that is not all, and a disk would have to be waited for.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, at: u64, buffer: &mut [u8]) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let length = buffer.len();
    let read = preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT);
    read == Ok(length)
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> bool {
    false
}
