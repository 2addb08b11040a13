//! The measurements of a bench, part by part.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use burn::tensor::Device;
use finetune::data::{Loader, Order, embedded_signs};
use finetune::machine::precision::Precision;
use finetune::model::{Architecture, save_network};

use crate::job::{COMPILED, HALVED, Job, Kind, Side, VARIANTS};
use crate::machine::Machine;
use crate::measure::{Bench, Entry, WARM_UP, difference, fastest, program, row};
use crate::python::Python;
use crate::results::{Results, Row, Startup};
use crate::{Args, Part, ours};

const CLASSES: usize = 5;
const RANK: usize = 8;
const ALPHA: f64 = 16.0;

/// Transformers and their like, with the layers that get adapters on both sides. They are trained on images of
/// [`LARGE_SIDE`] pixels in small batches.
const LARGE: [(&str, &[&str]); 3] = [
    ("vit_tiny_patch16_224", &["qkv", "fc1", "fc2"]),
    ("dinov2_small", &["qkv", "fc1", "fc2"]),
    ("convnext_tiny", &["fc1", "fc2"]),
];
const LARGE_SIDE: usize = 224;

/// The adapted layers of a model of [`LARGE`].
fn large(model: &str) -> Option<&'static [&'static str]> {
    let found = LARGE.iter().find(|(name, _)| *name == model);
    found.map(|(_, targets)| *targets)
}

/// Measures the requested parts, and calls `save` after each step.
pub(crate) fn all(args: &Args, save: &dyn Fn(&Results) -> Result<()>) -> Result<Results> {
    let scratch = tempfile::tempdir().context("cannot create a temporary folder")?;
    let machine = Machine::this();
    let threads = args.threads.unwrap_or(machine.cores);
    let bench = Bench {
        python: Python::new(args.python.as_deref())?,
        program: program()?,
        scratch: scratch.path().to_owned(),
    };
    let mut results = Results {
        version: 2,
        started: jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
        machine,
        threads,
        repetitions: args.repetitions,
        precision: args.precision,
        steps: Vec::new(),
        one_thread: Vec::new(),
        runs: Vec::new(),
        startup: Vec::new(),
        failed: Vec::new(),
    };
    if args.parts.contains(&Part::Startup) {
        startup(args, &bench, threads, &mut results);
        save(&results)?;
    }
    if args.parts.contains(&Part::Steps) {
        for (model, size) in subjects(args) {
            let rows = steps(args, &bench, model, size, threads, &mut results);
            results.steps.extend(rows);
            save(&results)?;
        }
    }
    if args.parts.contains(&Part::Threads) && threads > 1 {
        for (model, size) in subjects(args) {
            if size == args.sizes[0] || size == 64 {
                let rows = steps(args, &bench, model, size, 1, &mut results);
                results.one_thread.extend(rows);
                save(&results)?;
            }
        }
    }
    if args.parts.contains(&Part::Runs) {
        results.runs = runs(args, &bench, threads, &mut results);
        save(&results)?;
    }
    Ok(results)
}

/// Models and image sizes of the training steps.
fn subjects(args: &Args) -> Vec<(&str, usize)> {
    let mut subjects = Vec::new();
    for model in &args.models {
        // These have one size. Large models take long, and are left out with theirs.
        if matches!(model.as_str(), "chapter" | "resnet8-64") {
            subjects.push((model.as_str(), 64));
            continue;
        }
        if large(model).is_some() {
            if args.sizes.contains(&LARGE_SIDE) {
                subjects.push((model.as_str(), LARGE_SIDE));
            }
            continue;
        }
        subjects.extend(args.sizes.iter().map(|size| (model.as_str(), *size)));
    }
    subjects
}

