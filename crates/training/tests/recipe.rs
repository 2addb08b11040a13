//! The training loop with several settings of the recipe, on a network of two layers.

#![allow(clippy::unwrap_used, missing_docs)]

use std::ops::ControlFlow;

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::tanh;
use burn::tensor::{Device, TensorData};
use finetune_data::{Images, Normalization, Preprocess, embedded_signs};
use finetune_methods::Adapted;
use finetune_training::{
    Checkpoint, ClassWeights, Classifier, Epoch, Observer, Optimizer, Recipe, Schedule, Select,
    Step, Trained, TrainingData, TrainingError, evaluate, range_test, resume, train,
};

#[derive(Module, Debug)]
struct Net {
    body: Linear,
    head: Linear,
}

impl Classifier for Net {
    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let flat = images.flatten::<2>(1, 3);
        self.head.forward(tanh(self.body.forward(flat)))
    }
}

const SIDE: usize = 8;

fn device() -> Device {
    Device::flex().autodiff()
}

/// Returns a network whose weights follow a formula.
fn net() -> Net {
    let device = device();
    #[allow(clippy::cast_precision_loss)]
    let set = |layer: Linear, speed: f32| {
        let [inputs, outputs] = layer.weight.dims();
        let count = inputs * outputs;
        let values: Vec<f32> = (0..count)
            .map(|i| (i as f32 * speed).sin() / (inputs as f32).sqrt())
            .collect();
        let weight = Tensor::from_data(TensorData::new(values, [inputs, outputs]), &device);
        let mut layer = layer;
        layer.weight = burn::module::Param::from_tensor(weight);
        layer.bias = layer
            .bias
            .map(|bias| bias.map(|bias| bias.zeros_like().detach().require_grad()));
        layer
    };
    Net {
        body: set(LinearConfig::new(3 * SIDE * SIDE, 6).init(&device), 0.7),
        head: set(LinearConfig::new(6, 5).init(&device), 1.9),
    }
}

fn attached(net: Net) -> Adapted<Net> {
    Adapted::from(net).with_head("head")
}

fn images(per_class: usize, seed: u64) -> Images {
    let set = embedded_signs().train.take_per_class(per_class, seed);
    set.decode(&Preprocess::square(SIDE)).unwrap()
}

fn weights(net: &Net) -> Vec<f32> {
    let values = |layer: &Linear| {
        let bias = layer.bias.as_ref().unwrap().val().into_data();
        let weight = layer.weight.val().into_data();
        weight
            .iter::<f32>()
            .chain(bias.iter::<f32>())
            .collect::<Vec<_>>()
    };
    [values(&net.body), values(&net.head)].concat()
}

fn data<'a>(train: &'a Images, valid: Option<&'a Images>) -> TrainingData<'a> {
    TrainingData {
        train,
        valid,
        normalization: Normalization::HALF,
    }
}

fn run(recipe: &Recipe, data: &TrainingData<'_>) -> Trained<Net> {
    train(attached(net()), data, recipe, &device(), &mut ()).unwrap()
}

fn recipe() -> Recipe {
    Recipe {
        epochs: 3,
        batch_size: 4,
        ..Recipe::new(Optimizer::Adam, 0.01)
    }
}

