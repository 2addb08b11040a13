//! Pooling by the attention of a learned query.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::softmax;
use finetune_methods::linear;

use super::super::blocks::{layer_norm_of, normalized_by};
use super::block::Mlp;
use super::shape::TransformerShape;

/// The attention of a learned query to all tokens, and a perceptron.
#[derive(Module, Debug)]
pub(crate) struct AttentionPool {
    /// `[1, 1, width]`.
    latent: Param<Tensor<3>>,
    qkv: Linear,
    proj: Linear,
    norm: LayerNorm,
    mlp: Mlp,
    heads: usize,
    #[module(skip)]
    epsilon: f64,
}

impl AttentionPool {
    pub(super) fn new(shape: &TransformerShape, device: &Device) -> Self {
        let width = shape.width;
        Self {
            latent: Initializer::Zeros.init([1, 1, width], device),
            qkv: LinearConfig::new(width, 3 * width).init(device),
            proj: LinearConfig::new(width, width).init(device),
            norm: layer_norm_of(width, shape.epsilon, device),
            mlp: Mlp::new(shape, device),
            heads: shape.heads,
            epsilon: shape.epsilon,
        }
    }

    /// Features `[batch, width]` of tokens `[batch, tokens, width]`.
    #[allow(clippy::cast_precision_loss)] // a head has few features
    pub(super) fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [batch, count, width] = tokens.dims();
        let dim = width / self.heads;
        let latent = self.latent.val().repeat_dim(0, batch);
        // The layer is one for all three, so that it is one product; the query of the tokens is not used.
        let qkv = linear(&self.qkv, Tensor::cat(vec![latent, tokens], 1));
        let part = |first: usize, tokens: usize, part: usize| {
            let part = qkv
                .clone()
                .narrow(1, first, tokens)
                .narrow(2, part * width, width);
            part.reshape([batch, tokens, self.heads, dim])
                .swap_dims(1, 2)
        };
        let (query, keys, values) = (part(0, 1, 0), part(1, count, 1), part(1, count, 2));
        let scores = (query / (dim as f64).sqrt()).matmul(keys.swap_dims(2, 3));
        let seen = softmax(scores, 3).matmul(values).reshape([batch, width]);
        let x = linear(&self.proj, seen);
        let y = self
            .mlp
            .forward(normalized_by(&self.norm, x.clone(), self.epsilon));
        x + y
    }
}
