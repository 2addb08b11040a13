//! Methods that are computed at once from frozen features, on real photographs and a small network.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use finetune_data::{Images, Normalization, Preprocess, embedded_signs};
use finetune_methods::catalogue::{KnnConfig, ProbeConfig};
use finetune_methods::{Adapted, Method, Scope, Targets, Values, linear, trained};
use finetune_model::{Architecture, Network};
use finetune_training::{
    ClassWeights, Classifier, Observer, Optimizer, Recipe, Trained, TrainingData, TrainingError,
    evaluate, fit_features, train,
};

fn images(per_class: usize, seed: u64) -> Images {
    let set = embedded_signs().train.take_per_class(per_class, seed);
    set.decode(&Preprocess::square(32)).unwrap()
}

fn data(images: &Images) -> TrainingData<'_> {
    TrainingData {
        train: images,
        valid: None,
        normalization: Normalization::HALF,
    }
}

fn recipe(batch_size: usize) -> Recipe {
    Recipe {
        batch_size,
        ..Recipe::new(Optimizer::Adam, 0.001)
    }
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn attached(method: &Method) -> Adapted<Network> {
    let network = Architecture::find("resnet8-64").unwrap();
    let network = network.build(5, 7, &device());
    let targets = Targets::all();
    method
        .attach(network, &Scope::new("linear", &targets, 0))
        .unwrap()
}

fn knn(k: usize) -> Method {
    Method::Knn(KnnConfig {
        k: Some(k),
        ..KnnConfig::default()
    })
}

fn probe(c: f64) -> Method {
    Method::Probe(ProbeConfig {
        c: Some(c),
        ..ProbeConfig::default()
    })
}

fn fitted(method: &Method, images: &Images, recipe: &Recipe) -> Trained<Network> {
    train(attached(method), &data(images), recipe, &device(), &mut ()).unwrap()
}

fn accuracy(model: &Network, images: &Images) -> f64 {
    let seen = evaluate(&model.valid(), images, Normalization::HALF, 8, &device());
    seen.unwrap().accuracy()
}

#[test]
fn the_nearest_training_image_of_a_training_image_is_itself() {
    let images = images(6, 0);
    let fitted = fitted(&knn(1), &images, &recipe(8));
    assert!((accuracy(&fitted.model, &images) - 1.0).abs() < 1e-12);
    assert!(fitted.epochs.is_empty() && fitted.step_seconds.is_empty() && !fitted.stopped);
    assert!(fitted.seconds > 0.0);
    // 30 images of 64 features, their classes, and how many vote.
    let stored = trained(&fitted.model);
    let mut shapes: Vec<_> = stored.into_iter().map(|tensor| tensor.shape).collect();
    shapes.sort();
    assert_eq!(shapes, [vec![1], vec![30], vec![30, 64]]);
}

#[test]
fn a_probe_without_regularisation_separates_the_training_images() {
    let images = images(6, 0);
    let all = fitted(&probe(1e6), &images, &recipe(8));
    assert!((accuracy(&all.model, &images) - 1.0).abs() < 1e-12);
    // With nearly infinite regularisation, only the biases are left: they know the commonest class alone.
    let none = fitted(&probe(1e-6), &images, &recipe(8));
    let head = trained(&none.model);
    assert_eq!(head.len(), 2);
    let largest = |name: &str| {
        let tensor = head.iter().find(|tensor| tensor.path == name).unwrap();
        let Values::Floats(values) = &tensor.values else {
            panic!("{tensor:?}")
        };
        values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()))
    };
    assert!(
        largest("linear.weight") < 1e-2,
        "{}",
        largest("linear.weight")
    );
}

#[test]
fn the_size_of_batches_changes_nothing() {
    let images = images(3, 1);
    for method in [knn(3), probe(1.0)] {
        let of = |batch_size| trained(&fitted(&method, &images, &recipe(batch_size)).model);
        assert!(of(4) == of(32), "{}", method.name());
    }
}

