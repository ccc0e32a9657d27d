//! A photograph as a camera writes it, and a reader of JPEGs that shares nothing with the program.

use std::io::Cursor;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageEncoder as _, Rgb, RgbImage};
use nom_exif::{ExifTag, MediaParser, MediaSource};

/// One entry of an IFD: tag, type, count, value or offset.
fn entry(tag: u16, kind: u16, count: u32, value: [u8; 4]) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
}

fn rationals(numbers: [u32; 3]) -> Vec<u8> {
    numbers.iter().flat_map(|number| [number.to_le_bytes(), 1_u32.to_le_bytes()].concat()).collect()
}

/// EXIF with an orientation, a maker, a date with its zone, notes of the maker and a place: Berlin.
fn exif(turn: u16) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    // 8: IFD0 with 4 entries, 62: Exif IFD with 3, 104: GPS IFD with 4, 158: values.
    let text = |block: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        block.resize(block.len().max(at + bytes.len()), 0);
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let offset = |at: u32| at.to_le_bytes();
    let ifd = |entries: &[Vec<u8>]| [&(entries.len() as u16).to_le_bytes()[..], &entries.concat(), &[0; 4]].concat();
    let mut short = [0; 4];
    short[..2].copy_from_slice(&turn.to_le_bytes());
    text(
        &mut block,
        8,
        &ifd(&[
            entry(0x010f, 2, 9, offset(158)),
            entry(0x0112, 3, 1, short),
            entry(0x8769, 4, 1, offset(62)),
            entry(0x8825, 4, 1, offset(104)),
        ]),
    );
    text(&mut block, 62, &ifd(&[entry(0x9003, 2, 20, offset(168)), entry(0x9011, 2, 7, offset(188)), entry(0x927c, 7, 16, offset(196))]));
    text(
        &mut block,
        104,
        &ifd(&[entry(1, 2, 2, *b"N\0\0\0"), entry(2, 5, 3, offset(212)), entry(3, 2, 2, *b"E\0\0\0"), entry(4, 5, 3, offset(236))]),
    );
    text(&mut block, 158, b"Twinlens\0");
    text(&mut block, 168, b"2019:07:14 05:21:08\0");
    text(&mut block, 188, b"+02:00\0");
    text(&mut block, 196, b"SECRET OF MAKER!");
    text(&mut block, 212, &rationals([52, 31, 12]));
    text(&mut block, 236, &rationals([13, 24, 36]));
    block
}

/// Not a real profile, but one with the mark of colours, as long as two segments of a JPEG.
fn profile() -> Vec<u8> {
    let mut profile: Vec<u8> = (0..70_000_u32).map(|at| (at % 251) as u8).collect();
    profile[16..20].copy_from_slice(b"RGB ");
    profile
}

/// A JPEG of this size as it is stored, whose EXIF says how to turn it. Its top left corner is red, as stored.
pub fn photo(width: u32, height: u32, turn: u16) -> Vec<u8> {
    let corner = |x: u32, y: u32| x < width / 4 && y < height / 4;
    let picture = RgbImage::from_fn(width, height, |x, y| if corner(x, y) { Rgb([220, 20, 20]) } else { Rgb([20, 60, 200]) });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 80);
    encoder.set_exif_metadata(exif(turn)).unwrap();
    encoder.set_icc_profile(profile()).unwrap();
    encoder.write_image(&picture, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// What a JPEG tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub width: u32,
    pub height: u32,
    /// None, or upright.
    pub upright: bool,
    pub date: Option<String>,
    pub maker: Option<String>,
    pub place: bool,
    /// It has the camera's colour profile, whole.
    pub profile: bool,
    /// Which corner is red: top left, top right, bottom left, bottom right.
    pub red: [bool; 4],
    pub secret: bool,
}

/// Reads a JPEG: its segments by hand, its EXIF with another reader than the program's.
pub fn read(place: &Path) -> Told {
    let bytes = std::fs::read(place).unwrap();
    assert_eq!(bytes[..3], [0xff, 0xd8, 0xff], "{} is no JPEG", place.display());
    let (mut at, mut size, mut profile) = (2, None, Vec::new());
    while size.is_none() || bytes[at + 1] != 0xda {
        assert_eq!(bytes[at], 0xff);
        let (marker, length) = (bytes[at + 1], usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])));
        let body = &bytes[at + 4..at + 2 + length];
        match marker {
            0xc0..=0xc2 => {
                let two = |at: usize| u32::from(u16::from_be_bytes([body[at], body[at + 1]]));
                size = Some((two(3), two(1)));
            }
            0xe2 if body.starts_with(b"ICC_PROFILE\0") => profile.extend_from_slice(&body[14..]),
            _ => {}
        }
        at += 2 + length;
    }
    let (width, height) = size.unwrap();
    let source = MediaSource::seekable(Cursor::new(bytes.clone())).unwrap();
    let exif: Option<nom_exif::Exif> = MediaParser::new().parse_exif(source).ok().map(Into::into);
    let get = |tag| exif.as_ref().and_then(|exif| exif.get(tag)).map(ToString::to_string);
    let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
    let red = [(1, 1), (7, 1), (1, 7), (7, 7)].map(|(x, y)| {
        let pixel = picture.get_pixel(x * width / 8, y * height / 8);
        pixel[0] > 150 && pixel[2] < 100
    });
    Told {
        width,
        height,
        upright: get(ExifTag::Orientation).is_none_or(|turn| turn == "1"),
        date: get(ExifTag::DateTimeOriginal),
        maker: get(ExifTag::Make),
        place: exif.as_ref().is_some_and(|exif| exif.gps_info().is_some_and(|place| place.latitude_decimal().is_some())),
        profile: profile == self::profile(),
        red,
        secret: bytes.windows(6).any(|window| window == b"SECRET"),
    }
}
