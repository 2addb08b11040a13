//! Images that come one by one and not from a data set, as predictions need them.

use burn::Tensor;
use burn::tensor::{Device, TensorData};

use super::decode::{decode, read};
use super::normalization::Normalization;
use super::prepare::Preprocess;
use super::raster::Raster;
use crate::error::DataError;
use crate::guard::guarded;
use crate::sources::Source;

/// A decoded image at its own size: 8-bit RGB, turned as its EXIF orientation says.
#[derive(Debug, Clone)]
pub struct Picture {
    name: String,
    raster: Raster,
}

/// An image as a model takes it, before normalisation: 8-bit RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FittedImage {
    raster: Raster,
}

impl Picture {
    /// Decodes an image, with the same result and the same errors as
    /// [`ImageSet::prepare`](crate::ImageSet::prepare).
    ///
    /// # Errors
    ///
    /// It cannot be read or decoded, is truncated, or has more than `max_pixels` pixels.
    pub fn read(source: &Source, max_pixels: u64) -> Result<Self, DataError> {
        Self::of(source.name(), || read(source, max_pixels))
    }

    /// Decodes an image from the bytes of its file; `name` is for messages.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn decode(name: &str, bytes: &[u8], max_pixels: u64) -> Result<Self, DataError> {
        Self::of(name.to_owned(), || decode(name, bytes, max_pixels))
    }

    fn of(
        name: String,
        decode: impl FnOnce() -> Result<Raster, DataError>,
    ) -> Result<Self, DataError> {
        match guarded(decode) {
            Ok(raster) => Ok(Self {
                raster: raster?,
                name,
            }),
            Err(reason) => Err(DataError::Image { name, reason }),
        }
    }

    /// An image that is decoded already, from bytes `[height, width, 3]`; `name` is for messages.
    ///
    /// # Errors
    ///
    /// It has no pixels, or another number of bytes.
    pub fn rgb(
        name: &str,
        [height, width]: [usize; 2],
        pixels: Vec<u8>,
    ) -> Result<Self, DataError> {
        let wanted = finetune_files::elements(&[height, width, 3]);
        if wanted != Some(pixels.len()) || pixels.is_empty() {
            return Err(DataError::Image {
                name: name.to_owned(),
                reason: format!(
                    "{height}×{width} pixels in RGB cannot have {} bytes",
                    pixels.len()
                ),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            raster: Raster {
                height,
                width,
                pixels,
            },
        })
    }

    /// Height and width, pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        [self.raster.height, self.raster.width]
    }

    /// The image as a model takes it.
    ///
    /// # Errors
    ///
    /// It is so long and narrow that it would be too large after resizing.
    pub fn fitted(&self, preprocess: &Preprocess) -> Result<FittedImage, DataError> {
        let raster = preprocess.fit(&self.raster);
        let raster = raster.map_err(|reason| DataError::Image {
            name: self.name.clone(),
            reason,
        })?;
        Ok(FittedImage { raster })
    }
}

impl FittedImage {
    /// The bytes, `[height, width, 3]`.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.raster.pixels
    }

    /// Height and width, pixels.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        [self.raster.height, self.raster.width]
    }

    /// The image with left and right exchanged.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let mut mirrored = self.clone();
        for row in (mirrored.raster.pixels).chunks_exact_mut(3 * self.raster.width.max(1)) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        mirrored
    }

    /// Images of the same size as normalised values, `[images, 3, height, width]`.
    ///
    /// # Panics
    ///
    /// There is no image, or they have different sizes.
    #[must_use]
    pub fn batch(images: &[&Self], normalization: &Normalization, device: &Device) -> Tensor<4> {
        let [height, width] = images[0].size();
        let length = 3 * height * width;
        let mut values = vec![0.0; images.len() * length];
        for (image, values) in images.iter().zip(values.chunks_exact_mut(length)) {
            assert_eq!(
                image.size(),
                [height, width],
                "images of a batch have one size"
            );
            normalization.write(&image.raster.pixels, values);
        }
        let shape = [images.len(), 3, height, width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageSet, Sample};

    #[test]
    fn it_is_prepared_like_an_image_of_a_set_wherever_it_comes_from() {
        let pixels: Vec<u8> = (0..9 * 7 * 3_u32).map(|i| (i * i % 253) as u8).collect();
        let picture = image::RgbImage::from_raw(9, 7, pixels.clone()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        picture.save(&path).unwrap();
        let preprocess = Preprocess {
            crop: 0.875,
            ..Preprocess::square(5)
        };
        let source = Source::File(path.clone());
        let set = ImageSet {
            classes: vec!["a".to_owned()],
            samples: vec![Sample::new(source.clone(), 0)],
        };
        let images = set.decode(&preprocess).unwrap();
        let norm = Normalization::IMAGENET;
        let device = Device::flex();
        let wanted = images.batch(&[0, 0], &norm, &device).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for picture in [
            Picture::read(&source, 63).unwrap(),
            Picture::decode("a", &bytes, 63).unwrap(),
            Picture::rgb("a", [7, 9], pixels.clone()).unwrap(),
        ] {
            assert_eq!(picture.size(), [7, 9]);
            let fitted = picture.fitted(&preprocess).unwrap();
            assert_eq!(fitted.pixels(), &*images.pixels(0).unwrap());
            let batch = FittedImage::batch(&[&fitted, &fitted], &norm, &device);
            assert_eq!(batch.into_data(), wanted.images.clone().into_data());
        }
        for error in [
            Picture::read(&source, 62).unwrap_err(),
            Picture::decode("a.png", &bytes, 62).unwrap_err(),
            Picture::decode("a.png", &bytes[..60], 63).unwrap_err(),
            Picture::rgb("a.png", [7, 8], pixels.clone()).unwrap_err(),
            Picture::rgb("a.png", [0, 8], Vec::new()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("a.png"), "{error}");
        }
    }

    #[test]
    fn a_mirrored_image_has_its_columns_in_reverse() {
        let picture = Picture::rgb("a", [2, 3], (0..18).collect()).unwrap();
        let squash = Preprocess {
            fit: crate::Fit::Squash,
            width: 3,
            ..Preprocess::square(2)
        };
        let image = picture.fitted(&squash).unwrap();
        let mirrored = image.mirrored();
        assert_eq!(
            mirrored.pixels(),
            [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]
        );
        assert_eq!(mirrored.mirrored(), image);
    }
}
