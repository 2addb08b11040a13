//! A training step of LoRA through our factored layers and through Burn's own `apply_lora`, side by
//! side: time and peak memory, medians of several processes each.
//!
//! ```text
//! cargo run --example lora_step
//! ```
//!
//! With `--quantised` the base is in 8 and 4 bit, ours against Burn's `apply_qlora`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;
use std::time::Instant;

use burn::Tensor;
use burn::module::{Lora, Module, ModuleDisplay, ParamGroup, QLora, Quantizer};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::quantization::{Calibration, QuantScheme, QuantValue};
use burn::tensor::{Device, Distribution};
use finetune::evaluation::median;
use finetune::methods::adapters::Quantize;
use finetune::methods::{LoraConfig, Method, Scope, Targets, linear};
use finetune::model::Architecture;

const RANK: usize = 8;
const ALPHA: f64 = 16.0;
const BATCH: usize = 64;
const REPETITIONS: usize = 5;

#[derive(Module, Debug)]
struct One {
    body: Linear,
    head: Linear,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [subject, way] => child(subject, way),
        ["--quantised"] => compare(
            &["linear"],
            &["ours-int8", "ours-int4", "ours", "burn-int8"],
        ),
        _ => compare(&["linear", "chapter"], &["ours", "burn"]),
    }
}

/// Runs each way in processes of their own, in turns, and prints medians.
fn compare(subjects: &[&str], ways: &[&str]) {
    println!(
        "{:<10} {:<10} {:>10} {:>12} {:>14}",
        "", "", "step, ms", "peak, MiB", "at rest, MiB"
    );
    for subject in subjects {
        let mut found = vec![Vec::new(); ways.len()];
        for _ in 0..REPETITIONS {
            for (way, found) in ways.iter().zip(&mut found) {
                let output = Command::new(std::env::current_exe().unwrap())
                    .args([subject, way])
                    .output()
                    .unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let numbers: Vec<f64> = text
                    .split_whitespace()
                    .map(|n| n.parse().unwrap())
                    .collect();
                found.push([numbers[0], numbers[1], numbers[2]]);
            }
        }
        let medians: Vec<[f64; 3]> = found
            .iter()
            .map(|runs| {
                [0, 1, 2].map(|i| median(&runs.iter().map(|run| run[i]).collect::<Vec<_>>()))
            })
            .collect();
        for (way, [time, peak, rest]) in ways.iter().zip(&medians) {
            println!("{subject:<10} {way:<10} {time:>10.1} {peak:>12.0} {rest:>14.0}");
        }
        let (first, last) = (medians[0], medians[medians.len() - 1]);
        let [time, peak, rest] = [0, 1, 2].map(|i| first[i] / last[i]);
        println!("{subject:<10} first/last {time:>10.2} {peak:>12.2} {rest:>14.2}");
    }
}

/// One way: prints the median step in milliseconds, and the process's memory in MiB, at its peak and
/// before the first step.
fn child(subject: &str, way: &str) {
    let device = Device::flex().autodiff();
    match subject {
        "linear" => {
            let net = One {
                body: LinearConfig::new(4096, 4096).init(&device),
                head: LinearConfig::new(4096, 5).init(&device),
            };
            // In a network the layer before wants a gradient as well.
            let x = Tensor::<2>::random([BATCH, 4096], Distribution::Normal(0.0, 1.0), &device);
            let net = attach(net, way, "head", "body");
            steps(net, |net| {
                let x = x.clone().require_grad();
                linear(&net.head, linear(&net.body, x))
                    .powi_scalar(2)
                    .mean()
            });
        }
        "chapter" => {
            let architecture = Architecture::find("chapter").unwrap();
            let net = architecture.build(5, 0, &device);
            let shape = [BATCH, 3, 64, 64];
            let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
            let net = attach(net, way, architecture.head, "all-linear");
            steps(net, |net| net.forward(x.clone()).powi_scalar(2).mean());
        }
        other => panic!("there is no subject {other}"),
    }
}

fn attach<M: Module + ModuleDisplay>(net: M, way: &str, head: &str, targets: &str) -> M {
    let ours = |quantize: Option<Quantize>| LoraConfig {
        rank: RANK,
        alpha: ALPHA,
        quantize,
        ..LoraConfig::default()
    };
    let targets = Targets::parse(targets).unwrap();
    let scope = Scope::new(head, &targets, 0);
    let attach = |config, net| {
        Method::Lora(config)
            .attach(net, &scope)
            .unwrap()
            .into_parts()
            .model
    };
    let adapted = match way {
        "ours" => return attach(ours(None), net),
        "ours-int8" => return attach(ours(Some(Quantize::Int8)), net),
        "ours-int4" => return attach(ours(Some(Quantize::Int4)), net),
        _ => {
            let layers = finetune::methods::layers(&net);
            let selected = targets.select(&layers, head).unwrap();
            ParamGroup::from_ids(
                selected
                    .iter()
                    .map(|layer| layer.weight)
                    .collect::<Vec<_>>(),
            )
        }
    };
    let heads = finetune::methods::parameters(&net)
        .into_iter()
        .filter(|param| param.path.starts_with(&format!("{head}.")))
        .map(|param| param.id);
    let heads = ParamGroup::from_ids(heads.collect::<Vec<_>>());
    let lora = Lora::new(RANK, ALPHA).set_param_group(adapted.clone());
    let net = net.freeze();
    let net = if way == "burn" {
        net.apply_lora(lora)
    } else {
        let scheme = QuantScheme::default().with_value(QuantValue::Q8S);
        let mut quantizer = Quantizer::new(Calibration::MinMax, scheme);
        quantizer.set_param_group(adapted);
        net.apply_qlora(QLora::new(lora, quantizer))
    };
    net.unfreeze_group(heads)
}

fn steps<M: Module>(mut net: M, loss: impl Fn(&M) -> Tensor<1>) {
    let rest = resident();
    let mut optimizer = AdamConfig::new().init();
    let mut times = Vec::new();
    for step in 0..8 {
        let start = Instant::now();
        let gradients = GradientsParams::from_grads(loss(&net).backward(), &net);
        net = optimizer.step(1e-3, net, gradients);
        if step >= 2 {
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let memory = finetune::machine::memory::peak_memory_bytes().unwrap_or(0) as f64 / 1_048_576.0;
    println!("{} {memory} {rest}", median(&times));
}

/// What the process holds now, MiB (Linux).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
