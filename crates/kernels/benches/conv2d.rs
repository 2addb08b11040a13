//! Compares our convolution with Burn's, layer by layer, and prints how much of the processor's
//! peak performance each reaches.
//!
//! ```text
//! cargo bench --profile dev --workspace --bench conv2d -- [PART OF A NAME]
//! ```
//!
//! With `--bf16`, our convolution in bfloat16 is compared with ours in `f32`, if the processor has
//! instructions for it.
//!
//! `FINETUNE_SIMD=avx2` or `portable` measures narrower vectors than the processor has; the fraction
//! is that of the peak performance with the same vectors. Winograd's convolution can exceed it,
//! because the operations of the direct sum are counted.
//!
//! Both run alternately in one process; a time is the shortest of several. From those of gradients
//! the time is subtracted in which Burn makes the gradient of the output, a tensor of ones. Large
//! buffers should be kept, as the program keeps them, or most of a short pass is the time in which the
//! system provides new memory: set `MALLOC_MMAP_THRESHOLD_=1073741824`,
//! `MALLOC_TRIM_THRESHOLD_=2147483647` and `MALLOC_TOP_PAD_=67108864`.
//!
//! A benchmark framework would measure times as well, but not the fraction of the peak performance.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::time::Instant;

use burn::Tensor;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, module};
use finetune_kernels::precision::{self, Precision};
use finetune_kernels::{conv2d, machine};

/// Minimum time for which each convolution is measured, seconds.
const PATIENCE: f64 = 0.4;

