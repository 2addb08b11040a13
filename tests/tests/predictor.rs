//! `predict` and `Predictor`: ensembles, test-time augmentation, features, memory and threads.

#![cfg(unix)]
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, missing_docs)]

#[path = "util/predict.rs"]
mod predicting;
mod util;

use std::io::Write;
use std::path::Path;

use finetune::FinishedRun;
use finetune::folder::{Answering, Predictor, Views};
use image::imageops::flip_horizontal;
use predicting::{TRAIN, start, trained, typed};
use serde_json::Value;
use util::{Folder, line};

/// All probabilities of an image, by class, as the library gives them.
fn probabilities(run: &Path, image: &Path, views: Views) -> Vec<f32> {
    let predictor = Predictor::new(&FinishedRun::open(run, None, None).unwrap()).unwrap();
    let prepared = predictor.read(image).unwrap();
    let answering = Answering {
        views,
        ..Answering::default()
    };
    let answers = predictor.predict(&[prepared], answering);
    answers.into_iter().next().unwrap().probabilities
}

/// Peak memory of a process that classifies `count` files, of which every third is broken, in bytes.
#[cfg(target_os = "linux")]
fn peak(folder: &Folder, count: usize) -> u64 {
    let mut child = start(folder, typed("--run run --format csv -"));
    let mut pipe = child.stdin.take().unwrap();
    let feed = std::thread::spawn(move || {
        for index in 0..count {
            let name = ["broken.png", "large.png", "data/test/red/000.png"][index % 3];
            writeln!(pipe, "{name}").unwrap();
        }
    });
    let mut stderr = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
    let mut stdout = child.stdout.take().unwrap();
    let rows = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    feed.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let errors = errors.join().unwrap();
    let broken = errors.lines().filter(|line| line.contains("broken.png"));
    assert_eq!(broken.count(), count.div_ceil(3));
    assert_eq!(
        rows.join().unwrap().lines().count(),
        1 + count - count.div_ceil(3)
    );
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_files() {
    let folder = trained();
    std::fs::write(folder.path("broken.png"), "no picture").unwrap();
    let large = image::RgbImage::from_fn(400, 300, |x, y| {
        image::Rgb([(x % 256) as u8, (y % 256) as u8, 7])
    });
    large.save(folder.path("large.png")).unwrap();
    let (few, many) = (peak(&folder, 600), peak(&folder, 10_000));
    println!("600 files: {} MiB, 10 000: {} MiB", few >> 20, many >> 20);
    // The decoded images of the difference would take a gigabyte, and at the size of the model 27 MB.
    assert!(many < few + (8 << 20), "{few} {many}");
}

#[test]
fn several_runs_give_the_mean_of_their_probabilities() {
    let folder = trained();
    folder
        .run(&format!(
            "{} --seed 3 --out second",
            TRAIN.replace("size 32", "size 48")
        ))
        .ok();
    let args = "--top-k 3 --json data/test/red data/test/blue/001.png";
    let of = |runs: &str| folder.run(&format!("predict {runs} {args}")).ok().json();
    let (first, second) = (of("--run run"), of("--run second"));
    let both = of("--run run --run second");
    assert_eq!(both.as_array().unwrap().len(), 5);
    let share = |document: &Value, image: usize, class: &str| {
        let top = document[image]["top"].as_array().unwrap().iter();
        let mut own = top.filter(|one| one["class"] == class);
        own.next().unwrap()["probability"].as_f64().unwrap()
    };
    let mut differ = false;
    for image in 0..5 {
        for class in ["blue", "green", "red"] {
            let (a, b) = (share(&first, image, class), share(&second, image, class));
            differ |= (a - b).abs() > 1e-3;
            let mean = f64::midpoint(a, b);
            let found = share(&both, image, class);
            assert!((found - mean).abs() < 1e-6, "{found} {mean}");
        }
    }
    assert!(differ);
    // A run with itself is the run.
    assert_eq!(of("--run run --run run"), first);

    // Other classes, and which.
    let other = Folder::colors();
    other.class("data/train/yellow", [200, 200, 20], 4);
    other.class("data/test/yellow", [200, 200, 20], 4);
    other
        .run(&format!("{TRAIN} --out {}", folder.path("third").display()))
        .ok();
    let said = line(
        &folder.run("predict --run run --run third data/test/red"),
        1,
    );
    assert_eq!(
        said,
        "error: sft of `run` and sft of `third` were trained on different classes, so that they cannot answer \
         together: sft of `third` does not have `blue` and also has `yellow`"
    );
}

#[test]
fn test_time_augmentation_is_the_mean_of_a_picture_and_its_mirror_image() {
    let folder = trained();
    // Of the model's size, so that mirroring and resizing cannot differ by rounding.
    let picture = image::RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([x * 8, y * 7, x * y / 4].map(|value| (value % 256) as u8))
    });
    picture.save(folder.path("a.png")).unwrap();
    flip_horizontal(&picture)
        .save(folder.path("mirrored.png"))
        .unwrap();
    let run = folder.path("run");
    let of = |name: &str, views| probabilities(&run, &folder.path(name), views);
    let (own, mirrored) = (of("a.png", Views::One), of("mirrored.png", Views::One));
    assert!(own.iter().zip(&mirrored).any(|(a, b)| (a - b).abs() > 1e-4));
    for name in ["a.png", "mirrored.png"] {
        let both = of(name, Views::Flip);
        for ((found, a), b) in both.iter().zip(&own).zip(&mirrored) {
            let mean = f64::midpoint(f64::from(*a), f64::from(*b));
            assert!((f64::from(*found) - mean).abs() < 1e-7, "{found} {mean}");
        }
    }
    let typed = folder.run("predict --run run --tta flip --json --top-k 3 a.png");
    let typed = typed.ok().json();
    let sum: f64 = own
        .iter()
        .zip(&mirrored)
        .map(|(a, b)| f64::from(a.max(*b)))
        .sum();
    assert!(sum > 1.0);
    let best = typed[0]["probability"].as_f64().unwrap();
    let wanted = of("a.png", Views::Flip).into_iter().fold(0.0, f32::max);
    assert!((best - f64::from(wanted)).abs() < 1e-7);
    // A picture that is its own mirror image is not changed.
    let symmetric = image::RgbImage::from_fn(32, 32, |x, y| {
        image::Rgb([(x.min(31 - x) * 9 % 256) as u8, (y % 256) as u8, 0])
    });
    symmetric.save(folder.path("symmetric.png")).unwrap();
    let plain = folder.run("predict --run run --json symmetric.png").ok();
    let flip = folder
        .run("predict --run run --json --tta flip symmetric.png")
        .ok();
    assert_eq!(plain.json(), flip.json());
}

