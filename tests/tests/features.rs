//! Features of frozen layers, computed once: the run comes out the same to the bit.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;
use finetune::data::{Images, Preprocess, embedded_signs};
use finetune::methods::{
    LoraConfig, Method, PeftConfig, Scope, Targets, TrainedTensor, VptConfig, trained,
};
use finetune::model::Architecture;
use finetune::training::{
    Checkpoint, Epoch, FeatureCache, KeptFeatures, Observer, Optimizer, Recipe, Schedule,
    TrainingData, resume,
};

/// What a run leaves: its weights, its epochs without their times, and what it kept.
#[derive(Debug, PartialEq)]
struct Outcome {
    weights: Vec<TrainedTensor>,
    epochs: Vec<Epoch>,
}

static ALONE: Mutex<()> = Mutex::new(());

struct Case<'a> {
    model: &'a str,
    side: usize,
    method: Method,
    targets: &'a str,
    adapt_statistics: bool,
    augment: bool,
}

impl Case<'_> {
    fn new(model: &'static str, side: usize, method: Method, targets: &'static str) -> Self {
        Case {
            model,
            side,
            method,
            targets,
            adapt_statistics: false,
            augment: false,
        }
    }

    fn run(&self, cache: FeatureCache) -> (Outcome, Option<KeptFeatures>) {
        self.run_from(cache, None, &mut ())
    }

    fn run_from(
        &self,
        cache: FeatureCache,
        from: Option<&Checkpoint>,
        observer: &mut impl Observer,
    ) -> (Outcome, Option<KeptFeatures>) {
        // Dropout draws from one generator of the process.
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
        let (train, valid) = images(self.side);
        let data = TrainingData {
            train: &train,
            valid: Some(&valid),
            normalization: architecture.normalization,
        };
        let mut recipe = Recipe {
            epochs: 3,
            batch_size: 4,
            schedule: Schedule::Cosine,
            feature_cache: cache,
            ..Recipe::new(Optimizer::Adam, 0.01)
        };
        recipe.augment.flip = self.augment;
        let run = resume(attached, &data, &recipe, &device, observer, from).unwrap();
        let epochs = run.epochs.into_iter().map(|epoch| Epoch {
            seconds: 0.0,
            images_per_second: 0.0,
            ..epoch
        });
        let outcome = Outcome {
            weights: trained(&run.model),
            epochs: epochs.collect(),
        };
        (outcome, run.features)
    }
}

/// Ten images to learn from, so that the last batch is smaller, and five others.
fn images(side: usize) -> (Images, Images) {
    let all = embedded_signs().train.take_per_class(3, 0);
    let (train, valid) = all.split(0.34, 0);
    let decode = |set: finetune::data::ImageSet| set.decode(&Preprocess::square(side)).unwrap();
    (decode(train), decode(valid))
}

fn lora(dropout: f64) -> Method {
    Method::Lora(LoraConfig {
        dropout,
        ..LoraConfig::default()
    })
}

#[test]
fn runs_with_kept_features_are_the_same_to_the_bit() {
    let peft = Method::Peft(PeftConfig {
        interval: 2,
        ..PeftConfig::default()
    });
    let cases = [
        ("linear", Case::new("resnet8-64", 32, Method::Linear, "all")),
        ("layer3.0", Case::new("resnet8-64", 32, peft, "layer3")),
        ("layer2.0", Case::new("resnet8-64", 32, lora(0.5), "layer2")),
        (
            "classifier",
            Case::new("mobilenet_v2", 32, Method::Linear, "all"),
        ),
        (
            "blocks.16",
            Case::new("mobilenet_v2", 32, lora(0.0), r"blocks\.16\."),
        ),
        ("hidden", Case::new("chapter", 64, lora(0.0), "hidden")),
        (
            "head",
            Case::new("vit_tiny_patch16_224", 32, Method::Linear, "all"),
        ),
        (
            "blocks.11",
            Case::new(
                "vit_tiny_patch16_224",
                32,
                Method::VptDeep(VptConfig { count: 2 }),
                r"blocks\.11\.attn\.qkv\.",
            ),
        ),
        (
            "stages.3.blocks.2",
            Case::new("convnext_tiny", 32, lora(0.0), r"stages\.3\.blocks\.2\."),
        ),
    ];
    for (below, case) in cases {
        let name = format!("{} {}", case.model, case.method.name());
        let (kept, features) = case.run(FeatureCache::Auto);
        assert_eq!(features.unwrap().below, below, "{name}");
        let (plain, features) = case.run(FeatureCache::Off);
        assert_eq!(features, None, "{name}");
        assert!(!kept.weights.is_empty(), "{name}");
        assert!(
            kept == plain,
            "{name}: {:?} {:?}",
            kept.epochs,
            plain.epochs
        );
    }
}

#[test]
fn nothing_is_kept_where_the_first_layers_change_or_images_do() {
    let of = |method: Method| Case::new("resnet8-64", 32, method, "all");
    let cases = [
        of(Method::Sft),
        of(Method::Norm),
        of(Method::Bitfit),
        of(lora(0.0)),
        Case {
            adapt_statistics: true,
            ..of(Method::Linear)
        },
        Case {
            augment: true,
            ..of(Method::Linear)
        },
    ];
    for case in cases {
        let (_, features) = case.run(FeatureCache::Auto);
        assert_eq!(features, None, "{}", case.method.name());
    }
}

/// Keeps the first checkpoint of a run.
struct First(Option<Checkpoint>);

impl Observer for First {
    fn keeps_checkpoints(&self) -> bool {
        self.0.is_none()
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        self.0 = Some(checkpoint.clone());
        Ok(())
    }
}

#[test]
fn a_run_goes_on_from_a_checkpoint_with_kept_features() {
    let case = Case::new("mobilenet_v2", 32, lora(0.5), r"blocks\.16\.|last");
    let mut first = First(None);
    let (whole, features) = case.run_from(FeatureCache::Auto, None, &mut first);
    assert!(features.is_some());
    let checkpoint = first.0.unwrap();
    assert_eq!(checkpoint.epochs(), 1);
    for cache in [FeatureCache::Auto, FeatureCache::Off] {
        let (again, _) = case.run_from(cache, Some(&checkpoint), &mut ());
        assert!(again == whole, "{cache:?}");
    }
}

/// Breaks the computation of features off, and counts the calls.
struct Impatient(Vec<(usize, usize)>);

impl Observer for Impatient {
    fn on_features(&mut self, done: usize, images: usize) -> std::ops::ControlFlow<()> {
        self.0.push((done, images));
        std::ops::ControlFlow::Break(())
    }
}

#[test]
fn the_observer_can_break_it_off() {
    let case = Case::new("resnet8-64", 32, Method::Linear, "all");
    let mut observer = Impatient(Vec::new());
    let (broken_off, features) = case.run_from(FeatureCache::Auto, None, &mut observer);
    assert_eq!(features, None);
    assert_eq!(observer.0, [(4, 15)]);
    let (plain, _) = case.run(FeatureCache::Off);
    assert!(broken_off == plain);
}
