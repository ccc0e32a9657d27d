//! When a picture was taken: from its own metadata, from that beside it, from its name, and last from its modification time.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nom_exif::{EntryValue, MediaKind as Media, MediaParser, MediaSource, TrackInfoTag};

use crate::types::Mtime;
use crate::types::stack::split;

use super::directory::{Directories, EXIF, MAIN};
use super::embedded;
use super::sparing::Sparing;

/// How much of a file is searched for metadata that is written as text.
const HEAD: u64 = 512 << 10;
const TAIL: u64 = 128 << 10;
/// No date has more bytes.
const DATE: u64 = 64;
/// Sidecars larger than this are none.
const SIDECAR: u64 = 2 << 20;
/// How many parts of a video are looked at, and how much of the one with the metadata.
const BOXES: usize = 64;
const MOOV: u64 = 16 << 20;
/// A clock of another time zone differs by so many seconds at most.
const ZONES: i64 = 14 * 3600;

/// What can tell when a picture was taken.
pub(super) struct Hints<'a> {
    /// Where its bytes are.
    pub place: &'a Path,
    /// What it is called.
    pub name: &'a str,
    /// Metadata beside it: where it is, and what it is called.
    pub sidecars: &'a [(PathBuf, String)],
    /// Last modified.
    pub mtime: Mtime,
}

/// When a picture or video was taken, in the camera's time as far as that is known.
pub(super) fn taken(hints: &Hints<'_>) -> DateTime {
    let told = told(hints).or_else(|| from_name(hints.name));
    told.unwrap_or_else(|| utc(Timestamp::from_second(hints.mtime.seconds()).unwrap_or_default()))
}

/// The same, when metadata tells it.
pub(super) fn told(hints: &Hints<'_>) -> Option<DateTime> {
    let video = || apple_time(hints.place).or_else(|| video_time(hints.place, hints.name));
    let own = still_time(hints.place).or_else(video).or_else(|| text_inside(hints.place));
    let beside = |ending: &'static str| {
        let sidecars = hints.sidecars.iter().filter(move |(_, name)| split(name).1.eq_ignore_ascii_case(ending));
        sidecars.filter_map(|(place, _)| read_text(place))
    };
    own.or_else(|| beside("xmp").find_map(|text| xmp_time(&text)))
        .or_else(|| beside("yml").chain(beside("yaml")).find_map(|text| yaml_time(&text)))
        .or_else(|| beside("json").find_map(|text| takeout_time(&text)))
        .filter(|date| date.year() > 1825)
}

fn utc(stamp: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(stamp)
}

/// From EXIF: JPEG, TIFF and the raw formats built on it, HEIF, PNG, WebP.
fn still_time(place: &Path) -> Option<DateTime> {
    const ORIGINAL: u16 = 0x9003;
    const DIGITIZED: u16 = 0x9004;
    const CHANGED: u16 = 0x0132;
    let mut file = BufReader::new(File::open(place).ok()?);
    let at = embedded::place(&mut file).ok()??;
    let found = Directories::read(&mut file, at).ok()??;
    [(EXIF, ORIGINAL), (EXIF, DIGITIZED), (MAIN, CHANGED)].into_iter().find_map(|tag| moment(&found.text(&mut file, tag, DATE).ok()??))
}

/// From the date with an offset that Apple's cameras write beside the one of QuickTime, which is in Greenwich time.
fn apple_time(place: &Path) -> Option<DateTime> {
    const KEY: &str = "com.apple.quicktime.creationdate";
    let mut file = File::open(place).ok()?;
    let mut at = 0;
    for _ in 0..BOXES {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at)).ok()?;
        file.read_exact(&mut head).ok()?;
        let [a, b, c, d, kind @ .., _, _, _, _, _, _, _, _] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 => u64::from_be_bytes(head[8..].try_into().ok()?),
            size => u64::from(size),
        };
        if kind == *b"moov" {
            let mut bytes = Vec::new();
            file.take(size.min(MOOV)).read_to_end(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            let rest = &text[text.find(KEY)? + KEY.len()..];
            // Dates in Greenwich time may be among the values too.
            return rest.match_indices('T').find_map(|(at, _)| {
                let value = rest.get(at.checked_sub(10)?..)?;
                moment(value).filter(|_| value.get(19..).is_some_and(|offset| offset.starts_with(['+', '-'])))
            });
        }
        if !kind.iter().all(|byte| byte.is_ascii_alphanumeric()) || size < 8 {
            return None;
        }
        at = at.checked_add(size)?;
    }
    None
}

