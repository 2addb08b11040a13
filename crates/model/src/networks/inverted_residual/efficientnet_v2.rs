//! EfficientNetV2: Tan and Le 2021 (arXiv:2104.00298, table 4), as in the code that they published. In it, the
//! first blocks have no expansion and are single convolutions; those of timm's own `rw` networks have both.

use finetune_data::{Filter, Normalization};
use finetune_kernels::norm::Activation;

use super::design::{Design, Row, fused, inverted, plain_residual, rounded, scaled};
use super::{InvertedResidualNet, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of torchvision.
macro_rules! torchvision {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            Design { epsilon: 1e-3, ..$design },
            ["torchvision" = names::torchvision_efficientnet],
            { filter: Filter::Bilinear, crop: 1.0, $($fields)+ }
        )
    };
}

/// An entry for the networks of timm.
macro_rules! timm {
    ($design:expr, $fields:tt) => {
        entry!($design, ["timm" = names::timm], $fields)
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    torchvision!(S, { name: "efficientnet_v2_s", image_size: 384 }),
    torchvision!(M, { name: "efficientnet_v2_m", image_size: 480, head_dropout: 0.3 }),
    timm!(S.of_tensorflow(), {
        name: "tf_efficientnetv2_s", aliases: &["tf_efficientnetv2_s_in21ft1k"],
        image_size: 300, crop: 1.0, normalization: Normalization::HALF,
    }),
    timm!(M.of_tensorflow(), {
        name: "tf_efficientnetv2_m", aliases: &["tf_efficientnetv2_m_in21ft1k"],
        image_size: 384, crop: 1.0, normalization: Normalization::HALF, head_dropout: 0.3,
    }),
    timm!(base(1.0, 1.0), { name: "tf_efficientnetv2_b0", image_size: 192 }),
    timm!(base(1.0, 1.1), { name: "tf_efficientnetv2_b1", image_size: 192, crop: 0.882 }),
    timm!(base(1.1, 1.2), {
        name: "tf_efficientnetv2_b2", image_size: 208, crop: 0.89, head_dropout: 0.3,
    }),
    timm!(base(1.2, 1.4), {
        name: "tf_efficientnetv2_b3",
        image_size: 240, crop: 0.9, normalization: Normalization::HALF, head_dropout: 0.3,
    }),
    timm!(RW_T, { name: "efficientnetv2_rw_t", crop: 1.0 }),
    timm!(RW_S, { name: "efficientnetv2_rw_s", image_size: 288, crop: 1.0 }),
];

const SMALL: Design = Design {
    stem: 24,
    activation: Activation::Silu,
    ..Design::BASE
};

const S: Design = Design {
    stages: &[
        &[plain_residual(3, 24, 2)],
        &[fused(4.0, 3, 2, 48, 4)],
        &[fused(4.0, 3, 2, 64, 4)],
        &[inverted(4.0, 3, 2, 128, 6).squeezed()],
        &[inverted(6.0, 3, 1, 160, 9).squeezed()],
        &[inverted(6.0, 3, 2, 256, 15).squeezed()],
    ],
    ..SMALL
};

const M: Design = Design {
    stages: &[
        &[plain_residual(3, 24, 3)],
        &[fused(4.0, 3, 2, 48, 5)],
        &[fused(4.0, 3, 2, 80, 5)],
        &[inverted(4.0, 3, 2, 160, 7).squeezed()],
        &[inverted(6.0, 3, 1, 176, 14).squeezed()],
        &[inverted(6.0, 3, 2, 304, 18).squeezed()],
        &[inverted(6.0, 3, 1, 512, 5).squeezed()],
    ],
    ..SMALL
};

/// The networks that are scaled as EfficientNet is, but never rounded upwards.
const fn base(width: f64, depth: f64) -> Design {
    Design {
        stages: BASE,
        width,
        depth,
        least: 0.0,
        stem: rounded(32, width, 0.0),
        last: rounded(1280, width, 0.0),
        ..SMALL
    }
    .of_tensorflow()
}

const BASE: &[&[Row]] = &[
    &[plain_residual(3, 16, 1)],
    &[fused(4.0, 3, 2, 32, 2)],
    &[fused(4.0, 3, 2, 48, 2)],
    &[inverted(4.0, 3, 2, 96, 3).squeezed()],
    &[inverted(6.0, 3, 1, 112, 5).squeezed()],
    &[inverted(6.0, 3, 2, 192, 8).squeezed()],
];

const RW_T: Design = Design {
    width: 0.8,
    depth: 0.9,
    stem: scaled(24, 0.8),
    last: scaled(1280, 0.8),
    ..S
};

const RW_S: Design = Design {
    stages: &[
        &[fused(1.0, 3, 1, 24, 2)],
        &[fused(4.0, 3, 2, 48, 4)],
        &[fused(4.0, 3, 2, 64, 4)],
        &[inverted(4.0, 3, 2, 128, 6).squeezed()],
        &[inverted(6.0, 3, 1, 160, 9).squeezed()],
        &[inverted(6.0, 3, 2, 272, 15).squeezed()],
    ],
    last: 1792,
    ..SMALL
};
