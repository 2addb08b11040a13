//! When Winograd's convolution is faster than the direct kernels.
//!
//! Costs are estimated in multiplications per pair of an input and an output channel. They depend
//! on shapes and on the number of lanes only, so that the same processor always chooses the same
//! kernel. The constants were measured with AVX-512 and AVX2 (Zen 4).

use super::{Tile, fits};
use crate::conv::geometry::Geometry;

/// A pass of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The output, or the gradient of the input.
    Images,
    /// The gradient of the weight.
    Weight,
}

/// Cost of transforming a tile of a channel, in multiplications of one lane: `[F(2×2), F(4×4)]`.
const TILE: [f64; 2] = [450.0, 900.0];

/// Cost of transforming a kernel, including memory accesses to its transform, of which there are
/// more for the gradient.
const KERNEL: [f64; 2] = [250.0, 600.0];

/// How much faster than the direct kernel the estimate must be: below this, precision is worth
/// more.
const GAIN: f64 = 1.15;

/// The tile for which a pass is fastest; `None` if the direct kernel is.
pub(crate) fn best(g: &Geometry, pass: Pass) -> Option<Tile> {
    if !fits(g) {
        return None;
    }
    let direct = direct(g, pass);
    [Tile::Two, Tile::Four]
        .map(|tile| (winograd(g, tile), tile))
        .into_iter()
        .filter(|&(cost, _)| cost * GAIN < direct)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, tile)| tile)
}

#[allow(clippy::cast_precision_loss, reason = "estimates")]
fn direct(g: &Geometry, pass: Pass) -> f64 {
    let pixels = (g.batch * g.pixels_out()) as f64;
    // Of a vector of channels, the lanes that are used.
    let all = 9.0 * pixels / 0.8;
    if pass == Pass::Weight {
        return all;
    }
    // Kernel elements inside a row or column, for all outputs.
    let inside = |axis: usize| {
        let (size, padding) = (g.input[axis], g.padding[axis]);
        let taps = (0..g.output[axis]).flat_map(|at| at..at + 3);
        taps.filter(|at| (padding..padding + size).contains(at))
            .count() as f64
    };
    // The tiles of zones are not always full.
    all.min(g.batch as f64 * inside(0) * inside(1) / 0.6)
}

#[allow(clippy::cast_precision_loss, reason = "estimates")]
fn winograd(g: &Geometry, tile: Tile) -> f64 {
    let (side, index) = match tile {
        Tile::Two => (2, 0),
        Tile::Four => (4, 1),
    };
    let tiles = g.batch * g.output[0].div_ceil(side) * g.output[1].div_ceil(side);
    let products = (tiles * (side + 2) * (side + 2)) as f64 / 0.9;
    let channels = 1.0 / g.channels_in as f64 + 1.0 / g.channels_out as f64;
    products + tiles as f64 * TILE[index] * channels + KERNEL[index]
}
