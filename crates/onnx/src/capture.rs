//! Recording a forward pass: Burn's capture device lists the operations instead of computing them.

use std::collections::BTreeMap;

use burn::Tensor;
use burn::backend::Capture;
use burn::backend::ir::{OperationIr, TensorId};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, TensorData};

use crate::error::OnnxError;

/// What a forward pass computes, for a fixed number of images.
pub(crate) struct Captured {
    /// The operations in the order in which they were called.
    pub(crate) operations: Vec<OperationIr>,
    /// The tensors that nothing computes: parameters, statistics and constants.
    pub(crate) values: BTreeMap<TensorId, TensorData>,
    /// The paths of the model's parameters.
    pub(crate) names: BTreeMap<TensorId, String>,
    /// The images.
    pub(crate) input: TensorId,
    /// The logits.
    pub(crate) output: TensorId,
}

/// Records the forward pass of `model` on images of this shape.
pub(crate) fn capture<M: Module>(
    model: &M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
    shape: [usize; 4],
) -> Result<Captured, OnnxError> {
    let device = Device::capture();
    let mut names = BTreeMap::new();
    let mut bounds = None;
    let captured = device.capture_scope(|scope| {
        let model = model.valid().to_device(&device);
        let mut visitor = Names::default();
        model.visit(&mut visitor);
        names = visitor.found;
        let images = Tensor::<4>::zeros(shape, &Device::flex()).to_device(&device);
        let logits = forward(&model, images.clone());
        bounds = id(&images).zip(id(&logits));
        match bounds {
            Some((input, output)) => scope.complete([input], [output]),
            None => scope.complete([], []),
        }
    });
    let captured = captured.map_err(|error| OnnxError::Recording {
        reason: error.to_string(),
    })?;
    let (input, output) = bounds.ok_or_else(|| OnnxError::Recording {
        reason: "the logits are not computed on the device of the images".to_owned(),
    })?;
    let mut values = captured.values;
    values.remove(&input);
    Ok(Captured {
        operations: captured.graph.operations,
        values,
        names,
        input,
        output,
    })
}

/// The number by which a capture knows a tensor, if it is on a capture device.
fn id<const D: usize>(tensor: &Tensor<D>) -> Option<TensorId> {
    let primitive = tensor.clone().try_into_primitive::<Capture>().ok()?;
    Some(primitive.id())
}

/// Collects the paths of parameters.
#[derive(Default)]
struct Names {
    path: Vec<String>,
    found: BTreeMap<TensorId, String>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        // A variant of an enum is no part of a path.
        let name = if container.starts_with("Enum:") {
            ""
        } else {
            name
        };
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(id) = id(&param.val()) {
            let names = self.path.iter().filter(|name| !name.is_empty());
            let names: Vec<&str> = names.map(String::as_str).collect();
            self.found.entry(id).or_insert_with(|| names.join("."));
        }
    }
}
