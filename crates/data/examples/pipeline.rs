//! Measures the data pipeline alone: images per second and memory, one line per epoch.
//!
//! ```text
//! cargo run --workspace --example pipeline -- FOLDER [WORKERS] [CACHE] [EPOCHS] [AUGMENT]
//! ```
//!
//! `FOLDER` has images, or folders of them. They become batches of 8 images of 224×224 pixels, as in
//! `tests/parity/pipeline.py`, which does the same with torchvision and compares both.

#![allow(clippy::cast_precision_loss)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use finetune_data::{
    Augment, Cache, Filter, ImageSet, Loader, Normalization, Order, Pipeline, Preprocess, Sample,
    Source,
};

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// The peak resident memory of this process in MiB.
fn peak_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("name a folder of images")?;
    let workers = args.next().map(|text| text.parse()).transpose()?;
    let cache = match args.next().as_deref() {
        Some("memory") => Cache::Memory,
        Some("disk") => Cache::Disk,
        Some("auto") => Cache::Auto,
        _ => Cache::None,
    };
    let epochs: usize = args.next().map_or(Ok(1), |text| text.parse())?;
    let augment = match args.next().as_deref() {
        Some("standard") => Augment::standard(),
        Some("strong") => Augment::strong(),
        _ => Augment::default(),
    };
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths)?;
    paths.sort();
    let samples = paths
        .into_iter()
        .map(|path| Sample::new(Source::File(path), 0));
    let set = ImageSet {
        classes: vec!["any".to_owned()],
        samples: samples.collect(),
    };
    let preprocess = Preprocess {
        filter: Filter::Bilinear,
        crop: 0.875,
        ..Preprocess::square(224)
    };
    let pipeline = Pipeline {
        cache,
        workers,
        ..Pipeline::default()
    };
    let start = Instant::now();
    let images = set.prepare(&preprocess, augment.stored_size(), &pipeline)?;
    eprintln!(
        "{} images ready after {:.2} s",
        images.len(),
        start.elapsed().as_secs_f64()
    );
    for epoch in 1..=epochs {
        let start = Instant::now();
        let order = Order::Shuffled { seed: 0, epoch };
        let loader = Loader::new(&images, 8, order)
            .normalization(Normalization::IMAGENET)
            .augment(augment.clone());
        let mut count = 0;
        for batch in loader {
            count += batch?.labels.dims()[0];
        }
        println!(
            "{:.2} images/s, peak {:.0} MiB",
            count as f64 / start.elapsed().as_secs_f64(),
            peak_memory().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
