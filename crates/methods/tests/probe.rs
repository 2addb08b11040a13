//! `knn` and `probe` compared with scikit-learn; `tests/parity/probe.py` computed the expected values.

#![allow(clippy::unwrap_used, missing_docs)]

use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, TensorData};
use finetune_methods::catalogue::{KnnConfig, ProbeConfig};
use finetune_methods::fit::{Examples, FitTask, Fitted};
use finetune_methods::{
    Method, MethodError, Scope, Targets, Values, count_parameters, linear, load, merge, trained,
};
use serde::Deserialize;

#[derive(Module, Debug)]
struct Net {
    body: Linear,
    head: Linear,
}

#[derive(Deserialize)]
struct Fixture {
    train: Part,
    test: Part,
    mean: Vec<f64>,
    scale: Vec<f64>,
    probe: Vec<Probe>,
    knn: Vec<Knn>,
}

#[derive(Deserialize, Clone)]
struct Part {
    features: Vec<Vec<f64>>,
    labels: Vec<usize>,
}

#[derive(Deserialize)]
struct Probe {
    c: f64,
    standardize: bool,
    balanced: bool,
    classes: usize,
    coefficients: Vec<Vec<f64>>,
    intercepts: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Knn {
    k: usize,
    shares: Vec<Vec<f64>>,
    predicted: Vec<usize>,
    left_out: f64,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/probe.json")).unwrap()
}

impl Part {
    /// Only examples of the first classes.
    fn of_classes(&self, classes: usize) -> Self {
        let both = self.features.iter().zip(&self.labels);
        let own = both.filter(|(_, label)| **label < classes);
        let (features, labels) = own.map(|(row, label)| (row.clone(), *label)).unzip();
        Self { features, labels }
    }

