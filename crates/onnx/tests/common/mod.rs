//! Networks with weights by a formula, and images.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod shapes;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, TensorData};
use finetune_model::{Architecture, Network};
use finetune_onnx::Description;

pub(crate) const CLASSES: usize = 7;

/// The network with weights that leave no branch without effect: a fresh one scales residuals by 0.
pub(crate) fn filled(architecture: &Architecture) -> Network {
    fill(architecture.build(CLASSES, 0, &Device::flex()))
}

/// Fills all parameters, statistics and adapters.
pub(crate) fn fill<M: Module>(module: M) -> M {
    module.map(&mut Fill::default())
}

pub(crate) fn description(architecture: &Architecture) -> Description {
    let side = architecture.image_size;
    Description {
        name: architecture.name.to_owned(),
        image: [3, side, side],
        ..Description::default()
    }
}

pub(crate) fn images(batch: usize, side: usize) -> Tensor<4> {
    let shape = [batch, 3, side, side];
    let values: Vec<f32> = uniform(7).take(shape.iter().product()).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Numbers in [−1, 1), by xorshift (Marsaglia 2003).
#[allow(clippy::cast_precision_loss)]
pub(crate) fn uniform(seed: u32) -> impl Iterator<Item = f32> {
    let mut x = seed.wrapping_mul(0x9E37_79B1) | 1;
    std::iter::from_fn(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        Some((x >> 8) as f32 / (1 << 23) as f32 - 1.0)
    })
}

#[derive(Default)]
struct Fill {
    path: Vec<String>,
    count: u32,
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    #[allow(clippy::cast_precision_loss)]
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.last().map_or("", String::as_str).to_owned();
        if name.ends_with("_mask") {
            return param;
        }
        self.count += 1;
        let seed = self.count;
        param.map(|tensor| {
            let dims = tensor.dims();
            let long = dims.iter().filter(|length| **length > 1).count();
            let inputs = if D == 2 { dims[0] } else { dims[1..].iter().product() };
            let around_one = ["gamma", "running_var"].contains(&name.as_str());
            let formula = |u: f32| {
                if around_one {
                    1.0 + 0.3 * u
                } else if long > 1 && D != 3 {
                    u * (3.0 / inputs as f32).sqrt()
                } else {
                    0.1 * u
                }
            };
            let values: Vec<f32> =
                uniform(seed).take(dims.iter().product()).map(formula).collect();
            let data = TensorData::new(values, dims);
            let trained = tensor.is_require_grad();
            Tensor::from_data(data, &tensor.device()).set_require_grad(trained)
        })
    }
}
