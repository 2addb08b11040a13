//! A block of a Swin Transformer: attention within windows and a perceptron.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use finetune_kernels::tokens::gelu;
use finetune_methods::linear;

use super::super::attention::{Heads, attention_with_bias};
use super::super::stochastic_depth::StochasticDepth;
use super::norm::{layer_norm, normalized};
use super::position::Position;
use super::window::Windows;

/// Channels per head.
const PER_HEAD: usize = 32;

/// The largest factor of cosines in the second version.
const MOST_SCALE: f64 = 100.0;

/// Added to a sum of squares before its root, whose derivative is infinite at 0; as small as the square of
/// PyTorch's smallest norm.
const LEAST: f64 = 1e-24;

/// What a block needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockSize {
    pub width: usize,
    pub window: usize,
    /// Side of the windows in whose units distances are.
    pub pretrained_window: usize,
    /// Whether its windows are moved by half of their side.
    pub moved: bool,
    pub second: bool,
}

/// Attention within windows and a perceptron, each with a shortcut. They normalise their input in the
/// first version, their output in the second.
#[derive(Module, Debug)]
pub(crate) struct SwinBlock {
    norm1: LayerNorm,
    attn: WindowAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    second: bool,
}

/// Multi-head self-attention within windows.
#[derive(Module, Debug)]
pub(crate) struct WindowAttention {
    qkv: Linear,
    /// In the second version: the logarithm of the factor of each head's cosines, `[heads, 1, 1]`.
    logit_scale: Option<Param<Tensor<3>>>,
    position: Position,
    proj: Linear,
    heads: usize,
    window: usize,
    shift: usize,
}

/// A multilayer perceptron: two layers with a GELU between them.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

/// Heads of a block with tokens of this width.
pub(super) const fn heads(width: usize) -> usize {
    width / PER_HEAD
}

impl SwinBlock {
    pub(super) fn new(size: BlockSize, device: &Device) -> Self {
        let width = size.width;
        Self {
            norm1: layer_norm(width, device),
            attn: WindowAttention::new(size, device),
            norm2: layer_norm(width, device),
            mlp: Mlp {
                fc1: LinearConfig::new(width, 4 * width).init(device),
                fc2: LinearConfig::new(4 * width, width).init(device),
            },
            second: size.second,
        }
    }

    /// Of a map `[batch, height, width, channels]`.
    pub(super) fn forward(&self, x: Tensor<4>, depth: StochasticDepth<'_>) -> Tensor<4> {
        let attention = |x| self.attn.forward(x);
        let x = x.clone() + depth.scaled(0, self.branch(&self.norm1, attention, x));
        let perceptron = |x| linear(&self.mlp.fc2, gelu(linear(&self.mlp.fc1, x)));
        x.clone() + depth.scaled(1, self.branch(&self.norm2, perceptron, x))
    }

    fn branch(
        &self,
        norm: &LayerNorm,
        compute: impl Fn(Tensor<4>) -> Tensor<4>,
        x: Tensor<4>,
    ) -> Tensor<4> {
        if self.second {
            normalized(norm, compute(x))
        } else {
            compute(normalized(norm, x))
        }
    }
}

impl WindowAttention {
    fn new(size: BlockSize, device: &Device) -> Self {
        let BlockSize { width, window, .. } = size;
        let heads = heads(width);
        let scale = Initializer::Constant {
            value: 10.0_f64.ln(),
        };
        Self {
            qkv: LinearConfig::new(width, 3 * width).init(device),
            logit_scale: size.second.then(|| scale.init([heads, 1, 1], device)),
            position: if size.second {
                Position::continuous(heads, size.pretrained_window, device)
            } else {
                Position::table(window, heads, device)
            },
            proj: LinearConfig::new(width, width).init(device),
            heads,
            window,
            shift: if size.moved { window / 2 } else { 0 },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, height, width, _] = x.dims();
        let windows = Windows::new(self.window, self.shift, [height, width]);
        let x = windows.divided(x);
        let mut bias = self.position.bias(self.window);
        if let Some(mask) = windows.mask(&x.device()) {
            bias = bias + mask;
        }
        let x = match &self.logit_scale {
            None => attention_with_bias(linear(&self.qkv, x), self.heads, bias),
            Some(scale) => {
                let qkv = linear(&self.without_key_bias(), x);
                cosine_attention(qkv, &scale.val(), bias)
            }
        };
        windows.joined(linear(&self.proj, x))
    }

    /// The layer of queries, keys and values without a bias for the keys, which the second version does not
    /// have. torchvision stores one and does not use it.
    fn without_key_bias(&self) -> Linear {
        let mut qkv = self.qkv.clone();
        qkv.bias = qkv.bias.map(|bias| {
            let values = bias.val();
            let width = values.dims()[0] / 3;
            let keys = values.clone().narrow(0, width, width).zeros_like();
            let queries = values.clone().narrow(0, 0, width);
            let values = Tensor::cat(vec![queries, keys, values.narrow(0, 2 * width, width)], 0);
            Param::initialized(bias.id, values)
        });
        qkv
    }
}

/// `softmax(τ · cos(Q, K) + bias)·V` per head, with the factor `τ = exp scale`, at most 100: Liu et al. 2021
/// (arXiv:2111.09883, equation 2).
///
/// `qkv` is `[batch, tokens, 3 · heads · d]` and `scale` `[heads, 1, 1]`; `bias` is that of
/// [`Heads::attend`].
fn cosine_attention(qkv: Tensor<3>, scale: &Tensor<3>, bias: Tensor<4>) -> Tensor<3> {
    let unit = |x: Tensor<4>| x.clone() / (x.square().sum_dim(3) + LEAST).sqrt();
    let factor = scale
        .clone()
        .clamp_max(MOST_SCALE.ln())
        .exp()
        .unsqueeze::<4>();
    let heads = Heads::of(qkv, scale.dims()[0]);
    Heads {
        queries: unit(heads.queries) * factor,
        keys: unit(heads.keys),
        ..heads
    }
    .attend(bias)
}
