//! What can be typed. `resolve` turns it into what it means; nothing else reads these structs.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use finetune_data::Augment;
use finetune_methods::{Budget, LoraConfig, Method, PeftConfig, Regrow};
use finetune_model::Architecture;
use finetune_training::{Optimizer, Schedule};

use crate::config::{DataConfig, RunConfig};
use crate::exit::Usage;
use crate::progress::Ui;
use crate::{defaults, device};

/// Fine-tune a pretrained vision model on your own image folder, and see which method serves you.
#[derive(Debug, Parser)]
#[command(name = "finetune", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fine-tune with several methods, each in a process of its own, and put their numbers beside
    /// each other
    Compare(CompareArgs),
    /// Fine-tune with one method
    Train(TrainArgs),
    /// Reload a finished run from its files and test it again
    Evaluate(EvaluateArgs),
    /// Say which class images show
    Predict(PredictArgs),
    /// Write a run's model with its adapter merged into the weights
    Merge(MergeArgs),
    /// Show what a method would train; trains nothing
    Inspect(InspectArgs),
    /// Train a model from random weights, to be fine-tuned later
    Pretrain(PretrainArgs),
    /// One run of a comparison
    #[command(hide = true)]
    Run(RunArgs),
}

/// What `train` and `compare` share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Folder with `train` and `test` (or one folder a class); or `embedded`, `fashion-mnist`
    #[arg(long, value_name = "DIR", default_value = "embedded")]
    pub data: PathBuf,
    /// Model (`inspect` lists them)
    #[arg(long)]
    pub model: Option<String>,
    /// Pretrained weights (safetensors, PyTorch names) [default: shipped with the default model]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Folder for the results [default: runs/TIME-COMMAND]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// flex (cpu), ndarray or wgpu (gpu)
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads that compute [default: one a core]
    #[arg(long)]
    pub threads: Option<usize>,
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
    /// Side of the images, pixels [default: the model's own]
    #[arg(long)]
    pub image_size: Option<usize>,
    /// Take this many training images of each class
    #[arg(long, value_name = "N")]
    pub train_per_class: Option<usize>,
    /// Hold this share of the training images out for validation
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub valid_fraction: f64,
    /// Seed of all that is random; the first one of a comparison
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Settings of a published recipe
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,
    /// Settings of the adapters
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
    /// How progress is shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
}

/// Settings of lora and peft.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Adapters")]
pub struct AdapterArgs {
    /// Layers that get an adapter: a regular expression over parameter paths, `all`, `all-linear`
    /// or `all-conv` [default: the model's own]
    #[arg(long, value_name = "PATTERN")]
    pub targets: Option<String>,
    /// Layers that are left out: a regular expression
    #[arg(long, value_name = "PATTERN")]
    pub exclude_targets: Option<String>,
    /// Rank of lora
    #[arg(long)]
    pub lora_rank: Option<usize>,
    /// lora's change is scaled by alpha / rank
    #[arg(long)]
    pub lora_alpha: Option<f64>,
    /// Dropout on lora's input
    #[arg(long)]
    pub lora_dropout: Option<f64>,
    /// Rank of peft's projection
    #[arg(long)]
    pub peft_rank: Option<usize>,
    /// peft's change is scaled by alpha / rank
    #[arg(long)]
    pub peft_alpha: Option<f64>,
    /// Share of peft's entries that train
    #[arg(long)]
    pub peft_density: Option<f64>,
    /// One projection for all layers, or one for each
    #[arg(long, value_enum)]
    pub peft_share: Option<Switch>,
    /// Whether the projection trains as well
    #[arg(long)]
    pub peft_train_shared: bool,
    /// Whether the trained entries move
    #[arg(long, value_enum)]
    pub peft_dynamic: Option<Switch>,
    /// Share of the trained entries that the first move replaces
    #[arg(long, value_name = "SHARE")]
    pub peft_drop: Option<f64>,
    /// Steps between moves
    #[arg(long, value_name = "STEPS")]
    pub peft_interval: Option<usize>,
    /// Where entries grow back
    #[arg(long, value_enum)]
    pub peft_regrow: Option<RegrowArg>,
    /// What stays constant while entries move
    #[arg(long, value_enum)]
    pub peft_budget: Option<BudgetArg>,
}

