//! Max pooling that stores one byte per output for the backward pass, optionally fused with a ReLU
//! before it.
//!
//! Maximum and ReLU can be exchanged, so the feature map is read once, and nothing of its size is
//! stored. Burn's operations store the input, the output of the ReLU and an index of 4 or 8 bytes
//! per output.

mod backend;
mod kernel;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::activation::relu;

pub use backend::PoolBackend;

/// A window that moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Stride: rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Padding: rows above and below, and columns left and right, that are ignored.
    pub padding: [usize; 2],
}

impl Window {
    /// Height and width of the output.
    fn output(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let length = |axis: usize, length: usize| {
            (length + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1
        };
        [length(0, height), length(1, width)]
    }
}

/// Max pooling of `x`, `[batch, channels, height, width]`, as the forward pass of `layer`.
///
/// # Panics
///
/// If the image is smaller than the window.
#[must_use]
pub fn max_pool2d(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    pool(layer, x, false)
}

/// Max pooling of `relu(x)`; bit-identical to the separate operations.
///
/// # Panics
///
/// If the image is smaller than the window.
#[must_use]
pub fn relu_max_pool2d(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    pool(layer, x, true)
}

fn pool(layer: &MaxPool2d, x: Tensor<4>, rectify: bool) -> Tensor<4> {
    let padding = match layer.padding {
        PaddingConfig2d::Valid => Some([0, 0]),
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            Some([top, left])
        }
        _ => None,
    };
    match padding {
        Some(padding) if layer.dilation == [1, 1] && !layer.ceil_mode => {
            let window = Window {
                kernel: layer.kernel_size,
                stride: layer.stride,
                padding,
            };
            let pooled = <Dispatch as PoolBackend>::max_pool(x.into_dispatch(), window, rectify);
            Tensor::from_dispatch(pooled)
        }
        _ if rectify => layer.forward(relu(x)),
        _ => layer.forward(x),
    }
}
