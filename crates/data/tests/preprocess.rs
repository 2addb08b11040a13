//! Preprocessing against torchvision: `fixtures/preprocess/make.py` made the pictures.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use finetune_data::{Filter, ImageSet, Preprocess, Sample, Source};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/preprocess")
        .join(name)
}

fn pixels(name: &str, preprocess: &Preprocess) -> Vec<u8> {
    let set = ImageSet {
        classes: vec!["a".to_owned()],
        samples: vec![Sample {
            source: Source::File(fixture(name)),
            label: 0,
        }],
    };
    set.decode(preprocess).unwrap().pixels(0).to_vec()
}

/// Mean and largest absolute difference, in levels of 255, over every filter, size and crop.
#[test]
#[allow(clippy::cast_precision_loss)]
fn resizing_and_cropping_are_torchvisions() {
    for (name, filter) in [("bilinear", Filter::Bilinear), ("bicubic", Filter::Bicubic)] {
        for (size, crop) in [(64, 0.875), (96, 0.9), (80, 1.0), (288, 1.0)] {
            let preprocess = Preprocess {
                filter,
                crop,
                ..Preprocess::square(size)
            };
            let found = pixels("photo.jpg", &preprocess);
            let wanted = pixels(&format!("{name}-{size}.png"), &Preprocess::square(size));
            let differences = found.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b));
            let sum: u64 = differences.clone().map(u64::from).sum();
            let mean = sum as f64 / found.len() as f64;
            let largest = differences.max().unwrap();
            println!("{name} {size}: mean {mean:.3}, largest {largest}");
            assert!(mean < 0.5, "{name} {size}: mean {mean}");
            assert!(largest <= 8, "{name} {size}: largest {largest}");
        }
    }
}
