//! Some of the bytes of a file, at places that tell most.

use std::io::{self, Read as _, Seek as _, SeekFrom};

use crate::client::Source;

use super::DeliveryError;

/// The bytes that are compared at each place.
const SAMPLE: usize = 64 << 10;
/// So many places.
const PLACES: u64 = 4;

/// Where the bytes are, and how many: of a small file all of them.
pub(crate) fn places(size: u64) -> Vec<(u64, usize)> {
    let sample = SAMPLE as u64;
    if size <= PLACES * sample {
        return vec![(0, usize::try_from(size).unwrap_or(SAMPLE))];
    }
    (0..PLACES).map(|place| ((size - sample) / (PLACES - 1) * place, SAMPLE)).chain([(size - sample, SAMPLE)]).collect()
}

/// These bytes of a source.
pub(crate) fn read_part(from: &dyn Source, start: u64, length: usize) -> Result<Vec<u8>, DeliveryError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = from.open().map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| DeliveryError::Io { path: "a part of the file".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_compared_and_small_files_whole() {
        assert_eq!(places(10), [(0, 10)]);
        assert_eq!(places(256 << 10), [(0, 256 << 10)]);
        let places = places(1_000_000);
        assert_eq!(places.first(), Some(&(0, SAMPLE)));
        assert_eq!(places.last(), Some(&(1_000_000 - SAMPLE as u64, SAMPLE)));
        assert!(places.windows(2).all(|pair| pair[0].0 <= pair[1].0) && places.len() <= 5);
    }
}
