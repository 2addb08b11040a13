//! The networks: one file per family, with its architectures, their preprocessing, and the names that
//! PyTorch's libraries have for its tensors.
//!
//! A new family of a known kind of network is one file with a table, and one word in `families!` in this
//! one. A new kind is one file and one row. Paths of parameters are Burn's: the names of the fields.

mod attention;
mod blocks;
mod chapter;
mod cifar_resnet;
pub(crate) mod classifier;
mod convnext;
mod densenet;
mod inception;
pub(crate) mod init;
mod inverted_residual;
mod names;
mod residual;
mod settings;
mod spec;
mod squeeze;
mod stages;
mod stochastic_depth;
mod swin;
mod transformer;
mod vgg;

use std::ops::Deref;

use burn::Tensor;
use burn::module::Module;
use burn::tensor::Device;
use finetune_data::{Filter, Normalization};
use finetune_methods::Method;

pub use self::classifier::{Classifier, Mlp};
pub use self::convnext::ConvNextSize;
use self::convnext::{first as convnext_first, second as convnext_second};
pub use self::init::Init;
use self::inverted_residual::{
    efficientnet, efficientnet_lite, efficientnet_v2, mobilenet_v1, mobilenet_v2, mobilenet_v3,
    mobilenet_v4,
};
use self::residual::{regnet, resnet, resnet_d, resnext, seresnet};
pub use self::settings::{Setting, Settings};
pub(crate) use self::spec::Dialect;
pub use self::spec::{Blocks, Sizes, Spec};
pub use self::stages::{Feature, Features, Stage, Staged};
pub use self::stochastic_depth::StochasticDepth;
pub use self::swin::SwinSize;
use self::swin::{first as swin_first, second as swin_second};
pub use self::transformer::{MlpKind, Pool, Positions, QkvBias, TransformerShape};
use self::transformer::{beit, clip, dinov2, dinov3, eva02, siglip, vit};
use crate::error::ModelError;

/// Makes [`Network`], what is delegated to its kinds, and [`ARCHITECTURES`]. A row has a kind of network and
/// the modules of its families, each with a table.
macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident($kind:ident::$network:ident): $($family:ident),+;)+) => {
        $(pub use self::$kind::$network;)+

        /// A network of any kind.
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant)]
        pub enum Network {
            $($(#[$doc])* $variant($network),)+
        }

        impl Staged for Network {
            fn stages(&self) -> Vec<Stage<'_>> {
                match self {
                    $(Self::$variant(network) => network.stages(),)+
                }
            }

            fn classifier(&mut self) -> &mut Classifier {
                match self {
                    $(Self::$variant(network) => network.classifier(),)+
                }
            }

            fn beside_head(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(network) => network.beside_head(),)+
                }
            }

            fn settings(&self) -> Settings {
                match self {
                    $(Self::$variant(network) => network.settings(),)+
                }
            }
        }

        /// The function that builds an architecture.
        #[derive(Debug, Clone, Copy)]
        enum Builder {
            $($variant(fn(&Spec, usize, &Device) -> $network),)+
        }

        impl Builder {
            fn build(self, spec: &Spec, classes: usize, device: &Device) -> Network {
                match self {
                    $(Self::$variant(build) => Network::$variant(build(spec, classes, device)),)+
                }
            }
        }

        const COUNT: usize = 0 $($(+ $family::ARCHITECTURES.len())+)+;

        const ALL: [Architecture; COUNT] = {
            const FIRST_OF_FAMILIES: &[Architecture] = &[$($(Architecture {
                spec: $family::ARCHITECTURES[0].spec,
                builder: Builder::$variant($family::ARCHITECTURES[0].build),
                family: stringify!($family),
                head_hidden: None,
            }),+),+];
            let mut all = [FIRST_OF_FAMILIES[0]; COUNT];
            let mut next = 0;
            $($({
                let mut index = 0;
                while index < $family::ARCHITECTURES.len() {
                    let entry = &$family::ARCHITECTURES[index];
                    all[next] = Architecture {
                        spec: entry.spec,
                        builder: Builder::$variant(entry.build),
                        family: stringify!($family),
                        head_hidden: None,
                    };
                    index += 1;
                    next += 1;
                }
            })+)+
            all
        };
    };
}

