//! MobileNetV2: Sandler et al. 2018 (arXiv:1801.04381, table 2).
//!
//! Those with a width and an image size in their name are the networks of `TensorFlow` in transformers.

use finetune_data::{Filter, Normalization};

use super::design::{Design, Row, inverted, scaled, separable};
use super::{InvertedResidualNet, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of timm, which can train MobileNetV2 with stochastic depth; nobody does so by
/// default.
macro_rules! timm {
    ($design:expr, $name:literal) => {
        entry!($design, ["timm" = names::timm], { name: $name, drop_path: Some(0.0) })
    };
}

/// An entry for the networks of transformers.
macro_rules! transformers {
    ($design:expr, $name:literal, $image_size:literal) => {
        entry!(
            $design.of_tensorflow(),
            ["transformers" = names::transformers_mobilenet_v2],
            {
                name: $name, image_size: $image_size, drop_path: Some(0.0),
                filter: Filter::Bilinear, normalization: Normalization::HALF,
            }
        )
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    entry!(
        design(1.0),
        ["torchvision" = names::torchvision_mobilenet_v2, "timm" = names::timm],
        {
            name: "mobilenet_v2", aliases: &["mobilenetv2_100"],
            // torchvision's.
            filter: Filter::Bilinear, drop_path: Some(0.0),
        }
    ),
    timm!(design(0.5), "mobilenetv2_050"),
    timm!(design(1.4), "mobilenetv2_140"),
    timm!(deep(1.1, 1.2), "mobilenetv2_110d"),
    timm!(deep(1.2, 1.4), "mobilenetv2_120d"),
    transformers!(design(1.0), "mobilenet_v2_1.0_224", 224),
    transformers!(design(1.4), "mobilenet_v2_1.4_224", 224),
    transformers!(design(0.75), "mobilenet_v2_0.75_160", 160),
    transformers!(design(0.35), "mobilenet_v2_0.35_96", 96),
];

const fn design(width: f64) -> Design {
    Design {
        stages: STAGES,
        width,
        stem: scaled(32, width),
        // Narrower networks keep the whole last layer.
        last: if width < 1.0 {
            1280
        } else {
            scaled(1280, width)
        },
        ..Design::BASE
    }
}

/// A network with more blocks, whose stem and last layer are not scaled.
const fn deep(width: f64, depth: f64) -> Design {
    Design {
        stages: STAGES,
        width,
        depth,
        fixed_ends: true,
        ..Design::BASE
    }
}

const STAGES: &[&[Row]] = &[
    &[separable(3, 1, 16)],
    &[inverted(6.0, 3, 2, 24, 2)],
    &[inverted(6.0, 3, 2, 32, 3)],
    &[inverted(6.0, 3, 2, 64, 4)],
    &[inverted(6.0, 3, 1, 96, 3)],
    &[inverted(6.0, 3, 2, 160, 3)],
    &[inverted(6.0, 3, 1, 320, 1)],
];
