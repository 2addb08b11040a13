//! SE-ResNet and SE-ResNeXt: Hu et al. 2017 (arXiv:1709.01507, table 1), as in timm. The letters D and T are
//! those of [`resnet_d`](super::resnet_d).

use finetune_data::Filter;

use super::names::torchvision;
use super::resnet_d::{D, T, sized};
use super::shape::Shape;
use super::{POINTWISE, ResNet, family, resnet};
use crate::networks::spec::{Entry, Spec, dialect};

pub(in crate::networks) const ARCHITECTURES: &[Entry<ResNet>] = family! {
    plain("seresnet18", 0.875) => Shape::basic([2, 2, 2, 2]).squeezed();
    plain("seresnet34", 0.875) => Shape::basic([3, 4, 6, 3]).squeezed();
    plain("seresnet50", 0.95) => Shape::bottleneck([3, 4, 6, 3]).squeezed();
    Spec { targets: CONVOLUTIONS, ..sized("seresnet152d", 256, 0.95) }
        => Shape::bottleneck([3, 8, 36, 3]).deep(D).averaged().squeezed();
    averaged("seresnext26d_32x4d", 0.875)
        => Shape::bottleneck([2, 2, 2, 2]).grouped(32, 4).deep(D).averaged().squeezed();
    averaged("seresnext26t_32x4d", 0.875)
        => Shape::bottleneck([2, 2, 2, 2]).grouped(32, 4).deep(T).averaged().squeezed();
    grouped("seresnext50_32x4d", 0.875) => Shape::bottleneck([3, 4, 6, 3]).grouped(32, 4).squeezed();
    grouped("seresnext101_32x4d", 0.875) => DEPTH_101.grouped(32, 4).squeezed();
    grouped("seresnext101_32x8d", 0.95) => DEPTH_101.grouped(32, 8).squeezed();
    averaged("seresnext101d_32x8d", 0.95)
        => DEPTH_101.grouped(32, 8).deep(D).averaged().squeezed();
    grouped("seresnext101_64x4d", 0.875) => DEPTH_101.grouped(64, 4).squeezed();
};

const DEPTH_101: Shape = Shape::bottleneck([3, 4, 23, 3]);

/// All convolutions but those of squeeze and excitation, which are small.
const CONVOLUTIONS: &str = r"(^|\.)conv\d?\.";

const fn plain(name: &'static str, crop: f32) -> Spec {
    Spec {
        name,
        crop,
        filter: Filter::Bicubic,
        targets: CONVOLUTIONS,
        dialects: const { &[dialect("timm", torchvision)] },
        ..resnet::SPEC
    }
}

const fn grouped(name: &'static str, crop: f32) -> Spec {
    Spec {
        targets: POINTWISE,
        ..plain(name, crop)
    }
}

const fn averaged(name: &'static str, crop: f32) -> Spec {
    Spec {
        targets: POINTWISE,
        ..sized(name, 224, crop)
    }
}
