//! Max pooling that keeps a byte for each output, with the ReLU before it if there is one.
//!
//! `max` and ReLU change places, so the feature map is read once and nothing of its size is kept:
//! Burn's own keep the input, the ReLU's output and an index of 4 or 8 bytes.

mod backend;
mod kernel;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::activation::relu;

pub use backend::PoolBackend;

/// A window that slides over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Rows above and below, columns left and right, that hold nothing.
    pub padding: [usize; 2],
}

impl Window {
    /// Height and width of what comes out.
    fn output(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let length = |axis: usize, length: usize| {
            (length + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1
        };
        [length(0, height), length(1, width)]
    }
}

/// The layer's own forward on `[batch, channels, height, width]`.
///
/// # Panics
///
/// Where the image is smaller than the window.
#[must_use]
pub fn max_pool2d(layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
    pool(layer, x, false)
}

/// The layer's forward on `relu(x)`, to the bit.
///
/// # Panics
///
/// Where the image is smaller than the window.
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
