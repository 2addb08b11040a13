//! Methods that train some entries of each weight.

use burn::Tensor;
use burn::module::Param;
use burn::tensor::{Int, TensorData};
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Made, Maker, check, start};
use crate::adapters::{Adapter, Sparse, WeightShape};
use crate::error::MethodError;
use crate::inspect::Importance;
use crate::inspect::Layer;
use crate::random::rng;

/// Settings of `SHiRA` (Bhardwaj et al. 2024, arXiv:2406.13175): random entries (`SHiRA`-Rand).
///
/// Parameters of a layer: `rank·(inputs + outputs)`, what `LoRA` of that rank has, and at most
/// all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShiraConfig {
    /// Rank of the `LoRA` that has as many parameters.
    pub rank: usize,
}

impl Default for ShiraConfig {
    fn default() -> Self {
        Self { rank: 8 }
    }
}

impl ShiraConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::rank(self.rank)
    }

    pub(crate) fn maker(&self, seed: u64) -> impl Maker + use<> {
        ShiraMaker {
            rank: self.rank,
            rng: rng(seed, 5),
        }
    }
}

struct ShiraMaker {
    rank: usize,
    rng: ChaCha8Rng,
}

impl Maker for ShiraMaker {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let shape = layer.shape;
        let size = shape.size();
        let count = (self.rank * (shape.inputs + shape.outputs)).min(size);
        let mut indices = sample(&mut self.rng, size, count).into_vec();
        indices.sort_unstable();
        Made::from(sparse(indices, shape, &base))
    }
}

/// Settings of `GPS` (Zhang et al. 2024, arXiv:2312.10136): of each output, the entries with the
/// largest gradient before training.
///
/// The paper takes that gradient from a contrastive loss on the features; here it is the
/// classification loss's, head included. Parameters of a layer: `per_output·outputs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpsConfig {
    /// Entries of each output that train.
    pub per_output: usize,
}

impl Default for GpsConfig {
    fn default() -> Self {
        Self { per_output: 8 }
    }
}

impl GpsConfig {
    pub(crate) fn check(&self) -> Result<(), MethodError> {
        check::at_least_one("entries of each output", self.per_output)
    }

    pub(crate) fn maker<'a>(&self, importance: &'a Importance) -> impl Maker + use<'a> {
        GpsMaker {
            per_output: self.per_output,
            importance,
        }
    }
}

struct GpsMaker<'a> {
    per_output: usize,
    importance: &'a Importance,
}

impl Maker for GpsMaker<'_> {
    fn make(&mut self, layer: &Layer, base: Tensor<2>) -> Made {
        let shape = layer.shape;
        let scores = self.importance.of(layer);
        let mut indices = Vec::new();
        for (output, row) in scores.chunks_exact(shape.inputs).enumerate() {
            let mut order: Vec<usize> = (0..shape.inputs).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
            order.truncate(self.per_output);
            order.sort_unstable();
            indices.extend(order.into_iter().map(|input| output * shape.inputs + input));
        }
        Made::from(sparse(indices, shape, &base))
    }
}

#[allow(clippy::cast_possible_wrap)]
fn sparse(indices: Vec<usize>, shape: WeightShape, base: &Tensor<2>) -> Adapter {
    let device = base.device();
    let count = indices.len();
    let indices: Vec<i64> = indices.into_iter().map(|index| index as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &device);
    Adapter::Sparse(Sparse {
        shira_weight: start::full(0.0, [count], &device),
        shira_indices: Param::initialized(burn::module::ParamId::new(), indices),
        shape,
    })
}
