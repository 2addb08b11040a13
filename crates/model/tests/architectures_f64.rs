//! The tests of `architectures.rs` in `f64`, including gradients in training mode: in `f64`, no
//! rounding error is large enough to move a value to the other side of a ReLU's kink.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/architectures.rs"]
#[allow(dead_code)]
mod architectures;

use std::sync::Once;

use architectures::{Bars, check};
use burn::tensor::{Device, FloatDType, IntDType};

const BARS: Bars = Bars {
    logits: 1e-6,
    gradients: 1e-5,
    training_gradients: Some(1e-5),
};

fn check_f64(key: &str) {
    static CONFIGURED: Once = Once::new();
    CONFIGURED.call_once(|| {
        Device::flex()
            .configure((FloatDType::F64, IntDType::I64))
            .unwrap();
    });
    check(key, BARS);
}

macro_rules! checks {
    ($($test:ident => $($key:literal),+;)+) => {
        $(#[test] fn $test() { $(check_f64($key);)+ })+
    };
}

checks! {
    cifar_resnets => "resnet20", "resnet32", "resnet44", "resnet56";
    basic_resnets => "resnet18", "resnet34";
    bottleneck_resnet => "resnet50";
    mobilenet => "mobilenet_v2", "mobilenet_v2 (timm)";
    efficientnet => "efficientnet_b0", "efficientnet_b0 (timm)";
    convnext => "convnext_tiny", "convnext_tiny (timm)";
    small_transformers => "vit_tiny_patch16_224", "vit_small_patch16_224", "deit_tiny_patch16_224";
    base_transformers => "vit_base_patch16_224", "vit_b_16";
}
