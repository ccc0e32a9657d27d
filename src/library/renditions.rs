//! Renditions: a picture as a JPEG that fits into a square.
//!
//! It is never enlarged. Its pixels are turned as EXIF says, and it says so no more. It keeps its colour profile, and of its EXIF what people
//! and photo programs read, first of all when it was taken; where it was taken only if that is wanted. The same picture and wish give the same
//! bytes, so that they can be kept, and an upload that broke off can go on.
//!
//! A picture is untrusted: one that would need more memory than [`DECODED`] is refused before it is decoded.

mod exif;
mod jpeg;
mod pixels;
mod preview;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use image::{ImageDecoder as _, ImageFormat, ImageReader, Limits};

use crate::types::{Gps, MediaKind, RelPath};

use self::exif::Kept;
use super::taken::{Hints, told};
use super::{LibraryError, Open, Tree};

/// What a decoded picture may take in memory, in bytes: 150 megapixels and more. With the copies that resizing needs it is at most half as
/// much again.
const DECODED: u64 = 512 << 20;

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
        match self.render(path, wish, stop) {
            // Whatever the decoder made of a file that suddenly ended.
            Err(_) if stop.load(Ordering::Relaxed) => Err(RenditionError::Stopped),
            rendered => rendered,
        }
    }

    /// A picture of a file that is open, wherever it is. `path` tells its kind.
    pub fn rendition_of(&self, (path, open): (&RelPath, Open), wish: Wish, stop: &AtomicBool) -> Result<Rendition, RenditionError> {
        let kind = MediaKind::of_extension(path.stem_and_extension().1);
        self.render_open((path, kind, open), wish, stop)
    }

    fn render(&self, path: &RelPath, wish: Wish, stop: &AtomicBool) -> Result<Rendition, RenditionError> {
        self.render_open((path, self.kind(path)?, self.open_file(path)?), wish, stop)
    }

    fn render_open(
        &self,
        (path, kind, Open { file, stat }): (&RelPath, MediaKind, Open),
        wish: Wish,
        stop: &AtomicBool,
    ) -> Result<Rendition, RenditionError> {
        let decoded = match kind {
            MediaKind::Raw => preview::of(path, file, stop)?,
            _ => decode(path, BufReader::new(Stoppable { inner: file, stop }), what(path, kind))?,
        };
        if kind != MediaKind::Raw && wish.gps == Gps::Keep && decoded.is_as_wanted(wish.fit) {
            return Ok(Rendition::AsItIs);
        }
        stopped(stop)?;
        let mut kept = decoded.kept;
        if !kept.has_date() {
            let place: PathBuf = self.root().join(path.as_str());
            let hints = Hints { place: &place, name: path.name(), sidecars: &[], mtime: stat.mtime };
            kept.take_date(told(&hints));
        }
        let pixels = pixels::fitted(decoded.pixels, wish.fit).map_err(RenditionError::Undecodable)?;
        stopped(stop)?;
        let pixels = pixels::turned(pixels, decoded.turn);
        let exif = kept.write(wish.gps, (pixels.width(), pixels.height()));
        stopped(stop)?;
        jpeg::encode(&pixels, decoded.profile, exif).map(Rendition::Made).map_err(RenditionError::Undecodable)
    }
}

/// A decoded picture, and what is known of it.
struct Decoded {
    pixels: image::DynamicImage,
    turn: image::metadata::Orientation,
    profile: Option<Vec<u8>>,
    kept: Kept,
    is_jpeg: bool,
}

impl Decoded {
    fn is_as_wanted(&self, fit: u32) -> bool {
        let untouched = self.turn == image::metadata::Orientation::NoTransforms;
        self.is_jpeg && untouched && self.pixels.width() <= fit && self.pixels.height() <= fit
    }
}

fn decode<R: Read + Seek>(path: &RelPath, mut file: BufReader<R>, what: &'static str) -> Result<Decoded, RenditionError> {
    let io = |error: io::Error| RenditionError::Library(LibraryError::io(path, error));
    // A TIFF is EXIF itself; of the others the decoder finds it.
    let head = exif::head_of_tiff(&mut file).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(io)?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else { return Err(RenditionError::NoDecoder(what)) };
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > DECODED {
        return Err(RenditionError::TooLarge { width, height });
    }
    let profile = decoder.icc_profile().unwrap_or_default();
    let kept = Kept::read(decoder.exif_metadata().unwrap_or_default().or(head));
    let turn = kept.turn();
    let pixels = image::DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    Ok(Decoded { pixels, turn, profile, kept, is_jpeg: format == ImageFormat::Jpeg })
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
