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
    /// Those of the training images of CLIP (arXiv:2103.00020).
    pub const CLIP: Self = Self {
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
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

    /// The bytes `[height, width, 3]` of normalised values `[3, height, width]`; values outside of 0–1
    /// are cut off.
    pub(crate) fn bytes(&self, values: &[f32]) -> Vec<u8> {
        let length = values.len() / 3;
        let mut pixels = vec![0; 3 * length];
        let (bytes, _) = pixels.as_chunks_mut::<3>();
        for (channel, plane) in values.chunks_exact(length.max(1)).take(3).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (pixel, value) in bytes.iter_mut().zip(plane) {
                let value = (255.0 * (value * std + mean)).round().clamp(0.0, 255.0);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                {
                    pixel[channel] = value as u8;
                }
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_normalisation_and_values_outside_are_cut_off() {
        let bytes: Vec<u8> = (0..=255)
            .flat_map(|value| [value, 255 - value, value / 2])
            .collect();
        for norm in [Normalization::IMAGENET, Normalization::HALF] {
            let mut values = vec![0.0; bytes.len()];
            norm.write(&bytes, &mut values);
            assert_eq!(norm.bytes(&values), bytes);
        }
        // −1 to 1 are 0 to 255.
        assert_eq!(Normalization::HALF.bytes(&[-3.0, 0.0, 3.0]), [0, 128, 255]);
        assert!(Normalization::HALF.bytes(&[]).is_empty());
    }
}
