//! The story of a run: load, attach, train, evaluate, save.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use burn::tensor::Device;
use finetune_data::Images;
use finetune_evaluation::{Epoch, Run, median};
use finetune_methods::fit::Findings;
use finetune_methods::{Adapted, Importance, count_parameters};
use finetune_model::{Network, save_adapter, save_network, state_dict, write_pth};
use finetune_training::{
    Checkpoint, RangeTest, Recipe, Trained, TrainingData, TrainingError, fit_features, importance,
    range_test, resume,
};

use super::augmented::augmented;
use super::checkpoints::Checkpoints;
use super::events::Events;
use super::job::{Job, Trial};
use super::observer::{Observer, Phase};
use super::prepare::{attach, base};
use super::recorder::Recorder;
use super::saved::read_checkpoint;
use super::settings::settings;
use super::tested::test;
use crate::config::{Decoded, Format, RunConfig};
use crate::error::Error;
use crate::folder::RunFolder;
use crate::identity::{Inputs, of_files};
use crate::machine::device::device;
use crate::machine::{memory, precision};
use crate::weights::Metadata;

/// Does a run: trains the model, evaluates it on the test images and writes its files into the
/// folder, which must exist. If the folder has a checkpoint of the run, training resumes from it.
///
/// # Errors
///
/// The run cannot be finished; then nothing of it is saved but its checkpoints.
pub fn run(job: &Job<'_>, data: &Decoded, observer: &mut impl Observer) -> Result<Run, Error> {
    let (config, folder, inputs) = (job.config, job.folder, job.inputs);
    let started = job.started.unwrap_or_else(SystemTime::now);
    config.check()?;
    same_images(job, data)?;
    let checkpoint = read_checkpoint(&folder.checkpoint(config), inputs)?;
    observer.on_phase(Phase::Weights);
    let architecture = config.architecture()?;
    let device = device(&config.device)?;
    precision::apply(config.precision, &config.device)?;
    device.seed(config.seed);
    let device = device.autodiff();

    let training = TrainingData {
        train: &data.train,
        valid: data.valid.as_ref(),
        normalization: architecture.normalization,
    };
    let mut recipe = config.recipe.clone();
    let range_test = if config.auto_rate {
        observer.on_phase(Phase::RangeTest);
        Some(find_rate(config, &training, &device, observer)?)
    } else {
        None
    };
    if let Some(test) = &range_test {
        recipe.learning_rate = test.suggestion;
    }
    let attached = fresh(config, &training, &device)?;
    let count = count_parameters(attached.model());
    let done = checkpoint.as_ref().map_or(0, Checkpoint::steps);
    // Without steps there are no curves to show.
    let events = (!config.method.fits()).then(|| Events::create(&folder.events(config), done));
    let mut recorder = Recorder::new(
        observer,
        Checkpoints::new(job)?,
        events.transpose()?,
        match job.trial {
            Some(Trial::Steps(steps)) => Some(steps),
            _ => None,
        },
    );
    let given = (&training, &recipe, &device);
    let trained = train(job, attached, given, &mut recorder, checkpoint.as_ref());
    let first_step = recorder.first_step();
    let finished = recorder.steps();
    let trained = trained.map_err(|error| {
        if finished + done == 0 {
            // Nothing was trained, so there is nothing to show.
            let _ = std::fs::remove_dir_all(folder.events(config));
        }
        diverged(error, &folder.checkpoint(config))
    })?;
    if !trained.found.is_empty() {
        observer.note(&format!(
            "{}: {}",
            config.method_name(),
            told(&trained.found)
        ));
    }
    observer.on_phase(Phase::Testing);
    let tested = test(job, data, &trained.model, &device)?;
    // Read before merging and saving, which are not part of training.
    let peak_memory_bytes = memory::peak_memory_bytes();

    let metadata = Metadata::new(
        &architecture,
        config.method_name(),
        data.train.classes.clone(),
    )
    .fitted(config.data.fit);
    let settings = settings(config, &recipe, &trained);
    observer.on_phase(Phase::Saving);
    let (files, artifact_bytes) = save(config, &trained.model, &metadata, folder)?;
    let sha256 = of_files(&files)?;
    if !trained.stopped {
        remove(&folder.checkpoint(config))?;
    }
    Ok(Run {
        method: config.method_name().to_owned(),
        seed: config.seed,
        train_per_class: config.data.train_per_class,
        train_per_class_found: most_per_class(&data.train),
        epochs: trained.epochs.iter().map(epoch).collect(),
        trainable_parameters: count.trainable as u64,
        total_parameters: count.total as u64,
        steps: trained.step_seconds.len() as u64,
        stopped: trained.stopped,
        train_seconds: trained.seconds,
        seconds_per_step: median(&trained.step_seconds),
        startup_seconds: first_step
            .and_then(|first| first.duration_since(started).ok())
            .map(|startup| startup.as_secs_f64()),
        peak_memory_bytes,
        artifact_bytes,
        artifacts: file_names(&files),
        artifact_sha256: sha256,
        settings,
        augmented: augmented(job, &training, &recipe, &device)?,
        range_test: range_test.map(range_tested),
        ..tested
    })
}