#[test]
fn balanced_classes_count_the_same() {
    // One class has a fifth of the images of each other one.
    let mut images = images(10, 0);
    let keep: Vec<usize> = (0..images.len())
        .scan(0, |seen, index| {
            let rare = images.labels[index] == 2;
            *seen += usize::from(rare);
            Some((index, !rare || *seen <= 2))
        })
        .filter_map(|(index, keep)| keep.then_some(index))
        .collect();
    assert_eq!(keep.len(), 42);
    images = {
        let set = embedded_signs().train.take_per_class(10, 0);
        let samples = keep.iter().map(|index| set.samples[*index].clone());
        let set = finetune_data::ImageSet {
            samples: samples.collect(),
            classes: set.classes.clone(),
        };
        set.decode(&Preprocess::square(32)).unwrap()
    };
    let answers = |weights| {
        let recipe = Recipe {
            class_weights: weights,
            ..recipe(8)
        };
        // So strong a regularisation leaves the biases.
        let fitted = fitted(&probe(1e-6), &images, &recipe);
        let seen = evaluate(
            &fitted.model.valid(),
            &images,
            Normalization::HALF,
            8,
            &device(),
        );
        let answers = seen.unwrap().answers;
        let rare = answers
            .iter()
            .zip(&images.labels)
            .filter(|(_, label)| **label == 2);
        let rare: Vec<f32> = rare.map(|(answer, _)| answer.of_truth).collect();
        rare[0]
    };
    let plain = answers(ClassWeights::None);
    let balanced = answers(ClassWeights::Balanced);
    assert!((plain - 2.0 / 42.0).abs() < 1e-3, "{plain}");
    assert!((balanced - 0.2).abs() < 1e-3, "{balanced}");
}

#[test]
fn a_few_batches_tell_how_long_it_takes_and_fit_nothing() {
    let images = images(3, 0);
    let before = attached(&probe(1.0));
    let weights = trained(before.model());
    let some = fit_features(before, &data(&images), &recipe(4), &device(), &mut (), 2).unwrap();
    assert_eq!((some.step_seconds.len(), some.stopped), (2, true));
    assert!(trained(&some.model) == weights);
    let most = fit_features(
        attached(&knn(1)),
        &data(&images),
        &recipe(4),
        &device(),
        &mut (),
        99,
    );
    assert_eq!(most.unwrap().step_seconds.len(), 4);
}

/// Counts what it is told, and stops.
#[derive(Default)]
struct Stops {
    features: Vec<(usize, usize)>,
    plans: Vec<String>,
    after_images: usize,
    at_fit: bool,
}

impl Observer for Stops {
    fn on_features(&mut self, done: usize, images: usize) -> ControlFlow<()> {
        self.features.push((done, images));
        if done >= self.after_images {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn on_fit(&mut self, plan: &str) {
        self.plans.push(plan.to_owned());
    }

    fn wants_stop(&self) -> bool {
        self.at_fit
    }
}

#[test]
fn progress_is_told_and_a_fit_can_be_stopped() {
    let images = images(2, 0);
    let method = Method::Probe(ProbeConfig::default());
    let run = |observer: &mut Stops| {
        train(
            attached(&method),
            &data(&images),
            &recipe(4),
            &device(),
            observer,
        )
    };
    let mut observer = Stops {
        after_images: 8,
        ..Stops::default()
    };
    assert!(matches!(run(&mut observer), Err(TrainingError::Stopped)));
    assert_eq!(observer.features, [(4, 10), (8, 10)]);
    let mut observer = Stops {
        after_images: 99,
        at_fit: true,
        ..Stops::default()
    };
    assert!(matches!(run(&mut observer), Err(TrainingError::Stopped)));
    assert_eq!(observer.features, [(4, 10), (8, 10), (10, 10)]);
    assert_eq!(
        observer.plans,
        ["logistic regression, C chosen by 5-fold cross-validation"]
    );
}

#[derive(Module, Debug)]
struct NoStages {
    head: Linear,
}

impl Classifier for NoStages {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        linear(&self.head, images.flatten(1, 3))
    }
}

#[test]
fn what_cannot_be_computed_is_an_error_that_says_why() {
    let images = images(1, 0);
    let targets = Targets::all();
    let model = NoStages {
        head: LinearConfig::new(3 * 32 * 32, 5).init(&device()),
    };
    let other = probe(1.0)
        .attach(model, &Scope::new("head", &targets, 0))
        .unwrap();
    let error = train(other, &data(&images), &recipe(4), &device(), &mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the features before the head `head` are needed, but the model does not end in a Linear layer of \
         that name on one vector per image"
    );
    let error = train(
        attached(&knn(6)),
        &data(&images),
        &recipe(4),
        &device(),
        &mut (),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "knn.k is 6, but must be at most the number of training images, 5"
    );
}
