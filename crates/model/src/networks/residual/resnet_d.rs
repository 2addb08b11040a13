//! Variants of ResNet with a deep stem: He et al. 2018 (arXiv:1812.01187, figure 2). C has the stem alone, D
//! means in the shortcuts as well; S is C with twice as many channels in the stem, and timm's T is D with fewer.

use finetune_data::Filter;

use super::names::{timm_averaged, timm_deep};
use super::shape::Shape;
use super::{ResNet, family, resnet};
use crate::networks::spec::{Entry, Spec, dialect};

pub(in crate::networks) const ARCHITECTURES: &[Entry<ResNet>] = family! {
    sized("resnet10t", 176, 0.875) => Shape::basic([1, 1, 1, 1]).deep(T).averaged();
    sized("resnet14t", 176, 0.875) => Shape::bottleneck([1, 1, 1, 1]).deep(T).averaged();
    sized("resnet18d", 224, 0.875) => Shape::basic([2, 2, 2, 2]).deep(D).averaged();
    sized("resnet26d", 224, 0.875) => Shape::bottleneck([2, 2, 2, 2]).deep(D).averaged();
    sized("resnet26t", 256, 0.94) => Shape::bottleneck([2, 2, 2, 2]).deep(T).averaged();
    sized("resnet34d", 224, 0.875) => Shape::basic([3, 4, 6, 3]).deep(D).averaged();
    sized("resnet50d", 224, 0.875) => Shape::bottleneck([3, 4, 6, 3]).deep(D).averaged();
    sized("resnet101d", 256, 0.95) => Shape::bottleneck([3, 4, 23, 3]).deep(D).averaged();
    sized("resnet152d", 256, 0.95) => Shape::bottleneck([3, 8, 36, 3]).deep(D).averaged();
    strided("resnet50c") => Shape::bottleneck([3, 4, 6, 3]).deep(D);
    strided("resnet50s") => Shape::bottleneck([3, 4, 6, 3]).deep([64, 64, 128]);
};

/// Channels of the stem.
pub(super) const D: [usize; 3] = [32, 32, 64];
/// Channels of the stem.
pub(super) const T: [usize; 3] = [24, 32, 64];

/// Means in the shortcuts. Preprocessing is that of timm's default weights.
pub(super) const fn sized(name: &'static str, image_size: usize, crop: f32) -> Spec {
    Spec {
        name,
        image_size,
        crop,
        filter: Filter::Bicubic,
        dialects: const { &[dialect("timm", timm_averaged)] },
        ..resnet::SPEC
    }
}

/// Strides in the shortcuts.
const fn strided(name: &'static str) -> Spec {
    Spec {
        dialects: const { &[dialect("timm", timm_deep)] },
        ..sized(name, 224, 0.875)
    }
}
