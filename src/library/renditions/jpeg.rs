//! Writing a JPEG with its colour profile and EXIF.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder as _};

/// Where differences cannot be seen any more at the size that is looked at.
const QUALITY: u8 = 88;
/// What one segment of a JPEG can hold of EXIF.
const SEGMENT: usize = 65_500;

/// The whole file.
pub(super) fn encode(picture: &DynamicImage, profile: Option<Vec<u8>>, exif: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    let space: &[u8] = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    // A profile for other colours, of a print for example, says nothing of these.
    if let Some(profile) = profile.filter(|profile| profile.get(16..20) == Some(space)) {
        encoder.set_icc_profile(profile).map_err(|error| error.to_string())?;
    }
    if let Some(exif) = exif.filter(|exif| exif.len() <= SEGMENT) {
        encoder.set_exif_metadata(exif).map_err(|error| error.to_string())?;
    }
    picture.write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(bytes)
}
