//! What an attention within a window adds to the score of two tokens, by how far they are apart.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, TensorData};
use finetune_methods::linear;

/// Hidden values of the perceptron in [`Continuous`].
const HIDDEN: usize = 512;

/// A bias for each distance of two tokens in a window.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Position {
    /// Of the first version.
    Table(Table),
    /// Of the second version.
    Continuous(Continuous),
}

/// A value for each distance and head: Liu et al. 2021 (arXiv:2103.14030, equation 4).
#[derive(Module, Debug)]
pub(crate) struct Table {
    /// `[(2 · side - 1)², heads]`.
    relative_position_bias_table: Param<Tensor<2>>,
}

/// A perceptron that computes the value for each head from the distance: Liu et al. 2021
/// (arXiv:2111.09883, section 3.3).
#[derive(Module, Debug)]
pub(crate) struct Continuous {
    fc1: Linear,
    fc2: Linear,
    /// Side of the windows with which it was trained: the largest distance in them is 1.
    window: usize,
}

impl Position {
    pub(super) fn table(side: usize, heads: usize, device: &Device) -> Self {
        let distances = (2 * side - 1) * (2 * side - 1);
        Self::Table(Table {
            relative_position_bias_table: Initializer::Zeros.init([distances, heads], device),
        })
    }

    pub(super) fn continuous(heads: usize, window: usize, device: &Device) -> Self {
        Self::Continuous(Continuous {
            fc1: LinearConfig::new(2, HIDDEN).init(device),
            fc2: LinearConfig::new(HIDDEN, heads)
                .with_bias(false)
                .init(device),
            window,
        })
    }

    /// `[1, heads, side², side²]`.
    pub(super) fn bias(&self, side: usize) -> Tensor<4> {
        let of_distances = match self {
            Self::Table(table) => table.relative_position_bias_table.val(),
            Self::Continuous(perceptron) => perceptron.values(side),
        };
        let heads = of_distances.dims()[1];
        let tokens = side * side;
        let index = TensorData::new(index(side), [tokens * tokens]);
        let index = Tensor::<1, Int>::from_data(index, &of_distances.device());
        let bias = of_distances.select(0, index);
        bias.reshape([1, tokens, tokens, heads])
            .permute([0, 3, 1, 2])
    }
}

impl Continuous {
    /// The values of all distances, between 0 and 16: `[(2 · side - 1)², heads]`.
    fn values(&self, side: usize) -> Tensor<2> {
        let distances = TensorData::new(
            distances(side, self.window),
            [(2 * side - 1) * (2 * side - 1), 2],
        );
        let distances = Tensor::from_data(distances, &self.fc1.weight.val().device());
        let values = linear(&self.fc2, relu(linear(&self.fc1, distances)));
        sigmoid(values) * 16.0
    }
}

/// For each pair of tokens in a window, which of its distances they have: row by row from the token that
/// is farthest below and to the right.
#[allow(clippy::cast_possible_wrap)]
fn index(side: usize) -> Vec<i64> {
    let span = 2 * side - 1;
    let mut index = Vec::with_capacity(side.pow(4));
    for one in 0..side * side {
        for other in 0..side * side {
            let rows = one / side + side - 1 - other / side;
            let columns = one % side + side - 1 - other % side;
            index.push((rows * span + columns) as i64);
        }
    }
    index
}

/// All distances of two tokens in a window, rows before columns, as shares `x` of the largest one in a window
/// with `unit` tokens per side, on a logarithmic scale: `sign(x) · log₂(1 + 8 |x|) / log₂ 8`, as in the
/// authors' code.
#[allow(clippy::cast_precision_loss)]
fn distances(side: usize, unit: usize) -> Vec<f64> {
    let scaled = |index: usize| {
        let x = 8.0 * (index as f64 - (side - 1) as f64) / (unit - 1) as f64;
        x.signum() * (1.0 + x.abs()).log2() / 3.0
    };
    let span = 2 * side - 1;
    let pairs = (0..span * span).map(|index| [scaled(index / span), scaled(index % span)]);
    pairs.flatten().collect()
}
