//! Weights to start from, drawn on the host: the same on every device.

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::TensorData;
use finetune_methods::random::{normals, uniforms};
use finetune_methods::{ParamInfo, parameters_lazily};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// PyTorch's default: weights and biases `U(-1/√n, 1/√n)` with `n` inputs an output.
    Torch,
    /// Weights `N(0, 2/n)` (He et al. 2015, arXiv:1502.01852, equation 10), biases 0.
    KaimingNormal,
    /// Weights `N(0, 0.02²)`, biases 0: transformers' and `ConvNeXt`'s usual one, not truncated.
    Normal,
}

/// Draws every Linear and Conv2d weight and bias of a module anew.
#[must_use]
pub(crate) fn initialize<M: Module>(module: M, init: Init, seed: u64) -> M {
    let plan = plan(&parameters_lazily(&module));
    module.map(&mut Draw {
        plan,
        init,
        rng: ChaCha8Rng::seed_from_u64(seed),
    })
}

/// Draws the weights below `head` anew, leaving the others.
#[must_use]
pub(crate) fn initialize_head<M: Module>(module: M, head: &str, init: Init, seed: u64) -> M {
    let below = |param: &ParamInfo| {
        param
            .path
            .strip_prefix(head)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let all: Vec<_> = parameters_lazily(&module)
        .into_iter()
        .filter(below)
        .collect();
    module.map(&mut Draw {
        plan: plan(&all),
        init,
        rng: ChaCha8Rng::seed_from_u64(seed),
    })
}

/// Which tensors are drawn, and the number of inputs an output of their layer sees.
fn plan(parameters: &[ParamInfo]) -> Vec<(ParamId, Role, usize)> {
    let mut plan = Vec::new();
    let mut inputs = 1;
    for param in parameters {
        if matches!(param.path.as_str(), "cls_token" | "pos_embed") {
            plan.push((param.id, Role::Token, 1));
            continue;
        }
        let weight = match param.path.rsplit_once('.') {
            Some((_, "weight")) => true,
            Some((_, "bias")) => false,
            _ => continue,
        };
        match (param.owner.as_str(), weight) {
            ("Linear", true) => inputs = param.shape[0],
            ("Conv2d", true) => inputs = param.shape[1..].iter().product(),
            ("Linear" | "Conv2d", false) => {}
            _ => continue,
        }
        plan.push((
            param.id,
            if weight { Role::Weight } else { Role::Bias },
            inputs,
        ));
    }
    plan
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Role {
    Weight,
    Bias,
    /// A token or a position of a transformer.
    Token,
}

struct Draw {
    plan: Vec<(ParamId, Role, usize)>,
    init: Init,
    rng: ChaCha8Rng,
}

impl ModuleMapper for Draw {
    #[allow(clippy::cast_precision_loss)]
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(&(id, role, inputs)) = self.plan.iter().find(|(id, ..)| *id == param.id) else {
            return param;
        };
        let shape = param.lazy_shape();
        let count = shape.num_elements();
        let rng = &mut self.rng;
        let values = match (self.init, role) {
            (Init::Torch, Role::Weight | Role::Bias) => {
                uniforms(rng, 1.0 / (inputs as f32).sqrt(), count)
            }
            (Init::KaimingNormal, Role::Weight) => {
                normals(rng, (2.0 / inputs as f32).sqrt(), count)
            }
            (Init::Normal, Role::Weight) | (_, Role::Token) => normals(rng, 0.02, count),
            (_, Role::Bias) => vec![0.0; count],
        };
        let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        param.transform_for_load(tensor, id)
    }
}
