//! What a rendition keeps of a picture's EXIF.
//!
//! Only what is named here: a camera's own notes, serial numbers and thumbnails stay behind, because they would be wrong in another file, or
//! tell more than anybody meant to.

use std::io::{self, Cursor, Read, Seek};

use exif::experimental::Writer;
use exif::{Context, Exif, Field, In, Reader, Tag, Value};
use image::metadata::Orientation;
use jiff::civil::DateTime;

use crate::library::directory::Directories;
use crate::library::embedded;
use crate::types::Gps;

/// How much of a TIFF is searched for its fields; they are at its beginning.
const HEAD: u64 = 2 << 20;
/// Longer values are none that people write.
const VALUE: u64 = 8 << 10;
/// The tags of a place are numbered, up to this.
const GPS: u16 = 32;

#[rustfmt::skip]
const KEPT: &[Tag] = &[
    Tag::ImageDescription, Tag::Make, Tag::Model, Tag::Software, Tag::DateTime, Tag::Artist, Tag::Copyright, Tag::XResolution, Tag::YResolution,
    Tag::ResolutionUnit, Tag::ExposureTime, Tag::FNumber, Tag::ExposureProgram, Tag::PhotographicSensitivity, Tag::SensitivityType,
    Tag::ExifVersion, Tag::DateTimeOriginal, Tag::DateTimeDigitized, Tag::OffsetTime, Tag::OffsetTimeOriginal, Tag::OffsetTimeDigitized,
    Tag::SubSecTime, Tag::SubSecTimeOriginal, Tag::SubSecTimeDigitized, Tag::ShutterSpeedValue, Tag::ApertureValue, Tag::BrightnessValue,
    Tag::ExposureBiasValue, Tag::MaxApertureValue, Tag::SubjectDistance, Tag::MeteringMode, Tag::LightSource, Tag::Flash, Tag::FocalLength,
    Tag::FocalLengthIn35mmFilm, Tag::UserComment, Tag::ColorSpace, Tag::ExposureMode, Tag::WhiteBalance, Tag::DigitalZoomRatio,
    Tag::SceneCaptureType, Tag::Contrast, Tag::Saturation, Tag::Sharpness, Tag::LensSpecification, Tag::LensMake, Tag::LensModel,
];

/// The EXIF of a picture, as far as it is kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    fields: Vec<Field>,
    turn: Option<u8>,
}

impl Kept {
    /// From a block of EXIF. What cannot be read of it is left, and so is one that is made to keep us busy.
    pub(super) fn read(block: Option<Vec<u8>>) -> Self {
        let Some(block) = block else { return Self::default() };
        let directories = Directories::read(&mut Cursor::new(&block), 0).ok().flatten().filter(|directories| !directories.is_wild());
        let Some((directories, found)) = directories.zip(parse(block)) else { return Self::default() };
        // Whatever is asked for is read into memory, and stays there: so nothing that is long is asked for.
        let short = |tag: &Tag| directories.longest(tag.number()) <= VALUE;
        let wanted = KEPT.iter().copied().chain((0..GPS).map(|number| Tag(Context::Gps, number))).filter(short);
        let fields = wanted.filter_map(|tag| Some(field(tag, found.get_field(tag, In::PRIMARY)?.value.clone())));
        let known = fields.filter(|field| !matches!(field.value, Value::Unknown(..))).collect();
        Self { fields: known, turn: directories.number(Tag::Orientation.number()).and_then(|turn| u8::try_from(turn).ok()) }
    }

    /// How the pixels are to be turned.
    pub(super) fn turn(&self) -> Orientation {
        self.turn.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
    }

    /// Whether anything is known of how the pixels are to be turned.
    pub(super) fn says_how_to_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn has_date(&self) -> bool {
        self.fields.iter().any(|field| field.tag == Tag::DateTimeOriginal)
    }

    /// When it was taken, known from elsewhere.
    pub(super) fn take_date(&mut self, date: Option<DateTime>) {
        let text = date.map(|date| date.strftime("%Y:%m:%d %H:%M:%S").to_string().into_bytes());
        self.fields.extend(text.map(|text| field(Tag::DateTimeOriginal, Value::Ascii(vec![text]))));
    }

    /// The block for a picture of this size whose pixels were turned already. None when it cannot be written: a picture without EXIF is better
    /// than none.
    pub(super) fn write(&self, gps: Gps, (width, height): (u32, u32)) -> Option<Vec<u8>> {
        let own = [
            field(Tag::Orientation, Value::Short(vec![1])),
            field(Tag::PixelXDimension, Value::Long(vec![width])),
            field(Tag::PixelYDimension, Value::Long(vec![height])),
        ];
        let mut writer = Writer::new();
        let stays = |field: &&Field| gps == Gps::Keep || field.tag.context() != Context::Gps;
        self.fields.iter().filter(stays).chain(&own).for_each(|field| writer.push_field(field));
        let mut block = Cursor::new(Vec::new());
        match writer.write(&mut block, false) {
            Ok(()) => Some(block.into_inner()),
            Err(error) => {
                tracing::debug!(%error, "EXIF could not be written");
                None
            }
        }
    }
}

/// How the pixels of a file are to be turned, by the EXIF that is found in it.
pub(super) fn turn_of(file: &mut (impl Read + Seek)) -> io::Result<Orientation> {
    let Some(at) = embedded::place(file)? else { return Ok(Orientation::NoTransforms) };
    let turn = Directories::read(file, at)?.and_then(|found| found.number(Tag::Orientation.number()));
    Ok(turn.and_then(|turn| Orientation::from_exif(u8::try_from(turn).ok()?)).unwrap_or(Orientation::NoTransforms))
}

fn parse(block: Vec<u8>) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader.read_raw(block).or_else(|error| error.distill_partial_result(|_| {})).ok()
}

fn field(tag: Tag, value: Value) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value }
}

/// The beginning of a TIFF, or of a raw format built on it; none of anything else.
pub(super) fn head_of_tiff(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head)?;
    if !matches!(head.as_slice(), b"II*\0" | b"MM\0*") {
        return Ok(None);
    }
    file.take(HEAD - 4).read_to_end(&mut head)?;
    Ok(Some(head))
}
