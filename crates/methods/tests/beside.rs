//! Compares adapters that run parallel to a layer or after it (AdaptFormer, VPT and SSF) with the
//! same computation in plain tensor operations.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, TensorData};
use finetune_methods::catalogue::{AdaptformerConfig, SsfConfig, VptConfig};
use finetune_methods::{
    Method, Scope, Targets, TrainedTensor, Values, count_parameters, linear, parallel, parameters,
    prompted, trained,
};

const WIDTH: usize = 6;

/// A block of two Linear layers on tokens, and a head on the first token.
#[derive(Module, Debug)]
struct Net {
    mix: Linear,
    body: Linear,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        let linear = |outputs| LinearConfig::new(WIDTH, outputs).init(device);
        Self {
            mix: linear(WIDTH),
            body: linear(WIDTH),
            head: linear(3),
        }
    }

    /// Adds a function of the mean of all tokens to each token, in place of attention.
    fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let x = prompted(&self.mix, x, |x| {
            let mean = x.clone().mean_dim(1);
            x + linear(&self.mix, mean)
        });
        let x = parallel(&self.body, x.clone(), || relu(linear(&self.body, x)));
        let [batch, _, _] = x.dims();
        linear(&self.head, x.narrow(1, 0, 1).reshape([batch, WIDTH]))
    }
}

fn input(device: &Device) -> Tensor<3> {
    Tensor::random([2, 5, WIDTH], Distribution::Normal(0.0, 1.0), device)
}

/// Attaches the method to the layer and adds noise to all trainable parameters.
fn adapted(method: &Method, layer: &str, net: Net) -> Net {
    struct Stir(Vec<bool>);
    impl ModuleMapper for Stir {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.0.remove(0) {
                return param;
            }
            param.map(|tensor| {
                let noise = tensor.random_like(Distribution::Normal(0.0, 0.5));
                (tensor.detach() + noise).detach().set_require_grad(true)
            })
        }
    }
    let targets = Targets::parse(layer).unwrap();
    let scope = Scope::new("head", &targets, 3);
    let net = method.attach(net, &scope).unwrap().into_model().unwrap();
    let chosen = parameters(&net).into_iter().map(|param| param.trainable);
    let chosen = chosen.collect();
    net.map(&mut Stir(chosen))
}

fn tensor<const D: usize>(tensors: &[TrainedTensor], path: &str) -> Tensor<D> {
    let found = tensors.iter().find(|tensor| tensor.path == path).unwrap();
    let Values::Floats(values) = found.values.clone() else {
        unreachable!("{path} is of numbers")
    };
    let shape: [usize; D] = found.shape.clone().try_into().unwrap();
    Tensor::from_data(TensorData::new(values.into_vec(), shape), &Device::flex())
}

fn assert_same(found: Tensor<2>, wanted: Tensor<2>) {
    let (found, wanted) = (found.into_data(), wanted.into_data());
    for (found, wanted) in found.iter::<f32>().zip(wanted.iter::<f32>()) {
        assert!((found - wanted).abs() <= 1e-5, "{found} for {wanted}");
    }
}

/// Computes `x·W + b` for each token.
fn apply(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    x.matmul(weight.unsqueeze()) + bias.unsqueeze()
}

fn plain(layer: &Linear, x: Tensor<3>) -> Tensor<3> {
    apply(x, layer.weight.val(), layer.bias.as_ref().unwrap().val())
}

/// Computes the rest of the forward pass from the output of `mix`, without adapters.
fn rest(net: &Net, x: Tensor<3>, beside: Option<Tensor<3>>) -> Tensor<2> {
    let mut y = relu(plain(&net.body, x));
    if let Some(beside) = beside {
        y = y + beside;
    }
    plain(&net.head, y.narrow(1, 0, 1)).reshape([2, 3])
}

fn mixed(net: &Net, x: Tensor<3>) -> Tensor<3> {
    x.clone() + plain(&net.mix, x.mean_dim(1))
}

