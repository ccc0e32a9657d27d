//! What is done to the pixels of a picture.

use fast_image_resize::images::Image;
use fast_image_resize::{PixelType, Resizer};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, RgbImage};

/// The picture with 8 bits a channel, grey or in colour, as large as fits into the square, and never larger than it was. What shines through
/// gets a white ground.
pub(super) fn fitted(picture: DynamicImage, fit: u32) -> Result<DynamicImage, String> {
    let picture = plain(picture);
    let (width, height) = (picture.width(), picture.height());
    let (new_width, new_height) = size(width, height, fit);
    if (new_width, new_height) == (width, height) {
        return Ok(picture);
    }
    let (kind, bytes) = match picture {
        DynamicImage::ImageLuma8(grey) => (PixelType::U8, grey.into_raw()),
        colour => (PixelType::U8x3, colour.into_rgb8().into_raw()),
    };
    let source = Image::from_vec_u8(width, height, bytes, kind).map_err(|error| error.to_string())?;
    let mut small = Image::new(new_width, new_height, kind);
    Resizer::new().resize(&source, &mut small, None).map_err(|error| error.to_string())?;
    drop(source);
    let bytes = small.into_vec();
    let made = match kind {
        PixelType::U8 => GrayImage::from_raw(new_width, new_height, bytes).map(Into::into),
        _ => RgbImage::from_raw(new_width, new_height, bytes).map(Into::into),
    };
    made.ok_or_else(|| "it could not be resized".to_owned())
}

/// The largest size with the same proportions that fits, at least one pixel each way.
fn size(width: u32, height: u32, fit: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= fit {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(fit) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(rounded).unwrap_or(fit).clamp(1, fit)
    };
    (scaled(width), scaled(height))
}

fn plain(picture: DynamicImage) -> DynamicImage {
    match picture.color() {
        ColorType::L8 | ColorType::Rgb8 => picture,
        ColorType::L16 => picture.into_luma8().into(),
        colour if colour.has_alpha() => on_white(picture).into(),
        _ => picture.into_rgb8().into(),
    }
}

fn on_white(picture: DynamicImage) -> RgbImage {
    let with_alpha = picture.into_rgba8();
    let (width, height) = with_alpha.dimensions();
    let mut ground = RgbImage::new(width, height);
    for (target, source) in ground.pixels_mut().zip(with_alpha.pixels()) {
        let [red, green, blue, alpha] = source.0;
        let over = |value: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        target.0 = [over(red), over(green), over(blue)];
    }
    ground
}

/// The picture as it is to be seen.
pub(super) fn turned(mut picture: DynamicImage, turn: Orientation) -> DynamicImage {
    picture.apply_orientation(turn);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_keeps_its_proportions_and_is_never_enlarged() {
        assert_eq!(size(4000, 3000, 720), (720, 540));
        assert_eq!(size(3000, 4000, 1280), (960, 1280));
        assert_eq!(size(640, 480, 720), (640, 480));
        assert_eq!(size(10_000, 3, 720), (720, 1));
        assert_eq!(size(720, 721, 720), (719, 720));
    }

    #[test]
    fn what_shines_through_becomes_white() {
        let clear = image::RgbaImage::from_pixel(2, 2, image::Rgba([9, 9, 9, 0]));
        assert_eq!(fitted(clear.into(), 720).unwrap().into_rgb8().get_pixel(0, 0).0, [255; 3]);
    }
}
