//! A finished run, loaded from its folder: its final model, or the model after one of its epochs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::Module;
use finetune_data::sources::understood_test;
use finetune_data::{ImageSet, Images, Sample, StoredSize};
use finetune_evaluation::{Confusion, Report, Run};
use finetune_files::quoted_path;
use finetune_methods::Adapted;
use finetune_methods::catalogue::Place;
use finetune_model::{Head, Network, WeightsFile, load_adapter};
use finetune_training::Select;

use super::card::Card;
use super::names::RunFolder;
use super::plan::Plan;
use crate::config::{RunConfig, Watch};
use crate::error::Error;
use crate::identity::{DataIdentity, Inputs, verify};
use crate::machine::device::device;
use crate::run::{confusion, prepare, read_checkpoint};
use crate::weights::Metadata;

/// A run in its folder.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    config: RunConfig,
    folder: RunFolder,
    epoch: Option<usize>,
    inputs: Inputs,
    /// SHA-256 of the run's files by name.
    files: BTreeMap<String, String>,
}

/// Test images whose classes are those of a model.
#[derive(Debug, Clone)]
pub struct TestImages {
    /// The images; labels index the model's classes.
    pub images: Images,
    /// What a user should know about them, a sentence each.
    pub notes: Vec<String>,
}

impl FinishedRun {
    /// Opens the run of that name, or the only one if no name is given. If `epoch` is given, from 1,
    /// the model is that of the epoch's checkpoint instead of the run's final one.
    ///
    /// # Errors
    ///
    /// The folder has no such run, or the run has no checkpoint of that epoch.
    pub fn open(folder: &Path, name: Option<&str>, epoch: Option<usize>) -> Result<Self, Error> {
        let plan = Plan::read_for(folder, epoch)?;
        Self::of(plan.pick(name)?, &plan, folder, epoch)
    }

    /// Opens all runs of a folder.
    ///
    /// # Errors
    ///
    /// The folder has no runs, or one of them has no checkpoint of that epoch.
    pub fn open_all(folder: &Path, epoch: Option<usize>) -> Result<Vec<Self>, Error> {
        let plan = Plan::read_for(folder, epoch)?;
        let runs = plan.runs.iter();
        runs.map(|run| Self::of(run, &plan, folder, epoch))
            .collect()
    }

    fn of(
        config: &RunConfig,
        plan: &Plan,
        folder: &Path,
        epoch: Option<usize>,
    ) -> Result<Self, Error> {
        let run = Self {
            config: config.clone(),
            folder: plan.folder(folder),
            epoch,
            inputs: plan.inputs.clone(),
            files: plan.files.clone(),
        };
        match epoch {
            Some(epoch) if !run.folder.epoch_checkpoint(config, epoch).exists() => {
                Err(Error::Usage(run.no_checkpoint(epoch)))
            }
            _ => Ok(run),
        }
    }

    /// The same run with its base weights in a file to which they were moved.
    ///
    /// # Errors
    ///
    /// [`Error::MovedBase`] if it is another file than the run started from, as far as that is
    /// recorded; [`Error::Usage`] if the run did not start from a file.
    pub fn moved_weights(mut self, file: &Path) -> Result<Self, Error> {
        if !self.config.starts_from_file() {
            return Err(Error::Usage(format!(
                "--weights says where base weights are that were moved, but {} started from {}; leave \
                 it out",
                self.name(),
                if self.config.from_scratch {
                    "random weights"
                } else {
                    "weights inside the program"
                }
            )));
        }
        if let Some(weights) = &self.inputs.weights {
            weights.verify_moved(file)?;
        }
        self.config.weights = Some(file.to_owned());
        Ok(self)
    }

