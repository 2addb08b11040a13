//! The shapes of a graph's tensors, by the rules of ONNX's operators: a second opinion on what the
//! exporter wrote.

use std::collections::{BTreeSet, HashMap};

use finetune_onnx::proto::{DimensionValue, GraphProto, NodeProto, ValueInfoProto, data_type};

type Shape = Vec<i64>;

/// What is known of the tensors so far.
#[derive(Default)]
struct Known {
    shapes: HashMap<String, Shape>,
    /// Elements of vectors of integers.
    values: HashMap<String, Vec<i64>>,
}

/// Checks names, order and shapes of a graph for a number of images; returns the shape of its output.
pub(crate) fn check(graph: &GraphProto, batch: i64) -> Shape {
    let mut known = Known::default();
    for constant in &graph.initializer {
        let elements: i64 = constant.dims.iter().product();
        let size = match constant.data_type {
            data_type::FLOAT => 4,
            data_type::INT64 => 8,
            data_type::BOOL => 1,
            other => panic!("{} has elements of type {other}", constant.name),
        };
        let bytes = i64::try_from(constant.raw_data.len()).unwrap();
        assert_eq!(bytes, size * elements, "{}", constant.name);
        if constant.data_type == data_type::INT64 && constant.dims.len() == 1 {
            let parts = constant.raw_data.chunks_exact(8);
            let values = parts.map(|part| i64::from_le_bytes(part.try_into().unwrap()));
            known.values.insert(constant.name.clone(), values.collect());
        }
        let before = known
            .shapes
            .insert(constant.name.clone(), constant.dims.clone());
        assert!(before.is_none(), "{} is there twice", constant.name);
    }
    for input in &graph.input {
        known.shapes.insert(input.name.clone(), bound(input, batch));
    }
    let mut names = BTreeSet::new();
    let mut used = BTreeSet::new();
    for node in &graph.node {
        assert!(
            names.insert(&node.name),
            "two nodes are called {}",
            node.name
        );
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            assert!(
                known.shapes.contains_key(input),
                "{} uses {input} before it is computed",
                node.name
            );
            used.insert(input);
        }
        let (shape, values) = shape(node, &known);
        let [output] = node.output.as_slice() else {
            panic!("{} has several outputs", node.name);
        };
        if let Some(values) = values {
            known.values.insert(output.clone(), values);
        }
        let before = known.shapes.insert(output.clone(), shape);
        assert!(before.is_none(), "{output} is computed twice");
    }
    let outputs: BTreeSet<&String> = graph.output.iter().map(|output| &output.name).collect();
    for constant in &graph.initializer {
        assert!(
            used.contains(&constant.name),
            "nothing uses {}",
            constant.name
        );
    }
    for node in &graph.node {
        let output = &node.output[0];
        assert!(
            used.contains(output) || outputs.contains(output),
            "nothing uses {output}"
        );
    }
    let output = &graph.output[0];
    assert_eq!(known.shapes[&output.name], bound(output, batch));
    known.shapes[&output.name].clone()
}

fn bound(info: &ValueInfoProto, batch: i64) -> Shape {
    let tensor = info.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    assert_eq!(tensor.elem_type, data_type::FLOAT);
    let dims = tensor.shape.as_ref().unwrap().dim.iter();
    dims.map(|dim| match dim.value.as_ref().unwrap() {
        DimensionValue::DimValue(length) => *length,
        DimensionValue::DimParam(name) => {
            assert_eq!(name, "batch");
            batch
        }
    })
    .collect()
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    let attribute = node.attribute.iter().find(|one| one.name == name)?;
    attribute.i
}

fn ints(node: &NodeProto, name: &str) -> Option<Vec<i64>> {
    let attribute = node.attribute.iter().find(|one| one.name == name)?;
    Some(attribute.ints.clone())
}

fn index(axis: i64, rank: usize) -> usize {
    let axis = if axis < 0 {
        axis + i64::try_from(rank).unwrap()
    } else {
        axis
    };
    usize::try_from(axis).unwrap()
}