struct Shape {
    name: String,
    batch: usize,
    channels: [usize; 2],
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

/// The different layers of ResNet-18 and MobileNetV2 for images of `side` pixels.
fn shapes(side: usize) -> Vec<Shape> {
    let batch = if side == 224 { 8 } else { 32 };
    let shape = |name: &str, channels, shrunk: usize, kernel, stride, groups| Shape {
        name: format!("{name} @{side}"),
        batch,
        channels,
        side: side.div_ceil(shrunk),
        kernel,
        stride,
        groups,
    };
    vec![
        shape("resnet stem", [3, 64], 1, 7, 2, 1),
        shape("resnet 64", [64, 64], 4, 3, 1, 1),
        shape("resnet 64-128", [64, 128], 4, 3, 2, 1),
        shape("resnet 64-128 1x1", [64, 128], 4, 1, 2, 1),
        shape("resnet 128", [128, 128], 8, 3, 1, 1),
        shape("resnet 256", [256, 256], 16, 3, 1, 1),
        shape("resnet 256-512", [256, 512], 16, 3, 2, 1),
        shape("resnet 512", [512, 512], 32, 3, 1, 1),
        // Layers of adapters of rank 8.
        shape("rank 8 64-8", [64, 8], 4, 3, 1, 1),
        shape("rank 8 8-64 1x1", [8, 64], 4, 1, 1, 1),
        shape("rank 8 128-8", [128, 8], 8, 3, 1, 1),
        shape("rank 8 8-128 1x1", [8, 128], 8, 1, 1, 1),
        shape("rank 8 256-8", [256, 8], 16, 3, 1, 1),
        shape("rank 8 8-256 1x1", [8, 256], 16, 1, 1, 1),
        shape("rank 8 512-8", [512, 8], 32, 3, 1, 1),
        shape("rank 8 8-512 1x1", [8, 512], 32, 1, 1, 1),
        shape("mobilenet stem", [3, 32], 1, 3, 2, 1),
        shape("mobilenet dw 32", [32, 32], 2, 3, 1, 32),
        shape("mobilenet 16-96", [16, 96], 2, 1, 1, 1),
        shape("mobilenet dw 96", [96, 96], 2, 3, 2, 96),
        shape("mobilenet 24-144", [24, 144], 4, 1, 1, 1),
        shape("mobilenet dw 144", [144, 144], 4, 3, 1, 144),
        shape("mobilenet 144-24", [144, 24], 4, 1, 1, 1),
        shape("mobilenet 32-192", [32, 192], 8, 1, 1, 1),
        shape("mobilenet dw 192", [192, 192], 8, 3, 1, 192),
        shape("mobilenet 64-384", [64, 384], 16, 1, 1, 1),
        shape("mobilenet dw 384", [384, 384], 16, 3, 1, 384),
        shape("mobilenet 384-64", [384, 64], 16, 1, 1, 1),
        shape("mobilenet 160-960", [160, 960], 32, 1, 1, 1),
        shape("mobilenet dw 960", [960, 960], 32, 3, 1, 960),
        shape("mobilenet 320-1280", [320, 1280], 32, 1, 1, 1),
        shape("lora down 64-8", [64, 8], 4, 3, 1, 1),
        shape("lora up 8-64", [8, 64], 4, 1, 1, 1),
    ]
}

type Operation = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;

fn burns(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, o: ConvOptions<2>) -> Tensor<4> {
    module::conv2d(x, weight, bias, o)
}

/// Seconds of the forward pass, the gradients of the input and of the weight with that of the output,
/// and of the latter alone.
fn measure(shape: &Shape, operation: Operation, times: &mut [f64; 4]) {
    let device = Device::flex().autodiff();
    let random = |dims: [usize; 4]| Tensor::<4>::random(dims, Distribution::Default, &device);
    let x = random([shape.batch, shape.channels[0], shape.side, shape.side]);
    let seen = shape.channels[0] / shape.groups;
    let weight = random([shape.channels[1], seen, shape.kernel, shape.kernel]);
    let options = ConvOptions::new(
        [shape.stride; 2],
        [shape.kernel / 2; 2],
        [1, 1],
        shape.groups,
    );
    let run = |x: &Tensor<4>, weight: &Tensor<4>| {
        operation(x.clone(), weight.clone(), None, options.clone())
    };
    let mut note = |which: usize, start: Instant| {
        times[which] = times[which].min(start.elapsed().as_secs_f64());
    };
    let start = Instant::now();
    let _output = run(&x, &weight);
    note(0, start);
    let output = run(&x.clone().require_grad(), &weight);
    let start = Instant::now();
    let _grads = output.backward();
    note(1, start);
    let output = run(&x, &weight.clone().require_grad());
    let start = Instant::now();
    let _grads = output.backward();
    note(2, start);
    let output = run(&x, &weight).require_grad();
    let start = Instant::now();
    let _grads = output.backward();
    note(3, start);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wanted = words.iter().find(|word| !word.starts_with('-'));
    let bf16 = words.iter().any(|word| word == "--bf16");
    let precisions = if bf16 {
        precision::set(Precision::Bf16).unwrap();
        println!("bf16 with {}, f32", precision::unit_name().unwrap());
        [Precision::Bf16, Precision::F32]
    } else {
        println!("ours, Burn's");
        [Precision::F32; 2]
    };
    let other: Operation = if bf16 { conv2d } else { burns };
    let (peak, bandwidth) = (machine::peak_flops(), machine::bandwidth());
    println!(
        "{}, {} threads, {:.0} GFLOP/s at most, {:.1} GB/s",
        machine::instruction_set(),
        rayon::current_num_threads(),
        peak / 1e9,
        bandwidth / 1e9
    );
    println!("ms per pass; in brackets the fractions of peak FLOP/s and of memory bandwidth");
    println!(
        "{:<24} {:^29} {:^29} {:^29}",
        "", "forward", "gradient of input", "gradient of weight"
    );
    let sides = [64, 96, 224];
    for shape in sides.into_iter().flat_map(shapes) {
        if wanted.is_some_and(|wanted| !shape.name.contains(wanted.as_str())) {
            continue;
        }
        let mut times = [[f64::INFINITY; 4]; 2];
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < PATIENCE {
            for (which, operation) in [conv2d, other].into_iter().enumerate() {
                precision::set(precisions[which]).unwrap();
                measure(&shape, operation, &mut times[which]);
            }
        }
        let [from, to] = shape.channels;
        let out = shape.side.div_ceil(shape.stride);
        let taps = shape.kernel * shape.kernel;
        let flops = 2 * shape.batch * to * out * out * (from / shape.groups) * taps;
        let values = shape.batch * (from * shape.side * shape.side + to * out * out)
            + to * from / shape.groups * taps;
        let cells: Vec<String> = (0..3)
            .map(|pass| {
                let ones = |times: [f64; 4]| if pass > 0 { times[3] } else { 0.0 };
                let [ours, burns] = times.map(|times| times[pass] - ones(times));
                format!(
                    "{:8.2} {:8.2} ({:3.0} %, {:3.0} %)",
                    ours * 1e3,
                    burns * 1e3,
                    100.0 * flops as f64 / ours / peak,
                    400.0 * values as f64 / ours / bandwidth,
                )
            })
            .collect();
        println!("{:<24} {}", shape.name, cells.join("  "));
    }
}
