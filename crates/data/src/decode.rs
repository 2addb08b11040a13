//! Decoding, resizing and cropping, as torchvision does it.

use std::io::{BufRead, Cursor, Seek};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::images::Images;
use crate::jpeg::is_whole;
use crate::resize::resize;
use crate::set::{ImageSet, Source};

/// How a resized pixel is put together from those around it, both antialiased as in PIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle.
    #[default]
    Bilinear,
    /// Catmull–Rom.
    Bicubic,
}

/// What happens to an image before it is a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocess {
    /// Height afterwards, pixels.
    pub height: usize,
    /// Width afterwards, pixels.
    pub width: usize,
    /// Resizing filter.
    pub filter: Filter,
    /// Share of the resized image's sides that the centre crop keeps, above 0 and at most 1:
    /// 0.875 resizes to 256 pixels for 224.
    pub crop: f32,
    /// Images with more pixels than this are refused.
    pub max_pixels: u64,
}

impl Preprocess {
    /// Square images of that side, bilinear, at most 100 million pixels before.
    #[must_use]
    pub fn square(side: usize) -> Self {
        Self {
            height: side,
            width: side,
            filter: Filter::Bilinear,
            crop: 1.0,
            max_pixels: 100_000_000,
        }
    }
}

impl ImageSet {
    /// Decodes all images, in parallel, order kept.
    ///
    /// Grey and 16-bit images become 8-bit RGB, an alpha channel is dropped, EXIF orientation is
    /// applied. The shorter side is resized to the target (divided by `crop`), the rest cropped at
    /// the centre (torchvision's `Resize` and `CenterCrop`).
    ///
    /// # Errors
    ///
    /// The first image, in order, that cannot be decoded, is cut short, too large, or so long and
    /// narrow that it would be too large after resizing.
    pub fn decode(&self, preprocess: &Preprocess) -> Result<Images, DataError> {
        let size = preprocess.height * preprocess.width * 3;
        let mut pixels = vec![0; self.len() * size];
        let outcomes: Vec<Result<(), DataError>> = pixels
            .par_chunks_mut(size.max(1))
            .zip(&self.samples)
            .map(|(to, sample)| {
                to.copy_from_slice(&prepare(&sample.source, preprocess)?);
                Ok(())
            })
            .collect();
        // In the samples' order, so that the same image is named whatever the threads do.
        outcomes.into_iter().collect::<Result<(), _>>()?;
        Ok(Images::new(
            self.classes.clone(),
            [preprocess.height, preprocess.width],
            self.samples.iter().map(|sample| sample.label).collect(),
            pixels,
        ))
    }
}

/// One image as `[height, width, 3]` bytes.
pub(crate) fn prepare(source: &Source, preprocess: &Preprocess) -> Result<Vec<u8>, DataError> {
    let failed = |reason: String| DataError::Image {
        name: source.name(),
        reason,
    };
    let image = read(source, preprocess.max_pixels)?;
    let (width, height) = image.dimensions();
    let (target_height, target_width) = (preprocess.height, preprocess.width);
    let (new_height, new_width) = resized(height as usize, width as usize, preprocess);
    // A strip of 1×1000000 pixels would grow by the square of the target.
    let limit = preprocess
        .max_pixels
        .max((target_height * target_width) as u64);
    if new_height.saturating_mul(new_width) as u64 > limit {
        return Err(failed(format!(
            "its sides, {width}×{height}, are too unequal to resize"
        )));
    }
    let resized = if (new_height, new_width) == (height as usize, width as usize) {
        image.into_raw()
    } else {
        resize(
            image.as_raw(),
            [height as usize, width as usize],
            [new_height, new_width],
            preprocess.filter,
        )
    };
    let top = crop_start(new_height, target_height);
    let left = crop_start(new_width, target_width);
    Ok((top..top + target_height)
        .flat_map(|row| {
            let start = (row * new_width + left) * 3;
            resized[start..start + target_width * 3].iter().copied()
        })
        .collect())
}

/// Height and width after resizing: as small as covers the target, divided by `crop`, in both.
///
/// For a square target this is torchvision's `Resize`: the shorter side becomes the target, the
/// longer one `int(target · longer / shorter)`.
fn resized(height: usize, width: usize, preprocess: &Preprocess) -> (usize, usize) {
    let (target_height, target_width) = (
        covered(preprocess.height, preprocess.crop),
        covered(preprocess.width, preprocess.crop),
    );
    if target_height * width >= target_width * height {
        (
            target_height,
            (target_height * width / height).max(target_width),
        )
    } else {
        (
            (target_width * height / width).max(target_height),
            target_width,
        )
    }
}

