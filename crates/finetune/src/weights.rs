//! Where pretrained weights come from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use finetune_data::{Images, Preprocess, embedded_signs_pretrain};
use finetune_methods::Adapted;
use finetune_model::{Architecture, Checkpoint, save_network};
use finetune_training::{Observer, Recipe, Schedule, TrainingData, train};

use crate::config::{FashionHalf, RunConfig, fashion_mnist};
use crate::defaults::{self, For};
use crate::exit::Usage;
use crate::metadata::Metadata;

/// Opens the pretrained weights of a run.
///
/// # Errors
///
/// A file that cannot be read, or a model that has no weights yet.
pub fn open(config: &RunConfig) -> Result<Checkpoint> {
    if let Some(path) = &config.weights {
        return Ok(Checkpoint::open(path)?);
    }
    if is_shipped(config) {
        return Ok(Checkpoint::from_static(
            "the shipped checkpoint",
            finetune_datasets::RESNET8_64_SIGNS,
        )?);
    }
    let path = cached(&config.model)?;
    if path.is_file() {
        return Ok(Checkpoint::open(&path)?);
    }
    bail!(Usage(format!(
        "there are no pretrained weights for `{0}`; make some with `finetune pretrain --model {0} \
         --out FILE` and give them with --weights FILE",
        config.model
    )))
}

/// Whether a run starts from the checkpoint inside the program.
#[must_use]
pub fn is_shipped(config: &RunConfig) -> bool {
    config.weights.is_none() && config.model == defaults::MODEL
}

/// Whether a run's weights are the ones that are pretrained when they are first wanted: the
/// chapter's, too large to ship.
#[must_use]
pub fn is_made_on_demand(config: &RunConfig) -> bool {
    config.weights.is_none() && !config.from_scratch && config.model == "chapter"
}

/// Where a description of the weights stands in reports.
#[must_use]
pub fn describe(config: &RunConfig) -> String {
    match &config.weights {
        Some(path) => path.display().to_string(),
        None if is_shipped(config) => "shipped".to_owned(),
        None => cached(&config.model)
            .map_or_else(|_| "cache".to_owned(), |path| path.display().to_string()),
    }
}

/// The file in the cache folder that a model's weights are kept in.
///
/// # Errors
///
/// Where the system names no cache folder.
pub fn cached(model: &str) -> Result<PathBuf> {
    Ok(cache_folder()?.join(format!("{model}-signs-v1.safetensors")))
}

/// The folder for what can be made or fetched again.
///
/// # Errors
///
/// Where the system names no cache folder.
pub fn cache_folder() -> Result<PathBuf> {
    Ok(match std::env::var_os("FINETUNE_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir()
            .context("the system names no cache folder; set FINETUNE_CACHE to one")?
            .join("finetune"),
    })
}

/// Learning rate that the shipped checkpoint was pretrained with.
const PRETRAINING_RATE: f64 = 0.005;

/// What a model is pretrained with.
#[derive(Debug, Clone)]
pub struct Pretraining {
    /// The model's name.
    pub model: String,
    /// A folder, `embedded` (the digits 5–9) or `fashion-mnist` (its five other classes).
    pub data: PathBuf,
    /// Side of the images, pixels.
    pub image_size: usize,
    /// The recipe.
    pub recipe: Recipe,
    /// The device's name.
    pub device: String,
}

impl Pretraining {
    /// The defaults for a model: what made the shipped checkpoint.
    ///
    /// # Errors
    ///
    /// Where there is no model of that name.
    pub fn new(model: &str) -> Result<Self> {
        let architecture = Architecture::find(model)?;
        let chapter = architecture.name == "chapter";
        let recipe = Recipe {
            epochs: if chapter { 8 } else { 15 },
            learning_rate: if chapter { 0.0003 } else { PRETRAINING_RATE },
            schedule: Schedule::OneCycle,
            ..defaults::recipe("scratch", if chapter { For::Chapter } else { For::Small })
        };
        Ok(Self {
            model: model.to_owned(),
            data: PathBuf::from("embedded"),
            image_size: architecture.image_size,
            recipe,
            device: "flex".to_owned(),
        })
    }

    fn images(&self, preprocess: &Preprocess) -> Result<Images> {
        let set = match self.data.to_str() {
            Some("embedded") => embedded_signs_pretrain(),
            Some("fashion-mnist") => fashion_mnist(FashionHalf::Other)?.train,
            _ => finetune_data::open(&self.data, &finetune_data::SplitOptions::default())?.train,
        };
        Ok(set.decode(preprocess)?)
    }

    /// Trains the model from random weights and writes a checkpoint.
    ///
    /// # Errors
    ///
    /// Images that cannot be read, a recipe out of range, or a file that cannot be written.
    pub fn run(&self, out: &Path, observer: &mut impl Observer) -> Result<u64> {
        let architecture = Architecture::find(&self.model)?.at(self.image_size)?;
        self.recipe.check()?;
        let images = self.images(&architecture.preprocess())?;
        let device = crate::device::device(&self.device)?.autodiff();
        let normalization = architecture.normalization;
        crate::device::check_fits(&self.device, &architecture, images.classes.len())?;
        let model = architecture.build(images.classes.len(), self.recipe.seed, &device);
        let attached = Adapted::from(model);
        let data = TrainingData {
            train: &images,
            valid: None,
            normalization,
        };
        let trained = train(attached, &data, &self.recipe, &device, observer)?;
        if trained.stopped {
            bail!("stopped before it was done; nothing was written");
        }
        let metadata = Metadata::new(&architecture, "pretrain", images.classes.clone());
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(save_network(
            &trained.model,
            &architecture,
            &metadata.to_map()?,
            out,
        )?)
    }
}
