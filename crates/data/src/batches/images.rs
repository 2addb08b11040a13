//! Images that are ready for batches.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{Device, TensorData};

use super::batch::{Batch, Epoch, fill};
use super::order::Sampling;
use crate::error::DataError;
use crate::images::{Normalization, Preprocess, StoredSize, UnusableImage, thumbnail};
use crate::sources::ImageSet;
use crate::store::{Built, ByteStore, Pipeline, Reader, build, free_disk_space};

/// Labelled images that are ready for batches: decoded, or checked and decoded for each batch.
#[derive(Debug, Clone)]
pub struct Images {
    /// Names of the classes; labels index them.
    pub classes: Vec<String>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Index of the class of each image.
    pub labels: Vec<usize>,
    /// How the images of a shuffled epoch are chosen.
    pub sampling: Sampling,
    /// Images of the set that were left out because they cannot be used.
    pub skipped: Vec<UnusableImage>,
    /// For each image of the set, those that were left out included, a checksum of its file; `None` if
    /// it has none, or the file was not read.
    pub checksums: Vec<Option<u32>>,
    /// A message to the user about where decoded images are stored.
    pub note: Option<String>,
    pub(crate) reader: Reader,
    /// Folder of the cache files.
    folder: PathBuf,
    /// Bytes that all cache files may take.
    limit: u64,
}

impl ImageSet {
    /// Decodes all images, in order, and stores them in memory.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn decode(&self, preprocess: &Preprocess) -> Result<Images, DataError> {
        self.prepare(preprocess, StoredSize::Fitted, &Pipeline::memory())
    }

    /// Makes the images ready for batches: decodes them and stores them as `pipeline` says, at the size
    /// `size`.
    ///
    /// Grey, 16-bit and CMYK images become 8-bit RGB, an alpha channel is dropped, and the EXIF
    /// orientation is applied. The shorter side is resized to that of the target divided by `crop`,
    /// and the image is cropped at the centre (torchvision's `Resize` and `CenterCrop`). With
    /// [`Cache::None`](crate::Cache::None) only the headers are read now, unless unusable images are
    /// to be left out.
    ///
    /// # Errors
    ///
    /// An image cannot be decoded, is truncated, too large, or so long and narrow that it would be too
    /// large after resizing (the first one in order; none if they are left out); no image of a class
    /// can be used; a cache file cannot be written.
    pub fn prepare(
        &self,
        preprocess: &Preprocess,
        size: StoredSize,
        pipeline: &Pipeline,
    ) -> Result<Images, DataError> {
        self.prepare_watched(preprocess, size, pipeline, &mut |_| ())
    }

    /// As [`prepare`](Self::prepare), which may take long: tells `decoded` again and again how many of
    /// the images have been looked at. It is not called if a cache file has them all.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn prepare_watched(
        &self,
        preprocess: &Preprocess,
        size: StoredSize,
        pipeline: &Pipeline,
        decoded: &mut dyn FnMut(usize),
    ) -> Result<Images, DataError> {
        let pool = pipeline.pool()?;
        let Built {
            store,
            used,
            skipped,
            checksums,
            note,
        } = build(self, preprocess, size, pipeline, &pool, decoded)?;
        let samples = self.samples.iter().zip(used);
        let labels: Vec<usize> = samples
            .filter(|(_, used)| *used)
            .map(|(sample, _)| sample.label)
            .collect();
        if !skipped.is_empty() {
            let lost = |label: usize| {
                !labels.contains(&label) && self.samples.iter().any(|sample| sample.label == label)
            };
            if let Some(label) = (0..self.classes.len()).find(|label| lost(*label)) {
                return Err(DataError::NoneLeft {
                    class: self.classes[label].clone(),
                    reason: skipped[0].reason.clone(),
                });
            }
        }
        Ok(Images {
            classes: self.classes.clone(),
            height: preprocess.height,
            width: preprocess.width,
            labels,
            sampling: Sampling::default(),
            skipped,
            checksums,
            note,
            reader: Reader {
                store: Arc::new(store),
                pool,
            },
            folder: pipeline.folder.clone(),
            limit: pipeline.limit(),
        })
    }
}