    /// The run's configuration.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The run's name in its folder: `lora` or `lora_seed1`.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder.name(&self.config)
    }

    /// The run's name and its folder, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} of {}", self.name(), quoted_path(self.folder.path()))
    }

    /// The names of the classes, in the order of the logits.
    ///
    /// # Errors
    ///
    /// A file is missing or was not written by a run.
    pub fn classes(&self) -> Result<Vec<String>, Error> {
        let adapter = self.folder.adapter(&self.config);
        let file = adapter.unwrap_or_else(|| self.folder.model(&self.config));
        if self.epoch.is_some() && !file.exists() {
            // The run is unfinished and has only checkpoints.
            if let Some(data) = &self.inputs.data {
                return Ok(data.classes.clone());
            }
            return Ok(self.config.data.open(self.config.seed)?.train.classes);
        }
        verify(&file, &self.files)?;
        Ok(Metadata::of(&WeightsFile::open(&file)?)?.classes)
    }

    /// The card of the run's adapter for HF PEFT, if the folder's report has the run.
    pub(super) fn peft_card(&self) -> Option<String> {
        let report = Report::read(&self.folder.report()).ok()?;
        let run = report.runs.iter().find(|run| self.is(run))?;
        let card = Card {
            config: &self.config,
            run,
            report: &report,
            for_peft: true,
        };
        Some(card.text())
    }

    /// Whether results are those of this run.
    fn is(&self, run: &Run) -> bool {
        run.method == self.config.method_name() && run.seed == self.config.seed
    }

    /// Says that the run was stopped before its end, if it was, as far as the folder's report tells.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        if self.epoch.is_some() {
            return None;
        }
        let report = Report::read(&self.folder.report()).ok()?;
        let mut runs = report.runs.iter();
        let run = runs.find(|run| self.is(run) && run.stopped)?;
        Some(format!(
            "{} was stopped early, in epoch {} of {}: its model is not fully trained{}",
            self.name(),
            run.epochs.len(),
            self.config.recipe.epochs,
            if self.folder.plan().exists() {
                "; `--resume` continues it"
            } else {
                ""
            }
        ))
    }

    /// The model for inference. The final model is the base weights with the adapter if the method
    /// has one and `merged` is false, and the whole model otherwise.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn network(&self, classes: usize, merged: bool) -> Result<Network, Error> {
        if let Some(epoch) = self.epoch {
            return Ok(self.after_epoch(epoch, classes)?.valid());
        }
        if !merged && let Some(network) = self.adapted_network(classes)? {
            return Ok(network.valid());
        }
        let config = &self.config;
        let device = device(&config.device)?;
        if !config.method.merges() {
            let what = match config.method.place() {
                Place::Head => "answers by the features of the training images",
                _ => "adds layers",
            };
            return Err(Error::Usage(format!(
                "{} {what}, which cannot be merged into the model",
                config.method_name()
            )));
        }
        if !config.saves_model() {
            return Err(Error::Usage(format!(
                "{0} wrote its adapter alone (--save adapter) and no merged model; make one with `finetune merge \
                 --run {1} --method {0} --out FILE`",
                self.name(),
                self.folder.path().display()
            )));
        }
        let path = self.folder.model(config);
        if path.exists() {
            verify(&path, &self.files)?;
        }
        let mut file = WeightsFile::open(&path)?;
        let loaded = file.load(&config.architecture()?, classes, Head::Stored, &device)?;
        Ok(loaded.network)
    }

    /// The base weights with the run's adapter, as training left it; `None` if the method changes
    /// the base itself, or the run wrote the merged model alone.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn adapted_network(&self, classes: usize) -> Result<Option<Network>, Error> {
        if let Some(epoch) = self.epoch
            && self.config.method.freezes_base()
        {
            return self.after_epoch(epoch, classes).map(Some);
        }
        let Some(file) = self.folder.adapter(&self.config) else {
            return Ok(None);
        };
        verify(&file, &self.files)?;
        let model = self.attached(classes)?.into_parts().model;
        Ok(Some(load_adapter(model, &file)?))
    }

    /// Images for [`evaluate`](Self::evaluate): those of a data set, or the run's own test images.
    /// Their classes are matched by name with those that the model was trained on; the data set may
    /// have only some of them, in another order. `watch` is told again and again how many of how many
    /// are decoded.
    ///
    /// # Errors
    ///
    /// The data set is not valid, an image cannot be used, or it has classes that the model was not
    /// trained on.
    pub fn test_images(&self, data: Option<&Path>, watch: Watch<'_>) -> Result<TestImages, Error> {
        let config = &self.config;
        let trained = self.classes()?;
        let mut notes = Vec::new();
        let others = |difference| {
            format!("the images are not those that the run was started with: {difference}")
        };
        let expected = self.inputs.data.as_ref();
        let mut same = None;
        let test = match data {
            None => {
                let whole = config.data.whole()?;
                let found = DataIdentity::of(&whole)?;
                match expected.and_then(|expected| expected.difference(&found)) {
                    Some(difference) => notes.push(others(difference)),
                    None => same = Some(found),
                }
                whole.test
            }
            Some(path) => {
                let (set, understood) = understood_test(path)?;
                notes.push(format!("test images: {}", understood.layout));
                notes.extend(understood.sentences());
                set
            }
        };
        let (test, matched) = by_name(test, &trained)?;
        notes.extend(matched);
        let preprocess = config.data.preprocess(&config.architecture()?);
        let (size, pipeline) = (StoredSize::Fitted, &config.data.pipeline);
        let mut decoded = |images| watch(images, test.len());
        let mut images = test.prepare_watched(&preprocess, size, pipeline, &mut decoded)?;
        let checksums = std::mem::take(&mut images.checksums);
        if let (Some(expected), Some(mut found)) = (expected, same) {
            // Only the test images, which come last, were read.
            let others_unread = found.parts.len().saturating_sub(1);
            let mut contents = vec![Vec::new(); others_unread];
            contents.push(checksums);
            found.set_contents(contents);
            notes.extend(config.data.other_contents(expected, &found).map(others));
        }
        let left_out = images.skipped.iter();
        notes.extend(left_out.map(|image| format!("left out: {}", image.reason)));
        Ok(TestImages { images, notes })
    }

    /// The confusion matrix of the run's model on images.
    ///
    /// # Errors
    ///
    /// Files are missing or do not fit each other.
    pub fn evaluate(&self, images: &Images, merged: bool) -> Result<Confusion, Error> {
        let config = &self.config;
        let network = self
            .network(images.classes.len(), merged)
            .map_err(Error::during(|| {
                format!(
                    "cannot reload {} of {}",
                    config.method_name(),
                    self.folder.path().display()
                )
            }))?;
        confusion(&network, images, config, &device(&config.device)?)
    }

    /// The model as it was after an epoch.
    fn after_epoch(&self, epoch: usize, classes: usize) -> Result<Network, Error> {
        let path = self.folder.epoch_checkpoint(&self.config, epoch);
        let cannot = || format!("cannot read the checkpoint {}", path.display());
        let Some(checkpoint) = read_checkpoint(&path, &self.inputs)? else {
            return Err(Error::Usage(self.no_checkpoint(epoch)));
        };
        let model = checkpoint.model(self.attached(classes)?, &self.config.recipe);
        model.map_err(Error::during(cannot))
    }

    /// The run's method on its base, before training.
    fn attached(&self, classes: usize) -> Result<Adapted<Network>, Error> {
        match (&self.inputs.weights, &self.config.weights) {
            _ if self.config.from_scratch => {}
            (Some(weights), _) => weights.verify(&self.config)?,
            (None, Some(path)) if !path.exists() => {
                let path = path.clone();
                return Err(Error::NoBase { path, sha256: None });
            }
            _ => {}
        }
        let device = device(&self.config.device)?.autodiff();
        Ok(prepare(&self.config, classes, &device)?.attached)
    }

    /// Says that an epoch has no checkpoint, and which epochs have one.
    fn no_checkpoint(&self, epoch: usize) -> String {
        let recipe = &self.config.recipe;
        let is_last = epoch == recipe.epochs && recipe.select == Select::Last;
        let retained = self.folder.checkpointed_epochs(&self.config);
        let retained: Vec<String> = retained.iter().map(usize::to_string).collect();
        let remedy = match retained.as_slice() {
            _ if is_last => "it is the last one: omit --epoch".to_owned(),
            [] => "it retained none (see --keep-checkpoints)".to_owned(),
            [one] => format!("it retained that of epoch {one}"),
            _ => format!("it retained those of the epochs {}", retained.join(", ")),
        };
        format!(
            "{} in {} has no checkpoint of epoch {epoch}; {remedy}",
            self.name(),
            self.folder.path().display()
        )
    }
}

