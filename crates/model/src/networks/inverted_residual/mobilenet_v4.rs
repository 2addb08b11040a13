//! MobileNetV4 without attention: Qin et al. 2024 (arXiv:2404.10518, appendix D). Its blocks are universal
//! inverted bottlenecks: expansion, outputs, and the kernels of two depthwise convolutions that may be absent.

use finetune_data::Normalization;
use finetune_kernels::norm::Activation;

use super::design::{Design, Hidden, Row, fused, plain, universal};
use super::{InvertedResidualNet, TARGETS_WITH_HIDDEN, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of timm, which trains them without stochastic depth by default.
macro_rules! timm {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            $design,
            ["timm" = names::timm],
            { targets: TARGETS_WITH_HIDDEN, drop_path: Some(0.0), $($fields)+ }
        )
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    timm!(small(1.0), { name: "mobilenetv4_conv_small" }),
    timm!(small(0.5), { name: "mobilenetv4_conv_small_050", normalization: Normalization::HALF }),
    timm!(MEDIUM, { name: "mobilenetv4_conv_medium", image_size: 256, crop: 0.95 }),
    timm!(LARGE, { name: "mobilenetv4_conv_large", image_size: 384, crop: 0.95 }),
];

const BASE: Design = Design {
    last: 0,
    hidden: Some(Hidden::ConvNorm(1280)),
    activation: Activation::Relu,
    ..Design::BASE
};

/// A network whose stem is not scaled.
const fn small(width: f64) -> Design {
    Design {
        stages: SMALL,
        width,
        ..BASE
    }
}

const SMALL: &[&[Row]] = &[
    &[plain(3, 2, 32, 1), plain(1, 1, 32, 1)],
    &[plain(3, 2, 96, 1), plain(1, 1, 64, 1)],
    &[
        universal([5, 5], 3.0, 96, 1).halving(),
        universal([0, 3], 2.0, 96, 4),
        universal([3, 0], 4.0, 96, 1),
    ],
    &[
        universal([3, 3], 6.0, 128, 1).halving(),
        universal([5, 5], 4.0, 128, 1),
        universal([0, 5], 4.0, 128, 1),
        universal([0, 5], 3.0, 128, 1),
        universal([0, 3], 4.0, 128, 2),
    ],
    &[plain(1, 1, 960, 1)],
];

const MEDIUM: Design = Design {
    stages: &[
        &[fused(4.0, 3, 2, 48, 1)],
        &[
            universal([3, 5], 4.0, 80, 1).halving(),
            universal([3, 3], 2.0, 80, 1),
        ],
        &[
            universal([3, 5], 6.0, 160, 1).halving(),
            universal([3, 3], 4.0, 160, 2),
            universal([3, 5], 4.0, 160, 1),
            universal([3, 3], 4.0, 160, 1),
            universal([3, 0], 4.0, 160, 1),
            universal([0, 0], 2.0, 160, 1),
            universal([3, 0], 4.0, 160, 1),
        ],
        &[
            universal([5, 5], 6.0, 256, 1).halving(),
            universal([5, 5], 4.0, 256, 1),
            universal([3, 5], 4.0, 256, 2),
            universal([0, 0], 4.0, 256, 1),
            universal([3, 0], 4.0, 256, 1),
            universal([3, 5], 2.0, 256, 1),
            universal([5, 5], 4.0, 256, 1),
            universal([0, 0], 4.0, 256, 2),
            universal([5, 0], 2.0, 256, 1),
        ],
        &[plain(1, 1, 960, 1)],
    ],
    ..BASE
};

const LARGE: Design = Design {
    stages: &[
        &[fused(4.0, 3, 2, 48, 1)],
        &[
            universal([3, 5], 4.0, 96, 1).halving(),
            universal([3, 3], 4.0, 96, 1),
        ],
        &[
            universal([3, 5], 4.0, 192, 1).halving(),
            universal([3, 3], 4.0, 192, 3),
            universal([3, 5], 4.0, 192, 1),
            universal([5, 3], 4.0, 192, 5),
            universal([3, 0], 4.0, 192, 1),
        ],
        &[
            universal([5, 5], 4.0, 512, 4).halving(),
            universal([5, 0], 4.0, 512, 1),
            universal([5, 3], 4.0, 512, 1),
            universal([5, 0], 4.0, 512, 2),
            universal([5, 3], 4.0, 512, 1),
            universal([5, 5], 4.0, 512, 1),
            universal([5, 0], 4.0, 512, 3),
        ],
        &[plain(1, 1, 960, 1)],
    ],
    stem: 24,
    ..BASE
};
