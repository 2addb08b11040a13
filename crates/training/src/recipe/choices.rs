//! The choices that a recipe makes between a few alternatives.

use serde::{Deserialize, Serialize};

/// The optimiser, with PyTorch's default settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015) with betas 0.9 and 0.999 and epsilon 1e-8. Weight decay is added
    /// to the gradient.
    Adam,
    /// `AdamW` (Loshchilov and Hutter 2019): Adam with decoupled weight decay.
    AdamW,
    /// Stochastic gradient descent with momentum 0.9.
    Sgd,
}

/// How much each class counts in the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every image counts the same.
    #[default]
    None,
    /// Every class counts the same: an image counts `images / (classes · images of its class)`.
    Balanced,
}

/// The epoch whose weights a run ends with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The last epoch.
    #[default]
    Last,
    /// The epoch with the highest validation accuracy; among equals, the one with the lowest
    /// validation loss.
    Best,
}

/// Where the features of frozen layers are cached.
///
/// Features can be cached if the images are not augmented at random, or in a fixed number of views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureCache {
    /// In memory up to 64 MiB. More is cached as with [`File`](Self::File) if the cache folder has
    /// room, otherwise as with [`Memory`](Self::Memory). If the file cannot be written, memory is
    /// used; if there is no room at all, nothing is cached.
    #[default]
    Auto,
    /// In memory, if the features fit into a quarter of the free memory.
    Memory,
    /// In a file of the cache folder, if the features fit into the folder's limit and into half of
    /// the free disk space. It is an error if the file cannot be written.
    File,
    /// Nowhere: features are computed at every step.
    Off,
}

/// The type in which features are cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureDtype {
    /// As computed. The run gives the same result as one without a cache.
    #[default]
    F32,
    /// Half the size, rounded to 11 significant bits. The result differs from that of `F32`, but is
    /// the same in every run. It is an error if the features of all frozen layers do not fit, or if
    /// one of them exceeds 65504.
    F16,
}
