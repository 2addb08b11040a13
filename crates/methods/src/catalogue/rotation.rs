//! Rotated inputs, the mathematics of `OFT`.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, IndexingUpdateOp, Int, TensorData};
use nalgebra::DMatrix;

use crate::adapters::{Change, Site, WeightShape};
use crate::inspect::paths::Field;

/// `W·diag(R₁, R₂, …)ᵀ`, where each `R` is a rotation of a block of inputs.
///
/// `R` comes from a skew-symmetric matrix `Q`, by the Cayley transform `(I - Q)·(I + Q)⁻¹` or by a
/// Neumann series. HF PEFT's series is that of `(I + Q)·(I - Q)⁻¹`, so the two turn in opposite
/// directions.
#[derive(Module, Debug)]
pub struct Rotation {
    /// The entries of `Q` above its diagonal, row by row: `[groups · inputs / block, block·(block - 1)/2]`,
    /// or `[1, ..]` if the blocks share one. `None` if a block is a single input, which cannot rotate.
    pub oft_r: Option<Param<Tensor<2>>>,
    /// The weight.
    #[module(skip)]
    pub shape: WeightShape,
    /// Inputs per block.
    #[module(skip)]
    pub block: usize,
    /// `COFT`'s `eps`; `None` if rotations are free.
    #[module(skip)]
    pub limit: Option<f64>,
    /// Terms of the Neumann series; `None` for the exact transform.
    #[module(skip)]
    pub terms: Option<usize>,
    /// Share of blocks that are not rotated in a training step.
    #[module(skip)]
    pub dropout: f64,
}

impl Rotation {
    pub(crate) const OFT_R: Field<'static> = Field::new("Rotation", "oft_r");

    /// `R` of each block, `[groups · inputs / block, block, block]`, or `[1, block, block]` if the blocks
    /// share one. `None` if nothing rotates.
    #[must_use]
    pub fn rotations(&self) -> Option<Tensor<3>> {
        let entries = self.oft_r.as_ref()?.val();
        let entries = match self.limit {
            None => entries,
            // The gradient is that at the shortened matrix: `COFT` keeps the parameter there.
            Some(eps) => {
                let free = entries.clone().detach();
                limited(free.clone(), eps) + (entries - free)
            }
        };
        let q = skew_symmetric(entries, self.block);
        let [count, block, _] = q.dims();
        let eye = identities(count, block, &q.device());
        Some(match self.terms {
            None => (eye.clone() - q.clone()).matmul(inverse(eye + q)),
            Some(terms) => neumann(eye, q, terms),
        })
    }

    /// The rotations of a training step: some are the identity.
    fn dropped(&self, rotations: Tensor<3>) -> Tensor<3> {
        let [count, block, _] = rotations.dims();
        let device = rotations.device();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let left_out = (self.dropout * count as f64) as usize;
        if count == 1 || left_out == 0 || !device.is_autodiff() {
            return rotations;
        }
        let order = Tensor::<1>::random([count], Distribution::Default, &device).argsort(0);
        let ones = Tensor::ones([left_out], &device);
        let mask = Tensor::<1>::zeros([count], &device)
            .select_assign(0, order.narrow(0, 0, left_out), ones, IndexingUpdateOp::Add)
            .detach()
            .reshape([count, 1, 1]);
        rotations * (-mask.clone() + 1.0) + identities(count, block, &device) * mask
    }

    /// The matrix `[outputs, inputs]` with rotated inputs.
    fn turn(&self, matrix: Tensor<2>, rotations: Tensor<3>) -> Tensor<2> {
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = self.shape;
        let (block, blocks) = (self.block, inputs / self.block);
        let transposed = rotations.swap_dims(1, 2);
        if transposed.dims()[0] == 1 {
            return matrix
                .reshape([1, outputs * blocks, block])
                .matmul(transposed)
                .reshape([outputs, inputs]);
        }
        // Block by block: `[groups · blocks, outputs / groups, block]`.
        matrix
            .reshape([groups, outputs / groups, blocks, block])
            .swap_dims(1, 2)
            .reshape([groups * blocks, outputs / groups, block])
            .matmul(transposed)
            .reshape([groups, blocks, outputs / groups, block])
            .swap_dims(1, 2)
            .reshape([outputs, inputs])
    }
}

