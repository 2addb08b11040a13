//! `W + s·B·A` (Hu et al. 2021, "LoRA", arXiv:2106.09685, equation 3) and its relatives.
//!
//! `A` is `rank × inputs` and `B` is `outputs × rank`; group `g` of a convolution uses the `rank` rows
//! of `A` from `g·rank` on. The relatives put a vector between the factors (`VeRA`'s `d`, `AdaLoRA`'s
//! `Λ`) or after them (`VeRA`'s `b`), mask `B`, share `A`, or split the sum into length and direction
//! (`DoRA`).

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig};
use finetune_kernels::adapted::Factors;

use super::change::Change;
use super::form::Work;
use super::quantize::{Blocks, Quantize};
use super::shape::WeightShape;
use super::site::Site;
use crate::inspect::paths::Field;

/// Inputs per rank above which a change of that rank cannot nearly cancel a row of the weight.
const MUCH_LONGER: usize = 32;

/// How the factors of an adapter map onto the weight they change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// The weight.
    pub weight: WeightShape,
    /// Rank of the change per group.
    pub rank: usize,
    /// Factor `s` of `s·B·A`.
    pub scale: f64,
    /// Whether all layers and groups share the factors: this layer then uses the first `inputs`
    /// columns of `A` and, if `B` is shared as well, the first `outputs` rows of `B`.
    pub shared: bool,
    /// Divisor of the entries of a shared `A`.
    pub divisor: f64,
    /// Whether gradients reach the entries of `B` outside the mask as well, which regrowth by
    /// gradient needs. [`MovingMask`](crate::catalogue::MovingMask) then keeps those entries at 0.
    pub dense_gradient: bool,
}

/// A low-rank change of one weight.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `A`: `[groups · rank, inputs]`, or the shared `[rank, widest inputs]`.
    pub lora_a: Param<Tensor<2>>,
    /// `B`: `[outputs, rank]`, or the shared `[most outputs, rank]`. `None` is the identity: `A` is
    /// then the change itself, for layers whose factors would have more entries than their weight.
    pub lora_b: Option<Param<Tensor<2>>>,
    /// 1 where `B` trains and 0 elsewhere, `[outputs, rank]`; `None` if all of it trains.
    pub lora_b_mask: Option<Param<Tensor<2>>>,
    /// The vector between `A` and `B`, `[groups · rank]`: `VeRA`'s `d`, `AdaLoRA`'s `Λ`.
    pub inner: Option<Param<Tensor<1>>>,
    /// The vector after `B`, `[outputs]`: `VeRA`'s `b`.
    pub outer: Option<Param<Tensor<1>>>,
    /// Length of each output's weights, `[outputs]`: `DoRA`'s `m`.
    pub magnitude: Option<Param<Tensor<1>>>,
    /// Squared length of each output's base weights, `[outputs]`; frozen.
    pub base_square: Option<Param<Tensor<1>>>,
    /// Dropout on the adapter's input, in training only.
    pub dropout: Dropout,
    /// The scales of the blocks of a quantised base weight, frozen; `None` if the weight has them itself
    /// or is not quantised.
    pub base_scales: Option<Param<Tensor<1>>>,
    /// How the factors map onto the weight.
    #[module(skip)]
    pub geometry: Geometry,
    /// How a base weight with `base_scales` is stored.
    #[module(skip)]
    pub quantize: Option<Quantize>,
}

impl LowRank {
    pub(crate) const A: Field<'static> = Field::new("LowRank", "lora_a");
    pub(crate) const B: Field<'static> = Field::new("LowRank", "lora_b");
    pub(crate) const B_MASK: Field<'static> = Field::new("LowRank", "lora_b_mask");
    pub(crate) const INNER: Field<'static> = Field::new("LowRank", "inner");
    pub(crate) const OUTER: Field<'static> = Field::new("LowRank", "outer");
    pub(crate) const MAGNITUDE: Field<'static> = Field::new("LowRank", "magnitude");

    /// `ΔW = s·B·A` of two plain factors: no mask, no vectors, no dropout.
    pub(crate) fn plain(
        lora_a: Param<Tensor<2>>,
        lora_b: Param<Tensor<2>>,
        geometry: Geometry,
    ) -> Self {
        Self {
            lora_a,
            lora_b: Some(lora_b),
            lora_b_mask: None,
            inner: None,
            outer: None,
            magnitude: None,
            base_square: None,
            dropout: DropoutConfig::new(0.0).init(),
            base_scales: None,
            geometry,
            quantize: None,
        }
    }

    /// The scales of the blocks of its base weight.
    pub(crate) fn blocks(&self) -> Option<Blocks> {
        Some(Blocks {
            scales: self.base_scales.clone()?,
            quantize: self.quantize?,
            shape: self.geometry.weight,
        })
    }

    /// The same above a base weight whose scales are `blocks`.
    pub(crate) fn above(self, blocks: Option<Blocks>) -> Self {
        match blocks {
            Some(Blocks {
                scales, quantize, ..
            }) => Self {
                base_scales: Some(scales),
                quantize: Some(quantize),
                ..self
            },
            None => self,
        }
    }

    /// The squared length of each row of `[outputs, inputs]`, frozen: see
    /// [`base_square`](Self::base_square).
    pub(crate) fn square_lengths(base: Tensor<2>) -> Param<Tensor<1>> {
        let square = base.square().sum_dim(1).squeeze_dim::<1>(1).detach();
        Param::from_tensor(square).set_require_grad(false)
    }

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

