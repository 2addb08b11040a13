//! `open_clip_config.json`: the image tower in `model_cfg`, and how images are prepared in
//! `preprocess_cfg`.

use serde_json::{Map, Value};

use super::document::{Claim, Described, Document, filter, named, normalization, whole};
use super::preparation::Preparation;

pub(super) fn read(document: &Document) -> Described {
    let object = |values: &Map<String, Value>, key: &str| -> Option<Map<String, Value>> {
        values.get(key)?.as_object().cloned()
    };
    let Some(model) = object(&document.values, "model_cfg") else {
        return Described::default();
    };
    let tower = object(&model, "vision_cfg").unwrap_or_default();
    let number = |key: &str| tower.get(key).and_then(whole);
    let quick = model.get("quick_gelu").and_then(Value::as_bool) == Some(true);
    let name = tower.get("timm_model_name").and_then(Value::as_str);
    let (name, architectures) = match name {
        Some(name) => (name.to_owned(), named([name])),
        None => match (number("layers"), number("width"), number("patch_size")) {
            (Some(layers), Some(width), Some(patch)) => {
                let size = match (layers, width) {
                    (12, 768) => "base",
                    (24, 1024) => "large",
                    (32, 1280) => "huge",
                    _ => "other",
                };
                let gelu = if quick { "_quickgelu" } else { "" };
                let ours = format!("vit_{size}_patch{patch}_clip{gelu}_224");
                (
                    format!("ViT {layers}×{width}/{patch}"),
                    named([ours.as_str()]),
                )
            }
            _ => return Described::default(),
        },
    };
    let preprocess = object(&document.values, "preprocess_cfg").unwrap_or_default();
    let text = |key: &str| preprocess.get(key).and_then(Value::as_str);
    Described {
        network: Some(Claim {
            name,
            library: "open_clip",
            place: document.place.clone(),
            architectures,
            others: Vec::new(),
        }),
        preparation: Some(Preparation {
            place: document.place.clone(),
            normalization: normalization(preprocess.get("mean"), preprocess.get("std")),
            image_size: number("image_size"),
            filter: text("interpolation").and_then(filter),
            crop: None,
        }),
    }
}