#[test]
fn accumulated_batches_equal_one_large_batch() {
    // With 25 images and three batches of 4 per step, the last step of an epoch has one image. If that
    // image is left out, an epoch has two steps of 12 images.
    let images = images(5, 0);
    for (class_weights, label_smoothing, drop_last, steps) in [
        (ClassWeights::None, 0.0, false, 9),
        (ClassWeights::Balanced, 0.1, false, 9),
        (ClassWeights::Balanced, 0.1, true, 6),
    ] {
        let common = Recipe {
            class_weights,
            label_smoothing,
            drop_last,
            optimizer: Optimizer::Sgd,
            ..recipe()
        };
        let large = Recipe {
            batch_size: 12,
            ..common.clone()
        };
        let small = Recipe {
            accumulate: 3,
            ..common
        };
        let (large, small) = (
            run(&large, &data(&images, None)),
            run(&small, &data(&images, None)),
        );
        assert_eq!(large.step_seconds.len(), steps);
        assert_eq!(small.step_seconds.len(), steps);
        for (a, b) in weights(&large.model).iter().zip(weights(&small.model)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        for (a, b) in large.epochs.iter().zip(&small.epochs) {
            assert!((a.train_loss - b.train_loss).abs() < 1e-6);
            assert!((a.train_accuracy - b.train_accuracy).abs() < 1e-12);
        }
    }
}

/// Stores every checkpoint as the bytes of its file.
#[derive(Default)]
struct Stored(Vec<Vec<u8>>);

impl Observer for Stored {
    fn wants_checkpoint(&self) -> bool {
        true
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        checkpoint.write(file.path(), Some("about")).unwrap();
        self.0.push(std::fs::read(file.path()).unwrap());
        Ok(())
    }
}

fn without_times(epochs: &[Epoch]) -> Vec<Epoch> {
    let timeless = |epoch: &Epoch| Epoch {
        seconds: 0.0,
        images_per_second: 0.0,
        ..epoch.clone()
    };
    epochs.iter().map(timeless).collect()
}

#[test]
fn a_resumed_run_gives_the_same_result_to_the_bit() {
    let (images, valid) = (images(5, 0), images(2, 7));
    let data = data(&images, Some(&valid));
    let recipe = Recipe {
        epochs: 6,
        learning_rate: 0.05,
        optimizer: Optimizer::AdamW,
        schedule: Schedule::Cosine,
        weight_decay: 0.1,
        accumulate: 2,
        head_lr_ratio: 3.0,
        layer_decay: 0.5,
        clip_norm: Some(0.5),
        label_smoothing: 0.1,
        class_weights: ClassWeights::Balanced,
        ema: Some(0.9),
        unfreeze_epochs: 2,
        select: Select::Best,
        ..recipe()
    };
    let mut stored = Stored::default();
    let whole = train(attached(net()), &data, &recipe, &device(), &mut stored).unwrap();
    assert_eq!(stored.0.len(), 5);
    for (index, bytes) in stored.0.iter().enumerate() {
        let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
        assert_eq!(checkpoint.epochs(), index + 1);
        let rest = resume(
            attached(net()),
            &data,
            &recipe,
            &device(),
            &mut (),
            Some(&checkpoint),
        )
        .unwrap();
        assert_eq!(weights(&rest.model), weights(&whole.model), "{index}");
        assert_eq!(without_times(&rest.epochs), without_times(&whole.epochs));
        assert_eq!(rest.best, whole.best);
    }
}

/// Records the best epoch when a run ends early.
struct EndedEarly(Option<usize>);

impl Observer for EndedEarly {
    fn on_patience(&mut self, best: usize) {
        self.0 = Some(best);
    }
}

#[test]
fn the_best_epoch_is_selected_and_patience_ends_a_run() {
    let (images, valid) = (images(8, 0), images(4, 7));
    let data = data(&images, Some(&valid));
    // The learning rate is too large, so the validation accuracy rises and falls.
    let recipe = Recipe {
        epochs: 12,
        learning_rate: 0.2,
        select: Select::Best,
        ..recipe()
    };
    let best_of = |epochs: &[Epoch]| {
        let key = |epoch: &Epoch| (epoch.valid_accuracy.unwrap(), -epoch.valid_loss.unwrap());
        let best = epochs
            .iter()
            .reduce(|a, b| if key(b) > key(a) { b } else { a });
        best.unwrap().clone()
    };
    let selected = run(&recipe, &data);
    assert_eq!(selected.epochs.len(), 12);
    let best = best_of(&selected.epochs);
    assert!(
        best.epoch < 12,
        "the last epoch is the best, so that nothing was selected"
    );
    assert_eq!(selected.best, Some(best.epoch));
    let again = evaluate(
        &selected.model.valid(),
        &valid,
        data.normalization,
        4,
        &device(),
    )
    .unwrap();
    assert_eq!(
        Some(again.accuracy().to_bits()),
        best.valid_accuracy.map(f64::to_bits)
    );
    // The weights are those of a run that ends after that epoch.
    let shorter = run(
        &Recipe {
            epochs: best.epoch,
            ..recipe.clone()
        },
        &data,
    );
    assert_eq!(weights(&shorter.model), weights(&selected.model));
    // Each checkpoint knows the best epoch so far.
    let mut stored = Stored::default();
    train(attached(net()), &data, &recipe, &device(), &mut stored).unwrap();
    for (index, bytes) in stored.0.iter().enumerate() {
        let so_far = best_of(&selected.epochs[..=index]).epoch;
        let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
        assert_eq!(checkpoint.best_epoch(), Some(so_far));
        assert_eq!(checkpoint.about(), Some("about"));
        assert!(!checkpoint.is_within_epoch());
        // 40 images in batches of 4.
        assert_eq!(checkpoint.steps(), 10 * (index + 1));
    }

    let impatient = Recipe {
        patience: Some(1),
        ..recipe.clone()
    };
    let mut ended_early = EndedEarly(None);
    let ended = train(
        attached(net()),
        &data,
        &impatient,
        &device(),
        &mut ended_early,
    )
    .unwrap();
    let count = ended.epochs.len();
    assert!(count < 12);
    assert_eq!(ended.best, Some(count - 1));
    assert_eq!(ended_early.0, ended.best);
    assert!(!ended.stopped);
    assert_eq!(best_of(&ended.epochs).epoch, count - 1);
    assert_eq!(
        without_times(&ended.epochs),
        without_times(&selected.epochs)[..count]
    );

    let blind = TrainingData {
        valid: None,
        ..data
    };
    let error = train(attached(net()), &blind, &impatient, &device(), &mut ()).unwrap_err();
    assert!(matches!(error, TrainingError::NoValidation), "{error}");
}

#[test]
fn averaged_weights_are_validated_and_returned() {
    let images = images(5, 0);
    let data = data(&images, None);
    let with = |ema| run(&Recipe { ema, ..recipe() }, &data);
    let (raw, slow) = (with(None), with(Some(0.99)));
    assert_ne!(weights(&raw.model), weights(&slow.model));
    // Averaging changes only the result of training, not the training itself.
    assert_eq!(without_times(&raw.epochs), without_times(&slow.epochs));
    // The averages of the best epoch are selected as well, and training can continue from them.
    let valid = self::images(4, 7);
    let watched = TrainingData {
        valid: Some(&valid),
        ..data
    };
    // With a large learning rate, the best epoch is not the last one.
    let found = [0.1, 0.2, 0.3, 0.5, 1.0]
        .into_iter()
        .find_map(|learning_rate| {
            let recipe = Recipe {
                ema: Some(0.5),
                select: Select::Best,
                learning_rate,
                epochs: 10,
                ..recipe()
            };
            let selected = run(&recipe, &watched);
            Some((recipe, selected.best?, selected))
        });
    let (best, epoch, selected) = found.unwrap();
    assert!(selected.model.head.weight.is_require_grad());
    let shorter = Recipe {
        epochs: epoch,
        ..best
    };
    assert_eq!(
        weights(&run(&shorter, &watched).model),
        weights(&selected.model)
    );
    // After one step, the average equals the weights.
    let one = |ema| {
        let recipe = Recipe {
            epochs: 1,
            batch_size: 64,
            ema,
            ..recipe()
        };
        weights(&run(&recipe, &data).model)
    };
    assert_eq!(one(None), one(Some(0.99)));
}

/// Records the steps of a run.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Observer for Steps {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        self.0.push(*step);
        ControlFlow::Continue(())
    }
}

