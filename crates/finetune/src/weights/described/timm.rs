//! timm's `config.json`: `architecture`, and how images are prepared in `pretrained_cfg`.

use serde_json::{Map, Value};

use super::document::{Claim, Described, Document, filter, float, named, normalization, whole};
use super::preparation::Preparation;

pub(super) fn read(document: &Document) -> Described {
    let values = &document.values;
    let pretrained = values.get("pretrained_cfg").and_then(Value::as_object);
    let text = |key: &str| values.get(key).and_then(Value::as_str);
    let inside = |key: &str| {
        pretrained
            .and_then(|one| one.get(key))
            .and_then(Value::as_str)
    };
    let name = text("architecture").or_else(|| inside("architecture"));
    // Models of timm inside of transformers keep timm's settings.
    let is_timm = pretrained.is_some() || text("model_type") == Some("timm_wrapper");
    let Some(name) = name.filter(|_| is_timm || !values.contains_key("model_type")) else {
        return Described::default();
    };
    // A name may have a tag: `resnet18.a1_in1k`.
    let plain = name.split('.').next().unwrap_or(name);
    let (name, architectures) = match changed(values) {
        None => (name.to_owned(), named([plain])),
        Some(changed) => (format!("{name} with {changed}"), Vec::new()),
    };
    Described {
        network: Some(Claim {
            name,
            library: "timm",
            place: document.place.clone(),
            architectures,
            others: Vec::new(),
        }),
        preparation: pretrained.map(|one| preparation(one, &document.place)),
    }
}

/// The arguments with which timm builds the model that change what it computes and not its tensors.
fn changed(values: &Map<String, Value>) -> Option<String> {
    const OTHERS: [&str; 26] = [
        "attn_drop_rate",
        "class_token",
        "depth",
        "depths",
        "drop_path_rate",
        "drop_rate",
        "dynamic_img_pad",
        "dynamic_img_size",
        "embed_dim",
        "fc_norm",
        "global_pool",
        "img_size",
        "in_chans",
        "init_values",
        "mlp_ratio",
        "no_embed_class",
        "num_classes",
        "patch_drop_rate",
        "patch_size",
        "pos_drop_rate",
        "pre_norm",
        "proj_drop_rate",
        "qk_norm",
        "qkv_bias",
        "reg_tokens",
        "strict_img_size",
    ];
    let arguments = values.get("model_args")?.as_object()?;
    let changed: Vec<String> = arguments
        .iter()
        .filter(|(key, _)| !OTHERS.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (!changed.is_empty()).then(|| changed.join(", "))
}

fn preparation(values: &Map<String, Value>, place: &str) -> Preparation {
    let size = values.get("input_size").and_then(Value::as_array);
    let size = size.and_then(|size| whole(size.last()?));
    let name = values.get("interpolation").and_then(Value::as_str);
    Preparation {
        place: place.to_owned(),
        normalization: normalization(values.get("mean"), values.get("std")),
        image_size: size,
        filter: name.and_then(filter),
        crop: values.get("crop_pct").and_then(float),
    }
}
