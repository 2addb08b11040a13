//! Operations of layers.

use burn::backend::ir::{
    AdaptiveAvgPool2dOpIr, AvgPool2dOpIr, BatchNormOpIr, Conv2dOpIr, LayerNormOpIr, MaxPool2dOpIr,
    ModuleOperationIr,
};

use crate::error::OnnxError;
use crate::graph::{Graph, attribute_float, attribute_int, attribute_ints, int};

/// Adds the nodes of an operation; false if it is not known.
pub(super) fn translate(graph: &mut Graph, op: &ModuleOperationIr) -> Result<bool, OnnxError> {
    use ModuleOperationIr as M;
    match op {
        M::BatchNorm(op) => batch_norm(graph, op)?,
        M::LayerNorm(op) => layer_norm(graph, op)?,
        M::Conv2d(op) => conv2d(graph, op)?,
        M::MaxPool2d(op) => max_pool(graph, op)?,
        M::AvgPool2d(op) => avg_pool(graph, op)?,
        M::AdaptiveAvgPool2d(op) => return adaptive_avg_pool(graph, op),
        M::Embedding(op) => {
            let inputs = vec![graph.input(&op.weights)?, graph.input(&op.indices)?];
            graph.node("Gather", inputs, vec![attribute_int("axis", 0)], &op.out);
        }
        M::Linear(op) => {
            let inputs = vec![graph.input(&op.x)?, graph.input(&op.weight)?];
            let Some(bias) = &op.bias else {
                graph.node("MatMul", inputs, Vec::new(), &op.out);
                return Ok(true);
            };
            let product = graph.step("MatMul", inputs, Vec::new());
            let bias = graph.input(bias)?;
            graph.node("Add", vec![product, bias], Vec::new(), &op.out);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn batch_norm(graph: &mut Graph, op: &BatchNormOpIr) -> Result<(), OnnxError> {
    let inputs = [&op.x, &op.gamma, &op.beta, &op.mean, &op.variance];
    let inputs = inputs.map(|input| graph.input(input));
    let inputs = inputs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let epsilon = attribute_float("epsilon", op.epsilon.elem());
    graph.node("BatchNormalization", inputs, vec![epsilon], &op.out);
    Ok(())
}

fn layer_norm(graph: &mut Graph, op: &LayerNormOpIr) -> Result<(), OnnxError> {
    let mut inputs = vec![graph.input(&op.input)?, graph.input(&op.gamma)?];
    if let Some(beta) = &op.beta {
        inputs.push(graph.input(beta)?);
    }
    let attributes = vec![
        attribute_int("axis", -1),
        attribute_float("epsilon", op.epsilon.elem()),
    ];
    graph.node("LayerNormalization", inputs, attributes, &op.out);
    Ok(())
}

fn conv2d(graph: &mut Graph, op: &Conv2dOpIr) -> Result<(), OnnxError> {
    let mut inputs = vec![graph.input(&op.x)?, graph.input(&op.weight)?];
    if let Some(bias) = &op.bias {
        inputs.push(graph.input(bias)?);
    }
    let options = &op.options;
    let [(top, bottom), (left, right)] = options.padding;
    let kernel = op.weight.shape.iter().skip(2).copied();
    let attributes = vec![
        attribute_ints("kernel_shape", kernel),
        attribute_ints("strides", options.stride),
        attribute_ints("pads", [top, left, bottom, right]),
        attribute_ints("dilations", options.dilation),
        attribute_int("group", int(options.groups)),
    ];
    graph.node("Conv", inputs, attributes, &op.out);
    Ok(())
}

fn max_pool(graph: &mut Graph, op: &MaxPool2dOpIr) -> Result<(), OnnxError> {
    let input = graph.input(&op.x)?;
    let [rows, columns] = op.padding;
    let attributes = vec![
        attribute_ints("kernel_shape", op.kernel_size),
        attribute_ints("strides", op.stride),
        attribute_ints("pads", [rows, columns, rows, columns]),
        attribute_ints("dilations", op.dilation),
        attribute_int("ceil_mode", op.ceil_mode.into()),
    ];
    graph.node("MaxPool", vec![input], attributes, &op.out);
    Ok(())
}

fn avg_pool(graph: &mut Graph, op: &AvgPool2dOpIr) -> Result<(), OnnxError> {
    let input = graph.input(&op.x)?;
    let [rows, columns] = op.padding;
    let attributes = vec![
        attribute_ints("kernel_shape", op.kernel_size),
        attribute_ints("strides", op.stride),
        attribute_ints("pads", [rows, columns, rows, columns]),
        attribute_int("count_include_pad", op.count_include_pad.into()),
        attribute_int("ceil_mode", op.ceil_mode.into()),
    ];
    graph.node("AveragePool", vec![input], attributes, &op.out);
    Ok(())
}

/// The mean of all pixels, or of windows of equal sides.
fn adaptive_avg_pool(graph: &mut Graph, op: &AdaptiveAvgPool2dOpIr) -> Result<bool, OnnxError> {
    let sides = [op.x.shape[2], op.x.shape[3]];
    let output = op.output_size;
    if output == [1, 1] {
        let input = graph.input(&op.x)?;
        graph.node("GlobalAveragePool", vec![input], Vec::new(), &op.out);
        return Ok(true);
    }
    let windows = [0, 1].map(|axis| sides[axis].checked_div(output[axis]).unwrap_or(0));
    if [0, 1].map(|axis| windows[axis] * output[axis]) != sides {
        return Ok(false);
    }
    let input = graph.input(&op.x)?;
    let attributes = vec![
        attribute_ints("kernel_shape", windows),
        attribute_ints("strides", windows),
    ];
    graph.node("AveragePool", vec![input], attributes, &op.out);
    Ok(true)
}