#[test]
fn accuracy_and_loss_of_an_epoch_are_those_of_a_network_that_stands_still() {
    let images = images(5, 0);
    let data = data(&images, None);
    // A network that gets some images right and some wrong, and a step that moves it by nothing.
    let half = run(&recipe(), &data).model;
    let still = Recipe {
        epochs: 1,
        accumulate: 3,
        ..Recipe::new(Optimizer::Sgd, 1e-12)
    };
    let (still, mut steps) = (
        Recipe {
            batch_size: 4,
            ..still
        },
        Steps::default(),
    );
    let trained = train(attached(half), &data, &still, &device(), &mut steps).unwrap();
    let model = trained.model.valid();
    let wanted = evaluate(&model, &images, data.normalization, 25, &device()).unwrap();
    let epoch = &trained.epochs[0];
    assert!(wanted.accuracy() > 0.2 && wanted.accuracy() < 1.0);
    assert!((epoch.train_accuracy - wanted.accuracy()).abs() < 1e-12);
    assert!((epoch.train_loss - wanted.loss).abs() < 1e-6);
    // 25 images in steps of 12.
    let counts: Vec<_> = steps.0.iter().map(|step| step.images).collect();
    assert_eq!(counts, [12, 12, 1]);
    let mean = |of: fn(&Step) -> f64| -> f64 {
        let sum =
            |sum: f64, step: &Step| sum + of(step) * f64::from(u8::try_from(step.images).unwrap());
        steps.0.iter().fold(0.0, sum) / 25.0
    };
    assert!((mean(|step| step.accuracy) - wanted.accuracy()).abs() < 1e-12);
    assert!((mean(|step| step.loss) - wanted.loss).abs() < 1e-6);
}

#[test]
fn a_checkpoint_whose_values_have_changed_is_an_error() {
    let images = images(4, 0);
    let data = data(&images, None);
    let mut stored = Stored::default();
    train(attached(net()), &data, &recipe(), &device(), &mut stored).unwrap();
    let mut bytes = stored.0.pop().unwrap();
    assert!(Checkpoint::from_bytes(&bytes).is_ok());
    // The values are at the end of the file.
    *bytes.last_mut().unwrap() ^= 1;
    let error = Checkpoint::from_bytes(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("its values have changed since it was written"),
        "{error}"
    );
}

/// Ends a run after this step (from 1).
struct Stop(usize);

