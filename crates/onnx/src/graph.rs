//! Nodes and constants of a graph, with their names.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use burn::backend::ir::{ScalarIr, TensorId, TensorIr};
use burn::tensor::{DType, TensorData};
use prost::bytes::Bytes;

use crate::error::OnnxError;
use crate::proto::{AttributeProto, AttributeType, NodeProto, TensorProto, data_type};
use crate::recorded::{Dim, Recorded};

/// The name of the graph's input.
pub(crate) const INPUT: &str = "images";
/// The name of the graph's output.
pub(crate) const OUTPUT: &str = "logits";

/// A graph that is being written.
pub(crate) struct Graph {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) initializers: Vec<TensorProto>,
    shapes: HashMap<TensorId, Vec<Dim>>,
    /// What computes nothing stands for its input.
    aliases: HashMap<TensorId, TensorId>,
    names: HashMap<TensorId, String>,
    /// Constants that no node uses yet.
    values: HashMap<TensorId, TensorData>,
    parameters: HashMap<TensorId, String>,
    /// How often names were used.
    used: HashMap<String, usize>,
    /// The constants by a hash of their contents.
    written: HashMap<u64, Vec<usize>>,
    /// The name of the number of images, a vector of one element, if a node needs it.
    images: Option<String>,
}

impl Graph {
    pub(crate) fn new(recorded: &mut Recorded) -> Self {
        Self {
            nodes: Vec::new(),
            initializers: Vec::new(),
            shapes: std::mem::take(&mut recorded.shapes),
            aliases: HashMap::new(),
            names: HashMap::from([(recorded.input, INPUT.to_owned())]),
            values: std::mem::take(&mut recorded.values).into_iter().collect(),
            parameters: std::mem::take(&mut recorded.names),
            used: HashMap::from([(INPUT.to_owned(), 1), (OUTPUT.to_owned(), 1)]),
            written: HashMap::new(),
            images: None,
        }
    }

    /// The lengths of a tensor's axes.
    pub(crate) fn dims(&self, tensor: &TensorIr) -> Vec<Dim> {
        self.shapes.get(&tensor.id).cloned().unwrap_or_default()
    }

    /// Gives the graph's input another name than that of the node that computes it from the file's.
    pub(crate) fn rename_input(&mut self, input: TensorId, name: String) {
        self.names.insert(input, name);
    }

    /// Makes `out` another word for `input`.
    pub(crate) fn alias(&mut self, out: &TensorIr, input: &TensorIr) {
        let input = self.resolve(input.id);
        self.aliases.insert(out.id, input);
    }

    fn resolve(&self, id: TensorId) -> TensorId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// The name of a tensor that a node uses; a constant is written when it is used first.
    pub(crate) fn input(&mut self, tensor: &TensorIr) -> Result<String, OnnxError> {
        let id = self.resolve(tensor.id);
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let Some(data) = self.values.remove(&id) else {
            return Err(OnnxError::Recording {
                reason: format!("{id} is used before it is computed"),
            });
        };
        let wanted = self
            .parameters
            .get(&id)
            .cloned()
            .unwrap_or_else(|| "constant".to_owned());
        let name = self.initializer(&wanted, data)?;
        self.names.insert(id, name.clone());
        Ok(name)
    }

    /// The name of a tensor that a node of type `kind` computes.
    fn output(&mut self, tensor: &TensorIr, kind: &str) -> String {
        if let Some(name) = self.names.get(&tensor.id) {
            return name.clone();
        }
        let name = self.unique(&format!("{kind}_output"));
        self.names.insert(tensor.id, name.clone());
        name
    }

    /// Ends the graph with a tensor under the name of its output.
    pub(crate) fn finish(&mut self, output: &TensorIr) -> Result<(), OnnxError> {
        let name = self.input(output)?;
        let computed = self.nodes.iter().any(|node| node.output.contains(&name));
        if !computed {
            self.push("Identity", vec![name], OUTPUT.to_owned(), Vec::new());
            return Ok(());
        }
        for node in &mut self.nodes {
            for used in node.input.iter_mut().chain(&mut node.output) {
                if *used == name {
                    OUTPUT.clone_into(used);
                }
            }
        }
        Ok(())
    }

    /// A node that computes `out`.
    pub(crate) fn node(
        &mut self,
        kind: &'static str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
        out: &TensorIr,
    ) {
        let output = self.output(out, kind);
        self.push(kind, inputs, output, attributes);
    }

    /// A node whose result only other nodes of the same operation use; returns the result's name.
    pub(crate) fn step(
        &mut self,
        kind: &'static str,
        inputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.unique(&format!("{kind}_output"));
        self.push(kind, inputs, output.clone(), attributes);
        output
    }

    fn push(
        &mut self,
        kind: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        let name = self.unique(kind);
        self.nodes.push(NodeProto {
            input,
            output: vec![output],
            name,
            op_type: kind.to_owned(),
            attribute,
        });
    }

