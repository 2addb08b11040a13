//! One run: load, attach, train, evaluate, save.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use finetune_data::{Images, Normalization};
use finetune_evaluation::{Confusion, Epoch, Run, median};
use finetune_methods::{Attached, Importance, Scope, count_parameters};
use finetune_model::{
    Checkpoint, Head, Network, load_adapter, save_adapter, save_network, state_dict, write_pth,
};
use finetune_training::{
    Checkpoint as TrainingCheckpoint, KeptFeatures, Observer, Trained, TrainingData, evaluate,
    importance, resume,
};

use serde_json::Value;

use crate::cli::Format;
use crate::config::{Decoded, RunConfig};
use crate::device::device;
use crate::exit::Usage;
use crate::keeper::Keeper;
use crate::metadata::Metadata;
use crate::{process, weights};

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
    pub attached: Attached<Network>,
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
) -> Result<Attached<Network>> {
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
    let classes = data.train.classes.len();

    let training = TrainingData {
        train: &data.train,
        valid: data.valid.as_ref(),
        normalization,
    };
    let (network, _) = base(config, classes, &device)?;
    let importance = if config.method.needs_gradients() {
        importance(&network, &training, &config.recipe, &device)?
    } else {
        Importance::default()
    };
    let attached = attach(config, network, &importance)?;
    let count = count_parameters(&attached.model);
    let path = out.join(checkpoint_file(config, with_seed));
    let checkpoint = match std::fs::read(&path) {
        Ok(bytes) => Some(
            TrainingCheckpoint::from_bytes(&bytes)
                .with_context(|| format!("cannot go on from {}", path.display()))?,
        ),
        Err(_) => None,
    };
    let every = Duration::from_secs(config.checkpoint_seconds);
    let mut keeper = Keeper::new(observer, &path, every);
    let Trained {
        model,
        epochs,
        step_seconds,
        seconds,
        stopped,
        features,
    } = resume(
        attached,
        &training,
        &config.recipe,
        &device,
        &mut keeper,
        checkpoint.as_ref(),
    )?;
    let confusion = test(&model, &data.test, normalization, config, &device)?;
    // Merging and saving come after: they are not what training needs.
    let peak_memory_bytes = process::peak_memory_bytes();

    let metadata = Metadata::new(
        &architecture,
        config.method_name(),
        data.train.classes.clone(),
    );
    let mut settings = settings(config);
    if stopped {
        settings.insert(STOPPED.to_owned(), "yes".to_owned());
    }
    if let Some(KeptFeatures { below, bytes }) = features {
        let size = finetune_evaluation::bytes(bytes);
        let kept = format!("all below `{below}` computed once, {size}");
        settings.insert("feature cache".to_owned(), kept);
    }
    let mut artifact_bytes = 0;
    let mut artifacts = Vec::new();
    if config.method.merges() {
        let file = model_file(config, with_seed);
        artifact_bytes =
            save_network(&model, &architecture, &metadata.to_map()?, &out.join(&file))?;
        artifacts.push(file);
        if config.format == Format::Pth {
            let file = format!("finetuned_model_{}.pth", stem(config, with_seed));
            artifact_bytes = write_pth(&state_dict(&model, &architecture)?, &out.join(&file))?;
            artifacts.push(file);
        }
    }
    if let Some(file) = adapter_file(config, with_seed) {
        artifact_bytes = save_adapter(&model, &metadata.to_map()?, &out.join(&file))?;
        artifacts.push(file);
    }
    if !stopped && path.exists() {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(Run {
        method: config.method_name().to_owned(),
        seed: config.seed,
        train_per_class: config.data.train_per_class,
        accuracy: confusion.accuracy(),
        macro_f1: confusion.macro_f1(),
        per_class_accuracy: confusion.per_class_accuracy(),
        confusion: confusion.rows().to_vec(),
        epochs: epochs.iter().map(epoch).collect(),
        trainable_parameters: count.trainable as u64,
        total_parameters: count.total as u64,
        steps: step_seconds.len() as u64,
        train_seconds: seconds,
        seconds_per_step: median(&step_seconds),
        startup_seconds: None,
        peak_memory_bytes,
        artifact_bytes,
        artifacts,
        settings,
    })
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
    }
}

