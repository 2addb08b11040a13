//! Decoded images and their batches.

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::augment::Warp;

/// Decoded images of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Names of the classes; labels index them.
    pub classes: Vec<String>,
    /// Height, pixels.
    pub height: usize,
    /// Width, pixels.
    pub width: usize,
    /// Class of each image.
    pub labels: Vec<usize>,
    pixels: Vec<u8>,
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

impl Images {
    pub(crate) fn new(
        classes: Vec<String>,
        [height, width]: [usize; 2],
        labels: Vec<usize>,
        pixels: Vec<u8>,
    ) -> Self {
        Self {
            classes,
            height,
            width,
            labels,
            pixels,
        }
    }

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

    /// An image's bytes, `[height, width, 3]`.
    ///
    /// # Panics
    ///
    /// Where there is no image of that index.
    #[must_use]
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.height * self.width * 3;
        &self.pixels[index * size..][..size]
    }

    /// The images of those indices as tensors, as they are.
    ///
    /// # Panics
    ///
    /// Where there is no image of an index.
    #[must_use]
    pub fn batch(&self, indices: &[usize], norm: &Normalization, device: &Device) -> Batch {
        self.warped(indices, norm, device, |_| Warp::none())
    }

    /// The images of those indices as tensors, each changed as `warp` says.
    pub(crate) fn warped(
        &self,
        indices: &[usize],
        norm: &Normalization,
        device: &Device,
        warp: impl Fn(usize) -> Warp + Sync,
    ) -> Batch {
        let size = self.height * self.width * 3;
        let mut values = vec![0.0; indices.len() * size];
        values
            .par_chunks_mut(size.max(1))
            .zip(indices)
            .for_each(|(image, index)| {
                warp(*index).write(self.pixels(*index), [self.height, self.width], norm, image);
            });
        let labels: Vec<i64> = indices
            .iter()
            .map(|index| i64::try_from(self.labels[*index]).unwrap_or(i64::MAX))
            .collect();
        let shape = [indices.len(), 3, self.height, self.width];
        Batch {
            images: Tensor::from_data(TensorData::new(values, shape), device),
            labels: Tensor::from_data(TensorData::new(labels, [indices.len()]), device),
            soft: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_normalised_and_channels_come_first() {
        let images = Images::new(
            vec!["a".to_owned()],
            [1, 2],
            vec![0],
            vec![0, 51, 255, 102, 51, 0],
        );
        let norm = Normalization {
            mean: [0.0, 0.2, 0.5],
            std: [1.0, 0.5, 0.5],
        };
        let batch = images.batch(&[0], &norm, &Device::flex());
        // Red 0, 102/255; green (0.2 - 0.2)/0.5 twice; blue (1 - 0.5)/0.5, (0 - 0.5)/0.5.
        let values: Vec<f32> = batch.images.into_data().iter::<f32>().collect();
        for (value, wanted) in values.iter().zip([0.0, 0.4, 0.0, 0.0, 1.0, -1.0]) {
            assert!((value - wanted).abs() < 1e-6, "{values:?}");
        }
    }
}
