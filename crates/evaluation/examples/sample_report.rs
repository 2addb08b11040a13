//! Writes `report.json`, `report.html` and `picture.svg` of an invented comparison, to check the
//! appearance of a report without training: `cargo run --example sample_report -- FOLDER`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use finetune_evaluation::{
    Confusion, DatasetInfo, Epoch, EvaluationError, Prefer, Report, Run, SkippedImage, VERSION,
    html, picture, write_atomically,
};

const CLASSES: [&str; 5] = ["cat", "dog", "fox", "owl", "a <b>very</b> long name"];
const TEST_IMAGES: usize = 300;

/// Name, accuracy, speed of learning, trainable parameters, seconds per step, MiB of memory, bytes
/// of its file.
type Method = (&'static str, f64, f64, u64, f64, u64, u64);

const METHODS: [Method; 5] = [
    ("sft", 0.95, 0.55, 11_178_565, 1.52, 1442, 44_800_000),
    ("lora", 0.943, 0.50, 620_165, 0.24, 387, 2_500_000),
    ("peft", 0.92, 0.42, 61_440, 0.31, 412, 251_000),
    ("linear", 0.86, 0.30, 2565, 0.09, 205, 11_000),
    ("scratch", 0.71, 0.18, 11_178_565, 1.51, 1440, 44_800_000),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or("usage: sample_report FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    let mut runs = Vec::new();
    for per_class in [Some(10), Some(40), Some(160), None] {
        for seed in 0..3 {
            for method in METHODS {
                runs.push(run(method, seed, per_class)?);
            }
        }
    }
    let report = Report {
        version: VERSION,
        command: "finetune compare --methods sft,lora,peft,linear,scratch --seeds 3".to_owned(),
        dataset: DatasetInfo {
            path: "animals".to_owned(),
            classes: CLASSES.map(str::to_owned).to_vec(),
            train: 1000,
            valid: 100,
            test: TEST_IMAGES,
            skipped: skipped().collect(),
        },
        model: "resnet18".to_owned(),
        weights: "invented".to_owned(),
        device: "flex".to_owned(),
        threads: 2,
        precision: None,
        runs,
        failed: Vec::new(),
        interrupted: false,
        tried: Vec::new(),
        prefer: Prefer::default(),
        understood: None,
        few: None,
    };
    report.write(&folder)?;
    write_atomically(&folder.join("report.html"), html(&report)?.as_bytes())?;
    write_atomically(&folder.join("picture.svg"), picture(&report)?.as_bytes())?;
    Ok(())
}

/// Eight images that could not be read.
fn skipped() -> impl Iterator<Item = SkippedImage> {
    let reasons = ["unexpected end of file", "the file is empty"];
    (0..8).map(move |index| {
        let class = CLASSES[index % 4];
        let image = format!("animals/train/{class}/IMG_{:04}.jpg", 37 * index + 12);
        let reason = reasons[index % 2];
        SkippedImage {
            reason: format!("cannot decode the image {image}: {reason}; replace or remove it"),
            image,
        }
    })
}

#[allow(clippy::cast_precision_loss)]
fn run(method: Method, seed: u64, per_class: Option<usize>) -> Result<Run, EvaluationError> {
    let (name, best, pace, trained, step, mebibytes, file) = method;
    let few = per_class.map_or(0.0, |count| {
        0.9 / (count as f64).sqrt() * (1.3 - best) * 2.0
    });
    let wobble = |i: usize| ((i as f64 + 3.0 * seed as f64 + 10.0 * pace) * 12.9).sin();
    let aim = best - few + 0.008 * wobble(1);
    let truth: Vec<usize> = (0..TEST_IMAGES).map(|i| i % CLASSES.len()).collect();
    let predicted = truth.iter().enumerate().map(|(i, class)| {
        let spread = ((i * 7919 + 31 * usize::try_from(seed).unwrap_or(0)) % TEST_IMAGES) as f64;
        if spread / (TEST_IMAGES as f64) < aim {
            *class
        } else {
            (class + 1 + i % 3) % CLASSES.len()
        }
    });
    let confusion =
        Confusion::from_predictions(CLASSES.len(), &truth, &predicted.collect::<Vec<_>>())?;
    let epochs = (1..=12).map(|epoch| {
        let left = (-pace * epoch as f64).exp() + 0.015 * (1.0 + wobble(epoch));
        Epoch {
            epoch,
            train_loss: 1.9 * left + 0.6 * (1.0 - best),
            train_accuracy: 1.0 - 0.8 * left,
            valid_loss: Some(2.0 * left),
            valid_accuracy: Some(aim - 0.75 * left),
            learning_rate: 0.001,
            seconds: 16.0 * step,
            images_per_second: 64.0 / step,
            memory_bytes: Some(mebibytes << 20),
        }
    });
    let settings = [
        ("learning rate", "0.001"),
        ("batch size", "64"),
        ("optimizer", "adam"),
    ];
    let mut settings: BTreeMap<String, String> = settings
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    if name == "lora" {
        settings.insert("rank".to_owned(), "8".to_owned());
    }
    Ok(Run {
        method: name.to_owned(),
        seed,
        train_per_class: per_class,
        train_per_class_found: per_class,
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        per_class_accuracy: confusion.per_class_accuracy(),
        confusion: confusion.rows(),
        confusion_counts: None,
        outcomes: None,
        scores: None,
        mistakes: Vec::new(),
        augmented: Vec::new(),
        epochs: epochs.collect(),
        trainable_parameters: trained,
        total_parameters: 11_178_565.max(trained),
        steps: 192,
        stopped: false,
        train_seconds: 192.0 * step,
        seconds_per_step: step,
        startup_seconds: None,
        test_seconds: None,
        side_by_side: None,
        peak_memory_bytes: Some(mebibytes << 20),
        artifact_bytes: file,
        artifacts: vec![format!("finetuned_model_{name}.safetensors")],
        artifact_sha256: std::collections::BTreeMap::new(),
        settings,
        range_test: None,
    })
}
