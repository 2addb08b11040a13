//! From a decoded image to what is kept of it, and to what a model takes, as torchvision and timm
//! do it.

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::images::decode::read;
use crate::images::resize::{View, resize, resize_part};
use crate::sources::set::Source;

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

/// What is kept of an image between its file and the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// What the model takes: resized and cropped at the centre.
    #[default]
    Fitted,
    /// The whole picture, for crops at random: its shorter side reduced to 8/7 of the model's (256
    /// pixels for 224, what a centre crop of 0.875 is cut from), or as it is where it is smaller.
    ///
    /// Crops are cut from this picture whether it is cached or not, so that a cache changes speed
    /// and nothing else; a crop of a quarter of the picture is enlarged by 1.75 then, as it would
    /// be from a photograph of 256 pixels. 4000×3000 pixels of each file would be 36 MB to keep.
    Whole,
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raster {
    /// Height, pixels.
    pub(crate) height: usize,
    /// Width, pixels.
    pub(crate) width: usize,
    /// `[height, width, 3]` bytes.
    pub(crate) pixels: Vec<u8>,
}

impl Raster {
    pub(crate) fn view(&self) -> View<'_> {
        View::new(&self.pixels, [self.height, self.width])
    }
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

    /// Most bytes that are kept of an ordinary photograph, whose sides are as 3 to 2.
    pub(crate) fn kept_bytes(&self, keep: Keep) -> u64 {
        let [height, width] = match keep {
            Keep::Fitted => [self.height, self.width],
            Keep::Whole => self.whole(),
        };
        let bytes = (height * width * 3) as u64;
        match keep {
            Keep::Fitted => bytes,
            Keep::Whole => bytes * 3 / 2,
        }
    }

    /// What is kept of an image.
    pub(crate) fn keep(&self, image: Raster, keep: Keep) -> Result<Raster, String> {
        match keep {
            Keep::Fitted => self.fit(&image),
            Keep::Whole => {
                let [height, width] = covering(image.height, image.width, self.whole());
                if height >= image.height {
                    return Ok(image);
                }
                self.refuse_strips(&image, [height, width])?;
                let pixels = resize(image.view(), [height, width], self.filter);
                Ok(Raster {
                    height,
                    width,
                    pixels,
                })
            }
        }
    }

    /// Resized and cropped at the centre.
    pub(crate) fn fit(&self, image: &Raster) -> Result<Raster, String> {
        let (height, width) = (self.height, self.width);
        if (image.height, image.width) == (height, width) && self.crop >= 1.0 {
            return Ok(image.clone());
        }
        let covered = [covered(height, self.crop), covered(width, self.crop)];
        let size = covering(image.height, image.width, covered);
        self.refuse_strips(image, size)?;
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

    /// Sides to cover by what is kept whole.
    fn whole(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| covered(side, self.crop.min(0.875)))
    }

    /// A strip of 1×1000000 pixels would grow by the square of the target.
    fn refuse_strips(&self, image: &Raster, size: [usize; 2]) -> Result<(), String> {
        let limit = self.max_pixels.max((self.height * self.width) as u64);
        if size[0].saturating_mul(size[1]) as u64 > limit {
            return Err(format!(
                "its sides, {}×{}, are too unequal to resize",
                image.width, image.height
            ));
        }
        Ok(())
    }
}

/// Decodes an image and reduces it to what is kept of it.
pub(crate) fn prepare(
    source: &Source,
    preprocess: &Preprocess,
    keep: Keep,
) -> Result<Raster, DataError> {
    let image = read(source, preprocess.max_pixels)?;
    preprocess
        .keep(image, keep)
        .map_err(|reason| DataError::Image {
            name: source.name(),
            reason,
        })
}

/// Height and width after resizing: as small as covers the target in both.
///
/// For a square target this is torchvision's `Resize`: the shorter side becomes the target, the
/// longer one `int(target · longer / shorter)`.
fn covering(height: usize, width: usize, [target_height, target_width]: [usize; 2]) -> [usize; 2] {
    if target_height * width >= target_width * height {
        [
            target_height,
            (target_height * width / height).max(target_width),
        ]
    } else {
        [
            (target_width * height / width).max(target_height),
            target_width,
        ]
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

    fn red(source: &Source, preprocess: &Preprocess, keep: Keep) -> ([usize; 2], Vec<u8>) {
        let image = prepare(source, preprocess, keep).unwrap();
        let red = image.pixels.iter().step_by(3).copied().collect();
        ([image.height, image.width], red)
    }

    #[test]
    fn a_wide_image_is_cropped_at_the_centre() {
        // Height fits already: columns 1 and 2 of 0..4 stay.
        let source = grey(4, 2, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let (_, red) = red(&source, &Preprocess::square(2), Keep::Fitted);
        assert_eq!(red, [1, 2, 5, 6]);
    }

    #[test]
    fn halving_averages_with_the_antialiased_triangle() {
        // PIL's triangle of support 2 around 1.0 and 3.0: weights 3/7, 3/7, 1/7 and mirrored.
        let row = [0, 0, 70, 70];
        let source = grey(4, 4, &row.repeat(4));
        let (_, red) = red(&source, &Preprocess::square(2), Keep::Fitted);
        assert_eq!(red, [10, 60, 10, 60]);
    }

    #[test]
    fn whole_pictures_are_reduced_and_never_enlarged() {
        let strip: Vec<u8> = (0..32).collect();
        // 8/7 of 7 is 8: 8×16 stays, 16×32 would be halved.
        let (size, values) = red(&grey(4, 8, &strip), &Preprocess::square(7), Keep::Whole);
        assert_eq!((size, values), ([8, 4], strip));
        let large = grey(32, 16, &[9; 512]);
        let (size, values) = red(&large, &Preprocess::square(7), Keep::Whole);
        assert_eq!((size, values), ([8, 16], vec![9; 128]));
    }

    #[test]
    fn a_crop_of_seven_eighths_is_the_same_from_the_whole_picture() {
        // Both are cut from the picture whose shorter side is 8/7 of the model's.
        let values: Vec<u8> = (0..60 * 40_u32).map(|i| (i * i % 251) as u8).collect();
        let preprocess = Preprocess {
            crop: 0.875,
            ..Preprocess::square(14)
        };
        let source = grey(60, 40, &values);
        let whole = prepare(&source, &preprocess, Keep::Whole).unwrap();
        assert_eq!([whole.height, whole.width], [16, 24]);
        assert_eq!(
            preprocess.fit(&whole).unwrap(),
            prepare(&source, &preprocess, Keep::Fitted).unwrap()
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
        assert_eq!(covering(100, 150, [64, 64]), [64, 96]);
        assert_eq!(covering(133, 100, [64, 64]), [85, 64]);
    }
}