impl Change for Rotation {
    const MERGES: bool = true;

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let Some(rotations) = self.rotations() else {
            return base;
        };
        let shape = base.dims();
        let turned = self.turn(self.shape.matrix(base), rotations);
        self.shape.weight(turned, shape)
    }

    /// Rotates the input of a Linear layer (`OFTv2`), and the weight of a convolution.
    fn forward<const D: usize>(&self, site: &impl Site<D>, x: Tensor<D>) -> Tensor<D> {
        let Some(rotations) = self.rotations() else {
            return site.base(x, true);
        };
        let rotations = self.dropped(rotations);
        if self.shape.kernel.is_some() {
            let matrix = self.turn(self.shape.matrix(site.weight()), rotations);
            let y = site.down(x, matrix);
            return match site.bias() {
                Some(bias) => y + site.channels(bias),
                None => y,
            };
        }
        let shape = x.dims();
        let (block, blocks) = (self.block, self.shape.inputs / self.block);
        let rows = shape.iter().product::<usize>() / self.shape.inputs;
        let turned = if rotations.dims()[0] == 1 {
            x.reshape([1, rows * blocks, block]).matmul(rotations)
        } else {
            x.reshape([rows, blocks, block])
                .swap_dims(0, 1)
                .matmul(rotations)
                .swap_dims(0, 1)
        };
        site.base(turned.reshape(shape), true)
    }
}

/// `[count, side, side]`.
fn identities(count: usize, side: usize, device: &Device) -> Tensor<3> {
    Tensor::<2>::eye(side, device)
        .unsqueeze::<3>()
        .repeat_dim(0, count)
}

/// The matrices `Q` `[count, side, side]` with those entries above the diagonal.
#[allow(clippy::cast_possible_wrap)]
fn skew_symmetric(entries: Tensor<2>, side: usize) -> Tensor<3> {
    let ([count, above], device) = (entries.dims(), entries.device());
    let rows = 0..side;
    let positions = rows.flat_map(|row| (row + 1..side).map(move |column| row * side + column));
    let positions: Vec<i64> = positions.map(|position| position as i64).collect();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [above]), &device);
    let upper = Tensor::<2>::zeros([count, side * side], &device)
        .select_assign(1, positions, entries, IndexingUpdateOp::Add)
        .reshape([count, side, side]);
    upper.clone() - upper.swap_dims(1, 2)
}

/// The first `terms` terms of `I + 2Q + 2Q² + …`, the last with the factor 1, summed in HF PEFT's order.
fn neumann(eye: Tensor<3>, q: Tensor<3>, terms: usize) -> Tensor<3> {
    let mut sum = eye + q.clone().mul_scalar(2.0);
    if terms > 2 {
        let mut power = q.clone().matmul(q.clone());
        sum = sum + power.clone().mul_scalar(2.0);
        for _ in 3..terms - 1 {
            power = power.matmul(q.clone());
            sum = sum + power.clone().mul_scalar(2.0);
        }
        sum = sum + power.matmul(q);
    }
    sum
}

/// The inverses of matrices `[count, side, side]`, differentiable.
///
/// `X = M⁻¹` is computed on the host in f64. A Newton step `X·(2I - M·X)` then has the value of `X` and
/// the derivative of the inverse, `-X·dM·X`.
#[allow(clippy::cast_possible_truncation)]
fn inverse(matrices: Tensor<3>) -> Tensor<3> {
    let ([count, side, _], device) = (matrices.dims(), matrices.device());
    let values: Vec<f32> = matrices.clone().detach().into_data().iter().collect();
    let inverses = values.chunks_exact(side * side).flat_map(|matrix| {
        let entries = matrix.iter().map(|value| f64::from(*value));
        let inverse = DMatrix::from_row_iterator(side, side, entries).try_inverse();
        // `I + Q` is invertible unless an entry is not finite.
        let inverse = inverse.unwrap_or_else(|| DMatrix::from_element(side, side, f64::NAN));
        // nalgebra stores columns, and those of the transpose are the rows.
        let rows: Vec<f32> = inverse.transpose().iter().map(|v| *v as f32).collect();
        rows
    });
    let data = TensorData::new(inverses.collect::<Vec<f32>>(), [count, side, side]);
    let inverses = Tensor::<3>::from_data(data, &device);
    let twice = identities(count, side, &device).mul_scalar(2.0);
    inverses.clone().matmul(twice - matrices.matmul(inverses))
}

