//! Compares operations that are limited by memory (normalisation, pooling and optimiser steps) with
//! Burn's, and prints how much of the memory bandwidth of the machine each reaches.
//!
//! ```text
//! cargo bench --workspace --bench passes -- [PART OF A NAME]
//! ```
//!
//! Both run alternately in one process; a time is the shortest of several. The bytes are those that
//! must be moved at least, with each buffer read or written once; more than 100 % means that a
//! cache held some of them.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::time::Instant;

use burn::Tensor;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution};
use finetune_kernels::machine;
use finetune_kernels::norm::{Activation, norm_act};
use finetune_kernels::optim::{Adam, adam};
use finetune_kernels::pool::relu_max_pool2d;

const REPETITIONS: usize = 12;

/// Channels and side length of the feature maps of the networks, for batches of 32.
const MAPS: [(&str, usize, usize); 5] = [
    ("mobilenet 96 @32", 96, 32),
    ("mobilenet 144 @16", 144, 16),
    ("mobilenet 960 @2", 960, 2),
    ("resnet 64 @16", 64, 16),
    ("resnet 64 @56", 64, 56),
];

fn random(channels: usize, side: usize, device: &Device) -> Tensor<4> {
    Tensor::random([32, channels, side, side], Distribution::Default, device)
}

/// The shortest times of the forward and the backward pass, seconds.
fn measure(x: &Tensor<4>, times: &mut [f64; 2], function: &dyn Fn(Tensor<4>) -> Tensor<4>) {
    let leaf = x.clone().require_grad();
    // Not a leaf, so that a pass can reuse its buffer.
    let x = leaf.clone() * 1.0;
    let start = Instant::now();
    let y = function(x);
    times[0] = times[0].min(start.elapsed().as_secs_f64());
    // The gradient of a sum is a single value that is broadcast; it is expanded into a buffer
    // beforehand.
    let start = Instant::now();
    let _gradients = y.backward();
    times[1] = times[1].min(start.elapsed().as_secs_f64());
}

struct Machine {
    bandwidth: f64,
}

impl Machine {
    fn line(&self, name: &str, ours: f64, burns: f64, bytes: f64) {
        let share = bytes / ours / self.bandwidth;
        println!(
            "{name:<36} {:>9.3} {:>9.3} {:>7.2} {:>7.0} %",
            ours * 1e3,
            burns * 1e3,
            ours / burns,
            share * 100.0
        );
    }

    fn map(
        &self,
        name: &str,
        x: &Tensor<4>,
        ours: &dyn Fn(Tensor<4>) -> Tensor<4>,
        burns: &dyn Fn(Tensor<4>) -> Tensor<4>,
        moved: [f64; 2],
    ) {
        let mut times = [[f64::INFINITY; 2]; 2];
        for _ in 0..REPETITIONS {
            measure(x, &mut times[0], ours);
            measure(x, &mut times[1], burns);
        }
        let bytes = x.shape().num_elements() as f64 * 4.0;
        for (index, pass) in ["forward", "backward"].iter().enumerate() {
            self.line(
                &format!("{name}, {pass}"),
                times[0][index],
                times[1][index],
                moved[index] * bytes,
            );
        }
    }

    fn optimizer(&self, device: &Device) {
        const SIZE: usize = 1 << 24;
        let tensor = || Tensor::<1>::random([SIZE], Distribution::Default, device);
        let (mut p, g, mut m) = (tensor(), tensor(), [tensor(), tensor()]);
        let step = Adam {
            learning_rate: 1e-3,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            step: 2,
        };
        let (mut ours, mut burns) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..REPETITIONS {
            let start = Instant::now();
            (p, m) = adam(p, g.clone(), m, step);
            ours = ours.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let [first, second] = m;
            let first = first * 0.9 + g.clone() * 0.1;
            let second = second * 0.999 + g.clone().square() * 0.001;
            p = p - first.clone() * 1e-3 / (second.clone().sqrt() + 1e-8);
            m = [first, second];
            burns = burns.min(start.elapsed().as_secs_f64());
        }
        self.line("adam, 16 Mi entries", ours, burns, 7.0 * SIZE as f64 * 4.0);
    }
}

fn layer(channels: usize, trains: bool, device: &Device) -> BatchNorm {
    let mut norm = BatchNormConfig::new(channels).init(device);
    if !trains {
        norm.training = norm.training.with_value(false);
        norm.gamma = norm.gamma.set_require_grad(false);
        norm.beta = norm.beta.set_require_grad(false);
    }
    norm
}

fn pooling() -> MaxPool2d {
    MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wanted = words.iter().find(|word| !word.starts_with('-'));
    let wants = |name: &str| wanted.is_none_or(|wanted| name.contains(wanted.as_str()));
    let machine = Machine {
        bandwidth: machine::bandwidth(),
    };
    println!(
        "{} threads, {:.1} GB/s",
        rayon::current_num_threads(),
        machine.bandwidth / 1e9
    );
    println!(
        "{:<36} {:>9} {:>9} {:>7} {:>9}",
        "", "ours, ms", "Burn, ms", "ratio", "bandwidth"
    );
    let device = Device::flex().autodiff();
    for (name, channels, side) in MAPS {
        if !wants(name) {
            continue;
        }
        let x = random(channels, side, &device);
        for (kind, trains, moved) in [
            // Read and written; read twice and written.
            ("norm + relu", true, [2.0, 3.0]),
            // In place in both directions.
            ("frozen norm + relu", false, [2.0, 2.0]),
        ] {
            let norm = layer(channels, trains, &device);
            machine.map(
                &format!("{name} {kind}"),
                &x,
                &|x| norm_act(&norm, x, None, Activation::Relu),
                &|x| relu(norm.forward(x)),
                moved,
            );
        }
    }
    if wants("pool") {
        let (x, pool) = (random(64, 64, &device), pooling());
        machine.map(
            "relu + pool 2x2 64 @64",
            &x,
            &|x| relu_max_pool2d(&pool, x),
            &|x| pool.forward(relu(x)),
            [1.25, 1.25],
        );
    }
    if wants("adam") {
        machine.optimizer(&Device::flex());
    }
}
