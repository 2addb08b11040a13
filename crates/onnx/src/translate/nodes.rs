//! Nodes of common forms.

use burn::backend::ir::{BinaryOpIr, CastOpIr, ScalarOpIr, TensorIr, UnaryOpIr};

use crate::error::OnnxError;
use crate::graph::{Graph, attribute_int, element};

/// A node with one input.
pub(super) fn unary(
    graph: &mut Graph,
    kind: &'static str,
    op: &UnaryOpIr,
) -> Result<(), OnnxError> {
    let input = graph.input(&op.input)?;
    graph.node(kind, vec![input], Vec::new(), &op.out);
    Ok(())
}

/// A node with two inputs.
pub(super) fn binary(
    graph: &mut Graph,
    kind: &'static str,
    op: &BinaryOpIr,
) -> Result<(), OnnxError> {
    let inputs = vec![graph.input(&op.lhs)?, graph.input(&op.rhs)?];
    graph.node(kind, inputs, Vec::new(), &op.out);
    Ok(())
}

/// A node with an input and a number.
pub(super) fn with_scalar(
    graph: &mut Graph,
    kind: &'static str,
    op: &ScalarOpIr,
) -> Result<(), OnnxError> {
    let input = graph.input(&op.lhs)?;
    let scalar = graph.scalar(op.rhs, op.lhs.dtype)?;
    graph.node(kind, vec![input, scalar], Vec::new(), &op.out);
    Ok(())
}

/// The negation of a comparison.
pub(super) fn negated(graph: &mut Graph, kind: &'static str, inputs: Vec<String>, out: &TensorIr) {
    let compared = graph.step(kind, inputs, Vec::new());
    graph.node("Not", vec![compared], Vec::new(), out);
}

/// A change of the type of elements.
pub(super) fn cast(graph: &mut Graph, op: &CastOpIr) -> Result<(), OnnxError> {
    if op.input.dtype == op.out.dtype {
        graph.alias(&op.out, &op.input);
        return Ok(());
    }
    let input = graph.input(&op.input)?;
    let to = attribute_int("to", element(op.out.dtype)?.into());
    graph.node("Cast", vec![input], vec![to], &op.out);
    Ok(())
}
