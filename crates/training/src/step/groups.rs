//! The learning rate and the weight decay of each parameter.

use std::collections::HashMap;

use burn::module::ParamId;
use finetune_methods::ParamInfo;
use finetune_methods::attach::Faster;

use super::levels::{Levels, is_under};
use super::optimizer::Rates;
use crate::recipe::Recipe;

/// Names of the embeddings of a transformer, to which weight decay does not apply.
const NO_DECAY: [&str; 2] = ["cls_token", "pos_embed"];

/// Learning rates and weight decays by parameter.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    weight_decay: f64,
    of: HashMap<ParamId, Group>,
}

/// A parameter's learning rate as a multiple of the step's, and whether weight decay applies to it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    factor: f64,
    decays: bool,
}

impl Groups {
    /// `head` is the path of the head, empty if it is unknown; `faster` lists parameters to which
    /// the method gives another learning rate; `beside_head` are the paths of layers that have the
    /// head's level. A shared parameter is treated by its first path.
    pub(crate) fn new(
        recipe: &Recipe,
        parameters: &[ParamInfo],
        head: &str,
        beside_head: &[&str],
        faster: Option<&Faster>,
    ) -> Self {
        let levels = Levels::as_timm(parameters, head, beside_head);
        let mut of = HashMap::new();
        for param in parameters {
            let mut factor = below(recipe.layer_decay, levels.top() - levels.get(param.id));
            if is_under(&param.path, head) {
                factor *= recipe.head_lr_ratio;
            }
            if let Some(faster) = faster.filter(|faster| faster.parameters.contains(&param.id)) {
                factor *= faster.ratio;
            }
            let decays = recipe.decay_all || decays(param);
            of.entry(param.id).or_insert(Group { factor, decays });
        }
        Self {
            weight_decay: recipe.weight_decay,
            of,
        }
    }

    /// The hyperparameters of a parameter in a step with learning rate `rate` and this momentum.
    pub(crate) fn rates(&self, id: ParamId, rate: f64, momentum: f64) -> Rates {
        let group = self.of.get(&id);
        Rates {
            momentum,
            learning_rate: group.map_or(rate, |group| rate * group.factor),
            weight_decay: match group {
                Some(Group { decays: false, .. }) => 0.0,
                _ => self.weight_decay,
            },
        }
    }
}

/// `decay` to the power of `levels`.
fn below(decay: f64, levels: usize) -> f64 {
    (0..levels).fold(1.0, |factor, _| factor * decay)
}

/// Whether weight decay applies to a parameter by default: to matrices and kernels, but not to
/// biases, normalisations, scales and the embeddings of a transformer (as in timm's
/// `param_groups_weight_decay` and `no_weight_decay`).
fn decays(param: &ParamInfo) -> bool {
    param.shape.len() > 1 && !NO_DECAY.contains(&param.name())
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};
    use finetune_methods::parameters;
    use serde::Deserialize;

    use super::*;
    use crate::recipe::{Optimizer, Schedule};
    use crate::step::optimizer::ModelOptimizer;

    #[derive(Module, Debug)]
    struct Layer {
        matrix: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    #[derive(Module, Debug)]
    struct Net {
        blocks: Vec<Layer>,
        head: Layer,
    }

    #[allow(clippy::cast_precision_loss)]
    fn wave<const D: usize>(shape: [usize; D], speed: f32, device: &Device) -> Tensor<D> {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * speed).sin()).collect();
        Tensor::from_data(burn::tensor::TensorData::new(values, shape), device)
    }

    fn layer(device: &Device) -> Layer {
        Layer {
            matrix: Param::from_tensor(wave([2, 3], 0.7, device)),
            bias: Param::from_tensor(wave([3], 1.3, device)),
        }
    }

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().iter::<f32>().collect()
    }

    #[derive(Deserialize)]
    struct Fixture {
        optimizers: Vec<Steps>,
    }

    #[derive(Deserialize)]
    struct Steps {
        optimizer: Optimizer,
        weight_decay: f64,
        matrix: Vec<f32>,
        bias: Vec<f32>,
    }

    #[test]
    fn optimisers_agree_with_pytorch_and_biases_have_no_weight_decay() {
        let device = Device::flex().autodiff();
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/recipe.json")).unwrap();
        assert_eq!(fixture.optimizers.len(), 6);
        for wanted in fixture.optimizers {
            let recipe = Recipe {
                weight_decay: wanted.weight_decay,
                ..Recipe::new(wanted.optimizer, 0.01)
            };
            let mut net = layer(&device);
            let groups = Groups::new(&recipe, &parameters(&net), "", &[], None);
            let mut optimizer = ModelOptimizer::new(wanted.optimizer);
            for step in 1..=4_u8 {
                let step = f32::from(step);
                let plain = device.clone().inner();
                let mut gradients = GradientsParams::new();
                gradients.register(net.matrix.id, wave([2, 3], 0.2 * step, &plain));
                gradients.register(net.bias.id, wave([3], 0.5 * step, &plain));
                net = optimizer.step(net, gradients, |id| groups.rates(id, 0.01, 0.9));
            }
            let found = [values(&net.matrix), values(&net.bias)].concat();
            let wanted_values = [wanted.matrix, wanted.bias].concat();
            for (found, value) in found.iter().zip(&wanted_values) {
                assert!(
                    (found - value).abs() < 2e-6,
                    "{:?}: {found} instead of {value}",
                    wanted.optimizer
                );
            }
        }
    }

    #[test]
    fn rates_fall_towards_the_first_block_and_the_head_has_its_own_rate() {
        let device = Device::flex().autodiff();
        let net = Net {
            blocks: vec![layer(&device), layer(&device)],
            head: layer(&device),
        };
        let recipe = Recipe {
            layer_decay: 0.5,
            head_lr_ratio: 10.0,
            schedule: Schedule::Constant,
            ..Recipe::new(Optimizer::Sgd, 0.1)
        };
        let faster = Faster {
            ratio: 3.0,
            parameters: vec![net.blocks[1].bias.id],
        };
        let before = net.clone();
        let groups = Groups::new(&recipe, &parameters(&net), "head", &[], Some(&faster));
        let mut optimizer = ModelOptimizer::new(Optimizer::Sgd);
        let loss = |net: &Net| {
            let layers = net.blocks.iter().chain([&net.head]);
            let sums = layers.map(|layer| layer.matrix.val().sum() + layer.bias.val().sum());
            sums.reduce(|a, b| a + b).unwrap()
        };
        let gradients = GradientsParams::from_grads(loss(&net).backward(), &net);
        let net = optimizer.step(net, gradients, |id| groups.rates(id, 0.1, 0.9));
        // The two blocks have levels 1 and 2 of 3. Every gradient is 1.
        let moved = |before: Vec<f32>, after: Vec<f32>, by: f32| {
            for (before, after) in before.iter().zip(&after) {
                assert!((before - after - by).abs() < 1e-6, "{before} {after} {by}");
            }
        };
        for (block, by) in [(0, 0.025), (1, 0.05)] {
            let (old, new) = (&before.blocks[block], &net.blocks[block]);
            moved(values(&old.matrix), values(&new.matrix), by);
        }
        moved(
            values(&before.blocks[1].bias),
            values(&net.blocks[1].bias),
            0.15,
        );
        moved(values(&before.head.bias), values(&net.head.bias), 1.0);
        moved(values(&before.head.matrix), values(&net.head.matrix), 1.0);
    }
}
