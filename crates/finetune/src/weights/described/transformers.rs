//! transformers' `config.json`, with a `model_type`, and `preprocessor_config.json`.

use finetune_data::Filter;
use finetune_files::quoted;
use finetune_model::{ARCHITECTURES, Setting, Settings};
use serde_json::{Map, Value};

use super::document::{Claim, Described, Document, Other, float, normalization, whole};
use super::preparation::Preparation;

pub(super) fn read(document: &Document) -> Described {
    let values = &document.values;
    Described {
        network: network(document),
        preparation: preparation(values, &document.place).filter(|one| !one.is_empty()),
    }
}

fn network(document: &Document) -> Option<Claim> {
    let values = &document.values;
    let kind = values.get("model_type")?.as_str()?;
    // The tower of a model for images and texts.
    let tower = values.get("vision_config").and_then(Value::as_object);
    let settings = tower.unwrap_or(values);
    let text = |key: &str| settings.get(key).and_then(Value::as_str);
    let is = |key: &str| settings.get(key).and_then(Value::as_bool) == Some(true);
    let starts = |name: &str, beginnings: &[&str]| {
        beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    let belongs: Box<dyn Fn(&str) -> bool> = match kind {
        "vit" | "vit_mae" | "vit_msn" => Box::new(move |name| {
            starts(name, &["vit_", "deit_"])
                && !["clip", "siglip", "distilled"]
                    .iter()
                    .any(|part| name.contains(part))
        }),
        "deit" => Box::new(move |name| starts(name, &["deit_"])),
        "dinov2" => Box::new(move |name| starts(name, &["dinov2_"]) && !name.ends_with("_reg")),
        "dinov2_with_registers" => {
            Box::new(move |name| starts(name, &["dinov2_"]) && name.ends_with("_reg"))
        }
        "dinov3_vit" => Box::new(move |name| starts(name, &["dinov3_"])),
        "clip" | "clip_vision_model" => {
            let quick = text("hidden_act").unwrap_or("quick_gelu") == "quick_gelu";
            Box::new(move |name| name.contains("_clip_") && name.contains("quickgelu") == quick)
        }
        "siglip" | "siglip_vision_model" | "siglip2" | "siglip2_vision_model" => {
            Box::new(move |name| starts(name, &["siglip"]))
        }
        "beit" | "data2vec-vision" => {
            let relative = is("use_relative_position_bias");
            Box::new(move |name| relative && starts(name, &["beit"]))
        }
        "convnext" => Box::new(move |name| starts(name, &["convnext_"])),
        "convnextv2" => Box::new(move |name| starts(name, &["convnextv2_"])),
        "swin" => Box::new(move |name| starts(name, &["swin_"])),
        "swinv2" => Box::new(move |name| starts(name, &["swinv2_"])),
        "resnet" => {
            // Otherwise the stride is in the first convolution of a bottleneck, as in the paper.
            let first = is("downsample_in_bottleneck");
            Box::new(move |name| !first && starts(name, &["resnet"]))
        }
        "regnet" => Box::new(move |name| starts(name, &["regnet"])),
        "mobilenet_v1" => Box::new(move |name| starts(name, &["mobilenet_v1", "mobilenetv1"])),
        "mobilenet_v2" => Box::new(move |name| starts(name, &["mobilenet_v2", "mobilenetv2"])),
        "efficientnet" => Box::new(move |name| starts(name, &["efficientnet", "tf_efficientnet"])),
        "mobilevit" => Box::new(move |name| starts(name, &["mobilevit"])),
        _ => Box::new(|_| false),
    };
    let mut architectures = Vec::new();
    let mut others = Vec::new();
    for architecture in ARCHITECTURES.iter().filter(|one| belongs(one.name)) {
        match difference(settings, &architecture.settings()) {
            None => architectures.push(architecture.name),
            Some(difference) => others.push(Other {
                architecture: architecture.name,
                difference,
            }),
        }
    }
    Some(Claim {
        name: kind.to_owned(),
        library: "transformers",
        place: document.place.clone(),
        architectures,
        others,
    })
}

/// The first setting that a configuration has with another value.
fn difference(values: &Map<String, Value>, settings: &Settings) -> Option<String> {
    settings.iter().find_map(|(key, own)| {
        let value = values.get(*key)?;
        (!agrees(value, own)?).then(|| format!("{} {value} instead of {own}", quoted(key)))
    })
}

/// Whether a value is that of a setting; `None` if it is of another kind, and says nothing.
fn agrees(value: &Value, setting: &Setting) -> Option<bool> {
    let is = |value: &Value, number: f64| {
        let value = value.as_f64()?;
        Some((value - number).abs() <= 1e-6 * number.abs())
    };
    match setting {
        Setting::Number(number) => is(value, *number),
        Setting::Numbers(numbers) => {
            let values = value.as_array()?;
            let mut pairs = values.iter().zip(numbers);
            let same = pairs.all(|(value, number)| is(value, *number) == Some(true));
            Some(same && values.len() == numbers.len())
        }
        Setting::Flag(flag) => Some(value.as_bool()? == *flag),
        Setting::Word(word) => Some(activation(value.as_str()?) == *word),
    }
}

/// The name of an activation that transformers has several for.
fn activation(name: &str) -> &str {
    match name {
        "gelu_python" => "gelu",
        "silu" => "swish",
        "gelu_new" | "gelu_fast" | "gelu_python_tanh" => "gelu_pytorch_tanh",
        other => other,
    }
}

/// The settings of an image processor.
fn preparation(values: &Map<String, Value>, place: &str) -> Option<Preparation> {
    let values = match values.get("image_processor").and_then(Value::as_object) {
        Some(inside) => inside,
        None => values,
    };
    let is_processor = [
        "image_processor_type",
        "feature_extractor_type",
        "image_mean",
        "do_normalize",
    ];
    if !is_processor.iter().any(|key| values.contains_key(*key)) {
        return None;
    }
    let does = |key: &str| values.get(key).and_then(Value::as_bool) != Some(false);
    let scale = values.get("rescale_factor").and_then(Value::as_f64);
    let (mean, std) = (values.get("image_mean"), values.get("image_std"));
    let normalization = if does("do_normalize") {
        normalization(mean, std)
    } else {
        normalization(Some(&Value::from(0.0)), Some(&Value::from(1.0)))
    };
    // Values are not scaled to 0–1 but, for example, to -1–1: x' = x·f − 1, then normalised.
    let normalization = normalization.map(|one| match scale {
        Some(scale) if (scale * 255.0 - 1.0).abs() > 1e-3 => rescaled(one, scale * 255.0),
        _ => one,
    });
    let sizes = values.get("size");
    let side = |key: &str| -> Option<usize> {
        let value = values.get(key)?;
        whole(value).or_else(|| {
            let keys = ["shortest_edge", "height"];
            keys.iter().find_map(|key| whole(value.get(key)?))
        })
    };
    let is_short = sizes.is_some_and(|size| size.get("shortest_edge").is_some() || size.is_u64());
    let crops = values.get("do_center_crop").and_then(Value::as_bool) == Some(true);
    let whole_side = side("size");
    let (image_size, crop) = match (whole_side, side("crop_size").filter(|_| crops)) {
        (Some(whole), Some(crop)) if is_short && crop <= whole => (Some(crop), share(crop, whole)),
        (_, Some(crop)) => (Some(crop), Some(1.0)),
        // ConvNeXt's: below 384 pixels the picture is resized to more and cropped.
        (Some(whole), None) => {
            let pct = values.get("crop_pct").and_then(float);
            (
                Some(whole),
                Some(pct.filter(|_| whole < 384).unwrap_or(1.0)),
            )
        }
        (None, None) => (None, None),
    };
    let filter = match values.get("resample").and_then(Value::as_u64) {
        Some(2 | 4 | 5) => Some(Filter::Bilinear),
        Some(1 | 3) => Some(Filter::Bicubic),
        _ => None,
    };
    Some(Preparation {
        place: place.to_owned(),
        normalization,
        image_size,
        filter,
        crop,
    })
}

/// For values that are scaled to 0–`most` instead of 0–1 before they are normalised.
#[allow(clippy::cast_possible_truncation)]
fn rescaled(one: finetune_data::Normalization, most: f64) -> finetune_data::Normalization {
    let scaled = |values: [f32; 3]| values.map(|value| (f64::from(value) / most) as f32);
    finetune_data::Normalization {
        mean: scaled(one.mean),
        std: scaled(one.std),
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(part: usize, whole: usize) -> Option<f32> {
    (whole > 0).then(|| part as f32 / whole as f32)
}