/// Measures entries and compares ours with those of PyTorch and Burn. Errors are added to
/// `results.failed`.
fn compare(
    bench: &Bench,
    entries: &[Entry],
    repetitions: usize,
    results: &mut Results,
) -> Vec<Row> {
    let measured = match bench.measure(entries, repetitions) {
        Ok(measured) => measured,
        Err(error) => {
            let error = format!("{error:#}");
            eprintln!("{error}");
            results.failed.push(error);
            return Vec::new();
        }
    };
    for one in measured.iter().flatten() {
        results.machine.versions.extend(one.versions.clone());
    }
    let mut rows = Vec::new();
    let all = || entries.iter().zip(measured.iter().map(Vec::as_slice));
    for (entry, own) in all().filter(|(entry, _)| entry.side == Side::Ours) {
        for (side, method) in [
            (Side::Pytorch, reference(&entry.job.method)),
            (Side::Burn, entry.job.method.as_str()),
        ] {
            let others: Vec<_> = all()
                .filter(|(other, _)| other.side == side && other.job.method == method)
                .collect();
            let Some(best) = fastest(&others) else {
                continue;
            };
            for other in &others {
                let row = row((entry, own), *other);
                if let Some(difference) = difference(&row, results.precision) {
                    eprintln!("{difference}");
                    results.failed.push(difference);
                }
            }
            rows.push(row((entry, own), others[best]));
        }
    }
    rows
}

/// The method that one of ours is compared with. PEFT has no counterpart of `peft`.
fn reference(method: &str) -> &str {
    match method {
        "peft" => "lora",
        other => other,
    }
}

/// How PyTorch is tried.
fn variants(args: &Args) -> Vec<&'static str> {
    if args.precision == Precision::Bf16 {
        return HALVED.to_vec();
    }
    let compiled: &[&str] = if args.compile { &COMPILED } else { &[] };
    VARIANTS.iter().chain(compiled).copied().collect()
}

/// The entries of a comparison of these methods: ours, PyTorch's variants, and Burn's.
fn sides(methods: &[String], variants: &[&str], job: &Job) -> Vec<Entry> {
    let entry = |side, method: &str, variant: &str| Entry {
        side,
        job: Job {
            method: method.to_owned(),
            variant: variant.to_owned(),
            ..job.clone()
        },
    };
    let mut entries: Vec<Entry> = Vec::new();
    for method in methods {
        entries.push(entry(Side::Ours, method, ""));
        for variant in variants {
            let theirs = entry(Side::Pytorch, reference(method), variant);
            if !entries.contains(&theirs) {
                entries.push(theirs);
            }
        }
        if job.kind == Kind::Step && job.model == "chapter" && method == "lora" {
            entries.push(entry(Side::Burn, method, ""));
        }
    }
    entries
}

fn steps(
    args: &Args,
    bench: &Bench,
    model: &str,
    size: usize,
    threads: usize,
    results: &mut Results,
) -> Vec<Row> {
    let job = match step_job(bench, model, size, threads) {
        Ok(job) => Job {
            precision: args.precision,
            ..job
        },
        Err(error) => {
            results.failed.push(format!("{model} {size} px: {error:#}"));
            return Vec::new();
        }
    };
    compare(
        bench,
        &sides(&args.methods, &variants(args), &job),
        args.repetitions,
        results,
    )
}

