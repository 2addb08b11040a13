//! What a forward pass computes from constants alone is computed once, here.

use std::collections::HashSet;

use burn::backend::ir::{OperationIr, TensorId, TensorIr, TensorStatus};
use burn::backend::{Flex, FlexDevice, read_sync};
use burn_router::TensorInterpreter;

use crate::error::OnnxError;
use crate::recorded::{Dim, Recorded};

/// A result with more elements than this, and than what it is computed from, stays an operation, so
/// that the file does not grow.
const MOST_GROWN: usize = 1 << 16;

/// Computes the operations on constants and makes their results constants.
pub(crate) fn fold(recorded: &mut Recorded) -> Result<(), OnnxError> {
    let mut interpreter = TensorInterpreter::<Flex>::new(FlexDevice);
    let mut registered = HashSet::new();
    let mut rest = Vec::new();
    for operation in std::mem::take(&mut recorded.operations) {
        if matches!(operation, OperationIr::Init(_)) {
            // Its value is known already.
            continue;
        }
        if !is_constant(&operation, recorded) {
            rest.push(operation);
            continue;
        }
        for input in operation.inputs() {
            if registered.insert(input.id)
                && let Some(data) = recorded.values.get(&input.id)
            {
                interpreter.register_tensor_data_id(input.id, data.clone());
            }
        }
        let outputs: Vec<TensorIr> = operation.outputs().cloned().collect();
        name_results(recorded, &operation, &outputs);
        interpreter.register_op(operation);
        for mut output in outputs {
            output.status = TensorStatus::ReadOnly;
            let id = output.id;
            registered.insert(id);
            let data = read_sync(interpreter.read_tensor_async(output));
            let data = data.map_err(|error| OnnxError::Recording {
                reason: format!("{error:?}"),
            })?;
            recorded.values.insert(id, data);
        }
    }
    recorded.operations = rest;
    Ok(())
}

/// A result that is another arrangement of one parameter has the parameter's name.
fn name_results(recorded: &mut Recorded, operation: &OperationIr, outputs: &[TensorIr]) {
    let named: Vec<&String> = operation
        .inputs()
        .filter_map(|input| recorded.names.get(&input.id))
        .collect();
    if let ([name], [output]) = (named.as_slice(), outputs) {
        let name = (*name).clone();
        recorded.names.insert(output.id, name);
    }
}

fn is_constant(operation: &OperationIr, recorded: &Recorded) -> bool {
    let is_known = |id: &TensorId| recorded.values.contains_key(id);
    let elements = |tensor: &TensorIr| tensor.shape.num_elements();
    let inputs: usize = operation.inputs().map(elements).sum();
    operation.inputs().all(|input| is_known(&input.id))
        && operation.outputs().all(|output| {
            let same = recorded.fixed.contains(&output.id);
            let dims = recorded.dims(output);
            same && dims.iter().all(|dim| matches!(dim, Dim::Fixed(_)))
                && elements(output) <= inputs.max(MOST_GROWN)
        })
        && computes(operation)
}

/// Whether the operation has one result for its inputs.
fn computes(operation: &OperationIr) -> bool {
    use burn::backend::ir::{FloatOperationIr, NumericOperationIr};
    !matches!(
        operation,
        OperationIr::Custom(_)
            | OperationIr::Distributed(_)
            | OperationIr::Drop(_)
            | OperationIr::Float(_, FloatOperationIr::Random(_))
            | OperationIr::NumericInt(_, NumericOperationIr::IntRandom(_))
    )
}