/// The side to resize to for a centre crop of `target`: `⌊target / crop⌋`, as timm rounds it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn covered(target: usize, crop: f32) -> usize {
    // The small addition undoes the rounding of f32: 224 / 0.875 is 256.
    let side = (target as f64 / f64::from(crop) + 1e-4).floor() as usize;
    side.max(target)
}

/// Where torchvision's `CenterCrop` starts: `round((size - target) / 2)`, halves to even.
fn crop_start(size: usize, target: usize) -> usize {
    let twice = size - target;
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 {
        half + 1
    } else {
        half
    }
}

pub(crate) fn read(source: &Source, max_pixels: u64) -> Result<RgbImage, DataError> {
    match source {
        Source::File(path) => {
            let io = |source| DataError::Io {
                path: path.clone(),
                source,
            };
            let file = std::fs::File::open(path).map_err(io)?;
            decode(std::io::BufReader::new(file), source, max_pixels)
        }
        Source::Memory { bytes, .. } => decode(Cursor::new(*bytes), source, max_pixels),
        Source::Grey {
            height,
            width,
            values,
            ..
        } => {
            let rgb = values.iter().flat_map(|value| [*value; 3]).collect();
            RgbImage::from_raw(*width, *height, rgb).ok_or_else(|| DataError::Image {
                name: source.name(),
                reason: "it has fewer values than pixels".to_owned(),
            })
        }
    }
}

fn decode(
    mut data: impl BufRead + Seek,
    source: &Source,
    limit: u64,
) -> Result<RgbImage, DataError> {
    let failed = |error: &dyn std::fmt::Display| DataError::Image {
        name: source.name(),
        reason: error.to_string().lines().collect::<Vec<_>>().join(" "),
    };
    // By content: an ending may lie.
    let reader = ImageReader::new(&mut data)
        .with_guessed_format()
        .map_err(|error| failed(&error))?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let mut decoder = reader.into_decoder().map_err(|error| failed(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limit {
        return Err(DataError::TooLarge {
            name: source.name(),
            width,
            height,
            limit,
        });
    }
    if width == 0 || height == 0 {
        return Err(failed(&"it has no pixels"));
    }
    let orientation = decoder.orientation().map_err(|error| failed(&error))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| failed(&error))?;
    if is_jpeg {
        let whole = data.rewind().and_then(|()| is_whole(&mut data));
        if !whole.map_err(|error| failed(&error))? {
            return Err(failed(&"it is cut short"));
        }
    }
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, values: &[u8]) -> Source {
        Source::Grey {
            name: "grey".to_owned(),
            height,
            width,
            values: values.into(),
        }
    }

    #[test]
    fn a_wide_image_is_cropped_at_the_centre() {
        // Height fits already: columns 1 and 2 of 0..4 stay.
        let source = grey(4, 2, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let pixels = prepare(&source, &Preprocess::square(2)).unwrap();
        assert_eq!(pixels, [1, 1, 1, 2, 2, 2, 5, 5, 5, 6, 6, 6]);
    }

    #[test]
    fn halving_averages_with_the_antialiased_triangle() {
        // PIL's triangle of support 2 around 1.0 and 3.0: weights 3/7, 3/7, 1/7 and mirrored.
        let source = grey(
            4,
            4,
            &[0, 0, 70, 70, 0, 0, 70, 70, 0, 0, 70, 70, 0, 0, 70, 70],
        );
        let pixels = prepare(&source, &Preprocess::square(2)).unwrap();
        assert_eq!(
            pixels.iter().step_by(3).copied().collect::<Vec<_>>(),
            [10, 60, 10, 60]
        );
    }

    #[test]
    fn crop_starts_where_python_rounds() {
        // round(0.5) = 0, round(1.5) = 2, round(2.5) = 2 in Python.
        assert_eq!(
            [1, 3, 5, 4].map(|extra| crop_start(10 + extra, 10)),
            [0, 2, 2, 2]
        );
    }

    #[test]
    fn resized_keeps_the_longer_side_in_proportion() {
        // torchvision: int(64 · 150 / 100) = 96, int(64 · 133 / 100) = 85.
        let square = Preprocess::square(64);
        assert_eq!(resized(100, 150, &square), (64, 96));
        assert_eq!(resized(133, 100, &square), (85, 64));
    }
}