/// Entries above the diagonals of matrices `Q` that are shortened to `eps / √count` if they are longer.
#[allow(clippy::cast_precision_loss)]
pub(super) fn limited<const D: usize>(entries: Tensor<D>, eps: f64) -> Tensor<D> {
    let most = eps / (entries.dims()[0] as f64).sqrt();
    // Each entry is in `Q` twice.
    let length = entries.clone().square().sum_dim(1).mul_scalar(2.0).sqrt();
    // What is longer by rounding alone stays, so that limiting twice changes nothing.
    let longer = length.clone().greater_elem(most * (1.0 + 1e-6));
    let factor = length
        .clone()
        .ones_like()
        .mask_where(longer, length.recip().mul_scalar(most));
    entries * factor
}

#[cfg(test)]
mod tests {
    use burn::Tensor;
    use burn::tensor::{Device, Distribution};

    use super::{Rotation, identities, neumann, skew_symmetric};
    use crate::adapters::{WeightShape, start};
    use crate::inspect::paths::assert_fields;

    /// Returns two exact rotations of 6 inputs.
    fn adapter(device: &Device) -> Rotation {
        let oft_r = start::full(0.0, [2, 15], device).map(|zeros: Tensor<2>| {
            let entries = zeros.random_like(Distribution::Normal(0.0, 1.0));
            entries.detach().set_require_grad(true)
        });
        Rotation {
            oft_r: Some(oft_r),
            shape: WeightShape {
                outputs: 3,
                inputs: 12,
                groups: 1,
                kernel: None,
            },
            block: 6,
            limit: None,
            terms: None,
            dropout: 0.0,
        }
    }

    #[test]
    fn the_constant_is_the_name_of_the_field() {
        assert_fields(&adapter(&Device::flex().autodiff()), &[Rotation::OFT_R]);
    }

    #[test]
    fn the_exact_transform_is_orthogonal() {
        let device = Device::flex().autodiff();
        let r = adapter(&device).rotations().unwrap();
        let product = r.clone().matmul(r.swap_dims(1, 2));
        let apart = product - identities(2, 6, &device);
        assert!(apart.abs().max().into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn the_series_has_the_terms_of_hf_peft() {
        // Q = [[0, q], [-q, 0]] is q times a quarter turn J, and J² = -I.
        let (device, q) = (Device::flex(), 0.5_f32);
        let entries = Tensor::<2>::full([1, 1], q, &device);
        let series = |terms| -> Vec<f32> {
            let (eye, q) = (
                identities(1, 2, &device),
                skew_symmetric(entries.clone(), 2),
            );
            neumann(eye, q, terms).into_data().iter().collect()
        };
        // Multiples of I and of J. HF PEFT adds Q³ for three terms as well as for four.
        for (terms, of_eye, of_turn) in [
            (2, 1.0, 2.0 * q),
            (3, 1.0 - 2.0 * q.powi(2), 2.0 * q - q.powi(3)),
            (4, 1.0 - 2.0 * q.powi(2), 2.0 * q - q.powi(3)),
            (
                5,
                1.0 - 2.0 * q.powi(2) + q.powi(4),
                2.0 * q - 2.0 * q.powi(3),
            ),
        ] {
            assert_eq!(
                series(terms),
                [of_eye, of_turn, -of_turn, of_eye],
                "{terms}"
            );
        }
    }

    #[test]
    fn dropout_leaves_whole_blocks_unrotated_only_in_training() {
        let device = Device::flex().autodiff();
        let half = Rotation {
            dropout: 0.5,
            ..adapter(&device)
        };
        let rotations = half.rotations().unwrap();
        let dropped = half.dropped(rotations.clone());
        let same = |a: Tensor<3>, b: Tensor<3>| (a - b).abs().max().into_scalar::<f32>() == 0.0;
        let block = |of: &Tensor<3>, i| of.clone().narrow(0, i, 1);
        let eye = identities(1, 6, &device);
        let unrotated = (0..2).filter(|i| same(block(&dropped, *i), eye.clone()));
        assert_eq!(unrotated.count(), 1);
        let kept = (0..2).filter(|i| same(block(&dropped, *i), block(&rotations, *i)));
        assert_eq!(kept.count(), 1);
        let inference = Device::flex();
        let free = Tensor::<3>::from_data(rotations.into_data(), &inference);
        assert!(same(half.dropped(free.clone()), free));
    }
}
