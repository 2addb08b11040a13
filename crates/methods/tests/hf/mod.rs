//! The network of `fixtures/hf_peft.py`, and adapters of HF PEFT on it.

#![allow(dead_code, unreachable_pub)] // each test file uses only some of the helpers

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Int, TensorData};
use finetune_methods::attach::Parts;
use finetune_methods::hf_peft::{HfPeftAdapter, Names};
use finetune_methods::state::from_safetensors;
use finetune_methods::{Method, MethodError, Values, parameters};

mod net;

pub use net::Net;

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peft")
}

pub fn read(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let tensors = from_safetensors(&std::fs::read(path).unwrap()).unwrap();
    let numbers = |values| match values {
        Values::Floats(values) => values.into_vec(),
        #[allow(clippy::cast_precision_loss)]
        Values::Indices(values) => values.into_iter().map(|value| value as f32).collect(),
    };
    tensors
        .into_iter()
        .map(|tensor| (tensor.path, (tensor.shape, numbers(tensor.values))))
        .collect()
}

/// Returns the network with the weights of the fixtures.
pub fn base(device: &Device) -> Net {
    struct Put(Vec<Vec<f32>>);
    impl ModuleMapper for Put {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let values = self.0.remove(0);
            param.map(|tensor| {
                let data = TensorData::new(values, tensor.dims());
                Tensor::from_data(data, &tensor.device()).set_require_grad(true)
            })
        }
    }
    let net = Net::new(device);
    let mut stored = read(&fixtures().join("base.safetensors"));
    let values = parameters(&net).into_iter().map(|param| {
        let name = param
            .path
            .replace("gamma", "weight")
            .replace("beta", "bias");
        let (shape, values) = stored.remove(&name).unwrap();
        if param.owner != "Linear" || shape.len() == 1 {
            return values;
        }
        let (rows, columns) = (shape[0], shape[1]);
        let transposed = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]);
        transposed.collect()
    });
    let values = values.collect();
    net.map(&mut Put(values))
}

pub fn tensor<const D: usize>(name: &str, path: &Path, device: &Device) -> Tensor<D> {
    let (shape, values) = read(path).remove(name).unwrap();
    let shape: [usize; D] = shape.try_into().unwrap();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub fn input(device: &Device) -> Tensor<4> {
    tensor("x", &fixtures().join("base.safetensors"), device)
}

pub fn labels(device: &Device) -> Tensor<1, Int> {
    tensor::<1>("labels", &fixtures().join("base.safetensors"), device).int()
}

pub fn open(folder: &Path) -> HfPeftAdapter {
    let config = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    let tensors = std::fs::read(folder.join("adapter_model.safetensors")).unwrap();
    HfPeftAdapter::parse(&config, &tensors).unwrap()
}

/// Returns the network of a case. In the pointwise cases, the first convolution is 1×1 and has the
/// centres of the original kernels as its weights.
pub fn base_of(case: &str, device: &Device) -> Net {
    let net = base(device);
    if !case.ends_with("pointwise") {
        return net;
    }
    let centres = net.conv.weight.val().narrow(2, 1, 1).narrow(3, 1, 1);
    let conv = Conv2dConfig::new([4, 6], [1, 1])
        .with_stride([2, 2])
        .init(device);
    Net {
        conv: Conv2d {
            weight: Param::from_tensor(centres.detach()).set_require_grad(true),
            bias: net.conv.bias.clone(),
            ..conv
        },
        ..net
    }
}

pub fn attach(
    adapter: HfPeftAdapter,
    device: &Device,
) -> Result<(Parts<Net>, Method), MethodError> {
    attach_to(base(device), adapter)
}

pub fn attach_to(net: Net, adapter: HfPeftAdapter) -> Result<(Parts<Net>, Method), MethodError> {
    let (found, method) = adapter.attach(net, Names::same("head"))?;
    Ok((found.into_parts(), method))
}

/// Returns the largest difference, relative to the largest wanted value.
pub fn apart<const D: usize>(found: Tensor<D>, wanted: Tensor<D>) -> f32 {
    let (found, wanted) = (found.into_data(), wanted.into_data());
    let pairs = found.iter::<f32>().zip(wanted.iter::<f32>());
    let most = pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    most / wanted
        .iter::<f32>()
        .fold(0.0_f32, |most, value| most.max(value.abs()))
}
