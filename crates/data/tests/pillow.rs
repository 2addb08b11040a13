//! Images that Pillow reads give the pixels that Pillow gives. The files and pixels are written by
//! `tests/parity/images.py`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use finetune_data::{DataError, ImageSet, Preprocess, Sample, Source};
use serde::Deserialize;

/// What `Image.open(file).convert("RGB")` is, after the EXIF orientation.
#[derive(Deserialize)]
struct Expected {
    mode: String,
    width: usize,
    height: usize,
    rgb: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images")
}

fn decode(name: &str, [height, width]: [usize; 2]) -> Result<Vec<u8>, DataError> {
    let set = ImageSet {
        classes: vec!["a".to_owned()],
        samples: vec![Sample {
            source: Source::File(folder().join(name)),
            label: 0,
        }],
    };
    let preprocess = Preprocess {
        height,
        width,
        ..Preprocess::square(1)
    };
    Ok(set.decode(&preprocess)?.pixels(0)?.into_owned())
}

#[test]
fn survey() {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Option<Expected>> = serde_json::from_str(&text).unwrap();
    for (name, expected) in &expected {
        let size = expected.as_ref().map_or([1, 1], |e| [e.height, e.width]);
        let outcome = decode(name, size);
        match (expected, outcome) {
            (None, Ok(_)) => println!("{name}: Pillow fails, we read"),
            (None, Err(_)) => {}
            (Some(e), Err(error)) => println!("{name} {}: {error}", e.mode),
            (Some(e), Ok(ours)) => {
                let theirs: Vec<u8> = (0..e.rgb.len() / 2)
                    .map(|i| u8::from_str_radix(&e.rgb[2 * i..2 * i + 2], 16).unwrap())
                    .collect();
                let worst = ours
                    .iter()
                    .zip(&theirs)
                    .map(|(a, b)| a.abs_diff(*b))
                    .max()
                    .unwrap();
                let count = ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
                if worst > 0 {
                    println!(
                        "{name} {}: {count} of {} differ, by {worst}: {:?} {:?}",
                        e.mode,
                        ours.len(),
                        &ours[..6],
                        &theirs[..6]
                    );
                }
            }
        }
    }
}
