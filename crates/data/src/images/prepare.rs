//! From a decoded image to the size at which it is stored, and to the size that a model takes, as
//! torchvision and timm do it.

use serde::{Deserialize, Serialize};

use super::decode::{read, read_with_checksum};
use super::raster::Raster;
use super::resize::{Filter, resize, resize_part};
use crate::error::DataError;
use crate::sources::Source;

/// How a picture becomes one with the sides that a model takes, whatever its own are.
///
/// Random crops of training images are not concerned: they are taken from the whole picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Resized with its proportions until it covers the target, and cropped at the centre
    /// (torchvision's `Resize` and `CenterCrop`; timm's crop mode `center`).
    #[default]
    Crop,
    /// The whole picture, resized to the target, so that its proportions may change (timm's
    /// `squash`, fastai's `squish`, both with a crop of 1).
    Squash,
    /// The whole picture, resized with its proportions until it fits into the target, with black
    /// at both sides (fastai's `pad`).
    Pad,
}

/// How a decoded image becomes an image of the size that a model takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocess {
    /// Height of the result in pixels.
    pub height: usize,
    /// Width of the result in pixels.
    pub width: usize,
    /// Resizing filter.
    pub filter: Filter,
    /// How the picture is fitted to these sides.
    pub fit: Fit,
    /// With [`Fit::Crop`], the sides of the centre crop as a share of the sides of the resized image,
    /// above 0 and at most 1: for 224 pixels, 0.875 resizes to 256.
    pub crop: f32,
    /// Images with more pixels than this are rejected.
    pub max_pixels: u64,
}

/// The size at which decoded images are stored between their files and the batches.
///
/// The names of the variants are part of the hash that is the name of a cache file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoredSize {
    /// As the model takes it: resized and fitted to its sides.
    #[default]
    Fitted,
    /// The whole picture, for random crops. Its shorter side is reduced to 8/7 of that of the model
    /// (256 pixels for 224, from which a centre crop of 0.875 is cut); a smaller picture keeps its
    /// size.
    ///
    /// Random crops are cut from this picture even without a cache, so that a cache changes speed and
    /// nothing else. A crop of a quarter of the picture is enlarged by 1.75, as it would be from a
    /// photograph of 256 pixels. Storing 4000×3000 pixels instead would take 36 MB per image.
    Whole,
}

impl Preprocess {
    /// Longest side of an image for a model, in pixels. A batch of 32 takes 6 GB then.
    pub const MOST_SIDE: usize = 4096;

    /// Square images with sides of `side` pixels: resized with the bilinear filter so that the shorter
    /// side is `side` (`crop` is 1), from images of at most 100 million pixels.
    #[must_use]
    pub fn square(side: usize) -> Self {
        Self {
            height: side,
            width: side,
            filter: Filter::Bilinear,
            fit: Fit::Crop,
            crop: 1.0,
            max_pixels: 100_000_000,
        }
    }

    /// Bytes that an ordinary photograph (sides 3 to 2) takes when it is stored at that size.
    pub(crate) fn stored_bytes(&self, size: StoredSize) -> u64 {
        let [height, width] = match size {
            StoredSize::Fitted => [self.height, self.width],
            StoredSize::Whole => self.whole(),
        };
        let bytes = (height as u64)
            .saturating_mul(width as u64)
            .saturating_mul(3);
        match size {
            StoredSize::Fitted => bytes,
            StoredSize::Whole => bytes.saturating_add(bytes / 2),
        }
    }

    /// Checks the sides before images of this size are made.
    ///
    /// # Errors
    ///
    /// [`DataError::ImageSize`] if a side is 0 or more than [`MOST_SIDE`](Self::MOST_SIDE).
    pub fn check(&self) -> Result<(), DataError> {
        for side in [self.height, self.width] {
            if !(1..=Self::MOST_SIDE).contains(&side) {
                return Err(DataError::ImageSize {
                    side,
                    most: Self::MOST_SIDE,
                });
            }
        }
        Ok(())
    }

    /// The image at the size at which it is stored.
    fn to_stored(self, image: Raster, size: StoredSize) -> Result<Raster, String> {
        match size {
            StoredSize::Fitted => self.fit(&image),
            StoredSize::Whole => {
                let [height, width] = covering(image.height, image.width, self.whole());
                if height >= image.height {
                    return Ok(image);
                }
                self.reject_strips(&image, [height, width])?;
                Ok(self.resized(&image, [height, width]))
            }
        }
    }

    /// The image as the model takes it.
    pub(crate) fn fit(&self, image: &Raster) -> Result<Raster, String> {
        let same = (image.height, image.width) == (self.height, self.width);
        match self.fit {
            Fit::Crop if same && self.crop >= 1.0 => Ok(image.clone()),
            Fit::Squash | Fit::Pad if same => Ok(image.clone()),
            Fit::Crop => self.cropped(image),
            Fit::Squash => Ok(self.resized(image, [self.height, self.width])),
            Fit::Pad => Ok(self.padded(image)),
        }
    }

