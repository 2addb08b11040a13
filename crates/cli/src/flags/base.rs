//! The configuration that all other flags change: which method, model, weights, recipe and seed.

use std::path::PathBuf;

use anyhow::{Result, bail};
use finetune::config::defaults::{self, For};
use finetune::config::{DataConfig, EMBEDDED, RunConfig};
use finetune::weights::{Identity, Published, has_own, identify};
use finetune_files::unknown;
use finetune_model::{Architecture, WeightsFile};

use super::task::Task;
use crate::terminal::download;
use crate::terminal::exit::Usage;

/// What must be known before a run has defaults.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// Names of the methods.
    pub methods: Vec<String>,
    /// The first seed.
    pub seed: u64,
    /// Number of seeds, counting up from the first; `None` is 1.
    pub seeds: Option<u64>,
    /// Name of the model.
    pub model: Option<String>,
    /// A file of pretrained weights, or its name on the Hugging Face Hub.
    pub weights: Option<String>,
    /// The SHA-256 that this file must have, in hexadecimal.
    pub weights_sha256: Option<String>,
    /// Side of the images, pixels.
    pub image_size: Option<usize>,
    /// A published recipe, with its model.
    pub preset: Option<Preset>,
    /// The recipe that other flags change.
    pub recipe: StartingRecipe,
}

/// A published recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The textbook chapter's network and recipe.
    Chapter,
}

/// The recipe that other flags change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StartingRecipe {
    /// Each method's own, for the model.
    #[default]
    Default,
    /// The textbook chapter's, for every method.
    Plain,
}

impl Base {
    /// The model that is typed or that the preset implies; `None` if the weights decide.
    pub(super) fn named_model(&self) -> Option<&str> {
        match (&self.model, self.preset) {
            (Some(model), _) => Some(model),
            (None, Some(Preset::Chapter)) => Some(defaults::CHAPTER),
            (None, None) => None,
        }
    }

    /// The file of pretrained weights, and what it says about its model. If none is typed and a model is
    /// that has none of its own, it is the file that is published for it.
    ///
    /// # Errors
    ///
    /// The file cannot be read or downloaded, or has another SHA-256 than it should have.
    pub(super) fn weights(&self, task: Task) -> Result<Weights> {
        let path = match &self.weights {
            Some(name) => download::locate(name, self.weights_sha256.as_deref())?,
            // What trains does not depend on the weights.
            None if task == Task::Inspect => return Ok(Weights::default()),
            None => match self.published()? {
                Some(path) => path,
                None => return Ok(Weights::default()),
            },
        };
        let identity = identify(&WeightsFile::open(&path)?, &path, self.named_model())?;
        Ok(Weights(Some((path, identity))))
    }

    /// The file of the weights that are published for the model that is typed; `None` if it has weights of
    /// its own, none are known, or all methods begin with random ones.
    fn published(&self) -> Result<Option<PathBuf>> {
        let scratch = |method: &String| method == defaults::SCRATCH;
        let Some(model) = self.named_model() else {
            return Ok(None);
        };
        if self.methods.iter().all(scratch) || has_own(model) {
            return Ok(None);
        }
        let found = Published::of(model);
        let locate = |found: Published| {
            let sha256 = self.weights_sha256.as_deref();
            download::locate_published(&found, model, sha256)
        };
        found.map(locate).transpose()
    }

    /// The run of a method and seed, with defaults for everything else.
    ///
    /// # Errors
    ///
    /// A name is unknown, the weights cannot be read, or the model does not take images of that
    /// size.
    pub(super) fn run(&self, weights: &Weights, method: &str, seed: u64) -> Result<RunConfig> {
        let Some((what, from_scratch)) = defaults::method(method) else {
            bail!(Usage(unknown("method", method, &defaults::all_methods())));
        };
        let known = weights.0.as_ref().map(|(_, identity)| identity);
        let model = match (self.named_model(), known) {
            (Some(model), _) => model,
            (None, Some(known)) => known.model,
            (None, None) => defaults::MODEL,
        };
        let architecture = Architecture::find(model)?;
        let image_size = self
            .image_size
            .or_else(|| known?.image_size)
            .unwrap_or(architecture.image_size);
        architecture.at(image_size)?;
        let purpose = match (self.recipe, self.preset) {
            (StartingRecipe::Plain, _) | (_, Some(Preset::Chapter)) => For::Chapter,
            (StartingRecipe::Default, None) => For::model(architecture),
        };
        let mut run = RunConfig {
            from_scratch,
            model: architecture.name.to_owned(),
            preparation: known.and_then(|known| known.preparation.clone()),
            weights: weights.0.as_ref().map(|(path, _)| path.clone()),
            data: DataConfig::new(EMBEDDED.into(), image_size),
            recipe: defaults::recipe(method, purpose),
            ..RunConfig::new(what)
        };
        run.mirror = defaults::mirror(&run.recipe);
        run.seed = seed;
        run.recipe.seed = seed;
        Ok(run)
    }
}

/// A file of pretrained weights, if there is one, and which network it is of.
#[derive(Default)]
pub(super) struct Weights(Option<(PathBuf, Identity)>);
