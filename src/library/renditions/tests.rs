use std::io::Cursor;

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};

use super::*;
use crate::store::Store;
use crate::store::properties::Area;

struct Gallery {
    folder: tempfile::TempDir,
    tree: Tree,
}

impl Gallery {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        std::fs::create_dir(&root).unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        let tree = Tree::open(&root, store, Area::Originals).unwrap();
        Self { folder, tree }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join("photos").join(name), bytes).unwrap();
    }

    fn make(&self, name: &str, fit: u32, gps: Gps) -> Result<Rendition, RenditionError> {
        self.tree.rendition(&RelPath::parse(name).unwrap(), Wish { fit, gps }, &AtomicBool::new(false))
    }

    fn made(&self, name: &str, fit: u32) -> Vec<u8> {
        match self.make(name, fit, Gps::Keep).unwrap() {
            Rendition::Made(bytes) => bytes,
            Rendition::AsItIs => panic!("{name} was left as it is"),
        }
    }
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(name)).unwrap()
}

fn picture(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, 90])).into()
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn size_of(jpeg: &[u8]) -> (u32, u32) {
    image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).unwrap().dimensions()
}

fn date_of(jpeg: &[u8]) -> Option<String> {
    let found = ::exif::Reader::new().read_from_container(&mut Cursor::new(jpeg)).ok()?;
    found.get_field(::exif::Tag::DateTimeOriginal, ::exif::In::PRIMARY).map(|field| field.display_value().to_string())
}

#[test]
fn every_kind_that_can_be_decoded_becomes_a_jpeg_that_fits() {
    let gallery = Gallery::new();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        gallery.put("a.jpg", &written(&picture(1000, 500), format));
        assert_eq!(size_of(&gallery.made("a.jpg", 720)), (720, 360), "{format:?}, whatever its name says");
    }
}

#[test]
fn the_same_wish_gives_the_same_bytes() {
    let gallery = Gallery::new();
    gallery.put("a.jpg", &written(&picture(1500, 900), ImageFormat::Jpeg));
    assert_eq!(gallery.made("a.jpg", 720), gallery.made("a.jpg", 720));
}

#[test]
fn a_jpeg_that_fits_is_left_as_it_is_unless_its_place_is_not_to_be_told() {
    let gallery = Gallery::new();
    gallery.put("a.jpg", &written(&picture(700, 500), ImageFormat::Jpeg));
    assert_eq!(gallery.make("a.jpg", 720, Gps::Keep).unwrap(), Rendition::AsItIs);
    assert!(matches!(gallery.make("a.jpg", 720, Gps::Remove).unwrap(), Rendition::Made(_)));
    gallery.put("a.png", &written(&picture(700, 500), ImageFormat::Png));
    assert_eq!(size_of(&gallery.made("a.png", 720)), (700, 500), "not enlarged");
}

#[test]
fn a_picture_of_another_date_source_gets_that_date() {
    let gallery = Gallery::new();
    // GIF has no EXIF; the date is in its XMP.
    gallery.put("campfire.gif", &sample("campfire.gif"));
    assert!(date_of(&gallery.made("campfire.gif", 720)).unwrap().starts_with("2021-06-"));
    gallery.put("badge.png", &sample("badge.png"));
    assert_eq!(date_of(&gallery.made("badge.png", 720)), None, "nothing is made up");
}

#[test]
fn a_raw_file_gives_the_picture_of_its_camera_turned_as_it_says() {
    let gallery = Gallery::new();
    // A TIFF with nothing but an orientation and a date, and a picture behind them.
    let mut raw = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    raw.extend(written(&picture(400, 200), ImageFormat::Jpeg));
    raw.extend(written(&picture(1600, 800), ImageFormat::Jpeg));
    raw.extend([0; 50_000]);
    gallery.put("a.nef", &raw);
    assert_eq!(size_of(&gallery.made("a.nef", 720)), (360, 720));
    gallery.put("b.nef", &raw[..26]);
    assert!(matches!(gallery.make("b.nef", 720, Gps::Keep), Err(RenditionError::NoPreview)));
}

#[test]
fn what_has_no_decoder_is_said() {
    let gallery = Gallery::new();
    for (name, bytes, said) in [
        ("a.heic", sample("valley.heic"), "it is a HEIC picture, of which no JPEG can be made here"),
        ("a.mp4", sample("parade.mp4"), "it is a video, of which no JPEG can be made here"),
        ("a.psd", b"8BPS".to_vec(), "it is a Photoshop file, of which no JPEG can be made here"),
        ("a.jpg", b"hello".to_vec(), "it is a picture of a kind that is not known here, of which no JPEG can be made here"),
    ] {
        gallery.put(name, &bytes);
        assert_eq!(gallery.make(name, 720, Gps::Keep).unwrap_err().to_string(), said);
    }
}