#[test]
fn features_are_what_the_head_makes_logits_of() {
    let folder = trained();
    std::fs::write(folder.path("data/test/green/broken.png"), "").unwrap();
    let call =
        "predict --run run --json --top-k 3 --batch-size 5 --save-features features.safetensors";
    let outcome = folder.run(&format!("{call} data/test"));
    assert_eq!(outcome.code(), 1);
    let document = outcome.json();
    let answered = document.as_array().unwrap().iter();
    let answered: Vec<&Value> = answered.filter(|one| one["error"].is_null()).collect();
    assert_eq!(answered.len(), 12);
    let bytes = std::fs::read(folder.path("features.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |file: &safetensors::SafeTensors<'_>, name: &str| -> (Vec<usize>, Vec<f64>) {
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().as_chunks::<4>().0.iter();
        let values = values.map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
        (tensor.shape().to_vec(), values.collect())
    };
    let (shape, features) = values(&file, "features");
    // The last block of ResNet-8 has 64 channels.
    assert_eq!(shape, [12, 64]);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let paths: Vec<String> = serde_json::from_str(&metadata["paths"]).unwrap();
    let wanted: Vec<&str> = answered
        .iter()
        .map(|one| one["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, wanted);
    assert_eq!(metadata["run"], "sft of `run`");

    let model = std::fs::read(folder.path("run/finetuned_model_sft.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&model).unwrap();
    let ((of_weight, weight), (_, bias)) = (
        values(&model, "linear.weight"),
        values(&model, "linear.bias"),
    );
    assert_eq!(of_weight, [3, 64]);
    for (features, answer) in features.chunks(64).zip(answered) {
        let powers: Vec<f64> = weight
            .chunks(64)
            .zip(&bias)
            .map(|(row, bias)| {
                let product: f64 = row.iter().zip(features).map(|(a, b)| a * b).sum();
                (product + bias).exp()
            })
            .collect();
        let sum: f64 = powers.iter().sum();
        for (class, power) in ["blue", "green", "red"].iter().zip(powers) {
            let mut top = answer["top"].as_array().unwrap().iter();
            let own = top.find(|one| one["class"] == *class).unwrap();
            let found = own["probability"].as_f64().unwrap();
            assert!(
                (found - power / sum).abs() < 1e-5,
                "{answer}: {}",
                power / sum
            );
        }
    }
    // They do not change the answers, nor does a broken file: nothing is written of nothing.
    let plain = folder
        .run("predict --run run --json --top-k 3 data/test")
        .json();
    assert_eq!(plain, document);
    let none = folder.run("predict --run run --save-features none data/test/green/broken.png");
    assert_eq!(none.code(), 1);
    assert!(!folder.exists("none"));
}

#[test]
fn threads_share_a_predictor_and_batches_do_not_change_answers() {
    let folder = trained();
    let run = FinishedRun::open(&folder.path("run"), None, None).unwrap();
    let predictor = Predictor::new(&run).unwrap();
    let mut images = Vec::new();
    for class in ["blue", "green", "red"] {
        for index in 0..4 {
            let path = folder.path(&format!("data/test/{class}/{index:03}.png"));
            let read = predictor.read(&path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let decoded = predictor.decode("upload", &bytes).unwrap();
            images.extend([read, decoded]);
        }
    }
    let answering = Answering {
        views: Views::Flip,
        features: true,
    };
    let whole = predictor.predict(&images, answering);
    assert_eq!(whole.len(), 24);
    assert_eq!(predictor.classes(), ["blue", "green", "red"]);
    for (index, answer) in whole.iter().enumerate() {
        // The same picture from its file and from its bytes.
        assert_eq!(answer, &whole[index / 2 * 2]);
    }
    std::thread::scope(|scope| {
        for size in 1..9 {
            let (predictor, images, whole) = (&predictor, &images, &whole);
            scope.spawn(move || {
                for _ in 0..5 {
                    let answers = images
                        .chunks(size)
                        .flat_map(|batch| predictor.predict(batch, answering));
                    for (answer, wanted) in answers.zip(whole) {
                        let pairs = answer.probabilities.iter().zip(&wanted.probabilities);
                        for (found, wanted) in pairs {
                            assert!((found - wanted).abs() < 1e-6, "{size}: {found} {wanted}");
                        }
                    }
                }
            });
        }
    });
    assert!(predictor.predict(&[], answering).is_empty());
    assert!(predictor.decode("upload", b"no picture").is_err());
}
