//! How a layer with a low-rank change is computed, and what each way costs.
//!
//! `y = (W + B·A)·x` can be computed from its parts, or with the merged weight, and the gradients of
//! the factors have two orders of products (Cherniuk et al. 2023, "Run LoRA Run", arXiv:2312.03415;
//! here for convolutions as well). Which is cheapest depends on the sizes of the layer: a merged
//! weight saves products and passes over the output, but has to be made, which for few images and a
//! large weight costs more than it saves.
//!
//! The estimate counts multiplications and values that move between the cache and memory, which all
//! forms do not have in common, and depends on shapes alone: the same run takes the same forms on
//! every machine. `cargo bench --profile dev --workspace --bench forms` compares it with measured times.

use std::sync::atomic::{AtomicU8, Ordering};

pub use finetune_kernels::adapted::Form;
use finetune_kernels::adapted::Order;

use super::shape::WeightShape;

/// The place in [`Form::ALL`] of the form that all layers take, plus 1; 0 for none.
static FORCED: AtomicU8 = AtomicU8::new(0);

/// What the cost of a layer with factors depends on.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The weight.
    pub weight: WeightShape,
    /// Rank of the change per group.
    pub rank: usize,
    /// Number of outputs of one channel or feature: pixels of all images, or rows.
    pub positions: usize,
    /// Number of values of the input.
    pub input: usize,
    /// Whether there is a backward pass.
    pub training: bool,
    /// Whether the input has a gradient.
    pub input_grad: bool,
    /// Whether `A` is trained.
    pub a_trains: bool,
}

/// Multiplications that take as long as moving one value.
const MOVE: f64 = 12.0;

/// The least number of channels that a narrow product computes at once.
const NARROW: usize = 16;

impl Work {
    /// Makes every layer of this process take one form where it can, for experiments; `None` leaves
    /// the choice to the estimate again.
    pub fn force(form: Option<Form>) {
        let place = form.and_then(|form| Form::ALL.iter().position(|(_, other)| *other == form));
        let code = place.map_or(0, |place| place + 1);
        FORCED.store(u8::try_from(code).unwrap_or_default(), Ordering::Relaxed);
    }

    fn forced() -> Option<Form> {
        let code = usize::from(FORCED.load(Ordering::Relaxed));
        Some(Form::ALL.get(code.checked_sub(1)?)?.1)
    }

    /// The cheapest form.
    #[must_use]
    pub fn cheapest(&self) -> Form {
        if let Some(form) = Self::forced() {
            return form;
        }
        let forms = Form::ALL.map(|(_, form)| form);
        let cost = |form: &Form| self.cost(*form);
        forms
            .into_iter()
            .min_by(|one, other| cost(one).total_cmp(&cost(other)))
            .unwrap_or(Form::Factored)
    }

    /// What a form costs beyond `W·x` and the gradient of `x`, in multiplications.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn cost(&self, form: Form) -> f64 {
        let WeightShape {
            outputs,
            inputs,
            groups,
            ..
        } = self.weight;
        let [positions, outputs, inputs, groups] =
            [self.positions, outputs, inputs, groups].map(|size| size as f64);
        let [rank, width] = [self.rank, self.rank.max(NARROW)].map(|size| size as f64);
        let (x, y) = (self.input as f64, positions * outputs);
        let (middle, weight) = (positions * groups * rank, outputs * inputs);
        let product = |multiplications: f64, moved: f64| multiplications + MOVE * moved;
        let count = |wanted: bool| f64::from(u8::from(wanted));

        // `A·x` or the gradient of `A` or of `x`, `B` applied to `A·x`, and the two gradients there.
        let narrow = product(positions * groups * width * inputs, x + middle);
        let up = product(positions * outputs * rank, middle + y);
        let at_output = product(positions * outputs * width, y + middle);
        let merging = product(outputs * inputs * rank, 2.0 * weight);

