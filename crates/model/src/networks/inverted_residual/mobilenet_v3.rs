//! MobileNetV3: Howard et al. 2019 (arXiv:1905.02244, tables 1 and 2).
//!
//! torchvision and timm have different names for the tensors, and different constants in the normalisations.

use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::Activation;

use super::design::{Design, Hidden, Row, Squeeze, inverted, plain, scaled, separable};
use super::{InvertedResidualNet, TARGETS_WITH_HIDDEN, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of torchvision.
macro_rules! torchvision {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            Design { epsilon: 1e-3, ..$design },
            ["torchvision" = names::torchvision_mobilenet_v3],
            {
                targets: TARGETS_WITH_HIDDEN, filter: Filter::Bilinear,
                // It has no stochastic depth for them.
                drop_path: Some(0.0), $($fields)+
            }
        )
    };
}

/// An entry for the networks of timm. The default of its stochastic depth is 0.
macro_rules! timm {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            $design,
            ["timm" = names::timm],
            { targets: TARGETS_WITH_HIDDEN, $($fields)+ }
        )
    };
}

/// An entry for the networks of `TensorFlow`, with timm's names.
macro_rules! tensorflow {
    ($design:expr, $name:literal) => {
        timm!($design.of_tensorflow(), {
            name: $name, filter: Filter::Bilinear, normalization: Normalization::HALF,
            drop_path: Some(0.0),
        })
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    torchvision!(large(1.0, Hidden::Linear(1280)), {
        name: "mobilenet_v3_large", crop: 224.0 / 232.0,
    }),
    torchvision!(small(1.0, Hidden::Linear(1024)), { name: "mobilenet_v3_small" }),
    timm!(large(1.0, Hidden::Conv(1280)), { name: "mobilenetv3_large_100" }),
    timm!(small(1.0, Hidden::Conv(1024)), { name: "mobilenetv3_small_100", drop_path: Some(0.0) }),
    timm!(small(0.75, Hidden::Conv(1024)), { name: "mobilenetv3_small_075", drop_path: Some(0.0) }),
    timm!(small(0.5, Hidden::Conv(1024)), { name: "mobilenetv3_small_050", drop_path: Some(0.0) }),
    tensorflow!(large(1.0, Hidden::Conv(1280)), "tf_mobilenetv3_large_100"),
    tensorflow!(large(0.75, Hidden::Conv(1280)), "tf_mobilenetv3_large_075"),
    tensorflow!(small(1.0, Hidden::Conv(1024)), "tf_mobilenetv3_small_100"),
    tensorflow!(small(0.75, Hidden::Conv(1024)), "tf_mobilenetv3_small_075"),
];

const fn large(width: f64, hidden: Hidden) -> Design {
    design(LARGE, width, hidden)
}

const fn small(width: f64, hidden: Hidden) -> Design {
    design(SMALL, width, hidden)
}

const fn design(stages: &'static [&'static [Row]], width: f64, hidden: Hidden) -> Design {
    Design {
        stages,
        width,
        // Narrower networks keep the whole stem.
        stem: if width < 0.75 { 16 } else { scaled(16, width) },
        last: 0,
        hidden: Some(hidden),
        squeeze: Squeeze::Expanded,
        activation: Activation::HardSwish,
        ..Design::BASE
    }
}

const LARGE: &[&[Row]] = &[
    &[separable(3, 1, 16).with(Activation::Relu)],
    &[
        inverted(4.0, 3, 2, 24, 1).with(Activation::Relu),
        inverted(3.0, 3, 1, 24, 1).with(Activation::Relu),
    ],
    &[inverted(3.0, 5, 2, 40, 3).with(Activation::Relu).squeezed()],
    &[
        inverted(6.0, 3, 2, 80, 1),
        inverted(2.5, 3, 1, 80, 1),
        inverted(2.3, 3, 1, 80, 2),
    ],
    &[inverted(6.0, 3, 1, 112, 2).squeezed()],
    &[inverted(6.0, 5, 2, 160, 3).squeezed()],
    &[plain(1, 1, 960, 1)],
];

const SMALL: &[&[Row]] = &[
    &[separable(3, 2, 16).with(Activation::Relu).squeezed()],
    &[
        inverted(4.5, 3, 2, 24, 1).with(Activation::Relu),
        inverted(3.67, 3, 1, 24, 1).with(Activation::Relu),
    ],
    &[
        inverted(4.0, 5, 2, 40, 1).squeezed(),
        inverted(6.0, 5, 1, 40, 2).squeezed(),
    ],
    &[inverted(3.0, 5, 1, 48, 2).squeezed()],
    &[inverted(6.0, 5, 2, 96, 3).squeezed()],
    &[plain(1, 1, 576, 1)],
];