/// The confusion matrix of a network on images.
fn test(
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

/// Loads a finished run's model from its folder: the adapter on the base weights where the method
/// has one and `merged` is not asked for, the whole model otherwise.
///
/// # Errors
///
/// Files that are missing or do not fit each other.
pub fn reload(
    config: &RunConfig,
    classes: usize,
    folder: &Path,
    with_seed: bool,
    merged: bool,
) -> Result<Network> {
    if !merged && let Some(network) = reload_to_train(config, classes, folder, with_seed)? {
        return Ok(network.valid());
    }
    let device = device(&config.device)?;
    if !config.method.merges() {
        bail!(Usage(format!(
            "what {} adds cannot be merged into a model of plain layers",
            config.method_name()
        )));
    }
    let mut file = Checkpoint::open(&folder.join(model_file(config, with_seed)))?;
    let loaded = file.load(&config.architecture()?, classes, Head::Stored, &device)?;
    Ok(loaded.network)
}

/// The base weights with a finished run's adapter on them, as training left it; `None` where the
/// method changed the base itself.
///
/// # Errors
///
/// Files that are missing or do not fit each other.
pub fn reload_to_train(
    config: &RunConfig,
    classes: usize,
    folder: &Path,
    with_seed: bool,
) -> Result<Option<Network>> {
    let Some(file) = adapter_file(config, with_seed) else {
        return Ok(None);
    };
    let device = device(&config.device)?.autodiff();
    let attached = prepare(config, classes, &device)?.attached;
    Ok(Some(load_adapter(attached.model, &folder.join(file))?))
}

/// Names of the classes that a finished run's model tells apart.
///
/// # Errors
///
/// A file that is missing or was not written by a run.
pub fn stored_classes(config: &RunConfig, folder: &Path, with_seed: bool) -> Result<Vec<String>> {
    let file = adapter_file(config, with_seed).unwrap_or_else(|| model_file(config, with_seed));
    let file = Checkpoint::open(&folder.join(file))?;
    Ok(Metadata::of(&file)?.classes)
}

/// Evaluates a finished run again from its files.
///
/// # Errors
///
/// Files that are missing or do not fit each other.
pub fn reevaluate(
    config: &RunConfig,
    images: &Images,
    folder: &Path,
    with_seed: bool,
    merged: bool,
) -> Result<Confusion> {
    let network =
        reload(config, images.classes.len(), folder, with_seed, merged).with_context(|| {
            format!(
                "cannot reload {} of {}",
                config.method_name(),
                folder.display()
            )
        })?;
    let device = device(&config.device)?;
    test(
        &network,
        images,
        config.architecture()?.normalization,
        config,
        &device,
    )
}

/// The settings that a report shows.
fn settings(config: &RunConfig) -> BTreeMap<String, String> {
    let recipe = &config.recipe;
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let mut settings = vec![
        ("epochs", recipe.epochs.to_string()),
        ("batch size", recipe.batch_size.to_string()),
        (
            "optimizer",
            format!("{:?}", recipe.optimizer).to_lowercase(),
        ),
        ("learning rate", recipe.learning_rate.to_string()),
        ("schedule", format!("{:?}", recipe.schedule).to_lowercase()),
        ("weight decay", recipe.weight_decay.to_string()),
        ("image size", config.data.image_size.to_string()),
        (
            "augmentation",
            on(recipe.augment != finetune_data::Augment::default()),
        ),
    ];
    if config.method.has_adapters() {
        let targets = config.targets.clone();
        let targets = targets.or_else(|| {
            let own = config.architecture().ok()?.targets_of(&config.method);
            own.ok().map(str::to_owned)
        });
        settings.push(("targets", targets.unwrap_or_default()));
    }
    let mut settings: BTreeMap<String, String> = settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (name, value) in crate::settings::of(&config.method).unwrap_or_default() {
        // What is left out or empty says nothing.
        let shown = match value {
            Value::Null => continue,
            Value::Bool(switch) => on(switch),
            Value::String(text) => text,
            Value::Object(map) if map.is_empty() => continue,
            other => other.to_string(),
        };
        settings.insert(name.replace('_', " "), shown);
    }
    settings
}
