//! The size of a HEIC or AVIF picture, from the boxes at its beginning (ISO/IEC 23008-12), and what such a file is.

use std::io::{self, Read, Seek, SeekFrom};

use crate::library::directory::bytes;

/// So many boxes are looked at, and so much of the one that describes the pictures.
const BOXES: usize = 64;
const META: u64 = 4 << 20;

/// What a file of boxes is, or one with pictures of the same makers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Heic,
    Avif,
    JpegXl,
}

/// By the first bytes of a file.
pub(super) fn container(head: &[u8]) -> Option<Container> {
    if head.starts_with(&[0xff, 0x0a]) || head.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") {
        return Some(Container::JpegXl);
    }
    if head.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let length = u32::from_be_bytes(*head.first_chunk()?) as usize;
    let brands = head.get(8..length.min(head.len()))?.chunks_exact(4);
    brands.enumerate().filter(|(at, _)| *at != 1).find_map(|(_, brand)| match brand {
        b"avif" | b"avis" => Some(Container::Avif),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" => Some(Container::Heic),
        _ => None,
    })
}

/// Width and height as they are to be seen; none when the boxes do not tell.
pub(super) fn size(file: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    match meta(file) {
        Ok(meta) => Ok(meta.and_then(|meta| largest(&meta))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the EXIF of a picture begins in the file, which is a TIFF.
pub(in crate::library) fn exif(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let Some(at) = meta(file)?.and_then(|meta| place_of(&meta, item(&meta, b"Exif")?)) else { return Ok(None) };
    file.seek(SeekFrom::Start(at))?;
    // So many bytes stand before it.
    let before = u32::from_be_bytes(bytes(file)?);
    Ok(at.checked_add(4 + u64::from(before)))
}

/// The number of the first item of a kind (ISO/IEC 14496-12, 8.11.6).
fn item(meta: &[u8], kind: &[u8; 4]) -> Option<u64> {
    let mut list = Numbers(parts(meta).find(|(kind, _)| *kind == b"iinf")?.1);
    let is_short = list.next(4)? >> 24 == 0;
    list.next(if is_short { 2 } else { 4 })?;
    parts(list.0).filter(|(kind, _)| *kind == b"infe").find_map(|(_, body)| {
        let mut entry = Numbers(body);
        let id = match entry.next(4)? >> 24 {
            2 => entry.next(2)?,
            3 => entry.next(4)?,
            _ => return None,
        };
        entry.next(2)?;
        entry.0.starts_with(kind).then_some(id)
    })
}

/// Where an item is in the file (ISO/IEC 14496-12, 8.11.3); none when it is elsewhere.
fn place_of(meta: &[u8], wanted: u64) -> Option<u64> {
    let mut list = Numbers(parts(meta).find(|(kind, _)| *kind == b"iloc")?.1);
    let version = list.next(4)? >> 24;
    let sizes = list.next(2)? as usize;
    let [offset, length, base, index] = [12, 8, 4, 0].map(|shift| (sizes >> shift) & 15);
    let id = if version < 2 { 2 } else { 4 };
    for _ in 0..list.next(id)? {
        let found = list.next(id)? == wanted;
        let is_in_file = version == 0 || list.next(2)? & 15 == 0;
        list.next(2)?;
        let base = list.next(base)?;
        for _ in 0..list.next(2)? {
            if version > 0 {
                list.next(index)?;
            }
            let offset = list.next(offset)?;
            list.next(length)?;
            if found {
                return base.checked_add(offset).filter(|_| is_in_file);
            }
        }
    }
    None
}

/// Numbers that follow one another.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// The next one, of so many bytes.
    fn next(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

fn meta(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut at = 0_u64;
    for _ in 0..BOXES {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ .., e, f, g, h, i, j, k, l] = head;
        let (size, skip) = match u32::from_be_bytes([a, b, c, d]) {
            1 => (u64::from_be_bytes([e, f, g, h, i, j, k, l]), 16),
            size => (u64::from(size), 8),
        };
        if size < skip {
            return Ok(None);
        }
        if kind == *b"meta" {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(at + skip))?;
            file.take((size - skip).min(META)).read_to_end(&mut bytes)?;
            // Its version and flags come first.
            return Ok(bytes.get(4..).map(<[u8]>::to_vec));
        }
        let Some(next) = at.checked_add(size) else { return Ok(None) };
        at = next;
    }
    Ok(None)
}

/// The largest of the pictures: the whole is larger than the tiles that it is made of, and than its thumbnails.
fn largest(meta: &[u8]) -> Option<(u32, u32)> {
    let properties = parts(parts(meta).find(|(kind, _)| *kind == b"iprp")?.1).find(|(kind, _)| *kind == b"ipco")?.1;
    let number = |body: &[u8], at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let sizes = parts(properties).filter(|(kind, _)| *kind == b"ispe").filter_map(|(_, body)| Some((number(body, 4)?, number(body, 8)?)));
    let (width, height) = sizes.max_by_key(|(width, height)| u64::from(*width) * u64::from(*height))?;
    // Whichever is turned: a picture of a camera and its thumbnail are turned alike.
    let turned = parts(properties).any(|(kind, body)| kind == b"irot" && body.first().is_some_and(|angle| angle & 1 == 1));
    Some(if turned { (height, width) } else { (width, height) })
}

/// The boxes in a piece of memory: their kinds and bodies.
fn parts(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        let (part, rest) = bytes.split_at_checked(size).filter(|_| size >= 8)?;
        bytes = rest;
        Some((part[4..].first_chunk()?, &part[8..]))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn part(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn heic(turn: u8) -> Vec<u8> {
        let ispe = |width: u32, height: u32| part(b"ispe", &[&[0; 4][..], &width.to_be_bytes(), &height.to_be_bytes()].concat());
        let properties = [ispe(512, 512), ispe(4032, 3024), part(b"irot", &[turn]), ispe(320, 240)].concat();
        let meta = [&[0; 4][..], &part(b"hdlr", &[0; 24]), &part(b"iprp", &part(b"ipco", &properties))].concat();
        [part(b"ftyp", b"mif1\0\0\0\0mif1heic"), part(b"meta", &meta), part(b"mdat", &[7; 100])].concat()
    }

    #[test]
    fn the_whole_picture_counts_as_it_is_to_be_seen() {
        assert_eq!(size(&mut Cursor::new(heic(0))).unwrap(), Some((4032, 3024)));
        assert_eq!(size(&mut Cursor::new(heic(3))).unwrap(), Some((3024, 4032)));
        assert_eq!(container(&heic(0)), Some(Container::Heic));
        assert_eq!(container(b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf"), Some(Container::Avif));
        assert_eq!(container(b"\0\0\0\x18ftypisom\0\0\0\0mp42avc1"), None);
        assert_eq!(container(&[0xff, 0x0a, 0]), Some(Container::JpegXl));
    }

    #[test]
    fn nothing_broken_panics() {
        let whole = heic(1);
        for end in 0..whole.len() {
            let _ = (size(&mut Cursor::new(&whole[..end])).unwrap(), container(&whole[..end]), exif(&mut Cursor::new(&whole[..end])));
            let mut flipped = whole.clone();
            flipped[end] ^= 0xff;
            let _ = (size(&mut Cursor::new(&flipped)).unwrap(), container(&flipped), exif(&mut Cursor::new(&flipped)));
        }
    }
}