/// Images with the labels of a model's classes, which are matched by name; and a sentence about it if
/// the classes are not simply the same.
fn by_name(set: ImageSet, trained: &[String]) -> Result<(ImageSet, Option<String>), Error> {
    if set.classes == trained {
        return Ok((set, None));
    }
    let known: HashMap<&str, usize> = trained.iter().map(String::as_str).zip(0..).collect();
    let labels: Vec<Option<usize>> = (set.classes.iter())
        .map(|class| known.get(class.as_str()).copied())
        .collect();
    let unknown = set.classes.iter().zip(&labels);
    let unknown: Vec<String> = unknown
        .filter(|(_, label)| label.is_none())
        .map(|(class, _)| class.clone())
        .collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownClasses {
            unknown,
            trained: trained.to_vec(),
        });
    }
    let samples = set.samples.into_iter().filter_map(|sample| {
        let label = labels.get(sample.label).copied().flatten()?;
        Some(Sample { label, ..sample })
    });
    let note = if set.classes.len() == trained.len() {
        "the classes are those of the model in another order; they are matched by name".to_owned()
    } else {
        format!(
            "the test images have {} of the {} classes of the model, matched by name",
            set.classes.len(),
            trained.len()
        )
    };
    let matched = ImageSet {
        classes: trained.to_vec(),
        samples: samples.collect(),
    };
    Ok((matched, Some(note)))
}
