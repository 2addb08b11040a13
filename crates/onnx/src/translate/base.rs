//! Operations that move elements.

use burn::backend::ir::{BaseOperationIr, ScalarIr, ShapeOpIr, SliceOpIr, TensorIr};

use super::nodes::{binary, cast, negated, with_scalar};
use crate::error::OnnxError;
use crate::graph::{Graph, attribute_int, attribute_ints, int, reshape_target};
use crate::recorded::Dim;

/// Adds the nodes of an operation; false if it is not known.
pub(super) fn translate(graph: &mut Graph, op: &BaseOperationIr) -> Result<bool, OnnxError> {
    use BaseOperationIr as B;
    match op {
        B::Reshape(op) => return reshape(graph, op),
        B::SwapDims(op) => {
            let mut axes: Vec<usize> = (0..op.input.shape.num_dims()).collect();
            axes.swap(op.dim1, op.dim2);
            transpose(graph, &op.input, &op.out, &axes)?;
        }
        B::Permute(op) => transpose(graph, &op.input, &op.out, &op.axes)?,
        B::Flip(op) => {
            let input = graph.input(&op.input)?;
            let count = op.axes.len();
            let axes: Vec<i64> = op.axes.iter().map(|axis| int(*axis)).collect();
            let (starts, ends) = (vec![-1; count], vec![i64::MIN; count]);
            let mut inputs = vec![input];
            for values in [starts, ends, axes, vec![-1; count]] {
                inputs.push(graph.ints(&values)?);
            }
            graph.node("Slice", inputs, Vec::new(), &op.out);
        }
        B::Expand(op) => expand(graph, &op.input, &op.out)?,
        B::Slice(op) => return slice(graph, op),
        B::Select(op) => {
            let inputs = vec![graph.input(&op.tensor)?, graph.input(&op.indices)?];
            graph.node(
                "Gather",
                inputs,
                vec![attribute_int("axis", int(op.dim))],
                &op.out,
            );
        }
        B::Gather(op) => {
            let inputs = vec![graph.input(&op.tensor)?, graph.input(&op.indices)?];
            let axis = attribute_int("axis", int(op.dim));
            graph.node("GatherElements", inputs, vec![axis], &op.out);
        }
        B::MaskWhere(op) => {
            let inputs = [&op.mask, &op.value, &op.tensor].map(|tensor| graph.input(tensor));
            let inputs = inputs.into_iter().collect::<Result<Vec<_>, _>>()?;
            graph.node("Where", inputs, Vec::new(), &op.out);
        }
        B::MaskFill(op) => {
            let mask = graph.input(&op.mask)?;
            let value = graph.scalar(op.value, op.tensor.dtype)?;
            let inputs = vec![mask, value, graph.input(&op.tensor)?];
            graph.node("Where", inputs, Vec::new(), &op.out);
        }
        B::Equal(op) => binary(graph, "Equal", op)?,
        B::EqualElem(op) => with_scalar(graph, "Equal", op)?,
        B::NotEqual(op) => {
            let inputs = vec![graph.input(&op.lhs)?, graph.input(&op.rhs)?];
            negated(graph, "Equal", inputs, &op.out);
        }
        B::NotEqualElem(op) => {
            let inputs = vec![graph.input(&op.lhs)?, graph.scalar(op.rhs, op.lhs.dtype)?];
            negated(graph, "Equal", inputs, &op.out);
        }
        B::RepeatDim(op) => return repeat(graph, &op.tensor, op.dim, &op.out),
        B::Cat(op) => {
            let inputs = op.tensors.iter().map(|tensor| graph.input(tensor));
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            graph.node(
                "Concat",
                inputs,
                vec![attribute_int("axis", int(op.dim))],
                &op.out,
            );
        }
        B::Cast(op) => cast(graph, op)?,
        B::Zeros(op) | B::Empty(op) => filled(graph, ScalarIr::Float(0.0), &op.out)?,
        B::Ones(op) => filled(graph, ScalarIr::Float(1.0), &op.out)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn reshape(graph: &mut Graph, op: &ShapeOpIr) -> Result<bool, OnnxError> {
    let dims = graph.dims(&op.out);
    if graph.dims(&op.input) == dims {
        graph.alias(&op.out, &op.input);
        return Ok(true);
    }
    let Some(target) = reshape_target(&dims) else {
        return Ok(false);
    };
    let inputs = vec![graph.input(&op.input)?, graph.ints(&target)?];
    graph.node("Reshape", inputs, Vec::new(), &op.out);
    Ok(true)
}

fn transpose(
    graph: &mut Graph,
    input: &TensorIr,
    out: &TensorIr,
    axes: &[usize],
) -> Result<(), OnnxError> {
    if axes.is_sorted() {
        graph.alias(out, input);
        return Ok(());
    }
    let input = graph.input(input)?;
    let axes = attribute_ints("perm", axes.iter().copied());
    graph.node("Transpose", vec![input], vec![axes], out);
    Ok(())
}

fn expand(graph: &mut Graph, input: &TensorIr, out: &TensorIr) -> Result<(), OnnxError> {
    let dims = graph.dims(out);
    if graph.dims(input) == dims {
        graph.alias(out, input);
        return Ok(());
    }
    let inputs = vec![graph.input(input)?, graph.lengths(&dims)?];
    graph.node("Expand", inputs, Vec::new(), out);
    Ok(())
}

/// A tensor of equal numbers.
pub(super) fn filled(graph: &mut Graph, value: ScalarIr, out: &TensorIr) -> Result<(), OnnxError> {
    let dims = graph.dims(out);
    let inputs = vec![graph.scalar(value, out.dtype)?, graph.lengths(&dims)?];
    graph.node("Expand", inputs, Vec::new(), out);
    Ok(())
}

fn slice(graph: &mut Graph, op: &SliceOpIr) -> Result<bool, OnnxError> {
    let dims = graph.dims(&op.tensor);
    let mut parts: [Vec<i64>; 4] = Default::default();
    for ((axis, range), dim) in op.ranges.iter().enumerate().zip(&dims) {
        let whole = range.start == 0 && range.end.is_none() && range.step == 1;
        if whole {
            continue;
        }
        // Ends that count from the end, or from an axis that has more elements for more images, are not
        // written by any network so far.
        let Dim::Fixed(length) = dim else {
            return Ok(false);
        };
        if range.step < 1 {
            return Ok(false);
        }
        let length = int(*length);
        let at = |index: isize| {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            if index < 0 {
                index + length
            } else {
                index.min(length)
            }
        };
        let (start, end) = (at(range.start), range.end.map_or(length, at));
        for (part, value) in parts.iter_mut().zip([
            start,
            end,
            int(axis),
            i64::try_from(range.step).unwrap_or(i64::MAX),
        ]) {
            part.push(value);
        }
    }
    if parts[0].is_empty() {
        graph.alias(&op.out, &op.tensor);
        return Ok(true);
    }
    let mut inputs = vec![graph.input(&op.tensor)?];
    for part in &parts {
        inputs.push(graph.ints(part)?);
    }
    graph.node("Slice", inputs, Vec::new(), &op.out);
    Ok(true)
}

/// Repeats an axis; one of length 1, as that of a class token, is expanded.
fn repeat(
    graph: &mut Graph,
    input: &TensorIr,
    axis: usize,
    out: &TensorIr,
) -> Result<bool, OnnxError> {
    let (from, to) = (graph.dims(input), graph.dims(out));
    if from.get(axis) == Some(&Dim::Fixed(1)) {
        expand(graph, input, out)?;
        return Ok(true);
    }
    let times = match (from.get(axis), to.get(axis)) {
        (Some(Dim::Fixed(from)), Some(Dim::Fixed(to)))
        | (Some(Dim::PerImage(from)), Some(Dim::PerImage(to))) => Dim::Fixed(to / (*from).max(1)),
        (Some(Dim::Fixed(from)), Some(Dim::PerImage(to))) if to % (*from).max(1) == 0 => {
            Dim::PerImage(to / (*from).max(1))
        }
        _ => return Ok(false),
    };
    let mut repeats = vec![Dim::Fixed(1); from.len()];
    repeats[axis] = times;
    let inputs = vec![graph.input(input)?, graph.lengths(&repeats)?];
    graph.node("Tile", inputs, Vec::new(), out);
    Ok(true)
}
