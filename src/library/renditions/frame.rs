//! What the header of a JPEG says, read without decoding: enough to know how much memory and work it will take.

use std::io::{self, Read, Seek, SeekFrom};

use crate::library::directory::bytes;

/// No JPEG has more segments before its pixels.
const SEGMENTS: usize = 4096;

/// The frame of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// In pixels, as they are stored.
    pub width: u32,
    /// In pixels, as they are stored.
    pub height: u32,
    /// Grey has one, colour three, print four.
    pub components: u8,
    /// In several passes over the whole picture, all of which is kept meanwhile.
    pub progressive: bool,
    /// How many samples there are, of all components.
    pub samples: u64,
}

/// The frame of a JPEG, from the beginning of the file; none when it is none, or has none. The file is left somewhere behind it.
pub(super) fn frame(file: &mut (impl Read + Seek)) -> io::Result<Option<Frame>> {
    let is_frame = |marker| matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf);
    let found = segments(file, |file, marker, _| if is_frame(marker) { sizes(file, marker).map(Some) } else { Ok(None) });
    match found {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => Ok(found?.flatten()),
    }
}

/// What is found in one of the segments before the pixels of a JPEG: `look` is given each, with its marker and its length.
pub(in crate::library) fn segments<F: Read + Seek, T>(
    file: &mut F,
    mut look: impl FnMut(&mut F, u8, u64) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    if bytes::<2>(file)? != [0xff, 0xd8] {
        return Ok(None);
    }
    for _ in 0..SEGMENTS {
        let [0xff, mut marker] = bytes::<2>(file)? else { return Ok(None) };
        while marker == 0xff {
            [marker] = bytes::<1>(file)?;
        }
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue;
        }
        let Some(length) = u16::from_be_bytes(bytes::<2>(file)?).checked_sub(2) else { return Ok(None) };
        // Pixels or the end.
        if matches!(marker, 0xd9 | 0xda) {
            return Ok(None);
        }
        let end = file.stream_position()? + u64::from(length);
        let found = look(file, marker, u64::from(length))?;
        if found.is_some() {
            return Ok(found);
        }
        file.seek(SeekFrom::Start(end))?;
    }
    Ok(None)
}

fn sizes(file: &mut impl Read, marker: u8) -> io::Result<Option<Frame>> {
    let [_, h1, h0, w1, w0, components] = bytes::<6>(file)?;
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    if !(1..=4).contains(&components) {
        return Ok(None);
    }
    let (mut most, mut sum) = ((1, 1), 0);
    for _ in 0..components {
        let [_, factors, _] = bytes::<3>(file)?;
        let (across, down) = (u64::from(factors >> 4).max(1), u64::from(factors & 15).max(1));
        most = (across.max(most.0), down.max(most.1));
        sum += across * down;
    }
    let samples = (u64::from(width) * u64::from(height) * sum).div_ceil(most.0 * most.1);
    Ok(Some(Frame { width, height, components, progressive: matches!(marker & 3, 2), samples }))
}

/// How many passes over the picture a JPEG makes, from its beginning; no more than `most` and one are counted.
pub(super) fn scans(file: &mut impl Read, most: usize) -> io::Result<usize> {
    // Among pixels 0xff never stands before anything else than a marker.
    let (mut buffer, mut found, mut before) = (vec![0; 64 << 10], 0, 0);
    while found <= most {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let inside = buffer[..read].windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
        found += inside + usize::from(before == 0xff && buffer[0] == 0xda);
        before = buffer[read - 1];
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        image::DynamicImage::from(picture).write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Jpeg).unwrap();
        bytes
    }

    #[test]
    fn the_header_tells_the_size() {
        let found = frame(&mut Cursor::new(jpeg(300, 200))).unwrap().unwrap();
        assert_eq!((found.width, found.height, found.components, found.progressive), (300, 200, 3, false));
        assert!(found.samples >= 300 * 200, "{found:?}");
        assert_eq!(scans(&mut Cursor::new(jpeg(300, 200)), 9).unwrap(), 1);
    }

    #[test]
    fn no_beginning_and_nothing_else_panics() {
        let whole = jpeg(60, 40);
        for end in 0..whole.len() {
            let _ = frame(&mut Cursor::new(&whole[..end])).unwrap();
        }
        assert_eq!(frame(&mut Cursor::new(b"GIF89a")).unwrap(), None);
        assert_eq!(frame(&mut Cursor::new([&[0xff, 0xd8][..], &[0xff; 500]].concat())).unwrap(), None);
        assert_eq!(
            frame(&mut Cursor::new([0xff, 0xd8].into_iter().chain([0xff, 0xe0, 0, 2].repeat(9000)).collect::<Vec<_>>())).unwrap(),
            None
        );
    }
}