    fn resized(&self, image: &Raster, [height, width]: [usize; 2]) -> Raster {
        Raster {
            height,
            width,
            pixels: resize(image.view(), [height, width], self.filter),
        }
    }

    /// The whole picture in the middle, on black.
    fn padded(&self, image: &Raster) -> Raster {
        let (height, width) = (self.height, self.width);
        let inner = self.resized(image, inside(image.height, image.width, [height, width]));
        let (top, left) = ((height - inner.height) / 2, (width - inner.width) / 2);
        let mut pixels = vec![0; height * width * 3];
        let rows = pixels.chunks_exact_mut(width * 3).skip(top);
        for (to, from) in rows.zip(inner.pixels.chunks_exact(inner.width * 3)) {
            to[left * 3..][..from.len()].copy_from_slice(from);
        }
        Raster {
            height,
            width,
            pixels,
        }
    }

    /// Resized until it covers the target, and cropped at the centre.
    fn cropped(&self, image: &Raster) -> Result<Raster, String> {
        let (height, width) = (self.height, self.width);
        let covered = [covered(height, self.crop), covered(width, self.crop)];
        let size = covering(image.height, image.width, covered);
        self.reject_strips(image, size)?;
        let top = crop_start(size[0], height);
        let left = crop_start(size[1], width);
        let part = [top..top + height, left..left + width];
        let pixels = resize_part(image.view(), size, part, self.filter);
        Ok(Raster {
            height,
            width,
            pixels,
        })
    }

    /// Sides that a whole picture covers when it is stored.
    fn whole(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| covered(side, self.crop.min(0.875)))
    }

    /// Rejects images that would become too large: resizing a strip of 1×1000000 pixels multiplies its
    /// pixels by the square of the shorter side of the target.
    fn reject_strips(&self, image: &Raster, size: [usize; 2]) -> Result<(), String> {
        let limit = self
            .max_pixels
            .max(self.height.saturating_mul(self.width) as u64);
        if size[0].saturating_mul(size[1]) as u64 > limit {
            return Err(format!(
                "its sides, {}×{}, are too unequal for resizing",
                image.width, image.height
            ));
        }
        Ok(())
    }
}

/// Decodes an image and reduces it to the size at which it is stored.
pub(crate) fn prepare(
    source: &Source,
    preprocess: &Preprocess,
    size: StoredSize,
) -> Result<Raster, DataError> {
    stored(
        source,
        read(source, preprocess.max_pixels)?,
        preprocess,
        size,
    )
}

/// As [`prepare`], with a checksum of the image's file.
pub(crate) fn prepare_with_checksum(
    source: &Source,
    preprocess: &Preprocess,
    size: StoredSize,
) -> Result<(Raster, Option<u32>), DataError> {
    let (image, checksum) = read_with_checksum(source, preprocess.max_pixels)?;
    Ok((stored(source, image, preprocess, size)?, checksum))
}

fn stored(
    source: &Source,
    image: Raster,
    preprocess: &Preprocess,
    size: StoredSize,
) -> Result<Raster, DataError> {
    preprocess
        .to_stored(image, size)
        .map_err(|reason| DataError::Image {
            name: source.name(),
            reason,
        })
}

/// Height and width after resizing: the smallest that cover the target.
///
/// For a square target this is torchvision's `Resize`: the shorter side becomes that of the target,
/// the longer one `int(target · longer / shorter)`.
fn covering(height: usize, width: usize, [target_height, target_width]: [usize; 2]) -> [usize; 2] {
    let (by_height, by_width) = (
        target_height.saturating_mul(width),
        target_width.saturating_mul(height),
    );
    if by_height >= by_width {
        [target_height, (by_height / height).max(target_width)]
    } else {
        [(by_width / width).max(target_height), target_width]
    }
}

/// Height and width after resizing: the largest with the same proportions, rounded to pixels, that lie
/// within the target.
fn inside(height: usize, width: usize, [target_height, target_width]: [usize; 2]) -> [usize; 2] {
    let scaled = |side: usize, target: usize, by: usize| {
        // `side · target / by`, rounded to the nearest.
        (side.saturating_mul(target).saturating_add(by / 2) / by).max(1)
    };
    if target_height.saturating_mul(width) >= target_width.saturating_mul(height) {
        let inner = scaled(height, target_width, width);
        [inner.min(target_height), target_width]
    } else {
        let inner = scaled(width, target_height, height);
        [target_height, inner.min(target_width)]
    }
}

/// The side to resize to before a centre crop of side `target`: `⌊target / crop⌋`, rounded as in timm.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn covered(target: usize, crop: f32) -> usize {
    // The small addition undoes the rounding of `crop` to f32, so that 224 / 0.875 is 256.
    let side = (target as f64 / f64::from(crop) + 1e-4).floor() as usize;
    side.max(target)
}