/// `finetune compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Methods, separated by commas: sft, peft, lora, linear, scratch
    #[arg(long, value_delimiter = ',', default_values = defaults::METHODS)]
    pub methods: Vec<String>,
    /// Repetitions of each method
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// Method: sft, peft, lora, linear or scratch
    #[arg(long, default_value = "sft")]
    pub method: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Folder of a finished run or comparison
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Images to test with [default: the run's own test images]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Test the merged models instead of base weights and adapters
    #[arg(long)]
    pub merged: bool,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `finetune predict`.
#[derive(Debug, Clone, Args)]
pub struct PredictArgs {
    /// Folder of a finished run
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Method, where the folder holds several
    #[arg(long)]
    pub method: Option<String>,
    /// Images
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// `finetune merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// Folder of a finished run
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Method, where the folder holds several
    #[arg(long)]
    pub method: Option<String>,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `finetune inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// Method: sft, peft, lora or linear
    #[arg(long, default_value = "lora")]
    pub method: String,
    /// Number of classes
    #[arg(long, default_value_t = 5)]
    pub classes: usize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,
}

/// `finetune pretrain`.
#[derive(Debug, Clone, Args)]
pub struct PretrainArgs {
    /// Model
    #[arg(long, default_value = defaults::MODEL)]
    pub model: String,
    /// Folder; or `embedded` (hands showing 5–9), `fashion-mnist` (its easier half)
    #[arg(long, value_name = "DIR", default_value = "embedded")]
    pub data: PathBuf,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Passes over the images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Images a step
    #[arg(long)]
    pub batch_size: Option<usize>,
    /// Learning rate
    #[arg(long)]
    pub lr: Option<f64>,
    /// Seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// flex (cpu), ndarray or wgpu (gpu)
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// How progress is shown [default: bar on a terminal, plain elsewhere]
    #[arg(long, value_enum)]
    pub ui: Option<Ui>,
}

/// One run of a comparison, in a process of its own.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The run's configuration, a JSON file
    #[arg(long)]
    pub config: PathBuf,
    /// Folder for its files
    #[arg(long)]
    pub out: PathBuf,
    /// File for its result
    #[arg(long)]
    pub result: PathBuf,
    /// Name on the progress bar
    #[arg(long)]
    pub title: String,
    /// Whether file names carry the seed
    #[arg(long)]
    pub with_seed: bool,
    /// How progress is shown
    #[arg(long, value_enum)]
    pub ui: Ui,
}

/// A published recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// The textbook chapter's: its network, batches of 64, Adam at 0.001, 10 epochs
    Chapter,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Switch {
    On,
    Off,
}

macro_rules! arg_enum {
    ($(#[$meta:meta])* $name:ident => $target:ty { $($variant:ident),+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        #[allow(missing_docs)]
        pub enum $name { $($variant),+ }

        impl From<$name> for $target {
            fn from(arg: $name) -> Self {
                match arg { $($name::$variant => Self::$variant),+ }
            }
        }
    };
}

arg_enum!(
    /// An optimiser.
    OptimizerArg => Optimizer { Adam, AdamW, Sgd }
);
arg_enum!(
    /// A schedule.
    ScheduleArg => Schedule { Constant, Cosine, OneCycle }
);
arg_enum!(
    /// Where entries grow back.
    RegrowArg => Regrow { Random, Gradient }
);
arg_enum!(
    /// What stays constant.
    BudgetArg => Budget { Layer, Global }
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

impl Common {
    /// The run that was asked for, with one method and seed.
    ///
    /// # Errors
    ///
    /// Unknown names and settings out of range.
    pub fn resolve(&self, method: &str, seed: u64) -> Result<RunConfig> {
        let Some((mut what, from_scratch)) = defaults::method(method) else {
            let known = defaults::METHODS.join(", ");
            bail!(Usage(format!(
                "there is no method `{method}`; methods: {known}"
            )));
        };
        let chapter = self.preset == Some(Preset::Chapter);
        let preset_model = if chapter { "chapter" } else { defaults::MODEL };
        let model = self
            .model
            .clone()
            .unwrap_or_else(|| preset_model.to_owned());
        let architecture = Architecture::find(&model)?;
        let image_size = self.image_size.unwrap_or(architecture.image_size);
        architecture.check_image_size(image_size, image_size)?;
        if !(0.0..1.0).contains(&self.valid_fraction) {
            bail!(Usage(format!(
                "the share of validation images is {}, but must be at least 0 and below 1",
                self.valid_fraction
            )));
        }
        if self.train_per_class == Some(0) || self.threads == Some(0) {
            bail!(Usage(
                "--train-per-class and --threads must be at least 1".to_owned()
            ));
        }
        device::device(&self.device)?;
        match &mut what {
            Method::Lora(lora) => self.adapter.apply_lora(lora),
            Method::Peft(peft) => self.adapter.apply_peft(peft),
            Method::Sft | Method::Linear => {}
        }
        let mut recipe = defaults::recipe(method, chapter);
        recipe.seed = seed;
        set(&mut recipe.epochs, self.epochs);
        set(&mut recipe.batch_size, self.batch_size);
        set(&mut recipe.learning_rate, self.lr);
        set(&mut recipe.optimizer, self.optimizer.map(Into::into));
        set(&mut recipe.schedule, self.schedule.map(Into::into));
        set(&mut recipe.weight_decay, self.weight_decay);
        set(&mut recipe.label_smoothing, self.label_smoothing);
        set(&mut recipe.augment, self.augment.map(Into::into));
        recipe.check()?;
        Ok(RunConfig {
            method: what,
            from_scratch,
            model,
            weights: self.weights.clone(),
            data: DataConfig {
                path: self.data.clone(),
                image_size,
                train_per_class: self.train_per_class,
                valid_fraction: self.valid_fraction,
            },
            targets: self.adapter.targets.clone(),
            exclude_targets: self.adapter.exclude_targets.clone(),
            recipe,
            device: device::canonical(&self.device).to_owned(),
            threads: self.threads,
            seed,
        })
    }

    /// How progress is shown.
    #[must_use]
    pub fn ui(&self) -> Ui {
        let ui = self.ui.unwrap_or_else(Ui::fitting);
        // The dashboard takes over stdout: where that is no terminal, lines do.
        if ui == Ui::Tui && !std::io::stdout().is_terminal() {
            Ui::Plain
        } else {
            ui
        }
    }
}

impl AdapterArgs {
    fn apply_lora(&self, lora: &mut LoraConfig) {
        set(&mut lora.rank, self.lora_rank);
        set(&mut lora.alpha, self.lora_alpha);
        set(&mut lora.dropout, self.lora_dropout);
    }

    fn apply_peft(&self, peft: &mut PeftConfig) {
        set(&mut peft.rank, self.peft_rank);
        set(&mut peft.alpha, self.peft_alpha);
        set(&mut peft.density, self.peft_density);
        set(
            &mut peft.share,
            self.peft_share.map(|switch| switch == Switch::On),
        );
        set(
            &mut peft.dynamic,
            self.peft_dynamic.map(|switch| switch == Switch::On),
        );
        set(&mut peft.drop_fraction, self.peft_drop);
        set(&mut peft.interval, self.peft_interval);
        set(&mut peft.regrow, self.peft_regrow.map(Into::into));
        set(&mut peft.budget, self.peft_budget.map(Into::into));
        peft.train_shared = self.peft_train_shared;
    }
}

fn set<T>(value: &mut T, typed: Option<T>) {
    if let Some(typed) = typed {
        *value = typed;
    }
}
