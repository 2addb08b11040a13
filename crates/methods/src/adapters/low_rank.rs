//! `W + s·B·A` (Hu et al. 2021, "LoRA", arXiv:2106.09685, equation 3) and its relatives.
//!
//! `A` is `rank × inputs` and `B` is `outputs × rank`; with groups, group `g` has the rows
//! `g·rank ..` of `A`. The relatives put a vector between the factors (`VeRA`'s `d`, `AdaLoRA`'s
//! `Λ`) or behind them (`VeRA`'s `b`), mask `B`, share `A`, or divide the sum into length and
//! direction (`DoRA`).

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::Dropout;

use super::WeightShape;
use crate::adapters::Site;

/// Inputs for each rank from which on a change of that rank cannot nearly cancel a row.
const MUCH_LONGER: usize = 32;

/// How the factors of an adapter map onto the weight they change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// The weight.
    pub weight: WeightShape,
    /// Rank of the change, a group.
    pub rank: usize,
    /// Factor `s` of `s·B·A`.
    pub scale: f64,
    /// Whether the factors are shared by all layers and groups: this layer uses the first
    /// `inputs` columns of `A` and, where `B` is shared too, the first `outputs` rows of it.
    pub shared: bool,
    /// What the entries of `A` are divided by.
    pub divisor: f64,
    /// Whether gradients reach all of `B`, masked or not (for regrowth by gradient). `B` is then
    /// kept at 0 outside the mask by [`SparseDynamics`](crate::SparseDynamics).
    pub dense_gradient: bool,
}

/// A low-rank change of one weight.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `A`: `[groups · rank, inputs]`, or the shared `[rank, widest inputs]`.
    pub lora_a: Param<Tensor<2>>,
    /// `B`: `[outputs, rank]`, or the shared `[most outputs, rank]`. `None` is the identity: `A` is
    /// then the change itself, for layers whose factors would be larger than they are.
    pub lora_b: Option<Param<Tensor<2>>>,
    /// 1 where `B` trains and 0 elsewhere, `[outputs, rank]`; `None` where all of it trains.
    pub lora_b_mask: Option<Param<Tensor<2>>>,
    /// The vector between `A` and `B`, `[groups · rank]`: `VeRA`'s `d`, `AdaLoRA`'s `Λ`.
    pub inner: Option<Param<Tensor<1>>>,
    /// The vector behind `B`, `[outputs]`: `VeRA`'s `b`.
    pub outer: Option<Param<Tensor<1>>>,
    /// Length of each output's weights, `[outputs]`: `DoRA`'s `m`.
    pub magnitude: Option<Param<Tensor<1>>>,
    /// Squared length of each output's base weights, `[outputs]`, never trained.
    pub base_square: Option<Param<Tensor<1>>>,
    /// Dropout on the adapter's input; off unless training.
    pub dropout: Dropout,
    /// How the factors map onto the weight.
    #[module(skip)]
    pub geometry: Geometry,
}

impl LowRank {
    /// `A` as this layer uses it: `[groups · rank, inputs]`.
    #[must_use]
    pub fn a(&self) -> Tensor<2> {
        let a = self.lora_a.val();
        let WeightShape { inputs, groups, .. } = self.geometry.weight;
        if !self.geometry.shared {
            return a;
        }
        let a = if a.dims()[1] == inputs {
            a
        } else {
            a.narrow(1, 0, inputs)
        };
        #[allow(clippy::float_cmp)] // set, not computed
        let a = if self.geometry.divisor == 1.0 {
            a
        } else {
            a.div_scalar(self.geometry.divisor)
        };
        if groups > 1 {
            a.repeat_dim(0, groups)
        } else {
            a
        }
    }

    /// `B` with its mask applied: `[outputs, rank]`; `None` for the identity.
    #[must_use]
    pub fn b(&self) -> Option<Tensor<2>> {
        let b = self.lora_b.as_ref()?.val();
        let outputs = self.geometry.weight.outputs;
        let b = if b.dims()[0] == outputs {
            b
        } else {
            b.narrow(0, 0, outputs)
        };
        Some(match &self.lora_b_mask {
            Some(mask) if !self.geometry.dense_gradient => b * mask.val(),
            _ => b,
        })
    }

    /// `ΔW = s·B·A`, `[outputs, inputs]`, before `DoRA` takes its direction.
    #[must_use]
    pub fn delta(&self) -> Tensor<2> {
        let Geometry {
            rank,
            scale,
            weight:
                WeightShape {
                    outputs,
                    inputs,
                    groups,
                    ..
                },
            ..
        } = self.geometry;
        let mut a = self.a();
        if let Some(inner) = &self.inner {
            a = a * inner.val().unsqueeze_dim(1);
        }
        let mut delta = match self.b() {
            None => a,
            Some(b) if groups == 1 => b.matmul(a),
            Some(b) => b
                .reshape([groups, outputs / groups, rank])
                .matmul(a.reshape([groups, rank, inputs]))
                .reshape([outputs, inputs]),
        };
        if let Some(outer) = &self.outer {
            delta = delta * outer.val().unsqueeze_dim(1);
        }
        delta.mul_scalar(scale)
    }

