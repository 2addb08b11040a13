//! The adapter that sits on a weight: a low-rank change, dense or masked, own or shared factors.
//!
//! For a weight seen as a matrix `W` of `outputs × inputs` (a convolution's kernel flattened), an
//! adapter adds `ΔW = s · B·A` with `A` of `rank × inputs` and `B` of `outputs × rank` (Hu et al.
//! 2021, "LoRA", equation 3). With groups, group `g` has the rows `g·rank ..` of `A`.

use burn::Tensor;
use burn::module::{Module, Param, Reparameterization};
use burn::nn::Dropout;

/// How the matrices of an adapter map onto the weight they change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// Rank of the change, a group.
    pub rank: usize,
    /// Factor `s` of `s · B·A`.
    pub scale: f64,
    /// Columns of `A` that this layer uses: the inputs one output sees.
    pub inputs: usize,
    /// Groups of a convolution; 1 for Linear.
    pub groups: usize,
    /// Kernel height and width; `None` for Linear.
    pub kernel: Option<[usize; 2]>,
    /// Whether `A` is one projection shared by all layers and groups, of which this layer uses the
    /// first `inputs` columns, divided by `√inputs`.
    pub shared: bool,
    /// Whether gradients reach all of `B`, masked or not (for regrowth by gradient). `B` is then
    /// kept at 0 outside the mask by [`SparseDynamics`](crate::SparseDynamics).
    pub dense_gradient: bool,
}

/// A low-rank change of one weight, attached through Burn's reparameterization seam.
#[derive(Module, Debug)]
pub struct Adapter {
    /// `A`: `[groups · rank, inputs]`, or the shared `[rank, widest inputs]`.
    pub lora_a: Param<Tensor<2>>,
    /// `B`: `[outputs, rank]`.
    pub lora_b: Param<Tensor<2>>,
    /// 1 where `B` trains and 0 elsewhere, `[outputs, rank]`; `None` where all of it trains.
    pub lora_b_mask: Option<Param<Tensor<2>>>,
    /// Dropout on the adapter's input; off unless training.
    pub dropout: Dropout,
    /// How the factors map onto the weight.
    #[module(skip)]
    pub geometry: Geometry,
}

impl Reparameterization for Adapter {
    const NAME: &'static str = "adapter";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.shape();
        base + self.delta().reshape(shape)
    }
}

impl Adapter {
    /// `A` as this layer uses it: `[groups · rank, inputs]`.
    #[must_use]
    pub fn a(&self) -> Tensor<2> {
        let a = self.lora_a.val();
        let Geometry {
            inputs,
            groups,
            shared,
            ..
        } = self.geometry;
        if !shared {
            return a;
        }
        let a = if a.dims()[1] == inputs {
            a
        } else {
            a.narrow(1, 0, inputs)
        };
        // 1/√n keeps the variance of A·x at that of x for A ~ N(0, 1).
        #[allow(clippy::cast_precision_loss)]
        let a = a.div_scalar((inputs as f64).sqrt());
        if groups > 1 {
            a.repeat_dim(0, groups)
        } else {
            a
        }
    }

    /// `B` with its mask applied: `[outputs, rank]`.
    #[must_use]
    pub fn b(&self) -> Tensor<2> {
        match &self.lora_b_mask {
            Some(mask) if !self.geometry.dense_gradient => self.lora_b.val() * mask.val(),
            _ => self.lora_b.val(),
        }
    }

    /// `ΔW = s · B·A`, in the order of the weight's elements: `[inputs, outputs]` for Linear,
    /// `[outputs, inputs]` for a convolution.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let Geometry {
            rank,
            scale,
            inputs,
            groups,
            kernel,
            ..
        } = self.geometry;
        let (a, b) = (self.a(), self.b());
        let delta = if groups == 1 {
            b.matmul(a)
        } else {
            let outputs = b.dims()[0];
            b.reshape([groups, outputs / groups, rank])
                .matmul(a.reshape([groups, rank, inputs]))
                .reshape([outputs, inputs])
        };
        let delta = delta.mul_scalar(scale);
        if kernel.is_some() {
            delta
        } else {
            delta.transpose()
        }
    }
}
