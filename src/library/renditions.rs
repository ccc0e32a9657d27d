//! Renditions: a picture as a JPEG that fits into a square.
//!
//! It is never enlarged. Its pixels are turned as EXIF says, and it says so no more. It keeps its colour profile, and of its EXIF what people
//! and photo programs read, first of all when it was taken; where it was taken only if that is wanted. The same picture and wish give the same
//! bytes, so that they can be kept, and an upload that broke off can go on.
//!
//! A picture is untrusted: one that would need more memory than [`DECODED`] is refused before it is decoded, and all that are decoded at the
//! same time share what there is (see [`memory`]).

pub(super) mod boxes;
mod child;
mod exif;
pub(super) mod frame;
mod jpeg;
mod measure;
mod memory;
mod pixels;
mod preview;
mod tools;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::types::{Gps, MediaKind, RelPath};

use self::child::Broken;
use self::exif::Kept;
use self::memory::Reserved;
pub use self::tools::Tools;
use super::taken::{Hints, told};
use super::{LibraryError, Open, Stat, Tree};

/// What a decoded picture may take in memory, in bytes: 150 megapixels and more. What decoding and resizing need besides is reserved with it.
const DECODED: u64 = 512 << 20;
/// What a PNG may tell besides its pixels: a profile of a few hundred bytes can grow to whatever size is allowed.
const BESIDES: u64 = 64 << 20;
/// Longer colour profiles are not passed on.
const PROFILE: usize = 2 << 20;
/// Programs make a picture in a dozen passes; one with thousands is made to keep us busy.
const SCANS: usize = 200;
/// What the names of folders begin with that programs write into.
pub(super) const WORK: &str = "work-";

/// What is wanted of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The side of the square that it must fit into, in pixels.
    pub fit: u32,
    /// Whether the place where it was taken is told.
    pub gps: Gps,
}

/// A picture as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendition {
    /// A JPEG that was made of it.
    Made(Vec<u8>),
    /// The file itself is a JPEG that is as wanted.
    AsItIs,
}

/// Why there is no rendition.
#[derive(Debug, thiserror::Error)]
pub enum RenditionError {
    /// There is nothing here that could decode it. What it is, as the end of "it is ...".
    #[error("it is {0}, of which no JPEG can be made here")]
    NoDecoder(&'static str),
    /// A RAW file that its camera put no picture into, or none that can be used.
    #[error("it is a RAW file without a JPEG of its camera in it")]
    NoPreview,
    /// Decoded it would need too much memory.
    #[error("it is too large to be decoded ({width} x {height} pixels)")]
    TooLarge {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// It cannot be decoded. What the decoder said.
    #[error("it is damaged or of a kind that is not known here: {0}")]
    Undecodable(String),
    /// The program that decodes it took too long; another time it may not.
    #[error("decoding it took too long")]
    TooSlow,
    /// It was told to stop.
    #[error("it was told to stop")]
    Stopped,
    /// It cannot be read.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl Tree {
    /// A picture of the library as a JPEG; of a RAW file what its camera put into it. Blocks, and needs memory for the whole decoded picture:
    /// whoever asks for many asks for few at a time.
    pub fn rendition(&self, path: &RelPath, wish: Wish, stop: &AtomicBool) -> Result<Rendition, RenditionError> {
        match self.source(path).and_then(|source| self.render(source, wish, stop)) {
            // Whatever the decoder made of a file that suddenly ended.
            Err(_) if stop.load(Ordering::Relaxed) => Err(RenditionError::Stopped),
            rendered => rendered,
        }
    }

    /// A small picture of a file that is open, wherever it is, without the place where it was taken. `path` tells its kind.
    pub fn rendition_of(&self, (path, open): (&RelPath, Open), fit: u32, stop: &AtomicBool) -> Result<Vec<u8>, RenditionError> {
        let kind = MediaKind::of_extension(path.stem_and_extension().1);
        let (decoded, stat) = decoded(Source { path, kind, open }, None, stop)?;
        self.finish(path, decoded, &stat, Wish { fit, gps: Gps::Remove }, stop)
    }

    /// A small picture of a file, without the place where it was taken, as [`Tree::rendition`] makes it. What is not decoded here is left to
    /// the programs of this machine.
    pub(super) fn thumbnail(&self, path: &RelPath, fit: u32, helpers: Helpers<'_>, stop: &AtomicBool) -> Result<Thumbnail, RenditionError> {
        let made = self.source(path).and_then(|source| decoded(source, Some(helpers), stop)).and_then(|(decoded, stat)| {
            let size = decoded.size();
            let jpeg = self.finish(path, decoded, &stat, Wish { fit, gps: Gps::Remove }, stop)?;
            Ok(Thumbnail { jpeg, size })
        });
        if made.is_err() { stopped(stop).and(made) } else { made }
    }

    fn source<'a>(&self, path: &'a RelPath) -> Result<Source<'a>, RenditionError> {
        Ok(Source { path, kind: self.kind(path)?, open: self.open_file(path)? })
    }

