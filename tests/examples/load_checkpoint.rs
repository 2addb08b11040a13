//! How long a checkpoint takes to load, and how much memory beside its own size: medians of several
//! processes for each file.
//!
//! ```text
//! cargo run --example load_checkpoint -- resnet50.pth resnet50.safetensors
//! ```
//!
//! The architecture is recognised from the file. The files are read once before, so that the disk is
//! not what is measured.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use burn::tensor::Device;
use finetune::evaluation::median;
use finetune::machine::memory::{keep_large_buffers, memory_bytes, peak_memory_bytes};
use finetune::model::{Head, WeightsFile};

const REPETITIONS: usize = 7;
const MIB: f64 = 1_048_576.0;

#[allow(clippy::cast_precision_loss)]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--child", path] => child(Path::new(path)),
        [] => panic!("give one or more checkpoint files"),
        paths => {
            println!(
                "{:>10} {:>10} {:>14} {:>8}  file",
                "file, MiB", "load, ms", "taken, MiB", "ratio"
            );
            for path in paths {
                let size = std::fs::read(path).unwrap().len() as f64 / MIB;
                let runs: Vec<[f64; 2]> = (0..REPETITIONS).map(|_| run(path)).collect();
                let [time, taken] =
                    [0, 1].map(|i| median(&runs.iter().map(|run| run[i]).collect::<Vec<_>>()));
                let ratio = taken / size;
                println!("{size:>10.1} {time:>10.0} {taken:>14.1} {ratio:>8.2}  {path}");
            }
        }
    }
}

fn run(path: &str) -> [f64; 2] {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--child", path])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|n| n.parse().unwrap());
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

/// Prints the milliseconds from the path to the network, and by how much the process's memory at
/// its peak is above what it held before, MiB.
#[allow(clippy::cast_precision_loss)]
fn child(path: &Path) {
    // As the command does.
    keep_large_buffers();
    let device = Device::flex();
    let before = memory_bytes().unwrap();
    let start = Instant::now();
    let mut checkpoint = WeightsFile::open(path).unwrap();
    let architecture = checkpoint.recognize().expect("a known architecture");
    let classes = checkpoint.shapes()[&format!("{}.bias", architecture.head)][0];
    let loaded = checkpoint
        .load(architecture, classes, Head::Stored, &device)
        .unwrap();
    let time = start.elapsed().as_secs_f64() * 1000.0;
    let taken = peak_memory_bytes().unwrap().saturating_sub(before) as f64 / MIB;
    assert!(!loaded.new_head);
    println!("{time} {taken}");
}
