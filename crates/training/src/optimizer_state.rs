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

fn failed(reason: impl ToString) -> TrainingError {
    TrainingError::OptimizerState(reason.to_string())
}
