//! The models by name, with what goes with each.

use burn::tensor::Device;
use finetune_data::{Filter, Normalization, Preprocess};
use finetune_methods::Method;
use finetune_methods::catalogue::Place;

use crate::error::ModelError;
use crate::init::{Init, initialize};
use crate::networks::vit::{PATCH, VitSize};
use crate::networks::{
    ChapterCnn, CifarResNet, ConvNext, InvertedResidualNet, Network, ResNet, VisionTransformer,
    chapter, cifar_resnet, convnext, inverted_residual, resnet, vit,
};

/// What is known of an architecture before it is built.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    /// Its name on the command line.
    pub name: &'static str,
    /// Side of its images, pixels: its default's, or the one chosen with [`Architecture::at`].
    pub image_size: usize,
    /// Which other sides work as well.
    pub sizes: Sizes,
    /// What images are normalised with.
    pub normalization: Normalization,
    /// How images are resized.
    pub filter: Filter,
    /// Share of the resized image's side that the centre crop keeps: 224 of 256 is 0.875.
    pub crop: f32,
    /// Path of the head in Burn's names.
    pub head: &'static str,
    /// Pattern of the layers that get an adapter unless told otherwise.
    pub targets: &'static str,
    /// Where a transformer's blocks take what stands beside them; `None` elsewhere.
    pub blocks: Option<Blocks>,
    /// How weights start that are not loaded.
    pub init: Init,
    /// What its tensors are called in PyTorch's libraries; files are written in the first.
    pub(crate) dialects: &'static [Dialect],
    build: fn(&Self, usize, &Device) -> Network,
}

/// Patterns of the layers of a transformer's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// The layer that prompts are put before.
    pub attention: &'static str,
    /// The layer that a bottleneck stands beside.
    pub feed_forward: &'static str,
}

/// Which image sizes a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Its own only.
    Fixed,
    /// Any height and width from this many pixels on.
    From(usize),
    /// Squares whose side is a multiple of this; the position embedding is fitted when weights are
    /// loaded.
    MultipleOf(usize),
}

/// The names that a library gives to an architecture's tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The library; several with commas.
    pub library: &'static str,
    /// From a path in Burn's names (norms' `gamma` and `beta` already `weight` and `bias`).
    pub name: fn(&str) -> String,
}

const fn dialect(library: &'static str, name: fn(&str) -> String) -> Dialect {
    Dialect { library, name }
}

const CIFAR: Architecture = Architecture {
    name: "resnet8",
    image_size: 32,
    sizes: Sizes::From(8),
    normalization: Normalization {
        mean: [0.5; 3],
        std: [0.25; 3],
    },
    filter: Filter::Bilinear,
    crop: 1.0,
    head: "linear",
    targets: "all",
    blocks: None,
    init: Init::KaimingNormal,
    dialects: &[
        dialect("pytorch_resnet_cifar10", str::to_owned),
        dialect("others", cifar_resnet::with_fc),
    ],
    build: cifar::<1, 1>,
};

const CIFAR_64: Architecture = Architecture {
    name: "resnet8-64",
    image_size: 64,
    build: cifar::<1, 2>,
    ..CIFAR
};

fn cifar<const BLOCKS: usize, const STRIDE: usize>(
    _: &Architecture,
    classes: usize,
    device: &Device,
) -> Network {
    Network::CifarResNet(CifarResNet::new(BLOCKS, STRIDE, classes, device))
}

const RESNET: Architecture = Architecture {
    name: "resnet18",
    image_size: 224,
    sizes: Sizes::From(32),
    normalization: Normalization::IMAGENET,
    crop: 0.875,
    head: "fc",
    dialects: &[dialect("torchvision, timm", resnet::torchvision)],
    build: |_, classes, device| Network::ResNet(ResNet::new([2, 2, 2, 2], false, classes, device)),
    ..CIFAR
};

const MOBILENET_V2: Architecture = Architecture {
    name: "mobilenet_v2",
    head: "classifier",
    // The 1×1 convolutions: nearly all of the weights. A depthwise one has 9 a channel.
    targets: r"(expand|project|last)\.conv\.",
    dialects: &[
        dialect("torchvision", inverted_residual::torchvision_mobilenet),
        dialect("timm", inverted_residual::timm_mobilenet),
    ],
    build: |_, classes, device| {
        Network::InvertedResidual(InvertedResidualNet::mobilenet_v2(classes, device))
    },
    ..RESNET
};

