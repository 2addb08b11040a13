//! Networks with weights by a formula, and images.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod shapes;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamGroup};
use burn::nn::BatchNormConfig;
use burn::tensor::{Device, TensorData};
use finetune_model::{Architecture, Network};
use finetune_onnx::Description;

pub(crate) const CLASSES: usize = 7;

/// The network for inference, with weights that leave no branch without effect (a fresh one
/// scales residuals by 0), and with the running statistics of three images, so that neither values nor the
/// differences between images vanish in its layers.
pub(crate) fn filled(architecture: &Architecture) -> Network {
    let device = Device::flex().autodiff();
    let network = architecture.build(CLASSES, 0, &device);
    let mut fill = Fill::default();
    let network = network.map(&mut fill);
    if !fill.has_statistics {
        return network.valid();
    }
    let images = images(3, architecture.image_size);
    // Normalisations train, but without gradients: autodiff keeps what no backward pass frees.
    let network = network.set_require_grad_group(ParamGroup::all(), false);
    let _ = network.forward(Tensor::from_data(images.into_data(), &device));
    // From 0, a pass has moved them by the momentum.
    network.valid().map(&mut Statistics {
        path: Vec::new(),
        factor: 1.0 / BatchNormConfig::new(1).momentum,
    })
}

/// Fills the tensors of adapters.
pub(crate) fn fill_adapters<M: Module>(module: M) -> M {
    module.map(&mut Fill {
        only_adapters: true,
        ..Fill::default()
    })
}

/// Makes running statistics of what one pass added to 0.
struct Statistics {
    path: Vec<String>,
    factor: f64,
}

impl ModuleMapper for Statistics {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.last().map_or("", String::as_str);
        // Channels that are almost constant for these images are not to be amplified beyond measure.
        let least = match name {
            "running_mean" => 0.0,
            "running_var" => 0.1,
            _ => return param,
        };
        param.map(|tensor| tensor.mul_scalar(self.factor).add_scalar(least))
    }
}

pub(crate) fn description(architecture: &Architecture) -> Description {
    let side = architecture.image_size;
    Description {
        name: architecture.name.to_owned(),
        image: [3, side, side],
        ..Description::default()
    }
}

/// Waves of a few lengths in each image and channel, and some noise, which alone would be averaged out by
/// the first layers.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn images(batch: usize, side: usize) -> Tensor<4> {
    let shape = [batch, 3, side, side];
    let mut noise = uniform(7);
    let mut values = Vec::with_capacity(shape.iter().product());
    for plane in 0..batch * 3 {
        let mut waves = uniform(100 + u32::try_from(plane).unwrap()).skip(8);
        let waves: Vec<[f32; 3]> = (0..3)
            .map(|_| std::array::from_fn(|_| 12.0 * waves.next().unwrap()))
            .collect();
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let (y, x) = (y as f32 / side as f32, x as f32 / side as f32);
            let of_waves = waves
                .iter()
                .map(|[a, b, phase]| (a * x + b * y + phase).sin());
            values.push(of_waves.sum::<f32>() + 0.2 * noise.next().unwrap());
        }
    }
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
    only_adapters: bool,
    has_statistics: bool,
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
        let adapter = self.path.iter().any(|name| name == "adapter");
        if name.ends_with("_mask") || (self.only_adapters && !adapter) {
            return param;
        }
        self.has_statistics |= name.starts_with("running_");
        self.count += 1;
        let seed = self.count;
        // A trained adapter changes its weight a little.
        let factor = if adapter { 0.2 } else { 1.0 };
        param.map(|tensor| {
            let dims = tensor.dims();
            let long = dims.iter().filter(|length| **length > 1).count();
            let inputs = if D == 2 {
                dims[0]
            } else {
                dims[1..].iter().product()
            };
            let formula = |u: f32| {
                if name.starts_with("running_") {
                    0.0
                } else if name == "gamma" {
                    1.0 + 0.3 * u
                } else if long > 1 && D != 3 {
                    u * (3.0 / inputs as f32).sqrt()
                } else {
                    0.1 * u
                }
            };
            let values: Vec<f32> = uniform(seed)
                .take(dims.iter().product())
                .map(|u| factor * formula(u))
                .collect();
            let data = TensorData::new(values, dims);
            let trained = tensor.is_require_grad();
            Tensor::from_data(data, &tensor.device()).set_require_grad(trained)
        })
    }
}
