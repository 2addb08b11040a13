//! How a model is trained.

use std::str::FromStr;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use finetune_training::{ClassWeights, FeatureCache, FeatureDtype, Optimizer, Schedule, Select};

use super::arg_enum;
use super::augment::AugmentArgs;

/// The recipe's settings; each one that is not given is the method's own.
#[derive(Debug, Clone, Args)]
pub struct RecipeArgs {
    /// Settings of a published recipe
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// The recipe that is changed by the settings below
    #[arg(long, value_enum, default_value_t = RecipeArg::Default)]
    pub recipe: RecipeArg,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images a forward pass
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Batches a step: as a batch that many times as large, in the memory of one
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// Learning rate of all methods, or `auto`: found by a range test before training [default:
    /// each method's own]
    #[arg(long, value_name = "RATE")]
    pub lr: Option<LrArg>,
    /// Optimiser
    #[arg(long, value_enum)]
    pub optimizer: Option<OptimizerArg>,
    /// How the learning rate changes
    #[arg(long, value_enum)]
    pub schedule: Option<ScheduleArg>,
    /// Share of the steps over which the learning rate rises at first
    #[arg(long, value_name = "SHARE", help = warmup_help())]
    pub warmup: Option<f64>,
    /// The head's learning rate, as a multiple of the rest's
    #[arg(long, value_name = "RATIO")]
    pub head_lr_ratio: Option<f64>,
    /// Learning rate of each block, as a multiple of that of the block above
    #[arg(long, value_name = "RATIO")]
    pub layer_decay: Option<f64>,
    /// Weight decay
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// Biases, normalisations and position embeddings decay as well
    #[arg(long)]
    pub decay_all: bool,
    /// Largest norm of a step's gradients, all of them together; larger ones are scaled down
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// Label smoothing
    #[arg(long)]
    pub label_smoothing: Option<f64>,
    /// How much each class counts: as often as it occurs, or all classes alike
    #[arg(long, value_enum)]
    pub class_weights: Option<ClassWeightsArg>,
    /// Keep a moving average of the weights instead of them, e.g. 0.999
    #[arg(long, value_name = "DECAY")]
    pub ema: Option<f64>,
    /// Epochs over which the network thaws: the head alone in the first one, then block after block
    #[arg(long, value_name = "N")]
    pub unfreeze_epochs: Option<usize>,
    /// Stop after this many epochs without a better validation accuracy, and keep the best weights;
    /// needs validation images
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<usize>,
    /// Whose weights to keep: the last epoch's, or those with the best validation accuracy [default:
    /// last; best with --patience]
    #[arg(long, value_enum)]
    pub keep: Option<KeepArg>,
    /// Random changes of the training images
    #[command(flatten)]
    pub augment: AugmentArgs,
    /// Where what frozen layers make of the images is kept, so that it is computed once, if nothing
    /// random happens to them: in memory or a file as there is room, one of them, or nowhere;
    /// results are the same
    #[arg(long, value_enum, default_value_t = FeatureCacheArg::Auto)]
    pub feature_cache: FeatureCacheArg,
    /// How they are kept: f16 takes half the room and rounds, which changes results a little
    /// [default: f32]
    #[arg(long, value_enum)]
    pub feature_dtype: Option<FeatureDtypeArg>,
    /// Keep only what flows between the network's blocks for the backward pass and compute the rest
    /// again: less memory, about a quarter more time, the same results
    #[arg(long)]
    pub gradient_checkpointing: bool,
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
    FeatureCacheArg => FeatureCache { Auto, Memory, File, Off }
);
arg_enum!(
    /// How features of frozen layers are kept.
    FeatureDtypeArg => FeatureDtype { F32, F16 }
);
/// A schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleArg(Schedule);

impl ValueEnum for ScheduleArg {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<ScheduleArg>> =
            LazyLock::new(|| Schedule::ALL.map(ScheduleArg).to_vec());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()))
    }
}

impl From<ScheduleArg> for Schedule {
    fn from(arg: ScheduleArg) -> Self {
        arg.0
    }
}

/// The help of `--warmup`, with the schedules' own values.
fn warmup_help() -> String {
    let own = Schedule::ALL.map(|schedule| (schedule.name(), schedule.default_warmup()));
    let own = own.into_iter().filter(|(_, share)| *share > 0.0);
    let own: Vec<String> = own.map(|(name, share)| format!("{name} {share}")).collect();
    format!(
        "Share of the steps over which the learning rate rises at first [default: {}, others 0]",
        own.join(", ")
    )
}

arg_enum!(
    /// How much each class counts.
    ClassWeightsArg => ClassWeights { None, Balanced }
);
arg_enum!(
    /// Whose weights are kept.
    KeepArg => Select { Last, Best }
);

/// A recipe to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecipeArg {
    /// Each method's own, for the model
    Default,
    /// The textbook chapter's for every method: Adam at 0.001, constant, batches of 64, 10 epochs
    Plain,
}

/// A learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LrArg {
    /// This one.
    Rate(f64),
    /// The one that a range test suggests.
    Auto,
}

impl FromStr for LrArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let rate = text.parse().map(Self::Rate);
        rate.map_err(|_| "write a number, or `auto`".to_owned())
    }
}
