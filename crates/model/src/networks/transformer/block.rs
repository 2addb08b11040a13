//! A transformer block: attention and a perceptron, each with a normalisation before it and a shortcut.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::{sigmoid, silu};
use finetune_kernels::tokens::{attention, gelu};
use finetune_methods::{linear, parallel, prompted};

use super::super::attention::attention_with_bias;
use super::super::blocks::{layer_norm_of, normalized_by};
use super::super::stochastic_depth::StochasticDepth;
use super::positions::{Relation, Rotation, biases};
use super::shape::{MlpKind, Positions, QkvBias, TransformerShape};

/// Attention and a perceptron.
#[derive(Module, Debug)]
pub(crate) struct TransformerBlock {
    norm1: LayerNorm,
    attn: Attention,
    /// `[width]`: what the output of the attention is multiplied by.
    scale1: Option<Param<Tensor<1>>>,
    norm2: LayerNorm,
    mlp: Mlp,
    /// `[width]`: what the output of the perceptron is multiplied by.
    scale2: Option<Param<Tensor<1>>>,
    #[module(skip)]
    epsilon: f64,
}

/// Multi-head self-attention, with one layer for queries, keys and values.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    qkv: Linear,
    /// `[width]`: the bias of queries if keys have none.
    q_bias: Option<Param<Tensor<1>>>,
    /// `[width]`: the bias of values if keys have none.
    v_bias: Option<Param<Tensor<1>>>,
    /// `[distances, heads]`: biases of the scores.
    relative_position_bias_table: Option<Param<Tensor<2>>>,
    proj: Linear,
    heads: usize,
}

/// A multilayer perceptron: two layers with a nonlinearity between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    norm: Option<LayerNorm>,
    fc2: Linear,
    #[module(skip)]
    kind: MlpKind,
    #[module(skip)]
    epsilon: f64,
}

impl TransformerBlock {
    /// A block for square images of `side` pixels.
    pub(super) fn new(shape: &TransformerShape, side: usize, device: &Device) -> Self {
        let TransformerShape { width, epsilon, .. } = *shape;
        let scale = || {
            let constant = |value| Initializer::Constant { value }.init([width], device);
            shape.layer_scale.map(constant)
        };
        Self {
            norm1: layer_norm_of(width, epsilon, device),
            attn: Attention::new(shape, side, device),
            scale1: scale(),
            norm2: layer_norm_of(width, epsilon, device),
            mlp: Mlp::new(shape, device),
            scale2: scale(),
            epsilon,
        }
    }

    /// The tokens `[batch, tokens, width]` after the block.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        relation: &Relation,
        depth: StochasticDepth<'_>,
    ) -> Tensor<3> {
        prompted(&self.attn.qkv, x, |x| {
            let y = normalized_by(&self.norm1, x.clone(), self.epsilon);
            let y = scaled(self.attn.forward(y, relation), self.scale1.as_ref());
            let x = x + depth.scaled(0, y);
            let y = parallel(&self.mlp.fc1, x.clone(), || {
                let y = normalized_by(&self.norm2, x.clone(), self.epsilon);
                scaled(self.mlp.forward(y), self.scale2.as_ref())
            });
            x + depth.scaled(1, y)
        })
    }
}

fn scaled(x: Tensor<3>, factors: Option<&Param<Tensor<1>>>) -> Tensor<3> {
    match factors {
        Some(factors) => x * factors.val().unsqueeze::<3>(),
        None => x,
    }
}

impl Attention {
    fn new(shape: &TransformerShape, side: usize, device: &Device) -> Self {
        let width = shape.width;
        let apart = shape.bias == QkvBias::WithoutKeys;
        let bias = || apart.then(|| Initializer::Zeros.init([width], device));
        Self {
            qkv: LinearConfig::new(width, 3 * width)
                .with_bias(!apart)
                .init(device),
            q_bias: bias(),
            v_bias: bias(),
            relative_position_bias_table: (shape.positions == Positions::Relative).then(|| {
                let table = [biases(side / shape.patch), shape.heads];
                Initializer::Zeros.init(table, device)
            }),
            proj: LinearConfig::new(width, width).init(device),
            heads: shape.heads,
        }
    }

    fn forward(&self, x: Tensor<3>, relation: &Relation) -> Tensor<3> {
        let mut qkv = linear(&self.qkv, x);
        if let (Some(q), Some(v)) = (&self.q_bias, &self.v_bias) {
            let (q, v) = (q.val(), v.val());
            let bias = Tensor::cat(vec![q.clone(), q.zeros_like(), v], 0);
            qkv = qkv + bias.unsqueeze::<3>();
        }
        let seen = match (relation, &self.relative_position_bias_table) {
            (Relation::Rotated(rotation), _) => attention(self.rotated(qkv, rotation), self.heads),
            (Relation::Biased(rows), Some(table)) => {
                let tokens = qkv.dims()[1];
                let bias = table.val().select(0, rows.clone());
                let bias = bias.reshape([1, tokens, tokens, self.heads]);
                attention_with_bias(qkv, self.heads, bias.permute([0, 3, 1, 2]))
            }
            _ => attention(qkv, self.heads),
        };
        linear(&self.proj, seen)
    }

    /// Queries, keys and values `[batch, tokens, 3 · width]` with queries and keys rotated.
    fn rotated(&self, qkv: Tensor<3>, rotation: &Rotation) -> Tensor<3> {
        let [batch, tokens, all] = qkv.dims();
        let width = all / 3;
        let heads = 2 * self.heads;
        let qk = qkv.clone().narrow(2, 0, 2 * width);
        let qk = qk.reshape([batch, tokens, heads, 2 * width / heads]);
        let qk = rotation.apply(qk).reshape([batch, tokens, 2 * width]);
        Tensor::cat(vec![qk, qkv.narrow(2, 2 * width, width)], 2)
    }
}

impl Mlp {
    pub(super) fn new(shape: &TransformerShape, device: &Device) -> Self {
        let TransformerShape {
            width,
            hidden,
            mlp: kind,
            epsilon,
            ..
        } = *shape;
        let gated = matches!(kind, MlpKind::SwiGlu | MlpKind::NormalizedSwiGlu);
        Self {
            fc1: LinearConfig::new(width, if gated { 2 * hidden } else { hidden }).init(device),
            norm: (kind == MlpKind::NormalizedSwiGlu)
                .then(|| layer_norm_of(hidden, epsilon, device)),
            fc2: LinearConfig::new(hidden, width).init(device),
            kind,
            epsilon,
        }
    }

    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let y = linear(&self.fc1, x);
        let y = match self.kind {
            MlpKind::Gelu => gelu(y),
            MlpKind::QuickGelu => y.clone() * sigmoid(y * 1.702),
            // 0.5 (1 + tanh(z)) = σ(2z), z = √(2/π) (y + 0.044715 y³).
            MlpKind::TanhGelu => {
                let cube = y.clone() * y.clone() * y.clone();
                let z = (cube * 0.044_715 + y.clone()) * (2.0 * std::f64::consts::FRAC_2_PI.sqrt());
                y * sigmoid(z)
            }
            MlpKind::SwiGlu | MlpKind::NormalizedSwiGlu => {
                let half = y.dims()[D - 1] / 2;
                let gate = y.clone().narrow(D - 1, 0, half);
                silu(gate) * y.narrow(D - 1, half, half)
            }
        };
        let y = match &self.norm {
            Some(norm) => normalized_by(norm, y, self.epsilon),
            None => y,
        };
        linear(&self.fc2, y)
    }
}
