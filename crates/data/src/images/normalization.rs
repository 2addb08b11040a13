//! From bytes to the values that a model takes.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation of each channel: a value `x` in 0–1 becomes `(x - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Means of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviations of red, green and blue.
    pub std: [f32; 3],
}

impl Normalization {
    /// Those of the training images of `ImageNet`, as in torchvision.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// From 0–1 to -1–1.
    pub const HALF: Self = Self {
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    /// Writes bytes `[height, width, 3]` as normalised values `[3, height, width]`.
    pub(crate) fn write(&self, pixels: &[u8], values: &mut [f32]) {
        let (pixels, _) = pixels.as_chunks::<3>();
        for (channel, plane) in values.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            let (mean, scale) = (self.mean[channel], 1.0 / self.std[channel]);
            for (value, pixel) in plane.iter_mut().zip(pixels) {
                *value = (f32::from(pixel[channel]) / 255.0 - mean) * scale;
            }
        }
    }
}