// In the order in which a weights file is recognised.
families! {
    /// A residual network for small images.
    CifarResNet(cifar_resnet::CifarResNet): cifar_resnet;
    /// The network of the chapter.
    Chapter(chapter::ChapterCnn): chapter;
    /// A residual network for large images.
    ResNet(residual::ResNet): resnet, resnet_d, resnext, seresnet, regnet;
    /// A network of inverted residual blocks.
    InvertedResidual(inverted_residual::InvertedResidualNet): mobilenet_v2, efficientnet,
        efficientnet_lite, efficientnet_v2, mobilenet_v3, mobilenet_v4, mobilenet_v1;
    /// A `DenseNet`.
    DenseNet(densenet::DenseNet): densenet;
    /// An Inception network.
    Inception(inception::Inception): inception;
    /// A VGG.
    Vgg(vgg::Vgg): vgg;
    /// A `ConvNeXt`.
    ConvNext(convnext::ConvNext): convnext_first, convnext_second;
    /// A Swin Transformer.
    Swin(swin::Swin): swin_first, swin_second;
    /// A Vision Transformer.
    VisionTransformer(transformer::VisionTransformer): vit, dinov2, dinov3, clip, siglip, eva02,
        beit;
}

/// All architectures.
///
/// `resnet8` to `resnet56` are those of He et al. for images of 32×32; those with `-64` are for images of
/// 64×64. The others have the names of torchvision or timm.
///
/// A weights file is recognised as the first architecture that it fits.
pub const ARCHITECTURES: &[Architecture] = &ALL;

/// An architecture: its [`Spec`], whose fields it lends, and how it is built.
#[derive(Debug, Clone, Copy)]
pub struct Architecture {
    spec: Spec,
    builder: Builder,
    family: &'static str,
    /// Units of the hidden layer of its head, if that has one.
    head_hidden: Option<usize>,
}

impl Deref for Architecture {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl Network {
    /// Logits `[batch, classes]` of normalised images `[batch, 3, height, width]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        stages::logits(self, images)
    }
}

