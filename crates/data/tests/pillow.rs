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
        samples: vec![Sample::new(Source::File(folder().join(name)), 0)],
    };
    let preprocess = Preprocess {
        height,
        width,
        ..Preprocess::square(1)
    };
    Ok(set.decode(&preprocess)?.pixels(0)?.into_owned())
}

/// Files whose pixels differ from Pillow's, by how much at most, and why.
fn tolerance(name: &str) -> u8 {
    match name {
        // The decoder computes the inverse transform and enlarges colours in another way than libjpeg.
        _ if name.contains(".jpg") || name.contains(".mpo") => 4,
        // Pillow drops the lower bytes, and shifts bits; the values here are rounded.
        "rgb16.png" | "rgba16.png" | "la16.png" | "b555.bmp" => 1,
        _ => 0,
    }
}

/// Kinds that Pillow reads and that are not supported.
const UNSUPPORTED: [&str; 5] = ["ccitt.tif", "g3.tif", "lab.tif", "lzma.tif", "zstd.tif"];

/// Grey of 16 bits is reduced to 8; Pillow shows values above 255 as white. And a first frame of GIF that
/// is smaller than the image is surrounded by black; Pillow takes the first colour.
const OTHER: [&str; 6] = [
    "i16.tif",
    "i16small.tif",
    "l16.pgm",
    "l16.png",
    "l16small.png",
    "small_frame.gif",
];

/// Damaged files that Pillow does not read although their pixels are complete.
const MORE: [&str; 3] = ["adler.png", "crc_text.png", "cut.gif"];

#[test]
fn images_have_the_pixels_that_pillow_reads() {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: BTreeMap<String, Option<Expected>> = serde_json::from_str(&text).unwrap();
    let mut wrong = Vec::new();
    let mut equal = 0;
    for (name, expected) in &expected {
        let size = expected
            .as_ref()
            .map_or([1, 1], |wanted| [wanted.height, wanted.width]);
        let outcome = decode(name, size);
        match (expected, outcome) {
            (None, Ok(_)) if !MORE.contains(&name.as_str()) => {
                wrong.push(format!("{name}: Pillow does not read it"));
            }
            (None, _) => {}
            (Some(_), Err(_)) if UNSUPPORTED.contains(&name.as_str()) => {}
            (Some(wanted), Err(error)) => wrong.push(format!("{name} ({}): {error}", wanted.mode)),
            (Some(wanted), Ok(pixels)) => {
                let hex = wanted.rgb.as_bytes().chunks(2);
                let theirs = hex.map(|byte| {
                    u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 16).unwrap()
                });
                let theirs: Vec<u8> = theirs.collect();
                assert_eq!(pixels.len(), theirs.len(), "{name}");
                let pairs = pixels.iter().zip(&theirs);
                let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                if worst > tolerance(name) && !OTHER.contains(&name.as_str()) {
                    wrong.push(format!("{name} ({}): differs by {worst}", wanted.mode));
                }
                equal += usize::from(worst == 0);
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!((expected.len(), equal), (126, EQUAL));
}

/// Files whose pixels are equal to Pillow's.
const EQUAL: usize = 72;
