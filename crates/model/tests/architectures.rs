//! Logits in evaluation and training mode and gradients of every architecture, in `f32`.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/architectures.rs"]
mod parity;

use std::collections::BTreeMap;

use burn::tensor::Device;
use finetune_model::{Architecture, Head, WeightsFile, state_dict, write_safetensors};
use parity::{Bars, check, fixture, uniform};

/// Gradients in training mode are compared in `f64`, by `architectures_f64.rs`.
const BARS: Bars = Bars {
    logits: 1e-4,
    rounding: 8.0,
    gradients: 1e-3,
    // The more layers, the more values may be rounded to the other side of a ReLU's kink.
    deep_gradients: 5e-3,
    training_gradients: None,
};

/// Parameters of the networks that are not compared in every test run.
const MOST: usize = 60_000_000;

fn bars(family: &str) -> Bars {
    match family {
        // Its last maps have so few pixels that PyTorch's own logits in training mode are off by 5e-5 in
        // `f32`. Of two million values before its ReLUs, about ten are nearer to 0 than the rounding, and
        // one that is rounded to the other side changes norms of gradients by 0.5 %. In `f64` the bars are
        // those of all networks.
        "inception" => Bars {
            logits: 5e-4,
            gradients: 1e-2,
            ..BARS
        },
        _ => BARS,
    }
}

macro_rules! families {
    ($($family:ident),+) => {
        $(#[test] fn $family() { check(stringify!($family), bars(stringify!($family)), ..MOST); })+

        #[test]
        #[ignore = "takes minutes"]
        fn larger() {
            $(check(stringify!($family), bars(stringify!($family)), MOST..);)+
        }
    };
}

families! {
    cifar_resnet, convnext, convnext_v2, densenet, efficientnet, efficientnet_lite, efficientnet_v2, foundation, inception, mlp_head, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, regnet, resnet, resnet_d, resnext, seresnet, swin, swin_v2, vgg, vit
}

#[test]
#[ignore = "takes minutes: each network has more than 100 million parameters"]
fn large() {
    check("large", BARS, ..);
}

#[test]
fn position_embeddings_are_resampled_as_by_timm() {
    // The registry has no ViT small enough to write its embedding by hand, so four features of the
    // tiny one's are set and the others stay at 0.
    let architecture = Architecture::find("vit_tiny_patch16_224").unwrap();
    let stored = architecture.at(48).unwrap();
    let mut tensors = state_dict(&stored.build(2, 0, &Device::flex()), &stored).unwrap();
    let values: Vec<f64> = uniform("pos_embed", 40).collect();
    for tensor in &mut tensors {
        if tensor.name == "pos_embed" {
            let values_of = tensor.values.to_mut();
            values_of.fill(0.0);
            for (index, value) in values.iter().enumerate() {
                #[allow(clippy::cast_possible_truncation)]
                let value = *value as f32;
                values_of[index / 4 * 192 + index % 4] = value;
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
    for side in [5, 2] {
        let wanted = &fixture("vit")["positions"][side.to_string()];
        let wanted: Vec<f64> = wanted
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        let larger = architecture.at(16 * side).unwrap();
        let mut file = WeightsFile::open(&path).unwrap();
        let loaded = file
            .load(&larger, 2, Head::Stored, &Device::flex())
            .unwrap();
        assert_eq!(
            loaded.notes,
            [format!(
                "its position embedding for 3×3 patches is interpolated to {side}×{side}"
            )]
        );
        let tensors = state_dict(&loaded.network, &larger).unwrap();
        let found = tensors.iter().find(|tensor| tensor.name == "pos_embed");
        let found = &found.unwrap().values;
        for (index, wanted) in wanted.iter().enumerate() {
            let found = f64::from(found[index / 4 * 192 + index % 4]);
            assert!(
                (found - wanted).abs() <= 2e-6,
                "{found} instead of {wanted}"
            );
        }
    }
}
