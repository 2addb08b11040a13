//! Images ready for batches.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use crate::batches::batch::{Epoch, fill};
use crate::batches::order::Sampling;
use crate::check::Broken;
use crate::error::DataError;
use crate::images::prepare::{Keep, Preprocess};
use crate::sources::set::ImageSet;
use crate::store::pipeline::Pipeline;
use crate::store::shelf::{self, Shelf};
use crate::store::{Built, Store, build};

/// Images of one size, decoded or ready to be.
#[derive(Debug, Clone)]
pub struct Images {
    /// Names of the classes; labels index them.
    pub classes: Vec<String>,
    /// Height, pixels.
    pub height: usize,
    /// Width, pixels.
    pub width: usize,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// How the images of an epoch are chosen where their order is random.
    pub sampling: Sampling,
    /// Images of the set that cannot be used and were left out.
    pub skipped: Vec<Broken>,
    /// What a person should know of where the images are kept.
    pub note: Option<String>,
    pub(crate) reader: Reader,
    /// Folder of the caches on disk.
    folder: PathBuf,
    /// Bytes that the files in there may take together.
    limit: u64,
}

/// What threads read images with.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) store: Arc<Store>,
    pub(crate) pool: Arc<ThreadPool>,
}

/// Mean and standard deviation that each channel is normalised with, of values in 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
}

impl Normalization {
    /// Of `ImageNet`'s training images, as torchvision uses it.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// From 0–1 to -1–1.
    pub const HALF: Self = Self {
        mean: [0.5; 3],
        std: [0.5; 3],
    };
}

/// Some images as tensors.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `(value / 255 - mean) / std`, `[batch, 3, height, width]`.
    pub images: Tensor<4>,
    /// Index of each image's class, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// Probability of each class, `[batch, classes]`, where images were mixed (mixup, CutMix): the
    /// target instead of `labels`, which then name the class of the first image of each mixture.
    pub soft: Option<Tensor<2>>,
}

impl ImageSet {
    /// Decodes all images into memory, order kept.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn decode(&self, preprocess: &Preprocess) -> Result<Images, DataError> {
        self.prepare(preprocess, Keep::Fitted, &Pipeline::memory())
    }

    /// Makes the images ready for batches: decoded and kept as the pipeline says.
    ///
    /// Grey, 16-bit and CMYK images become 8-bit RGB, an alpha channel is dropped, EXIF orientation
    /// is applied. The shorter side is resized to the target (divided by `crop`), the rest cropped at
    /// the centre (torchvision's `Resize` and `CenterCrop`). With [`Cache::None`](crate::Cache::None)
    /// only the headers are read now, unless images that cannot be used are to be left out.
    ///
    /// # Errors
    ///
    /// Unless they are left out, the first image, in order, that cannot be decoded, is cut short, too
    /// large, or so long and narrow that it would be too large after resizing; a class none of whose
    /// images can be used; a cache that cannot be written.
    pub fn prepare(
        &self,
        preprocess: &Preprocess,
        keep: Keep,
        pipeline: &Pipeline,
    ) -> Result<Images, DataError> {
        let pool = pipeline.pool()?;
        let Built {
            store,
            used,
            skipped,
            note,
        } = build(self, preprocess, keep, pipeline, &pool)?;
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

    /// Bytes that a file of what was computed from the images may take: the limit of the cache folder,
    /// or half of what is free on its disk.
    #[must_use]
    pub fn file_room(&self) -> u64 {
        self.limit.min(shelf::room(&self.folder) / 2)
    }

    /// A file in the cache folder for what is computed from the images. It has no name and is gone
    /// with the process.
    ///
    /// # Errors
    ///
    /// [`DataError::Shelf`] where it cannot be made.
    pub fn shelf_in_file(&self) -> Result<Shelf, DataError> {
        Shelf::in_file(&self.folder)
    }

    /// An image's bytes, `[height, width, 3]`, as the model takes them.
    ///
    /// # Errors
    ///
    /// An image that cannot be read.
    ///
    /// # Panics
    ///
    /// Where there is no image of that index.
    pub fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        Ok(match self.reader.store.fitted(index)? {
            Cow::Borrowed(image) => Cow::Borrowed(&image.pixels),
            Cow::Owned(image) => Cow::Owned(image.pixels),
        })
    }

    /// The images of those indices as tensors, as they are.
    ///
    /// # Errors
    ///
    /// An image that cannot be read.
    ///
    /// # Panics
    ///
    /// Where there is no image of an index.
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

    /// Values of some images of an epoch as tensors.
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
    use crate::sources::set::{Sample, Source};

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
            samples: vec![Sample { source, label: 0 }],
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