impl Observer for Stop {
    fn on_step(&mut self, step: &Step) -> ControlFlow<()> {
        if step.step >= self.0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn only_the_head_trains_before_the_network_thaws() {
    let images = images(4, 0);
    let data = data(&images, None);
    let recipe = Recipe {
        unfreeze_epochs: 1,
        ..recipe()
    };
    let parts = |trained: &Trained<Net>| {
        let all = weights(&trained.model);
        let body = 3 * SIDE * SIDE * 6 + 6;
        (all[..body].to_vec(), all[body..].to_vec())
    };
    let start = parts(&Trained {
        model: net(),
        epochs: Vec::new(),
        best: None,
        step_seconds: Vec::new(),
        seconds: 0.0,
        stopped: false,
        features: None,
        found: Vec::new(),
    });
    // 20 images in batches of 4: five steps per epoch.
    let after = |steps| {
        let mut stop = Stop(steps);
        parts(&train(attached(net()), &data, &recipe, &device(), &mut stop).unwrap())
    };
    let (body, head) = after(5);
    assert_eq!(body, start.0);
    assert_ne!(head, start.1);
    let (body, _) = after(6);
    assert_ne!(body, start.0);
}

#[test]
fn an_epoch_that_was_stopped_is_not_validated() {
    let (images, valid) = (images(4, 0), images(2, 7));
    let data = data(&images, Some(&valid));
    // 20 images in batches of 4: the seventh step is the second of epoch 2.
    let stopped = train(attached(net()), &data, &recipe(), &device(), &mut Stop(7)).unwrap();
    assert!(stopped.stopped);
    let validated: Vec<bool> = stopped
        .epochs
        .iter()
        .map(|epoch| epoch.valid_loss.is_some() && epoch.valid_accuracy.is_some())
        .collect();
    assert_eq!(validated, [true, false]);
}

#[test]
fn a_range_test_suggests_a_learning_rate_that_trains() {
    let images = images(20, 0);
    let data = data(&images, None);
    let test = range_test(attached(net()), &data, &recipe(), &device(), &|| false).unwrap();
    assert!(test.rates.len() <= 100 && test.rates.len() == test.losses.len());
    assert!((test.rates[0] - 1e-7).abs() < 1e-12);
    assert!((test.rates[50] - 1e-3).abs() < 1e-8);
    assert!(
        test.suggestion > 1e-5 && test.suggestion < 1.0,
        "{}",
        test.suggestion
    );
    let recipe = Recipe {
        learning_rate: test.suggestion,
        epochs: 5,
        ..recipe()
    };
    let epochs = run(&recipe, &data).epochs;
    assert!(epochs[4].train_loss < epochs[0].train_loss);
    let stopped = range_test(attached(net()), &data, &recipe, &device(), &|| true);
    assert!(matches!(stopped, Err(TrainingError::NoRate)));
}

#[test]
fn a_range_test_leaves_out_what_concerns_whole_runs() {
    let images = images(4, 0);
    let data = data(&images, None);
    let plain = range_test(attached(net()), &data, &recipe(), &device(), &|| false).unwrap();
    let whole = Recipe {
        learning_rate: 0.5,
        schedule: Schedule::Step,
        warmup: Some(0.4),
        ema: Some(0.9),
        unfreeze_epochs: 2,
        ..recipe()
    };
    let found = range_test(attached(net()), &data, &whole, &device(), &|| false).unwrap();
    assert_eq!(found.losses, plain.losses);
    assert_eq!(found.rates, plain.rates);
    // With validation images, the patience and the choice of an epoch are allowed and left out.
    let valid = self::images(2, 7);
    let watched = TrainingData {
        valid: Some(&valid),
        ..data
    };
    let patient = Recipe {
        patience: Some(1),
        select: Select::Best,
        ..whole
    };
    let found = range_test(attached(net()), &watched, &patient, &device(), &|| false).unwrap();
    assert_eq!(found.losses, plain.losses);
}

#[test]
fn a_loss_that_is_not_finite_ends_a_run_and_no_checkpoint_contains_such_weights() {
    let images = images(4, 0);
    let data = data(&images, None);
    let recipe = Recipe {
        learning_rate: 1e38,
        optimizer: Optimizer::Sgd,
        ..recipe()
    };
    let mut stored = Stored::default();
    let error = train(attached(net()), &data, &recipe, &device(), &mut stored).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, TrainingError::NonFiniteLoss { .. }),
        "{text}"
    );
    assert!(text.contains("try a smaller learning rate than"), "{text}");
    for bytes in stored.0 {
        let tensors = finetune_methods::state::from_safetensors(&bytes).unwrap();
        for tensor in tensors {
            if let finetune_methods::Values::Floats(values) = tensor.values {
                assert!(values.iter().all(|value| value.is_finite()));
            }
        }
    }
}