const VIT_TINY: Architecture = Architecture {
    name: "vit_tiny_patch16_224",
    sizes: Sizes::MultipleOf(PATCH),
    normalization: Normalization::HALF,
    filter: Filter::Bicubic,
    crop: 0.9,
    head: "head",
    targets: "all-linear",
    blocks: Some(Blocks {
        attention: r"attn\.qkv\.",
        feed_forward: r"mlp\.fc1\.",
    }),
    init: Init::Normal,
    dialects: &[
        dialect("timm", vit::timm),
        dialect("torchvision", vit::torchvision),
        dialect("torchvision", vit::torchvision_old),
    ],
    build: |architecture, classes, device| vit(architecture, VIT_TINY_SIZE, classes, device),
    ..RESNET
};

const VIT_SMALL: Architecture = Architecture {
    name: "vit_small_patch16_224",
    build: |architecture, classes, device| vit(architecture, VIT_SMALL_SIZE, classes, device),
    ..VIT_TINY
};

const VIT_BASE: Architecture = Architecture {
    name: "vit_base_patch16_224",
    build: |architecture, classes, device| vit(architecture, VIT_BASE_SIZE, classes, device),
    ..VIT_TINY
};

/// torchvision's: the same network as `vit_base_patch16_224` under other names, and other images.
const VIT_B_16: Architecture = Architecture {
    name: "vit_b_16",
    normalization: Normalization::IMAGENET,
    filter: Filter::Bilinear,
    crop: 0.875,
    dialects: &[
        dialect("torchvision", vit::torchvision),
        dialect("torchvision", vit::torchvision_old),
    ],
    ..VIT_BASE
};

const VIT_TINY_SIZE: VitSize = vit_size(192, 3);
const VIT_SMALL_SIZE: VitSize = vit_size(384, 6);
const VIT_BASE_SIZE: VitSize = vit_size(768, 12);

const fn vit_size(width: usize, heads: usize) -> VitSize {
    VitSize {
        width,
        depth: 12,
        heads,
    }
}

fn vit(architecture: &Architecture, shape: VitSize, classes: usize, device: &Device) -> Network {
    let side = architecture.image_size;
    Network::VisionTransformer(VisionTransformer::new(shape, side, classes, device))
}

const fn named(name: &'static str, architecture: Architecture) -> Architecture {
    Architecture {
        name,
        ..architecture
    }
}

/// DeiT's are ViT's of the same size, with `ImageNet`'s normalisation.
const fn deit(name: &'static str, vit: Architecture) -> Architecture {
    Architecture {
        name,
        normalization: Normalization::IMAGENET,
        ..vit
    }
}

macro_rules! cifar {
    ($name:literal, $base:ident, $blocks:literal, $stride:literal) => {
        Architecture {
            build: cifar::<$blocks, $stride>,
            ..named($name, $base)
        }
    };
}

/// All models.
///
/// `resnet8` to `resnet56` are He et al.'s for images of 32×32; those with `-64` have a first
/// convolution of stride 2, for images of 64×64. The others carry torchvision's or timm's names.
///
/// A checkpoint is recognised as the first that fits.
pub const ARCHITECTURES: &[Architecture] = &[
    CIFAR,
    cifar!("resnet14", CIFAR, 2, 1),
    cifar!("resnet20", CIFAR, 3, 1),
    cifar!("resnet32", CIFAR, 5, 1),
    cifar!("resnet44", CIFAR, 7, 1),
    cifar!("resnet56", CIFAR, 9, 1),
    CIFAR_64,
    cifar!("resnet14-64", CIFAR_64, 2, 2),
    cifar!("resnet20-64", CIFAR_64, 3, 2),
    Architecture {
        name: "chapter",
        image_size: ChapterCnn::SIDE,
        sizes: Sizes::Fixed,
        normalization: Normalization::HALF,
        head: "head",
        // Not the convolution: it sees 27 values, so rank 8 has 728 parameters beside its 1728 and
        // takes longer than itself.
        targets: "all-linear",
        init: Init::Torch,
        dialects: &[
            dialect("the chapter", chapter::with_flatten),
            dialect("the chapter", chapter::without_flatten),
        ],
        build: |_, classes, device| Network::Chapter(ChapterCnn::new(classes, device)),
        ..CIFAR
    },
    RESNET,
    Architecture {
        build: |_, classes, device| {
            Network::ResNet(ResNet::new([3, 4, 6, 3], false, classes, device))
        },
        ..named("resnet34", RESNET)
    },
    Architecture {
        build: |_, classes, device| {
            Network::ResNet(ResNet::new([3, 4, 6, 3], true, classes, device))
        },
        ..named("resnet50", RESNET)
    },
    MOBILENET_V2,
    Architecture {
        name: "efficientnet_b0",
        filter: Filter::Bicubic,
        dialects: &[
            dialect("torchvision", inverted_residual::torchvision_efficientnet),
            dialect("timm", inverted_residual::timm_efficientnet),
        ],
        build: |_, classes, device| {
            Network::InvertedResidual(InvertedResidualNet::efficientnet_b0(classes, device))
        },
        ..MOBILENET_V2
    },
    Architecture {
        name: "convnext_tiny",
        crop: 224.0 / 236.0,
        head: "head",
        targets: r"fc[12]\.",
        init: Init::Normal,
        dialects: &[
            dialect("torchvision", convnext::torchvision),
            dialect("timm", convnext::timm),
        ],
        build: |_, classes, device| Network::ConvNext(ConvNext::tiny(classes, device)),
        ..RESNET
    },
    VIT_TINY,
    VIT_SMALL,
    // Before `vit_base`, so that torchvision's names are recognised as torchvision's.
    VIT_B_16,
    VIT_BASE,
    deit("deit_tiny_patch16_224", VIT_TINY),
    deit("deit_small_patch16_224", VIT_SMALL),
    deit("deit_base_patch16_224", VIT_BASE),
];

