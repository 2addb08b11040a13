//! Initial weights, drawn on the host so that they are the same on every device.

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::TensorData;
use finetune_methods::random::{normals, uniforms};
use finetune_methods::{ParamInfo, parameters_lazily};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How weights are initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// PyTorch's default: weights and biases from `U(-1/√n, 1/√n)` for `n` inputs per output.
    Torch,
    /// Weights from `N(0, 2/n)` (He et al. 2015, arXiv:1502.01852, equation 10), biases 0.
    KaimingNormal,
    /// Weights from `N(0, 0.02²)`, not truncated, biases 0: usual for transformers and `ConvNeXt`.
    Normal,
}

impl Init {
    /// The initial weights of a new head on pretrained layers: as small as PyTorch's default. He's are
    /// 2.4 times as large; they are meant for layers that a ReLU follows, and the first gradients of
    /// a large head disturb what the layers below have learnt (Kumar et al. 2022, arXiv:2202.10054).
    #[must_use]
    pub(crate) fn of_head(self) -> Self {
        match self {
            Self::KaimingNormal => Self::Torch,
            Self::Torch | Self::Normal => self,
        }
    }
}

/// Initialises the weights and biases of all Linear and Conv2d layers of a module.
#[must_use]
pub(crate) fn initialize<M: Module>(module: M, init: Init, seed: u64) -> M {
    let plan = plan(&parameters_lazily(&module));
    module.map(&mut Draw {
        plan,
        init,
        rng: ChaCha8Rng::seed_from_u64(seed),
    })
}

/// Initialises the weights and biases below `head` only.
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

/// The tokens and position embeddings of transformers.
const TOKENS: [&str; 5] = [
    "cls_token",
    "dist_token",
    "reg_token",
    "pos_embed",
    "attn_pool.latent",
];

/// The tensors to initialise, and the number of inputs per output of their layers.
fn plan(parameters: &[ParamInfo]) -> Vec<(ParamId, Role, usize)> {
    let mut plan = Vec::new();
    let mut inputs = 1;
    for param in parameters {
        if TOKENS.contains(&param.path.as_str())
            || param.path.ends_with(".relative_position_bias_table")
        {
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
    /// A class token, position embedding or table of biases for distances of a transformer.
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
