//! Clearing parts of an optimiser's state, as a moving mask needs it.

use std::collections::HashMap;

use burn::optim::ModuleOptimizer;
use burn::tensor::DType;
use burn_pack::{Reader, Tensor, Writer};
use finetune_methods::Moved;

use crate::error::TrainingError;

/// Sets the optimiser's moments to 0 wherever a mask has moved.
///
/// Burn keeps a parameter's state out of reach, but writes and reads all of it as one record;
/// this takes that way. The states of adapters and heads are small.
///
/// # Errors
///
/// [`TrainingError::OptimizerState`] where Burn does not read its own record back.
pub(crate) fn clear(
    optimizer: ModuleOptimizer,
    moved: &[Moved],
) -> Result<ModuleOptimizer, TrainingError> {
    if moved.is_empty() {
        return Ok(optimizer);
    }
    let keep: HashMap<u64, &[bool]> = moved
        .iter()
        .map(|moved| (moved.id.val(), moved.keep.as_slice()))
        .collect();
    let bytes = optimizer.into_bytes().map_err(failed)?;
    let reader = Reader::from_bytes(bytes).map_err(failed)?;
    let (scalars, metadata) = (reader.scalars().clone(), reader.metadata().clone());
    let mut tensors = Vec::new();
    for tensor in reader.into_tensors().map_err(failed)? {
        let (name, dtype, shape, id, mut bytes) = tensor.into_parts().map_err(failed)?;
        if let Some(keep) = id.and_then(|id| keep.get(&id)) {
            if dtype != DType::F32 || bytes.len() != keep.len() * 4 {
                return Err(failed(format!(
                    "`{name}` is not what the mask was made for"
                )));
            }
            for (value, keep) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(*keep) {
                if !keep {
                    *value = 0.0_f32.to_le_bytes();
                }
            }
        }
        tensors.push(Tensor::new(name, dtype, shape, id, bytes));
    }
    let mut writer = Writer::new(tensors);
    for (key, value) in &scalars {
        writer = writer.with_scalar(key, *value);
    }
    for (key, value) in &metadata {
        writer = writer.with_metadata(key, value);
    }
    optimizer
        .from_bytes(writer.into_bytes().map_err(failed)?)
        .map_err(failed)
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it over
fn failed<E: std::fmt::Display>(reason: E) -> TrainingError {
    TrainingError::OptimizerState(format!("{reason}"))
}

#[cfg(test)]
mod tests {
    use burn::Tensor;
    use burn::module::{Module, Param};
    use burn::optim::{AdamConfig, GradientsParams};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        a: Param<Tensor<1>>,
        b: Param<Tensor<1>>,
    }

    fn values(param: &Param<Tensor<1>>) -> Vec<f32> {
        param.val().into_data().iter::<f32>().collect()
    }

    /// A step with a gradient of 1 everywhere, or of 0.
    fn step(optimizer: &mut ModuleOptimizer, net: Weights, gradient: f32) -> Weights {
        let loss = (net.a.val() + net.b.val()).sum() * gradient;
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        optimizer.step(0.1, net, gradients)
    }

    #[test]
    fn only_what_moved_forgets() {
        let device = Device::flex().autodiff();
        let param = || Param::from_tensor(Tensor::<1>::zeros([3], &device));
        let net = Weights {
            a: param(),
            b: param(),
        };
        let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let net = step(&mut optimizer, net, 1.0);
        // Adam's first step is the learning rate whatever the gradient's size.
        assert!(
            values(&net.a)
                .iter()
                .all(|value| (value + 0.1).abs() < 1e-6)
        );
        let moved = Moved {
            id: net.a.id,
            keep: vec![true, false, true],
        };
        let mut optimizer = clear(optimizer, &[moved]).unwrap();
        // No gradient: only what is remembered moves, by m̂/√v̂ = (0.09/0.19) / √(0.000999/0.001999).
        let net = step(&mut optimizer, net, 0.0);
        let remembered = -0.1 - 0.1 * (0.09 / 0.19) / (0.000_999_f32 / 0.001_999).sqrt();
        let wanted = [remembered, -0.1, remembered];
        for (value, wanted) in values(&net.a).into_iter().zip(wanted) {
            assert!((value - wanted).abs() < 1e-5, "{value} instead of {wanted}");
        }
        assert!(
            values(&net.b)
                .iter()
                .all(|value| (value - remembered).abs() < 1e-5)
        );
    }
}
