//! The size of a HEIC or AVIF picture, from the boxes at its beginning (ISO/IEC 23008-12), and what such a file is.

use std::io::{self, Read, Seek, SeekFrom};

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
            let _ = (size(&mut Cursor::new(&whole[..end])).unwrap(), container(&whole[..end]));
            let mut flipped = whole.clone();
            flipped[end] ^= 0xff;
            let _ = (size(&mut Cursor::new(&flipped)).unwrap(), container(&flipped));
        }
    }
}