        let (training, input_grad) = (count(self.training), count(self.input_grad));
        let a_trains = count(self.a_trains);
        // The gradient of `A·x` leads to those of `A` and `x`.
        let needs_middle = count(self.a_trains || (self.input_grad && form == Form::Factored));
        let factors = at_output * (1.0 + needs_middle) + narrow * a_trains;
        let (adding_y, adding_x) = (product(0.0, 3.0 * y), product(0.0, 3.0 * x));
        match form {
            Form::Factored => {
                narrow + up + adding_y + training * (factors + input_grad * (narrow + adding_x))
            }
            Form::Merged(Order::Factors) => {
                merging * (1.0 + training * input_grad) + training * (narrow + factors)
            }
            Form::Merged(Order::Dense) => {
                let dense = product(positions * outputs * inputs, x + y + weight);
                let parts = product(outputs * inputs * width, weight) * (1.0 + a_trains);
                merging * (1.0 + training * input_grad) + training * (dense + parts)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, MOVE, Order, WeightShape, Work};

    /// A 3×3 convolution of 8 images of 4×4 pixels from 32 to 64 channels, rank 16.
    const CONVOLUTION: Work = Work {
        weight: WeightShape {
            outputs: 64,
            inputs: 288,
            groups: 1,
            kernel: Some([3, 3]),
        },
        rank: 16,
        positions: 128,
        input: 4096,
        training: true,
        input_grad: true,
        a_trains: true,
    };

    #[test]
    fn costs_are_the_products_and_moves_counted_by_hand() {
        // `A·x`, `dA` and, from its factors, `dx`: 128 · 16 · 288 multiplications, 4096 + 2048 values.
        let narrow = 589_824.0 + MOVE * 6144.0;
        // `B·h`, `dB` and `dh`: 128 · 64 · 16 multiplications, 8192 + 2048 values.
        let outer = 131_072.0 + MOVE * 10_240.0;
        let factored = 3.0 * narrow + 3.0 * outer + MOVE * 3.0 * (8192.0 + 4096.0);
        assert_eq!(
            CONVOLUTION.cost(Form::Factored).to_bits(),
            f64::to_bits(factored)
        );
        // The sum, in both passes: 64 · 288 · 16 multiplications, the weight read and written.
        let merging = 294_912.0 + MOVE * 2.0 * 18_432.0;
        let merged = 2.0 * merging + 2.0 * narrow + 2.0 * outer;
        let form = Form::Merged(Order::Factors);
        assert_eq!(CONVOLUTION.cost(form).to_bits(), f64::to_bits(merged));
        // `dW`: 128 · 64 · 288 multiplications; from it, `dA` and `dB`.
        let dense = 2_359_296.0 + MOVE * (4096.0 + 8192.0 + 18_432.0);
        let parts = 294_912.0 + MOVE * 18_432.0;
        let dense = 2.0 * merging + dense + 2.0 * parts;
        let form = Form::Merged(Order::Dense);
        assert_eq!(CONVOLUTION.cost(form).to_bits(), f64::to_bits(dense));
    }

    #[test]
    fn a_large_weight_with_few_rows_is_not_merged() {
        // The first fully connected layer of the textbook chapter's network.
        let work = Work {
            weight: WeightShape {
                outputs: 1000,
                inputs: 65_536,
                groups: 1,
                kernel: None,
            },
            positions: 64,
            input: 64 * 65_536,
            ..CONVOLUTION
        };
        assert_eq!(work.cheapest(), Form::Factored);
    }

    #[test]
    fn a_small_weight_with_many_pixels_is_merged() {
        // MobileNetV2's first expansion.
        let work = Work {
            weight: WeightShape {
                outputs: 96,
                inputs: 16,
                groups: 1,
                kernel: Some([1, 1]),
            },
            positions: 32 * 112 * 112,
            input: 32 * 112 * 112 * 16,
            ..CONVOLUTION
        };
        assert_eq!(work.cheapest(), Form::Merged(Order::Dense));
    }
}