/// From QuickTime and MP4 metadata. Many cameras write only the time of Greenwich there, and their own into the name: when both are the
/// same moment seen from two time zones, the name's is the camera's.
fn video_time(place: &Path, name: &str) -> Option<DateTime> {
    let source = MediaSource::seekable(Sparing::new(File::open(place).ok()?)).ok()?;
    if source.kind() != Media::Track {
        return None;
    }
    let track = MediaParser::new().parse_track(source).ok()?;
    let (text, greenwich) = match track.get(TrackInfoTag::CreateDate)? {
        EntryValue::DateTime(aware) => (aware.naive_local().to_string(), aware.offset().local_minus_utc() == 0),
        EntryValue::NaiveDateTime(naive) => (naive.to_string(), true),
        _ => return None,
    };
    // Programs that know no time write a zero, from which QuickTime counts.
    let found = moment(&text).filter(|found| found.year() > 1904)?;
    let named = from_name(name).filter(|named| {
        let apart = named.duration_since(found).as_secs();
        let rest = apart.rem_euclid(900);
        greenwich && apart.abs() <= ZONES && (rest <= 2 || rest >= 898)
    });
    Some(named.unwrap_or(found))
}

/// From metadata that is written as text into the file: XMP, and the text chunks of PNG.
fn text_inside(place: &Path) -> Option<DateTime> {
    let mut file = File::open(place).ok()?;
    let size = file.metadata().ok()?.len();
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut bytes).ok()?;
    if size > HEAD {
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL).max(HEAD))).ok()?;
        file.take(TAIL).read_to_end(&mut bytes).ok()?;
    }
    let text = String::from_utf8_lossy(&bytes);
    xmp_time(&text).or_else(|| {
        let after = text.split("Creation Time\0").nth(1)?.trim_start_matches('\0');
        let written = |length| jiff::fmt::rfc2822::parse(after.get(..length)?).ok();
        moment(after).or_else(|| written(31).or_else(|| written(30)).map(|zoned| zoned.datetime()))
    })
}

fn read_text(place: &Path) -> Option<String> {
    let file = File::open(place).ok()?;
    let mut bytes = Vec::new();
    file.take(SIDECAR).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// From XMP, as attribute or element.
fn xmp_time(text: &str) -> Option<DateTime> {
    ["exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate", "exif:DateTimeDigitized"].into_iter().find_map(|key| {
        text.match_indices(key).find_map(|(at, _)| {
            let rest = text[at + key.len()..].trim_start_matches([' ', '=', '>', '"', '\'', '\n', '\r', '\t']);
            moment(rest)
        })
    })
}

/// From the YAML that PhotoPrism keeps beside a picture.
fn yaml_time(text: &str) -> Option<DateTime> {
    let line = |key: &str| text.lines().find_map(|line| moment(line.strip_prefix(key)?));
    line("TakenAtLocal:").or_else(|| line("TakenAt:"))
}

/// From the JSON of a Google Takeout: seconds since 1970.
fn takeout_time(text: &str) -> Option<DateTime> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let stamp = &document["photoTakenTime"]["timestamp"];
    let seconds = stamp.as_i64().or_else(|| stamp.as_str()?.parse().ok())?;
    Timestamp::from_second(seconds).ok().filter(|_| seconds != 0).map(utc)
}

