//! Preprocessing compared with torchvision. `fixtures/preprocess/make.py` wrote the pictures.

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
        samples: vec![Sample::new(Source::File(fixture(name)), 0)],
    };
    let images = set.decode(preprocess).unwrap();
    images.pixels(0).unwrap().into_owned()
}

/// Calls `check` with a name, our pixels and torchvision's for each filter and size.
fn compare(photo: &str, check: impl Fn(&str, &[u8], &[u8])) {
    for (name, filter) in [("bilinear", Filter::Bilinear), ("bicubic", Filter::Bicubic)] {
        for (size, crop) in [(64, 0.875), (96, 0.9), (80, 1.0), (288, 1.0)] {
            let preprocess = Preprocess {
                filter,
                crop,
                ..Preprocess::square(size)
            };
            let found = pixels(photo, &preprocess);
            let wanted = pixels(&format!("{name}-{size}.png"), &Preprocess::square(size));
            check(&format!("{name} {size}"), &found, &wanted);
        }
    }
}

#[test]
fn resizing_and_cropping_equal_torchvision_to_the_bit() {
    compare("photo.png", |what, found, wanted| {
        let different = found.iter().zip(wanted).filter(|(a, b)| a != b).count();
        assert_eq!(different, 0, "{what}");
    });
}

/// JPEG decoders round differently, so this test limits the mean and the largest difference, in
/// levels of 255.
#[test]
#[allow(clippy::cast_precision_loss)]
fn the_mean_difference_from_torchvision_for_a_jpeg_file_is_below_one_level() {
    compare("photo.jpg", |what, found, wanted| {
        let differences = found.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b));
        let sum: u64 = differences.clone().map(u64::from).sum();
        let mean = sum as f64 / found.len() as f64;
        let largest = differences.max().unwrap();
        println!("{what}: mean {mean:.3}, largest {largest}");
        assert!(mean < 0.5, "{what}: mean {mean}");
        assert!(largest <= 8, "{what}: largest {largest}");
    });
}