impl Images {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes that a file in the cache folder may take for what is computed from the images: the limit of
    /// the cache folder, or half of the free space on its disk if that is less.
    #[must_use]
    pub fn file_room(&self) -> u64 {
        self.limit.min(free_disk_space(&self.folder) / 2)
    }

    /// Creates a file in the cache folder for what is computed from the images. It has no name and
    /// disappears with the process.
    ///
    /// # Errors
    ///
    /// [`DataError::ByteStore`] if the file cannot be created.
    pub fn byte_store_in_file(&self) -> Result<ByteStore, DataError> {
        ByteStore::in_file(&self.folder)
    }

    /// The bytes of an image as the model takes it, `[height, width, 3]`.
    ///
    /// # Errors
    ///
    /// The image cannot be read.
    ///
    /// # Panics
    ///
    /// There is no image with this index.
    pub fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        Ok(match self.reader.store.fitted(index)? {
            Cow::Borrowed(image) => Cow::Borrowed(&image.pixels),
            Cow::Owned(image) => Cow::Owned(image.pixels),
        })
    }

    /// A small JPEG of an image as the model takes it, whose longer side is at most `side` pixels.
    ///
    /// # Errors
    ///
    /// The image cannot be read.
    ///
    /// # Panics
    ///
    /// There is no image with this index.
    pub fn thumbnail(&self, index: usize, side: usize) -> Result<Vec<u8>, DataError> {
        let image = self.reader.store.fitted(index)?;
        thumbnail(&image, side).map_err(|reason| DataError::Image {
            name: format!("image {}", index + 1),
            reason,
        })
    }

    /// The images with these indices as tensors, without augmentation.
    ///
    /// # Errors
    ///
    /// An image cannot be read.
    ///
    /// # Panics
    ///
    /// There is no image with one of the indices.
    pub fn batch(
        &self,
        indices: &[usize],
        norm: &Normalization,
        device: &Device,
    ) -> Result<Batch, DataError> {
        let epoch = Epoch::plain(indices.to_vec(), *norm);
        let values = fill(&self.reader, &epoch, 0..indices.len())?;
        Ok(self.tensors(values, &epoch, 0..indices.len(), device))
    }

    /// The values of the images at some positions of an epoch as tensors.
    pub(crate) fn tensors(
        &self,
        values: Vec<f32>,
        epoch: &Epoch,
        positions: std::ops::Range<usize>,
        device: &Device,
    ) -> Batch {
        let count = positions.len();
        let labels: Vec<i64> = epoch.indices[positions.clone()]
            .iter()
            .map(|index| i64::try_from(self.labels[*index]).unwrap_or(i64::MAX))
            .collect();
        let shape = [count, 3, self.height, self.width];
        let soft = epoch.targets(positions, &self.labels, self.classes.len(), shape);
        Batch {
            images: Tensor::from_data(TensorData::new(values, shape), device),
            labels: Tensor::from_data(TensorData::new(labels, [count]), device),
            soft: soft.map(|soft| {
                let data = TensorData::new(soft, [count, self.classes.len()]);
                Tensor::from_data(data, device)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{Sample, Source};

    #[test]
    fn values_are_normalised_and_channels_come_first() {
        let source = Source::Grey {
            name: "grey".to_owned(),
            height: 1,
            width: 2,
            values: [51, 255].into(),
        };
        let set = ImageSet {
            classes: vec!["a".to_owned()],
            samples: vec![Sample::new(source, 0)],
        };
        let preprocess = Preprocess {
            width: 2,
            ..Preprocess::square(1)
        };
        let norm = Normalization {
            mean: [0.0, 0.2, 0.5],
            std: [1.0, 0.5, 0.5],
        };
        let images = set.decode(&preprocess).unwrap();
        let batch = images.batch(&[0], &norm, &Device::flex()).unwrap();
        // 51/255 = 0.2 and 1: red 0.2, 1; green 0, 1.6; blue -0.6, 1.
        let values: Vec<f32> = batch.images.into_data().iter::<f32>().collect();
        for (value, wanted) in values.iter().zip([0.2, 1.0, 0.0, 1.6, -0.6, 1.0]) {
            assert!((value - wanted).abs() < 1e-6, "{values:?}");
        }
        assert!(batch.soft.is_none());
    }
}
