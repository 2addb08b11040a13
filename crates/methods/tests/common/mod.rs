//! A module outside this project, with every kind of layer, and helpers to examine it.

#![allow(dead_code, unreachable_pub)] // each test file uses only some of the helpers

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Distribution};
use finetune_methods::adapters::{Adapter, LowRank};
use finetune_methods::{
    Importance, LoraConfig, Method, Scope, Targets, conv2d, linear, parameters,
};
use proptest::prelude::*;

#[derive(Module, Debug)]
pub struct Net {
    pub conv: Conv2d,
    pub norm: BatchNorm,
    pub hidden: Linear,
    pub head: Linear,
}

#[derive(Debug, Clone)]
pub struct Shape {
    pub groups: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    pub padding: usize,
}

pub const SIDE: usize = 9;

impl Shape {
    pub fn net(&self, device: &Device) -> Net {
        let p = self.padding;
        let conv = Conv2dConfig::new(
            [self.groups * self.inputs, self.groups * self.outputs],
            self.kernel,
        )
        .with_groups(self.groups)
        .with_stride(self.stride)
        .with_dilation(self.dilation)
        .with_padding(PaddingConfig2d::Explicit(p, p, p, p))
        .init(device);
        let channels = self.groups * self.outputs;
        Net {
            conv,
            norm: BatchNormConfig::new(channels).init(device),
            hidden: LinearConfig::new(channels, 7).init(device),
            head: LinearConfig::new(7, 3).init(device),
        }
    }

    pub fn images(&self, device: &Device) -> Tensor<4> {
        let shape = [2, self.groups * self.inputs, SIDE, SIDE];
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }
}

impl Net {
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.norm.forward(conv2d(&self.conv, x));
        let [batch, channels, height, width] = x.dims();
        let x = x
            .reshape([batch, channels, height * width])
            .mean_dim(2)
            .reshape([batch, channels]);
        linear(&self.head, linear(&self.hidden, x))
    }
}

pub fn plain() -> Shape {
    Shape {
        groups: 1,
        inputs: 4,
        outputs: 6,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: 1,
    }
}

pub fn lora() -> Method {
    Method::Lora(LoraConfig {
        rank: 3,
        alpha: 7.5,
        ..LoraConfig::default()
    })
}

pub fn attach(method: &Method, net: Net) -> Net {
    let (targets, importance) = (Targets::all(), Importance::default());
    let scope = Scope {
        importance: Some(&importance),
        ..Scope::new("head", &targets, 5)
    };
    method.attach(net, &scope).unwrap().into_parts().model
}

/// Adds random numbers to all trainable parameters of adapters, to simulate training.
pub fn stir(net: Net) -> Net {
    struct Stir(Vec<bool>);
    impl burn::module::ModuleMapper for Stir {
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
    let listed = parameters(&net);
    let chosen = listed
        .iter()
        .map(|param| param.in_adapter() && param.trainable);
    net.map(&mut Stir(chosen.collect()))
}

/// Returns the low-rank adapter of a weight.
pub fn low_rank<const D: usize>(weight: &Param<Tensor<D>>) -> &LowRank {
    match weight.reparameterization::<Adapter>() {
        Some(Adapter::LowRank(adapter)) => adapter,
        other => panic!("{other:?} is not low-rank"),
    }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Returns the largest difference, relative to the largest value of `b`.
pub fn relative<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    let (a, b) = (values(a), values(b));
    let largest = b
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let apart = a
        .iter()
        .zip(&b)
        .fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    apart / largest
}

pub fn shapes() -> impl Strategy<Value = Shape> {
    let size = || prop::sample::select(vec![1_usize, 2, 3]);
    (
        1_usize..4,
        1_usize..5,
        1_usize..5,
        [size(), size()],
        [1_usize..3, 1_usize..3],
        [1_usize..3, 1_usize..3],
        0_usize..3,
    )
        .prop_map(
            |(groups, inputs, outputs, kernel, stride, dilation, padding)| Shape {
                groups,
                inputs,
                outputs,
                kernel,
                stride,
                dilation,
                padding,
            },
        )
}