/// The shape of a node's output, and its elements if it is a vector of integers.
#[allow(clippy::too_many_lines)]
fn shape(node: &NodeProto, known: &Known) -> (Shape, Option<Vec<i64>>) {
    let of = |at: usize| known.shapes[&node.input[at]].clone();
    let values = |at: usize| known.values[&node.input[at]].clone();
    let shape = match node.op_type.as_str() {
        "Relu" | "Sigmoid" | "Erf" | "Sqrt" | "Exp" | "Tanh" | "Softmax" | "Clip" | "Identity"
        | "Reciprocal" | "Neg" | "Abs" | "Log" | "HardSigmoid" => of(0),
        "BatchNormalization" => {
            let shape = of(0);
            for at in 1..5 {
                assert_eq!(of(at), [shape[1]], "{}", node.name);
            }
            shape
        }
        "LayerNormalization" => {
            let shape = of(0);
            let last = *shape.last().unwrap();
            assert_eq!((of(1), of(2)), (vec![last], vec![last]), "{}", node.name);
            shape
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => {
            let shape = broadcast(&of(0), &of(1), node);
            if let (Some(a), Some(b)) = (
                known.values.get(&node.input[0]),
                known.values.get(&node.input[1]),
            ) {
                assert_eq!(node.op_type, "Mul");
                return (shape, Some(a.iter().zip(b).map(|(a, b)| a * b).collect()));
            }
            shape
        }
        "MatMul" => {
            let (a, b) = (of(0), of(1));
            let (rows, columns) = (a[a.len() - 2], b[b.len() - 1]);
            assert_eq!(a[a.len() - 1], b[b.len() - 2], "{}", node.name);
            let batch = broadcast(&a[..a.len() - 2], &b[..b.len() - 2], node);
            [batch, vec![rows, columns]].concat()
        }
        "Conv" => {
            let (x, weight) = (of(0), of(1));
            assert_eq!(
                x[1],
                weight[1] * int(node, "group").unwrap(),
                "{}",
                node.name
            );
            if node.input.len() > 2 {
                assert_eq!(of(2), [weight[0]]);
            }
            let sides = windows(node, &x);
            vec![x[0], weight[0], sides[0], sides[1]]
        }
        "MaxPool" | "AveragePool" => {
            let x = of(0);
            let sides = windows(node, &x);
            vec![x[0], x[1], sides[0], sides[1]]
        }
        "GlobalAveragePool" => [of(0)[..2].to_vec(), vec![1, 1]].concat(),
        "Reshape" => {
            let (from, mut to) = (of(0), values(1));
            let elements: i64 = from.iter().product();
            let given: i64 = to.iter().filter(|length| **length != -1).product();
            let open = to.iter_mut().find(|length| **length == -1);
            if let Some(open) = open {
                *open = elements / given;
            }
            assert_eq!(
                elements,
                to.iter().product::<i64>(),
                "{}: {from:?} to {to:?}",
                node.name
            );
            to
        }
        "Transpose" => {
            let from = of(0);
            let axes = ints(node, "perm").unwrap();
            assert_eq!(axes.iter().collect::<BTreeSet<_>>().len(), from.len());
            axes.iter()
                .map(|axis| from[index(*axis, from.len())])
                .collect()
        }
        "Shape" => {
            let from = of(0);
            let (start, end) = (int(node, "start").unwrap(), int(node, "end").unwrap());
            let part = from[index(start, from.len())..index(end, from.len())].to_vec();
            return (vec![i64::try_from(part.len()).unwrap()], Some(part));
        }
        "Concat" => {
            let parts: Vec<Shape> = (0..node.input.len()).map(of).collect();
            let axis = index(int(node, "axis").unwrap(), parts[0].len());
            let mut shape = parts[0].clone();
            shape[axis] = parts.iter().map(|part| part[axis]).sum();
            for part in &parts {
                let mut part = part.clone();
                part[axis] = shape[axis];
                assert_eq!(part, shape, "{}", node.name);
            }
            let all = node.input.iter().map(|input| known.values.get(input));
            let all: Option<Vec<_>> = all.collect();
            return (
                shape,
                all.map(|all| all.into_iter().flatten().copied().collect()),
            );
        }
        "Expand" => broadcast(&of(0), &values(1), node),
        "Tile" => of(0)
            .iter()
            .zip(values(1))
            .map(|(length, times)| length * times)
            .collect(),
        "Slice" => {
            let mut shape = of(0);
            let (starts, ends, along, steps) = (values(1), values(2), values(3), values(4));
            for (at, one) in along.iter().enumerate() {
                let axis = index(*one, shape.len());
                assert!(
                    steps[at] > 0 && (0..=shape[axis]).contains(&ends[at]),
                    "{}",
                    node.name
                );
                shape[axis] = (ends[at] - starts[at] + steps[at] - 1) / steps[at];
            }
            shape
        }
        "Gather" => {
            let (from, indices) = (of(0), of(1));
            let axis = index(int(node, "axis").unwrap(), from.len());
            [&from[..axis], &indices, &from[axis + 1..]].concat()
        }
        "Pad" => {
            let from = of(0);
            let pads = values(1);
            let rank = from.len();
            assert_eq!(pads.len(), 2 * rank);
            (0..rank)
                .map(|axis| from[axis] + pads[axis] + pads[rank + axis])
                .collect()
        }
        "ReduceMean" | "ReduceMax" | "ReduceSum" => {
            let mut shape = of(0);
            let reduced = ints(node, "axes").unwrap_or_else(|| values(1));
            assert_eq!(int(node, "keepdims"), Some(1));
            for one in reduced {
                let axis = index(one, shape.len());
                shape[axis] = 1;
            }
            shape
        }
        other => panic!(
            "{} is of type {other}, which this test does not know",
            node.name
        ),
    };
    (shape, None)
}

fn broadcast(a: &[i64], b: &[i64], node: &NodeProto) -> Shape {
    let rank = a.len().max(b.len());
    let at = |shape: &[i64], axis: usize| {
        (axis + shape.len())
            .checked_sub(rank)
            .map_or(1, |axis| shape[axis])
    };
    (0..rank)
        .map(|axis| {
            let (a, b) = (at(a, axis), at(b, axis));
            assert!(a == b || a == 1 || b == 1, "{}: {a} and {b}", node.name);
            if a == 1 { b } else { a }
        })
        .collect()
}

/// How many windows of a convolution or pooling there are along both sides.
fn windows(node: &NodeProto, x: &[i64]) -> [i64; 2] {
    let kernel = ints(node, "kernel_shape").unwrap();
    let strides = ints(node, "strides").unwrap();
    let pads = ints(node, "pads").unwrap_or_else(|| vec![0; 4]);
    let dilations = ints(node, "dilations").unwrap_or_else(|| vec![1; 2]);
    let up = i64::from(int(node, "ceil_mode") == Some(1));
    [0, 1].map(|side| {
        let reach = dilations[side] * (kernel[side] - 1) + 1;
        let room = x[2 + side] + pads[side] + pads[2 + side] - reach;
        assert!(room >= 0, "{}", node.name);
        (room + up * (strides[side] - 1)) / strides[side] + 1
    })
}
