//! Compares the forms in which a layer with a low-rank adapter can be computed: measured times, the
//! estimate, and the form that it chooses.
//!
//! ```text
//! cargo bench --profile dev --workspace --bench forms -- [PART OF A NAME]
//! ```
//!
//! A time is that of a forward and a backward pass, the shortest of several that run alternately. The
//! first column is the layer without an adapter, frozen, where only the input has a gradient; the last
//! is the layer trained in full. A form's estimate is the time of the frozen layer plus what it counts,
//! at the rate at which the frozen layer multiplies.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::fmt::Write;
use std::time::Instant;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay};
use burn::nn::conv::Conv2dConfig;
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Distribution};
use finetune_methods::adapters::{Form, WeightShape, Work, conv2d, linear};
use finetune_methods::{LoraConfig, Method, Scope, Targets};

/// Minimum time for which each layer is measured, seconds.
const PATIENCE: f64 = 0.5;

const RANK: usize = 8;

#[derive(Module, Debug)]
struct Net<L> {
    layer: L,
    head: Linear,
}

/// A layer, its work, and its passes: frozen, in each form, and trained in full.
struct Case {
    name: String,
    work: Work,
    passes: Vec<Box<dyn Fn()>>,
}

fn pass<const D: usize>(x: &Tensor<D>, forward: impl Fn(Tensor<D>) -> Tensor<D>) {
    let x = x.clone().require_grad();
    drop(forward(x).sum().backward());
}

fn passes<L: Module + ModuleDisplay + 'static, const D: usize>(
    layer: L,
    x: Tensor<D>,
    forward: fn(&L, Tensor<D>) -> Tensor<D>,
) -> Vec<Box<dyn Fn()>>
where
    Net<L>: Module,
{
    let head = LinearConfig::new(1, 1).init(&x.device());
    let net = Net { layer, head };
    let targets = Targets::all();
    let lora = Method::from(LoraConfig {
        rank: RANK,
        ..LoraConfig::default()
    });
    let adapted = lora.attach(net.clone(), &Scope::new("head", &targets, 0));
    let adapted = adapted.unwrap().into_model().unwrap();
    let frozen = net.clone().freeze();
    let input = x.clone();
    let mut all: Vec<Box<dyn Fn()>> = Vec::new();
    all.push(Box::new(move || {
        pass(&input, |x| forward(&frozen.layer, x));
    }));
    for (_, form) in Form::ALL {
        let (adapted, input) = (adapted.clone(), x.clone());
        all.push(Box::new(move || {
            Work::force(Some(form));
            pass(&input, |x| forward(&adapted.layer, x));
            Work::force(None);
        }));
    }
    all.push(Box::new(move || pass(&x, |x| forward(&net.layer, x))));
    all
}

fn work(weight: WeightShape, positions: usize, input: usize) -> Work {
    Work {
        weight,
        rank: RANK,
        positions,
        input,
        training: true,
        input_grad: true,
        a_trains: true,
    }
}

fn convolution([batch, inputs, outputs, side, kernel]: [usize; 5]) -> Case {
    let device = Device::flex().autodiff();
    let around = kernel / 2;
    let layer = Conv2dConfig::new([inputs, outputs], [kernel, kernel])
        .with_padding(PaddingConfig2d::Explicit(around, around, around, around))
        .with_bias(false)
        .init(&device);
    let x = Tensor::random([batch, inputs, side, side], Distribution::Default, &device);
    let weight = WeightShape {
        outputs,
        inputs: inputs * kernel * kernel,
        groups: 1,
        kernel: Some([kernel, kernel]),
    };
    let pixels = batch * side * side;
    Case {
        name: format!("{kernel}x{kernel} {inputs}-{outputs} @{side} b{batch}"),
        work: work(weight, pixels, pixels * inputs),
        passes: passes(layer, x, conv2d),
    }
}

fn connected([rows, inputs, outputs]: [usize; 3]) -> Case {
    let device = Device::flex().autodiff();
    let layer = LinearConfig::new(inputs, outputs).init(&device);
    let x = Tensor::<2>::random([rows, inputs], Distribution::Default, &device);
    let weight = WeightShape {
        outputs,
        inputs,
        groups: 1,
        kernel: None,
    };
    Case {
        name: format!("linear {inputs}-{outputs} x{rows}"),
        work: work(weight, rows, rows * inputs),
        passes: passes(layer, x, linear),
    }
}

fn cases() -> Vec<Box<dyn Fn() -> Case>> {
    let mut cases: Vec<Box<dyn Fn() -> Case>> = Vec::new();
    for size in [
        // ResNet-8 for 64 pixels.
        [32, 16, 16, 32, 3],
        [32, 32, 32, 16, 3],
        [32, 64, 64, 8, 3],
        // ResNet-18 for 64 and 224 pixels.
        [32, 64, 64, 16, 3],
        [32, 128, 128, 8, 3],
        [32, 256, 256, 4, 3],
        [32, 512, 512, 2, 3],
        [8, 64, 64, 56, 3],
        [8, 128, 128, 28, 3],
        [8, 256, 256, 14, 3],
        [8, 512, 512, 7, 3],
        // MobileNetV2 for 64 and 224 pixels.
        [32, 16, 96, 32, 1],
        [32, 144, 24, 16, 1],
        [32, 32, 192, 8, 1],
        [32, 384, 64, 4, 1],
        [32, 320, 1280, 2, 1],
        [8, 16, 96, 112, 1],
        [8, 144, 24, 56, 1],
        [8, 384, 64, 14, 1],
        [8, 320, 1280, 7, 1],
    ] {
        cases.push(Box::new(move || convolution(size)));
    }
    for size in [
        // The chapter's network, and ViT-Tiny with 8 images of 224 pixels.
        [64, 16384, 512],
        [1576, 192, 576],
        [1576, 192, 768],
        [1576, 768, 192],
    ] {
        cases.push(Box::new(move || connected(size)));
    }
    cases
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    println!(
        "{:<26} {:>8} {:>22} {:>22} {:>22} {:>8}  chosen",
        "layer (ms)",
        "frozen",
        "factored (estimate)",
        "merged (estimate)",
        "dense (estimate)",
        "full"
    );
    for case in cases() {
        let case = case();
        if filter
            .as_ref()
            .is_some_and(|part| !case.name.contains(part))
        {
            continue;
        }
        let mut best = vec![f64::INFINITY; case.passes.len()];
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < 3 || start.elapsed().as_secs_f64() < PATIENCE {
            for (best, pass) in best.iter_mut().zip(&case.passes) {
                let start = Instant::now();
                pass();
                *best = best.min(start.elapsed().as_secs_f64() * 1e3);
            }
            rounds += 1;
        }
        let work = &case.work;
        let products = 2.0 * (work.positions * work.weight.size()) as f64;
        let mut line = format!("{:<26} {:>8.2}", case.name, best[0]);
        for ((_, form), time) in Form::ALL.into_iter().zip(&best[1..]) {
            let estimate = best[0] * (1.0 + work.cost(form) / products);
            let pair = format!("{time:.2} ({estimate:.2})");
            let _ = write!(line, "{pair:>22}");
        }
        let chosen = work.cheapest();
        let name = Form::ALL
            .iter()
            .find(|(_, form)| *form == chosen)
            .unwrap()
            .0;
        println!("{line} {:>8.2}  {name}", best[4]);
    }
}
