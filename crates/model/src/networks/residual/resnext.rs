//! `ResNeXt`, whose 3×3 convolutions have groups (Xie et al. 2016, arXiv:1611.05431), and ResNets with
//! twice as many channels in the 3×3 convolutions (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

use super::names::torchvision;
use super::shape::Shape;
use super::{POINTWISE, ResNet, family, resnet};
use crate::networks::spec::{Entry, Spec, dialect};

pub(in crate::networks) const ARCHITECTURES: &[Entry<ResNet>] = family! {
    grouped("resnext50_32x4d") => DEPTH_50.grouped(32, 4);
    grouped("resnext101_32x4d") => DEPTH_101.grouped(32, 4);
    grouped("resnext101_32x8d") => DEPTH_101.grouped(32, 8);
    Spec { crop: 224.0 / 232.0, ..grouped("resnext101_64x4d") } => DEPTH_101.grouped(64, 4);
    named("wide_resnet50_2") => DEPTH_50.grouped(1, 128);
    named("wide_resnet101_2") => DEPTH_101.grouped(1, 128);
};

const DEPTH_50: Shape = Shape::bottleneck([3, 4, 6, 3]);
const DEPTH_101: Shape = Shape::bottleneck([3, 4, 23, 3]);

const fn named(name: &'static str) -> Spec {
    Spec {
        name,
        dialects: const { &[dialect("torchvision, timm", torchvision)] },
        ..resnet::SPEC
    }
}

const fn grouped(name: &'static str) -> Spec {
    Spec {
        targets: POINTWISE,
        ..named(name)
    }
}
