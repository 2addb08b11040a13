//! Products of bfloat16 values (`bf16`: the upper half of an `f32`) with sums in `f32`, on processors
//! that have instructions for them: AMX, or AVX-512 with `VDPBF16PS`.
//!
//! Tensors stay `f32` in memory, as do optimiser, normalisation and loss: only the operands of matrix
//! products and convolutions are rounded, to nearest, ties to even, while they are packed. PyTorch calls
//! this `torch.set_float32_matmul_precision("medium")`.

mod images;
mod pack;
mod plane;
mod product;
#[cfg(test)]
mod tests;
mod unit;
mod weight;

pub(crate) use images::run as images;
pub(crate) use product::{fits as product_fits, multiply};
pub(crate) use unit::Unit;
pub(crate) use weight::weight_grad;

use crate::conv::geometry::Geometry;

/// Whether a convolution is computed in bfloat16: if it has enough channels to fill the tiles, enough
/// products per value that is read or written, and more pixels than are worth packing the weights. Otherwise
/// the kernels for `f32` are as fast (`--bench conv2d -- --bf16`).
pub(crate) fn fits(g: &Geometry) -> bool {
    const CHANNELS: usize = 16;
    const PRODUCTS: usize = 40;
    const PIXELS: usize = 1024;
    let [from, to] = [g.group_in(), g.group_out()];
    from.min(to) >= CHANNELS
        && from * to * g.taps() >= PRODUCTS * (from + to)
        && g.batch * g.pixels_out() >= PIXELS
}
