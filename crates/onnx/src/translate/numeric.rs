//! Arithmetic.

use burn::backend::ir::{
    BoolOperationIr, FloatOperationIr, IntOperationIr, MatmulOpIr, NumericOperationIr, PadModeIr,
    PadOpIr, ReduceOpIr, ScalarIr, TensorIr,
};

use super::base::filled;
use super::nodes::{binary, cast, unary, with_scalar};
use crate::error::OnnxError;
use crate::graph::{Graph, attribute_int, attribute_ints, attribute_text, int as to_int};

/// Adds the nodes of an operation on floating-point or integer numbers; false if it is not known.
pub(super) fn numeric(graph: &mut Graph, op: &NumericOperationIr) -> Result<bool, OnnxError> {
    use NumericOperationIr as N;
    match op {
        N::Add(op) => binary(graph, "Add", op)?,
        N::AddScalar(op) => with_scalar(graph, "Add", op)?,
        N::Sub(op) => binary(graph, "Sub", op)?,
        N::SubScalar(op) => with_scalar(graph, "Sub", op)?,
        N::Mul(op) => binary(graph, "Mul", op)?,
        N::MulScalar(op) => with_scalar(graph, "Mul", op)?,
        N::Div(op) => binary(graph, "Div", op)?,
        N::DivScalar(op) => with_scalar(graph, "Div", op)?,
        N::Powi(op) => binary(graph, "Pow", op)?,
        N::PowiScalar(op) => with_scalar(graph, "Pow", op)?,
        N::Abs(op) => unary(graph, "Abs", op)?,
        N::Neg(op) => unary(graph, "Neg", op)?,
        N::Sign(op) => unary(graph, "Sign", op)?,
        N::Greater(op) => binary(graph, "Greater", op)?,
        N::GreaterElem(op) => with_scalar(graph, "Greater", op)?,
        N::GreaterEqual(op) => binary(graph, "GreaterOrEqual", op)?,
        N::GreaterEqualElem(op) => with_scalar(graph, "GreaterOrEqual", op)?,
        N::Lower(op) => binary(graph, "Less", op)?,
        N::LowerElem(op) => with_scalar(graph, "Less", op)?,
        N::LowerEqual(op) => binary(graph, "LessOrEqual", op)?,
        N::LowerEqualElem(op) => with_scalar(graph, "LessOrEqual", op)?,
        N::Full(op) => filled(graph, op.value, &op.out)?,
        N::MeanDim(op) => reduce(graph, "ReduceMean", &op.input, &[op.axis], &op.out)?,
        N::SumDim(op) => reduce(graph, "ReduceSum", &op.input, &[op.axis], &op.out)?,
        N::SumDims(op) => reduce(graph, "ReduceSum", &op.input, &op.axes, &op.out)?,
        N::MaxDim(op) => reduce(graph, "ReduceMax", &op.input, &[op.axis], &op.out)?,
        N::MinDim(op) => reduce(graph, "ReduceMin", &op.input, &[op.axis], &op.out)?,
        N::Mean(op) => reduce_all(graph, "ReduceMean", op)?,
        N::Sum(op) => reduce_all(graph, "ReduceSum", op)?,
        N::Clamp(op) => clip(graph, &op.tensor, [Some(op.min), Some(op.max)], &op.out)?,
        N::ClampMin(op) => clip(graph, &op.lhs, [Some(op.rhs), None], &op.out)?,
        N::ClampMax(op) => clip(graph, &op.lhs, [None, Some(op.rhs)], &op.out)?,
        N::Pad(op) => return pad(graph, op),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Adds the nodes of an operation on floating-point numbers; false if it is not known.
pub(super) fn float(graph: &mut Graph, op: &FloatOperationIr) -> Result<bool, OnnxError> {
    use FloatOperationIr as F;
    match op {
        F::Exp(op) => unary(graph, "Exp", op)?,
        F::Log(op) => unary(graph, "Log", op)?,
        F::Erf(op) => unary(graph, "Erf", op)?,
        F::Sqrt(op) => unary(graph, "Sqrt", op)?,
        F::Cos(op) => unary(graph, "Cos", op)?,
        F::Sin(op) => unary(graph, "Sin", op)?,
        F::Tanh(op) => unary(graph, "Tanh", op)?,
        F::Round(op) => unary(graph, "Round", op)?,
        F::Floor(op) => unary(graph, "Floor", op)?,
        F::Ceil(op) => unary(graph, "Ceil", op)?,
        F::Recip(op) => unary(graph, "Reciprocal", op)?,
        F::PowfScalar(op) => with_scalar(graph, "Pow", op)?,
        F::Powf(op) => binary(graph, "Pow", op)?,
        F::IntoInt(op) => cast(graph, op)?,
        F::Matmul(op) => matmul(graph, op)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Adds the nodes of an operation on integers; false if it is not known.
pub(super) fn int(graph: &mut Graph, op: &IntOperationIr) -> Result<bool, OnnxError> {
    match op {
        IntOperationIr::IntoFloat(op) => cast(graph, op)?,
        IntOperationIr::Matmul(op) => matmul(graph, op)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Adds the nodes of an operation on truth values; false if it is not known.
pub(super) fn bool(graph: &mut Graph, op: &BoolOperationIr) -> Result<bool, OnnxError> {
    match op {
        BoolOperationIr::IntoFloat(op) | BoolOperationIr::IntoInt(op) => cast(graph, op)?,
        BoolOperationIr::Not(op) => unary(graph, "Not", op)?,
        BoolOperationIr::And(op) => binary(graph, "And", op)?,
        BoolOperationIr::Or(op) => binary(graph, "Or", op)?,
        BoolOperationIr::Xor(op) => binary(graph, "Xor", op)?,
    }
    Ok(true)
}

fn matmul(graph: &mut Graph, op: &MatmulOpIr) -> Result<(), OnnxError> {
    let inputs = vec![graph.input(&op.lhs)?, graph.input(&op.rhs)?];
    graph.node("MatMul", inputs, Vec::new(), &op.out);
    Ok(())
}

/// A reduction that retains the axes, with length 1.
fn reduce(
    graph: &mut Graph,
    kind: &'static str,
    input: &TensorIr,
    axes: &[usize],
    out: &TensorIr,
) -> Result<(), OnnxError> {
    let input = graph.input(input)?;
    let keep = attribute_int("keepdims", 1);
    if kind == "ReduceSum" {
        // The only one of this opset whose axes are an input.
        let axes: Vec<i64> = axes.iter().map(|axis| to_int(*axis)).collect();
        let axes = graph.ints(&axes)?;
        graph.node(kind, vec![input, axes], vec![keep], out);
    } else {
        let axes = attribute_ints("axes", axes.iter().copied());
        graph.node(kind, vec![input], vec![axes, keep], out);
    }
    Ok(())
}

/// A reduction to a vector of one element.
fn reduce_all(graph: &mut Graph, kind: &'static str, op: &ReduceOpIr) -> Result<(), OnnxError> {
    let input = graph.input(&op.input)?;
    let reduced = graph.step(kind, vec![input], vec![attribute_int("keepdims", 0)]);
    let shape = graph.ints(&[1])?;
    graph.node("Reshape", vec![reduced, shape], Vec::new(), &op.out);
    Ok(())
}

fn clip(
    graph: &mut Graph,
    input: &TensorIr,
    bounds: [Option<ScalarIr>; 2],
    out: &TensorIr,
) -> Result<(), OnnxError> {
    let mut inputs = vec![graph.input(input)?];
    for bound in bounds {
        inputs.push(match bound {
            Some(bound) => graph.scalar(bound, input.dtype)?,
            None => String::new(),
        });
    }
    graph.node("Clip", inputs, Vec::new(), out);
    Ok(())
}

fn pad(graph: &mut Graph, op: &PadOpIr) -> Result<bool, OnnxError> {
    let (before, after): (Vec<usize>, Vec<usize>) = op.padding.iter().copied().unzip();
    let pads: Vec<i64> = before.into_iter().chain(after).map(to_int).collect();
    if pads.len() != 2 * op.input.shape.num_dims() {
        return Ok(false);
    }
    let mut inputs = vec![graph.input(&op.input)?, graph.ints(&pads)?];
    let mode = match op.mode {
        PadModeIr::Constant(value) => {
            inputs.push(graph.scalar(value, op.input.dtype)?);
            "constant"
        }
        PadModeIr::Reflect => "reflect",
        PadModeIr::Edge => "edge",
    };
    graph.node("Pad", inputs, vec![attribute_text("mode", mode)], &op.out);
    Ok(true)
}
