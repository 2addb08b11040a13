//! Images are prepared as timm and torchvision do it for their default weights:
//! `tests/parity/preprocessing.py` wrote how.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use finetune_data::Filter;
use finetune_model::Architecture;
use serde_json::Value;

#[test]
fn images_are_prepared_as_by_timm_and_torchvision() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/preprocessing.json"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let networks: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    assert!(!networks.is_empty());
    for (name, wanted) in networks {
        let architecture = Architecture::find(&name).unwrap();
        let size = |key: &str| usize::try_from(wanted[key].as_u64().unwrap()).unwrap();
        assert_eq!(architecture.image_size, size("image_size"), "{name}");
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let resized =
            (architecture.image_size as f64 / f64::from(architecture.crop) + 1e-4) as usize;
        assert_eq!(resized, size("resized"), "{name}");
        let filter = match wanted["filter"].as_str().unwrap() {
            "bicubic" => Filter::Bicubic,
            "bilinear" => Filter::Bilinear,
            other => panic!("{name}: {other}"),
        };
        assert_eq!(architecture.filter, filter, "{name}");
        for (key, found) in [
            ("mean", architecture.normalization.mean),
            ("std", architecture.normalization.std),
        ] {
            let wanted: [f32; 3] = serde_json::from_value(wanted[key].clone()).unwrap();
            assert_eq!(found.map(f32::to_bits), wanted.map(f32::to_bits), "{name}");
        }
    }
}
