//! One run: load, attach, train, evaluate, save.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use burn::module::Module;
use burn::tensor::Device;
use finetune_data::{Images, Normalization};
use finetune_evaluation::{Confusion, Epoch, Run, median};
use finetune_methods::{Adapted, Importance, Scope, count_parameters};
use finetune_model::{Head, Network, save_adapter, save_network, state_dict, write_pth};
use finetune_training::{
    Checkpoint as TrainingCheckpoint, Observer, RangeTest, TrainingData, TrainingError, evaluate,
    importance, range_test, resume,
};

use crate::cli::Format;
use crate::config::{Decoded, RunConfig};
use crate::device::device;
use crate::events::Events;
use crate::keeper::{Keeper, Keeping};
use crate::metadata::Metadata;
use crate::{interrupt, process, shown, weights};

/// File name of a run's whole model.
#[must_use]
pub fn model_file(config: &RunConfig, with_seed: bool) -> String {
    format!("finetuned_model_{}.safetensors", stem(config, with_seed))
}

/// File name of what a run trained (adapter and head), where its base stayed as it was.
#[must_use]
pub fn adapter_file(config: &RunConfig, with_seed: bool) -> Option<String> {
    config
        .method
        .freezes_base()
        .then(|| format!("adapter_{}.safetensors", stem(config, with_seed)))
}

/// File name of a run that is not done.
#[must_use]
pub fn checkpoint_file(config: &RunConfig, with_seed: bool) -> String {
    format!("checkpoint_{}.safetensors", stem(config, with_seed))
}

/// The entry of a run's settings that says that it was stopped before its last step.
pub const STOPPED: &str = "stopped early";

/// `lora`, or `lora_seed1` where several seeds share a folder.
#[must_use]
pub fn stem(config: &RunConfig, with_seed: bool) -> String {
    if with_seed {
        format!("{}_seed{}", config.method_name(), config.seed)
    } else {
        config.method_name().to_owned()
    }
}

/// A network ready to be trained.
#[derive(Debug)]
pub struct Prepared {
    /// The network and its method.
    pub attached: Adapted<Network>,
    /// What a person should know of the weights, a sentence each.
    pub notes: Vec<String>,
}

/// Builds the network with its base weights and attaches the method.
///
/// # Errors
///
/// Weights that cannot be read or do not fit, or a method that cannot be attached.
pub fn prepare(config: &RunConfig, classes: usize, device: &Device) -> Result<Prepared> {
    let (network, notes) = base(config, classes, device)?;
    let attached = attach(config, network, &Importance::default())?;
    Ok(Prepared { attached, notes })
}

/// The network with its base weights, and what a person should know of them.
///
/// # Errors
///
/// Weights that cannot be read or do not fit.
pub fn base(config: &RunConfig, classes: usize, device: &Device) -> Result<(Network, Vec<String>)> {
    let architecture = config.architecture()?;
    if config.from_scratch {
        return Ok((architecture.build(classes, config.seed, device), Vec::new()));
    }
    let head = Head::New { seed: config.seed };
    let loaded = weights::open(config)?.load(&architecture, classes, head, device)?;
    Ok((loaded.network, loaded.notes))
}

/// Attaches a run's method to its base; `importance` is for the methods that choose by it.
///
/// # Errors
///
/// A method that cannot be attached.
pub fn attach(
    config: &RunConfig,
    network: Network,
    importance: &Importance,
) -> Result<Adapted<Network>> {
    let architecture = config.architecture()?;
    let targets = config.targets()?;
    let scope = Scope {
        importance: Some(importance),
        adapt_statistics: config.adapt_statistics,
        modules_to_save: &config.modules_to_save,
        ..Scope::new(architecture.head, &targets, config.seed)
    };
    Ok(config.method.attach(network, &scope)?)
}