    pub(super) fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.dims();
        let weight = &self.geometry.weight;
        let Some(magnitude) = &self.magnitude else {
            return base + weight.weight(self.delta(), shape);
        };
        let sum = weight.matrix(base) + self.delta();
        let norm = (sum.clone().detach() * sum.clone().detach())
            .sum_dim(1)
            .sqrt();
        weight.weight(sum * (magnitude.val().unsqueeze_dim(1) / norm), shape)
    }

    /// Length of each output's weights with the change, `[outputs]`, without gradient (`DoRA`,
    /// section 4.3).
    ///
    /// `‖W + sBA‖² = ‖W‖² + 2s·⟨B, W·Aᵀ⟩ + s²·⟨B·A·Aᵀ, B⟩` row by row: no dense `ΔW`. Where a row is
    /// not much longer than the rank, the change may nearly cancel it and the three terms would lose
    /// its digits; there, where it is small anyway, the sum itself is measured.
    fn norm(&self, base: Tensor<2>) -> Tensor<1> {
        let Geometry {
            rank,
            scale,
            weight:
                WeightShape {
                    outputs,
                    inputs,
                    groups,
                    ..
                },
            ..
        } = self.geometry;
        if inputs < MUCH_LONGER * rank {
            let delta = self.delta().detach();
            let square = (base.detach() + delta).square().sum_dim(1).squeeze_dim(1);
            return square.clamp_min(f32::MIN_POSITIVE).sqrt();
        }
        let square = match &self.base_square {
            Some(square) => square.val(),
            None => base.clone().square().sum_dim(1).squeeze_dim(1),
        };
        let a = self.a().detach().reshape([groups, rank, inputs]);
        let w = base.detach().reshape([groups, outputs / groups, inputs]);
        let wa = w.matmul(a.clone().transpose()).reshape([outputs, rank]);
        let gram = a.clone().matmul(a.transpose());
        let (cross, quadratic) = if let Some(b) = self.b() {
            let b = b.detach();
            let bg = b
                .clone()
                .reshape([groups, outputs / groups, rank])
                .matmul(gram)
                .reshape([outputs, rank]);
            ((b.clone() * wa).sum_dim(1), (bg * b).sum_dim(1))
        } else {
            // The identity: output `i` of a group has row `i` of `A`.
            let a = self.a().detach();
            let w = base_rows(&self.geometry.weight, wa, rank);
            (w, a.square().sum_dim(1))
        };
        (square.detach()
            + cross.squeeze_dim(1).mul_scalar(2.0 * scale)
            + quadratic.squeeze_dim(1).mul_scalar(scale * scale))
        .clamp_min(f32::MIN_POSITIVE)
        .sqrt()
    }

    /// The layer with this adapter on `x`, factored: `W·x + s·B·(A·x) + bias`.
    pub(crate) fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let dropped = self.dropout.forward(x.clone());
        let mut down = site.down(dropped.clone(), self.a());
        if let Some(inner) = &self.inner {
            down = down * site.channels(inner.val());
        }
        let mut up = match self.b() {
            Some(b) => site.up(down, b.mul_scalar(self.geometry.scale)),
            None => down.mul_scalar(self.geometry.scale),
        };
        if let Some(outer) = &self.outer {
            up = up * site.channels(outer.val());
        }
        let Some(magnitude) = &self.magnitude else {
            return site.base(x, true) + up;
        };
        let norm = self.norm(self.geometry.weight.matrix(site.weight()));
        let factor = site.channels(magnitude.val() / norm);
        let base = site.base(x.clone(), false);
        // With dropout the direction sees the dropped input, what the base adds does not (PEFT).
        let training = self.dropout.prob > 0.0 && x.device().is_autodiff();
        let sum = if training {
            let direction = site.base(dropped, false);
            base + direction * (factor.clone() - 1.0) + up * factor
        } else {
            (base + up) * factor
        };
        match site.bias() {
            Some(bias) => sum + site.channels(bias),
            None => sum,
        }
    }
}

/// The diagonal of each group's `W·Aᵀ`: `⟨W_i, A_i⟩` for output `i`, `[outputs, 1]`.
fn base_rows(shape: &WeightShape, wa: Tensor<2>, rank: usize) -> Tensor<2> {
    let device = wa.device();
    let eye = Tensor::<2>::eye(rank, &device).repeat_dim(0, shape.groups);
    (wa * eye).sum_dim(1)
}

impl Geometry {
    /// Rows of `A`: a rank for each group.
    #[must_use]
    pub fn groups_rank(&self) -> usize {
        self.weight.groups * self.rank
    }
}
