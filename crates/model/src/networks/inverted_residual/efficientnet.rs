//! EfficientNet: Tan and Le 2019 (arXiv:1905.11946, table 1 and equation 3), with the widths and depths of
//! the code that they published.
//!
//! Those with `tf_` compute as the published weights need it. transformers has the same networks; its
//! padding is that of the original for the image size of each network.

use finetune_data::Normalization;
use finetune_kernels::norm::Activation;

use super::design::{Design, Row, inverted, scaled, separable};
use super::{InvertedResidualNet, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of torchvision and timm.
macro_rules! pytorch {
    ($design:expr, $fields:tt) => {
        entry!(
            $design,
            [
                "torchvision" = names::torchvision_efficientnet,
                "timm" = names::timm
            ],
            $fields
        )
    };
}

/// An entry for the networks of `TensorFlow`.
macro_rules! tensorflow {
    ($design:expr, $fields:tt) => {
        entry!(
            $design.of_tensorflow(),
            [
                "timm" = names::timm,
                "efficientnet_pytorch" = names::efficientnet_pytorch,
                "transformers" = names::transformers_efficientnet,
            ],
            $fields
        )
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    pytorch!(B0, { name: "efficientnet_b0" }),
    pytorch!(B1, {
        name: "efficientnet_b1",
        image_size: 240, crop: 0.9, normalization: Normalization::HALF,
    }),
    pytorch!(B2, {
        name: "efficientnet_b2", aliases: &["efficientnet_b2a"],
        image_size: 256, head_dropout: 0.3,
    }),
    pytorch!(B3, {
        name: "efficientnet_b3", aliases: &["efficientnet_b3a"],
        image_size: 288, head_dropout: 0.3,
    }),
    pytorch!(B4, { name: "efficientnet_b4", image_size: 320, head_dropout: 0.4 }),
    tensorflow!(B0, {
        name: "tf_efficientnet_b0", aliases: &["tf_efficientnet_b0_ns", "efficientnet-b0"],
    }),
    tensorflow!(B1, {
        name: "tf_efficientnet_b1", aliases: &["tf_efficientnet_b1_ns", "efficientnet-b1"],
        image_size: 240, crop: 0.882,
    }),
    tensorflow!(B2, {
        name: "tf_efficientnet_b2", aliases: &["tf_efficientnet_b2_ns", "efficientnet-b2"],
        image_size: 260, crop: 0.89, head_dropout: 0.3,
    }),
    tensorflow!(B3, {
        name: "tf_efficientnet_b3", aliases: &["tf_efficientnet_b3_ns", "efficientnet-b3"],
        image_size: 300, crop: 0.904, head_dropout: 0.3,
    }),
    tensorflow!(B4, {
        name: "tf_efficientnet_b4", aliases: &["tf_efficientnet_b4_ns", "efficientnet-b4"],
        image_size: 380, crop: 0.922, head_dropout: 0.4,
    }),
];

const B0: Design = design(1.0, 1.0);
const B1: Design = design(1.0, 1.1);
const B2: Design = design(1.1, 1.2);
const B3: Design = design(1.2, 1.4);
const B4: Design = design(1.4, 1.8);

const fn design(width: f64, depth: f64) -> Design {
    Design {
        stages: STAGES,
        width,
        depth,
        stem: scaled(32, width),
        last: scaled(1280, width),
        activation: Activation::Silu,
        ..Design::BASE
    }
}

const STAGES: &[&[Row]] = &[
    &[separable(3, 1, 16).squeezed()],
    &[inverted(6.0, 3, 2, 24, 2).squeezed()],
    &[inverted(6.0, 5, 2, 40, 2).squeezed()],
    &[inverted(6.0, 3, 2, 80, 3).squeezed()],
    &[inverted(6.0, 5, 1, 112, 3).squeezed()],
    &[inverted(6.0, 5, 2, 192, 4).squeezed()],
    &[inverted(6.0, 3, 1, 320, 1).squeezed()],
];
