//! A file of which no more is read than so much: whoever looks for something in an untrusted file, and keeps what was read, needs no more memory.

use std::io::{self, Read, Seek, SeekFrom};

/// As much as anybody needs who only wants to know what a file is about, in bytes.
const ENOUGH: u64 = 64 << 20;

pub(super) struct Sparing<F> {
    file: F,
    left: u64,
}

impl<F> Sparing<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, left: ENOUGH }
    }
}

impl<F: Read> Read for Sparing<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("it says too much about itself"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<F: Seek> Seek for Sparing<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_that() {
        let mut endless = Sparing::new(io::repeat(7));
        let mut sink = Vec::new();
        assert!(endless.by_ref().read_to_end(&mut sink).is_err());
        assert_eq!(sink.len() as u64, ENOUGH);
    }
}