impl Architecture {
    /// The architecture of that name, at its default image size.
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

    /// The architecture for square images of that side, pixels.
    ///
    /// # Errors
    ///
    /// [`ModelError::ImageSize`] where it does not take them.
    pub fn at(&self, image_size: usize) -> Result<Self, ModelError> {
        let wanted = match self.sizes {
            Sizes::Fixed if image_size != self.image_size => {
                format!("{0}×{0} pixels", self.image_size)
            }
            Sizes::From(least) if image_size < least => format!("{least}×{least} pixels or more"),
            Sizes::MultipleOf(patch) if image_size == 0 || !image_size.is_multiple_of(patch) => {
                format!("a multiple of {patch} pixels on each side")
            }
            _ => {
                return Ok(Self {
                    image_size,
                    ..*self
                });
            }
        };
        Err(ModelError::ImageSize {
            model: self.name,
            wanted,
            side: image_size,
        })
    }

    /// The libraries whose names for its tensors are known; the first one's are written.
    #[must_use]
    pub fn libraries(&self) -> Vec<&'static str> {
        let mut libraries: Vec<_> = self
            .dialects
            .iter()
            .flat_map(|dialect| dialect.library.split(", "))
            .collect();
        libraries.dedup();
        libraries
    }

    /// How an image becomes what the network takes, as the weights' publishers do it: the shorter
    /// side resized to `image_size / crop`, then the centre.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        Preprocess {
            filter: self.filter,
            crop: self.crop,
            ..Preprocess::square(self.image_size)
        }
    }

    /// Builds the network with `classes` outputs and seeded random weights.
    #[must_use]
    pub fn build(&self, classes: usize, seed: u64, device: &Device) -> Network {
        initialize(self.skeleton(classes, device), self.init, seed)
    }

    /// Builds the network without choosing its weights: for loading all of them.
    pub(crate) fn skeleton(&self, classes: usize, device: &Device) -> Network {
        (self.build)(self, classes, device)
    }

    /// What a library calls the tensors; the first one's names where none is asked for.
    pub(crate) fn names(&self, library: Option<&str>) -> Result<fn(&str) -> String, ModelError> {
        let Some(library) = library else {
            return Ok(self.all_names().next().unwrap_or(str::to_owned));
        };
        let mut dialects = self.dialects.iter();
        let found =
            dialects.find(|dialect| dialect.library.split(", ").any(|name| name == library));
        match found {
            Some(dialect) => Ok(dialect.name),
            None => Err(ModelError::UnknownLibrary {
                library: library.to_owned(),
                model: self.name,
                known: self.libraries(),
            }),
        }
    }

    /// The names of every library that knows the architecture.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = fn(&str) -> String> + use<> {
        self.dialects.iter().map(|dialect| dialect.name)
    }

    /// Pattern of the layers that get an adapter of a method unless told otherwise.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoBlocks`] where the method stands beside a transformer's blocks and this is
    /// none.
    pub fn targets_of(&self, method: &Method) -> Result<&'static str, ModelError> {
        let blocks = || {
            self.blocks.ok_or(ModelError::NoBlocks {
                model: self.name,
                method: method.name(),
            })
        };
        match method.place() {
            Place::FeedForward => Ok(blocks()?.feed_forward),
            Place::Attention => Ok(blocks()?.attention),
            Place::AnyLayer | Place::Nowhere => Ok(self.targets),
        }
    }
}