#[test]
fn a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded() {
    let gallery = Gallery::new();
    // A PNG of a few bytes that says it has 30,000 x 30,000 pixels.
    let mut png = written(&picture(4, 4), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let crc = {
        let mut crc = 0xffff_ffff_u32;
        for byte in &png[12..29] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        !crc
    };
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    gallery.put("bomb.png", &png);
    let refused = gallery.make("bomb.png", 720, Gps::Keep).unwrap_err();
    assert!(matches!(refused, RenditionError::TooLarge { width: 30_000, height: 30_000 }), "{refused}");
}

/// A JPEG with this block of EXIF.
fn with_exif(block: &[u8]) -> Vec<u8> {
    let mut jpeg = written(&picture(40, 30), ImageFormat::Jpeg);
    let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
    jpeg.splice(2..2, [&[0xff, 0xe1][..], &length, b"Exif\0\0", block].concat());
    jpeg
}

/// A directory of EXIF with a maker's name, and so many more entries whose values are all of what follows.
fn block(more: usize) -> Vec<u8> {
    let mut block = [&b"II*\0\x08\0\0\0"[..], &(more as u16 + 1).to_le_bytes(), b"\x0f\x01\x02\0\x04\0\0\0Sun\0"].concat();
    let entry = [&b"\x0e\x01\x02\0"[..], &20_000_u32.to_le_bytes(), &9000_u32.to_le_bytes()].concat();
    block.extend(entry.repeat(more));
    block.extend([0; 4]);
    block.resize(29_000.max(block.len()), 0);
    block
}

#[test]
fn exif_that_would_fill_the_memory_is_left() {
    let made = |more| {
        let gallery = Gallery::new();
        gallery.put("a.jpg", &with_exif(&block(more)));
        let Rendition::Made(jpeg) = gallery.make("a.jpg", 20, Gps::Keep).unwrap() else { panic!("as it is") };
        let found = ::exif::Reader::new().read_from_container(&mut Cursor::new(jpeg)).unwrap();
        found.fields().map(|field| field.tag).collect::<Vec<_>>()
    };
    assert!(made(0).contains(&::exif::Tag::Make));
    // A long text is not asked for; the others are.
    assert!(made(1).contains(&::exif::Tag::Make) && !made(1).contains(&::exif::Tag::ImageDescription));
    // 64 KB of entries, each with 20,000 texts, would be gigabytes.
    assert!(!made(4700).contains(&::exif::Tag::Make));
}

#[test]
fn a_profile_that_grows_beyond_measure_is_not_unpacked() {
    use std::io::Write as _;
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(body);
        [&(body.len() as u32).to_be_bytes()[..], kind, body, &sum.sum().to_be_bytes()].concat()
    };
    let gallery = Gallery::new();
    let with_profile = |length: usize| {
        let mut packed = flate2::write::ZlibEncoder::new(b"x\0\0".to_vec(), flate2::Compression::fast());
        packed.write_all(&[&[0; 16][..], b"RGB ", &vec![0; length]].concat()).unwrap();
        let mut png = written(&picture(40, 30), ImageFormat::Png);
        png.splice(33..33, chunk(b"iCCP", &packed.finish().unwrap()));
        gallery.put("a.png", &png);
        let made = gallery.make("a.png", 20, Gps::Keep).map(|_| gallery.made("a.png", 20));
        made.map(|jpeg| jpeg.windows(12).any(|window| window == b"ICC_PROFILE\0"))
    };
    assert!(with_profile(3000).unwrap());
    // As long as it can be held it does no harm, but is not passed on; beyond that the picture is shown without it, or not at all.
    assert!(!with_profile(3 << 20).unwrap());
    assert!(!with_profile(BESIDES as usize + 1).unwrap_or(false));
    let path = RelPath::parse("a.png").unwrap();
    assert!(gallery.tree.measure(&path).is_ok());
}

#[test]
fn of_a_film_of_pictures_the_first_is_shown_whatever_follows() {
    let gallery = Gallery::new();
    let mut gif = written(&picture(50, 40), ImageFormat::Gif);
    // Its last byte ends it; before that the same frame comes thousands of times again.
    let frame = gif.windows(2).position(|pair| pair == [0x2c, 0]).unwrap();
    let again = gif[frame..gif.len() - 1].to_vec();
    gif.pop();
    gif.extend(again.repeat(20_000));
    gif.push(0x3b);
    gallery.put("a.gif", &gif);
    assert_eq!(size_of(&gallery.made("a.gif", 20)), (20, 16));
    // A frame that says to be larger than its film.
    let mut wide = written(&picture(50, 40), ImageFormat::Gif);
    let frame = wide.windows(2).position(|pair| pair == [0x2c, 0]).unwrap();
    wide[frame + 5..frame + 9].fill(0xff);
    gallery.put("b.gif", &wide);
    let _ = gallery.make("b.gif", 20, Gps::Keep);
}

