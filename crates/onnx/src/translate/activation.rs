//! Activation functions.

use burn::backend::ir::{ActivationOperationIr, ScalarIr, UnaryOpIr};

use super::nodes::unary;
use crate::error::OnnxError;
use crate::graph::{Graph, attribute_float, attribute_int, int};

/// Adds the nodes of an activation function; false if it is not known.
pub(super) fn translate(graph: &mut Graph, op: &ActivationOperationIr) -> Result<bool, OnnxError> {
    use ActivationOperationIr as A;
    match op {
        A::Relu(op) => unary(graph, "Relu", op)?,
        A::Sigmoid(op) => unary(graph, "Sigmoid", op)?,
        A::Gelu(op) => gelu(graph, op)?,
        A::LeakyRelu(op) => {
            let input = graph.input(&op.lhs)?;
            let slope = attribute_float("alpha", op.rhs.elem());
            graph.node("LeakyRelu", vec![input], vec![slope], &op.out);
        }
        A::HardSigmoid(op) => {
            let input = graph.input(&op.tensor)?;
            let attributes = vec![
                attribute_float("alpha", op.alpha.elem()),
                attribute_float("beta", op.beta.elem()),
            ];
            graph.node("HardSigmoid", vec![input], attributes, &op.out);
        }
        A::Softmax(op) => {
            let input = graph.input(&op.input)?;
            let axis = attribute_int("axis", int(op.axis));
            graph.node("Softmax", vec![input], vec![axis], &op.out);
        }
        A::LogSoftmax(op) => {
            let input = graph.input(&op.input)?;
            let axis = attribute_int("axis", int(op.axis));
            graph.node("LogSoftmax", vec![input], vec![axis], &op.out);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `x · (1 + erf(x / √2)) / 2`, in the order in which runtimes recognise it.
fn gelu(graph: &mut Graph, op: &UnaryOpIr) -> Result<(), OnnxError> {
    let dtype = op.input.dtype;
    let x = graph.input(&op.input)?;
    let root = graph.scalar(ScalarIr::Float(std::f64::consts::SQRT_2), dtype)?;
    let one = graph.scalar(ScalarIr::Float(1.0), dtype)?;
    let half = graph.scalar(ScalarIr::Float(0.5), dtype)?;
    let y = graph.step("Div", vec![x.clone(), root], Vec::new());
    let y = graph.step("Erf", vec![y], Vec::new());
    let y = graph.step("Add", vec![y, one], Vec::new());
    let y = graph.step("Mul", vec![x, y], Vec::new());
    graph.node("Mul", vec![y, half], Vec::new(), &op.out);
    Ok(())
}
