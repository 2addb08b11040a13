//! ResNet: He et al. 2015 (arXiv:1512.03385, table 1); ResNet-26 is timm's.

use finetune_data::{Filter, Normalization};

use super::names::{torchvision, transformers, transformers_body};
use super::shape::Shape;
use super::{ResNet, family};
use crate::networks::init::Init;
use crate::networks::spec::{Entry, Sizes, Spec, dialect};

pub(in crate::networks) const ARCHITECTURES: &[Entry<ResNet>] = family! {
    SPEC => Shape::basic([2, 2, 2, 2]);
    named("resnet34") => Shape::basic([3, 4, 6, 3]);
    Spec { filter: Filter::Bicubic, ..named("resnet26") } => Shape::bottleneck([2, 2, 2, 2]);
    named("resnet50") => Shape::bottleneck([3, 4, 6, 3]);
    named("resnet101") => Shape::bottleneck([3, 4, 23, 3]);
    named("resnet152") => Shape::bottleneck([3, 8, 36, 3]);
};

/// Preprocessing is that of torchvision's first weights of each network.
pub(super) const SPEC: Spec = Spec {
    name: "resnet18",
    aliases: &[],
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    filter: Filter::Bilinear,
    crop: 0.875,
    same_network_as: None,
    prefix_tokens: 0,
    head: "fc",
    targets: "all",
    blocks: None,
    drop_path: None,
    head_dropout: 0.0,
    init: Init::KaimingNormal,
    dialects: &[
        dialect("torchvision, timm", torchvision),
        dialect("transformers", transformers),
        dialect("transformers", transformers_body),
    ],
};

const fn named(name: &'static str) -> Spec {
    Spec { name, ..SPEC }
}
