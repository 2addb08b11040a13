//! Winograd's convolution for `3 × 3` kernels with stride 1: it trades multiplications for
//! additions.
//!
//! Images are divided into tiles of 4 × 4 or 2 × 2 outputs. The inputs of a tile (6 × 6 or 4 × 4)
//! and the weights are transformed ([`transforms`]), so that each of 36 or 16 elements of a tile is
//! a product over channels; nine multiplications per output and channel become 2¼ or 4. The lanes
//! of a vector are always channels. A block of tiles ([`frames`]) stays in the second-level cache
//! from the input's transform to that of the output.

mod cost;
mod forward;
mod frames;
mod sums;
#[cfg(test)]
mod tests;
mod transforms;
mod weight;

pub(crate) use cost::{Pass, best};
pub(crate) use weight::weight_grad;

use super::geometry::Geometry;
use super::product::Block;

/// Number of outputs of a tile in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tile {
    /// F(2×2, 3×3).
    Two,
    /// F(4×4, 3×3).
    Four,
}

/// Whether Winograd's convolution can compute the output and both gradients.
pub(crate) fn fits(g: &Geometry) -> bool {
    g.kernel == [3, 3]
        && g.stride == [1, 1]
        && g.dilation == [1, 1]
        && g.groups == 1
        && (0..2).all(|axis| {
            let after = (g.output[axis] + 2).checked_sub(g.input[axis] + g.padding[axis]);
            g.padding[axis] <= 2 && after.is_some_and(|after| after <= 2)
        })
}

/// The forward convolution, or the gradient of its input, which is a convolution of the gradient
/// with the flipped kernel.
pub(crate) struct Winograd {
    batch: usize,
    /// Number of channels read and written.
    sources: usize,
    targets: usize,
    /// Sizes of the images.
    source: [usize; 2],
    target: [usize; 2],
    padding: [usize; 2],
    /// Distances between the kernels of target channels and of source channels.
    target_stride: usize,
    source_stride: usize,
    flipped: bool,
}

impl Winograd {
    /// The forward convolution.
    pub(crate) fn forward(g: &Geometry) -> Self {
        Self {
            batch: g.batch,
            sources: g.channels_in,
            targets: g.channels_out,
            source: g.input,
            target: g.output,
            padding: g.padding,
            target_stride: g.channels_in * 9,
            source_stride: 9,
            flipped: false,
        }
    }

    /// The gradient of the input.
    pub(crate) fn input_grad(g: &Geometry) -> Self {
        Self {
            batch: g.batch,
            sources: g.channels_out,
            targets: g.channels_in,
            source: g.output,
            target: g.input,
            padding: g.padding.map(|padding| 2 - padding),
            target_stride: 9,
            source_stride: g.channels_in * 9,
            flipped: true,
        }
    }
}

/// Divides `count` channels evenly into blocks of at most two vectors of `lanes`.
fn pairs(count: usize, lanes: usize) -> Vec<Block> {
    (0..count)
        .step_by(2 * lanes)
        .map(|start| {
            let len = (2 * lanes).min(count - start);
            Block {
                start,
                len,
                vectors: len.div_ceil(lanes),
            }
        })
        .collect()
}
