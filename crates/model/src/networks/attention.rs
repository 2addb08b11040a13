//! Multi-head self-attention with a bias on its scores, for transformers that know where their tokens are
//! by that bias.
//!
//! Without one, [`finetune_kernels::tokens::attention`] takes less time and memory.

use burn::Tensor;
use burn::tensor::activation::softmax;

/// The queries, keys and values of an attention, each `[batch, heads, tokens, d]`.
pub(crate) struct Heads {
    pub queries: Tensor<4>,
    pub keys: Tensor<4>,
    pub values: Tensor<4>,
}

impl Heads {
    /// Divides `qkv`, `[batch, tokens, 3 · heads · d]`: queries, keys and values beside each other, each
    /// head by head.
    ///
    /// # Panics
    ///
    /// The last axis is not a multiple of `3 · heads`.
    pub(crate) fn of(qkv: Tensor<3>, heads: usize) -> Self {
        let [batch, tokens, width] = qkv.dims();
        let qkv = qkv
            .reshape([batch, tokens, 3, heads, width / 3 / heads])
            .permute([2, 0, 3, 1, 4]);
        let part = |index: usize| qkv.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        Self {
            queries: part(0),
            keys: part(1),
            values: part(2),
        }
    }

    /// `softmax(Q·Kᵀ + bias)·V` per head, as `[batch, tokens, heads · d]`.
    ///
    /// `bias` is `[groups, heads, tokens, tokens]`. The batch is a multiple of the groups, and the groups
    /// take turns in it.
    pub(crate) fn attend(self, bias: Tensor<4>) -> Tensor<3> {
        let [batch, heads, tokens, d] = self.queries.dims();
        let [groups, ..] = bias.dims();
        let scores = self.queries.matmul(self.keys.swap_dims(2, 3));
        let scores = scores.reshape([batch / groups, groups * heads, tokens, tokens])
            + bias.reshape([1, groups * heads, tokens, tokens]);
        let weights = softmax(scores, 3).reshape([batch, heads, tokens, tokens]);
        weights
            .matmul(self.values)
            .swap_dims(1, 2)
            .reshape([batch, tokens, heads * d])
    }
}

/// `softmax(Q·Kᵀ / √d + bias)·V` per head (Vaswani et al. 2017, arXiv:1706.03762, equation 1, with a bias
/// as in Raffel et al. 2019, arXiv:1910.10683, section 2.1), as `[batch, tokens, heads · d]`.
///
/// `qkv` `[batch, tokens, 3 · heads · d]` is divided as by [`Heads::of`], and `bias` is that of
/// [`Heads::attend`].
#[allow(clippy::cast_precision_loss)]
pub(crate) fn attention_with_bias(qkv: Tensor<3>, heads: usize, bias: Tensor<4>) -> Tensor<3> {
    let heads = Heads::of(qkv, heads);
    let d = heads.queries.dims()[3];
    let queries = heads.queries * (d as f64).powf(-0.5);
    Heads { queries, ..heads }.attend(bias)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use finetune_kernels::tokens::attention;

    use super::*;

    fn values(count: usize, scale: f32) -> Vec<f32> {
        #[allow(clippy::cast_precision_loss)]
        let value = |index: usize| (index as f32 * 0.37).sin() * scale;
        (0..count).map(value).collect()
    }

    #[test]
    fn without_a_bias_it_is_the_kernels_attention() {
        let device = Device::flex();
        let data = TensorData::new(values(4 * 5 * 24, 1.0), [4, 5, 24]);
        let qkv = Tensor::<3>::from_data(data, &device);
        let none = Tensor::zeros([2, 2, 5, 5], &device);
        let found = attention_with_bias(qkv.clone(), 2, none);
        let wanted = attention(qkv, 2);
        assert!((found - wanted).abs().max().into_scalar::<f32>() < 1e-6);
    }

    #[test]
    fn the_groups_of_a_bias_take_turns() {
        let device = Device::flex();
        let data = TensorData::new(values(4 * 3 * 6, 1.0), [4, 3, 6]);
        let qkv = Tensor::<3>::from_data(data, &device);
        let data = TensorData::new(values(2 * 2 * 9, 2.0), [2, 2, 3, 3]);
        let bias = Tensor::<4>::from_data(data, &device);
        let found = attention_with_bias(qkv.clone(), 2, bias.clone());
        for index in 0..4 {
            let one = qkv.clone().narrow(0, index, 1);
            let group = bias.clone().narrow(0, index % 2, 1);
            let wanted = attention_with_bias(one, 2, group);
            let difference = found.clone().narrow(0, index, 1) - wanted;
            assert!(difference.abs().max().into_scalar::<f32>() < 1e-6);
        }
    }
}