    /// A vector of integers.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Result<String, OnnxError> {
        self.initializer("constant", TensorData::new(values.to_vec(), [values.len()]))
    }

    /// A scalar of the type of the elements of a tensor.
    pub(crate) fn scalar(&mut self, value: ScalarIr, dtype: DType) -> Result<String, OnnxError> {
        let shape: [usize; 0] = [];
        let data = TensorData::new(vec![value.elem::<f64>()], shape);
        self.initializer("constant", data.convert_dtype(dtype))
    }

    /// The lengths of axes as a vector.
    pub(crate) fn lengths(&mut self, dims: &[Dim]) -> Result<String, OnnxError> {
        if let Some(fixed) = dims
            .iter()
            .map(|dim| fixed(*dim))
            .collect::<Option<Vec<i64>>>()
        {
            return self.ints(&fixed);
        }
        let mut parts = Vec::new();
        let mut literal: Vec<i64> = Vec::new();
        for dim in dims {
            match *dim {
                Dim::Fixed(length) => literal.push(int(length)),
                Dim::PerImage(count) => {
                    if !literal.is_empty() {
                        parts.push(self.ints(&std::mem::take(&mut literal))?);
                    }
                    parts.push(self.images(count)?);
                }
            }
        }
        if !literal.is_empty() {
            parts.push(self.ints(&literal)?);
        }
        Ok(match <[String; 1]>::try_from(parts) {
            Ok([one]) => one,
            Err(parts) => self.step("Concat", parts, vec![attribute_int("axis", 0)]),
        })
    }

    /// The number of images times `count`, a vector of one element.
    fn images(&mut self, count: usize) -> Result<String, OnnxError> {
        let images = if let Some(name) = &self.images {
            name.clone()
        } else {
            let attributes = vec![attribute_int("start", 0), attribute_int("end", 1)];
            let name = self.step("Shape", vec![INPUT.to_owned()], attributes);
            self.images = Some(name.clone());
            name
        };
        if count == 1 {
            return Ok(images);
        }
        let count = self.ints(&[int(count)])?;
        Ok(self.step("Mul", vec![images, count], Vec::new()))
    }

    /// Writes a constant, unless there is an equal one, and returns its name.
    pub(crate) fn initializer(
        &mut self,
        wanted: &str,
        data: TensorData,
    ) -> Result<String, OnnxError> {
        let (bytes, shape, dtype) = data.into_parts();
        let dims: Vec<i64> = shape.iter().map(|length| int(*length)).collect();
        let data_type = element(dtype)?;
        let mut hasher = DefaultHasher::new();
        (data_type, &dims, &bytes[..]).hash(&mut hasher);
        let hash = hasher.finish();
        let equal = |index: &&usize| {
            let one = &self.initializers[**index];
            one.data_type == data_type && one.dims == dims && one.raw_data[..] == bytes[..]
        };
        if let Some(index) = self
            .written
            .get(&hash)
            .and_then(|equals| equals.iter().find(equal))
        {
            return Ok(self.initializers[*index].name.clone());
        }
        let name = self.unique(wanted);
        self.written
            .entry(hash)
            .or_default()
            .push(self.initializers.len());
        self.initializers.push(TensorProto {
            dims,
            data_type,
            name: name.clone(),
            raw_data: little_endian(&bytes, dtype),
        });
        Ok(name)
    }

    /// The name, or the name with a number if it is taken.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        loop {
            let count = self.used.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                return name;
            }
            name = format!("{wanted}_{}", *self.used.get(wanted).unwrap_or(&1) - 1);
        }
    }
}

/// Reshapes take −1 for the only length that depends on the number of images.
pub(crate) fn reshape_target(dims: &[Dim]) -> Option<Vec<i64>> {
    let of_images = dims.iter().filter(|dim| matches!(dim, Dim::PerImage(_)));
    let target = |dim: &Dim| match dim {
        Dim::Fixed(length) => int(*length),
        Dim::PerImage(_) => -1,
    };
    (of_images.count() <= 1).then(|| dims.iter().map(target).collect())
}

fn fixed(dim: Dim) -> Option<i64> {
    match dim {
        Dim::Fixed(length) => Some(int(length)),
        Dim::PerImage(_) => None,
    }
}

pub(crate) fn int(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// ONNX's number of a type of elements.
pub(crate) fn element(dtype: DType) -> Result<i32, OnnxError> {
    Ok(match dtype {
        DType::F32 | DType::Flex32 => data_type::FLOAT,
        DType::F64 => data_type::DOUBLE,
        DType::F16 => data_type::FLOAT16,
        DType::BF16 => data_type::BFLOAT16,
        DType::I64 => data_type::INT64,
        DType::I32 => data_type::INT32,
        DType::U8 => data_type::UINT8,
        DType::Bool(_) => data_type::BOOL,
        other => {
            return Err(OnnxError::Unsupported {
                operation: format!("a tensor of {other:?}"),
            });
        }
    })
}

/// The bytes as ONNX wants them; a file is written on little-endian machines almost always.
fn little_endian(bytes: &[u8], dtype: DType) -> Bytes {
    let mut bytes = bytes.to_vec();
    if cfg!(target_endian = "big") {
        bytes
            .chunks_exact_mut(dtype.size().max(1))
            .for_each(<[u8]>::reverse);
    }
    Bytes::from(bytes)
}

pub(crate) fn attribute_int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(value),
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn attribute_float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: Some(value),
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn attribute_text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: Some(value.as_bytes().to_vec()),
        r#type: AttributeType::String.into(),
        ..AttributeProto::default()
    }
}

pub(crate) fn attribute_ints(
    name: &str,
    values: impl IntoIterator<Item = usize>,
) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.into_iter().map(int).collect(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}
