//! Where a picture's file keeps its EXIF. The file is stepped through, not read: whatever its size, this costs next to nothing.

use std::io::{self, Read, Seek, SeekFrom};

use super::directory::bytes;
use super::renditions::{boxes, frame};

/// So many parts of a file are stepped over.
const PARTS: usize = 1 << 16;
/// What stands before the EXIF of a JPEG, and now and then elsewhere.
const MARK: &[u8; 6] = b"Exif\0\0";

/// Where the EXIF of a file begins, which is a TIFF; none when there is none.
pub(super) fn place(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    match found(file) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => found,
    }
}

fn found(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let head = bytes::<12>(file)?;
    file.seek(SeekFrom::Start(0))?;
    match &head {
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Ok(Some(0)),
        [0xff, 0xd8, ..] => in_jpeg(file),
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => in_png(file),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => in_webp(file),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => boxes::exif(file),
        _ => Ok(None),
    }
}

fn in_jpeg(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    frame::segments(file, |file, marker, length| match marker {
        0xe1 if length > MARK.len() as u64 && bytes::<6>(file)? == *MARK => file.stream_position().map(Some),
        _ => Ok(None),
    })
}

fn in_png(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut at = 8;
    for _ in 0..PARTS {
        file.seek(SeekFrom::Start(at))?;
        let [a, b, c, d, kind @ ..] = bytes::<8>(file)?;
        if kind == *b"eXIf" {
            return Ok(Some(at + 8));
        }
        // Length, kind and checksum are besides.
        at += 12 + u64::from(u32::from_be_bytes([a, b, c, d]));
    }
    Ok(None)
}

fn in_webp(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let mut at = 12;
    for _ in 0..PARTS {
        file.seek(SeekFrom::Start(at))?;
        let [kind @ .., a, b, c, d] = bytes::<8>(file)?;
        if kind == *b"EXIF" {
            let mark = bytes::<6>(file)? == *MARK;
            return Ok(Some(at + 8 + if mark { MARK.len() as u64 } else { 0 }));
        }
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        at += 8 + length + length % 2;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(parts: &[&[u8]]) -> Option<u64> {
        place(&mut Cursor::new(parts.concat())).unwrap()
    }

    #[test]
    fn every_container_is_stepped_through_to_its_exif() {
        let tiff = b"II*\0\x08\0\0\0\0\0";
        assert_eq!(of(&[tiff, b"and more"]), Some(0));
        assert_eq!(of(&[b"\xff\xd8\xff\xe0\0\x04xx\xff\xe1\0\x0fhttp://\0xxxxx\xff\xe1\0\x12Exif\0\0", tiff, b"\xff\xda\0\x02"]), Some(35));
        assert_eq!(of(&[b"\xff\xd8\xff\xe0\0\x04xx\xff\xda\0\x02\xff\xe1\0\x12Exif\0\0", tiff]), None, "behind the pixels");
        assert_eq!(of(&[b"\x89PNG\r\n\x1a\n", &[0; 3], b"\x01IHDRxcrc_\0\0\0\x0aeXIf", tiff, b"crc_"]), Some(29));
        assert_eq!(of(&[b"RIFF\0\0\0\0WEBPVP8 \x01\0\0\0x_EXIF\x0a\0\0\0", tiff]), Some(30));
        assert_eq!(of(&[b"RIFF\0\0\0\0WEBPEXIF\x10\0\0\0Exif\0\0", tiff]), Some(26));
        assert_eq!((of(&[b"GIF89a"]), of(&[b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT"]), of(&[])), (None, None, None));
    }

    #[test]
    fn what_our_own_samples_keep_is_found() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample");
        for name in ["lake.jpg", "ridge.dng", "valley.heic"] {
            let mut file = std::fs::File::open(folder.join(name)).unwrap();
            let at = place(&mut file).unwrap().unwrap_or_else(|| panic!("{name}"));
            assert!(super::super::directory::Directories::read(&mut file, at).unwrap().is_some(), "{name}");
        }
    }
}
