//! EfficientNet-Lite: EfficientNet without squeeze and excitation, with ReLU6, and with the same stem, the
//! same last layer and single first and last blocks in all widths (Liu 2020, "Higher accuracy on vision
//! models with EfficientNet-Lite").

use finetune_data::{Filter, Normalization};

use super::design::{Design, Row, inverted, separable};
use super::{InvertedResidualNet, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of timm.
macro_rules! pytorch {
    ($design:expr, $fields:tt) => {
        entry!($design, ["timm" = names::timm], $fields)
    };
}

/// An entry for the networks of `TensorFlow`.
macro_rules! tensorflow {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            $design.of_tensorflow(),
            ["timm" = names::timm, "efficientnet_pytorch" = names::efficientnet_pytorch],
            { normalization: Normalization::HALF, $($fields)+ }
        )
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    pytorch!(LITE0, { name: "efficientnet_lite0" }),
    pytorch!(LITE1, { name: "efficientnet_lite1", image_size: 240, crop: 0.882 }),
    pytorch!(LITE2, { name: "efficientnet_lite2", image_size: 260, crop: 0.89, head_dropout: 0.3 }),
    pytorch!(LITE3, { name: "efficientnet_lite3", image_size: 300, crop: 0.904, head_dropout: 0.3 }),
    pytorch!(LITE4, { name: "efficientnet_lite4", image_size: 380, crop: 0.922, head_dropout: 0.4 }),
    tensorflow!(LITE0, { name: "tf_efficientnet_lite0", aliases: &["efficientnet-lite0"] }),
    tensorflow!(LITE1, {
        name: "tf_efficientnet_lite1", aliases: &["efficientnet-lite1"],
        image_size: 240, crop: 0.882,
    }),
    tensorflow!(LITE2, {
        name: "tf_efficientnet_lite2", aliases: &["efficientnet-lite2"],
        image_size: 260, crop: 0.89, head_dropout: 0.3,
    }),
    tensorflow!(LITE3, {
        name: "tf_efficientnet_lite3", aliases: &["efficientnet-lite3"],
        image_size: 300, crop: 0.904, head_dropout: 0.3, filter: Filter::Bilinear,
    }),
    tensorflow!(LITE4, {
        name: "tf_efficientnet_lite4", aliases: &["efficientnet-lite4"],
        image_size: 380, crop: 0.92, head_dropout: 0.4, filter: Filter::Bilinear,
    }),
];

const LITE0: Design = design(1.0, 1.0);
const LITE1: Design = design(1.0, 1.1);
const LITE2: Design = design(1.1, 1.2);
const LITE3: Design = design(1.2, 1.4);
const LITE4: Design = design(1.4, 1.8);

const fn design(width: f64, depth: f64) -> Design {
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
    &[inverted(6.0, 5, 2, 40, 2)],
    &[inverted(6.0, 3, 2, 80, 3)],
    &[inverted(6.0, 5, 1, 112, 3)],
    &[inverted(6.0, 5, 2, 192, 4)],
    &[inverted(6.0, 3, 1, 320, 1)],
];
