//! Small JPEG pictures of images.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::raster::Raster;
use super::resize::{Filter, resize};

/// JPEG's usual quality for pictures that are looked at in passing.
const QUALITY: u8 = 80;

/// A JPEG of an image, reduced so that its longer side is at most `side` pixels.
pub(crate) fn thumbnail(image: &Raster, side: usize) -> Result<Vec<u8>, String> {
    let longest = image.height.max(image.width).max(1);
    let small;
    let image = if longest <= side {
        image
    } else {
        let reduced = |length: usize| (length * side).div_ceil(longest).max(1);
        let [height, width] = [reduced(image.height), reduced(image.width)];
        small = Raster {
            height,
            width,
            pixels: resize(image.view(), [height, width], Filter::Bilinear),
        };
        &small
    };
    let pixels = |length: usize| u32::try_from(length).map_err(|error| error.to_string());
    let (width, height) = (pixels(image.width)?, pixels(image.height)?);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .write_image(&image.pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_is_a_reduced_jpeg_of_about_the_same_colours() {
        let (height, width) = (40, 100);
        let pixels: Vec<u8> = [200, 100, 50].repeat(height * width);
        let image = Raster {
            height,
            width,
            pixels,
        };
        for (side, size) in [(50, (50, 20)), (100, (100, 40)), (200, (100, 40))] {
            let jpeg = thumbnail(&image, side).unwrap();
            let read = image::load_from_memory(&jpeg).unwrap().into_rgb8();
            assert_eq!(read.dimensions(), size);
            let middle = read.get_pixel(5, 5).0;
            for (found, wanted) in middle.iter().zip([200_u8, 100, 50]) {
                assert!(found.abs_diff(wanted) < 6, "{middle:?}");
            }
        }
    }
}