/// Trains, evaluates on the test images and saves into `out`.
///
/// # Errors
///
/// Whatever keeps the run from being finished; then nothing of it is saved.
pub fn run(
    config: &RunConfig,
    data: &Decoded,
    out: &Path,
    with_seed: bool,
    observer: &mut impl Observer,
) -> Result<Run> {
    let architecture = config.architecture()?;
    let device = device(&config.device)?;
    device.seed(config.seed);
    let device = device.autodiff();
    let normalization = architecture.normalization;

    let training = TrainingData {
        train: &data.train,
        valid: data.valid.as_ref(),
        normalization,
    };
    let mut recipe = config.recipe.clone();
    let range_test = if config.auto_rate {
        Some(find_rate(config, &training, &device)?)
    } else {
        None
    };
    if let Some(test) = &range_test {
        recipe.learning_rate = test.suggestion;
    }
    let attached = fresh(config, &training, &device)?;
    let count = count_parameters(attached.model());
    let keeping = Keeping::of(config, out, with_seed);
    let path = &keeping.path;
    let checkpoint = match std::fs::read(path) {
        Ok(bytes) => Some(
            TrainingCheckpoint::from_bytes(&bytes)
                .with_context(|| format!("cannot go on from {}", path.display()))?,
        ),
        Err(_) => None,
    };
    let done = checkpoint.as_ref().map_or(0, TrainingCheckpoint::steps);
    let events = out.join("events").join(stem(config, with_seed));
    let mut keeper = Keeper::new(observer, &keeping, Events::create(&events, done)?);
    let trained = resume(
        attached,
        &training,
        &recipe,
        &device,
        &mut keeper,
        checkpoint.as_ref(),
    )
    .map_err(|error| with_what_is_left(error, path))?;
    let confusion = test(&trained.model, &data.test, normalization, config, &device)?;
    // Merging and saving come after: they are not what training needs.
    let peak_memory_bytes = process::peak_memory_bytes();

    let metadata = Metadata::new(
        &architecture,
        config.method_name(),
        data.train.classes.clone(),
    );
    let settings = shown::settings(config, &recipe, &trained);
    let (artifacts, artifact_bytes) = save(config, &trained.model, &metadata, out, with_seed)?;
    if !trained.stopped && path.exists() {
        std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(Run {
        method: config.method_name().to_owned(),
        seed: config.seed,
        train_per_class: config.data.train_per_class,
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        per_class_accuracy: confusion.per_class_accuracy(),
        confusion: confusion.rows().to_vec(),
        epochs: trained.epochs.iter().map(epoch).collect(),
        trainable_parameters: count.trainable as u64,
        total_parameters: count.total as u64,
        steps: trained.step_seconds.len() as u64,
        train_seconds: trained.seconds,
        seconds_per_step: median(&trained.step_seconds),
        startup_seconds: None,
        peak_memory_bytes,
        artifact_bytes,
        artifacts,
        settings,
        range_test: range_test.map(|test| finetune_evaluation::RangeTest {
            rates: test.rates,
            losses: test.losses,
            suggestion: test.suggestion,
        }),
    })
}

/// Writes what a run made; the names of the files, and the size of the smallest one that gives the
/// model back.
fn save(
    config: &RunConfig,
    model: &Network,
    metadata: &Metadata,
    out: &Path,
    with_seed: bool,
) -> Result<(Vec<String>, u64)> {
    let architecture = config.architecture()?;
    let mut artifact_bytes = 0;
    let mut artifacts = Vec::new();
    if config.method.merges() {
        let file = model_file(config, with_seed);
        artifact_bytes = save_network(model, &architecture, &metadata.to_map()?, &out.join(&file))?;
        artifacts.push(file);
        if config.format == Format::Pth {
            let file = format!("finetuned_model_{}.pth", stem(config, with_seed));
            artifact_bytes = write_pth(&state_dict(model, &architecture)?, &out.join(&file))?;
            artifacts.push(file);
        }
    }
    if let Some(file) = adapter_file(config, with_seed) {
        artifact_bytes = save_adapter(model, &metadata.to_map()?, &out.join(&file))?;
        artifacts.push(file);
    }
    Ok((artifacts, artifact_bytes))
}

/// The network with its method attached, before any training.
fn fresh(
    config: &RunConfig,
    training: &TrainingData<'_>,
    device: &Device,
) -> Result<Adapted<Network>> {
    let (network, _) = base(config, training.train.classes.len(), device)?;
    let importance = if config.method.needs_gradients() {
        importance(&network, training, &config.recipe, device)?
    } else {
        Importance::default()
    };
    attach(config, network, &importance)
}

/// Looks for a learning rate, on a network that is thrown away.
fn find_rate(
    config: &RunConfig,
    training: &TrainingData<'_>,
    device: &Device,
) -> Result<RangeTest> {
    let attached = fresh(config, training, device)?;
    let test = range_test(
        attached,
        training,
        &config.recipe,
        device,
        &interrupt::asked,
    );
    if interrupt::asked() {
        bail!("stopped while the learning rate was looked for");
    }
    Ok(test?)
}

/// Says where the last sound weights of a run are that broke.
fn with_what_is_left(error: TrainingError, path: &Path) -> anyhow::Error {
    if !matches!(error, TrainingError::NonFiniteLoss { .. }) {
        return error.into();
    }
    let kept = std::fs::read(path).ok();
    let kept = kept.and_then(|bytes| TrainingCheckpoint::from_bytes(&bytes).ok());
    match kept {
        Some(checkpoint) => anyhow!(
            "{error}; what was learnt by the end of epoch {} is in {}",
            checkpoint.epochs(),
            path.display()
        ),
        None => anyhow!("{error}; no checkpoint had been kept (see --checkpoint-seconds)"),
    }
}

fn epoch(epoch: &finetune_training::Epoch) -> Epoch {
    Epoch {
        epoch: epoch.epoch,
        train_loss: epoch.train_loss,
        train_accuracy: epoch.train_accuracy,
        valid_loss: epoch.valid_loss,
        valid_accuracy: epoch.valid_accuracy,
        learning_rate: epoch.learning_rate,
        seconds: epoch.seconds,
        images_per_second: epoch.images_per_second,
        memory_bytes: epoch.memory_bytes,
    }
}

/// The confusion matrix of a network on images.
pub(crate) fn test(
    network: &Network,
    images: &Images,
    normalization: Normalization,
    config: &RunConfig,
    device: &Device,
) -> Result<Confusion> {
    let size = config.recipe.batch_size;
    let seen = evaluate(&network.valid(), images, normalization, size, device)?;
    Ok(Confusion::from_predictions(
        images.classes.len(),
        &seen.truth,
        &seen.predicted,
    )?)
}
