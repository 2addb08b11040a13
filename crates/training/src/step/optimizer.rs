//! The optimiser, which makes one pass over memory per parameter and has a readable state.
//!
//! Burn's optimisers need a pass and a buffer for each operation of the formula, and hide the state
//! that checkpoints and methods with a moving mask need.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, TensorData};
use finetune_kernels::optim::{Adam, Gradient, Sgd, adam, sgd};
use finetune_methods::catalogue::Moved;

use super::ema::kept;
use super::gradients::StepGradients;
use crate::recipe::Optimizer;

/// The hyperparameters of one parameter in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    /// Adam's β₁, or the momentum of SGD.
    pub(crate) momentum: f64,
}

/// The state of an optimiser for one parameter.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// The number of steps so far.
    pub(crate) steps: u64,
    /// Adam's two moments, or the velocity of SGD, as flat tensors in row order.
    pub(crate) moments: Vec<Tensor<1>>,
    /// The number of steps at which each entry's moments were last set to 0, if a mask has cleared
    /// some: Adam corrects its moments by the number of steps since then.
    pub(crate) cleared: Option<Vec<u64>>,
}

/// An optimiser and its state.
#[derive(Debug)]
pub(crate) struct ModelOptimizer {
    kind: Optimizer,
    memory: HashMap<ParamId, Memory>,
}

impl ModelOptimizer {
    /// An optimiser before its first step.
    pub(crate) fn new(kind: Optimizer) -> Self {
        Self {
            kind,
            memory: HashMap::new(),
        }
    }

    /// Updates every parameter that has a gradient, and frees each gradient once it is used.
    ///
    /// If a parameter occurs several times in the model, only its first occurrence is updated.
    pub(crate) fn step<M: Module>(
        &mut self,
        model: M,
        gradients: impl Into<StepGradients>,
        rates: impl Fn(ParamId) -> Rates,
    ) -> M {
        model.map(&mut Stepper {
            optimizer: self,
            gradients: gradients.into(),
            rates,
        })
    }

    /// Sets the moments to 0 where a mask that has moved does not keep them.
    pub(crate) fn forget(&mut self, moved: &[Moved]) {
        for moved in moved {
            let Some(memory) = self.memory.get_mut(&moved.id) else {
                continue;
            };
            for moment in &mut memory.moments {
                *moment = moment.clone() * kept(moved, moment);
            }
            // The velocity of SGD is not corrected.
            if self.kind != Optimizer::Sgd {
                let steps = memory.steps;
                let cleared = memory
                    .cleared
                    .get_or_insert_with(|| vec![0; moved.keep.len()]);
                let lost = cleared
                    .iter_mut()
                    .zip(&moved.keep)
                    .filter(|(_, keep)| !**keep);
                for (step, _) in lost {
                    *step = steps;
                }
            }
        }
    }

    /// The state of a parameter; `None` before its first step.
    pub(crate) fn memory(&self, id: ParamId) -> Option<&Memory> {
        self.memory.get(&id)
    }

    /// Restores the state of a parameter; `moments` are in the order of [`names`](Self::names).
    pub(crate) fn restore(
        &mut self,
        id: ParamId,
        steps: u64,
        moments: Vec<Vec<f32>>,
        cleared: Option<Vec<u64>>,
        device: &Device,
    ) {
        let tensor = |values: Vec<f32>| {
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        let moments = moments.into_iter().map(tensor).collect();
        let memory = Memory {
            steps,
            moments,
            cleared,
        };
        self.memory.insert(id, memory);
    }

    /// The names of the moments in a checkpoint.
    pub(crate) fn names(&self) -> &'static [&'static str] {
        match self.kind {
            Optimizer::Adam | Optimizer::AdamW => &["moment_1", "moment_2"],
            Optimizer::Sgd => &["velocity"],
        }
    }