    fn map(&self, change: impl Fn(usize, f64) -> f64) -> Self {
        let row = |row: &Vec<f64>| {
            let values = row.iter().enumerate();
            values.map(|(index, value)| change(index, *value)).collect()
        };
        Self {
            features: self.features.iter().map(row).collect(),
            labels: self.labels.clone(),
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn values(&self) -> Vec<f32> {
        self.features
            .iter()
            .flatten()
            .map(|value| *value as f32)
            .collect()
    }

    fn examples(&self, classes: usize) -> Examples {
        Examples {
            features: self.values(),
            width: 13,
            labels: self.labels.clone(),
            classes,
        }
    }
}

fn net(classes: usize) -> Net {
    // What trains can be told only on a device with autodiff.
    let device = Device::flex().autodiff();
    Net {
        body: LinearConfig::new(13, 13).init(&device),
        head: LinearConfig::new(13, classes).init(&device),
    }
}

fn attach(method: &Method, net: Net) -> finetune_methods::Adapted<Net> {
    let targets = Targets::all();
    method
        .attach(net, &Scope::new("head", &targets, 3))
        .unwrap()
}

/// Fits a method and returns the model and what was found out.
fn fitted(
    method: &Method,
    examples: &Examples,
    weights: &[f64],
) -> Result<(Net, Fitted), MethodError> {
    let attached = attach(method, net(examples.classes));
    let fit = attached.fit().unwrap().clone();
    let task = FitTask {
        class_weights: weights,
        ..FitTask::new("head")
    };
    let fitted = fit.fit(examples, &task)?;
    let model = load(attached.into_parts().model, fitted.tensors.clone()).unwrap();
    Ok((model, fitted))
}

/// The probabilities that a model's head gives to examples.
fn probabilities(model: &Net, examples: &Part) -> Vec<Vec<f64>> {
    let data = TensorData::new(examples.values(), [examples.labels.len(), 13]);
    let logits = linear(
        &model.head,
        Tensor::<2>::from_data(data, &Device::flex().autodiff()),
    );
    let classes = logits.dims()[1];
    let all: Vec<f64> = softmax(logits, 1).into_data().iter::<f64>().collect();
    all.chunks(classes).map(<[f64]>::to_vec).collect()
}

/// The largest difference between two tables of numbers.
fn apart(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[allow(clippy::cast_precision_loss)]
fn balanced(examples: &Examples) -> Vec<f64> {
    let all = examples.len() as f64 / examples.classes as f64;
    let counts = examples.per_class().into_iter();
    counts.map(|count| all / count as f64).collect()
}

#[test]
fn probe_finds_the_optimum_of_scikit_learn() {
    let fixture = fixture();
    for wanted in &fixture.probe {
        let name = format!("C {}, {} classes", wanted.c, wanted.classes);
        let examples = fixture
            .train
            .of_classes(wanted.classes)
            .examples(wanted.classes);
        let method = Method::Probe(ProbeConfig {
            c: Some(wanted.c),
            standardize: wanted.standardize,
            ..ProbeConfig::default()
        });
        let weights = if wanted.balanced {
            balanced(&examples)
        } else {
            Vec::new()
        };
        let (model, fitted) = fitted(&method, &examples, &weights).unwrap();
        // One number: it converged.
        let (_, iterations) = fitted.found.last().unwrap();
        assert!(iterations.parse::<usize>().is_ok(), "{name}: {iterations}");
        let test = fixture.test.of_classes(wanted.classes);
        let away = apart(&probabilities(&model, &test), &wanted.probabilities);
        // The features reach 1680, and the weights are rounded to `f32`.
        assert!(away < 2e-4, "{name}: probabilities {away}");
        // `[features, classes]`.
        let weight: Vec<f64> = model.head.weight.val().into_data().iter::<f64>().collect();
        let bias: Vec<f64> = model
            .head
            .bias
            .unwrap()
            .val()
            .into_data()
            .iter::<f64>()
            .collect();
        let of_class = |class: usize| -> Vec<f64> {
            weight
                .iter()
                .skip(class)
                .step_by(wanted.classes)
                .copied()
                .collect()
        };
        // With two classes, scikit-learn has the difference of our two vectors.
        let (coefficients, intercepts) = if wanted.classes == 2 {
            let both = of_class(1).into_iter().zip(of_class(0));
            (
                vec![both.map(|(b, a)| b - a).collect()],
                vec![bias[1] - bias[0]],
            )
        } else {
            ((0..3).map(of_class).collect(), bias)
        };
        let largest = wanted
            .coefficients
            .iter()
            .flatten()
            .fold(0.0_f64, |a, b| a.max(b.abs()));
        let away = apart(&coefficients, &wanted.coefficients) / largest;
        assert!(away < 2e-5, "{name}: coefficients {away}");
        let largest = wanted
            .intercepts
            .iter()
            .fold(0.0_f64, |a, b| a.max(b.abs()));
        let away = apart(&[intercepts], std::slice::from_ref(&wanted.intercepts)) / largest;
        assert!(away < 2e-5, "{name}: intercepts {away}");
    }
}

/// The examples that the neighbours were computed of: standardised measurements.
fn standardized(fixture: &Fixture, part: &Part) -> Part {
    part.map(|index, value| (value - fixture.mean[index]) / fixture.scale[index])
}

#[test]
#[allow(clippy::cast_precision_loss)]
fn neighbours_vote_as_those_of_scikit_learn() {
    let fixture = fixture();
    let train = standardized(&fixture, &fixture.train).examples(3);
    let test = standardized(&fixture, &fixture.test);
    for wanted in &fixture.knn {
        let method = Method::Knn(KnnConfig {
            k: Some(wanted.k),
            ..KnnConfig::default()
        });
        let (model, fitted) = fitted(&method, &train, &[]).unwrap();
        assert!(fitted.found.is_empty());
        let found = probabilities(&model, &test);
        // One more neighbour, which is of all classes.
        let k = wanted.k as f64;
        let with_one_more = |share: &f64| (k * share + 1.0 / 3.0) / (k + 1.0);
        let shares: Vec<Vec<f64>> = (wanted.shares.iter())
            .map(|row| row.iter().map(with_one_more).collect())
            .collect();
        let away = apart(&found, &shares);
        assert!(away < 1e-5, "k {}: {away}", wanted.k);
        let largest = |row: &Vec<f64>| {
            let classes = row.iter().enumerate();
            classes.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
        };
        let predicted: Vec<usize> = found.iter().map(largest).collect();
        assert_eq!(predicted, wanted.predicted, "k {}", wanted.k);
    }
}

#[test]
fn the_number_of_neighbours_is_chosen_by_leaving_one_out() {
    let fixture = fixture();
    let train = standardized(&fixture, &fixture.train).examples(3);
    let (_, fitted) = fitted(&Method::Knn(KnnConfig::default()), &train, &[]).unwrap();
    let best = fixture
        .knn
        .iter()
        .map(|knn| knn.left_out)
        .fold(0.0, f64::max);
    let of_best = fixture.knn.iter().find(|knn| knn.left_out >= best).unwrap();
    let left_out = format!("{:.1} %", 100.0 * best);
    assert_eq!(
        fitted.found,
        [("k", of_best.k.to_string()), ("leave-one-out", left_out)]
    );
}

#[test]
fn c_is_chosen_and_the_probe_classifies_well_with_it() {
    let fixture = fixture();
    let train = fixture.train.examples(3);
    let (model, fitted) = fitted(&Method::Probe(ProbeConfig::default()), &train, &[]).unwrap();
    let names: Vec<&str> = fitted.found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["c", "cross-validation", "iterations"]);
    let c: f64 = fitted.found[0].1.parse().unwrap();
    assert!((1e-6..=1e6).contains(&c), "{c}");
    assert!(
        fitted.found[1].1.ends_with(" in 5 folds"),
        "{:?}",
        fitted.found
    );
    let rows = probabilities(&model, &fixture.test);
    let right = rows.iter().zip(&fixture.test.labels);
    let right = right.filter(|(row, label)| row.iter().all(|share| *share <= row[**label]));
    assert!(right.count() >= 57, "of 60");
}

#[test]
fn what_is_stored_makes_the_same_model_again() {
    let fixture = fixture();
    let train = standardized(&fixture, &fixture.train).examples(3);
    let knn = Method::Knn(KnnConfig::default());
    for (method, numbers, trains) in [
        (knn.clone(), 118 * 13 + 118 + 1, 0),
        (
            Method::Probe(ProbeConfig::default()),
            13 * 3 + 3,
            13 * 3 + 3,
        ),
    ] {
        let name = method.name();
        let attached = attach(&method, net(3));
        assert_eq!(
            count_parameters(attached.model()).trainable,
            trains,
            "{name}"
        );
        let (model, _) = fitted(&method, &train, &[]).unwrap();
        let counts = count_parameters(&model);
        // The index is no parameter.
        assert_eq!(
            (counts.trainable, counts.total),
            (trains, 13 * 14 + 14 * 3),
            "{name}"
        );
        let stored = trained(&model);
        let sizes = stored
            .iter()
            .map(|tensor| tensor.shape.iter().product::<usize>());
        assert_eq!(sizes.sum::<usize>(), numbers, "{name}");
        // The base is the same for both.
        let again = attach(&method, model.clone().no_adapters(&method));
        let again = load(again.into_parts().model, stored.clone()).unwrap();
        assert_eq!(trained(&again), stored, "{name}");
        let test = standardized(&fixture, &fixture.test);
        assert_eq!(
            probabilities(&again, &test),
            probabilities(&model, &test),
            "{name}"
        );
        assert_eq!(merge(&model).is_ok(), method.merges(), "{name}");
        let error = attach(&method, net(3)).into_model().unwrap_err();
        assert_eq!(error, MethodError::NotInSteps { method: name });
    }
}

#[test]
fn a_file_that_does_not_fit_is_an_error_or_gives_some_answer() {
    let fixture = fixture();
    let train = standardized(&fixture, &fixture.train).examples(3);
    let test = standardized(&fixture, &fixture.test);
    let knn = Method::Knn(KnnConfig::default());
    let (model, _) = fitted(&knn, &train, &[]).unwrap();
    let changed = |name: &str, shape: &[usize], values: Values| {
        let mut stored = trained(&model);
        let mut own = stored.iter_mut();
        let own = own.find(|tensor| tensor.path.ends_with(name)).unwrap();
        (own.shape, own.values) = (shape.to_vec(), values);
        load(attach(&knn, net(3)).into_parts().model, stored)
    };
    let floats = |count| Values::Floats(vec![0.5; count].into());
    // Of other features, or of no images.
    for (shape, count) in [([13, 118], 13 * 118), ([118, 12], 118 * 12), ([0, 13], 0)] {
        let other = changed("index", &shape, floats(count));
        assert!(
            matches!(other, Err(MethodError::OtherBase { .. })),
            "{shape:?}"
        );
    }
    for (name, numbers) in [
        ("labels", vec![1; 5]),
        ("labels", vec![7; 118]),
        ("labels", Vec::new()),
        ("voting", vec![1 << 30]),
        ("voting", Vec::new()),
    ] {
        let model = changed(name, &[numbers.len()], Values::Indices(numbers.clone()));
        let rows = probabilities(&model.unwrap(), &test);
        let sums = rows.iter().map(|row| row.iter().sum::<f64>());
        assert!(
            sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5),
            "{name} {numbers:?}"
        );
    }
}

impl Net {
    /// The same layers without an adapter on the head, for attaching to them once more.
    fn no_adapters(self, method: &Method) -> Self {
        if method.merges() {
            return self;
        }
        Self {
            head: net(3).head,
            ..self
        }
    }
}

#[test]
fn as_long_as_nothing_is_known_the_head_answers() {
    let fixture = fixture();
    let plain = net(3);
    let attached = attach(&Method::Knn(KnnConfig::default()), plain.clone());
    let test = standardized(&fixture, &fixture.test);
    assert_eq!(
        probabilities(attached.model(), &test),
        probabilities(&plain, &test)
    );
}

#[test]
fn few_images_are_enough_or_the_reason_is_told() {
    let fixture = fixture();
    // One image of each of three classes.
    let one_each = Part {
        features: [0, 45, 100]
            .map(|index| fixture.train.features[index].clone())
            .to_vec(),
        labels: [0, 45, 100]
            .map(|index| fixture.train.labels[index])
            .to_vec(),
    };
    assert_eq!(one_each.labels, [0, 1, 2]);
    let examples = one_each.examples(3);
    let of = |method: &Method| fitted(method, &examples, &[]);
    let (model, found) = of(&Method::Knn(KnnConfig::default())).unwrap();
    assert_eq!(
        found.found,
        [("k", "1, as no class has two images to choose by".to_owned())]
    );
    let rows = probabilities(&model, &one_each);
    for (class, row) in rows.iter().enumerate() {
        assert!(row.iter().all(|share| *share <= row[class]), "{rows:?}");
    }
    let (model, found) = of(&Method::Probe(ProbeConfig::default())).unwrap();
    assert_eq!(
        found.found[0],
        ("c", "1, as no class has two images to choose by".to_owned())
    );
    let rows = probabilities(&model, &one_each);
    for (class, row) in rows.iter().enumerate() {
        assert!(row.iter().all(|share| *share <= row[class]), "{rows:?}");
    }
    let k = |k| {
        Method::Knn(KnnConfig {
            k: Some(k),
            ..KnnConfig::default()
        })
    };
    assert!(of(&k(3)).is_ok());
    assert_eq!(
        of(&k(4)).unwrap_err().to_string(),
        "knn.k is 4, but must be at most the number of training images, 3"
    );
    for (method, reason) in [
        (k(0), "k is 0, but must be at least 1"),
        (
            Method::Knn(KnnConfig {
                temperature: 0.0,
                ..KnnConfig::default()
            }),
            "temperature is 0, but must be above 0 and at most 3e38",
        ),
        (
            Method::Probe(ProbeConfig {
                c: Some(-1.0),
                ..ProbeConfig::default()
            }),
            "c is -1, but must be above 0 and at most 3e38",
        ),
        (
            Method::Probe(ProbeConfig {
                folds: 1,
                ..ProbeConfig::default()
            }),
            "folds is 1, but must be from 2 to 100",
        ),
    ] {
        let targets = Targets::all();
        let error = method.attach(net(3), &Scope::new("head", &targets, 0));
        assert_eq!(error.unwrap_err().to_string(), reason);
    }
}

#[test]
fn knn_answers_in_place_of_a_linear_head_only() {
    #[derive(Module, Debug)]
    struct Deep {
        head: Net,
    }
    let targets = Targets::all();
    let method = Method::Knn(KnnConfig::default());
    let error = method.attach(Deep { head: net(3) }, &Scope::new("head", &targets, 0));
    assert_eq!(
        error.unwrap_err().to_string(),
        "knn answers in place of a Linear head, and `head` is no single Linear layer"
    );
}

#[test]
fn a_fit_stops_when_asked_to() {
    let train = fixture().train.examples(3);
    for method in [
        Method::Knn(KnnConfig::default()),
        Method::Probe(ProbeConfig::default()),
    ] {
        let fit = method.fit(0).unwrap();
        let task = FitTask {
            stop: &|| true,
            ..FitTask::new("head")
        };
        assert_eq!(
            fit.fit(&train, &task),
            Err(MethodError::Stopped),
            "{}",
            method.name()
        );
    }
}
