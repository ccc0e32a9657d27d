//! How large a picture is, when it was taken and how long a video lasts, from the header of its file: nothing is decoded, so that a whole
//! library can be looked at.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use image::{ImageDecoder as _, ImageReader};
use nom_exif::{EntryValue, MediaKind as Media, MediaParser, MediaSource, TrackInfoTag};

use crate::library::sparing::Sparing;
use crate::library::taken::{Hints, told};
use crate::library::{LibraryError, Open, Tree};
use crate::store::pictures::PictureRow;
use crate::types::{MediaKind, RelPath};

use super::exif::{Kept, head_of_tiff, turn_of};
use super::{boxes, frame, head, limits, turned_size};

impl Tree {
    /// What the header of a picture or video tells. How large the picture is that a RAW file shows, and how a video is turned, is known only
    /// when a picture was made of it. Blocks.
    pub fn measure(&self, path: &RelPath) -> Result<PictureRow, LibraryError> {
        let kind = self.kind(path)?;
        let Open { file, stat } = self.open_file(path)?;
        let place = self.root().join(path.as_str());
        let seen = match kind {
            MediaKind::Image => PictureRow { size: still(file).unwrap_or_default(), ..PictureRow::default() },
            MediaKind::Video => video(&place).unwrap_or_default(),
            MediaKind::Raw => PictureRow::default(),
            MediaKind::Vector | MediaKind::Sidecar => return Ok(PictureRow::default()),
        };
        let hints = Hints { place: &place, name: path.name(), sidecars: &[], mtime: stat.mtime };
        let size = seen.size.filter(|(width, height)| *width > 0 && *height > 0);
        Ok(PictureRow { size, taken: told(&hints).map(|date| date.to_string()), ..seen })
    }
}

fn still(file: File) -> io::Result<Option<(u32, u32)>> {
    let head = head(&file)?;
    let mut file = BufReader::new(file);
    if boxes::container(&head).is_some() {
        return boxes::size(&mut file);
    }
    if head.starts_with(&[0xff, 0xd8]) {
        let Some(frame) = frame::frame(&mut file)? else { return Ok(None) };
        file.seek(SeekFrom::Start(0))?;
        return Ok(Some(turned_size((frame.width, frame.height), turn_of(&mut file)?)));
    }
    let tiff = head_of_tiff(&mut file)?;
    file.seek(SeekFrom::Start(0))?;
    let mut reader = ImageReader::new(file).with_guessed_format()?;
    let Some(format) = reader.format() else { return Ok(None) };
    reader.limits(limits(format));
    let Ok(mut decoder) = reader.into_decoder() else { return Ok(None) };
    let turn = Kept::read(decoder.exif_metadata().unwrap_or_default().or(tiff)).turn();
    Ok(Some(turned_size(decoder.dimensions(), turn)))
}

/// How large it is and how long it lasts.
fn video(place: &Path) -> Option<PictureRow> {
    let source = MediaSource::seekable(Sparing::new(File::open(place).ok()?)).ok()?;
    if source.kind() != Media::Track {
        return None;
    }
    let track = MediaParser::new().parse_track(source).ok()?;
    let number = |tag| match track.get(tag)? {
        EntryValue::U32(number) => Some(u64::from(*number)),
        EntryValue::U64(number) => Some(*number),
        _ => None,
    };
    let pixels = |tag| u32::try_from(number(tag)?).ok();
    let lasts = number(TrackInfoTag::DurationMs).filter(|lasts| *lasts > 0);
    Some(PictureRow { size: pixels(TrackInfoTag::Width).zip(pixels(TrackInfoTag::Height)), taken: None, lasts })
}
