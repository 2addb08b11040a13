//! The optimiser of a run: one pass over memory a parameter, and a state that others can read.
//!
//! Burn's optimisers make a pass and a buffer for each operation of a formula, and keep their state
//! out of reach; a checkpoint and a moving mask need it.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, TensorData};
use finetune_kernels::linear::OuterProducts;
use finetune_kernels::optim::{Adam, Gradient, Sgd, adam, sgd};
use finetune_methods::catalogue::Moved;

use crate::recipe::Optimizer;

/// How one parameter steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
}

/// What an optimiser remembers of one parameter.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// How often it has stepped.
    pub(crate) steps: u64,
    /// Of Adam the two moments, else the velocity; entries in row order.
    pub(crate) moments: Vec<Tensor<1>>,
}

/// An optimiser and its state.
#[derive(Debug)]
pub(crate) struct ModelOptimizer {
    kind: Optimizer,
    memory: HashMap<ParamId, Memory>,
}

impl ModelOptimizer {
    /// One that has not stepped yet.
    pub(crate) fn new(kind: Optimizer) -> Self {
        Self {
            kind,
            memory: HashMap::new(),
        }
    }

    /// Steps every parameter that has a gradient; each gradient is freed as soon as it is used.
    ///
    /// Of a parameter that occurs several times the first occurrence steps.
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

    /// Sets the moments to 0 wherever a mask has moved.
    pub(crate) fn forget(&mut self, moved: &[Moved]) {
        for moved in moved {
            let Some(memory) = self.memory.get_mut(&moved.id) else {
                continue;
            };
            for moment in &mut memory.moments {
                let keep = moved.keep.iter().map(|keep| f32::from(u8::from(*keep)));
                let data = TensorData::new(keep.collect(), moment.shape());
                let keep = Tensor::from_data(data, &moment.device());
                *moment = moment.clone() * keep;
            }
        }
    }

    /// The state of a parameter.
    pub(crate) fn memory(&self, id: ParamId) -> Option<&Memory> {
        self.memory.get(&id)
    }

    /// Puts the state of a parameter back: its moments by [`names`](Self::names).
    pub(crate) fn remember(
        &mut self,
        id: ParamId,
        steps: u64,
        moments: Vec<Vec<f32>>,
        device: &Device,
    ) {
        let tensor = |values: Vec<f32>| {
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        let moments = moments.into_iter().map(tensor).collect();
        self.memory.insert(id, Memory { steps, moments });
    }

    /// What the moments are called in a file.
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
        let Memory { steps, mut moments } = self.memory.remove(&id).unwrap_or_else(|| Memory {
            steps: 0,
            moments: (self.names().iter())
                .map(|_| zeros(size, &device))
                .collect(),
        });
        let steps = steps + 1;
        let parameter = parameter.reshape([size]);
        let Rates {
            learning_rate,
            weight_decay,
        } = rates;
        let stepped = match self.kind {
            Optimizer::Adam | Optimizer::AdamW => {
                let step = Adam {
                    learning_rate,
                    betas: [0.9, 0.999],
                    epsilon: 1e-8,
                    weight_decay,
                    decoupled: self.kind == Optimizer::AdamW,
                    step: steps,
                };
                let (second, first) = (moments.pop(), moments.pop());
                let [first, second] =
                    [first, second].map(|moment| moment.unwrap_or_else(|| zeros(size, &device)));
                let (stepped, after) = adam(parameter, gradient, [first, second], step);
                moments.extend(after);
                stepped
            }
            Optimizer::Sgd => {
                let step = Sgd {
                    learning_rate,
                    momentum: 0.9,
                    weight_decay,
                };
                let velocity = moments.pop();
                let velocity = velocity.unwrap_or_else(|| zeros(size, &device));
                let (stepped, after) = sgd(parameter, gradient, velocity, step);
                moments.push(after);
                stepped
            }
        };
        self.memory.insert(id, Memory { steps, moments });
        stepped.reshape(shape)
    }
}

/// Moments before the first step. Not `Tensor::zeros`: on flex that makes and copies a second buffer.
fn zeros(size: usize, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![0.0_f32; size], [size]), device)
}

/// The gradients of a step.
#[derive(Default)]
pub(crate) struct StepGradients {
    pub(crate) whole: GradientsParams,
    /// Those of large weights that stay products.
    pub(crate) outer: OuterProducts,
}

impl From<GradientsParams> for StepGradients {
    fn from(whole: GradientsParams) -> Self {
        Self {
            whole,
            outer: OuterProducts::default(),
        }
    }
}

impl StepGradients {
    /// Takes a parameter's, flat.
    fn remove<const D: usize>(&mut self, param: &Param<Tensor<D>>) -> Option<Gradient<1>> {
        let size = param.lazy_shape().num_elements();
        let whole = self.whole.remove::<D>(param.id);
        let whole = whole.map(|gradient| gradient.reshape([size]));
        match (whole, self.outer.remove(&param.base())) {
            (None, outer) => outer.map(Gradient::Outer),
            (Some(whole), None) => Some(Gradient::Whole(whole)),
            // The weight is used elsewhere as well.
            (Some(whole), Some(outer)) => Some((whole + outer.product().reshape([size])).into()),
        }
    }
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
        // Consumed, the parameter is alone with its buffer and can be changed in it.
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

        /// A step with a gradient of 1 everywhere, or of 0.
        fn step(self, optimizer: &mut ModelOptimizer, gradient: f32) -> Self {
            let loss = (self.a.val() + self.b.val() + self.frozen.val()).sum() * gradient;
            let gradients = GradientsParams::from_grads(loss.backward(), &self);
            optimizer.step(self, gradients, |_| Rates {
                learning_rate: 0.1,
                weight_decay: 0.0,
            })
        }
    }

    fn assert_values(param: &Param<Tensor<1>>, wanted: [f32; 3]) {
        for (value, wanted) in param.val().into_data().iter::<f32>().zip(wanted) {
            assert!((value - wanted).abs() < 1e-5, "{value} instead of {wanted}");
        }
    }

    #[test]
    fn only_what_moved_forgets() {
        let mut optimizer = ModelOptimizer::new(Optimizer::Adam);
        let net = Weights::new().step(&mut optimizer, 1.0);
        // Adam's first step is the learning rate whatever the gradient's size.
        assert_values(&net.a, [-0.1; 3]);
        optimizer.forget(&[Moved {
            id: net.a.id,
            keep: vec![true, false, true],
        }]);
        // No gradient: only what is remembered moves, by m̂/√v̂ = (0.09/0.19) / √(0.000999/0.001999).
        let net = net.step(&mut optimizer, 0.0);
        let remembered = -0.1 - 0.1 * (0.09 / 0.19) / (0.000_999_f32 / 0.001_999).sqrt();
        assert_values(&net.a, [remembered, -0.1, remembered]);
        assert_values(&net.b, [remembered; 3]);
        assert_values(&net.frozen, [0.0; 3]);
        assert!(net.a.val().is_require_grad() && !net.frozen.val().is_require_grad());
        assert!(optimizer.memory(net.frozen.id).is_none());
    }

    #[test]
    fn each_parameter_has_its_rates_and_steps_in_its_own_buffer() {
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
        let net = optimizer.step(net, gradients, |id| Rates {
            learning_rate: if id == fast { 0.2 } else { 0.1 },
            weight_decay: 0.0,
        });
        assert_values(&net.a, [-0.2; 3]);
        assert_values(&net.b, [-0.1; 3]);
        assert_eq!(buffer(&net), before);
    }
}
