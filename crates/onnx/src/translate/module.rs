//! Operations of layers.

use burn::backend::ir::{
    AdaptiveAvgPool2dOpIr, AvgPool2dOpIr, BatchNormOpIr, Conv2dOpIr, LayerNormOpIr, MaxPool2dOpIr,
    ModuleOperationIr,
};
use burn::tensor::TensorData;

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
        M::AdaptiveAvgPool2d(op) => adaptive_avg_pool(graph, op)?,
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

/// The mean of all pixels, of windows of equal sides, or else of windows that overlap: a product with the
/// shares of the pixels along each side.
fn adaptive_avg_pool(graph: &mut Graph, op: &AdaptiveAvgPool2dOpIr) -> Result<(), OnnxError> {
    let sides = [op.x.shape[2], op.x.shape[3]];
    let output = op.output_size;
    let input = graph.input(&op.x)?;
    if output == [1, 1] {
        graph.node("GlobalAveragePool", vec![input], Vec::new(), &op.out);
        return Ok(());
    }
    let windows = [0, 1].map(|side| sides[side] / output[side]);
    if [0, 1].map(|side| windows[side] * output[side]) == sides {
        let attributes = vec![
            attribute_ints("kernel_shape", windows),
            attribute_ints("strides", windows),
        ];
        graph.node("AveragePool", vec![input], attributes, &op.out);
        return Ok(());
    }
    let shares = |side: usize| shares(sides[side], output[side]);
    let columns = TensorData::new(transposed(&shares(1)), [sides[1], output[1]]);
    let rows = TensorData::new(shares(0).concat(), [output[0], sides[0]]);
    let columns = graph.initializer("constant", columns)?;
    let rows = graph.initializer("constant", rows)?;
    let pooled = graph.step("MatMul", vec![input, columns], Vec::new());
    graph.node("MatMul", vec![rows, pooled], Vec::new(), &op.out);
    Ok(())
}

/// The share of each of `inputs` pixels in each of `outputs` means: window `i` reaches from
/// `⌊i · inputs / outputs⌋` to `⌈(i + 1) · inputs / outputs⌉`.
#[allow(clippy::cast_precision_loss, reason = "a side has few pixels")]
fn shares(inputs: usize, outputs: usize) -> Vec<Vec<f32>> {
    (0..outputs)
        .map(|index| {
            let window = index * inputs / outputs..((index + 1) * inputs).div_ceil(outputs);
            let share = 1.0 / window.len() as f32;
            let of_pixel = |pixel| if window.contains(&pixel) { share } else { 0.0 };
            (0..inputs).map(of_pixel).collect()
        })
        .collect()
}

fn transposed(rows: &[Vec<f32>]) -> Vec<f32> {
    let columns = rows.first().map_or(0, Vec::len);
    let column = |at: usize| rows.iter().map(move |row| row[at]);
    (0..columns).flat_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_an_adaptive_mean_overlap_as_pytorch_has_them() {
        // `torch.nn.AdaptiveAvgPool1d(3)` on the rows of the identity of size 5, and of (4) on 2.
        let third = 1.0_f32 / 3.0;
        let three = [
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.0, third, third, third, 0.0],
            [0.0, 0.0, 0.0, 0.5, 0.5],
        ];
        assert_eq!(shares(5, 3), three.map(Vec::from));
        let four = [[1.0_f32, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        assert_eq!(shares(2, 4), four.map(Vec::from));
        assert_eq!(
            transposed(&shares(2, 4)),
            [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
        );
    }
}