/// First row or column of torchvision's `CenterCrop`: `round((size - target) / 2)`, halves to even.
fn crop_start(size: usize, target: usize) -> usize {
    let twice = size - target;
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 {
        half + 1
    } else {
        half
    }
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

    fn red(source: &Source, preprocess: &Preprocess, size: StoredSize) -> ([usize; 2], Vec<u8>) {
        let image = prepare(source, preprocess, size).unwrap();
        let red = image.pixels.iter().step_by(3).copied().collect();
        ([image.height, image.width], red)
    }

    #[test]
    fn a_wide_image_is_cropped_at_the_centre() {
        // The height already equals the target's. Columns 1 and 2 of 0..4 remain.
        let source = grey(4, 2, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let (_, red) = red(&source, &Preprocess::square(2), StoredSize::Fitted);
        assert_eq!(red, [1, 2, 5, 6]);
    }

    #[test]
    fn halving_averages_with_the_antialiased_triangle() {
        // PIL's triangle filter with support 2 around 1.0 has the weights 3/7, 3/7, 1/7; around 3.0
        // it has the same in reverse order.
        let row = [0, 0, 70, 70];
        let source = grey(4, 4, &row.repeat(4));
        let (_, red) = red(&source, &Preprocess::square(2), StoredSize::Fitted);
        assert_eq!(red, [10, 60, 10, 60]);
    }

    #[test]
    fn whole_pictures_are_reduced_but_never_enlarged() {
        let strip: Vec<u8> = (0..32).collect();
        // The limit of the shorter side is 8/7 · 7 = 8: 4×8 is smaller and keeps its size, and
        // 16×32 is halved.
        let (size, values) = red(
            &grey(4, 8, &strip),
            &Preprocess::square(7),
            StoredSize::Whole,
        );
        assert_eq!((size, values), ([8, 4], strip));
        let large = grey(32, 16, &[9; 512]);
        let (size, values) = red(&large, &Preprocess::square(7), StoredSize::Whole);
        assert_eq!((size, values), ([8, 16], vec![9; 128]));
    }

    #[test]
    fn a_centre_crop_of_seven_eighths_is_the_same_from_the_whole_picture() {
        // Both are cut from a picture whose shorter side is 8/7 of the model's.
        let values: Vec<u8> = (0..60 * 40_u32).map(|i| (i * i % 251) as u8).collect();
        let preprocess = Preprocess {
            crop: 0.875,
            ..Preprocess::square(14)
        };
        let source = grey(60, 40, &values);
        let whole = prepare(&source, &preprocess, StoredSize::Whole).unwrap();
        assert_eq!([whole.height, whole.width], [16, 24]);
        assert_eq!(
            preprocess.fit(&whole).unwrap(),
            prepare(&source, &preprocess, StoredSize::Fitted).unwrap()
        );
    }

    #[test]
    fn a_whole_picture_is_squashed_or_padded() {
        // Two columns become one; both have the same value, which their mean has, too.
        let source = grey(4, 2, &[10, 10, 30, 30, 50, 50, 70, 70]);
        let fit = |fit: Fit| {
            let preprocess = Preprocess {
                fit,
                ..Preprocess::square(2)
            };
            red(&source, &preprocess, StoredSize::Fitted)
        };
        let (size, squashed) = fit(Fit::Squash);
        // The triangle filter of width 2 around columns 1 and 3 gives 1/7 to a pixel of the other half:
        // (10 · 3 + 10 · 3 + 30) / 7 = 12.86.
        assert_eq!((size, squashed), ([2, 2], vec![13, 27, 53, 67]));
        // 4 × 2 pixels become 2 × 1, which leaves one row: the lower one.
        let (size, padded) = fit(Fit::Pad);
        assert_eq!(size, [2, 2]);
        assert_eq!(padded[2..], [0, 0]);
        assert!(padded[0] > 20 && padded[1] > padded[0], "{padded:?}");
    }

    #[test]
    fn a_picture_inside_a_square_keeps_its_proportions() {
        assert_eq!(inside(100, 150, [64, 64]), [43, 64]);
        assert_eq!(inside(150, 100, [64, 64]), [64, 43]);
        assert_eq!(inside(1, 100_000, [64, 64]), [1, 64]);
        assert_eq!(inside(7, 7, [64, 64]), [64, 64]);
        assert_eq!(inside(20, 20, [10, 40]), [10, 10]);
    }

    #[test]
    fn the_offsets_of_centre_crops_are_rounded_as_in_python() {
        // In Python, round(0.5) = 0, round(1.5) = 2 and round(2.5) = 2.
        assert_eq!(
            [1, 3, 5, 4].map(|extra| crop_start(10 + extra, 10)),
            [0, 2, 2, 2]
        );
    }

    #[test]
    fn resizing_keeps_the_proportions() {
        // torchvision: int(64 · 150 / 100) = 96, int(64 · 133 / 100) = 85.
        assert_eq!(covering(100, 150, [64, 64]), [64, 96]);
        assert_eq!(covering(133, 100, [64, 64]), [85, 64]);
    }
}
