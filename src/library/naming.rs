//! Names by capture date: YYYY/MM/YYYYMMDD_HHMMSS_CRC32C.EXT, as PhotoPrism's import makes them.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nom_exif::{EntryValue, MediaKind as Media, MediaParser, MediaSource, TrackInfoTag};

use crate::types::{Mtime, RelPath};

/// The name for a file whose bytes are at `place`, which was called `original` and last modified at `mtime`.
/// The date is when the picture was taken, in the camera's time; without one it is `mtime` in UTC.
pub fn capture_name(place: &Path, original: &RelPath, mtime: Mtime) -> io::Result<RelPath> {
    let taken = capture_time(place).unwrap_or_else(|| {
        let stamp = Timestamp::from_second(mtime.seconds()).unwrap_or_default();
        TimeZone::UTC.to_datetime(stamp)
    });
    let (_, extension) = original.stem_and_extension();
    let dot = if extension.is_empty() { "" } else { "." };
    let checksum = crc32c_of(place)?;
    let name = format!("{}_{checksum:08X}{dot}{}", taken.strftime("%Y/%m/%Y%m%d_%H%M%S"), extension.to_lowercase());
    RelPath::parse(&name).map_err(io::Error::other)
}

/// When the picture or video says it was taken, in the camera's time; none when it does not, or cannot be read.
fn capture_time(place: &Path) -> Option<DateTime> {
    still_time(place).or_else(|| video_time(place)).filter(|date| date.year() > 1900)
}

/// From EXIF: JPEG, TIFF and the raw formats built on it, HEIF, PNG, WebP.
fn still_time(place: &Path) -> Option<DateTime> {
    let mut file = BufReader::new(File::open(place).ok()?);
    let found = exif::Reader::new().read_from_container(&mut file).ok()?;
    [exif::Tag::DateTimeOriginal, exif::Tag::DateTimeDigitized, exif::Tag::DateTime].into_iter().find_map(|tag| {
        let exif::Value::Ascii(texts) = &found.get_field(tag, exif::In::PRIMARY)?.value else { return None };
        DateTime::strptime("%Y:%m:%d %H:%M:%S", str::from_utf8(texts.first()?).ok()?.trim()).ok()
    })
}

/// From QuickTime and MP4 metadata.
fn video_time(place: &Path) -> Option<DateTime> {
    let source = MediaSource::seekable(File::open(place).ok()?).ok()?;
    if source.kind() != Media::Track {
        return None;
    }
    let track = MediaParser::new().parse_track(source).ok()?;
    let text = match track.get(TrackInfoTag::CreateDate)? {
        EntryValue::DateTime(aware) => aware.naive_local().to_string(),
        EntryValue::NaiveDateTime(naive) => naive.to_string(),
        _ => return None,
    };
    DateTime::strptime("%Y-%m-%d %H:%M:%S", text.get(..19)?).ok()
}

fn crc32c_of(place: &Path) -> io::Result<u32> {
    let mut file = File::open(place)?;
    let mut buffer = vec![0; 256 << 10];
    let mut checksum = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(checksum),
            read => checksum = crc32c::crc32c_append(checksum, &buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(sample: &str) -> String {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(sample);
        let original = RelPath::parse(sample).unwrap();
        capture_name(&place, &original, Mtime::from_seconds(86_400)).unwrap().to_string()
    }

    #[test]
    fn dates_come_out_of_every_kind_of_file() {
        for (sample, month) in [
            ("lake.jpg", "2019/07/2019"),
            ("valley.heic", "2020/09/2020"),
            ("canyon.dng", "2017/05/20170520_192240_"),
            ("parade.mp4", "2022/06/2022"),
            ("fireworks.mov", "2023/12/2023"),
        ] {
            let name = name_of(sample);
            assert!(name.starts_with(month), "{sample}: {name}");
        }
    }

    #[test]
    fn without_a_date_the_mtime_counts() {
        assert!(name_of("badge.png").starts_with("1970/01/19700102_000000_"), "{}", name_of("badge.png"));
    }
}
