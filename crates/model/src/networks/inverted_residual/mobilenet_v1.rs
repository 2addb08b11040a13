//! MobileNet: Howard et al. 2017 (arXiv:1704.04861, table 1).

use finetune_data::Normalization;

use super::design::{Design, Row, activated, scaled};
use super::{InvertedResidualNet, entry, names};
use crate::networks::spec::Entry;

/// An entry for the networks of timm. They have no residuals, and so no stochastic depth.
macro_rules! timm {
    ($design:expr, { $($fields:tt)+ }) => {
        entry!(
            $design,
            ["timm" = names::timm],
            { normalization: Normalization::HALF, drop_path: Some(0.0), $($fields)+ }
        )
    };
}

pub(in crate::networks) const ARCHITECTURES: &[Entry<InvertedResidualNet>] = &[
    timm!(design(1.0), { name: "mobilenetv1_100" }),
    // With a further 1×1 convolution before the mean over the positions.
    timm!(Design { last: 1024, ..design(1.0) }, { name: "mobilenetv1_100h" }),
    timm!(design(1.25), { name: "mobilenetv1_125", crop: 0.9 }),
];

const fn design(width: f64) -> Design {
    Design {
        stages: STAGES,
        width,
        stem: scaled(32, width),
        last: 0,
        ..Design::BASE
    }
}

const STAGES: &[&[Row]] = &[
    &[activated(3, 1, 64, 1)],
    &[activated(3, 2, 128, 2)],
    &[activated(3, 2, 256, 2)],
    &[activated(3, 2, 512, 6)],
    &[activated(3, 2, 1024, 2)],
];