    /// `ΔW = s·B·A`, `[outputs, inputs]`, before `DoRA` normalises the sum.
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

    /// Length of each output's weights with the change, `[outputs]`, without gradient (`DoRA`,
    /// section 4.3).
    ///
    /// `‖W + sBA‖² = ‖W‖² + 2s·⟨B, W·Aᵀ⟩ + s²·⟨B·A·Aᵀ, B⟩` row by row, without a dense `ΔW`. If a row
    /// has few entries per rank, the change may nearly cancel it and the three terms would lose its
    /// digits. Such weights are small, so the length of the dense sum is computed instead.
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
            // `B` is the identity: output `i` of a group changes by row `i` of `A`.
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
}

impl Change for LowRank {
    const MERGES: bool = true;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
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

    /// `W·x + s·B·(A·x) + bias`, in the cheapest form.
    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let training = x.device().is_autodiff();
        let drops = self.dropout.prob > 0.0 && training;
        let magnitude = self.magnitude.as_ref().map(|magnitude| {
            let norm = self.norm(self.geometry.weight.matrix(site.weight()));
            site.channels(magnitude.val() / norm)
        });
        if drops {
            return self.dropped(site, x, magnitude);
        }
        let Some(b) = self.b() else {
            // `A` has the size of the weight.
            return site.changed(x);
        };
        let form = self.work(site, &x).cheapest();
        let biased = magnitude.is_none();
        let (a, b) = self.folded(b);
        let sum = site.with_factors(x, Factors { a, b, form }, biased);
        match magnitude {
            Some(factor) => biased_sum(site, sum * factor),
            None => sum,
        }
    }
}

impl LowRank {
    /// `s·B·(A·x)`.
    fn up<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let mut down = site.down(x, self.a());
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
        up
    }

    /// The two factors of the change, with everything that is between and after them.
    fn folded(&self, b: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let mut a = self.a();
        if let Some(inner) = &self.inner {
            a = a * inner.val().unsqueeze_dim(1);
        }
        let mut b = b.mul_scalar(self.geometry.scale);
        if let Some(outer) = &self.outer {
            b = b * outer.val().unsqueeze_dim(1);
        }
        (a, b)
    }

    /// The layer in a training step with dropout on the adapter's input.
    fn dropped<const D: usize>(
        &self,
        site: &impl Site<D>,
        x: Tensor<D>,
        magnitude: Option<Tensor<D>>,
    ) -> Tensor<D> {
        let dropped = self.dropout.forward(x.clone());
        let up = self.up(site, dropped.clone());
        let Some(factor) = magnitude else {
            return site.base(x, true) + up;
        };
        // As in HF PEFT, dropout acts on the input of the direction but not on that of the base.
        let base = site.base(x, false);
        let direction = site.base(dropped, false);
        let sum = base + direction * (factor.clone() - 1.0) + up * factor;
        biased_sum(site, sum)
    }

    fn work<const D: usize>(&self, site: &impl Site<D>, x: &Tensor<D>) -> Work {
        let tracked = |param: &Param<Tensor<1>>| param.is_require_grad();
        let through_a = self.lora_a.is_require_grad() || self.inner.as_ref().is_some_and(tracked);
        Work {
            weight: self.geometry.weight,
            rank: self.geometry.rank,
            positions: site.positions(x.dims()),
            input: x.dims().iter().product(),
            training: x.device().is_autodiff(),
            // Only that of the first layer has none, where it makes no difference to the choice.
            input_grad: true,
            a_trains: through_a,
        }
    }
}

fn biased_sum<const D: usize>(site: &impl Site<D>, sum: Tensor<D>) -> Tensor<D> {
    match site.bias() {
        Some(bias) => sum + site.channels(bias),
        None => sum,
    }
}

/// The diagonal of each group's `W·Aᵀ`: `⟨W_i, A_i⟩` for output `i`, `[outputs, 1]`.
fn base_rows(shape: &WeightShape, wa: Tensor<2>, rank: usize) -> Tensor<2> {
    let device = wa.device();
    let eye = Tensor::<2>::eye(rank, &device).repeat_dim(0, shape.groups);
    (wa * eye).sum_dim(1)
}

impl Geometry {
    /// Rows of `A`: the rank times the number of groups.
    #[must_use]
    pub fn groups_rank(&self) -> usize {
        self.weight.groups * self.rank
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::{Geometry, LowRank};
    use crate::adapters::{WeightShape, start};
    use crate::inspect::paths::{MASK, assert_fields};

    #[test]
    fn the_constants_are_the_names_of_the_fields() {
        let device = Device::flex();
        let matrix = || start::full(0.0, [1, 1], &device);
        let vector = || Some(start::full(0.0, [1], &device));
        let geometry = Geometry {
            weight: WeightShape {
                outputs: 1,
                inputs: 1,
                groups: 1,
                kernel: None,
            },
            rank: 1,
            scale: 1.0,
            shared: false,
            divisor: 1.0,
            dense_gradient: false,
        };
        let adapter = LowRank {
            lora_b_mask: Some(matrix()),
            inner: vector(),
            outer: vector(),
            magnitude: vector(),
            ..LowRank::plain(matrix(), matrix(), geometry)
        };
        let factors = [LowRank::A, LowRank::B, LowRank::B_MASK];
        assert_fields(&adapter, &factors);
        let vectors = [LowRank::INNER, LowRank::OUTER, LowRank::MAGNITUDE];
        assert_fields(&adapter, &vectors);
        assert_eq!(LowRank::B_MASK.name, format!("{}{MASK}", LowRank::B.name));
    }
}