#[test]
fn a_tiff_whose_pages_follow_one_another_for_ever_is_refused() {
    let gallery = Gallery::new();
    let mut tiff = written(&picture(50, 40), ImageFormat::Tiff);
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    let first = number(&tiff[4..8]);
    let entries = usize::from(u16::from_le_bytes(tiff[first..first + 2].try_into().unwrap()));
    let next = first + 2 + entries * 12;
    tiff[next..next + 4].copy_from_slice(&(first as u32).to_le_bytes());
    gallery.put("a.tif", &tiff);
    assert!(matches!(gallery.make("a.tif", 20, Gps::Keep), Err(RenditionError::Undecodable(_))));
    assert_eq!(gallery.tree.measure(&RelPath::parse("a.tif").unwrap()).unwrap(), Default::default());
}

#[test]
fn no_broken_file_panics() {
    let gallery = Gallery::new();
    for name in ["lake.jpg", "map.png", "meadow.webp", "campfire.gif", "canyon.dng"] {
        let whole = sample(name);
        for end in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            gallery.put(name, &whole[..end]);
            let _ = gallery.make(name, 720, Gps::Remove);
            let mut flipped = whole.clone();
            flipped[end] ^= 0x55;
            gallery.put(name, &flipped);
            let _ = gallery.make(name, 720, Gps::Remove);
        }
    }
}

#[test]
fn it_stops_when_it_is_told_to() {
    let gallery = Gallery::new();
    gallery.put("a.jpg", &written(&picture(1500, 900), ImageFormat::Jpeg));
    let path = RelPath::parse("a.jpg").unwrap();
    let stopped = gallery.tree.rendition(&path, Wish { fit: 720, gps: Gps::Keep }, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(stopped, RenditionError::Stopped), "{stopped}");
}

/// A JPEG whose frame says another size.
fn pretending(width: u16, height: u16, progressive: bool) -> Vec<u8> {
    let mut jpeg = written(&picture(64, 64), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
    if progressive {
        jpeg[frame + 1] = 0xc2;
    }
    jpeg
}

#[test]
fn a_jpeg_that_would_fill_the_memory_or_the_day_is_refused_by_its_header() {
    let gallery = Gallery::new();
    gallery.put("a.jpg", &pretending(65_500, 65_500, false));
    let refused = gallery.make("a.jpg", 720, Gps::Keep).unwrap_err();
    assert!(matches!(refused, RenditionError::TooLarge { width: 65_500, .. }), "{refused}");
    // 144 megapixels fit as they are, and not with what many passes leave behind.
    gallery.put("b.jpg", &pretending(12_000, 12_000, true));
    let refused = gallery.make("b.jpg", 720, Gps::Keep).unwrap_err();
    assert!(matches!(refused, RenditionError::TooLarge { width: 12_000, .. }), "{refused}");
    let mut passes = pretending(4000, 4000, true);
    let scan = passes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let one = [&[0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0][..], &[0; 4]].concat();
    passes.splice(scan..scan, one.repeat(1000));
    gallery.put("c.jpg", &passes);
    let refused = gallery.make("c.jpg", 720, Gps::Keep).unwrap_err();
    assert!(refused.to_string().contains("passes"), "{refused}");
}

#[test]
fn the_header_tells_how_large_a_picture_is_seen_and_when_it_was_taken() {
    let gallery = Gallery::new();
    let measured = |name: &str, bytes: &[u8]| {
        gallery.put(name, bytes);
        gallery.tree.measure(&RelPath::parse(name).unwrap()).unwrap()
    };
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
        assert_eq!(measured("a.jpg", &written(&picture(300, 200), format)).size, Some((300, 200)), "{format:?}");
    }
    for (name, size, taken) in [
        ("lake.jpg", (640, 480), Some("2019-07-14T05:21:08")),
        ("valley.heic", (480, 320), Some("2020-09-05T08:14:33")),
        ("parade.mp4", (160, 120), Some("2022-06-25T13:10:40")),
    ] {
        let row = measured(name, &sample(name));
        assert_eq!((row.size, row.taken.as_deref()), (Some(size), taken), "{name}");
        assert_eq!(row.lasts, (name == "parade.mp4").then_some(1000), "{name}");
    }
    // Half of a header is none, and the end of one is not either.
    for name in ["lake.jpg", "map.png", "meadow.webp", "valley.heic", "parade.mp4", "canyon.dng"] {
        let whole = sample(name);
        for end in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            measured(name, &whole[..end]);
        }
    }
    assert_eq!(measured("a.xmp", b"<x/>"), Default::default());
}

#[test]
fn a_picture_that_was_turned_is_measured_as_it_is_seen() {
    let gallery = Gallery::new();
    let mut exif = Vec::new();
    exif.extend(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
    let mut jpeg = written(&picture(300, 200), ImageFormat::Jpeg);
    let segment = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
    jpeg.splice(2..2, segment);
    gallery.put("a.jpg", &jpeg);
    assert_eq!(gallery.tree.measure(&RelPath::parse("a.jpg").unwrap()).unwrap().size, Some((200, 300)));
    assert_eq!(size_of(&gallery.made("a.jpg", 150)), (100, 150));
}
