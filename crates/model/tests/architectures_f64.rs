//! The tests of `architectures.rs` in `f64`, including gradients in training mode: in `f64`, no
//! rounding error is large enough to move a value to the other side of a ReLU's kink.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "util/architectures.rs"]
#[allow(dead_code)]
mod parity;

use std::ops::RangeBounds;
use std::sync::Once;

use burn::tensor::{Device, FloatDType, IntDType};
use parity::{Bars, check};

const BARS: Bars = Bars {
    logits: 1e-6,
    rounding: 0.0,
    gradients: 1e-5,
    deep_gradients: 1e-5,
    training_gradients: Some(1e-5),
};

/// Parameters of the networks that are not compared in every test run.
const MOST: usize = 30_000_000;

fn check_f64(family: &str, parameters: impl RangeBounds<usize>) {
    static CONFIGURED: Once = Once::new();
    CONFIGURED.call_once(|| {
        Device::flex()
            .configure((FloatDType::F64, IntDType::I64))
            .unwrap();
    });
    check(family, BARS, parameters);
}

macro_rules! families {
    ($($family:ident),+) => {
        $(#[test] fn $family() { check_f64(stringify!($family), ..MOST); })+

        #[test]
        #[ignore = "takes minutes"]
        fn larger() {
            $(check_f64(stringify!($family), MOST..);)+
        }
    };
}

families! {
    cifar_resnet, convnext, convnext_v2, densenet, efficientnet, efficientnet_lite, efficientnet_v2, foundation, inception, mlp_head, mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, regnet, resnet, resnet_d, resnext, seresnet, swin, swin_v2, vgg, vit
}

#[test]
#[ignore = "takes minutes: each network has more than 100 million parameters"]
fn large() {
    check_f64("large", ..);
}