    fn step_one<const D: usize>(
        &mut self,
        id: ParamId,
        parameter: Tensor<D>,
        gradient: Gradient<1>,
        rates: Rates,
    ) -> Tensor<D> {
        let shape = parameter.shape();
        let size = shape.num_elements();
        let device = parameter.device();
        let Memory {
            steps,
            mut moments,
            cleared,
        } = self.memory.remove(&id).unwrap_or_else(|| Memory {
            steps: 0,
            moments: (self.names().iter())
                .map(|_| zeros(size, &device))
                .collect(),
            cleared: None,
        });
        let steps = steps + 1;
        let parameter = parameter.reshape([size]);
        let Rates {
            learning_rate,
            weight_decay,
            momentum,
        } = rates;
        let stepped = match self.kind {
            Optimizer::Adam | Optimizer::AdamW => {
                let step = Adam {
                    learning_rate,
                    betas: [momentum, 0.999],
                    epsilon: 1e-8,
                    weight_decay,
                    decoupled: self.kind == Optimizer::AdamW,
                    step: steps,
                };
                let (second, first) = (moments.pop(), moments.pop());
                let [first, second] =
                    [first, second].map(|moment| moment.unwrap_or_else(|| zeros(size, &device)));
                let (stepped, after) = match &cleared {
                    None => adam(parameter, gradient, [first, second], step),
                    Some(cleared) => {
                        adam_by_entry(parameter, gradient, [first, second], step, cleared)
                    }
                };
                moments.extend(after);
                stepped
            }
            Optimizer::Sgd => {
                let step = Sgd {
                    learning_rate,
                    momentum,
                    weight_decay,
                };
                let velocity = moments.pop();
                let velocity = velocity.unwrap_or_else(|| zeros(size, &device));
                let (stepped, after) = sgd(parameter, gradient, velocity, step);
                moments.push(after);
                stepped
            }
        };
        let memory = Memory {
            steps,
            moments,
            cleared,
        };
        self.memory.insert(id, memory);
        stepped.reshape(shape)
    }
}

/// A step of Adam in which each entry's moments are corrected by the number of steps since they were
/// cleared, so that an entry that begins anew takes the steps of a new parameter.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn adam_by_entry(
    parameter: Tensor<1>,
    gradient: Gradient<1>,
    [first, second]: [Tensor<1>; 2],
    step: Adam,
    cleared: &[u64],
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let gradient = match gradient {
        Gradient::Whole(gradient) => gradient,
        Gradient::Outer(outer) => outer.product().reshape(parameter.shape()),
    };
    let (parameter, gradient) = if step.decoupled {
        let left = 1.0 - step.learning_rate * step.weight_decay;
        (parameter * left, gradient)
    } else {
        let gradient = gradient + parameter.clone() * step.weight_decay;
        (parameter, gradient)
    };
    let [beta_1, beta_2] = step.betas;
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.clone() * gradient * (1.0 - beta_2);
    // Few different numbers of steps occur: one per move of the mask.
    let mut known: HashMap<u64, [f32; 2]> = HashMap::new();
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for cleared in cleared {
        let steps = step.step - cleared;
        let [one, two] = *known.entry(steps).or_insert_with(|| {
            let corrected = |beta: f64| (1.0 - beta.powf(steps as f64)) as f32;
            [corrected(beta_1), corrected(beta_2)]
        });
        of_first.push(one);
        of_second.push(two);
    }
    let tensor = |values: Vec<f32>| {
        let data = TensorData::new(values, parameter.shape());
        Tensor::<1>::from_data(data, &parameter.device())
    };
    let mean = first.clone() / tensor(of_first);
    let root = (second.clone() / tensor(of_second)).sqrt() + step.epsilon;
    let stepped = parameter.clone() - mean / root * step.learning_rate;
    (stepped, [first, second])
}

/// The moments before the first step. `Tensor::zeros` would allocate and copy a second buffer on
/// flex.
fn zeros(size: usize, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![0.0_f32; size], [size]), device)
}

struct Stepper<'a, R> {
    optimizer: &'a mut ModelOptimizer,
    gradients: StepGradients,
    rates: R,
}

