//! How fast this machine computes and moves values, and what follows for a step of training.

use std::time::{Duration, Instant};

use burn::Tensor;
use burn::tensor::{Device, Distribution};
use finetune_model::Figures;

/// Bytes per parameter that trains: its value, its gradient and Adam's two moments, in `f32`.
const BYTES_PER_PARAMETER: u64 = 16;

/// Bytes per output of a layer that are kept for the backward pass: the output, and what the normalisation
/// or activation after it makes of it, which the next layer needs.
const BYTES_PER_OUTPUT: u64 = 8;

/// Products of a step per product of the forward pass: there are the gradients of inputs and weights.
const PASSES: f64 = 3.0;

/// How often an output is read or written in a step besides: by its layer, normalisation, activation and
/// their gradients.
const MOVES: f64 = 12.0;

/// What a device does per second, as measured for a moment.
///
/// ```no_run
/// use finetune::machine::rates::Rates;
/// use finetune::model::{Architecture, Figures};
///
/// let figures = Figures::of(Architecture::find("resnet18")?);
/// let seconds = Rates::measure(&burn::tensor::Device::flex()).step_seconds(&figures, 32);
/// # let _ = seconds;
/// # Ok::<(), finetune::model::ModelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Multiply-accumulates of a large product of matrices per second.
    pub products: f64,
    /// Values of a large sum of tensors read or written per second.
    pub values: f64,
}

impl Rates {
    /// Measures for about a quarter of a second: the best of several products and sums.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn measure(device: &Device) -> Self {
        const SIDE: usize = 512;
        const LENGTH: usize = 1 << 23;
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, device);
        let matrix = random([SIDE, SIDE]);
        let product = best(|| matrix.clone().matmul(matrix.clone()));
        let (a, b) = (random([1, LENGTH]), random([1, LENGTH]));
        let sum = best(|| a.clone() + b.clone());
        Self {
            products: (SIDE * SIDE * SIDE) as f64 / product,
            values: (3 * LENGTH) as f64 / sum,
        }
    }

    /// An estimate of the time of a step that trains all weights with a batch of this size, seconds: its
    /// products at the rate of a large product, and its other passes over memory. Real steps differ from it
    /// by up to a factor of about two, because layers have other shapes.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn step_seconds(&self, figures: &Figures, batch: usize) -> f64 {
        let products = PASSES * figures.multiply_accumulates as f64 / self.products;
        let values = MOVES * figures.outputs as f64 / self.values;
        batch as f64 * (products + values)
    }
}

/// An estimate of the memory of a step that trains all weights with Adam and a batch of this size, bytes:
/// weights, gradients and moments, and what the backward pass needs of the layers' outputs.
#[must_use]
pub fn step_bytes(figures: &Figures, batch: usize) -> u64 {
    figures.parameters as u64 * BYTES_PER_PARAMETER
        + figures.outputs * batch as u64 * BYTES_PER_OUTPUT
}

/// The shortest time that an operation took, seconds.
fn best(mut run: impl FnMut() -> Tensor<2>) -> f64 {
    const BUDGET: Duration = Duration::from_millis(120);
    /// So many are done in any case: the first starts threads, and others may have been interrupted.
    const LEAST: usize = 8;
    let started = Instant::now();
    let mut shortest = f64::INFINITY;
    let mut done = 0;
    while done < LEAST || started.elapsed() < BUDGET {
        let began = Instant::now();
        // A value is read, so that a device which computes later has done it.
        let _ = run().slice([0..1, 0..1]).into_data();
        shortest = shortest.min(began.elapsed().as_secs_f64());
        done += 1;
    }
    shortest
}

#[cfg(test)]
mod tests {
    use finetune_model::Architecture;

    use super::*;

    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn estimates_are_near_what_was_measured() {
        // Peak memory of `sft` in docs/speed.md, MiB.
        for (model, batch, measured) in [
            ("resnet18", 32, 798.0),
            ("mobilenet_v2", 32, 1.7 * 1024.0),
            ("vit_tiny_patch16_224", 8, 344.0),
            ("convnext_tiny", 8, 1.2 * 1024.0),
        ] {
            let figures = Figures::of(Architecture::find(model).unwrap());
            let estimate = step_bytes(&figures, batch) as f64 / f64::from(1 << 20);
            let ratio = estimate / measured;
            assert!((0.85..1.15).contains(&ratio), "{model}: {ratio}");
        }
    }

    #[test]
    fn a_step_takes_its_products_and_its_passes_over_memory() {
        let rates = Rates {
            products: 1000.0,
            values: 100.0,
        };
        let figures = Figures {
            parameters: 10,
            multiply_accumulates: 500,
            outputs: 50,
        };
        // 3 · 500 / 1000 and 12 · 50 / 100, twice.
        assert!((rates.step_seconds(&figures, 2) - 15.0).abs() < 1e-9);
        assert_eq!(step_bytes(&figures, 2), 10 * 16 + 50 * 2 * 8);
        let measured = Rates::measure(&Device::flex());
        assert!(measured.products > 0.0 && measured.products.is_finite());
        assert!(measured.values > 0.0 && measured.values.is_finite());
    }
}
