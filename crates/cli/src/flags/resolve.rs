//! From what was typed to what it means: names looked up, defaults filled in, ranges checked.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Result, bail};
use finetune::config::RunConfig;
use finetune::config::defaults::{self, For};
use finetune::machine::device;
use finetune::weights::{Metadata, locate};
use finetune_methods::{LoraConfig, Method, SparseSharedConfig};
use finetune_model::{Architecture, WeightsFile};
use finetune_training::{Recipe, Select};

use super::{
    AdapterArgs, Common, LrArg, Preset, RecipeArg, RecipeArgs, StatisticsArg, Switch, settings,
};
use crate::terminal::exit::Usage;
use crate::terminal::progress::Ui;

impl Common {
    /// The run that was asked for, with one method and seed.
    ///
    /// # Errors
    ///
    /// Unknown names and settings out of range.
    pub fn resolve(&self, method: &str, seed: u64) -> Result<RunConfig> {
        let Some((what, from_scratch)) = defaults::method(method) else {
            let known = defaults::all_methods().join(", ");
            bail!(Usage(format!(
                "there is no method `{method}`; methods: {known}"
            )));
        };
        let typed = &self.recipe;
        let chapter = typed.preset == Some(Preset::Chapter);
        let weights = match &self.weights {
            Some(name) => Some(locate(name, self.weights_sha256.as_deref())?),
            None => None,
        };
        let known = weights.as_deref().map(Known::of).transpose()?;
        let model = match (&self.model, chapter, known.as_ref()) {
            (Some(model), ..) => model.clone(),
            (None, true, _) => "chapter".to_owned(),
            (None, false, Some(known)) => known.model()?,
            (None, false, None) => defaults::MODEL.to_owned(),
        };
        let architecture = Architecture::find(&model)?;
        let image_size = self
            .images
            .image_size
            .or_else(|| known?.metadata.map(|metadata| metadata.image_size))
            .unwrap_or(architecture.image_size);
        architecture.at(image_size)?;
        let threads = self.threads()?;
        let data = self.images.config(image_size)?;
        device::device(&self.device)?;
        let adapted = self.adapter.apply(what)?;
        let purpose = if chapter {
            For::Chapter
        } else {
            For::model(architecture)
        };
        let mut recipe = match typed.recipe {
            RecipeArg::Default => defaults::recipe(method, purpose),
            RecipeArg::Plain => defaults::recipe(method, For::Chapter),
        };
        recipe.seed = seed;
        recipe.feature_cache = typed.feature_cache.into();
        typed.apply(&mut recipe);
        if let Err((name, value, wanted)) = recipe.augment.check() {
            bail!(Usage(format!("{name} is {value}, but must be {wanted}")));
        }
        recipe.check()?;
        Ok(RunConfig {
            method: adapted,
            from_scratch,
            model,
            weights,
            data,
            targets: self.adapter.targets.clone(),
            exclude_targets: self.adapter.exclude_targets.clone(),
            layers_to_transform: self.adapter.layers_to_transform.clone(),
            layers_pattern: self.adapter.layers_pattern.clone(),
            modules_to_save: self.adapter.modules_to_save.clone(),
            adapt_statistics: self.adapter.batch_norm == StatisticsArg::Adapt,
            recipe,
            auto_rate: typed.lr == Some(LrArg::Auto),
            device: device::canonical(&self.device).to_owned(),
            threads,
            format: self.format.into(),
            checkpoint_seconds: self.checkpoint_seconds,
            keep_checkpoints: self.keep_checkpoints,
            seed,
        })
    }

    /// Threads that were asked for.
    pub(crate) fn threads(&self) -> Result<Option<usize>> {
        if self.threads == Some(0) {
            bail!(Usage("--threads must be at least 1".to_owned()));
        }
        Ok(self.threads)
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

impl RecipeArgs {
    /// What was typed in the place of what stands there.
    pub(crate) fn apply(&self, recipe: &mut Recipe) {
        set(&mut recipe.epochs, self.epochs);
        set(&mut recipe.batch_size, self.batch_size);
        set(&mut recipe.accumulate, self.accumulate);
        if let Some(LrArg::Rate(rate)) = self.lr {
            recipe.learning_rate = rate;
        }
        set(&mut recipe.optimizer, self.optimizer.map(Into::into));
        set(&mut recipe.schedule, self.schedule.map(Into::into));
        set(&mut recipe.warmup, self.warmup.map(Some));
        set(&mut recipe.head_lr_ratio, self.head_lr_ratio);
        set(&mut recipe.layer_decay, self.layer_decay);
        set(&mut recipe.weight_decay, self.weight_decay);
        recipe.decay_all |= self.decay_all;
        set(&mut recipe.clip_norm, self.clip_norm.map(Some));
        set(&mut recipe.label_smoothing, self.label_smoothing);
        set(
            &mut recipe.class_weights,
            self.class_weights.map(Into::into),
        );
        set(&mut recipe.ema, self.ema.map(Some));
        set(&mut recipe.unfreeze_epochs, self.unfreeze_epochs);
        set(&mut recipe.patience, self.patience.map(Some));
        if self.patience.is_some() {
            recipe.select = Select::Best;
        }
        set(&mut recipe.select, self.keep.map(Into::into));
        recipe.gradient_checkpointing |= self.gradient_checkpointing;
        self.augment.apply(&mut recipe.augment);
        let dtype = self.feature_dtype.map(Into::into);
        set(&mut recipe.feature_dtype, dtype);
        let views = self.augment.augment_views;
        set(&mut recipe.augment_views, views.map(Some));
    }
}

impl AdapterArgs {
    /// A method with what was typed in the place of what stands there.
    pub(crate) fn apply(&self, mut method: Method) -> Result<Method> {
        match &mut method {
            Method::Lora(lora) => self.apply_lora(lora),
            Method::SparseShared(peft) => self.apply_peft(peft),
            _ => {}
        }
        settings::apply(&method, &self.set)
    }

    fn apply_lora(&self, lora: &mut LoraConfig) {
        set(&mut lora.rank, self.lora_rank);
        set(&mut lora.alpha, self.lora_alpha);
        set(&mut lora.dropout, self.lora_dropout);
    }

    fn apply_peft(&self, peft: &mut SparseSharedConfig) {
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
        peft.train_shared |= self.peft_train_shared;
    }
}

fn set<T>(value: &mut T, typed: Option<T>) {
    if let Some(typed) = typed {
        *value = typed;
    }
}

/// What weights that were given say about their model.
struct Known {
    checkpoint: WeightsFile,
    metadata: Option<Metadata>,
}

impl Known {
    fn of(path: &Path) -> Result<Self> {
        let checkpoint = WeightsFile::open(path)?;
        Ok(Self {
            metadata: Metadata::of(&checkpoint).ok(),
            checkpoint,
        })
    }

    /// The model that the weights are of.
    fn model(&self) -> Result<String> {
        if let Some(metadata) = &self.metadata {
            return Ok(metadata.model.clone());
        }
        if let Some(architecture) = self.checkpoint.recognize() {
            return Ok(architecture.name.to_owned());
        }
        let first = self.checkpoint.shapes().into_keys().next();
        let first = first.unwrap_or_default();
        bail!(
            "{} is of no model that is known here (its tensors begin with `{first}`); name one with \
             --model to see how they differ",
            self.checkpoint.origin()
        )
    }
}
