//! Compares MobileNetV2 for ImageNet, loaded from torchvision's published legacy `.pth`, with
//! torchvision.
//!
//! Opt-in: `python3 tests/parity/mobilenet.py` downloads the checkpoint and writes torchvision's
//! predictions to `target/parity`; then run
//! `cargo test --workspace --test mobilenet -- --ignored`.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use finetune::data::{ImageSet, Sample, Source};
use finetune::model::{Head, WeightsFile};

#[test]
#[ignore = "needs a download: see the top of the file"]
fn top_1_of_real_photographs_agrees_with_torchvision() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let parity = root.join("target/parity");
    let answers = std::fs::read(parity.join("mobilenet_v2_top5.json")).unwrap();
    let answers: BTreeMap<String, (Vec<usize>, Vec<f32>)> =
        serde_json::from_slice(&answers).unwrap();

    let device = Device::flex();
    let mut file = WeightsFile::open(&parity.join("mobilenet_v2.pth")).unwrap();
    let architecture = file.recognize().unwrap();
    assert_eq!(architecture.name, "mobilenet_v2");
    let loaded = file
        .load(architecture, 1000, Head::Stored, &device)
        .unwrap();
    assert!(loaded.notes.is_empty());

    let set = ImageSet {
        classes: vec!["any".to_owned()],
        samples: answers
            .keys()
            .map(|path| Sample::new(Source::File(root.join(path)), 0))
            .collect(),
    };
    let images = set.decode(&architecture.preprocess()).unwrap();
    let mut same = 0;
    let mut largest: f32 = 0.0;
    for (index, (indices, values)) in answers.values().enumerate() {
        let batch = images
            .batch(&[index], &architecture.normalization, &device)
            .unwrap();
        let logits = loaded.network.forward(batch.images).into_data();
        let logits: Vec<f32> = logits.iter::<f32>().collect();
        let best = (0..1000)
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap();
        same += usize::from(best == indices[0]);
        for (index, value) in indices.iter().zip(values) {
            largest = largest.max((logits[*index] - value).abs());
        }
    }
    println!(
        "top-1 the same on {same} of {} photographs; the top five logits differ by at most {largest}",
        answers.len()
    );
    assert_eq!(same, answers.len());
    assert!(largest < 1e-3);
}