impl Architecture {
    /// The architecture of this name, or with this [alias](Spec::aliases), with its default image size.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownModel`] if there is none; it lists all names.
    pub fn find(name: &str) -> Result<&'static Self, ModelError> {
        ARCHITECTURES
            .iter()
            .find(|architecture| architecture.is_called(name))
            .ok_or_else(|| ModelError::UnknownModel {
                name: name.to_owned(),
                known: ARCHITECTURES
                    .iter()
                    .map(|architecture| architecture.name)
                    .collect(),
            })
    }

    /// The name of its family: that of the module that has its table.
    #[must_use]
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// The architecture for square images with sides of `image_size` pixels.
    ///
    /// # Errors
    ///
    /// [`ModelError::ImageSize`] if it does not take them.
    pub fn at(&self, image_size: usize) -> Result<Self, ModelError> {
        let most = finetune_data::Preprocess::MOST_SIDE;
        let wanted = match self.sizes {
            _ if image_size > most => format!("at most {most}×{most} pixels"),
            Sizes::Fixed if image_size != self.image_size => {
                format!("{0}×{0} pixels", self.image_size)
            }
            Sizes::From(least) if image_size < least => format!("{least}×{least} pixels or more"),
            Sizes::MultipleOf(patch) if image_size == 0 || !image_size.is_multiple_of(patch) => {
                format!("a multiple of {patch} pixels on each side")
            }
            _ => {
                let mut at = *self;
                at.spec.image_size = image_size;
                return Ok(at);
            }
        };
        Err(ModelError::ImageSize {
            model: self.name,
            wanted,
            side: image_size,
        })
    }

    /// The architecture with a hidden layer of so many units in its head, or with a linear head.
    #[must_use]
    pub fn with_head_hidden(&self, units: Option<usize>) -> Self {
        Self {
            head_hidden: units,
            ..*self
        }
    }

    /// Whether it computes the same with the same tensors as the architecture of this name.
    #[must_use]
    pub fn computes_as(&self, other: &str) -> bool {
        let root = |one: &Spec| one.same_network_as.unwrap_or(one.name);
        let other = ARCHITECTURES.iter().find(|one| one.name == other);
        other.is_some_and(|other| root(other) == root(self))
    }

    /// The architecture for images that are prepared in another way.
    #[must_use]
    pub fn prepared(&self, normalization: Normalization, filter: Filter, crop: f32) -> Self {
        let mut prepared = *self;
        prepared.spec = Spec {
            normalization,
            filter,
            crop,
            ..self.spec
        };
        prepared
    }

    /// The settings of its network by the names that transformers has for them: see [`Staged::settings`].
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.uninitialized(1, &Device::flex()).settings()
    }

    /// Builds the network with `classes` outputs and random weights from a seed.
    #[must_use]
    pub fn build(&self, classes: usize, seed: u64, device: &Device) -> Network {
        init::initialize(self.uninitialized(classes, device), self.init, seed)
    }

    /// Builds the network without initialising its weights, for loading all of them.
    pub(crate) fn uninitialized(&self, classes: usize, device: &Device) -> Network {
        let mut network = self.builder.build(&self.spec, classes, device);
        if let Some(units) = self.head_hidden {
            let head = network.classifier();
            *head = head.with_hidden(units);
        }
        network
    }

    /// The function from a path in Burn's names, in which the `gamma` and `beta` of normalisations are
    /// already called `weight` and `bias`, to the name in a library; without a library, in the first.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownLibrary`] if the library's names are not known.
    pub fn names(&self, library: Option<&str>) -> Result<fn(&str) -> String, ModelError> {
        Ok(self.dialect(library)?.name)
    }

    /// The names of a library; without a library, those of the first.
    pub(crate) fn dialect(&self, library: Option<&str>) -> Result<Dialect, ModelError> {
        let is_wanted = |dialect: &&Dialect| {
            library.is_none_or(|library| dialect.library.split(", ").any(|name| name == library))
        };
        let found = self.dialects.iter().find(is_wanted).copied();
        found.ok_or_else(|| ModelError::UnknownLibrary {
            library: library.unwrap_or_default().to_owned(),
            model: self.name,
            known: self.libraries(),
        })
    }

    /// The functions from a path to its name, of all libraries.
    pub(crate) fn all_names(&self) -> impl Iterator<Item = fn(&str) -> String> + use<> {
        self.dialects.iter().map(|dialect| dialect.name)
    }

    /// Pattern of the layers that get an adapter of a method by default.
    ///
    /// # Errors
    ///
    /// [`ModelError::NoBlocks`] if the method works beside the blocks of a transformer and this network
    /// has none.
    pub fn targets_of(&self, method: &Method) -> Result<&'static str, ModelError> {
        let blocks = || {
            self.blocks.ok_or(ModelError::NoBlocks {
                model: self.name,
                method: method.name(),
            })
        };
        match method {
            Method::Adaptformer(_) => Ok(blocks()?.feed_forward),
            Method::VptDeep(_) => Ok(blocks()?.attention),
            _ => Ok(self.targets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_unique() {
        let mut names: Vec<&str> = ARCHITECTURES
            .iter()
            .flat_map(|one| one.aliases.iter().copied().chain([one.name]))
            .collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(
            Architecture::find("mobilenetv2_100").unwrap().name,
            "mobilenet_v2"
        );
    }
}