/// A job for training steps of a model with seeded weights on the embedded photographs.
fn step_job(bench: &Bench, model: &str, size: usize, threads: usize) -> Result<Job> {
    let architecture = Architecture::find(model)?.at(size)?;
    let (batch, targets) = match (model, large(model)) {
        (_, Some(targets)) => (8, targets),
        ("chapter", _) => (64, &[][..]),
        _ => (32, &[][..]),
    };
    let steps = WARM_UP + if size > 128 { 3 } else { 6 };
    let weights = bench.scratch.join(format!("{model}.safetensors"));
    if !weights.exists() {
        let network = architecture.build(CLASSES, 0, &Device::flex());
        save_network(&network, &architecture, &[].into(), &weights)?;
    }
    let per_class = (batch * steps).div_ceil(CLASSES);
    let set = embedded_signs().train.take_per_class(per_class, 0);
    let images = set.decode(&architecture.preprocess())?;
    let pixels = bench
        .scratch
        .join(format!("{model}-{size}-{per_class}.pixels"));
    let mut bytes = Vec::new();
    for index in 0..images.len() {
        bytes.extend_from_slice(&images.pixels(index)?);
    }
    std::fs::write(&pixels, bytes)?;
    let order = Order::Shuffled { seed: 0, epoch: 1 };
    let order = Loader::new(&images, batch, order).indices().to_vec();
    Ok(Job {
        kind: Kind::Step,
        steps,
        per_class,
        pixels,
        labels: images.labels.clone(),
        order,
        targets: targets.iter().map(|name| (*name).to_owned()).collect(),
        ..job(&architecture, batch, threads, weights)
    })
}

fn job(architecture: &Architecture, batch: usize, threads: usize, weights: PathBuf) -> Job {
    Job {
        kind: Kind::Run,
        model: architecture.name.to_owned(),
        method: String::new(),
        size: architecture.image_size,
        crop: architecture.crop,
        mean: architecture.normalization.mean,
        std: architecture.normalization.std,
        classes: CLASSES,
        batch,
        threads,
        seed: 0,
        variant: String::new(),
        precision: Precision::F32,
        targets: Vec::new(),
        weights,
        rank: RANK,
        alpha: ALPHA,
        learning_rate: 1e-3,
        steps: 0,
        per_class: 0,
        pixels: PathBuf::new(),
        labels: Vec::new(),
        order: Vec::new(),
        data: PathBuf::new(),
        epochs: 0,
    }
}

/// The learning rate of a whole run, the same on both sides.
fn learning_rate(method: &str) -> f64 {
    match method {
        "sft" => 1e-3,
        "lora" => 2e-3,
        _ => 1e-2,
    }
}

fn runs(args: &Args, bench: &Bench, threads: usize, results: &mut Results) -> Vec<Row> {
    let prepared = || -> Result<Job> {
        let architecture = Architecture::find("mobilenet_v2")?.at(args.run_size)?;
        let weights = bench.python.mobilenet()?;
        Ok(Job {
            data: std::path::absolute(crate::root().join("datasets/signs"))?,
            epochs: args.run_epochs,
            precision: args.precision,
            ..job(&architecture, 32, threads, weights)
        })
    };
    let job = match prepared() {
        Ok(job) => job,
        Err(error) => {
            results.failed.push(format!("whole runs: {error:#}"));
            return Vec::new();
        }
    };
    let mut entries = sides(&args.methods, &variants(args), &job);
    for entry in &mut entries {
        entry.job.learning_rate = learning_rate(&entry.job.method);
    }
    let repetitions = args.run_repetitions.unwrap_or(args.repetitions);
    compare(bench, &entries, repetitions, results)
}

/// Measures the time to the first training step of the default model on the embedded photographs.
fn startup(args: &Args, bench: &Bench, threads: usize, results: &mut Results) {
    for method in ["sft", "lora"] {
        let mut seconds = Vec::new();
        for _ in 0..args.repetitions {
            match first_step(&bench.program, method, threads, &bench.scratch) {
                Ok(found) => seconds.extend(found),
                Err(error) => results
                    .failed
                    .push(format!("startup of {method}: {error:#}")),
            }
        }
        results.startup.push(Startup {
            method: method.to_owned(),
            seconds,
        });
    }
}

fn first_step(program: &Path, method: &str, threads: usize, scratch: &Path) -> Result<Option<f64>> {
    let out = tempfile::tempdir_in(scratch)?;
    let mut command = Command::new(program);
    command
        .args([
            "train", "--method", method, "--epochs", "1", "--ui", "none", "--json",
        ])
        .args(["--threads", &threads.to_string(), "--out"])
        .arg(out.path());
    Ok(ours::reported(command)?.startup_seconds)
}
