//! Burn's operations as nodes of ONNX.

mod activation;
mod base;
mod module;
mod nodes;
mod numeric;

use std::collections::HashSet;

use burn::backend::ir::{OperationIr, TensorId};

use crate::error::OnnxError;
use crate::graph::Graph;
use crate::recorded::name;

/// Operations that `output` does not depend on are left out.
pub(crate) fn needed(operations: Vec<OperationIr>, output: TensorId) -> Vec<OperationIr> {
    let mut wanted = HashSet::from([output]);
    let mut needed: Vec<OperationIr> = operations
        .into_iter()
        .rev()
        .filter(|operation| {
            let is_wanted = operation.outputs().any(|out| wanted.contains(&out.id));
            if is_wanted {
                wanted.extend(operation.inputs().map(|input| input.id));
            }
            is_wanted
        })
        .collect();
    needed.reverse();
    needed
}

/// Adds the nodes of an operation.
pub(crate) fn translate(graph: &mut Graph, operation: &OperationIr) -> Result<(), OnnxError> {
    let known = match operation {
        OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => {
            base::translate(graph, op)?
        }
        OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => {
            numeric::numeric(graph, op)?
        }
        OperationIr::Float(_, op) => numeric::float(graph, op)?,
        OperationIr::Int(op) => numeric::int(graph, op)?,
        OperationIr::Bool(op) => numeric::bool(graph, op)?,
        OperationIr::Module(op) => module::translate(graph, op)?,
        OperationIr::Activation(op) => activation::translate(graph, op)?,
        _ => false,
    };
    if known {
        return Ok(());
    }
    Err(OnnxError::Unsupported {
        operation: name(operation),
    })
}