/// Trains the network, from its checkpoint if there is one; only as far as a trial goes.
fn train(
    job: &Job<'_>,
    attached: Adapted<Network>,
    (training, recipe, device): (&TrainingData<'_>, &Recipe, &Device),
    observer: &mut impl finetune_training::Observer,
    checkpoint: Option<&Checkpoint>,
) -> Result<Trained<Network>, TrainingError> {
    match job.trial {
        Some(Trial::Steps(batches)) if job.config.method.fits() => {
            fit_features(attached, training, recipe, device, observer, batches)
        }
        _ => resume(attached, training, recipe, device, observer, checkpoint),
    }
}

/// The network with its method attached, before training.
fn fresh(
    config: &RunConfig,
    training: &TrainingData<'_>,
    device: &Device,
) -> Result<Adapted<Network>, Error> {
    let (network, _) = base(config, training.train.classes.len(), device)?;
    let importance = if config.method.needs_gradients() {
        importance(&network, training, &config.recipe, device)?
    } else {
        Importance::default()
    };
    attach(config, network, &importance)
}

/// Finds a learning rate, with a network that is then dropped.
fn find_rate(
    config: &RunConfig,
    training: &TrainingData<'_>,
    device: &Device,
    observer: &impl Observer,
) -> Result<RangeTest, Error> {
    let attached = fresh(config, training, device)?;
    let stop = || observer.stop_requested();
    let test = range_test(attached, training, &config.recipe, device, &stop);
    if stop() {
        return Err(Error::Stopped(
            "stopped during the learning rate range test",
        ));
    }
    Ok(test?)
}

/// Checks that the images are those that the run was started with: they may change while a
/// comparison runs.
fn same_images(job: &Job<'_>, data: &Decoded) -> Result<(), Error> {
    let expected = job.inputs.data.as_ref();
    let config = &job.config.data;
    let difference = expected.and_then(|expected| {
        let difference = expected.difference(&data.identity);
        difference.or_else(|| config.other_contents(expected, &data.identity))
    });
    match difference {
        Some(difference) => Err(Error::OtherData {
            path: config.path.clone(),
            difference,
        }),
        None => Ok(()),
    }
}

/// What a method found out, on one line.
fn told(found: &Findings) -> String {
    let found = found.iter().map(|(name, value)| format!("{name} {value}"));
    found.collect::<Vec<_>>().join(" · ")
}

fn file_names(files: &[PathBuf]) -> Vec<String> {
    let names = files.iter().filter_map(|path| path.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.collect()
}

/// The number of images of the class with the most.
pub(crate) fn most_per_class(images: &Images) -> Option<usize> {
    let mut counts = vec![0; images.classes.len()];
    for label in &images.labels {
        if let Some(count) = counts.get_mut(*label) {
            *count += 1;
        }
    }
    counts.into_iter().max()
}

/// Says where the last valid weights of a run are whose loss is no longer a number.
fn diverged(reason: TrainingError, path: &Path) -> Error {
    match reason {
        TrainingError::Stopped => return Error::Stopped("stopped before the first step"),
        TrainingError::NonFiniteLoss { .. } => {}
        _ => return reason.into(),
    }
    let checkpoint = read_checkpoint(path, &Inputs::default()).ok().flatten();
    Error::Diverged {
        reason,
        checkpoint: checkpoint.map(|checkpoint| (checkpoint.epochs(), path.to_owned())),
    }
}

/// Writes the run's models. Returns the files, and the size of the smallest one that
/// restores the model.
fn save(
    config: &RunConfig,
    model: &Network,
    metadata: &Metadata,
    folder: &RunFolder,
) -> Result<(Vec<PathBuf>, u64), Error> {
    let architecture = config.architecture()?;
    let mut size = 0;
    let mut files = Vec::new();
    if config.saves_model() {
        let path = folder.model(config);
        size = save_network(model, &architecture, &metadata.to_map()?, &path)?;
        files.push(path);
        if config.format == Format::Pth {
            let path = folder.pytorch_model(config);
            size = write_pth(&state_dict(model, &architecture)?, &path)?;
            files.push(path);
        }
    }
    if let Some(path) = folder.adapter(config) {
        size = save_adapter(model, &metadata.to_map()?, &path)?;
        files.push(path);
    }
    Ok((files, size))
}

fn remove(path: &Path) -> Result<(), Error> {
    if path.exists() {
        std::fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    Ok(())
}

fn range_tested(test: RangeTest) -> finetune_evaluation::RangeTest {
    finetune_evaluation::RangeTest {
        rates: test.rates,
        losses: test.losses,
        suggestion: test.suggestion,
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
