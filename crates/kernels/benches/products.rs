//! Compares our products of matrices with Burn's, and prints how much of the processor's peak
//! performance each reaches.
//!
//! ```text
//! cargo bench --profile dev --workspace --bench products -- [PART OF A NAME]
//! ```
//!
//! If the processor has instructions for bfloat16, ours is measured with them too; its fraction is that of
//! the peak performance in `f32`, which it can exceed.
//!
//! The shapes are those of fully connected layers: forward, the gradient of the input and that of the
//! weight. Both run alternately in one process; a time is the shortest of several. `FINETUNE_SIMD` and
//! the settings of the allocator are as for the bench `conv2d`.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::time::Instant;

use burn::Tensor;
use burn::tensor::{Device, Distribution};
use finetune_kernels::linear::linear;
use finetune_kernels::machine;
use finetune_kernels::precision::{self, Precision};

/// Minimum time for which each product is measured, seconds.
const PATIENCE: f64 = 0.4;

/// Name, rows, inputs and outputs of a layer.
const LAYERS: [(&str, usize, usize, usize); 10] = [
    ("chapter", 64, 65536, 1000),
    ("vit qkv", 8 * 197, 192, 576),
    ("vit fc1", 8 * 197, 192, 768),
    ("vit fc2", 8 * 197, 768, 192),
    ("vit-s qkv", 8 * 257, 384, 1152),
    ("vit-s proj", 8 * 257, 384, 384),
    ("vit-s fc1", 8 * 257, 384, 1536),
    ("vit-s fc2", 8 * 257, 1536, 384),
    ("convnext 96-384", 8 * 56 * 56, 96, 384),
    ("convnext 768-3072", 8 * 7 * 7, 768, 3072),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let peak = machine::peak_flops();
    println!(
        "{}, {} threads, peak {:.0} GFLOP/s",
        machine::instruction_set(),
        rayon::current_num_threads(),
        peak / 1e9
    );
    let device = Device::flex();
    for (name, rows, inputs, outputs) in LAYERS {
        if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted)) {
            continue;
        }
        let random = |shape: [usize; 2]| {
            Tensor::<2>::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
        };
        let (x, weight, gradient) = (
            random([rows, inputs]),
            random([inputs, outputs]),
            random([rows, outputs]),
        );
        let passes: [(&str, Tensor<2>, Tensor<2>); 3] = [
            ("forward", x.clone(), weight.clone()),
            ("input", gradient.clone(), weight.transpose()),
            ("weight", x.transpose(), gradient),
        ];
        for (pass, left, right) in passes {
            if name == "chapter" && pass != "forward" {
                continue;
            }
            let operations = 2.0 * (rows * inputs * outputs) as f64;
            let report = |seconds: f64| {
                format!(
                    "{:8.2} ms {:4.0} %",
                    seconds * 1e3,
                    100.0 * operations / seconds / peak
                )
            };
            let (mut ours, mut theirs, mut bf16) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
            let start = Instant::now();
            while start.elapsed().as_secs_f64() < 2.0 * PATIENCE {
                let timed = |work: &dyn Fn() -> Tensor<2>| {
                    let start = Instant::now();
                    std::hint::black_box(work());
                    start.elapsed().as_secs_f64()
                };
                ours = ours.min(timed(&|| linear(left.clone(), right.clone(), None)));
                theirs = theirs.min(timed(&|| left.clone().matmul(right.clone())));
                if precision::set(Precision::Bf16).is_ok() {
                    bf16 = bf16.min(timed(&|| linear(left.clone(), right.clone(), None)));
                    precision::set(Precision::F32).unwrap();
                }
            }
            let in_bf16 = precision::unit_name().map(|name| format!(" {name} {}", report(bf16)));
            println!(
                "{name:>20} {pass:<8} ours {} burn {}{}",
                report(ours),
                report(theirs),
                in_bf16.unwrap_or_default()
            );
        }
    }
}