    fn render(&self, source: Source<'_>, wish: Wish, stop: &AtomicBool) -> Result<Rendition, RenditionError> {
        let path = source.path;
        let (decoded, stat) = decoded(source, None, stop)?;
        if wish.gps == Gps::Keep && decoded.is_as_wanted(wish.fit) {
            return Ok(Rendition::AsItIs);
        }
        self.finish(path, decoded, &stat, wish, stop).map(Rendition::Made)
    }

    fn finish(&self, path: &RelPath, decoded: Decoded, stat: &Stat, wish: Wish, stop: &AtomicBool) -> Result<Vec<u8>, RenditionError> {
        let Decoded { pixels, turn, profile, mut kept, room, .. } = decoded;
        if !kept.has_date() {
            let place: PathBuf = self.root().join(path.as_str());
            let hints = Hints { place: &place, name: path.name(), sidecars: &[], mtime: stat.mtime };
            kept.take_date(told(&hints));
        }
        let pixels = pixels::fitted(pixels, wish.fit).map_err(RenditionError::Undecodable)?;
        drop(room);
        stopped(stop)?;
        let pixels = pixels::turned(pixels, turn);
        let exif = kept.write(wish.gps, (pixels.width(), pixels.height()));
        stopped(stop)?;
        jpeg::encode(&pixels, profile, exif).map_err(RenditionError::Undecodable)
    }
}

/// A file of which a picture is to be made.
struct Source<'a> {
    path: &'a RelPath,
    kind: MediaKind,
    open: Open,
}

fn decoded(source: Source<'_>, helpers: Option<Helpers<'_>>, stop: &AtomicBool) -> Result<(Decoded, Stat), RenditionError> {
    let Source { path, kind, open: Open { file, stat } } = source;
    let what = what(path, kind);
    let decoded = match (kind, helpers) {
        (MediaKind::Raw, _) => preview::of(path, file, stop)?,
        (MediaKind::Video, Some(helpers)) => helped(path, helpers.tools.poster(&file, stop), what, stop)?,
        (MediaKind::Image, Some(helpers)) => match boxes::container(&head(&file).map_err(|error| LibraryError::io(path, error))?) {
            Some(container) => helped(path, helpers.tools.still(container, &file, helpers.scratch, stop), what, stop)?,
            None => decode(path, BufReader::new(Stoppable { inner: file, stop }), what, stop)?,
        },
        _ => decode(path, BufReader::new(Stoppable { inner: file, stop }), what, stop)?,
    };
    stopped(stop)?;
    Ok((decoded, stat))
}

/// The programs of this machine, and a private folder where they may write.
#[derive(Clone, Copy)]
pub(super) struct Helpers<'a> {
    pub tools: &'a Tools,
    pub scratch: &'a Path,
}

/// A small picture.
pub(super) struct Thumbnail {
    /// A JPEG.
    pub jpeg: Vec<u8>,
    /// The size of what it was made of, as it is to be seen.
    pub size: (u32, u32),
}

/// A decoded picture, and what is known of it.
struct Decoded {
    pixels: DynamicImage,
    turn: Orientation,
    profile: Option<Vec<u8>>,
    kept: Kept,
    /// The file itself is a JPEG.
    is_jpeg: bool,
    /// The memory that it takes.
    room: Reserved,
}

impl Decoded {
    fn is_as_wanted(&self, fit: u32) -> bool {
        let untouched = self.turn == Orientation::NoTransforms;
        self.is_jpeg && untouched && self.pixels.width() <= fit && self.pixels.height() <= fit
    }

    fn size(&self) -> (u32, u32) {
        turned_size((self.pixels.width(), self.pixels.height()), self.turn)
    }
}

fn turned_size((width, height): (u32, u32), turn: Orientation) -> (u32, u32) {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    if matches!(turn, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH) { (height, width) } else { (width, height) }
}

/// The first bytes of a file.
fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 64];
    let read = file.read_at(&mut head, 0)?;
    head.truncate(read);
    Ok(head)
}

/// What a program made of a file.
fn helped(path: &RelPath, made: Option<Result<Vec<u8>, Broken>>, what: &'static str, stop: &AtomicBool) -> Result<Decoded, RenditionError> {
    match made.ok_or(RenditionError::NoDecoder(what))? {
        Ok(bytes) => decode(path, BufReader::new(io::Cursor::new(bytes)), what, stop),
        Err(Broken::Stopped) => Err(RenditionError::Stopped),
        Err(Broken::TooSlow) => Err(RenditionError::TooSlow),
        Err(Broken::Failed(reason)) => Err(RenditionError::Undecodable(reason)),
    }
}

