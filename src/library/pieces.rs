//! Reading a file from where it stands to its end.

use std::io::{self, Read};

const BUFFER: usize = 256 << 10;

/// Gives everything that is left, piece by piece, to `take`. About `size` bytes are expected: for a small file a small buffer does.
pub(super) fn each(source: &mut impl Read, size: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(BUFFER).saturating_add(1).min(BUFFER)];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            read => take(&buffer[..read])?,
        }
    }
}
