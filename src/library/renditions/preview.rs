//! The JPEG that a camera puts into a RAW file: no raw format is decoded here, but what the camera made of the picture is in nearly all of them.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::AtomicBool;

use crate::types::RelPath;

use super::exif::{Kept, head_of_tiff};
use super::{Decoded, LibraryError, RenditionError, Stoppable, decode};

/// So much of a file is looked at at once.
const PIECE: usize = 1 << 20;
/// Pictures with a shorter side than this, in pixels, are thumbnails.
const SMALL: u16 = 160;
/// So much of a picture is looked at to find out how large it is.
const HEADER: u64 = 256 << 10;
/// No camera puts in more pictures, ...
const CANDIDATES: usize = 64;
/// ... nor is there more in its pixels that looks like the beginning of one. Each costs a look.
const LOOKS: usize = 1000;
/// So many of them are tried.
const TRIES: usize = 8;
/// No picture in a RAW file is larger than this, in bytes.
const PICTURE: u64 = 128 << 20;

/// A JPEG somewhere in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    at: u64,
    pixels: u64,
}

/// The largest picture in a RAW file that can be decoded, with what the RAW file itself says of it.
pub(super) fn of(path: &RelPath, file: File, stop: &AtomicBool) -> Result<Decoded, RenditionError> {
    let io = |error: io::Error| RenditionError::Library(LibraryError::io(path, error));
    let mut file = Stoppable { inner: file, stop };
    let own = Kept::read(head_of_tiff(&mut file).map_err(io)?);
    let mut found = candidates(&mut file).map_err(io)?;
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.pixels));
    for candidate in found.into_iter().take(TRIES) {
        file.seek(SeekFrom::Start(candidate.at)).map_err(io)?;
        let mut bytes = Vec::new();
        file.by_ref().take(PICTURE).read_to_end(&mut bytes).map_err(io)?;
        let Ok(mut decoded) = decode(path, BufReader::new(Cursor::new(bytes)), "a RAW file", stop) else { continue };
        if own.says_how_to_turn() {
            decoded.turn = own.turn();
        }
        if !own.is_empty() {
            decoded.kept = own;
        }
        return Ok(decoded);
    }
    Err(RenditionError::NoPreview)
}

/// The JPEGs in a file that any program can show. (The raw pixels of some cameras are JPEGs too, of a kind that few can.)
fn candidates(file: &mut (impl Read + Seek)) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let (mut start, mut held, mut looks) = (0, Vec::new(), 0);
    file.seek(SeekFrom::Start(0))?;
    loop {
        let before = held.len();
        file.by_ref().take(PIECE as u64).read_to_end(&mut held)?;
        if held.len() == before {
            return Ok(found);
        }
        let begins: Vec<u64> = begins(&held).map(|at| start + at as u64).collect();
        let next = start + held.len() as u64;
        for at in begins {
            file.seek(SeekFrom::Start(at))?;
            let mut header = Vec::new();
            file.by_ref().take(HEADER).read_to_end(&mut header)?;
            if let Some((width, height)) = size(&header).filter(|(width, height)| *width.min(height) >= SMALL) {
                found.push(Candidate { at, pixels: u64::from(width) * u64::from(height) });
            }
            looks += 1;
            if found.len() >= CANDIDATES || looks >= LOOKS {
                return Ok(found);
            }
        }
        file.seek(SeekFrom::Start(next))?;
        // A beginning may lie across two pieces.
        let rest = held.len().min(3);
        held.drain(..held.len() - rest);
        start = next - rest as u64;
    }
}

/// Where a JPEG may begin: at its first marker, with another one right after it.
fn begins(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let like = |window: &[u8]| matches!(window, [0xff, 0xd8, 0xff, 0xc0 | 0xc1 | 0xc2 | 0xc4 | 0xdb | 0xdd | 0xe0..=0xef | 0xfe]);
    bytes.windows(4).enumerate().filter(move |(_, window)| like(window)).map(|(at, _)| at)
}

/// Width and height of a JPEG with 8 bits and one or three channels; none when it is none.
fn size(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut at = 2;
    loop {
        let [0xff, marker, high, low] = *bytes.get(at..at + 4)? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            0xc0..=0xc2 => {
                let [8, h1, h0, w1, w0, 1 | 3] = *bytes.get(at + 4..at + 10)? else { return None };
                return Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0])));
            }
            0xc4 | 0xdb | 0xdd | 0xe0..=0xef | 0xfe if length >= 2 => at += 2 + length,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(side: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbImage::from_pixel(side, side, image::Rgb([7, 80, 200]));
        image::DynamicImage::from(picture).write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
        bytes
    }

    #[test]
    fn pictures_are_found_wherever_they_lie_and_thumbnails_are_none() {
        let (small, large) = (jpeg(100), jpeg(200));
        for gap in [0, 5, PIECE - 2, PIECE - 1, PIECE, PIECE + 1] {
            let mut file = vec![0xff; gap];
            file.extend(&small);
            file.extend(&large);
            file.extend([0; 3000]);
            let found = candidates(&mut Cursor::new(file)).unwrap();
            assert_eq!(found, [Candidate { at: (gap + small.len()) as u64, pixels: 40_000 }], "gap {gap}");
        }
    }

    #[test]
    fn a_file_full_of_beginnings_is_not_looked_at_to_its_end() {
        struct Counted(Cursor<Vec<u8>>, u64);
        impl Read for Counted {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer).inspect(|read| self.1 += *read as u64)
            }
        }
        impl Seek for Counted {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }
        let mut file = Counted(Cursor::new([0xff, 0xd8, 0xff, 0xe0].repeat(5000)), 0);
        assert_eq!(candidates(&mut file).unwrap(), []);
        assert!(file.1 <= (LOOKS as u64 + 1) * 20_000, "{} bytes were read", file.1);
    }

    #[test]
    fn no_beginning_of_a_picture_is_taken_for_one_and_none_panics() {
        let whole = jpeg(200);
        for end in 0..whole.len().min(700) {
            let _ = size(&whole[..end]);
        }
        assert_eq!(size(&whole), Some((200, 200)));
        assert_eq!(size(&[0xff, 0xd8, 0xff, 0xc3, 0, 11, 8, 1, 0, 1, 0, 3]), None, "raw pixels");
    }
}
