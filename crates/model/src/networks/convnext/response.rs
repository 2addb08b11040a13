//! Global response normalisation: Woo et al. 2023 (arXiv:2301.00808, section 3 and algorithm 1).

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Device;

/// Added to the mean of the norms, as in the paper's code.
const EPSILON: f64 = 1e-6;

/// Added to a sum of squares before its root, whose derivative is infinite at 0: GELU is exactly 0 for
/// very negative values, so a channel can be 0 everywhere. Its norm becomes 1e-12, and its gradient 0.
const LEAST: f64 = 1e-24;

/// Lets channels compete: each is scaled by its norm over the image, relative to the mean of the norms of
/// all channels, `γ · x · ‖x‖ / mean ‖x‖ + β + x`.
#[derive(Module, Debug)]
pub(crate) struct ResponseNorm {
    /// `[channels]`.
    gamma: Param<Tensor<1>>,
    /// `[channels]`.
    beta: Param<Tensor<1>>,
}

impl ResponseNorm {
    /// One that does not change its input before it is trained.
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        Self {
            gamma: Initializer::Zeros.init([channels], device),
            beta: Initializer::Zeros.init([channels], device),
        }
    }

    /// Normalises `x`, `[batch, height, width, channels]`.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let x = x.reshape([batch, height * width, channels]);
        let norms = (x.clone().square().sum_dim(1) + LEAST).sqrt();
        let scale = norms.clone() / (norms.mean_dim(2) + EPSILON);
        let factor = scale * self.gamma.val().unsqueeze::<3>() + 1.0;
        let y = x * factor + self.beta.val().unsqueeze::<3>();
        y.reshape([batch, height, width, channels])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn a_channel_that_is_0_everywhere_has_a_finite_gradient() {
        let device = Device::flex().autodiff();
        let mut norm = ResponseNorm::new(2, &device);
        norm.gamma = Initializer::Ones.init([2], &device);
        // The second channel is 0; the first has norm 5, and the mean of the norms is 2.5.
        let data = TensorData::new(vec![3.0_f32, 0.0, 4.0, 0.0], [1, 1, 2, 2]);
        let x = Tensor::<4>::from_data(data, &device).require_grad();
        let y = norm.forward(x.clone());
        let close = |found: Tensor<4>, wanted: [f32; 4]| {
            for (found, wanted) in found.into_data().iter::<f32>().zip(wanted) {
                assert!((found - wanted).abs() < 1e-5, "{found} instead of {wanted}");
            }
        };
        close(y.clone(), [9.0, 0.0, 12.0, 0.0]);
        let gradients = y.sum().backward();
        // y₁ = x₁ · (1 + 2 ‖x₁‖ / (‖x₁‖ + ‖x₂‖)); as ‖x₂‖ is 0, it is 3 x₁, and y₂ is x₂.
        close(x.grad(&gradients).unwrap(), [3.0, 1.0, 3.0, 1.0]);
    }
}