#[test]
fn adaptformer_adds_its_bottleneck_to_the_block() {
    let device = Device::flex().autodiff();
    let base = Net::new(&device);
    let config = AdaptformerConfig {
        width: 4,
        scale: 0.3,
        dropout: 0.0,
    };
    let net = adapted(&Method::Adaptformer(config), "body", base.clone());
    let head = WIDTH * 3 + 3;
    // 2·d·w + d + w parameters.
    assert_eq!(count_parameters(&net).trainable - head, 2 * 6 * 4 + 6 + 4);
    let own = trained(&net);
    let of = |name: &str| format!("body.weight.adapter.{name}");
    let (base, net) = (base.valid(), net.valid());
    let x = input(&Device::flex());
    let seen = mixed(&base, x.clone());
    let down = apply(
        seen.clone(),
        tensor(&own, &of("down.weight")),
        tensor(&own, &of("down.bias")),
    );
    let up = apply(
        relu(down),
        tensor(&own, &of("up.weight")),
        tensor(&own, &of("up.bias")),
    );
    assert_same(net.forward(x), rest(&net, seen, Some(up * 0.3)));
}

#[test]
fn prompts_are_inserted_before_their_block_and_removed_after_it() {
    let device = Device::flex().autodiff();
    let net = adapted(
        &Method::VptDeep(VptConfig { count: 4 }),
        "mix",
        Net::new(&device),
    );
    assert_eq!(
        count_parameters(&net).trainable - (WIDTH * 3 + 3),
        4 * WIDTH
    );
    let prompts: Tensor<2> = tensor(&trained(&net), "mix.weight.adapter.prompts");
    let net = net.valid();
    let x = input(&Device::flex());
    let all = Tensor::cat(
        vec![x.clone(), prompts.unsqueeze::<3>().repeat_dim(0, 2)],
        1,
    );
    let seen = x.clone() + plain(&net.mix, all.mean_dim(1));
    assert_same(net.forward(x), rest(&net, seen, None));
}

#[test]
fn prompts_start_within_the_bound_of_the_authors() {
    let targets = Targets::parse("mix").unwrap();
    let scope = Scope::new("head", &targets, 3);
    let net = Net::new(&Device::flex().autodiff());
    let adapted = Method::VptDeep(VptConfig { count: 50 }).attach(net, &scope);
    let adapted = adapted.unwrap().into_model().unwrap();
    let prompts: Tensor<2> = tensor(&trained(&adapted), "mix.weight.adapter.prompts");
    // Xavier uniform of a patch of 3·16·16 values and a width of 6: √(6/774). 300 draws come close.
    let bound = 0.088_045;
    let values: Vec<f32> = prompts.into_data().iter().collect();
    assert!(values.iter().all(|value| value.abs() <= bound));
    assert!(values.iter().any(|value| *value > 0.95 * bound));
    assert!(values.iter().any(|value| *value < -0.95 * bound));
}

#[test]
fn ssf_scales_and_shifts_the_outputs_of_a_layer() {
    let device = Device::flex().autodiff();
    let net = adapted(&Method::Ssf(SsfConfig {}), "body", Net::new(&device));
    let own = trained(&net);
    let scale: Tensor<1> = tensor(&own, "body.weight.adapter.on_outputs");
    let shift: Tensor<1> = tensor(&own, "body.weight.adapter.shift");
    let net = net.valid();
    let x = input(&Device::flex());
    let seen = mixed(&net, x.clone());
    let body = Linear {
        weight: Param::from_tensor(net.body.weight.base() * scale.clone().unsqueeze()),
        bias: net
            .body
            .bias
            .clone()
            .map(|bias| bias.map(|bias| bias * scale + shift)),
    };
    let plain = Net {
        body,
        ..net.clone()
    };
    assert_same(net.forward(x), rest(&plain, seen, None));
}
