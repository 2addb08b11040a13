//! What is known of the training images: their features and their classes.

use finetune_kernels::host::Matrix;

/// The features of images before the head of a model, and their classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examples {
    /// The features of all images, image by image.
    pub features: Vec<f32>,
    /// The number of features of an image.
    pub width: usize,
    /// The class of each image.
    pub labels: Vec<usize>,
    /// The number of classes.
    pub classes: usize,
}

impl Examples {
    /// The number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of images of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for label in &self.labels {
            counts[*label] += 1;
        }
        counts
    }

    /// The features of each image.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.features.chunks_exact(self.width.max(1))
    }
}

/// How features are shifted and scaled, each on its own: `(x - mean) / scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) mean: Vec<f64>,
    pub(crate) scale: Vec<f64>,
}

impl Scaling {
    /// Leaves the features as they are.
    pub(crate) fn none(width: usize) -> Self {
        Self {
            mean: vec![0.0; width],
            scale: vec![1.0; width],
        }
    }

    /// The scaling that gives each feature the mean 0 and the variance 1, as scikit-learn's
    /// `StandardScaler` does. A feature that is the same for all images has the scale 1; so has one that
    /// varies by no more than `f32` rounds it, because what is learnt of it would be learnt of rounding.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn standard(examples: &Examples) -> Self {
        /// Multiple of the precision of `f32` below which a variation is rounding.
        const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;
        let count = examples.len().max(1) as f64;
        let mut mean = vec![0.0; examples.width];
        for row in examples.rows() {
            for (sum, value) in mean.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        for sum in &mut mean {
            *sum /= count;
        }
        let mut scale = vec![0.0; examples.width];
        for row in examples.rows() {
            for ((sum, value), mean) in scale.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(*value) - mean).powi(2);
            }
        }
        for (sum, mean) in scale.iter_mut().zip(&mean) {
            let deviation = (*sum / count).sqrt();
            *sum = if deviation > ROUNDING * mean.abs() {
                deviation
            } else {
                1.0
            };
        }
        Self { mean, scale }
    }

    /// The scaled features, `[images, width]`.
    pub(crate) fn applied(&self, examples: &Examples) -> Matrix {
        let mut values = Vec::with_capacity(examples.features.len());
        for row in examples.rows() {
            let scaling = self.mean.iter().zip(&self.scale);
            let scaled = row.iter().zip(scaling);
            values.extend(scaled.map(|(value, (mean, scale))| (f64::from(*value) - mean) / scale));
        }
        Matrix::new(values, [examples.len(), examples.width])
    }

    /// Weights `[classes, width]` and biases `[classes]` of unscaled features that give the same logits
    /// as these ones of scaled features.
    pub(crate) fn unscaled(&self, weights: &[f64], biases: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut unscaled, mut shifted) = (Vec::with_capacity(weights.len()), Vec::new());
        for (row, bias) in weights.chunks_exact(self.mean.len().max(1)).zip(biases) {
            let divided = row
                .iter()
                .zip(&self.scale)
                .map(|(weight, scale)| weight / scale);
            let first = unscaled.len();
            unscaled.extend(divided);
            let means = unscaled[first..].iter().zip(&self.mean);
            shifted.push(bias - means.map(|(weight, mean)| weight * mean).sum::<f64>());
        }
        (unscaled, shifted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp)] // whole numbers
    fn features_get_the_mean_0_and_the_variance_1_unless_they_hardly_vary() {
        let rounded = 1.0 + f32::EPSILON;
        let examples = Examples {
            features: vec![1.0, 5.0, 1.0, 3.0, 5.0, rounded],
            width: 3,
            labels: vec![0, 1],
            classes: 2,
        };
        let scaling = Scaling::standard(&examples);
        assert_eq!(scaling.mean[..2], [2.0, 5.0]);
        assert_eq!(scaling.scale, [1.0, 1.0, 1.0]);
        let scaled = scaling.applied(&examples).into_values();
        assert_eq!(
            [scaled[0], scaled[1], scaled[3], scaled[4]],
            [-1.0, 0.0, 1.0, 0.0]
        );
        assert!(scaled[2].abs() < 1e-7 && scaled[5].abs() < 1e-7);
    }

    #[test]
    fn weights_of_scaled_features_become_weights_of_the_features_themselves() {
        let scaling = Scaling {
            mean: vec![2.0, -1.0],
            scale: vec![4.0, 0.5],
        };
        // 8·(x - 2)/4 + 3·(y + 1)/0.5 + 1 = 2·x + 6·y + 3.
        let unscaled = scaling.unscaled(&[8.0, 3.0], &[1.0]);
        assert_eq!(unscaled, (vec![2.0, 6.0], vec![3.0]));
    }
}