fn decode<R: Read + Seek>(
    path: &RelPath,
    mut file: BufReader<R>,
    what: &'static str,
    stop: &AtomicBool,
) -> Result<Decoded, RenditionError> {
    let io = |error: io::Error| RenditionError::Library(LibraryError::io(path, error));
    // A TIFF is EXIF itself; of the others the decoder finds it.
    let head = exif::head_of_tiff(&mut file).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let reader = ImageReader::new(file).with_guessed_format().map_err(io)?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else { return Err(RenditionError::NoDecoder(what)) };
    let mut file = reader.into_inner();
    // The decoder for JPEG begins by reading all of it.
    let before = if format == ImageFormat::Jpeg { Some(room_for_jpeg(&mut file, stop, io)?) } else { None };
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = ImageReader::with_format(file, format);
    reader.limits(limits(format));
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > DECODED {
        return Err(RenditionError::TooLarge { width, height });
    }
    let profile = decoder.icc_profile().unwrap_or_default().filter(|profile| profile.len() <= PROFILE);
    let kept = Kept::read(decoder.exif_metadata().unwrap_or_default().or(head));
    let turn = kept.turn();
    let room = match before {
        Some(room) => room,
        None => reserve(room_for(format, &decoder), (width, height), stop)?,
    };
    let pixels = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    Ok(Decoded { pixels, turn, profile, kept, is_jpeg: format == ImageFormat::Jpeg, room })
}

/// What a decoder may take of memory while it reads a header. Pixels are counted by [`reserve`], but in a TIFF also by the decoder.
fn limits(format: ImageFormat) -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(if format == ImageFormat::Png { BESIDES } else { DECODED });
    limits
}

fn reserve(bytes: u64, (width, height): (u32, u32), stop: &AtomicBool) -> Result<Reserved, RenditionError> {
    if bytes > memory::ALL {
        return Err(RenditionError::TooLarge { width, height });
    }
    Reserved::take(bytes, stop).ok_or(RenditionError::Stopped)
}

/// The file as it is, its pixels, and of one in several passes what they leave behind.
fn room_for_jpeg(
    file: &mut (impl Read + Seek),
    stop: &AtomicBool,
    io: impl Fn(io::Error) -> RenditionError,
) -> Result<Reserved, RenditionError> {
    let length = file.seek(SeekFrom::End(0)).map_err(&io)?;
    file.seek(SeekFrom::Start(0)).map_err(&io)?;
    let Some(frame) = frame::frame(file).map_err(&io)? else {
        // The decoder may see something in it all the same: then nobody decodes besides.
        return reserve(length.max(memory::ALL), (0, 0), stop);
    };
    let size = (frame.width, frame.height);
    let pixels = u64::from(frame.width) * u64::from(frame.height) * if frame.components == 1 { 1 } else { 3 };
    if pixels > DECODED {
        return Err(RenditionError::TooLarge { width: frame.width, height: frame.height });
    }
    file.seek(SeekFrom::Start(0)).map_err(&io)?;
    if frame.progressive && frame::scans(file, SCANS).map_err(&io)? > SCANS {
        return Err(RenditionError::Undecodable(format!("it is made in more than {SCANS} passes")));
    }
    reserve(length + pixels + if frame.progressive { frame.samples * 2 } else { 0 }, size, stop)
}

/// The pixels, the copies that bring them into the form for resizing, and what a decoder that keeps the whole picture needs besides.
fn room_for(format: ImageFormat, decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let copies = match decoder.color_type() {
        ColorType::L8 | ColorType::Rgb8 => 0,
        ColorType::Rgba8 | ColorType::Rgb16 | ColorType::L16 => 3 * pixels,
        _ => 7 * pixels,
    };
    let own = if matches!(format, ImageFormat::WebP | ImageFormat::Gif) { decoder.total_bytes() } else { 0 };
    decoder.total_bytes() + copies + own
}

fn undecodable(error: image::ImageError) -> RenditionError {
    RenditionError::Undecodable(error.to_string())
}

/// What a file is that cannot be decoded.
fn what(path: &RelPath, kind: MediaKind) -> &'static str {
    let (_, extension) = path.stem_and_extension();
    match (kind, extension.to_ascii_lowercase().as_str()) {
        (MediaKind::Raw, _) => "a RAW file",
        (MediaKind::Video, _) => "a video",
        (MediaKind::Vector, _) => "a drawing",
        (MediaKind::Sidecar, _) => "no picture",
        (_, "heic" | "heif" | "hif" | "heics" | "heifs" | "avci" | "avcs") => "a HEIC picture",
        (_, "avif" | "avis" | "avifs") => "an AVIF picture",
        (_, "jxl") => "a JPEG XL picture",
        (_, "psd") => "a Photoshop file",
        (_, "jp2" | "j2k" | "jpx" | "jpf" | "jpm") => "a JPEG 2000 picture",
        _ => "a picture of a kind that is not known here",
    }
}

fn stopped(stop: &AtomicBool) -> Result<(), RenditionError> {
    if stop.load(Ordering::Relaxed) { Err(RenditionError::Stopped) } else { Ok(()) }
}

/// A file that can be read until somebody says stop.
struct Stoppable<'a> {
    inner: File,
    stop: &'a AtomicBool,
}

impl Read for Stoppable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("stopped")),
            false => self.inner.read(buffer),
        }
    }
}

impl Seek for Stoppable<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests;