/// `2018-09-22T16:47:31...`, with any of the usual signs between, perhaps without seconds or time.
fn moment(text: &str) -> Option<DateTime> {
    let text = text.trim_start_matches([' ', '"', '\'']);
    let (date, used) = digits(text, &[4, 2, 2], &['-', ':', '.', '/'])?;
    let time = text.get(used..)?.strip_prefix(['T', ' ']).and_then(|rest| {
        let full = digits(rest, &[2, 2, 2], &[':']).map(|(found, _)| found);
        full.or_else(|| digits(rest, &[2, 2], &[':']).map(|(found, _)| found))
    });
    join(&date, time.as_deref().unwrap_or(&[0, 0, 0]))
}

/// From a name such as `IMG_20190704_120000.jpg`, `PXL_20210102_030405678.jpg` or `Screenshot 2024-03-02 at 18.04.11.png`. A name with
/// only a date is not enough: its file may know the time.
pub(super) fn from_name(name: &str) -> Option<DateTime> {
    let starts = name.char_indices().filter(|(at, c)| c.is_ascii_digit() && !name[..*at].ends_with(|c: char| c.is_ascii_digit()));
    starts.map(|(at, _)| &name[at..]).find_map(|rest| {
        let (date, used) = digits(rest, &[4, 2, 2], &['-', '_', '.', ':'])?;
        let rest = rest.get(used..)?;
        let rest = [" at ", "_at_", "-at-", "_", "-", " ", "T"].into_iter().find_map(|between| rest.strip_prefix(between)).unwrap_or(rest);
        let (time, _) = digits(rest, &[2, 2, 2], &['-', '_', '.', ':'])?;
        join(&date, &time).filter(|date| (1900..2100).contains(&date.year()))
    })
}

/// Numbers of so many digits each, with or without one of these signs between them, and how long they are together.
fn digits(text: &str, widths: &[usize], between: &[char]) -> Option<(Vec<i16>, usize)> {
    let mut numbers = Vec::new();
    let mut used = 0;
    for width in widths {
        if !numbers.is_empty() && text.get(used..)?.starts_with(between) {
            used += 1;
        }
        let part = text.get(used..used + width)?;
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        numbers.push(part.parse().ok()?);
        used += width;
    }
    Some((numbers, used))
}

