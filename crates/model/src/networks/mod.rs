//! The networks, one definition each, of layers that adapters can sit on.
//!
//! Paths are Burn's field names; each network's file also says what the same tensors are called
//! in PyTorch's libraries.

pub(crate) mod architecture;
pub(crate) mod blocks;
pub(crate) mod chapter;
pub(crate) mod cifar_resnet;
pub(crate) mod convnext;
pub(crate) mod init;
pub(crate) mod inverted_residual;
pub(crate) mod resnet;
mod stages;
pub(crate) mod vit;

use burn::Tensor;
use burn::module::Module;

pub use chapter::ChapterCnn;
pub use cifar_resnet::CifarResNet;
pub use convnext::ConvNext;
pub use inverted_residual::InvertedResidualNet;
pub use resnet::ResNet;
pub use stages::{Feature, Features, Stage, Staged};
pub use vit::{VisionTransformer, VitSize};

/// A network of any architecture.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Network {
    /// Of the CIFAR ResNet family.
    CifarResNet(CifarResNet),
    /// The chapter's own.
    Chapter(ChapterCnn),
    /// ResNet-18, -34 or -50.
    ResNet(ResNet),
    /// MobileNetV2 or EfficientNet-B0.
    InvertedResidual(InvertedResidualNet),
    /// A Vision Transformer.
    VisionTransformer(VisionTransformer),
    /// `ConvNeXt`-Tiny.
    ConvNext(ConvNext),
}

impl Network {
    /// Logits `[batch, classes]` of normalised images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        stages::logits(self, images)
    }
}

impl Staged for Network {
    fn stages(&self) -> Vec<Stage<'_>> {
        match self {
            Self::CifarResNet(network) => network.stages(),
            Self::Chapter(network) => network.stages(),
            Self::ResNet(network) => network.stages(),
            Self::InvertedResidual(network) => network.stages(),
            Self::VisionTransformer(network) => network.stages(),
            Self::ConvNext(network) => network.stages(),
        }
    }
}
