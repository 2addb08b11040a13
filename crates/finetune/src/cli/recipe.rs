//! How a model is trained.

use clap::{Args, ValueEnum};
use finetune_data::Augment;
use finetune_training::{FeatureCache, Optimizer, Schedule};

use super::arg_enum;

/// The recipe's settings; each one that is not given is the method's own.
#[derive(Debug, Clone, Args)]
pub struct RecipeArgs {
    /// Settings of a published recipe
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images a step
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Learning rate; of all methods [default: each method's own]
    #[arg(long)]
    pub lr: Option<f64>,
    /// Optimiser
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerArg>,
    /// How the learning rate changes
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleArg>,
    /// Weight decay
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Label smoothing
    #[arg(long)]
    pub label_smoothing: Option<f64>,
    /// Random changes of the training images
    #[arg(long, value_enum)]
    pub augment: Option<AugmentArg>,
    /// Whether what frozen layers make of the images is computed once, where nothing random happens
    /// to them and it fits a quarter of the free memory; results are the same
    #[arg(long, value_enum, default_value_t = FeatureCacheArg::Auto)]
    pub feature_cache: FeatureCacheArg,
}

/// A published recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The textbook chapter's: its network, batches of 64, Adam at 0.001, 10 epochs
    Chapter,
}

arg_enum!(
    /// An optimiser.
    OptimizerArg => Optimizer { Adam, AdamW, Sgd }
);
arg_enum!(
    /// Whether features of frozen layers are kept.
    FeatureCacheArg => FeatureCache { Auto, Off }
);
arg_enum!(
    /// A schedule.
    ScheduleArg => Schedule { Constant, Cosine, OneCycle }
);

/// Strength of augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentArg {
    /// None
    None,
    /// Small shifts, turns and zooms
    Light,
    /// The same with mirroring, brightness and contrast
    Full,
}

impl From<AugmentArg> for Augment {
    fn from(arg: AugmentArg) -> Self {
        let light = Self {
            shift: 4,
            rotate: 10.0,
            scale: 0.1,
            ..Self::default()
        };
        match arg {
            AugmentArg::None => Self::default(),
            AugmentArg::Light => light,
            AugmentArg::Full => Self {
                flip: true,
                brightness: 0.2,
                contrast: 0.2,
                ..light
            },
        }
    }
}
