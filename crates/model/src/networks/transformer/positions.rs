//! Where tokens are: position embeddings for other grids of patches, and rotary embeddings.

use std::f64::consts::TAU;

use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};

use super::shape::{Positions, TransformerShape};
use crate::weights::line_weights;

/// Resamples the embedding `[1, prefix + from², width]` to a grid of `rows × columns` patches as
/// [`resample`](crate::weights) does when weights are loaded, in a way that gradients flow through.
pub(super) fn on_grid(embedding: Tensor<3>, prefix: usize, grid: [usize; 2]) -> Tensor<3> {
    let [_, tokens, width] = embedding.dims();
    let from = (tokens - prefix).isqrt();
    let [rows, columns] = grid;
    if [from, from] == grid {
        return embedding;
    }
    let device = embedding.device();
    let along = |to: usize| {
        let weights = TensorData::new(line_weights(from, to), [to, from]);
        Tensor::<2>::from_data(weights, &device)
    };
    let patches = embedding.clone().narrow(1, prefix, from * from);
    // Rows first: [rows, from] · [from, from · width].
    let patches = along(rows).matmul(patches.reshape([from, from * width]));
    let patches = patches.reshape([rows, from, width]);
    let columns_of = along(columns).unsqueeze::<3>().repeat_dim(0, rows);
    let patches = columns_of.matmul(patches);
    let patches = patches.reshape([1, rows * columns, width]);
    if prefix == 0 {
        return patches;
    }
    Tensor::cat(vec![embedding.narrow(1, 0, prefix), patches], 1)
}

/// What tokens know of each other's places, besides their position embeddings.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there is one per forward pass
pub(super) enum Relation {
    None,
    Rotated(Rotation),
    /// For each pair of tokens, the row of the table of biases: `[tokens · tokens]`.
    Biased(Tensor<1, Int>),
}

impl Relation {
    /// That of a square of patches.
    pub(super) fn of(shape: &TransformerShape, patches: usize, device: &Device) -> Self {
        if shape.positions == Positions::Relative {
            let rows = rows_of_biases(patches.isqrt());
            let count = rows.len();
            return Self::Biased(Tensor::from_data(TensorData::new(rows, [count]), device));
        }
        Rotation::of(shape, patches, device).map_or(Self::None, Self::Rotated)
    }
}

/// Number of rows in the table of biases for a square of `side × side` patches: one for each distance of
/// two patches, and three for the class token.
pub(super) const fn biases(side: usize) -> usize {
    (2 * side - 1) * (2 * side - 1) + 3
}

/// For each pair of tokens, the class token first, the row of the table of biases, as in the code of `BEiT`:
/// last come those from the class token, to it, and between it and itself.
#[allow(clippy::cast_possible_wrap)] // a grid has few patches
fn rows_of_biases(side: usize) -> Vec<i64> {
    let all = biases(side);
    let mut rows = Vec::new();
    let tokens = side * side + 1;
    for from in 0..tokens {
        for to in 0..tokens {
            let row = match (from.checked_sub(1), to.checked_sub(1)) {
                (None, None) => all - 1,
                (Some(_), None) => all - 2,
                (None, Some(_)) => all - 3,
                (Some(from), Some(to)) => {
                    let apart = |from: usize, to: usize| from + side - 1 - to;
                    apart(from / side, to / side) * (2 * side - 1) + apart(from % side, to % side)
                }
            };
            rows.push(row as i64);
        }
    }
    rows
}

/// The rotations of queries and keys: cosines and sines of `[patches, dim]` angles.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    cos: Tensor<4>,
    sin: Tensor<4>,
    /// Whether a value is rotated with that half of the features away, or with its neighbour.
    by_halves: bool,
}

impl Rotation {
    /// The rotations for a square of patches; `None` if the network has none.
    fn of(shape: &TransformerShape, patches: usize, device: &Device) -> Option<Self> {
        let dim = shape.width / shape.heads;
        let side = patches.isqrt();
        let (angle, by_halves): (Box<dyn Fn(usize, usize) -> f64>, bool) = match shape.positions {
            // Su et al. 2021 (arXiv:2104.09864) with frequencies 10000^(-i/n), n per axis.
            Positions::LearnedAndRotary(reference) => {
                let scale = number(reference) / number(side);
                let frequency =
                    move |index: usize| 10_000_f64.powf(-number(index) / number(dim / 4));
                (
                    Box::new(move |at, index| number(at) * scale * frequency(index)),
                    false,
                )
            }
            // Coordinates from -1 to 1 and periods 100^(i/n).
            Positions::Rotary => (
                Box::new(move |at, index| {
                    let coordinate = 2.0 * (number(at) + 0.5) / number(side) - 1.0;
                    TAU * coordinate / 100_f64.powf(number(index) / number(dim / 4))
                }),
                true,
            ),
            _ => return None,
        };
        let mut angles = Vec::with_capacity(patches * dim);
        for patch in 0..patches {
            let axes = [patch / side, patch % side];
            let of_feature = |feature: usize| {
                let index = if by_halves {
                    feature % (dim / 2)
                } else {
                    feature / 2
                };
                angle(axes[index / (dim / 4)], index % (dim / 4))
            };
            angles.extend((0..dim).map(of_feature));
        }
        let tensor = |values: Vec<f64>| {
            Tensor::<4>::from_data(TensorData::new(values, [1, patches, 1, dim]), device)
        };
        Some(Self {
            cos: tensor(angles.iter().map(|angle| angle.cos()).collect()),
            sin: tensor(angles.iter().map(|angle| angle.sin()).collect()),
            by_halves,
        })
    }

    /// Rotates the last tokens of `[batch, tokens, heads, dim]`, those of the patches.
    pub(super) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, tokens, heads, dim] = x.dims();
        let patches = self.cos.dims()[1];
        let first = tokens - patches;
        let of_patches = x.clone().narrow(1, first, patches);
        let turned = if self.by_halves {
            let (left, right) = (
                of_patches.clone().narrow(3, 0, dim / 2),
                of_patches.clone().narrow(3, dim / 2, dim / 2),
            );
            Tensor::cat(vec![-right, left], 3)
        } else {
            let pairs = of_patches
                .clone()
                .reshape([batch, patches, heads * dim / 2, 2]);
            let (left, right) = (pairs.clone().narrow(3, 0, 1), pairs.narrow(3, 1, 1));
            Tensor::cat(vec![-right, left], 3).reshape([batch, patches, heads, dim])
        };
        let rotated = of_patches * self.cos.clone() + turned * self.sin.clone();
        if first == 0 {
            return rotated;
        }
        Tensor::cat(vec![x.narrow(1, 0, first), rotated], 1)
    }
}

#[allow(clippy::cast_precision_loss)] // indices of patches and features
fn number(index: usize) -> f64 {
    index as f64
}