fn join(date: &[i16], time: &[i16]) -> Option<DateTime> {
    let small = |numbers: &[i16], at: usize| i8::try_from(numbers.get(at).copied().unwrap_or_default()).ok();
    let date = jiff::civil::Date::new(*date.first()?, small(date, 1)?, small(date, 2)?).ok()?;
    let time = jiff::civil::Time::new(small(time, 0)?, small(time, 1)?, small(time, 2)?, 0).ok()?;
    Some(date.to_datetime(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)
    }

    fn taken_of(file: &str, name: &str, sidecars: &[&str]) -> String {
        let sidecars: Vec<_> = sidecars.iter().map(|name| (sample(name), (*name).to_owned())).collect();
        taken(&Hints { place: &sample(file), name, sidecars: &sidecars, mtime: Mtime::from_seconds(86_400) }).to_string()
    }

    #[test]
    fn every_kind_of_metadata_inside_a_file_is_read() {
        for (file, date) in [
            ("lake.jpg", "2019-07-14T05:21:08"),
            ("ridge.dng", "2018-09-22T16:47:31"),
            ("valley.heic", "2020-09-05T08:14:33"),
            ("fireworks.mov", "2024-01-01T00:03:09"),
            ("parade.mp4", "2022-06-25T13:10:40"),
        ] {
            assert_eq!(taken_of(file, "x", &[]), date, "{file}");
        }
        for file in ["campfire.gif", "meadow.webp", "screenshot.png", "map.png", "pattern.png"] {
            assert!(!taken_of(file, "x", &[]).starts_with("1970"), "{file}");
        }
    }

    #[test]
    fn metadata_beside_a_file_counts_when_there_is_none_in_it() {
        assert_eq!(taken_of("badge.png", "x", &["ridge.xmp"]), "2018-09-22T16:47:31");
        assert_eq!(taken_of("badge.png", "x", &["dunes.yml"]), "2016-04-09T18:33:50");
        assert_eq!(taken_of("badge.png", "x", &["beach.jpg.supplemental-metadata.json"]), "2018-08-12T11:03:28");
        assert_eq!(taken_of("badge.png", "IMG_20010101_000000.png", &["cat.jpg.suppl.json", "ridge.xmp"]), "2018-09-22T16:47:31");
        assert_eq!(taken_of("lake.jpg", "x", &["ridge.xmp"]), "2019-07-14T05:21:08", "its own comes first");
        assert_eq!(taken_of("badge.png", "badge.png", &["canyon.xmp", "coast.aae"]), "1970-01-02T00:00:00");
    }

    #[test]
    fn a_video_in_greenwich_time_takes_the_time_of_its_name() {
        assert_eq!(taken_of("parade.mp4", "VID_20220625_151040.mp4", &[]), "2022-06-25T15:10:40");
        assert_eq!(taken_of("parade.mp4", "VID_20220625_151140.mp4", &[]), "2022-06-25T13:10:40", "another moment");
        assert_eq!(taken_of("parade.mp4", "VID_20230625_151040.mp4", &[]), "2022-06-25T13:10:40", "another year");
    }

    #[test]
    fn a_video_whose_maker_knew_no_time_is_of_no_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.mp4");
        let mut bytes = std::fs::read(sample("parade.mp4")).unwrap();
        let times: Vec<usize> = (0..bytes.len() - 4).filter(|at| matches!(&bytes[*at..at + 4], b"mvhd" | b"tkhd" | b"mdhd")).collect();
        assert!(!times.is_empty());
        // What follows the name: a version and flags, and then when it was made and changed.
        times.into_iter().for_each(|at| bytes[at + 8..at + 16].fill(0));
        std::fs::write(&place, bytes).unwrap();
        let of = |name: &str| taken(&Hints { place: &place, name, sidecars: &[], mtime: Mtime::from_seconds(86_400) }).to_string();
        assert_eq!(of("x.mp4"), "1970-01-02T00:00:00");
        assert_eq!(of("VID_20220625_151040.mp4"), "2022-06-25T15:10:40");
    }

    #[test]
    fn names_tell_times() {
        for (name, date) in [
            ("IMG_20190704_120001.jpg", "2019-07-04T12:00:01"),
            ("PXL_20210102_030405678.MP.jpg", "2021-01-02T03:04:05"),
            ("Screenshot 2024-03-02 at 18.04.11.png", "2024-03-02T18:04:11"),
            ("Screenshot_2019-07-04-12-00-00.png", "2019-07-04T12:00:00"),
            ("2019-07-04 12.00.00.jpg", "2019-07-04T12:00:00"),
            ("20190704120000.jpg", "2019-07-04T12:00:00"),
            ("7_IMG_20190704_120000_1.jpg", "2019-07-04T12:00:00"),
        ] {
            assert_eq!(from_name(name).map(|date| date.to_string()).as_deref(), Some(date), "{name}");
        }
        for name in
            ["IMG_1234.JPG", "20191304_120000.jpg", "IMG-20190704-WA0001.jpg", "DSC_20190704.jpg", "99990704_120000.jpg", "ä.jpg", ""]
        {
            assert_eq!(from_name(name), None, "{name}");
        }
    }

    #[test]
    fn broken_dates_are_none() {
        for text in ["", "0000:00:00 00:00:00", "2019-02-30T00:00:00", "    :  :     :  :  ", "tomorrow", "2019"] {
            assert_eq!(moment(text), None, "{text}");
        }
        assert_eq!(moment("2018-09-22").unwrap().to_string(), "2018-09-22T00:00:00");
        assert_eq!(moment("2018-09-22T16:47+02:00").unwrap().to_string(), "2018-09-22T16:47:00");
    }
}
