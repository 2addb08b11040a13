//! `RegNet`: Radosavovic et al. 2020 (arXiv:2003.13678, tables 11 and 12). X has bottlenecks that do not narrow
//! and whose 3×3 convolutions have groups of a fixed width; Y has squeeze and excitation as well. Those with
//! `_tv` are torchvision's, which rounds the widths of some otherwise.

use finetune_data::Filter;

use super::names::{
    regnet_timm, regnet_torchvision, regnetx_transformers, regnety_transformers,
    regnety_transformers_body, transformers_body,
};
use super::shape::Shape;
use super::{POINTWISE, ResNet, family, resnet};
use crate::networks::spec::{Dialect, Entry, Spec, dialect};

pub(in crate::networks) const ARCHITECTURES: &[Entry<ResNet>] = family! {
    named(Y, "regnety_002", 0.875) => y([1, 1, 4, 7], [24, 56, 152, 368], 8);
    both(Y, "regnety_004", &["regnet_y_400mf"]) => y([1, 3, 6, 6], [48, 104, 208, 440], 8);
    named(Y, "regnety_006", 0.875) => y([1, 3, 7, 4], [48, 112, 256, 608], 16);
    named(Y, "regnety_008", 0.875) => y([1, 3, 8, 2], [64, 128, 320, 768], 16);
    both(Y, "regnety_008_tv", &["regnet_y_800mf"]) => y([1, 3, 8, 2], [64, 144, 320, 784], 16);
    both(Y, "regnety_016", &["regnet_y_1_6gf"]) => y([2, 6, 17, 2], [48, 120, 336, 888], 24);
    Spec { crop: 0.95, ..both(Y, "regnety_032", &["regnet_y_3_2gf"]) }
        => y([2, 5, 13, 1], [72, 216, 576, 1512], 24);
    named(Y, "regnety_040", 0.95) => y([2, 6, 12, 2], [128, 192, 512, 1088], 64);
    named(X, "regnetx_002", 0.875) => x([1, 1, 4, 7], [24, 56, 152, 368], 8);
    named(X, "regnetx_004", 0.875) => x([1, 2, 7, 12], [32, 64, 160, 384], 16);
    both(X, "regnetx_004_tv", &["regnet_x_400mf"]) => x([1, 2, 7, 12], [32, 64, 160, 400], 16);
    named(X, "regnetx_006", 0.875) => x([1, 3, 5, 7], [48, 96, 240, 528], 24);
    both(X, "regnetx_008", &["regnet_x_800mf"]) => x([1, 3, 7, 5], [64, 128, 288, 672], 16);
    both(X, "regnetx_016", &["regnet_x_1_6gf"]) => x([2, 4, 10, 2], [72, 168, 408, 912], 24);
    both(X, "regnetx_032", &["regnet_x_3_2gf"]) => x([2, 6, 15, 2], [96, 192, 432, 1008], 48);
};

type Dialects = &'static [Dialect];

const X: Dialects = &[
    dialect("timm", regnet_timm),
    dialect("torchvision", regnet_torchvision),
    dialect("transformers", regnetx_transformers),
    dialect("transformers", transformers_body),
];

const Y: Dialects = &[
    dialect("timm", regnet_timm),
    dialect("torchvision", regnet_torchvision),
    dialect("transformers", regnety_transformers),
    dialect("transformers", regnety_transformers_body),
];

const fn x(depths: [usize; 4], widths: [usize; 4], group_width: usize) -> Shape {
    Shape::regnet(depths, widths, group_width)
}

const fn y(depths: [usize; 4], widths: [usize; 4], group_width: usize) -> Shape {
    x(depths, widths, group_width).squeezed_in_middle()
}

/// Preprocessing is that of timm's default weights.
const fn named(dialects: Dialects, name: &'static str, crop: f32) -> Spec {
    Spec {
        name,
        crop,
        filter: Filter::Bicubic,
        targets: POINTWISE,
        dialects,
        ..resnet::SPEC
    }
}

/// A network that torchvision has under another name; its weights are the default in timm as well.
const fn both(dialects: Dialects, name: &'static str, aliases: &'static [&'static str]) -> Spec {
    Spec {
        aliases,
        ..named(dialects, name, 0.965)
    }
}