impl<R: Fn(ParamId) -> Rates> ModuleMapper for Stepper<'_, R> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove(&param) else {
            return param;
        };
        // After `consume`, nothing else refers to the buffer, and it can be changed in place.
        let (id, tensor, mapper) = param.consume();
        let trains = tensor.is_require_grad();
        let checkpointing = tensor.gradient_checkpointing_strategy();
        let rates = (self.rates)(id);
        let stepped = (self.optimizer).step_one(id, tensor.inner(), gradient, rates);
        let mut tensor = Tensor::from_inner(stepped);
        if let Some(strategy) = checkpointing {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        Param::from_mapped_value(id, tensor.set_require_grad(trains), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;

    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        a: Param<Tensor<1>>,
        b: Param<Tensor<1>>,
        frozen: Param<Tensor<1>>,
    }

    impl Weights {
        fn new() -> Self {
            let device = Device::flex().autodiff();
            let param = || Param::from_tensor(Tensor::<1>::zeros([3], &device));
            Self {
                a: param(),
                b: param(),
                frozen: param().set_require_grad(false),
            }
        }

        /// A step with the same gradient everywhere.
        fn step(self, optimizer: &mut ModelOptimizer, gradient: f32) -> Self {
            self.step_with(optimizer, gradient, 0.0)
        }

        fn step_with(
            self,
            optimizer: &mut ModelOptimizer,
            gradient: f32,
            weight_decay: f64,
        ) -> Self {
            let loss = (self.a.val() + self.b.val() + self.frozen.val()).sum() * gradient;
            let gradients = GradientsParams::from_grads(loss.backward(), &self);
            optimizer.step(self, gradients, |_| rates(0.1, weight_decay))
        }
    }

    fn rates(learning_rate: f64, weight_decay: f64) -> Rates {
        Rates {
            learning_rate,
            weight_decay,
            momentum: 0.9,
        }
    }

    fn assert_values(param: &Param<Tensor<1>>, wanted: [f32; 3]) {
        for (value, wanted) in param.val().into_data().iter::<f32>().zip(wanted) {
            assert!((value - wanted).abs() < 1e-5, "{value} instead of {wanted}");
        }
    }

    #[test]
    fn moments_are_cleared_only_for_entries_whose_mask_moved() {
        let mut optimizer = ModelOptimizer::new(Optimizer::Adam);
        let net = Weights::new().step(&mut optimizer, 1.0);
        // The size of Adam's first step is the learning rate, independent of the gradient.
        assert_values(&net.a, [-0.1; 3]);
        optimizer.forget(&[Moved {
            id: net.a.id,
            keep: vec![true, false, true],
        }]);
        // With a gradient of 0, only the moments change a weight, by the learning rate times
        // m̂/√v̂ = (0.09/0.19) / √(0.000999/0.001999).
        let net = net.step(&mut optimizer, 0.0);
        let remembered = -0.1 - 0.1 * (0.09 / 0.19) / (0.000_999_f32 / 0.001_999).sqrt();
        assert_values(&net.a, [remembered, -0.1, remembered]);
        assert_values(&net.b, [remembered; 3]);
        assert_values(&net.frozen, [0.0; 3]);
        assert!(net.a.val().is_require_grad() && !net.frozen.val().is_require_grad());
        assert!(optimizer.memory(net.frozen.id).is_none());
    }

    /// PyTorch's Adam of a new parameter is the standard: `groups.rs` compares its steps with ours.
    #[test]
    fn an_entry_that_begins_anew_takes_the_steps_of_a_new_parameter() {
        for kind in [Optimizer::Adam, Optimizer::AdamW] {
            let gradients = [1.0, -0.3, 0.8, 0.05, -2.0, 0.4];
            let mut old = ModelOptimizer::new(kind);
            let mut net = Weights::new();
            for _ in 0..40 {
                net = net.step(&mut old, 1.0);
            }
            let start = net.a.val().into_data().iter::<f32>().next().unwrap();
            old.forget(&[Moved {
                id: net.a.id,
                keep: vec![true, false, true],
            }]);
            let mut new = ModelOptimizer::new(kind);
            let mut fresh = Weights::new();
            for gradient in gradients {
                net = net.step(&mut old, gradient);
                fresh = fresh.step(&mut new, gradient);
                let values: Vec<f32> = net.a.val().into_data().iter().collect();
                let wanted = fresh.a.val().into_data().iter::<f32>().next().unwrap();
                let moved = values[1] - start;
                assert!((moved - wanted).abs() < 2e-5, "{kind:?}: {moved} {wanted}");
                // The others go on as they would have, as the parameter beside them does.
                let beside = net.b.val().into_data().iter::<f32>().next().unwrap();
                assert!((values[0] - beside).abs() < 2e-5, "{kind:?}");
            }
            // Constant gradients: each step has the size of the learning rate, 0.1.
            let mut net = Weights::new();
            let mut optimizer = ModelOptimizer::new(kind);
            for step in 0..60_u8 {
                let before: Vec<f32> = net.a.val().into_data().iter().collect();
                net = net.step(&mut optimizer, 1.0);
                let after: Vec<f32> = net.a.val().into_data().iter().collect();
                for (before, after) in before.iter().zip(&after) {
                    assert!((before - after - 0.1).abs() < 1e-4, "{before} {after}");
                }
                if step % 20 == 10 {
                    optimizer.forget(&[Moved {
                        id: net.a.id,
                        keep: vec![false, true, step == 10],
                    }]);
                }
            }
        }
    }

    #[test]
    fn an_entry_that_begins_anew_decays_as_a_new_parameter_of_its_value() {
        for kind in [Optimizer::Adam, Optimizer::AdamW] {
            let mut old = ModelOptimizer::new(kind);
            let mut net = Weights::new();
            for _ in 0..20 {
                net = net.step(&mut old, 1.0);
            }
            old.forget(&[Moved {
                id: net.a.id,
                keep: vec![true, false, true],
            }]);
            let mut new = ModelOptimizer::new(kind);
            let start = net.a.val().detach().require_grad();
            let mut fresh = Weights {
                a: Param::from_tensor(start),
                ..Weights::new()
            };
            for gradient in [1.0, -0.3, 0.8] {
                net = net.step_with(&mut old, gradient, 0.5);
                fresh = fresh.step_with(&mut new, gradient, 0.5);
                let [found, wanted] = [&net, &fresh]
                    .map(|net| net.a.val().into_data().iter::<f32>().collect::<Vec<_>>()[1]);
                assert!((found - wanted).abs() < 2e-5, "{kind:?}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn a_weight_used_twice_gets_the_sum_of_an_outer_product_and_a_whole_gradient() {
        // 1024·1024 entries and one row: the gradient of the product is stored as two factors.
        let device = Device::flex().autodiff();
        let weight = Param::from_tensor(Tensor::<2>::zeros([1024, 1024], &device));
        let x = Tensor::<2>::full([1, 1024], 0.5, &device);
        let product = finetune_kernels::linear::linear(x, weight.val(), None);
        let loss = product.sum() * 2.0 + weight.val().sum() * 3.0;
        let (mut gradients, outer) = finetune_kernels::linear::backward(&loss);
        assert_eq!(outer.len(), 1);
        let whole = GradientsParams::from_module(&mut gradients, &weight);
        let mut optimizer = ModelOptimizer::new(Optimizer::Sgd);
        let gradients = StepGradients { whole, outer };
        let weight = optimizer.step(weight, gradients, |_| rates(1.0, 0.0));
        // Each entry has the gradient 2·0.5 + 3.
        let apart = (weight.val() + 4.0).abs().max().into_scalar::<f32>();
        assert!(apart < 1e-6, "{apart}");
    }

    #[test]
    fn parameters_have_their_own_rates_and_are_updated_in_place() {
        let mut optimizer = ModelOptimizer::new(Optimizer::Sgd);
        let net = Weights::new();
        let loss = (net.a.val() + net.b.val()).sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        drop(loss);
        let buffer = |net: &Weights| {
            let tensor = net.a.val().inner();
            let primitive = tensor.try_into_primitive::<burn::backend::Flex>().unwrap();
            primitive.bytes().as_ptr()
        };
        let (fast, before) = (net.a.id, buffer(&net));
        let net = optimizer.step(net, gradients, |id| {
            rates(if id == fast { 0.2 } else { 0.1 }, 0.0)
        });
        assert_values(&net.a, [-0.2; 3]);
        assert_values(&net.b, [-0.1; 3]);
        assert_eq!(buffer(&net), before);
    }
}
