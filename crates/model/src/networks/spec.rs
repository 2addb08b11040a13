//! What is known of an architecture before it is built.

use burn::tensor::Device;
use finetune_data::{Filter, Normalization, Preprocess};

use super::init::Init;

/// What is known of an architecture before it is built.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name on the command line.
    pub name: &'static str,
    /// Other names that timm, torchvision or `open_clip` have for it, or for networks that compute the same
    /// with the same tensors.
    pub aliases: &'static [&'static str],
    /// Another architecture that computes the same with the same tensors, from images that are prepared in
    /// another way.
    pub same_network_as: Option<&'static str>,
    /// Side of its images in pixels: the default, or the one chosen with
    /// [`Architecture::at`](super::Architecture::at).
    pub image_size: usize,
    /// Which other sides it takes.
    pub sizes: Sizes,
    /// How its images are normalised.
    pub normalization: Normalization,
    /// How its images are resized.
    pub filter: Filter,
    /// Side of the centre crop as a share of the side of the resized image: 224 of 256 is 0.875.
    pub crop: f32,
    /// Entries of the position embedding that come before those of the patches.
    pub prefix_tokens: usize,
    /// Path of the head, in Burn's names.
    pub head: &'static str,
    /// Pattern of the layers that get an adapter by default.
    pub targets: &'static str,
    /// The layers of a transformer block that some methods work beside; `None` for other networks.
    pub blocks: Option<Blocks>,
    /// Probability with which torchvision or timm leave out residual branches of the last block when all
    /// weights train: see [`StochasticDepth`](super::StochasticDepth). It falls to 0 towards the first
    /// block. `None` if the network has no stochastic depth.
    pub drop_path: Option<f64>,
    /// Probability of the dropout that they have before the head.
    pub head_dropout: f64,
    /// How weights that are not loaded are initialised.
    pub init: Init,
    /// The names that PyTorch's libraries have for its tensors. Files are written with the first.
    pub(crate) dialects: &'static [Dialect],
}

/// Patterns of two layers of each transformer block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// The layer before which prompts are inserted.
    pub attention: &'static str,
    /// The layer that a bottleneck works beside.
    pub feed_forward: &'static str,
}

/// The image sizes that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Its own only.
    Fixed,
    /// Any height and width of this many pixels or more.
    From(usize),
    /// Squares whose side is a multiple of this. The position embedding is resampled when weights are
    /// loaded.
    MultipleOf(usize),
}

/// The names that a library has for the tensors of an architecture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The library, or several of them separated by commas.
    pub(crate) library: &'static str,
    /// From a path in Burn's names to the name in the library. The `gamma` and `beta` of normalisations
    /// are already called `weight` and `bias`.
    ///
    /// If the library has several tensors for it, their names stand in braces: with
    /// `attention.{query,key,value}.weight`, the rows of `attention.query.weight` come first. A `0` among
    /// them stands for zeros that the library does not store: `attn.{q_bias,0,v_bias}`.
    pub(crate) name: fn(&str) -> String,
    /// Whether the library has a position for the class token of a transformer that has none here. It is
    /// added to the token when a file is read, and written as zeros.
    pub(crate) class_position: bool,
    /// Changes the shape of the tensor at a path from that of PyTorch's layer to the library's, where they
    /// differ in axes of length 1 or in how the inputs of a matrix are divided. Only what is written needs
    /// it: reading takes both.
    pub(crate) shape: fn(&str, &mut Vec<usize>),
}

/// One architecture of the family of networks `N`.
pub(crate) struct Entry<N> {
    pub(crate) spec: Spec,
    /// Builds the network with a number of classes. Its weights need not be initialised.
    pub(crate) build: fn(&Spec, usize, &Device) -> N,
}

/// A dialect, for the tables of the families.
pub(crate) const fn dialect(library: &'static str, name: fn(&str) -> String) -> Dialect {
    Dialect {
        library,
        name,
        class_position: false,
        shape: |_, _| {},
    }
}

impl Dialect {
    /// The same names with other shapes.
    pub(crate) const fn shaped(self, shape: fn(&str, &mut Vec<usize>)) -> Self {
        Self { shape, ..self }
    }

    /// The same in a library that has a position for the class token.
    pub(crate) const fn with_class_position(self) -> Self {
        Self {
            class_position: true,
            ..self
        }
    }
}

impl Spec {
    /// Whether this is its name or one of its [aliases](Self::aliases).
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// How an image becomes what the network takes, as the publishers of the weights do it: the shorter
    /// side is resized to `image_size / crop`, then the centre is cropped.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        Preprocess {
            filter: self.filter,
            crop: self.crop,
            ..Preprocess::square(self.image_size)
        }
    }

    /// The libraries whose names for the tensors are known. Files are written with those of the first.
    #[must_use]
    pub fn libraries(&self) -> Vec<&'static str> {
        let mut libraries = Vec::new();
        for dialect in self.dialects {
            for library in dialect.library.split(", ") {
                // Of some, there are names of several versions.
                if !libraries.contains(&library) {
                    libraries.push(library);
                }
            }
        }
        libraries
    }
}
