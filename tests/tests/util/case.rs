//! A small run of the library, and its outcome.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use finetune::data::{Images, Preprocess, Sampling, embedded_signs};
use finetune::methods::{LoraConfig, Method, Scope, Targets, TrainedTensor, trained};
use finetune::model::Architecture;
use finetune::training::{
    CachedFeatures, Checkpoint, Epoch, Observer, Optimizer, Recipe, Schedule, TrainingData,
    TrainingError, resume,
};

/// The outcome of a run: its weights, and its epochs without times.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub weights: Vec<TrainedTensor>,
    pub epochs: Vec<Epoch>,
}

impl Outcome {
    /// Asserts equality to the bit; the message shows the epochs of both, so that the first that
    /// differs can be found.
    #[track_caller]
    pub fn assert_is(&self, other: &Self, name: &str) {
        assert!(
            self == other,
            "{name}: {:?} {:?}",
            self.epochs,
            other.epochs
        );
    }
}

static ALONE: Mutex<()> = Mutex::new(());

pub struct Case<'a> {
    pub model: &'a str,
    pub side: usize,
    pub method: Method,
    pub targets: &'a str,
    pub adapt_statistics: bool,
    pub sampling: Sampling,
    pub recipe: Recipe,
}

impl Case<'_> {
    pub fn new(
        model: &'static str,
        side: usize,
        method: Method,
        targets: &'static str,
    ) -> Case<'static> {
        Case {
            model,
            side,
            method,
            targets,
            adapt_statistics: false,
            sampling: Sampling::Shuffled,
            recipe: Recipe {
                epochs: 3,
                batch_size: 4,
                schedule: Schedule::Cosine,
                ..Recipe::new(Optimizer::Adam, 0.01)
            },
        }
    }

    /// The same with another recipe.
    pub fn with(self, change: impl FnOnce(&mut Recipe)) -> Self {
        let mut recipe = self.recipe.clone();
        change(&mut recipe);
        Self { recipe, ..self }
    }

    pub fn run(&self) -> (Outcome, Option<CachedFeatures>) {
        self.run_from(None, &mut ())
    }

    pub fn run_from(
        &self,
        from: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> (Outcome, Option<CachedFeatures>) {
        self.try_run_from(from, observer).unwrap()
    }

    pub fn try_run_from(
        &self,
        from: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> Result<(Outcome, Option<CachedFeatures>), TrainingError> {
        // Dropout uses a random number generator that the whole process shares.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let device = Device::flex();
        device.seed(1);
        let device = device.autodiff();
        let architecture = Architecture::find(self.model).unwrap().at(self.side);
        let architecture = architecture.unwrap();
        let targets = Targets::parse(self.targets).unwrap();
        let scope = Scope {
            adapt_statistics: self.adapt_statistics,
            ..Scope::new(architecture.head, &targets, 1)
        };
        let network = architecture.build(5, 3, &device);
        let attached = self.method.attach(network, &scope).unwrap();
        let (mut train, valid) = images(self.side);
        train.sampling = self.sampling;
        let data = TrainingData {
            train: &train,
            valid: Some(&valid),
            normalization: architecture.normalization,
        };
        let run = resume(attached, &data, &self.recipe, &device, observer, from)?;
        let epochs = run.epochs.into_iter().map(|epoch| Epoch {
            seconds: 0.0,
            images_per_second: 0.0,
            ..epoch
        });
        let outcome = Outcome {
            weights: trained(&run.model),
            epochs: epochs.collect(),
        };
        Ok((outcome, run.features))
    }
}

/// Returns ten training images, so that the last batch is smaller, and five validation images.
fn images(side: usize) -> (Images, Images) {
    let all = embedded_signs().train.take_per_class(3, 0);
    let (train, valid) = all.split(0.34, 0);
    let decode = |set: finetune::data::ImageSet| set.decode(&Preprocess::square(side)).unwrap();
    (decode(train), decode(valid))
}

pub fn lora(dropout: f64) -> Method {
    Method::Lora(LoraConfig {
        dropout,
        ..LoraConfig::default()
    })
}

/// Stores the first checkpoint of a run.
pub struct First(pub Option<Checkpoint>);

impl Observer for First {
    fn wants_checkpoint(&self) -> bool {
        self.0.is_none()
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        self.0 = Some(checkpoint.clone());
        Ok(())
    }
}
