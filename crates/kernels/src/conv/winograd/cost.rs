//! When Winograd's convolution is faster than the direct kernels.
//!
//! Costs are estimated in multiplications per pair of an input and an output channel. They depend
//! on shapes only, so that a run is reproducible. The constants were measured with AVX-512 and AVX2
//! on Zen 4, and are nearly the same for both.

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

/// Fraction of the peak performance of the direct kernels' products, and of those of small images,
/// which are divided into zones.
const DIRECT: f64 = 0.83;
const ZONES: f64 = 0.6;

/// What an output of the direct kernels costs beyond its products, per channel.
const PIXEL: f64 = 30.0;

/// What a kernel costs the direct gradient of the weight beyond its products.
const DIRECT_KERNEL: f64 = 800.0;

/// Costs of Winograd's convolution.
struct Costs {
    /// Fraction of the peak performance of its products.
    products: f64,
    /// Transforming a tile of a channel: F(2×2), F(4×4).
    tile: [f64; 2],
    /// Transforming a kernel, including memory accesses to what it is transformed to.
    kernel: [f64; 2],
}

const IMAGES: Costs = Costs {
    products: 0.9,
    tile: [220.0, 800.0],
    kernel: [430.0, 660.0],
};

const WEIGHT: Costs = Costs {
    products: 0.75,
    tile: [220.0, 800.0],
    kernel: [1000.0, 1300.0],
};

/// How much faster than the direct kernel the estimate must be: below this, precision is worth
/// more.
const GAIN: f64 = 1.15;

/// Number of images for which the kernel of an output is chosen. What an image gives must not depend
/// on the others of its batch: features that were computed in other batches must be the same bits.
const BATCH: usize = 32;

/// The tile for which a pass is fastest; `None` if the direct kernel is. For outputs and gradients
/// of inputs, this does not depend on the number of images.
pub(crate) fn best(g: &Geometry, pass: Pass) -> Option<Tile> {
    if !fits(g) {
        return None;
    }
    let batch = match pass {
        Pass::Images => BATCH,
        Pass::Weight => g.batch,
    };
    let g = &Geometry { batch, ..*g };
    let direct = direct(g, pass);
    [Tile::Two, Tile::Four]
        .map(|tile| (winograd(g, pass, tile), tile))
        .into_iter()
        .filter(|&(cost, _)| cost * GAIN < direct)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, tile)| tile)
}

/// `1 / channels in + 1 / channels out`: what is computed per channel, for a pair of them.
#[allow(clippy::cast_precision_loss, reason = "estimates")]
fn per_pair(g: &Geometry) -> f64 {
    1.0 / g.channels_in as f64 + 1.0 / g.channels_out as f64
}

#[allow(clippy::cast_precision_loss, reason = "estimates")]
fn direct(g: &Geometry, pass: Pass) -> f64 {
    let pixels = (g.batch * g.pixels_out()) as f64;
    let (all, others) = (9.0 * pixels / DIRECT, pixels * PIXEL * per_pair(g));
    if pass == Pass::Weight {
        return all + others + DIRECT_KERNEL;
    }
    // Kernel elements inside the image in a row or column, for all outputs.
    let inside = |axis: usize| {
        let (size, padding) = (g.input[axis], g.padding[axis]);
        let taps = (0..g.output[axis]).flat_map(|at| at..at + 3);
        taps.filter(|at| (padding..padding + size).contains(at))
            .count()
    };
    all.min((g.batch * inside(0) * inside(1)) as f64 / ZONES) + others
}

#[allow(clippy::cast_precision_loss, reason = "estimates")]
fn winograd(g: &Geometry, pass: Pass, tile: Tile) -> f64 {
    let (side, index) = match tile {
        Tile::Two => (2, 0),
        Tile::Four => (4, 1),
    };
    let costs = match pass {
        Pass::Images => IMAGES,
        Pass::Weight => WEIGHT,
    };
    let tiles = g.batch * g.output[0].div_ceil(side) * g.output[1].div_ceil(side);
    let products = (tiles * (side + 2) * (side + 2)) as f64 / costs.products;
    products + tiles as f64 * costs.tile[index] * per_pair(g) + costs.kernel[index]
}

#[cfg(test)]
mod tests {
    use super::{Pass, Tile, best};
    use crate::conv::geometry::Geometry;

    fn layer(batch: usize, channels: usize, side: usize) -> Geometry {
        Geometry {
            batch,
            channels_in: channels,
            channels_out: channels,
            input: [side, side],
            output: [side, side],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        }
    }

    #[test]
    fn large_images_have_large_tiles() {
        for g in [layer(8, 64, 56), layer(8, 256, 14), layer(32, 128, 12)] {
            assert_eq!(best(&g, Pass::Images), Some(Tile::Four));
            assert_eq!(best(&g, Pass::Weight), Some(Tile::Four));
        }
    }

    #[test]
    fn an_image_is_computed_in_the_same_way_in_any_batch() {
        for (channels, side) in [(64, 16), (128, 7), (256, 6), (512, 3), (512, 7), (512, 2)] {
            let one = best(&layer(1, channels, side), Pass::Images);
            for batch in [2, 9, 64, 1000] {
                assert_eq!(best(&layer(batch, channels, side), Pass::Images), one);
            }
        }
    }

    #[test]
    fn tiles_of_two_fit_six_pixels_better() {
        assert_eq!(best(&layer(32, 256, 6), Pass::Images), Some(Tile::Two));
    }

    #[test]
    fn images_of_few_pixels_and_other_kernels_are_computed_directly() {
        assert_eq!(best(&layer(32, 512, 2), Pass::Images), None);
        assert_eq!(best(&layer(32, 64, 1), Pass::Images), None);
        let g = layer(8, 64, 56);
        let strided = Geometry {
            stride: [2, 2],
            output: [28, 28],
            ..g
        };
        let grouped = Geometry { groups: 2, ..g };
        for g in [strided, grouped] {
            assert_eq!(best(&g, Pass::Images), None);
        }
    }
}
