//! The models by name, with what goes with each.

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use finetune_methods::{MethodError, Targets};

use crate::chapter::ChapterCnn;
use crate::error::ModelError;
use crate::init::{Init, initialize};
use crate::resnet::CifarResNet;

/// What is known of an architecture before it is built.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// Its name on the command line.
    pub name: &'static str,
    /// Default side of its images, pixels.
    pub image_size: usize,
    /// Whether other sides work as well.
    pub any_size: bool,
    /// Mean of each channel that images are normalised with, of values in 0–1.
    pub mean: [f32; 3],
    /// Standard deviation likewise.
    pub std: [f32; 3],
    /// Path of the head in Burn's names.
    pub head: &'static str,
    /// Pattern of the layers that get an adapter unless told otherwise.
    pub targets: &'static str,
    /// How weights start that are not loaded.
    pub init: Init,
    /// Pairs of a path's start in Burn's names and in PyTorch's, where they differ.
    pub(crate) rename: &'static [(&'static str, &'static str)],
    /// Other names of a checkpoint's tensors: its start, and the start it stands for.
    pub(crate) alias: &'static [(&'static str, &'static str)],
    build: fn(usize, &Device) -> Network,
}

const RESNET: Architecture = Architecture {
    name: "resnet8",
    image_size: 32,
    any_size: true,
    mean: [0.5; 3],
    std: [0.25; 3],
    head: "linear",
    targets: "all",
    init: Init::KaimingNormal,
    rename: &[],
    alias: &[("fc", "linear")],
    build: resnet::<1, 1>,
};

const RESNET_64: Architecture = Architecture {
    name: "resnet8-64",
    image_size: 64,
    build: resnet::<1, 2>,
    ..RESNET
};

fn resnet<const BLOCKS: usize, const STRIDE: usize>(classes: usize, device: &Device) -> Network {
    Network::CifarResNet(CifarResNet::new(BLOCKS, STRIDE, classes, device))
}

/// All models.
///
/// `resnetN` are He et al.'s for images of 32×32; `resnetN-64` have a first convolution of stride
/// 2, for images of 64×64.
pub const ARCHITECTURES: &[Architecture] = &[
    RESNET,
    Architecture {
        name: "resnet14",
        build: resnet::<2, 1>,
        ..RESNET
    },
    Architecture {
        name: "resnet20",
        build: resnet::<3, 1>,
        ..RESNET
    },
    RESNET_64,
    Architecture {
        name: "resnet14-64",
        build: resnet::<2, 2>,
        ..RESNET_64
    },
    Architecture {
        name: "resnet20-64",
        build: resnet::<3, 2>,
        ..RESNET_64
    },
    Architecture {
        name: "chapter",
        image_size: ChapterCnn::SIDE,
        any_size: false,
        mean: [0.5; 3],
        std: [0.5; 3],
        head: "head",
        // Not the convolution: it sees 27 values, so rank 8 has 728 parameters beside its 1728 and
        // takes longer than itself.
        targets: "all-linear",
        init: Init::Torch,
        rename: &[("conv", "0"), ("hidden", "4"), ("head", "6")],
        // The same sequence without a `Flatten` in it.
        alias: &[("3", "4"), ("5", "6")],
        build: |classes, device| Network::Chapter(ChapterCnn::new(classes, device)),
    },
];

impl Architecture {
    /// The architecture of that name.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownModel`], with all names.
    pub fn find(name: &str) -> Result<&'static Self, ModelError> {
        ARCHITECTURES
            .iter()
            .find(|architecture| architecture.name == name)
            .ok_or_else(|| ModelError::UnknownModel {
                name: name.to_owned(),
                known: ARCHITECTURES
                    .iter()
                    .map(|architecture| architecture.name)
                    .collect(),
            })
    }

    /// Builds the network with `classes` outputs and seeded random weights.
    #[must_use]
    pub fn build(&self, classes: usize, seed: u64, device: &Device) -> Network {
        initialize(self.skeleton(classes, device), self.init, seed)
    }

    /// Builds the network without choosing its weights: for loading all of them.
    pub(crate) fn skeleton(&self, classes: usize, device: &Device) -> Network {
        (self.build)(classes, device)
    }

    /// Checks that the network takes images of that size.
    ///
    /// # Errors
    ///
    /// [`ModelError::ImageSize`] where it does not.
    pub fn check_image_size(&self, height: usize, width: usize) -> Result<(), ModelError> {
        let fits = if self.any_size {
            height >= 8 && width >= 8
        } else {
            (height, width) == (self.image_size, self.image_size)
        };
        if fits {
            return Ok(());
        }
        let wanted = if self.any_size {
            "8×8 pixels or more".to_owned()
        } else {
            format!("{0}×{0} pixels", self.image_size)
        };
        Err(ModelError::ImageSize {
            model: self.name,
            wanted,
            height,
            width,
        })
    }

    /// The layers that get an adapter unless told otherwise.
    ///
    /// # Errors
    ///
    /// None for the models of [`ARCHITECTURES`]; a test holds their patterns valid.
    pub fn default_targets(&self) -> Result<Targets, MethodError> {
        Targets::parse(self.targets)
    }
}

/// A network of any architecture.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Network {
    /// Of the CIFAR ResNet family.
    CifarResNet(CifarResNet),
    /// The chapter's own.
    Chapter(ChapterCnn),
}

impl Network {
    /// Logits `[batch, classes]` of normalised images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::CifarResNet(network) => network.forward(images),
            Self::Chapter(network) => network.forward(images),
        }
    }
}
